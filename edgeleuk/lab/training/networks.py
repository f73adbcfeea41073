"""Networks of the finder and the reader.

They consist of convolutions, batch norm and ReLU, which INT8 kernels on small processors run fastest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from edgeleuk.lab.training.efficientnet import FEATURES, EfficientNetLite0
from edgeleuk.lab.training.recipe import Recipe

PAD = 0.5
"""Value outside a field, as in the runtime."""


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Create a convolution with batch norm and ReLU.

    Args:
        inputs: Number of input channels.
        outputs: Number of output channels.
        kernel: Side of the kernel, pixels; odd.
        stride: Stride of the convolution, pixels.
    """
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Residual block of two 3x3 convolutions.

    The first convolution may halve the size.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = conv(inputs, outputs, 3, stride)
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.first(x)) + self.shortcut(x))


class FinderNet(nn.Module):
    """Anchor-free detector with one output grid.

    Input: (N, 3, H, W) RGB, 0 to 1, H and W multiples of 32. Output: class logits (N, K, H/stride, W/stride),
    and (N, 4, H/stride, W/stride) logarithms of the distances left, top, right, bottom from the grid cell's
    centre, in strides.
    """

    def __init__(
        self,
        classes: int,
        widths: Sequence[int],
        depths: Sequence[int],
        neck: int,
        stride: int,
        folded: bool = False,
    ) -> None:
        """Build the network.

        Args:
            classes: Number of cell classes, K.
            widths: Channels of the stem, then of each stage; each halves the size.
            depths: Residual blocks of each stage.
            neck: Channels of the computed grid.
            stride: Input pixels per cell of the output grid; 4 or 8.
            folded: Compute the grid at twice the stride, with four output cells in the channels of each of
                its cells: a quarter of the work of the finest layers.
        """
        super().__init__()
        self.stem = conv(3, widths[0], 3, 2)
        self.stages = nn.ModuleList(
            nn.Sequential(Residual(before, after, 2), *(Residual(after, after) for _ in range(depth - 1)))
            for (before, after), depth in zip(pairwise(widths), depths, strict=True)
        )
        # The first stage has stride 4: a grid of stride 8 has no use for its details.
        self.finest = {4: 0, 8: 1}[stride * 2 if folded else stride]
        self.fold = conv(widths[1], neck, 3, 2) if folded else None
        cells = 4 if folded else 1
        used = widths[1 + self.finest :]
        self.laterals = nn.ModuleList(nn.Conv2d(width, neck, 1) for width in used)
        self.smooth = nn.ModuleList(conv(neck, neck) for _ in used[1:])
        self.class_tower = nn.Sequential(conv(neck, neck))
        self.box_tower = nn.Sequential(conv(neck, neck), conv(neck, neck))
        self.classes = nn.Conv2d(neck, cells * classes, 1)
        self.distances = nn.Conv2d(neck, cells * 4, 1)
        # The classes start at 0.02, the share of the grid that holds cells.
        for layer, start in ((self.classes, -4.0), (self.distances, 1.0 if stride == 4 else 0.3)):
            assert layer.bias is not None
            nn.init.constant_(layer.bias, start)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        details, levels = levels[0], levels[self.finest :]
        merged = self.laterals[-1](levels[-1])
        for i in range(len(levels) - 2, -1, -1):
            up = F.interpolate(merged, scale_factor=2.0, mode="nearest")
            up = up + self.laterals[i](levels[i])
            if i == 0 and self.fold is not None:
                up = up + self.fold(details)
            merged = self.smooth[i](up)
        logits = self.classes(self.class_tower(merged))
        distances = self.distances(self.box_tower(merged))
        if self.fold is None:
            return logits, distances
        return F.pixel_shuffle(logits, 2), F.pixel_shuffle(distances, 2)


def build_finder(recipe: Recipe) -> FinderNet:
    """Build the untrained finder of a recipe."""
    model = recipe["model"]
    depths = model.get("depths", [2] * (len(model["widths"]) - 1))
    return FinderNet(
        len(model["classes"]),
        model["widths"],
        depths,
        model["neck"],
        stride_of(recipe),
        model.get("folded", False),
    )


def stride_of(recipe: Recipe) -> int:
    """Return the input pixels per cell of a finder's output grid."""
    return int(recipe["model"].get("stride", 4))


class ReaderNet(nn.Module):
    """Classifier of a white cell's type and attributes.

    One pass gives the type and all attributes of a crop. Input: (N, 3, S, S), as `reader.prepare` makes it,
    optical density from 0, the background, to `most_dense`. Output: logits (N, sum of heads), the types
    first, then each attribute's values.
    """

    def __init__(self, heads: Sequence[int], dropout: float, most_dense: float) -> None:
        super().__init__()
        self.most_dense = most_dense
        self.backbone = EfficientNetLite0()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(FEATURES, sum(heads))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.features(x)))

    def features(self, x: Tensor) -> Tensor:
        """Return mean channels (N, FEATURES) of the last layer."""
        # The backbone was trained on photographs, where 1 is white and -1 is black.
        return self.backbone(1 - x * (2 / self.most_dense)).mean(dim=(2, 3))


class FeaturesAlone(nn.Module):
    """The published part of a reader's network.

    The head lies beside it as a matrix.
    """

    NAME = "reader"
    """Prefix of the names of all the reader's layers."""

    def __init__(self, reader: ReaderNet) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, x: Tensor) -> Tensor:
        return self.reader.features(x)
