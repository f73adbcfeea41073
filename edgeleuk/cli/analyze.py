"""`edgeleuk analyze`: counts, differential and flags from images."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from edgeleuk.cli._console import (
    json_text,
    notices,
    print_csv,
    print_json,
    progress_bar,
    report,
    results,
    tell,
    warn,
)
from edgeleuk.cli._control import entries_of, reasons_now
from edgeleuk.cli._keep import Keeper, pictures_session
from edgeleuk.cli._model import MagOption, ModelOption, chosen
from edgeleuk.cli._options import (
    RecursiveOption,
    SeparateOption,
    ThreadsOption,
    UmPerPxOption,
    require_scale,
)
from edgeleuk.cli._overlays import Overlays, attempt
from edgeleuk.cli._profile import ProfileOption, device
from edgeleuk.cli._results import ResultFolder, Run, key_of
from edgeleuk.cli._rules import ReferenceOption, RulesOption, standards
from edgeleuk.cli._stop import Stopped, Stopping
from edgeleuk.cli._who import (
    DeviceOption,
    NotesOption,
    OperatorOption,
    SessionFacts,
    SiteOption,
    SlideOption,
    StoreOption,
)
from edgeleuk.errors import EdgeleukError, OutputError, QualityError, StoreError, UsageError
from edgeleuk.system import user_paths

if TYPE_CHECKING:
    from edgeleuk.counting.pictures import Batch, Item
    from edgeleuk.differential.rules import Reference, Rules
    from edgeleuk.models.registry import Model
    from edgeleuk.results.slide_result import SlideResult
    from edgeleuk.sources.pictures.listing import Found

Failures = list[tuple[str, EdgeleukError]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Failures and warnings of an analysis, beside the count."""

    failures: Failures
    """Images that failed, with the error."""
    warnings: Mapping[str, list[str]]
    """Names of images by warning text."""


@dataclass(frozen=True, slots=True)
class Forms:
    """Forms of the result to write or print."""

    as_json: bool
    as_csv: bool
    write_all: bool
    """Whether to write every form but the report."""
    details: bool
    report: Callable[[], str] | None = None
    """Makes the report's page; None if it is not asked for."""


