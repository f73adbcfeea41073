"""Device profiles from a handful of calibration images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from edgeleuk.calibration import blank, micrometer, smear
from edgeleuk.device.profiles import ASPECT, SCHEMA, Profile, Ruler, Size
from edgeleuk.errors import EdgeleukError, InputError, ScaleError, UsageError
from edgeleuk.imaging.bars import find_field_of_view
from edgeleuk.imaging.objectives import objective
from edgeleuk.networks.finder import Finder
from edgeleuk.scale.red_cells import estimate_scale
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.system.faults import to_user_error
from edgeleuk.system.wording import option
from edgeleuk.types import RED_CELL_UM, Frame, PictureFile, Scale

RED_CELLS_UM = (5.8, 8.8)
"""(min, max) plausible mean red-cell diameter, micrometres.

Microcytosis or macrocytosis alone takes no adult's smear outside: severe iron deficiency gives about 6, megaloblastic
anaemia 8.5 (Price-Jones, Red Blood Cell Diameters, 1933). A wrong spacing is off by a factor of 2 or more.
"""
FEW_FIELDS = 3
Picture = Path | PictureFile | InputError | Frame
ONE_WAY = (
    "lines were found in one direction, so pixels are taken to be square. If the camera squeezes its pictures, add a second "
    "one with the ruling turned by 90 degrees."
)


@dataclass(frozen=True, slots=True)
class Pictures:
    """Calibration images, grouped by what they show.

    Each group may be empty. Its items are files, errors in place of files, or frames of a camera.
    """

    micrometer: Sequence[Picture] = ()
    red_cells: Sequence[Picture] = ()
    blank: Sequence[Picture] = ()
    smear: Sequence[Picture] = ()


@dataclass(frozen=True, slots=True)
class Calibrated:
    profile: Profile
    notes: tuple[str, ...]
    """Warnings about the profile, for the user."""
    failures: tuple[EdgeleukError, ...] = ()
    """Errors of unreadable images; others showed the same part."""


def calibrate(
    name: str, magnification: str, pictures: Pictures, spacing_um: float | None, finder: Finder
) -> Calibrated:
    """Build a device profile from calibration images.

    An unreadable image is skipped if another one shows the same part; otherwise its error is raised.

    Args:
        name: Name of the new profile.
        magnification: Objective, as "100x".
        pictures: Images by what they show; at least one.
        spacing_um: Distance between the lines of the ruling, micrometres; needed for `pictures.micrometer`.
        finder: Cell finder, for red cells and stain.

    Raises:
        InputError: Images cannot be read, or do not show what they should.
        ScaleError: The red cells do not give a scale.
        UsageError: There are no images, they differ in aspect ratio, or `spacing_um` is missing.
    """
    failures: list[EdgeleukError] = []
    parts = ("micrometer", "red_cells", "blank", "smear")
    frames = {part: _read(getattr(pictures, part), failures) for part in parts}
    every = [frame for part in frames.values() for frame in part]
    if not every:
        raise UsageError(
            f"nothing to calibrate with. Give {option('micrometer')}, {option('red-cells')}, {option('blank')} or {option('smear')}, one at least."
        )
    # Light and scale need whole images of one aspect ratio. Resolution may differ; the first image sets it.
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
    """Read images, appending errors to `failures`.

    If no image can be read, the first error is raised instead.
    """
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
            except Exception as error:  # noqa: BLE001  # from any library; the other images are still measured
                faults.append(to_user_error(error, str(each)))
    if faults and not frames:
        raise faults[0]
    failures += faults
    return frames


def _ruling(profile: Profile, ruled: Sequence[Frame], spacing_um: float | None) -> tuple[Ruler, bool]:
    """Measure the scale from images of rulings.

    Returns the scale in pixels of the profile's image, and whether x and y were measured separately.
    """
    if spacing_um is None:
        raise UsageError(
            f"a ruling tells nothing without its spacing. Give {option('spacing-um')}, as 10 or 50."
        )
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
    """Yield warnings about an implausible scale.

    The scale is compared with the range of cameras behind the objective, and red cells with the ruling.
    """
    if profile.scale is None:
        yield "no scale was measured: with this profile it is still told from each picture's red cells."
        return
    scale = Scale(profile.scale.um_per_px_x, profile.scale.um_per_px_y, "profile", 0.0)
    low, high = objective(profile.magnification).um_per_px
    if not low / 1.5 <= scale.um_per_px <= high * 1.5:
        yield (
            f"{scale.um_per_px:.3g} um per pixel is unusual behind a {profile.magnification} objective, where cameras "
            f"give {low:.2g} to {high:.2g}. Check {option('spacing-um')} and {option('mag')}."
        )
    for frame in cells[:1]:
        field_of_view = find_field_of_view(frame.pixels)
        seen = profile.corrected(frame, field_of_view)
        try:
            told = estimate_scale(seen.pixels, finder, frame.name, field_of_view=field_of_view)
        except ScaleError:
            return
        expected = profile.scale_of(frame)
        assert expected
        diameter = RED_CELL_UM * expected.um_per_px / told.um_per_px
        if not RED_CELLS_UM[0] <= diameter <= RED_CELLS_UM[1]:
            yield (
                f"by the ruling the red cells of {frame.name} are {diameter:.1f} um wide, where people's are 6 to 8.5. "
                f"Check {option('spacing-um')}, and that both pictures were taken through the same objective and zoom."
            )
