"""Training: geometry, assignment, loss, resuming, export and quantization. Needs the extra `train`."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from edgeleuk.errors import EdgeleukError, InputError, ModelMissingError, UsageError  # noqa: E402
from edgeleuk.lab.evaluation.datasets import CellSample, FieldSample  # noqa: E402
from edgeleuk.lab.training import (  # noqa: E402
    assign,
    augment,
    bags,
    cells,
    fields,
    labels,
    loop,
    networks,
    objectives,
    quantize,
    reader,
    thresholds,
)
from edgeleuk.lab.training.efficientnet import EfficientNetLite0, load_imagenet  # noqa: E402
from edgeleuk.lab.training.recipe import held_out, load_recipe, without  # noqa: E402
from edgeleuk.lab.training.teacher import with_found  # noqa: E402
from edgeleuk.networks import finder as runtime  # noqa: E402  # torch is looked for first
from edgeleuk.networks.onnx_session import Session  # noqa: E402
from edgeleuk.types import Detections  # noqa: E402


def test_unknown_recipe_names_those_that_ship() -> None:
    """The error lists the choices."""
    with pytest.raises(
        UsageError, match=r"Recipes here: finder-100x, .*finder-10x, .*finder-40x, .*reader-100x"
    ):
        load_recipe("finder-7x")


def test_recipe_of_the_other_kind_is_refused() -> None:
    """`train finder` does not train a reader."""
    with pytest.raises(UsageError, match="of a reader, not of a finder"):
        load_recipe("reader-100x", "finder")


def test_how_a_model_is_quantized_does_not_change_its_training() -> None:
    """A checkpoint stays valid when only [quantize] or [publish] change."""
    from edgeleuk.lab.training.recipe import _training_digest

    sections = load_recipe("finder-100x").sections
    assert _training_digest({**sections, "quantize": {}}) == _training_digest(sections)
    assert _training_digest({**sections, "train": {}}) != _training_digest(sections)


def test_held_out_groups_are_about_the_share_and_always_the_same() -> None:
    """8 % of many groups, give or take chance."""
    chosen = [held_out(f"group {i}", 0.08) for i in range(5000)]
    assert 0.07 < np.mean(chosen) < 0.09
    assert chosen == [held_out(f"group {i}", 0.08) for i in range(5000)]


@given(seed=st.integers(0, 10_000), x=st.integers(20, 60), y=st.integers(20, 60))
def test_boxes_follow_the_picture(seed: int, x: int, y: int) -> None:
    """A painted rectangle, warped, fills its warped box within a pixel."""
    image = np.zeros((100, 100, 3), np.uint8)
    image[y : y + 20, x : x + 12] = 255
    geometry = augment.Geometry(scale=0.2, squeeze=0.1, rotate=False)
    matrix = augment.affine(np.random.default_rng(seed), geometry, (1.3, 1.3), (x + 6, y + 10), 128)
    warped = augment.warp(image, matrix, 128, 0)[..., 0] > 127
    ys, xs = np.nonzero(warped)
    seen = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    box = augment.warp_boxes(np.array([[x, y, x + 12, y + 20]], np.float32), matrix)[0]
    np.testing.assert_allclose(seen, box, atol=1.0)


def test_recolouring_stays_in_range_and_spares_the_clean_share() -> None:
    """Values stay 0 to 1; with clean=1 nothing changes."""
    batch = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    changed = augment.recolour(batch, augment.Colour(), torch.Generator().manual_seed(2))
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1
    same = augment.recolour(batch, augment.Colour(clean=1.1), torch.Generator().manual_seed(2))
    assert torch.equal(same, batch)


@pytest.mark.parametrize("part", ["mix", "veil", "fade", "halo", "power", "grey"])
def test_each_part_of_the_colour_change_works_alone(part: str) -> None:
    """What cheap optics do changes the picture and keeps it in range."""
    batch = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    off = {"stain": 0.0, "light": 0.0, "gradient": 0.0, "blur": 0.0, "noise": 0.0, "clean": 0.0}
    plain = augment.recolour(batch, augment.Colour(**off), torch.Generator().manual_seed(2))
    changed = augment.recolour(batch, augment.Colour(**off, **{part: 0.5}), torch.Generator().manual_seed(2))
    assert torch.allclose(plain, batch, atol=0.01)
    assert float((changed - batch).abs().mean()) > 0.005
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1


def test_grey_images_have_equal_channels() -> None:
    """At a share of 1 all are, between the darkest and the brightest channel of each pixel."""
    batch = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 0.9 + 0.1
    off = {"stain": 0.0, "light": 0.0, "gradient": 0.0, "blur": 0.0, "noise": 0.0, "clean": 0.0}
    grey = augment.recolour(batch, augment.Colour(**off, grey=1.0), torch.Generator().manual_seed(2))
    assert torch.equal(grey[:, 0], grey[:, 1]) and torch.equal(grey[:, 1], grey[:, 2])
    assert bool(
        (grey[:, 0] >= batch.amin(dim=1) - 1e-6).all() and (grey[:, 0] <= batch.amax(dim=1) + 1e-6).all()
    )


def test_a_power_of_the_density_keeps_white_and_the_order_of_levels() -> None:
    """White stays white, and what was darker stays darker."""
    levels = torch.linspace(0.05, 1, 32).expand(6, 3, 4, 32)
    off = {"stain": 0.0, "light": 0.0, "gradient": 0.0, "blur": 0.0, "noise": 0.0, "clean": 0.0}
    changed = augment.recolour(levels, augment.Colour(**off, power=0.3), torch.Generator().manual_seed(2))
    assert float(changed[..., -1].min()) > 0.97
    assert bool((changed.diff(dim=3) >= 0).all())


def test_iou_of_known_boxes() -> None:
    """Half-overlapping squares: IoU 1/3; the hull is their union, so GIoU is the same."""
    iou, giou = assign.overlap(torch.tensor([0.0, 0, 2, 2]), torch.tensor([1.0, 0, 3, 2]))
    assert float(iou) == pytest.approx(1 / 3)
    assert float(giou) == pytest.approx(1 / 3)


def test_perfect_prediction_is_assigned_with_full_weight() -> None:
    """A cell whose box is exact gets its IoU, 1, as target; background gets none."""
    centres = assign.grid_centres(8, 8, 4)
    box = torch.tensor([4.0, 4, 20, 20])
    predicted = box.expand(1, 64, 4)
    scores = torch.full((1, 64, 2), 0.5)
    targets, boxes, weight = assign.assign(scores, predicted, centres, box[None, None], torch.tensor([[1]]))
    assert float(targets[0, :, 1].max()) == pytest.approx(1)
    assert float(targets[0, :, 0].max()) == 0
    inside = ((centres > 4) & (centres < 20)).all(dim=1)
    assert not weight[0, ~inside].any()
    assert torch.equal(boxes[0, weight[0] > 0], box.expand(int((weight > 0).sum()), 4))


def test_unlabelled_classes_teach_nothing() -> None:
    """Where red cells were not annotated their logits get no gradient, so unboxed ones are not background."""
    logits = torch.zeros(1, 3, 4, 4, requires_grad=True)
    distances = torch.zeros(1, 4, 4, 4, requires_grad=True)
    boxes, kinds = torch.zeros(1, 1, 4), torch.full((1, 1), -1)
    parts = assign.finder_loss(
        (logits, distances), boxes, kinds, torch.tensor([[1.0, 0.0, 1.0]]), torch.zeros(1, 1, 4), 4
    )
    sum(parts.values()).backward()
    assert float(logits.grad[0, 1].abs().max()) == 0
    assert float(logits.grad[0, 0].abs().min()) > 0


@pytest.mark.parametrize("stride", [4, 8])
def test_training_and_runtime_decode_alike(stride: int) -> None:
    """The box a grid cell stands for is the same in torch and in the runtime."""
    rng = np.random.default_rng(3)
    distances = rng.normal(1, 0.5, (4, 5, 6)).astype(np.float32)
    here = runtime.decode(np.ones((1, 5, 6), np.float32), distances, np.zeros(1, np.float32), stride, 100)
    flat = torch.from_numpy(distances).flatten(1).T[None]
    there = assign.decode(flat, assign.grid_centres(5, 6, stride), stride)[0].numpy()
    np.testing.assert_allclose(here.boxes, there, rtol=1e-5)


def _learn(path: Path, epochs: int) -> torch.nn.Module:
    torch.manual_seed(0)
    x = torch.rand(8, 2, 4, 4)

    def batches(_: int) -> list[tuple[torch.Tensor, ...]]:
        return [(x, x.mean(dim=(1, 2, 3)))] * 3

    def loss(output: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"square": (output.mean(dim=(1, 2, 3)) - target).square().mean()}

    schedule = loop.Schedule(epochs=epochs, batch=8, learning_rate=0.01, bf16=False)
    torch.manual_seed(1)
    return loop.fit(
        torch.nn.Conv2d(2, 1, 1),
        loop.Task(batches, 3, loss),
        replace(schedule),
        loop.Checkpoint(path, "digest"),
    )


def test_training_goes_on_from_its_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A finished training that is started again trains no further and gives the same weights."""
    first = _learn(tmp_path / "c.pt", 2)
    again = _learn(tmp_path / "c.pt", 2)
    assert torch.equal(first.weight, again.weight)
    assert "goes on from epoch 2" in capsys.readouterr().err


