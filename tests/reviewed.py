"""Kept sessions to review, made of white cells of given readings, without networks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from counted import MODEL
from standard import REFERENCE, RULES

from edgeleuk.counting.kept import Kept, restored
from edgeleuk.models import registry
from edgeleuk.review import OpenReview
from edgeleuk.sessions import NewSession, Store, open_store
from edgeleuk.types import (
    UNCLASSIFIED,
    Assessment,
    Cell,
    CountedField,
    Field,
    Finding,
    Placement,
    Reading,
    Scale,
    numbered,
)

READER = registry.load("40x")
LABELS = READER.reader.labels
WIDTH, HEIGHT, SIDE, PITCH = 1280, 720, 60, 100
PER_FIELD = 20
NORMAL = ("neutrophil",) * 60 + ("lymphocyte",) * 30 + ("monocyte",) * 6 + ("eosinophil",) * 4
"""A hundred cells of a healthy slide."""


def reading(label: str, probability: float = 0.97, other: str = "neutrophil") -> Reading:
    """A reading whose best type has this probability; of one not recognised, that is `other`."""
    best = other if label == UNCLASSIFIED else label
    rest = (1 - probability) / (len(LABELS) - 1)
    return Reading(label, probability, {each: probability if each == best else rest for each in LABELS}, {})


def white(readings: Iterable[Reading | None], findings: tuple[Finding, ...] = ()) -> list[CountedField]:
    """Fields with these white cells, each field on a part of the slide of its own."""
    every = list(readings)
    parts = [every[start : start + PER_FIELD] for start in range(0, len(every), PER_FIELD)]
    return [_field(number, part, findings) for number, part in enumerate(parts, start=1)]


def _field(number: int, readings: Sequence[Reading | None], findings: tuple[Finding, ...]) -> CountedField:
    cells = []
    for place, each in enumerate(readings):
        x, y = 20.0 + PITCH * (place % 10), 20.0 + PITCH * (place // 10)
        cells.append(Cell("WBC", (x, y, x + SIDE, y + SIDE), 0.9, True, each))
    first = (number - 1) * PER_FIELD + 1
    identities = tuple(range(first, first + len(cells)))
    return CountedField(
        number=number,
        seconds=float(number),
        at=f"2026-11-24T10:{number % 60:02d}:00.000+00:00",
        field=Field(f"frame-{number}", WIDTH, HEIGHT, Scale.given(0.2), numbered(cells), assessment=Assessment(findings)),
        placement=Placement(number, 0.0, 0.0),
        sharpness=10.0,
        identities=identities,
        fresh=frozenset(identities),
        thumbnail=_thumbnail(number),
        crops={},
    )  # fmt: skip


@cache
def _thumbnail(number: int) -> np.ndarray:
    rough = np.random.default_rng(number).integers(0, 256, (30, 40), np.uint8)
    return cv2.resize(rough, (320, 180))


def keep(
    store: Store,
    readings: Iterable[Reading | None],
    slide: str = "S-1",
    findings: tuple[Finding, ...] = (),
) -> str:
    """A finished session of these cells; its id."""
    new = NewSession(source="simulated", model=MODEL, target=200, slide=slide, program="0.1.0")
    session = store.start(new)
    for each in white(readings, findings):
        session.add(each)
    session.finish("all counted")
    return session.id


def kept(store: Store, session: str) -> Kept:
    return restored(store.get(session), READER, RULES, REFERENCE)


def opened(
    store: Store, readings: Iterable[Reading | None] | None = None, findings: tuple[Finding, ...] = ()
) -> OpenReview:
    """A review of a new session, by default of a hundred cells of a healthy slide."""
    given = [reading(label) for label in NORMAL] if readings is None else readings
    return OpenReview(store, kept(store, keep(store, given, findings=findings)), RULES, REFERENCE)


def store_at(folder: Path) -> Store:
    return open_store(folder / "sessions.db")
