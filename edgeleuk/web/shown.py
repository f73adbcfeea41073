"""Slides as the pages show them.

They are plain values for templates and scripts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edgeleuk.counting.kept import Kept
from edgeleuk.differential.differential import Differential
from edgeleuk.render._words import spoken
from edgeleuk.render.colours import of_label
from edgeleuk.render.terminal import between, highest, outside_counts, untyped
from edgeleuk.review import Review, ReviewedCell, choices, gallery
from edgeleuk.sessions import SessionSummary
from edgeleuk.slidemap.slide_map import CROP_UM
from edgeleuk.statistics.rounding import decimals
from edgeleuk.system.language import _, current, date, figure, msgid, word
from edgeleuk.types import UNCLASSIFIED, WHITE_CELL
from edgeleuk.web.keys import letters

UNREAD = msgid("not read")
"""Name of a cell that the edge of its picture cuts."""
BAR_UM = 5
"""Scale bar of a cell's picture, um."""
ALTERNATIVES = 4
"""Number of types that a cell's page gives with their probabilities."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Type that a reviewer can give."""

    label: str
    name: str
    letter: str
    colour: str


def choices_of(kept: Kept) -> tuple[Choice, ...]:
    """Return the types that a reviewer can give, with their letters."""
    reader = kept.model.reader
    labels = choices(reader)
    keys = letters(labels)
    return tuple(Choice(each, spoken(each), keys[each], colour(each, reader.labels)) for each in labels)


def colour(label: str | None, labels: Sequence[str]) -> str:
    """Return a label's colour for a style sheet's class or an SVG."""
    red, green, blue = of_label(label or UNCLASSIFIED, labels)
    return f"#{red:02x}{green:02x}{blue:02x}"


def row_of(about: SessionSummary) -> dict[str, Any]:
    """Return a session as a list shows it."""
    return {
        "id": about.id,
        "slide": about.slide,
        "kind": about.kind,
        "when": when(about.started),
        "state": about.state,
        "magnification": about.magnification,
        "fields": about.fields,
        "white_cells": about.white_cells,
        "refused": about.refused,
        "operator": about.operator,
    }


def when(time: str) -> str:
    """Format a time in this machine's time zone."""
    at = datetime.fromisoformat(time).astimezone()
    return f"{at:%d %b %Y, %H:%M}" if current().is_source else f"{date(at)} {at:%H:%M}"


def summary(kept: Kept, review: Review) -> dict[str, Any]:
    """Return what a slide's page says beside its cells: verdict, differential, state."""
    now, own = review.result, review.program
    verdict = now.verdict
    return {
        "session": review.session,
        "slide": kept.summary.slide,
        "magnification": kept.summary.magnification,
        "verdict": {"code": verdict.code, "title": verdict.title, "text": verdict.text},
        "reasons": [{"text": each.text, "where": each.named} for each in verdict.others],
        "program_verdict": own.verdict.line if own.verdict.line != verdict.line else "",
        "rows": list(rows(now.differential, own.differential, kept.model.reader.labels)),
        "supported": now.differential.supported,
        "recognised": now.differential.n,
        "white_cells": now.differential.white_cells,
        "not_recognised": now.differential.not_recognised,
        "untyped": untyped(now.differential),
        "program_not_recognised": own.differential.not_recognised,
        "beside": [each.plain for each in outside_counts(now.differential)],
        "adequacy": list(now.differential.adequacy),
        "added": [(spoken(label), count) for label, count in review.added_counts.items()],
        "reviewed": review.reviewed,
        "cells": len(review.cells),
        "changed": len(review.changed),
        "state": _state(review),
        "signed": review.signed,
        "revision": review.revision,
        "last": review.last,
        "revisions": [
            {
                "number": each.number,
                "by": each.by,
                "when": when(each.at),
                "verdict": each.verdict,
                "why": each.why,
            }
            for each in review.revisions
        ],
        "notes": [{"by": each.who, "when": when(each.at), "text": each.why} for each in review.notes],
        "faults": [*review.faults, *(fault for each in review.revisions for fault in each.faults)],
        "lost": list(kept.lost),
        "refused": [
            {"name": each.name, "text": each.text} for each in review.program.refused if each.exit_code
        ],
        "running": kept.summary.state == "running",
        "reference": now.differential.reference,
    }


