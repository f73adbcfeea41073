"""Evaluate the quality verdicts on pictures.

The figures tell how many good pictures the verdicts reject, at which step of each degradation they set in,
and how many unsuitable pictures they let through. Recall is that of the finder on all annotated cells of a
rung, at the annotated scale. Verdicts come from the object that `analyze` uses, which here refuses nothing: a
refused picture is analysed and marked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.analysis.observation import Observation
from edgeleuk.counting.scale_policy import ScalePolicy
from edgeleuk.errors import EdgeleukError, ScaleError
from edgeleuk.lab.evaluation.datasets import FieldSample, annotated_scales
from edgeleuk.lab.evaluation.fields import match, read_field
from edgeleuk.lab.evaluation.ladders import LADDERS, Ladder, Picture
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.types import Assessment, Field, Frame, PictureFile

FALLS = 0.03
"""Loss of recall that should be flagged: 3 points."""
HALF = 0.5
"""Share of a rung's pictures that must be flagged.

From this share on, the whole rung counts as flagged or refused.
"""
OTHERS = 3
"""Pictures that lend cells to a thicker field.

They are of the same camera.
"""
NO_SCALE = "scale"
NO_PICTURE = "file"

Progress = Callable[[int, int], None]
"""Called with the pictures done and their total."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Quality verdicts on a set of pictures."""

    pictures: int
    warned: Mapping[str, int]
    """Pictures accepted with a warning, by code.

    A picture with two warnings counts under both.
    """
    refused: Mapping[str, int]
    """Refused pictures by code of the first reason.

    Each picture counts once. The code is "scale" if the scale could not be estimated, "file" if it was no
    colour picture.
    """
    warned_at_all: int
    names: tuple[str, ...]
    """Names of refused pictures with the code."""

    @classmethod
    def of(cls, assessed: Sequence[tuple[str, Assessment | str]]) -> Verdicts:
        """Count verdicts from each picture's name and assessment.

        A code takes the place of an assessment that could not be made.
        """
        warned: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        names, some = [], 0
        for name, assessment in assessed:
            if isinstance(assessment, str):
                code: str | None = assessment
            else:
                code = next((each.code for each in assessment.findings if each.severe), None)
                if code is None:
                    warned.update({each.code for each in assessment.findings})
                    some += bool(assessment.findings)
            if code:
                refused[code] += 1
                names.append(f"{name}: {code}")
        return cls(len(assessed), dict(warned.most_common()), dict(refused.most_common()), some, tuple(names))

    @property
    def refusals(self) -> int:
        return sum(self.refused.values())

    def as_json(self) -> dict[str, Any]:
        return {
            "pictures": self.pictures,
            "accepted": self.pictures - self.refusals - self.warned_at_all,
            "warned": self.warned_at_all,
            "refused": self.refusals,
            "warnings": dict(self.warned),
            "refusals": dict(self.refused),
            "refused_pictures": list(self.names),
        }


@dataclass(frozen=True, slots=True)
class Rung:
    """Results on all pictures degraded by one amount."""

    amount: float
    recall: float
    flagged: float
    """Share of pictures warned of or refused."""
    refused: float

    def as_json(self) -> dict[str, float]:
        return {
            "amount": self.amount,
            "recall": self.recall,
            "flagged": self.flagged,
            "refused": self.refused,
        }


@dataclass(frozen=True, slots=True)
class Climb:
    """Results on one ladder, from original to worst."""

    unit: str
    rungs: tuple[Rung, ...]

    @property
    def falls(self) -> int | None:
        """First rung with recall fallen by FALLS, or None."""
        return self._first(lambda rung: self.rungs[0].recall - rung.recall >= FALLS)

    @property
    def flagged(self) -> int | None:
        """First rung with half of the pictures flagged.

        A picture is flagged if it is warned of or refused.
        """
        return self._first(lambda rung: rung.flagged >= HALF)

    @property
    def refused(self) -> int | None:
        """First rung with half of the pictures refused."""
        return self._first(lambda rung: rung.refused >= HALF)

    @property
    def agrees(self) -> bool:
        """Whether verdicts and recall change within one rung.

        `falls` and `flagged` then differ by at most one rung; both may be beyond the last.
        """
        beyond = len(self.rungs)
        falls, flagged = (beyond if rung is None else rung for rung in (self.falls, self.flagged))
        return abs(falls - flagged) <= 1

    def _first(self, holds: Callable[[Rung], bool]) -> int | None:
        return next((i for i, rung in enumerate(self.rungs) if holds(rung)), None)

    def as_json(self) -> dict[str, Any]:
        return {
            "unit": self.unit,
            "rungs": [rung.as_json() for rung in self.rungs],
            "recall_falls_at": self.falls,
            "flagged_at": self.flagged,
            "refused_at": self.refused,
            "agrees": self.agrees,
        }


@dataclass(frozen=True, slots=True)
class QualityReport:
    """Report of `edgeleuk eval quality`."""

    sources: Mapping[str, Verdicts]
    strangers: Verdicts | None
    """Verdicts on pictures that are no smears."""
    ladders: Mapping[str, Climb]

    def as_json(self) -> dict[str, Any]:
        return {
            "sources": {source: verdicts.as_json() for source, verdicts in self.sources.items()},
            "strangers": self.strangers.as_json() if self.strangers else None,
            "ladders": {name: climb.as_json() for name, climb in self.ladders.items()},
        }


