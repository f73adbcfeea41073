"""`edgeleuk report`: a slide's report as HTML, PDF, CSV, JSON or FHIR."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk.cli._console import json_text, print_csv, results, tell, warn, write
from edgeleuk.cli._kept import reviewed, session_of, tell_lost
from edgeleuk.cli._model import ModelOption
from edgeleuk.cli._rules import ReferenceOption, RulesOption, standards
from edgeleuk.cli._who import StoreOption
from edgeleuk.errors import UsageError
from edgeleuk.system import file_io, private_files
from edgeleuk.system.language import SOURCE, speaking

if TYPE_CHECKING:
    from edgeleuk.differential.rules import Reference, Rules
    from edgeleuk.reports import Report

RESULTS = "results.json"
"""File of a result in a folder that `analyze --out` wrote."""
PRINTED = Path("-")
"""File name that stands for the standard output."""
RECORD = ".edgeleuk"


def report(
    slide: Annotated[
        str | None,
        typer.Argument(
            metavar="SLIDE",
            help="Slide id, session id, or a result's JSON file (`analyze --json`, `--out`).",
            show_default=False,
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write one self-contained page.", show_default=False)
    ] = None,
    pdf: Annotated[
        Path | None,
        typer.Option("--pdf", help="Print the page to a PDF, A4 (extra `pdf`).", show_default=False),
    ] = None,
    fhir: Annotated[
        Path | None,
        typer.Option("--fhir", help="Write an HL7 FHIR R4 document; - prints it.", show_default=False),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write one table; - prints it.", show_default=False)
    ] = None,
    as_json: Annotated[
        Path | None,
        typer.Option("--json", help="Write every number as JSON; - prints it.", show_default=False),
    ] = None,
    outbox: Annotated[
        bool,
        typer.Option(
            "--outbox", help="Put the FHIR document into the outbox; without SLIDE list what waits there."
        ),
    ] = False,
    store: StoreOption = None,
    model_folder: ModelOption = None,
    rules: RulesOption = None,
    reference: ReferenceOption = None,
) -> None:
    """Write the report of a slide: verdict, differential, cells to look at, and who reviewed and signed it.

    Of a session the report has what reviewers changed, with the program's own count beside it, and is preliminary until
    somebody signs. The outbox holds FHIR documents until another program fetches and removes them; it is the folder that
    EDGELEUK_OUTBOX names, else ~/.local/share/edgeleuk/outbox. Nothing is sent.
    """
    if slide is None:
        if outbox and not any((html, pdf, fhir, csv, as_json)):
            _list_outbox()
            return
        raise UsageError(
            "name a slide: its id, a session, or a result's JSON. `edgeleuk sessions list` shows them."
        )
    targets = [each for each in (html, pdf, fhir, csv, as_json) if each]
    if not targets and not outbox:
        raise UsageError(
            "say what to write: --html, --pdf, --fhir, --csv or --json with a file, or --outbox."
        )
    if len({*targets}) < len(targets):
        raise UsageError("two forms of the report would go to the same file. Give each its own.")
    if PRINTED in (html, pdf):
        raise UsageError("--html and --pdf need a file. Only --csv, --json and --fhir can be printed by -.")
    from edgeleuk.render.report.pdf import require

    if pdf:
        require()
    made = _report(slide, store, model_folder, *standards(rules, reference))
    _write(made, html, pdf, csv, as_json)
    if fhir or outbox:
        _write_fhir(made, fhir, outbox)
    for path in targets:
        if path == PRINTED:
            continue
        tell(f"the report is in {path}")
    tell_lost(made.lost)


def _write(made: Report, html: Path | None, pdf: Path | None, csv: Path | None, as_json: Path | None) -> None:
    from edgeleuk.render.report import plain
    from edgeleuk.render.report.page import page
    from edgeleuk.render.report.pdf import box_warning
    from edgeleuk.render.report.pdf import pdf as printed

    if html:
        write(html, page(made), private_files.FILE)
    if pdf:
        boxes: set[str] = set()
        write(pdf, printed(page(made), boxes.add), private_files.FILE)
        if text := box_warning(boxes):
            warn(text)
    if csv:
        _put(csv, plain.csv(made))
    if as_json:
        _put(as_json, json_text(plain.document(made)))


def _put(path: Path, text: str) -> None:
    """Write a file that its owner alone reads, or print the text."""
    if path == PRINTED:
        print_csv(text)
    else:
        write(path, text, private_files.FILE)


def _write_fhir(made: Report, path: Path | None, outbox: bool) -> None:
    """Write the FHIR document, with the PDF where its extra is installed."""
    from edgeleuk.render.report.fhir import bundle
    from edgeleuk.render.report.page import page
    from edgeleuk.render.report.pdf import INSTALL, is_installed
    from edgeleuk.render.report.pdf import pdf as printed
    from edgeleuk.reports.outbox import Outbox, bundle_name

    with speaking(SOURCE):  # what other programs take is English
        form = printed(page(made)) if is_installed() else None
    if form is None:
        tell(f"the FHIR document has no PDF: the extra `pdf` is not installed. To have it: {INSTALL}")
    text = json_text(bundle(made, form))
    if path:
        _put(path, text)
    if outbox:
        name = bundle_name(made.about.id, made.standing.revision, made.standing.status)
        tell(f"the FHIR document waits in {Outbox().put(name, text.encode())}")


def _list_outbox() -> None:
    from edgeleuk.reports.outbox import Outbox

    box = Outbox()
    waiting = box.listed()
    for each in waiting:
        results().print(f"{each.at}  {each.size / 1000:8.0f} kB  {each.name}", markup=False, soft_wrap=True)
    tell(f"{len(waiting) or 'nothing'} in the outbox {box.folder}")


def _report(
    slide: str, store: Path | None, model_folder: Path | None, rules: Rules, reference: Reference
) -> Report:
    if path := _file(slide):
        return _of_file(path, rules, reference)
    from edgeleuk.reports.kept import report_of
    from edgeleuk.sessions import open_store

    with open_store(store, create=False) as opened:
        found = session_of(opened, slide)
        kept, review, lost = reviewed(opened, found, model_folder, rules, reference)
        return report_of(opened.get(found), kept, review, rules, reference, lost)


def _file(slide: str) -> Path | None:
    """Return the file that SLIDE names.

    None if it names a slide or a session.
    """
    path = Path(slide)
    if file_io.is_folder(path) and file_io.is_regular(path / RESULTS):
        return path / RESULTS
    return path if path.suffix.lower() in (".json", RECORD) else None


def _of_file(path: Path, rules: Rules, reference: Reference) -> Report:
    """Return the report of a result in a file.

    It has pictures where those of the slide are still there.
    """
    from edgeleuk.reports import Context, gather, wanted
    from edgeleuk.reports.from_json import read_json
    from edgeleuk.reports.pictures import from_files
    from edgeleuk.results.codec import read_result

    result = read_result(path) if path.suffix.lower() == RECORD else read_json(path)
    images = from_files(result, wanted(result))
    return gather(result, rules, reference, Context(images=images))
