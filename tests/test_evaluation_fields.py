"""The finder's evaluation, on pictures whose right answer can be counted on fingers."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.errors import InputError, MissingExtraError, OutputError, ScaleError, UsageError
from edgeleuk.lab.evaluation.datasets import FieldSample
from edgeleuk.lab.evaluation.fields import FinderReport, evaluate_finder, match
from edgeleuk.lab.evaluation.photographs import View, photograph
from edgeleuk.lab.evaluation.plots import plot_finder
from edgeleuk.lab.evaluation.scales import ScaleMode, ScaleRule, estimate_by
from edgeleuk.lab.render.evaluation import render_finder
from edgeleuk.scale.red_cells import estimate_scale
from edgeleuk.types import Boxes, Detections, FieldOfView, Frame, Image, Scale

NAMES = ("WBC", "RBC")
SIZE = 400
Found = tuple[str, float, float, float, float, float]
"""Class, score, and x1 y1 x2 y2."""
Make = Callable[..., FieldSample]


class Fixed:
    """A finder that returns what was written down for a picture, told by the picture's red."""

    def __init__(self, found: Mapping[int, Sequence[Found]], names: tuple[str, ...] = NAMES) -> None:
        self.found = found
        self.names = names
        self.thresholds = dict.fromkeys(names, 0.5)

    def find(self, image: Image, scale: Scale, floor: float | None = None) -> Detections:  # noqa: ARG002
        rows = sorted(self.found.get(int(image[0, 0, 0]), ()), key=lambda row: -row[1])
        rows = [row for row in rows if row[1] >= (self.thresholds[row[0]] if floor is None else floor)]
        return Detections(
            np.array([row[2:] for row in rows], np.float32).reshape(-1, 4),
            np.array([row[1] for row in rows], np.float32),
            np.array([self.names.index(row[0]) for row in rows], np.int64),
            self.names,
        )


@pytest.fixture
def sample(tmp_path: Path) -> Make:
    """Makes a labelled picture of one colour, whose red is its id."""

    def make(
        image_id: int,
        boxes: Sequence[tuple[str, float, float, float, float]],
        labelled: Sequence[str] = NAMES,
        source: str = "bench",
        names: Sequence[str] = NAMES,
    ) -> FieldSample:
        path = tmp_path / f"{image_id}.png"
        cv2.imwrite(str(path), np.full((SIZE, SIZE, 3), (255, 128, image_id), np.uint8))
        return FieldSample(
            image_id=image_id,
            path=path,
            width=SIZE,
            height=SIZE,
            source=source,
            group=path.name,
            labelled=frozenset(labelled),
            boxes=np.array([box[1:] for box in boxes], np.float32).reshape(-1, 4),
            kinds=np.array([names.index(box[0]) for box in boxes], np.int64),
            subtypes=(None,) * len(boxes),
        )

    return make


def never(image: Image) -> Scale:
    raise ScaleError(f"no red cells in a picture of {image.shape}")


def evaluate(found: Mapping[int, Sequence[Found]], samples: Sequence[FieldSample]) -> FinderReport:
    rule = ScaleRule("given", {}, Scale.given(0.1), never)
    return evaluate_finder(Fixed(found), samples, NAMES, rule)


def grid(count: int, kind: str = "RBC") -> list[tuple[str, float, float, float, float]]:
    """Boxes of 20 pixels that do not touch, row by row."""
    return [
        (kind, x * 25.0, y * 25.0, x * 25.0 + 20, y * 25.0 + 20)
        for y, x in (divmod(i, 16) for i in range(count))
    ]


def as_found(boxes: Sequence[tuple[str, float, float, float, float]], score: float = 0.9) -> list[Found]:
    return [(box[0], score, *box[1:]) for box in boxes]


def test_perfect_detections_score_one(sample: Make) -> None:
    """A finder that reports just the annotated boxes has AP, recall, precision and count ratio 1."""
    boxes = [*grid(3), ("WBC", 300.0, 300.0, 380.0, 380.0)]
    report = evaluate({1: as_found(boxes)}, [sample(1, boxes)]).as_json()
    assert report["images"] == 1
    assert report["map50"] == report["map"] == 1.0
    for name in NAMES:
        figures = report["classes"][name]
        assert [figures[key] for key in ("ap50", "ap", "recall", "precision")] == [1.0, 1.0, 1.0, 1.0]
        assert report["counts"][name]["ratio"] == 1.0


