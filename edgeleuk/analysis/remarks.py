"""Remarks on a field by an adapted or taught model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgeleuk.device.colour import background
from edgeleuk.device.profiles import Profile
from edgeleuk.models.manifest import FLAG_VALUES
from edgeleuk.models.microscope import Microscope
from edgeleuk.models.registry import Model
from edgeleuk.system.wording import command
from edgeleuk.types import Cell, Frame, spoken

SHOWN = 10
"""Number of flagged cells that a remark names."""


def other_microscope(model: Model, frame: Frame, um_per_px: float, profile: Profile | None) -> Iterator[str]:
    """Report a picture of another microscope than the reader learnt.

    `um_per_px` is of the file's pixels.
    """
    learnt = model.reader.microscope
    if learnt is None:
        return
    shown = Microscope.seen(background(frame.pixels), um_per_px, profile.name if profile else "")
    if doubt := learnt.doubt(shown):
        yield (
            f"the {model.magnification} model {model.version} learnt another microscope or stain: {doubt}. Its types are not to be"
            f" trusted here; `{command('models list')}` shows the other models."
        )


def flagged(cells: Sequence[Cell], flags: Sequence[str]) -> Iterator[str]:
    """Report cells with a flag that a laboratory taught."""
    for flag in flags:
        readings = ((cell.reading.attributes.get(flag), cell.number) for cell in cells if cell.reading)
        found = [
            number for value, number in readings if value and value.value == FLAG_VALUES[1] and value.sure
        ]
        if found:
            numbers = ", ".join(map(str, found[:SHOWN])) + (" ..." if len(found) > SHOWN else "")
            yield f"cell {numbers}: flagged as {spoken(flag)}, which this laboratory taught. Look at it."
