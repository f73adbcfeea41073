"""Microscope that a reader was adapted or taught for.

The facts are those that its pictures show. A reader that learnt one microscope is used on another by mistake:
the pictures then differ, and the result says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Any, Self

from edgeleuk.device.colour import Rgb
from edgeleuk.device.profiles import CAST
from edgeleuk.models import _values as checked

ZOOM = 1.25
"""Largest ratio of two scales of one camera and objective.

Scales from red cells differ by up to 15 % between slides of one microscope; the next camera adapter, such as
0.5x after 0.63x, differs by 26 %.
"""
MOST_CAST = 10.0
"""Largest logarithm of two levels from 1 to 255, rounded up."""


@dataclass(frozen=True, slots=True)
class Microscope:
    """Facts of the pictures that a reader learnt from."""

    red: float
    """Logarithm of red to green in the background."""
    blue: float
    """Logarithm of blue to green in the background."""
    um_per_px: float | None = None
    """Scale of the camera's pictures; None if only crops of them were there."""
    profile: str = ""
    """Device profile that was used; empty if none."""

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Self:
        """Parse the entry of a manifest.

        Raises:
            KeyError: A value is missing.
            TypeError: A value has the wrong type.
            ValueError: A value is out of range.
        """
        scale = value.get("um_per_px")
        return cls(
            red=checked.within(-MOST_CAST, MOST_CAST, value["red"]),
            blue=checked.within(-MOST_CAST, MOST_CAST, value["blue"]),
            um_per_px=None if scale is None else checked.positive(scale),
            profile=checked.text(value.get("profile", "")),
        )

    @classmethod
    def seen(cls, background: Rgb, um_per_px: float | None, profile: str = "") -> Self:
        """Return the facts of pictures.

        Args:
            background: Levels of the empty slide, R, G, B, 1 to 255.
            um_per_px: Scale of the pictures; None if unknown.
            profile: Device profile; empty if none.
        """
        red, green, blue = background
        return cls(round(log(red / green), 4), round(log(blue / green), 4), um_per_px, profile)

    def as_json(self) -> dict[str, Any]:
        """Return the entry of a manifest."""
        return {"red": self.red, "blue": self.blue, "um_per_px": self.um_per_px, "profile": self.profile}

    def doubt(self, other: Microscope) -> str:
        """Return how pictures differ from those learnt from.

        Empty if they do not. Without figures, so that the pictures of a slide have one remark.
        """
        said = []
        if self.profile and other.profile and other.profile != self.profile:
            said.append(f"the profile is {other.profile}, not {self.profile}")
        cast = max(abs(self.red - other.red), abs(self.blue - other.blue))
        if cast > CAST:
            said.append("the background has another colour")
        if self.um_per_px and other.um_per_px:
            times = max(self.um_per_px / other.um_per_px, other.um_per_px / self.um_per_px)
            if times > ZOOM:
                said.append("the camera or its zoom is another one, by the size of red cells")
        return " and ".join(said)
