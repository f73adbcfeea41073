"""Pictures from files and folders: what is analysed is what decodes to a whole, upright colour picture."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import InputError, NotAnImageError
from edgeleuk.optics import resize
from edgeleuk.sources import _heif
from edgeleuk.sources._headers import Header, is_heif, read_header
from edgeleuk.types import Frame, Image

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".heic", ".heif", ".hif"})
FORMATS = "JPEG, PNG, TIFF, BMP, WebP and HEIC"
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
GREY_DIFFERENCE = 4
"""Largest difference between channels of a picture without colour; JPEG adds a few levels."""
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


def expand(paths: Sequence[str], recursive: bool = False) -> Iterator[Path | InputError]:
    """The picture files that paths, folders and globs name, each once, in order.

    What cannot be found or listed comes as the error it is, in its place, so that the rest goes on.
    """
    seen: set[str] = set()
    for path in paths:
        for found in _expand_one(path, recursive):
            if isinstance(found, Path):
                key = os.path.realpath(found)  # unlike Path.resolve it bears with links in a circle
                if key in seen:
                    continue
                seen.add(key)
            yield found


def _expand_one(text: str, recursive: bool) -> Iterator[Path | InputError]:
    if os.path.isdir(text):  # noqa: PTH112  # Path("") is the working directory; "" is a variable left empty
        yield from _folder(Path(text), recursive)
    elif os.path.lexists(text):
        yield Path(text)
    elif glob.has_magic(text):
        matches = [Path(match) for match in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207  # may be absolute
        files = [match for match in matches if not match.is_dir()]
        if not files:
            yield InputError(f"no file matches {text}. Check the pattern, or name a folder.")
        yield from files
    else:
        yield InputError(f"{text or 'an empty path'} does not exist. Check the path; a pattern needs quotes.")


def _folder(folder: Path, recursive: bool) -> Iterator[Path | InputError]:
    found = list(_walk(folder, recursive))
    if not found:
        hint = "" if recursive else " Its subfolders are read with -r."
        yield InputError(f"{folder} holds no pictures ({FORMATS}).{hint}")
    yield from found


def _walk(folder: Path, recursive: bool) -> Iterator[Path | InputError]:
    """The pictures of a folder, then those of its subfolders, in order of name. Hidden ones and links to folders
    are left out."""
    try:
        with os.scandir(folder) as listing:
            entries = sorted((e for e in listing if not e.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        yield InputError(f"cannot list {folder}: {error.strerror}. Check its permissions.")
        return
    for entry in entries:
        if Path(entry.name).suffix.lower() in SUFFIXES and not entry.is_dir():
            yield folder / entry.name
    for entry in entries:
        if recursive and entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, recursive)


def read_picture(path: Path, um_per_px: float | None = None, enough_um_per_px: float = 0.0) -> Frame:
    """Decode a file to an upright RGB frame.

    A JPEG that shows more than `enough_um_per_px` asks for is decoded smaller, in a fraction of the time and the
    memory; a HEIC is made smaller at once. Where its own scale `um_per_px` is not known, one of more than
    LARGEST_SIDE pixels is.

    Raises InputError where it cannot be read, NotAnImageError where it is no whole colour picture, and
    MissingExtraError for a HEIC without the extra that reads it.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise NotAnImageError(
                f"{path} has {size / 1e9:.1f} GB, more than any picture. Name picture files."
            )
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Check the path.") from error
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}. Check the path and its permissions."
        ) from error
    header = _checked_header(data, str(path))
    shrunk = _shrinkable(header, um_per_px, enough_um_per_px)
    return Frame(_decoded(data, str(path), header, shrunk), str(path), shrunk)


def decode(data: bytes, name: str) -> Image:
    """Bytes of a picture file to an upright RGB picture (H, W, 3) uint8. Raises NotAnImageError."""
    return _decoded(data, name, _checked_header(data, name))


