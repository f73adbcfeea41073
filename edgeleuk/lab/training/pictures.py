"""Images of cells on the training device.

They are cropped and prepared there by batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from edgeleuk.models.manifest import Density
from edgeleuk.types import Image

FINER = 2
"""Sampling points per crop pixel, along each axis.

They are averaged, so that a pixel stands for an area, as in the runtime.
"""


class Pictures:
    """N images of any size; one tensor on a GPU."""

    def __init__(self, pictures: Sequence[Image], device: torch.device) -> None:
        self._pictures = pictures
        self.device = device
        self.centres = np.array([[p.shape[1] / 2, p.shape[0] / 2] for p in pictures])
        """(N, 2) centres of the images, x y, pixels."""
        if device.type == "cpu":
            return
        side = max(max(picture.shape[:2]) for picture in pictures)
        levels = np.empty((len(pictures), 3, side, side), np.uint8)
        for row, picture in zip(levels, pictures, strict=True):
            beyond = ((0, side - picture.shape[0]), (0, side - picture.shape[1]), (0, 0))
            row[...] = np.pad(picture, beyond, mode="edge").transpose(2, 0, 1)
        self.levels = torch.from_numpy(levels).to(device)

    def crops(self, which: NDArray[np.int64], maps: NDArray[np.float64], size: int) -> Tensor:
        """Cut crops from some of the images.

        Outside an image its edge repeats.

        Args:
            which: (B,) indices of the images.
            maps: (B, 2, 3) maps from image pixels to crop pixels, from `affines`.
            size: Side of the crops, pixels.

        Returns:
            Crops (B, 3, size, size), 0 to 1.
        """
        if self.device.type == "cpu":  # where OpenCV is eight times faster
            return self._warped(which, maps, size)
        device, side = self.device, self.levels.shape[-1]
        back = np.linalg.inv(maps[:, :, :2])
        offset = -np.einsum("nij,nj->ni", back, maps[:, :, 2])
        # -1 and 1 are the edges of the input in grid_sample, and of the output in affine_grid.
        half = size / 2
        theta = np.concatenate(
            [back * half, (back.sum(axis=2) * half + offset)[..., None] - side / 2], axis=2
        ) / (side / 2)
        grid = F.affine_grid(
            torch.from_numpy(theta.astype(np.float32)).to(device),
            [len(which), 3, size * FINER, size * FINER],
            align_corners=False,
        )
        chosen = self.levels[torch.from_numpy(which).to(device)].float() / 255
        points = F.grid_sample(chosen, grid, "bilinear", "border", align_corners=False)
        return F.avg_pool2d(points, FINER)

    def _warped(self, which: NDArray[np.int64], maps: NDArray[np.float64], size: int) -> Tensor:
        finer = maps * FINER
        finer[:, :, 2] += finer[:, :, :2].sum(axis=2) / 2 - 0.5  # OpenCV counts from pixel centres
        crops = np.empty((len(which), size, size, 3), np.uint8)
        for crop, number, matrix in zip(crops, which.tolist(), finer, strict=True):
            picture = self._pictures[number]
            seen = cv2.warpAffine(
                picture,
                matrix,
                (size * FINER, size * FINER),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            cv2.resize(seen, (size, size), crop, interpolation=cv2.INTER_AREA)
        return torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255


def prepare(crops: Tensor, density: Density | None) -> Tensor:
    """Prepare crops as the network's input, like `reader.prepare`.

    It works on the device of the crops (N, 3, S, S), 0 to 1. These are first rounded to levels, as a camera
    stores them.
    """
    levels = (crops * 255).round()
    if density is None:
        return levels / 255
    ordered = levels[..., ::2, ::2].flatten(2).sort(dim=2).values
    last = ordered.shape[2] - 1
    levels_at = (density.dark, density.white)
    dark, white = (ordered[..., round(last * share)].clamp(min=1)[..., None, None] for share in levels_at)
    steps = torch.log(white / levels.clamp(min=1)) / torch.log(white / dark).clamp(min=density.min_contrast)
    return steps.clamp(0, density.most_dense)
