"""Measure false and true blast flags.

False flags are those on simulated healthy slides; true flags are those on patients with blasts. Labelled
single cells are read, tallied and evaluated as `analyze` does with the cells of a slide.

The simulated slides are drawn from one pool of cells, so the interval of the false alarms reflects only the
random draws. The uncertainty from the limited pool is in the interval of its cells read as blasts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.differential.differential import Differential
from edgeleuk.differential.for_reader import DifferentialFunction
from edgeleuk.differential.healthy import adult_proportions
from edgeleuk.differential.rules import Rules, Standards
from edgeleuk.errors import UsageError
from edgeleuk.lab.evaluation.cells import CellReading, ReaderLike, read_all
from edgeleuk.lab.evaluation.datasets import CellSample
from edgeleuk.lab.evaluation.readings import proportion
from edgeleuk.statistics.correction import Estimate
from edgeleuk.system.wording import option
from edgeleuk.types import UNCLASSIFIED, Tally

BLASTS = "blasts"
"""Key of the blast group in the rules."""

MIN_BLAST_SHARE = 0.10
"""Minimum blast share of patients to flag.

It is the annotated share and comes from the acceptance criteria of issue 3.
"""

SEED = 2017
"""Seed of the simulated slides.

The same cells make the same slides in every run.
"""


@dataclass(frozen=True, slots=True)
class Draws:
    """Healthy slides to simulate."""

    source: str
    """Source of the cells."""
    slides: int = 1000
    cells: int = 200
    """Number of white cells on each slide.

    h20a2 in data/rules.toml has each examiner count as many.
    """


@dataclass(frozen=True, slots=True)
class HealthyResult:
    """Blast flags on simulated healthy slides.

    Every flag on them is false.
    """

    draws: Draws
    proportions: Mapping[str, float]
    """Expected share of each mature type, summing to 1."""
    pool: Mapping[str, int]
    """Cells to draw from, by annotated type."""
    misread: int
    """Number of cells of the pool read as blasts."""
    raised: Mapping[str, int]
    """Number of slides by blast flag code.

    Codes that no slide raised are included.
    """

    def as_json(self) -> dict[str, Any]:
        return {
            "source": self.draws.source,
            "cells_per_slide": self.draws.cells,
            "proportions": dict(self.proportions),
            "pool": dict(self.pool),
            "read_as_blasts": proportion(self.misread, sum(self.pool.values())),
            "flags": {code: proportion(n, self.draws.slides) for code, n in self.raised.items()},
        }


@dataclass(frozen=True, slots=True)
class PatientResult:
    """Blast flags on one patient with blasts.

    All cells of the patient are tallied, without drawing.
    """

    patient: str
    cells: int
    """Number of annotated white cells of the differential."""
    blasts: int
    """Number of annotated blasts among them."""
    read_cells: int
    """White cells of the differential, as read.

    Unclassified cells are left out.
    """
    read_blasts: int
    corrected: Estimate | None
    """Share of blasts corrected for the reader's errors.

    None if these errors were not measured.
    """
    flags: tuple[str, ...]
    """Codes of the blast flags raised."""

    def as_json(self) -> dict[str, Any]:
        return {
            "annotated": proportion(self.blasts, self.cells),
            "read": proportion(self.read_blasts, self.read_cells),
            "corrected": self.corrected
            and {
                "share": self.corrected.percent / 100,
                "interval": [self.corrected.low / 100, self.corrected.high / 100],
            },
            "flags": list(self.flags),
        }


@dataclass(frozen=True, slots=True)
class AlarmsReport:
    """Report of `edgeleuk eval alarms`."""

    healthy: HealthyResult
    patients_source: str
    patients: tuple[PatientResult, ...]
    """Patients with at least MIN_BLAST_SHARE annotated blasts."""
    present: frozenset[str]
    """Flag codes that say that blasts are present."""

    @property
    def false_alarms(self) -> int:
        """Number of healthy slides flagged as having blasts."""
        return sum(n for code, n in self.healthy.raised.items() if code in self.present)

    @property
    def alarmed(self) -> int:
        """Number of patients flagged as having blasts."""
        return sum(self.alarm(patient) for patient in self.patients)

    def alarm(self, patient: PatientResult) -> bool:
        return not self.present.isdisjoint(patient.flags)

    def as_json(self) -> dict[str, Any]:
        return {
            "healthy": {
                "alarms": proportion(self.false_alarms, self.healthy.draws.slides),
                **self.healthy.as_json(),
            },
            "patients": {
                "source": self.patients_source,
                "alarms": proportion(self.alarmed, len(self.patients)),
                "by_patient": {p.patient: {"alarm": self.alarm(p), **p.as_json()} for p in self.patients},
            },
        }


def evaluate_alarms(
    reading: CellReading,
    to_differential: DifferentialFunction,
    samples: Sequence[CellSample],
    draws: Draws,
    patients_source: str,
    standards: Standards,
) -> AlarmsReport:
    """Read cells, then flag simulated slides and patients.

    All cells of a patient are read, even those of a type that the reader does not know.

    Args:
        reading: How the cells are read. Its `progress` gets the cells read and slides evaluated together, and
            the total of both.
        to_differential: Turns a tally into a differential with flags.
        samples: Labelled cells of the healthy and the patients' source.
        draws: Healthy slides to simulate.
        patients_source: Source of the patients with blasts.
        standards: Rules that define blasts and the flags; reference ranges, which give the proportions of
            healthy slides.

    Raises:
        UsageError: If the healthy source lacks a mature type, or `reference` a range for one.
    """
    reader, rules = reading.reader, standards.rules
    proportions = adult_proportions(standards.reference, reader.mature)
    pool = _pool(samples, draws.source, reader.mature)
    patients = _with_blasts([s for s in samples if s.source == patients_source], rules)
    needed = [*pool, *(sample for cells in patients.values() for sample in cells)]
    total = len(needed) + draws.slides

    def tell(done: int) -> None:
        if reading.progress:
            reading.progress(done, total)

    types, _ = read_all(reader, needed, lambda done, _: tell(done), reading.load_cell)
    named = _names(reader, types)
    present, every = _codes(rules)
    blasts = rules.group(BLASTS).labels
    healthy = HealthyResult(
        draws=draws,
        proportions=proportions,
        pool=Counter(sample.label for sample in pool),
        misread=int(np.isin(named[: len(pool)], blasts).sum()),
        raised=_raised(
            draw_slides(pool, proportions, draws),
            named,
            to_differential,
            every,
            lambda n: tell(len(needed) + n),
        ),
    )
    results, start = [], len(pool)
    for patient, cells in patients.items():
        own = named[start : start + len(cells)]
        results.append(_patient(patient, cells, to_differential(_tally(own)), rules, every))
        start += len(cells)
    return AlarmsReport(healthy, patients_source, tuple(results), present)


def draw_slides(
    pool: Sequence[CellSample], proportions: Mapping[str, float], draws: Draws
) -> NDArray[np.int64]:
    """Draw the cells of each simulated slide.

    Cells are drawn with replacement. For each cell a type is drawn by `proportions`, then one of the pool's
    cells of that type.

    Args:
        pool: Cells to draw from.
        proportions: Share of each type, summing to 1.
        draws: Number of slides, and of cells on each.

    Returns:
        (slides, cells) indices into `pool`.
    """
    weights = np.zeros(len(pool))
    labels = np.array([sample.label for sample in pool])
    for label, share in proportions.items():
        own = labels == label
        weights[own] = share / own.sum()
    rng = np.random.default_rng(SEED)
    return rng.choice(len(pool), (draws.slides, draws.cells), p=weights)


def _pool(samples: Sequence[CellSample], source: str, mature: Collection[str]) -> list[CellSample]:
    """Return the cells for healthy slides."""
    pool = [sample for sample in samples if sample.source == source and sample.label in mature]
    if missing := sorted({*mature} - {sample.label for sample in pool}):
        sources = ", ".join(sorted({sample.source for sample in samples}))
        raise UsageError(
            f"no {missing[0]} of source {source!r}, so no healthy slide can be made. Sources: {sources}. "
            f"Name one with all five mature types by {option('healthy-source')}."
        )
    return pool


def _with_blasts(samples: Sequence[CellSample], rules: Rules) -> dict[str, list[CellSample]]:
    """Select the patients with enough blasts.

    A patient needs at least MIN_BLAST_SHARE annotated blasts. Returns the cells of each.
    """
    patients: dict[str, list[CellSample]] = {}
    for sample in samples:
        if sample.patient:
            patients.setdefault(sample.patient, []).append(sample)
    kept = {}
    for patient, cells in sorted(patients.items()):
        blasts, white = _annotated(cells, rules)
        if white and blasts >= MIN_BLAST_SHARE * white:
            kept[patient] = cells
    return kept


def _annotated(cells: Sequence[CellSample], rules: Rules) -> tuple[int, int]:
    """Count annotated blasts and all counted white cells."""
    white = [cell.label for cell in cells if cell.label not in rules.not_counted]
    return sum(label in rules.group(BLASTS).labels for label in white), len(white)


def _names(reader: ReaderLike, probabilities: NDArray[np.float32]) -> NDArray[np.str_]:
    """Return each cell's label as `analyze` prints it.

    `probabilities` is (N, K), over the labels of the reader; the result is (N,).
    """
    best = np.array(reader.labels)[probabilities.argmax(axis=1)]
    return np.where(probabilities.max(axis=1) >= reader.threshold, best, UNCLASSIFIED)


def _tally(names: NDArray[np.str_]) -> Tally:
    return Tally(fields=1, white=Counter(names.tolist()), kinds={}, attributes={})


def _codes(rules: Rules) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the flag codes about blasts.

    The first set says that blasts are present; the second holds all codes about blasts.
    """
    presence = [rule.code for rule in rules.presence.rules if rule.group == BLASTS]
    threshold = [rule.code for rule in rules.threshold.rules if rule.group == BLASTS]
    present = [f"{code}_PRESENT" for code in presence]
    suspect = [f"{code}_SUSPECT" for code in presence]
    return frozenset(present), (*present, *suspect, *threshold, *(f"{code}_POSSIBLE" for code in threshold))


def _raised(
    slides: NDArray[np.int64],
    named: NDArray[np.str_],
    to_differential: DifferentialFunction,
    codes: Sequence[str],
    tell: Callable[[int], None],
) -> dict[str, int]:
    """Count the slides on which each code is raised.

    `slides` (S, C) indexes `named`; `tell` is called with the number of slides evaluated.
    """
    raised = dict.fromkeys(codes, 0)
    for done, slide in enumerate(slides, start=1):
        for code in {flag.code for flag in to_differential(_tally(named[slide])).flags} & raised.keys():
            raised[code] += 1
        tell(done)
    return raised


def _patient(
    patient: str, cells: Sequence[CellSample], result: Differential, rules: Rules, codes: Sequence[str]
) -> PatientResult:
    blasts, white = _annotated(cells, rules)
    read = result.groups.get(BLASTS)
    return PatientResult(
        patient=patient,
        cells=white,
        blasts=blasts,
        read_cells=result.n,
        read_blasts=read.count if read else 0,
        corrected=result.corrected_groups.get(BLASTS),
        flags=tuple(flag.code for flag in result.flags if flag.code in codes),
    )