def _state(review: Review) -> str:
    signed, open_ = _("{word}, signed as revision {n}"), _("{word}, revision {n} not signed")
    text = signed if review.signed else open_
    return text.format(word=word(review.state), n=review.revision)


def rows(now: Differential, own: Differential, labels: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield a row for each type that is there.

    A type is there by either answer. One more row is for those that are not.
    """
    absent = []
    for label, share in now.types.items():
        theirs = own.types[label].count if label in own.types else 0
        if not share.count and not theirs:
            absent.append(label)
            continue
        bounds = now.bounds.get(label)
        digits = decimals(share.of)
        high = share.percent if bounds is None or bounds.high is None else bounds.high
        yield {
            "name": spoken(label),
            "colour": colour(label, labels),
            "count": share.count,
            "program": theirs,
            "percent": figure(f"{share.percent:.{digits}f}") if now.supported else "",
            "between": (between(bounds, digits) if bounds else _("not known")) if now.supported else "",
            "point": min(100.0, round(share.percent, 1)) if now.supported else 0.0,
            "high": min(100.0, round(high, 1)) if now.supported else 0.0,
        }
    if not absent:
        return
    high_text = highest(now, absent)
    upper = _("0 – {high} each").format(high=figure(high_text)) if high_text else ""
    yield {
        "name": _("none of the others"), "colour": "", "count": 0, "program": 0, "percent": "0" if upper else "",
        "between": upper, "point": 0.0, "high": 0.0, "names": _(", ").join(spoken(each) for each in absent),
    }  # fmt: skip


def cell_groups(kept: Kept, review: Review) -> list[dict[str, Any]]:
    """Return the cells by the program's type.

    They are in the order to look at them.
    """
    return [
        {
            "label": group.label or "",
            "name": spoken(group.label) if group.label else _(UNREAD),
            "cells": [tile(kept, cell) for cell in group.cells],
        }
        for group in gallery(review, as_read=True)
    ]


def tile(kept: Kept, cell: ReviewedCell) -> dict[str, Any]:
    """Return a cell as the gallery shows it."""
    label = cell.label
    name = _name_of(label)
    if label == UNCLASSIFIED and not cell.person and cell.reading and cell.reading.probabilities:
        likeliest, share = Counter(cell.reading.probabilities).most_common(1)[0]
        most = _("most like {name} ({share} %)").format(name=spoken(likeliest), share=f"{100 * share:.0f}")
        name += f"{_(', ')}{most}"
    sure = f"{cell.reading.probability:.0%}" if cell.reading and cell.program != UNCLASSIFIED else ""
    return {
        "id": cell.identity,
        "label": label or "",
        "name": name,
        "program": spoken(cell.program) if cell.program else _(UNREAD),
        "changed": label != cell.program,
        "by": cell.by,
        "sure": "" if cell.person or cell.mark else sure,
        "program_sure": sure,
        "flagged": cell.flagged,
        "looked_at": cell.looked_at,
        "colour": colour(label, kept.model.reader.labels),
        "number": cell.number,
        "field": cell.field,
    }


def added(kept: Kept, review: Review) -> list[dict[str, Any]]:
    """Return the cells that were added by hand.

    Each comes with the part of its field that shows it, um.
    """
    fields = {each.number: each.field for each in review.program.counted}
    shown = []
    for each in review.added:
        field = fields[each.field]
        across, down = field.scale.um_per_px_x, field.scale.um_per_px_y
        x1, y1, x2, y2 = each.box
        shown.append(
            {
                "id": each.identity, "label": each.label, "name": spoken(each.label), "field": each.field, "by": each.by,
                "colour": colour(each.label, kept.model.reader.labels),
                "left": round((x1 + x2) / 2 * across - CROP_UM / 2, 2),
                "top": round((y1 + y2) / 2 * down - CROP_UM / 2, 2),
                "width": round(field.width * across, 2), "height": round(field.height * down, 2),
            }
        )  # fmt: skip
    return shown


def panel(kept: Kept, review: Review, cell: ReviewedCell, names: Mapping[int, str]) -> dict[str, Any]:
    """Return everything about one cell.

    Args:
        kept: The session.
        review: Its review.
        cell: The cell.
        names: Display names of the fields, by number.
    """
    reading, measured = cell.reading, cell.morphometry
    likely: Sequence[tuple[str, float]] = (
        Counter(reading.probabilities).most_common(ALTERNATIVES) if reading else ()
    )
    return {
        **tile(kept, cell),
        "views": cell.views,
        "whole": cell.whole,
        "picture_name": names.get(cell.field, cell.name),
        "mark": spoken(cell.mark) if cell.mark else "",
        "alternatives": [(spoken(name), round(100 * share, 1)) for name, share in likely if share >= 0.001],
        "attributes": [
            {"name": spoken(name), "value": spoken(each.value), "sure": each.sure, "percent": f"{each.probability:.0%}"}
            for name, each in (reading.attributes.items() if reading else ())
        ],
        "measures": list(_measures(measured)) if measured else [],
        "unmeasured": measured.reason if measured and measured.reason else "",
        "history": [
            {
                "when": when(each.at), "who": each.who, "action": spoken(each.action),
                "before": spoken(each.before) if each.before else _(UNREAD),
                "after": spoken(each.after) if each.after else _("as before the review"), "why": each.why,
            }
            for each in review.trail
            if each.cell == cell.identity
        ],
        "bar_um": BAR_UM,
        "bar_share": round(100 * BAR_UM / CROP_UM),
    }  # fmt: skip


def _measures(measured: Any) -> Iterator[tuple[str, str]]:
    for name, value, form in (
        (_("diameter"), measured.diameter_um, "{:.1f} µm"),
        (_("cell area"), measured.cell_area_um2, "{:.0f} µm²"),
        (_("nucleus area"), measured.nucleus_area_um2, "{:.0f} µm²"),
        (_("nucleus to cytoplasm"), measured.nc_ratio, "{:.2f}"),
        (_("lobes"), measured.lobes, "{}"),
    ):
        if value is not None:
            yield name, figure(form.format(value))


def field_of(kept: Kept, review: Review, number: int) -> dict[str, Any]:
    """Return a field with its white cells, in micrometres.

    Raises:
        KeyError: If there is no such field.
    """
    counted = next((each for each in review.program.counted if each.number == number), None)
    if counted is None:
        raise KeyError(number)
    field, scale = counted.field, counted.field.scale
    across, down = scale.um_per_px_x, scale.um_per_px_y
    labels = kept.model.reader.labels

    def placed(box: Sequence[float]) -> dict[str, float]:
        x1, y1, x2, y2 = box
        return {
            "x": round(x1 * across, 2), "y": round(y1 * down, 2),
            "width": round((x2 - x1) * across, 2), "height": round((y2 - y1) * down, 2),
        }  # fmt: skip

    cells = [
        {
            **placed(cell.box), "id": identity, "colour": colour(review.cells[identity].label, labels),
            "name": _name_of(review.cells[identity].label),
        }
        for cell, identity in zip(field.cells, counted.identities, strict=True)
        if cell.kind == WHITE_CELL and identity in review.cells
    ]  # fmt: skip
    by_hand = [
        {
            **placed(each.box),
            "id": each.identity,
            "colour": colour(each.label, labels),
            "name": spoken(each.label),
        }
        for each in review.added
        if each.field == number
    ]
    width, height = field.width * across, field.height * down
    return {
        "number": number, "name": kept.spoken.get(field.name, field.name),
        "width": round(width, 2), "height": round(height, 2),
        "um_per_px": [across, down], "cells": cells, "by_hand": by_hand, "bar": _round_bar(width / 4),
        "warnings": [*field.warnings, *(each.text for each in field.assessment.findings)],
    }  # fmt: skip


def _name_of(label: str | None) -> str:
    return spoken(label) if label else _(UNREAD)


def _round_bar(most_um: float) -> int:
    """Return a round length for a scale bar, um."""
    return max([each for each in (1, 2, 5, 10, 20, 50, 100, 200) if each <= most_um] or [1])
