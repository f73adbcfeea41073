"""Scale of a subset, measured on the red cells of its fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeleuk.errors import InputError, ScaleError
from edgeleuk.lab.importing.findings import Findings
from edgeleuk.models import registry
from edgeleuk.networks.finder import Finder
from edgeleuk.scale.red_cells import estimate_scale
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.types import Scale

PUBLISHED = Scale(0.25, 0.14, "given", 0.1)
"""Scale of the published fields: 16:9 frames squeezed to squares.

Isolated red cells of ten slides measure 27 to 31 px by 48 to 55 px.
"""
LEAST_FIELDS = 3
"""Minimum number of fields whose scale could be measured."""
SQUEEZED_BY = 0.12
"""Minimum squeeze that is told, as a share."""


class Scales:
    """Scales of subsets, measured or given."""

    def __init__(self, given: Scale | None = None, fields: int = 9) -> None:
        """Choose how scales are found.

        Args:
            given: Scale of all pictures; None to measure it.
            fields: Number of fields of each subset that are measured; 0 for the published scale.
        """
        self.given, self.fields = given, fields
        self._finders: dict[str, Finder] = {}

    def of(self, subset: str, magnification: str, pictures: Sequence[Path], findings: Findings) -> Scale:
        """Return the scale of a subset.

        It is the median over some of its fields.
        """
        if self.given is not None:
            return self.given
        found = self._measured(magnification, pictures) if self.fields else []
        if len(found) < min(LEAST_FIELDS, len(pictures)) or not found:
            findings.add("assumed_scale", subset)
            found = [PUBLISHED]
        x, y = (float(np.median([getattr(each, f"um_per_px_{axis}") for each in found])) for axis in "xy")
        scale = replace(found[0], um_per_px_x=x, um_per_px_y=y, red_cells=sum(e.red_cells for e in found))
        if abs(scale.squeeze - 1) > SQUEEZED_BY:
            findings.add("squeezed", f"{subset} {x:.3f} x {y:.3f}")
        return scale

    def _measured(self, magnification: str, pictures: Sequence[Path]) -> list[Scale]:
        step = max(1, len(pictures) // self.fields)
        found = []
        for path in list(pictures)[::step][: self.fields]:
            try:
                found.append(estimate_scale(read_picture(path).pixels, self._finder(magnification)))
            except (InputError, ScaleError):
                continue
        return found

    def _finder(self, magnification: str) -> Finder:
        if magnification not in self._finders:
            self._finders[magnification] = Finder(registry.load(magnification).finder)
        return self._finders[magnification]


def as_json(scale: Scale) -> Mapping[str, float | str | int]:
    """Return a scale for the report."""
    return {
        "um_per_px_x": round(scale.um_per_px_x, 4),
        "um_per_px_y": round(scale.um_per_px_y, 4),
        "source": scale.source,
        "red_cells": scale.red_cells,
    }
