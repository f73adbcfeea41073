"""Settings of the server, as a command gives them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeleuk.differential.rules import Reference, Rules
from edgeleuk.models.registry import Model
from edgeleuk.web.limits import DEFAULT, Limits


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one server."""

    rules: Rules
    reference: Reference
    load: Callable[[str], Model]
    """Returns the model for an objective."""
    host: str = "127.0.0.1"
    port: int = 8765
    lan: bool = False
    """Whether other machines may connect."""
    store: Path | None = None
    """File of sessions; None for the user's own."""
    rules_file: Path | None = None
    reference_file: Path | None = None
    magnification: str = "100x"
    """Objective that the page of pictures proposes."""
    magnifications: tuple[str, ...] = ("100x", "40x", "10x")
    profile: str | None = None
    """Profile of the device that takes the pictures."""
    operator: str = ""
    """Reviewer that a browser begins with."""
    site: str = ""
    device: str = ""
    limits: Limits = DEFAULT

    @property
    def cookie(self) -> str:
        """Name of the cookie: cookies do not tell ports apart."""
        return f"edgeleuk-{self.port}"
