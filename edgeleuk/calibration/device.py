"""From a handful of pictures to a device profile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from edgeleuk.bars import find_view
from edgeleuk.calibration import blank, micrometer, smear
from edgeleuk.errors import EdgeleukError, InputError, ScaleError, UsageError
from edgeleuk.faults import unforeseen
from edgeleuk.finder import Finder
from edgeleuk.microscope import objective
from edgeleuk.profiles import ASPECT, SCHEMA, Profile, Ruler, Size
from edgeleuk.scale import estimate_scale
from edgeleuk.sources.folder import read_picture
from edgeleuk.types import RED_CELL_UM, Frame, PictureFile, Scale

RED_CELLS_UM = (5.8, 8.8)
"""Mean diameters that no adult's smear is outside of by microcytosis or macrocytosis alone: severe iron deficiency has
about 6, megaloblastic anaemia 8.5 (Price-Jones, Red Blood Cell Diameters, 1933). A wrong spacing is off by 2 or more."""
FEW_FIELDS = 3
Picture = Path | PictureFile | InputError | Frame
ONE_WAY = (
    "lines were found in one direction, so pixels are taken to be square. If the camera squeezes its pictures, add a second "
    "one with the ruling turned by 90 degrees."
)


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures by what they show, each part may be empty: files, the errors in place of some, or frames of a camera."""

    micrometer: Sequence[Picture] = ()
    red_cells: Sequence[Picture] = ()
    blank: Sequence[Picture] = ()
    smear: Sequence[Picture] = ()


@dataclass(frozen=True, slots=True)
class Calibrated:
    profile: Profile
    notes: tuple[str, ...]
    """What the user should know of it."""
    failures: tuple[EdgeleukError, ...] = ()
    """Of pictures that could not be read. Others showed the same."""


def calibrate(
    name: str, magnification: str, pictures: Pictures, spacing_um: float | None, finder: Finder
) -> Calibrated:
    """The profile of a device. Raises InputError, ScaleError or UsageError where the pictures do not give what they
    should.

    A picture that cannot be read is left out where another one shows the same part, else its error is raised.
    """
    failures: list[EdgeleukError] = []
    parts = ("micrometer", "red_cells", "blank", "smear")
    frames = {part: _read(getattr(pictures, part), failures) for part in parts}
    every = [frame for part in frames.values() for frame in part]
    if not every:
        raise UsageError(
            "nothing to calibrate with. Give --micrometer, --red-cells, --blank or --smear, one at least."
        )
    # Light and scale are of whole pictures of one shape; resolution may differ, and the scale goes by the first.
    for frame in every:
        if abs(np.log(frame.width / frame.height / (every[0].width / every[0].height))) > ASPECT:
            raise UsageError(
                f"{frame.name} is of another shape than {every[0].name}. Calibrate with whole pictures of one camera."
            )
    first = every[0]
    profile = Profile(
        schema=SCHEMA,
        name=name,
        magnification=magnification,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        picture=Size(first.width * first.shrunk, first.height * first.shrunk),
    )
    if frames["blank"]:
        profile = replace(profile, light=blank.light(frames["blank"]))
    notes: list[str] = []
    if frames["micrometer"]:
        ruler, both_axes = _ruling(profile, frames["micrometer"], spacing_um)
        profile = replace(profile, scale=ruler)
        if not both_axes:
            notes.append(ONE_WAY)
    elif frames["red_cells"]:
        profile = smear.scaled_by(profile, frames["red_cells"], finder)
    if frames["smear"]:
        profile = smear.known_by(profile, frames["smear"], finder)
        if len(frames["smear"]) < FEW_FIELDS:
            notes.append(
                f"the stain rests on {len(frames['smear'])} fields; {FEW_FIELDS} or more, of more than one slide, say more."
            )
    cells = frames["red_cells"] or frames["smear"]
    notes += _scale_notes(profile, cells if frames["micrometer"] else [], finder)
    return Calibrated(profile, tuple(notes), tuple(failures))


def _read(pictures: Sequence[Picture], failures: list[EdgeleukError]) -> list[Frame]:
    """The pictures that can be read; of the others the errors are added to `failures`."""
    frames: list[Frame] = []
    faults: list[EdgeleukError] = []
    for each in pictures:
        if isinstance(each, Frame):
            frames.append(each)
        elif isinstance(each, InputError):
            faults.append(each)
        else:
            try:
                frames.append(read_picture(each))
            except Exception as error:  # noqa: BLE001  # of any library: the others are measured all the same
                faults.append(unforeseen(error, str(each)))
    if faults and not frames:
        raise faults[0]
    failures += faults
    return frames


def _ruling(profile: Profile, ruled: Sequence[Frame], spacing_um: float | None) -> tuple[Ruler, bool]:
    """In pixels of the profile's picture, and whether it tells x and y apart."""
    if spacing_um is None:
        raise UsageError("a ruling tells nothing without its spacing. Give --spacing-um, as 10 or 50.")
    if len({frame.pixels.shape for frame in ruled}) > 1:
        raise InputError("the pictures of rulings are of different sizes. Take them with one setting.")
    measured = micrometer.measure([f.pixels for f in ruled], spacing_um, [f.name for f in ruled])
    found = measured.scale
    ruler = Ruler(
        smear.significant(found.um_per_px_x * ruled[0].width / profile.picture.width),
        smear.significant(found.um_per_px_y * ruled[0].height / profile.picture.height),
        round(found.relative_error, 5),
        "micrometer",
    )
    return ruler, measured.both_axes


def _scale_notes(profile: Profile, cells: Sequence[Frame], finder: Finder) -> Iterator[str]:
    """Whether the scale is one that cameras behind the objective give, and red cells agree with a ruling."""
    if profile.scale is None:
        yield "no scale was measured: with this profile it is still told from each picture's red cells."
        return
    scale = Scale(profile.scale.um_per_px_x, profile.scale.um_per_px_y, "profile", 0.0)
    low, high = objective(profile.magnification).um_per_px
    if not low / 1.5 <= scale.um_per_px <= high * 1.5:
        yield (
            f"{scale.um_per_px:.3g} um per pixel is unusual behind a {profile.magnification} objective, where cameras "
            f"give {low:.2g} to {high:.2g}. Check --spacing-um and --mag."
        )
    for frame in cells[:1]:
        disc = find_view(frame.pixels)
        seen = profile.corrected(frame, disc)
        try:
            told = estimate_scale(seen.pixels, finder, frame.name, disc=disc)
        except ScaleError:
            return
        expected = profile.scale_of(frame)
        assert expected
        diameter = RED_CELL_UM * expected.um_per_px / told.um_per_px
        if not RED_CELLS_UM[0] <= diameter <= RED_CELLS_UM[1]:
            yield (
                f"by the ruling the red cells of {frame.name} are {diameter:.1f} um wide, where people's are 6 to 8.5. "
                "Check --spacing-um, and that both pictures were taken through the same objective and zoom."
            )
