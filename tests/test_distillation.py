"""A small finder that learns from the outputs of a larger one."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from edgeleuk.errors import ModelMissingError, UsageError  # noqa: E402
from edgeleuk.lab.training import distillation  # noqa: E402
from edgeleuk.lab.training.recipe import changed, load_recipe  # noqa: E402

STRIDE, SIDE = 4, 4
NONE = torch.zeros(2, 1, 4)


def _outputs(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (2, 3, SIDE, SIDE)
    return torch.randn(shape, generator=generator), torch.randn(2, 4, SIDE, SIDE, generator=generator)


def _loss(
    own: tuple[torch.Tensor, torch.Tensor], theirs: tuple[torch.Tensor, torch.Tensor], known: torch.Tensor
) -> dict[str, torch.Tensor]:
    annotated = (NONE, torch.full((2, 1), -1), torch.ones(2, 3), NONE)
    outputs = (each[known] for each in theirs)
    return distillation.distilled_loss(own, *annotated, known, *outputs, stride=STRIDE, strength=1.0)


def test_the_outputs_of_the_larger_finder_have_no_loss() -> None:
    """A small finder that gives the same scores and boxes has nothing to learn from it."""
    theirs = _outputs(1)
    parts = _loss(theirs, theirs, torch.tensor([True, True]))
    assert float(parts["scores"]) == pytest.approx(0, abs=1e-6)
    assert float(parts["boxes"]) == pytest.approx(0, abs=1e-5)
    other = _loss(_outputs(2), theirs, torch.tensor([True, True]))
    assert min(float(other["scores"]), float(other["boxes"])) > 0.1


def test_a_camera_that_the_larger_finder_does_not_know_learns_nothing_from_it() -> None:
    """Only crops of known cameras have a gradient from its outputs."""
    own = tuple(each.requires_grad_() for each in _outputs(2))
    parts = _loss(own, _outputs(1), torch.tensor([False, True]))
    (parts["scores"] + parts["boxes"]).backward()
    for each in own:
        assert float(each.grad[0].abs().max()) == 0
        assert float(each.grad[1].abs().max()) > 0


def test_a_batch_of_unknown_cameras_has_the_annotated_loss_alone() -> None:
    """It has no outputs to compare with."""
    assert set(_loss(_outputs(2), _outputs(1), torch.tensor([False, False]))) == {"class", "box"}


@pytest.mark.parametrize(
    ("model", "differs"),
    [({"um_per_px": 0.3}, "um_per_px"), ({"stride": 8, "folded": False}, "output grids")],
)
def test_finders_of_another_grid_are_refused(tmp_path: Path, model: dict[str, object], differs: str) -> None:
    """Their outputs do not stand at the same places."""
    recipe = changed(load_recipe("finder-100x-distilled", "finder"), "other", {"model": model})
    with pytest.raises(UsageError, match=differs):
        distillation.load_teacher(recipe, tmp_path)


def test_the_larger_finder_must_have_been_trained(tmp_path: Path) -> None:
    """The message names its recipe."""
    with pytest.raises(ModelMissingError, match="finder-100x"):
        distillation.load_teacher(load_recipe("finder-100x-distilled", "finder"), tmp_path)
