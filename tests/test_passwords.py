"""Passwords of cameras: never shown, kept or exported, wherever in an address they stand."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from counted import counted_field, started
from program import run
from raw_camera import STREAM, Answer, RawCamera, Request, digest_is_right, head, mjpeg

from edgeleuk.doctor.bundle import without_people
from edgeleuk.sessions import open_store
from edgeleuk.system.addresses import is_incomplete, shown_mistake, shown_source, without_secrets
from edgeleuk.types import Refusal

PASSWORD = "geheim"
ADDRESSES = [
    "http://me:geheim@host/video",
    "http://me:ge@geheim@host:80/video",
    "https://:geheim@host",
    "http://geheim@host/video",
    "http://me:x/geheim@host/video",
    "http://me:12?geheim#geheim@host/video",
    "rtsp://me:geheim@[::1]:554/live",
    "RTSP://host/user=admin&password=geheim&channel=1&stream=0.sdp",
    "rtsp://host:554/user=admin_password=geheim_channel=1",
    "http://host/v?user=geheim&pwd=geheim&res=640",
    "http://host/v?loginuse=me&loginpas=geheim",
    "http://host/v?access_token=geheim/geheim==",
    "http://host/v?x=1;key=geheim",
    "http://host/v?u=geheim&p=geheim",
    "http://host/v?api-token=ge%20heim.geheim",
    "HTTP://me:geheim@host/v?Auth=geheim",
    "ftp://me:geheim@host/v",
    "http:/me:geheim@host/v",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_shown_without_its_password(address: str) -> None:
    """As a source, in the midst of a message, and twice in one."""
    told = f"{address} has moved to {address} twice."
    for text in (shown_source(address), shown_mistake(address), without_secrets(told)):
        assert PASSWORD not in text
        assert "host" in text or "[::1]" in text
    assert without_secrets(told).endswith("twice.")


@pytest.mark.parametrize(
    "mistake", ["me:geheim@host/v", "host/v?user=me&pwd=geheim", "htp:/me:geheim@h", "me:ge heim@host"]
)
def test_a_mistyped_address_is_shown_without_its_password(mistake: str) -> None:
    """Also where it has no scheme."""
    assert PASSWORD not in shown_mistake(mistake)
    assert "heim" not in shown_mistake(mistake)


@pytest.mark.parametrize(
    "source",
    ["usb:0", "picamera", "watch:/home/me/a@b", "watch://home/me/a@b", "simulated:3", "films/a@b=c.mp4", "*.jpg",
     "http://phone:8080/video", "http://host/v?resolution=640x480&fps=5", "a folder/password=x", ""],
)  # fmt: skip
def test_what_has_no_password_stays_as_it_is(source: str) -> None:
    """So that a session can be gone on with."""
    assert shown_source(source) == source
    assert not is_incomplete(source)


# The program.


def edgeleuk(*arguments: str, environment: dict[str, str], code: int | None = 0) -> str:
    """What a command says on both streams."""
    done = run(*arguments, **environment)
    assert code is None or done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"EDGELEUK_SESSIONS": str(tmp_path / "store" / "sessions.db")}


def guarded(request: Request) -> Answer:
    """A camera that wants the password in both ways."""
    proved = request.authorization and digest_is_right(request.authorization, "me", PASSWORD, "MD5")
    if proved and f"token={PASSWORD}" in request.target:
        return itertools.chain([STREAM], mjpeg())
    return [head('WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"', status="HTTP/1.1 401 No")]


def test_a_count_keeps_and_shows_no_password(environment: dict[str, str], tmp_path: Path) -> None:
    """Neither its events nor the store, its locks, what is listed, shown and exported; going on asks for it."""
    store = Path(environment["EDGELEUK_SESSIONS"]).parent
    with RawCamera(guarded) as camera:
        source = camera.url.replace("//", f"//me:{PASSWORD}@") + f"?token={PASSWORD}"
        said = edgeleuk(
            "live",
            "--json",
            "--source",
            source,
            "--um-per-px",
            "0.1",
            "--seconds",
            "1.5",
            environment=environment,
        )
        assert f"{camera.url}?token=***" in said
        assert len([each for each in camera.requests if each.authorization]) == 1
    (session,) = {line.split('"session": "')[1][:18] for line in said.splitlines() if '"session": "2' in line}
    out = tmp_path / "out"
    said += edgeleuk("sessions", "show", session, environment=environment)
    said += edgeleuk("sessions", "export", session, "--out", str(out), environment=environment, code=None)
    said += edgeleuk("live", "--plain", "--resume", session, environment=environment, code=2)
    assert "passwords are not kept" in said
    assert PASSWORD not in said
    files = [path for folder in (store, out) for path in folder.rglob("*")]
    assert len(files) > 2
    assert not [
        path
        for path in files
        if PASSWORD in str(path) or (path.is_file() and PASSWORD.encode() in path.read_bytes())
    ]


@pytest.mark.parametrize(
    "source",
    ["http://me:geheim@127.0.0.1:9/", "rtsp://me:ge@geheim@127.0.0.1:9/?password=geheim", "http://me:x/geheim@127.0.0.1:9/",
     "me:geheim@127.0.0.1/v?user=me&pwd=geheim", "htp://me:geheim@127.0.0.1/"],
)  # fmt: skip
def test_no_mistake_shows_a_password(source: str, environment: dict[str, str]) -> None:
    """Of a camera that is not there, of what is no address, and where pictures are meant."""
    said = edgeleuk("live", "--plain", "--no-keep", "--source", source, environment=environment, code=None)
    said += edgeleuk("analyze", source, environment=environment, code=None)
    assert said.count("error: ") >= 2
    assert PASSWORD not in said


# What older edgeleuk kept.


def test_passwords_of_older_sessions_go(tmp_path: Path) -> None:
    """Out of the file when it is opened, and out of what is shown of its fields and refusals."""
    path = tmp_path / "sessions.db"
    field, named = counted_field(1), "http://host/v?pwd=geheim#3"
    with open_store(path) as store:
        session = started(store)
        session.add(replace(field, field=replace(field.field, name=named)))
        session.refuse(Refusal(named, "focus", f"{named} is out of focus."))
        name = session.id
    with closing(sqlite3.connect(path)) as older, older:
        older.execute("UPDATE sessions SET source = 'http://me:ganzgeheim@host/v?token=geheim'")
        older.execute("DELETE FROM migrations WHERE name = 'm004_no_passwords'")
    assert b"ganzgeheim" in path.read_bytes()
    with open_store(path) as store:
        kept = store.get(name)
        assert kept.summary.source == "http://host/v?token=***"
        assert [each.field.name for each in kept.counted()] == ["http://host/v?pwd=***"]
        assert [(each.name, each.text) for each in kept.refused()] == [
            ("http://host/v?pwd=***", "http://host/v?pwd=*** is out of focus.")
        ]
    assert not [each for each in tmp_path.glob("sessions.db*") if b"ganzgeheim" in each.read_bytes()]


def test_the_support_archive_has_no_password() -> None:
    """Whatever a library wrote into the service's log."""
    line = "error: cannot open rtsp://me:geheim@10.0.0.7/live?pwd=geheim: timeout"
    assert without_people(line) == "error: cannot open rtsp://10.0.0.7/live?pwd=*** timeout"


def test_a_remark_keeps_no_password(tmp_path: Path) -> None:
    """Somebody may write the camera's address into a remark, or into the name of the slide."""
    with open_store(tmp_path / "s.db") as store:
        session = started(store, slide="see http://admin:s3cr3t@cam/x")
        session.note("again rtsp://u:s3cr3t@cam/y")
    assert not any(b"s3cr3t" in file.read_bytes() for file in tmp_path.rglob("s.db*"))
