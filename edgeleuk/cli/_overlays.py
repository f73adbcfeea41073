"""The annotated pictures of an analysis: drawn as pictures are counted, and signed with the verdict at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgeleuk.errors import EdgeleukError
from edgeleuk.faults import unforeseen

if TYPE_CHECKING:
    from edgeleuk.batch import Analysed
    from edgeleuk.cli._results import ResultFolder
    from edgeleuk.results import SlideResult
    from edgeleuk.types import Field, PictureFile

SUFFIX = ".overlay.jpg"


def attempt(faults: list[EdgeleukError], name: str, doing: str, action: Callable[[], None]) -> bool:
    """Do what must not end what comes after it. Whether it was done; else the error is added to `faults`."""
    try:
        action()
    except Exception as error:  # noqa: BLE001  # of any library, and of a full disk
        faults.append(unforeseen(error, name, doing))
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Overlay:
    name: str
    """Of the file, in the folder of the results."""
    file: PictureFile | None
    """That it was decoded from."""
    types: Mapping[int, str]
    """As drawn: the type of each white cell by its number."""


class Overlays:
    """Writes an annotated copy of each picture. What fails costs that copy alone."""

    def __init__(self, folder: ResultFolder | None, labels: Sequence[str]) -> None:
        """Without a `folder` none is written."""
        self._folder, self._labels = folder, labels
        self._drawn: dict[int, _Overlay] = {}
        """By the number of the counted field."""
        self.faults: list[EdgeleukError] = []
        """Of copies that were not written."""

    def names(self) -> Mapping[int, str]:
        """Names of the files by the numbers of the counted fields."""
        return {number: each.name for number, each in self._drawn.items()}

    def draw(self, done: Analysed) -> None:
        """Write the annotated copy of a picture; of pictures with the same name each has a number."""
        from edgeleuk.render.overlay import draw, encode

        folder = self._folder
        if folder is None:
            return
        name = folder.picture_name(Path(done.frame.name).stem, SUFFIX)

        def action() -> None:
            folder.write(name, encode(draw(done.frame.pixels, done.field, self._labels)))

        if attempt(self.faults, name, "written", action):
            self._drawn[done.counted.number] = _Overlay(name, done.frame.file, _types(done.field))

    def sign(self, result: SlideResult) -> None:
        """Write the slide's verdict, which is known at the end, below the legend of each annotated picture.

        A picture whose cells other pictures show too is drawn again where they are read otherwise together, unless its file
        is gone by then: the slide's results matter more.
        """
        fields = {each.number: field for each, field in zip(result.counted, result.as_counted(), strict=True)}
        for number, each in self._drawn.items():
            attempt(self.faults, each.name, "signed", partial(self._signed, each, fields[number], result))

    def _signed(self, each: _Overlay, field: Field, result: SlideResult) -> None:
        from edgeleuk.render.overlay import draw, encode, with_verdict
        from edgeleuk.sources.folder import read_picture

        assert self._folder
        picture = (self._folder.path / each.name).read_bytes()
        if each.file and _types(field) != each.types:
            with suppress(EdgeleukError):
                picture = encode(draw(read_picture(each.file).pixels, field, self._labels))
        self._folder.write(each.name, with_verdict(picture, result.verdict))


def _types(field: Field) -> dict[int, str]:
    """Type of each white cell that was read, by its number."""
    return {cell.number: cell.reading.label for cell in field.cells if cell.number and cell.reading}
