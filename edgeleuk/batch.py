"""The pictures of one slide: analysed one by one at one scale, and counted together, each cell once.

Pictures that overlap are laid on the slide map; those that do not lie on islands of their own and simply add up. One
camera has one scale: where a few of the pictures agree on it, it holds for all of their size, and only a picture whose
red cells contradict it is measured by itself.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Protocol

from edgeleuk import machine
from edgeleuk.assessment import glance
from edgeleuk.errors import EdgeleukError
from edgeleuk.eyepiece import find_disc
from edgeleuk.pipeline import Analyser
from edgeleuk.pooling import LEAST, common
from edgeleuk.results import refusal, without_pictures
from edgeleuk.scale import estimate_scale
from edgeleuk.slidemap import SlideMap
from edgeleuk.sources.folder import read_picture
from edgeleuk.types import CountedField, Field, Frame, Refusal, Scale

SAMPLED = 9
"""Pictures, evenly spread, whose scales are measured before the others are looked at."""
Size = tuple[int, int]
"""Width and height of a file, pixels."""
Item = Path | EdgeleukError


@dataclass(frozen=True, slots=True)
class Analysed:
    """A picture as it was decoded, and its field in that picture's pixels."""

    frame: Frame
    field: Field

    @property
    def warnings(self) -> tuple[tuple[str, str], ...]:
        """What to say of it, each with a key under which pictures of the same fault go together."""
        forced = "analysed although " if self.field.assessment.forced else ""
        return (
            *((text, text) for text in self.field.warnings),
            *((each.code, f"{forced * each.severe}{each.text}") for each in self.field.assessment.findings),
        )


@dataclass(frozen=True, slots=True)
class Failed:
    """A picture that is left out; `path` is empty where the error names none."""

    path: str
    error: EdgeleukError


class Recorder(Protocol):
    """What keeps a slide's pictures as they are counted."""

    def add(self, counted: CountedField) -> None: ...
    def refuse(self, refusal: Refusal) -> None: ...


