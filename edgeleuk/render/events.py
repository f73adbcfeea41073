"""Live count events as log and JSON lines."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from edgeleuk.counting.state import Event
from edgeleuk.differential.differential import Differential
from edgeleuk.render._words import clean, elapsed
from edgeleuk.system.sentences import said

KIND_WIDTH = 8
"""Width of the longest kind of event.

With it the texts align.
"""


def plain(event: Event) -> str:
    """Return an event as one line.

    It has the time since the count began, the kind of event, and its sentence.
    """
    return plain_line(event.seconds, event.kind, event.text)


def plain_line(seconds: float, kind: str, text: str) -> str:
    """Return a log line.

    It also serves for what happens before the count begins.

    Args:
        seconds: Seconds since the count began.
        kind: Kind of the event.
        text: One sentence.
    """
    return f"{elapsed(seconds):>8}  {kind:<{KIND_WIDTH}}  {clean(said(text))}".rstrip()


def as_json(event: Event) -> str:
    """Return an event as one JSON line.

    Numbers that JSON cannot represent, such as infinity, become null.
    """
    document = {"event": event.kind, "seconds": event.seconds, "text": event.text, "data": event.data}
    return json.dumps(_finite(document), allow_nan=False)


def target_text(differential: Differential, target: int) -> str:
    """Return the progress of a count in sentences.

    They say how far the count is, and what it can and cannot exclude, for a person who has to decide whether
    it is enough.
    """
    n = differential.n
    reached = f"{n} white cells counted, the target of {target} reached."
    if n < target:
        reached = f"{n} of {target} white cells counted."
    every = n and all(share.count for share in differential.types.values())
    seen = ("Every type that the program knows was seen.",) if every else ()
    return " ".join((reached, *seen, *differential.adequacy))


def _finite(value: Any) -> Any:
    """Replace infinities and NaN in nested values by None."""
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
