"""A model folder from an imported LeukemiaAttri, and the tables of its papers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from leukemiaattri import UM_PER_PX, make
from typer.testing import CliRunner

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.cli import app
from edgeleuk.cli._rules import standards
from edgeleuk.errors import InputError, UsageError
from edgeleuk.lab.evaluation.datasets import CellSample, FieldSample, data_root, rooted
from edgeleuk.lab.evaluation.kinds import Vocabulary, shipped
from edgeleuk.lab.evaluation.leukemiaattri import ImportedData, Typed, precisions
from edgeleuk.lab.importing.importer import Request, run
from edgeleuk.lab.importing.vocabulary import ATTRIBUTES
from edgeleuk.models import registry
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.types import Scale

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from edgeleuk.lab.training import assign, leukemiaattri  # noqa: E402  # torch is looked for first
from edgeleuk.lab.training.loop import CPU  # noqa: E402
from edgeleuk.lab.training.recipe import load_recipe  # noqa: E402
from edgeleuk.lab.training.teacher import with_doubts  # noqa: E402


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One subset of a miniature."""
    folder = tmp_path_factory.mktemp("mini")
    made = make(folder, patients=6, fields=1, side=320, white=16)
    scale = Scale(float(UM_PER_PX[0]), float(UM_PER_PX[1]), "given", 0.0)
    run(Request("leukemiaattri", made.root / "H_100X_C1", folder / "imported", scale=scale))
    return folder / "imported"


