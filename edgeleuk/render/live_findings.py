"""What the live screen says of the slide: the verdict, and the flags with their advice. No sentence is shown in part."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from edgeleuk.flags import Flag
from edgeleuk.intervals import Share
from edgeleuk.live.state import LiveState
from edgeleuk.render._words import SEVERITY_STYLES, clean, flag_title
from edgeleuk.render.live_text import fit, line
from edgeleuk.verdict import STYLES, Verdict

VERDICT_ROWS = 2
"""Lines kept for the verdict, so that nothing moves when its words change."""


def verdict(shown: Verdict, width: int) -> list[Text]:
    """The verdict in the lines that are kept for it, or in as many more as it needs."""
    lines = verdict_lines(shown, width)
    return lines + [line(width)] * (VERDICT_ROWS - len(lines))


def verdict_lines(shown: Verdict, width: int) -> list[Text]:
    """The whole verdict, highlighted over the full width."""
    parts = textwrap.wrap(clean(shown.line), width - 2)
    return [line(width, (f" {fit(part, width - 1)}", STYLES[shown.code])) for part in parts]


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence with its heading, and how its edge looks."""

    title: str
    text: str
    style: str

    @classmethod
    def of(cls, flag: Flag) -> Finding:
        return cls(flag_title(flag.code), flag.text, SEVERITY_STYLES[flag.severity])

    def lines(self, width: int) -> list[Text]:
        """All of it behind a coloured edge."""
        whole = clean(f"{self.title}  {self.text}" if self.title else self.text)
        lines = []
        for row, part in enumerate(textwrap.wrap(whole, width - 2)):
            bold = len(self.title) if row == 0 else 0
            lines.append(line(width, ("▌ ", self.style), (part[:bold], self.style), (part[bold:], "")))
        return lines


def findings(state: LiveState, rows: int, width: int) -> list[Text]:
    """Flags, the most severe first, then what the count can exclude; what has no room is named."""
    flags = state.differential.flags
    every = [Finding.of(flag).lines(width) for flag in flags]
    shown = _fitting(every, rows)
    if len(shown) < len(flags):
        shown = _fitting(every, rows - 1)
    body = [text for lines in shown for text in lines]
    if rest := flags[len(shown) :]:
        body.append(_more(rest, width))
    for said in (*_unseen(state), *state.differential.adequacy):
        lines = Finding("", said, "dim").lines(width)
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


def _more(rest: Sequence[Flag], width: int) -> Text:
    """How many flags have no room, and as many of their names as there is room for."""
    style = SEVERITY_STYLES[rest[0].severity]
    text = f"+{len(rest)} more (see the end)"
    for place, flag in enumerate(rest):
        longer = f"{text}{', ' if place else ': '}{flag_title(flag.code)}"
        if len(longer) > width - 2:
            break
        text = longer
    return line(width, ("▌ ", style), (text, ""))


def _unseen(state: LiveState) -> Iterator[str]:
    """The limit for any type that was not seen."""
    result = state.differential
    if any(share.count == 0 for share in result.types.values()):
        high = Share(0, result.n).high
        cells = "1 cell" if result.n == 1 else f"{result.n} cells"
        yield (
            f"A type that was not seen in {cells} may still be up to {high:.1f} % of them, and more if the program"
            " misses some."
        )
