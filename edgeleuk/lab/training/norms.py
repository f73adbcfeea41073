"""Statistics of batch norms on a new microscope.

A norm takes out the mean and the spread that a channel has on known microscopes. On another microscope they are
others, and the norm is to take out those (Li, Wang, Shi, Hou and Liu, Adaptive batch normalization for practical
domain adaptation, Pattern Recognition 2018;80:109-117). Mixed with the known ones they do less harm where the
patients differ too (Schneider et al., Improving robustness against common corruptions by covariate shift
adaptation, NeurIPS 2020).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import torch
from torch import Tensor, nn

from edgeleuk.errors import InputError
from edgeleuk.lab.training.networks import ReaderNet


class SettledReader(ReaderNet):
    """Reader whose norms keep their statistics in training."""

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all layers but the norms."""
        super().train(mode)
        for norm in norms_of(self):
            norm.eval()
        return self


def norms_of(network: nn.Module) -> list[nn.BatchNorm2d]:
    """Return the batch norms of a network."""
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


@torch.no_grad()
def adapt_norms(network: nn.Module, batches: Iterable[Tensor], share: float) -> None:
    """Give the norms of a network the statistics of new inputs, in place.

    Args:
        network: Network whose norms have statistics of known inputs.
        batches: Prepared inputs of the new microscope.
        share: Share of the new statistics, 0 to 1.

    Raises:
        InputError: There is no batch.
    """
    norms = norms_of(network)
    known = [(_statistics(norm), norm.momentum) for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
        norm.train()
    count = 0
    for batch in batches:
        network(batch)
        count += 1
    if not count:
        raise InputError("there are no cells to adapt the norms to. Give more fields.")
    for norm, ((mean, variance), momentum) in zip(norms, known, strict=True):
        new_mean, new_variance = _statistics(norm)
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.copy_(mean.lerp(new_mean, share))
        norm.running_var.copy_(variance.lerp(new_variance, share))
        norm.momentum = momentum
    network.eval()


def _statistics(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None and norm.running_var is not None
    return norm.running_mean.clone(), norm.running_var.clone()
