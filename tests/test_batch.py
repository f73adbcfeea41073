"""The pictures of a slide together: one scale, each cell once, nothing lost to a bad file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import pytest
from standard import RULES

from edgeleuk.batch import Analysed, Batch, Failed
from edgeleuk.errors import InputError, NotAnImageError
from edgeleuk.optics import resize
from edgeleuk.pipeline import Analyser
from edgeleuk.types import Field, Frame, Image, Scale

UM_PER_PX = 0.1
"""Of the demo."""


def saved(path: Path, image: Image) -> Path:
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])
    return path


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory, demo_frame: Frame) -> list[Path]:
    """The demo as two pictures that share their middle third."""
    folder, third = tmp_path_factory.mktemp("halves"), demo_frame.width // 24 * 8
    return [
        saved(folder / "left.jpg", demo_frame.pixels[:, : 2 * third]),
        saved(folder / "right.jpg", demo_frame.pixels[:, third : 3 * third]),
    ]


def analysed(batch: Batch, paths: Sequence[Path]) -> Batch:
    for done in batch.analyse_all(paths):
        assert isinstance(done, Analysed)
    return batch


def white_cells(fields: Sequence[Field]) -> int:
    return sum(cell.reading is not None for field in fields for cell in field.cells)


def test_a_cell_that_two_pictures_show_counts_once(
    analyser: Analyser, demo_frame: Frame, halves: list[Path]
) -> None:
    """Both halves together have the white cells of the whole, and what is shared is told."""
    batch = analysed(Batch(analyser, RULES, Scale.given(UM_PER_PX)), halves)
    whole = analyser.analyse(
        Frame(demo_frame.pixels[:, : demo_frame.width // 24 * 24], "whole"), Scale.given(UM_PER_PX)
    )
    assert white_cells(batch.counted) == white_cells([whole])
    assert white_cells(batch.fields) > white_cells(batch.counted)
    again = Counter(batch.fields[1].cells[i].kind for i in batch.repeated[1])
    assert not batch.repeated[0]
    assert again["WBC"] == len(batch.fields[0].of("WBC")) + len(batch.fields[1].of("WBC")) - len(
        [cell for field in batch.counted for cell in field.of("WBC")]
    )


def test_separate_pictures_add_up(analyser: Analyser, halves: list[Path]) -> None:
    """Where the user says that they show different places, nothing is looked for."""
    batch = analysed(Batch(analyser, RULES, Scale.given(UM_PER_PX), overlapping=False), halves)
    assert batch.counted == batch.fields
    assert batch.repeated == (frozenset(), frozenset())


def test_workers_change_nothing(analyser: Analyser, halves: list[Path]) -> None:
    """Two at a time give what one gives, in the same order."""
    one, two = (
        analysed(Batch(analyser, RULES, Scale.given(UM_PER_PX), workers=workers), halves * 2).counted
        for workers in (1, 2)
    )
    assert [field.name for field in one] == [field.name for field in two]
    assert [field.cells for field in one] == [field.cells for field in two]


def test_a_bad_file_never_ends_a_batch(analyser: Analyser, halves: list[Path], tmp_path: Path) -> None:
    """What cannot be read is told in its place."""
    (tmp_path / "not.jpg").write_bytes(b"nothing")
    items = [halves[0], tmp_path / "not.jpg", InputError("no file matches x."), halves[1]]
    done = list(Batch(analyser, RULES, Scale.given(UM_PER_PX)).analyse_all(items))
    assert [type(each) for each in done] == [Analysed, Failed, Failed, Analysed]
    assert isinstance(done[1], Failed)
    assert done[1].path == str(tmp_path / "not.jpg")
    assert isinstance(done[1].error, NotAnImageError)


def test_a_picture_of_few_red_cells_takes_the_scale_of_the_others(
    analyser: Analyser, demo_frame: Frame, tmp_path: Path
) -> None:
    """Alone it would be refused."""
    pixels = demo_frame.pixels[: demo_frame.height // 8 * 8, : demo_frame.width // 8 * 8]
    paths = [saved(tmp_path / f"{i}.jpg", pixels) for i in range(4)]
    bare = pixels.copy()
    bare[:] = pixels[0, 0]
    bare[::7, ::5, 0] -= 9  # not grey
    paths.append(saved(tmp_path / "bare.jpg", bare))
    batch = Batch(analyser, RULES)
    batch.settle(paths)
    fields = analysed(batch, paths).fields
    assert fields[-1].scale.um_per_px == pytest.approx(UM_PER_PX, rel=0.06)


def test_a_picture_through_another_lens_keeps_its_own_scale(
    analyser: Analyser, demo_frame: Frame, tmp_path: Path
) -> None:
    """Its red cells contradict the scale that the others have in common."""
    pixels = demo_frame.pixels[: demo_frame.height // 8 * 8, : demo_frame.width // 8 * 8]
    height, width = pixels.shape[:2]
    paths = [saved(tmp_path / f"{i}.jpg", pixels) for i in range(5)]
    middle = pixels[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4]
    paths.append(saved(tmp_path / "zoomed.jpg", resize(middle, width, height)))
    batch = Batch(analyser, RULES)
    batch.settle(paths[:5])
    assert analysed(batch, paths).fields[-1].scale.um_per_px == pytest.approx(UM_PER_PX / 2, rel=0.08)


def test_a_large_picture_is_decoded_smaller_and_answered_in_its_own_pixels(
    analyser: Analyser, demo_frame: Frame, tmp_path: Path
) -> None:
    """At a quarter of the scale a model asks for, half of the pixels will do; boxes are those of the file."""
    pixels = demo_frame.pixels[: demo_frame.height // 8 * 8, : demo_frame.width // 8 * 8]
    height, width = pixels.shape[:2]
    path = saved(tmp_path / "large.jpg", resize(pixels, 4 * width, 4 * height))
    batch = Batch(analyser, RULES, Scale.given(UM_PER_PX / 4))
    (done,) = batch.analyse_all([path])
    assert isinstance(done, Analysed)
    assert done.frame.shrunk > 1
    (field,) = batch.fields
    assert (field.width, field.height) == (4 * width, 4 * height)
    assert field.scale.um_per_px == pytest.approx(UM_PER_PX / 4)
    plain = analyser.analyse(Frame(pixels, "plain"), Scale.given(UM_PER_PX))
    assert len(field.of("WBC")) == len(plain.of("WBC"))
    for mine, theirs in zip(
        sorted(c.box for c in field.of("WBC")), sorted(c.box for c in plain.of("WBC")), strict=True
    ):
        assert mine == pytest.approx([4 * side for side in theirs], abs=20)


def test_what_another_camera_took_is_not_decoded_smaller(
    analyser: Analyser, demo_frame: Frame, tmp_path: Path
) -> None:
    """A small picture among large ones of a finer scale keeps all its pixels, and its own scale."""
    pixels = demo_frame.pixels[: demo_frame.height // 8 * 8, : demo_frame.width // 8 * 8]
    height, width = pixels.shape[:2]
    large = [saved(tmp_path / f"{i}.jpg", resize(pixels, 4 * width, 4 * height)) for i in range(4)]
    small = saved(tmp_path / "small.jpg", pixels)
    batch = Batch(analyser, RULES)
    batch.settle(large)
    (done,) = batch.analyse_all([small])
    assert isinstance(done, Analysed)
    assert done.frame.shrunk == 1
    assert done.field.scale.um_per_px == pytest.approx(UM_PER_PX, rel=0.06)
