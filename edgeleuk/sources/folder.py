"""Pictures from files and folders: what is analysed is what decodes to a whole, upright colour picture."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import InputError, NotAnImageError
from edgeleuk.sources._headers import Header, is_heif, read_header
from edgeleuk.types import Frame, Image

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})
FORMATS = "JPEG, PNG, TIFF, BMP and WebP"
MAX_MEGAPIXELS = 120
"""A 108-megapixel phone picture passes; a decompression bomb does not."""
MIN_SIDE = 64
"""Less than a red cell and its surroundings at any usable scale."""
GREY_DIFFERENCE = 4
"""Largest difference between channels of a picture without colour; JPEG adds a few levels."""


def expand(paths: Sequence[str], recursive: bool = False) -> Iterator[Path | InputError]:
    """The picture files that paths, folders and globs name, each once, in order.

    What cannot be found or listed comes as the error it is, in its place, so that the rest goes on.
    """
    seen: set[Path] = set()
    for path in paths:
        for found in _expand_one(path, recursive):
            if isinstance(found, Path):
                key = found.resolve()
                if key in seen:
                    continue
                seen.add(key)
            yield found


def _expand_one(text: str, recursive: bool) -> Iterator[Path | InputError]:
    path = Path(text)
    if path.is_dir():
        yield from _listing(path, recursive)
    elif os.path.lexists(path):
        yield path
    elif glob.has_magic(text):
        matches = sorted(glob.glob(text, recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
        if not matches:
            yield InputError(f"no file matches {text}. Check the pattern, or name a folder.")
        for match in matches:
            if not Path(match).is_dir():
                yield Path(match)
    else:
        yield InputError(f"{text} does not exist. Check the path; a pattern needs quotes.")


def _listing(folder: Path, recursive: bool) -> Iterator[Path | InputError]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        yield InputError(f"cannot list {folder}: {error.strerror}. Check its permissions.")
        return
    pictures = [entry for entry in entries if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".")]
    subfolders = [entry for entry in entries if entry.is_dir() and not entry.is_symlink()]
    if not pictures and not (recursive and subfolders):
        hint = " Its subfolders are read with -r." if subfolders else ""
        yield InputError(f"{folder} holds no pictures ({FORMATS}).{hint}")
    yield from (picture for picture in pictures if not picture.is_dir())
    if recursive:
        for subfolder in subfolders:
            if any(entry for entry in subfolder.rglob("*") if entry.suffix.lower() in SUFFIXES) or not os.access(
                subfolder, os.R_OK | os.X_OK
            ):
                yield from _listing(subfolder, recursive)


def read_picture(path: Path) -> Frame:
    """Decode a file to an upright RGB frame.

    Raises InputError where it cannot be read and NotAnImageError where it is no whole colour picture.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Check the path.") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}. Check its permissions.") from error
    return Frame(decode(data, str(path)), str(path))


def decode(data: bytes, name: str) -> Image:
    """Bytes of a picture file to an upright RGB picture (H, W, 3) uint8."""
    header = _checked_header(data, name)
    # EXIF orientation is applied by the decoder, here and nowhere else.
    flags = cv2.IMREAD_UNCHANGED if header.alpha else cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise NotAnImageError(f"{name} is a damaged {header.format} file: {error.err}. Copy or take it again.") from error
    if decoded is None:
        raise NotAnImageError(f"{name} is a damaged {header.format} file. Copy or take it again.")
    image = _to_rgb(_to_8_bit(decoded))
    if _is_grey(image):
        raise NotAnImageError(
            f"{name} is a grey picture; stained cells are told apart by colour. Take it in the camera's colour mode."
        )
    return image


def _checked_header(data: bytes, name: str) -> Header:
    if not data:
        raise NotAnImageError(f"{name} is empty. Copy or take it again.")
    if is_heif(data):
        raise NotAnImageError(f"{name} is a HEIC picture, which is not read yet. Save it as JPEG and try again.")
    header = read_header(data)
    if header is None:
        raise NotAnImageError(f"{name} is not a picture this program reads. It reads {FORMATS}.")
    size = f"{header.width} x {header.height} px"
    if header.width * header.height > MAX_MEGAPIXELS * 1_000_000:
        raise NotAnImageError(f"{name} claims {size}, more than {MAX_MEGAPIXELS} megapixels. Crop or shrink it first.")
    if min(header.width, header.height) < MIN_SIDE:
        raise NotAnImageError(f"{name} is {size}; a field has at least {MIN_SIDE} px on each side. Use the full picture.")
    if not header.complete:
        raise NotAnImageError(f"{name} is cut short: its end is missing. Copy or take it again.")
    return header


def _to_8_bit(image: NDArray[Any]) -> NDArray[np.uint8]:
    """16-bit files of 10-, 12- and 14-bit cameras use only the low bits; the brightest pixel tells which."""
    if image.dtype == np.uint8:
        return image
    if np.issubdtype(image.dtype, np.floating):
        scaled = np.nan_to_num(image) * (255.0 if np.nanmax(image) <= 1.0 else 1.0)
        return np.clip(scaled, 0, 255).astype(np.uint8)
    bits = max(8, int(image.max()).bit_length())
    return (image >> (bits - 8)).astype(np.uint8)


def _to_rgb(image: NDArray[np.uint8]) -> Image:
    """Grey, BGR or BGRA to RGB; what is transparent becomes white, as on paper."""
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    if image.shape[2] == 2:
        return cv2.cvtColor(image[..., 0], cv2.COLOR_GRAY2RGB)
    if image.shape[2] == 4:
        alpha = image[..., 3:].astype(np.uint16)
        image = ((image[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _is_grey(image: Image) -> bool:
    sample = image[:: max(1, image.shape[0] // 256), :: max(1, image.shape[1] // 256)].astype(np.int16)
    return int((sample.max(axis=2) - sample.min(axis=2)).max()) <= GREY_DIFFERENCE
