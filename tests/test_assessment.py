"""Measures against limits: which finding, how grave, and what the user is told."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.analysis.observation import Observation
from edgeleuk.cli import app
from edgeleuk.errors import InputError, QualityError, ScaleError
from edgeleuk.models.registry import Model
from edgeleuk.quality.assessment import (
    Limits,
    Rule,
    StreamLimits,
    field_measures,
    load_limits,
    to_assessment,
    worst_findings,
)
from edgeleuk.types import Detections, Field, FieldOfView, Frame, Scale

RULE = Rule(
    "focus", "rim_um", "below", "blurred over {measure} um, limit {limit} um.", {"any": 0.5}, {"100x": 0.8}
)
STREAM = StreamLimits(0.3, 2.0, 0.08)
LIMITS = Limits(
    1, STREAM, (RULE, Rule("dark", "light", "above", "only {measure}.", {"any": 30}, {"any": 10}))
)


def test_a_measure_on_the_good_side_of_its_limit_says_nothing() -> None:
    """Neither does one that stands on it, nor one that could not be measured."""
    assert worst_findings({"rim_um": 0.5, "light": 30}, "100x", LIMITS) == ()
    assert worst_findings({}, "100x", LIMITS) == ()


def test_past_the_first_limit_a_picture_is_warned_of_and_past_the_second_refused() -> None:
    """The finding carries measure, limit and text; an objective without a limit of its own takes that of any."""
    (warned,) = worst_findings({"rim_um": 0.6}, "100x", LIMITS)
    assert (warned.code, warned.severe, warned.threshold) == ("focus", False, 0.5)
    assert warned.text == "blurred over 0.6 um, limit 0.5 um."
    (refused,) = worst_findings({"rim_um": 0.9}, "100x", LIMITS)
    assert (refused.severe, refused.threshold) == (True, 0.8)
    assert not worst_findings({"rim_um": 0.9}, "40x", LIMITS)[0].severe


def test_the_gravest_finding_comes_first_and_one_of_each_code() -> None:
    """Two rules of one code are one finding, the one that refuses."""
    twice = Limits(1, STREAM, (*LIMITS.rules, Rule("focus", "sharpness", "above", "soft.", {}, {"any": 2.0})))
    found = worst_findings({"rim_um": 0.6, "light": 20, "sharpness": 1.0}, "100x", twice)
    assert [(each.code, each.severe) for each in found] == [("focus", True), ("dark", False)]


def test_a_refused_picture_is_an_error_or_marked_as_forced() -> None:
    """The error names picture, reason and the way around; analysed all the same, the verdict stays."""
    findings = worst_findings({"light": 5}, "100x", LIMITS)
    with pytest.raises(QualityError, match=r"a\.jpg is refused: only 5\. --force") as raised:
        to_assessment("a.jpg", findings, refusing=True)
    assert raised.value.findings == findings
    forced = to_assessment("a.jpg", findings, refusing=False)
    assert (forced.verdict, forced.forced) == ("refused", True)
    warned = to_assessment("a.jpg", worst_findings({"light": 20}, "100x", LIMITS), refusing=True)
    assert (warned.verdict, warned.forced) == ("warned", False)


def test_the_limits_that_ship_are_ordered() -> None:
    """A refusal always lies beyond the warning, and every text says what to do."""
    for rule in load_limits().rules:
        for objective in rule.warns.keys() & rule.refuses.keys():
            beyond = rule.refuses[objective] - rule.warns[objective]
            assert beyond > 0 if rule.good == "below" else beyond < 0, rule.code
        assert rule.text.count(". ") >= 1, rule.code


def test_a_malformed_file_of_limits_is_named(tmp_path: Path) -> None:
    """A side that is neither says where and what would do."""
    path = tmp_path / "limits.toml"
    path.write_text(
        'schema = 1\n[stream]\nfocus_of_best = 0.3\nstill_px = 2.0\nnew_ground = 0.1\n[[rules]]\ncode = "a"\nmeasure = "b"\ngood = "left"\ntext = "c"\nwarns = {}\nrefuses = {}\n'
    )
    with pytest.raises(InputError, match="rules"):
        load_limits(path)


def test_an_almost_bare_place_is_no_other_thing() -> None:
    """Where hardly anything is stained, what was found says nothing of whether it is a smear."""
    image = np.full((300, 400, 3), 230, np.uint8)
    none = Detections(
        np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64), ("WBC", "RBC")
    )
    bare = field_measures(image, None, Scale.given(0.25), none, 0.25)
    assert bare["stained_percent"] == 0
    assert "likeness_percent" not in bare
    image[40:260, 60:300] = (180, 90, 150)
    assert field_measures(image, None, Scale.given(0.25), none, 0.25)["likeness_percent"] < 1


@pytest.mark.parametrize(("columns", "told"), [(12, False), (14, True)])
def test_a_twentieth_of_stain_tells_whether_it_is_a_smear(columns: int, told: bool) -> None:
    """Less of it is an almost bare place: here 12 or 14 of 256 columns."""
    image = np.full((256, 256, 3), 230, np.uint8)
    image[:, 100 : 100 + columns] = (180, 90, 150)
    none = Detections(
        np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64), ("WBC", "RBC")
    )
    measured = field_measures(image, None, Scale.given(0.25), none, 0.25)
    assert measured["stained_percent"] == pytest.approx(100 * columns / 256, abs=0.01)
    assert ("likeness_percent" in measured) is told


def test_a_field_without_any_cell_is_empty(analyser: Analyser) -> None:
    """Light that falls off and a sensor's noise are contrast enough to pass for stain, but nothing in them is a cell."""
    x, y = np.meshgrid(np.linspace(-1, 1, 640), np.linspace(-1, 1, 480))
    noise = np.random.default_rng(0).normal(0, 2, (480, 640, 3))
    light = (1 - 0.04 * (x**2 + y**2))[..., None] * np.array([230.0, 222.0, 205.0]) + noise
    judged = analyser.analyse(
        Frame(light.clip(0, 255).astype(np.uint8), "blank"), Scale.given(0.1)
    ).assessment
    assert {finding.code for finding in judged.findings if finding.severe} == {"empty"}
    assert judged.findings[0].measure == 0


