"""Differential of a tally by one reader's labels and errors."""

from __future__ import annotations

from typing import Protocol

from edgeleuk.differential.differential import Differential, Errors, ReaderTypes, differential
from edgeleuk.differential.evidence import FalsePositiveRate
from edgeleuk.differential.labelled import NOBODY, Labelled
from edgeleuk.differential.rules import Reference, Rules, Standards
from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.types import Tally


class DifferentialFunction(Protocol):
    """Maps a Tally to a Differential using the reader's errors."""

    def __call__(self, tally: Tally, labelled: Labelled = NOBODY, *, usable: bool = True) -> Differential:
        """Return the differential of a tally.

        Args:
            tally: Counts of a slide.
            labelled: Cells of it that a person labelled or confirmed.
            usable: False for pictures that are not usable.
        """


def differential_function(
    manifest: ReaderManifest, rules: Rules, reference: Reference
) -> DifferentialFunction:
    """Return the function from a Tally to a Differential.

    The function raises InputError if `reference` gives a range for a label outside the percentages.

    Args:
        manifest: Manifest of the reader that read the tallies.
        rules: Rules of the differential.
        reference: Reference ranges.
    """
    errors = Errors(
        rates={
            name: FalsePositiveRate(rate["errors"], rate["cells"], tuple(rate.get("labels", ())))
            for name, rate in manifest.false_positive_rates.items()
        },
        confusion=manifest.confusion,
        missed=manifest.missed,
        healthy=manifest.healthy,
    )
    standards = Standards(rules, reference)
    subtypes = {label: (head, manifest.attributes[head]) for label, head in manifest.subtypes.items()}
    types = ReaderTypes(manifest.labels, subtypes)

    def of_tally(tally: Tally, labelled: Labelled = NOBODY, *, usable: bool = True) -> Differential:
        return differential(
            tally,
            types=types,
            standards=standards,
            errors=errors,
            labelled=labelled,
            usable=usable,
        )

    return of_tally
