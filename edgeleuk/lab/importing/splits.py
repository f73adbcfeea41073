"""Patients and their split.

The release is split by patient within a subset, and not across subsets: a patient that is in test anywhere is
for validation everywhere.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edgeleuk.lab.importing.findings import Findings
from edgeleuk.lab.importing.merging import FieldName

TRAIN, VAL = "train", "val"
DRAWN_SHARE = 0.2
"""Share of groups without a split that are drawn for validation."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose picture it is."""

    group: str
    """Patient, or the picture itself where none is known."""
    place: str
    """The field, the same in all subsets."""
    patient: str = ""
    diagnosis: str = ""


@dataclass(slots=True)
class Group:
    """Pictures that must not be split."""

    patient: str = ""
    diagnosis: str = ""
    splits: set[str] = field(default_factory=set)
    split: str = TRAIN


@dataclass(frozen=True, slots=True)
class Origins:
    """Rule that tells the patient of a picture from its name."""

    pattern: re.Pattern[str] | None = None
    """Pattern with one group, the patient; None for names of the release."""

    def of(self, subset: str, stem: str) -> Origin:
        """Return the origin of a picture."""
        if self.pattern is not None:
            if found := self.pattern.search(stem):
                return Origin(found[1], stem, found[1])
        elif name := FieldName.of(stem):
            return Origin(name.patient, name.place, name.patient, name.diagnosis)
        return Origin(f"{subset}/{stem}", stem)


def assigned(pictures: Iterable[tuple[Origin, str | None]], findings: Findings) -> dict[str, Group]:
    """Assign each group to train or val.

    Args:
        pictures: Origin of each picture, and its split in the release if it has one.
        findings: Gets what was met.
    """
    groups: dict[str, Group] = {}
    for origin, split in pictures:
        own = groups.setdefault(origin.group, Group(origin.patient, origin.diagnosis))
        own.diagnosis = own.diagnosis or origin.diagnosis
        if split:
            own.splits.add(split)
    for name, own in sorted(groups.items()):
        if len(own.splits) > 1:
            findings.add("moved", own.patient or name)
        if not own.splits:
            findings.add("drawn_split", name)
        drawn = not own.splits and _share_of(name) < DRAWN_SHARE
        own.split = VAL if "test" in own.splits or drawn else TRAIN
    _tell_single_patients(groups, findings)
    return groups


def _share_of(name: str) -> float:
    """Return a number from 0 to 1, the same on every machine."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF


def _tell_single_patients(groups: Mapping[str, Group], findings: Findings) -> None:
    patients = Counter((own.diagnosis, own.split) for own in groups.values() if own.diagnosis)
    for diagnosis in sorted({own.diagnosis for own in groups.values() if own.diagnosis}):
        if any(patients[diagnosis, split] == 1 for split in (TRAIN, VAL)):
            findings.add("alone", diagnosis)
