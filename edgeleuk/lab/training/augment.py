"""Random augmentation that imitates differences between microscopes.

Colour and sharpness are changed by batch, on the device of the batch. Geometry is an affine map; fields are
warped one by one (`warp`, OpenCV), cells by batch (`pictures.Pictures`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Geometry:
    """Ranges of the random affine map.

    Scale and squeeze are standard deviations of a logarithm.
    """

    scale: float = 0.1
    squeeze: float = 0.04
    rotate: bool = True
    """Whether to rotate by any angle.

    Otherwise by quarter turns, under which boxes stay tight.
    """
    shift: float = 0.0
    """Maximum shift, as a share of the crop."""
    calm: float = 0.0
    """Share of maps with little change of scale.

    Their `scale` and `squeeze` are a quarter as large. A cell's size can only be read from a crop whose scale
    is known.
    """


def affines(
    rng: np.random.Generator,
    geometry: Geometry,
    factors: NDArray[np.floating],
    centres: NDArray[np.floating],
    size: int,
) -> NDArray[np.float64]:
    """Draw random affine maps for N images.

    Args:
        rng: Random generator.
        geometry: Ranges of the maps.
        factors: (N, 2) crop pixels per image pixel along x and y, before the random change.
        centres: (N, 2) x y of the crops' centres, image pixels.
        size: Side of the crops, pixels.

    Returns:
        Maps (N, 2, 3) from image pixels to crop pixels.
    """
    n = len(factors)
    spread = np.where(rng.random(n) < geometry.calm, 0.25, 1.0)
    grow = np.exp(rng.normal(0, geometry.scale, n) * spread)
    squeeze = np.exp(rng.normal(0, geometry.squeeze, n) * spread / 2)
    angle = rng.uniform(0, 2 * np.pi, n) if geometry.rotate else rng.integers(4, size=n) * np.pi / 2
    mirror = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    cos, sin = np.cos(angle), np.sin(angle)
    along_x, along_y = factors[:, 0] * grow * squeeze, factors[:, 1] * grow / squeeze
    turn = np.stack([cos * mirror * along_x, -sin * along_y, sin * mirror * along_x, cos * along_y], axis=-1)
    matrix = turn.reshape(n, 2, 2)
    shift = rng.uniform(-1, 1, (n, 2)) * geometry.shift * size
    offset = size / 2 + shift - np.einsum("nij,nj->ni", matrix, centres)
    return np.concatenate([matrix, offset[..., None]], axis=2)


def affine(
    rng: np.random.Generator,
    geometry: Geometry,
    factor: tuple[float, float],
    centre: tuple[float, float],
    size: int,
) -> NDArray[np.float64]:
    """Draw one random affine map.

    Args:
        rng: Random generator.
        geometry: Ranges of the map.
        factor: Crop pixels per image pixel along x and y, before the random change.
        centre: x y of the crop's centre, image pixels.
        size: Side of the crop, pixels.

    Returns:
        Map (2, 3) from image pixels to crop pixels.
    """
    return affines(rng, geometry, np.array([factor]), np.array([centre]), size)[0]


def warp(
    image: NDArray[np.uint8], matrix: NDArray[np.float64], size: int, fill: int | None
) -> NDArray[np.uint8]:
    """Apply an affine map to an image.

    Args:
        image: (H, W, 3) RGB.
        matrix: (2, 3) map from image pixels to crop pixels, counted from pixel edges.
        size: Side of the crop, pixels.
        fill: Level outside the image; None repeats the image's edge.
    """
    centred = matrix.copy()  # OpenCV's warp counts from pixel centres, ours from pixel edges
    centred[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
    shrink = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if shrink < 0.8:  # linear interpolation alone would alias
        image = cv2.GaussianBlur(image, (0, 0), 0.42 * np.sqrt(1 / shrink**2 - 1))
    mode = cv2.BORDER_REPLICATE if fill is None else cv2.BORDER_CONSTANT
    value = (fill or 0,) * 3
    return cv2.warpAffine(
        image, centred, (size, size), flags=cv2.INTER_LINEAR, borderMode=mode, borderValue=value
    )


def warp_boxes(boxes: NDArray[np.float32], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """Map boxes (N, 4) by an affine map.

    The results are axis-aligned boxes around the mapped corners. They are tight only for quarter turns and
    mirroring.
    """
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    mapped = corners @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate([mapped.min(axis=1), mapped.max(axis=1)], axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Colour:
    """Strengths of random changes of stain, light and sharpness.

    0 switches a change off.
    """

    stain: float = 0.12
    light: float = 0.1
    gradient: float = 0.15
    blur: float = 1.0
    noise: float = 0.02
    clean: float = 0.15
    """Share of images left unchanged."""
    mix: float = 0.0
    """Strength of additional changes of the dyes' colours.

    They add to those of `stain` and imitate other dyes and other spectra of lamp and sensor.
    """
    veil: float = 0.0
    """Maximum share of stray light.

    Its colour is random and faint.
    """
    fade: float = 0.0
    """Maximum share of grey.

    Cheap sensors mix their colours.
    """
    eosin: float = 0.0
    """Strength of colour changes of red cells.

    They change relative to nuclei; `stain` and `mix` change both together. On real slides red cells are
    anything from orange to green-blue while nuclei stay purple.
    """
    power: float = 0.0
    """Standard deviation of the logarithm of a power of the density.

    One factor for all channels and one for each: how much paler than nuclei cytoplasm looks differs by sensor and
    exposure.
    """
    grey: float = 0.0
    """Share of images that lose their colours.

    From these, shape and texture are learnt.
    """
    halo: float = 0.0
    """Strength of sharpening and bright defocus rims.

    Applied to half of the images.
    """


def recolour(batch: Tensor, colour: Colour, generator: torch.Generator) -> Tensor:
    """Apply random stain, lamp, vignette, focus and noise.

    Stain varies in optical density, where dyes add up (Beer-Lambert): a random gain per channel and a little
    mixing between channels, as caused by another dye lot or staining time. The lamp varies in intensity: gain
    per channel.

    Args:
        batch: Images (N, 3, H, W), 0 to 1.
        colour: Strengths of the changes.
        generator: Random generator on the device of the batch.
    """
    n, _, height, width = batch.shape
    device = batch.device

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    density = -torch.log(batch.clamp(min=1 / 255))
    mix = torch.eye(3, device=device).expand(n, 3, 3) + normal(n, 3, 3) * (colour.stain * 0.35 + colour.mix)
    gain = torch.exp(normal(n, 1, 1) * colour.stain + normal(n, 3, 1) * colour.stain)
    if colour.eosin:
        density = _eosin(density, normal(n, 3) * colour.eosin)
    density = torch.einsum("nij,njhw->nihw", mix * gain, density).clamp(min=0)
    if colour.power:
        power = torch.exp((normal(n, 1, 1, 1) + normal(n, 3, 1, 1)) * colour.power)
        density = density.clamp(min=1e-4) ** power
    if colour.grey:
        density = torch.where(uniform(n, 1, 1, 1) < colour.grey, _grey(density, uniform(n, 3, 1, 1)), density)
    out = torch.exp(-density)
    out = out * torch.exp(normal(n, 1, 1, 1) * colour.light + normal(n, 3, 1, 1) * colour.light)
    direction = normal(n, 2, 1, 1) * colour.gradient
    ys = torch.linspace(-0.5, 0.5, height, device=device).view(1, 1, height, 1)
    xs = torch.linspace(-0.5, 0.5, width, device=device).view(1, 1, 1, width)
    out = out * torch.exp(direction[:, :1] * xs + direction[:, 1:] * ys)
    out = out.clamp(0, 1) ** torch.exp(normal(n, 1, 1, 1) * colour.light)
    if colour.veil or colour.fade or colour.halo:
        out = _cheapen(out.clamp(0, 1), colour, uniform)
    out = _blur(out, uniform(n) ** 2 * colour.blur)
    out = out + normal(*out.shape) * (uniform(n, 1, 1, 1) ** 2 * colour.noise)
    keep = (uniform(n, 1, 1, 1) < colour.clean).float()
    return (batch * keep + out.clamp(0, 1) * (1 - keep)).contiguous()


def _grey(density: Tensor, weights: Tensor) -> Tensor:
    """Replace all channels by their weighted mean.

    `density` is (N, 3, H, W), `weights` are (N, 3, 1, 1), 0 to 1.
    """
    weights = weights + 0.05
    return (density * weights).sum(dim=1, keepdim=True) / weights.sum(dim=1, keepdim=True)


COARSE = 3
NUCLEUS = 0.92
"""Quantile of a crop's density above which the nucleus lies."""
STAINED = 0.25
"""Minimum density above the background of stained pixels.

Optical density (natural logarithm), summed over the channels.
"""
MIN_SINE = 0.15
"""Minimum sine of the angle between both dyes.

They are those of the nucleus and of red cells. Below it they are not told apart, and no colour is changed.
"""