def analyze(
    paths: Annotated[
        list[str] | None, typer.Argument(help="Pictures, folders, or patterns in quotes.", show_default=False)
    ] = None,
    mag: MagOption = None,
    model_folder: ModelOption = None,
    profile: ProfileOption = None,
    um_per_px: UmPerPxOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder for results: JSON, CSV and annotated pictures, or only those asked for.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (see `edgeleuk schema`).")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print one CSV row per cell.")] = False,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Write an annotated copy of each picture to --out.")
    ] = False,
    as_report: Annotated[
        bool, typer.Option("--report", help="Write the slide's report to --out, one HTML page (report.html).")
    ] = False,
    recursive: RecursiveOption = False,
    details: Annotated[
        bool, typer.Option("--details", help="Also show the cells, attributes and the reasoning.")
    ] = False,
    demo: Annotated[bool, typer.Option("--demo", help="Analyse the simulated smear that ships.")] = False,
    rules: RulesOption = None,
    reference: ReferenceOption = None,
    red_cells: Annotated[
        float | None,
        typer.Option(
            "--red-cells",
            help="Red-cell count of the blood, 10^12 per litre: white cells and platelets per uL are then estimated.",
            show_default=False,
        ),
    ] = None,
    separate: SeparateOption = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Analyse refused pictures (too poor, or no smear) too, and mark the result."
        ),
    ] = False,
    slide: SlideOption = "",
    operator: OperatorOption = "",
    site: SiteOption = "",
    microscope: DeviceOption = "",
    notes: NotesOption = "",
    keep: Annotated[
        bool, typer.Option("--keep/--no-keep", help="Keep the result on disk, see `edgeleuk sessions`.")
    ] = True,
    store: StoreOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Count the cells of smear pictures and give the white-cell differential with its uncertainty.

    Several pictures are those of one slide: where they overlap, a cell that two of them show counts once. A picture
    that cannot be read or scaled, or is refused as too poor or as no smear, is named at the end; the rest is done. The
    exit code is then that of the first such error. The result is kept with pictures of its white cells; no patient name
    is asked for, do not enter one. Where it cannot be kept that is said, and the exit code is 9.
    """
    from edgeleuk.analysis.analyser import Analyser
    from edgeleuk.counting.pictures import Batch
    from edgeleuk.counting.scale_policy import ScalePolicy
    from edgeleuk.counting.slide import SlideCount, SlideOptions
    from edgeleuk.differential.per_microlitre import check
    from edgeleuk.render.control_warnings import with_reasons
    from edgeleuk.sources.pictures.listing import pictures as pictures_of
    from edgeleuk.system import machine
    from edgeleuk.types import PictureFile, Scale

    if demo == bool(paths):
        raise UsageError("name pictures to analyse, or --demo for the sample that ships; not both.")
    require_scale(um_per_px)
    if as_json and as_csv and out is None:
        raise UsageError(
            "--json and --csv both print to the same place. Give --out DIR to have both as files."
        )
    check(red_cells)
    wanted = out or (Path("edgeleuk-results") if overlay or as_report else None)
    target = user_paths.expanded(wanted, "--out", OutputError) if wanted else None
    rule_set, ranges = standards(rules, reference)
    known, _ = device(profile, mag)
    model = chosen(model_folder, mag, known)
    scale = None if um_per_px is None else Scale.given(um_per_px)
    found = pictures_of([demo_picture()] if demo else paths or [], recursive)
    pictures = [each for each in found if not _is_folder(each, target)]
    files = [each for each in pictures if isinstance(each, PictureFile)]
    workers = max(1, min(threads or os.cpu_count() or 1, len(files)))
    machine.share_heap()
    analyser = Analyser(model, threads if workers == 1 else 1, profile=known, refusing=not force)
    names = ["demo"] if demo else paths or []
    new = pictures_session(
        analyser, names, SessionFacts(slide, operator, site, microscope, notes), um_per_px, red_cells
    )
    run = Run(new.uuid, key_of(each.path for each in files), new.source, new.started)
    folder = (
        ResultFolder(target, run) if target and files else None
    )  # nothing is made for a name that is wrong
    write_all = folder is not None and not (as_json or as_csv or overlay or as_report)
    forms = Forms(as_json, as_csv, write_all, details)
    control_log = entries_of(store)
    overlays = Overlays(folder if overlay or write_all else None, model.reader.labels)

    with Stopping() as stop, Keeper(new, store, wanted=keep and bool(files)) as keeper:
        options = SlideOptions(
            overlapping=len(files) > 1 and not separate, red_cells=red_cells, crops=keeper.keeping
        )
        policy = ScalePolicy(analyser, scale)
        count = SlideCount(analyser, rule_set, ranges, policy, options, keeper if keeper.keeping else None)
        outcome = _analyse_all(Batch(count, workers), pictures, overlays, stop)
        if not stop:
            keeper.finish(f"analysed {count.number} picture{'s' * (count.number != 1)}")
    if stop and not (count.number or outcome.failures):
        _interrupted(stop, 0, len(pictures))
    result = count.result(keeper.about)
    against = reasons_now(control_log, model.magnification, microscope)
    result = replace(result, verdict=with_reasons(result.verdict, against))
    overlays.sign(result)
    if as_report:
        forms = replace(forms, report=partial(_report, result, rule_set, ranges, keeper.session, notes))
    faults = [*overlays.faults, *_output(result, model, forms, folder, overlays)]
    if not stop or count.number:
        keeper.tell()
    try:
        _close(result, outcome, folder, faults)
    finally:
        if stop:
            _interrupted(stop, count.number, len(pictures))
    if keeper.failed:
        raise typer.Exit(StoreError.exit_code)


def _is_folder(found: Found, target: Path | None) -> bool:
    """Check whether a refused item is this result's own folder.

    The folder is not meant as an image.
    """
    from edgeleuk.types import Refusal

    return (
        target is not None
        and isinstance(found, Refusal)
        and os.path.realpath(found.name) == os.path.realpath(target)
    )


def demo_picture() -> str:
    """Return the path of the simulated smear in the package."""
    return str(Path(__file__).parents[1] / "data" / "demo.jpg")


def _interrupted(stop: Stopping, done: int, of: int) -> NoReturn:
    """Report an interrupted batch, and exit with the signal's code."""
    what = "the result is of these alone" if done else "there is no result"
    tell(f"interrupted: {done} of {of} pictures were analysed; {what}.")
    raise typer.Exit(stop.exit_code)


def _survey(batch: Batch, pictures: Sequence[Item], stop: Stopping) -> None:
    """Measure the common scale of the images.

    It stops if the user asks to end.
    """
    with (
        suppress(Stopped),
        progress_bar(stop.instead("measuring the scale"), shown=len(pictures) > 1) as progress,
    ):

        def step(done: int, of: int) -> None:
            progress(done, of)
            stop.check()

        batch.survey(pictures, step)


