"""Pictures from files and folders: what is found, what is read as it should look, and what is refused and how."""

from __future__ import annotations

import io
import os
import resource
import stat
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow

from edgeleuk.errors import InputError, NotAnImageError
from edgeleuk.render.leftout import left_out_lines
from edgeleuk.sources.pictures import pixels
from edgeleuk.sources.pictures import tiff as tiff_format
from edgeleuk.sources.pictures.listing import pictures
from edgeleuk.sources.pictures.reading import decode, read_picture
from edgeleuk.types import Image, PictureFile, Refusal

WIDTH, HEIGHT = 112, 80
GROUND, MARK = (232, 205, 214), (120, 60, 150)
LOSSLESS = {"PNG": {}, "BMP": {}, "TIFF": {}, "WEBP": {"lossless": True}}
ORIENTATIONS = range(1, 9)


def picture() -> Image:
    """Pink, with a purple mark in its upper left corner, so that every turning and mirroring shows."""
    image = np.full((HEIGHT, WIDTH, 3), GROUND, np.uint8)
    image[:24, :40] = MARK
    return image


def textured(width: int = WIDTH, height: int = HEIGHT) -> Image:
    """A picture that compresses badly, so that any cut takes some of it away."""
    noise = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3)).astype(np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(image: Image, format: str, **options: object) -> bytes:
    """A picture file of Pillow's, in memory; arrays with a fourth channel have opacity."""
    buffer = io.BytesIO()
    Pillow.fromarray(image).save(buffer, format, **options)
    return buffer.getvalue()


def deep(image: NDArray[np.generic], suffix: str = ".tif") -> bytes:
    """A file of OpenCV's, which writes any depth; `image` is RGB or RGBA."""
    order = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
    return cv2.imencode(suffix, cv2.cvtColor(image, order))[1].tobytes()


def exif(orientation: int, order: str = "<", thumbnail: bytes = b"") -> bytes:
    """An EXIF block with an orientation, and with a JPEG thumbnail in a second directory where one is given."""
    first = struct.pack(order + "HHHIHxx", 1, 274, 3, 1, orientation)
    start = 8 + len(first) + 4
    second = struct.pack(order + "HHHIIHHIII", 2, 513, 4, 1, start + 30, 514, 4, 1, len(thumbnail), 0)
    block = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8) + first
    if not thumbnail:
        return block + struct.pack(order + "I", 0)
    return block + struct.pack(order + "I", start) + second + thumbnail


def with_exif(jpeg: bytes, block: bytes) -> bytes:
    """A JPEG with an APP1 segment right after its start."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 8) + b"Exif\0\0" + block + jpeg[2:]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def stored(upright: Image, orientation: int) -> Image:
    """The pixels that a camera held in this orientation stores of a scene, by the table of the Exif standard.

    That table names the scene's side that row 0 and column 0 of the stored picture show.
    """
    top_left = {1: "tl", 2: "tr", 3: "br", 4: "bl", 5: "lt", 6: "rt", 7: "rb", 8: "lb"}[orientation]
    rows, columns = top_left
    image = upright
    if rows in "lr":  # row 0 is a vertical side of the scene
        image = image.transpose(1, 0, 2)
    if rows in "br":
        image = image[::-1]
    if columns in "br":
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def refusal(data: bytes) -> str:
    with pytest.raises(NotAnImageError) as caught:
        decode(data, "field.jpg")
    return str(caught.value)


# What is found


@pytest.fixture
def slides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of pictures and other things, which is also the working directory."""
    for name in ("b.jpg", "a.PNG", "notes.txt", ".hidden.jpg", "c[1].tiff", "day1/d.webp", "day1/.bin/e.jpg"):
        path = tmp_path / "slides" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "slides" / "stack.tif").mkdir()
    monkeypatch.chdir(tmp_path)
    return Path("slides")


def found(*paths: str, recursive: bool = False) -> list[str]:
    """Pictures by path, and the message of each error in its place."""
    return [str(item) for item in pictures(paths, recursive) if not isinstance(item, Refusal)]


@pytest.mark.usefixtures("slides")
def test_a_folder_gives_its_pictures_in_order() -> None:
    """Suffixes in any case count; hidden files, other files and folders with such names do not."""
    assert found("slides") == ["slides/a.PNG", "slides/b.jpg", "slides/c[1].tiff"]


