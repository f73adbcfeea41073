"""The reader's evaluation, on cells whose right answer can be counted on fingers."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from rich.console import Console
from standard import RULES

from edgeleuk.errors import InputError, OutputError, UsageError
from edgeleuk.lab.evaluation import metrics
from edgeleuk.lab.evaluation.cells import ReaderReport, evaluate_reader
from edgeleuk.lab.evaluation.datasets import CellSample, load_cells, of_split
from edgeleuk.lab.evaluation.plots import plot_reader
from edgeleuk.lab.render.evaluation import render_reader
from edgeleuk.models.manifest import GROUPS, MATURE, TOLD_BY_LABEL
from edgeleuk.statistics.intervals import clopper_pearson
from edgeleuk.types import Image, Scale

LABELS = ("neutrophil", "lymphocyte", "monocyte", "blast", "erythroblast")
ATTRIBUTES = {"cytoplasm_vacuole": ("no", "yes")}
SIZE = 8
Make = Callable[..., CellSample]


class Fixed:
    """A reader that returns what was written down for a cell, told by the red in its middle."""

    labels = LABELS
    merge: Mapping[str, str] = {"band": "neutrophil"}
    mature = MATURE
    blast_like = GROUPS["blast_like"]
    subtypes: Mapping[str, str] = {}
    attributes: Mapping[str, tuple[str, ...]] = ATTRIBUTES
    threshold = 0.6

    def __init__(self, types: Mapping[int, Sequence[float]], yes: Mapping[int, float] | None = None) -> None:
        self.types = types
        self.yes = yes or {}
        self.cropped: list[tuple[Scale, tuple[float, float]]] = []

    def crop(self, image: Image, scale: Scale, centre: tuple[float, float]) -> Image:
        self.cropped.append((scale, centre))
        x, y = int(centre[0]), int(centre[1])
        return image[y - SIZE // 2 : y + SIZE // 2, x - SIZE // 2 : x + SIZE // 2]

    def probabilities(
        self, crops: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        levels = crops[:, SIZE // 2, SIZE // 2, 0].tolist()
        yes = np.array([self.yes.get(level, 0.0) for level in levels], np.float32)
        types = np.array([self.types[level] for level in levels], np.float32)
        return types, {"cytoplasm_vacuole": np.stack([1 - yes, yes], axis=1)}


@pytest.fixture
def cell(tmp_path: Path) -> Make:
    """Makes a labelled cell whose picture has one colour, of the given red."""

    def make(
        level: int, label: str, source: str = "bench", um_per_px: float = 0.1, **attributes: str
    ) -> CellSample:
        path = tmp_path / f"{level}.png"
        cv2.imwrite(str(path), np.full((70, 100, 3), (255, 128, level), np.uint8))
        return CellSample(path, source, "val", "", label, um_per_px, attributes)

    return make


def sure(label: str, probability: float = 0.9) -> list[float]:
    """`probability` for one type, the rest shared evenly."""
    rest = (1 - probability) / (len(LABELS) - 1)
    return [probability if name == label else rest for name in LABELS]


def five_cells(cell: Make) -> ReaderReport:
    """Five cells: one lymphocyte is read as a monocyte, unsurely; one blast is read as a lymphocyte."""
    readings = {
        1: sure("neutrophil"),
        2: sure("lymphocyte"),
        3: sure("monocyte", 0.5),
        4: sure("blast"),
        5: sure("lymphocyte", 0.8),
    }
    labels = ("neutrophil", "lymphocyte", "lymphocyte", "blast", "blast")
    samples = [cell(level, label, "a" if level < 4 else "b") for level, label in enumerate(labels, start=1)]
    return evaluate_reader(Fixed(readings), samples, RULES)


def test_accuracy_and_confusion(cell: Make) -> None:
    """Accuracy is the share of cells whose best type is right; the confusion names each truth and reading."""
    report = five_cells(cell).as_json()
    assert report["n"] == 5
    assert report["accuracy"] == 0.6
    assert report["confusion"] == {
        "neutrophil": {"neutrophil": 1},
        "lymphocyte": {"lymphocyte": 1, "monocyte": 1},
        "blast": {"lymphocyte": 1, "blast": 1},
    }


def test_accuracy_carries_its_exact_interval(cell: Make) -> None:
    """Four right of four leave an accuracy down to the fourth root of 0.025 (Clopper and Pearson)."""
    samples = [cell(level, "blast") for level in range(1, 5)]
    report = evaluate_reader(Fixed({level: sure("blast") for level in range(1, 5)}), samples, RULES).as_json()
    assert report["accuracy_interval"] == [pytest.approx(0.025**0.25), 1.0]


def test_accuracy5_chooses_among_the_mature_types_only(cell: Make) -> None:
    """A lymphocyte read as a blast counts as right when lymphocyte is the best of the mature types."""
    readings = {1: [0.0, 0.4, 0.0, 0.6, 0.0], 2: [0.1, 0.0, 0.3, 0.6, 0.0], 3: sure("lymphocyte")}
    samples = [cell(1, "lymphocyte"), cell(2, "neutrophil"), cell(3, "blast")]
    report = evaluate_reader(Fixed(readings), samples, RULES).as_json()
    assert report["accuracy"] == 0.0
    assert (report["accuracy5"], report["n5"]) == (0.5, 2)


def test_accuracy5_is_null_without_mature_cells(cell: Make) -> None:
    """Blasts alone say nothing of the five-part differential."""
    report = evaluate_reader(Fixed({1: sure("blast")}), [cell(1, "blast")], RULES).as_json()
    assert (report["accuracy5"], report["accuracy5_interval"], report["n5"]) == (None, None, 0)


def test_sources_are_reported_apart(cell: Make) -> None:
    """Each source has its own cells and accuracy."""
    by_source = five_cells(cell).as_json()["by_source"]
    assert {source: (part["n"], part["accuracy"]) for source, part in by_source.items()} == {
        "a": (3, pytest.approx(2 / 3)),
        "b": (2, 0.5),
    }


def test_recall_is_given_by_source_and_type(cell: Make) -> None:
    """Each source's own types, with their cells and exact intervals, and no type that it lacks."""
    each = five_cells(cell).as_json()["by_source_and_type"]
    assert set(each["a"]) == {"neutrophil", "lymphocyte"}
    assert each["a"]["lymphocyte"] == {"n": 2, "recall": 0.5, "recall_interval": list(clopper_pearson(1, 2))}
    assert each["b"] == {"blast": {"n": 2, "recall": 0.5, "recall_interval": list(clopper_pearson(1, 2))}}


