"""Device profiles: what is stored, what is derived, and when a picture is another device's."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_field_of_view import in_black

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.device import colour, profiles
from edgeleuk.device.profiles import Light, Profile, Ruler, Size, Stain, Usual
from edgeleuk.errors import InputError, UsageError
from edgeleuk.imaging.field_of_view import find_ellipse, inside
from edgeleuk.imaging.resampling import resize
from edgeleuk.types import FieldOfView, Frame


def flat_light(level: float) -> Light:
    return Light.of(np.full((colour.ROWS, colour.COLUMNS, 3), level, np.float32))


def whole(frame: Frame) -> Profile:
    """A profile with every part, of the camera that took the demo picture at 0.1 um per pixel."""
    background = colour.background(frame.pixels)
    return Profile(
        1, "bench-2", "100x", "2026-01-01T00:00:00+00:00",
        Size(frame.width, frame.height),
        Ruler(0.1, 0.1, 0.002, "micrometer"),
        Light.of(colour.level_grid(background)),
        Stain(background, (0.22, 0.33, 0.19), (0.92, 2.0, 0.43), 12, 5),
        Usual(3.0, 0.9, 0.5, 0.3),
    )  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGELEUK_PROFILES", str(tmp_path / "profiles"))
    return tmp_path / "profiles"


def test_a_profile_comes_back_as_it_was_written(here: Path, demo_frame: Frame) -> None:
    """Every number survives the file; nothing half-written is left beside it, and each table says what it means."""
    profile = whole(demo_frame)
    path = profiles.path_of("bench-2")
    profiles.save(profile, path)
    assert profiles.load("bench-2") == profiles.load(str(path)) == profile
    assert [each.name for each in here.iterdir()] == ["bench-2.toml"]
    assert all("#" in line for line in path.read_text().splitlines() if line.startswith("["))


@pytest.mark.usefixtures("here")
def test_what_was_not_measured_is_absent_and_changes_nothing(demo_frame: Frame) -> None:
    """A profile of nothing but a scale leaves a picture's colours alone."""
    profile = replace(whole(demo_frame), light=None, stain=None, usual=None)
    profiles.save(profile, profiles.path_of("bench-2"))
    assert profiles.load("bench-2") == profile
    assert profile.corrected(demo_frame, None) is demo_frame


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("schema = 1", "schema = 2", "schema is 2"),
        ("um_per_px_x = 0.1", "um_per_px_x = 0.0", "scale is not above 0"),
        ("width = ", "breadth = ", "picture.width is missing"),
        ("um_per_px_y = 0.1", 'um_per_px_y = "0.1"', "not a number"),
        ("[light]", "[lamp]", "lamp is unknown"),
    ],
)
def test_a_malformed_file_is_named_with_its_fault(demo_frame: Frame, old: str, new: str, says: str) -> None:
    """One sentence tells which value is wrong."""
    path = profiles.path_of("bench-2")
    profiles.save(whole(demo_frame), path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=says):
        profiles.load("bench-2")


@pytest.mark.usefixtures("here")
def test_unknown_names_list_what_there_is(demo_frame: Frame) -> None:
    """And a name that would leave the folder is none."""
    profiles.save(whole(demo_frame), profiles.path_of("bench-2"))
    with pytest.raises(UsageError, match="Profiles here: bench-2"):
        profiles.load("bench-3")
    with pytest.raises(UsageError, match="no name for a profile"):
        profiles.path_of("../bench")


