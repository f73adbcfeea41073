"""Pictures of single cells in folders that are named by type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edgeleuk.adaptation.cells import TaughtCell, kinds_of
from edgeleuk.errors import EdgeleukError, InputError
from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.sources.pictures.listing import pictures
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.system import file_io
from edgeleuk.types import PictureFile, Scale

EXPORTED = "crops"
"""Folder of a session's export that holds its pictures of cells, by type."""
MOST_BYTES = 1_000_000_000
"""Maximum size of a picture file, bytes."""


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
    _first: dict[tuple[str, int], tuple[str, str]] = field(default_factory=dict)
    """SHA-256 of the file and its page: kind and name of the first picture."""

    def is_new(self, picture: PictureFile, kind: str) -> bool:
        """Tell whether a picture's content is met for the first time.

        Raises:
            InputError: It cannot be read, or a picture of another kind has the same content.
        """
        try:
            digest = file_io.sha256_of(picture.path, MOST_BYTES)
        except OSError as error:
            raise InputError(f"cannot read {picture.path}: {file_io.plain(error)}") from error
        first, name = self._first.setdefault((digest, picture.page), (kind, str(picture)))
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
    are read too. A picture whose content was met before is left out, and counted in `seen`.

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
                if not seen.is_new(each, folder.kind):
                    continue
                scale = Scale.given(um_per_px).shrunk(frame.shrunk)
                yield TaughtCell(frame.pixels, scale, folder.kind, slide)
        except EdgeleukError as error:
            yield error
