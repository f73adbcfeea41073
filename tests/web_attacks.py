"""Attacks on a running server, at length: it must answer afterwards, in bounded memory, with nothing beside its store.

    python tests/web_attacks.py [GIGABYTES]

A stream without end (by default 10 GB are offered), 1,000 posts at once, 10,000 wrong tokens, 200 slow clients, odd ranges and
headers, malformed requests. Prints what became of each, and the memory of the server's process.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from web_server import free_port

CHUNK = b"\xff\xd8\xff" + b"x" * ((1 << 20) - 3)


@dataclass
class Target:
    """Server under attack."""

    port: int
    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def memory_mb(self) -> float:
        """Peak of the server's own resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024

    def answers(self) -> float:
        """Seconds until the first page is there; retried while the server sheds connections."""
        began = time.monotonic()
        while True:
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.address}/", trust_env=False, timeout=30).status_code == 200:
                    return time.monotonic() - began
            if time.monotonic() - began > 60:
                raise SystemExit("the server does not answer any more")
            time.sleep(0.2)


@contextmanager
def target() -> Iterator[Target]:
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [
            sys.executable,
            "-m",
            "edgeleuk",
            "serve",
            "--port",
            str(port),
            "--store",
            f"{folder}/sessions.db",
        ]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            found = Target(port, process, Path(folder))
            try:
                found.answers()
                yield found
            finally:
                process.terminate()


def browser(found: Target) -> httpx.Client:
    client = httpx.Client(base_url=found.address, trust_env=False, timeout=120)
    token = re.findall(r'name="csrf" content="([^"]+)"', client.get("/").text)[0]
    client.headers["x-csrf-token"] = token
    return client


def stream(found: Target, gigabytes: float) -> str:
    """Offer a picture without end."""
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < gigabytes * 1e9:
            sent += len(CHUNK)
            yield CHUNK

    with closing(browser(found)) as client:
        try:
            code = str(client.post("/api/pictures", content=endless()).status_code)
        except httpx.TransportError as error:
            code = type(error).__name__
    return f"{code} after {sent / 1e6:.0f} MB"


def posts(found: Target) -> str:
    """1,000 posts at once."""
    with closing(browser(found)) as client:
        headers = dict(client.headers) | {"cookie": "; ".join(f"{k}={v}" for k, v in client.cookies.items())}

    def one(number: int) -> str:
        try:
            answer = httpx.post(
                f"{found.address}/api/operator",
                json={"name": f"n{number}"},
                headers=headers,
                trust_env=False,
                timeout=60,
            )
            return str(answer.status_code)
        except httpx.TransportError as error:
            return type(error).__name__

    with ThreadPoolExecutor(200) as pool:
        return str(dict(Counter(pool.map(one, range(1000)))))


def tokens(found: Target) -> str:
    """10,000 wrong tokens."""
    codes: Counter[int] = Counter()
    with httpx.Client(base_url=found.address, trust_env=False, timeout=60) as client:
        for number in range(10_000):
            answer = client.post(
                "/api/enter", json={"token": f"guess-{number}"}, headers={"x-csrf-token": "-"}
            )
            codes[answer.status_code] += 1
    return str(dict(codes))


def slow(found: Target) -> str:
    """200 clients that send a byte now and then."""
    held: list[socket.socket] = []
    for _ in range(200):
        with suppress(OSError):
            held.append(socket.create_connection(("127.0.0.1", found.port), timeout=5))
    began, left = time.monotonic(), len(held)
    while time.monotonic() - began < 14:
        for each in held:
            with suppress(OSError):
                each.sendall(b"G")
        time.sleep(1)
    closed = 0
    for each in held:
        each.settimeout(0.1)
        try:
            closed += each.recv(1) == b""
        except TimeoutError:
            pass
        except OSError:
            closed += 1
        each.close()
    return f"{left} connected, {closed} closed by the server within 14 s"


def odd(found: Target) -> str:
    """Malformed and odd requests, each on its own connection."""
    requests = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-,-1,5-2,99999999999999999999-\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nConnection: close\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\nConnection: close\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"\r\n" * 50_000,
        b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ]  # fmt: skip
    codes = []
    for request in requests:
        with socket.create_connection(("127.0.0.1", found.port), timeout=20) as raw:
            try:
                raw.sendall(request)
                answer = raw.recv(64)
            except OSError:
                answer = b""
        codes.append(answer.split()[1].decode() if answer.startswith(b"HTTP/") else "closed")
    return " ".join(codes)


def main() -> None:
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    attacks: list[tuple[str, Callable[[Target], str]]] = [
        (f"{gigabytes:g} GB stream", lambda found: stream(found, gigabytes)),
        ("1,000 posts at once", posts), ("10,000 wrong tokens", tokens), ("200 slow clients", slow), ("odd requests", odd),
    ]  # fmt: skip
    with target() as found:
        print(f"before: {found.memory_mb:.0f} MB", flush=True)
        for name, attack in attacks:
            began = time.monotonic()
            said = attack(found)
            took = time.monotonic() - began
            print(
                f"{name}: {said}; {took:.0f} s; answers in {found.answers():.2f} s; peak {found.memory_mb:.0f} MB",
                flush=True,
            )
        left = sorted(each.name for each in found.folder.iterdir())
        print(f"beside the store: {left}; threads here: {threading.active_count()}")


if __name__ == "__main__":
    main()
