"""Scale of a stream by frame size.

It is known from the start, or measured on the first frames of each size.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.analysis.observation import Observation
from edgeleuk.counting.scale_policy import ScalePolicy, Size, file_size
from edgeleuk.errors import ScaleError
from edgeleuk.scale.agreement import pooled
from edgeleuk.types import Field, Scale

ENOUGH_RED_CELLS = 60
"""Red cells needed to fix a scale.

Nothing is counted before. The median of so many is good to 2 %.
"""
MOST_SCALE_FRAMES = 6
"""Maximum number of frames for a scale.

After these the scale is taken as it is.
"""


class SessionScale:
    """Scales of a stream by frame size.

    The scale is measured again for frames of another size, or if red cells contradict it.
    """

    def __init__(
        self,
        analyser: Analyser,
        policy: ScalePolicy,
        estimate: Callable[[Observation], Scale] | None = None,
    ) -> None:
        """Start without a known scale.

        Args:
            analyser: Analyser of the frames; it knows the device profile.
            policy: Scales of the slide; it knows the scale that the user gave.
            estimate: Measures one frame's scale, by its red cells unless it is given, and raises ScaleError;
                by default the analyser's.
        """
        self._analyser, self._policy = analyser, policy
        self._estimate = estimate or analyser.estimate
        self._known: dict[Size, Scale] = {}
        self._measured: defaultdict[Size, list[Scale]] = defaultdict(list)
        self._contradicted: set[Size] = set()
        """Frame sizes whose given or profile scale was contradicted.

        From then on the red cells tell the scale.
        """
        self._size: Size | None = None
        self.message = ""
        """Problem with the last frame's scale; empty if none.

        Why it is not known yet, or what speaks against the profile or the given scale.
        """
        self.change = ""
        """Notice of a new frame size.

        It says what follows from the change; empty for no change.
        """

    @property
    def current(self) -> Scale | None:
        """Scale for the last frame's size; None until known."""
        return self._known.get(self._size) if self._size else None

    def take_up(self, field: Field) -> None:
        """Continue with the scale of a field counted before."""
        self._size = field.width, field.height
        self._known[self._size] = field.scale

    def of(self, seen: Observation) -> Scale | None:
        """Return or measure the scale of a frame.

        None if the frames of its size have not told it yet.
        """
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
        """Drop the scale of a frame that contradicts it.

        The scale of frames of this size is measured again on the frames that follow.
        """
        size = file_size(seen.frame)
        self._known.pop(size, None)
        self._measured.pop(size, None)
        self._contradicted.add(size)

    def _told(self, seen: Observation, size: Size) -> Scale | None:
        """Return the scale that the user or the profile gave.

        None if red cells contradicted it before.
        """
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
