"""Morphometry on painted cells of known size, and on real ones."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeleuk.analysis.morphometry import (
    Box,
    Segmentation,
    _assess,
    _solid,
    _unfit,
    count_lobes,
    measure,
    segment,
)
from edgeleuk.imaging.resampling import Resampling
from edgeleuk.lab.evaluation.datasets import load_fields
from edgeleuk.types import Image, Morphometry, Scale

GLASS, CYTOPLASM, CHROMATIN, RED_CELL = (232, 226, 236), (196, 182, 220), (92, 52, 140), (214, 152, 150)
FIELD_UM = 30.0
FINE = 0.025
"""Micrometres per pixel that shapes are painted at, before averaging to the picture's own."""

Disc = tuple[float, float, float]
"""x, y, radius in micrometres from the middle of the picture."""


def paint(canvas: Image, discs: list[Disc], colour: tuple[int, int, int]) -> None:
    """Fill `discs` on a canvas at FINE."""
    for x, y, radius in discs:
        middle = (round((FIELD_UM / 2 + x) / FINE), round((FIELD_UM / 2 + y) / FINE))
        cv2.circle(canvas, middle, round(radius / FINE), colour, -1)


def measured(image: Image, scale: Scale, box: Box) -> Morphometry:
    """The one cell in `box`."""
    return measure(image, scale, [box])[0]


def picture(
    cell: Disc = (0, 0, 7),
    nucleus: list[Disc] | None = None,
    red_cells: list[Disc] | None = None,
    um_per_px: tuple[float, float] = (0.1, 0.1),
    chromatin: tuple[int, int, int] = CHROMATIN,
) -> tuple[Image, Scale, Box]:
    """One painted white cell on bare glass, its scale, and the box a finder draws around it."""
    side = round(FIELD_UM / FINE)
    canvas = np.full((side, side, 3), GLASS, np.uint8)
    paint(canvas, red_cells or [], RED_CELL)
    paint(canvas, [cell], CYTOPLASM)
    paint(canvas, [(0, 0, 4)] if nucleus is None else nucleus, chromatin)
    width, height = round(FIELD_UM / um_per_px[0]), round(FIELD_UM / um_per_px[1])
    image = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    scale = Scale(FIELD_UM / width, FIELD_UM / height, "given", 0.0)
    half = cell[2] * 1.08
    left, right = (FIELD_UM / 2 + cell[0] + side_um for side_um in (-half, half))
    top, bottom = (FIELD_UM / 2 + cell[1] + side_um for side_um in (-half, half))
    box = (
        left / scale.um_per_px_x,
        top / scale.um_per_px_y,
        right / scale.um_per_px_x,
        bottom / scale.um_per_px_y,
    )
    return image, scale, box


def strand(start: tuple[float, float], end: tuple[float, float], width: float) -> list[Disc]:
    """A bar between two points, as overlapping discs."""
    return [(*np.array(start) + t * np.subtract(end, start), width / 2) for t in np.linspace(0, 1, 60)]


def arc(radius: float, width: float, degrees: float) -> list[Disc]:
    """A bent bar about the middle of the picture: a kidney, or a band."""
    angles = np.radians(np.linspace(-degrees / 2, degrees / 2, 90))
    return [(radius * np.cos(a), radius * np.sin(a), width / 2) for a in angles]


def mask_of(discs: list[Disc], um_per_px: float = 0.125) -> NDArray[np.bool_]:
    """The discs as a mask at `um_per_px`."""
    side = round(FIELD_UM / FINE)
    canvas = np.zeros((side, side, 3), np.uint8)
    paint(canvas, discs, (255, 255, 255))
    small = round(FIELD_UM / um_per_px)
    return cv2.resize(canvas[..., 0], (small, small), interpolation=cv2.INTER_AREA) > 127


def assert_alike(one: Morphometry, other: Morphometry, share: float = 0.03) -> None:
    """Both are whole measurements, of the same cell up to `share`."""
    assert one.reason is None
    assert other.reason is None
    assert one.lobes == other.lobes
    for name in ("diameter_um", "cell_area_um2", "nucleus_area_um2", "nc_ratio"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=share), name


