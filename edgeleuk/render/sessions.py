"""Kept sessions: a table of them, and one of them on the terminal, as JSON, as CSV and as pictures."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeleuk import __version__
from edgeleuk.differential import Differential, as_json
from edgeleuk.render import tables
from edgeleuk.render._words import clean
from edgeleuk.render.terminal import WIDTH, together
from edgeleuk.slidemap import MappedCell
from edgeleuk.store import Note, SessionSummary
from edgeleuk.types import CountedField, Field
from edgeleuk.zoo import Model

SCHEMA = "edgeleuk-session/1"
_STATES = {"running": "green", "finished": "", "interrupted": "yellow"}


@dataclass(frozen=True, slots=True)
class Kept:
    """All there is of a session."""

    summary: SessionSummary
    notes: tuple[Note, ...]
    marks: Mapping[int, str]
    """What the operator said of cells, by their number on the map."""
    counted: tuple[CountedField, ...]
    """As they were counted: a cell is in each field that shows it."""
    unassessed: frozenset[int]
    """Numbers of those whose quality was not kept, by an older edgeleuk."""
    fields: tuple[Field, ...]
    """As the slide map has them: a cell is in one field."""
    cells: Mapping[int, MappedCell]
    """White cells of the map by their number, each read from all its views, or as marked."""
    differential: Differential
    """Of `fields`."""
    model: Model


def summary(session: SessionSummary) -> dict[str, Any]:
    """One session in a line of JSON."""
    return asdict(session)


def listing(sessions: Sequence[SessionSummary], path: Path) -> RenderableType:
    """A row a session within 80 columns; times on the clock of this machine."""
    where = Text(f"Sessions are kept in {path}", style="dim")
    if not sessions:
        return Group(Text("No sessions yet: `edgeleuk live` begins one."), where)
    table = Table(box=box.SIMPLE_HEAD, width=WIDTH, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("id", no_wrap=True)
    table.add_column("when", no_wrap=True)
    table.add_column("mag", justify="right", no_wrap=True)
    table.add_column("slide", no_wrap=True, ratio=1)
    for name in ("fields", "white"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for each in sessions:
        state = Text(each.state, style=_STATES[each.state])
        counts = (str(each.fields), str(each.white_cells))
        table.add_row(
            each.id, _when(each.started), each.magnification, Text(clean(each.slide)), *counts, state
        )
    return Group(table, where)


def show(kept: Kept) -> RenderableType:
    """What is known of a session, then its differential."""
    table = Table(box=None, pad_edge=False, show_header=False, width=WIDTH, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for name, text in _facts(kept):
        table.add_row(name, Text(clean(text)))
    return Group(table, together(kept.fields, kept.differential, kept.model))


def _facts(kept: Kept) -> Iterator[tuple[str, str]]:
    about = kept.summary
    yield "session", about.id
    ended = f", {about.state}" + (f": {about.reason}" if about.reason else "")
    yield "counted", f"{_when(about.started)} to {_when(about.ended or about.last or about.started)}{ended}"
    if clock_set_back(kept):
        yield (
            "clock",
            "it was set back in between: times are as it showed them, the order is that of counting",
        )
    yield "source", f"{about.source} at {about.magnification}, model version {about.model_version}"
    islands = len({field.placement.island for field in kept.counted})
    parts = "1 connected part" if islands == 1 else f"{islands} connected parts"
    if kept.counted:
        yield "fields", f"{len(kept.counted)} on {parts} of the slide"
        yield "area", _area_text(kept)
        yield "quality", _quality_text(quality(kept))
    if about.slide:
        yield "slide", about.slide
    if about.operator:
        yield "operator", about.operator
    if kept.marks:
        yield "marked", ", ".join(f"cell {cell} as {label}" for cell, label in kept.marks.items())
    if about.notes:
        yield "note", about.notes
    for note in kept.notes:
        yield "note", f"{_when(note.at)}  {note.text}"


def quality(kept: Kept) -> dict[str, Any]:
    """How many fields have each verdict, and each finding."""
    assessed = [each.field.assessment for each in kept.counted if each.number not in kept.unassessed]
    verdicts = Counter(each.verdict for each in assessed)
    findings = Counter(finding.code for each in assessed for finding in each.findings)
    return {
        **{verdict: verdicts[verdict] for verdict in ("accepted", "warned", "refused")},
        "not_kept": len(kept.unassessed),
        "findings": dict(findings.most_common()),
    }


def _quality_text(counts: Mapping[str, Any]) -> str:
    words = {
        "accepted": "accepted",
        "warned": "with a warning",
        "refused": "counted although `analyze` would refuse them",
        "not_kept": "of an older edgeleuk, which kept none",
    }
    verdicts = ", ".join(f"{counts[key]} {text}" for key, text in words.items() if counts[key])
    findings = ", ".join(f"{code} {n}" for code, n in counts["findings"].items())
    return f"{verdicts} ({findings})" if findings else verdicts


def _area_mm2(kept: Kept) -> float:
    return sum(each.field.area_mm2 for each in kept.counted)


def _area_text(kept: Kept) -> str:
    through = sum(each.field.aperture is not None for each in kept.counted)
    disc = f"; {through} through the disc of an eyepiece" if through else ""
    return f"{_area_mm2(kept):.3g} mm² in all fields, overlaps counted twice{disc}"


def clock_set_back(kept: Kept) -> bool:
    """Whether a field, or the end, bears an earlier time than the field before it."""
    times = [*(counted.at for counted in kept.counted), *filter(None, [kept.summary.ended])]
    return any(datetime.fromisoformat(b) < datetime.fromisoformat(a) for a, b in pairwise(times))


def shown(kept: Kept) -> dict[str, Any]:
    """What `sessions show --json` prints."""
    return {
        "schema": SCHEMA,
        "edgeleuk": __version__,
        "notice": tables.RESEARCH_USE,
        "session": summary(kept.summary),
        "clock_set_back": clock_set_back(kept),
        "model": {"magnification": kept.model.magnification, "version": kept.model.version},
        "marks": {str(cell): label for cell, label in kept.marks.items()},
        "notes": [asdict(note) for note in kept.notes],
        "quality": quality(kept),
        "area_mm2": _area_mm2(kept),
        "differential": as_json(kept.differential),
    }


def document(kept: Kept) -> dict[str, Any]:
    """What `sessions show --json` prints, with every counted field and each cell's number on the map."""
    images = tables.document([each.field for each in kept.counted], kept.differential, kept.model)["images"]
    for image, counted in zip(images, kept.counted, strict=True):
        if counted.number in kept.unassessed:
            image["quality"] = None
        for cell, identity in zip(image["cells"], counted.identities, strict=True):
            cell |= {"cell": identity, "fresh": identity in counted.fresh}
    return shown(kept) | {
        "fields": [
            {
                "number": counted.number,
                "at": counted.at,
                "seconds_of_source": counted.seconds,
                "placement": asdict(counted.placement),
                "sharpness": counted.sharpness,
                **image,
            }
            for image, counted in zip(images, kept.counted, strict=True)
        ]
    }


