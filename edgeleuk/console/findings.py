"""Verdict on the live screen, and the reasons behind it.

A reason is shown in full or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from edgeleuk.console.text import fit, line, wrapped
from edgeleuk.counting.state import LiveState
from edgeleuk.differential.differential import Differential
from edgeleuk.differential.verdict import STYLES, Verdict
from edgeleuk.render._words import SEVERITY_STYLES, flag_title, unchecked_notice, verdict_line
from edgeleuk.system.language import _
from edgeleuk.system.sentences import guarded

VERDICT_ROWS = 2
"""Lines reserved for the verdict.

So nothing moves when its words change.
"""


def verdict(shown: Verdict, width: int) -> list[Text]:
    """Return the verdict in VERDICT_ROWS lines, or more if needed."""
    lines = verdict_lines(shown, width)
    return lines + [line(width)] * (VERDICT_ROWS - len(lines))


def verdict_lines(shown: Verdict, width: int) -> list[Text]:
    """Return the whole verdict, highlighted.

    The highlight takes the full width.
    """
    parts = wrapped(verdict_line(shown), width - 2)
    return [line(width, (f" {fit(part, width - 1)}", STYLES[shown.code])) for part in parts]


def reasons(shown: Verdict, result: Differential) -> list[Finding]:
    """Return reasons missing from the verdict's line."""
    severity = {flag.code.lower(): flag.severity for flag in result.flags}
    return [
        Finding(
            guarded(each.text),
            SEVERITY_STYLES[severity.get(each.code, "warning")],
            flag_title(each.code.upper()),
        )
        for each in shown.others
    ]


@dataclass(frozen=True, slots=True)
class Finding:
    """One or two sentences with the style of their edge."""

    text: str
    style: str
    name: str = ""
    """Short name, for use where the text has no room."""

    def lines(self, width: int) -> list[Text]:
        """Return the whole text behind a coloured edge."""
        parts = wrapped(self.text, width - 2)
        return [line(width, ("▌ ", self.style), (part, "")) for part in parts]


def findings(state: LiveState, rows: int, width: int) -> list[Text]:
    """Return the reasons, then what the count can exclude.

    Reasons without room are named only.

    Args:
        state: State of the count.
        rows: Number of lines to return.
        width: Width of the window, terminal cells.
    """
    every = reasons(state.slide_verdict, state.differential)
    wrapped = [each.lines(width) for each in every]
    shown = _fitting(wrapped, rows)
    if len(shown) < len(every):
        shown = _fitting(wrapped, rows - 1)
    body = [text for lines in shown for text in lines]
    if rest := every[len(shown) :]:
        body.append(_more(rest, width))
    for text in filter(None, (*map(guarded, state.differential.adequacy), unchecked_notice())):
        lines = Finding(text, "dim").lines(width)
        body += lines if len(body) + len(lines) <= rows else []
    return body + [line(width)] * (rows - len(body))


def _fitting(every: Sequence[list[Text]], rows: int) -> list[list[Text]]:
    """Return the first texts that fit completely."""
    shown: list[list[Text]] = []
    for lines in every:
        rows -= len(lines)
        if rows < 0:
            break
        shown.append(lines)
    return shown


def _more(rest: Sequence[Finding], width: int) -> Text:
    """Return a line on the reasons without room.

    It has their number, and as many names as fit.
    """
    text = _("+{n} more (see the end)").format(n=len(rest))
    for place, each in enumerate(rest):
        longer = f"{text}{_(', ') if place else ': '}{each.name}"
        if cell_len(longer) > width - 2:
            break
        text = longer
    return line(width, ("▌ ", rest[0].style), (text, ""))
