"""The two networks. Plain convolutions, batch norm and ReLU: what INT8 kernels on small processors run fastest.

The reader's first stages may also normalise half of their channels within each picture, which forgets a stain that
batch norm would remember (IBN-a of Pan, Luo, Shi, Tang, Two at once: enhancing learning and generalization
capacities via IBN-Net, ECCV 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 4
"""Pixels of the finder's input per cell of its output grid."""


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class HalfInstanceNorm(nn.Module):
    """Instance norm on the first half of the channels, batch norm on the rest."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.half = channels // 2
        self.instance = nn.InstanceNorm2d(self.half, affine=True)
        self.batch = nn.BatchNorm2d(channels - self.half)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.instance(x[:, : self.half]), self.batch(x[:, self.half :])], dim=1)


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut; the first may halve the size."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, half_instance: bool = False) -> None:
        super().__init__()
        self.first = conv(inputs, outputs, 3, stride)
        if half_instance:
            self.first[1] = HalfInstanceNorm(outputs)
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.first(x)) + self.shortcut(x))


class FinderNet(nn.Module):
    """Anchor-free detector with one output grid at stride 4.

    Input (N, 3, H, W) RGB 0 to 1, H and W multiples of 32. Output: class logits (N, K, H/4, W/4), and the
    logarithm of the distances left, top, right, bottom from the grid cell's centre, in strides (N, 4, H/4, W/4).
    """

    def __init__(self, classes: int, widths: Sequence[int], neck: int) -> None:
        super().__init__()
        self.stem = conv(3, widths[0], 3, 2)
        self.stages = nn.ModuleList(
            nn.Sequential(Residual(before, after, 2), Residual(after, after))
            for before, after in pairwise(widths)
        )
        self.laterals = nn.ModuleList(nn.Conv2d(width, neck, 1) for width in widths[1:])
        self.smooth = nn.ModuleList(conv(neck, neck) for _ in widths[2:])
        self.class_tower = nn.Sequential(conv(neck, neck))
        self.box_tower = nn.Sequential(conv(neck, neck), conv(neck, neck))
        self.classes = nn.Conv2d(neck, classes, 1)
        self.distances = nn.Conv2d(neck, 4, 1)
        nn.init.constant_(self.classes.bias, -4.0)  # a share of 0.02 of the grid holds cells: start there
        nn.init.constant_(self.distances.bias, 1.0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        merged = self.laterals[-1](levels[-1])
        for i in range(len(levels) - 2, -1, -1):
            up = F.interpolate(merged, scale_factor=2.0, mode="nearest")
            merged = self.smooth[i](up + self.laterals[i](levels[i]))
        return self.classes(self.class_tower(merged)), self.distances(self.box_tower(merged))


class ReaderNet(nn.Module):
    """One white cell's crop to its type and all its attributes in one pass.

    Input (N, 3, S, S), as `reader.prepare` makes it. Output (N, sum of heads): logits, the type first, then each
    attribute's values. `half_instance` is the number of stages that normalise half of their channels by picture.
    """

    def __init__(
        self, heads: Sequence[int], widths: Sequence[int], dropout: float, half_instance: int = 0
    ) -> None:
        super().__init__()
        stages: list[nn.Module] = [conv(3, widths[0], 3, 2)]
        for number, (before, after) in enumerate(pairwise(widths)):
            half = number < half_instance
            stages += [Residual(before, after, 2, half), Residual(after, after, 1, half)]
        self.body = nn.Sequential(*stages)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1] * 2, sum(heads))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.features(x)))

    def features(self, x: Tensor) -> Tensor:
        """Mean and maximum of the last stage's channels, (N, 2 x channels)."""
        x = self.body(x)
        return torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)
