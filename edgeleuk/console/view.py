"""Terminal view of a live count.

It shows what `console.layout` lays out, and sends as few bytes as possible.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rich.text import Text

from edgeleuk.console.keys import Controls
from edgeleuk.console.layout import LEAST_HEIGHT, LEAST_WIDTH, Extras, framed, lines, middle, view
from edgeleuk.console.parts import IDLE, Keyed
from edgeleuk.console.screen import Screen, can_show
from edgeleuk.counting.state import LiveState
from edgeleuk.differential.differential import Differential
from edgeleuk.differential.rules import Reference

__all__ = ["Extras", "LiveView", "Screen", "can_show", "view"]

REDRAW_S = 0.12
"""Minimum time between two drawings, seconds.

About eight per second: readable to the eye, and light enough for a slow line.
"""


class LiveView:
    """View of a live count on a screen, see `console.layout`."""

    def __init__(
        self,
        labels: Sequence[str],
        screen: Screen,
        *,
        reference: Reference,
        attributes: Mapping[str, Sequence[str]] | None = None,
        controls: Controls | None = None,
    ) -> None:
        """Prepare a view.

        Args:
            labels: All labels of the reader, in its order.
            screen: Open screen; the view does not close it.
            reference: Reference ranges, see `Extras`.
            attributes: Values of each attribute, see `Extras`.
            controls: Controls that know what is being typed.
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
        """Show a state, at most every REDRAW_S seconds.

        Rings the bell once when the target is reached.
        """
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
            keyed = Keyed(keys.asking, keys.typing, keys.dropping, keys.prompt_is_slide)
            extras = replace(extras, keyed=keyed, helping=keys.helping)
        self._screen.draw(self._lines(state, width, height, extras), size)

    def _lines(self, state: LiveState, width: int, height: int, extras: Extras) -> list[Text]:
        """Return the lines, reusing an unchanged middle.

        As `layout.lines`; most of a screen changes only with the count, and is reused until then.
        """
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
