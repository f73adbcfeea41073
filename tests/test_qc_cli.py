"""`edgeleuk qc` as a user meets it: set, run, check, log, chart, and the warning on results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import cv2
import jsonschema
import pytest
from counted import MODEL, counted_field
from program import run
from test_cli import DATA

from edgeleuk.quality_control import log
from edgeleuk.quality_control.control import Control, ControlRun, EvaluatedValue, Expected
from edgeleuk.quality_control.log import Entry
from edgeleuk.render.control_warnings import reasons_at
from edgeleuk.sessions import NewSession, open_store
from edgeleuk.simulation.smear import Optics, Smear, Stage

COMPOSITION = {"neutrophil": 12, "lymphocyte": 4, "monocyte": 2, "eosinophil": 3}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


def evaluated(z: float, rule: str = "") -> tuple[EvaluatedValue, ...]:
    other = EvaluatedValue("lymphocyte", 30.0, 30.0, 4.0, 0.1)
    return (EvaluatedValue("neutrophil", 60 + 5 * z, 60.0, 5.0, z, rule), other)  # type: ignore[arg-type]


def fill(
    path: Path, deviations: list[float], every: float | None = None, magnification: str = "100x"
) -> None:
    """A control slide with a run for each deviation of its neutrophils."""
    expected = (Expected("neutrophil", 60.0, 5.0), Expected("lymphocyte", 30.0, 4.0))
    with open_store(path) as opened:
        control = Control("c1", "c1", magnification, expected, every)
        opened.add_to_control_log("c1", "set", log.encode(control))
        for z in deviations:
            rule = "1-3s" if abs(z) > 3 else "1-2s" if abs(z) > 2 else ""
            state = "rejected" if abs(z) > 3 else "warning" if abs(z) > 2 else "in_control"
            done = ControlRun("0" * 36, state, 200, evaluated(z, rule))  # type: ignore[arg-type]
            opened.add_to_control_log("c1", "run", log.encode(done))


@pytest.fixture(scope="module")
def smear() -> Smear:
    """The control slide. What is painted is what counts: the truth about nuclei is not asked for."""
    return Smear.place(5, 160.0, 120.0, COMPOSITION)


def rendered(smear: Smear, folder: Path, defocus_um: float = 0.0) -> Path:
    """A field of the simulated control slide, in a folder."""
    stage = Stage(smear, 0.1, (1600, 1200), optics=Optics(defocus_um=defocus_um))
    cv2.imwrite(str(folder / "1.png"), cv2.cvtColor(stage.field().pixels, cv2.COLOR_RGB2BGR))
    return folder


@pytest.fixture(scope="module")
def slide(smear: Smear, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rendered(smear, tmp_path_factory.mktemp("control"))


@pytest.fixture(scope="module")
def drifted(smear: Smear, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1 um out of focus: the picture is only warned of, and its red cells look larger than they are."""
    return rendered(smear, tmp_path_factory.mktemp("drifted"), 1.0)


def test_a_drifted_slide_fails_and_results_say_so(slide: Path, drifted: Path, store: Path) -> None:
    """The slide passes by what it was counted as; out of focus it is rejected, and `analyze` warns from then on."""
    done = run("qc", "set", "c1", "--cells", 5, "--store", store, "--json")
    assert json.loads(done.stdout)["control"]["expected"] == []
    done = run("qc", "run", "c1", slide, "--store", store, "--json")
    first = json.loads(done.stdout)["run"]
    assert (done.returncode, first["state"]) == (0, "collected")

    told = json.loads(run("analyze", slide, "--json", "--no-keep", "--store", store).stdout)
    neutrophils = told["differential"]["types"]["neutrophil"]["percent"]
    scale = told["images"][0]["scale"]["um_per_px_x"]
    expected = (f"--expect=neutrophil={neutrophils:.1f},4", f"--expect=um_per_px={scale:.4f},0.002")
    assert run("qc", "set", "c1", *expected, "--store", store).returncode == 0

    done = run("qc", "run", "c1", "--session", first["session"], "--store", store)
    assert done.returncode == 0, done.stderr
    assert "IN CONTROL" in done.stdout
    (listed,) = json.loads(run("sessions", "list", "--json", "--store", store).stdout)["sessions"]
    assert f"session {listed['id']}. " in done.stdout
    assert first["session"][:8] not in done.stdout + done.stderr
    assert run("qc", "check", "--store", store).returncode == 0

    done = run("qc", "run", "c1", drifted, "--store", store)
    assert done.returncode == 11, done.stdout + done.stderr
    assert "FAILED" in done.stdout
    assert [line.split()[-1] for line in done.stdout.splitlines() if "um per pixel" in line] == ["1-3s"]
    assert run("qc", "check", "--store", store).returncode == 11

    told = json.loads(run("analyze", slide, "--json", "--store", store).stdout)
    jsonschema.validate(told, json.loads((DATA / "analysis.schema.json").read_text()))
    first_reason = told["verdict"]["reasons"][0]
    assert first_reason["code"] == "control_failed"
    assert "edgeleuk qc run c1 PICTURES" in first_reason["text"]
    shown = run("analyze", slide, "--no-keep", "--store", store).stdout
    assert "Control slide c1 failed on" in shown


