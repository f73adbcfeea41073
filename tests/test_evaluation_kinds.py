"""Labels finer and coarser than a reader's, and the figures of blasts, on cells that can be counted on fingers."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console
from standard import RULES
from test_evaluation_cells import Fixed, Make, cell
from typer.testing import CliRunner

from edgeleuk.cli import app
from edgeleuk.errors import UsageError
from edgeleuk.lab.evaluation.cells import ReaderReport, evaluate_reader
from edgeleuk.lab.evaluation.kinds import CoarseLabels, Vocabulary, shipped
from edgeleuk.lab.render.evaluation import render_reader
from edgeleuk.models import registry
from edgeleuk.models.manifest import BLAST_LIKE, GROUPS

__all__ = ["cell"]

TYPES = ("neutrophil", "eosinophil", "monocyte", "myelocyte", "promyelocyte", "blast", "erythroblast")
Cells = Mapping[int, tuple[str, str, float]]
"""By level, the label, the best type and its probability."""


class Reader(Fixed):
    """A reader of seven types, at a threshold of 0.6."""

    labels = TYPES
    attributes: Mapping[str, tuple[str, ...]] = {}

    def __init__(self, cells: Cells) -> None:
        super().__init__({level: sure(best, share) for level, (_, best, share) in cells.items()})


def sure(best: str, share: float) -> list[float]:
    return [share if name == best else (1 - share) / (len(TYPES) - 1) for name in TYPES]


def read(cell: Make, cells: Cells, sources: Mapping[int, str] | None = None) -> ReaderReport:
    samples = [cell(level, label, (sources or {}).get(level, "a")) for level, (label, _, _) in cells.items()]
    return evaluate_reader(Reader(cells), samples, RULES)


def vocabulary(magnification: str) -> Vocabulary:
    reader = registry.load(magnification).reader
    return Vocabulary(reader.labels, reader.merge, shipped())


# Labels


@pytest.mark.parametrize(
    ("label", "right"),
    [
        ("blast", {"blast"}),
        ("lymphoblast", {"blast"}),
        ("monoblast", {"blast"}),
        ("abnormal_promyelocyte", {"promyelocyte"}),
        ("giant_platelet", {"platelet"}),
        ("immature_granulocyte", {"promyelocyte", "myelocyte", "metamyelocyte"}),
        ("granulocyte", {"neutrophil", "eosinophil", "basophil"}),
        ("not_blast", set()),
        ("hairy_cell", None),
        ("not_a_cell", {"not_a_cell"}),
    ],
)
def test_what_is_right_for_a_label(label: str, right: set[str] | None) -> None:
    """By the 100x model that ships: its own name, those that a coarse label allows, or the one that allows a finer label."""
    assert vocabulary("100x").allowed(label) == right


def test_a_reader_that_merges_types_is_right_with_the_merged_one() -> None:
    """The 10x reader calls all immature granulocytes so, abnormal promyelocytes too."""
    for label in ("immature_granulocyte", "promyelocyte", "abnormal_promyelocyte"):
        assert vocabulary("10x").allowed(label) == {"immature_granulocyte"}


def test_a_reader_with_finer_labels_is_right_with_any_that_a_coarse_label_allows() -> None:
    """A blast of unknown lineage, by a reader that prints lineages."""
    fine = Vocabulary(("lymphoblast", "myeloblast", "lymphocyte"), {"monoblast": "myeloblast"}, shipped())
    assert fine.allowed("blast") == {"lymphoblast", "myeloblast"}


@pytest.mark.parametrize(
    ("label", "positive"),
    [
        ("monoblast", True),
        ("abnormal_promyelocyte", True),
        ("granulocyte", False),
        ("not_blast", False),
        ("immature_granulocyte", None),
    ],
)
def test_a_label_says_whether_a_cell_is_blast_like(label: str, positive: bool | None) -> None:
    """Or leaves it open: an immature granulocyte may be a promyelocyte."""
    assert vocabulary("10x").among(label, GROUPS[BLAST_LIKE]) is positive


def test_a_label_that_allows_itself_is_refused() -> None:
    """At once, or by way of another."""
    for allows in ({"a": ("a",)}, {"a": ("b",), "b": ("a",)}, {"c": ("a",), "a": ("b",), "b": ("a",)}):
        with pytest.raises(ValueError, match="allows itself"):
            CoarseLabels(1, allows)


# Accuracy


def test_a_finer_label_is_the_printed_one_in_the_confusion(cell: Make) -> None:
    """One lymphoblast is read as a blast and one myeloblast as a monocyte."""
    report = read(cell, {1: ("lymphoblast", "blast", 0.9), 2: ("myeloblast", "monocyte", 0.9)}).as_json()
    assert (report["accuracy"], report["left_out"]) == (0.5, {})
    assert report["confusion"] == {"blast": {"blast": 1, "monocyte": 1}}


def test_a_coarse_label_is_right_with_any_of_its_types(cell: Make) -> None:
    """Two of three immature granulocytes: they count for accuracy, and in no figure of one type."""
    cells = {
        1: ("immature_granulocyte", "myelocyte", 0.9),
        2: ("immature_granulocyte", "promyelocyte", 0.5),
        3: ("immature_granulocyte", "monocyte", 0.9),
        4: ("neutrophil", "neutrophil", 0.9),
    }
    report = read(cell, cells).as_json()
    assert (report["n"], report["accuracy"]) == (4, 0.75)
    assert report["rejection"]["coverage"] == 0.75
    assert report["coarse"] == {"immature_granulocyte": 3}
    assert report["confusion"] == {"neutrophil": {"neutrophil": 1}}
    assert list(report["by_type"]) == ["neutrophil"]
    assert report["by_source_and_type"]["a"].keys() == {"neutrophil"}


def test_coarse_cells_say_nothing_of_the_five_types(cell: Make) -> None:
    """A granulocyte may be any of three."""
    cells = {1: ("granulocyte", "eosinophil", 0.9), 2: ("monocyte", "neutrophil", 0.9)}
    report = read(cell, cells).as_json()
    assert (report["accuracy"], report["n5"], report["accuracy5"]) == (0.5, 1, 0.0)


def test_recall_of_mature_types_is_a_mean_over_those_that_occur(cell: Make) -> None:
    """Neutrophils 1 and monocytes 0 are 0.5, however many there are; a blast is not mature."""
    cells = {
        1: ("neutrophil", "neutrophil", 0.9),
        2: ("neutrophil", "neutrophil", 0.3),
        3: ("monocyte", "blast", 0.9),
        4: ("blast", "blast", 0.9),
    }
    report = read(cell, cells, {4: "b"}).as_json()
    assert report["by_source"]["a"]["mean_recall_mature"] == 0.5
    assert report["by_source"]["b"]["mean_recall_mature"] is None


def test_attributes_of_cells_that_are_no_single_type_go_with_them(cell: Make) -> None:
    """Cells that are in the figures of blasts alone have no attributes."""
    samples = [cell(1, "not_blast", cytoplasm_vacuole="yes"), cell(2, "monocyte", cytoplasm_vacuole="yes")]
    reader = Fixed({1: [0, 0, 1, 0, 0], 2: [0, 0, 1, 0, 0]}, yes={1: 0.1, 2: 0.9})
    report = evaluate_reader(reader, samples, RULES).as_json()
    assert report["attributes"]["cytoplasm_vacuole"]["n"] == 1
    assert report["attributes"]["cytoplasm_vacuole"]["accuracy"] == 1.0


# Blasts


def test_blast_like_cells_are_those_of_the_group_of_any_lineage(cell: Make) -> None:
    """Of four one is read as a monocyte, and one as a promyelocyte below the threshold."""
    cells = {
        1: ("blast", "blast", 0.9),
        2: ("myeloblast", "promyelocyte", 0.5),
        3: ("abnormal_promyelocyte", "blast", 0.7),
        4: ("lymphoblast", "monocyte", 0.88),
        5: ("neutrophil", "neutrophil", 0.7),
        6: ("monocyte", "monocyte", 0.99),
    }
    figures = read(cell, cells).as_json()["blast_like"]
    assert (figures["n"], figures["recognised"], figures["sure"]) == (4, 0.75, 0.5)
    # Of the pairs with the two others only that of the lymphoblast (0.04) and the neutrophil (0.1) is out of order.
    assert figures["auroc"] == 7 / 8
    assert figures["sensitivity_at_95_specificity"] == 0.75


def test_the_score_is_the_sum_over_the_blast_like_types(cell: Make) -> None:
    """Half a promyelocyte and a twelfth of a blast."""
    cells = {1: ("blast", "promyelocyte", 0.5), 2: ("neutrophil", "neutrophil", 0.9)}
    assert read(cell, cells).blast_like.scores[0] == pytest.approx(0.5 + 0.5 / 6)


def test_erythroblasts_and_cells_that_may_be_either_have_no_say(cell: Make) -> None:
    """An immature granulocyte may be a promyelocyte; an erythroblast is no white cell of the percentages."""
    cells = {
        1: ("blast", "blast", 0.9),
        2: ("immature_granulocyte", "blast", 0.99),
        3: ("erythroblast", "blast", 0.99),
        4: ("neutrophil", "neutrophil", 0.9),
    }
    report = read(cell, cells)
    assert report.blast_like.positive.tolist() == [True, False]
    assert report.as_json()["blast_like"]["auroc"] == 1.0


def test_what_is_known_to_be_no_blast_is_weighed_against_blasts_only(cell: Make) -> None:
    """It has no part in accuracy, left-out cells and confusion."""
    cells = {
        1: ("lymphoblast", "blast", 0.7),
        2: ("not_blast", "blast", 0.9),
        3: ("not_blast", "monocyte", 0.9),
    }
    report = read(cell, cells).as_json()
    assert (report["n"], report["accuracy"], report["left_out"]) == (1, 1.0, {})
    assert report["blasts_only"] == {"not_blast": 2}
    assert report["blast"]["auroc"] == report["blast_like"]["auroc"] == 0.5
    assert report["by_source"]["a"]["blast_like"]["auroc"] == 0.5


def test_a_source_with_one_side_has_no_curve(cell: Make) -> None:
    """Its recognised share stays; a source without blast-like cells has none, also one with nothing but such cells."""
    cells = {
        1: ("blast", "blast", 0.9),
        2: ("neutrophil", "neutrophil", 0.9),
        3: ("not_blast", "neutrophil", 0.9),
    }
    report = read(cell, cells, {1: "blasts", 2: "health", 3: "others"})
    none = {"auroc": None, "sensitivity_at_95_specificity": None}
    by_source = report.as_json()["by_source"]
    assert by_source["blasts"]["blast_like"] == {"n": 1, "recognised": 1.0, "sure": 1.0, **none}
    for name in ("health", "others"):
        assert by_source[name]["blast_like"] == {"n": 0, "recognised": None, "sure": None, **none}
    assert (by_source["others"]["n"], by_source["others"]["accuracy"]) == (0, None)
    assert report.as_json()["blast_like"]["auroc"] == 1.0


def test_the_figures_of_blasts_are_a_row_a_source(cell: Make) -> None:
    """With one for all, in 80 columns; what is in them alone is named below."""
    cells = {1: ("blast", "blast", 0.9), 2: ("neutrophil", "neutrophil", 0.9), 3: ("not_blast", "blast", 0.9)}
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render_reader(read(cell, cells, {1: "stanford"})))
    text = console.export_text()
    lines = text[text.index("Blasts and promyelocytes") : text.index("By type")].splitlines()
    assert [line.split()[0] for line in lines if line.split()[1:2] in (["0"], ["1"])] == [
        "a",
        "stanford",
        "all",
    ]
    assert max(map(len, text.splitlines())) <= 80
    assert "in the figures of blasts alone: not_blast 1." in text


# The command


def table(folder: Path) -> Path:
    path = folder / "cells.csv"
    rows = ["a.png,blast,one", "b.png,blast,two", "c.png,blast,three"]
    path.write_text("\n".join(["file,label,source", *rows]), encoding="utf-8")
    return path


def test_several_sources_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time by the option; of one that has no row the command says which there are."""
    seen: list[str] = []

    def evaluate(_: object, samples: list[object], *__: object) -> ReaderReport:
        seen.extend(sample.source for sample in samples)  # type: ignore[attr-defined]
        raise UsageError("enough")

    monkeypatch.setattr("edgeleuk.lab.evaluation.cells.evaluate_reader", evaluate)
    command = [
        "eval",
        "reader",
        str(table(tmp_path)),
        "--images",
        str(tmp_path),
        "--source",
        "one",
        "--source",
    ]
    CliRunner().invoke(app, [*command, "three"])
    assert seen == ["one", "three"]
    refused = CliRunner().invoke(app, [*command, "four"])
    assert isinstance(refused.exception, UsageError)
    assert "sources: one, three, two" in str(refused.exception)


def test_numbers_of_the_table_are_of_the_reader() -> None:
    """Every label that the shipped table allows is one, or a type of blast or promyelocyte."""
    named = {name for names in shipped().allows.values() for name in names}
    assert named <= {*registry.load("100x").reader.labels, *GROUPS[BLAST_LIKE]}