def cells_csv(kept: Kept) -> str:
    """One row for each cell in each counted field: `analyze --csv`, after the field, the cell's number on the map,
    whether it was seen here first, what the operator marked it as, and the type that all its views give together."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    as_analyzed = tables.cells_csv([each.field for each in kept.counted], kept.model.reader.attributes)
    rows = csv.reader(io.StringIO(as_analyzed))
    writer.writerow(["field", "cell", "fresh", "marked", "type", *next(rows)])
    for counted in kept.counted:
        for position, identity in enumerate(counted.identities):
            head = (counted.number, identity, int(identity in counted.fresh), kept.marks.get(identity))
            writer.writerow([*head, _type(kept, counted, position), *next(rows)])
    return target.getvalue()


def crops(kept: Kept) -> Iterator[tuple[str, bytes]]:
    """Each white cell's picture, JPEG, with its name below the folder: by the type of the cell on the map."""
    for counted in kept.counted:
        for position, picture in counted.crops.items():
            folder = re.sub(r"[^A-Za-z0-9_-]+", "_", _type(kept, counted, position) or "unread")
            yield f"crops/{folder}/{counted.identities[position]:05d}-{counted.number:04d}.jpg", picture


def _type(kept: Kept, counted: CountedField, position: int) -> str | None:
    """Of a white cell, as the map has it; as this view was read where the map made its cell one with another."""
    mapped = kept.cells.get(counted.identities[position])
    reading = mapped.reading if mapped else counted.field.cells[position].reading
    return reading.label if reading else None


def _when(time: str) -> str:
    """On the clock of this machine; the year is in the session's id."""
    return f"{datetime.fromisoformat(time).astimezone():%d %b %H:%M}"
