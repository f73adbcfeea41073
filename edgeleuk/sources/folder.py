"""Pictures from files: what is analysed is what decodes to a whole, upright colour picture."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import InputError, NotAnImageError
from edgeleuk.sources import _heif
from edgeleuk.sources._headers import Header, is_heif, read_header
from edgeleuk.sources._kinds import FORMATS, require_file
from edgeleuk.sources._pages import first_page, pages
from edgeleuk.sources._pixels import is_grey, to_rgb
from edgeleuk.sources._strips import decode_strips
from edgeleuk.types import Frame, Image, PictureFile

MAX_MEGAPIXELS = 120
"""A 108-megapixel phone picture passes; a decompression bomb does not."""
MAX_BYTES = 1_000_000_000
"""More than the largest picture, uncompressed at 16 bits; reading a film or a disk image would exhaust a small computer."""
MIN_SIDE = 64
"""Less than a red cell and its surroundings at any usable scale."""
LARGEST_SIDE = 4608
"""Pixels that a picture of unknown scale is decoded with at most: over the field of a 100x or 40x objective, 0.2 and
0.5 mm wide, they are finer than the lens resolves, and over that of a 10x finer than its models ask for."""
REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}
"""How much smaller a JPEG can be decoded, by averaging in its own blocks, which begin at its upper left corner."""
INTO_MEMORY = "dst" in (cv2.imread.__doc__ or "")
"""Whether OpenCV, from 4.11 on, can decode a file without a copy."""
UPRIGHT: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: lambda image: cv2.flip(image, 1),
    3: lambda image: cv2.flip(image, -1),
    4: lambda image: cv2.flip(image, 0),
    5: cv2.transpose,
    6: lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE),
    7: lambda image: cv2.flip(cv2.transpose(image), -1),
    8: lambda image: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE),
}
"""What makes a picture of an EXIF orientation upright (CIPA DC-008, Exif 2.32, tag 0x0112)."""


def read_picture(
    picture: Path | PictureFile, um_per_px: float | None = None, enough_um_per_px: float = 0.0
) -> Frame:
    """Decode a file, or a page of one, to an upright RGB frame.

    A picture that shows more than `enough_um_per_px` asks for is made smaller at once; a JPEG is decoded smaller, in a
    fraction of the time and the memory. Where its own scale `um_per_px` is not known, one of more than LARGEST_SIDE
    pixels is.

    Raises InputError where it cannot be read, NotAnImageError where it is no whole colour picture, and
    MissingExtraError for a HEIC without the extra that reads it.
    """
    one = picture if isinstance(picture, PictureFile) else PictureFile(picture)
    path, name = one.path, str(one)
    require_file(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise NotAnImageError(
                    f"{path} has {size / 1e9:.1f} GB, more than any picture. Name picture files."
                )
            data = _paged(file.read(), one)
            header = _checked_header(data, name)
            shrunk = shrinkable((header.width, header.height), um_per_px, enough_um_per_px)
            by_itself = one.pages == 1 or header.strips  # strips are named by their places in the file
            if header.format == "HEIC" or not by_itself or (again := _again(file)) is None:
                return Frame(_decoded(data, name, header, shrunk), name, shrunk, one)
            del data
            return Frame(_decoded(again, name, header, shrunk), name, shrunk, one)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Check the path.") from error
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}. Check the path and its permissions."
        ) from error


def _paged(data: bytes, picture: PictureFile) -> bytes:
    """The bytes of a file with the picture's page as the first one. Raises NotAnImageError where it is gone."""
    if picture.pages == 1:
        return data
    found = pages(picture.path)
    if picture.page >= len(found):
        raise NotAnImageError(
            f"{picture.path} has {len(found)} pages, and no page {picture.page + 1}. Copy it again."
        )
    return first_page(data, found[picture.page])


def _again(file: BinaryIO) -> str | None:
    """A path by which a decoder reads an open file for itself; None of what can be read once, as a pipe, and where
    there is no such path, or OpenCV is too old to decode into memory that stays.

    What it makes of bytes it copies once more, and the bytes are there too: of 48 megapixels 430 MB, not 145.
    """
    again = f"/dev/fd/{file.fileno()}"
    regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    return again if INTO_MEMORY and regular and os.path.exists(again) else None  # noqa: PTH110  # no file, a link


