"""Damage that decoders forgive: what is told, and that no intact picture is refused."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw
from test_decoding import tiff_of, written

from edgeleuk.errors import InputError, NotAnImageError
from edgeleuk.sources._opencv import decode_jpeg
from edgeleuk.sources.pictures import damage, unpacked
from edgeleuk.sources.pictures.reading import decode

DEMO = Path(__file__).parents[1] / "edgeleuk" / "data" / "demo.jpg"
TRIES = 12
LENGTHS = (64, 512, 4096)


@cache
def demo(side: int = 0) -> Pillow.Image:
    """The simulated smear, or its upper left corner."""
    picture = Pillow.open(DEMO).convert("RGB")
    return picture.crop((0, 0, side, side)) if side else picture


def saved(format: str, picture: Pillow.Image | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    (picture or demo()).save(buffer, format, **options)
    return buffer.getvalue()


CHECKED: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: DEMO.read_bytes(),
    "JPEG without subsampling": lambda: saved("JPEG", quality=92, subsampling=0),
    "JPEG with tables of its own": lambda: saved("JPEG", quality=75, optimize=True),
    "JPEG with restarts": lambda: saved("JPEG", quality=85, restart_marker_rows=1),
    "PNG": lambda: saved("PNG", demo(600)),
    "TIFF, LZW": lambda: saved("TIFF", demo(600), compression="tiff_lzw"),
    "TIFF, deflate": lambda: saved("TIFF", demo(600), compression="tiff_adobe_deflate"),
    "TIFF, JPEG": lambda: saved("TIFF", compression="jpeg", quality=85),
    "WebP": lambda: saved("WEBP", demo(900), quality=92),
}
"""Formats whose data tell of damage."""
SHOWN: dict[str, Callable[[], bytes]] = {
    "WebP, lossless": lambda: saved("WEBP", demo(900), lossless=True, method=1),
    "HEIC": lambda: saved("HEIF", demo(900), quality=80),
    "BMP": lambda: saved("BMP", demo(600)),
    "TIFF": lambda: saved("TIFF", demo(600)),
    "TIFF, 16 bits": lambda: cv2.imencode(".tif", np.asarray(demo(600))[..., ::-1].astype(np.uint16) << 4, [cv2.IMWRITE_TIFF_COMPRESSION, 1])[1].tobytes(),
}  # fmt: skip
"""Formats with little redundancy or none: what shows in the pixels is told."""


@pytest.fixture(autouse=True, scope="module")
def heif() -> None:
    """Pillow writes HEIC once this is registered."""
    import pillow_heif

    pillow_heif.register_heif_opener()


@cache
def made(kind: str) -> bytes:
    """The picture of a format, whole."""
    return (CHECKED | SHOWN)[kind]()


def accepted(data: bytes, lengths: tuple[int, ...], tries: int = TRIES) -> list[str]:
    """Which of the overwritten copies are read: kind of run, length, and place."""
    rng = np.random.default_rng(len(data))
    first = max(1000, data.find(b"\xff\xda") + 20 if data[:2] == b"\xff\xd8" else 0)
    found = []
    for number in range(tries):
        length, zeros = lengths[number % len(lengths)], number // len(lengths) % 2 == 0
        at = int(rng.integers(first, len(data) - length - 1000))
        run = bytes(length) if zeros else rng.bytes(length)
        try:
            decode(data[:at] + run + data[at + length :], "field")
        except NotAnImageError as error:
            assert "amaged" in str(error) or "cut short" in str(error) or "rare kind" in str(error)
        else:
            found.append(f"{'zeros' if zeros else 'noise'} {length} at {at}")
    return found


@pytest.mark.parametrize("kind", CHECKED)
def test_an_overwritten_picture_is_refused(kind: str) -> None:
    """A run of 64 to 4,096 zeros or random bytes in the data of a format that tells of it."""
    data = made(kind)
    assert decode(data, "field").size
    assert accepted(data, LENGTHS) == []


@pytest.mark.parametrize("kind", SHOWN)
def test_damage_that_shows_is_refused(kind: str) -> None:
    """4,096 bytes overwritten in a format without a checksum leave holes, noise or colours that no stain has."""
    data = made(kind)
    assert decode(data, "field").size
    assert len(accepted(data, (4096,))) <= TRIES // 6


@pytest.mark.parametrize("kind", [*CHECKED, *SHOWN])
def test_a_cut_picture_is_refused(kind: str) -> None:
    """Wherever it is cut."""
    data = made(kind)
    for share in (0.1, 0.4, 0.7, 0.97):
        with pytest.raises(NotAnImageError):
            decode(data[: int(share * len(data))], "field")


@pytest.mark.parametrize("what", ["zeros", "noise", "half"])
def test_a_damaged_frame_of_a_stream_is_refused(what: str) -> None:
    """As a file is: the frame is not counted."""
    data = DEMO.read_bytes()
    half = len(data) // 2
    run = {"zeros": bytes(64), "noise": np.random.default_rng(3).bytes(512), "half": b"\xff\xd9"}[what]
    assert decode_jpeg(data).shape == (1200, 1600, 3)
    with pytest.raises(InputError, match=r"a picture of the stream is (damaged|cut short)"):
        decode_jpeg(data[:half] + run + (b"" if what == "half" else data[half + len(run) :]))


def test_a_jpeg_that_its_camera_filled_up_with_zeros_is_read() -> None:
    """Some cameras write zeros between the last pixel and the end marker."""
    data = DEMO.read_bytes()
    end = data.rfind(b"\xff\xd9")
    np.testing.assert_array_equal(decode(data[:end] + bytes(700) + data[end:], "x"), decode(data, "x"))


def test_nothing_of_a_decoder_reaches_standard_error() -> None:
    """Of each format a damaged copy, and a PNG with a colour profile that libpng comments on."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import numpy as np, pillow_heif, test_damage as t\n"
        "pillow_heif.register_heif_opener()\n"
        "for make in (t.CHECKED | t.SHOWN).values():\n"
        "    t.accepted(make(), (64, 4096), 2)\n"
        "t.decode(t.with_profile(t.saved('PNG', t.demo(300))), 'x')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


