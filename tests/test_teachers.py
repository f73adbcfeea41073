"""Teachers and what they leave for small readers; crops and colours on the device. Needs the extra `train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
from standard import RULES  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812  # torch is looked for first; its usual name

from edgeleuk import reader as runtime  # noqa: E402
from edgeleuk.errors import EdgeleukError, ModelMissingError, UsageError  # noqa: E402
from edgeleuk.manifest import DENSITY, Density  # noqa: E402
from edgeleuk.training import augment, cells, loop, reader, teachers  # noqa: E402
from edgeleuk.training import lessons as lessons_of  # noqa: E402
from edgeleuk.training.fields import cached, training_samples  # noqa: E402
from edgeleuk.training.finder import FinderBatches  # noqa: E402
from edgeleuk.training.pictures import Pictures, prepare  # noqa: E402
from edgeleuk.training.publish import publish  # noqa: E402
from edgeleuk.training.recipe import Recipe, load_recipe  # noqa: E402

SIZES = {"labels": ("neutrophil", "myelocyte", "promyelocyte"), "attributes": {"granularity": ("no", "yes")}}


def _lessons(*names: str) -> lessons_of.Lessons:
    rows = np.array([[0.5, 0.3, 0.2, 0.1, 0.9], [0.1, 0.2, 0.7, 0.6, 0.4]], np.float32)
    return lessons_of.Lessons(names, **SIZES, probabilities=rows[: len(names)])


def _recipe(**data: object) -> Recipe:
    sections = {
        "model": {"labels": ["neutrophil", "immature_granulocyte"]},
        "attributes": {"granularity": ["no", "yes"]},
        "data": {
            "merge": {"myelocyte": "immature_granulocyte", "promyelocyte": "immature_granulocyte"},
            **data,
        },
        "taught": {"by": "reader-teachers", "share": 0.5, "least": 0.6},
    }
    return Recipe("small", sections, "digest")


def test_lessons_come_back_as_they_were_saved(tmp_path: Path) -> None:
    """Names, types, attributes, and probabilities to half precision."""
    lessons = _lessons("pbc/a/0", "pbc/b/0")
    lessons.save(tmp_path / "lessons.npz")
    back = lessons_of.Lessons.load(tmp_path / "lessons.npz")
    assert (back.names, back.labels, dict(back.attributes)) == (
        lessons.names,
        lessons.labels,
        SIZES["attributes"],
    )
    np.testing.assert_allclose(back.probabilities, lessons.probabilities, atol=1e-3)


def test_lessons_that_are_not_there_name_what_to_run(tmp_path: Path) -> None:
    """The error says which command makes them."""
    with pytest.raises(ModelMissingError, match="train teachers --recipe reader-teachers"):
        lessons_of.Lessons.load(tmp_path / "reader-teachers" / "lessons.npz")


def test_a_group_is_taught_the_sum_of_its_types() -> None:
    """What a small reader does not tell apart is added up; attributes stay as they are."""
    np.testing.assert_allclose(
        _lessons("a", "b").for_recipe(_recipe()), [[0.5, 0.5, 0.1, 0.9], [0.1, 0.9, 0.6, 0.4]], atol=1e-6
    )


def test_teachers_that_lack_an_attribute_are_refused() -> None:
    """The error names it."""
    recipe = _recipe()
    recipe.sections["attributes"] = {"cell_size": ["small", "big"]}
    with pytest.raises(EdgeleukError, match="do not know the attribute cell_size"):
        _lessons("a").for_recipe(recipe)


def test_folds_are_even_and_always_the_same() -> None:
    """A quarter of the groups each, give or take chance."""
    folds = [teachers.fold_of(f"group {i}", 4) for i in range(4000)]
    assert all(900 < folds.count(number) < 1100 for number in range(4))
    assert folds == [teachers.fold_of(f"group {i}", 4) for i in range(4000)]


def test_without_a_lesson_the_loss_is_the_labels() -> None:
    """Weighted cross-entropy of the labelled cells, as PyTorch computes it."""
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    target, weight = torch.tensor([0, 1, 2, -1, 1, 0]), torch.tensor([1.0, 2.0, 0.5])
    ours = reader._mixed(logits, target, None, 0.5, 0.0, weight)
    assert float(ours) == pytest.approx(float(F.cross_entropy(logits, target, weight, ignore_index=-1)))


def test_a_cell_without_a_label_learns_its_lesson() -> None:
    """Where neither is known nothing is learnt; where the label is unknown the teachers' word counts whole."""
    logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
    lesson = torch.tensor([[0.2, 0.5, 0.3], [0.0, 0.0, 0.0]])
    loss = reader._mixed(logits, torch.tensor([-1, -1]), lesson, 0.5, 0.0, None)
    assert float(loss.detach()) == pytest.approx(float(F.cross_entropy(logits[:1], lesson[:1]).detach()))
    loss.backward()
    assert float(logits.grad[1].abs().max()) == 0


