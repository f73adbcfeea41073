"""Calibration from pictures whose truth is known: simulated smears, empty fields and rulings of one device."""

from __future__ import annotations

import json
import os
import pty
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from mjpeg_server import Server, jpeg
from program import run

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.calibration.device import Pictures, calibrate
from edgeleuk.calibration.smear import red_cell_ruler
from edgeleuk.cli._interview import still
from edgeleuk.device import profiles
from edgeleuk.errors import InputError, UsageError
from edgeleuk.lab.evaluation.ruled_glass import Ruled, ruled
from edgeleuk.simulation.smear import Optics, Smear, Stage
from edgeleuk.sources import open_source
from edgeleuk.sources.capture import Capture
from edgeleuk.sources.pictures.reading import decode
from edgeleuk.types import Frame

LAMP = Optics(light_rgb=(235.0, 205.0, 150.0), vignette=0.4)
WHITE = {"neutrophil": 2, "lymphocyte": 2, "monocyte": 1}
SIZE = (640, 480)


def taken(seed: int, um_per_px: float = 0.1, cells: bool = True) -> Frame:
    """A field of the device, 64 x 48 um at 0.1 um per pixel; empty without `cells`."""
    size = SIZE[0] * um_per_px, SIZE[1] * um_per_px
    smear = Smear.generate(seed, *size, WHITE) if cells else Smear(seed, *size, ())
    return Stage(smear, um_per_px, SIZE, optics=LAMP).field()


