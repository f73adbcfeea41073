"""Paint one cell as optical density.

A cell has an outline, nucleus, cytoplasm and granules.

Sizes are near those measured on PBC training cells (see `stain`). Medians of diameter and nuclear area:
neutrophil 14.2 um and 57 um2, eosinophil 14.3 and 60, lymphocyte 10.6 and 71, monocyte 16.0 and 95; basophil
13.3 um. Shapes and textures were set by eye beside real cells, and changed until a reader trained on real
cells alone named every type: that it reads these cells well is therefore no measure of its quality.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeleuk.simulation.nuclei import bean, lobed, place_lobes, polar
from edgeleuk.simulation.shapes import UM_PER_PX, Canvas, Capsule, Outline, Plane, Reals, near, soft, unit
from edgeleuk.simulation.stain import (
    CYTOPLASM,
    EOSIN,
    FINE_GRANULE,
    NUCLEUS,
    PLATELET_GRANULES,
    PLATELET_MARGIN,
)
from edgeleuk.simulation.stain import RED_CELL as RED_CELL_STAIN
from edgeleuk.types import PLATELET, RED_CELL, RED_CELL_UM


@dataclass(frozen=True, slots=True)
class Habit:
    """Parameters of a cell type, before random variation."""

    diameter_um: tuple[float, float]
    """Minimum and maximum diameter."""
    stretch: float
    roughness: float
    """Amplitude of higher harmonics, share of the radius."""
    decay: float = 1.6
    """Decay of higher harmonics; a small value is jagged."""
    eosin: float = 0.0
    """Redness relative to the stain's median, standard deviations."""


HABITS = {
    RED_CELL: Habit((6.0, 8.4), 0.1, 0.016, eosin=0.5),
    PLATELET: Habit((2.4, 3.3), 0.2, 0.05, 0.7),
    "neutrophil": Habit((12.4, 14.2), 0.08, 0.025),
    "eosinophil": Habit((13.0, 15.0), 0.08, 0.02),
    "basophil": Habit((11.2, 13.0), 0.06, 0.02, eosin=0.4),
    "lymphocyte": Habit((9.8, 11.2), 0.08, 0.016, 0.6),
    "monocyte": Habit((14.5, 17.5), 0.1, 0.05, eosin=-0.4),
    "blast": Habit((14.2, 16.8), 0.14, 0.035),
}
WHITE_TYPES = tuple(name for name in HABITS if name not in (RED_CELL, PLATELET))

RED_CELL_SD_UM = 0.4
"""Standard deviation of red-cell diameters in a smear.

There is no anisocytosis.
"""


@dataclass(frozen=True, slots=True)
class Painting:
    """Painted cell, centred on its canvas."""

    density: NDArray[np.float32]
    """(n, n, 3) optical density R G B at UM_PER_PX."""
    nucleus_area_um2: float | None = None
    lobes: int | None = None


def outline(name: str, rng: np.random.Generator) -> Outline:
    """Draw the outline of a cell.

    `name` is a white-cell type, RED_CELL or PLATELET. The outline is the first thing drawn from a cell's
    generator.
    """
    habit = HABITS[name]
    low, high = habit.diameter_um
    diameter = float(
        np.clip(rng.normal(RED_CELL_UM, RED_CELL_SD_UM), low, high)
        if name == RED_CELL
        else rng.uniform(low, high)
    )
    stretch = habit.stretch * rng.uniform(0.2, 1.8)
    return Outline.draw(rng, diameter, stretch, habit.roughness, habit.decay)


def paint(name: str, rng: np.random.Generator) -> Painting:
    """Paint a cell.

    A fresh generator of the same seed gives the same outline in `outline`.
    """
    edge = outline(name, rng)
    canvas = Canvas(rng, edge.reach_um)
    painting = PAINTERS[name](canvas, edge)
    canvas.tint(HABITS[name].eosin + rng.normal(0, 0.3) + 0.2 * canvas.noise(0.6), EOSIN)
    return painting


def _red_cell(canvas: Canvas, edge: Outline) -> Painting:
    rng, depth = canvas.rng, canvas.inside(edge)
    radius = edge.radius_um
    centre = rng.normal(0, 0.05 * radius, 2)
    out = np.hypot(canvas.x - centre[0], canvas.y - centre[1]) + 0.12 * canvas.noise(1.5)
    # Half height at a third of the radius: a pallor of a third of the diameter.
    pallor = 1 - soft(out - radius * rng.uniform(0.28, 0.46), radius * rng.uniform(0.15, 0.3))
    tone = 0.3 - rng.uniform(1.0, 3.2) * pallor + 0.1 * canvas.noise(1.0) + rng.normal(0, 0.35)
    tone += 0.7 * near(depth, 0.35, 0.5)
    canvas.lay(soft(depth, 0.27), RED_CELL_STAIN.at(tone))
    return Painting(canvas.density)