def test_one_of_two_found_is_a_recall_of_a_half(sample: Make) -> None:
    """Half of the cells found, nothing wrong: recall 0.5, precision 1, AP of the 51 recall levels reached."""
    boxes = grid(2)
    report = evaluate({1: as_found(boxes[:1])}, [sample(1, boxes)]).as_json()
    figures = report["classes"]["RBC"]
    assert (figures["recall"], figures["precision"]) == (0.5, 1.0)
    assert figures["ap50"] == pytest.approx(51 / 101)
    assert report["counts"]["RBC"] == {"annotated": 2, "counted": 1, "ratio": 0.5, "mean_absolute_error": 1.0}


def test_average_precision_of_a_loose_box_depends_on_the_overlap(sample: Make) -> None:
    """A box of IoU 0.8 counts up to the level 0.80, at seven of COCO's ten levels."""
    found = {1: [("RBC", 0.9, 100.0, 100.0, 180.0, 200.0)]}
    figures = evaluate(found, [sample(1, [("RBC", 100, 100, 200, 200)])]).as_json()["classes"]["RBC"]
    assert figures["ap50"] == 1.0
    assert figures["ap"] == pytest.approx(0.7)


def test_detections_below_the_operating_threshold_count_for_average_precision_only(sample: Make) -> None:
    """A right box at score 0.2 raises AP, and neither recall nor the count."""
    boxes = grid(2)
    found = {1: [*as_found(boxes[:1]), *as_found(boxes[1:], score=0.2)]}
    report = evaluate(found, [sample(1, boxes)]).as_json()
    assert report["classes"]["RBC"]["ap50"] == 1.0
    assert report["classes"]["RBC"]["recall"] == 0.5
    assert report["counts"]["RBC"]["counted"] == 1


def test_a_second_box_on_a_cell_is_wrong(sample: Make) -> None:
    """A cell is found once: its second box lowers the precision."""
    found = {1: [("RBC", 0.9, 0, 0, 20, 20), ("RBC", 0.8, 0, 0, 20, 19)]}
    figures = evaluate(found, [sample(1, grid(1))]).as_json()["classes"]["RBC"]
    assert (figures["recall"], figures["precision"]) == (1.0, 0.5)


def test_unlabelled_class_is_left_out(sample: Make) -> None:
    """Red cells found in a picture that was labelled for white cells only are neither right nor wrong."""
    both, white_only = sample(1, grid(2)), sample(2, [("WBC", 0, 0, 50, 50)], labelled=["WBC"])
    found = {1: as_found(grid(2)), 2: [*as_found(grid(9)), ("WBC", 0.9, 0, 0, 50, 50)]}
    report = evaluate(found, [both, white_only]).as_json()
    assert report["classes"]["RBC"]["images"] == 1
    assert report["classes"]["RBC"]["precision"] == report["classes"]["RBC"]["ap50"] == 1.0
    assert report["counts"]["RBC"]["counted"] == 2


def test_annotations_of_an_unlabelled_class_are_left_out(sample: Make) -> None:
    """A box of a class that its picture does not name as labelled is no cell to be found."""
    report = evaluate({}, [sample(1, grid(2), labelled=["WBC"])]).as_json()
    assert report["counts"]["RBC"]["annotated"] == 0
    assert report["classes"]["RBC"]["recall"] is None


def test_class_without_annotations_is_null(sample: Make) -> None:
    """Where a class was looked for and none was there, its figures are null, and no part of the mean."""
    report = evaluate({1: as_found([*grid(1), ("WBC", 300, 300, 350, 350)])}, [sample(1, grid(1))]).as_json()
    white = report["classes"]["WBC"]
    assert [white[key] for key in ("ap50", "ap", "recall", "precision")] == [None] * 4
    assert report["counts"]["WBC"] == {
        "annotated": 0,
        "counted": 1,
        "ratio": None,
        "mean_absolute_error": 1.0,
    }
    assert report["map50"] == 1.0


def test_a_crowd_is_not_truncated(sample: Make) -> None:
    """150 cells in one picture all count, though COCO's own limit is 100 detections."""
    boxes = grid(150)
    report = evaluate({1: as_found(boxes)}, [sample(1, boxes)]).as_json()
    assert report["classes"]["RBC"]["ap50"] == report["classes"]["RBC"]["ap"] == 1.0


def test_boxes_beyond_the_edge_are_clipped(sample: Make) -> None:
    """An annotation that leaves the picture is compared by its part inside."""
    found = {1: [("RBC", 0.9, 0, 0, 20, 20)]}
    report = evaluate(found, [sample(1, [("RBC", -60, 0, 20, 20)])]).as_json()
    assert report["classes"]["RBC"]["ap"] == 1.0