def test_figures_by_type(cell: Make) -> None:
    """Recall, precision and F1 by type; a wrong name given below the threshold is no false positive."""
    by_type = five_cells(cell).as_json()["by_type"]
    lymphocyte = by_type["lymphocyte"]
    assert (lymphocyte["n"], lymphocyte["recall"], lymphocyte["precision"], lymphocyte["f1"]) == (
        2,
        0.5,
        0.5,
        0.5,
    )
    assert lymphocyte["false_positives"] == {"cells": 3, "errors": 1}
    assert by_type["monocyte"]["recall"] is None
    assert by_type["monocyte"]["false_positives"] == {"cells": 5, "errors": 0}


def test_macro_f1_is_over_the_types_in_the_truth(cell: Make) -> None:
    """Neutrophil 1, lymphocyte 1/2, blast 2/3; a monocyte that was only guessed is no class of its own."""
    assert five_cells(cell).readings.macro_f1 == pytest.approx((1 + 1 / 2 + 2 / 3) / 3)


def test_types_the_model_does_not_know_are_left_out_and_counted(cell: Make) -> None:
    """A label outside the model is no mistake; one that the model merges is known."""
    samples = [cell(1, "band"), cell(2, "plasma_cell"), cell(3, "plasma_cell")]
    report = evaluate_reader(Fixed({1: sure("neutrophil")}), samples, RULES).as_json()
    assert (report["n"], report["accuracy"], report["left_out"]) == (1, 1.0, {"plasma_cell": 2})


