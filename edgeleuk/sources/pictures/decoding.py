"""Decode picture files to upright RGB images.

Only what decodes to a complete colour image is analysed.

Files come from anywhere. Our own parsers read and bound what a file says of itself before a decoder sees it;
a decoder's exceptions become the picture's failure; and the decoded image is checked for damage that the
decoder did not report.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import NotAnImageError
from edgeleuk.sources.pictures import damage, heif, jpeg, tiff, unpacked, webp
from edgeleuk.sources.pictures import png as png_format
from edgeleuk.sources.pictures.faults import SENSELESS, DamagedError
from edgeleuk.sources.pictures.headers import Header, is_heif, read_header, read_tiff_header
from edgeleuk.sources.pictures.kinds import FORMATS
from edgeleuk.sources.pictures.pixels import is_grey, to_rgb
from edgeleuk.types import Image

MAX_MEGAPIXELS = 120
"""Maximum size of a picture.

A 108-megapixel phone picture passes; a decompression bomb does not.
"""
MAX_BYTES = 400_000_000
"""Maximum bytes of a picture file.

It exceeds the largest picture; reading a video or a disk image would exhaust a small computer.
"""
MAX_DECODED = 450_000_000
"""Maximum bytes of the decoded image and its result.

48 megapixels of 16 bits have 432 million.
"""
MIN_SIDE = 64
"""Minimum width and height, pixels.

Less would not show a red cell and its surroundings at any usable scale.
"""
LARGEST_SIDE = 4608
"""Maximum side when decoding at unknown scale, pixels.

Over the field of a 100x or 40x objective, 0.2 and 0.5 mm wide, such pixels are finer than the lens resolves,
and over that of a 10x finer than its models require.
"""
REDUCED = (2, 4, 8)
"""Factors by which a JPEG can be decoded smaller.

The decoder averages within its own blocks, which begin at the image's upper left corner.
"""
INTO_MEMORY = "dst" in (cv2.imread.__doc__ or "") and hasattr(os, "memfd_create") and Path("/dev/fd").exists()
"""Whether OpenCV can decode an open file without a copy.

It can from 4.11 on, where this system names open files.
"""
UPRIGHT: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: lambda image: cv2.flip(image, 1),
    3: lambda image: cv2.flip(image, -1),
    4: lambda image: cv2.flip(image, 0),
    5: cv2.transpose,
    6: lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE),
    7: lambda image: cv2.flip(cv2.transpose(image), -1),
    8: lambda image: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE),
}
"""Transformation that makes an EXIF orientation upright.

See CIPA DC-008, Exif 2.32, tag 0x0112.
"""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Decoded image and its reduction factor.

    The factor is relative to the size that the file states.
    """

    pixels: Image
    """(H, W, 3) RGB, upright."""
    shrunk: int


@dataclass(slots=True)
class _Read:
    """Open file and the data read from it.

    The data are empty for a TIFF. They are released as soon as a decoder does not need them.
    """

    file: BinaryIO
    data: bytes = b""

    def give_up(self) -> bytes:
        data, self.data = self.data, b""
        return data


def decode(data: bytes, name: str) -> Image:
    """Decode a picture to upright RGB, (H, W, 3) uint8.

    Raises:
        NotAnImageError: If it is no complete colour picture.
    """
    return decode_file(io.BytesIO(data), len(data), name).pixels


