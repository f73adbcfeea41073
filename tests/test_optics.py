"""Geometry: what is resampled returns to its place, keeps its colour and has its size in micrometres."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeleuk.errors import ScaleError
from edgeleuk.imaging.resampling import Resampling, crop_um, resize
from edgeleuk.types import Image, Scale

sides = st.integers(1, 6000)
um_per_px = st.floats(0.03, 1.0)


def scale_of(x: float, y: float) -> Scale:
    return Scale(x, y, "red cells", 0.05)


scales = st.builds(scale_of, um_per_px, um_per_px)


def disc(width: int, height: int, scale: Scale, centre_um: tuple[float, float], diameter_um: float) -> Image:
    """A dark disc on white, round in micrometres, its edge smooth over about a pixel."""
    y, x = np.mgrid[:height, :width] + 0.5
    distance = np.hypot(x * scale.um_per_px_x - centre_um[0], y * scale.um_per_px_y - centre_um[1])
    ramp = np.clip((diameter_um / 2 - distance) / max(scale.um_per_px_x, scale.um_per_px_y) + 0.5, 0, 1)
    return np.repeat((255 - 255 * ramp).round().astype(np.uint8)[..., None], 3, axis=2)


def measured(image: Image) -> tuple[float, float, float, float]:
    """Centre x and y, width and height of a dark disc in pixels, from the moments of its darkness.

    The standard deviation of a uniform disc along an axis is a quarter of its diameter.
    """
    dark = 255.0 - image[..., 0]
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    total = dark.sum()
    cx, cy = (dark * x).sum() / total, (dark * y).sum() / total
    width = 4 * np.sqrt((dark * (x - cx) ** 2).sum() / total)
    height = 4 * np.sqrt((dark * (y - cy) ** 2).sum() / total)
    return float(cx), float(cy), float(width), float(height)


@given(sides, sides, scales, st.floats(0.1, 0.5), st.lists(st.tuples(*[st.floats(0, 1)] * 4), max_size=5))
def test_boxes_there_and_back_return_to_their_place(
    width: int, height: int, scale: Scale, target: float, shares: list[tuple[float, ...]]
) -> None:
    """Whatever the size and the squeeze, a box comes back within a hundredth of a pixel."""
    try:
        resampling = Resampling.to_scale(width, height, scale, target)
    except ScaleError:
        assert width * scale.um_per_px_x / target * height * scale.um_per_px_y / target > 119e6
        return
    boxes = (np.array(shares).reshape(-1, 4) * [width, height, width, height]).astype(np.float32)
    there = resampling.forward(boxes)
    assert there.dtype == resampling.back(there).dtype == np.float32
    np.testing.assert_allclose(resampling.back(there), boxes, atol=0.01)
    limit = np.array([resampling.width, resampling.height] * 2)
    assert (there <= limit * (1 + 1e-6)).all()


@given(sides, sides, scales, st.floats(0.1, 0.5))
def test_a_whole_picture_maps_onto_a_whole_picture(
    width: int, height: int, scale: Scale, target: float
) -> None:
    """The span 0 to W maps onto the span 0 to W', also after rounding to whole pixels."""
    if width * height * scale.um_per_px**2 / target**2 > 119e6:
        return
    resampling = Resampling.to_scale(width, height, scale, target)
    there = resampling.forward(np.array([[0, 0, width, height]], np.float32))
    np.testing.assert_allclose(there, [[0, 0, resampling.width, resampling.height]], rtol=1e-6)
    assert abs(resampling.width - max(width * scale.um_per_px_x / target, 1)) <= 0.5
    assert abs(resampling.height - max(height * scale.um_per_px_y / target, 1)) <= 0.5


def test_no_boxes_stay_no_boxes() -> None:
    """An empty field has boxes of shape (0, 4) at any scale."""
    resampling = Resampling.to_scale(100, 80, Scale.given(0.1), 0.25)
    assert resampling.back(np.zeros((0, 4), np.float32)).shape == (0, 4)


