"""Unusual but whole pictures are read as they look, or the true reason is told; what a file may ask for is bounded."""

from __future__ import annotations

import io
import resource
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from test_folder import HEIGHT, WIDTH, deep, encoded, picture, png_chunk, refusal, stored, textured, with_exif

from edgeleuk.errors import NotAnImageError
from edgeleuk.sources.pictures import jpeg
from edgeleuk.sources.pictures.reading import decode, read_picture

# Depth and opacity


@pytest.mark.parametrize("beyond", [1.004, 1.9, 50.0])
@pytest.mark.parametrize("pixels", [1, 0])
def test_floats_that_pass_1_a_little_are_no_dark_picture(beyond: float, pixels: int) -> None:
    """A sharpened edge, or a hot pixel, is white; the rest keeps its brightness."""
    image = (picture() / 255).astype(np.float32)
    image[0, :pixels] = beyond
    read = decode(deep(image), "field")
    np.testing.assert_allclose(read[1:].astype(int), picture()[1:], atol=1)


def test_floats_of_which_many_pass_1_a_little_are_no_dark_picture() -> None:
    """A background that was stretched to 1.2 is white."""
    image = (picture() / 200).astype(np.float32)
    assert decode(deep(image), "field")[70, 100].tolist() == [255, 255, 255]


@pytest.mark.parametrize(("bits", "hot"), [(12, 65535), (10, 20_000), (14, 40_000), (8, 65535)])
def test_a_hot_pixel_darkens_nothing(bits: int, hot: int) -> None:
    """A camera's range is that of nearly all its pixels."""
    image = np.tile(picture(), (2, 2, 1)).astype(np.uint16) << (bits - 8)
    image[5, 5] = hot
    expected = np.tile(picture(), (2, 2, 1))
    expected[5, 5] = 255
    np.testing.assert_array_equal(decode(deep(image), "field"), expected)


@pytest.mark.parametrize("kind", ["PNG", "PNG, 16 bits", "WebP", "TIFF", "TIFF, 16 bits"])
def test_an_empty_channel_of_opacity_is_none(kind: str) -> None:
    """Some programs write a fourth channel and leave it at zero."""
    clear = np.dstack([picture(), np.zeros((HEIGHT, WIDTH), np.uint8)])
    data = {
        "PNG": lambda: encoded(clear, "PNG"),
        "PNG, 16 bits": lambda: deep(clear.astype(np.uint16) * 257, ".png"),
        "WebP": lambda: encoded(clear, "WEBP", lossless=True, exact=True),
        "TIFF": lambda: encoded(clear, "TIFF"),
        "TIFF, 16 bits": lambda: deep(clear.astype(np.uint16) * 257),
    }[kind]()
    np.testing.assert_array_equal(decode(data, "field"), picture())


# TIFF


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "jpeg"])
def test_a_tiff_is_turned_upright_once(orientation: int, compression: str | None) -> None:
    """By all eight orientations, of 8 bits and packed in any way."""
    data = encoded(
        stored(picture(), orientation), "TIFF", tiffinfo={274: orientation}, compression=compression
    )
    read = decode(data, "field").astype(int)
    assert read.shape == picture().shape
    np.testing.assert_allclose(read[4:16, 4:30], picture()[4:16, 4:30], atol=6)
    np.testing.assert_allclose(read[40:, 50:], picture()[40:, 50:], atol=6)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("tile", [None, (32, 48)])
@pytest.mark.parametrize("compression", [1, 8])
def test_tiles_and_planes_are_read(
    dtype: str, planar: bool, tile: tuple[int, int] | None, compression: int
) -> None:
    """As slide scanners and microscopes' programs write them: every channel for itself, and in tiles."""
    image = textured().astype(dtype) * {"u1": 1, "u2": 257, "f4": 1}[dtype]
    data = tiff_of(image.astype(dtype), tile=tile, planar=planar, compression=compression)
    np.testing.assert_array_equal(decode(data, "field"), textured())


def tiff_of(
    image: NDArray[np.generic], *, tile: tuple[int, int] | None = None, planar: bool = False, compression: int = 1,
    entries: dict[int, tuple[int, ...]] | None = None,
) -> bytes:  # fmt: skip
    """A TIFF (H, W, 3) made here: in one strip, or in tiles (height, width), with planes apart or together."""
    height, width, channels = image.shape
    down, across = tile or (height, width)
    padded = np.pad(image, ((0, -height % down), (0, -width % across), (0, 0)))
    planes = [padded[..., i : i + 1] for i in range(channels)] if planar else [padded]
    chunks = [
        np.ascontiguousarray(plane[top : top + down, left : left + across]).tobytes()
        for plane in planes
        for top in range(0, height, down)
        for left in range(0, width, across)
    ]
    chunks = [zlib.compress(each) for each in chunks] if compression == 8 else chunks
    bits, form = 8 * image.dtype.itemsize, 3 if image.dtype.kind == "f" else 1
    fields: dict[int, tuple[int, ...]] = {
        256: (width,), 257: (height,), 258: (bits,) * channels, 259: (compression,), 262: (2,), 277: (channels,),
        284: (2 if planar else 1,), 339: (form,) * channels,
    }  # fmt: skip
    places = [8]
    for each in chunks:
        places.append(places[-1] + len(each))
    sizes = tuple(map(len, chunks))
    if tile:
        fields |= {322: (across,), 323: (down,), 324: tuple(places[:-1]), 325: sizes}
    else:
        fields |= {273: tuple(places[:-1]), 278: (height,), 279: sizes}
    fields |= entries or {}
    return written(fields, b"".join(chunks))


