"""Values of every kind that a record can hold, for property tests: within their ranges, else as odd as they come."""

from __future__ import annotations

from math import inf
from typing import TypeVar

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeleuk.differential.differential import Differential, SecondLevel
from edgeleuk.differential.flags import Flag
from edgeleuk.differential.per_microlitre import Estimates, PerMicrolitre
from edgeleuk.differential.verdict import TITLES, Reason, Verdict
from edgeleuk.results.slide_result import ModelIdentity, Provenance, SlideResult, without_pictures
from edgeleuk.statistics.bounds import Bounds
from edgeleuk.statistics.correction import Estimate
from edgeleuk.statistics.intervals import PerHundred, Share
from edgeleuk.statistics.likeness import BlastLikeness
from edgeleuk.types import (
    Assessment,
    AttributeReading,
    Cell,
    CountedField,
    Field,
    FieldOfView,
    Finding,
    Morphometry,
    NotRecognised,
    Overlap,
    Place,
    Placement,
    Reading,
    Refusal,
    Scale,
    Tally,
)

T = TypeVar("T")

texts = st.text(st.characters(), max_size=8) | st.just("\x1ad800")
"""Surrogates too: names of files whose bytes are no UTF-8."""
shares = st.floats(0, 1)
lengths = st.floats(-1e6, 1e6)
sizes = st.floats(1e-6, 1e6)
any_number = st.floats(allow_nan=False)
counts = st.integers(0, 2**40)


