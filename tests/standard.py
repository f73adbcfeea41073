"""The rules and the reference ranges that ship, and what is judged by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.counting.scale_policy import ScalePolicy
from edgeleuk.counting.slide import SlideCount, SlideOptions
from edgeleuk.differential.differential import Differential, Errors, ReaderTypes, differential
from edgeleuk.differential.evidence import FalsePositiveRate
from edgeleuk.differential.rules import Standards, load_reference, load_rules
from edgeleuk.statistics.bounds import Missed
from edgeleuk.statistics.correction import Confusion
from edgeleuk.types import UNCLASSIFIED, Scale, Tally

RULES, REFERENCE = load_rules(), load_reference()
STANDARDS = Standards(RULES, REFERENCE)


def judged(
    tally: Tally,
    *,
    labels: Sequence[str],
    subtypes: Mapping[str, tuple[str, Sequence[str]]] | None = None,
    lineages: Mapping[str, Sequence[str]] | None = None,
    standards: Standards = STANDARDS,
    **more: Any,
) -> Differential:
    """The differential of a tally by them."""
    return differential(
        tally, types=ReaderTypes(labels, subtypes or {}, lineages or {}), standards=standards, **more
    )


def measured(*labels: str) -> Errors:
    """Errors of a reader that is right on 19 of 20 cells of each of `labels`, and unsure on the others.

    Of a thousand cells of each type it misses ten, and of a thousand others it takes ten for one.
    """
    read = (*labels, UNCLASSIFIED)
    counts = tuple(tuple(9500 * (a == b) + 500 * (b == UNCLASSIFIED) for b in read) for a in labels)
    return Errors(
        rates={label: FalsePositiveRate(10, 1000) for label in labels},
        confusion=Confusion("cells of a test", labels, read, counts),
        missed={label: Missed(10, 1000) for label in labels},
    )


def slide_of(analyser: Analyser, given: Scale | None = None, **options: Any) -> SlideCount:
    """A new count of one slide by the rules that ship."""
    policy = ScalePolicy(analyser, given)
    return SlideCount(analyser, RULES, REFERENCE, policy, SlideOptions(**options))