def with_profile(png: bytes) -> bytes:
    """With a colour profile that makes no sense, and a gamma of zero."""
    body = b"iCCP" + b"x\0\0" + zlib.compress(b"no profile")
    gamma = b"gAMA" + bytes(4)
    chunks = b"".join(
        struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each))
        for each in (body, gamma)
    )
    return png[:33] + chunks + png[33:]


# What is no damage


@pytest.mark.parametrize("bar", [480, 496, 500])
@pytest.mark.parametrize("quality", [60, 92])
def test_bars_are_no_seam(bar: int, quality: int) -> None:
    """Black bars end at the edges of a JPEG's blocks, or not, all along a row."""
    picture = cv2.copyMakeBorder(np.asarray(demo()), bar, bar, 0, 0, cv2.BORDER_CONSTANT)
    data = saved("JPEG", Pillow.fromarray(picture), quality=quality, optimize=True)
    assert len(decode(data, "field")) == 1200 + 2 * bar


def test_a_collage_is_no_seam() -> None:
    """Four pictures of other brightness in one: their edges lie on blocks, in the middle of rows."""
    one = np.asarray(demo(480)).astype(int)
    collage = (
        np.vstack([np.hstack([one, one - 40]), np.hstack([one - 60, one + 10])]).clip(0, 255).astype(np.uint8)
    )
    assert decode(saved("JPEG", Pillow.fromarray(collage), quality=90), "field").shape == (960, 960, 3)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "WEBP"])
def test_drawings_are_no_damage(format: str) -> None:
    """Measures, letters, a black line, a black corner and a dark rim."""
    picture = np.asarray(demo()).copy()
    for i in range(30):
        cv2.putText(picture, f"{8 + i}.2 um", (20 + 45 * i, 60 + 37 * i % 1100), 0, 0.7, (0, 255, 0), 1)
    cv2.line(picture, (0, 300), (1599, 300), (0, 0, 0), 1)
    picture[1100:, 1300:] = 0
    y, x = np.mgrid[:1200, :1600]
    picture[(x - 800) ** 2 + (y - 600) ** 2 > 950**2] = 0
    assert decode(saved(format, Pillow.fromarray(picture)), "field").shape == (1200, 1600, 3)


