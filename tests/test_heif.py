"""HEIC pictures, written by the library that reads them: upright once, cut files refused, large ones made small."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image as Pillow
from test_folder import ORIENTATIONS, exif, picture, stored

from edgeleuk.errors import NotAnImageError
from edgeleuk.sources.pictures.listing import pictures
from edgeleuk.sources.pictures.reading import decode, read_picture
from edgeleuk.types import Frame, Image, PictureFile


def heic(image: Image, **options: object) -> bytes:
    """A HEIC file in memory; arrays with a fourth channel have opacity."""
    mode = "RGBA" if image.shape[2] == 4 else "RGB"
    buffer = io.BytesIO()
    made = pillow_heif.from_bytes(mode, (image.shape[1], image.shape[0]), image.tobytes())
    made.save(buffer, quality=90, **options)
    return buffer.getvalue()


def test_a_heic_is_read_closely_and_found_in_folders(tmp_path: Path) -> None:
    """Its colours within what its compression costs, by each of its suffixes."""
    for name in ("a.heic", "b.HEIF", "c.hif"):
        (tmp_path / name).write_bytes(heic(picture()))
    paths = list(pictures([str(tmp_path)]))
    assert [Path(str(path)).name for path in paths] == ["a.heic", "b.HEIF", "c.hif"]
    for path in paths:
        assert isinstance(path, PictureFile)
        frame = read_picture(path)
        assert (frame.width, frame.height, frame.shrunk) == (112, 80, 1)
        np.testing.assert_allclose(frame.pixels[::79, ::111].astype(int), picture()[::79, ::111], atol=6)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_heic_is_turned_upright_once(orientation: int) -> None:
    """Phones write the turn twice, for the decoder (irot, imir) and in the EXIF block: it is applied once."""
    image = stored(picture(), orientation)
    data = heic(image, exif=exif(orientation))
    read = decode(data, "field.heic")
    assert exif(orientation) in data
    assert b"irot" in data or b"imir" in data or orientation == 1
    assert read.shape == picture().shape
    np.testing.assert_allclose(read[::79, ::111].astype(int), picture()[::79, ::111], atol=6)


def test_what_is_transparent_is_white() -> None:
    """Opacity is kept by HEIC too."""
    image = np.dstack([picture(), np.full(picture().shape[:2], 255, np.uint8)])
    image[:40, :, 3] = 0
    read = decode(heic(image), "field.heic")
    np.testing.assert_allclose(read[:36].astype(int), 255, atol=3)
    np.testing.assert_allclose(read[79, 111].astype(int), picture()[79, 111], atol=6)


def test_a_grey_heic_is_refused() -> None:
    """As other grey pictures are."""
    grey = np.repeat(np.arange(0, 240, 2, dtype=np.uint8)[None, :112], 80, axis=0)
    buffer = io.BytesIO()
    pillow_heif.from_bytes("L", (112, 80), np.ascontiguousarray(grey).tobytes()).save(buffer)
    with pytest.raises(NotAnImageError, match="grey picture"):
        decode(buffer.getvalue(), "field.heic")


def test_a_cut_heic_is_refused() -> None:
    """Wherever it is cut, in one sentence."""
    data = heic(np.random.default_rng(0).integers(0, 255, (128, 128, 3)).astype(np.uint8))
    for share in (0.02, 0.3, 0.6, 0.95):
        with pytest.raises(NotAnImageError, match=r"field\.heic is a damaged HEIC file"):
            decode(data[: int(share * len(data))], "field.heic")


def test_a_large_heic_is_made_no_larger_than_needed(tmp_path: Path) -> None:
    """By a divisor of its sides, as a JPEG is."""
    image = cv2.resize(picture(), (896, 640), interpolation=cv2.INTER_NEAREST)
    (tmp_path / "x.heic").write_bytes(heic(image))
    frame = read_picture(tmp_path / "x.heic", 0.05, 0.21)
    assert (frame.shrunk, frame.width, frame.height) == (4, 224, 160)
    assert frame.pixels.flags.writeable or frame.pixels.base is None
    np.testing.assert_allclose(frame.pixels[::159, ::223].astype(int), image[::639, ::895], atol=6)


def test_without_the_extra_the_message_names_it(tmp_path: Path) -> None:
    """A HEIC is no unknown file then: exit 7, and what to install."""
    path = tmp_path / "field.heic"
    path.write_bytes(heic(picture()))
    code = (
        "import sys; sys.modules['pillow_heif'] = None; from edgeleuk.cli import main; "
        f"sys.argv = ['edgeleuk', 'analyze', {str(path)!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 7
    assert "pip install 'edgeleuk[heif]'" in done.stderr
    assert "Traceback" not in done.stderr


def personal() -> bytes:
    """An EXIF block with a place, an owner and a phone, as Pillow writes it."""
    exif = Pillow.Exif()
    exif[0x010F], exif[0x0110], exif[0x013B], exif[0x8298] = (
        "PHONEMAKER",
        "PHONEMODEL",
        "OWNERNAME",
        "OWNERNAME",
    )
    exif.get_ifd(0x8825).update(
        {1: "N", 2: (52.0, 31.0, 12.5), 3: "E", 4: (13.0, 24.0, 17.5), 29: "2026:05:04"}
    )
    return exif.tobytes()


@pytest.mark.parametrize("kind", ["jpg", "heic"])
def test_no_result_says_where_or_by_whom_a_picture_was_taken(
    demo_frame: Frame, tmp_path: Path, kind: str
) -> None:
    """Overlays, tables and JSON hold none of the EXIF, XMP and comments of the picture they come from."""
    pixels = np.ascontiguousarray(demo_frame.pixels[:480, :640])
    buffer = io.BytesIO()
    if kind == "jpg":
        Pillow.fromarray(pixels).save(
            buffer,
            "JPEG",
            quality=90,
            exif=personal(),
            comment=b"OWNERNAME",
            xmp=b"<x:xmpmeta>OWNERNAME</x:xmpmeta>",
        )
    else:
        buffer.write(heic(pixels, exif=personal(), xmp=b"<x:xmpmeta>OWNERNAME</x:xmpmeta>"))
    path, out = tmp_path / f"field.{kind}", tmp_path / "out"
    path.write_bytes(buffer.getvalue())
    told = (b"PHONEMAKER", b"PHONEMODEL", b"OWNERNAME", b"2026:05:04", b"GPS", b"Exif\0", b"xmpmeta")
    assert sum(each in buffer.getvalue() for each in told) >= 4
    command = [
        sys.executable,
        "-m",
        "edgeleuk",
        "analyze",
        str(path),
        "--um-per-px",
        "0.1",
        "--out",
        str(out),
    ]
    subprocess.run(command, capture_output=True, check=True)
    files = [file for file in out.rglob("*") if file.is_file()]
    assert {file.name for file in files} >= {"results.json", "cells.csv", "field.overlay.jpg"}
    for file in files:
        assert not [each for each in told if each in file.read_bytes()], file