def test_nothing_known_is_an_error(cell: Make) -> None:
    """A table of which the reader knows no type is refused, naming what it knows."""
    with pytest.raises(UsageError, match="neutrophil"):
        evaluate_reader(Fixed({}), [cell(1, "plasma_cell")], RULES)


def test_blasts_are_weighed_against_white_cells_only(cell: Make) -> None:
    """Of two blasts and two other white cells three of four pairs are in order; erythroblasts have no say."""
    blast = {1: 0.9, 2: 0.4, 3: 0.5, 4: 0.1, 5: 0.99}
    samples = [
        cell(level, label)
        for level, label in enumerate(("blast", "blast", "monocyte", "lymphocyte", "erythroblast"), start=1)
    ]
    readings = {level: sure("blast", probability) for level, probability in blast.items()}
    report = evaluate_reader(Fixed(readings), samples, RULES).as_json()
    assert report["blast"] == {"auroc": 0.75, "sensitivity_at_95_specificity": 0.5}


def test_blast_figures_are_null_without_blasts(cell: Make) -> None:
    """A healthy set says nothing of how well blasts are found."""
    report = evaluate_reader(Fixed({1: sure("monocyte")}), [cell(1, "monocyte")], RULES).as_json()
    assert report["blast"] == {"auroc": None, "sensitivity_at_95_specificity": None}


def test_rejection_reports_coverage_and_accuracy_of_the_accepted(cell: Make) -> None:
    """One of five cells lies below the threshold; three of the other four are right."""
    rejection = five_cells(cell).as_json()["rejection"]
    assert (rejection["threshold"], rejection["coverage"], rejection["accuracy"]) == (0.6, 0.8, 0.75)


def test_attributes_count_labelled_and_known_values_only(cell: Make) -> None:
    """Of four cells one is unlabelled and one has a value the model lacks; of the two left one is right."""
    samples = [
        cell(1, "monocyte", cytoplasm_vacuole="yes"),
        cell(2, "monocyte", cytoplasm_vacuole="no"),
        cell(3, "monocyte", cytoplasm_vacuole="many"),
        cell(4, "monocyte"),
    ]
    reader = Fixed(dict.fromkeys(range(1, 5), sure("monocyte")), yes={1: 0.9, 2: 0.9})
    report = evaluate_reader(reader, samples, RULES).as_json()
    # "yes": one right, one wrong, F1 2/3; "no": never read, F1 0.
    assert report["attributes"] == {
        "cytoplasm_vacuole": {"n": 2, "accuracy": 0.5, "f1": pytest.approx(1 / 3), "left_out": {"many": 1}}
    }
    assert report["attribute_macro_f1"] == pytest.approx(1 / 3)


def test_attributes_are_null_where_none_is_labelled(cell: Make) -> None:
    """Without labelled attributes nothing is said of them."""
    report = five_cells(cell).as_json()
    assert report["attributes"]["cytoplasm_vacuole"] == {"n": 0, "accuracy": None, "f1": None, "left_out": {}}
    assert report["attribute_macro_f1"] is None


def test_a_second_level_is_a_figure_of_its_own(cell: Make) -> None:
    """Of four cells of known subtype one is misread and two of three are right; the attributes' mean leaves it out."""
    samples = [
        cell(1, "neutrophil", cytoplasm_vacuole="yes"),
        cell(2, "neutrophil", cytoplasm_vacuole="no"),
        cell(3, "neutrophil", cytoplasm_vacuole="no"),
        cell(4, "neutrophil", cytoplasm_vacuole="yes"),
        cell(5, "neutrophil"),
        cell(6, "blast", cytoplasm_vacuole="yes"),
    ]
    reader = Fixed(
        {1: sure("neutrophil"), 2: sure("neutrophil", 0.4), 3: sure("neutrophil"), 4: sure("blast")}
        | {5: sure("neutrophil"), 6: sure("neutrophil")},
        yes={1: 0.9, 3: 0.9},
    )
    reader.subtypes = {"neutrophil": "cytoplasm_vacuole"}
    report = evaluate_reader(reader, samples, RULES)
    document = report.as_json()
    assert document["subtypes"]["neutrophil"] == {
        "attribute": "cytoplasm_vacuole",
        "n": 3,
        "accuracy": pytest.approx(2 / 3),
        "accuracy_interval": list(clopper_pearson(2, 3)),
        "macro_f1": pytest.approx(2 / 3),
        "confusion": {"no": {"no": 1, "yes": 1}, "yes": {"no": 0, "yes": 1}},
        "misread": 1,
    }
    assert (document["attributes"], document["attribute_macro_f1"]) == ({}, None)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render_reader(report))
    assert "neutrophil: no, yes" in console.export_text()


