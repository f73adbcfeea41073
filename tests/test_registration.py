"""Where one picture lies against another, on simulated slides whose stage position is known."""

from __future__ import annotations

import numpy as np
import pytest

from edgeleuk.simulation.smear import Camera, Optics, Smear, Stage
from edgeleuk.slidemap.registration import Picture, register, register_turned, thumbnail
from edgeleuk.sources.simulated import OBJECTIVES
from edgeleuk.types import Scale

pytestmark = pytest.mark.usefixtures("painted_once")

THUMBNAILS = {"100x": 0.4, "40x": 0.8}


def stage(magnification: str, smear: Smear, **optics: float) -> Stage:
    objective = OBJECTIVES[magnification]
    lens = Optics(
        numerical_aperture=objective.optics.numerical_aperture,
        immersion_index=objective.optics.immersion_index,
        **optics,
    )
    return Stage(
        smear, objective.um_per_px, (960, 540), optics=lens, camera=Camera(exposure=0.9 if optics else 0.98)
    )


@pytest.fixture(scope="module")
def smears() -> dict[str, Smear]:
    sides = {name: (960 * each.um_per_px, 540 * each.um_per_px) for name, each in OBJECTIVES.items()}
    return {
        name: Smear.generate(
            3, 2.6 * sides[name][0], 2.6 * sides[name][1], {"neutrophil": 6, "lymphocyte": 3}
        )
        for name in THUMBNAILS
    }


def look(seen: Stage, magnification: str, x_um: float, y_um: float) -> tuple[Picture, np.ndarray]:
    seen.move_to(x_um, y_um)
    um = THUMBNAILS[magnification]
    grey = thumbnail(seen.field().pixels, Scale.given(float(seen.um_per_px[0])), um)
    return Picture(grey, um), np.array(seen.position_um)


@pytest.mark.parametrize("magnification", THUMBNAILS)
@pytest.mark.parametrize("share", [0.9, 0.5, 0.25])
def test_a_shift_is_found_within_a_third_of_a_micrometre(
    smears: dict[str, Smear], magnification: str, share: float
) -> None:
    """Whatever both pictures share, down to a quarter."""
    seen = stage(magnification, smears[magnification])
    x1, y1, _, _ = seen.limits_um
    width, height = (side * seen.um_per_px[0] for side in (960, 540))
    for across, down in ((1 - share, 0.0), (0.0, 1 - share), (1 - share**0.5, 1 - share**0.5)):
        first, at = look(seen, magnification, x1 + 5, y1 + 5)
        second, there = look(seen, magnification, x1 + 5 + across * width, y1 + 5 + down * height)
        match = register(first, second)
        assert match is not None
        found = np.array([match.x, match.y]) * THUMBNAILS[magnification]
        assert np.abs(found - (there - at)).max() < 0.33
        back = register(second, first)
        assert back is not None
        assert (back.x, back.y) == pytest.approx((-match.x, -match.y), abs=0.3)


@pytest.mark.parametrize("magnification", THUMBNAILS)
def test_unrelated_fields_are_not_matched(smears: dict[str, Smear], magnification: str) -> None:
    """A correlation always has a peak; where nothing is shared none is believed."""
    seen = stage(magnification, smears[magnification])
    x1, y1, x2, y2 = seen.limits_um
    corners = [look(seen, magnification, x, y)[0] for x in (x1, x2) for y in (y1, y2)]
    for i, first in enumerate(corners):
        for second in corners[i + 1 :]:
            assert register(first, second) is None
            assert register_turned(first, second) is None


def test_another_focus_and_exposure_are_borne(smears: dict[str, Smear]) -> None:
    """Half a micrometre out of focus and a tenth less light change no shift."""
    sharp, soft = stage("100x", smears["100x"]), stage("100x", smears["100x"], defocus_um=0.5)
    x1, y1, _, _ = sharp.limits_um
    first, at = look(sharp, "100x", x1 + 5, y1 + 5)
    second, there = look(soft, "100x", x1 + 45, y1 + 15)
    match = register(first, second)
    assert match is not None
    assert np.abs(np.array([match.x, match.y]) * 0.4 - (there - at)).max() < 0.33


@pytest.mark.parametrize("degrees", [-2.0, 1.0, 2.5])
def test_a_camera_turned_a_little_is_recognised(smears: dict[str, Smear], degrees: float) -> None:
    """A phone put back on the eyepiece sits a degree or two askew."""
    seen = stage("100x", smears["100x"])
    first, _ = look(seen, "100x", *np.array(seen.limits_um[:2]) + 5)
    match = register_turned(first, first.turned(np.radians(-degrees)))
    assert match is not None
    assert np.degrees(match.angle) == pytest.approx(degrees, abs=1.3)


def test_where_to_look_can_be_limited(smears: dict[str, Smear]) -> None:
    """A place far from where it is looked for is not found."""
    seen = stage("100x", smears["100x"])
    x1, y1, _, _ = seen.limits_um
    first, _ = look(seen, "100x", x1 + 5, y1 + 5)
    second, _ = look(seen, "100x", x1 + 45, y1 + 5)
    assert register(first, second, (100.0, 0.0, 10.0)) is not None
    assert register(first, second, (0.0, 0.0, 10.0)) is None


@pytest.mark.parametrize("turned", [False, True])
def test_pictures_of_different_shape_match(turned: bool) -> None:
    """A part of a picture lies where it was cut out, whichever of the two is the known one."""
    grey = np.random.default_rng(1).integers(0, 255, (180, 240)).astype(np.uint8)
    wide, high = Picture(grey[20:120], 0.4), Picture(grey[:, 60:160], 0.4)
    known, picture, place = (high, wide, (-60, 20)) if turned else (wide, high, (60, -20))
    match = register(known, picture)
    assert match is not None
    assert (match.x, match.y) == pytest.approx(place, abs=0.1)
    assert match.shared == pytest.approx(100 * 100 / (100 * 180))


def test_a_blank_picture_matches_nothing() -> None:
    """Without anything on it there is no evidence, and no division by zero."""
    blank = Picture(np.full((90, 160), 200, np.uint8), 0.4)
    assert register(blank, blank) is None