def test_noise_all_over_is_no_damage() -> None:
    """A picture of noise is refused for another reason, and not as overwritten."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    assert damage.in_rows(noise) == ""
    assert decode(saved("BMP", Pillow.fromarray(noise)), "field").shape == (300, 400, 3)


@pytest.mark.parametrize("trailer", [bytes(100), bytes(512), b"phone" + bytes(9000)])
def test_what_follows_the_end_of_a_jpeg_is_no_damage(trailer: bytes) -> None:
    """Phones and cards append what they like."""
    np.testing.assert_array_equal(decode(DEMO.read_bytes() + trailer, "x"), decode(DEMO.read_bytes(), "x"))


def test_zeros_in_notes_are_no_damage() -> None:
    """A camera's notes hold a thumbnail, a JPEG of its own, and room that is empty."""
    data = DEMO.read_bytes()
    notes = b"Exif\0\0II*\0\x08\0\0\0" + bytes(6) + saved("JPEG", demo(160)) + bytes(400)
    profile = b"ICC_PROFILE\0\1\1" + bytes(900)
    segments = b"".join(
        bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body
        for marker, body in ((0xE1, notes), (0xE2, profile))
    )
    np.testing.assert_array_equal(decode(data[:2] + segments + data[2:], "x"), decode(data, "x"))


def with_scan_parameters(jpeg: bytes, bits: int) -> bytes:
    """With a number of bits in its scan header, which a sequential JPEG has no use for."""
    at = jpeg.rfind(b"\xff\xda")
    (length,) = struct.unpack_from(">H", jpeg, at + 2)
    return jpeg[: at + 1 + length] + bytes([bits]) + jpeg[at + 2 + length :]


def test_what_some_cameras_write_and_libjpeg_warns_of_is_read() -> None:
    """A scan header for another kind of JPEG, and a version of JFIF that does not exist."""
    data = saved("JPEG", quality=85)
    for odd in (with_scan_parameters(data, 0x10), data[:11] + b"\3\1" + data[13:]):
        assert odd != data
        np.testing.assert_array_equal(decode(odd, "x"), decode(data, "x"))


def test_such_a_jpeg_is_decoded_strictly_all_the_same() -> None:
    """What is mended before is no licence for damage."""
    data = with_scan_parameters(saved("JPEG", quality=85), 0x10)
    assert accepted(data, (512, 4096)) == []


@pytest.mark.parametrize("quality", [60, 85, 95])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_what_is_drawn_across_a_picture_is_no_seam(quality: int, subsampling: int) -> None:
    """Captions, separators and other exposures whose edges lie on the blocks of the JPEG."""
    plain = np.asarray(demo()).astype(float)
    for top, height, change in (
        (0, 32, 0.7),
        (64, 16, 0.9),
        (1168, 32, 0.5),
        (592, 608, 1.04),
        (480, 4, 0.0),
        (480, 16, 0.0),
    ):
        for left, right in ((0, 1600), (48, 1552), (0, 1200)):
            picture = plain.copy()
            picture[top : top + height, left:right] *= change
            drawn = Pillow.fromarray(picture.clip(0, 255).astype(np.uint8))
            assert decode(saved("JPEG", drawn, quality=quality, subsampling=subsampling), "x").size


