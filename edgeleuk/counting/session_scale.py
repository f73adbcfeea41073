"""The scale of a stream's frames: known from the start, or measured on the first ones, for each size of frame."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from edgeleuk.counting.scale import ScalePolicy, Size, file_size
from edgeleuk.errors import ScaleError
from edgeleuk.observation import Observation
from edgeleuk.pipeline import Analyser
from edgeleuk.pooling import pooled
from edgeleuk.types import Field, Scale

ENOUGH_RED_CELLS = 60
"""Red cells that the scale of a session rests on before anything is counted; their median is then good to 2 %."""
MOST_SCALE_FRAMES = 6
"""Frames after which the scale is taken as it is."""


class SessionScale:
    """Scales by size of frame. A frame of another size, or one whose red cells contradict, is measured again."""

    def __init__(
        self,
        analyser: Analyser,
        policy: ScalePolicy,
        estimate: Callable[[Observation], Scale] | None = None,
    ) -> None:
        """`estimate` measures one frame's scale, by its red cells where it is not given. Raises ScaleError."""
        self._analyser, self._policy = analyser, policy
        self._estimate = estimate or analyser.estimate
        self._known: dict[Size, Scale] = {}
        self._measured: defaultdict[Size, list[Scale]] = defaultdict(list)
        self._contradicted: set[Size] = set()
        """Sizes whose given or profile scale red cells contradicted: from then on the red cells tell."""
        self._size: Size | None = None
        self.message = ""
        """Why the last frame has no scale yet, or what speaks against the profile or the given scale."""
        self.change = ""
        """That frames have another size than before, and what follows from it; empty for no change."""

    @property
    def current(self) -> Scale | None:
        """Of frames of the last one's size; None until it is known."""
        return self._known.get(self._size) if self._size else None

    def take_up(self, field: Field) -> None:
        """Go on with the scale of a field that was counted before."""
        self._size = field.width, field.height
        self._known[self._size] = field.scale

    def of(self, seen: Observation) -> Scale | None:
        """The scale of a frame; None where frames of its size have not told it yet."""
        size = file_size(seen.frame)
        before, self._size = self._size, size
        self.message = self.change = ""
        if before not in (None, size):
            known = "known from before" if size in self._known else "measured again"
            self.change = f"frames have {size[0]} x {size[1]} px now; their scale is {known}."
        if size not in self._known and (scale := self._told(seen, size) or self._by_red_cells(seen, size)):
            self._known[size] = scale
        return self._known.get(size)

    def forget(self, seen: Observation) -> None:
        """The red cells of a frame contradict the scale of its size: measure it again on the frames that follow."""
        size = file_size(seen.frame)
        self._known.pop(size, None)
        self._measured.pop(size, None)
        self._contradicted.add(size)

    def _told(self, seen: Observation, size: Size) -> Scale | None:
        """What the user gave or the profile says, unless red cells contradicted it before."""
        if size in self._contradicted:
            return None
        if self._policy.given is None:
            scale, self.message = self._analyser.known_scale(seen)
            return scale
        choice = self._policy.choose(seen)
        self.message = choice.warning
        return choice.scale if choice.told else None

    def _by_red_cells(self, seen: Observation, size: Size) -> Scale | None:
        measured = self._measured[size]
        try:
            measured.append(self._estimate(seen))
        except ScaleError as error:
            self.message = str(error)
            return None
        found = pooled(measured)
        enough = found.red_cells >= ENOUGH_RED_CELLS or len(measured) >= MOST_SCALE_FRAMES
        return found if enough else None
