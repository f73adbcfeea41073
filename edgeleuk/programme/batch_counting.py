"""Counting of one slide of a batch, as `analyze` counts one."""

from __future__ import annotations

import errno
import os
import time
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from edgeleuk import __version__
from edgeleuk.analysis.analyser import Analyser
from edgeleuk.counting.pictures import Batch, Failed, Item
from edgeleuk.counting.scale_policy import ScalePolicy
from edgeleuk.counting.slide import SlideCount, SlideOptions
from edgeleuk.errors import ClusterError, EdgeleukError
from edgeleuk.programme.batch_answer import Answer
from edgeleuk.programme.batch_fetch import Fetched, fetched
from edgeleuk.programme.batch_settings import Settings
from edgeleuk.programme.batch_slides import Slide, is_address
from edgeleuk.render import slides_table, tables
from edgeleuk.render.control_warnings import with_reasons
from edgeleuk.render.identity import Identity
from edgeleuk.results.slide_result import Provenance, SlideResult, identify
from edgeleuk.sources.pictures.listing import pictures as pictures_of
from edgeleuk.system.faults import to_user_error
from edgeleuk.types import PictureFile, Scale

COMPRESSION = 6
"""Level of zlib: a result shrinks to a tenth in 1 % of the time that its slide takes."""
JsonText = Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Told:
    """Functions that a count of a slide calls."""

    json_text: JsonText
    """Writes a document as `analyze` does."""
    alive: Callable[[], None] = lambda: None
    """Called after each picture."""


def count(slide: Slide, settings: Settings, analyser: Analyser, told: Told, shared: bool) -> Answer:
    """Count a slide.

    Args:
        slide: The slide.
        settings: Settings of the batch.
        analyser: Opened model of the settings, with their profile.
        told: Functions to call.
        shared: Whether the pictures must be visible here: a path that is absent is the worker's fault.

    Returns:
        Its result with its row; or a row alone, if nothing of it could be examined.

    Raises:
        OSError: There is no room for pictures that are fetched.
        ClusterError: A library that fetches them is missing.
    """
    if shared and (absent := _absent(slide)):
        return Answer("unseen", text=absent)
    begun = time.process_time()
    try:
        with fetched(slide.paths) as got:
            row, document = _counted(slide, settings, analyser, got, told.alive)
            row, document = got.named(row), got.named(document)
            content = zlib.compress(told.json_text(document).encode(), COMPRESSION)
            size = got.size
    except OSError as error:
        if error.errno == errno.ENOSPC:  # of a fetched picture; no fault of the slide's
            raise
        return _failed(slide, error, begun)
    except ClusterError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever a slide raises costs that slide
        return _failed(slide, error, begun)
    return Answer("done", row, content, seconds=time.process_time() - begun, fetched=size)


def _failed(slide: Slide, error: Exception, begun: float) -> Answer:
    """Return the answer for a slide without a result."""
    identity = Identity(slide.facts.site, slide.facts.device, slide.name)
    row = slides_table.failed(identity, to_user_error(error, slide.name), slide.source)
    return Answer("done", row, seconds=time.process_time() - begun)


def _absent(slide: Slide) -> str:
    """Return the first path that is not visible here."""
    paths = (each for each in slide.paths if not is_address(each))
    return next((each for each in paths if not os.path.lexists(each)), "")


def _counted(
    slide: Slide, settings: Settings, analyser: Analyser, got: Fetched, alive: Callable[[], None]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the row and the document of a slide."""
    started = _now()
    items: list[Item] = [*got.failed, *pictures_of(got.paths)] if got.paths else [*got.failed]
    files = [each for each in items if isinstance(each, PictureFile)]
    scale = None if settings.um_per_px is None else Scale.given(settings.um_per_px)
    counting = SlideCount(
        analyser,
        settings.rules,
        settings.reference,
        ScalePolicy(analyser, scale),
        SlideOptions(overlapping=settings.overlapping and len(files) > 1, crops=False),
    )
    failures: list[EdgeleukError] = []
    for done in Batch(counting).analyse_all(items):
        failures += [done.error] if isinstance(done, Failed) else []
        alive()
    result = counting.result(_about(slide, analyser, started))
    against = settings.control.get(slide.facts.device, ())
    result = replace(result, verdict=with_reasons(result.verdict, against))
    return _row(result, failures), tables.document(result)


def _row(result: SlideResult, failures: list[EdgeleukError]) -> dict[str, Any]:
    """Return the row of a slide.

    A slide of which no picture counts has failed, by the first one's error.
    """
    row = slides_table.row(result)
    if result.counted or not failures:
        return row
    failed = {"verdict": slides_table.FAILED, "verdict_text": str(failures[0])}
    return row | failed | {"exit_code": failures[0].exit_code}


def _about(slide: Slide, analyser: Analyser, started: str) -> Provenance:
    return Provenance(
        id=str(uuid.uuid4()),
        program=__version__,
        model=identify(analyser.model),
        started=started,
        ended=_now(),
        source=slide.source,
        slide=slide.name,
        operator=slide.facts.operator,
        site=slide.facts.site,
        device=slide.facts.device,
        profile=analyser.profile.name if analyser.profile else None,
    )


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="milliseconds")
