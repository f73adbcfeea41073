"""`edgeleuk batch`: thousands of slides, on one machine or on a cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeleuk.cli._batch_progress import Shown
from edgeleuk.cli._console import print_json, tell, warn, writable_folder
from edgeleuk.cli._control import entries_of, reasons_now
from edgeleuk.cli._model import MagOption, ModelOption, chosen
from edgeleuk.cli._options import SeparateOption, require_scale
from edgeleuk.cli._profile import ProfileOption, device
from edgeleuk.cli._rules import ReferenceOption, RulesOption, standards
from edgeleuk.cli._stop import Stopping
from edgeleuk.cli._who import DeviceOption, OperatorOption, SiteOption, StoreOption
from edgeleuk.errors import EdgeleukError, InputError, OutputError, UsageError
from edgeleuk.system import user_paths

if TYPE_CHECKING:
    from edgeleuk.differential.verdict import Reason
    from edgeleuk.models.registry import Model
    from edgeleuk.programme.batch import Progress
    from edgeleuk.programme.batch_crew import Crew
    from edgeleuk.programme.batch_ledger import Ledger
    from edgeleuk.programme.batch_settings import Settings
    from edgeleuk.programme.batch_slides import Listing, Slide

SCHEMA = "edgeleuk-batch/1"
FAILURES_SHOWN = 5


def batch(
    source: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder with a folder for each slide, or a CSV table of slides."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results and slides.csv.")],
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", min=1, help="Number of processes on this machine.", show_default="all cores"),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler",
            metavar="ADDRESS",
            help="Count on the Dask cluster of this scheduler, such as tcp://host:8786 (extra `cluster`).",
            show_default=False,
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="I/N",
            help="Count the I-th of N parts, as a task of a job array does.",
            show_default=False,
        ),
    ] = None,
    collect: Annotated[
        bool, typer.Option("--collect", help="Write slides.csv from what is there, and count nothing.")
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Count slides again that failed before.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
    recursive: Annotated[
        bool,
        typer.Option("-r", "--recursive", help="Take each folder below DIR that holds files for a slide."),
    ] = False,
    mag: MagOption = None,
    model_folder: ModelOption = None,
    profile: ProfileOption = None,
    um_per_px: Annotated[
        float | None,
        typer.Option(
            "--um-per-px",
            help="Micrometres per pixel of all slides. Without it the scale is measured on red cells.",
            show_default=False,
        ),
    ] = None,
    rules: RulesOption = None,
    reference: ReferenceOption = None,
    separate: SeparateOption = False,
    force: Annotated[
        bool, typer.Option("--force", help="Analyse refused pictures too, and mark the results.")
    ] = False,
    operator: OperatorOption = "",
    site: SiteOption = "",
    microscope: DeviceOption = "",
    store: StoreOption = None,
) -> None:
    """Count the slides of a folder or table, each as `analyze` does, and write a table with one row a slide.

    A table has the columns slide and picture, one row for each picture or folder of a slide, and optional ones: site,
    device, operator. Run the same command again after an interruption: slides that are done are not counted again, and
    slides whose pictures changed are. A slide that cannot be counted is a row with the reason, and the exit code is that
    of the first such slide. With --scheduler, the workers need this version of edgeleuk and see the pictures at the same
    paths, or a table names them by addresses (s3://...), which are fetched slide by slide.
    """
    from edgeleuk.programme.batch import BatchRun, Progress
    from edgeleuk.programme.batch_ledger import Ledger
    from edgeleuk.programme.batch_settings import Settings
    from edgeleuk.programme.batch_slides import Facts, Shard, is_address, slides_of
    from edgeleuk.results.slide_result import identify

    require_scale(um_per_px)
    if scheduler is not None and jobs is not None:
        raise UsageError("--jobs is for this machine, and --scheduler for a cluster. Use one of them.")
    part = Shard.parsed(shard) if shard else None
    if part and collect:
        raise UsageError("--collect puts all parts together. Leave --shard out.")
    source = user_paths.expanded(source, "the command line", InputError)
    target = user_paths.expanded(out, "--out", OutputError)
    rule_set, ranges = standards(rules, reference)
    known, _ = device(profile, mag)
    model = chosen(model_folder, mag, known)
    listing = slides_of(source, Facts(site, microscope, operator), target, recursive)
    slides = [each for each in listing.slides if part is None or part.holds(each)]
    if scheduler is None and (far := next((p for s in slides for p in s.paths if is_address(p)), None)):
        raise UsageError(
            f"{source} names the address {far}. Addresses are fetched by the workers of a cluster: give --scheduler, or "
            "copy the pictures here."
        )
    settings = Settings(
        identify(model),
        rule_set,
        ranges,
        known,
        um_per_px,
        not separate,
        not force,
        _control(model, slides, store),
    )
    described = settings.described() | {"source": os.path.realpath(source), "recursive": recursive}
    progress = Progress(len(slides))
    fault: EdgeleukError | None = None
    with Ledger(writable_folder(target), described, part) as ledger:
        with Stopping() as stop:
            if not collect:
                _tell_beside(listing)
                try:
                    with _crew(settings, model, jobs, scheduler) as crew, Shown(progress, stop) as shown:
                        BatchRun(ledger, crew, progress, retry).run(slides, shown.step, lambda: bool(stop))
                except EdgeleukError as error:
                    fault = error
        rows, codes = _finished(ledger, slides, fault)
        lacking = len(slides) - rows
        before = rows - progress.counted - progress.failed  # of --collect and interrupted runs too
        state = _State(ledger.table, rows, len(codes), lacking, before)
        _tell(progress, state, stopped=bool(stop))
        if as_json:
            print_json(_summary(progress, state))
    if fault:
        raise fault
    if stop:
        raise typer.Exit(stop.exit_code)
    if lacking or codes:
        raise typer.Exit(codes[0] if codes else 1)


def _control(model: Model, slides: Sequence[Slide], store: Path | None) -> dict[str, tuple[Reason, ...]]:
    """Return what speaks against results of now, by device."""
    entries = entries_of(store)
    devices = {each.facts.device for each in slides}
    return {each: reasons_now(entries, model.magnification, each) for each in devices} if entries else {}


def _crew(settings: Settings, model: Model, jobs: int | None, scheduler: str | None) -> Crew:
    """Return the workers: processes here, or a cluster's.

    Raises:
        ClusterError: The cluster cannot be used.
        MissingExtraError: Dask is not installed.
    """
    from edgeleuk.programme.batch_crew import LocalCrew
    from edgeleuk.programme.batch_settings import packed

    if scheduler is None:
        cores = len(os.sched_getaffinity(0))  # a task of a job array may have fewer than the machine
        return LocalCrew(packed(settings), str(model.folder), jobs or cores)
    from edgeleuk.programme.batch_cluster import ClusterCrew

    return ClusterCrew(scheduler, settings, model, tell)


def _tell_beside(listing: Listing) -> None:
    if listing.beside:
        warn(f"{listing.beside} pictures beside the folders of the slides are left out.")


def _finished(ledger: Ledger, slides: Sequence[Slide], fault: EdgeleukError | None) -> tuple[int, list[int]]:
    """Write the table; return its row count and exit codes.

    The exit codes are those of failed slides. Where the batch ended by an error, that error is told, and not
    that the table cannot be written either.
    """
    entries = [entry for each in slides if (entry := ledger.entry(each))]
    with suppress(*(() if fault is None else (OutputError,))):
        ledger.write_table(slides)
    return len(entries), [each.code for each in entries if each.code]


@dataclass(frozen=True, slots=True)
class _State:
    """What a batch's folder holds after a run."""

    table: Path
    rows: int
    failed: int
    """Slides of the rows that could not be counted, in this run or before."""
    lacking: int
    """Slides without a row."""
    before: int
    """Slides of the rows that were done in an earlier run."""


def _tell(progress: Progress, state: _State, *, stopped: bool) -> None:
    """Print how the batch went."""
    table = state.table
    for slide, _, text in progress.failures[:FAILURES_SHOWN]:
        tell(f"slide {slide} failed: {text}")
    if more := progress.failed - min(len(progress.failures), FAILURES_SHOWN):
        tell(f"{more} more slides failed: see the columns exit_code and verdict_text of {table}.")
    if progress.changed:
        tell(
            f"slides whose pictures changed since they were counted, and were counted again: {progress.changed}"
        )
    if earlier := state.failed - progress.failed:
        tell(f"slides that failed in an earlier run: {earlier}. Give --retry to count them again.")
    counted, rows = progress.counted, state.rows
    done = (
        f"{counted} slide{'s' * (counted != 1)} counted, {progress.failed} failed, {state.before} done before"
    )
    tell(f"{'interrupted: ' if stopped else ''}{done}; {state.lacking} without a result.")
    tell(f"The table is {table}: {rows} slide{'s' * (rows != 1)}, {state.failed} of them failed.")


def _summary(progress: Progress, state: _State) -> dict[str, Any]:
    """Return the summary for --json."""
    return {
        "schema": SCHEMA,
        "table": str(state.table),
        "rows": state.rows,
        "rows_failed": state.failed,
        "slides": progress.slides,
        "counted": progress.counted,
        "failed": progress.failed,
        "before": state.before,
        "changed": progress.changed,
        "lacking": state.lacking,
        "retried": progress.retried,
        "seconds": round(time.monotonic() - progress.begun, 3),
        "processor_seconds": round(progress.seconds, 3),
        "bytes_fetched": progress.fetched,
        "bytes_received": progress.received,
        "failures": [
            {"slide": slide, "exit_code": code, "text": text} for slide, code, text in progress.failures
        ],
    }
