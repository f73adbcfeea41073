"""Stored sessions as a list, and each in full.

A session can be shown on the terminal, as JSON, as CSV, and as pictures of its cells.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeleuk import __version__
from edgeleuk.counting.kept import Kept
from edgeleuk.differential.differential import as_json
from edgeleuk.differential.verdict import as_json as verdict_json
from edgeleuk.render import tables
from edgeleuk.render._csv import csv_text
from edgeleuk.render._words import Fitted, clean, counted_text, cut, picture_word, spoken
from edgeleuk.render.identity import identified
from edgeleuk.render.leftout import left_out_lines
from edgeleuk.render.review import as_json as review_json
from edgeleuk.render.review import in_a_line
from edgeleuk.render.terminal import WIDTH, closing, reasons, together, verdict_line
from edgeleuk.review import Review
from edgeleuk.sessions import SessionSummary
from edgeleuk.slidemap import MappedCell
from edgeleuk.system.language import _, day, figure, ngettext, word
from edgeleuk.system.sentences import said
from edgeleuk.system.wording import command
from edgeleuk.types import WHITE_CELL, CountedField, Refusal

SCHEMA = "edgeleuk-session/1"
LONGEST_TYPE = 60
"""Maximum length of a folder name, characters.

Two types whose names begin alike share a folder.
"""
_STATES = {"running": "green", "finished": "", "interrupted": "yellow"}


def summary(session: SessionSummary) -> dict[str, Any]:
    """Return one session as a JSON object."""
    return asdict(session)


def listing(sessions: Sequence[SessionSummary], path: Path) -> RenderableType:
    """Return a row per session.

    The table fits 80 columns. Times are in this machine's time zone.
    """
    where = Text(_("Sessions are kept in {path}").format(path=path), style="dim")
    if not sessions:
        return Group(
            Text(_("No sessions yet: `{live}` or `analyze` begins one.").format(live=command("live"))), where
        )
    table = Table(box=box.SIMPLE_HEAD, width=WIDTH, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column(_("id"), no_wrap=True)
    table.add_column(_("when"), no_wrap=True)
    table.add_column(_("mag"), justify="right", no_wrap=True)
    table.add_column(_("slide"), no_wrap=True, ratio=1)
    for name in (_("fields"), _("read")):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(_("state"), no_wrap=True)
    for each in sessions:
        state = Text(f"{word(each.state)}{'*' * (each.kind == 'pictures')}", style=_STATES[each.state])
        counts = (str(each.fields), str(each.white_cells))
        slide = Fitted(each.slide, cut)
        table.add_row(each.id, _when(each.started), each.magnification, slide, *counts, state)
    ids = {each.uuid: each.id for each in sessions}
    notes = [
        _("{id} is a second opinion on {first}").format(
            id=each.id, first=ids.get(each.second_of) or _elsewhere(each)
        )
        for each in sessions
        if each.second_of
    ]
    if any(each.kind == "pictures" for each in sessions):
        notes.append(_("* of pictures, by `{analyze}`").format(analyze=command("analyze")))
    return Group(table, *(Text(clean(note), style="dim") for note in notes), where)


def _elsewhere(opinion: SessionSummary) -> str:
    """Return the UUID of the session that an opinion is on, with the site and device that counted it."""
    place = _(", ").join(each for each in (opinion.site, opinion.device) if each)
    return f"{opinion.second_of} ({place})" if place else opinion.second_of


def show(kept: Kept, review: Review, first: str = "") -> RenderableType:
    """Return a session's verdict, facts and differential.

    They are the program's; a line tells of the review. `first`: the session that it is a second opinion on.
    """
    table = Table(box=None, pad_edge=False, show_header=False, width=WIDTH, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for name, text in _facts(kept, review, first):
        table.add_row(name, Text(clean(text)))
    return Group(
        verdict_line(kept.result.verdict),
        *reasons(kept.result),
        Text(),
        table,
        together(kept.result.fields, kept.result.differential, kept.model),
        closing(kept.result.differential),
    )


def _facts(kept: Kept, review: Review, first: str) -> Iterator[tuple[str, str]]:
    about = kept.summary
    yield _("session"), f"{about.id}, {about.uuid}"
    if first:
        yield "", _("second opinion on session {id}").format(id=first)
    yield _("counted"), _counted_text(about)
    if clock_set_back(kept):
        yield (
            _("clock"),
            _("it was set back in between: times are as it showed them, the order is that of counting"),
        )
    pictures = f"{_('pictures')}{_(': ')}" if about.kind == "pictures" else ""
    yield (
        _("source"),
        _("{source} at {objective}, model version {version}").format(
            source=f"{pictures}{about.source}", objective=about.magnification, version=about.model_version
        ),
    )
    if kept.result.counted:
        yield _("fields"), _fields_text(kept)
        yield _("area"), _area_text(kept)
        yield _("quality"), _quality_text(quality(kept))
    if kept.result.not_counted:
        yield _("refused"), _refused_text(kept.result.not_counted)
    for line in left_out_lines(kept.result.left_out):
        head, told = re.split(r"\s*:\s", line.plain, maxsplit=1)
        yield head.lower(), told
    for name, text in (
        (_("slide"), about.slide), (_("operator"), about.operator), (_("site"), about.site), (_("device"), about.device),
        (_("profile"), about.profile),
    ):  # fmt: skip
        if text:
            yield name, text
    if kept.result.marks:
        marks = kept.result.marks.items()
        each = _("cell {cell} as {name}")
        yield _("marked"), _(", ").join(each.format(cell=cell, name=spoken(label)) for cell, label in marks)
    if review.trail or review.faults:
        yield _("review"), said(in_a_line(review))
        if review.changed or review.added:
            own = _("verdict and table are the program's own; `{report}` has the reviewed ones")
            yield "", own.format(report=command("report"))
    for text in review.faults:
        yield "", said(text)
    for text in kept.lost:
        yield _("lost"), said(text)
    if about.notes:
        yield _("note"), about.notes
    for note in kept.notes:
        yield _("note"), f"{_when(note.at)}  {said(note.text)}"


def _counted_text(about: SessionSummary) -> str:
    text = _("{first} to {last}, {state}").format(
        first=_when(about.started),
        last=_when(about.ended or about.last or about.started),
        state=word(about.state),
    )
    return f"{text}{_(': ')}{said(about.reason)}" if about.reason else text


def _fields_text(kept: Kept) -> str:
    count = len({field.placement.island for field in kept.result.counted})
    parts = ngettext("{n} connected part", "{n} connected parts", count).format(n=count)
    return _("{fields} on {parts} of the slide").format(fields=len(kept.result.counted), parts=parts)


def _refused_text(refused: Sequence[Refusal]) -> str:
    codes = Counter(each.code for each in refused)
    listed = _(", ").join(f"{picture_word(code)} {n}" for code, n in codes.most_common())
    return f"{counted_text(len(refused), 'picture')} ({listed})"


def quality(kept: Kept) -> dict[str, Any]:
    """Count the fields by quality verdict and by finding."""
    assessed = [each.field.assessment for each in kept.result.counted if each.number not in kept.unassessed]
    verdicts = Counter(each.verdict for each in assessed)
    findings = Counter(finding.code for each in assessed for finding in each.findings)
    return {
        **{verdict: verdicts[verdict] for verdict in ("accepted", "warned", "refused")},
        "not_kept": len(kept.unassessed),
        "findings": dict(findings.most_common()),
    }


def _quality_text(counts: Mapping[str, Any]) -> str:
    words = {
        "accepted": _("{n} accepted"),
        "warned": _("{n} with a warning"),
        "refused": _("{n} counted although `analyze` would refuse them"),
        "not_kept": _("{n} of an older edgeleuk, which kept none"),
    }
    verdicts = _(", ").join(text.format(n=counts[key]) for key, text in words.items() if counts[key])
    findings = _(", ").join(f"{picture_word(code)} {n}" for code, n in counts["findings"].items())
    return f"{verdicts} ({findings})" if findings else verdicts


def _area_text(kept: Kept) -> str:
    fields_of_view = (each.field.field_of_view for each in kept.result.counted)
    through = sum(each is not None and each.is_ellipse for each in fields_of_view)
    text = _("{area} mm² of the slide").format(area=figure(f"{kept.result.area_mm2:.3g}"))
    return f"{text}{_('; {n} through an eyepiece').format(n=through)}" if through else text


def clock_set_back(kept: Kept) -> bool:
    """Return whether session times run backwards.

    That is whether a field, or the end, has an earlier time than the field before it.
    """
    times = [*(counted.at for counted in kept.result.counted), *filter(None, [kept.summary.ended])]
    return any(datetime.fromisoformat(b) < datetime.fromisoformat(a) for a, b in pairwise(times))


def shown(kept: Kept, review: Review) -> dict[str, Any]:
    """Return the document that `sessions show --json` prints.

    All figures are the program's; `review` has what people made of them.
    """
    return {
        "schema": SCHEMA,
        "edgeleuk": __version__,
        "notice": tables.RESEARCH_USE,
        "verdict": verdict_json(kept.result.verdict),
        "session": summary(kept.summary),
        "clock_set_back": clock_set_back(kept),
        "model": {"magnification": kept.model.magnification, "version": kept.model.version},
        "counted_by": asdict(kept.result.about.model),
        "result": tables.about(kept.result),
        "marks": {str(cell): label for cell, label in kept.result.marks.items()},
        "notes": [asdict(note) for note in kept.notes],
        "quality": quality(kept),
        "area_mm2": kept.result.area_mm2,
        "overlaps": tables.overlaps_of(kept.result),
        "refused": [tables.refused(each) for each in kept.result.not_counted],
        "left_out": tables.left_out(kept.result),
        "differential": as_json(kept.result.differential),
        "estimates": kept.result.estimates.as_json(),
        "review": review_json(review),
        "lost": list(kept.lost),
    }


def document(kept: Kept, review: Review) -> dict[str, Any]:
    """Return the document that `sessions export` writes.

    As `shown`, with every counted field and each cell's number on the map.
    """
    images = tables.images(kept.result)
    for image, counted in zip(images, kept.result.counted, strict=True):
        if counted.number in kept.unassessed:
            image["quality"] = None
        image |= {"seconds_of_source": counted.seconds, "sharpness": counted.sharpness}
    return shown(kept, review) | {"fields": images}


def cells_csv(kept: Kept, *, only_white: bool = False) -> str:
    """Return a CSV row per cell and field.

    `only_white`: leave out red cells and platelets, of which there are hundreds in a field.

    After the identity of the result come the field, the cell's number on the map, whether it was seen here
    first, the operator's mark, and the type that all its views give together. The other columns of
    `analyze --csv` follow.
    """
    return csv_text(identified(kept.result.about, _rows(kept, only_white)))


def _rows(kept: Kept, only_white: bool) -> Iterator[Iterable[Any]]:
    rows = tables.cell_rows(kept.result, [*kept.model.reader.attributes])
    yield ("field", "cell", "fresh", "marked", "type", *next(rows))
    for counted in kept.result.counted:
        for position, identity in enumerate(counted.identities):
            head = (
                counted.number,
                identity or None,
                int(identity in counted.fresh),
                kept.result.marks.get(identity),
            )
            row = (*head, _type(kept, counted, position), *next(rows))
            if not only_white or counted.field.cells[position].kind == WHITE_CELL:
                yield row


def crops(kept: Kept, fields: Iterable[CountedField]) -> Iterator[tuple[str, bytes]]:
    """Yield each white cell's path and image.

    The cells are those of the map. Paths are relative to the export's folder and contain the cell's type.
    Images are JPEG, from a field that shows the cell whole, and among those from the sharpest. `fields`:
    those of the result, with their images.
    """
    wanted: defaultdict[int, list[tuple[int, MappedCell]]] = defaultdict(list)
    for cell in kept.cells.values():
        number, position = cell.picture
        wanted[number].append((position, cell))
    for counted in fields:
        for position, cell in sorted(wanted[counted.number], key=lambda each: each[1].identity):
            if picture := counted.crops.get(position):
                label = cell.reading.label if cell.reading else "unread"
                folder = re.sub(r"[^A-Za-z0-9_-]+", "_", label)[:LONGEST_TYPE]
                yield f"crops/{folder}/{cell.identity:05d}-{counted.number:04d}.jpg", picture


def _type(kept: Kept, counted: CountedField, position: int) -> str | None:
    """Return a white cell's type on the map.

    If the map merged the cell with another one, return the type read in this view.
    """
    mapped = kept.cells.get(counted.identities[position])
    reading = mapped.reading if mapped else counted.field.cells[position].reading
    return reading.label if reading else None


def _when(time: str) -> str:
    """Format a time in this machine's time zone.

    It has no year: the session's identifier has it.
    """
    at = datetime.fromisoformat(time).astimezone()
    return f"{day(at)} {at:%H:%M}"
