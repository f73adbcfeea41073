"""Findings of an import.

They are damage, what was left out, and traps of the data set. Each kind is one sentence, however often it was
met.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

EXAMPLES = 5
"""Maximum number of examples kept of each finding."""

LEAST_SIDE_PX = 8
"""Minimum side of a box, pixels; smaller ones are slips of the mouse."""
ONE = {"s": "", "es": "", "are": "is", "have": "has", "were": "was", "them": "it", "show": "shows"}
MANY = {"s": "s", "es": "es", "are": "are", "have": "have", "were": "were", "them": "them", "show": "show"}


class Kind(StrEnum):
    """Consequence of a finding."""

    UNREADABLE = "unreadable"
    """A file could not be read, or is missing; the others were imported."""
    LEFT_OUT = "left out"
    NOTE = "note"


SENTENCES: Mapping[str, tuple[Kind, str]] = {
    "archive": (Kind.UNREADABLE, "{n} label archive{s} cannot be read ({first}). Copy {them} again."),
    "json": (Kind.UNREADABLE, "{n} JSON label file{s} cannot be read ({first}). Copy {them} again."),
    "text": (Kind.UNREADABLE, "{n} text or XML label file{s} cannot be read ({first}). Copy {them} again."),
    "picture": (Kind.UNREADABLE, "{n} picture{s} {are} empty or damaged ({first}). Copy {them} again."),
    "missing_picture": (
        Kind.UNREADABLE,
        "{n} picture{s} that labels name {are} missing ({first}). Copy {them}, and import again.",
    ),
    "unlabelled_picture": (
        Kind.LEFT_OUT,
        "{n} picture{s} {have} no labels ({first}): left out, as a picture without labels may show cells.",
    ),
    "packed_pictures": (
        Kind.LEFT_OUT,
        "{n} archive{s} with pictures {are} not unpacked ({first}). Unpack {them}, and import again.",
    ),
    "missing_subset": (Kind.NOTE, "{n} of the twelve subsets {are} not there: {all}."),
    "empty_subset": (Kind.NOTE, "{n} subset{s} {are} empty: {all}. Of the release, L_10X_C1 is."),
    "archive_labels": (Kind.NOTE, "{n} subset{s} {have} labels in an archive, which were read: {all}."),
    "no_coco": (
        Kind.NOTE,
        "{n} subset{s} {have} text labels alone ({all}): types come from ids that other subsets or a list of names explain.",
    ),
    "no_text": (Kind.NOTE, "{n} subset{s} {have} COCO labels alone ({all}): nothing is missed by that."),
    "not_coco": (Kind.LEFT_OUT, "{n} JSON file{s} {are} no COCO ({first})."),
    "line": (Kind.LEFT_OUT, "{n} line{s} or entries of labels {are} malformed ({first})."),
    "columns": (
        Kind.LEFT_OUT,
        "{n} line{s} of text labels {have} an unknown number of columns ({first}): attributes there were not read.",
    ),
    "box": (Kind.LEFT_OUT, "{n} box{es} {are} smaller than {least} px or outside the picture ({first})."),
    "size": (
        Kind.LEFT_OUT,
        "{n} picture{s} {have} another size than the labels say ({first}): the boxes would not fit.",
    ),
    "twice": (
        Kind.LEFT_OUT,
        "{n} box{es} {are} repeated in the labels of a picture ({first}): counted once.",
    ),
    "conflict": (
        Kind.LEFT_OUT,
        "{n} box{es} {have} two types ({first}): kept without a type.",
    ),
    "unknown_type": (Kind.LEFT_OUT, "{n} box{es} {have} a type that is not of the vocabulary ({first})."),
    "untyped": (
        Kind.LEFT_OUT,
        "{n} box{es} {have} a class id that nothing explains ({first}): kept without a type. COCO files or a list of names explain it.",
    ),
    "edge": (
        Kind.LEFT_OUT,
        "{n} cell{s} {are} cut by the edge of a picture: in the fields, not among the cells.",
    ),
    "file_name": (
        Kind.NOTE,
        "{n} file name{s} without a patient ({first}): each such picture is a group of its own.",
    ),
    "wrong_ids": (
        Kind.NOTE,
        "{n} box{es} {have} a class id in the text files that WBC_v1.yaml explains otherwise than COCO ({first}). COCO was trusted.",
    ),
    "learnt_ids": (Kind.NOTE, "{n} class id{s} {were} explained by boxes that stand in COCO too: {all}."),
    "none": (
        Kind.NOTE,
        "{n} box{es} {are} None, the first of the fourteen names: artefacts and real leukocytes. The finder takes them neither for cells nor for background.",
    ),
    "code_4": (Kind.NOTE, "{n} attribute value{s} {have} code 4, not applicable: left open."),
    "code_2": (
        Kind.NOTE,
        "{n} attribute value{s} {have} code 2, a third value where the vocabulary has two, as in LLD: left open.",
    ),
    "code": (Kind.LEFT_OUT, "{n} attribute value{s} {have} an unknown code ({first}): left open."),
    "derived_size": (
        Kind.NOTE,
        "{n} cell{s} at 100x {have} no cell size in the labels: small under 3600, large over 8000 square pixels.",
    ),
    "other_size": (
        Kind.NOTE,
        "{n} cell{s} at 100x {have} another cell size than the area of the box says: labels were kept.",
    ),
    "patch": (
        Kind.NOTE,
        "{n} picture{s} {were} annotated in a patch only, as LLD's sparse labels are: nothing is known of the rest.",
    ),
    "incomplete": (
        Kind.NOTE,
        "The annotation is incomplete: in {n} picture{s} a cell without a box is no background.",
    ),
    "recurring": (
        Kind.NOTE,
        "{n} box{es} {show} a cell that other boxes show too, in another subset. The column cell names it by patient, field and box.",
    ),
    "moved": (
        Kind.NOTE,
        "{n} patient{s} {are} in train of one subset and in test of another ({all}): for validation alone, in all subsets.",
    ),
    "alone": (
        Kind.NOTE,
        "{n} of the release's groups {have} one patient in a split ({all}): figures on {them} are figures of one patient.",
    ),
    "drawn_split": (
        Kind.NOTE,
        "{n} patient{s} or picture{s} {have} no split in the release: a fifth of such was drawn for validation.",
    ),
    "squeezed": (
        Kind.NOTE,
        "{n} subset{s} {show} squeezed fields ({all}): um per pixel differs in x and y, and cells are cut out round.",
    ),
    "assumed_scale": (
        Kind.NOTE,
        "The scale of {n} subset{s} could not be measured on red cells ({all}): 0.25 x 0.14 um per pixel, as published fields have.",
    ),
}
"""Kind and sentence of each finding, by its code."""


@dataclass(slots=True)
class Findings:
    """Findings of one import, counted by code."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, code: str, example: str = "", times: int = 1) -> None:
        """Count a finding and keep an example of it."""
        assert code in SENTENCES, code
        if times <= 0:
            return
        self.counts[code] += times
        kept = self.examples.setdefault(code, [])
        if example and example not in kept and (len(kept) < EXAMPLES or "{all}" in SENTENCES[code][1]):
            kept.append(example)

    @property
    def unreadable(self) -> int:
        """Number of files that could not be read."""
        return sum(n for code, n in self.counts.items() if SENTENCES[code][0] is Kind.UNREADABLE)

    def sentences(self, kind: Kind | None = None) -> list[str]:
        """Return the sentences of a kind, or all."""
        return [each["text"] for each in self.as_json() if kind in (None, each["kind"])]

    def as_json(self) -> list[dict[str, Any]]:
        """Return all findings, gravest first."""
        order = list(Kind)
        codes = sorted(
            self.counts, key=lambda code: (order.index(SENTENCES[code][0]), [*SENTENCES].index(code))
        )
        return [
            {
                "code": code,
                "kind": str(SENTENCES[code][0]),
                "count": self.counts[code],
                "text": self._sentence(code),
                "examples": self.examples[code][:EXAMPLES],
            }
            for code in codes
        ]

    def _sentence(self, code: str) -> str:
        seen = self.examples[code]
        first = f"first: {seen[0]}" if seen else "no example"
        n = self.counts[code]
        words = ONE if n == 1 else MANY
        return SENTENCES[code][1].format(n=n, first=first, all=", ".join(seen), least=LEAST_SIDE_PX, **words)
