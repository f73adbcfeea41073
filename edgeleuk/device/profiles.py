"""Device profiles: calibration of a microscope and its camera.

A profile is measured once, stored in a TOML file and used on each picture. It holds facts, from which
corrections are derived: the light of the empty slide and not a gain, the colour of red cells and nuclei and
not a matrix. A part that was not measured is absent, and nothing is corrected in its place.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from edgeleuk.device import colour
from edgeleuk.errors import OutputError, UsageError
from edgeleuk.imaging.field_of_view import combine_surround
from edgeleuk.system import file_io, user_paths
from edgeleuk.system.toml_tables import load_table
from edgeleuk.system.wording import command, option
from edgeleuk.types import FieldOfView, Frame, Scale

VARIABLE = "EDGELEUK_PROFILES"
"""Environment variable with the folder of profiles."""
SCHEMA = 1
"""Version of the files this program writes and reads."""
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
ASPECT = 0.01
"""Maximum relative difference of aspect ratio within one camera.

Pictures of one camera at other resolutions stay within it. 4:3 and 3:2 differ by 12 %, 16:9 and 16:10 by 11
%.
"""
CAST = 0.2
"""Maximum colour difference of background and profile.

Natural logarithm, of red or blue against green. Of training fields, 1.7 % of raabin's (two microscopes) and
none of pbc's, bccd's, chula's and phone's differ by more from a profile of eight of their own. Colour alone
distinguishes few devices: chula's from the others in 37 % to 98 % of pictures, those others from each other
in 0 % to 25 %. Shape and the size of red cells must decide the rest.
"""
WHITE: colour.Rgb = (237.0, 216.0, 201.0)
"""Background levels of corrected pictures, R, G, B.

The warm white of pbc and raabin, a little below full.
"""
RED_CELL: colour.Rgb = (0.22, 0.33, 0.19)
NUCLEUS: colour.Rgb = (0.92, 2.0, 0.43)
"""Target optical densities of red cells and nuclei, R, G, B.

Natural logarithm. Corrected pictures come near them: midway between the medians of pbc's and of raabin's
training fields.
"""

MOST_PIXELS = 100_000
"""Maximum side of a camera's picture, pixels."""
UM_PER_PX = (0.001, 100.0)
"""Allowed range of a scale, um per pixel.

Far wider than any microscope's; a scale outside would have a picture resampled to a size that no memory
holds.
"""

Rows = tuple[tuple[float, ...], ...]
MeasuredOn = Literal["micrometer", "red cells", "given"]


@dataclass(frozen=True, slots=True)
class Size:
    """Size of the upright pictures used for measuring, pixels.

    Of whole pictures.
    """

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Ruler:
    """Scale of the profile's pictures, um per pixel."""

    um_per_px_x: float
    um_per_px_y: float
    relative_error: float
    """Half-width of the 95 % interval, as a share."""
    measured_on: MeasuredOn
    red_cells: int = 0


@dataclass(frozen=True, slots=True)
class Light:
    """Illumination of the empty slide, levels 0 to 255.

    At colour.ROWS x colour.COLUMNS nodes, by channel.
    """

    red: Rows
    green: Rows
    blue: Rows

    def __post_init__(self) -> None:
        for rows in (self.red, self.green, self.blue):
            if len(rows) != colour.ROWS or {*map(len, rows)} != {colour.COLUMNS}:
                raise ValueError(f"light has not {colour.ROWS} rows of {colour.COLUMNS} levels")
            if min(map(min, rows)) < 1 or max(map(max, rows)) > 255:
                raise ValueError("light has levels outside 1 to 255")

    @classmethod
    def of(cls, grid: colour.Floats) -> Light:
        red, green, blue = (
            tuple(tuple(round(float(level), 1) for level in row) for row in grid[..., channel])
            for channel in range(3)
        )
        return cls(red, green, blue)

    @property
    def grid(self) -> colour.Floats:
        """Levels as one array, (ROWS, COLUMNS, 3)."""
        return np.stack([np.array(rows, np.float32) for rows in (self.red, self.green, self.blue)], axis=-1)


@dataclass(frozen=True, slots=True)
class Stain:
    """Colours of a smear on this device, R, G, B."""

    background: tuple[float, ...]
    """Levels of the empty slide beside cells."""
    red_cell: tuple[float, ...]
    """Optical density of red cells, natural logarithm."""
    nucleus: tuple[float, ...]
    """Optical density of white cells' nuclei, natural logarithm."""
    white_cells: int
    """Number of white cells measured for the nuclei's colour."""
    fields: int

    def __post_init__(self) -> None:
        for name in ("background", "red_cell", "nucleus"):
            if len(getattr(self, name)) != 3 or min(getattr(self, name)) <= 0:
                raise ValueError(f"stain.{name} is no R, G, B above 0")