def decode_file(
    file: BinaryIO,
    size: int,
    name: str,
    um_per_px: float | None = 0.0,
    enough_um_per_px: float = 0.0,
    page: int | None = None,
) -> Decoded:
    """Decode an open picture file or TIFF page.

    The image is made smaller as `shrinkable` says.

    Args:
        file: Open file.
        size: Size of the file, bytes.
        name: Name of the picture, for messages.
        um_per_px: Scale of the picture, micrometres per pixel; None if unknown, 0 to keep the full size.
        enough_um_per_px: Scale that suffices, micrometres per pixel.
        page: Byte position of the directory of a TIFF's page; None for the first.

    Raises:
        NotAnImageError: If it is no complete colour picture.
        MissingExtraError: If it is a HEIC and the extra that reads it is not installed.
        OSError: If the file cannot be read.
    """
    if size > MAX_BYTES:
        raise NotAnImageError(f"{name} has {size / 1e9:.1f} GB, more than any picture. Name picture files.")
    head = file.read(8)
    if not head:
        raise NotAnImageError(f"{name} is empty. Copy or take it again.")
    if head[:4] in tiff.BIG:
        raise NotAnImageError(f"{name} {tiff.RARE.format('BigTIFF')}")
    if tiff.is_tiff(head):
        read, header = _Read(file), read_tiff_header(file, size, page)
    else:
        file.seek(0)
        read = _Read(file, file.read(size))  # without its size the data would be in memory twice
        found = heif.read_header(read.data, name) if is_heif(read.data) else read_header(read.data)
        if found is None:
            raise NotAnImageError(f"{name} is not a picture this program reads. It reads {FORMATS}.")
        header = found
    shrunk = 1 if um_per_px == 0.0 else shrinkable((header.width, header.height), um_per_px, enough_um_per_px)
    _check(header, name, shrunk)
    try:
        with _quiet():
            pixels = _pixels_of(read, name, header, shrunk)
    except DamagedError as error:
        raise NotAnImageError(f"{name} {error}") from error
    except cv2.error as error:
        raise NotAnImageError(
            f"{name} is a damaged {header.format} file: {error.err}. Copy or take it again."
        ) from error
    except MemoryError as error:
        raise NotAnImageError(f"{name} needs more memory than is free. Make it smaller.") from error
    if is_grey(pixels):
        raise NotAnImageError(
            f"{name} is a grey picture; stained cells are told apart by colour. Take it in the camera's colour mode."
        )
    turn = UPRIGHT.get(header.orientation)
    return Decoded(turn(pixels) if turn else pixels, shrunk)


def decode_grey(png: bytes) -> NDArray[np.uint8]:
    """Decode a PNG of this program to grey, (H, W).

    Raises:
        ValueError: If it was damaged since it was written.
    """
    layout = png_format.read_layout(png) if png[: len(png_format.MAGIC)] == png_format.MAGIC else None
    if layout is None or layout.fault or max(layout.width, layout.height) > LARGEST_SIDE:
        raise ValueError("the picture is none of this program's")
    decoded = (
        cv2.imdecode(np.frombuffer(png_format.plain(png, layout), np.uint8), cv2.IMREAD_GRAYSCALE)
        if png_format.is_whole(png, layout)
        else None
    )
    if decoded is None:
        raise ValueError("the picture does not decode")
    return decoded


def shrinkable(size: tuple[int, int], um_per_px: float | None, enough_um_per_px: float) -> int:
    """Return a picture's reduction factor.

    The factor divides both sides, so that positions stay exact.

    Args:
        size: Width and height, pixels.
        um_per_px: Scale of the picture, micrometres per pixel; None if unknown.
        enough_um_per_px: Scale that suffices, micrometres per pixel.
    """
    exact = [n for n in (1, *REDUCED) if size[0] % n == size[1] % n == 0]
    if um_per_px is None:
        small = (n for n in exact if max(size) / n <= LARGEST_SIDE)
        return next(small, exact[-1])
    return max(n for n in exact if n == 1 or um_per_px * n <= enough_um_per_px)


def _check(header: Header, name: str, shrunk: int) -> None:
    """Check that a header allows decoding.

    Raises:
        NotAnImageError: If the picture must not be decoded.
    """
    size = f"{header.width} x {header.height} px"
    pixels = header.width * header.height
    if pixels > MAX_MEGAPIXELS * 1_000_000:
        raise NotAnImageError(
            f"{name} claims {size}, more than {MAX_MEGAPIXELS} megapixels. Crop or shrink it first."
        )
    if header.fault:
        raise NotAnImageError(f"{name} {header.fault}")
    if min(header.width, header.height) < MIN_SIDE:
        raise NotAnImageError(
            f"{name} is {size}; a field has at least {MIN_SIDE} px on each side. Use the full picture."
        )
    made = 0 if header.bytes_per_pixel == 3 and shrunk == 1 else 3 * pixels // shrunk**2
    as_decoded = made if header.jpeg else pixels * header.bytes_per_pixel + made
    if as_decoded > MAX_DECODED:
        raise NotAnImageError(
            f"{name} has {size}, more than is decoded at once from a {header.format} of this kind. "
            "Save it as JPEG, or crop it."
        )


