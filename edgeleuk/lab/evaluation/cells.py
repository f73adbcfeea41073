"""Evaluate the reader on labelled white cells.

The reader is the same object that `analyze` uses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeleuk.differential.rules import Rules
from edgeleuk.errors import UsageError
from edgeleuk.lab.evaluation import kinds
from edgeleuk.lab.evaluation.blasts import Detection, ReadCells, detect_types
from edgeleuk.lab.evaluation.datasets import CellSample
from edgeleuk.lab.evaluation.kinds import Vocabulary
from edgeleuk.lab.evaluation.metrics import confusion, macro_f1
from edgeleuk.lab.evaluation.readings import Readings
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.statistics.intervals import clopper_pearson
from edgeleuk.types import Image, Scale

BATCH = 64
UNKNOWN = -1
"""Index of an unlabelled attribute value."""

Progress = Callable[[int, int], None]
"""Called with the cells done and their total."""

CellLoader = Callable[[CellSample], tuple[Image, Scale]]
"""Returns the picture and scale of a sample."""


class ReaderLike(Protocol):
    """Interface of a reader, such as `edgeleuk.networks.reader.Reader`."""

    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def merge(self) -> Mapping[str, str]: ...
    @property
    def attributes(self) -> Mapping[str, tuple[str, ...]]: ...
    @property
    def subtypes(self) -> Mapping[str, str]: ...
    @property
    def mature(self) -> tuple[str, ...]: ...
    @property
    def blast_like(self) -> tuple[str, ...]: ...
    @property
    def threshold(self) -> float: ...
    def crop(self, image: Image, scale: Scale, centre: tuple[float, float]) -> Image: ...
    def probabilities(
        self, crops: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]: ...


@dataclass(frozen=True, slots=True)
class AttributeResult:
    """Result for one attribute, on its labelled cells."""

    values: tuple[str, ...]
    counts: NDArray[np.int64]
    """(V, V) cells: row is the truth, column the reading."""
    left_out: Mapping[str, int]
    """Number of cells by value unknown to the model."""

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float | None:
        return float(self.counts.trace() / self.n) if self.n else None

    @property
    def f1(self) -> float | None:
        """Macro F1 over values in truth or readings."""
        return macro_f1(self.counts)

    def as_json(self) -> dict[str, Any]:
        return {"n": self.n, "accuracy": self.accuracy, "f1": self.f1, "left_out": dict(self.left_out)}


@dataclass(frozen=True, slots=True)
class SubtypeResult:
    """Result for the subtypes of one cell type.

    Only cells of known subtype whose best type is right are measured.
    """

    attribute: str
    result: AttributeResult
    misread: int
    """Cells of known subtype read as another type.

    Such a cell gets no subtype.
    """

    def as_json(self) -> dict[str, Any]:
        counts = self.result.counts
        return {
            "attribute": self.attribute,
            "n": self.result.n,
            "accuracy": self.result.accuracy,
            "accuracy_interval": list(clopper_pearson(int(counts.trace()), int(counts.sum())))
            if self.result.n
            else None,
            "macro_f1": self.result.f1,
            "confusion": {
                value: dict(zip(self.result.values, row, strict=True))
                for value, row in zip(self.result.values, counts.tolist(), strict=True)
            },
            "misread": self.misread,
        }


@dataclass(frozen=True, slots=True)
class ReaderReport:
    """Report of `edgeleuk eval reader`."""

    readings: Readings
    sources: tuple[str, ...]
    """(N,) source of each cell."""
    blasts: Detection
    """Blasts of any lineage against other white cells."""
    blast_like: Detection
    """Blast-like cells against other white cells.

    These are blasts and promyelocytes of any lineage, as the reader's manifest groups them.
    """
    attributes: Mapping[str, AttributeResult]
    """Results by attribute, without the subtypes."""
    subtypes: Mapping[str, SubtypeResult]
    """Results for the subtypes, by cell type."""
    left_out: Mapping[str, int]
    """Number of cells by type unknown to the model.

    The types are those after the model's merging.
    """
    coarse: Mapping[str, int]
    """Number of cells by label that allows several types."""
    blasts_only: Mapping[str, int]
    """Cells of blasts-or-not labels, by label.

    Such a label only says whether a cell is a blast. The cells are in `blasts` and `blast_like`, and in
    nothing else.
    """

    @property
    def by_source(self) -> dict[str, Readings]:
        sources = np.array(self.sources, str)
        every = sorted({*self.sources, *self.blast_like.sources.tolist()})
        return {source: self.readings.where(sources == source) for source in every}

    @property
    def attribute_macro_f1(self) -> float | None:
        """Mean F1 over the attributes with labelled cells."""
        scores = [f1 for result in self.attributes.values() if (f1 := result.f1) is not None]
        return float(np.mean(scores)) if scores else None

    def as_json(self) -> dict[str, Any]:
        return {
            **self.readings.as_json(),
            "blast": self.blasts.separation(),
            "blast_like": self.blast_like.as_json(),
            "by_source": {
                source: readings.as_json()
                | {
                    "blast": self.blasts.of(source).separation(),
                    "blast_like": self.blast_like.of(source).as_json(),
                }
                for source, readings in self.by_source.items()
            },
            "by_source_and_type": {source: readings.recalls() for source, readings in self.by_source.items()},
            "attributes": {name: result.as_json() for name, result in self.attributes.items()},
            "attribute_macro_f1": self.attribute_macro_f1,
            "subtypes": {label: result.as_json() for label, result in self.subtypes.items()},
            "left_out": dict(self.left_out),
            "coarse": dict(self.coarse),
            "blasts_only": dict(self.blasts_only),
        }


def evaluate_reader(
    reader: ReaderLike,
    samples: Sequence[CellSample],
    rules: Rules,
    progress: Progress | None = None,
    load_cell: CellLoader | None = None,
) -> ReaderReport:
    """Evaluate a reader on labelled cells.

    The cell in the middle of each picture is read at the sample's own scale and compared with its label. A
    label may be finer or coarser than the reader's:

    - A cell of a type that the reader prints as another one, or merges with it, is right if that one is
      read: a lymphoblast, myeloblast or monoblast if a blast is read, an abnormal promyelocyte if a
      promyelocyte is read.
    - A cell whose label allows several types, such as immature_granulocyte, is right if any of them is best.

    These relations come from the reader's manifest (`merge`, `printed`) and from `data/coarse_labels.toml`.
    Labels of that table that no type of the reader fits, such as not_blast, enter the blast figures only; all
    other unknown labels are left out.

    Args:
        reader: Reader to evaluate.
        samples: Labelled cells.
        rules: Rules that define blasts and the cells that are not counted.
        progress: Called with the cells done and their total.
        load_cell: Returns a sample's picture and scale; by default its file as it is.

    Raises:
        InputError: If a picture cannot be read.
        UsageError: If no sample has a type that the reader knows.
    """
    vocabulary = Vocabulary(reader.labels, reader.merge, kinds.shipped())
    allowed = [vocabulary.allowed(sample.label) for sample in samples]
    chosen = [sample for sample, right in zip(samples, allowed, strict=True) if right is not None]
    if not chosen:
        raise UsageError(
            f"none of the {len(samples)} cells has a type the reader knows: {', '.join(reader.labels)}. "
            "Check the column label and the split."
        )
    types, values = read_all(reader, chosen, progress, load_cell or read_cell)
    told = partial(
        detect_types,
        vocabulary,
        ReadCells([sample.label for sample in chosen], [sample.source for sample in chosen], types),
        rules=rules,
        threshold=reader.threshold,
    )
    rights = [right for right in allowed if right is not None]
    typed = np.array([bool(right) for right in rights], bool)
    cells = [sample for sample, right in zip(chosen, rights, strict=True) if right]
    values = {name: each[typed] for name, each in values.items()}
    readings = Readings(
        reader.labels,
        _truth(reader.labels, [right for right in rights if right], types[typed]),
        types[typed],
        reader.threshold,
        reader.mature,
        np.array([len(right) == 1 for right in rights if right], bool),
    )
    return ReaderReport(
        readings=readings,
        sources=tuple(sample.source for sample in cells),
        blasts=told(types=rules.group("blasts").labels),
        blast_like=told(types=reader.blast_like),
        attributes={
            name: _attribute(name, reader.attributes[name], cells, values[name])
            for name in reader.attributes
            if name not in reader.subtypes.values()
        },
        subtypes={
            label: _subtype(label, name, reader.attributes[name], readings, cells, values[name])
            for label, name in reader.subtypes.items()
        },
        left_out=Counter(
            vocabulary.own(sample.label)
            for sample, right in zip(samples, allowed, strict=True)
            if right is None
        ),
        coarse=Counter(s.label for s, right in zip(chosen, rights, strict=True) if len(right) > 1),
        blasts_only=Counter(s.label for s, right in zip(chosen, rights, strict=True) if not right),
    )


def _truth(
    labels: Sequence[str], rights: Sequence[Collection[str]], probabilities: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Return the likeliest right label per cell.

    The result is (N,), an index into `labels`.
    """
    right = np.array([[label in each for label in labels] for each in rights], bool).reshape(-1, len(labels))
    truth: NDArray[np.int64] = np.where(right, probabilities, -1).argmax(axis=1)
    return truth