def test_only_what_the_eyepiece_shows_is_measured(demo_frame: Frame) -> None:
    """Black around a field of view changes neither light nor what is clipped; the same cells are in the middle of both."""
    image = demo_frame.pixels.copy()
    field_of_view = FieldOfView(800, 600, 590, 590)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    image[np.hypot(x - 800, y - 600) > 590] = 0
    measured, plain = (
        Observation.within(Frame(pixels, "x"), field_of_view).measures
        for pixels in (image, demo_frame.pixels)
    )
    assert measured == pytest.approx(plain, rel=1e-3)
    assert (
        Observation.within(Frame(image, "x"), None).measures["picture_contrast"]
        > plain["picture_contrast"] + 0.5
    )


def test_the_simulated_smear_is_accepted(demo_field: Field) -> None:
    """The demo has nothing to complain of."""
    assert demo_field.assessment.findings == ()


def spoiled(frame: Frame, how: str) -> Frame:
    """A part of the demo, out of focus, moved or badly lit."""
    image = frame.pixels[:700, :900]
    if how == "focus":
        return Frame(cv2.GaussianBlur(image, (0, 0), 9), how)
    if how == "motion":
        return Frame(cv2.blur(image, (24, 1)), how)
    if how == "dark":
        return Frame((image * 0.15).astype(np.uint8), how)
    if how == "bright":
        return Frame(np.clip(image * 1.9, 0, 255).astype(np.uint8), how)
    return Frame(np.full_like(image, 225), how)


@pytest.mark.parametrize("how", ["focus", "motion", "dark", "bright", "empty"])
def test_what_is_wrong_with_a_picture_is_named(model: Model, demo_frame: Frame, how: str) -> None:
    """A picture spoiled in one way is refused for it."""
    with pytest.raises(QualityError) as raised:
        Analyser(model, refusing=True).analyse(spoiled(demo_frame, how), Scale.given(0.0966))
    assert how in {finding.code for finding in raised.value.findings if finding.severe}


def test_a_batch_goes_on_past_a_refused_picture(tmp_path: Path, demo_frame: Frame) -> None:
    """The other is analysed; the table of pictures has the verdict on both, and the exit code is that of a refusal."""
    for name, picture in (
        ("bad", spoiled(demo_frame, "dark").pixels),
        ("good", demo_frame.pixels[:700, :900]),
    ):
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture[..., ::-1])
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app, ["analyze", str(tmp_path), "--um-per-px", "0.0966", "--separate", "--out", str(out)]
    )
    assert done.exit_code == QualityError.exit_code
    assert "1 analysed, 1 refused" in done.stderr
    rows = csv.DictReader(io.StringIO((out / "pictures.csv").read_text()))
    assert [row["verdict"] for row in rows] == ["accepted", "refused"]


def test_force_analyses_and_marks(tmp_path: Path, demo_frame: Frame) -> None:
    """With --force a dark picture has a result, which says that it was refused."""
    path = tmp_path / "dark.png"
    cv2.imwrite(str(path), spoiled(demo_frame, "dark").pixels[..., ::-1])
    done = CliRunner().invoke(app, ["analyze", str(path), "--um-per-px", "0.0966", "--force"])
    assert done.exit_code == 0, done.output
    assert "refused, yet analysed: it is dark" in " ".join(done.stdout.split())


def test_a_refusal_comes_before_the_scale(model: Model) -> None:
    """An empty picture is called empty, not one whose scale cannot be told."""
    blank = Frame(np.full((300, 400, 3), 225, np.uint8), "blank")
    with pytest.raises(QualityError, match="nothing stained"):
        Analyser(model, refusing=True).analyse(blank)
    with pytest.raises(ScaleError):
        Analyser(model).analyse(blank)