def few(values: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(values, max_size=3).map(tuple)


def named(values: st.SearchStrategy[T]) -> st.SearchStrategy[dict[str, T]]:
    return st.dictionaries(texts, values, max_size=3)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    x1, y1 = draw(lengths), draw(lengths)
    return x1, y1, x1 + draw(shares) * 100, y1 + draw(shares) * 100


sources = st.sampled_from(["given", "red cells", "annotation", "profile"])
scales = st.builds(Scale, sizes, sizes, sources, st.floats(0, inf), counts)
readings = st.builds(
    Reading, texts, shares, named(shares), named(st.builds(AttributeReading, texts, shares, st.booleans()))
)
measured = st.none() | st.floats(0, 1e6)
morphometries = st.builds(
    Morphometry, measured, measured, measured, measured, st.none() | st.integers(1, 5), st.none() | texts
)
cells = st.builds(
    Cell,
    texts,
    boxes(),
    shares,
    st.booleans(),
    st.none() | readings,
    st.none() | morphometries,
    st.just(0) | counts,
)
findings = st.builds(Finding, texts, st.booleans(), any_number, any_number, texts)
fields = st.builds(
    Field,
    texts,
    st.integers(1, 2**20),
    st.integers(1, 2**20),
    scales,
    st.lists(cells, max_size=5).map(tuple),
    named(any_number),
    few(texts),
    st.frozensets(texts, max_size=3),
    st.none() | st.builds(FieldOfView, lengths, lengths, sizes, sizes, st.floats(-4, 4)),
    st.builds(Assessment, few(findings), st.booleans()),
    st.none() | texts,
)
placements = st.builds(
    Placement, st.integers(1, 2**20), lengths, lengths, st.floats(-4, 4), shares, st.none() | lengths
)
thumbnails = arrays(np.uint8, st.tuples(st.integers(0, 9), st.integers(0, 9)))


@st.composite
def counted_fields(draw: st.DrawFn, number: int | None = None) -> CountedField:
    field = draw(fields)
    n = len(field.cells)
    identities = tuple(draw(st.lists(st.integers(1, 2**60), min_size=n, max_size=n)))
    fresh = draw(st.frozensets(st.sampled_from(identities))) if n else frozenset()
    crops = draw(st.dictionaries(st.integers(0, n - 1), st.binary(max_size=20))) if n else {}
    return CountedField(
        number or draw(st.integers(1, 2**40)), draw(any_number), draw(texts), field, draw(placements),
        draw(any_number), identities, fresh, draw(thumbnails), crops,
    )  # fmt: skip


places = st.builds(Place, texts, boxes(), st.integers(0, 2**20))
summed = st.floats(0, inf)
tallies = st.builds(
    Tally,
    counts,
    named(counts),
    named(counts),
    named(named(counts)),
    named(few(places)),
    counts,
    counts,
    st.frozensets(texts, max_size=3),
    st.builds(NotRecognised, counts, named(summed), named(counts), named(counts)),
    summed,
    summed,
    summed,
    few(st.tuples(shares, places)),
    named(counts),
    named(counts),
    counts,
)
refusals = st.builds(Refusal, texts, texts, texts, few(findings), st.integers(0, 10))
split = st.tuples(st.integers(0, 1000), st.integers(0, 1000)).map(lambda n: Share(n[0], n[0] + n[1] + 1))
bounded = named(st.builds(Bounds, any_number, st.none() | any_number))
estimated = st.builds(Estimate, any_number, any_number, any_number, st.booleans())
differentials = st.builds(
    Differential,
    n=counts,
    types=named(split),
    groups=named(split),
    corrected=named(estimated),
    corrected_groups=named(estimated),
    corrected_per_100=named(estimated),
    subtypes=named(st.builds(SecondLevel, texts, named(split), counts)),
    outside=named(counts),
    per_100=named(st.builds(PerHundred, counts, counts)),
    cut=counts,
    unread=counts,
    red_cells=st.none() | counts,
    platelets=st.none() | counts,
    attributes=named(named(split)),
    flags=few(
        st.builds(
            Flag, texts, texts, st.sampled_from(["note", "warning", "alert"]), few(places), few(texts), texts
        )
    ),
    adequacy=few(texts),
    reference=texts,
    supported=st.booleans(),
    bounds=bounded,
    group_bounds=bounded,
    bounds_per_100=bounded,
    blast_likeness=st.none() | st.builds(BlastLikeness, counts, *[any_number] * 4),
)
estimates = st.builds(
    Estimates,
    few(
        st.builds(
            PerMicrolitre,
            st.sampled_from(["white cells", "platelets"]),
            st.sampled_from(["red cells", "area"]),
            *[any_number] * 5,
            texts,
        )
    ),
    few(texts),
)
verdicts = st.builds(
    Verdict,
    st.sampled_from([*TITLES]),
    texts,
    few(st.builds(Reason, texts, texts, few(places), texts, texts)),
)
zoned = st.datetimes(timezones=st.timezones()).map(lambda time: time.isoformat())
provenances = st.builds(
    Provenance,
    st.uuids(version=4).map(str),
    texts,
    st.builds(ModelIdentity, texts, texts, texts, texts, texts),
    zoned,
    st.none() | zoned,
    texts,
    texts,
    texts,
    texts,
    texts,
    st.none() | texts,
)


@st.composite
def overlaps(draw: st.DrawFn, fields: int) -> Overlap:
    number = st.integers(1, fields)
    return Overlap(
        draw(number), draw(number), draw(st.sampled_from(["copy", "overlap"])), draw(shares),
        draw(st.sampled_from([0, 90, 180, 270])), draw(st.booleans()), draw(sizes),
    )  # fmt: skip


@st.composite
def results(draw: st.DrawFn) -> SlideResult:
    n = draw(st.integers(0, 3))
    return SlideResult(
        draw(provenances),
        tuple(without_pictures(draw(counted_fields(number))) for number in range(1, n + 1)),
        tuple(draw(fields) for _ in range(n)),
        draw(tallies),
        draw(differentials),
        draw(st.floats(0, 1e6)),
        draw(few(refusals)),
        draw(few(overlaps(n))) if n else (),
        draw(st.dictionaries(st.integers(1, 2**40), texts, max_size=3)),
        draw(estimates),
        draw(verdicts),
    )
