"""Pictures of single cells in folders that are named by type."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from edgeleuk.adaptation.cells import TaughtCell, kinds_of
from edgeleuk.errors import EdgeleukError, InputError
from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.slidemap import CROP_PX
from edgeleuk.sources.pictures.listing import pictures
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.system import file_io
from edgeleuk.system.result_marks import HEAD, mark_of
from edgeleuk.types import Image, PictureFile, Scale

EXPORTED = "crops"
"""Folder of a session's export that holds its pictures of cells, by type."""
OVERLAY = re.compile(r"(^|[-._ ])overlay([-._ ]?\d+)?$", re.IGNORECASE)
"""End of the name of an annotated copy, without its suffix, as this program and people write it."""


@dataclass(frozen=True, slots=True)
class KindFolder:
    """Folder of pictures of one kind."""

    path: Path
    kind: str
    """Known type, or the folder's name in lower case with underscores."""
    known: bool
    """Whether the reader has the type."""


@dataclass(slots=True)
class Seen:
    """Pictures that were read, so that each content counts once."""

    copies: int = 0
    """Number of pictures left out as copies of one of the same kind."""
    overlays: int = 0
    """Number of pictures left out as annotated copies that this program wrote."""
    _first: dict[tuple[tuple[int, ...], str], tuple[str, str]] = field(default_factory=dict)
    """Shape and SHA-256 of the pixels: kind and name of the first picture."""

    def is_new(self, picture: PictureFile, pixels: Image, kind: str) -> bool:
        """Tell whether a picture's pixels are met for the first time, in whatever file.

        Raises:
            InputError: A picture of another kind has the same pixels.
        """
        digest = hashlib.sha256(pixels.tobytes()).hexdigest()
        first, name = self._first.setdefault((pixels.shape, digest), (kind, str(picture)))
        if first != kind:
            raise InputError(
                f"{picture} was left out: it is the same picture as {name}, which counts as {first}. Keep it in the folder"
                " of its type only."
            )
        if name == str(picture):
            return True
        self.copies += 1
        return False


def kind_folders(folder: Path, manifest: ReaderManifest) -> list[KindFolder]:
    """Return the folders of a folder, by kind.

    "Band neutrophils" is not a type; "Neutrophils" is neutrophil.

    Raises:
        InputError: There are none, or they are those of a session's export.
    """
    known = kinds_of(manifest)
    found = []
    for path in file_io.listed(folder, "*"):
        if path.is_dir() and not path.name.startswith("."):
            name = plain_kind(path.name)
            name = next((each for each in (name, name.removesuffix("s")) if each in known), name)
            found.append(KindFolder(path, name, name in known))
    if not found:
        raise InputError(
            f"{folder} has no folders. Put the pictures of each type into a folder of its name, such as"
            f" {folder / 'neutrophil'}."
        )
    crops = folder / EXPORTED
    if not any(each.known for each in found) and any(each.is_dir() for each in file_io.listed(crops, "*")):
        raise InputError(
            f"{folder} has its pictures of cells in {crops}, by type. Name that folder: {crops}."
        )
    return found


def plain_kind(name: str) -> str:
    """Return a name in lower case, with underscores between words."""
    return "_".join(name.strip().lower().replace("-", " ").split())


def cells_in(
    folder: KindFolder, um_per_px: float, slide: str, seen: Seen | None = None
) -> Iterator[TaughtCell | EdgeleukError]:
    """Yield the cells of a folder.

    A picture that cannot be read gives an error in its place. Pictures of cells that this program exported
    are read too. A picture whose pixels were met before and an annotated copy that this program wrote are
    left out, and counted in `seen`.

    Args:
        folder: Folder of one kind.
        um_per_px: Scale of its pictures.
        slide: Name of the slide that they are of.
        seen: Pictures of other folders that were read.
    """
    seen = seen or Seen()
    for each in pictures([str(folder.path)], marked=True):
        try:
            if isinstance(each, EdgeleukError):
                raise each
            if isinstance(each, PictureFile):
                frame = read_picture(each, um_per_px)
                if _is_overlay(each.path, frame.pixels):
                    seen.overlays += 1
                    continue
                if not seen.is_new(each, frame.pixels, folder.kind):
                    continue
                scale = Scale.given(um_per_px).shrunk(frame.shrunk)
                yield TaughtCell(frame.pixels, scale, folder.kind, slide)
        except EdgeleukError as error:
            yield error


def _is_overlay(path: Path, pixels: Image) -> bool:
    """Tell whether a picture is an annotated copy of a field that this program wrote.

    Its name says so, or it has the mark of a result and is larger than any picture of a cell that has one.
    """
    if OVERLAY.search(path.stem):
        return True
    if max(pixels.shape[:2]) <= CROP_PX:
        return False
    with suppress(OSError), path.open("rb") as file:  # removed since it was read
        return mark_of(file.read(HEAD)) is not None
    return False
