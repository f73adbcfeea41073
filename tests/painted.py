"""Simulated cells that several tests show, painted once in a process."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from edgeleuk.simulation import smear
from edgeleuk.sources import simulated

KEPT = 1000
"""Cells in memory, of a tenth of a megabyte at most."""


@lru_cache(KEPT)
def stamp(seed: int, cell: smear.TrueCell, um_per_px: tuple[float, ...], paint: Any = smear._stamp) -> Any:
    """The painting of a cell, which depends on nothing else."""
    return paint(smear.Smear(seed, 0.0, 0.0, ()), cell, np.array(um_per_px))


@pytest.fixture(scope="module")
def painted_once() -> Iterator[None]:
    """Every stage of the module takes the same painting of a cell, which is most of what a simulated field costs."""

    def kept(of: smear.Smear, cell: smear.TrueCell, um_per_px: Any) -> Any:
        return stamp(of.seed, cell, tuple(um_per_px.tolist()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smear, "_stamp", kept)
        patch.setattr(simulated, "paint_stamp", kept)
        yield
