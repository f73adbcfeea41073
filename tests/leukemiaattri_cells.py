"""Painted cells of LeukemiaAttri's fourteen types with its seven attributes, each known and to be seen.

They look as the textbooks say in words, not as real cells do: a network that reads them has learnt what was in
the pictures, and nothing about patients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from edgeleuk.lab.importing.vocabulary import ATTRIBUTES
from edgeleuk.simulation.nuclei import bean, lobed, place_lobes, polar
from edgeleuk.simulation.paint import Painting, paint
from edgeleuk.simulation.shapes import Canvas, Outline, Plane, near, soft, unit
from edgeleuk.simulation.smear_layout import Smear, TrueCell
from edgeleuk.simulation.stain import CYTOPLASM, NUCLEUS, Stain
from edgeleuk.types import PLATELET, RED_CELL, WHITE_CELL

DIAMETERS_UM = {"small": (9.0, 10.2), "medium": (12.2, 14.6), "large": (17.6, 19.0)}
"""By the area rule at 0.25 x 0.14 um per pixel: small up to 11.2 um, large from 16.7 um."""
PINK = Stain((0.13, 0.27, 0.14), (0.19, 0.44, 0.16))
PURPLE = Stain((0.36, 0.62, 0.17), (0.50, 0.95, 0.19))
ORANGE = Stain((0.10, 0.42, 0.36), (0.16, 0.62, 0.52))


@dataclass(frozen=True)
class Habit:
    """What tells a type, and its attributes in their usual order of codes."""

    nucleus: str
    codes: tuple[int, int, int, int, int, int, int]
    granules: Stain | None = None
    packed: float = 0.0


HABITS: Mapping[str, Habit] = {
    "myeloblast": Habit("round", (1, 0, 0, 1, 0, 1, 0), PURPLE, 0.12),
    "lymphoblast": Habit("round", (0, 0, 0, 0, 0, 1, 0)),
    "neutrophil": Habit("lobes", (1, 1, 1, 0, 1, 0, 0), PINK, 0.25),
    "atypical_lymphocyte": Habit("notched", (1, 1, 1, 0, 1, 1, 1)),
    "promonocyte": Habit("folded", (1, 0, 1, 1, 1, 0, 0)),
    "monoblast": Habit("round", (2, 0, 0, 1, 1, 1, 1)),
    "lymphocyte": Habit("round", (0, 1, 0, 0, 0, 0, 0)),
    "myelocyte": Habit("aside", (1, 1, 0, 0, 1, 0, 0), PINK, 0.6),
    "abnormal_promyelocyte": Habit("folded", (2, 0, 1, 1, 1, 1, 0), PURPLE, 0.8),
    "monocyte": Habit("bean", (2, 1, 1, 0, 1, 0, 1)),
    "metamyelocyte": Habit("bean", (1, 1, 1, 0, 1, 0, 0), PINK, 0.6),
    "eosinophil": Habit("two", (1, 1, 1, 0, 1, 0, 0), ORANGE, 0.95),
    "basophil": Habit("two", (1, 1, 1, 0, 1, 0, 0), PURPLE, 0.97),
    "none": Habit("torn", (4, 4, 4, 4, 4, 4, 4)),
}
"""In the order of the documented class ids, None last."""
VARY = 0.3
"""Share of cells whose attribute is not the usual one, for each attribute but size and shape."""


@dataclass(frozen=True)
class Look:
    """One white cell as it is painted."""

    label: str
    painted: str
    """Type that is painted: another than `label` where a leukocyte was named None."""
    attributes: Mapping[str, str]
    """Empty for None."""


def draw_look(label: str, rng: np.random.Generator) -> Look:
    """Draw the attributes of a cell; three of ten None are leukocytes."""
    painted = label
    if label == "none" and rng.random() < 0.3:
        painted = str(rng.choice([name for name in HABITS if name != "none"]))
    codes = dict(zip(ATTRIBUTES, HABITS[painted].codes, strict=True))
    for name in (
        "nuclear_chromatin",
        "nucleoli",
        "cytoplasm",
        "cytoplasmic_basophilia",
        "cytoplasmic_vacuoles",
    ):
        if painted != "none" and rng.random() < VARY:
            codes[name] = 1 - codes[name]
    told = {name: ATTRIBUTES[name].values[code] for name, code in codes.items() if code != 4}
    return Look(label, painted, told)


def edge_of(look: Look, rng: np.random.Generator) -> Outline:
    """Draw the outline of a cell."""
    low, high = DIAMETERS_UM[look.attributes.get("cell_size", "medium")]
    return Outline.draw(rng, float(rng.uniform(low, high)), 0.06, 0.02)


def paint_look(look: Look, rng: np.random.Generator) -> Painting:
    """Paint a cell; the same generator gives the outline of `edge_of` first."""
    edge = edge_of(look, rng)
    canvas = Canvas(rng, edge.reach_um)
    if look.painted == "none":
        return _torn(canvas, edge)
    habit, told = HABITS[look.painted], look.attributes
    depth = canvas.inside(edge)
    tone = (0.9 if told["cytoplasmic_basophilia"] == "moderate" else -1.2) + 0.3 * canvas.noise(0.5)
    blue = CYTOPLASM["blast" if told["cytoplasmic_basophilia"] == "moderate" else "lymphocyte"]
    canvas.lay(soft(depth), blue.at(tone + 0.6 * near(depth, 0.1, 0.4)))
    if habit.granules is not None:
        _granules(canvas, depth, habit.granules, habit.packed)
    inner = _nucleus(canvas, edge, look)
    canvas.lay(soft(inner, 0.13), NUCLEUS["lymphocyte"].at(_chromatin(canvas, inner, told)))
    if habit.packed > 0.9 and habit.granules is PURPLE:
        _granules(canvas, depth, habit.granules, 0.5)
    if told["cytoplasmic_vacuoles"] == "prominent":
        _vacuoles(canvas, depth, inner)
    return Painting(canvas.density, 1.0, 1)


def _granules(canvas: Canvas, depth: Plane, stain: Stain, packed: float) -> None:
    cover, tone = canvas.granules(soft(depth - 0.3) * np.float32(packed), 0.62, 0.28, 0.25)
    canvas.lay(0.9 * cover, stain.at(0.5 * tone + 0.3))


def _vacuoles(canvas: Canvas, depth: Plane, inner: Plane) -> None:
    where = soft(depth - 0.8, 0.2) * (1 - soft(inner + 0.2, 0.2))
    cover, _ = canvas.granules(where * 0.75, 1.5, 0.55, 0.2)
    canvas.density *= (1 - 0.95 * cover)[..., None]


def _chromatin(canvas: Canvas, inner: Plane, told: Mapping[str, str]) -> Plane:
    rng = canvas.rng
    if told["nuclear_chromatin"] == "coarse":
        tone = 0.9 + 0.9 * np.sign(unit(canvas.noise(0.5)))
    else:
        tone = -1.2 + 0.3 * unit(canvas.noise(0.15))
    if told["nucleoli"] == "prominent":
        for _ in range(2):
            place = polar(float(rng.uniform(0.5, 1.6)), float(rng.uniform(0, 2 * np.pi)))
            spot = canvas.inside(Outline.draw(rng, 2.1, 0.1, 0.02), place)
            tone = tone * (1 - soft(spot, 0.2)) - 3.0 * soft(spot, 0.2) + 2.5 * near(spot, -0.15, 0.25)
    return tone + 0.8 * near(inner, 0.12, 0.25)


def _nucleus(canvas: Canvas, edge: Outline, look: Look) -> Plane:
    """Depth within the nucleus; scanty cytoplasm leaves a rim alone."""
    rng, radius = canvas.rng, edge.radius_um
    share = 0.86 if look.attributes["cytoplasm"] == "scanty" else 0.66
    form, rough = HABITS[look.painted].nucleus, 0.02
    if form == "lobes":
        parts = lobed(rng, 3, 0.24 * radius, 0.62 * radius, 0.3, 1.4)
        return canvas.capsules(place_lobes(rng, parts, edge, 0.4), 0.1)
    if form == "two":
        parts = lobed(rng, 2, 0.34 * radius, 0.85 * radius, 0.4, 0.4)
        return canvas.capsules(place_lobes(rng, parts, edge, 0.4), 0.1)
    if form == "bean":
        return canvas.capsules(place_lobes(rng, bean(rng, radius * share / 0.8), edge, 0.4), 0.1)
    shift = polar((0.3 if form == "aside" else 0.05) * radius, float(rng.uniform(0, 2 * np.pi)))
    depth = canvas.inside(Outline.draw(rng, 2 * radius * share, 0.08, rough), shift)
    if form in ("folded", "notched"):
        angle = float(rng.uniform(0, 2 * np.pi))
        for turn in (0.0, 2.4) if form == "notched" else (0.0,):
            bite = canvas.inside(
                Outline.draw(rng, 0.75 * radius, 0.2, 0.02), polar(share * radius, angle + turn)
            )
            depth = np.minimum(depth, -bite)
    return np.minimum(depth, canvas.inside(edge) - 0.2)


def _torn(canvas: Canvas, edge: Outline) -> Painting:
    """A smeared nucleus without a cell around it."""
    depth = canvas.inside(edge)
    patchy = np.clip(0.5 + 0.35 * canvas.noise(1.2), 0, 0.9)
    canvas.lay(soft(depth, 1.6) * patchy, NUCLEUS["blast"].at(-0.8 + 0.5 * canvas.noise(0.3)))
    return Painting(canvas.density, 1.0, 1)


@dataclass(frozen=True, slots=False)
class LeukaemicSmear(Smear):
    """A region with white cells of the fourteen types."""

    looks: Mapping[int, Look]

    def paint(self, cell: TrueCell) -> Painting:
        rng = generator(self.seed, cell.id)
        return paint_look(self.looks[cell.id], rng) if cell.id in self.looks else paint(cell.kind, rng)


def generator(seed: int, number: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(7, number)))


def place(seed: int, width_um: float, height_um: float, looks: list[Look], reds: int) -> LeukaemicSmear:
    """Place white cells first, then red cells and a few platelets where there is room."""
    rng = np.random.default_rng(seed)
    kinds: list[Look | str] = [*looks, *[RED_CELL] * reds, *[PLATELET] * (reds // 12)]
    cells: list[TrueCell] = []
    for number, each in enumerate(kinds):
        white = isinstance(each, Look)
        own = generator(seed, number)
        edge = edge_of(each, own) if isinstance(each, Look) else _thin_edge(each, own)
        if found := _room(rng, edge, cells, white, (width_um, height_um)):
            x, y = found
            x1, y1, x2, y2 = edge.box
            cells.append(
                TrueCell(
                    number,
                    WHITE_CELL if white else str(each),
                    each.label if isinstance(each, Look) else None,
                    x,
                    y,
                    (x + x1, y + y1, x + x2, y + y2),
                    2 * edge.radius_um,
                )
            )
    there = {cell.id for cell in cells}
    kept = {i: look for i, look in enumerate(looks) if i in there}
    return LeukaemicSmear(seed, width_um, height_um, tuple(cells), kept)


def _thin_edge(name: str, rng: np.random.Generator) -> Outline:
    from edgeleuk.simulation.paint import outline

    return outline(name, rng)


def _room(
    rng: np.random.Generator, edge: Outline, cells: list[TrueCell], white: bool, size: tuple[float, float]
) -> tuple[float, float] | None:
    margin = edge.reach_um + 0.8 if white else 0.0
    for _ in range(300):
        x, y = (float(rng.uniform(margin, side - margin)) for side in size)
        if all(np.hypot(x - c.x_um, y - c.y_um) > 1.04 * (edge.radius_um + c.diameter_um / 2) for c in cells):
            return x, y
    return None


def with_label(look: Look, label: str) -> Look:
    return replace(look, label=label)