@pytest.fixture(scope="module")
def trained(imported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model after one or two steps: enough to prove the way there."""
    out, threads = tmp_path_factory.mktemp("model"), torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch, rooted(imported):
        patch.setattr(leukemiaattri, "LEAST_FIELDS", 24)
        patch.setattr(leukemiaattri, "LEAST_DRAWS", 32)
        patch.setattr(leukemiaattri, "DRAWS_PER_CELL", 0)
        leukemiaattri.train(leukemiaattri.Wanted("100x", epochs=1), out, standards_of(), CPU)
    torch.set_num_threads(threads)
    return out


def standards_of() -> leukemiaattri.Standards:
    return leukemiaattri.Standards(*standards())


def test_model_folder_has_types_and_attributes(trained: Path) -> None:
    """14 types and 7 attributes, with what the runtime needs of both networks."""
    model = registry.load_folder(trained)
    assert len(model.reader.labels) == 14
    assert {*model.reader.attributes} == {*ATTRIBUTES}
    assert all(model.reader.attributes[name] == each.values for name, each in ATTRIBUTES.items())
    assert model.reader.raw["data"]["sources"] == ["H_100X_C1"]
    assert model.finder.cameras[1] >= 0.187
    card = (trained / "README.md").read_text()
    assert "CC BY-NC-SA" in card
    assert "artefacts and some real leukocytes" in card


def test_runtime_reads_with_it(trained: Path, imported: Path) -> None:
    """As with any model: cells, types, attributes."""
    analyser = Analyser(registry.load_folder(trained))
    path = next((imported / "fields" / "images" / "H_100X_C1").glob("*.png"))
    field = analyser.analyse(read_picture(path), Scale(0.25, 0.14, "given", 0.0))
    readings = [cell.reading for cell in field.cells if cell.reading]
    assert readings
    assert {*readings[0].attributes} == {*ATTRIBUTES}
    assert {*readings[0].probabilities} == {*analyser.reader.labels}


def test_papers_tables_are_printed(trained: Path, imported: Path) -> None:
    """By subset, and across subsets where there are several models."""
    given = ["eval", "leukemiaattri", "--data", str(imported), "--limit", "1"]
    done = CliRunner().invoke(app, [*given, "--model", str(trained), "--model", str(trained)])
    assert done.exit_code == 0, done.output
    for text in ("mAP50-95", "AP50 by type", "Attributes, macro F1", "across subsets", "H_100X_C1"):
        assert text in done.stdout
    as_json = CliRunner().invoke(app, [*given, "--model", str(trained), "--json"])
    (model,) = json.loads(as_json.stdout)["models"].values()
    assert model["learnt_from"] == ["H_100X_C1"]
    assert {*model["subsets"]["H_100X_C1"]["attributes"]} == {*ATTRIBUTES}


def test_subsets_and_objectives_that_are_not_there(imported: Path, tmp_path: Path) -> None:
    """The message names those that are."""
    with rooted(imported):
        with pytest.raises(UsageError, match=r"no subset of 40x\. Subsets there: H_100X_C1"):
            leukemiaattri.recipes_for(leukemiaattri.Wanted("40x"))
        with pytest.raises(UsageError, match="no subset L_100X_C1 of 100x"):
            leukemiaattri.recipes_for(leukemiaattri.Wanted("100x", ("L_100X_C1",)))
    with rooted(tmp_path), pytest.raises(InputError, match="is no import of LeukemiaAttri"):
        leukemiaattri.recipes_for(leukemiaattri.Wanted("100x"))
    with pytest.raises(UsageError, match="no field of split val in subset L_10X_C2"):
        ImportedData.load(imported, "val", ["L_10X_C2"])


def test_given_folder_stands_for_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no longer than it is given."""
    monkeypatch.setenv("EDGELEUK_DATA", str(tmp_path))
    with rooted(tmp_path / "other"):
        assert data_root() == tmp_path / "other"
    assert data_root() == tmp_path


def cell(patient: str, label: str) -> CellSample:
    return CellSample(Path("x.png"), "H_100X_C1", "train", patient, label, 0.15)


def test_no_type_loses_its_last_patients_to_the_thresholds() -> None:
    """The one patient of a rare type is learnt from."""
    cells = [cell(str(i), "lymphoblast") for i in range(10)] + [cell("99", "abnormal_promyelocyte")]
    for seed in range(3):
        more = [cell(f"{seed}-{i}", "neutrophil") for i in range(3)]
        chosen = leukemiaattri.kept_aside([*cells, *more])
        assert "99" not in chosen
        assert 1 <= len(chosen) <= 3
    assert leukemiaattri.kept_aside([cell("1", "a"), cell("2", "b")])
    assert leukemiaattri.kept_aside([cell("1", "a")]) == set()


@pytest.mark.parametrize("name", [leukemiaattri.FINDER, leukemiaattri.READER])
def test_recipes_have_the_networks_that_ship(name: str) -> None:
    """Each objective starts from its own, at its scale."""
    recipe = load_recipe(name)
    for magnification, model in registry.shipped().items():
        part = getattr(registry.read_manifest(model), recipe["model"]["kind"])
        assert recipe["objectives"][magnification]["um_per_px"] == part.um_per_px


def test_what_is_neither_cell_nor_background_adds_no_class_loss() -> None:
    """A confident find in it costs nothing, and the same find elsewhere does."""
    logits, distances = torch.full((1, 3, 8, 8), -6.0), torch.zeros(1, 4, 8, 8)
    logits[0, 0, 2, 2] = 5.0
    nothing, kinds, known = torch.zeros(1, 1, 4), torch.tensor([[-1]]), torch.ones(1, 3)
    over = torch.tensor([[[4.0, 4.0, 16.0, 16.0]]])
    beside = torch.tensor([[[20.0, 20.0, 30.0, 30.0]]])
    losses = [
        float(assign.finder_loss((logits, distances), nothing, kinds, known, ignored, 4)["class"])
        for ignored in (over, beside)
    ]
    assert losses[0] < 0.01
    assert losses[1] > 1


def field(boxes: list[list[float]], subtypes: tuple[str | None, ...]) -> FieldSample:
    return FieldSample(
        0, Path("x.png"), 100, 100, "H", "g", frozenset({"WBC"}), np.array(boxes, np.float32).reshape(-1, 4),
        np.zeros(len(boxes), np.int64), subtypes,
    )  # fmt: skip


def test_a_doubtful_find_is_neither_cell_nor_background() -> None:
    """Unless it is an annotated cell."""
    sample = field([[10, 10, 30, 30]], ("monocyte",))
    doubtful = np.array([[11, 10, 31, 30], [60, 60, 80, 80]], np.float32)
    assert with_doubts(sample, doubtful, 0.3).ignored.tolist() == [[60, 60, 80, 80]]


def test_precisions_by_type() -> None:
    """Right boxes of the right type are 1, of another type 0; None is a type of its own."""
    sample = replace(
        field([[10, 10, 30, 30], [50, 50, 70, 70]], ("monocyte", "myeloblast")),
        ignored=np.array([[80, 10, 95, 30]], np.float32),
    )
    boxes = np.array([[10, 10, 30, 30], [50, 50, 70, 70], [80, 10, 95, 30]], np.float32)
    typed = Typed(boxes, ("monocyte", "monoblast", "none"), np.array([0.9, 0.8, 0.7], np.float32))
    labels = ("monocyte", "myeloblast", "monoblast", "none")
    by_type, white = precisions([(sample, typed)], Vocabulary(labels, {}, shipped()))
    assert by_type == {"monocyte": (1.0, 1.0), "myeloblast": (0.0, 0.0), "none": (1.0, 1.0)}
    assert white == (1.0, 1.0)