@dataclass(frozen=True, slots=True)
class Usual:
    """Usual quality measures of this device (`measures.look`).

    Medians over good smear fields.
    """

    sharpness: float
    light: float
    coverage: float
    contrast: float


@dataclass(frozen=True)
class Profile:
    """Profile of one device under one objective."""

    schema: int
    name: str
    magnification: str
    made: str
    """Time of measurement, UTC, ISO 8601."""
    picture: Size
    scale: Ruler | None = None
    light: Light | None = None
    stain: Stain | None = None
    usual: Usual | None = None

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"schema is {self.schema}; this program reads {SCHEMA}")
        if not re.fullmatch(NAME, self.name):
            raise ValueError(
                f"name {self.name!r} has other characters than letters, digits, '.', '_' and '-'"
            )
        if not all(1 <= side <= MOST_PIXELS for side in (self.picture.width, self.picture.height)):
            raise ValueError(
                f"picture has sides of {self.picture.width} x {self.picture.height}, not 1 to {MOST_PIXELS}"
            )
        if self.scale:
            sides = (self.scale.um_per_px_x, self.scale.um_per_px_y)
            if min(sides) <= 0:
                raise ValueError("scale is not above 0")
            if min(sides) < UM_PER_PX[0] or max(sides) > UM_PER_PX[1]:
                raise ValueError(f"scale is not from {UM_PER_PX[0]} to {UM_PER_PX[1]:g} um per pixel")

    def scale_of(self, frame: Frame) -> Scale | None:
        """Return the scale of a frame's pixels.

        None where no scale was measured.
        """
        return self.scale_at(frame.width, frame.height)

    def scale_at(self, width: int, height: int) -> Scale | None:
        """Return the scale of whole pictures at another resolution.

        They must have the same shape. None where no scale was measured.
        """
        if self.scale is None:
            return None
        return Scale(
            self.scale.um_per_px_x * self.picture.width / width,
            self.scale.um_per_px_y * self.picture.height / height,
            "profile",
            self.scale.relative_error,
            self.scale.red_cells,
        )

    def doubt(self, frame: Frame) -> str | None:
        """Return why a picture is not from this device, or None.

        The reason is a sentence or two.
        """
        ours, theirs = self.picture.width / self.picture.height, frame.width / frame.height
        if abs(np.log(ours / theirs)) > ASPECT:
            return (
                f"profile {self.name} is of pictures {self.picture.width} x {self.picture.height}, and this one, "
                f"{frame.width * frame.shrunk} x {frame.height * frame.shrunk}, is of another shape: another camera or a "
                "crop. The profile was not used on it."
            )
        if (levels := self._background) is None:
            return None
        red, green, blue = np.log(np.array(colour.background(frame.pixels)) / levels).tolist()
        if max(abs(red - green), abs(blue - green)) > CAST:
            return (
                f"the background is of another colour than profile {self.name} has it: another device, lamp or white "
                f"balance. The profile was not used on this picture; `{command('calibrate')} {self.name} {option('force')}` renews it."
            )
        return None

    def corrected(self, frame: Frame, field_of_view: FieldOfView | None) -> Frame:
        """Correct a frame's light and colour to what the models know.

        Returns the same frame where neither was measured. Exposure may change from picture to picture, the
        colour of the light does not: the picture's own background shows how bright the light was. Outside an
        eyepiece's field of view the picture stays black: that black is not due to stain, and the field of
        view is recognised by it.
        """
        if self._grid is None:
            return frame
        pixels = colour.corrected(frame.pixels, self.light_on(frame), WHITE, self._gains)
        if field_of_view:
            pixels = combine_surround(pixels, frame.pixels, field_of_view)
        return replace(frame, pixels=pixels)

    def light_on(self, frame: Frame) -> colour.Floats:
        """Return the light a picture was taken under.

        (ROWS, COLUMNS, 3). It is the picture's own background where no light was measured.
        """
        own = colour.background(frame.pixels)
        if self._grid is None:
            return colour.level_grid(own)
        return np.maximum(self._grid * np.float32(own[1] / np.percentile(self._grid[..., 1], 95)), 1)

    @cached_property
    def _grid(self) -> colour.Floats | None:
        if self.light:
            return self.light.grid
        return colour.level_grid(_rgb(self.stain.background)) if self.stain else None

    @cached_property
    def _background(self) -> colour.Rgb | None:
        """Expected value of `colour.background` for this device."""
        if self.stain:
            return _rgb(self.stain.background)
        return None if self._grid is None else _rgb(np.percentile(self._grid, 95, axis=(0, 1)).tolist())

    @cached_property
    def _gains(self) -> colour.Rgb:
        if self.stain is None:
            return 1.0, 1.0, 1.0
        return colour.stain_gains(_rgb(self.stain.red_cell), _rgb(self.stain.nucleus), RED_CELL, NUCLEUS)


