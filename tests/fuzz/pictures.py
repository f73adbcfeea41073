"""Whole picture files of every format and variant, made from the sample that ships."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from edgeleuk.cli.analyze import demo_picture

SIDES = (320, 240)
LARGE = (1600, 1200)
"""Pixels; a few inputs are as large as a camera's pictures."""
TILE = 64
Maker = Callable[[], bytes]


@cache
def smear(width: int = SIDES[0], height: int = SIDES[1]) -> NDArray[np.uint8]:
    """Part of the sample, (H, W, 3) RGB."""
    whole = cv2.imread(str(demo_picture()))
    return np.ascontiguousarray(whole[100 : 100 + height, 100 : 100 + width, ::-1])


def _pillow(form: str, image: NDArray[np.uint8] | None = None, **options: object) -> bytes:
    written = io.BytesIO()
    Pillow.fromarray(smear() if image is None else image).save(written, form, **options)
    return written.getvalue()


def _opencv(suffix: str, image: NDArray[np.generic], *options: int) -> bytes:
    return cv2.imencode(suffix, image, options)[1].tobytes()


def _exif() -> bytes:
    """A camera's block: orientation, texts, a directory of its own, a place."""
    exif = Pillow.Exif()
    exif[274], exif[271], exif[306] = 6, "Maker", "2026:01:01 10:10:10"
    exif.get_ifd(0x8769)[36867] = "2026:01:01 10:10:10"
    exif.get_ifd(0x8825)[1] = "N"
    return exif.tobytes()


def _opaque() -> NDArray[np.uint8]:
    return np.dstack([smear(), np.full(smear().shape[:2], 255, np.uint8)])


def _cmyk() -> bytes:
    written = io.BytesIO()
    Pillow.fromarray(smear()).convert("CMYK").save(written, "JPEG")
    return written.getvalue()


def _palette(form: str) -> bytes:
    written = io.BytesIO()
    Pillow.fromarray(smear()).quantize(64).save(written, form)
    return written.getvalue()


def _pages(compression: str | None) -> bytes:
    written = io.BytesIO()
    first, *rest = (Pillow.fromarray(np.roll(smear(), 40 * n, 1)) for n in range(3))
    first.save(written, "TIFF", save_all=True, append_images=rest, compression=compression)
    return written.getvalue()


def _tiled(order: str, deflated: bool) -> bytes:
    """A TIFF in tiles, which neither Pillow nor OpenCV writes."""
    image = smear()
    height, width = image.shape[:2]
    rows, columns = -(-height // TILE), -(-width // TILE)
    padded = np.zeros((rows * TILE, columns * TILE, 3), np.uint8)
    padded[:height, :width] = image
    cut = (
        padded[TILE * y : TILE * (y + 1), TILE * x : TILE * (x + 1)]
        for y in range(rows)
        for x in range(columns)
    )
    tiles = [zlib.compress(tile.tobytes()) if deflated else tile.tobytes() for tile in cut]
    sizes = [len(tile) for tile in tiles]
    offsets = (8 + np.cumsum([0, *sizes[:-1]])).tolist()
    entries: dict[int, tuple[str, list[int]]] = {
        256: ("I", [width]), 257: ("I", [height]), 258: ("H", [8, 8, 8]), 259: ("H", [8 if deflated else 1]),
        262: ("H", [2]), 277: ("H", [3]), 322: ("I", [TILE]), 323: ("I", [TILE]), 324: ("I", offsets), 325: ("I", sizes),
    }  # fmt: skip
    return tiff(order, b"".join(tiles), entries)


def tiff(order: str, pixels: bytes, entries: Mapping[int, tuple[str, list[int]]]) -> bytes:
    """A TIFF of one directory, which stands after the pixels; `order` as `struct` spells it."""
    directory, apart = b"", b""
    start = 8 + len(pixels)
    lists = start + 2 + 12 * len(entries) + 4
    for tag, (form, values) in sorted(entries.items()):
        written = struct.pack(f"{order}{len(values)}{form}", *values)
        place = written.ljust(4, b"\0")
        if len(written) > 4:
            place = struct.pack(order + "I", lists + len(apart))
            apart += written
        directory += struct.pack(order + "HHI", tag, {"H": 3, "I": 4}[form], len(values)) + place
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, start)
    return head + pixels + struct.pack(order + "H", len(entries)) + directory + bytes(4) + apart