def test_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    """It is not silently mixed with this one."""
    _learn(tmp_path / "c.pt", 1)
    net = torch.nn.Conv2d(2, 1, 1)
    with pytest.raises(EdgeleukError, match="another recipe"):
        loop._resume(tmp_path / "c.pt", "other", net, net, torch.optim.AdamW(net.parameters()))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[networks.FinderNet, Path]:
    torch.manual_seed(0)
    network = networks.FinderNet(3, [8, 8, 16, 16, 16], [1, 2, 1, 1], 16, 8).eval()
    path = tmp_path_factory.mktemp("export") / "net.onnx"
    quantize.export(network, path, (1, 3, 64, 64), ["classes", "distances"], {2, 3})
    return network, path


@pytest.mark.parametrize("stride", [4, 8])
def test_output_grid_has_its_stride(stride: int) -> None:
    """One cell for each square of so many pixels."""
    network = networks.FinderNet(3, [8, 8, 16, 16, 16], [1, 1, 1, 1], 16, stride).eval()
    classes, distances = network(torch.zeros(1, 3, 64, 96))
    assert classes.shape == (1, 3, 64 // stride, 96 // stride)
    assert distances.shape == (1, 4, 64 // stride, 96 // stride)


def test_a_teacher_adds_what_nobody_annotated() -> None:
    """A found cell that overlaps an annotated one of its class is that one; the field then knows all classes."""
    annotated = FieldSample(
        1, Path("x.png"), 100, 100, "chula", "g", frozenset({"WBC"}),
        np.array([[10, 10, 30, 30]], np.float32), np.array([0]), ("monocyte",),
    )  # fmt: skip
    found = Detections(
        np.array([[11, 10, 31, 30], [50, 50, 70, 70], [12, 12, 28, 28]], np.float32),
        np.ones(3, np.float32),
        np.array([0, 0, 1]),
        ("WBC", "RBC"),
    )
    both = with_found(annotated, found, ("WBC", "RBC"), 0.3)
    assert both.labelled == {"WBC", "RBC"}
    assert both.boxes.tolist() == [[10, 10, 30, 30], [50, 50, 70, 70], [12, 12, 28, 28]]
    assert both.kinds.tolist() == [0, 0, 1]
    assert both.subtypes == ("monocyte", None, None)


def test_export_computes_the_same(exported: tuple[networks.FinderNet, Path]) -> None:
    """onnxruntime and torch agree, also on a size other than the exported one."""
    network, path = exported
    x = np.random.default_rng(0).random((1, 3, 96, 128), np.float32)
    with torch.no_grad():
        expected = [part.numpy() for part in network(torch.from_numpy(x))]
    for ours, theirs in zip(Session(path).run(x), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_published_reader_gives_features_and_its_head_logits(tmp_path: Path) -> None:
    """onnxruntime and numpy together give what torch gives."""
    torch.manual_seed(0)
    network = networks.ReaderNet([3, 2], 0.1, 1.3).eval()
    quantize.export(networks.FeaturesAlone(network), tmp_path / "r.onnx", (1, 3, 32, 32), ["features"], {0})
    x = np.random.default_rng(0).random((5, 3, 32, 32), np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(x)).numpy()
    head = network.head.weight.detach().numpy().T, network.head.bias.detach().numpy()
    given = Session(tmp_path / "r.onnx").run(x)[0] @ head[0] + head[1]
    np.testing.assert_allclose(given, expected, atol=1e-4)


def test_the_backbone_starts_from_imagenet() -> None:
    """All of its layers but their counters change, and none stays as it was made."""
    torch.manual_seed(0)
    network = EfficientNetLite0()
    made = {name: value.clone() for name, value in network.state_dict().items()}
    load_imagenet(network)
    weights = {name: value for name, value in network.state_dict().items() if value.is_floating_point()}
    assert not any(torch.equal(value, made[name]) for name, value in weights.items())


def test_a_coarse_label_takes_the_sum_of_its_types() -> None:
    """Of probabilities .1, .2, .7 a label of the last two has .9."""
    logits = torch.tensor([[0.1, 0.2, 0.7]]).log()
    allowed = torch.tensor([[False, True, True]])
    assert float(reader.type_loss(logits, allowed, 0.0)) == pytest.approx(-np.log(0.9))


def test_a_bag_that_is_read_as_annotated_has_the_least_loss() -> None:
    """Crops read for sure in the annotated proportions lose less than those in any others."""
    beside = torch.tensor([False, False, True])
    known = torch.tensor([0.75, 0.25, 0.0]), torch.tensor(0.2)

    def loss(*numbers: int) -> float:
        read = torch.tensor([i for i, n in enumerate(numbers) for _ in range(n)])
        logits = torch.nn.functional.one_hot(read, 3) * 30.0
        return float(bags.proportions_loss(logits, *known, beside, 1.0, 0.1))

    right = loss(12, 4, 4)
    assert all(loss(*wrong) > right for wrong in ((8, 8, 4), (16, 0, 4), (15, 5, 0), (6, 2, 12)))


def test_artefacts_weigh_as_much_as_the_recipe_says() -> None:
    """Blasts that are all read as no cells lose by their share alone."""
    beside, logits = torch.tensor([False, True]), torch.tensor([[0.0, 30.0]]).repeat(8, 1)
    known = torch.tensor([1.0, 0.0]), torch.tensor(0.1)
    none, quarter, whole = (
        float(bags.proportions_loss(logits, *known, beside, w, 0.1)) for w in (0.0, 0.25, 1.0)
    )
    assert whole - none == pytest.approx(4 * (quarter - none))
    assert quarter > none


def test_a_crop_that_is_read_as_its_whole_slide_loses_by_its_doubt() -> None:
    """Half of the crops read as either type, or every crop as both: the mean is the same."""
    beside, known = torch.tensor([False, False, True]), (torch.tensor([0.5, 0.5, 0.0]), torch.tensor(0.0))
    sure = torch.tensor([[30.0, 0.0, 0.0], [0.0, 30.0, 0.0]]).repeat(4, 1)
    doubtful = torch.tensor([[0.0, 0.0, -30.0]]).repeat(8, 1)
    losses = [float(bags.proportions_loss(each, *known, beside, 1.0, 0.3)) for each in (sure, doubtful)]
    assert losses[1] - losses[0] == pytest.approx(0.3 * np.log(2), abs=1e-3)


@pytest.mark.parametrize(("recipe", "keeps"), [("reader-40x", True), ("reader-100x", False)])
def test_norms_keep_their_statistics_where_the_recipe_says_so(recipe: str, keeps: bool) -> None:
    """In training, where half of a batch is of one slide."""
    network = reader.build(load_recipe(recipe)).train()
    before = {name: each.clone() for name, each in network.named_buffers()}
    network(torch.rand(4, 3, 96, 96))
    after = dict(network.named_buffers())
    assert all(torch.equal(before[name], after[name]) for name in before) == keeps


def test_labels_of_a_laboratory_may_stand_for_several_types() -> None:
    """A promyelocyte of an APL patient may be an abnormal one, one of a healthy donor may not."""
    known = labels.Labels.of(load_recipe("reader-100x"))
    cell = CellSample(Path("x.jpg"), "deepapl", "train", "", "promyelocyte", 0.1)
    at = {each: i for i, each in enumerate(known.types)}
    apl, healthy = (known.masks[known.index(replace(cell, source=s))] for s in ("deepapl", "pbc"))
    assert np.flatnonzero(apl).tolist() == [at["promyelocyte"], at["abnormal_promyelocyte"]]
    assert np.flatnonzero(healthy).tolist() == [at["promyelocyte"]]


def test_all_lineages_of_blasts_are_printed_as_one() -> None:
    """And what is printed is what the coarse label is called."""
    known = labels.Labels.of(load_recipe("reader-100x"))
    assert {known.printed(each) for each in ("myeloblast", "lymphoblast", "monoblast", "blast")} == {"blast"}
    assert "myeloblast" not in known.printing


def test_a_label_that_stands_for_types_printed_apart_is_refused() -> None:
    """What a cell of it should be read as would not be known."""
    recipe = load_recipe("reader-100x")
    data = {**recipe["data"], "allows": {"mononuclear": ["lymphocyte", "monocyte"]}}
    with pytest.raises(InputError, match="printed under one label"):
        labels.Labels.of(replace(recipe, sections={**recipe.sections, "data": data}))


def test_a_recipe_without_a_laboratory_is_another_recipe() -> None:
    """Its checkpoint is not taken for that of the whole."""
    whole = load_recipe("reader-100x")
    part = without(whole, ["krd"])
    assert part.name == "reader-100x-without-krd"
    assert part.digest != whole.digest


def test_an_unknown_laboratory_cannot_be_left_out() -> None:
    """The error lists those of the recipe."""
    with pytest.raises(UsageError, match=r"does not learn from moon. It learns from: chula, deepapl, "):
        without(load_recipe("reader-100x"), ["moon"])


def test_a_training_starts_from_layers_of_the_same_shape() -> None:
    """Where types are merged the head starts anew, everything else does not."""
    first, other = networks.ReaderNet([5], 0.1, 1.3), networks.ReaderNet([3], 0.1, 1.3)
    head = other.head.weight.clone()
    reader._start_from(other, first.state_dict())
    assert torch.equal(other.head.weight, head)
    assert torch.equal(other.backbone.stem[0].weight, first.backbone.stem[0].weight)


def test_a_training_cannot_start_from_what_is_not_there(tmp_path: Path) -> None:
    """The error names the recipe to train first."""
    with pytest.raises(ModelMissingError, match="Train the recipe finder-100x first"):
        loop.started(tmp_path / "finder-100x")


@pytest.mark.usefixtures("data")
def test_cells_are_seen_through_the_objective() -> None:
    """Each cell keeps its picture and gains one of each shot, coarser and blurrier."""
    recipe = load_recipe("reader-10x")
    samples = cells.load_training_cells(recipe, kept_aside=True)[:3]
    seen = cells.through_objective(recipe, cells.in_memory(samples))
    for cell in seen:
        (image, scale), *shots = cell.pictures
        assert image.shape[0] * scale.um_per_px == pytest.approx(224 * cell.sample.um_per_px, rel=0.01)
        assert len(shots) == recipe["virtual"]["shots"]
        assert all(shot.um_per_px >= 0.3 for _, shot in shots)


@pytest.mark.usefixtures("data")
def test_merged_types_teach_their_group() -> None:
    """A 10x reader learns myelocytes as immature granulocytes."""
    samples = cells.load_training_cells(load_recipe("reader-10x"), kept_aside=True)
    names = {sample.label for sample in samples}
    assert "immature_granulocyte" in names
    assert "myelocyte" not in names


@pytest.mark.usefixtures("data")
def test_white_cells_of_fields_are_cut_in_the_middle() -> None:
    """Every annotated type of the Chulalongkorn fields becomes a training cell of the same size."""
    found = list(islice(cells.load_field_cells(load_recipe("reader-100x")), 12))
    assert {cell.pictures[0][0].shape for cell in found} == {(160, 160, 3)}
    assert all(cell.sample.source == "chula" for cell in found)
    middles = [np.mean(cell.pictures[0][0][70:90, 70:90]) for cell in found]
    edges = [np.mean(cell.pictures[0][0][:20]) for cell in found]
    assert np.mean(middles) < np.mean(edges)


@pytest.mark.usefixtures("data")
def test_fields_through_an_objective_weigh_as_the_recipe_says() -> None:
    """The shots of a picture weigh one picture together, composed fields their share; boxes stay inside."""
    recipe = load_recipe("finder-10x")
    samples = [s for s in fields.training_samples(recipe, kept_aside=True) if s[0].source == "pbc"][:8]
    shown = objectives.virtual_fields(recipe, samples)
    composed = [field for field in shown if field.sample.group.startswith("composed")]
    settings = recipe["virtual"]
    assert len(shown) - len(composed) == settings["shots"] * len(samples)
    assert sum(f.weight for f in shown if not f.sample.group.startswith("composed")) == pytest.approx(
        len(samples)
    )
    assert sum(f.weight for f in composed) == pytest.approx(settings["composed"] * len(samples))
    for field in composed:
        height, width = field.image.shape[:2]
        assert (field.boxes >= -1).all()
        assert (field.boxes <= np.array([width, height, width, height]) + 1).all()


def test_quantized_network_is_really_int8_and_close(
    exported: tuple[networks.FinderNet, Path], tmp_path: Path
) -> None:
    """Weights of all convolutions but those kept float are int8, and outputs stay near."""
    import onnx

    _, path = exported
    rng = np.random.default_rng(0)
    batches = [rng.random((1, 3, 64, 64), np.float32) for _ in range(8)]
    small = tmp_path / "int8.onnx"
    quantize.quantize(path, small, batches, "minmax", ["/classes/", "/distances/"])
    graph = onnx.load(small).graph
    kinds = {w.data_type for w in graph.initializer if len(w.dims) == 4}
    floats = [w for w in graph.initializer if len(w.dims) == 4 and w.data_type == onnx.TensorProto.FLOAT]
    assert onnx.TensorProto.INT8 in kinds
    assert len(floats) == 2
    for ours, theirs in zip(Session(small).run(batches[0]), Session(path).run(batches[0]), strict=True):
        assert np.abs(ours - theirs).mean() < 0.1 * max(theirs.std(), 0.05)


def test_temperature_of_an_overconfident_reader_is_above_one() -> None:
    """Logits three times too large are cooled by about three."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (4000, 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(4, p=p) for p in probabilities])
    allowed = np.eye(4, dtype=bool)[truth]
    assert thresholds.temperature((logits * 2).astype(np.float32), allowed) == pytest.approx(2, rel=0.1)


def test_rejection_threshold_is_the_smallest_that_is_accurate_enough() -> None:
    """Everything under 0.7 is wrong here, so 0.7 it is."""
    confidence = np.linspace(0.5, 0.99, 50).astype(np.float32)
    assert thresholds.rejection_threshold(confidence, confidence >= 0.7, 0.99, 0.5) == pytest.approx(
        0.7, abs=0.011
    )


def test_counted_classes_take_the_threshold_that_counts_right() -> None:
    """Of ten detections with four annotated cells, the threshold keeps four."""
    scores = np.linspace(0.15, 0.85, 10).astype(np.float32)
    chosen = thresholds._best_counted([scores], [("a", 4)])
    assert (scores >= chosen).sum() == 4


def test_counted_classes_weigh_every_camera_alike() -> None:
    """A camera with ten times the cells does not choose the threshold alone."""
    few, many = np.linspace(0.11, 0.89, 79), np.repeat(np.linspace(0.11, 0.89, 79), 10)
    fields = [few.astype(np.float32), many.astype(np.float32)]
    truth = [("few", 30), ("many", 600)]
    strict, lax = (thresholds._best_counted(fields[i : i + 1], truth[i : i + 1]) for i in (0, 1))
    assert lax + 0.1 < thresholds._best_counted(fields, truth) < strict - 0.1


def _stained_crop() -> torch.Tensor:
    """A purple nucleus in the middle of a pale field with red cells along the left and right, (1, 3, 96, 96)."""
    crop = torch.full((1, 3, 96, 96), 0.9)
    crop[:, :, 30:66, 30:66] = torch.tensor([0.35, 0.2, 0.5]).view(1, 3, 1, 1)
    for side in (slice(0, 14), slice(82, 96)):
        crop[:, :, :, side] = torch.tensor([0.8, 0.5, 0.5]).view(1, 3, 1, 1)
    return crop


def test_eosin_moves_red_cells_and_leaves_the_nucleus() -> None:
    """Another colour of red cells changes neither the nucleus nor the background."""
    still = augment.Colour(stain=0, light=0, gradient=0, blur=0, noise=0, clean=0)
    crop = _stained_crop()
    changed = augment.recolour(crop, replace(still, eosin=0.5), torch.Generator().manual_seed(4))
    difference = (changed - crop).abs().amax(dim=1)[0]
    assert difference[:, :14].min() > 0.05
    assert difference[32:64, 32:64].max() < 0.02
    assert difference[40:60, 16:28].max() < 0.02


def test_eosin_needs_two_dyes() -> None:
    """Where nothing beside the nucleus is stained, or red cells have its colour, the picture stays as it is."""
    still = augment.Colour(stain=0, light=0, gradient=0, blur=0, noise=0, clean=0)
    crop = _stained_crop()
    crop[:, :, :, :14] = crop[:, :, :, 82:] = 0.9
    changed = augment.recolour(crop, replace(still, eosin=0.5), torch.Generator().manual_seed(4))
    assert torch.allclose(changed, crop, atol=1e-4)
