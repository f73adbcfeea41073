"""Window with the live picture.

It uses Tk, which comes with Python: the runtime depends on the headless build of OpenCV, which has no
windows.
"""

from __future__ import annotations

import gc
import os
import tkinter
from types import TracebackType
from typing import Self

from edgeleuk.counting.state import LiveState
from edgeleuk.errors import UsageError
from edgeleuk.imaging.resampling import resize
from edgeleuk.system.wording import option
from edgeleuk.types import Frame

LONG_SIDE = 800
"""Long side of the picture on the screen, pixels.

Half of a 1600-pixel display, so that the terminal stays visible.
"""
COLOURS = {"counted": "#2e9e5b", "seen": "#3b78c4", "move": "#8a8a8a", "manual": "#8a8a8a"}
"""Border colour by verdict.

Every other verdict calls for action and gets the colour ACT.
"""
ACT = "#c98a1b"


class Preview:
    """Window that shows frames until the operator closes it.

    Closing it does not end the count.
    """

    def __init__(self) -> None:
        """Open the window.

        Create it before starting any other thread: Tk objects must be freed in this thread, or Tk aborts the
        process.

        Raises:
            UsageError: There is no screen.
        """
        if not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
            raise _no_screen("neither DISPLAY nor WAYLAND_DISPLAY is set")
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise _no_screen(f"{error}") from error
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
        gc.collect()  # in this thread, not in a camera's

    def show(self, frame: Frame, state: LiveState) -> None:
        """Show a frame with its verdict.

        The verdict sets the colour of the border and stands in words below.
        """
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


def _no_screen(why: str) -> UsageError:
    return UsageError(
        f"{option('preview')} needs a screen, and there is none ({why}). Leave it out, or start it on the desktop."
    )
