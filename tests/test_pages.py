"""The pages of a TIFF: each is a picture of the slide."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from standard import slide_of

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.counting.pictures import Batch
from edgeleuk.errors import NotAnImageError
from edgeleuk.sources.pictures.listing import pages_of, pictures
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.types import UNCLASSIFIED, Frame, Image, PictureFile, Refusal


def paged(path: Path, images: list[Image]) -> Path:
    """A TIFF with these pages."""
    assert cv2.imwritemulti(str(path), [cv2.cvtColor(image, cv2.COLOR_RGB2BGR) for image in images])
    return path


@pytest.fixture
def coloured() -> list[Image]:
    """Three pictures of one colour each."""
    return [
        np.full((80, 96, 3), colour, np.uint8) for colour in ((200, 30, 90), (30, 200, 90), (90, 30, 200))
    ]


def test_each_page_is_a_picture(tmp_path: Path, coloured: list[Image]) -> None:
    """In their order, named by file and page, and decoded to what they hold."""
    path = paged(tmp_path / "three.tif", coloured)
    found = list(pictures([str(tmp_path)]))
    assert found == [PictureFile(path, page, 3) for page in range(3)]
    frames = [read_picture(each) for each in found if isinstance(each, PictureFile)]
    assert [frame.name for frame in frames] == [f"{path} page {page}" for page in (1, 2, 3)]
    for frame, image in zip(frames, coloured, strict=True):
        np.testing.assert_array_equal(frame.pixels, image)


def test_a_file_of_one_page_is_named_by_itself(tmp_path: Path, coloured: list[Image]) -> None:
    """Nothing is said of pages where there is one."""
    path = paged(tmp_path / "one.tif", coloured[:1])
    assert [str(each) for each in pages_of(path)] == [str(path)]


def test_smaller_copies_of_a_page_are_no_pictures(tmp_path: Path, coloured: list[Image]) -> None:
    """A reduced copy, as a pyramid holds it, is marked as one in its directory (NewSubfileType 1): left out, and told."""
    path = paged(tmp_path / "pyramid.tif", coloured)
    data = bytearray(path.read_bytes())
    order = "<" if data[:2] == b"II" else ">"
    place = struct.unpack_from(order + "I", data, 4)[0]
    for page in range(3):
        entries = struct.unpack_from(order + "H", data, place)[0]
        for at in range(place + 2, place + 2 + 12 * entries, 12):
            if struct.unpack_from(order + "H", data, at)[0] == 254 and page:
                struct.pack_into(order + "I", data, at + 8, 1)
        place = struct.unpack_from(order + "I", data, place + 2 + 12 * entries)[0]
    path.write_bytes(data)
    picture, told = pages_of(path)
    assert picture == PictureFile(path)
    assert isinstance(told, Refusal)
    assert (
        told.text
        == f"{path} holds 2 smaller copies or masks of its pictures. Only the pictures themselves are analysed."
    )


def test_a_circle_of_pages_ends(tmp_path: Path, coloured: list[Image]) -> None:
    """A directory that names the first one as its next is followed once."""
    path = paged(tmp_path / "circle.tif", coloured[:2])
    data = bytearray(path.read_bytes())
    order = "<" if data[:2] == b"II" else ">"
    first = struct.unpack_from(order + "I", data, 4)[0]
    entries = struct.unpack_from(order + "H", data, first)[0]
    second = struct.unpack_from(order + "I", data, first + 2 + 12 * entries)[0]
    entries = struct.unpack_from(order + "H", data, second)[0]
    struct.pack_into(order + "I", data, second + 2 + 12 * entries, first)
    path.write_bytes(data)
    assert len(list(pages_of(path))) == 2


def test_a_page_that_is_gone_is_told(tmp_path: Path, coloured: list[Image]) -> None:
    """The file was written anew with fewer pages since it was listed."""
    path = paged(tmp_path / "three.tif", coloured)
    last = list(pages_of(path))[-1]
    paged(path, coloured[:2])
    with pytest.raises(NotAnImageError, match="has 2 pages, and no page 3"):
        read_picture(last)


def test_pages_that_are_shifted_copies_of_one_place_count_once(
    analyser: Analyser, demo_frame: Frame, tmp_path: Path
) -> None:
    """Each page is the first one shifted around: what comes in at the other edge is known as well."""
    path = paged(tmp_path / "four.tif", [np.roll(demo_frame.pixels, 200 * i, 1) for i in range(4)])
    slide = slide_of(analyser)
    list(Batch(slide).analyse_all(list(pages_of(path))))
    alone = slide_of(analyser)
    alone.consider(demo_frame)
    assert slide.number == 4
    four, one = slide.tally().white, alone.tally().white
    assert sum(four.values()) == sum(one.values())
    # Several views of a cell may name one that a single view did not, and never take a name away.
    assert {label: n for label, n in one.items() if label != UNCLASSIFIED and four[label] < n} == {}
    assert slide.tally().kinds == alone.tally().kinds
    assert slide.map.area_mm2 == pytest.approx(alone.map.area_mm2, rel=0.02)
    assert {(each.number, each.other) for each in slide.map.overlaps} >= {(2, 1), (3, 2), (4, 3)}
