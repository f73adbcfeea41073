"""The pictures of a slide together: one scale, each cell once, nothing lost to a bad file."""

from __future__ import annotations

import csv
import io
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import cv2
import pytest
from standard import slide_of

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.analysis.observation import Observation
from edgeleuk.cli._overlays import Overlays
from edgeleuk.cli._results import ResultFolder, Run
from edgeleuk.counting.pictures import Analysed, Batch, Failed
from edgeleuk.counting.scale_policy import SAMPLED
from edgeleuk.counting.slide import Examined
from edgeleuk.errors import InputError, NotAnImageError
from edgeleuk.imaging.resampling import resize
from edgeleuk.render import overlay, tables
from edgeleuk.types import Field, Frame, Image, PictureFile, Reading, Scale

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


def batch_of(analyser: Analyser, given: float | None = None, workers: int = 1, **options: Any) -> Batch:
    return Batch(slide_of(analyser, Scale.given(given) if given else None, **options), workers)


def analysed(batch: Batch, paths: Sequence[Path]) -> list[Analysed]:
    done = list(batch.analyse_all([PictureFile(path) for path in paths]))
    assert all(isinstance(each, Analysed) for each in done)
    return done  # type: ignore[return-value]


def white_cells(fields: Sequence[Field]) -> int:
    return sum(cell.reading is not None for field in fields for cell in field.cells)