def decode(data: bytes, name: str) -> Image:
    """Bytes of a picture file to an upright RGB picture (H, W, 3) uint8. Raises NotAnImageError."""
    return _decoded(data, name, _checked_header(data, name))


def shrinkable(size: tuple[int, int], um_per_px: float | None, enough_um_per_px: float) -> int:
    """How many times smaller a picture of this size is decoded: a divisor of its sides, so that places stay exact."""
    exact = [n for n in (1, *REDUCED) if size[0] % n == size[1] % n == 0]
    if um_per_px is None:
        small = (n for n in exact if max(size) / n <= LARGEST_SIDE)
        return next(small, exact[-1])
    return max(n for n in exact if n == 1 or um_per_px * n <= enough_um_per_px)


def _decoded(source: bytes | str, name: str, header: Header, shrunk: int = 1) -> Image:
    """A picture from its bytes, or from a path."""
    if header.format == "HEIC" and isinstance(source, bytes):
        return _coloured(_heif.decode(source, name), name, header, shrunk)
    # A TIFF comes upright and at any depth only with UNCHANGED, which also keeps opacity in other formats.
    if header.alpha or header.format == "TIFF":
        flags = cv2.IMREAD_UNCHANGED
    elif header.format == "JPEG" and shrunk > 1:
        flags, shrunk = REDUCED[shrunk] | cv2.IMREAD_IGNORE_ORIENTATION, 1
    else:
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        with _quiet():
            decoded = _by_opencv(source, flags, header)
    except cv2.error as error:
        raise NotAnImageError(
            f"{name} is a damaged {header.format} file: {error.err}. Copy or take it again."
        ) from error
    if decoded is None:
        raise NotAnImageError(
            f"{name} is a damaged {header.format} file, or one of a rare kind. Copy or take it again, as JPEG or PNG."
        )
    image = _coloured(decoded, name, header, shrunk)
    return UPRIGHT[header.orientation](image) if header.orientation in UPRIGHT else image


def _by_opencv(source: bytes | str, flags: int, header: Header) -> NDArray[Any] | None:
    """What OpenCV decodes; None where it cannot."""
    if isinstance(source, bytes):
        return cv2.imdecode(np.frombuffer(source, np.uint8), flags)
    if header.strips:
        with open(source, "rb") as file:  # noqa: PTH123  # a descriptor's path, not a file's
            return decode_strips(file, header.strips)
    return cv2.imread(source, None, flags)


def _coloured(decoded: NDArray[Any], name: str, header: Header, shrunk: int) -> Image:
    """RGB of what a decoder gave, so many times smaller. Raises NotAnImageError where it has no colour."""
    image = to_rgb(decoded, shrunk, premultiplied=header.premultiplied)
    if is_grey(image):
        raise NotAnImageError(
            f"{name} is a grey picture; stained cells are told apart by colour. Take it in the camera's colour mode."
        )
    return image


def _checked_header(data: bytes, name: str) -> Header:
    if not data:
        raise NotAnImageError(f"{name} is empty. Copy or take it again.")
    header = _heif.read_header(data, name) if is_heif(data) else read_header(data)
    if header is None:
        raise NotAnImageError(f"{name} is not a picture this program reads. It reads {FORMATS}.")
    size = f"{header.width} x {header.height} px"
    if header.width * header.height > MAX_MEGAPIXELS * 1_000_000:
        raise NotAnImageError(
            f"{name} claims {size}, more than {MAX_MEGAPIXELS} megapixels. Crop or shrink it first."
        )
    if header.fault:
        raise NotAnImageError(f"{name} {header.fault}")
    if min(header.width, header.height) < MIN_SIDE:
        raise NotAnImageError(
            f"{name} is {size}; a field has at least {MIN_SIDE} px on each side. Use the full picture."
        )
    return header


@contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV says on stderr what is wrong with a file; here the error says it, in one line."""
    log = getattr(cv2.utils, "logging", cv2)  # where OpenCV 5 has it, and OpenCV 4
    level = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(level)