def test_the_crop_is_around_the_middle_at_the_scale_of_the_sample(cell: Make) -> None:
    """The reader sees the middle of the picture, at the table's um per pixel."""
    reader = Fixed({1: sure("blast")})
    evaluate_reader(reader, [cell(1, "blast", um_per_px=0.25)], RULES)
    assert reader.cropped == [(Scale.given(0.25), (50.0, 35.0))]


def test_batches_keep_the_order(cell: Make) -> None:
    """More cells than a batch holds are compared each with its own label, and progress reaches the end."""
    labels = [LABELS[i % 3] for i in range(150)]
    told: list[tuple[int, int]] = []
    report = evaluate_reader(
        Fixed({i: sure(label) for i, label in enumerate(labels)}),
        [cell(i, label) for i, label in enumerate(labels)],
        RULES,
        progress=lambda done, total: told.append((done, total)),
    )
    assert report.readings.correct.all()
    assert told == [(64, 150), (128, 150), (150, 150)]


class TestMetrics:
    """Hand values of the figures of merit."""

    def test_auroc_counts_pairs_in_order(self) -> None:
        """Positives 0.8, 0.4 against negatives 0.6, 0.4: two pairs in order, one tie, one not: 2.5 of 4."""
        scores = np.array([0.8, 0.4, 0.6, 0.4])
        assert metrics.auroc(scores, np.array([True, True, False, False])) == 0.625

    def test_auroc_needs_both(self) -> None:
        """Without negatives there is no curve."""
        assert metrics.auroc(np.array([0.5, 0.6]), np.array([True, True])) is None

    @given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
    def test_auroc_is_the_mann_whitney_statistic(self, rows: list[tuple[int, bool]]) -> None:
        """It equals the share of positive-negative pairs in order, ties counting half."""
        high = [score for score, positive in rows if positive]
        low = [score for score, positive in rows if not positive]
        pairs = [(a > b) + (a == b) / 2 for a in high for b in low]
        found = metrics.auroc(np.array([r[0] for r in rows]), np.array([r[1] for r in rows]))
        assert found == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)

    def test_sensitivity_at_a_specificity(self) -> None:
        """Of twenty negatives one may pass at 0.95: the threshold is the second highest, 0.18."""
        negatives = np.arange(20) / 100
        scores = np.concatenate([negatives, [0.18, 0.185, 0.5]])
        positive = np.arange(23) >= 20
        assert metrics.sensitivity_at(scores, positive, 0.95) == pytest.approx(2 / 3)

    def test_no_false_positive_is_allowed_among_few_negatives(self) -> None:
        """With ten negatives 0.95 means that none passes."""
        scores = np.array([*np.arange(10) / 10, 0.85, 0.95])
        assert metrics.sensitivity_at(scores, np.arange(12) >= 10, 0.95) == 0.5

    def test_calibration_error_is_the_weighted_gap(self) -> None:
        """Two cells at 0.9 with one right, one sure and right: gaps of 0.4 and 0, so 0.4 * 2/3."""
        found = metrics.reliability(np.array([0.9, 0.9, 1.0]), np.array([True, False, True]))
        assert found.error == pytest.approx(0.8 / 3)
        assert found.numbers[[13, 14]].tolist() == [2, 1]

    def test_macro_f1_is_over_the_classes_that_occur(self) -> None:
        """Class 0: recall 1, precision 1/2, F1 2/3; class 1: never read, F1 0; class 2 does not occur."""
        counts = metrics.confusion(np.array([0, 1]), np.array([0, 0]), 3)
        assert counts.tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]
        assert metrics.macro_f1(counts) == pytest.approx(1 / 3)


