"""Pictures of single cells in folders that are named by type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeleuk.adaptation.cells import TaughtCell, kinds_of
from edgeleuk.errors import EdgeleukError, InputError
from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.sources.pictures.listing import pictures
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.system import file_io
from edgeleuk.types import PictureFile, Scale


@dataclass(frozen=True, slots=True)
class KindFolder:
    """Folder of pictures of one kind."""

    path: Path
    kind: str
    """Known type, or the folder's name in lower case with underscores."""
    known: bool
    """Whether the reader has the type."""


def kind_folders(folder: Path, manifest: ReaderManifest) -> list[KindFolder]:
    """Return the folders of a folder, by kind.

    "Band neutrophils" is not a type; "Neutrophils" is neutrophil.

    Raises:
        InputError: There are none.
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
    return found


def plain_kind(name: str) -> str:
    """Return a name in lower case, with underscores between words."""
    return "_".join(name.strip().lower().replace("-", " ").split())


def cells_in(folder: KindFolder, um_per_px: float, slide: str) -> Iterator[TaughtCell | EdgeleukError]:
    """Yield the cells of a folder.

    A picture that cannot be read gives an error in its place.

    Args:
        folder: Folder of one kind.
        um_per_px: Scale of its pictures.
        slide: Name of the slide that they are of.
    """
    for each in pictures([str(folder.path)], recursive=False):
        try:
            if isinstance(each, EdgeleukError):
                raise each
            if isinstance(each, Path | PictureFile):
                frame = read_picture(each, um_per_px)
                scale = Scale.given(um_per_px).shrunk(frame.shrunk)
                yield TaughtCell(frame.pixels, scale, folder.kind, slide)
        except EdgeleukError as error:
            yield error
