"""The rules and the reference ranges that ship, and what is judged by them."""

from __future__ import annotations

from functools import partial

from edgeleuk.differential import differential
from edgeleuk.rules import load_reference, load_rules

RULES, REFERENCE = load_rules(), load_reference()
judged = partial(differential, rules=RULES, reference=REFERENCE)
"""`differential` by them."""
