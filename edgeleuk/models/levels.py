"""Features in 8 bits: `low + step * levels`, with one range for each feature."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVELS = 255


def packed(features: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Return features (N, F) as the arrays `levels`, `low` and `step`."""
    low = features.min(axis=0)
    step = np.maximum(features.max(axis=0) - low, 1e-9) / LEVELS
    levels = ((features - low) / step).round().clip(0, LEVELS)
    return {"levels": levels.astype("u1"), "low": low.astype("<f4"), "step": step.astype("<f4")}


def unpacked(levels: NDArray[Any], low: NDArray[Any], step: NDArray[Any]) -> NDArray[np.float32]:
    """Return the features (N, F) of three arrays.

    Raises:
        ValueError: They do not belong together, or are no numbers.
    """
    if levels.ndim != 2 or not levels.size:
        raise ValueError("its levels are not cells x features")
    if low.shape != levels.shape[1:] or step.shape != low.shape:
        raise ValueError("its ranges are not one per feature")
    if not (np.isfinite(low).all() and np.isfinite(step).all()):
        raise ValueError("it holds what is no number")
    features: NDArray[np.float32] = low + step * levels.astype(np.float32)
    return features
