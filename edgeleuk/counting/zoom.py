"""Another zoom or objective in the middle of a stream, noticed by the size of its red cells.

Where a field shows many and they differ by much, it contradicts its scale alone (see `pooling`). Here several frames speak
together: fields with few red cells, as those of a zoomed camera or of a leukaemia are, and changes of less than a third.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal

import numpy as np

from edgeleuk.errors import EdgeleukError
from edgeleuk.observation import Observation
from edgeleuk.pipeline import Analyser
from edgeleuk.pooling import CONTRADICTING, WITNESSES
from edgeleuk.scale import CONTRADICTS
from edgeleuk.types import RED_CELL, Box, Field, Scale

FEWEST = 3
"""Red cells whose size means anything."""
STEPPED = 0.18
"""Relative difference of the size of many red cells from that in the fields before: on 16 slides of five laboratories fields of one
microscope differ by 0.09 at most from the median of the others, and cameras zoom in steps of a fifth or more."""
CONFIRMED = 3
"""Frames in a row that must say the same."""
ALIKE = 0.2
"""Relative difference of two frames that say the same."""
REMEMBERED = 15
"""Fields that tell what is usual."""
AGAIN_S = 2.0
"""Between two looks at blurred frames, on the source's clock: each costs a search for red cells."""

Finding = Literal["same", "doubtful", "changed"]


class Zoom:
    """Compares the red cells of a stream's frames with those before. For frames of one size, at one scale."""

    def __init__(self, analyser: Analyser) -> None:
        self._analyser = analyser
        self._usual: deque[float] = deque(maxlen=REMEMBERED)
        self._doubts: list[float] = []
        self._looked: float | None = None
        self.times = 1.0
        """How many times as large as before red cells are in the last frame that was judged."""

    def begin(self) -> None:
        """The scale is another one from now on."""
        self._usual.clear()
        self._doubts.clear()

    def judge(self, seen: Observation, scale: Scale, field: Field | None = None) -> Finding:
        """Whether a frame shows red cells of the usual size. `field` is its analysis at `scale`, where it was not refused."""
        number, size = self._size(seen, scale, field)
        if number < FEWEST:
            return "doubtful" if self._doubts else "same"
        usual = float(np.median(self._usual)) if self._usual else 1.0 if scale.source == "red cells" else size
        self.times = size / usual
        limit = STEPPED if number >= WITNESSES else CONTRADICTING
        if abs(np.log(self.times)) <= np.log1p(limit):
            self._doubts.clear()
            if field:
                self._usual.append(size)
            return "same"
        self._doubts = [each for each in self._doubts if abs(np.log(each / size)) <= np.log1p(ALIKE)] + [size]
        return "changed" if len(self._doubts) >= CONFIRMED else "doubtful"

    def is_due(self, seconds: float) -> bool:
        """Whether to look at a blurred frame now: one of another zoom is as blurred as one out of focus."""
        due = self._looked is None or not 0 <= seconds - self._looked < AGAIN_S
        if due:
            self._looked = seconds
        return due

    def _size(self, seen: Observation, scale: Scale, field: Field | None) -> tuple[int, float]:
        """How many red cells tell, and their size over what human ones measure at `scale`.

        At a scale far off red cells are not found: they are then looked for at others.
        """
        found = field.of(RED_CELL) if field else ()
        if len(whole := [cell.box for cell in found if cell.whole]) >= FEWEST:
            return len(whole), self._of_boxes(whole, scale)
        try:
            own = self._analyser.estimate(seen, scale, CONTRADICTS)
        except EdgeleukError:  # those that an edge cuts are too small rather than too large
            boxes = [cell.box for cell in found]
            return len(boxes), self._of_boxes(boxes, scale) if boxes else 1.0
        return own.red_cells, scale.um_per_px / own.um_per_px

    def _of_boxes(self, boxes: Sequence[Box], scale: Scale) -> float:
        """The same of the finder's boxes."""
        x1, y1, x2, y2 = np.array(boxes).T
        side_um = float(np.median(np.sqrt((x2 - x1) * (y2 - y1)))) * scale.um_per_px
        return side_um / self._analyser.model.finder.red_cell_box_um