# --- painted cells: exact sizes -----------------------------------------------------------------------------


@pytest.mark.parametrize(("cell", "nucleus"), [(4.5, 3.8), (6.0, 3.0), (7.0, 4.0), (9.5, 6.0)])
def test_a_disc_in_a_disc_is_measured_to_three_per_cent(cell: float, nucleus: float) -> None:
    """Areas, diameter and ratio of a painted cell are those it was painted with."""
    found = measured(*picture((0, 0, cell), [(0, 0, nucleus)]))
    assert found.reason is None
    assert found.diameter_um == pytest.approx(2 * cell, rel=0.015)
    assert found.cell_area_um2 == pytest.approx(np.pi * cell**2, rel=0.03)
    assert found.nucleus_area_um2 == pytest.approx(np.pi * nucleus**2, rel=0.03)
    assert found.nc_ratio == pytest.approx(nucleus**2 / cell**2, rel=0.03)
    assert found.lobes == 1


def test_touching_red_cells_are_left_out() -> None:
    """Red cells that press on the cell from three sides change its area by under 3 %."""
    neighbours = [(10.4, 0, 3.6), (-7.5, 7.5, 3.6), (0, -10.4, 3.6)]
    assert_alike(measured(*picture()), measured(*picture(red_cells=neighbours)))


def test_the_middle_of_a_ring_is_not_nucleus() -> None:
    """Cytoplasm that a ring-shaped nucleus encloses does not count as nucleus."""
    ring = arc(3.5, 2.0, 360)
    found = measured(*picture(nucleus=ring))
    assert found.nucleus_area_um2 == pytest.approx(np.pi * (4.5**2 - 2.5**2), rel=0.04)


def test_cells_measured_together_are_each_measured_as_alone() -> None:
    """What stands beside a cell in the list, fit or unfit, changes nothing of it."""
    image, scale, box = picture(red_cells=[(9, 2, 3.6)])
    x1, y1, x2, y2 = box
    boxes = [box, (0.0, y1, x2, y2), (x1 + 2, y1 - 1, x2 + 3, y2), (x1, y1, x1 + 10, y1 + 10)]
    assert measure(image, scale, boxes) == [measured(image, scale, each) for each in boxes]


def test_outlines_come_back_in_frame_pixels() -> None:
    """The outline drawn on a squeezed frame lies where the cell was painted."""
    image, scale, box = picture((2, -1, 6), [(2, -1, 3)], um_per_px=(0.2, 0.1))
    found = segment(image, scale, [box])[0]
    (outline,) = found.outlines(found.cell)
    reach = np.concatenate([outline.min(axis=0), outline.max(axis=0)]) * np.tile([0.2, 0.1], 2) - FIELD_UM / 2
    assert reach == pytest.approx([-4, -7, 8, 5], abs=0.2)
    (inner,) = found.outlines(found.nucleus)
    assert inner.mean(axis=0) * [0.2, 0.1] - FIELD_UM / 2 == pytest.approx([2, -1], abs=0.1)


# --- lobes --------------------------------------------------------------------------------------------------

TWO = [(-2.6, 0, 1.9), (2.6, 0, 1.9)]
SHAPES = {
    "a disc": ([(0, 0, 3)], 1),
    "a kidney": (arc(2.5, 3.0, 140), 1),
    "a band": (arc(3.2, 2.2, 230), 1),
    "two discs on a thin strand": ([*TWO, *strand((-2, 0), (2, 0), 0.6)], 2),
    "two discs on a thick bridge": ([*TWO, *strand((-2, 0), (2, 0), 2.2)], 1),
    "two discs apart": (TWO, 2),
    "three in a row": ([(-3.6, 0, 1.5), (0, 1, 1.5), (3.6, 0, 1.5), *strand((-3.6, 0), (3.6, 0), 0.5)], 3),
    "a big and a small one": ([(-2, 0, 2.8), (3, 0, 1.2), *strand((-2, 0), (3, 0), 0.5)], 2),
    "four around": ([(x, y, 1.4) for x in (-2, 2) for y in (-2, 2)], 4),
    "seven around": ([(4 * np.cos(a), 4 * np.sin(a), 1.1) for a in np.arange(7) * 2 * np.pi / 7], 5),
}