def test_sources_are_reported_apart(sample: Make) -> None:
    """Each source has its own figures; the overall recall is over all cells."""
    samples = [sample(1, grid(3), source="clean"), sample(2, grid(1), source="dirty")]
    report = evaluate({1: as_found(grid(3))}, samples).as_json()
    recall = {source: part["classes"]["RBC"]["recall"] for source, part in report["by_source"].items()}
    assert recall == {"clean": 1.0, "dirty": 0.0}
    assert report["classes"]["RBC"]["recall"] == 0.75


def test_model_and_file_classes_are_matched_by_name(sample: Make) -> None:
    """The order of the file's classes does not matter; one that the model does not know is reported."""
    names = ("Parasite", "RBC", "WBC")
    one = sample(1, [*grid(1), ("Parasite", 100, 100, 120, 120)], labelled=names, names=names)
    rule = ScaleRule("given", {}, Scale.given(0.1), never)
    report = evaluate_finder(Fixed({1: as_found(grid(1))}), [one], names, rule)
    assert report.as_json()["classes"]["RBC"]["ap"] == 1.0
    assert report.not_in_model == ("Parasite",)


def test_no_class_in_common_is_an_error() -> None:
    """A file whose classes are all unknown is refused, and the message names both lists."""
    rule = ScaleRule("given", {}, Scale.given(0.1), never)
    with pytest.raises(UsageError, match=r"Leukocyte.*WBC, RBC"):
        evaluate_finder(Fixed({}), [], ["Leukocyte"], rule)


def test_picture_without_a_scale_counts_as_nothing_found(sample: Make) -> None:
    """Where the scale cannot be estimated, the picture's cells are missed and the picture is listed."""
    rule = ScaleRule("estimate", {}, None, never)
    report = evaluate_finder(Fixed({1: as_found(grid(2))}), [sample(1, grid(2))], NAMES, rule).as_json()
    assert report["classes"]["RBC"]["recall"] == 0.0
    assert report["classes"]["RBC"]["ap50"] == 0.0
    assert report["scale"]["failed"] == ["1.png"]


def test_picture_of_another_size_than_its_entry_is_refused(sample: Make) -> None:
    """Boxes on a picture of another size would be nonsense, so it is an error."""
    one = sample(1, grid(1))
    cv2.imwrite(str(one.path), np.full((90, 70, 3), (255, 128, 1), np.uint8))
    with pytest.raises(InputError, match=r"70 x 90.*400 x 400"):
        evaluate({}, [one])


