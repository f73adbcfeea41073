"""Measure verdicts and bounds on simulated slides.

Slides are simulated from labelled cells. The patients whose cells these are get a verdict too.

Each cell is read once. A slide is then a set of cells, tallied, turned into a differential and given its verdict as `analyze`
does with the cells of pictures. All slides are drawn from one pool, so the intervals reflect the random draws
only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.differential.differential import Differential
from edgeleuk.differential.for_reader import DifferentialFunction, differential_function
from edgeleuk.differential.healthy import adult_proportions
from edgeleuk.differential.rules import Reference, Rules, Standards
from edgeleuk.differential.tally import FieldCount, UnrecognisedRules, count, total
from edgeleuk.differential.verdict import Code, Pictures, Verdict, reach
from edgeleuk.lab.evaluation.alarms import BLASTS, MIN_BLAST_SHARE, SEED
from edgeleuk.lab.evaluation.cells import CellLoader, Progress, read_all, read_cell
from edgeleuk.lab.evaluation.datasets import CellSample
from edgeleuk.lab.evaluation.readings import proportion
from edgeleuk.networks.reader import Reader
from edgeleuk.statistics.intervals import clopper_pearson
from edgeleuk.types import UNCLASSIFIED, WHITE_CELL, Cell, Field, Reading, Scale, Tally

FEW_BLASTS = (0.01, 0.02, 0.03, 0.04, 0.05)
"""Blast shares of slides with few blasts."""
MOST_BLASTS = 0.30
"""Largest blast share of slides that test bounds."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Slides to simulate."""

    healthy_source: str
    patients_source: str
    healthy: int = 1000
    few: int = 200
    bounded: int = 2000
    cells: int = 200


@dataclass(frozen=True, slots=True)
class PatientVerdict:
    """Verdict on the cells of one patient."""

    patient: str
    white_cells: int
    blast_like: int
    """Number of annotated blasts and promyelocytes."""
    not_recognised: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Coverage:
    """Coverage and width of the blast share's bounds."""

    slides: int
    printed: int
    """Number of slides with bounds."""
    above: int
    """Slides with the truth above the upper bound."""
    below: int
    """Slides with the truth below the lower bound."""
    excess: float
    """Mean of upper bound minus truth, percentage points."""

    def as_json(self) -> dict[str, Any]:
        return {
            "printed": proportion(self.printed, self.slides),
            "upper_covers": proportion(self.printed - self.above, self.printed),
            "lower_covers": proportion(self.printed - self.below, self.printed),
            "mean_excess": self.excess,
        }


@dataclass(frozen=True, slots=True)
class VerdictsReport:
    """Report of `edgeleuk eval verdicts`."""

    plan: Plan
    healthy: Mapping[Code, int]
    """Number of healthy slides by verdict."""
    healthy_blasts: int
    """Healthy slides to look at again for blasts."""
    patients: tuple[PatientVerdict, ...]
    few: Mapping[float, tuple[int, int]]
    """Slides with few blasts, by blast share.

    Each value holds the number of slides to look at again because of blasts, and the number of all slides.
    """
    coverage: Mapping[str, Coverage]
    """Coverage by case: "as read" and "half not recognised"."""
    widths: Mapping[str, float]
    """Relative width of the bounds, by type or group.

    Width of the bounds of a fully recognised healthy slide, divided by the width of the exact interval.
    """

    @property
    def alarmed(self) -> int:
        """Number of patients with the verdict LOOK AGAIN."""
        return sum(each.verdict.code == "look_again" for each in self.patients)

    def as_json(self) -> dict[str, Any]:
        slides = self.plan.healthy
        return {
            "healthy": {
                "verdicts": {code: proportion(n, slides) for code, n in self.healthy.items()},
                "look_again_for_blasts": proportion(self.healthy_blasts, slides),
            },
            "patients": {
                "look_again": proportion(self.alarmed, len(self.patients)),
                "by_patient": {
                    each.patient: {
                        "blast_like": proportion(each.blast_like, each.white_cells),
                        "not_recognised": each.not_recognised,
                        "verdict": each.verdict.code,
                        "reasons": [reason.code for reason in each.verdict.reasons],
                    }
                    for each in self.patients
                },
            },
            "few_blasts": {str(share): proportion(*pair) for share, pair in self.few.items()},
            "bounds": {name: each.as_json() for name, each in self.coverage.items()},
            "width_ratio": dict(self.widths),
        }


