"""Report of the doctor for a terminal."""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeleuk.doctor.findings import Report, State
from edgeleuk.render._words import clean
from edgeleuk.system.language import _, msgid, pgettext, word
from edgeleuk.system.sentences import said

STYLES: dict[State, str] = {"ok": "green", "warning": "yellow", "failure": "bold red"}
STATE_WIDTH, CHECK_WIDTH = 7, 15
"""Least widths; wider in a language with longer words."""
SUMS: dict[State, str] = {
    "ok": msgid("Everything is as it should be."),
    "warning": msgid("The work can be done; see the warnings."),
    "failure": msgid("Something must be mended first; see the failures."),
}


def report(examined: Report) -> RenderableType:
    """Render each check, remedy and advice.

    The remedy is a whole command, ready to be copied.
    """
    parts: list[RenderableType] = []
    widths = (
        max(STATE_WIDTH, *(cell_len(state_word(state)) for state in STYLES)),
        max(CHECK_WIDTH, *(cell_len(check_word(each.check)) for each in examined.findings)),
    )
    for finding in examined.findings:
        state = Text(state_word(finding.state), STYLES[finding.state])
        parts.append(_row(state, check_word(finding.check), Text(clean(said(finding.said))), widths))
        if finding.remedy:
            parts.append(
                Text(f"{' ' * widths[0]} $ {clean(finding.remedy)}", "bold", no_wrap=True, overflow="ignore")
            )
        if finding.advice:
            parts.append(_row(Text(), "", Text(clean(said(finding.advice)), "italic"), widths))
    return Group(*parts, Text(f"\n{_(SUMS[examined.worst])}", STYLES[examined.worst]))


def state_word(state: State) -> str:
    """Return a state in the language in use."""
    return {
        "ok": pgettext("state", "ok"),
        "warning": pgettext("state", "warning"),
        "failure": pgettext("state", "failure"),
    }[state]


def check_word(check: str) -> str:
    """Return the name of a check in the language in use.

    What a check is of keeps its name, such as the objective of a model.
    """
    known = word(check)
    first, space, rest = check.partition(" ")
    return f"{word(first)} {rest}" if known == check and space else known


def _row(state: Text, check: str, text: Text, widths: tuple[int, int]) -> Table:
    row = Table.grid(padding=(0, 1, 0, 0))
    row.add_column(width=widths[0], no_wrap=True)
    row.add_column(width=widths[1])
    row.add_column(overflow="fold")
    row.add_row(state, clean(check), text)
    return row
