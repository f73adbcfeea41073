"""The rules and the reference ranges that ship, and what is judged by them."""

from __future__ import annotations

from functools import partial
from typing import Any

from edgeleuk.counting.scale import ScalePolicy
from edgeleuk.counting.slide import SlideCount, SlideOptions
from edgeleuk.differential import differential
from edgeleuk.pipeline import Analyser
from edgeleuk.rules import load_reference, load_rules
from edgeleuk.types import Scale

RULES, REFERENCE = load_rules(), load_reference()
judged = partial(differential, rules=RULES, reference=REFERENCE)
"""`differential` by them."""


def slide_of(analyser: Analyser, given: Scale | None = None, **options: Any) -> SlideCount:
    """A new count of one slide by the rules that ship."""
    policy = ScalePolicy(analyser, given)
    return SlideCount(analyser, RULES, REFERENCE, policy, SlideOptions(**options))