@pytest.mark.parametrize(("discs", "lobes"), SHAPES.values(), ids=SHAPES.keys())
def test_lobes_are_counted_by_the_rule_of_thirds(discs: list[Disc], lobes: int) -> None:
    """Bodies are lobes where what joins them is narrower than a third; more than five are five."""
    assert count_lobes(mask_of(discs)) == lobes


@pytest.mark.parametrize(("neck", "lobes"), [(0.28, 2), (0.4, 1), (0.48, 1)])
def test_the_neck_between_two_lobes_is_under_a_third_of_them(neck: float, lobes: int) -> None:
    """Discs of 2.4 um radius, 9.6 um apart, on a bridge of that share of their width."""
    bridge = strand((-3, 0), (3, 0), neck * 4.8)
    assert count_lobes(mask_of([(-4.8, 0, 2.4), (4.8, 0, 2.4), *bridge], 0.05), 0.05) == lobes


@pytest.mark.parametrize(("discs", "lobes"), SHAPES.values(), ids=SHAPES.keys())
def test_lobes_survive_the_way_through_a_picture(discs: list[Disc], lobes: int) -> None:
    """The same shapes, painted into a cell and segmented again, have the same lobes."""
    assert measured(*picture(nucleus=discs)).lobes == lobes


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_a_ragged_edge_makes_no_lobe(seed: int) -> None:
    """A disc whose edge is frayed by half a micrometre is one lobe."""
    rng = np.random.default_rng(seed)
    bumps = [(3 * np.cos(a), 3 * np.sin(a), rng.uniform(0.1, 0.5)) for a in rng.uniform(0, 2 * np.pi, 25)]
    assert count_lobes(mask_of([(0, 0, 3), *bumps])) == 1


# --- what must not matter -----------------------------------------------------------------------------------

cells = st.builds(
    lambda radius, share, angle, off: (
        (0.0, 0.0, radius),
        [
            (
                off * np.cos(angle) * radius * (1 - share),
                off * np.sin(angle) * radius * (1 - share),
                radius * share,
            )
        ],
    ),
    radius=st.floats(4.5, 9),
    share=st.floats(0.45, 0.85),
    angle=st.floats(0, 6.28),
    off=st.floats(0, 0.8),
)


@settings(deadline=None, max_examples=15)
@given(shape=cells, turns=st.integers(0, 3), mirror=st.booleans())
def test_turning_and_mirroring_change_nothing(
    shape: tuple[Disc, list[Disc]], turns: int, mirror: bool
) -> None:
    """A picture turned by right angles or mirrored gives the same measurements."""
    image, scale, (x1, y1, x2, y2) = picture(*shape)
    side = image.shape[0]
    turned, box = image, (x1, y1, x2, y2)
    for _ in range(turns):
        turned = np.rot90(turned)
        box = (box[1], side - box[2], box[3], side - box[0])
    if mirror:
        turned, box = turned[:, ::-1], (side - box[2], box[1], side - box[0], box[3])
    assert_alike(
        measured(image, scale, (x1, y1, x2, y2)), measured(np.ascontiguousarray(turned), scale, box), 0.02
    )


@settings(deadline=None, max_examples=15)
@given(shape=cells, um_per_px=st.floats(0.05, 0.25))
def test_the_scale_of_the_picture_changes_nothing(shape: tuple[Disc, list[Disc]], um_per_px: float) -> None:
    """The same cell taken with a finer or a coarser camera measures the same in micrometres."""
    assert_alike(
        measured(*picture(*shape)), measured(*picture(*shape, um_per_px=(um_per_px, um_per_px))), 0.04
    )


@settings(deadline=None, max_examples=15)
@given(shape=cells, squeeze=st.floats(0.5, 1.0))
def test_a_squeezed_picture_measures_like_a_square_one(
    shape: tuple[Disc, list[Disc]], squeeze: float
) -> None:
    """Pixels that are wider than high, as in 16:9 frames made square, change nothing."""
    assert_alike(measured(*picture(*shape)), measured(*picture(*shape, um_per_px=(0.1 / squeeze, 0.1))), 0.04)