@pytest.mark.usefixtures("slides")
def test_recursion_adds_the_subfolders_after_the_pictures() -> None:
    """With -r a folder's own pictures come first, then its subfolders; hidden folders are left out."""
    assert found("slides", recursive=True) == [*found("slides"), "slides/day1/d.webp"]


def test_recursion_does_not_follow_links_to_folders(slides: Path) -> None:
    """A link back to the parent would never end."""
    (slides / "day1" / "up").symlink_to("..")
    assert found("slides", recursive=True)[-1] == "slides/day1/d.webp"


def test_a_pattern_gives_its_files(slides: Path) -> None:
    """The shell's patterns, with ** for subfolders; folders that match are passed over."""
    assert found("slides/*.[jP]*") == ["slides/a.PNG", "slides/b.jpg"]
    assert found("slides/**/d.*") == ["slides/day1/d.webp"]
    assert found(str(slides.resolve() / "s*")) == [
        f"no file matches {slides.resolve() / 's*'}. Check the pattern, or name a folder."
    ]


@pytest.mark.usefixtures("slides")
def test_a_name_with_brackets_is_a_name_first() -> None:
    """A file that exists is never taken for a pattern."""
    assert found("slides/c[1].tiff") == ["slides/c[1].tiff"]


def test_a_picture_named_twice_is_analysed_once(slides: Path) -> None:
    """By path, by folder, by pattern and through a link, a file is one file, in its first place."""
    (slides / "z.jpg").symlink_to("b.jpg")
    assert found("slides/b.jpg", "slides", "slides/*.jpg", str(slides.resolve() / "b.jpg")) == [
        "slides/b.jpg",
        "slides/a.PNG",
        "slides/c[1].tiff",
    ]


@pytest.mark.usefixtures("slides")
def test_what_is_missing_is_named_in_its_place_and_the_rest_goes_on() -> None:
    """One wrong path costs one line, not the batch."""
    first, missing, last = pictures(["slides/a.PNG", "lost.jpg", "slides/b.jpg"])
    assert (first, last) == (PictureFile(Path("slides/a.PNG")), PictureFile(Path("slides/b.jpg")))
    assert isinstance(missing, InputError)
    assert (
        str(missing)
        == "lost.jpg does not exist. Check the path; a pattern, or a name with blanks, needs quotes."
    )


@pytest.mark.parametrize("text", ["", "x" * 300, "x" * 300 + "*"])
@pytest.mark.usefixtures("slides")
def test_an_impossible_path_is_missing(text: str) -> None:
    """An empty path is not the working directory, and a name no file can have is no crash."""
    (only,) = pictures([text])
    assert isinstance(only, InputError)


def test_a_folder_without_pictures_says_so(slides: Path) -> None:
    """Nothing found is said aloud: with the hint to -r where subfolders were not looked into."""
    (slides / "day1" / "d.webp").unlink()
    formats = "JPEG, PNG, TIFF, BMP, WebP and HEIC"
    plain = f"slides/day1 holds no pictures ({formats})."
    assert found("slides/day1") == [f"{plain} Its subfolders are read with -r."]
    assert found("slides/day1", recursive=True) == [plain]
    *_, without_option = pictures(["slides/day1"], None)
    assert str(without_option) == f"{plain} Name the folder that holds them."


def test_a_subfolder_is_to_be_named_where_no_option_reads_it(slides: Path) -> None:
    """As for `calibrate` and `live`, which have no -r."""
    (slides / "deeper").mkdir(exist_ok=True)
    left = [
        each for each in pictures(["slides"], None) if isinstance(each, Refusal) and each.code == "folder"
    ]
    (line,) = left_out_lines(left, recursive=False)
    assert "name the folder." in line.plain and "-r" not in line.plain