def _pixels_of(read: _Read, name: str, header: Header, shrunk: int) -> Image:
    """Decode to RGB (H, W, 3) as stored, not turned.

    Raises:
        DamagedError: If the data are damaged.
        NotAnImageError: If the picture is damaged or of a rare kind.
        cv2.error: If OpenCV fails.
    """
    if header.jpeg and header.jpeg.components <= 3:
        return jpeg.decode(read.data, header.jpeg, shrunk)
    if header.tiff:
        stored: NDArray[Any] | None = tiff.decode(read.file, header.tiff)
    elif header.format == "HEIC":
        stored = heif.decode(read.data, name)
    else:
        stored = _by_opencv(read, header)
    if stored is None:
        raise NotAnImageError(
            f"{name} is a damaged {header.format} file, or one of a rare kind. Copy or take it again, as JPEG or PNG."
        )
    if not stored.size or stored.shape[:2] != (header.height, header.width):
        raise NotAnImageError(
            f"{name} is a damaged {header.format} file: it has two sizes. Copy or take it again."
        )
    if sign := _sign(stored, header):
        raise NotAnImageError(f"{name} is damaged: {sign}. Copy or take it again.")
    return to_rgb(stored, shrunk, premultiplied=header.premultiplied)


def _by_opencv(read: _Read, header: Header) -> NDArray[Any] | None:
    """Decode a checked file with OpenCV; None if it cannot.

    Raises:
        DamagedError: If the data are damaged.
    """
    data = read.give_up()
    if header.jpeg:
        jpeg.check_inks(data, header.jpeg)
    if header.webp and not webp.is_whole(data):
        raise DamagedError(SENSELESS)
    if header.png:
        if not png_format.is_whole(data, header.png):
            raise DamagedError(SENSELESS)
        as_stored = png_format.is_plain(data, header.png)
        data = data if as_stored else png_format.plain(data, header.png)
    else:
        as_stored = header.format != "WebP"
    # Opacity comes only with UNCHANGED.
    plain = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    flags = cv2.IMREAD_UNCHANGED if header.alpha else plain
    with _path_to(read.file, b"" if as_stored and _is_regular(read.file) else data) as path:
        if path is None:
            return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        del data
        return cv2.imread(path, None, flags)


@contextmanager
def _path_to(file: BinaryIO, data: bytes) -> Iterator[str | None]:
    """Yield a path from which a decoder can read `data`.

    Where `data` is empty, the path is that of the open file. Yields None where there can be no such path.

    A decoder copies the result of decoding bytes once more: 48 megapixels then take 430 MB, not 145.
    """
    if not INTO_MEMORY:
        yield None
    elif not data:
        yield f"/dev/fd/{file.fileno()}"
    else:
        number = os.memfd_create("picture")
        try:
            with os.fdopen(number, "wb", closefd=False) as memory:
                memory.write(data)
            del data
            os.lseek(number, 0, os.SEEK_SET)
            yield f"/dev/fd/{number}"
        finally:
            os.close(number)


def _is_regular(file: BinaryIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except OSError:  # bytes in memory
        return False


def _sign(stored: NDArray[Any], header: Header) -> str:
    """Describe damage in a format without checksums; "" for none."""
    if header.format == "BMP" or (header.tiff and header.tiff.compression == unpacked.NONE):
        return damage.in_rows(stored)
    if header.format in ("WebP", "HEIC"):
        return damage.in_coded(stored)
    return ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence OpenCV's messages on stderr.

    Here the error says in one line what is wrong with a file.
    """
    log = getattr(cv2.utils, "logging", cv2)  # its place in OpenCV 5, and in OpenCV 4
    level = log.getLogLevel()
    log.setLogLevel(0)
    try:
        with np.errstate(all="ignore"):  # a damaged file may hold floats that are no numbers
            yield
    finally:
        log.setLogLevel(level)