def test_label_and_lesson_share_the_target() -> None:
    """A quarter of the lesson and three quarters of the label."""
    logits = torch.randn(1, 3, generator=torch.Generator().manual_seed(1))
    lesson, target = torch.tensor([[0.2, 0.5, 0.3]]), torch.tensor([2])
    wanted = 0.75 * F.cross_entropy(logits, target) + 0.25 * F.cross_entropy(logits, lesson)
    assert float(reader._mixed(logits, target, lesson, 0.25, 0.0, None)) == pytest.approx(float(wanted))


@pytest.mark.usefixtures("data")
def test_lessons_are_kept_from_what_nobody_labelled(tmp_path: Path) -> None:
    """Unlabelled cells are taken only where the teachers are sure; an unlabelled attribute is not taught."""
    recipe = _recipe(unlabelled={"txl": {"sources": ["bccd"]}})
    strangers = list(cells.unlabelled_cells(recipe))[:2]
    lessons = _lessons(strangers[0].name, strangers[1].name)  # the first is unsure: 0.5 and 0.5
    (tmp_path / "reader-teachers").mkdir()
    lessons.save(tmp_path / "reader-teachers" / lessons_of.LESSONS)
    known = replace(strangers[0], sample=replace(strangers[0].sample, label="neutrophil", source="pbc"))
    taught, said = lessons_of.with_lessons(recipe, [known], tmp_path, RULES)
    assert [cell.name for cell in taught] == [known.name, strangers[1].name]
    np.testing.assert_allclose(said, [[0, 0, 0, 0], [0.1, 0.9, 0, 0]], atol=1e-3)


@pytest.mark.usefixtures("data")
def test_what_was_boxed_as_a_white_cell_is_taught_as_one(tmp_path: Path) -> None:
    """Teachers that take it for a platelet are not heard on that; the rest of what they say is shared out."""
    recipe = _recipe(unlabelled={"txl": {"sources": ["bccd"]}})
    recipe.sections["model"]["labels"] = ["neutrophil", "myelocyte", "platelet"]
    recipe.sections["data"]["merge"] = {}
    stranger = next(cells.unlabelled_cells(recipe))
    rows = np.array([[0.15, 0.05, 0.8, 0.5, 0.5]], np.float32)
    lessons = lessons_of.Lessons(
        (stranger.name,), ("neutrophil", "myelocyte", "platelet"), SIZES["attributes"], rows
    )
    (tmp_path / "reader-teachers").mkdir()
    lessons.save(tmp_path / "reader-teachers" / lessons_of.LESSONS)
    _, said = lessons_of.with_lessons(recipe, [], tmp_path, RULES)
    np.testing.assert_allclose(said, [[0.75, 0.25, 0, 0, 0]], atol=1e-3)