def assess_sources(
    analyser: Analyser, samples: Sequence[FieldSample], progress: Progress | None = None
) -> dict[str, Verdicts]:
    """Assess the original pictures of each source.

    Pictures of one camera share one scale, as in `analyze`.

    Args:
        analyser: Analyser with the quality check.
        samples: Pictures to assess.
        progress: Called with the pictures done and their total.
    """
    assessed: dict[str, list[tuple[str, Assessment | str]]] = {s.source: [] for s in samples}
    for source, found in assessed.items():
        own = [sample.path for sample in samples if sample.source == source]
        scale = ScalePolicy(analyser)
        scale.survey([PictureFile(path) for path in own])
        for path in own:
            found.append((path.name, _verdict(analyser, path, scale)))
            if progress:
                progress(sum(map(len, assessed.values())), len(samples))
    return {source: Verdicts.of(found) for source, found in assessed.items()}


def assess_strangers(
    analyser: Analyser, paths: Sequence[PictureFile], progress: Progress | None = None
) -> Verdicts:
    """Assess pictures that are no smears.

    Each is analysed at the scale that it seems to have.

    Args:
        analyser: Analyser with the quality check.
        paths: Pictures to assess.
        progress: Called with the pictures done and their total.
    """
    assessed: list[tuple[str, Assessment | str]] = []
    for each in paths:
        assessed.append((each.path.name, _verdict(analyser, each, ScalePolicy(analyser))))
        if progress:
            progress(len(assessed), len(paths))
    return Verdicts.of(assessed)


def _verdict(analyser: Analyser, picture: Path | PictureFile, scale: ScalePolicy) -> Assessment | str:
    try:
        seen = Observation.of(read_picture(picture))
    except EdgeleukError:
        return NO_PICTURE
    try:
        return analyser.analyse(seen.frame, scale.choose(seen).scale, vouched=False, seen=seen).assessment
    except ScaleError:
        early = analyser.quality.assess(str(picture), seen.measures)
        return early if early.verdict == "refused" else NO_SCALE


def climb_ladders(
    analyser: Analyser,
    samples: Sequence[FieldSample],
    names: Sequence[str],
    progress: Progress | None = None,
) -> dict[str, Climb]:
    """Measure recall and verdicts on every rung.

    Every ladder starts from the pictures that are labelled for all of `names` and accepted as they are: a
    picture with a warning at the start cannot show where the warning sets in.

    Args:
        analyser: Analyser with the quality check.
        samples: Labelled pictures.
        names: Class names of the file.
        progress: Called with the pictures done and their total.

    Returns:
        Results by ladder; empty if no picture can be used.
    """
    scales = annotated_scales(samples, names)
    whole = [s for s in samples if s.labelled.issuperset(names) and s.image_id in scales]
    rungs = [(name, amount) for name, ladder in LADDERS.items() for amount in ladder.rungs]
    seen: dict[tuple[str, float], list[_Seen]] = {rung: [] for rung in rungs}
    for done, sample in enumerate(whole, start=1):
        like = [
            s for s in whole if (s.source, s.width, s.height) == (sample.source, sample.width, sample.height)
        ]
        start = like.index(sample)
        first, *others = (
            Picture(read_field(each), each.boxes, each.kinds, scales[each.image_id])
            for each in (like[(start + i) % len(like)] for i in range(OTHERS + 1))
        )
        if _look(analyser, first, names).assessment.verdict != "accepted":
            continue
        for name, amount in rungs:
            shown = LADDERS[name].show(first, amount, others)
            seen[name, amount].append(_look(analyser, shown, names))
        if progress:
            progress(done, len(whole))
    return (
        {
            name: _climb(ladder, [seen[name, amount] for amount in ladder.rungs])
            for name, ladder in LADDERS.items()
        }
        if all(seen.values())
        else {}
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """Result on one picture on one rung."""

    found: int
    annotated: int
    assessment: Assessment


def _look(analyser: Analyser, shown: Picture, names: Sequence[str]) -> _Seen:
    field = analyser.analyse(Frame(shown.image, "rung"), shown.scale)
    found = sum(_matched(field, shown, kind, name) for kind, name in enumerate(names))
    return _Seen(found, len(shown.boxes), field.assessment)


def _matched(field: Field, shown: Picture, kind: int, name: str) -> int:
    """Count the found cells of one class."""
    boxes = np.array([cell.box for cell in field.of(name)], np.float32).reshape(-1, 4)
    return int((match(shown.boxes[shown.kinds == kind], boxes) >= 0).sum())


def _climb(ladder: Ladder, seen: Sequence[Sequence[_Seen]]) -> Climb:
    return Climb(ladder.unit, tuple(_rungs(ladder, seen)))


def _rungs(ladder: Ladder, seen: Sequence[Sequence[_Seen]]) -> Iterator[Rung]:
    for amount, pictures in zip(ladder.rungs, seen, strict=True):
        verdicts = [each.assessment.verdict for each in pictures]
        yield Rung(
            amount=float(amount),
            recall=sum(each.found for each in pictures) / max(sum(each.annotated for each in pictures), 1),
            flagged=float(np.mean([verdict != "accepted" for verdict in verdicts])),
            refused=float(np.mean([verdict == "refused" for verdict in verdicts])),
        )
