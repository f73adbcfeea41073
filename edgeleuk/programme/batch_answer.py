"""Answer of a counting process about one slide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["done", "died", "lacks", "unseen", "unfit"]
"""What became of a slide.

- done: it was counted, or could not be, and has a row.
- died: the process ended while it counted the slide.
- lacks: the worker has no such model; it was not tried.
- unseen: the worker does not see the pictures, which may be on a file system that it lacks; it was not tried.
- unfit: the worker cannot count at all; it was not tried.
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a slide."""

    state: State
    row: Mapping[str, Any] = field(default_factory=dict)
    """Row of the table; empty unless done."""
    content: bytes = b""
    """Result as JSON, compressed with zlib; empty unless done."""
    text: str = ""
    """Reason in a clause or path, unless done."""
    seconds: float = 0.0
    """Processor time of the slide."""
    fetched: int = 0
    """Bytes that were fetched from addresses."""
    worker: str = ""
    """Address of the worker; empty on this machine."""