@settings(deadline=None, max_examples=15)
@given(gains=st.tuples(*[st.floats(0.5, 1.05)] * 3))
def test_the_colour_of_the_lamp_changes_nothing(gains: tuple[float, float, float]) -> None:
    """A dim or tinted lamp gives the same measurements: densities are relative to bare glass."""
    image, scale, box = picture(red_cells=[(10.4, 0, 3.6)])
    tinted = np.clip(image * np.array(gains), 0, 255).astype(np.uint8)
    assert_alike(measured(image, scale, box), measured(tinted, scale, box))


# --- not measurable -----------------------------------------------------------------------------------------


def test_a_cell_at_the_edge_is_not_measured() -> None:
    """The picture's edge cuts the cell: nothing is told, and why."""
    image, scale, (x1, y1, x2, y2) = picture()
    cut = image[:, round(x1) + 20 :]
    found = measured(cut, scale, (0.0, y1, x2 - round(x1) - 20, y2))
    assert found == Morphometry(reason="the picture's edge cuts the cell")


def test_a_picture_too_coarse_is_not_measured() -> None:
    """Above 0.8 um per pixel nothing is told."""
    assert measured(*picture(um_per_px=(1.0, 1.0))) == Morphometry(reason="the picture is too coarse")


def test_a_coarse_picture_gives_diameter_and_ratio_but_no_lobes() -> None:
    """What can be told is told, and the reason names the rest."""
    found = measured(*picture(um_per_px=(0.4, 0.4)))
    assert found.diameter_um == pytest.approx(14, rel=0.03)
    assert found.nc_ratio == pytest.approx(16 / 49, rel=0.06)
    assert found.lobes is None
    assert found.reason == "the picture is too coarse to count lobes"


def test_a_coarser_picture_gives_the_diameter_only() -> None:
    """Between 0.6 and 0.8 um per pixel the nucleus is not told."""
    found = measured(*picture(um_per_px=(0.7, 0.7)))
    assert found.diameter_um == pytest.approx(14, rel=0.04)
    assert found.nucleus_area_um2 is found.nc_ratio is found.lobes is None
    assert found.reason == "the picture is too coarse to tell the nucleus"


@pytest.mark.parametrize("half_um", [1.0, 14.0])
def test_a_box_of_no_white_cells_size_is_not_measured(half_um: float) -> None:
    """A box of 2 um, or of 56 um at a wrong scale, holds no white cell."""
    image, scale, _ = picture()
    half, middle = half_um / 0.1, 150.0
    doubled = Scale.given(scale.um_per_px * (2 if half_um > 2 else 1))
    found = measured(image, doubled, (middle - half, middle - half, middle + half, middle + half))
    assert found == Morphometry(reason="the box is no white cell's size")


def test_bare_glass_is_not_measured() -> None:
    """A box with nothing in it has no outline."""
    _, scale, box = picture()
    noise = np.random.default_rng(0).normal(230, 3, (300, 300, 3)).astype(np.uint8)
    assert measured(noise, scale, box).reason == "the cell's outline cannot be told from what surrounds it"


def test_an_outline_unlike_its_box_is_not_believed() -> None:
    """A cell that fills a third of its box is another cell than the finder meant."""
    image, scale, _ = picture((0, 0, 4), [(0, 0, 2.5)])
    found = measured(image, scale, (80.0, 80.0, 220.0, 220.0))
    assert found == Morphometry(reason="the cell's outline does not fit its box")


def test_a_pale_stain_gives_the_diameter_only() -> None:
    """A nucleus as pale as noise is not told from its cytoplasm."""
    pale = picture(chromatin=(190, 176, 216))
    found = measured(*pale)
    assert found.diameter_um == pytest.approx(14, rel=0.03)
    assert found.nc_ratio is None
    assert found.reason == "the stain is too pale to tell the nucleus"