def _eosin(density: Tensor, change: Tensor) -> Tensor:
    """Change the colour of red cells.

    `density` is an optical density (N, 3, H, W); `change` (N, 3) is in units of the red cells' own density.
    The change is a shear I + d w' with w'n = 0 and w'e = 1, so that n, the nucleus, stays and e, the red
    cells around it, becomes e + d. Everything stained like red cells, above all eosinophil granules, changes
    with them; the background stays.
    """
    height, width = density.shape[2:]
    # Every ninth pixel gives the same means and quantiles, eight times cheaper.
    coarse = density[..., ::COARSE, ::COARSE]
    background = coarse.flatten(2).quantile(0.1, dim=2)[..., None, None]
    flat = (coarse - background).clamp(min=0).flatten(2)
    total = flat.sum(dim=1)
    darkest = total.quantile(NUCLEUS, dim=1, keepdim=True)
    ys = torch.linspace(-1, 1, height, device=density.device)[::COARSE].view(-1, 1)
    xs = torch.linspace(-1, 1, width, device=density.device)[::COARSE].view(1, -1)
    rim = ((ys**2 + xs**2) > 0.6).flatten()
    nucleus = _mean_where(flat, total >= darkest)
    pale = rim & (total > STAINED) & (total < 0.8 * darkest)
    red = _mean_where(flat, pale)
    along = nucleus / nucleus.norm(dim=1, keepdim=True).clamp(min=1e-6)
    across = red - (red * along).sum(1, keepdim=True) * along
    size = red.norm(dim=1, keepdim=True).clamp(min=1e-6)
    told = (across.norm(dim=1, keepdim=True) > MIN_SINE * size) & (
        pale.sum(1, keepdim=True) > 0.02 * total.shape[1]
    )
    weights = across / across.square().sum(1, keepdim=True).clamp(min=1e-6) * told
    amount = torch.einsum("nj,njhw->nhw", weights, density - background).clamp(-0.5, 1.5)
    return (density + (change * size)[..., None, None] * amount[:, None]).clamp(min=0)