def saved(path: Path, pixels: np.ndarray) -> Path:
    cv2.imwrite(str(path), pixels[..., ::-1])
    return path


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ruling, an empty field and three smear fields."""
    folder = tmp_path_factory.mktemp("device")
    saved(folder / "ruling.png", ruled(Ruled((0.1, 0.1), width=SIZE[0], height=SIZE[1], angle=0.3)))
    saved(folder / "blank.png", taken(1, cells=False).pixels)
    for seed in range(3):
        saved(folder / f"smear{seed}.png", taken(seed).pixels)
    return folder


@pytest.mark.parametrize("um_per_px", [0.09, 0.13])
def test_scale_from_red_cells_is_within_three_percent(analyser: Analyser, um_per_px: float) -> None:
    """Of simulated cells of known size, over three fields together: by their rims, within 3 % (by boxes, to 7 %)."""
    ruler = red_cell_ruler([taken(seed, um_per_px) for seed in (20, 21, 22)], analyser.finder)
    assert ruler.um_per_px_x == pytest.approx(um_per_px, rel=0.03)
    assert ruler.um_per_px_y == pytest.approx(um_per_px, rel=0.03)


def test_a_device_is_measured_from_files_and_used(device: Path, tmp_path: Path) -> None:
    """The profile holds every part; analyze takes scale and magnification from it; a second one needs --force."""
    where = {"EDGELEUK_PROFILES": str(tmp_path)}
    asked = (
        "calibrate", "bench", "--micrometer", device / "ruling.png", "--spacing-um", 10,
        "--blank", device / "blank.png", "--smear", device / "smear*.png",
    )  # fmt: skip
    done = run(*asked, **where)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    (path,) = tmp_path.iterdir()
    profile = profiles.load(str(path))
    assert profile.scale and profile.light and profile.stain and profile.usual
    assert profile.scale.um_per_px_x == pytest.approx(0.1, rel=0.005)
    assert profile.light.grid[0, 0, 2] / profile.light.grid[6, 8, 2] == pytest.approx(0.6, abs=0.03)
    before = path.read_text()
    again = run(*asked, **where)
    assert (again.returncode, path.read_text()) == (2, before)
    assert "--force" in again.stderr

    analysed = run("analyze", device / "smear0.png", "--profile", "bench", "--json", **where)
    assert analysed.returncode == 0, analysed.stderr
    (image,) = json.loads(analysed.stdout)["images"]
    assert (image["profile"], image["scale"]["source"]) == ("bench", "profile")
    wrong = run("analyze", device / "smear0.png", "--profile", "bench", "--mag", "40x", **where)
    assert wrong.returncode == 2
    assert "is of a 100x objective" in wrong.stderr


def asked(answers: Sequence[str], profiles_folder: Path, *options: str) -> tuple[int, str]:
    """The interview on a terminal, answered line by line; its exit code, and what it said."""
    leader, follower = pty.openpty()
    os.write(leader, "".join(f"{each}\n" for each in answers).encode())
    done = run("calibrate", "bench", *options, stdin=follower, EDGELEUK_PROFILES=str(profiles_folder))
    os.close(leader)
    os.close(follower)
    return done.returncode, " ".join(done.stderr.split())


def test_a_person_is_asked_step_by_step(device: Path, tmp_path: Path) -> None:
    """On a terminal without options: objective, ruling, spacing, light and stain, a wrong file asked for again."""
    answers = ("", "nowhere.png", f'"{device}/ruling.png"', "10", f'"{device}/blank.png"', "")
    code, said = asked(answers, tmp_path)
    assert code == 0, said
    for text in ("Scale. Put a stage micrometer", "nowhere.png does not exist", "Light. Move", "Stain. Take"):
        assert text in said
    profile = profiles.load(str(tmp_path / "bench.toml"))
    assert profile.light is not None
    assert profile.stain is None


def test_an_answer_that_cannot_be_used_is_asked_for_again(device: Path, tmp_path: Path) -> None:
    """At every question, with the reason; what was answered before stays."""
    answers = (
        "50x", "100x",
        f"{device}/blank.png", "10", f"{device}/ruling.png", "-3", "10",  # no ruling in it; no distance
        f"{device}/smear0.png", '"unclosed', f"{tmp_path}/square.png", "usb:97", f"{device}/blank.png",
        f"{device}/blank.png", f"{device}/smear*.png",  # no cells in it
    )  # fmt: skip
    saved(tmp_path / "square.png", taken(1, cells=False).pixels[:, :480])
    code, said = asked(answers, tmp_path)
    assert code == 0, said
    for text in (
        "50x", "no ruling", "-3 is outside", "measured: 0.1 um per pixel", "darker than the rest", "is not closed",
        "is of another shape", "no /dev/video97", "show 0 white",
    ):  # fmt: skip
        assert text in said
    profile = profiles.load(str(tmp_path / "bench.toml"))
    assert profile.scale and profile.light and profile.stain
    assert profile.scale.um_per_px_x == pytest.approx(0.1, rel=0.005)


@pytest.fixture(scope="module")
def laid() -> Iterator[None]:
    """The slide of the simulated camera, whose thousands of cells are placed once."""
    place, placed = Smear.place, dict[str, Smear]()

    def once(*request: object) -> Smear:
        if repr(request) not in placed:
            placed[repr(request)] = place(*request)  # type: ignore[arg-type]
        return placed[repr(request)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Smear, "place", once)
        yield


@pytest.mark.usefixtures("laid", "painted_once")
@pytest.mark.parametrize(
    ("answer", "options"), [("simulated:6", ()), ("camera", ("--source", "simulated:6"))]
)
def test_pictures_are_taken_from_the_camera(answer: str, options: tuple[str, ...], tmp_path: Path) -> None:
    """One each time that Enter is pressed, beside pictures from files; a word that means nothing takes none."""
    size = (1280, 720)
    saved(tmp_path / "ruling.png", ruled(Ruled((0.1, 0.1), width=size[0], height=size[1], angle=0.3)))
    answers = ("", f"{tmp_path}/ruling.png", "10", "", answer, "", "what", "", "", "d")
    code, said = asked(answers, tmp_path, *options)
    assert code == 0, said
    assert said.count("taken: 1280 x 720 px") == 3
    assert "Smear fields, picture 4" in said
    profile = profiles.load(str(tmp_path / "bench.toml"))
    assert profile.scale and profile.stain
    assert profile.scale.measured_on == "micrometer"
    assert profile.stain.fields == 3


@pytest.mark.usefixtures("laid")
def test_questions_that_are_all_skipped_make_no_profile(tmp_path: Path) -> None:
    """A camera that takes nothing is an empty answer too."""
    code, said = asked(("", "", "simulated:6", "d", ""), tmp_path)
    assert code == 2
    assert "every question was skipped" in said
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_saved_is_told_before_a_question(tmp_path: Path) -> None:
    """A file in the place of the folder: nobody answers in vain."""
    (tmp_path / "profiles").touch()
    code, said = asked((), tmp_path / "profiles" / "here")
    assert code == 6
    assert "cannot write" in said
    assert "Objective" not in said


def test_a_camera_beside_pictures_is_wrong_usage(device: Path, tmp_path: Path) -> None:
    """It would never be opened."""
    done = run(
        "calibrate", "bench", "--blank", device / "blank.png", "--source", "usb:0", EDGELEUK_PROFILES=str(tmp_path)
    )  # fmt: skip
    assert done.returncode == 2
    assert "--source is for questions" in done.stderr


def test_a_still_is_exposed_after_it_was_asked_for() -> None:
    """Of a camera that gives 50 frames a second, none that waited here or in its driver."""
    with Server() as server, Capture(lambda: open_source(server.url)) as capture:
        for _ in range(3):
            time.sleep(0.3)
            before = server.number
            taken_at = still(capture).pixels
            numbers = range(max(before - 20, 0), server.number + 2)
            (number,) = [n for n in numbers if np.array_equal(decode(jpeg(n), "frame"), taken_at)]
            assert number > before


def test_profiles_are_listed_shown_and_removed(tmp_path: Path, demo_frame: Frame) -> None:
    """Also one that cannot be read is listed; removing asks, unless told not to."""
    where = {"EDGELEUK_PROFILES": str(tmp_path)}
    assert "No profiles" in run("profiles", "list", **where).stdout
    size = profiles.Size(demo_frame.width, demo_frame.height)
    profiles.save(profiles.Profile(1, "bench", "40x", "2026", size), tmp_path / "bench.toml")
    (tmp_path / "broken.toml").write_text("schema = ")
    listed = json.loads(run("profiles", "list", "--json", **where).stdout)
    assert [each["name"] for each in listed] == ["bench", "broken"]
    assert "no TOML file" in listed[1]["error"]
    assert json.loads(run("profiles", "show", "bench", "--json", **where).stdout)["magnification"] == "40x"
    assert run("profiles", "remove", "bench", **where).returncode == 1
    assert (tmp_path / "bench.toml").exists()
    assert run("profiles", "remove", "bench", "--yes", **where).returncode == 0
    assert not (tmp_path / "bench.toml").exists()


def test_what_is_not_empty_or_not_ruled_is_refused(device: Path, analyser: Analyser) -> None:
    """A smear is no empty field, and a ruling without its spacing no scale."""
    smear, ruling = [device / "smear0.png"], [device / "ruling.png"]
    with pytest.raises(InputError, match="darker than the rest"):
        calibrate("bench", "100x", Pictures(blank=smear), None, analyser.finder)
    with pytest.raises(UsageError, match="--spacing-um"):
        calibrate("bench", "100x", Pictures(micrometer=ruling), None, analyser.finder)


def test_lines_in_one_direction_are_said_to_tell_one(device: Path, analyser: Analyser) -> None:
    """A squeeze cannot be told from them, and the note says how to."""
    notes = calibrate(
        "bench", "100x", Pictures(micrometer=[device / "ruling.png"]), 10.0, analyser.finder
    ).notes
    assert any("turned by 90 degrees" in note for note in notes)


def test_a_wrong_spacing_is_noticed(device: Path, analyser: Analyser) -> None:
    """Lines taken for 100 um apart make red cells ten times too wide, and the scale unusual: both are said."""
    pictures = Pictures(micrometer=[device / "ruling.png"], red_cells=[device / "smear0.png"])
    notes = calibrate("bench", "100x", pictures, 100.0, analyser.finder).notes
    assert any("unusual behind a 100x" in note for note in notes)
    assert any("um wide" in note for note in notes)
