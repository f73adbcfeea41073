"""Parallel analysis of one slide's pictures, counted in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from edgeleuk.counting.scale_policy import Progress
from edgeleuk.counting.slide import Examined, SlideCount
from edgeleuk.errors import EdgeleukError, StoreError
from edgeleuk.system import machine
from edgeleuk.system.faults import to_user_error
from edgeleuk.system.pools import leaving
from edgeleuk.types import CountedField, Field, Frame, PictureFile, Refusal

Item = PictureFile | Refusal | EdgeleukError
"""A picture, a refusal, or an error from reading."""


@dataclass(frozen=True, slots=True)
class Analysed:
    """A decoded picture with its field and counts.

    Boxes of the field are in pixels of the picture.
    """

    frame: Frame
    field: Field
    counted: CountedField

    @property
    def warnings(self) -> tuple[tuple[str, str], ...]:
        """Warnings as (key, text) pairs.

        Pictures with the same fault share a key.
        """
        forced = "analysed although " if self.field.assessment.forced else ""
        return (
            *((text, text) for text in self.field.warnings),
            *((each.code, f"{forced * each.severe}{each.text}") for each in self.field.assessment.findings),
        )


@dataclass(frozen=True, slots=True)
class Failed:
    """A left-out picture with its error.

    `path` is empty if the error names no file.
    """

    path: str
    error: EdgeleukError


class Batch:
    """Runs a SlideCount over picture files.

    Use from one thread.
    """

    def __init__(self, slide: SlideCount, workers: int = 1) -> None:
        """Analyse up to `workers` pictures at a time.

        On several cores this is faster than analysing one picture on all of them, if the analyser itself
        uses one thread.
        """
        self.slide, self._workers = slide, workers

    def survey(self, items: Sequence[Item], progress: Progress = lambda *_: None) -> None:
        """Measure the pictures' common scale, if any.

        It is measured on a few of them.
        """
        pictures = [each for each in items if isinstance(each, PictureFile)]
        self.slide.scale.survey(pictures, self._workers, progress)

    def analyse_all(
        self, items: Sequence[Item], stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[Analysed | Failed]:
        """Analyse and count each picture in order.

        A picture that cannot be analysed never ends a batch, whatever is wrong. Once `stopped` returns
        True, the pictures already begun are the last ones.

        Raises:
            StoreError: A recorder could not keep a counted picture.
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
                # No reference to a picture is kept here while waiting for the next one.
                yield self._counted(*waiting.popleft())
                machine.give_back()  # for a slide of 104 large pictures: 340 MB at most instead of 450, in 6 % more time

    @property
    def _most(self) -> int:
        """Maximum number of pictures in work.

        It is one more than the number of workers, because decoded pictures take most of the memory. A given
        scale refers to the size and the red cells of the first picture, which must be known before the
        others are examined.
        """
        first = self.slide.scale.given is not None and not self.slide.number
        return 1 if first else self._workers + 1

    def _examined(self, item: PictureFile | EdgeleukError) -> Examined:
        """Examine a picture in a worker thread.

        It does not change the slide.
        """
        if isinstance(item, EdgeleukError):
            raise item
        return self.slide.examine(self.slide.scale.read(item))

    def _counted(self, item: PictureFile | EdgeleukError, work: Future[Examined]) -> Analysed | Failed:
        try:
            examined = work.result()
            return self._analysed(*self.slide.count_examined(examined))
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  # from any library: an error costs only its own picture
            name = str(item) if isinstance(item, PictureFile) else ""
            told = to_user_error(error, name)
            self.slide.refuse(name, told)
            return Failed(name, told)

    @staticmethod
    def _analysed(examined: Examined, counted: CountedField) -> Analysed:
        return Analysed(examined.seen.frame, examined.field, counted)
