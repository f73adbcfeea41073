"""Pictures from files: what is analysed is what decodes to a whole, upright colour picture."""

from __future__ import annotations

import os
from pathlib import Path

from edgeleuk.errors import InputError, NotAnImageError
from edgeleuk.sources._kinds import require_file
from edgeleuk.sources._pages import pages
from edgeleuk.sources.decoding import decode, decode_file, shrinkable
from edgeleuk.types import Frame, PictureFile

__all__ = ["decode", "read_picture", "shrinkable"]


def read_picture(
    picture: Path | PictureFile, um_per_px: float | None = None, enough_um_per_px: float = 0.0
) -> Frame:
    """Decode a file, or a page of one, to an upright RGB frame.

    A picture that shows more than `enough_um_per_px` asks for is made smaller at once; a JPEG is decoded
    smaller, in a fraction of the time and the memory. Where its own scale `um_per_px` is not known, one of
    more than LARGEST_SIDE pixels is.

    Raises InputError where it cannot be read, NotAnImageError where it is no whole colour picture, and
    MissingExtraError for a HEIC without the extra that reads it.
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
    """Place of the directory of a page of a TIFF; None for the first. Raises NotAnImageError where it is gone."""
    if picture.pages == 1:
        return None
    found = pages(picture.path)
    if picture.page >= len(found):
        raise NotAnImageError(
            f"{picture.path} has {len(found)} pages, and no page {picture.page + 1}. Copy it again."
        )
    return found[picture.page]
