"""The pictures of one slide, analysed on every core and counted in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from edgeleuk import machine
from edgeleuk._pools import leaving
from edgeleuk.counting.scale import Progress
from edgeleuk.counting.slide import Examined, SlideCount
from edgeleuk.errors import EdgeleukError, StoreError
from edgeleuk.faults import unforeseen
from edgeleuk.types import CountedField, Field, Frame, PictureFile, Refusal

Item = PictureFile | Refusal | EdgeleukError
"""A picture, what is left out beside pictures, or what cannot be read."""


@dataclass(frozen=True, slots=True)
class Analysed:
    """A picture as it was decoded, its field in that picture's pixels, and what was counted of it."""

    frame: Frame
    field: Field
    counted: CountedField

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


class Batch:
    """Drives a SlideCount with picture files. Use from one thread."""

    def __init__(self, slide: SlideCount, workers: int = 1) -> None:
        """So many `workers` analyse a picture each at a time: on several cores faster than one picture on all of them,
        where the analyser itself uses one thread."""
        self.slide, self._workers = slide, workers

    def survey(self, items: Sequence[Item], progress: Progress = lambda *_: None) -> None:
        """Measure the common scale of the pictures, if they have one, on a few of them."""
        pictures = [each for each in items if isinstance(each, PictureFile)]
        self.slide.scale.survey(pictures, self._workers, progress)

    def analyse_all(
        self, items: Sequence[Item], stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[Analysed | Failed]:
        """Analyse and count each picture in turn; one that cannot be analysed never ends a batch, whatever is wrong.

        Once it is `stopped` those that were begun are the last ones. Raises StoreError where a recorder does not keep a
        counted picture.
        """
        self.slide.leave_out([each for each in items if isinstance(each, Refusal)])
        if not self.slide.scale.surveyed:
            self.survey(items)
        with leaving(ThreadPoolExecutor(self._workers)) as pool:
            waiting: deque[tuple[PictureFile | EdgeleukError, Future[Examined]]] = deque()
            coming = (each for each in items if not isinstance(each, Refusal))
            while True:
                if stopped():
                    coming.close()
                    waiting = deque(each for each in waiting if not each[1].cancel())
                for item in islice(coming, self._most - len(waiting)):
                    waiting.append((item, pool.submit(self._examined, item)))
                if not waiting:
                    return
                # Nothing here keeps a picture while the next one is waited for.
                yield self._counted(*waiting.popleft())
                machine.give_back()  # of a slide of 104 large pictures 340 MB at most, not 450, in 6 % more time

    @property
    def _most(self) -> int:
        """Pictures in work at a time: one more than there are workers, as decoded pictures are what takes memory. A given
        scale is of the first picture's size and red cells, which must be known before the others are examined."""
        first = self.slide.scale.given is not None and not self.slide.number
        return 1 if first else self._workers + 1

    def _examined(self, item: PictureFile | EdgeleukError) -> Examined:
        """In a worker's thread: nothing of the slide changes."""
        if isinstance(item, EdgeleukError):
            raise item
        return self.slide.examine(self.slide.scale.read(item))

    def _counted(self, item: PictureFile | EdgeleukError, work: Future[Examined]) -> Analysed | Failed:
        try:
            examined = work.result()
            return self._analysed(*self.slide.counted(examined))
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  # of any library: a picture's fault is that picture's
            name = str(item) if isinstance(item, PictureFile) else ""
            told = unforeseen(error, name)
            self.slide.refuse(name, told)
            return Failed(name, told)

    @staticmethod
    def _analysed(examined: Examined, counted: CountedField) -> Analysed:
        return Analysed(examined.seen.frame, examined.field, counted)
