"""A window with the live picture, for those who have a screen. Tk comes with Python and needs no other library.

OpenCV's own windows are absent from the headless build that the runtime depends on.
"""

from __future__ import annotations

import gc
import os
import tkinter
from types import TracebackType
from typing import Self

from edgeleuk.errors import UsageError
from edgeleuk.live.state import LiveState
from edgeleuk.optics import resize
from edgeleuk.types import Frame

LONG_SIDE = 800
"""Pixels on the screen: half of a 1600-pixel display, so that the terminal stays in sight."""
COLOURS = {"counted": "#2e9e5b", "seen": "#3b78c4", "move": "#8a8a8a", "manual": "#8a8a8a"}
"""Of the frame around the picture, by verdict; anything else is a reason to act."""
ACT = "#c98a1b"

NO_SCREEN = "--preview needs a screen, and there is none ({}). Leave it out, or start it on the desktop."


class Preview:
    """A window that shows frames until the operator closes it; closing it does not end the count."""

    def __init__(self) -> None:
        """Raises UsageError where there is no screen.

        To be made before any other thread: whatever Tk leaves behind must be freed in this one, or it aborts the process.
        """
        if not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
            raise UsageError(NO_SCREEN.format("neither DISPLAY nor WAYLAND_DISPLAY is set"))
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise UsageError(NO_SCREEN.format(error)) from error
        self._root.title("edgeleuk: research use only")
        self._root.protocol("WM_DELETE_WINDOW", self._closed)
        self._picture = tkinter.PhotoImage(master=self._root)
        self._border = tkinter.Frame(self._root, padx=6, pady=6)
        self._border.pack()
        tkinter.Label(self._border, image=self._picture, borderwidth=0).pack()
        self._words = tkinter.Label(self._root, anchor="w", font=("TkDefaultFont", 12))
        self._words.pack(fill="x", padx=6)
        self.open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.open:
            self._closed()
        del self._root, self._picture, self._border, self._words
        gc.collect()  # here, and not in the thread of a camera

    def show(self, frame: Frame, state: LiveState) -> None:
        """Put a frame on the screen, with its verdict as the colour around it and in words below."""
        if not self.open:
            return
        factor = LONG_SIDE / max(frame.width, frame.height)
        small = resize(frame.pixels, round(frame.width * factor), round(frame.height * factor))
        header = f"P6 {small.shape[1]} {small.shape[0]} 255 ".encode()
        self._picture.configure(data=header + small.tobytes(), format="PPM")
        self._border.configure(background=COLOURS.get(state.verdict, ACT))
        self._words.configure(
            text=f"{state.verdict}   {state.differential.n} of {state.target} white cells   {state.message}"
        )
        self._root.update()

    def _closed(self) -> None:
        self.open = False
        self._root.destroy()