def _analyse_all(batch: Batch, pictures: Sequence[Item], overlays: Overlays, stop: Stopping) -> Outcome:
    """Analyse all images until the user asks to end."""
    from edgeleuk.counting.pictures import Failed
    from edgeleuk.types import Refusal

    _survey(batch, pictures, stop)
    failures: Failures = []
    texts: dict[str, str] = {}
    warnings: defaultdict[str, list[str]] = defaultdict(list)
    of = sum(not isinstance(each, Refusal) for each in pictures)
    with progress_bar(stop.instead("analysing"), shown=of > 1) as progress:
        progress(0, of)
        for number, done in enumerate(batch.analyse_all(pictures, lambda: bool(stop)), 1):
            progress(number, of)
            if isinstance(done, Failed):
                failures.append((done.path, done.error))
                continue
            for key, text in done.warnings:
                texts.setdefault(key, text)
                warnings[key].append(done.frame.name)
            overlays.draw(done)
    return Outcome(failures, {texts[key]: names for key, names in warnings.items()})


def _output(
    result: SlideResult, model: Model, forms: Forms, folder: ResultFolder | None, overlays: Overlays
) -> list[EdgeleukError]:
    """Write and print the result, and return what failed.

    One form that cannot be written does not prevent the others.
    """
    from edgeleuk.render import tables, terminal
    from edgeleuk.render.leftout import left_out_lines

    faults: list[EdgeleukError] = []
    document = tables.with_overlays(tables.document(result), overlays.names())
    if folder:
        for name, content in _files(result, model, document, forms).items():
            attempt(faults, name, "written", partial(_written, folder, name, content))
        attempt(faults, str(folder.path), "finished", folder.close)
    if forms.as_json:
        print_json(document)
    elif forms.as_csv and not folder:
        print_csv(tables.cells_csv(result, model.reader.attributes))
        tell(result.verdict.line)
    elif result.counted:
        results().print(terminal.analysis(result, model, details=forms.details))
        return faults
    elif any(each.findings for each in result.refused):
        results().print(terminal.verdict_line(result.verdict))
    for line in left_out_lines(result.left_out):
        notices.print(line)
    return faults


def _written(folder: ResultFolder, name: str, content: Callable[[], str]) -> None:
    folder.write(name, content())


def _files(result: SlideResult, model: Model, document: Any, forms: Forms) -> dict[str, Callable[[], str]]:
    """Return the result files by name, as functions."""
    from edgeleuk.render import tables

    files: dict[str, Callable[[], str]] = {}
    with_csv = forms.as_csv or forms.write_all
    if forms.as_json or forms.write_all:
        files["results.json"] = lambda: json_text(document)
    if forms.report:
        files["report.html"] = forms.report
    if with_csv:
        files |= {
            "verdict.csv": lambda: tables.verdict_csv(result),
            "cells.csv": lambda: tables.cells_csv(result, model.reader.attributes),
            "differential.csv": lambda: tables.differential_csv(result),
            "pictures.csv": lambda: tables.pictures_csv(result),
        }
    if with_csv and result.estimates.values:
        files["estimates.csv"] = lambda: tables.estimates_csv(result)
    return files


def _report(result: SlideResult, rules: Rules, reference: Reference, session: str, notes: str) -> str:
    """Return the report as HTML, with the cells' pictures from the slide's."""
    from edgeleuk.render.report.page import page
    from edgeleuk.reports import Context, Remark, gather, wanted
    from edgeleuk.reports.pictures import from_files

    about = result.about
    remarks = (Remark(about.started, about.operator, notes),) if notes else ()
    context = Context(session=session, remarks=remarks, images=from_files(result, wanted(result)))
    return page(gather(result, rules, reference, context))


def _close(
    result: SlideResult, outcome: Outcome, folder: ResultFolder | None, faults: Sequence[EdgeleukError]
) -> None:
    """Report problems with images, and exit if there are errors.

    This comes after the result, whose first lines say what to do.
    """
    for text, names in outcome.warnings.items():
        warn(f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {text}")
    if folder:
        tell(f"results are in {folder.path}")
    failures = outcome.failures
    for error in (*faults, *(error for _, error in failures)):
        report(error)
    done = len(result.counted)
    if failures and done + len(failures) > 1:
        tell(f"{done} analysed, {_not_done(failures)}")
    for error in (*faults, *(error for _, error in failures)):
        raise typer.Exit(error.exit_code)


def _not_done(failures: Failures) -> str:
    refused = sum(isinstance(error, QualityError) for _, error in failures)
    parts = (
        f"{refused} refused" * bool(refused),
        f"{len(failures) - refused} not" * (refused < len(failures)),
    )
    return ", ".join(filter(None, parts))