def for_blasts(verdict: Verdict) -> bool:
    """Return whether to look again for blasts."""
    return verdict.code == "look_again" and any("blast" in reason.code for reason in verdict.reasons)


class Pool:
    """Labelled cells with their readings."""

    def __init__(
        self, reader: Reader, types: NDArray[np.float32], samples: Sequence[CellSample], rules: Rules
    ) -> None:
        self.reader, self.rules = reader, rules
        unrecognised = UnrecognisedRules.of(reader.manifest, rules)
        self._counts = [count(_field(reader, row, i), rules, unrecognised) for i, row in enumerate(types)]
        self.labels = np.array([reader.merge.get(each.label, each.label) for each in samples])
        self.sources = np.array([each.source for each in samples])
        self.patients = np.array([each.patient for each in samples])
        self.recognised = types.max(axis=1) >= reader.threshold

    def slide(self, cells: NDArray[np.int64]) -> Tally:
        """Return the tally of cells by index (n,)."""
        return total(self._one(int(i)) for i in cells)

    def _one(self, index: int) -> FieldCount:
        return self._counts[index]


def _field(reader: Reader, types: NDArray[np.float32], index: int) -> Field:
    best = int(types.argmax())
    label = reader.labels[best] if types[best] >= reader.threshold else UNCLASSIFIED
    probabilities = dict(zip(reader.labels, types.tolist(), strict=True))
    cell = Cell(
        WHITE_CELL, (0, 0, 1, 1), 1.0, True, Reading(label, float(types[best]), probabilities, {}), number=1
    )
    return Field(str(index), 1, 1, Scale.given(0.1), (cell,))


def evaluate_verdicts(
    reader: Reader,
    samples: Sequence[CellSample],
    plan: Plan,
    standards: Standards,
    progress: Progress | None = None,
    load_cell: CellLoader | None = None,
) -> VerdictsReport:
    """Read cells, then evaluate simulated slides and patients.

    Args:
        reader: Reader of the cells.
        samples: Labelled cells; those of the two sources of `plan` are used.
        plan: Slides to simulate.
        standards: Rules of the differential and the verdict; reference ranges, which give the proportions of
            healthy slides.
        progress: Called with the cells read and their total.
        load_cell: Returns a sample's picture and scale; by default its file as it is.
    """
    chosen = [each for each in samples if each.source in (plan.healthy_source, plan.patients_source)]
    types, _ = read_all(reader, chosen, progress, load_cell or read_cell)
    rules, reference = standards.rules, standards.reference
    return evaluate_pool(Pool(reader, types, chosen, rules), plan, rules, reference)


