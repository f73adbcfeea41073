"""A published network becomes a network again that computes the same and can be trained. Needs the extra `train`."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
from torch import Tensor  # noqa: E402  # torch is looked for first

from edgeleuk.errors import EdgeleukError, InputError, ModelError  # noqa: E402
from edgeleuk.lab.training import loop, quantize, reader  # noqa: E402
from edgeleuk.lab.training.export import manifest_part  # noqa: E402
from edgeleuk.lab.training.networks import FeaturesAlone, FinderNet, ReaderNet, build_finder  # noqa: E402
from edgeleuk.lab.training.recipe import load_recipe  # noqa: E402
from edgeleuk.lab.training.restore import estimate_norms, restore, restore_head, restored  # noqa: E402
from edgeleuk.models import registry  # noqa: E402
from edgeleuk.networks.onnx_session import Session  # noqa: E402
from edgeleuk.networks.reader import Reader, prepare  # noqa: E402
from edgeleuk.types import Field, Frame  # noqa: E402

HEADS = [3, 2]


@cache
def _made(seed: int) -> ReaderNet:
    torch.manual_seed(seed)
    network = ReaderNet(HEADS, 0.0, 1.3)
    for _ in range(20):
        network(_crops(16))
    return network.eval()


def _network(seed: int) -> ReaderNet:
    """A reader of the test's own whose batch norms have statistics of their own; crops are the same after it each time."""
    network = deepcopy(_made(seed))
    torch.manual_seed(seed)
    return network


def _crops(number: int) -> Tensor:
    return torch.rand(number, 3, 64, 64)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's INT8 file."""
    folder = tmp_path_factory.mktemp("published")
    features = FeaturesAlone(_network(1))
    quantize.export(features, folder / "full.onnx", (1, 3, 64, 64), ["features"], {0})
    batches = (_crops(1).numpy() for _ in range(40))
    quantize.quantize(folder / "full.onnx", folder / "reader.onnx", batches, "minmax")
    return folder / "reader.onnx"


def _outputs(network: ReaderNet, crops: Tensor) -> np.ndarray:
    with torch.no_grad():
        return network(crops).numpy()


@pytest.mark.parametrize("magnification", ["100x", "40x", "10x"])
def test_a_restored_reader_reads_as_the_file_does(
    magnification: str, demo_frame: Frame, demo_field: Field
) -> None:
    """White cells of the demo picture: outputs differ by the rounding of activations, a tenth of how they vary."""
    runtime = Reader(registry.load(magnification).reader, threads=1)
    boxes = np.array([cell.box for cell in demo_field.cells if cell.reading])
    crops = np.stack(
        [
            runtime.crop(demo_frame.pixels, demo_field.scale, (float(x), float(y)))
            for x, y in (boxes[:, :2] + boxes[:, 2:]) / 2
        ]
    )
    prepared = prepare(crops, runtime.manifest.density)
    network = reader.build(load_recipe(runtime.manifest.raw["recipe"]))
    restore(network, runtime.manifest.path)
    expected = Session(runtime.manifest.path, 1).run(prepared)[0]
    with torch.no_grad():
        off = np.abs(network.features(torch.from_numpy(prepared)).numpy() - expected)
    assert off.mean() < 0.1 * expected.std()


def test_a_restored_finder_finds_as_the_file_does(demo_frame: Frame) -> None:
    """A part of the demo picture: class logits and distances differ by the rounding of activations."""
    published = registry.load("100x").finder
    network = build_finder(load_recipe(published.raw["recipe"]))
    restore(network, published.path)
    image = demo_frame.pixels[:320, :320].transpose(2, 0, 1)[None].astype(np.float32) / 255
    with torch.no_grad():
        outputs = network(torch.from_numpy(image))
    for mine, theirs in zip(outputs, Session(published.path, 1).run(image), strict=True):
        assert np.abs(mine.numpy() - theirs).mean() < 0.1 * theirs.std()


def test_settling_changes_no_output(published: Path) -> None:
    """Batch norms get statistics, and weights that undo them."""
    network, crops = _network(2), _crops(64)
    restore(network, published)
    before = _outputs(network, crops)
    estimate_norms(network, [_crops(64), crops])
    np.testing.assert_allclose(_outputs(network, crops), before, atol=1e-4)