@contextmanager
def nobody() -> Iterator[None]:
    """Without the rights of root, for whom nothing is unreadable."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_an_unreadable_subfolder_is_named_and_the_rest_goes_on(slides: Path) -> None:
    """A folder that cannot be listed is an error in its place, not an empty folder."""
    closed = slides / "day0"
    closed.mkdir()
    closed.chmod(0)
    Path.cwd().chmod(0o755)
    with nobody():
        items = found("slides", recursive=True)
    closed.chmod(stat.S_IRWXU)
    assert items[3:] == [
        "cannot list slides/day0: Permission denied. Check its permissions.",
        "slides/day1/d.webp",
    ]


def test_an_unreadable_file_is_named(slides: Path) -> None:
    """A file without permission is an InputError that says why."""
    (slides / "b.jpg").chmod(0)
    Path.cwd().chmod(0o755)
    with nobody(), pytest.raises(InputError, match=r"cannot read slides/b\.jpg: Permission denied"):
        read_picture(slides / "b.jpg")


def test_a_missing_file_and_a_link_in_a_circle_are_input_errors(tmp_path: Path) -> None:
    """What vanished since it was listed, and a link to itself, cost one line each."""
    with pytest.raises(InputError, match="does not exist"):
        read_picture(tmp_path / "gone.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (only,) = pictures([str(tmp_path / "loop.jpg")])
    assert isinstance(only, PictureFile)
    with pytest.raises(InputError, match=r"cannot read .*symbolic links"):
        read_picture(only)


def test_a_film_named_as_a_picture_is_not_read_into_memory(tmp_path: Path) -> None:
    """A file larger than any picture is refused by its size alone."""
    path = tmp_path / "film.jpg"
    with path.open("wb") as handle:
        handle.truncate(3_000_000_000)
    with pytest.raises(NotAnImageError, match=r"3\.0 GB, more than any picture"):
        read_picture(path)


# What is read


@pytest.mark.parametrize("format", LOSSLESS)
def test_a_lossless_picture_is_read_exactly(format: str, tmp_path: Path) -> None:
    """PNG, BMP, TIFF and WebP come back pixel by pixel, as RGB."""
    path = tmp_path / "field"
    path.write_bytes(encoded(picture(), format, **LOSSLESS[format]))
    frame = read_picture(path)
    np.testing.assert_array_equal(frame.pixels, picture())
    assert (frame.name, frame.width, frame.height) == (str(path), WIDTH, HEIGHT)


@pytest.mark.parametrize(
    "data",
    [
        encoded(picture(), "JPEG", quality=95),
        encoded(picture(), "JPEG", quality=95, progressive=True),
        encoded(picture(), "WEBP", quality=95),
        encoded(picture(), "TIFF", compression="jpeg"),
        encoded(picture(), "TIFF", compression="tiff_lzw"),
        encoded(picture(), "TIFF", compression="tiff_adobe_deflate"),
        encoded(picture(), "JPEG", quality=95) + b"trailing bytes of a phone",
        encoded(picture(), "PNG") + b"x" * 1000,
    ],
    ids=[
        "JPEG",
        "progressive",
        "WebP",
        "TIFF JPEG",
        "TIFF LZW",
        "TIFF deflate",
        "JPEG and more",
        "PNG and more",
    ],
)
def test_other_encodings_are_read_closely(data: bytes) -> None:
    """Lossy and compressed kinds keep the colours within a few levels; bytes after the end do no harm."""
    np.testing.assert_allclose(decode(data, "field")[::79, ::111].astype(int), picture()[::79, ::111], atol=5)


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_16_bits_become_8(suffix: str) -> None:
    """A file that uses the whole range of 16 bits loses its low byte."""
    image = picture().astype(np.uint16) * 257
    np.testing.assert_array_equal(decode(deep(image, suffix), "field"), picture())


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_camera_that_uses_few_of_16_bits_is_not_dark(bits: int) -> None:
    """The brightest pixel tells how many bits a camera used: 12 bits in 16 keep their brightness."""
    image = picture().astype(np.uint16) << (bits - 8)
    np.testing.assert_array_equal(decode(deep(image), "field"), picture())


def test_8_bits_in_16_stay_as_they_are() -> None:
    """A 16-bit file that holds 8-bit values is not stretched."""
    np.testing.assert_array_equal(decode(deep(picture().astype(np.uint16)), "field"), picture())


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_floating_point_tiffs_are_read(top: float) -> None:
    """Floats up to 1 and floats up to 255 both give the picture; a pixel without a number is black."""
    image = (picture() * (top / 255)).astype(np.float32)
    image[70, 100] = np.nan, np.inf, -np.inf
    read = decode(deep(image), "field")
    assert read[70, 100].tolist() == [0, 0, 0]
    np.testing.assert_allclose(read[:60].astype(int), picture()[:60], atol=1)


def cmyk_jpeg() -> bytes:
    """With inks as Adobe stores them, inverted, which Pillow does too."""
    buffer = io.BytesIO()
    Pillow.fromarray(picture()).convert("CMYK").save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def ycck_jpeg() -> bytes:
    """The same with inks as luminance and chrominance, the way Photoshop writes them; its Adobe mark says 2."""
    inks = cv2.cvtColor(255 - picture(), cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]]
    channels = np.dstack([255 - inks, np.zeros((HEIGHT, WIDTH), np.uint8)])
    buffer = io.BytesIO()
    Pillow.frombytes("CMYK", (WIDTH, HEIGHT), channels.tobytes()).save(buffer, "JPEG", quality=95)
    data = bytearray(buffer.getvalue())
    data[data.index(b"Adobe") + 11] = 2
    return bytes(data)


@pytest.mark.parametrize("data", [cmyk_jpeg(), ycck_jpeg()], ids=["CMYK", "YCCK"])
def test_a_cmyk_jpeg_has_the_colours_it_was_made_of(data: bytes) -> None:
    """The inks of CMYK JPEGs are stored inverted; the picture is pink, not its negative."""
    np.testing.assert_allclose(
        decode(data, "field.jpg")[::79, ::111].astype(int), picture()[::79, ::111], atol=5
    )


def test_a_cmyk_jpeg_without_adobes_mark_is_refused() -> None:
    """Nothing then says whether its inks are inverted: a guess might be the negative."""
    data = cmyk_jpeg()
    at = data.index(b"\xff\xee")
    assert "does not say how its inks are coded. Save it as RGB" in refusal(data[:at] + data[at + 16 :])


def test_a_cmyk_tiff_has_the_colours_it_was_made_of() -> None:
    """Inks of a TIFF are never inverted, and its fourth channel is no opacity."""
    buffer = io.BytesIO()
    Pillow.fromarray(picture()).convert("CMYK").save(buffer, "TIFF")
    np.testing.assert_allclose(decode(buffer.getvalue(), "field").astype(int), picture(), atol=1)


def rgba(opacity: int) -> NDArray[np.uint8]:
    return np.dstack([picture(), np.full((HEIGHT, WIDTH), opacity, np.uint8)])


ALPHA: dict[str, Callable[[NDArray[np.uint8]], bytes]] = {
    "PNG": lambda image: encoded(image, "PNG"),
    "PNG, 16 bits": lambda image: deep(image.astype(np.uint16) * 257, ".png"),
    "WebP": lambda image: encoded(image, "WEBP", lossless=True, exact=True),
    "TIFF": lambda image: encoded(image, "TIFF"),
}


@pytest.mark.parametrize("kind", ALPHA)
@pytest.mark.parametrize("opacity", [255, 128, 0])
def test_what_is_transparent_is_white(kind: str, opacity: int) -> None:
    """Over white paper an opaque picture is itself, a half transparent one half as strong, a clear one white."""
    image = rgba(opacity)
    image[40:, :, 3] = 255  # some of it stays, so that the picture has colour
    read = decode(ALPHA[kind](image), "field").astype(int)
    expected = picture() * (opacity / 255) + 255 * (1 - opacity / 255)
    np.testing.assert_allclose(read[:40], expected[:40], atol=1.5)
    np.testing.assert_array_equal(read[40:], picture()[40:])


def test_a_clear_colour_of_a_palette_is_white() -> None:
    """A PNG palette may declare one of its colours transparent."""
    image = Pillow.fromarray(picture()).quantize(4)
    index = image.getpixel((0, 0))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", transparency=index)
    read = decode(buffer.getvalue(), "field")
    assert read[0, 0].tolist() == [255, 255, 255]
    assert read[70, 100].tolist() == list(GROUND)


# Orientation


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_jpeg_is_turned_upright_once(orientation: int, order: str) -> None:
    """Each of the eight EXIF orientations, in either byte order, shows the scene as it was."""
    jpeg = encoded(stored(picture(), orientation), "JPEG", quality=95)
    read = decode(with_exif(jpeg, exif(orientation, order)), "field.jpg")
    assert read.shape == picture().shape
    np.testing.assert_allclose(read[::79, ::111].astype(int), picture()[::79, ::111], atol=5)


def turned_png(image: NDArray[np.uint8], orientation: int) -> bytes:
    data = encoded(image, "PNG")
    return data[:33] + png_chunk(b"eXIf", exif(orientation)) + data[33:]


TURNED: dict[str, Callable[[NDArray[np.uint8], int], bytes]] = {
    "PNG": turned_png,
    "PNG with opacity": lambda image, o: turned_png(np.dstack([image, np.full_like(image[..., 0], 255)]), o),
    "WebP": lambda image, o: encoded(image, "WEBP", lossless=True, exif=exif(o)),
    "TIFF": lambda image, o: encoded(image, "TIFF", tiffinfo={274: o}),
    "TIFF, compressed": lambda image, o: encoded(image, "TIFF", tiffinfo={274: o}, compression="tiff_lzw"),
}


@pytest.mark.parametrize("kind", TURNED)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_other_formats_are_turned_upright_once(kind: str, orientation: int) -> None:
    """PNG, WebP and TIFF carry an orientation too, and it is applied whatever the decoder does of its own."""
    data = TURNED[kind](stored(picture(), orientation), orientation)
    np.testing.assert_array_equal(decode(data, "field"), picture())


@pytest.mark.parametrize("block", [exif(9), exif(0), exif(6)[:14], b"", b"II*\0" + b"\xff" * 30])
def test_senseless_exif_leaves_the_picture_as_it_is(block: bytes) -> None:
    """Damage to what is said of a picture is no damage to the picture."""
    jpeg = with_exif(encoded(picture(), "JPEG", quality=95), block)
    assert decode(jpeg, "field.jpg").shape == picture().shape


# What is refused


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "field.jpg is empty. Copy or take it again."),
        (
            b"not a picture",
            "field.jpg is not a picture this program reads. It reads JPEG, PNG, TIFF, BMP, WebP and HEIC.",
        ),
        (b"\xff\xd8\xff", "not a picture this program reads"),
        (b"\xff\xd8\xff\xe0" + bytes(1000), "not a picture this program reads"),
        (b"\x89PNG\r\n\x1a\n", "not a picture this program reads"),
        (b"BM", "not a picture this program reads"),
        (b"GIF89a" + bytes(100), "not a picture this program reads"),
        (b"RIFF\x40\0\0\0WEBPVP8X", "not a picture this program reads"),
        (b"\0\0\0\x1cftypavif" + bytes(40), "AVIF picture, which is not read. Save it as JPEG"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "a damaged HEIC file"),
        (b"\0\0\0\x18ftypmif1" + bytes(40), "a damaged HEIC file"),
    ],
)
def test_what_is_no_picture_is_refused(data: bytes, why: str) -> None:
    """An empty file, a text, a bare signature and formats not read: each with what to do."""
    assert why in refusal(data)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
def test_a_picture_of_one_pixel_is_refused(format: str) -> None:
    """A 1 x 1 picture is whole, and no field."""
    data = encoded(np.full((1, 1, 3), GROUND, np.uint8), format)
    assert "is 1 x 1 px; a field has at least 64 px on each side" in refusal(data)


COMPLETE = {
    "JPEG": encoded(textured(), "JPEG"),
    "progressive JPEG": encoded(textured(), "JPEG", progressive=True),
    "JPEG with a thumbnail": with_exif(
        encoded(textured(), "JPEG"), exif(1, thumbnail=encoded(picture()[::4, ::4], "JPEG"))
    ),
    "PNG": encoded(textured(), "PNG"),
    "TIFF": encoded(textured(), "TIFF"),
    "TIFF of OpenCV": deep(textured()),
    "16-bit TIFF": deep(textured().astype(np.uint16) * 257),
    "TIFF, its directory last": encoded(textured(), "TIFF", compression="tiff_lzw"),
    "BMP": encoded(textured(), "BMP"),
    "WebP": encoded(textured(), "WEBP"),
    "lossless WebP": encoded(textured(), "WEBP", lossless=True),
    "WebP with EXIF": encoded(textured(), "WEBP", exif=exif(6)),
}
UNCHECKED = {"TIFF", "BMP", "WebP", "lossless WebP", "WebP with EXIF"}
"""Kinds whose second half may be zeros and decode: they have no checksum, and nothing needs to stand at their end."""


@pytest.mark.parametrize("kind", COMPLETE)
def test_a_cut_picture_is_never_taken_for_a_whole_one(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Wherever a file is cut it is refused, before the decoder can fill the rest with grey; nothing goes to stderr."""
    data = COMPLETE[kind]
    assert decode(data, "whole").size == textured().size
    for share in (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 0.99):
        assert "cut short" in (text := refusal(data[: int(share * len(data))])) or "not a picture" in text
    assert "cut short" in refusal(data[: int(0.99 * len(data))])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", sorted(COMPLETE.keys() - UNCHECKED))
