"""Report of the doctor for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeleuk.doctor.findings import Report, State
from edgeleuk.render._words import clean

STYLES: dict[State, str] = {"ok": "green", "warning": "yellow", "failure": "bold red"}
STATE_WIDTH, CHECK_WIDTH = 7, 15
SUMS: dict[State, str] = {
    "ok": "Everything is as it should be.",
    "warning": "The work can be done; see the warnings.",
    "failure": "Something must be mended first; see the failures.",
}


def report(examined: Report) -> RenderableType:
    """Render each check, remedy and advice.

    The remedy is a whole command, ready to be copied.
    """
    parts: list[RenderableType] = []
    for finding in examined.findings:
        parts.append(
            _row(Text(finding.state, STYLES[finding.state]), finding.check, Text(clean(finding.said)))
        )
        if finding.remedy:
            parts.append(
                Text(
                    f"{' ' * STATE_WIDTH} $ {clean(finding.remedy)}", "bold", no_wrap=True, overflow="ignore"
                )
            )
        if finding.advice:
            parts.append(_row(Text(), "", Text(clean(finding.advice), "italic")))
    return Group(*parts, Text(f"\n{SUMS[examined.worst]}", STYLES[examined.worst]))


def _row(state: Text, check: str, said: Text) -> Table:
    row = Table.grid(padding=(0, 1, 0, 0))
    row.add_column(width=STATE_WIDTH, no_wrap=True)
    row.add_column(width=CHECK_WIDTH)
    row.add_column(overflow="fold")
    row.add_row(state, clean(check), said)
    return row
