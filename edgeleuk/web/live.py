"""Running count as it is shown to browsers.

The module also takes what browsers ask of the count.

The count has a thread of its own. It hands over states, frames and counted fields; browsers' requests wait until it takes
them, as the keys of its operator do.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.counting.live import Recorder
from edgeleuk.counting.requests import Request
from edgeleuk.counting.state import LiveState
from edgeleuk.render.colours import of_label
from edgeleuk.types import WHITE_CELL, CountedField, Frame, Refusal
from edgeleuk.web.view_picture import jpeg

SIDE = 960
"""Long side of the shown picture, pixels."""
QUALITY = 75
FRAME_S = 0.2
"""Minimum time between two shown pictures, seconds."""
WATCHED_S = 10.0
"""Time for which a browser that asked counts as watching, seconds."""
CROPS = 60
"""Number of cells' pictures at hand, the newest ones."""
ALIKE = 6.0
"""Maximum mean difference of grey levels between a counted field and a frame of the same place."""
PROBE = (64, 36)
MOST_REQUESTS = 16


class View(Protocol):
    """View of states: terminal, or nothing."""

    def update(self, state: LiveState) -> None: ...


class LiveHub:
    """Meeting point of a count's thread and the server's."""

    def __init__(self, labels: Sequence[str]) -> None:
        """Prepare; `labels` are all labels of the reader, in its order."""
        self.labels: Sequence[str] = tuple(labels)
        self._lock = threading.Lock()
        self._state: LiveState | None = None
        self._picture = b""
        self._number = 0
        self._shown = 0.0
        self._watched = float("-inf")
        self._counted: CountedField | None = None
        self._probe: NDArray[np.float32] | None = None
        self._crops: OrderedDict[int, bytes] = OrderedDict()
        self._newest: deque[int] = deque(maxlen=8)
        self._asked: queue.Queue[Request] = queue.Queue(MOST_REQUESTS)
        self.next_slides = False
        """Whether the count can go on with another slide."""

    # In the count's thread

    def begin(self, labels: Sequence[str], next_slides: bool) -> None:
        """Begin a count: nothing of the one before is shown, and no request for it is obeyed.

        Args:
            labels: All labels of the reader, in its order.
            next_slides: Whether browsers may begin the next slide.
        """
        with self._lock:
            self._state, self._picture = None, b""
            self._counted = self._probe = None
            self._crops.clear()
            self._newest.clear()
            self.labels, self.next_slides = tuple(labels), next_slides
        while not self._asked.empty():
            self._asked.get_nowait()

    def view(self, view: View) -> View:
        """Return a view that shows states to browsers too."""
        return _Both(self, view)

    def recorder(self, recorder: Recorder | None) -> Recorder:
        """Return a recorder that hands counted fields to browsers too."""
        return _Watching(self, recorder)

    def requests(self, others: Callable[[], Iterator[Request]]) -> Callable[[], Iterator[Request]]:
        """Return the source of the operator's requests, with those of browsers."""

        def both() -> Iterator[Request]:
            yield from others()
            while not self._asked.empty():
                yield self._asked.get_nowait()

        return both

    def show(self, frame: Frame, state: LiveState) -> None:
        """Take a frame, if a browser is watching."""
        now = time.monotonic()
        if now - self._watched > WATCHED_S or now - self._shown < FRAME_S:
            return
        self._shown = now
        picture = jpeg(self._annotated(frame), QUALITY)
        with self._lock:
            self._picture, self._number, self._state = picture, self._number + 1, state

    def take_state(self, state: LiveState) -> None:
        """Take a state."""
        with self._lock:
            self._state = state

    def take_field(self, counted: CountedField) -> None:
        """Take a counted field with the pictures of its cells."""
        with self._lock:
            self._counted, self._probe = counted, _probe(counted.thumbnail)
            for index, picture in counted.crops.items():
                if identity := counted.identities[index]:
                    self._crops[identity] = picture
                    if identity in counted.fresh and counted.field.cells[index].reading:
                        self._newest.appendleft(identity)
            while len(self._crops) > CROPS:
                self._crops.popitem(last=False)

    def take_back(self) -> None:
        """Forget the last counted field."""
        with self._lock:
            gone = self._counted.fresh if self._counted else frozenset()
            self._counted = self._probe = None
            self._newest = deque((each for each in self._newest if each not in gone), maxlen=8)

    # In the server's threads

    @property
    def state(self) -> LiveState | None:
        """State of the count; None before the first."""
        self._watched = time.monotonic()
        with self._lock:
            return self._state

    @property
    def picture(self) -> tuple[int, bytes]:
        """Number and JPEG of the newest frame; empty before the first."""
        self._watched = time.monotonic()
        with self._lock:
            return self._number, self._picture

    @property
    def newest(self) -> list[int]:
        """Cells found last, the newest first."""
        with self._lock:
            return list(self._newest)

    def crop(self, identity: int) -> bytes | None:
        """Return the picture of a cell.

        None if it is not at hand.
        """
        with self._lock:
            return self._crops.get(identity)

    def ask(self, request: Request) -> bool:
        """Hand a request to the count; False where too many wait."""
        try:
            self._asked.put_nowait(request)
        except queue.Full:
            return False
        return True

    def _annotated(self, frame: Frame) -> NDArray[np.uint8]:
        """Return a frame of SIDE pixels, with boxes.

        The boxes are there while it shows the field that was counted last.
        """
        times = min(1.0, SIDE / max(frame.width, frame.height))
        size = max(1, round(frame.width * times)), max(1, round(frame.height * times))
        canvas = cv2.resize(frame.pixels, size, interpolation=cv2.INTER_AREA)
        with self._lock:
            counted, probe = self._counted, self._probe
        if counted is None or probe is None:
            return canvas
        grey = cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)
        if float(np.abs(_probe(grey) - probe).mean()) > ALIKE:
            return canvas
        across, down = size[0] / counted.field.width, size[1] / counted.field.height
        for cell in counted.field.cells:
            if cell.kind != WHITE_CELL:
                continue
            label = cell.reading.label if cell.reading else ""
            x1, y1, x2, y2 = cell.box
            corners = (round(x1 * across), round(y1 * down)), (round(x2 * across), round(y2 * down))
            cv2.rectangle(canvas, *corners, (255, 255, 255), 4)
            cv2.rectangle(canvas, *corners, of_label(label, self.labels), 2)
        return canvas


def _probe(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    small: NDArray[np.float32] = cv2.resize(grey, PROBE, interpolation=cv2.INTER_AREA).astype(np.float32)
    return small


class _Both:
    """View that shows states to browsers and to another view."""

    def __init__(self, hub: LiveHub, view: View) -> None:
        self._hub, self._view = hub, view

    def update(self, state: LiveState) -> None:
        self._hub.take_state(state)
        self._view.update(state)


class _Watching:
    """Recorder that hands fields to browsers once they are kept."""

    def __init__(self, hub: LiveHub, recorder: Recorder | None) -> None:
        self._hub, self._recorder = hub, recorder
        self.id = recorder.id if recorder else ""

    def add(self, counted: CountedField) -> None:
        if self._recorder:
            self._recorder.add(counted)
        self._hub.take_field(counted)

    def refuse(self, *refusals: Refusal) -> None:
        if self._recorder:
            self._recorder.refuse(*refusals)

    def undo(self) -> None:
        if self._recorder:
            self._recorder.undo()
        self._hub.take_back()

    def mark(self, identity: int, label: str) -> None:
        if self._recorder:
            self._recorder.mark(identity, label)

    def note(self, text: str) -> None:
        if self._recorder:
            self._recorder.note(text)