def test_a_red_cell_has_no_nucleus() -> None:
    """A red cell that the finder took for a white one is no darker than its neighbours."""
    discs = [(0, 0, 3.6), (7.6, 0, 3.6), (-7.6, 0, 3.6), (0, 7.6, 3.6)]
    image, scale, _ = picture(nucleus=[], cell=(0, 0, 0.1), red_cells=discs)
    found = measured(image, scale, (111.0, 111.0, 189.0, 189.0))
    assert found.diameter_um == pytest.approx(7.2, rel=0.05)
    assert found.reason == "nothing in the cell is darker than what surrounds it"


def test_a_nucleus_that_cytoplasm_does_not_set_off_is_not_measured() -> None:
    """Clumps of chromatin, or granules, must not be taken for the border of a nucleus."""
    image, scale, box = picture((0, 0, 6), [(0, 0, 6)])
    clumps = cv2.resize(np.random.default_rng(1).normal(1.2, 0.3, (20, 20)), (300, 300))[..., None]
    clumped = np.where(image[..., 1:2] < 140, np.clip(image * clumps, 0, 255), image).astype(np.uint8)
    found = measured(clumped, scale, box)
    assert found.diameter_um == pytest.approx(12, rel=0.04)
    assert found.nc_ratio is found.lobes is None
    assert found.reason == "nucleus and cytoplasm are equally dark"


def test_a_speck_is_no_nucleus() -> None:
    """A dark granule of 1.6 um in a large cell is too small to be its nucleus."""
    found = measured(*picture((0, 0, 8), [(0, 0, 0.8)]))
    assert found.diameter_um == pytest.approx(16, rel=0.03)
    assert found.reason == "the dark part is too small for a nucleus"


# --- real cells ---------------------------------------------------------------------------------------------


@pytest.mark.data
def test_real_lymphocytes_are_small_with_a_large_nucleus(data: Path) -> None:
    """On CellaVision fields N:C ratio and diameter part lymphocytes from granulocytes, as in the
    textbooks."""
    root = data / "fields"
    samples, _ = load_fields(root / "txl_val.json", root / "images")
    found: dict[str, list[Morphometry]] = {}
    for sample in (s for s in samples if s.source == "pbc"):
        image = cv2.cvtColor(cv2.imread(str(sample.path)), cv2.COLOR_BGR2RGB)
        for (x1, y1, x2, y2), subtype in zip(sample.boxes.tolist(), sample.subtypes, strict=True):
            if subtype:
                found.setdefault(subtype, []).append(measured(image, Scale.given(0.102), (x1, y1, x2, y2)))

    def median(subtype: str, name: str) -> float:
        return float(np.median([getattr(m, name) for m in found[subtype] if m.reason is None]))

    everything = [m for group in found.values() for m in group]
    assert sum(m.reason is None for m in everything) >= 0.8 * len(everything)
    assert median("lymphocyte", "nc_ratio") > 0.7
    assert median("neutrophil", "nc_ratio") < 0.5
    assert median("eosinophil", "nc_ratio") < 0.5
    assert median("lymphocyte", "diameter_um") < median("neutrophil", "diameter_um") < 15


# --- what is believed: the limits of each doubt -------------------------------------------------------------


def segmentation(nucleus: NDArray[np.bool_] | None = None, **numbers: float) -> Segmentation:
    """A cell of 14 um with a round nucleus of 8 um, as sure as can be, but for the numbers that are named."""
    sure = {
        "box_fill": 0.85,
        "support": 2.0,
        "nucleus_density": 0.5,
        "nucleus_split": 0.5,
        "nucleus_contrast": 2.0,
    }
    cell = mask_of([(0, 0, 7)])
    inner = mask_of([(0, 0, 4)]) if nucleus is None else nucleus
    resampling = Resampling(1.0, 1.0, *cell.shape)
    return Segmentation(cell, inner, (0, 0), resampling, 0.125**2, **(sure | numbers))


SQUARE = Scale.given(0.125)


