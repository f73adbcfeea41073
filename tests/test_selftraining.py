"""A reader learns its own sure readings of a new microscope, and its model is written only if it is better. Needs the extra `train`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from torch import nn  # noqa: E402  # torch is looked for first

from edgeleuk.adaptation import adapting, writing  # noqa: E402
from edgeleuk.adaptation.scoring import Score  # noqa: E402
from edgeleuk.adaptation.teaching import MOST_LOST  # noqa: E402
from edgeleuk.cli import app  # noqa: E402
from edgeleuk.errors import EdgeleukError, InputError, ModelError, NotBetterError  # noqa: E402
from edgeleuk.lab.training import selfadapting, selftraining  # noqa: E402
from edgeleuk.lab.training.norms import adapt_norms  # noqa: E402
from edgeleuk.lab.training.recipe import Recipe, changed, load_recipe  # noqa: E402
from edgeleuk.models import registry  # noqa: E402
from edgeleuk.models.heads import Head  # noqa: E402
from edgeleuk.networks.reader import Reader  # noqa: E402
from edgeleuk.types import Frame  # noqa: E402

SETTINGS = selftraining.SelfSettings(
    norms=0.0, draws=4, least=0.7, most=0.95, views=1, attributes=0.5, anchor=0.1
)
PRINTING = np.array([[1, 0], [0, 1], [0, 1]], np.float32)
"""Two of three types are printed under one label."""


def lesson(first: list[float]) -> selftraining.Lesson:
    """What is learnt of cells of which the first label has these probabilities."""
    shares = np.array([first, [1 - each for each in first]], np.float32).T
    return selftraining.lesson_of(shares, PRINTING, torch.zeros(len(first), 3), SETTINGS)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """Self-training of the base reader in two steps."""
    own = selftraining.self_recipe(load_recipe("reader-100x-base"))
    every = {"draws": 4, "views": 1, "least": 0.0, "most": 0.0}
    return changed(own, own.name, {"self": every, "train": {"epochs": 1, "batch": 2}})


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (12, 96, 96, 3), np.uint8)


# Norms


@pytest.mark.parametrize(("share", "mean"), [(0.0, 0.0), (0.5, 2.0), (1.0, 4.0)])
def test_norms_take_a_share_of_the_new_statistics(share: float, mean: float) -> None:
    """Of all batches alike; the momentum of a training stays."""
    norm = nn.BatchNorm2d(1)
    adapt_norms(norm, [torch.full((2, 1, 2, 2), 3.0), torch.full((2, 1, 2, 2), 5.0)], share)
    assert norm.running_mean.item() == pytest.approx(mean)
    assert norm.running_var.item() == pytest.approx(1 - share)
    assert norm.momentum == 0.1 and not norm.training


def test_no_cells_adapt_no_norms() -> None:
    """In one sentence."""
    with pytest.raises(InputError, match="there are no cells"):
        adapt_norms(nn.BatchNorm2d(1), [], 0.5)


# What is learnt


def test_cells_as_sure_as_their_label_usually_is_are_learnt() -> None:
    """Within the limits: 0.75 is below the label's mean, and 0.6 below the least threshold."""
    learnt = lesson([0.99, 0.99, 0.99, 0.99, 0.99, 0.75, 0.4])
    assert learnt.share.tolist() == pytest.approx([0.2] * 5 + [0, 0])
    assert learnt.allowed[0].tolist() == [True, False, False]


def test_rare_labels_are_drawn_more_often_than_they_occur() -> None:
    """By the root of their number: 20 and 5 cells as 2 to 1; all types of a label are allowed."""
    learnt = lesson([0.9] * 20 + [0.1] * 5)
    assert learnt.share[:20].sum() == pytest.approx(2 * learnt.share[20:].sum())
    assert learnt.allowed[-1].tolist() == [False, True, True]


def test_few_cells_of_a_label_are_not_learnt() -> None:
    """They are mistakes as likely as not."""
    assert lesson([0.9] * 20 + [0.1] * 4).share[20:].sum() == 0


def test_a_reader_that_is_sure_of_nothing_learns_nothing() -> None:
    """It says what helps."""
    with pytest.raises(NotBetterError, match=r"has nothing to learn from\. Add fields"):
        lesson([0.6] * 30)


def test_weights_are_pulled_towards_the_parents() -> None:
    """By half the squared distance times the strength."""
    layer = nn.Linear(2, 1, bias=False)
    pull = selftraining.anchored(layer, 0.5)
    assert pull().item() == 0
    with torch.no_grad():
        layer.weight.add_(2.0)
    assert pull().item() == pytest.approx(0.25 * 2 * 4)


@pytest.fixture(scope="module")
def trained(
    recipe: Recipe, crops: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], Path]:
    """Weights before and after, and the folder with the checkpoint."""
    network, folder = selftraining.build(recipe), tmp_path_factory.mktemp("runs")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    path = folder / recipe.name / "checkpoint.pt"
    return before, selftraining.self_trained(recipe, network, crops, [], path).state_dict(), folder


