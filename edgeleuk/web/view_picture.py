"""Pictures for the pages: of fields, and of maps' thumbnails."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.types import Frame

VIEW_SIDE = 1600
"""Long side of the kept picture of a field, pixels.

A white cell of a 100x field of 0.15 mm is then 130 pixels wide.
"""
VIEW_QUALITY = 82


def view_of(frame: Frame) -> bytes:
    """Return a field's picture for the pages, JPEG.

    It has VIEW_SIDE pixels at most, and none of the file's metadata.
    """
    times = VIEW_SIDE / max(frame.width, frame.height)
    pixels = frame.pixels
    if times < 1:
        size = max(1, round(frame.width * times)), max(1, round(frame.height * times))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return jpeg(pixels, VIEW_QUALITY)


def jpeg(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """Encode a picture, (H, W) grey or (H, W, 3) RGB."""
    shown = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