def test_a_settled_reader_trains_from_what_it_was(published: Path) -> None:
    """Normalised by its batch, as in training, it gives nearly what it gives by its statistics; unsettled it does not."""
    network, crops = _network(2), _crops(256)
    restore(network, published)
    before = _outputs(network, crops)
    unsettled = np.abs(_outputs(network.train(), crops) - before).mean()
    restore(network, published)
    estimate_norms(network, [crops])
    settled = np.abs(_outputs(network.train(), crops) - before).mean()
    assert settled < 0.1 * unsettled


def test_a_file_of_another_shape_is_refused(published: Path) -> None:
    """In one sentence."""
    with pytest.raises(ModelError, match=r"reader\.onnx is no network of this recipe's shape: [^\n]+$"):
        restore(FinderNet(3, [8, 8, 16], [2, 2], 8, 4), published)


@pytest.mark.parametrize("magnification", ["100x", "40x", "10x"])
def test_networks_that_ship_were_made_by_recipes_that_ship(magnification: str) -> None:
    """So that each can be restored, and trained again."""
    model = registry.load(magnification)
    for raw in (model.finder.raw, model.reader.raw):
        assert load_recipe(raw["recipe"]).digest == raw["recipe_digest"]


@pytest.mark.parametrize("magnification", ["100x", "40x", "10x"])
def test_publishing_writes_the_numbers_of_the_models_that_ship(magnification: str) -> None:
    """From their recipes, or what all of them share: what was chosen or measured later is all that may differ."""
    model = registry.load(magnification)
    for part in (model.finder, model.reader):
        made = manifest_part(load_recipe(part.raw["recipe"]), part.path)
        chosen = {"temperature", "threshold", "thresholds", "attribute_thresholds", "false_positive_rates"}
        assert {name: part.raw[name] for name in made.keys() - chosen} == {
            name: value for name, value in made.items() if name not in chosen
        }


def test_a_reader_of_another_recipe_is_not_restored(tmp_path: Path) -> None:
    """Its digest tells; the error names the recipe it was made by."""
    recipe = replace(load_recipe("reader-10x"), digest="0" * 16)
    with pytest.raises(EdgeleukError, match="was trained by recipe reader-10x"):
        restored(recipe, None, tmp_path)


def test_a_restored_checkpoint_is_one_of_its_recipe(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finished, so that it can be published and trained from, and of the network that reads as the file does."""
    assert data
    # One batch is enough: what the statistics are of changes no output.
    monkeypatch.setattr("edgeleuk.lab.training.restore.CELLS", 300)
    monkeypatch.setattr("edgeleuk.lab.training.restore.BATCHES", 1)
    shipped = registry.load("10x").reader
    recipe = load_recipe(shipped.raw["recipe"])
    restored(recipe, None, tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert (state["digest"], state["epoch"]) == (recipe.digest, recipe["train"]["epochs"])
    network = reader.build(recipe)
    network.load_state_dict(state["average"])
    alike = reader.build(recipe)
    restore(alike, shipped.path)
    restore_head(alike, shipped)
    crops = torch.rand(8, 3, 48, 48)
    np.testing.assert_allclose(_outputs(network.eval(), crops), _outputs(alike, crops), atol=1e-3)


def test_a_training_that_was_restored_is_over(tmp_path: Path) -> None:
    """Trained again by its recipe, it gives the weights that it has."""
    network = _network(1)
    path, state = tmp_path / "checkpoint.pt", network.state_dict()
    loop.save(path, "digest", 2, state, state)
    schedule = loop.Schedule(epochs=2, batch=4, learning_rate=0.01)
    again = loop.fit(
        _network(2), loop.Task(lambda _: [], 1, lambda *_: {}), schedule, loop.Checkpoint(path, "digest")
    )
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in state.items())


def test_norms_need_a_batch() -> None:
    """Data of less than one batch is told in one sentence."""
    network = _network(1)
    for norm in (each for each in network.modules() if isinstance(each, torch.nn.BatchNorm2d)):
        norm.reset_parameters()
    with pytest.raises(InputError, match="less than one batch"):
        estimate_norms(network, ())
