"""Attacks on a running server: refused in bounded time and memory, and it answers afterwards."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra `web` is not installed")

from dataclasses import replace

from web_server import Served, serving

from edgeleuk.web.limits import DEFAULT

QUICK = replace(
    DEFAULT, header_seconds=0.6, stall_seconds=0.6, body_seconds=1.5, connections=20, connections_each=16, json_bytes=4096,
    picture_bytes=100_000,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("web")


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    with serving(folder / "sessions.db", limits=QUICK) as found:
        yield found


@pytest.fixture(scope="module")
def lan(folder: Path) -> Iterator[Served]:
    with serving(folder / "lan.db", lan=True, limits=QUICK) as found:
        yield found


@pytest.fixture(autouse=True)
def answers_afterwards(served: Served, lan: Served) -> Iterator[None]:
    yield
    for each in (served, lan):
        with each.client() as client:
            assert client.get("/enter").status_code in (200, 303)


def test_every_page_carries_the_headers_of_safety(served: Served) -> None:
    """A strict policy without inline script, no sniffing, no frames, no referrer, nothing kept in caches."""
    with served.client() as client:
        for path in ("/", "/camera", "/nothing", "/api/nothing"):
            headers = client.get(path).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["cache-control"] == "no-store"
            assert "server" not in headers


def test_the_cookie_is_kept_from_scripts_and_other_sites(served: Served) -> None:
    """It is HttpOnly and SameSite=Strict, and ends."""
    with served.client() as client:
        cookie = client.get("/").headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {each.strip() for each in cookie.split(";")}
    assert "Max-Age=43200" in cookie


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "", "localhost@evil.example"])
def test_a_foreign_host_is_refused(served: Served, host: str) -> None:
    """As of a name that was made to point here."""
    with served.client() as client:
        assert client.get("/", headers={"host": host}).status_code in (400, 421)


def test_a_change_needs_the_token_of_a_page(served: Served) -> None:
    """Without it, or with another one, nothing happens."""
    with served.browser() as client:
        token = client.headers.pop("x-csrf-token")
        body = {"name": "Eve"}
        assert client.post("/api/operator", json=body).status_code == 403
        assert client.post("/api/operator", json=body, headers={"x-csrf-token": "x"}).status_code == 403
        assert client.post("/api/operator", json=body, headers={"x-csrf-token": token}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}],
)  # fmt: skip
def test_a_page_of_another_site_changes_nothing(served: Served, headers: dict[str, str]) -> None:
    """Even if it knew the token."""
    with served.browser() as client:
        assert client.post("/api/operator", json={"name": "Eve"}, headers=headers).status_code == 403


def test_a_page_of_another_site_sees_nothing(served: Served) -> None:
    """It can lead here, and cannot fetch or embed."""
    with served.client() as client:
        crossing = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
        assert client.get("/", headers=crossing).status_code == 403
        assert client.get("/", headers=crossing | {"sec-fetch-mode": "navigate"}).status_code == 200


def test_strangers_in_the_network_are_not_let_in(lan: Served) -> None:
    """They get the page that asks for a token, and nothing else."""
    with lan.client() as client:
        assert client.get("/").headers["location"] == "/enter"
        assert client.get("/api/slides/x").status_code == 401
        assert client.get("/slides/x/cells/1.jpg").headers.get("location") == "/enter"
        assert client.post("/api/pictures", content=b"x", headers={"x-csrf-token": "-"}).status_code == 401
        assert client.post("/api/tokens", json={}, headers={"x-csrf-token": "-"}).status_code == 401


def test_wrong_tokens_are_limited(tmp_path: Path) -> None:
    """After ten the address waits, and then even the right one does."""
    with serving(tmp_path / "s.db", lan=True, limits=QUICK) as served, served.client() as client:
        csrf = {"x-csrf-token": "-"}
        codes = [
            client.post("/api/enter", json={"token": f"t{n}"}, headers=csrf).status_code for n in range(12)
        ]
        assert codes == [403] * 10 + [429] * 2
        right = client.post("/api/enter", json={"token": served.tokens[-1]}, headers=csrf)
        assert right.status_code == 429
        assert int(right.headers["retry-after"]) > 0


def test_a_token_is_in_no_address_that_is_sent(lan: Served) -> None:
    """It stands behind the #; in a query it is not looked for."""
    with lan.client() as client:
        assert client.get(f"/enter?token={lan.tokens[-1]}").status_code == 200
        assert client.get("/").status_code == 303
    with lan.browser() as client:
        assert client.get("/").status_code == 200


def test_a_body_that_is_too_large_is_refused_by_its_length(served: Served) -> None:
    """Before any of it is read."""
    with served.raw() as raw:
        raw.sendall(
            b"POST /api/operator HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\nX-CSRF-Token: x\r\n\r\n"
        )
        answer = raw.recv(4096)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer.lower()


def test_a_stream_without_end_is_refused(served: Served) -> None:
    """Its length is not told; it is counted."""

    def endless() -> Iterator[bytes]:
        while True:
            yield b"\xff\xd8\xff" + b"x" * 65536

    with served.browser() as client:
        try:
            code = client.post("/api/pictures?name=a.jpg", content=endless()).status_code
        except Exception as error:  # noqa: BLE001  # the connection may be closed before the answer is read
            assert (
                "Write" in type(error).__name__
                or "Read" in type(error).__name__
                or "Protocol" in type(error).__name__
            )
        else:
            assert code == 413


