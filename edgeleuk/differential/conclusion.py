"""Differential of a slide together with its verdict."""

from __future__ import annotations

from collections.abc import Sequence

from edgeleuk.differential.differential import Differential
from edgeleuk.differential.for_reader import DifferentialFunction
from edgeleuk.differential.labelled import NOBODY, Labelled
from edgeleuk.differential.rules import Rules
from edgeleuk.differential.verdict import Pictures, Reason, Verdict, reach
from edgeleuk.types import Tally


def conclude(
    tally: Tally,
    to_differential: DifferentialFunction,
    pictures: Pictures,
    rules: Rules,
    labelled: Labelled = NOBODY,
    further: Sequence[Reason] = (),
) -> tuple[Differential, Verdict]:
    """Return the differential and the verdict of a slide.

    A slide that is not usable has counts alone: its percentages, bounds and flags on shares are withheld.

    Args:
        tally: Counts of the slide.
        to_differential: Differential by the reader of the slide.
        pictures: Counts and refusals of its pictures.
        rules: Rules and texts.
        labelled: Cells of `tally` that a person labelled or confirmed.
        further: Reasons to look again that the differential does not know.
    """
    result = to_differential(tally, labelled)
    verdict = reach(tally, result, pictures, rules, further)
    if verdict.code == "not_usable" and result.supported:
        result = to_differential(tally, labelled, usable=False)
        verdict = reach(tally, result, pictures, rules, further)
    return result, verdict