def test_nobody_without_a_control_is_warned(slide: Path, store: Path) -> None:
    """Not with a store, and not without one."""
    for _ in range(2):
        told = json.loads(run("analyze", slide, "--json", "--store", store).stdout)
        assert [each["code"] for each in told["verdict"]["reasons"] if "control" in each["code"]] == []


@pytest.mark.parametrize(
    ("magnification", "device", "warned"), [("100x", "", True), ("100x", "b", False), ("40x", "", False)]
)
def test_only_results_that_the_control_is_for_are_warned_of(
    magnification: str, device: str, warned: bool
) -> None:
    """Its objective, and its device where it has one."""
    control = Control("c1", "c1", "100x", (Expected("neutrophil", 60.0, 5.0),), device="" if warned else "a")
    values: list[Control | ControlRun] = [control, ControlRun("s", "rejected", 200, evaluated(4, "1-3s"))]
    now = datetime.now(UTC)
    entries = [Entry(i, now.isoformat(), "c1", "run", value) for i, value in enumerate(values)]
    assert bool(reasons_at(entries, now, magnification, device)) is warned


def test_an_overdue_control_is_told_with_the_hours() -> None:
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    entry = Entry(
        1, (now - timedelta(hours=30)).isoformat(), "c1", "set", Control("c1", "c1", "100x", (), 24.0)
    )
    (reason,) = reasons_at([entry], now, "100x", "")
    assert reason.code == "control_overdue"
    assert "no good count for 30 hours, and it is due every 24" in reason.text


def test_a_kept_session_says_what_held_when_it_was_counted(store: Path) -> None:
    """A control that failed later says nothing against a session of before."""

    def counted() -> str:
        with open_store(store) as opened:
            new = NewSession(
                source="x", model=replace(MODEL, magnification="40x"), kind="pictures", slide="S-1"
            )
            session = opened.start(new)
            session.add(counted_field(1))
            session.finish("done")
            return session.id

    before = counted()
    fill(store, [0.1, 4.0], magnification="40x")
    after = counted()
    for session, failed in ((before, False), (after, True)):
        told = json.loads(run("sessions", "show", session, "--json", "--store", store).stdout)
        codes = [each["code"] for each in told["verdict"]["reasons"]]
        assert ("control_failed" in codes) is failed


def test_live_ends_with_the_warning(store: Path) -> None:
    """On standard error when it begins, and with the last event, in which a program finds it too."""
    fill(store, [4.0])
    small = ("--source", "simulated", "--width", 640, "--height", 360)
    done = run("live", *small, "--seconds", 1, "--json", "--store", store)
    assert done.returncode == 0, done.stderr
    assert "Control slide c1 failed on" in done.stderr
    finished = json.loads(done.stdout.splitlines()[-1])
    assert "Control slide c1 failed on" in finished["text"]
    assert finished["data"]["verdict"]["reasons"][0]["code"] == "control_failed"


WRONG = [
    (("set", "a b"), "no name for a control slide"),
    (("set", "c1", "--expect", "neutrophil=60"), "two numbers, as neutrophil=60,4"),
    (("set", "c1", "--expect", "neutrophil=60,0"), "the SD of neutrophil is 0"),
    (("set", "c1", "--expect", "neutrophil=160,2"), "above 100"),
    (("set", "c1", "--expect", "gold=1,2"), "There are: neutrophil"),
    (("set", "c1", "--range", "neutrophil=60,50"), "not above the lower one"),
    (("set", "c1", "--leave-out", "monocyte"), "Checked: neutrophil, lymphocyte"),
    (("set", "c1", "--establish", "9"), "an SD needs 10 sessions"),
    (("set", "c1", "--establish", "10"), "0 of 10 sessions of slide c1 can be used"),
    (("set", "c1", "--mag", "40x"), "is of 100x"),
    (("run", "c1"), "name pictures of the control slide, or a kept session"),
    (("run", "c9", "x.png"), "there is no control slide c9. In use: c1."),
    (("chart", "c1", "--quantity", "blast"), "Evaluated: neutrophil, lymphocyte"),
    (("note", "c9", "x"), "there is no control slide c9"),
]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("filled") / "s.db"
    fill(path, [0.2, -1.4, 0.9, 2.4, -0.3, 1.1, 3.4, -9.0])
    yield path