def _heic(**options: object) -> bytes:
    import pillow_heif

    written = io.BytesIO()
    pillow_heif.from_pillow(Pillow.fromarray(smear(256, 192))).save(written, **options)
    return written.getvalue()


def _heic_of_two() -> bytes:
    import pillow_heif

    written = io.BytesIO()
    file = pillow_heif.from_pillow(Pillow.fromarray(smear(128, 128)))
    file.add_from_pillow(Pillow.fromarray(smear(96, 64)))
    file.save(written)
    return written.getvalue()


def _bgr16() -> NDArray[np.uint16]:
    return smear()[..., ::-1].astype(np.uint16) * 257


JPEG: Mapping[str, Maker] = {
    "baseline": lambda: _pillow("JPEG", quality=88),
    "progressive": lambda: _pillow("JPEG", progressive=True, quality=85),
    "exif": lambda: _pillow("JPEG", exif=_exif()),
    "restarts": lambda: _opencv(".jpg", smear()[..., ::-1], cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
    "fine": lambda: _pillow("JPEG", quality=95, subsampling=0),
    "cmyk": _cmyk,
    "large": lambda: _pillow("JPEG", smear(*LARGE)),
}
PNG: Mapping[str, Maker] = {
    "8": lambda: _pillow("PNG"),
    "opaque": lambda: _pillow("PNG", _opaque()),
    "16": lambda: _opencv(".png", _bgr16()),
    "16-opaque": lambda: _opencv(
        ".png", np.dstack([_bgr16(), np.full(_bgr16().shape[:2], 65535, np.uint16)])
    ),
    "palette": lambda: _palette("PNG"),
    "exif": lambda: _pillow("PNG", exif=_exif()),
    "large": lambda: _pillow("PNG", smear(*LARGE), compress_level=1),
}
TIFF: Mapping[str, Maker] = {
    "none": lambda: _pillow("TIFF"),
    "lzw": lambda: _pillow("TIFF", compression="tiff_lzw"),
    "deflate": lambda: _pillow("TIFF", compression="tiff_adobe_deflate"),
    "packbits": lambda: _pillow("TIFF", compression="packbits"),
    "jpeg": lambda: _pillow("TIFF", compression="jpeg"),
    "strips": lambda: _opencv(".tif", smear()[..., ::-1], cv2.IMWRITE_TIFF_ROWSPERSTRIP, 16),
    "16": lambda: _opencv(".tif", _bgr16()),
    "float": lambda: _opencv(".tif", (smear()[..., ::-1] / 255).astype(np.float32)),
    "pages": lambda: _pages("tiff_lzw"),
    "pages-none": lambda: _pages(None),
    "tiled": lambda: _tiled("<", False),
    "tiled-deflate": lambda: _tiled(">", True),
    "opaque": lambda: _pillow("TIFF", _opaque()),
    "big": lambda: _pillow("TIFF", big_tiff=True),
    "large": lambda: _pillow("TIFF", smear(*LARGE)),
}
BMP: Mapping[str, Maker] = {
    "24": lambda: _pillow("BMP"),
    "32": lambda: _opencv(".bmp", _opaque()),
    "palette": lambda: _palette("BMP"),
}
WEBP: Mapping[str, Maker] = {
    "lossy": lambda: _pillow("WEBP", quality=80),
    "lossless": lambda: _pillow("WEBP", lossless=True),
    "opaque": lambda: _pillow("WEBP", _opaque()),
    "exif": lambda: _pillow("WEBP", exif=_exif()),
    "moving": lambda: _pillow(
        "WEBP", save_all=True, append_images=[Pillow.fromarray(np.roll(smear(), 9, 1))]
    ),
}
HEIC: Mapping[str, Maker] = {
    "one": lambda: _heic(quality=80),
    "exif": lambda: _heic(quality=60, exif=_exif()),
    "two": _heic_of_two,
}
