"""A reader's own way of judging a tally: its labels, and what was measured of its errors, put to the differential."""

from __future__ import annotations

from collections.abc import Callable

from edgeleuk.differential import Differential, Errors, differential
from edgeleuk.flags import FalsePositiveRate
from edgeleuk.manifest import ReaderManifest
from edgeleuk.rules import Reference, Rules
from edgeleuk.types import Tally

Judge = Callable[[Tally], Differential]
"""A slide's counts to its differential, by one reader's measured errors."""


def judge_by(manifest: ReaderManifest, rules: Rules, reference: Reference) -> Judge:
    """Judges tallies of what the reader of `manifest` read, by `rules` and `reference`.

    The judge raises InputError where `reference` gives a range for a label outside the percentages.
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
    subtypes = {label: (head, manifest.attributes[head]) for label, head in manifest.subtypes.items()}
    return lambda tally: differential(
        tally, labels=manifest.labels, rules=rules, reference=reference, errors=errors, subtypes=subtypes
    )