def test_a_picture_whose_end_was_never_written_is_refused(
    kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """After a power cut a file may have its full length with nothing but zeros in its second half."""
    data = COMPLETE[kind]
    half = len(data) // 2
    zeroed = data[:half] + bytes(len(data) - half)
    assert refusal(zeroed).startswith("field.jpg is ")
    assert capfd.readouterr() == ("", "")


def test_a_png_with_a_flipped_bit_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    """A PNG carries checksums, and a wrong one is noticed."""
    data = bytearray(COMPLETE["PNG"])
    data[len(data) // 2] ^= 1
    assert "a checksum in it is wrong" in refusal(bytes(data))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["BMP", "TIFF, its directory last"])
def test_damage_that_only_the_decoder_notices_is_told_in_one_line(
    kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A bitmap that leaves its size open and is cut, a TIFF of a rare compression: no chatter of the decoder."""
    told = {"BMP": "is cut short", "TIFF, its directory last": "is a TIFF of a rare kind"}
    data = bytearray(COMPLETE[kind])
    if kind == "BMP":
        data[2:6] = bytes(4)
        del data[len(data) // 2 :]
    else:
        at = data.index(struct.pack("<HHI", 259, 3, 1))
        data[at + 8 : at + 10] = struct.pack("<H", 34925)  # LZMA, which no camera writes
    assert told[kind] in refusal(bytes(data))
    assert capfd.readouterr() == ("", "")


def bomb(format: str) -> bytes:
    """A small file whose header claims 20,000 x 20,000 pixels."""
    side = 20_000
    if format == "PNG":
        header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        body = png_chunk(b"IDAT", zlib.compress(bytes(1000)))
        return b"\x89PNG\r\n\x1a\n" + header + body + png_chunk(b"IEND", b"")
    if format == "WEBP":
        canvas = (side - 1).to_bytes(3, "little") * 2
        return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<II", 10, 0) + canvas
    size = {"JPEG": (">HH", HEIGHT, WIDTH), "BMP": ("<ii", WIDTH, HEIGHT)}
    if format in size:
        form, *sides = size[format]
        return encoded(picture(), format).replace(struct.pack(form, *sides), struct.pack(form, side, side), 1)
    data = encoded(picture(), "TIFF")
    for tag, old in ((256, WIDTH), (257, HEIGHT)):
        for kind, form in ((3, "<HHIHxx"), (4, "<HHII")):
            data = data.replace(struct.pack(form, tag, kind, 1, old), struct.pack(form, tag, kind, 1, side))
    return data


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
def test_a_decompression_bomb_is_refused_by_its_header(format: str) -> None:
    """A claim of 400 megapixels costs no memory: it is refused before anything is decoded."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "claims 20000 x 20000 px, more than 120 megapixels" in refusal(bomb(format))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB; decoded it has 1.2 GB


@pytest.mark.parametrize(
    "data",
    [
        encoded(textured()[..., 0], "PNG"),
        encoded(textured()[..., 0], "JPEG"),
        encoded(np.repeat(textured()[..., :1], 3, axis=2), "JPEG"),
        encoded(textured()[..., :2], "PNG"),
        cv2.imencode(".tif", textured()[..., 0].astype(np.uint16) * 257)[1].tobytes(),
        cv2.imencode(".tif", textured()[..., 0].astype(np.float32))[1].tobytes(),
    ],
    ids=["PNG", "JPEG", "three equal channels", "with opacity", "16 bits", "floats"],
)
def test_a_grey_picture_is_refused(data: bytes) -> None:
    """White cells are told apart by the colours of their stain; a grey picture, however stored, has none."""
    assert "is a grey picture" in refusal(data)


def test_a_faint_stain_is_no_grey_picture() -> None:
    """Ten levels of difference between channels are colour."""
    image = np.full((HEIGHT, WIDTH, 3), (210, 200, 205), np.uint8)
    np.testing.assert_array_equal(decode(encoded(image, "PNG"), "field"), image)


def test_old_bitmaps_are_read() -> None:
    """The first bitmap header has sizes of 16 bits, and a bitmap may be stored from the top."""
    bgr = picture()[..., ::-1]
    old = struct.pack("<2sIHHIIHHHH", b"BM", 26 + bgr.size, 0, 0, 26, 12, WIDTH, HEIGHT, 1, 24)
    np.testing.assert_array_equal(decode(old + bgr[::-1].tobytes(), "field"), picture())
    top = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 0, 0, 0, 54, 40, WIDTH, -HEIGHT, 1, 24, 0, 0, 0, 0, 0, 0)
    np.testing.assert_array_equal(decode(top + bgr.tobytes(), "field"), picture())


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Anything from plain noise to a whole picture with a few bytes changed, cut, doubled or put in."""
    signatures = [
        b"",
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"II*\0",
        b"MM\0*",
        b"BM",
        b"RIFF\0\0\0\0WEBPVP8X",
    ]
    noise = draw(st.binary(max_size=80))
    if draw(st.booleans()):
        return draw(st.sampled_from(signatures)) + noise
    data = bytearray(draw(st.sampled_from(list(COMPLETE.values()))))
    for _ in range(draw(st.integers(1, 6))):
        # Half of the changes hit the first bytes, where the structure is.
        at = draw(st.integers(0, 120) | st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return bytes(data)


@settings(max_examples=300, deadline=None)
@given(damaged())
def test_any_bytes_are_a_picture_or_no_picture(data: bytes) -> None:
    """No bytes raise anything else than NotAnImageError; what is read is an RGB picture of usable size."""
    try:
        image = decode(data, "field.jpg")
    except NotAnImageError as error:
        assert str(error).startswith("field.jpg ")
    else:
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3
        assert min(image.shape[:2]) >= 64


@pytest.mark.parametrize(
    ("size", "um_per_px", "shrunk"),
    [
        ((1024, 768), None, 1),
        ((5120, 64), None, 2),
        ((1024, 768), 0.05, 4),
        ((1024, 768), 0.2, 1),
        ((1026, 768), 0.05, 2),
        ((1025, 768), 0.01, 1),
    ],
)
def test_a_jpeg_is_decoded_no_larger_than_needed(
    tmp_path: Path, size: tuple[int, int], um_per_px: float | None, shrunk: int
) -> None:
    """By a divisor of its sides, and never coarser than 0.2 um per pixel where that is enough."""
    path = tmp_path / "x.jpg"
    cv2.imwrite(str(path), np.dstack([np.full(size[::-1], level, np.uint8) for level in (90, 120, 200)]))
    frame = read_picture(path, um_per_px, 0.2)
    assert frame.shrunk == shrunk
    assert (frame.width * shrunk, frame.height * shrunk) == size


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".webp"])
@pytest.mark.parametrize("strip", [1 << 20, 5000])
def test_other_kinds_are_made_no_larger_than_needed(
    tmp_path: Path, suffix: str, strip: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pixel is the mean of those it stands for, also where strips meet."""
    monkeypatch.setattr(pixels, "STRIP", strip)
    image = textured(400, 304)
    path = tmp_path / f"x{suffix}"
    lossless = [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" else []
    cv2.imwrite(str(path), image[..., ::-1], lossless)
    frame = read_picture(path, 0.05, 0.2)
    assert frame.shrunk == 4
    expected = image.reshape(76, 4, 100, 4, 3).mean(axis=(1, 3))
    assert np.abs(frame.pixels - expected).max() <= 1.0
    np.testing.assert_array_equal(read_picture(path).pixels, image)


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_deep_pictures_in_strips_are_those_in_one(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many bits are in use is told by the whole picture: a dark strip is not brightened."""
    image = textured(200, 120).astype(np.float64)
    image[:40] /= 3
    data = deep((image * (16 if kind is np.uint16 else 1 / 255)).astype(kind))
    whole = decode(data, "field")
    monkeypatch.setattr(pixels, "STRIP", 900)
    np.testing.assert_array_equal(decode(data, "field"), whole)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_a_large_picture_is_in_memory_once(tmp_path: Path, suffix: str) -> None:
    """Of 24 megapixels, 72 MB, no second copy is made on the way to a smaller one: the file's bytes come and go before."""
    path = tmp_path / f"x{suffix}"
    cv2.imwrite(str(path), np.tile(textured(500, 400)[..., ::-1], (10, 12, 1)))
    grown, shrunk = memory(path, "pass")
    assert shrunk == 2
    assert grown < 1.6 * 72e6


def memory(path: Path, first: str) -> tuple[int, int]:
    """Peak of what is resident, bytes, in a process of its own that reads a picture, beyond what it was `before` that, and
    how many times smaller it made it."""
    code = (
        "import re; from pathlib import Path; from edgeleuk.sources.pictures.reading import read_picture\n"
        "status = lambda: Path('/proc/self/status').read_text()\n"
        "peak = lambda: 1024 * int(re.search(r'VmHWM:\\s+(\\d+)', status())[1])\n"
        f"before = peak(); {first}\n"
        f"frame = read_picture(Path({str(path)!r}))\n"
        "print(peak() - before, frame.shrunk)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    grown, shrunk = map(int, done.stdout.split())
    return grown, shrunk


def tiff(path: Path, image: NDArray[np.generic], compression: int, rows: int) -> Path:
    """A file of OpenCV's with so many rows in a strip."""
    how = [cv2.IMWRITE_TIFF_COMPRESSION, compression, cv2.IMWRITE_TIFF_ROWSPERSTRIP, rows]
    cv2.imwrite(str(path), image, how)
    return path


@pytest.mark.parametrize("compression", [1, 5, 8, 32773], ids=["none", "LZW", "deflate", "PackBits"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("rows", [7, 50, HEIGHT])
def test_a_tiff_in_parts_is_the_whole_one(
    tmp_path: Path, compression: int, kind: type, channels: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However its strips are packed, of any depth, with opacity or without: what OpenCV makes of all of it at once."""
    image = np.dstack([textured(), textured()[..., :1] | 3])[..., :channels].astype(kind)
    path = tiff(tmp_path / "x.tif", image * (257 if kind is np.uint16 else 1), compression, rows)
    whole = read_picture(path).pixels
    if channels == 3:
        np.testing.assert_array_equal(whole, image[..., ::-1])
    monkeypatch.setattr(tiff_format, "PART", 20_000)
    np.testing.assert_array_equal(read_picture(path).pixels, whole)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_of_either_byte_order_is_read_in_parts(
    tmp_path: Path, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One strip of all rows, not compressed, as microscopes' programs write it, with its directory at the end."""
    monkeypatch.setattr(tiff_format, "PART", 20_000)
    pixels = (textured().astype(np.uint16) * 257).astype(order + "u2").tobytes()
    entries = {
        256: WIDTH,
        257: HEIGHT,
        258: 16,
        259: 1,
        262: 2,
        273: 8,
        277: 3,
        278: HEIGHT,
        279: len(pixels),
    }
    directory = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in entries.items())
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8 + len(pixels))
    end = struct.pack(order + "H", len(entries)) + directory + bytes(4)
    path = tmp_path / "x.tif"
    path.write_bytes(head + pixels + end)
    np.testing.assert_array_equal(read_picture(path).pixels, textured())


def test_a_damaged_part_of_a_tiff_refuses_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compressed rows of 16 bits in the middle that make no sense are not left out."""
    monkeypatch.setattr(tiff_format, "PART", 20_000)
    path = tiff(tmp_path / "x.tif", textured().astype(np.uint16) * 257, 8, 10)
    data = bytearray(path.read_bytes())
    layout = tiff_format.read_layout(io.BytesIO(bytes(data)))
    assert not isinstance(layout, str)
    first, size = layout.places[len(layout.places) // 2]
    data[first : first + size] = bytes(size)
    path.write_bytes(data)
    with pytest.raises(NotAnImageError, match="damaged TIFF"):
        read_picture(path)


@pytest.mark.parametrize(
    ("compression", "rows"),
    [(1, 6000), *(pytest.param(*each, marks=pytest.mark.long) for each in ((1, 8), (5, 8))), (8, 64)],
)
def test_48_megapixels_of_16_bits_stay_under_500_megabytes(
    tmp_path: Path, compression: int, rows: int
) -> None:
    """With everything that the program has loaded: in strips or in one, packed or not, of an ordinary camera's noise."""
    rng = np.random.default_rng(0)
    image = cv2.resize(
        rng.integers(0, 60000, (300, 400, 3)).astype(np.uint16), (8000, 6000), interpolation=cv2.INTER_CUBIC
    )
    image ^= np.tile(rng.integers(0, 512, (600, 8000, 3), dtype=np.uint16), (10, 1, 1))
    path = tiff(tmp_path / "x.tif", image, compression, rows)
    peak, shrunk = memory(path, "from edgeleuk.analysis import analyser; before = 0")
    assert shrunk == 2
    assert peak < 500e6


def test_a_smaller_decoding_is_turned_upright_too(tmp_path: Path) -> None:
    """An orientation of 6 is turned by a quarter, once."""
    picture = np.zeros((64, 128, 3), np.uint8)
    picture[:, :64] = (40, 60, 220)
    picture[:, 64:] = (220, 90, 40)
    data = with_exif(cv2.imencode(".jpg", picture)[1].tobytes(), exif(6))
    (tmp_path / "x.jpg").write_bytes(data)
    frame = read_picture(tmp_path / "x.jpg", 0.05, 0.1)
    assert (frame.shrunk, frame.width, frame.height) == (2, 32, 64)
    assert frame.pixels[8, 16, 0] > 150 > frame.pixels[56, 16, 0]