def test_scale_follows_the_resolution(demo_frame: Frame) -> None:
    """The same camera at half the resolution has pixels twice as large, and the same squeeze."""
    profile = replace(whole(demo_frame), scale=Ruler(0.1, 0.12, 0.002, "micrometer"))
    half = Frame(resize(demo_frame.pixels, demo_frame.width // 2, demo_frame.height // 2), "half")
    scale = profile.scale_of(half)
    assert scale
    assert (scale.um_per_px_x, scale.um_per_px_y) == pytest.approx((0.2, 0.24), rel=0.002)
    assert profile.doubt(half) is None


def test_exposure_is_no_doubt_but_colour_and_shape_are(demo_frame: Frame) -> None:
    """A darker picture of the device is its own; a bluer one or one of another shape is not."""
    profile = whole(demo_frame)
    darker = replace(demo_frame, pixels=(demo_frame.pixels * 0.7).astype(np.uint8))
    bluer = replace(demo_frame, pixels=(demo_frame.pixels * np.array([0.6, 0.9, 1.0])).astype(np.uint8))
    cut = replace(demo_frame, pixels=demo_frame.pixels[:, : demo_frame.width * 3 // 4])
    assert profile.doubt(darker) is None
    assert "another colour" in (profile.doubt(bluer) or "")
    assert "another shape" in (profile.doubt(cut) or "")


def test_a_vignetted_yellow_picture_is_put_right(demo_frame: Frame) -> None:
    """Under the profile of its lamp it looks like the picture that lamp took without shading, to 3 levels."""
    x, y = np.linspace(-1, 1, demo_frame.width)[None], np.linspace(-1, 1, demo_frame.height)[:, None]
    light = (1 - 0.4 * (x**2 + y**2) / 2)[..., None] * np.array([0.95, 0.9, 0.6])
    taken = replace(demo_frame, pixels=np.rint(demo_frame.pixels * light).astype(np.uint8))
    empty = np.rint(np.array(colour.background(demo_frame.pixels)) * light).astype(np.uint8)
    fit = colour.fit_light([empty])
    profile = replace(whole(demo_frame), light=Light.of(fit.grid), stain=None)
    plain = replace(whole(demo_frame), stain=None)
    mine, theirs = (
        p.corrected(f, None).pixels.astype(int) for p, f in ((profile, taken), (plain, demo_frame))
    )
    assert np.quantile(np.abs(mine - theirs), 0.95) <= 6
    assert np.abs((mine - theirs).mean(axis=(0, 1))).max() <= 3


def test_a_profile_gives_the_scale_and_is_named(analyser: Analyser, demo_frame: Frame) -> None:
    """The field says where its scale came from, and which profile was used; nothing speaks against it."""
    field = with_profile(analyser, whole(demo_frame)).analyse(demo_frame)
    assert (field.scale.source, field.profile) == ("profile", "bench-2")
    assert not any("profile" in text for text in field.warnings)


@pytest.mark.parametrize("times", [0.4, 0.6, 2.5])
def test_a_profile_of_another_zoom_warns_and_gives_way(
    analyser: Analyser, demo_frame: Frame, times: float
) -> None:
    """Red cells of another size than the profile has them: their own scale is used, and the user told."""
    profile = replace(whole(demo_frame), scale=Ruler(0.1 * times, 0.1 * times, 0.002, "micrometer"))
    field = with_profile(analyser, profile).analyse(demo_frame)
    assert field.scale.source == "red cells"
    assert field.scale.um_per_px == pytest.approx(0.1, rel=0.07)
    assert any("as large as profile bench-2 has them" in text for text in field.warnings)


def test_a_profile_of_another_camera_warns_and_is_not_used(analyser: Analyser, demo_frame: Frame) -> None:
    """Another background or shape: neither light nor scale of the profile touch the picture."""
    other = replace(
        whole(demo_frame),
        light=None,
        stain=Stain((120.0, 200.0, 230.0), (0.2, 0.3, 0.2), (0.9, 2.0, 0.4), 9, 3),
    )
    field = with_profile(analyser, other).analyse(demo_frame)
    assert (field.profile, field.scale.source) == (None, "red cells")
    assert any("another colour than profile bench-2" in text for text in field.warnings)


def test_a_picture_of_another_objective_says_so(analyser: Analyser, demo_frame: Frame) -> None:
    """Coarser than cameras behind a 100x objective give: the warning names the objective that fits."""
    small = Frame(
        cv2.resize(demo_frame.pixels, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA), "through 40x"
    )
    (found,) = [each for each in analyser.analyse(small).assessment.findings if each.code == "objective"]
    assert not found.severe
    assert "a pixel is 0.25 um" in found.text
    assert "if it was taken through 40x, use --mag 40x" in found.text
    assert "A reduced copy of a picture looks the same" in found.text
    assert analyser.analyse(demo_frame).assessment.findings == ()


def with_profile(analyser: Analyser, profile: Profile) -> Analyser:
    """The same networks, looking under a profile."""
    other = copy(analyser)
    other.profile = profile
    return other


def test_what_surrounds_a_view_stays_black(demo_frame: Frame) -> None:
    """A weaker gain of density would make it purple; the field of view is then told by nothing, and all beside it is counted."""
    field_of_view = FieldOfView(320.0, 240.0, 200.0, 200.0)
    picture = in_black(resize(demo_frame.pixels, 640, 480), field_of_view)
    profile = replace(
        whole(demo_frame), picture=Size(640, 480), stain=Stain((240.0, 225.0, 210.0), (0.44, 0.66, 0.38), (1.84, 4.0, 0.86), 12, 5)
    )  # fmt: skip
    fixed = profile.corrected(Frame(picture, "phone.jpg"), field_of_view).pixels
    found = find_ellipse(fixed)
    assert found
    assert found.share(640, 480) == pytest.approx(field_of_view.share(640, 480), rel=0.02)
    shown = inside(found, 640, 480)
    np.testing.assert_array_equal(fixed[~shown][::7], picture[~shown][::7])
    assert (fixed[shown] != picture[shown]).mean() > 0.5