def folder() -> Path:
    """Return the folder of profiles.

    It is the value of EDGELEUK_PROFILES, or edgeleuk/profiles in the user's configuration folder.

    Raises:
        UsageError: The user has no home folder.
    """
    homeless = UsageError(
        f"this user has no home folder to keep profiles in. Name a folder in {VARIABLE}, or the profile's file."
    )
    return user_paths.users("profiles", "config", VARIABLE, homeless)


def available() -> dict[str, Path]:
    """Return profile files by name, sorted."""
    return {path.stem: path for path in file_io.listed(folder(), "*.toml")}


def path_of(name: str) -> Path:
    """Return the path for writing a profile.

    Raises:
        UsageError: The name is not valid.
    """
    if not re.fullmatch(NAME, name):
        raise UsageError(
            f"{name!r} is no name for a profile. Use letters, digits, '.', '_' and '-', as in bench-2."
        )
    return folder() / f"{name}.toml"


def find(name: str) -> Path:
    """Find a profile's file by name or by path ending in .toml.

    Raises:
        UsageError: There is none.
    """
    if name.endswith(".toml"):
        path = user_paths.expanded(name, option("profile"), UsageError)
        if not file_io.is_regular(path):
            raise UsageError(f"there is no profile {name}, or it is no file. Check the path, or give a name.")
        return path
    here = available()
    if name not in here:
        raise UsageError(
            f"there is no profile {name!r}. Profiles here: {', '.join(here) or 'none'}. "
            f"Make it with `{command('calibrate')} {name}`; they lie in {folder()}."
        )
    return here[name]


def load(name: str) -> Profile:
    """Load a profile by name or path.

    Raises:
        UsageError: There is none.
        InputError: The file is malformed.
    """
    return load_table(Profile, find(name), f"one that `{command('calibrate')}` wrote, or calibrate again")


def require_writable(path: Path) -> None:
    """Check that a profile can be written.

    Called before the microscope is measured, not after.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _unwritable(path, error) from error


def save(profile: Profile, path: Path) -> None:
    """Write a profile atomically.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file_io.write_whole(path, as_toml(profile).encode())
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write {path}: {error.strerror}. Set EDGELEUK_PROFILES to a folder that can be written."
    )


def as_toml(profile: Profile) -> str:
    """Return a profile as TOML with explanatory comments."""
    lines = [
        "# A device profile of edgeleuk: one microscope with one camera under one objective.",
        f"# Use it with `{command('analyze')} ... {option('profile')} {profile.name}`. What was not measured is absent.",
        f"schema = {profile.schema}",
        *(f"{key} = {json.dumps(getattr(profile, key))}" for key in ("name", "magnification", "made")),
        *_table("picture", profile.picture, "of the pictures it was measured on, pixels"),
        *_table("scale", profile.scale, "micrometres per pixel of such a picture; relative_error is half of the 95 % interval"),
        *_table("stain", profile.stain, "red, green, blue: levels of the empty slide, optical densities (ln) of cells"),
        *_table("usual", profile.usual, "how good smear fields of this device measure"),
        *_table("light", profile.light, "the empty slide over the field, 8-bit levels, from the upper left corner"),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _table(name: str, part: Size | Ruler | Stain | Usual | Light | None, meaning: str) -> Iterator[str]:
    if part is None:
        return
    yield ""
    yield f"[{name}]  # {meaning}"
    for item in fields(part):
        value = getattr(part, item.name)
        if isinstance(value, tuple) and isinstance(value[0], tuple):
            yield f"{item.name} = ["
            yield from (f"  {json.dumps(row)}," for row in value)
            yield "]"
        else:
            yield f"{item.name} = {json.dumps(value)}"


def _rgb(values: Sequence[float]) -> colour.Rgb:
    red, green, blue = map(float, values)
    return red, green, blue