@given(seed=st.integers(0, 10_000))
def test_maps_bring_the_centre_to_the_middle(seed: int) -> None:
    """Without a shift, whatever the scale, squeeze and turn."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(10, 90, (5, 2))
    geometry = augment.Geometry(scale=0.3, squeeze=0.2)
    maps = augment.affines(rng, geometry, rng.uniform(0.5, 2, (5, 2)), centres, 64)
    seen = np.einsum("nij,nj->ni", maps[:, :, :2], centres) + maps[:, :, 2]
    np.testing.assert_allclose(seen, 32, atol=1e-9)


def test_calm_maps_change_scale_a_quarter_as_much() -> None:
    """The logarithm of the area is a quarter of what it would have been."""

    def grown(calm: float) -> np.ndarray:
        geometry = augment.Geometry(scale=0.2, squeeze=0.0, calm=calm)
        rng = np.random.default_rng(5)
        maps = augment.affines(rng, geometry, np.ones((50, 2)), np.zeros((50, 2)), 64)
        return np.log(np.abs(np.linalg.det(maps[:, :, :2])))

    np.testing.assert_allclose(grown(1.0), grown(0.0) / 4, atol=1e-12)


@given(seed=st.integers(0, 10_000))
def test_crops_follow_the_map(seed: int) -> None:
    """A picture that grows evenly is known between its pixels: each pixel of a crop is the value at its middle."""
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[:40, :50]
    ramp = np.stack([4 * xs, 4 * ys, 2 * (xs + ys)], axis=-1).astype(np.uint8)
    other = np.zeros((60, 60, 3), np.uint8)
    pictures = Pictures([other, ramp], torch.device("cpu"))
    geometry = augment.Geometry(scale=0.05, squeeze=0.05)
    maps = augment.affines(rng, geometry, np.array([[1.3, 1.3]]), np.array([[25.0, 20.0]]), 24)
    crop = pictures.crops(np.array([1]), maps, 24)[0].numpy() * 255
    at = np.stack(np.meshgrid(np.arange(24) + 0.5, np.arange(24) + 0.5), axis=-1)
    x, y = np.moveaxis((at - maps[0, :, 2]) @ np.linalg.inv(maps[0, :, :2]).T - 0.5, -1, 0)
    np.testing.assert_allclose(crop, [4 * x, 4 * y, 2 * (x + y)], atol=0.02)


@pytest.mark.parametrize("density", [None, DENSITY, Density(0.1, 0.8, 0.3, 1.1)])
def test_crops_are_prepared_as_the_runtime_does(density: Density | None) -> None:
    """The same input to the network, to the precision of float32."""
    levels = np.random.default_rng(2).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    levels[1] = levels[1] // 8 + 100  # little contrast
    crops = torch.from_numpy(levels).permute(0, 3, 1, 2).float() / 255
    np.testing.assert_allclose(prepare(crops, density).numpy(), runtime.prepare(levels, density), atol=1e-5)


def test_blur_is_the_same_on_every_device() -> None:
    """Matrices give OpenCV's Gaussian of each picture's own width, mirrored at the edge; a width of 0 changes nothing."""
    batch = torch.rand(3, 3, 40, 56, generator=torch.Generator().manual_seed(1))
    widths = torch.tensor([0.0, 0.8, 3.0])
    anywhere = augment._blur_anywhere(batch, widths)
    assert torch.allclose(anywhere, augment._blur(batch, widths), atol=1e-3)
    assert torch.allclose(anywhere[0], batch[0])
    assert (anywhere[2] - batch[2]).abs().mean() > 0.1


@pytest.mark.usefixtures("data")
def test_fields_are_cut_the_same_by_any_number_of_processes() -> None:
    """Two processes give the batches of none, over two epochs."""
    recipe = load_recipe("finder-100x")
    chosen = training_samples(recipe, kept_aside=True)
    chosen = [each for each in chosen if each[0].source == "pbc"][:6]
    shown = [cached(np.full((s.height, s.width, 3), 200, np.uint8), scale, s, s.boxes) for s, scale in chosen]
    recipe.sections["train"] = {**recipe["train"], "batch": 2}

    def boxes(workers: int) -> list[torch.Tensor]:
        batches = FinderBatches(recipe, shown, workers=workers)
        return [batch[1] for epoch in range(2) for batch in batches(epoch)]

    alone, shared = boxes(0), boxes(2)
    assert len(alone) == 2 * FinderBatches(recipe, shown).steps > 0
    assert all(torch.equal(a, b) for a, b in zip(alone, shared, strict=True))


def test_a_device_that_is_not_there_is_said() -> None:
    """With what to use instead."""
    with pytest.raises(UsageError, match=r"cannot train on .*: .*\. Use --device cpu"):
        loop.device_named("cuda:99")


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path: Path) -> None:
    """And leaves no checkpoint of it."""

    def batches(_: int) -> list[tuple[torch.Tensor, ...]]:
        return [(torch.full((2, 1, 4, 4), torch.inf),)]

    schedule = loop.Schedule(epochs=1, batch=2, learning_rate=0.1, bf16=False)
    with pytest.raises(EdgeleukError, match="not finite in epoch 0"):
        loop.fit(
            torch.nn.Conv2d(1, 1, 1),
            batches,
            1,
            lambda output: {"mean": output.mean()},
            schedule,
            tmp_path / "c.pt",
            "digest",
        )
    assert not (tmp_path / "c.pt").exists()


def test_publishing_needs_a_recipe(tmp_path: Path) -> None:
    """Neither finder nor reader is nothing to do."""
    with pytest.raises(UsageError, match="nothing to publish"):
        publish(None, None, tmp_path, tmp_path, RULES)


def test_a_network_can_only_stay_where_one_is_published(tmp_path: Path) -> None:
    """Publishing a reader alone into an empty folder asks for a finder."""
    with pytest.raises(ModelMissingError, match="Give --finder and --reader"):
        publish(None, "reader-100x", tmp_path, tmp_path, RULES)
