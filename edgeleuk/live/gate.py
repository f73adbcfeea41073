"""When a frame counts: still, in focus, well lit, countable, and of new ground. Anything else has a word for it."""

from __future__ import annotations

from dataclasses import dataclass

from edgeleuk.live.state import Meters, Verdict
from edgeleuk.quality import Look
from edgeleuk.types import Assessment, Placement


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a frame stops counting."""

    darkest: float = 0.2
    """Background brightness, 0 to 1, under which noise hides what is pale."""
    clipped: float = 0.5
    """Share of clipped pixels above which the background's level is lost, and pale cells with it."""
    emptiest: float = 0.02
    """Share of the frame covered; one red cell in a 100x field of 128 x 72 um covers 0.005."""
    thickest: float = 0.93
    """Share of the frame covered: beyond it cells lie over each other."""
    faintest: float = 0.04
    """Optical density that something in the frame must have."""
    focus: float = 0.3
    """Least sharpness as a share of the best. On simulated slides, 0.5 um out of focus at 100x and 2 um at 40x."""
    still_px: float = 2.0
    """Movement between two frames, pixels, that blurs less than the reader was trained with."""
    new_ground: float = 0.08
    """Least share of the frame that no counted field covers."""


class Gate:
    """Judges frames of one session. It remembers the best sharpness, since that is only known in comparison."""

    def __init__(self, limits: Limits | None = None, stills: bool = False, best: float = 1.0) -> None:
        """`stills`: each frame is a picture of its own, taken standing still, as from a folder. `best`: sharpness that
        the device is known to reach; without it the first frames are judged by themselves."""
        self.limits = limits or Limits()
        self.stills = stills
        self._best = best

    def meters(self, look: Look) -> Meters:
        """Focus and light of a frame, and remembers the best focus of frames that show something."""
        if not self._bad_light(look) and not self._nothing(look):
            # A single frame with dirt or noise in it would set the mark too high for good: approach it.
            self._best += max(look.sharpness - self._best, 0.0) * (0.5 if self._best > 1.0 else 1.0)
        span = self._best - 1.0
        focus = (look.sharpness - 1.0) / span if span > 0 else 0.0
        return Meters(focus=min(max(focus, 0.0), 1.0), light=look.light)

    def unfit(self, look: Look, meters: Meters) -> Verdict | None:
        """Why a frame cannot count whatever is in it, or None."""
        limits = self.limits
        if bad := self._bad_light(look):
            return bad
        if self._nothing(look):
            return "empty"
        if look.coverage > limits.thickest:
            return "thick"
        # Pictures of a folder may come from different slides and cameras: they have no common best focus.
        if not self.stills and meters.focus < limits.focus:
            return "focus"
        return None

    def unwanted(self, placement: Placement, um_per_px: float) -> Verdict | None:
        """Why a good frame does not count at its place, or None."""
        if not self.stills and (
            placement.moved_um is None or placement.moved_um > self.limits.still_px * um_per_px
        ):
            return "move"
        return "seen" if placement.new_ground < self.limits.new_ground else None

    def unsound(self, assessment: Assessment) -> Verdict | None:
        """Why a frame cannot count once its cells are found, or None. Coverage alone does not tell a dense monolayer from
        cells that lie over each other, nor a smear from anything else."""
        severe = {finding.code for finding in assessment.findings if finding.severe}
        if "domain" in severe:
            return "foreign"
        return "thick" if "thick" in severe else None

    def _bad_light(self, look: Look) -> Verdict | None:
        if look.light < self.limits.darkest:
            return "dark"
        return "bright" if look.clipped > self.limits.clipped else None

    def _nothing(self, look: Look) -> bool:
        return look.coverage < self.limits.emptiest or (
            look.contrast < self.limits.faintest and look.coverage < 0.1
        )
