"""The finder's loss.

Grid cells are assigned to the boxes that they learn.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

MAX_LOG_DISTANCE = 4.0
"""Maximum log-distance.

exp(4) strides are at least 218 px, twice the largest cell.
"""


def grid_centres(height: int, width: int, stride: int, device: torch.device | None = None) -> Tensor:
    """Return the centres of the grid cells.

    Args:
        height: Rows of the grid.
        width: Columns of the grid.
        stride: Input pixels per grid cell.
        device: Device of the result; None for the default one.

    Returns:
        Centres (A, 2) x y, input pixels, row by row.
    """
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    ys, xs = torch.meshgrid(rows + 0.5, columns + 0.5, indexing="ij")
    return torch.stack([xs, ys], dim=-1).reshape(-1, 2) * stride


def decode(distances: Tensor, centres: Tensor, stride: int) -> Tensor:
    """Convert log-distances to boxes.

    `distances` (N, A, 4) are logarithms of distances in strides of `stride` pixels. The boxes are (N, A, 4)
    xyxy, input pixels.
    """
    sides = torch.exp(distances.clamp(max=MAX_LOG_DISTANCE)) * stride
    return torch.cat([centres - sides[..., :2], centres + sides[..., 2:]], dim=-1)


def overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return IoU and generalized IoU of boxes.

    The boxes (..., 4) xyxy are broadcast against each other. Generalized IoU: Rezatofighi 2019.
    """
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    inter = (high - low).clamp(min=0).prod(dim=-1)
    union = (a[..., 2:] - a[..., :2]).prod(dim=-1) + (b[..., 2:] - b[..., :2]).prod(dim=-1) - inter
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(dim=-1)
    iou = inter / union.clamp(min=1e-6)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)


def _pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the IoU of all pairs of boxes.

    Boxes `a` (N, M, 4) and `b` (N, A, 4) give (N, M, A). Working by coordinate is four times faster than
    by pairs.
    """
    ax1, ay1, ax2, ay2 = (a[:, :, None, i] for i in range(4))
    bx1, by1, bx2, by2 = (b[:, None, :, i] for i in range(4))
    width = (torch.minimum(ax2, bx2) - torch.maximum(ax1, bx1)).clamp_(min=0)
    inter = width.mul_((torch.minimum(ay2, by2) - torch.maximum(ay1, by1)).clamp_(min=0))
    union = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - inter
    return inter / union.clamp_(min=1e-6)


@torch.no_grad()
def assign(
    scores: Tensor, predicted: Tensor, centres: Tensor, boxes: Tensor, kinds: Tensor, topk: int = 9
) -> tuple[Tensor, Tensor, Tensor]:
    """Assign grid cells to annotated boxes.

    Task-aligned assignment (Feng et al., TOOD, ICCV 2021): grid cells that already predict a box well
    learn it.

    Args:
        scores: (N, A, K) class scores, 0 to 1.
        predicted: (N, A, 4) predicted boxes, xyxy, input pixels.
        centres: (A, 2) centres of the grid cells, x y, input pixels.
        boxes: (N, M, 4) annotated boxes, xyxy, input pixels, padded.
        kinds: (N, M) class indices of the annotated boxes, -1 where padded.
        topk: Maximum number of grid cells for one box.

    Returns:
        Soft class targets (N, A, K), the box of each grid cell (N, A, 4) and its weight (N, A),
        0 for background.
    """
    a, k = scores.shape[1:]
    x1, y1, x2, y2 = (boxes[:, :, None, i] for i in range(4))
    inside = (centres[:, 0] > x1) & (centres[:, 0] < x2) & (centres[:, 1] > y1) & (centres[:, 1] < y2)
    inside &= (kinds >= 0)[..., None]
    iou = _pairwise_iou(boxes, predicted) * inside
    score = torch.gather(scores.transpose(1, 2), 1, kinds.clamp(min=0)[..., None].expand(-1, -1, a))
    metric = score.sqrt() * iou**6 * inside
    chosen = torch.zeros_like(metric, dtype=torch.bool)
    top = metric.topk(min(topk, a), dim=-1)
    chosen.scatter_(2, top.indices, top.values > 1e-12)
    # A grid cell chosen for several boxes learns the one that it overlaps most.
    best = (iou * chosen).argmax(dim=1)
    chosen &= F.one_hot(best, boxes.shape[1]).transpose(1, 2).bool()
    metric = metric * chosen
    peak = metric.amax(dim=-1, keepdim=True).clamp(min=1e-12)
    quality = metric / peak * (iou * chosen).amax(dim=-1, keepdim=True)
    weight, owner = quality.max(dim=1)
    target_kind = torch.gather(kinds.clamp(min=0), 1, owner)
    targets = F.one_hot(target_kind, k) * weight[..., None]
    target_boxes = torch.gather(boxes, 1, owner[..., None].expand(-1, -1, 4))
    return targets, target_boxes, weight


def finder_loss(
    output: tuple[Tensor, Tensor],
    boxes: Tensor,
    kinds: Tensor,
    known: Tensor,
    ignored: Tensor,
    stride: int,
) -> dict[str, Tensor]:
    """Return the class and box loss.

    Args:
        output: Class logits (N, K, H, W) and log-distances (N, 4, H, W) of `FinderNet`.
        boxes: (N, M, 4) annotated boxes, xyxy, input pixels, padded.
        kinds: (N, M) class indices of the annotated boxes, -1 where padded.
        known: (N, K), 0 for classes that an image was not annotated for; these add no loss.
        ignored: (N, R, 4) boxes that are neither cell nor background, xyxy, input pixels, padded. Grid cells in
            them learn no class unless a box is assigned to them.
        stride: Input pixels per grid cell.
    """
    logits, distances = (t.float().flatten(2).transpose(1, 2) for t in output)
    height, width = output[0].shape[2:]
    centres = grid_centres(height, width, stride, logits.device)
    predicted = decode(distances, centres, stride)
    targets, target_boxes, weight = assign(
        logits.detach().sigmoid(), predicted.detach(), centres, boxes, kinds
    )
    total = weight.sum().clamp(min=1.0)
    classes = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    # Most of an image is easy background; weight it by its error (varifocal loss, Zhang et al. 2021).
    focus = torch.where(targets > 0, torch.ones_like(targets), 0.75 * logits.detach().sigmoid() ** 1.5)
    positive = weight > 0
    learnt = positive | ~_inside_any(centres, ignored)
    giou = overlap(predicted[positive], target_boxes[positive])[1]
    return {
        "class": (classes * focus * known[:, None] * learnt[..., None]).sum() / total,
        "box": 2.5 * ((1 - giou) * weight[positive]).sum() / total,
    }


def _inside_any(centres: Tensor, boxes: Tensor) -> Tensor:
    """Return which grid cells lie in any of the boxes.

    The result has the shape (N, A), and `boxes` has (N, R, 4).
    """
    x, y = centres[:, 0], centres[:, 1]
    x1, y1, x2, y2 = (boxes[:, :, None, i] for i in range(4))
    return ((x > x1) & (x < x2) & (y > y1) & (y < y2)).any(dim=1)