def _shrinkable(header: Header, um_per_px: float | None, enough_um_per_px: float) -> int:
    """How many times smaller a picture is decoded: a divisor of its sides, so that places in it stay exact."""
    if header.format not in ("JPEG", "HEIC"):
        return 1
    exact = [n for n in (1, *REDUCED) if header.width % n == header.height % n == 0]
    if um_per_px is None:
        small = (n for n in exact if max(header.width, header.height) / n <= LARGEST_SIDE)
        return next(small, exact[-1])
    return max(n for n in exact if n == 1 or um_per_px * n <= enough_um_per_px)


def _decoded(data: bytes, name: str, header: Header, shrunk: int = 1) -> Image:
    if header.format == "HEIC":
        return _coloured(_heic(data, name, shrunk), name, header)
    # A TIFF comes upright and at any depth only with UNCHANGED, which also keeps opacity in other formats.
    if header.alpha or header.format == "TIFF":
        flags = cv2.IMREAD_UNCHANGED
    elif shrunk > 1:
        flags = REDUCED[shrunk] | cv2.IMREAD_IGNORE_ORIENTATION
    else:
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        with _quiet():
            decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise NotAnImageError(
            f"{name} is a damaged {header.format} file: {error.err}. Copy or take it again."
        ) from error
    if decoded is None:
        raise NotAnImageError(
            f"{name} is a damaged {header.format} file, or one of a rare kind. Copy or take it again, as JPEG or PNG."
        )
    image = _coloured(decoded, name, header)
    return UPRIGHT[header.orientation](image) if header.orientation in UPRIGHT else image


def _heic(data: bytes, name: str, shrunk: int) -> NDArray[np.uint8]:
    """A HEIC's pixels so many times smaller; the whole of them is given up again at once."""
    pixels = _heif.decode(data, name)
    return resize(pixels, pixels.shape[1] // shrunk, pixels.shape[0] // shrunk) if shrunk > 1 else pixels


def _coloured(decoded: NDArray[Any], name: str, header: Header) -> Image:
    """RGB of what a decoder gave. Raises NotAnImageError where it has no colour."""
    image = _to_rgb(decoded, header)
    if _is_grey(image):
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


def _to_rgb(decoded: NDArray[Any], header: Header) -> Image:
    """Grey, BGR or BGRA of any depth to RGB; what is transparent becomes white, as on paper."""
    if decoded.ndim == 2 or decoded.shape[2] < 3:
        grey = _to_8_bit(decoded if decoded.ndim == 2 else decoded[..., 0])
        return np.repeat(grey[..., None], 3, axis=2)
    image: Image = cv2.cvtColor(_to_8_bit(decoded[..., :3]), cv2.COLOR_BGR2RGB)
    if decoded.shape[2] == 4:
        depth = 8 * decoded.dtype.itemsize if np.issubdtype(decoded.dtype, np.integer) else None
        opacity = _to_8_bit(decoded[..., 3:], depth).astype(np.int32)
        colour = image * np.int32(255) if header.premultiplied else image * opacity
        image = np.minimum((colour + 255 * (255 - opacity) + 127) // 255, 255).astype(np.uint8)
    return image


def _to_8_bit(image: NDArray[Any], depth: int | None = None) -> NDArray[np.uint8]:
    """Any numbers to 8 bits. With `depth` None the brightest pixel tells how many bits are in use.

    16-bit files of 10-, 12- and 14-bit cameras use only the low bits; floats run to 1, or as integers do.
    """
    if image.dtype == np.uint8:
        return image
    if np.issubdtype(image.dtype, np.floating):
        values = np.nan_to_num(image, nan=0.0, posinf=0.0, neginf=0.0).clip(0, 2**31)
        integers = (values * (255 if values.max() <= 1 else 1)).astype(np.int64)
    else:
        integers = np.maximum(image, 0)
    bits = max(8, depth or int(integers.max()).bit_length())
    shifted: NDArray[np.uint8] = (integers >> (bits - 8)).astype(np.uint8)
    return shifted


def _is_grey(image: Image) -> bool:
    sample = image[:: max(1, image.shape[0] // 256), :: max(1, image.shape[1] // 256)].astype(np.int16)
    return int((sample.max(axis=2) - sample.min(axis=2)).max()) <= GREY_DIFFERENCE
