"""Detection of zoom and objective changes.

It is noticed by the size of red cells. A field that shows many of them, of a much different size, contradicts
its scale alone (see `scale.agreement`). Here several frames are combined, for fields with few red cells, as those of
a zoomed camera or of a leukaemia are, and for changes of less than a third.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal

import numpy as np

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.analysis.observation import Observation
from edgeleuk.errors import EdgeleukError
from edgeleuk.scale.agreement import CONTRADICTING, WITNESSES
from edgeleuk.scale.red_cells import CONTRADICTS
from edgeleuk.types import RED_CELL, Box, Field, Scale

FEWEST = 3
"""Minimum number of red cells for a meaningful size."""
STEPPED = 0.18
"""Relative size difference that indicates another zoom.

Of many red cells, against the fields before. On 16 slides of five laboratories, fields of one microscope
differ by 0.09 at most from the median of the others, and cameras zoom in steps of a fifth or more.
"""
CONFIRMED = 3
"""Number of consecutive frames that must agree."""
ALIKE = 0.2
"""Relative size difference of two frames that agree."""
REMEMBERED = 15
"""Number of fields that define the usual size."""
AGAIN_S = 2.0
"""Seconds between two checks of blurred frames.

On the source's clock. Each check costs a search for red cells.
"""

Finding = Literal["same", "doubtful", "changed"]


class Zoom:
    """Comparison of red-cell sizes across frames.

    For frames of one size, at one scale.
    """

    def __init__(self, analyser: Analyser) -> None:
        self._analyser = analyser
        self._usual: deque[float] = deque(maxlen=REMEMBERED)
        self._doubts: list[float] = []
        self._looked: float | None = None
        self.size_ratio = 1.0
        """Red-cell size relative to the frames before.

        In the last frame that was compared.
        """

    def begin(self) -> None:
        """Start anew after the scale changed."""
        self._usual.clear()
        self._doubts.clear()

    def compare(self, seen: Observation, scale: Scale, field: Field | None = None) -> Finding:
        """Compare whether red cells have their usual size.

        Args:
            seen: The frame.
            scale: Its scale.
            field: Its analysis at `scale`; None if it was refused.

        Returns:
            "same"; "doubtful" if the size differs; "changed" once CONFIRMED frames agree on that.
        """
        number, size = self._size(seen, scale, field)
        if number < FEWEST:
            return "doubtful" if self._doubts else "same"
        usual = float(np.median(self._usual)) if self._usual else 1.0 if scale.source == "red cells" else size
        self.size_ratio = size / usual
        limit = STEPPED if number >= WITNESSES else CONTRADICTING
        if abs(np.log(self.size_ratio)) <= np.log1p(limit):
            self._doubts.clear()
            if field:
                self._usual.append(size)
            return "same"
        self._doubts = [each for each in self._doubts if abs(np.log(each / size)) <= np.log1p(ALIKE)] + [size]
        return "changed" if len(self._doubts) >= CONFIRMED else "doubtful"

    def is_due(self, seconds: float) -> bool:
        """Return whether to check a blurred frame.

        A frame of another zoom is as blurred as one out of focus.
        """
        due = self._looked is None or not 0 <= seconds - self._looked < AGAIN_S
        if due:
            self._looked = seconds
        return due

    def _size(self, seen: Observation, scale: Scale, field: Field | None) -> tuple[int, float]:
        """Return the number of red cells and their size.

        The size is relative to human red cells at `scale`. At a scale far off red cells are not found: other
        scales are then tried.
        """
        found = field.of(RED_CELL) if field else ()
        if len(whole := [cell.box for cell in found if cell.whole]) >= FEWEST:
            return len(whole), self._of_boxes(whole, scale)
        try:
            own = self._analyser.estimate(seen, scale, CONTRADICTS)
        except EdgeleukError:  # red cells cut by an edge are too small rather than too large
            boxes = [cell.box for cell in found]
            return len(boxes), self._of_boxes(boxes, scale) if boxes else 1.0
        return own.red_cells, scale.um_per_px / own.um_per_px

    def _of_boxes(self, boxes: Sequence[Box], scale: Scale) -> float:
        """Return the relative red-cell size of the finder's boxes."""
        x1, y1, x2, y2 = np.array(boxes).T
        side_um = float(np.median(np.sqrt((x2 - x1) * (y2 - y1)))) * scale.um_per_px
        return side_um / self._analyser.model.finder.red_cell_box_um