@pytest.mark.parametrize(
    ("arguments", "said"), WRONG, ids=lambda each: " ".join(each) if isinstance(each, tuple) else ""
)
def test_a_wrong_request_says_what_to_do(filled: Path, arguments: tuple[str, ...], said: str) -> None:
    """One clear sentence and exit code 2."""
    done = run("qc", *arguments, "--store", filled)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())


def test_values_by_hand_replace_and_add(store: Path) -> None:
    """A range is mean ± 2 SD; what is not named stays; what is left out goes."""
    run("qc", "set", "c1", "--range", "neutrophil=52,68", "--expect", "blast=0,1", "--store", store)
    done = run(
        "qc", "set", "c1", "--expect", "lymphocyte=30,4", "--leave-out", "blast", "--json", "--store", store
    )
    expected = json.loads(done.stdout)["control"]["expected"]
    assert [(each["quantity"], each["mean"], each["sd"]) for each in expected] == [
        ("neutrophil", 60.0, 4.0), ("lymphocyte", 30.0, 4.0),
    ]  # fmt: skip


def test_a_session_of_another_slide_is_refused(store: Path) -> None:
    """With the command that says it is the control slide after all."""
    fill(store, [])
    with open_store(store) as opened:
        session = opened.start(
            NewSession(source="x", model=replace(MODEL, magnification="100x"), slide="S-7")
        )
        session.finish("done")
    done = run("qc", "run", "c1", "--session", session.id, "--store", store)
    assert done.returncode == 2
    assert f"edgeleuk sessions set {session.id} --slide c1" in " ".join(done.stderr.split())


def test_the_log_has_every_entry_in_order(filled: Path) -> None:
    """Also remarks; nothing is wider than the terminal."""
    run("qc", "note", "c1", "lamp replaced", "--store", filled)
    done = run("qc", "log", "c1", "--store", filled)
    assert max(map(len, done.stdout.splitlines())) <= 80
    kinds = [each["kind"] for each in json.loads(run("qc", "log", "--json", "--store", filled).stdout)["log"]]
    assert kinds == ["set", *["run"] * 8, "note"]
    assert "lamp replaced" in done.stdout


def test_a_control_that_was_never_counted_does_not_pass(store: Path) -> None:
    """It says so, with the command to count it; one count that could be evaluated passes."""
    fill(store, [])
    done = run("qc", "check", "--json", "--store", store)
    (told,) = json.loads(done.stdout)["controls"]
    assert (done.returncode, told["passes"], told["last"]) == (11, False, None)
    assert "control slide c1 was never counted. Count it: `edgeleuk qc run c1 PICTURES`." in done.stderr
    assert "not counted yet" in run("qc", "check", "--store", store).stdout
    run("qc", "retire", "c1", "--store", store)
    fill(store, [0.2])
    done = run("qc", "check", "--json", "--store", store)
    assert (done.returncode, json.loads(done.stdout)["controls"][0]["passes"], done.stderr) == (0, True, "")


def test_a_retired_control_warns_no_more(store: Path) -> None:
    fill(store, [4.0])
    assert run("qc", "check", "--store", store).returncode == 11
    assert run("qc", "retire", "c1", "--reason", "faded", "--store", store).returncode == 0
    assert run("qc", "check", "--store", store).returncode == 0


def test_the_chart_fits_80_columns_and_marks_what_is_off(filled: Path) -> None:
    """A point a run: the first six are within 3 SD, the seventh and the eighth beyond; the last one off the scale."""
    lines = run("qc", "chart", "c1", "--store", filled).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("neutrophil") and line.rstrip().endswith("···+··^v") for line in lines)
    marks = {place: line for line in lines[-16:-1] for place, char in enumerate(line[16:]) if char in "•+xv^"}
    assert sorted(marks) == [4 * run for run in range(8)]
    assert "+2 SD" in lines[lines.index(marks[12]) + 1]  # 2.4 SD stands half an SD above the line of 2
    assert marks[24].startswith("               │") and "x" in marks[24]


def test_the_chart_is_written_as_svg_and_as_a_page(filled: Path, tmp_path: Path) -> None:
    """Well-formed, a chart for each quantity, a point for each run, and nothing is loaded from elsewhere."""
    svg, page = tmp_path / "c.svg", tmp_path / "c.html"
    assert run("qc", "chart", "c1", "--svg", svg, "--html", page, "--store", filled).returncode == 0
    root = ElementTree.parse(svg).getroot()
    names = [each.tag.rpartition("}")[2] for each in root.iter()]
    assert names.count("circle") + names.count("path") == 16
    text = page.read_text()
    assert text.count("<svg") == 2
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
