"""Place cells in a region of a monolayer.

Their truth is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from edgeleuk.errors import UsageError
from edgeleuk.simulation.paint import WHITE_TYPES, Painting, outline, paint
from edgeleuk.simulation.shapes import Outline
from edgeleuk.types import PLATELET, RED_CELL, WHITE_CELL

TRIES = 4000
"""Places tried per cell before the region is full."""
EDGE_UM = 1.0
"""Minimum distance of a white cell from the region's border.

Some field thus holds it whole.
"""

# Minimum distance of two centres, as a share of the sum of the radii.
WHITE_GAP = 1.06
RED_GAP = 1.0
RED_OVERLAP, RED_OVERLAP_SHARE = 0.84, 0.12
"""Minimum distance and share of overlapping red cells.

In a monolayer most red cells lie apart, some touch and a few overlap; none may overlap a white cell.
"""


@dataclass(frozen=True, slots=True)
class TrueCell:
    """Cell as it was placed."""

    id: int
    kind: str
    """Cell class: WBC, RBC or Platelet."""
    label: str | None
    """Cell type of a white cell, else None."""
    x_um: float
    """Centre on the slide; x to the right, y down."""
    y_um: float
    box_um: tuple[float, float, float, float]
    """Outline's bounding box on the slide, x1 y1 x2 y2."""
    diameter_um: float
    """Diameter of the circle with the cell's area."""
    nucleus_area_um2: float | None = None
    """Nuclear area of a white cell.

    It is None for other cells, and where it was not requested.
    """
    lobes: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the cell as a dict for JSON."""
        return {**asdict(self), "box_um": list(self.box_um)}


@dataclass(frozen=True, slots=True)
class Smear:
    """Region of a slide with every cell in it.

    It spans 0 to width and 0 to height in micrometres. The same seed and request give the same smear. Each
    cell is drawn from a seed of its own (the smear's, and its id), so that it looks the same in every field
    that shows it.
    """

    seed: int
    width_um: float
    height_um: float
    cells: tuple[TrueCell, ...]

    @classmethod
    def place(
        cls,
        seed: int,
        width_um: float,
        height_um: float,
        white_cells: Mapping[str, int],
        red_cells_per_mm2: float = 7000.0,
        platelets_per_mm2: float = 700.0,
    ) -> Self:
        """Place cells at random, without the truth about nuclei.

        Args:
            seed: Seed of the smear.
            width_um: Width of the region, micrometres.
            height_um: Height of the region, micrometres.
            white_cells: Number of white cells by cell type.
            red_cells_per_mm2: Density of red cells, per square millimetre.
            platelets_per_mm2: Density of platelets, per square millimetre.

        Raises:
            UsageError: If a cell type cannot be painted, or the cells do not fit the region.
        """
        unknown = [label for label in white_cells if label not in WHITE_TYPES]
        if unknown:
            raise UsageError(f"no simulated {unknown[0]}. White cells here: {', '.join(WHITE_TYPES)}.")
        area_mm2 = width_um * height_um * 1e-6
        names = [label for label, count in white_cells.items() for _ in range(count)]
        names += [RED_CELL] * round(red_cells_per_mm2 * area_mm2)
        names += [PLATELET] * round(platelets_per_mm2 * area_mm2)
        layout = _Layout(
            np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,))), width_um, height_um
        )
        cells = []
        for number, name in enumerate(names):
            edge = outline(name, _generator(seed, number))
            x, y = layout.place(edge, name)
            cells.append(_true_cell(number, name, edge, x, y))
        return cls(seed, width_um, height_um, tuple(cells))

    @classmethod
    def generate(
        cls,
        seed: int,
        width_um: float,
        height_um: float,
        white_cells: Mapping[str, int],
        red_cells_per_mm2: float = 7000.0,
        platelets_per_mm2: float = 700.0,
    ) -> Self:
        """Place cells at random, with the truth about nuclei.

        The truth is their area and lobes, for which every white cell is painted. Arguments and errors are
        those of `place`.
        """
        placed = cls.place(seed, width_um, height_um, white_cells, red_cells_per_mm2, platelets_per_mm2)
        return replace(placed, cells=tuple(placed._with_nucleus(cell) for cell in placed.cells))

    def _with_nucleus(self, cell: TrueCell) -> TrueCell:
        if cell.label is None:
            return cell
        painting = paint(cell.label, _generator(self.seed, cell.id))
        return replace(cell, nucleus_area_um2=painting.nucleus_area_um2, lobes=painting.lobes)

    def paint(self, cell: TrueCell) -> Painting:
        """Paint a cell of this smear.

        It takes milliseconds, and gives the same result every time.
        """
        return paint(cell.label or cell.kind, _generator(self.seed, cell.id))

    def of(self, kind: str) -> tuple[TrueCell, ...]:
        return tuple(cell for cell in self.cells if cell.kind == kind)


class _Layout:
    """Random sequential placement of cells.

    Each cell takes the first of many random places where it keeps its distance.
    """

    def __init__(self, rng: np.random.Generator, width_um: float, height_um: float) -> None:
        self.rng = rng
        self.size = np.array([width_um, height_um])
        self.cell = 20.0
        """Side of the hash squares, micrometres.

        It exceeds the largest distance at which two cells can meet.
        """
        self.squares: dict[tuple[int, int], list[tuple[float, float, float, bool]]] = {}

    def place(self, edge: Outline, name: str) -> tuple[float, float]:
        radius = edge.radius_um
        white = name in WHITE_TYPES
        margin = edge.reach_um + EDGE_UM if white else 0.0
        gap = WHITE_GAP if white else RED_GAP
        if name == RED_CELL and self.rng.random() < RED_OVERLAP_SHARE:
            gap = RED_OVERLAP
        room = self.size - 2 * margin
        if (room > 0).all():
            for _ in range(TRIES):
                x, y = (margin + room * self.rng.random(2)).tolist()
                if self._free(x, y, radius, gap):
                    self.squares.setdefault(self._square(x, y), []).append((x, y, radius, white))
                    return x, y
        raise UsageError(
            f"the cells do not fit {self.size[0]:g} x {self.size[1]:g} um: no place for another {name}. "
            "Ask for fewer cells, or for a larger region."
        )

    def _free(self, x: float, y: float, radius: float, gap: float) -> bool:
        column, row = self._square(x, y)
        return all(
            (x - ox) ** 2 + (y - oy) ** 2 >= ((max(gap, RED_GAP) if white else gap) * (radius + other)) ** 2
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
            for ox, oy, other, white in self.squares.get((column + i, row + j), ())
        )

    def _square(self, x: float, y: float) -> tuple[int, int]:
        return int(x // self.cell), int(y // self.cell)


def _true_cell(number: int, name: str, edge: Outline, x: float, y: float) -> TrueCell:
    x1, y1, x2, y2 = edge.box
    white = name in WHITE_TYPES
    return TrueCell(
        id=number,
        kind=WHITE_CELL if white else name,
        label=name if white else None,
        x_um=x,
        y_um=y,
        box_um=(x + x1, y + y1, x + x2, y + y2),
        diameter_um=2 * edge.radius_um,
        nucleus_area_um2=None,
        lobes=None,
    )


def _generator(seed: int, number: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1, number)))