@pytest.mark.parametrize(
    ("number", "good", "bad", "reason"),
    [
        ("support", 0.7, 0.69, "outline cannot be told"),
        ("box_fill", 0.6, 0.59, "does not fit its box"),
        ("box_fill", 1.15, 1.16, "does not fit its box"),
        ("nucleus_density", 0.12, 0.119, "too pale"),
        ("nucleus_contrast", 1.15, 1.14, "nothing in the cell is darker"),
    ],
)
def test_what_is_not_sure_enough_is_not_believed(number: str, good: float, bad: float, reason: str) -> None:
    """On the limit it is, beyond it the reason is given."""
    assert _assess(segmentation(**{number: good}), SQUARE).reason is None
    assert reason in (_assess(segmentation(**{number: bad}), SQUARE).reason or "")


def test_a_ragged_nucleus_is_believed_where_it_is_set_off() -> None:
    """One that is hardly darker than the cytoplasm must be compact."""
    ragged = mask_of(strand((-4, 0), (4, 0), 1.6) + strand((0, -4), (0, 4), 1.6))
    assert _assess(segmentation(nucleus_split=0.83), SQUARE).reason is None
    assert _assess(segmentation(ragged, nucleus_split=0.82), SQUARE).reason is None
    assert "equally dark" in (_assess(segmentation(ragged, nucleus_split=0.83), SQUARE).reason or "")


@pytest.mark.parametrize(("notch", "believed"), [(1.6, True), (2.6, False)])
def test_a_compact_nucleus_fills_its_hull(notch: float, believed: bool) -> None:
    """To nine tenths and a little: a notch of a tenth of its area is too much."""
    bitten = mask_of([(0, 0, 4)]) & ~mask_of([(4, 0, notch)])
    assert (_assess(segmentation(bitten, nucleus_split=0.9), SQUARE).reason is None) is believed


def test_a_nucleus_is_a_twentieth_of_the_cell_at_least() -> None:
    """What is smaller is a granule."""
    assert _assess(segmentation(mask_of([(0, 0, 1.6)])), SQUARE).reason is None
    assert "too small" in (_assess(segmentation(mask_of([(0, 0, 1.5)])), SQUARE).reason or "")


@pytest.mark.parametrize(("side", "reason"), [(3.9, True), (4.1, False), (39.5, False), (40.5, True)])
def test_a_box_has_a_white_cells_size(side: float, reason: bool) -> None:
    """4 to 40 um a side."""
    image = np.full((500, 500, 3), GLASS, np.uint8)
    box = (10.0, 10.0, 10.0 + side / 0.1, 10.0 + side / 0.1)
    told = measured(image, Scale.given(0.1), box).reason or ""
    assert ("no white cell's size" in told) is reason


@pytest.mark.parametrize(
    ("um_per_px", "known"), [(0.3, 4), (0.31, 3), (0.6, 3), (0.61, 1), (0.8, 1), (0.81, 0)]
)
def test_a_coarse_picture_tells_less(um_per_px: float, known: int) -> None:
    """First lobes are not told, then the nucleus, then nothing."""
    image, _, _ = picture()
    scale = Scale.given(um_per_px)
    found = _unfit(image, scale, (100.0, 100.0, 100 + 12 / um_per_px, 100 + 12 / um_per_px))
    judged = Morphometry(reason=found) if found else _assess(segmentation(), scale)
    values = (judged.diameter_um, judged.nucleus_area_um2, judged.nc_ratio, judged.lobes)
    assert sum(value is not None for value in values) == known


@pytest.mark.parametrize(("area", "filled"), [(1.3, True), (1.7, False)])
def test_a_small_hole_in_a_nucleus_is_pale_chromatin(area: float, filled: bool) -> None:
    """A larger one is the middle of a ring."""
    whole = mask_of([(0, 0, 4)])
    hole = mask_of([(0, 0, (area / np.pi) ** 0.5)])
    solid = _solid(whole & ~hole)
    assert bool((solid == whole).all()) is filled


@pytest.mark.parametrize(("half_width", "kept"), [(0.5, False), (0.65, True)])
def test_what_is_too_narrow_for_a_lobe_is_left_out(half_width: float, kept: bool) -> None:
    """A granule or a strand beside the nucleus."""
    lobe, beside = mask_of([(-2, 0, 2)]), mask_of([(3, 0, half_width)])
    solid = _solid(lobe | beside)
    assert bool((solid & beside).any()) is kept
    assert bool((solid & lobe).any())