def written(fields: dict[int, tuple[int, ...]], body: bytes, doubled: int = 1) -> bytes:
    """A TIFF with these fields of 32-bit numbers, each so many times, after its pixels."""
    start = 8 + len(body)
    lists = start + 2 + 12 * len(fields) * doubled + 4
    apart, entries = b"", b""
    for tag, values in sorted(fields.items()):
        data = struct.pack(f"<{len(values)}I", *values)
        place = data if len(data) == 4 else struct.pack("<I", lists + len(apart))
        apart += data if len(data) > 4 else b""
        entries += (struct.pack("<HHI", tag, 4, len(values)) + place) * doubled
    head = b"II*\0" + struct.pack("<I", start)
    return head + body + struct.pack("<H", len(fields) * doubled) + entries + bytes(4) + apart


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ({262: (8,)}, "has CIE-LAB colours. Save it as RGB"),
        ({262: (32803,)}, "has a sensor's raw data"),
        ({262: (34892,)}, "has a sensor's raw data"),
        ({259: (6,)}, "rare kind (JPEG of an old kind)"),
        ({277: (9,)}, "rare kind (9 channels of 8 bits)"),
        ({278: (0,)}, "its parts have no size"),
        ({278: (4,)}, "it has 1 parts of 20"),
        ({279: (2**31,)}, "is cut short"),
        ({259: (50000,)}, "rare kind (its compression)"),
        ({259: (34933,)}, "rare kind (its compression)"),
    ],
)  # fmt: skip
def test_what_a_tiff_is_instead_is_told(entries: dict[int, tuple[int, ...]], why: str) -> None:
    """Each refusal has its own reason."""
    assert why in refusal(tiff_of(textured(), entries=entries))


def test_a_bigtiff_is_named() -> None:
    """Its places have 64 bits; no camera writes it."""
    assert "rare kind (BigTIFF)" in refusal(b"II+\0\x08\0\0\0\x10" + bytes(200))


# Bounded work


def endless_exif() -> bytes:
    """A JPEG whose EXIF directory has 65,535 entries, and leads to itself."""
    block = (
        b"II*\0"
        + struct.pack("<IH", 8, 65535)
        + struct.pack("<HHII", 274, 3, 1, 6) * 2000
        + struct.pack("<I", 8)
    )
    return with_exif(encoded(textured(), "JPEG"), block)


def hidden_size() -> bytes:
    """A JPEG with FF 00 before a frame header of 19,000 x 19,000 px, inside of what looks like a note."""
    data = encoded(textured(), "JPEG")
    frame = bytearray(data[data.find(b"\xff\xc0") :][:19])
    frame[5:9] = struct.pack(">HH", 19_000, 19_000)
    return data[:2] + b"\xff\x00\x00\x15" + bytes(frame) + data[2:]


def many_scans() -> bytes:
    """A progressive JPEG of 40 megapixels with 200 scans, all but the first few empty."""
    data = encoded(np.tile(textured(), (4, 4, 1)), "JPEG", progressive=True)
    frame = data.find(b"\xff\xc2")
    data = data[: frame + 5] + struct.pack(">HH", 6300, 6300) + data[frame + 9 :]
    last = data.rfind(b"\xff\xda")
    return data[:last] + data[last:-2] * 200 + b"\xff\xd9"


