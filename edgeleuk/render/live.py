"""The terminal view of a live count: what `live_layout` draws, kept on the screen with as few bytes as it takes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rich.text import Text

from edgeleuk.differential import Differential
from edgeleuk.live.keys import Controls
from edgeleuk.live.state import LiveState
from edgeleuk.render.live_layout import (
    LEAST_HEIGHT,
    LEAST_WIDTH,
    Extras,
    framed,
    lines,
    middle,
    view,
)
from edgeleuk.render.live_parts import IDLE, Keyed
from edgeleuk.render.live_screen import Screen, can_show
from edgeleuk.rules import Reference

__all__ = ["Extras", "LiveView", "Screen", "can_show", "view"]

REDRAW_S = 0.12
"""Least time between two drawings: about eight a second, which an eye follows and a slow line carries."""


class LiveView:
    """A live count on a screen. See `live_layout` for what it shows."""

    def __init__(
        self,
        labels: Sequence[str],
        screen: Screen,
        *,
        reference: Reference,
        attributes: Mapping[str, Sequence[str]] | None = None,
        controls: Controls | None = None,
    ) -> None:
        """`labels` are all of the reader's; `attributes` and `reference` as in Extras; `controls` knows what is typed.

        `screen` is one that is open, and stays so.
        """
        self._labels, self._controls = labels, controls
        self._extras = Extras(reference, attributes)
        self._screen = screen
        self._middle: list[Text] = []
        self._judged: Differential | None = None
        self._told: tuple[object, ...] = ()
        self._last = float("-inf")
        self._below_target = False

    def update(self, state: LiveState) -> None:
        """Show a state, unless the last one was shown just now. Rings once when the target is reached."""
        now = time.monotonic()
        if now - self._last >= REDRAW_S:
            self._last = now
            self._draw(state)
        below = state.differential.n < state.target
        if self._below_target and not below:
            self._screen.console.bell()
        self._below_target = below

    def _draw(self, state: LiveState) -> None:
        width, height = size = self._screen.size
        extras = self._extras
        if keys := self._controls:
            keyed = Keyed(keys.asking, keys.typing, keys.dropping)
            extras = replace(extras, keyed=keyed, helping=keys.helping)
        self._screen.draw(self._lines(state, width, height, extras), size)

    def _lines(self, state: LiveState, width: int, height: int, extras: Extras) -> list[Text]:
        """As `live_layout.lines`. Most of a screen changes only with the count, and is kept until then."""
        if width < LEAST_WIDTH or height < LEAST_HEIGHT:
            return lines(state, self._labels, width, height, extras)
        told = (
            state.last_added,
            state.last_cell,
            state.fields,
            state.slide_verdict,
            width,
            height,
            replace(extras, keyed=IDLE),
        )
        if state.differential is not self._judged or told != self._told:
            self._judged, self._told = state.differential, told
            self._middle = middle(state, self._labels, width, height, extras)
        return framed(state, self._middle, width, extras)
