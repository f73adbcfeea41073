"""Read picture files as upright colour frames.

Only what decodes to a complete, upright colour picture is analysed.
"""

from __future__ import annotations

import os
from pathlib import Path

from edgeleuk.errors import InputError, NotAnImageError
from edgeleuk.sources.pictures.decoding import decode, decode_file, shrinkable
from edgeleuk.sources.pictures.kinds import require_file
from edgeleuk.sources.pictures.pages import pages
from edgeleuk.types import Frame, PictureFile

__all__ = ["decode", "read_picture", "shrinkable"]


def read_picture(
    picture: Path | PictureFile, um_per_px: float | None = None, enough_um_per_px: float = 0.0
) -> Frame:
    """Decode a file or page to a frame.

    The frame is upright RGB. A picture of finer scale than `enough_um_per_px` requires is made smaller at
    once; a JPEG is decoded smaller, in a fraction of the time and the memory. Where the scale is not known, a
    picture of more than LARGEST_SIDE pixels is made smaller.

    Args:
        picture: Path of the file, or one page of it.
        um_per_px: Scale of the picture, micrometres per pixel; None if unknown.
        enough_um_per_px: Scale that suffices, micrometres per pixel.

    Raises:
        InputError: If the file cannot be read.
        NotAnImageError: If it is no complete colour picture.
        MissingExtraError: If it is a HEIC and the extra that reads it is not installed.
    """
    one = picture if isinstance(picture, PictureFile) else PictureFile(picture)
    path, name = one.path, str(one)
    require_file(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            done = decode_file(file, size, name, um_per_px, enough_um_per_px, _directory(one))
            return Frame(done.pixels, name, done.shrunk, one)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Check the path.") from error
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}. Check the path and its permissions."
        ) from error


def _directory(picture: PictureFile) -> int | None:
    """Return the byte position of a TIFF page's directory.

    Returns None for the first page.

    Raises:
        NotAnImageError: If the page no longer exists.
    """
    if picture.pages == 1:
        return None
    found = pages(picture.path)
    if picture.page >= len(found):
        raise NotAnImageError(
            f"{picture.path} has {len(found)} pages, and no page {picture.page + 1}. Copy it again."
        )
    return found[picture.page]