def test_light_in_stripes_is_no_seam() -> None:
    """Bands of a flickering lamp, as wide as two rows of blocks."""
    picture = np.asarray(demo()).astype(int) + 12 * (np.arange(1200)[:, None, None] // 32 % 2)
    assert decode(
        saved("JPEG", Pillow.fromarray(picture.clip(0, 255).astype(np.uint8)), quality=85), "x"
    ).size


@pytest.mark.parametrize("scale", [0.3, 0.35, 0.5])
def test_small_letters_are_no_garbage(scale: float) -> None:
    """The time and the camera, as small as they can be read, in a JPEG."""
    picture = np.asarray(demo()).copy()
    for place in ((10, 24), (10, 1190), (901, 615)):
        cv2.putText(picture, "2026-11-30 14:22:07 CAM1 100x OIL", place, 0, scale, (0, 0, 0), 1)
    assert decode(saved("JPEG", Pillow.fromarray(picture), quality=90), "x").size


@pytest.mark.parametrize("format", ["BMP", "TIFF"])
def test_thin_lines_are_no_holes(format: str) -> None:
    """Scale bars, frames and crosshairs of one pixel in black, as a microscope's program draws them."""
    picture = demo().copy()
    draw = ImageDraw.Draw(picture)
    draw.line((200, 600, 1400, 600), fill=0)
    draw.rectangle((100, 100, 1300, 1000), outline=(0, 0, 0))
    draw.rectangle((1175, 1150, 1594, 1150), fill=0)
    assert decode(saved(format, picture), "x").size


@pytest.mark.parametrize("height", [300, 1193, 1200])
@pytest.mark.parametrize("width", [1600, 6400])
def test_jpeg_in_the_strips_of_a_tiff_is_read(height: int, width: int) -> None:
    """Also where the last strip has fewer rows than a block."""
    picture = Pillow.fromarray(np.tile(np.asarray(demo())[:height], (1, width // 1600, 1)))
    data = saved("TIFF", picture, compression="jpeg", quality=90)
    np.testing.assert_allclose(
        decode(data, "x")[::50, ::50].astype(int), np.asarray(picture)[::50, ::50], atol=40
    )


def tiles(side: int, quality: int) -> bytes:
    """A TIFF in tiles, each a JPEG of its own."""
    image = np.asarray(demo(1024))
    chunks = [
        saved(
            "JPEG",
            Pillow.fromarray(image[top : top + side, left : left + side]),
            quality=quality,
            subsampling=0,
        )
        for top in range(0, 1024, side)
        for left in range(0, 1024, side)
    ]
    places = [8]
    for each in chunks:
        places.append(places[-1] + len(each))
    sizes = tuple(map(len, chunks))
    fields = {
        256: (1024,), 257: (1024,), 258: (8, 8, 8), 259: (7,), 262: (6,), 277: (3,), 284: (1,),
        322: (side,), 323: (side,), 324: tuple(places[:-1]), 325: sizes,
    }  # fmt: skip
    return written(fields, b"".join(chunks))


@pytest.mark.parametrize("side", [128, 256, 512])
@pytest.mark.parametrize("quality", [75, 90])
def test_jpeg_in_the_tiles_of_a_tiff_is_read(side: int, quality: int) -> None:
    """A tile is small, and a step of one level in it is no seam."""
    assert decode(tiles(side, quality), "x").shape == (1024, 1024, 3)


@pytest.mark.parametrize("options", [{"tile": (128, 128)}, {"planar": True}])
def test_damage_that_shows_in_tiles_and_planes_is_refused(options: dict[str, Any]) -> None:
    """4,096 bytes of a TIFF that is not packed, in tiles or with channels apart."""
    assert len(accepted(tiff_of(np.asarray(demo(1024)), **options), (4096,))) <= TRIES // 4


# Packed rows


def test_the_lengths_of_lzw_are_those_of_libtiff() -> None:
    """Of any picture, from one colour to noise, each strip stands for as many bytes as it unpacks to."""
    rng = np.random.default_rng(1)
    for picture in (
        np.full((64, 99, 3), 7, np.uint8),
        rng.integers(0, 256, (64, 99, 3), dtype=np.uint8),
        np.asarray(demo(200)),
    ):
        for number, (strip, length) in enumerate(strips(picture, 5)):
            assert unpacked.is_whole(5, strip, {length}), number
            assert not unpacked.is_whole(5, strip, {length - 1})
            assert not unpacked.is_whole(5, strip[:-3], {length})


@pytest.mark.parametrize("compression", [5, 8, 32773])
def test_a_strip_that_never_ends_is_given_up(compression: int) -> None:
    """Nothing is unpacked beyond the bytes that a strip may stand for."""
    endless = {5: b"\x80\x00\x20" * 40_000, 8: zlib.compress(bytes(10_000_000)), 32773: b"\x81\0" * 100_000}[
        compression
    ]
    assert not unpacked.is_whole(compression, endless, {1000})


def strips(picture: np.ndarray, compression: int) -> list[tuple[bytes, int]]:
    """The packed strips of eight rows that libtiff makes of a picture, and what each unpacks to."""
    from edgeleuk.sources.pictures import tiff

    how = [cv2.IMWRITE_TIFF_COMPRESSION, compression, cv2.IMWRITE_TIFF_ROWSPERSTRIP, 8]
    data = cv2.imencode(".tif", picture, how)[1].tobytes()
    layout = tiff.read_layout(io.BytesIO(data))
    assert not isinstance(layout, str)
    return [(data[first : first + size], 8 * layout.row) for first, size in layout.places]


@pytest.mark.data
def test_no_intact_picture_is_refused(data: Path) -> None:
    """300 pictures of all laboratories; of 4,650 JPEGs none was."""
    files = sorted([*data.glob("fields/images/*/*.*"), *data.glob("slides/images/*/*.*")])[::12]
    assert len(files) > 250
    refused = []
    for file in files:
        try:
            decode(file.read_bytes(), file.name)
        except NotAnImageError as error:
            refused.append(str(error))
    assert refused == []