def test_a_body_that_nobody_reads_ends_its_connection(served: Served) -> None:
    """An answer that needs no body does not wait for one, nor take it in."""
    with served.browser() as client:
        cookie = f"{served.cookie}={client.cookies[served.cookie]}".encode()
        with served.raw() as raw:
            raw.sendall(
                b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: "
                + cookie
                + b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
            )
            answer = raw.recv(65536)
            while part := raw.recv(65536):
                answer += part
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer.lower()


def test_slow_headers_end_the_connection(served: Served) -> None:
    """A client that sends a letter now and then, and one that sends none."""
    for first in (b"GET / HT", b""):
        with served.raw() as raw:
            began = time.monotonic()
            raw.sendall(first)
            try:
                left = raw.recv(100)
            except ConnectionResetError:
                left = b""
            assert left == b""
            assert time.monotonic() - began < 10


def test_a_slow_body_is_given_up(served: Served) -> None:
    """With the reason."""
    with served.browser() as client:
        cookie = f"{served.cookie}={client.cookies[served.cookie]}".encode()
        token = client.headers["x-csrf-token"].encode()
        with served.raw() as raw:
            raw.sendall(
                b"POST /api/operator HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
                b"Cookie: " + cookie + b"\r\nX-CSRF-Token: " + token + b"\r\n\r\n{"
            )
            assert raw.recv(4096).startswith(b"HTTP/1.1 408")


def test_one_address_gets_so_many_connections(served: Served) -> None:
    """Those beyond are closed at once; when others end there is room again."""
    held = [served.raw() for _ in range(QUICK.connections_each)]
    time.sleep(0.2)
    with served.raw() as more:
        more.settimeout(5)
        try:
            more.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = more.recv(100)
        except (ConnectionResetError, BrokenPipeError):
            answer = b""
    assert answer == b""
    for each in held:
        each.close()
    time.sleep(0.2)


@pytest.mark.parametrize(
    ("path", "codes"),
    [
        ("/static/../app.py", {404}), ("/static/..%2fapp.py", {404}), ("/static/%2e%2e%2fapp.py", {404}),
        ("/slides/..%2f..%2fetc%2fpasswd", {404}), ("/slides/x/cells/-1.jpg", {404}), ("/slides/%00", {404}),
        ("/" + "a" * 3000, {414}), ("//evil.example/", {404}), ("/slides/x/fields/99999999999999999999.jpg", {404}),
    ],
)  # fmt: skip
def test_no_path_leads_anywhere_else(served: Served, path: str, codes: set[int]) -> None:
    """Names are looked up, never opened."""
    with served.browser() as client:
        cookie = f"{served.cookie}={client.cookies[served.cookie]}".encode()
        with served.raw() as raw:
            raw.sendall(
                b"GET "
                + path.encode()
                + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: "
                + cookie
                + b"\r\n\r\n"
            )
            answer = raw.recv(4096)
    assert int(answer.split()[1]) in codes


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_refused(served: Served, method: str) -> None:
    """Nothing here needs them."""
    with served.client() as client:
        assert client.request(method, "/").status_code == 405


@pytest.mark.parametrize(
    ("content", "kind", "code"),
    [
        (b"{", "application/json", 400), (b"[]", "application/json", 400), (b'{"name": 5}', "application/json", 400),
        (b'{"name": "a", "more": 1}', "application/json", 400), (b'{"name": "\xff"}', "application/json", 400),
        (b"name=a", "application/x-www-form-urlencoded", 415), (b"[" * 4000, "application/json", 400),
        (b'{"name": "   "}', "application/json", 400), (b'{"name": "' + b"a" * 100 + b'"}', "application/json", 400),
    ],
)  # fmt: skip
def test_malformed_bodies_are_told(served: Served, content: bytes, kind: str, code: int) -> None:
    """With a sentence, and never as a fault."""
    with served.browser() as client:
        answer = client.post("/api/operator", content=content, headers={"content-type": kind})
    assert answer.status_code == code
    assert answer.json()["error"]["text"]


def test_other_machines_need_the_option(tmp_path: Path) -> None:
    """An address that they can reach is refused without it."""
    from edgeleuk.cli._rules import standards
    from edgeleuk.errors import UsageError
    from edgeleuk.models import registry
    from edgeleuk.web.server import bound
    from edgeleuk.web.settings import Settings

    with pytest.raises(UsageError, match="--lan"):
        bound(Settings(*standards(), registry.load, host="0.0.0.0", store=tmp_path / "s.db"))
    with pytest.raises(UsageError, match="another --host or --port"):
        bound(Settings(*standards(), registry.load, host="127.0.0.99x", lan=True))


def test_nothing_is_written_beside_the_store(folder: Path) -> None:
    """After all of that: the store with its log and its locks."""
    allowed = {"sessions.db", "lan.db", "locks"}
    assert {each.name.split("-")[0] for each in folder.iterdir()} <= allowed
    assert os.access(folder, os.W_OK)