def test_a_mistaken_scale_is_refused_before_memory_is_taken() -> None:
    """A 12-megapixel picture at 5 um per pixel would become 4800 megapixels at the finder's scale."""
    with pytest.raises(
        ScaleError, match=r"20\.0 x 15\.0 mm, more than any objective does\. Check --um-per-px"
    ):
        Resampling.to_scale(4000, 3000, Scale.given(5), 0.25)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(1, 300),
    st.tuples(*[st.integers(0, 255)] * 3),
)
def test_a_constant_picture_stays_constant(
    width: int, height: int, new_width: int, new_height: int, colour: tuple[int, int, int]
) -> None:
    """Resizing invents no colour, whichever axis grows or shrinks."""
    image = np.full((height, width, 3), colour, np.uint8)
    resized = resize(image, new_width, new_height)
    assert resized.shape == (new_height, new_width, 3)
    assert resized.dtype == np.uint8
    assert (resized == np.array(colour, np.uint8)).all()


@given(st.integers(0, 2**32 - 1), st.integers(2, 90), st.integers(2, 90))
def test_levels_are_averages(seed: int, one: int, other: int) -> None:
    """Each is the mean over its share of the row or column, to within half a level and OpenCV's float32 weights."""
    length, target = max(one, other), min(one, other)
    row = np.random.default_rng(seed).integers(0, 256, (3, length), np.uint8)
    edges = np.arange(target + 1) * length / target
    starts, ends = (
        np.maximum.outer(edges[:-1], np.arange(length)),
        np.minimum.outer(edges[1:], np.arange(1, length + 1)),
    )
    expected = row @ (np.clip(ends - starts, 0, None) * target / length).T
    assert np.abs(resize(row, target, 3) - expected).max() <= 0.5001
    assert np.abs(resize(row.T.copy(), 3, target).T - expected).max() <= 0.5001


def averaged(image: Image, axis: int, target: int) -> Image:
    """A picture reduced along an axis by float64 averages alone, near halves made equal first."""
    size = (target, image.shape[0]) if axis else (image.shape[1], target)
    mean = cv2.resize(image.astype(np.float64), size, interpolation=cv2.INTER_AREA)
    reduced: Image = np.rint(np.rint(mean * 2.0**20) / 2.0**20).astype(np.uint8)
    return reduced


def pattern(kind: str, height: int, width: int, channels: int, seed: int) -> Image:
    """Levels that make averages of all sorts: noise, few levels (many halves), a slope, stripes of extremes."""
    rng = np.random.default_rng(seed)
    shape = (height, width, channels) if channels else (height, width)
    y, x = np.mgrid[:height, :width] + int(rng.integers(0, 256))
    plane = {
        "slope": (x + 3 * y) // 5 % 256,
        "stripes": ((x + y) % 2) * 255,
        "blocks": ((x // 7 + y // 3) % 2) * 255,
    }
    if kind in plane:
        levels = plane[kind][..., None] if channels else plane[kind]
        return np.broadcast_to(levels, shape).astype(np.uint8)
    return rng.integers(*{"noise": (0, 256), "few": (128, 131)}[kind], shape).astype(np.uint8)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["noise", "few", "slope", "stripes", "blocks"]),
    st.tuples(*[st.integers(1, 400)] * 2),
    st.tuples(*[st.integers(1, 400)] * 2),
    st.sampled_from([0, 2, 3, 4]),
    st.integers(0, 2**32 - 1),
)
def test_levels_are_those_of_float64(
    kind: str, height: tuple[int, int], width: tuple[int, int], channels: int, seed: int
) -> None:
    """Every level is that of an average in float64, whatever the sizes, the axis, the channels and the picture."""
    image = pattern(kind, max(height), max(width), channels, seed)
    expected = image
    for axis, target in ((1, min(width)), (0, min(height))):
        if image.shape[axis] % target:
            expected = averaged(expected, axis, target)
        elif target < image.shape[axis]:  # whole pixels in each: OpenCV adds integers
            size = (target, expected.shape[0]) if axis else (expected.shape[1], target)
            expected = resize(expected, *size, exact=False)
    np.testing.assert_array_equal(resize(image, min(width), min(height)), expected)