def test_a_cell_that_two_pictures_show_counts_once(
    analyser: Analyser, demo_frame: Frame, halves: list[Path]
) -> None:
    """Both halves together have the white cells of the whole, and what is shared is told."""
    batch = batch_of(analyser, UM_PER_PX)
    first, second = (each.counted for each in analysed(batch, halves))
    whole = analyser.analyse(
        Frame(demo_frame.pixels[:, : demo_frame.width // 24 * 24], "whole"), Scale.given(UM_PER_PX)
    )
    counted = batch.slide.map.fields()
    assert white_cells(counted) == white_cells([whole])
    assert white_cells([first.field, second.field]) > white_cells(counted)
    again = Counter(
        cell.kind
        for cell, identity in zip(second.field.cells, second.identities, strict=True)
        if identity not in second.fresh
    )
    assert first.fresh == {*first.identities}
    assert again["WBC"] == len(first.field.of("WBC")) + len(second.field.of("WBC")) - len(
        [cell for field in counted for cell in field.of("WBC")]
    )


def read_otherwise(batch: Batch, stem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make one picture's white cells sure basophils: what they are alone is not what they are together."""
    examine, labels = batch.slide.examine, batch.slide.analyser.reader.labels
    probabilities = dict.fromkeys(labels, 0.001) | {"basophil": 1 - 0.001 * (len(labels) - 1)}

    def basophils(seen: Observation) -> Examined:
        examined = examine(seen)
        if Path(seen.frame.name).stem != stem:
            return examined
        sure = Reading("basophil", probabilities["basophil"], probabilities, {})
        cells = tuple(replace(cell, reading=sure) if cell.reading else cell for cell in examined.field.cells)
        return replace(examined, field=replace(examined.field, cells=cells))

    monkeypatch.setattr(batch.slide, "examine", basophils)


def labels_of(field: Field) -> list[str | None]:
    return [cell.reading and cell.reading.label for cell in field.cells]


def test_cells_have_one_reading_wherever_they_are_given(
    analyser: Analyser, halves: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two pictures that overlap and are read otherwise: in the CSV, the JSON and the differential."""
    batch = batch_of(analyser, UM_PER_PX)
    read_otherwise(batch, "right", monkeypatch)
    first = analysed(batch, halves)[0]
    result = batch.slide.result()
    shown = result.as_counted()
    assert labels_of(shown[0]) != labels_of(first.counted.field)
    differential = result.differential
    counts = {label: share.count for label, share in differential.types.items()} | differential.outside
    counted = {label: n for label, n in counts.items() if n}
    rows = csv.DictReader(io.StringIO(tables.cells_csv(result, [])))
    assert Counter(row["label"] for row in rows if row["label"] and row["counted"] == "1") == counted
    images = tables.document(result)["images"]
    cells = [cell for image in images for cell in image["cells"] if cell["label"] and cell["counted"]]
    assert Counter(cell["label"] for cell in cells) == counted


def overlays_in(folder: Path, labels: Sequence[str]) -> Overlays:
    return Overlays(ResultFolder(folder, Run(str(UUID(int=1)), "key", "pictures", "")), labels)


def test_annotated_pictures_have_the_readings_that_count(
    analyser: Analyser, halves: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of two pictures is drawn again; the second one, whose own readings it keeps, is not."""
    batch, labels = batch_of(analyser, UM_PER_PX), analyser.reader.labels
    read_otherwise(batch, "right", monkeypatch)
    drawn = overlays_in(tmp_path, labels)
    for each in analysed(batch, halves):
        drawn.draw(each)
    again: list[Field] = []

    def draw(image: Image, field: Field, _: Sequence[str]) -> Image:
        again.append(field)
        return image

    monkeypatch.setattr(overlay, "draw", draw)
    result = batch.slide.result()
    drawn.sign(result)
    assert again == [result.as_counted()[0]]
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == ["left.overlay.jpg", "right.overlay.jpg"]


def test_a_picture_that_is_gone_when_it_is_drawn_again_stays_as_it_was(
    analyser: Analyser, halves: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stick that was pulled out costs no result: the verdict is written below what was drawn."""
    batch, labels = batch_of(analyser, UM_PER_PX), analyser.reader.labels
    read_otherwise(batch, "right", monkeypatch)
    stick = [Path(shutil.copy(each, tmp_path)) for each in halves]
    drawn = overlays_in(tmp_path, labels)
    for each in analysed(batch, stick):
        drawn.draw(each)
        assert each.frame.file is not None
        each.frame.file.path.unlink()
    before = cv2.imread(str(tmp_path / "left.overlay.jpg"))
    drawn.sign(batch.slide.result())
    after = cv2.imread(str(tmp_path / "left.overlay.jpg"))
    assert after.shape[0] > before.shape[0]
    assert abs(after[: len(before) - 16].astype(int) - before[:-16]).mean() < 1


def test_separate_pictures_add_up(analyser: Analyser, halves: list[Path]) -> None:
    """Where the user says that they show different places, nothing is looked for."""
    batch = batch_of(analyser, UM_PER_PX, overlapping=False)
    done = analysed(batch, halves)
    assert batch.slide.map.fields() == tuple(each.counted.field for each in done)
    assert all(each.counted.fresh == {*each.counted.identities} for each in done)


def test_workers_change_nothing(analyser: Analyser, halves: list[Path]) -> None:
    """Two at a time give what one gives, in the same order."""
    one, two = (analysed(batch_of(analyser, UM_PER_PX, workers), [*halves, *halves]) for workers in (1, 2))
    assert [each.field.name for each in one] == [each.field.name for each in two]
    assert [each.counted.field.cells for each in one] == [each.counted.field.cells for each in two]


def test_a_bad_file_never_ends_a_batch(analyser: Analyser, halves: list[Path], tmp_path: Path) -> None:
    """What cannot be read is told in its place, and kept with the result."""
    (tmp_path / "not.jpg").write_bytes(b"nothing")
    batch = batch_of(analyser, UM_PER_PX)
    error = InputError("no file matches x.")
    items = [PictureFile(halves[0]), PictureFile(tmp_path / "not.jpg"), error, PictureFile(halves[1])]
    done = list(batch.analyse_all(items))
    assert [type(each) for each in done] == [Analysed, Failed, Failed, Analysed]
    assert isinstance(done[1], Failed)
    assert done[1].path == str(tmp_path / "not.jpg")
    assert isinstance(done[1].error, NotAnImageError)
    assert [(each.name, each.code) for each in batch.slide.refused] == [
        (str(tmp_path / "not.jpg"), "NotAnImageError"),
        ("", "InputError"),
    ]


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
    last = analysed(batch_of(analyser), paths)[-1]
    assert last.counted.field.scale.um_per_px == pytest.approx(UM_PER_PX, rel=0.06)


def test_a_picture_through_another_lens_keeps_its_own_scale(
    analyser: Analyser, demo_frame: Frame, tmp_path: Path
) -> None:
    """Its red cells contradict the scale that the others have in common."""
    pixels = demo_frame.pixels[: demo_frame.height // 8 * 8, : demo_frame.width // 8 * 8]
    height, width = pixels.shape[:2]
    paths = [saved(tmp_path / f"{i}.jpg", pixels) for i in range(5)]
    middle = pixels[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4]
    paths.append(saved(tmp_path / "zoomed.jpg", resize(middle, width, height)))
    last = analysed(batch_of(analyser), paths)[-1]
    assert last.counted.field.scale.um_per_px == pytest.approx(UM_PER_PX / 2, rel=0.08)


def test_a_large_picture_is_decoded_smaller_and_answered_in_its_own_pixels(
    analyser: Analyser, demo_frame: Frame, tmp_path: Path
) -> None:
    """At a quarter of the scale a model asks for, half of the pixels will do; boxes are those of the file."""
    pixels = demo_frame.pixels[: demo_frame.height // 8 * 8, : demo_frame.width // 8 * 8]
    height, width = pixels.shape[:2]
    path = saved(tmp_path / "large.jpg", resize(pixels, 4 * width, 4 * height))
    batch = batch_of(analyser, UM_PER_PX / 4)
    (done,) = analysed(batch, [path])
    assert done.frame.shrunk > 1
    (field,) = batch.slide.map.fields()
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
    batch = batch_of(analyser)
    batch.survey([PictureFile(path) for path in large])
    (done,) = analysed(batch, [small])
    assert done.frame.shrunk == 1
    assert done.field.scale.um_per_px == pytest.approx(UM_PER_PX, rel=0.06)


@pytest.mark.parametrize(("workers", "number"), [(1, 4), (2, 12)])
def test_a_survey_tells_how_far_it_is(
    analyser: Analyser, demo_frame: Frame, tmp_path: Path, workers: int, number: int
) -> None:
    """From none to all of the pictures that it measures, at most SAMPLED, one at a time."""
    path = saved(tmp_path / "a.jpg", demo_frame.pixels[:400, :400])
    told: list[tuple[int, int]] = []
    batch_of(analyser, workers=workers).survey(
        [PictureFile(path, page, number) for page in range(number)], lambda done, of: told.append((done, of))
    )
    measured = min(number, SAMPLED)
    assert told == [(done, measured) for done in range(measured + 1)]