def deep_png(width: int, height: int) -> bytes:
    """A PNG of 16 bits with opacity, and next to no data."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + png_chunk(b"IDAT", zlib.compress(bytes(9999)))
        + png_chunk(b"IEND", b"")
    )


def signed(width: int, height: int) -> bytes:
    return struct.pack(
        "<2sIHHIIiiHHIIiiII", b"BM", 0, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0
    ) + bytes(999)


def prime_rows() -> bytes:
    """Two strips of 2,147,483,629 rows: a prime number."""
    rows = 2147483629
    fields = {
        256: (8,),
        257: (2 * rows,),
        258: (1,),
        259: (1,),
        262: (2,),
        273: (8, 8),
        277: (1,),
        278: (rows,),
        279: (rows, rows),
    }
    return written(fields, bytes(64))  # fmt: skip


def encoded_webp(width: int, height: int) -> bytes:
    """A picture of one colour, in some 40 bytes."""
    header = struct.pack("<I", (width - 1) | (height - 1) << 14)
    body = b"VP8L" + struct.pack("<I", 14) + b"/" + header + bytes(9)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


HEAVY = {
    "prime rows": prime_rows,
    "a prime number of rows that fits": lambda: written(
        {256: (65,), 257: (1_600_033,), 258: (8,), 259: (1,), 262: (2,), 273: (8, 8), 277: (3,), 278: (800_017,), 279: (9, 9)}, bytes(64)
    ),
    "doubled entries": lambda: written({256: (WIDTH,), 257: (HEIGHT,), 273: (8,) * 9, 279: (9,) * 9}, bytes(400_000), 120),
    "half a million strips": lambda: written({256: (4000,), 257: (20_000,), 273: (8,) * 600_000, 279: (1,) * 600_000}, bytes(64)),
    "a directory of itself": endless_exif,
    "a hidden frame header": hidden_size,
    "many scans": many_scans,
    "16 bits with opacity, 119 megapixels": lambda: deep_png(17_000, 7_000),
    "16 bits with opacity, 40 megapixels": lambda: deep_png(8_000, 5_000),
    "a width below zero": lambda: signed(-400, 400),
    "the smallest height": lambda: signed(400, -(2**31)),
    "a WebP of 119 megapixels": lambda: encoded_webp(12_000, 9_900),
    "tiles of 16 x 16": lambda: written(
        {256: (9984,), 257: (9984,), 258: (8,) * 3, 259: (1,), 262: (2,), 277: (3,), 322: (16,), 323: (16,), 324: (8,) * 389_376, 325: (768,) * 389_376},
        bytes(800),
    ),
    "TIFF of 16 bits, 119 megapixels": lambda: tiff_of(textured().astype("u2"), entries={256: (17_000,), 257: (7_000,), 278: (7_000,)}),
}  # fmt: skip


@pytest.mark.parametrize("kind", HEAVY)
def test_what_a_small_file_asks_for_is_bounded(kind: str, tmp_path: Path) -> None:
    """It is refused, or read as what it is, within seconds and little memory."""
    path = tmp_path / "x.jpg"
    path.write_bytes(HEAVY[kind]())
    code = (
        "import resource, sys, time; from pathlib import Path; from edgeleuk.sources.pictures.reading import read_picture\n"
        "from edgeleuk.errors import NotAnImageError\n"
        "before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()\n"
        "try:\n"
        "    read_picture(Path(sys.argv[1]))\n"
        "except NotAnImageError:\n"
        "    pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, time.process_time() - begun)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True, timeout=60
    )
    grown, seconds = map(float, done.stdout.split())
    assert done.stderr == ""
    assert grown < 300_000  # kB
    assert seconds < 5


def test_a_sparse_gigabyte_is_refused_by_its_size(tmp_path: Path) -> None:
    """Whatever it begins with: nothing of it is read."""
    for name, head in (
        ("x.jpg", b"\xff\xd8\xff\xe0"),
        ("x.png", b"\x89PNG\r\n\x1a\n"),
        ("x.bmp", signed(400, 400)),
        ("x.tif", b"II*\0\x08\0\0\0"),
    ):
        path = tmp_path / name
        path.write_bytes(head)
        with path.open("r+b") as file:
            file.truncate(1_000_000_000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun = time.process_time()
        with pytest.raises(NotAnImageError):
            read_picture(path)
        assert time.process_time() - begun < 2
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_the_size_is_the_one_that_the_decoder_finds() -> None:
    """FF 00 is no marker: the frame header behind it is not taken for another one."""
    data = encoded(textured(), "JPEG")
    layout = jpeg.read_layout(data[:2] + b"\xff\x00" + data[2:])
    assert layout is not None
    assert (layout.width, layout.height, layout.fault) == (WIDTH, HEIGHT, None)


def test_an_animation_is_named(tmp_path: Path) -> None:
    """Several pictures in one WebP are no field."""
    frames = [Pillow.fromarray(np.roll(textured(), 9 * n, 1)) for n in range(3)]
    path = tmp_path / "x.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(NotAnImageError, match="is an animation"):
        read_picture(path)


def test_notes_and_profiles_change_no_pixel() -> None:
    """A PNG is decoded without them."""
    buffer = io.BytesIO()
    Pillow.fromarray(textured()).save(buffer, "PNG", dpi=(300, 300), icc_profile=b"x" * 200)
    np.testing.assert_array_equal(decode(buffer.getvalue(), "x"), textured())


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("width", "height"), [(64, 64), (65, 77), (131, 64)])
def test_interlaced_pngs_are_whole(width: int, height: int, interlaced: bool) -> None:
    """All seven passes have their rows, also where a side is no multiple of eight."""
    image = cv2.resize(textured(), (width, height))
    data = adam7(image) if interlaced else encoded(image, "PNG")
    np.testing.assert_array_equal(decode(data, "x"), image)


def adam7(image: NDArray[np.uint8]) -> bytes:
    """An interlaced PNG made here, without filters."""
    height, width, _ = image.shape
    rows = b""
    for left, top, across, down in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        for line in image[top::down, left::across]:
            rows += b"\0" + line.tobytes()
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
