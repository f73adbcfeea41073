"""Settings of a batch: the same for all of its slides."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgeleuk import __version__
from edgeleuk.device.profiles import Profile
from edgeleuk.differential.rules import Reference, Rules
from edgeleuk.differential.verdict import Reason
from edgeleuk.results.slide_result import ModelIdentity


@dataclass(frozen=True, slots=True)
class Settings:
    """What each slide of a batch is counted with.

    The rules, the ranges and the profile are values: a worker needs none of the user's files.
    """

    model: ModelIdentity
    rules: Rules
    reference: Reference
    profile: Profile | None = None
    um_per_px: float | None = None
    """Given scale, micrometres per pixel; None to measure it on red cells."""
    overlapping: bool = True
    """Whether a slide's pictures may show the same place."""
    refusing: bool = True
    """Whether pictures that are too poor are refused."""
    control: Mapping[str, tuple[Reason, ...]] = field(default_factory=dict)
    """What speaks against results, by device: a control slide failed or is overdue."""

    def described(self) -> dict[str, Any]:
        """Return the settings that results depend on, as plain values."""
        return {
            "edgeleuk": __version__,
            "model": f"{self.model.magnification} {self.model.version} {self.model.manifest_sha256[:16]}",
            "um_per_px": self.um_per_px,
            "profile": self.profile and f"{self.profile.name} {_hash(self.profile)}",
            "rules": _hash(self.rules),
            "reference": _hash(self.reference),
            "separate": not self.overlapping,
            "force": not self.refusing,
        }


def _hash(value: object) -> str:
    """Return a hash of a frozen value.

    The text of the value has every field in order.
    """
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def packed(settings: Settings) -> bytes:
    """Return settings as bytes for a worker's counting process."""
    return pickle.dumps(settings)


def unpacked(content: bytes) -> Settings:
    """Return settings from their bytes.

    Only bytes of the program that counts the batch are read: pickled values can run code.
    """
    found = pickle.loads(content)
    assert isinstance(found, Settings)
    return found