def test_norms_keep_their_statistics_in_training(trained) -> None:  # type: ignore[no-untyped-def]
    """The head learns."""
    before, after, _ = trained
    same = {name for name, value in before.items() if torch.equal(value, after[name])}
    assert {name for name in before if "running" in name} <= same and "head.weight" not in same


def test_a_training_of_other_cells_is_refused(trained, recipe: Recipe, crops: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    """Its checkpoint stays."""
    other = changed(recipe, recipe.name, {"self": {"of": "other cells"}})
    with pytest.raises(EdgeleukError, match="is of another recipe"):
        path = trained[2] / recipe.name / "checkpoint.pt"
        selftraining.self_trained(other, selftraining.build(recipe), crops, [], path)


# The new model


def test_a_checkpoint_belongs_to_its_cells(model: registry.Model, crops: np.ndarray, tmp_path: Path) -> None:
    """Other cells are another training."""
    head, how = Reader(model.reader, 1).head, selfadapting.How(tmp_path, known=False)
    assert head
    digests = {selfadapting.recipe_of(model.reader, head, some, how).digest for some in (crops, crops[1:])}
    assert len(digests) == 2


def test_other_outputs_than_the_recipes_cannot_be_trained(
    model: registry.Model, crops: np.ndarray, tmp_path: Path
) -> None:
    """Such as taught flags."""
    with pytest.raises(ModelError, match=r"such as taught flags\. Use its parent"):
        selfadapting.recipe_of(
            model.reader, Head(np.ones((4, 3)), np.ones(3)), crops, selfadapting.How(tmp_path, known=False)
        )


def test_a_reader_that_takes_blasts_for_mature_cells_is_refused() -> None:
    """What the patients have is not the microscope."""
    read, sure = np.zeros(10, np.int64), np.ones(10, bool)
    before = adapting.Judgement(0.90, 0.5, read, sure, 0.5, 0.3)
    after = adapting.Judgement(0.95, 0.6, read, sure, 0.2, 0.6)
    doubt, figures = adapting.compared(before, after, 1.2)
    assert "blast-like types would go from 50% of the cells to 20%" in doubt
    assert figures["blast_like"] == {"before": 0.5, "after": 0.2} and figures["temperature"] == 1.2


def test_a_trained_network_reads_and_its_model_has_no_guard_cells(  # type: ignore[no-untyped-def]
    trained, model: registry.Model, recipe: Recipe, crops: np.ndarray, tmp_path: Path
) -> None:
    """It is quantized, and written with its head; its lineage names what changed."""
    how = selfadapting.How(trained[2], known=False)
    guard = Score(
        model.reader.labels, np.zeros(0, np.int64), np.zeros((0, len(model.reader.labels)), np.float32)
    )
    network = selftraining.build(recipe)
    found = selfadapting.trained_reader(recipe, network, model.reader, crops, how, guard)
    new = found.reader
    assert found.guard is None and found.share == 1
    assert new.head and np.allclose(new.head.weight.T, trained[1]["head.weight"].numpy(), atol=1e-3)
    assert new.features(crops[:2]).shape == (2, new.head.features)
    networks: dict[str, Path | None] = {"reader": new.manifest.path, "guard": None}
    made = writing.write(
        model, tmp_path / "model", "here", writing.NewReader(new.head, {}, "x", "y", networks)
    )
    assert made.reader.guard is None and made.reader.sha256 == new.manifest.sha256
    assert made.reader.sha256 != model.reader.sha256
    assert made.lineage[0]["changed"]["networks"] == ["guard", "head", "reader"]


@pytest.mark.parametrize(
    ("right", "said"), [(20, ""), (18, ""), (16, "guard cells worse: mean recall 0.933")]
)
def test_known_cells_may_be_read_a_little_worse(model: registry.Model, right: int, said: str) -> None:
    """By 0.05 of mean recall; a label that only one side has does not count."""
    labels = model.reader.labels

    def score(right: int, more: int) -> Score:
        truth = np.repeat([0, 1, labels.index("blast"), more], 20)
        read = truth.copy()
        read[right:20] = 1
        return Score(labels, truth, np.eye(len(labels), dtype=np.float32)[read])

    lost = adapting.loss_on_guard(model.reader, score(20, 2), score(right, 3), MOST_LOST)
    assert said in lost and bool(lost) == bool(said)


def test_a_share_of_the_change_is_kept() -> None:
    """Counters are those after it."""
    before, after = ({"weight": torch.tensor(x), "count": torch.tensor(n)} for x, n in ((1.0, 1), (3.0, 5)))
    assert selfadapting.blended(before, after, 0.25) == {
        "weight": torch.tensor(1.5),
        "count": torch.tensor(5),
    }


def test_one_field_is_refused_by_the_command(demo_frame: Frame, tmp_path: Path) -> None:
    """As `adapt` refuses it, and nothing is written."""
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "a.png"), demo_frame.pixels[..., ::-1])
    done = CliRunner().invoke(
        app, ["train", "adapt", str(tmp_path / "in"), "--name", "b", "--out", str(tmp_path / "o")]
    )
    assert isinstance(done.exception, InputError) and "Take 10 fields" in str(done.exception)
    assert not (tmp_path / "o").exists()