class Batch:
    """The pictures of one slide. Use from one thread."""

    def __init__(
        self,
        analyser: Analyser,
        scale: Scale | None = None,
        *,
        overlapping: bool = True,
        workers: int = 1,
        recorder: Recorder | None = None,
    ) -> None:
        """`scale`: of the files, where the user vouches for it. `overlapping` False: the pictures are taken to show
        different places, and cells seen twice count twice. So many `workers` analyse a picture each at a time: on
        several cores faster than one picture on all of them, where the analyser itself uses one thread. The `recorder`
        is given each picture in pixels of its file, with its thumbnail and the pictures of its white cells."""
        self.analyser, self._workers, self._recorder = analyser, workers, recorder
        self._given = scale
        self._common: dict[Size, Scale] = {}
        """In the files' pixels."""
        if profile := analyser.profile:
            size = profile.picture.width, profile.picture.height
            if known := profile.scale_at(*size):
                self._common[size] = known
        self._map = SlideMap.of(analyser.model, stills=True) if overlapping else None
        self._counted: list[CountedField] = []
        self._shrunk: list[int] = []

    def settle(self, paths: Sequence[Path]) -> None:
        """Find what scale the pictures have in common, if any, by looking at a few of them."""
        if self._given or self._common or len(paths) < LEAST:
            return
        step = max(1, len(paths) // SAMPLED)
        first, *others = paths[: step * SAMPLED : step]
        begun = self._measured(first, None)
        with ThreadPoolExecutor(self._workers) as pool:
            measured = [begun, *pool.map(lambda path: self._measured(path, begun and begun[1]), others)]
        found: defaultdict[Size, list[Scale]] = defaultdict(list)
        for size, scale in filter(None, measured):
            found[size].append(scale)
        for size, scales in found.items():
            if shared := common(scales):
                self._common[size] = shared

    def _measured(self, path: Path, near: Scale | None) -> tuple[Size, Scale] | None:
        """Size and scale of a file; None where it cannot be told, which is named as an error when its turn comes."""
        try:
            frame = read_picture(path)
            seen = self.analyser.under_profile(frame)
            scale = estimate_scale(
                seen.pixels,
                self.analyser.finder,
                frame.name,
                near and _times(near, frame.shrunk),
                find_disc(seen.pixels),
            )
        except EdgeleukError:
            return None
        return _size(frame), _times(scale, 1 / frame.shrunk)

    def analyse_all(self, items: Sequence[Item]) -> Iterator[Analysed | Failed]:
        """Each picture in turn; one that cannot be analysed never ends a batch."""
        with ThreadPoolExecutor(self._workers) as pool:
            waiting: deque[tuple[Item, Future[tuple[Frame, Field, float]]]] = deque()
            coming = iter(items)
            while True:
                # No more in work than there are workers, and one: decoded pictures are what takes memory.
                for item in islice(coming, self._workers + 1 - len(waiting)):
                    waiting.append((item, pool.submit(self._analysed, item)))
                if not waiting:
                    return
                item, work = waiting.popleft()
                try:
                    frame, field, sharpness = work.result()
                except EdgeleukError as error:
                    failed = Failed(str(item) if isinstance(item, Path) else "", error)
                    if self._recorder:
                        self._recorder.refuse(refusal(failed.path, error))
                    yield failed
                    continue
                self._count(frame, field, sharpness)
                yield Analysed(frame, field)
                machine.give_back()  # of a slide of 104 large pictures 340 MB at most, not 450, in 6 % more time

    def _analysed(self, item: Item) -> tuple[Frame, Field, float]:
        """A picture, its field and its sharpness. In a worker's thread: nothing of the batch changes."""
        if isinstance(item, EdgeleukError):
            raise item
        frame = self._read(item)
        seen = glance(frame.pixels)
        if self._given:
            field = self.analyser.analyse(frame, _times(self._given, frame.shrunk), seen=seen)
            return frame, field, seen.look.sharpness
        scale = self.scale_of(frame)
        field = self.analyser.analyse(frame, scale, vouched=False, seen=seen)
        if scale and frame.shrunk > 1 and field.scale != scale:
            # Another lens took it, and the size that was enough for the others may not be for this one.
            frame = read_picture(item)
            seen = glance(frame.pixels)
            field = self.analyser.analyse(frame, seen=seen)
        return frame, field, seen.look.sharpness

    def scale_of(self, frame: Frame) -> Scale | None:
        """What a frame shares with the others of its size; None where it must be measured by itself."""
        shared = self._common.get(_size(frame))
        return _times(shared, frame.shrunk) if shared else None

    def _read(self, path: Path) -> Frame:
        scale = self._given or self._usual
        model = self.analyser.model
        enough = min(model.finder.um_per_px, model.reader.um_per_px)
        frame = read_picture(path, max(scale.um_per_px_x, scale.um_per_px_y) if scale else None, enough)
        if scale and not self._given and _size(frame) not in self._common:
            return read_picture(path)  # another camera's: nothing is known of its scale
        return frame

    @property
    def _usual(self) -> Scale | None:
        """The common scale, where all pictures that were sampled share one."""
        return next(iter(self._common.values())) if len(self._common) == 1 else None

    def _count(self, frame: Frame, field: Field, sharpness: float) -> None:
        counted = self._on_map(frame, field, sharpness)
        self._shrunk.append(frame.shrunk)
        self._counted.append(without_pictures(counted))
        if self._recorder:
            self._recorder.add(replace(counted, field=field.enlarged(frame.shrunk)))

    def _on_map(self, frame: Frame, field: Field, sharpness: float) -> CountedField:
        number = len(self._counted) + 1
        slide = self._map or SlideMap.of(self.analyser.model, stills=True)
        counted = slide.add(
            field,
            slide.place(frame.pixels, field.scale, field.aperture),
            number=number,
            seconds=float(number),
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            sharpness=sharpness,
            image=frame.pixels,
            crops=self._recorder is not None,
        )
        return counted if self._map else self._apart(counted)

    def _apart(self, counted: CountedField) -> CountedField:
        """A picture from a map of its own, as an island of the slide: its cells are no other picture's."""
        before = sum(len(each.identities) for each in self._counted)
        return replace(
            counted,
            placement=replace(counted.placement, island=counted.number),
            identities=tuple(before + i for i in counted.identities),
            fresh=frozenset(before + i for i in counted.fresh),
        )

    @property
    def seen(self) -> tuple[CountedField, ...]:
        """Every picture with all that was found in it, and what each cell is on the slide, in the files' pixels."""
        return tuple(
            replace(each, field=each.field.enlarged(times))
            for each, times in zip(self._counted, self._shrunk, strict=True)
        )

    @property
    def fields(self) -> tuple[Field, ...]:
        """Every picture with all that was found in it, in the files' pixels."""
        return tuple(each.field for each in self.seen)

    @property
    def counted(self) -> tuple[Field, ...]:
        """The same with each cell only in the first picture that shows it, read from all of its views together."""
        if self._map is None:
            return self.fields
        fields = self._map.fields()
        return tuple(field.enlarged(times) for field, times in zip(fields, self._shrunk, strict=True))

    @property
    def area_mm2(self) -> float:
        """Of the slide that the pictures show, ground that several show once."""
        return sum(each.field.area_mm2 * each.placement.new_ground for each in self._counted)

    @property
    def repeated(self) -> tuple[frozenset[int], ...]:
        """Which cells of each of `fields`, by index, an earlier picture shows too."""
        return tuple(
            frozenset(i for i, identity in enumerate(each.identities) if identity not in each.fresh)
            for each in self._counted
        )


def _size(frame: Frame) -> Size:
    """Of the file."""
    return frame.width * frame.shrunk, frame.height * frame.shrunk


def _times(scale: Scale, factor: float) -> Scale:
    """The scale of pixels `factor` times as large."""
    if factor == 1:
        return scale
    return replace(scale, um_per_px_x=scale.um_per_px_x * factor, um_per_px_y=scale.um_per_px_y * factor)
