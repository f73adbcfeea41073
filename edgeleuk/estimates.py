"""White cells and platelets per microlitre: estimates from a smear, never counts.

A smear is no measured volume, so each method needs something that stands for one:

- red cells: cells seen / red cells seen x the red-cell count of the blood, which the user enters. The indirect method of
  Fonio, for platelets usual to this day. Against a counter the differences had a standard deviation of 40 at a mean of
  258 (100 bloods, "Verification of the reliability of the estimation technique of platelet count on the basis of red
  cell : platelet ratio", Iraq 2006, iraqjournals.net 29806): 95 % within RATIO_ERROR. White cells lie less evenly on a
  smear than platelets; no such study of them was found, and theirs is taken as wider, a choice of this project.
- area: cells seen / area seen x a factor, in a monolayer. The factors are those of the bench, for fields of
  eyepieces with a field number of 20 mm: platelets of a 100x field (0.031 mm2) x 15,000 to 20,000 (Ciesla, Hematology in
  Practice, F. A. Davis, table 20.2: monolayers and wedge smears), white cells of a 40x field (0.196 mm2) x 2,000 (ibid., table
  20.1) to 2,700 (International Blood Research & Reviews 5(2), 2016: 50 bloods against a counter, r = 0.68 to 0.73). That
  spread, and how thick a film is, make AREA_ERROR.

The interval joins the exact one of the count with the method's error, as independent factors. Either method asks for
fields that were not chosen for their white cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import exp, hypot, log, log1p, pi
from typing import Any, Literal

from edgeleuk.errors import UsageError
from edgeleuk.intervals import PerHundred, poisson
from edgeleuk.rules import Rules
from edgeleuk.types import PLATELET, RED_CELL, WHITE_CELL, Cell, Field

Method = Literal["red cells", "area"]
Name = Literal["white cells", "platelets"]

RED_CELLS = (0.5, 9.0)
"""10^12 per litre that blood may have."""
LEAST_RED_CELLS = 1000
"""Red cells that the platelets or white cells are counted among, see above."""
LEAST_FIELDS = 10
"""Fields that the factors of the area method are meant for the mean of."""
FIELD_MM2 = {WHITE_CELL: pi / 4 * (20 / 40) ** 2, PLATELET: pi / 4 * (20 / 100) ** 2}
"""Area of the field that each factor is for: 20 mm of field number over the objective's magnification."""
FACTORS = {WHITE_CELL: (2000.0, 2700.0), PLATELET: (15000.0, 20000.0)}
"""Cells per uL for one in a field of that area, from and to; their geometric mean is used."""
RATIO_ERROR = {WHITE_CELL: 0.5, PLATELET: 0.3}
AREA_ERROR = {WHITE_CELL: 0.6, PLATELET: 0.5}
"""95 %, as a factor's excess over 1, beside the count's own error."""
NAMES: Mapping[str, Name] = {WHITE_CELL: "white cells", PLATELET: "platelets"}
KNOWN = ("given", "profile")
"""Sources of a scale that make an area known."""


@dataclass(frozen=True, slots=True)
class PerMicrolitre:
    """An estimate of one kind of cell in the blood, with a 95 % interval, per uL."""

    kind: Name
    method: Method
    per_ul: float
    low: float
    high: float
    counted: float
    """Those seen; one that an edge cuts is half a cell, on average."""
    of: float
    """Red cells seen, or mm2."""
    formula: str


@dataclass(frozen=True, slots=True)
class Estimates:
    """What can be estimated of a slide, and what cannot."""

    values: tuple[PerMicrolitre, ...] = ()
    refused: tuple[str, ...] = ()
    """Why something that was asked for is not estimated: a sentence and what to do."""

    def as_json(self) -> dict[str, Any]:
        return {"values": [asdict(value) for value in self.values], "refused": list(self.refused)}


NOTHING = Estimates()


def check(red_cells: float | None) -> None:
    """Raises UsageError where no blood has so many red cells, 10^12 per litre."""
    if red_cells is not None and not RED_CELLS[0] <= red_cells <= RED_CELLS[1]:
        raise UsageError(
            f"--red-cells {red_cells:g} is outside {RED_CELLS[0]:g} to {RED_CELLS[1]:g}. It is the red-cell count of the "
            "blood in 10^12 per litre, such as 4.8."
        )


def estimate(
    fields: Sequence[Field],
    area_mm2: float,
    rules: Rules,
    red_cells: float | None = None,
) -> Estimates:
    """Estimates of a slide from its fields, each cell in one of them, which show `area_mm2` of it.

    By the blood's `red_cells`, 10^12 per litre, where these are entered; by the area where every scale is known, of a
    ruler and not of red cells, and there are enough fields. Else nothing.
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
    """Cells of a kind, less those that the reader took for something else; one that an edge cuts counts half.

    A cell is seen, whole or cut, over the picture and half its own breadth beyond; whole, over that much less. Half of
    those cut makes up for it.
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
    """Limits of a value of which two independent factors are uncertain: the count's, low to high, and 1 + `error`."""
    if value == 0:
        return 0.0, high * (1 + error)
    own = log1p(error)
    return value * exp(-hypot(log(value / low), own)) if low else 0.0, value * exp(
        hypot(log(high / value), own)
    )
