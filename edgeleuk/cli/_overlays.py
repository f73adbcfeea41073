"""Annotated images of an analysis.

They are drawn as images are counted, and signed with the verdict at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgeleuk.errors import EdgeleukError
from edgeleuk.system.faults import to_user_error

if TYPE_CHECKING:
    from edgeleuk.cli._results import ResultFolder
    from edgeleuk.counting.pictures import Analysed
    from edgeleuk.results.slide_result import SlideResult
    from edgeleuk.types import Field, PictureFile

SUFFIX = ".overlay.jpg"


def attempt(faults: list[EdgeleukError], name: str, doing: str, action: Callable[[], None]) -> bool:
    """Run an action whose failure must not stop the rest.

    Args:
        faults: List that receives the error.
        name: Name of what is acted on, for the message.
        doing: Past participle of the action, for the message.
        action: Action to run.

    Returns:
        Whether the action succeeded.
    """
    try:
        action()
    except Exception as error:  # noqa: BLE001  # from any library, or a full disk
        faults.append(to_user_error(error, name, doing))
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Overlay:
    name: str
    """File name in the result folder."""
    file: PictureFile | None
    """File that the image was decoded from."""
    types: Mapping[int, str]
    """Drawn cell types by white-cell number."""


class Overlays:
    """Writer of annotated copies, one for each image.

    A failure costs that copy alone.
    """

    def __init__(self, folder: ResultFolder | None, labels: Sequence[str]) -> None:
        """Set the result folder; None writes no copies."""
        self._folder, self._labels = folder, labels
        self._drawn: dict[int, _Overlay] = {}
        """Overlays by number of the counted field."""
        self.faults: list[EdgeleukError] = []
        """Errors of copies that were not written."""

    def names(self) -> Mapping[int, str]:
        """Return the file names by number of the counted field."""
        return {number: each.name for number, each in self._drawn.items()}

    def draw(self, done: Analysed) -> None:
        """Write the annotated copy of an image.

        Copies of images with the same name are numbered.
        """
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
        """Write the slide's verdict below each image's legend.

        The verdict is known only at the end. An image whose cells are visible in other images too is drawn again if
        their combined reading differs, unless its file is gone by then: the slide's results matter more.
        """
        fields = {each.number: field for each, field in zip(result.counted, result.as_counted(), strict=True)}
        for number, each in self._drawn.items():
            attempt(self.faults, each.name, "signed", partial(self._signed, each, fields[number], result))

    def _signed(self, each: _Overlay, field: Field, result: SlideResult) -> None:
        from edgeleuk.render.overlay import draw, encode, with_verdict
        from edgeleuk.sources.pictures.reading import read_picture

        assert self._folder
        picture = (self._folder.path / each.name).read_bytes()
        if each.file and _types(field) != each.types:
            with suppress(EdgeleukError):
                picture = encode(draw(read_picture(each.file).pixels, field, self._labels))
        self._folder.write(each.name, with_verdict(picture, result.verdict))


def _types(field: Field) -> dict[int, str]:
    """Return the cell type of each read white cell by number."""
    return {cell.number: cell.reading.label for cell in field.cells if cell.number and cell.reading}