@pytest.mark.parametrize(
    ("length", "target"),
    [(1280, 1003), (4, 3), (400, 300), (720, 565), (8000, 2977), (4032, 31), (97, 96), (3, 2)],
)
def test_levels_are_those_of_float64_at_sizes_of_cameras(length: int, target: int) -> None:
    """Also where a picture is much larger, or shrinks by a ratio whose averages are often halves."""
    image = pattern("noise", 70, length, 3, 1)
    np.testing.assert_array_equal(resize(image, target, 70), averaged(image, 1, target))
    turned = image.transpose(1, 0, 2).copy()
    np.testing.assert_array_equal(resize(turned, 70, target), averaged(turned, 0, target))


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 6000), st.integers(1, 6000), st.integers(0, 2**32 - 1))
def test_float32_is_as_near_as_is_relied_on(one: int, other: int, seed: int) -> None:
    """Averages in float32 lie within taps x 2^-15 of those in float64: where they leave no doubt, no processor differs."""
    length, target = max(one, other), min(one, other)
    row = np.random.default_rng(seed).integers(200, 256, (1, length)).astype(np.float64)
    exact = cv2.resize(row, (target, 1), interpolation=cv2.INTER_AREA)
    quick = cv2.resize(row.astype(np.float32), (target, 1), interpolation=cv2.INTER_AREA)
    assert np.abs(quick - exact).max() <= (-(-length // target) + 1) * 2.0**-15


def test_the_same_size_is_the_same_picture() -> None:
    """A picture at its model's scale already is not touched."""
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    np.testing.assert_array_equal(resize(image, 50, 40), image)


@pytest.mark.parametrize(("width", "height"), [(64, 256), (256, 64), (64, 64), (64, 400), (400, 64)])
def test_shrinking_does_not_alias(width: int, height: int) -> None:
    """Lines of 1 in 4 pixels become a quarter of their strength, along whichever axis shrinks; none falls through."""
    y, x = np.mgrid[:256, :256]
    lines = ((x if width < 256 else y) % 4 == 0) * 200
    image = np.repeat(lines.astype(np.uint8)[..., None], 3, axis=2)
    np.testing.assert_array_equal(resize(image, width, height), 50)


@settings(max_examples=40, deadline=None)
@given(
    st.builds(scale_of, st.floats(0.03, 0.5), st.floats(0.03, 0.5)),
    st.floats(0.15, 0.3),
    st.floats(6, 16),
    st.floats(0.35, 0.65),
    st.floats(0.35, 0.65),
)
def test_a_disc_measures_the_same_after_resampling(
    scale: Scale, target: float, diameter: float, share_x: float, share_y: float
) -> None:
    """A disc of a known size in um has that size, is round and lies in its place at the model's scale."""
    width, height = round(40 / scale.um_per_px_x), round(40 / scale.um_per_px_y)
    centre = (share_x * 40, share_y * 40)
    image = disc(width, height, scale, centre, diameter)
    resampling = Resampling.to_scale(width, height, scale, target)
    x, y, across, down = measured(resampling.apply(image))
    smooth = max(scale.um_per_px_x, scale.um_per_px_y, target)
    assert across * target == pytest.approx(diameter, abs=0.25 * smooth + 0.02 * diameter)
    assert down * target == pytest.approx(diameter, abs=0.25 * smooth + 0.02 * diameter)
    assert (x * target, y * target) == pytest.approx(centre, abs=0.25 * smooth + 0.005 * 40)


@settings(max_examples=40, deadline=None)
@given(st.builds(scale_of, st.floats(0.03, 0.3), st.floats(0.03, 0.3)), st.floats(8, 16))
def test_a_crop_shows_a_round_cell_in_its_middle(scale: Scale, diameter: float) -> None:
    """At any squeeze a cell is round, has its size, and stands in the middle within a pixel of the picture."""
    width, height = round(60 / scale.um_per_px_x), round(60 / scale.um_per_px_y)
    centre_um = (31.7, 28.3)
    image = disc(width, height, scale, centre_um, diameter)
    centre = (centre_um[0] / scale.um_per_px_x, centre_um[1] / scale.um_per_px_y)
    crop = crop_um(image, scale, centre, 0.2, 96)
    assert crop.shape == (96, 96, 3)
    x, y, across, down = measured(crop)
    slack = max(scale.um_per_px_x, scale.um_per_px_y) / 0.2
    assert (x, y) == pytest.approx((48, 48), abs=0.6 * slack + 0.1)
    assert across * 0.2 == pytest.approx(diameter, rel=0.03, abs=0.2 * slack)
    assert down * 0.2 == pytest.approx(diameter, rel=0.03, abs=0.2 * slack)


@pytest.mark.parametrize(
    "centre", [(0.5, 0.5), (199.5, 0.5), (0.5, 149.5), (199.5, 149.5), (100, 0.5), (0.5, 75), (100, 75)]
)
@pytest.mark.parametrize("squeeze", [1.0, 0.6, 1.7])
def test_the_middle_of_a_crop_is_its_centre_at_borders_too(
    centre: tuple[float, float], squeeze: float
) -> None:
    """The colour at the centre, which tells the place, is in the middle of the crop; outside, the edge repeats."""
    y, x = np.mgrid[:150, :200]
    image = np.dstack([x, y, np.full_like(x, 90)]).astype(np.uint8)
    crop = crop_um(image, scale_of(0.2, 0.2 * squeeze), centre, 0.2, 96)
    middle = crop[47:49, 47:49].astype(float).mean(axis=(0, 1))
    assert middle[:2] == pytest.approx(np.subtract(centre, 0.5), abs=0.76)
    half = 48 / np.array([1, squeeze])
    low, high = np.maximum(np.subtract(centre, half), 0), np.minimum(centre + half, [200, 150]) - 1
    assert crop[0, 0, :2].astype(float) == pytest.approx(low, abs=1.5)
    assert crop[-1, -1, :2].astype(float) == pytest.approx(high, abs=1.5)
    assert (crop[..., 2] == 90).all()


def test_a_crop_larger_than_the_picture_is_filled_by_its_edges() -> None:
    """A small picture gives a whole crop, of its own background colour."""
    image = np.full((70, 64, 3), (230, 200, 210), np.uint8)
    crop = crop_um(image, Scale.given(0.02), (5, 69), 0.2, 96)
    assert crop.shape == (96, 96, 3)
    assert (crop == (230, 200, 210)).all()


@pytest.mark.parametrize("centre", [(3, 60), (197, 60), (100, 4), (100, 147), (2, 148)])
def test_a_crop_for_people_is_grey_beyond_the_picture(centre: tuple[int, int]) -> None:
    """What the picture shows is where it is for a network; beyond its edge nothing is made up."""
    rng = np.random.default_rng(3)
    image = cv2.resize(rng.integers(150, 256, (15, 20, 3)).astype(np.uint8), (200, 150))
    plain = crop_um(image, Scale.given(0.2), centre, 0.2, 96, 128)
    repeated = crop_um(image, Scale.given(0.2), centre, 0.2, 96)
    y, x = np.mgrid[:96, :96] - 48
    there = (x + centre[0] >= 0) & (x + centre[0] < 200) & (y + centre[1] >= 0) & (y + centre[1] < 150)
    assert (plain[~there] == 128).all()
    assert (~there).any()
    np.testing.assert_array_equal(plain[there], repeated[there])


def test_a_crop_equals_the_same_part_of_the_resampled_picture() -> None:
    """Resampling a crop and cropping a resampled picture give the same, where the pixels fall together."""
    rng = np.random.default_rng(1)
    image = cv2.resize(rng.integers(0, 256, (20, 30, 3)).astype(np.uint8), (600, 400))
    whole = Resampling.to_scale(600, 400, Scale.given(0.1), 0.2).apply(image)
    crop = crop_um(image, Scale.given(0.1), (300, 200), 0.2, 96)
    np.testing.assert_array_equal(crop, whole[100 - 48 : 100 + 48, 150 - 48 : 150 + 48])
