"""Command line interface.

A command parses, calls, prints and exits; results go to stdout, notices to stderr. Only what `--help` needs is imported
here; each command imports its own work when it runs.
"""

from __future__ import annotations

import inspect
import logging
import os
import sys
from typing import Annotated

import typer

from edgeleuk import __version__
from edgeleuk.cli import (
    adapt,
    analyze,
    batch,
    bench,
    calibrate,
    cameras,
    data,
    doctor,
    evaluate,
    evaluate_calibration,
    evaluate_leukemiaattri,
    evaluate_live,
    evaluate_quality,
    live,
    merge,
    models,
    operators,
    profiles,
    programme,
    qc,
    report,
    schema,
    serve,
    sessions,
    simulate,
    site,
    teach,
    train,
)
from edgeleuk.cli._console import Told, fail
from edgeleuk.cli._encoding import show_what_can_be_shown
from edgeleuk.cli._language import OPTION
from edgeleuk.cli._stop import Commands
from edgeleuk.cli._wording import WORDING
from edgeleuk.errors import EdgeleukError
from edgeleuk.system import wording
from edgeleuk.system.faults import to_user_error

wording.register(WORDING)

app = typer.Typer(
    name="edgeleuk",
    cls=Commands,
    help="Counts cells on blood smears and says how far to trust the count. Research use only, no diagnosis.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 an input could not be read, 4 model missing or altered, "
    "5 scale unknown, 6 result not written, 7 optional part not installed, 8 no camera, 9 session not kept, "
    "10 picture refused, 11 control slide failed, 12 cluster lost, 13 taught or adapted model no better, "
    "130 ended by Ctrl-C, 143 by SIGTERM.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edgeleuk {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    lang: Annotated[
        str | None,
        typer.Option(
            OPTION,
            help="Language of the output, such as fr or ur; before or after the command. Else EDGELEUK_LANG or the "
            "locale says it. This help is English.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Counts cells on blood smears and says how far to trust the count. Research use only, no diagnosis."""


app.command("analyze")(analyze.analyze)
app.command("batch")(batch.batch)
app.command("live")(live.live)
app.command("serve")(serve.serve)
app.command("cameras")(cameras.cameras)
app.command("calibrate")(calibrate.calibrate)
app.command("adapt")(adapt.adapt)
app.command("teach")(teach.teach)
app.add_typer(profiles.app, name="profiles")
app.add_typer(models.app, name="models")
evaluate.app.command("calibration")(evaluate_calibration.calibration)
evaluate.app.command("leukemiaattri")(evaluate_leukemiaattri.leukemiaattri)
evaluate.app.command("live")(evaluate_live.live)
evaluate.app.command("quality")(evaluate_quality.quality)
app.add_typer(data.app, name="data")
app.add_typer(evaluate.app, name="eval")
app.add_typer(train.app, name="train")
app.command("publish")(train.publish)
app.command("bench")(bench.bench)
app.command("doctor")(doctor.doctor)
app.command("simulate")(simulate.simulate)
app.add_typer(sessions.app, name="sessions")
app.add_typer(qc.app, name="qc")
app.command("site")(site.site)
app.add_typer(operators.app, name="operators")
app.command("merge")(merge.merge)
app.command("programme")(programme.programme)
app.command("report")(report.report)
app.command("schema")(schema.schema)


def _unwrap(group: typer.Typer) -> None:
    """Make each paragraph of a help text one line.

    A terminal breaks it where it is wide; the breaks of the source would stay otherwise.
    """
    for command in group.registered_commands:
        paragraphs = (inspect.getdoc(command.callback) or "").split("\n\n") if command.callback else ()
        command.help = "\n\n".join(" ".join(each.split()) for each in paragraphs)
    for each in group.registered_groups:
        if each.typer_instance:
            _unwrap(each.typer_instance)


_unwrap(app)


def main() -> None:
    """Run the command line.

    Every error meant for the user becomes one line and its exit code.
    """
    show_what_can_be_shown()
    if logging.lastResort:
        logging.lastResort.setFormatter(Told())
    try:
        app()
    except EdgeleukError as error:
        fail(error)
    except BrokenPipeError:
        # The reader of a pipe closed it (`edgeleuk ... | head`): nothing is wrong, and nothing is left to print.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:  # noqa: BLE001  # any other error: a line for the user, a reference for support
        fail(to_user_error(error))