def test_progress_is_told_after_every_picture(sample: Make) -> None:
    """The callback hears how many pictures are done, and of how many."""
    told: list[tuple[int, int]] = []
    rule = ScaleRule("given", {}, Scale.given(0.1), never)
    samples = [sample(1, grid(1)), sample(2, grid(1))]
    evaluate_finder(Fixed({}), samples, NAMES, rule, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


def test_nothing_is_printed(sample: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output belongs to the result: the COCO library's chatter stays off it."""
    evaluate({1: as_found(grid(2))}, [sample(1, grid(2))])
    assert capsys.readouterr() == ("", "")


def test_match_takes_the_best_score_first() -> None:
    """Each truth box is given away once, to the first detection that overlaps it most."""
    truth: Boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32)
    boxes: Boxes = np.array([[0, 0, 10, 9], [0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 60, 60]], np.float32)
    assert match(truth, boxes).tolist() == [0, -1, 1, -1]


def test_match_needs_half_an_overlap() -> None:
    """IoU 0.5 is enough, less is not."""
    truth: Boxes = np.array([[0, 0, 10, 10]], np.float32)
    assert match(truth, np.array([[0, 0, 5, 10]], np.float32)).tolist() == [0]
    assert match(truth, np.array([[0, 0, 4.9, 10]], np.float32)).tolist() == [-1]


class TestScaleRule:
    """Where the scale of a picture comes from."""

    IMAGE = np.zeros((SIZE, SIZE, 3), np.uint8)
    ESTIMATE = Scale(0.11, 0.11, "red cells", 0.03, 20)

    def rule(
        self, mode: ScaleMode, samples: Sequence[FieldSample], um_per_px: float | None = None
    ) -> ScaleRule:
        return ScaleRule.of(mode, samples, NAMES, lambda _: self.ESTIMATE, um_per_px)

    def red(self, sample: Make, image_id: int = 1) -> FieldSample:
        return sample(image_id, [(k, x + 10, y + 10, r + 10, b + 10) for k, x, y, r, b in grid(8)])

    def test_truth_comes_from_red_cells(self, sample: Make) -> None:
        """Boxes of 20 px around red cells, 7.78 um with their margin, are 0.389 um per pixel."""
        one = self.red(sample)
        scale = self.rule("truth", [one])(one, self.IMAGE)
        assert scale.source == "annotation"
        assert scale.um_per_px == pytest.approx(0.389)

    def test_truth_falls_back_to_the_given_scale_and_then_to_the_estimate(self, sample: Make) -> None:
        """A picture without red cells takes --um-per-px, and without that the estimate."""
        one = sample(1, [("WBC", 0, 0, 50, 50)], source="white only")
        assert self.rule("truth", [one], 0.2)(one, self.IMAGE) == Scale.given(0.2)
        assert self.rule("truth", [one])(one, self.IMAGE) == self.ESTIMATE

    def test_estimate_ignores_what_is_known(self, sample: Make) -> None:
        """The mode estimate is what analyze does alone."""
        one = self.red(sample)
        assert self.rule("estimate", [one], 0.2)(one, self.IMAGE) == self.ESTIMATE

    def test_given_needs_a_number(self) -> None:
        """The mode given without --um-per-px says what to add."""
        with pytest.raises(UsageError, match="--um-per-px"):
            self.rule("given", [])

    def test_estimates_are_compared_with_the_annotation(self, sample: Make) -> None:
        """Errors are relative to the annotated scale, and a failed estimate lies outside of every limit."""
        samples = [self.red(sample, image_id) for image_id in (1, 2, 3)]
        answers = iter([0.389, 0.389 * 1.1, None])

        def estimate(image: Image) -> Scale:
            answer = next(answers)
            return Scale(answer, answer, "red cells", 0.03, 9) if answer else never(image)

        rule = ScaleRule.of("estimate", samples, NAMES, estimate)
        result = evaluate_finder(Fixed({}), samples, NAMES, rule).scale
        assert result.errors == (pytest.approx(0, abs=1e-6), pytest.approx(0.1), math.inf)
        figures = result.as_json()
        assert figures["sources"] == {"red cells": 2}
        assert figures["compared"] == 3
        assert figures["median_relative_error"] == pytest.approx(0.1)
        assert figures["share_within_5_percent"] == pytest.approx(1 / 3)
        assert figures["share_within_15_percent"] == pytest.approx(2 / 3)


def test_table_fits_80_columns(sample: Make) -> None:
    """No line of the report is longer than a terminal, and every class and source is in it."""
    samples = [sample(1, grid(3), source="a camera with a long name"), sample(2, grid(1), source="b")]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render_finder(evaluate({1: as_found(grid(3))}, samples)))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert all(word in text for word in ("WBC", "RBC", "a camera with a long name", "mAP50"))


def test_plot_is_written(sample: Make, tmp_path: Path) -> None:
    """The precision-recall plot lands under the given name."""
    path = tmp_path / "curves.png"
    plot_finder(evaluate({1: as_found(grid(2))}, [sample(1, grid(3))]), path)
    assert cv2.imread(str(path)) is not None


def test_plot_into_a_missing_folder_is_an_error(sample: Make, tmp_path: Path) -> None:
    """A plot that cannot be written says so, with what to do."""
    with pytest.raises(OutputError, match="writable folder"):
        plot_finder(evaluate({}, [sample(1, grid(1))]), tmp_path / "absent" / "curves.png")


def test_without_the_coco_library_the_remedy_is_named(sample: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Average precision needs an extra; without it the message is the command that installs it."""
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'edgeleuk\[eval\]'"):
        evaluate({}, [sample(1, grid(1))])


def test_without_matplotlib_the_remedy_is_named(
    sample: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So does a plot; the figures themselves come without it."""
    report = evaluate({}, [sample(1, grid(1))])
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'edgeleuk\[eval\]'"):
        plot_finder(report, tmp_path / "curves.png")


def test_estimates_are_those_of_analyze_behind_an_eyepiece_too(analyser: Analyser, demo_frame: Frame) -> None:
    """Cells that the rim cuts are left out, and rims tell beside boxes: the scale is the analysis's, not the whole picture's."""
    height, width = demo_frame.pixels.shape[:2]
    taken = photograph(demo_frame.pixels, FieldOfView(width / 2, height / 2, 350, 350), View()).image
    found = estimate_by(analyser.finder)(taken)
    assert found == analyser.analyse(Frame(taken, "disc")).scale
    assert found != estimate_scale(taken, analyser.finder)
