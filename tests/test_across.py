"""Laboratories left out: which networks a recipe trains for it, and what is chosen on them. Needs the extra `train`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from standard import RULES

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from edgeleuk.errors import UsageError  # noqa: E402  # torch is looked for first
from edgeleuk.lab.evaluation.datasets import CellSample, FieldSample  # noqa: E402
from edgeleuk.lab.training import across, cells  # noqa: E402
from edgeleuk.lab.training.evidence import MOST, Evidence, _few_of_each, by_laboratory  # noqa: E402
from edgeleuk.lab.training.labels import Labels  # noqa: E402
from edgeleuk.lab.training.recipe import learns_from, left_outs, load_recipe, without  # noqa: E402
from edgeleuk.models import registry  # noqa: E402
from edgeleuk.networks.reader import Reader  # noqa: E402


def _cell(label: str, source: str = "pbc", path: str = "x.jpg") -> CellSample:
    return CellSample(Path(path), source, "train", "", label, 0.1)


@pytest.mark.parametrize("name", ["reader-100x-base", "reader-100x-strong", "reader-100x-alone"])
def test_every_laboratory_with_cells_is_left_out_of_one_network(name: str) -> None:
    """But the first one, whose cells carry all attributes."""
    recipe = load_recipe(name)
    left = [name for each in left_outs(recipe) for name in each["data"]["left_out"]]
    assert sorted(left) == sorted({*recipe["data"]["sources"], *recipe["data"]["fields"]} - {"pbc"})


def test_every_real_slide_is_left_out_of_one_network() -> None:
    """So that its figures are of a reader that learnt nothing of it."""
    recipe = load_recipe("reader-40x")
    assert [each["data"]["left_out"] for each in left_outs(recipe)] == [
        [name] for name in recipe["bags"]["names"]
    ]


def test_a_network_goes_on_from_one_that_never_saw_the_laboratory() -> None:
    """Which may have left out others as well; from one that saw it nothing starts."""
    recipe = load_recipe("reader-100x-alone")
    starts = {each["data"]["left_out"][0]: each["model"]["start"] for each in left_outs(recipe)}
    assert starts["krd"] == "reader-100x-strong-without-deepbionet-krd-stanford"
    assert starts["deepapl"] == "reader-100x-strong-without-deepapl"
    with pytest.raises(UsageError, match="reader-100x-strong has no network without krd, lmu"):
        without(recipe, ["krd", "lmu"])


def test_a_network_without_a_laboratory_learns_from_the_others() -> None:
    """What is left out is left out alone."""
    own = without(load_recipe("reader-100x"), ["krd"])
    assert not learns_from(own, "krd")
    assert learns_from(own, "chula")


def test_a_picture_under_two_labels_is_left_out(tmp_path: Path) -> None:
    """The same bytes, named blast and monocyte; another picture stays."""
    for name, content in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / name).write_bytes(content)
    samples = [
        _cell(label, path=str(tmp_path / name))
        for name, label in (("a", "blast"), ("b", "monocyte"), ("c", "blast"))
    ]
    assert cells.of_one_label(samples) == samples[2:]


def test_no_type_of_a_large_laboratory_speaks_for_the_others() -> None:
    """At most MOST cells of a label are taken, and all of a rare one."""
    chosen = _few_of_each(
        [_cell("neutrophil")] * (3 * MOST) + [_cell("basophil")] * 3, np.random.default_rng(1)
    )
    assert [sum(c.label == label for c in chosen) for label in ("neutrophil", "basophil")] == [MOST, 3]


def test_printed_probabilities_are_sums_over_lineages() -> None:
    """A cell that may be a lymphoblast or a myeloblast, each .5, is a blast for sure."""
    labels = Labels.of(load_recipe("reader-100x"))
    logits = np.full((1, len(labels.types)), -30, np.float32)
    logits[0, [labels.types.index(each) for each in ("lymphoblast", "myeloblast")]] = 0
    evidence = Evidence((_cell("blast"),), logits, np.array([False]), labels)
    assert evidence.printed(1.0)[0, labels.printing.index("blast")] == pytest.approx(1)
    assert evidence.truth.tolist() == [labels.printing.index("blast")]


def test_what_a_finder_takes_for_a_cell_beside_one_is_no_cell() -> None:
    """A box is apart from white cells where neither holds the other's middle, with room to spare."""
    boxes = np.array([[0, 0, 10, 10], [28, 0, 38, 10], [60, 0, 70, 10]], np.float32)
    white = np.array([[20, 0, 40, 20]], np.float32)
    assert cells._apart(boxes, white).tolist() == [True, False, True]


def test_boxes_at_the_edge_of_a_field_are_no_lessons() -> None:
    """Annotators treat cut cells each in their own way."""
    field = FieldSample(0, Path("f"), 100, 80, "", "", frozenset(), np.zeros((0, 4)), np.zeros(0, int), ())
    boxes = np.array([[10, 10, 20, 20], [1, 10, 20, 20], [90, 10, 99, 20]], np.float32)
    assert cells._inside(boxes, field).tolist() == [True, False, False]


@pytest.mark.usefixtures("data")
def test_cells_of_fields_are_looked_at_as_they_were_cut() -> None:
    """A cell of a Chulalongkorn field has its own square; one of cells.csv its file."""
    found = across.foreign_cells(load_recipe("reader-100x"), ["chula", "krd"], ("val",))
    chula, krd = found.of("chula")[0], found.of("krd")[0]
    assert found.load_cell(chula)[0].shape == (160, 160, 3)
    assert found.load_cell(krd)[1].um_per_px == pytest.approx(krd.um_per_px)
    assert {each.split for each in found.samples} == {"val"}


def test_only_cells_of_left_out_laboratories_are_in_their_figures() -> None:
    """Two blasts of a laboratory left out, one read as such; a cell kept aside is in no row."""
    reader = Reader(registry.load("100x").reader, threads=1)
    labels = Labels.of(load_recipe("reader-100x"))
    logits = np.full((3, len(labels.types)), -9, np.float32)
    for row, read in enumerate(("myeloblast", "lymphocyte", "neutrophil")):
        logits[row, labels.types.index(read)] = 9
    samples = (_cell("blast", "lmu"), _cell("blast", "lmu"), _cell("neutrophil"))
    evidence = Evidence(samples, logits, np.array([True, True, False]), labels)
    found = by_laboratory(evidence, reader, RULES)
    assert found.keys() == {"lmu"}
    figures = found["lmu"]["sample"]["by_source"]["lmu"]
    assert (figures["n"], figures["blast_like"]["recognised"]) == (2, 0.5)