def _platelet(canvas: Canvas, edge: Outline) -> Painting:
    depth = canvas.inside(edge)
    canvas.lay(soft(depth, 0.2), PLATELET_MARGIN.at(0.5 * canvas.noise(0.3) + soft(depth - 0.3, 0.3)))
    cover, tone = canvas.granules(soft(depth - 0.3, 0.35), 0.3, 0.19, 0.35)
    canvas.lay(0.9 * cover * soft(depth, 0.2), PLATELET_GRANULES.at(tone))
    return Painting(canvas.density)


def _neutrophil(canvas: Canvas, edge: Outline) -> Painting:
    rng, depth = canvas.rng, canvas.inside(edge)
    cell = soft(depth)
    canvas.lay(cell, CYTOPLASM["neutrophil"].at(0.4 * canvas.noise(0.15) + 0.5 * canvas.noise(1.0) - 0.2))
    cover, tone = canvas.granules(np.full_like(cell, 0.45), 0.55, 0.13, 0.35)
    _add_fine_granules(canvas, 0.5 * cover * np.maximum(0.8 + 0.7 * tone, 0) * cell)
    lobes = int(rng.integers(3, 5))
    radius, turn = {3: (1.95, 1.4), 4: (1.65, 1.2)}[lobes]
    parts = lobed(rng, lobes, radius, pitch=radius * 2.55, strand=0.36, turn=turn)
    return _with_nucleus(canvas, "neutrophil", place_lobes(rng, parts, edge, 0.5), _clumped(canvas), lobes)


def _eosinophil(canvas: Canvas, edge: Outline) -> Painting:
    rng, depth = canvas.rng, canvas.inside(edge)
    cell = soft(depth)
    # Pale blue shows where no granules lie.
    canvas.lay(cell, CYTOPLASM["lymphocyte"].at(0.4 * canvas.noise(0.6) - 0.2))
    packed = np.clip(1.15 - 0.35 * np.maximum(canvas.noise(1.5), 0), 0, 1)
    cover, tone = canvas.granules(packed, 0.46, 0.32, 0.2)
    grain = 0.5 * tone + 0.6 * canvas.noise(0.18) + 0.4 * canvas.noise(1.0)
    canvas.lay(cover * soft(depth - 0.1), CYTOPLASM["eosinophil"].at(grain + 0.1))
    canvas.tint(0.7 * canvas.noise(0.4) + 0.9, EOSIN)
    parts = lobed(rng, 2, 2.55, pitch=6.1, strand=0.42, turn=0.5)
    return _with_nucleus(canvas, "eosinophil", place_lobes(rng, parts, edge, 1.5), _clumped(canvas), 2)


def _basophil(canvas: Canvas, edge: Outline) -> Painting:
    rng, depth = canvas.rng, canvas.inside(edge)
    canvas.lay(soft(depth - 0.2), CYTOPLASM["basophil"].at(0.5 * canvas.noise(0.3) - 0.2))
    parts = lobed(rng, 2, 3.1, pitch=4.0, strand=1.8, turn=0.5)
    painted = _with_nucleus(
        canvas, "basophil", place_lobes(rng, parts, edge, 0.3), 0.4 * _clumped(canvas) - 0.6, 2
    )
    # Granules lie over the nucleus too, and give the cell a beaded rim.
    patchy = np.clip(0.75 + 0.25 * canvas.noise(1.0), 0, 1)
    cover, tone = canvas.granules(soft(depth - 0.15, 0.05) * patchy, 0.46, 0.3, 0.35)
    canvas.lay(cover * 0.9, NUCLEUS["basophil"].at(0.8 * tone + 0.2))
    return painted


def _lymphocyte(canvas: Canvas, edge: Outline) -> Painting:
    rng, depth = canvas.rng, canvas.inside(edge)
    canvas.lay(
        soft(depth), CYTOPLASM["lymphocyte"].at(0.5 * canvas.noise(0.2) + 0.8 * near(depth, 0.1, 0.3) + 0.3)
    )
    nucleus = Outline.draw(rng, 2 * edge.radius_um * rng.uniform(0.8, 0.86), 0.12, 0.025)
    shift = polar(rng.uniform(0.25, 0.5), rng.uniform(0, 2 * np.pi))
    inner = np.minimum(canvas.inside(nucleus, shift), depth - 0.15)
    smudged = 0.2 * _clumped(canvas) + 0.4 * canvas.noise(0.9)
    return _with_nucleus(canvas, "lymphocyte", inner, smudged, 1)