def read_all(
    reader: ReaderLike, samples: Sequence[CellSample], progress: Progress | None, load_cell: CellLoader
) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
    """Read the cells in batches of BATCH.

    Args:
        reader: Reader of the cells.
        samples: Labelled cells.
        progress: Called with the cells done and their total.
        load_cell: Returns a sample's picture and scale.

    Returns:
        Probabilities of the types, (N, K), and by attribute those of its values, (N, V).
    """
    types, attributes = [], []
    for batch in _batches(samples):
        crops = np.stack([middle(reader, *load_cell(sample)) for sample in batch])
        kinds, values = reader.probabilities(crops)
        types.append(kinds)
        attributes.append(values)
        if progress:
            progress(sum(map(len, types)), len(samples))
    return np.concatenate(types), {
        name: np.concatenate([values[name] for values in attributes]) for name in reader.attributes
    }


def _batches(samples: Sequence[CellSample]) -> Iterator[Sequence[CellSample]]:
    for start in range(0, len(samples), BATCH):
        yield samples[start : start + BATCH]


def read_cell(sample: CellSample) -> tuple[Image, Scale]:
    """Read a sample's picture and scale."""
    return read_picture(sample.path).pixels, Scale.given(sample.um_per_px)


@dataclass(frozen=True, slots=True)
class CellReading:
    """How cells are read: by whom, and from which pictures."""

    reader: ReaderLike
    load_cell: CellLoader = read_cell
    """Returns a sample's picture and scale; by default its file as it is."""
    progress: Progress | None = None
    """Called with the steps done and their total."""