def _mean_where(flat: Tensor, mask: Tensor) -> Tensor:
    """Return the mean density (N, 3) under a mask.

    `flat` is a density (N, 3, P), `mask` is (N, P). The mean is 0 where the mask is empty.
    """
    return (flat * mask[:, None]).sum(2) / mask.sum(1, keepdim=True).clamp(min=1)


def _cheapen(batch: Tensor, colour: Colour, uniform: Callable[..., Tensor]) -> Tensor:
    """Add halos, stray light and mixed colours.

    Low-cost optics and firmware cause these beyond blur.
    """
    n = len(batch)
    rims = batch - _blur(batch, 1 + 2 * uniform(n))
    batch = (batch + rims * colour.halo * uniform(n, 1, 1, 1) * (uniform(n, 1, 1, 1) < 0.5)).clamp(0, 1)
    share = uniform(n, 1, 1, 1) ** 2 * colour.veil
    batch = batch * (1 - share) + share * (0.4 + 0.4 * uniform(n, 3, 1, 1))
    share = uniform(n, 1, 1, 1) ** 2 * colour.fade
    return batch * (1 - share) + share * batch.mean(dim=1, keepdim=True)


def _blur(batch: Tensor, sigma: Tensor) -> Tensor:
    """Apply a Gaussian blur.

    Each image has its own `sigma` (N,), pixels. Images are mirrored at their edges.
    """
    if batch.device.type != "cpu":
        return _blur_anywhere(batch, sigma)
    pictures = batch.permute(0, 2, 3, 1).contiguous().numpy()
    blurred = [
        cv2.GaussianBlur(picture, (0, 0), width, borderType=cv2.BORDER_REFLECT) if width > 0.1 else picture
        for picture, width in zip(pictures, sigma.tolist(), strict=True)
    ]
    return torch.from_numpy(np.stack(blurred)).permute(0, 3, 1, 2)


def _blur_anywhere(batch: Tensor, sigma: Tensor) -> Tensor:
    """Apply a Gaussian blur on any device.

    It is a matrix product along each axis; OpenCV is faster on a CPU.
    """
    down, across = (_spread(side, sigma)[:, None] for side in batch.shape[2:])
    return down @ batch @ across.transpose(2, 3)


def _spread(side: int, sigma: Tensor) -> Tensor:
    """Return blur matrices (N, side, side).

    Row i holds the weights of all pixels in blurred pixel i.
    """
    at = torch.arange(side, device=sigma.device, dtype=torch.float32)
    steps = at[:, None] - at
    beyond = at[:, None] + at + 1
    distances = torch.stack([steps, beyond, 2 * side - beyond])
    weights = torch.exp(-(distances**2) / (2 * sigma.clamp(min=0.05)[:, None, None, None] ** 2)).sum(dim=1)
    return weights / weights.sum(dim=2, keepdim=True)
