"""Evaluate finder and reader together on whole fields.

Fields go through `Analyser` and are compared with white cells annotated with their type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeleuk.analysis.observation import Observation
from edgeleuk.counting.slide import SlideCount
from edgeleuk.errors import QualityError, ScaleError, UsageError
from edgeleuk.lab.evaluation.datasets import FieldSample
from edgeleuk.lab.evaluation.fields import match, read_field
from edgeleuk.lab.evaluation.readings import proportion
from edgeleuk.types import UNCLASSIFIED, WHITE_CELL, Cell, Frame, PictureFile

Progress = Callable[[int, int], None]
"""Called with the fields done and their total."""


@dataclass(frozen=True, slots=True)
class AnnotatedCell:
    """One annotated white cell with its result."""

    label: str
    """Annotated type, after the reader's merging."""
    found: bool
    """Whether the finder found the cell.

    A box of the finder then overlaps the annotated one by at least `fields.MATCH_IOU`.
    """
    printed: str | None = None
    """Type that `analyze` prints, or "unclassified".

    None if the cell was not found, or was found but is cut by the picture's edge and so not read.
    """
    best_of_five: str | None = None
    """Most probable of the five mature types, however unsure.

    None as for `printed`.
    """


@dataclass(frozen=True, slots=True)
class Outcome:
    """Counts of annotated cells found, read and read right."""

    annotated: int
    found: int
    read: int
    """Number of cells found and read.

    A cell that the picture's edge cuts is not read.
    """
    right_of_five: int
    """Number of cells read right among five types.

    The most probable of the five mature types is then the annotated one.
    """
    right_as_printed: int
    unclassified: int

    @classmethod
    def of(cls, cells: Sequence[AnnotatedCell]) -> Outcome:
        read = [cell for cell in cells if cell.printed]
        return cls(
            annotated=len(cells),
            found=sum(cell.found for cell in cells),
            read=len(read),
            right_of_five=sum(cell.best_of_five == cell.label for cell in read),
            right_as_printed=sum(cell.printed == cell.label for cell in read),
            unclassified=sum(cell.printed == UNCLASSIFIED for cell in read),
        )

    def as_json(self) -> dict[str, Any]:
        """Return all figures for JSON.

        `accuracy_as_printed` counts an unclassified cell as wrong; `accuracy_of_accepted` leaves it out.
        """
        return {
            "annotated": self.annotated,
            "found": proportion(self.found, self.annotated),
            "read": self.read,
            "accuracy5": proportion(self.right_of_five, self.read),
            "accuracy_as_printed": proportion(self.right_as_printed, self.read),
            "accuracy_of_accepted": proportion(self.right_as_printed, self.read - self.unclassified),
            "unclassified": proportion(self.unclassified, self.read),
        }


@dataclass(frozen=True, slots=True)
class WholeReport:
    """Report of `edgeleuk eval whole`."""

    fields: int
    cells: tuple[AnnotatedCell, ...]
    """Annotated cells of the five mature types."""
    left_out: Mapping[str, int]
    """Annotated white cells of other types, counted."""
    refused: tuple[str, ...]
    """Fields that could not be analysed, with the reason.

    Nothing counts as found in them.
    """

    @property
    def overall(self) -> Outcome:
        return Outcome.of(self.cells)

    @property
    def by_type(self) -> dict[str, Outcome]:
        return {label: Outcome.of(cells) for label, cells in self._by_type()}

    @property
    def confusion(self) -> dict[str, dict[str, int]]:
        """Cells read, by annotated and printed type."""
        return {
            label: dict(Counter(cell.printed for cell in cells if cell.printed).most_common())
            for label, cells in self._by_type()
        }

    def as_json(self) -> dict[str, Any]:
        return {
            "fields": self.fields,
            "refused": list(self.refused),
            **self.overall.as_json(),
            "by_type": {label: outcome.as_json() for label, outcome in self.by_type.items()},
            "confusion": self.confusion,
            "left_out": dict(self.left_out),
        }

    def _by_type(self) -> Iterator[tuple[str, list[AnnotatedCell]]]:
        for label in sorted({cell.label for cell in self.cells}):
            yield label, [cell for cell in self.cells if cell.label == label]


def evaluate_whole(
    samples: Sequence[FieldSample],
    names: Sequence[str],
    slide: SlideCount,
    progress: Progress | None = None,
) -> WholeReport:
    """Analyse fields and compare the cell types.

    Fields are analysed as by `analyze`; those without any cell of known type are left out.

    Args:
        samples: Annotated fields.
        names: Class names of the file.
        slide: Gives the analyser and the scale policy; nothing is counted on it.
        progress: Called with the fields done and their total.

    Raises:
        InputError: If a picture cannot be read.
        UsageError: If no white cell is annotated with one of the five mature types.
    """
    samples = [sample for sample in samples if any(sample.subtypes)]
    mature = frozenset(slide.analyser.reader.mature)
    if WHITE_CELL not in names or not any(mature.intersection(sample.subtypes) for sample in samples):
        raise UsageError(
            f"no {WHITE_CELL} box has a subtype among {', '.join(sorted(mature))}. Add `subtype` to the annotations."
        )
    merge = slide.analyser.reader.merge
    five = {merge.get(label, label) for label in mature}
    cells: list[AnnotatedCell] = []
    refused: list[str] = []
    slide.scale.survey([PictureFile(sample.path) for sample in samples])
    for done, sample in enumerate(samples, start=1):
        frame = Frame(read_field(sample), sample.path.name)
        try:
            white = slide.examine(Observation.of(frame)).field.of(WHITE_CELL)
        except (QualityError, ScaleError) as error:
            white = ()
            refused.append(f"{frame.name}: {error}")
        for label, cell in _pair(sample, names.index(WHITE_CELL), white):
            cells.append(_outcome(merge.get(label, label), cell, five))
        if progress:
            progress(done, len(samples))
    return WholeReport(
        fields=len(samples),
        cells=tuple(cell for cell in cells if cell.label in five),
        left_out=Counter(cell.label for cell in cells if cell.label not in five),
        refused=tuple(refused),
    )


def _pair(sample: FieldSample, kind: int, white: Sequence[Cell]) -> Iterator[tuple[str, Cell | None]]:
    """Yield annotated types with the cell found, or None.

    `white` has the best score first, as the finder gives them. Annotated cells of unknown type are matched
    too.
    """
    annotated = np.flatnonzero(sample.kinds == kind)
    boxes = np.array([cell.box for cell in white], np.float32).reshape(-1, 4)
    taken = match(sample.boxes[annotated], boxes).tolist()
    found = {int(annotated[i]): cell for i, cell in zip(taken, white, strict=True) if i >= 0}
    for i in annotated.tolist():
        if label := sample.subtypes[i]:
            yield label, found.get(i)


def _outcome(label: str, cell: Cell | None, five: Set[str]) -> AnnotatedCell:
    if cell is None or cell.reading is None:
        return AnnotatedCell(label, found=cell is not None)
    chances = {each: chance for each, chance in cell.reading.probabilities.items() if each in five}
    return AnnotatedCell(label, True, cell.reading.label, max(chances, key=chances.__getitem__, default=None))
