"""A running count in a browser, and the command that serves pages."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra `web` is not installed")

import httpx
from mjpeg_server import Server
from web_server import Counted, Served, free_port, serving

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.counting.requests import Command, NextSlide
from edgeleuk.results import slide_id
from edgeleuk.sessions import open_store
from edgeleuk.types import Frame
from edgeleuk.web.live import MOST_REQUESTS


@pytest.fixture(scope="module")
def counted(analyser: Analyser, demo_frame: Frame) -> Counted:
    return Counted(analyser, demo_frame)


@pytest.fixture(scope="module")
def served(counted: Counted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("live") / "sessions.db", live=counted.hub) as found:
        yield found


def test_frames_are_shown_while_somebody_watches(counted: Counted, served: Served) -> None:
    """And not made otherwise; the newest one is a JPEG with boxes."""
    counted.show()
    with served.browser() as client:
        assert client.get("/live/frame.jpg").status_code == 204
        counted.show()
        frame = client.get("/live/frame.jpg")
        assert (frame.headers["content-type"], frame.content[:3]) == ("image/jpeg", b"\xff\xd8\xff")
        assert int(frame.headers["x-frame"]) == 1


def test_the_tally_is_that_of_the_count(counted: Counted, served: Served) -> None:
    """With the verdict, the last cells and their pictures."""
    counted.show()
    with served.browser() as client:
        told = client.get("/api/live").json()
        assert (told["n"], told["fields"], told["target"]) == (counted.counter.differential().n, 1, 100)
        assert counted.counter.slide.verdict().title in told["html"]
        cells = re.findall(r"/live/cells/(\d+)\.jpg", told["html"])
        assert cells
        assert client.get(f"/live/cells/{cells[0]}.jpg").content[:3] == b"\xff\xd8\xff"
        assert client.get("/live/cells/99999.jpg").status_code == 404
        assert 'id="frame"' in client.get("/live").text


def test_browsers_ask_what_keys_ask(counted: Counted, served: Served) -> None:
    """Pause, count and undo; what is none of them is refused."""
    with served.browser() as client:
        for name in ("pause", "count", "undo"):
            assert client.post("/api/live/commands", json={"command": name}).status_code == 200
        assert list(counted.requests()) == [Command.PAUSE, Command.COUNT, Command.UNDO]
        assert (
            client.post("/api/live/commands", json={"command": "note", "text": " a  remark\n"}).status_code
            == 200
        )
        assert list(counted.requests()) == ["a remark"]
        assert client.post("/api/live/commands", json={"command": "finish"}).status_code == 400
        assert (
            client.post("/api/live/commands", json={"command": "artefact", "cell": 99999}).status_code == 409
        )


def test_a_browser_begins_the_next_slide_of_a_camera(counted: Counted, served: Served) -> None:
    """With the id as its label has it; a file has no next slide, and an empty or a too long id is none."""
    counted.hub.next_slides = True
    counted.show()
    with served.browser() as client:
        assert client.get("/api/live").json()["next_slide"] is True
        page = client.get("/live").text
        assert 'id="next" hidden' in page
        assert f'id="next-input" maxlength="{slide_id.MOST}"' in page

        def asked(text: str) -> int:
            return client.post("/api/live/commands", json={"command": "next_slide", "text": text}).status_code

        assert [asked(each) for each in (" S-18\n", "", "\t ", "x" * 401)] == [200, 400, 400, 400]
        assert [asked("x" * length) for length in (slide_id.MOST, slide_id.MOST + 1)] == [200, 400]
        assert list(counted.requests()) == [NextSlide("S-18"), NextSlide("x" * slide_id.MOST)]
        counted.hub.next_slides = False
        assert (asked("S-18"), list(counted.requests())) == (409, [])
        del client.headers["x-csrf-token"]
        counted.hub.next_slides = True
        assert (asked("S-18"), list(counted.requests())) == (403, [])
    counted.hub.next_slides = False


def test_the_next_count_shows_nothing_of_the_one_before(analyser: Analyser, demo_frame: Frame) -> None:
    """Nor does it obey what was asked of that one."""
    before = Counted(analyser, demo_frame)
    before.show()
    before.hub.ask(Command.UNDO)
    assert before.hub.newest
    before.hub.begin(analyser.reader.labels, next_slides=True)
    assert (before.hub.state, before.hub.newest, before.hub.picture[1]) == (None, [], b"")
    assert list(before.requests()) == []
    assert before.hub.next_slides


def test_a_camera_is_counted_slide_after_slide(tmp_path: Path) -> None:
    """Each has a session of its own, with the id that the browser gave."""
    port, store = free_port(), tmp_path / "s.db"
    camera = Server(fps=5.0)
    command = [
        sys.executable,
        "-m",
        "edgeleuk",
        "live",
        "--serve",
        "--port",
        str(port),
        "--store",
        str(store),
    ]
    command += ["--source", camera.url, "--slide", "S-1", "--plain"]
    with (
        camera,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client,
    ):
        first = _waited(client, "")
        csrf = re.search(r'name="csrf" content="([^"]+)"', client.get("/live").text)
        assert csrf
        asked = client.post(
            "/api/live/commands",
            json={"command": "next_slide", "text": "S-2"},
            headers={"x-csrf-token": csrf[1]},
        )
        assert asked.status_code == 200, asked.text
        second = _waited(client, first)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    with open_store(store) as opened:
        told = {each.id: each.slide for each in opened.list()}
    assert told == {first: "S-1", second: "S-2"}


def _waited(client: httpx.Client, before: str) -> str:
    """The session that is counted, once it is another one than `before`."""
    until = time.monotonic() + 180
    while time.monotonic() < until:
        try:
            told = client.get("/api/live").json()
        except httpx.TransportError:
            told = {"starting": True}
        if not told["starting"] and told["session"] not in ("", None, before):
            return str(told["session"])
        time.sleep(0.1)
    raise AssertionError("no count began")


def test_a_count_that_does_not_answer_is_told(counted: Counted, served: Served) -> None:
    """Requests do not pile up."""
    with served.browser() as client:
        codes = [
            client.post("/api/live/commands", json={"command": "pause"}).status_code
            for _ in range(MOST_REQUESTS + 1)
        ]
    assert codes == [200] * MOST_REQUESTS + [503]
    assert len(list(counted.requests())) == MOST_REQUESTS


def test_a_field_that_is_taken_back_is_no_longer_shown(analyser: Analyser, demo_frame: Frame) -> None:
    """Nor are its cells."""
    fresh = Counted(analyser, demo_frame)
    assert fresh.hub.newest
    fresh.counter.undo()
    assert fresh.hub.newest == []


def test_the_command_serves_until_it_is_ended(tmp_path: Path) -> None:
    """On the loopback, without a token; Ctrl-C ends it, and its exit code says that all is well."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "edgeleuk",
        "serve",
        "--port",
        str(port),
        "--store",
        str(tmp_path / "s.db"),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                page = httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        assert "No slide is kept here yet" in page.text
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said.splitlines() == [
        f"open http://127.0.0.1:{port} in a browser on this machine. Ctrl-C ends.",
        "the server has ended.",
    ]
    assert not (tmp_path / "s.db").exists()


def test_in_a_network_the_token_can_go_into_a_file(tmp_path: Path) -> None:
    """Which only its owner can read, and which goes with the server."""
    port, file = free_port(), tmp_path / "enter"
    command = [
        sys.executable,
        "-m",
        "edgeleuk",
        "serve",
        "--lan",
        "--port",
        str(port),
        "--store",
        str(tmp_path / "s.db"),
    ]
    with subprocess.Popen(
        [*command, "--token-file", str(file)], stderr=subprocess.PIPE, text=True
    ) as process:
        until = time.monotonic() + 60
        while not file.exists() and time.monotonic() < until:
            time.sleep(0.1)
        address = file.read_text().splitlines()[0]
        assert file.stat().st_mode & 0o777 == 0o600
        token = address.partition("/enter#")[2]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            until = time.monotonic() + 30
            while time.monotonic() < until:
                try:
                    done = client.post("/api/enter", json={"token": token}, headers={"x-csrf-token": "-"})
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            assert done.status_code == 200
            assert client.get("/").status_code == 200
        assert file.read_text().splitlines()[0] != address
        process.terminate()
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert token not in said
    assert "not encrypted" in said
    assert not file.exists()