def evaluate_pool(pool: Pool, plan: Plan, rules: Rules, reference: Reference) -> VerdictsReport:
    """Evaluate simulated slides and patients.

    Args:
        pool: Cells with their readings.
        plan: Slides to simulate.
        rules: Rules of the differential and the verdict.
        reference: Reference ranges, which give the proportions of healthy slides.
    """
    trial = _Trial(
        pool, plan, differential_function(pool.reader.manifest, rules, reference), rules, reference
    )
    verdicts = [trial.verdict(trial.drawn(0.0)) for _ in range(plan.healthy)]
    few = {}
    for share in FEW_BLASTS:
        slides = [trial.verdict(trial.drawn(share)) for _ in range(plan.few // len(FEW_BLASTS))]
        few[share] = (sum(map(for_blasts, slides)), len(slides))
    return VerdictsReport(
        plan=plan,
        healthy=Counter(verdict.code for verdict in verdicts),
        healthy_blasts=sum(map(for_blasts, verdicts)),
        patients=tuple(trial.patients()),
        few=few,
        coverage={
            "as read": trial.coverage(half=False),
            "half not recognised": trial.coverage(half=True),
        },
        widths=trial.widths(),
    )


class _Trial:
    """Simulated slides and their verdicts."""

    def __init__(
        self,
        pool: Pool,
        plan: Plan,
        to_differential: DifferentialFunction,
        rules: Rules,
        reference: Reference,
    ) -> None:
        self._pool, self._plan, self._to_differential, self._rules = pool, plan, to_differential, rules
        self._rng = np.random.default_rng(SEED)
        self._healthy = np.zeros(len(pool.labels))
        home = pool.sources == plan.healthy_source
        for label, share in adult_proportions(reference, pool.reader.mature).items():
            own = home & (pool.labels == label)
            self._healthy[own] = share / max(own.sum(), 1)
        blasts = [*rules.group(BLASTS).labels]
        self._blasts = ((pool.sources == plan.patients_source) & np.isin(pool.labels, blasts)).astype(float)

    def drawn(self, share: float) -> NDArray[np.int64]:
        """Draw a slide with a share of blasts.

        Returns the indices of its cells.
        """
        blasts = int(self._rng.binomial(self._plan.cells, share))
        return np.concatenate([
            self._some(self._blasts, blasts), self._some(self._healthy, self._plan.cells - blasts)
        ])  # fmt: skip

    def half_recognised(self, share: float) -> NDArray[np.int64]:
        """Draw a slide with half not recognised.

        As `drawn`, but each cell has an even chance of coming from the cells that were not recognised. Where
        the pool has only recognised blasts, or only unrecognised ones, all blasts come from these. The same
        holds for the other cells.
        """
        blasts = int(self._rng.binomial(self._plan.cells, share))
        recognised = self._pool.recognised
        parts = []
        for weights, cells in ((self._blasts, blasts), (self._healthy, self._plan.cells - blasts)):
            sure, unsure = weights * recognised, weights * ~recognised
            half = int(self._rng.binomial(cells, 0.5)) if unsure.any() else 0
            half = half if sure.any() else cells
            parts += [self._some(sure, cells - half), self._some(unsure, half)]
        return np.concatenate(parts)

    def _some(self, weights: NDArray[np.float64], cells: int) -> NDArray[np.int64]:
        if not cells:
            return np.zeros(0, np.int64)
        return self._rng.choice(len(weights), cells, p=weights / weights.sum())

    def result_of(self, cells: NDArray[np.int64]) -> tuple[Tally, Differential]:
        tally = self._pool.slide(cells)
        return tally, self._to_differential(tally)

    def verdict(self, cells: NDArray[np.int64]) -> Verdict:
        tally, result = self.result_of(cells)
        return reach(tally, result, Pictures(tally.fields), self._rules)

    def patients(self) -> list[PatientVerdict]:
        """Evaluate each patient with enough blasts.

        A patient needs at least MIN_BLAST_SHARE annotated blasts and promyelocytes among its white cells of
        the differential.
        """
        pool, found = self._pool, []
        white = ~np.isin(pool.labels, list(self._rules.not_counted))
        blast_like = np.isin(pool.labels, pool.reader.manifest.blast_like)
        home = pool.sources == self._plan.patients_source
        for patient in sorted({*pool.patients[home]} - {""}):
            own = home & (pool.patients == patient)
            cells, blasts = int((own & white).sum()), int((own & white & blast_like).sum())
            if not cells or blasts < MIN_BLAST_SHARE * cells:
                continue
            indices = np.flatnonzero(own)
            _, result = self.result_of(indices)
            found.append(PatientVerdict(patient, cells, blasts, result.not_recognised, self.verdict(indices)))
        return found

    def coverage(self, *, half: bool) -> Coverage:
        """Measure the blast share's bounds on simulated slides.

        The true share of each slide is drawn between 0 and MOST_BLASTS.
        """
        printed = above = below = 0
        excess = 0.0
        draw = self.half_recognised if half else self.drawn
        for _ in range(self._plan.bounded):
            cells = draw(float(self._rng.uniform(0, MOST_BLASTS)))
            truth = 100 * float(self._blasts[cells].sum()) / len(cells)
            bounds = self.result_of(cells)[1].group_bounds.get(BLASTS)
            if bounds is None or bounds.high is None:
                continue
            printed += 1
            above, below = above + (truth > bounds.high), below + (truth < bounds.low)
            excess += bounds.high - truth
        return Coverage(self._plan.bounded, printed, above, below, excess / max(printed, 1))

    def widths(self) -> dict[str, float]:
        """Measure the bounds of one fully recognised healthy slide."""
        cells = self._some(self._healthy * self._pool.recognised, self._plan.cells)
        result = self.result_of(cells)[1]
        ratios = {}
        for name, share in {**result.types, **result.groups}.items():
            bounds = {**result.bounds, **result.group_bounds}.get(name)
            if bounds and bounds.high is not None:
                low, high = clopper_pearson(share.count, share.of)
                ratios[name] = (bounds.high - bounds.low) / (100 * (high - low))
        return ratios
