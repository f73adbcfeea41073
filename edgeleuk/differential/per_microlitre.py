"""Estimates of white cells and platelets per microlitre from smears.

They are estimates, never counts. A smear is no measured volume, so each method needs something that stands
for one:

- red cells: cells seen / red cells seen x the red-cell count of the blood, which the user enters. The
  indirect method of Fonio, used for platelets to this day. Against a counter the differences had a standard
  deviation of 40 at a mean of 258 (100 bloods, "Verification of the reliability of the estimation technique
  of platelet count on the basis of red cell : platelet ratio", Iraq 2006, iraqjournals.net 29806): 95 %
  within RATIO_ERROR. White cells lie less evenly on a smear than platelets; no such study of them was
  found, and their error is taken as larger, a choice of this project.
- area: cells seen / area seen x a factor, in a monolayer. The factors are those of the bench, for fields of
  eyepieces with a field number of 20 mm: platelets of a 100x field (0.031 mm2) x 15,000 to 20,000 (Ciesla,
  Hematology in Practice, F. A. Davis, table 20.2: monolayers and wedge smears), white cells of a 40x field
  (0.196 mm2) x 2,000 (ibid., table 20.1) to 2,700 (International Blood Research & Reviews 5(2), 2016: 50
  bloods against a counter, r = 0.68 to 0.73). That spread, and the varying thickness of films, make
  AREA_ERROR.

The interval combines the exact one of the count with the method's error, as independent factors. Both
methods need fields that were not chosen for their white cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import exp, hypot, log, log1p, pi
from typing import Any, Literal

from edgeleuk.differential.rules import Rules
from edgeleuk.errors import UsageError
from edgeleuk.statistics.intervals import PerHundred, poisson
from edgeleuk.system.wording import option
from edgeleuk.types import PLATELET, RED_CELL, WHITE_CELL, Cell, Field

Method = Literal["red cells", "area"]
Name = Literal["white cells", "platelets"]

RED_CELLS = (0.5, 9.0)
"""Plausible red-cell counts of blood, 10^12 per litre."""
LEAST_RED_CELLS = 1000
"""Minimum number of red cells for the red-cell method."""
LEAST_FIELDS = 10
"""Minimum number of fields for the area method.

Its factors are meant for the mean of so many fields.
"""
FIELD_MM2 = {WHITE_CELL: pi / 4 * (20 / 40) ** 2, PLATELET: pi / 4 * (20 / 100) ** 2}
"""Field area of each factor.

The diameter is the field number, 20 mm, over the objective's magnification.
"""
FACTORS = {WHITE_CELL: (2000.0, 2700.0), PLATELET: (15000.0, 20000.0)}
"""Range of cells per uL by cells per field.

A factor is for one cell in a field of the area of FIELD_MM2. The geometric mean of the range is used.
"""
RATIO_ERROR = {WHITE_CELL: 0.5, PLATELET: 0.3}
AREA_ERROR = {WHITE_CELL: 0.6, PLATELET: 0.5}
"""Error of the area method by kind of cell.