def _monocyte(canvas: Canvas, edge: Outline) -> Painting:
    rng, depth = canvas.rng, canvas.inside(edge)
    cell = soft(depth, 0.2)
    ground = 0.8 * canvas.noise(0.15) + 0.4 * canvas.noise(0.5) + 0.6 * near(depth, 0.2, 0.5)
    canvas.lay(cell, CYTOPLASM["monocyte"].at(0.6 * ground + 0.3))
    cover, _ = canvas.granules(np.full_like(cell, 0.12), 0.5, 0.12)
    _add_fine_granules(canvas, 0.3 * cover * cell)
    where = soft(depth - 1.2, 0.3)
    cover, _ = canvas.granules(where * 0.06, 0.9, 0.4, 0.35)
    canvas.density *= (1 - 0.85 * cover)[..., None]
    parts = bean(rng, edge.radius_um)
    return _with_nucleus(
        canvas,
        "monocyte",
        place_lobes(rng, parts, edge, 0.6),
        _strands(canvas, 0.13) - 0.7,
        1,
        ruffle_um=0.25,
    )


def _blast(canvas: Canvas, edge: Outline) -> Painting:
    rng, depth = canvas.rng, canvas.inside(edge)
    ground = 0.4 * canvas.noise(0.2) + 0.4 * canvas.noise(1.2) + 1.3 * near(depth, 0.1, 0.5)
    canvas.lay(soft(depth), CYTOPLASM["blast"].at(ground + 0.5))
    nucleus = Outline.draw(rng, 2 * edge.radius_um * np.sqrt(rng.uniform(0.76, 0.84)), 0.12, 0.035)
    shift = polar(rng.uniform(0.3, 0.6), rng.uniform(0, 2 * np.pi))
    inner = np.minimum(canvas.inside(nucleus, shift), depth - 0.2)
    fine = 0.7 * _strands(canvas, 0.1)
    for _ in range(int(rng.integers(1, 4))):
        place = polar(nucleus.radius_um * rng.uniform(0.1, 0.6), rng.uniform(0, 2 * np.pi))
        spot = canvas.inside(Outline.draw(rng, rng.uniform(1.7, 2.7), 0.15, 0.04), place)
        fine += 0.6 * near(spot, -0.2, 0.3) - (0.7 * fine + 1.2) * soft(spot, 0.3)
    return _with_nucleus(canvas, "blast", inner, fine, 1)


PAINTERS: dict[str, Callable[[Canvas, Outline], Painting]] = {
    RED_CELL: _red_cell,
    PLATELET: _platelet,
    "neutrophil": _neutrophil,
    "eosinophil": _eosinophil,
    "basophil": _basophil,
    "lymphocyte": _lymphocyte,
    "monocyte": _monocyte,
    "blast": _blast,
}


def _with_nucleus(
    canvas: Canvas,
    label: str,
    nucleus: Plane | list[Capsule],
    chromatin: Reals,
    lobes: int,
    ruffle_um: float = 0.15,
) -> Painting:
    """Paint the nucleus with its darker rim.

    At the rim chromatin lines the membrane and the light passes it edgeways.
    """
    depth = canvas.capsules(nucleus, ruffle_um) if isinstance(nucleus, list) else nucleus
    rim = 1.1 * near(depth, 0.12, 0.22)
    canvas.lay(soft(depth, 0.13), NUCLEUS[label].at(chromatin + rim))
    return Painting(canvas.density, float((depth > 0).sum()) * UM_PER_PX**2, lobes)


def _add_fine_granules(canvas: Canvas, amount: Reals) -> None:
    canvas.density += (amount[..., None] * np.array(FINE_GRANULE)).astype(np.float32)


def _clumped(canvas: Canvas) -> Plane:
    """Return dense chromatin: evenly dark with light specks."""
    gaps = np.maximum(canvas.noise(0.16) + 0.4 * canvas.noise(0.4), 0.4)
    return unit(0.35 * canvas.noise(0.12) + 0.3 * canvas.noise(0.7) - gaps) + np.float32(0.1)


def _strands(canvas: Canvas, grain_um: float) -> Plane:
    """Return open chromatin: a dark net on a light ground."""
    net = np.maximum(canvas.noise(grain_um) + 0.5 * canvas.noise(2 * grain_um), -1.2)
    return unit(net + 0.3 * canvas.noise(1.2))
