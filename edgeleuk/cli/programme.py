"""`edgeleuk programme`: the slides and sites of a merged database."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk._text import escaped
from edgeleuk.cli._console import json_text, print_csv, results, tell, write
from edgeleuk.errors import OutputError, StoreError, UsageError
from edgeleuk.system import user_paths
from edgeleuk.system.language import _, date, figure, word
from edgeleuk.system.sentences import said

if TYPE_CHECKING:
    from edgeleuk.programme.figures import Programme

PRINTED = Path("-")


def programme(
    database: Annotated[Path, typer.Argument(help="Database of `edgeleuk merge`.", show_default=False)],
    csv: Annotated[
        Path | None,
        typer.Option("--csv", help="Write a CSV row a slide; - prints it.", show_default=False),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(
            "--json", help="Write slides, sites and conflicts as JSON; - prints it.", show_default=False
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write a page of the sites, which loads nothing.", show_default=False),
    ] = None,
) -> None:
    """Show the sites of a programme: what was counted, what stands out, who contradicts whom.

    Sites are compared with each other by funnel plots, and each with its own first slides; the page states the method. A
    site that stands out is a reason to look at its lamp, stain, focus and objective, no proof of a fault.
    """
    from edgeleuk.programme.figures import COLUMNS, rows, sites_as_json
    from edgeleuk.programme.merging import programme_of
    from edgeleuk.programme.page import page
    from edgeleuk.render import slides_table
    from edgeleuk.render.tables import RESEARCH_USE
    from edgeleuk.sessions.merged import MergedSessions

    if [csv, json].count(PRINTED) > 1 or html == PRINTED:
        raise UsageError("only one of --csv and --json can be printed; --html needs a file.")
    with MergedSessions(
        user_paths.expanded(database, "the command line", StoreError), create=False
    ) as opened:
        found = programme_of(opened)
    if csv:
        _put(csv, slides_table.csv(rows(found), COLUMNS))
    if json:
        conflicts = [
            {"kind": each.kind, "text": each.text, "sessions": each.sessions}
            for each in found.slides.conflicts
        ]
        document = {
            "schema": "edgeleuk-programme/1",
            "notice": RESEARCH_USE,
            "sites": sites_as_json(found),
            "conflicts": conflicts,
            "slides": rows(found),
        }
        _put(json, json_text(document))
    if html:
        _put(html, page(found))
    if PRINTED not in (csv, json):
        _show(found)


def _put(path: Path, text: str) -> None:
    if path == PRINTED:
        print_csv(text)
        return
    write(user_paths.expanded(path, "the command line", OutputError), text)
    tell(f"written: {path}")


def _show(found: Programme) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = results()
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column(_("site"), ratio=1, overflow="fold")
    for name in (_("slides"), _("not recognised"), _("refused"), _("corrected"), _("last")):
        table.add_column(name, justify="right")
    for site in found.sites:
        shares = [
            figure(f"{100 * point.counts[0] / point.counts[1]:.1f} %") if point.counts[1] else "-"
            for point in site.measures.values()
        ]
        table.add_row(
            Text(escaped(site.site) or _("no site")), str(site.slides), *shares, date(datetime.fromisoformat(site.last)),
            style="yellow" if site.reasons else "",
        )  # fmt: skip
    out.print(table)
    for site in found.sites:
        for reason in site.reasons:
            out.print(
                escaped(f"{site.site or _('no site')}{_(': ')}{said(reason)}"), soft_wrap=True, markup=False
            )
    for each in found.slides.conflicts:
        out.print(escaped(f"{word(each.kind)}{_(': ')}{said(each.text)}"), soft_wrap=True, markup=False)