class TestTable:
    """Reading of cells.csv."""

    def table(self, tmp_path: Path, text: str) -> Path:
        path = tmp_path / "cells.csv"
        path.write_text(text, encoding="utf-8")
        return path

    def test_missing_scale_is_a_tenth(self, tmp_path: Path) -> None:
        """Without a column um_per_px a cell is at 0.1 um per pixel."""
        [one] = load_cells(self.table(tmp_path, "file,label\na.png,blast\n"), tmp_path)
        assert (one.path, one.label, one.um_per_px) == (tmp_path / "a.png", "blast", 0.1)

    def test_only_labelled_attributes_are_kept(self, tmp_path: Path) -> None:
        """An empty field is "not labelled"."""
        text = "file,label,um_per_px,x,y\na.png,blast,0.2,,yes\n"
        [one] = load_cells(self.table(tmp_path, text), tmp_path, ("x", "y"))
        assert (one.um_per_px, one.attributes) == (0.2, {"y": "yes"})

    @pytest.mark.parametrize(
        ("original", "stage"),
        [
            ("band neutrophil", {"neutrophil_stage": "band"}),
            ("Band neutrophils", {"neutrophil_stage": "band"}),
            ("segmented neutrophil", {"neutrophil_stage": "segmented"}),
            ("Segmented neutrophils", {"neutrophil_stage": "segmented"}),
            ("neutrophil", {}),
            ("", {}),
        ],
    )
    def test_the_stage_of_a_neutrophil_is_told_by_its_original_label(
        self, tmp_path: Path, original: str, stage: dict[str, str]
    ) -> None:
        """Where asked for; a plain neutrophil is of unknown stage, and nobody else is told of it."""
        table = self.table(tmp_path, f"file,label,original_label\na.png,neutrophil,{original}\n")
        assert load_cells(table, tmp_path, ("neutrophil_stage",), TOLD_BY_LABEL)[0].attributes == stage
        assert load_cells(table, tmp_path)[0].attributes == {}

    def test_a_stage_written_down_counts_first(self, tmp_path: Path) -> None:
        """A column of that name is an attribute as any other."""
        text = "file,label,original_label,neutrophil_stage\na.png,neutrophil,band neutrophil,segmented\n"
        [one] = load_cells(self.table(tmp_path, text), tmp_path, ("neutrophil_stage",), TOLD_BY_LABEL)
        assert one.attributes == {"neutrophil_stage": "segmented"}

    @pytest.mark.parametrize("scale", ["wide", "0", "-1", "nan"])
    def test_impossible_scale_is_an_error(self, tmp_path: Path, scale: str) -> None:
        """A scale that is no positive number names its row."""
        table = self.table(tmp_path, f"file,label,um_per_px\na.png,blast,{scale}\n")
        with pytest.raises(InputError, match=r"a\.png.*um_per_px"):
            load_cells(table, tmp_path)

    def test_unknown_split_lists_the_known_ones(self, tmp_path: Path) -> None:
        """A misspelt split says which there are."""
        samples = load_cells(self.table(tmp_path, "file,label,split\na.png,blast,val\n"), tmp_path)
        assert of_split(samples, "val") == samples
        with pytest.raises(UsageError, match=r"'dev'.*val"):
            of_split(samples, "dev")


def test_table_fits_80_columns(cell: Make) -> None:
    """No line of the report is longer than a terminal."""
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render_reader(five_cells(cell)))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert all(word in text for word in ("Accuracy", "lymphocyte", "cytoplasm vacuole", "Blast AUROC"))


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_plot_is_written(cell: Make, tmp_path: Path, suffix: str) -> None:
    """The confusion and reliability plot lands under the given name."""
    path = tmp_path / f"reader.{suffix}"
    plot_reader(five_cells(cell), path)
    assert path.stat().st_size > 10_000


def test_plot_of_an_unknown_kind_is_an_error(cell: Make, tmp_path: Path) -> None:
    """A suffix that is no picture's says which are."""
    with pytest.raises(OutputError, match=r"\.png"):
        plot_reader(five_cells(cell), tmp_path / "reader.xyz")