def middle(reader: ReaderLike, image: Image, scale: Scale) -> Image:
    """Crop the middle cell for the reader.

    Args:
        reader: Reader that defines the crop.
        image: (H, W, 3) picture.
        scale: Scale of `image`.
    """
    return reader.crop(image, scale, (image.shape[1] / 2, image.shape[0] / 2))


def _subtype(
    label: str,
    name: str,
    values: tuple[str, ...],
    readings: Readings,
    samples: Sequence[CellSample],
    probabilities: NDArray[np.float32],
) -> SubtypeResult:
    """Measure the subtypes of one type.

    As in a reading, a cell gets only a subtype of the type it is read as.
    """
    own = readings.truth == readings.labels.index(label)
    right = np.flatnonzero(own & readings.correct).tolist()
    labelled = np.array([name in sample.attributes for sample in samples])
    return SubtypeResult(
        attribute=name,
        result=_attribute(name, values, [samples[i] for i in right], probabilities[right]),
        misread=int((own & labelled & ~readings.correct).sum()),
    )


def _attribute(
    name: str, values: tuple[str, ...], samples: Sequence[CellSample], probabilities: NDArray[np.float32]
) -> AttributeResult:
    labelled = [sample.attributes.get(name) for sample in samples]
    truth = np.array([values.index(v) if v in values else UNKNOWN for v in labelled], np.int64)
    known = truth != UNKNOWN
    return AttributeResult(
        values=values,
        counts=confusion(truth[known], probabilities[known].argmax(axis=1), len(values)),
        left_out=Counter(v for v in labelled if v is not None and v not in values),
    )