It adds to the count's own error, as RATIO_ERROR does for the red-cell method. Both are 95 % errors, given
as a factor's excess over 1.
"""
NAMES: Mapping[str, Name] = {WHITE_CELL: "white cells", PLATELET: "platelets"}
KNOWN = ("given", "profile")
"""Sources of a scale with known areas."""


@dataclass(frozen=True, slots=True)
class PerMicrolitre:
    """Estimated cells of one kind per uL.

    It has a 95 % interval.
    """

    kind: Name
    method: Method
    per_ul: float
    low: float
    high: float
    counted: float
    """Number of cells seen.

    A cell cut by an edge counts half, which it is on average.
    """
    of: float
    """Red cells seen, or area in mm2."""
    formula: str


@dataclass(frozen=True, slots=True)
class Estimates:
    """Estimates of a slide, and refusals."""

    values: tuple[PerMicrolitre, ...] = ()
    refused: tuple[str, ...] = ()
    """Reasons why requested estimates are missing.

    Each is a sentence, and what to do.
    """

    def as_json(self) -> dict[str, Any]:
        return {"values": [asdict(value) for value in self.values], "refused": list(self.refused)}


NOTHING = Estimates()


def check(red_cells: float | None) -> None:
    """Check that a red-cell count is plausible.

    Raises:
        UsageError: No blood has so many or so few red cells, 10^12 per litre.
    """
    if red_cells is not None and not RED_CELLS[0] <= red_cells <= RED_CELLS[1]:
        raise UsageError(
            f"{option('red-cells')} {red_cells:g} is outside {RED_CELLS[0]:g} to {RED_CELLS[1]:g}. It is the red-cell count of the "
            "blood in 10^12 per litre, such as 4.8."
        )


def estimate(
    fields: Sequence[Field],
    area_mm2: float,
    rules: Rules,
    red_cells: float | None = None,
) -> Estimates:
    """Estimate a slide's cells per microlitre.

    The red-cell method is used if `red_cells` is given. The area method is used if every scale is known
    from a ruler, not from red cells, and there are at least LEAST_FIELDS fields. Otherwise the result is
    empty.

    Args:
        fields: Fields of the slide, each cell in only one of them.
        area_mm2: Area of the slide that the fields show.
        rules: Rules of the differential.
        red_cells: Red-cell count of the blood as entered, 10^12 per litre.
    """
    values, refused = [], []
    if red_cells is not None:
        seen = _number(fields, RED_CELL, rules)
        if missing := _too_few(fields, seen):
            refused.append(missing)
        else:
            values += [
                _by_red_cells(kind, _number(fields, kind, rules), seen, red_cells)
                for kind in _counted(fields)
            ]
    if len(fields) >= LEAST_FIELDS and all(field.scale.source in KNOWN for field in fields):
        values += [_by_area(kind, _number(fields, kind, rules), area_mm2) for kind in _counted(fields)]
    return Estimates(tuple(values), tuple(refused))


def _too_few(fields: Sequence[Field], seen: float) -> str | None:
    if any(RED_CELL in field.not_counted for field in fields):
        return (
            "white cells and platelets per uL are not estimated: red cells were not counted in every picture. Use a "
            "stronger objective."
        )
    if seen < LEAST_RED_CELLS:
        return (
            f"white cells and platelets per uL are not estimated: {seen:.0f} red cells were seen, and it takes "
            f"{LEAST_RED_CELLS:,}. Add fields, not chosen for their white cells."
        )
    return None


def _counted(fields: Sequence[Field]) -> list[str]:
    return [kind for kind in NAMES if not any(kind in field.not_counted for field in fields)]


def _number(fields: Iterable[Field], kind: str, rules: Rules) -> float:
    """Count cells of a kind.

    A cell cut by an edge counts half. Cells that the reader took for something else are left out. A cell is
    seen, whole or cut, over the picture and half its own breadth beyond; whole, over that much less.
    Counting cut cells half makes up for the difference.
    """
    return sum(
        1.0 if cell.whole else 0.5
        for field in fields
        for cell in field.cells
        if cell.kind == kind and not _is_other(cell, rules)
    )


def _is_other(cell: Cell, rules: Rules) -> bool:
    return cell.reading is not None and cell.reading.label in rules.outside.no_white_cells


def _by_red_cells(kind: str, counted: float, seen: float, red_cells: float) -> PerMicrolitre:
    per_red_cell = red_cells * 1e6  # 10^12 per litre are 10^6 per uL
    among = PerHundred(round(counted), round(seen))
    low, high = _joined(counted / seen, among.low / 100, (among.high or 0.0) / 100, RATIO_ERROR[kind])
    return PerMicrolitre(
        kind=NAMES[kind],
        method="red cells",
        per_ul=counted / seen * per_red_cell,
        low=low * per_red_cell,
        high=high * per_red_cell,
        counted=counted,
        of=seen,
        formula=f"{counted:g} {NAMES[kind]} / {seen:,.0f} red cells x {red_cells:g} 10^12/L",
    )


def _by_area(kind: str, counted: float, area_mm2: float) -> PerMicrolitre:
    factor = exp(sum(log(each) for each in FACTORS[kind]) / 2)
    fields = area_mm2 / FIELD_MM2[kind]
    low, high = (limit / fields for limit in poisson(round(counted)))
    low, high = _joined(counted / fields, low, high, AREA_ERROR[kind])
    return PerMicrolitre(
        kind=NAMES[kind],
        method="area",
        per_ul=counted / fields * factor,
        low=low * factor,
        high=high * factor,
        counted=counted,
        of=area_mm2,
        formula=f"{counted:g} {NAMES[kind]} in {area_mm2:.3f} mm2 = {fields:.1f} fields x {factor:,.0f}",
    )


def _joined(value: float, low: float, high: float, error: float) -> tuple[float, float]:
    """Return the limits from two independent errors.

    One is the error of the count, `low` to `high`; the other is the factor 1 + `error`.
    """
    if value == 0:
        return 0.0, high * (1 + error)
    own = log1p(error)
    return value * exp(-hypot(log(value / low), own)) if low else 0.0, value * exp(
        hypot(log(high / value), own)
    )
