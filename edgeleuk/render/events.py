"""What happened in a live count, as lines for logs and as JSON lines for pipes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from edgeleuk.differential import Differential
from edgeleuk.live.state import Event
from edgeleuk.render._words import clean, elapsed

KIND_WIDTH = 8
"""Of the longest kind of event, so that texts stand below each other."""


def plain(event: Event) -> str:
    """One line: the time since the count began, what kind of event, and its sentence."""
    return f"{elapsed(event.seconds):>8}  {event.kind:<{KIND_WIDTH}}  {clean(event.text)}".rstrip()


def as_json(event: Event) -> str:
    """One line of JSON with the event's fields. Numbers that JSON cannot write, as infinity, are null."""
    document = {"event": event.kind, "seconds": event.seconds, "text": event.text, "data": event.data}
    return json.dumps(_finite(document), allow_nan=False)


def target_text(differential: Differential, target: int) -> str:
    """What the count can and cannot exclude, for a person who has to decide whether it is enough.

    The limit for what was not seen is the upper bound over all white cells found, see `bounds`.
    """
    n = differential.n
    reached = f"{n} white cells counted, the target of {target} reached."
    if n < target:
        reached = f"{n} of {target} white cells counted."
    said = differential.adequacy
    if n and all(share.count for share in differential.types.values()):
        return " ".join((reached, "Every type that the reader knows was seen.", *said))
    if n and not said:
        said = tuple(_unseen(differential))
    return " ".join((reached, *said))


def _unseen(differential: Differential) -> Iterator[str]:
    unseen = [label for label, share in differential.types.items() if not share.count]
    bounds = [differential.bounds[label].high for label in unseen if label in differential.bounds]
    if most := max((high for high in bounds if high is not None), default=None):
        yield f"Types that were not seen may be up to {math.ceil(most * 10) / 10:.1f} % each."


def _finite(value: Any) -> Any:
    """The same without infinities and what is no number."""
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
