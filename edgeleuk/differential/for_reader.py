"""Differential of a tally by one reader's labels and errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from edgeleuk.differential.differential import (
    Differential,
    Errors,
    Familiarity,
    ReaderTypes,
    differential,
)
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

    On a slide whose cells are unfamiliar to the reader, the errors are those that it made in laboratories that it had not
    learnt, where they were measured.

    The function raises InputError if `reference` gives a range for a label outside the percentages.

    Args:
        manifest: Manifest of the reader that read the tallies.
        rules: Rules of the differential.
        reference: Reference ranges.
    """
    errors = Errors(
        rates=_rates(manifest.false_positive_rates),
        confusion=manifest.confusion,
        missed=manifest.missed,
        healthy=manifest.healthy,
    )
    elsewhere = errors
    if unknown := manifest.unknown_laboratory:
        elsewhere = Errors(
            _rates(unknown.false_positive_rates), unknown.confusion, unknown.missed, manifest.healthy
        )
    standards = Standards(rules, reference)
    subtypes = {label: (head, manifest.attributes[head]) for label, head in manifest.subtypes.items()}
    types = ReaderTypes(manifest.labels, subtypes, manifest.groups)

    def of_tally(tally: Tally, labelled: Labelled = NOBODY, *, usable: bool = True) -> Differential:
        familiarity = _familiarity(tally, labelled, manifest)
        result = differential(
            tally,
            types=types,
            standards=standards,
            errors=elsewhere if familiarity and familiarity.is_foreign else errors,
            labelled=labelled,
            usable=usable,
        )
        return replace(result, familiarity=familiarity)

    return of_tally


def _rates(measured: Mapping[str, Mapping[str, Any]]) -> dict[str, FalsePositiveRate]:
    return {
        name: FalsePositiveRate(rate["errors"], rate["cells"], tuple(rate.get("labels", ())))
        for name, rate in measured.items()
    }


def _familiarity(tally: Tally, labelled: Labelled, manifest: ReaderManifest) -> Familiarity | None:
    """Return how familiar the slide's cells are to the reader.

    None if the model does not measure it, if there are too few cells, or if a person labelled all of them.
    """
    known = manifest.known
    if known is None or tally.familiarity_cells < known.cells or labelled.cells == sum(tally.white.values()):
        return None
    unknown = manifest.unknown_laboratory
    return Familiarity(
        cells=tally.familiarity_cells,
        mean=tally.familiarity / tally.familiarity_cells,
        least=known.least,
        accuracy_elsewhere=unknown.accuracy if unknown else None,
    )
