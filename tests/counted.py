"""Counted fields as a live session makes them, without networks: the simulated stage's truth, and readings made up."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np

from edgeleuk.models import registry
from edgeleuk.results.slide_result import identify
from edgeleuk.sessions import NewSession, Session, Store
from edgeleuk.simulation.smear import Smear, Stage, TrueCell
from edgeleuk.types import (
    UNCLASSIFIED,
    Assessment,
    AttributeReading,
    Cell,
    CountedField,
    Field,
    FieldOfView,
    Finding,
    Morphometry,
    Placement,
    Reading,
    Scale,
    numbered,
)

UM_PER_PX = 0.2
WIDTH, HEIGHT = 1280, 720
"""Of the field, pixels: what a 40x objective and a cheap camera show, some 260 red cells."""
DIFFERENT = 12
"""Fields that differ; they are made once in a process."""
FOCUS = Finding("focus", True, 2 / 3, 0.5, "out of focus. Focus on the white cells.")
LABELS = registry.load("40x").reader.labels
MODEL = replace(identify(registry.load("40x")), version="1")


@cache
def _stage() -> Stage:
    smear = Smear.generate(11, 330.0, 210.0, {"neutrophil": 6, "lymphocyte": 4, "monocyte": 2})
    return Stage(smear, UM_PER_PX, (WIDTH, HEIGHT))


def counted_field(number: int) -> CountedField:
    """The field of this number in a session: the same in every process, and of a live field's size."""
    return replace(_made((number - 1) % DIFFERENT + 1), number=number)


@cache
def _made(number: int) -> CountedField:
    """One of many fields, the same in every process."""
    rng = np.random.default_rng(number)
    stage = _stage()
    x1, y1, x2, y2 = stage.limits_um
    stage.move_to(x1 + (x2 - x1) * rng.random(), y1 + (y2 - y1) * rng.random())
    truth = stage.truth()
    cells = numbered([_cell(cell, box, rng) for cell, box in truth])
    x, y = stage.position_um
    thumbnail = cv2.resize(rng.integers(0, 256, (60, 80), np.uint8), (320, 180))
    return CountedField(
        number=number,
        seconds=number * 0.73,
        at=f"2026-11-24T10:{number // 60 % 60:02d}:{number % 60:02d}.123+00:00",
        field=Field(
            name=f"simulated-{number}",
            width=WIDTH,
            height=HEIGHT,
            scale=Scale(UM_PER_PX, UM_PER_PX / 3, "red cells", 0.021, 187),
            cells=cells,
            seconds={"find": rng.random(), "read": 1 / 3},
            warnings=("made up; nothing was analysed.",),
            not_counted=frozenset({"Platelet"}) if number % 2 else frozenset(),
            field_of_view=FieldOfView(640.5, 1000 / 3, 400.1, 390.0, 1 / 7) if number % 3 == 0 else None,
            assessment=Assessment((FOCUS,), forced=True) if number % 4 == 0 else Assessment(),
            profile="bench-2" if number % 2 else None,
        ),
        placement=Placement(1 + number % 2, x / 3, y / 7, 0.01, rng.random(), None if number == 1 else 31.4),
        sharpness=rng.random() * 100,
        identities=tuple(cell.id + 1 for cell, _ in truth),
        fresh=frozenset(cell.id + 1 for cell, _ in truth if cell.id % 5 >= number % 3),
        thumbnail=thumbnail,
        crops={i: _crop(rng) for i, cell in enumerate(cells) if cell.reading},
    )


def _cell(cell: TrueCell, box: tuple[float, float, float, float], rng: np.random.Generator) -> Cell:
    """As the finder gives boxes: 32-bit numbers, in Python's own."""
    x1, y1, x2, y2 = np.float32(box).tolist()
    whole = x1 >= 0 and y1 >= 0 and x2 <= WIDTH and y2 <= HEIGHT
    found = Cell(cell.kind, (x1, y1, x2, y2), float(np.float32(rng.random())), whole)
    if cell.kind != "WBC" or not whole:
        return found
    shares = rng.dirichlet(np.full(len(LABELS), 0.2)).tolist()
    chosen = LABELS[int(np.argmax(shares))] if max(shares) > 0.5 else UNCLASSIFIED
    attributes = {"nucleoli": AttributeReading("prominent", rng.random(), bool(rng.random() > 0.5))}
    reading = Reading(chosen, max(shares), dict(zip(LABELS, shares, strict=True)), attributes)
    measured = Morphometry(12.1, 115.0 / 3, None, None, None, "the nucleus cannot be told from the cytoplasm")
    return replace(found, reading=reading, morphometry=measured if rng.random() > 0.3 else None)


def _crop(rng: np.random.Generator) -> bytes:
    """A JPEG of about 8 kB, as of a stained cell."""
    rough = cv2.resize(rng.integers(0, 256, (40, 40, 3), np.uint8), (112, 112))
    return cv2.imencode(".jpg", rough, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def same(one: CountedField, other: CountedField) -> bool:
    """Whether two counted fields are equal in every value, their pictures bit by bit."""
    return (
        one.thumbnail.dtype == other.thumbnail.dtype
        and np.array_equal(one.thumbnail, other.thumbnail)
        and replace(one, thumbnail=other.thumbnail) == other
    )


def started(store: Store, source: str = "simulated", slide: str = "") -> Session:
    """A new session with what a session must have."""
    return store.start(NewSession(source=source, model=MODEL, target=200, slide=slide, program="0.1.0"))
