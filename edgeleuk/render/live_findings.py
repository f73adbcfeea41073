"""What the live screen says of the slide: the verdict and the reasons behind it. No reason is shown in part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from edgeleuk.differential import Differential
from edgeleuk.live.state import LiveState
from edgeleuk.render._words import SEVERITY_STYLES, flag_title
from edgeleuk.render.live_text import fit, line, wrapped
from edgeleuk.verdict import STYLES, Verdict

VERDICT_ROWS = 2
"""Lines kept for the verdict, so that nothing moves when its words change."""


def verdict(shown: Verdict, width: int) -> list[Text]:
    """The verdict in the lines that are kept for it, or in as many more as it needs."""
    lines = verdict_lines(shown, width)
    return lines + [line(width)] * (VERDICT_ROWS - len(lines))


def verdict_lines(shown: Verdict, width: int) -> list[Text]:
    """The whole verdict, highlighted over the full width."""
    parts = wrapped(shown.line, width - 2)
    return [line(width, (f" {fit(part, width - 1)}", STYLES[shown.code])) for part in parts]


def reasons(shown: Verdict, result: Differential) -> list[Finding]:
    """What stands behind a verdict, but for the reason that its line gives."""
    severity = {flag.code.lower(): flag.severity for flag in result.flags}
    return [
        Finding(each.text, SEVERITY_STYLES[severity.get(each.code, "warning")], flag_title(each.code.upper()))
        for each in shown.others
    ]


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence or two, and how their edge looks."""

    text: str
    style: str
    name: str = ""
    """What it is called where there is no room for it."""

    def lines(self, width: int) -> list[Text]:
        """All of it behind a coloured edge."""
        parts = wrapped(self.text, width - 2)
        return [line(width, ("▌ ", self.style), (part, "")) for part in parts]


def findings(state: LiveState, rows: int, width: int) -> list[Text]:
    """The reasons behind the verdict, then what the count can exclude; what has no room is named."""
    every = reasons(state.slide_verdict, state.differential)
    wrapped = [each.lines(width) for each in every]
    shown = _fitting(wrapped, rows)
    if len(shown) < len(every):
        shown = _fitting(wrapped, rows - 1)
    body = [text for lines in shown for text in lines]
    if rest := every[len(shown) :]:
        body.append(_more(rest, width))
    for said in state.differential.adequacy:
        lines = Finding(said, "dim").lines(width)
        body += lines if len(body) + len(lines) <= rows else []
    return body + [line(width)] * (rows - len(body))


def _fitting(every: Sequence[list[Text]], rows: int) -> list[list[Text]]:
    """The first of some texts, as many as have room as a whole."""
    shown: list[list[Text]] = []
    for lines in every:
        rows -= len(lines)
        if rows < 0:
            break
        shown.append(lines)
    return shown


def _more(rest: Sequence[Finding], width: int) -> Text:
    """How many have no room, and as many of their names as there is room for."""
    text = f"+{len(rest)} more (see the end)"
    for place, each in enumerate(rest):
        longer = f"{text}{', ' if place else ': '}{each.name}"
        if len(longer) > width - 2:
            break
        text = longer
    return line(width, ("▌ ", rest[0].style), (text, ""))
