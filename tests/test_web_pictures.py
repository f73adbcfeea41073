"""Pictures that a phone sends: counted once, refused with the reason, decoded where nothing can be harmed."""

from __future__ import annotations

import os
import signal
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra `web` is not installed")

from web_server import Served, serving

from edgeleuk.cli.analyze import demo_picture
from edgeleuk.sessions import open_store
from edgeleuk.web.limits import DEFAULT

DEMO = Path(demo_picture())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("phone") / "sessions.db") as found:
        yield found


def png(width: int, height: int, rows: int) -> bytes:
    """A picture that claims a size, with so many rows of zeros."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    body = zlib.compress(b"\0" * (rows * (1 + 3 * width)), 9)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'


@pytest.fixture(scope="module")
def taken(served: Served) -> dict[str, Any]:
    """A slide with one picture, whose name is no path."""
    with served.browser() as client:
        facts = {"slide": "S7", "name": "../../etc/IMG <1>.jpg", "mag": "100x"}
        told: dict[str, Any] = client.post("/api/pictures", params=facts, content=DEMO.read_bytes()).json()
        return told


def test_a_picture_is_counted(served: Served, taken: dict[str, Any]) -> None:
    """Its cells are there at once, and the picture in colour."""
    assert taken["counted"]
    assert taken["white_cells"] > 5
    assert "LOOK AGAIN" in taken["summary"]
    with served.browser() as client:
        assert len(client.get(f"/slides/{taken['session']}/fields/1.jpg").content) > 50_000
    with open_store(served.store) as store:
        about = store.get(taken["session"]).summary
        assert (about.kind, about.slide, about.fields, about.state) == ("pictures", "S7", 1, "finished")
        (counted,) = store.get(taken["session"]).counted()
        assert counted.field.name == "IMG <1>.jpg"


def test_a_process_that_dies_costs_nothing_and_cells_count_once(
    served: Served, taken: dict[str, Any]
) -> None:
    """The next picture gets a new process, with the slide as it was: of a copy no cell counts again."""
    pid = served.server.analysis.pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    with served.browser() as client:
        again = client.post(
            "/api/pictures",
            params={"session": taken["session"], "name": "IMG_2.jpg"},
            content=DEMO.read_bytes(),
        ).json()
    assert (again["session"], again["white_cells"]) == (taken["session"], taken["white_cells"])
    assert "seen before" in again["text"]
    assert served.server.analysis.pid not in (pid, None)


def test_a_signed_slide_keeps_its_cells(served: Served, taken: dict[str, Any]) -> None:
    """Another picture of it begins another session, and says so."""
    first = taken["session"]
    with served.browser() as client:
        last = client.get(f"/api/slides/{first}").json()["last"]
        assert client.post(f"/api/slides/{first}/sign", json={"seen": last}).status_code == 200
        other = client.post("/api/pictures", params={"session": first}, content=DEMO.read_bytes()).json()
    assert other["session"] != first
    assert "signed" in other["remark"]
    with open_store(served.store) as store:
        assert store.get(other["session"]).summary.slide == "S7"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (SVG, 415), (b"", 415), (b"GIF89a" + b"x" * 600, 415), (b"PK\x03\x04" + b"x" * 600, 415), (b"x" * 600, 415),
        (b"\xff\xd8\xff" + b"x" * 600, 422), (DEMO.read_bytes()[:40_000], 422), (DEMO.read_bytes()[:2000] + SVG, 422),
        (png(60_000, 60_000, 10), 422), (png(4_000, 4_000, 4_000), 422),
    ],
    ids=["svg", "empty", "gif", "zip", "text", "not whole", "cut", "polyglot", "claims much", "bomb"],
)  # fmt: skip
def test_what_is_no_sound_picture_is_refused(served: Served, content: bytes, code: int) -> None:
    """By its content, whatever it is called; and the server goes on."""
    with served.browser() as client:
        answer = client.post("/api/pictures", params={"name": "a.jpg"}, content=content)
        assert answer.status_code == code, answer.text
        assert answer.json()["error"]["text"]
        assert "/proc" not in answer.text
        assert client.get("/").status_code == 200


def test_memory_of_the_analysis_is_bounded(tmp_path: Path) -> None:
    """A process without enough of it ends, or says so; the server goes on."""
    limits = replace(DEFAULT, analysis_bytes=60_000_000)
    with serving(tmp_path / "s.db", limits=limits) as served, served.browser() as client:
        answer = client.post("/api/pictures", content=DEMO.read_bytes())
        assert answer.status_code == 422, answer.text
        assert client.get("/").status_code == 200


def test_wrong_facts_are_told(served: Served) -> None:
    """Before the picture is looked at."""
    with served.browser() as client:
        for facts in (
            {"mag": "7x"},
            {"um_per_px": "much"},
            {"um_per_px": "nan"},
            {"um_per_px": "9"},
            {"slide": "x" * 65},
        ):
            assert client.post("/api/pictures", params=facts, content=DEMO.read_bytes()).status_code == 400
        gone = client.post("/api/pictures", params={"session": "nothing"}, content=DEMO.read_bytes())
        assert gone.status_code in (404, 409)


def test_nothing_stays_beside_the_store(served: Served) -> None:
    """No picture, no temporary file."""
    names = {each.name for each in served.store.parent.iterdir()}
    assert names <= {"sessions.db", "sessions.db-wal", "sessions.db-shm", "locks"}
