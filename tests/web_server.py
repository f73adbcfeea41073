"""A real server on the loopback, and a client that keeps to its rules, for the tests of the pages."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.cli._rules import standards
from edgeleuk.counting.live import LiveCounter
from edgeleuk.counting.scale_policy import ScalePolicy
from edgeleuk.counting.slide import SlideCount, SlideOptions
from edgeleuk.models import registry
from edgeleuk.results.slide_result import identify
from edgeleuk.sessions import NewSession, open_store
from edgeleuk.sources.camera import CameraState
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.types import Frame, PictureFile, TimedFrame
from edgeleuk.web import app
from edgeleuk.web.limits import DEFAULT, Limits
from edgeleuk.web.live import LiveHub
from edgeleuk.web.server import Running, bound
from edgeleuk.web.settings import Settings


@dataclass
class Served:
    """Server that runs."""

    address: str
    port: int
    store: Path
    server: app.Server
    tokens: list[str]
    """Tokens that were shown, in order."""
    cookie: str

    def client(self, **options: Any) -> httpx.Client:
        """A client that is no browser: without a session."""
        return httpx.Client(base_url=self.address, timeout=60, trust_env=False, **options)

    @contextmanager
    def browser(self, name: str = "Ada") -> Iterator[httpx.Client]:
        """A client that was let in, with the token of its pages, and a reviewer's name."""
        with self.client() as client:
            if self.tokens:
                entered = client.post(
                    "/api/enter", json={"token": self.tokens[-1]}, headers={"x-csrf-token": "-"}
                )
                assert entered.status_code == 200, entered.text
            page = client.get("/")
            found = re.search(r'name="csrf" content="([^"]+)"', page.text)
            assert found, page.text
            client.headers["x-csrf-token"] = found[1]
            if name:
                assert client.post("/api/operator", json={"name": name}).status_code == 200
            yield client

    def raw(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


class Counted:
    """Count of two frames of the demo, shown in a hub."""

    def __init__(self, analyser: Analyser, frame: Frame) -> None:
        self.hub = LiveHub(analyser.reader.labels)
        slide = SlideCount(analyser, *standards(), ScalePolicy(analyser), SlideOptions())
        self.counter = LiveCounter(slide, source="demo", target=100, recorder=self.hub.recorder(None))
        self.frame = frame
        assert self.counter.frame(TimedFrame(frame, 0.0, 0)) == "counted"
        self.requests = self.hub.requests(lambda: iter(()))

    def show(self) -> None:
        state = self.counter.state(CameraState("running", 0.0))
        self.hub.take_state(state)
        self.hub.show(self.frame, state)


def free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        port: int = tried.getsockname()[1]
        return port


@contextmanager
def serving(
    store: Path, *, lan: bool = False, limits: Limits = DEFAULT, live: LiveHub | None = None, port: int = 0
) -> Iterator[Served]:
    """Run a server until the block is left."""
    settings = Settings(
        *standards(), registry.load, port=port or free_port(), lan=lan, store=store, limits=limits
    )
    tokens: list[str] = []
    server = app.make(settings, on_token=tokens.append, live=live)
    if lan:
        server.access.new_token()
    with Running(server, bound(settings), settings):
        yield Served(
            f"http://127.0.0.1:{settings.port}", settings.port, store, server, tokens, settings.cookie
        )


def slide_of_demo(store: Path, analyser: Analyser, picture: Path, slide: str = "S1") -> str:
    """Count a picture into a new session of a store; return its id."""
    refusing = analyser
    with open_store(store) as opened:
        session = opened.start(
            NewSession(source="demo", model=identify(analyser.model), kind="pictures", slide=slide)
        )
        count = SlideCount(
            refusing, *standards(), ScalePolicy(refusing), SlideOptions(overlapping=False), session
        )
        frame = read_picture(PictureFile(picture))
        count.consider(replace(frame, name=picture.name))
        session.finish("analysed 1 picture")
        return session.id
