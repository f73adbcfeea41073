"""A folder gives the same slide through `analyze`, `live --source FOLDER` and `eval slides`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest
from test_profiles import whole
from typer.testing import CliRunner

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.cli import app
from edgeleuk.device import profiles
from edgeleuk.device.profiles import Ruler, Size
from edgeleuk.types import Frame, Scale

ALIKE = (
    "n",
    "types",
    "groups",
    "outside",
    "red_cells",
    "platelets",
    "cut_by_edge",
    "unread",
    "attributes",
    "flags",
)
"""What the differentials of both commands must share."""


def run(*arguments: str, codes: tuple[int, ...] = (0,)) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code in codes, done.output
    return done.stdout


def analyzed(folder: Path, *options: str) -> dict[str, Any]:
    return json.loads(run("analyze", str(folder), "--json", "--no-keep", *options, codes=(0, 10)))


def lived(folder: Path, *options: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The differential that a live count of the folder ends with, and the session as it was kept."""
    lines = run("live", "--source", str(folder), "--json", *options).splitlines()
    session = json.loads(lines[0])["data"]["session"]
    kept = json.loads(run("sessions", "show", session, "--json"))
    return json.loads(lines[-1])["data"]["differential"], kept


def assert_same(folder: Path, *options: str) -> dict[str, Any]:
    """Cells, types, flags and area are the same; gives what `analyze` printed."""
    one = analyzed(folder, *options)
    other, kept = lived(folder, *options)
    for name in ALIKE:
        assert one["differential"][name] == other[name] == kept["differential"][name], name
    assert one["area_mm2"] == pytest.approx(kept["area_mm2"], rel=1e-9)
    return one


def linked(folder: Path, paths: list[Path]) -> Path:
    """A folder of links to pictures."""
    folder.mkdir()
    for path in paths:
        (folder / path.name).symlink_to(path)
    return folder


def slides(folder: Path, mag: str, tmp_path: Path) -> dict[str, int]:
    """Cells by label as `eval slides` counts the folder."""
    names = sorted(path.name for path in folder.iterdir())
    table = tmp_path / "slides.json"
    table.write_text(json.dumps([{"slide": "a", "fields": names, "cell_counts": {"neutrophil": 1}}]))
    report = json.loads(run("eval", "slides", str(table), "--images", str(folder), "--mag", mag, "--json"))
    return {label: n for label, n in report["slides"]["a"]["predicted"].items() if n}


def test_real_fields_of_a_slide(data: Path, tmp_path: Path) -> None:
    """Eight overlapping 40x fields, squeezed, at the scale that they have in common."""
    slide = json.loads((data / "slides" / "lld40x.json").read_text())[4]
    paths = [data / "slides" / "images" / "lld40x" / Path(name).name for name in slide["fields"][:8]]
    folder = linked(tmp_path / "fields", paths)
    one = assert_same(folder, "--mag", "40x")["differential"]
    counted = {label: share["count"] for label, share in one["types"].items()} | one["outside"]
    assert slides(folder, "40x", tmp_path) == {label: n for label, n in counted.items() if n}
    assert one["n"] > 0


def test_pictures_behind_an_eyepiece(data: Path, tmp_path: Path) -> None:
    """Four pictures of a phone, each with a field of view of its own."""
    paths = sorted((data / "fields" / "images" / "phone").iterdir())[:4]
    one = assert_same(linked(tmp_path / "phone", paths))
    assert all(image["aperture"] for image in one["images"])


def test_pictures_of_47_megapixels_at_a_given_scale(
    analyser: Analyser, demo_frame: Frame, tmp_path: Path
) -> None:
    """Two overlapping pictures, decoded at an eighth of their size, show the white cells that the plain one has."""
    for number, left in enumerate((0, 400)):
        part = cv2.resize(demo_frame.pixels[:760, left : left + 1200], (8640, 5472))
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), cv2.cvtColor(part, cv2.COLOR_RGB2BGR))
    one = assert_same(tmp_path, "--um-per-px", str(0.1 / 7.2))["differential"]
    plain = analyser.analyse(Frame(demo_frame.pixels[:760], "plain"), Scale.given(0.1))
    assert one["n"] + sum(one["outside"].values()) == sum(cell.reading is not None for cell in plain.cells)
    assert one["red_cells"] == pytest.approx(len(plain.of("RBC")), abs=2)


def test_pictures_under_a_profile(demo_frame: Frame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two halves of the demo with light, stain and scale of their device."""
    monkeypatch.setenv("EDGELEUK_PROFILES", str(tmp_path / "profiles"))
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, left in enumerate((0, 500)):
        part = cv2.cvtColor(demo_frame.pixels[:, left : left + 1100], cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / f"{number}.png"), part)
    profile = replace(whole(demo_frame), picture=Size(1100, 1200), scale=Ruler(0.1, 0.1, 0.002, "micrometer"))
    profiles.save(profile, profiles.path_of("bench-2"))
    one = assert_same(folder, "--profile", "bench-2")
    assert {image["profile"] for image in one["images"]} == {"bench-2"}
    assert {image["scale"]["source"] for image in one["images"]} == {"profile"}


def test_what_analyze_refuses_live_does_not_count(demo_frame: Frame, tmp_path: Path) -> None:
    """A blurred picture among two good ones: both leave it out, and count the others alike."""
    pixels = cv2.cvtColor(demo_frame.pixels, cv2.COLOR_RGB2BGR)
    for name, part in (
        ("a", pixels[:, :800]),
        ("b", cv2.GaussianBlur(pixels, (0, 0), 9)),
        ("c", pixels[:, 800:]),
    ):
        cv2.imwrite(str(tmp_path / f"{name}.png"), part)
    one = assert_same(tmp_path, "--um-per-px", "0.1")
    assert [Path(each["path"]).name for each in one["failures"]] == ["b.png"]
    assert len(one["images"]) == 2
