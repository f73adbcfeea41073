"""`edgeleuk live` and `edgeleuk bench` as processes."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from program import run

from edgeleuk.differential.verdict import TITLES
from edgeleuk.models import registry

SMALL = ("--width", "640", "--height", "360")
"""A quarter of the usual slide, whose thousands of cells each process would place first."""
SIMULATED = ("live", "--source", "simulated:3", "--threads", "1", "--um-per-px", "0.1", *SMALL)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "edgeleuk", *arguments]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "EDGELEUK_SESSIONS": str(tmp_path / "sessions.db"),
        "EDGELEUK_MACHINE": str(tmp_path / "machine.json"),
    }


def test_events_are_json_lines_and_a_signal_ends_it_cleanly(environment: dict[str, str]) -> None:
    """A service manager's SIGTERM is a finish: the last line says so, and the session is kept whole."""
    with subprocess.Popen(
        command(*SIMULATED, "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        events = []
        for line in process.stdout:
            events.append(json.loads(line))
            if events[-1]["event"] == "field" and events[-1]["data"]["field"] == 2:
                process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert [events[0]["event"], events[-1]["event"]] == ["started", "finished"]
    assert "SIGTERM" in events[-1]["text"]
    assert events[-1]["data"]["verdict"].keys() == {"code", "text", "reasons"}
    session = events[0]["data"]["session"]
    listed = run("sessions", "list", "--json", **environment)
    kept = json.loads(listed.stdout)["sessions"]
    assert [each["id"] for each in kept] == [session]
    assert kept[0]["fields"] >= 2


def test_a_killed_session_resumes(environment: dict[str, str]) -> None:
    """Every field that was announced is there, the count goes on with the next number, and what the command line says of
    the slide is kept; what the environment says holds for new sessions."""
    process = subprocess.Popen(
        command(*SIMULATED, "--json"), stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    announced, session = 0, ""
    for line in process.stdout:
        event = json.loads(line)
        session = session or event["data"]["session"]
        if event["event"] == "field":
            announced = event["data"]["field"]
        if announced == 2:
            process.kill()
            break
    process.stdout.close()
    process.wait()
    for said in (("--mag", "40x"), ("--model", str(registry.shipped()["40x"]))):
        other = run("live", "--resume", session, *said, **environment)
        assert (other.returncode, "counted at 100x, not at 40x" in other.stderr) == (2, True)
    done = subprocess.run(
        command("live", "--json", "--resume", session, "--seconds", "3", "--slide", "S-8", *SMALL),
        capture_output=True, text=True, check=True, env=environment | {"EDGELEUK_OPERATOR": "zz"},
    )  # fmt: skip
    events = [json.loads(line) for line in done.stdout.splitlines()]
    fields = [event["data"]["field"] for event in events if event["event"] == "field"]
    assert not fields or fields[0] >= announced + 1
    assert [event["text"] for event in events if event["event"] == "note"] == ['slide set to "S-8".']
    shown = run("sessions", "list", "--json", **environment)
    kept = json.loads(shown.stdout)["sessions"][0]
    assert (kept["slide"], kept["operator"]) == ("S-8", "")
    assert events[-1]["event"] == "finished"


def test_the_verdict_is_the_last_line(environment: dict[str, str]) -> None:
    """After everything else that is printed, also without the screen; the first one says what takes so long."""
    done = subprocess.run(
        command(*SIMULATED, "--plain", "--seconds", "2"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True, env=environment,
    )  # fmt: skip
    first, *_, kept, last = done.stdout.splitlines()
    assert first.split(maxsplit=1)[1] == "starting  loading the 100x model."
    assert kept.startswith("kept as session")
    assert last.split(":")[0] in TITLES.values()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("live", "--plain", "--json", "--source", "simulated"), 2, "Choose one"),
        (("live", "--source", "nothing:0"), 2, "nothing:0"),
        (("live", "--source", "simulated", "--um-per-px", "90"), 2, "0.005 to 5"),
        (("live", "--source", "simulated", "--resume", "x", "--no-keep"), 2, "--no-keep"),
        (("live", "--source", "simulated", "--mag", "20x"), 2, "100x"),
        (("live", "--source", "missing.mp4"), 3, "missing.mp4"),
    ],
)
def test_mistakes_are_named(
    arguments: tuple[str, ...], code: int, words: str, environment: dict[str, str]
) -> None:
    """One clear sentence and the exit code of its kind."""
    done = run(*arguments, **environment)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_screen_is_there_at_once_and_goes_with_a_mistake(environment: dict[str, str]) -> None:
    """Before anything is loaded it says what is done; then the former screen is back and has the mistake."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("live", "--source", "nothing:0"), stdin=theirs, stdout=theirs, stderr=theirs,
        env=environment | {"TERM": "xterm-256color", "LANG": "C.UTF-8"},
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    while b"error: " not in seen:
        seen += os.read(ours, 65536)
    assert process.wait() == 2
    os.close(ours)
    screen, after = seen.split(b"\x1b[?1049l")
    assert screen.index(b"loading the 100x model ...") < screen.index(b"opening nothing:0 ...")
    assert b"error: " in after


def test_bench_compares_settings_and_remembers_the_best(environment: dict[str, str]) -> None:
    """Every stage has its time, and the note of the best is written for this machine."""
    done = subprocess.run(
        command("bench", "--mag", "100x", "--frames", "3", "--threads", "1", "--json", "--width", "640", "--height", "360"),
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    document = json.loads(done.stdout)
    measured = document["magnifications"][0]
    assert [(each["threads"], each["arithmetic"]) for each in measured["settings"]] == [
        (1, "int8"),
        (1, "float"),
    ]
    assert all(each["stages"]["find"]["median_ms"] > 0 for each in measured["settings"])
    saved = json.loads(Path(environment["EDGELEUK_MACHINE"]).read_text())
    assert saved["setting"] in [{"threads": 1, "arithmetic": "int8"}, {"threads": 1, "arithmetic": "float"}]


@pytest.mark.parametrize("display", ["", ":99"], ids=["none", "not there"])
def test_a_preview_without_a_screen_is_refused_before_anything_is_opened(
    display: str, tmp_path: Path
) -> None:
    """One sentence, the exit code of wrong usage, and neither a camera nor a session was begun."""
    pytest.importorskip("tkinter", reason="tkinter is not installed")
    store = tmp_path / "sessions.db"
    done = run(
        "live", "--source", "simulated", "--preview", "--seconds", 1, "--store", store,
        DISPLAY=display, WAYLAND_DISPLAY="",
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: --preview needs a screen, and there is none")
    assert not store.exists()


def test_a_preview_ends_with_the_count(environment: dict[str, str]) -> None:
    """On a screen, here one in memory: Tk, which other threads upset, ends as it should."""
    pytest.importorskip("tkinter", reason="tkinter is not installed")
    if not shutil.which("xvfb-run"):
        pytest.skip("xvfb-run is not installed: there is no screen to show a picture on")
    asked = command("live", "--source", "simulated", "--preview", "--seconds", "2", "--json", *SMALL)
    done = subprocess.run(
        ["xvfb-run", "-a", *asked], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "finished"
