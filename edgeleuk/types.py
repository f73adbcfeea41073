"""Data types shared by all modules.

All are frozen. Arrays state shape, order, unit and range.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""(H, W, 3) uint8, RGB, upright."""

Boxes = NDArray[np.float32]
"""(N, 4) float32, x1 y1 x2 y2, pixel edges.

A whole picture is 0 0 W H.
"""

Box = tuple[float, float, float, float]
"""One box, x1 y1 x2 y2."""

ScaleSource = Literal["given", "red cells", "annotation", "profile"]

WHITE_CELL, RED_CELL, PLATELET = "WBC", "RBC", "Platelet"
"""Cell classes by the program's own names, as in JSON.

A finder's manifest says which of its classes map to them.
"""

RED_CELL_UM = 7.2
"""Mean diameter of a healthy red cell, um.

On a dried, stained smear (healthy means: 6.7 to 7.7). Price-Jones, Red Blood Cell Diameters, Oxford
University Press 1933.
"""


@dataclass(frozen=True, slots=True)
class Scale:
    """Micrometres per pixel of a picture, along x and y."""

    um_per_px_x: float
    um_per_px_y: float
    source: ScaleSource
    relative_error: float
    """Half-width of the 95 % interval of either scale.

    As a share of the scale (0.05 = 5 %).
    """
    red_cells: int = 0
    """Number of red cells measured; 0 for a given scale."""

    @property
    def um_per_px(self) -> float:
        """Geometric mean of both axes, um per pixel."""
        return float(np.sqrt(self.um_per_px_x * self.um_per_px_y))

    @property
    def squeeze(self) -> float:
        """Width of a round cell over its height, in pixels.

        1 for square pixels, 0.5625 for 16:9 made square.
        """
        return self.um_per_px_y / self.um_per_px_x

    def shrunk(self, times: float) -> Scale:
        """Return the scale of the picture reduced `times` fold.

        In either direction.
        """
        if times == 1:
            return self
        return replace(self, um_per_px_x=self.um_per_px_x * times, um_per_px_y=self.um_per_px_y * times)

    @classmethod
    def given(cls, um_per_px: float) -> Scale:
        """Return a scale given by the user, with square pixels."""
        return cls(um_per_px, um_per_px, "given", 0.0)


@dataclass(frozen=True, slots=True, order=True)
class PictureFile:
    """One picture in a file; a TIFF may hold several."""

    path: Path
    page: int = 0
    """Page number, from 0."""
    pages: int = 1
    """Number of pictures in the file."""

    def __str__(self) -> str:
        return str(self.path) if self.pages == 1 else f"{self.path} page {self.page + 1}"


@dataclass(frozen=True, slots=True)
class Frame:
    """One upright picture from a camera or a file."""

    pixels: Image
    name: str
    shrunk: int = 1
    """Reduction factor of decoding, in either direction.

    Each pixel stands for so many of the file's: a large picture may be decoded smaller.
    """
    file: PictureFile | None = None
    """Source file; None for a camera's frame."""

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])


@dataclass(frozen=True, slots=True)
class TimedFrame:
    """One frame of a source, with its time."""

    frame: Frame
    seconds: float
    """Seconds since the source was opened, on its own clock.

    Wall time for a camera, film time for a video, stage time for a simulation. None of them runs backwards.
    """
    number: int
    """Frame number, from 0.

    Missing numbers were dropped because a newer frame was available.
    """


@dataclass(frozen=True, slots=True)
class Detections:
    """Detections of the finder in one picture, best score first."""

    boxes: Boxes
    """(N, 4) boxes, frame pixels."""
    scores: NDArray[np.float32]
    """(N,) scores, 0 to 1."""
    kinds: NDArray[np.int64]
    """(N,) indices into `names`."""
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.scores)

    def of(self, name: str) -> Detections:
        """Return the detections of one cell class.

        None are left where the finder does not know the class.
        """
        return self.where(self.are(name))

    def are(self, name: str) -> NDArray[np.bool_]:
        """Return which detections are of one cell class, (N,)."""
        index = self.names.index(name) if name in self.names else -1
        same: NDArray[np.bool_] = self.kinds == index
        return same

    def where(self, mask: NDArray[np.bool_]) -> Detections:
        """Return the detections at a mask (N,) or at indices.

        Indices also set the order.
        """
        return Detections(self.boxes[mask], self.scores[mask], self.kinds[mask], self.names)

    def without(self, names: Collection[str]) -> Detections:
        """Return the detections of all other cell classes."""
        return self.where(~np.isin(self.kinds, [self.names.index(name) for name in names]))


@dataclass(frozen=True, slots=True)
class AttributeReading:
    """Reading of one morphological attribute of a cell."""

    value: str
    probability: float
    sure: bool
    """Whether `probability` reaches the attribute's threshold.

    The threshold is the reader's.
    """


@dataclass(frozen=True, slots=True)
class Reading:
    """Reader's result for one white cell."""

    label: str
    """Type from the model's manifest, or "unclassified".

    The latter below the reader's threshold.
    """
    probability: float
    """Probability of the best type, even if unclassified."""
    probabilities: Mapping[str, float]
    attributes: Mapping[str, AttributeReading]
    """Attribute readings by name.

    An attribute that is the second level of a type is present on that type only.
    """
    familiarity: float | None = None
    """Likeness to the cells that the reader learnt from, 0 to 1; see `models.known`.

    None if the model does not measure it.
    """


UNCLASSIFIED = "unclassified"
"""Label in files of a cell below the reader's threshold."""
NOT_A_CELL = "not_a_cell"
"""Label in files of a detection that is no white cell.

The finder takes it for a white cell and the reader does not: stain, a red cell, a torn nucleus.
"""
SPOKEN = {UNCLASSIFIED: "not recognised", NOT_A_CELL: "not a white cell", "blast_like": "blast-like"}
"""Display names of labels."""


def spoken(name: str) -> str:
    """Return a label, attribute or code as display text."""
    return SPOKEN.get(name, name.replace("_", " "))


@dataclass(frozen=True, slots=True)
class Morphometry:
    """Measurements of one white cell.

    None is "not measurable"; `reason` then says why.
    """

    diameter_um: float | None = None
    """Diameter of the circle with the cell's area, um."""
    cell_area_um2: float | None = None
    nucleus_area_um2: float | None = None
    nc_ratio: float | None = None
    """Nucleus area over cell area, 0 to 1."""
    lobes: int | None = None
    """Number of nuclear segments, 1 to 5."""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """One detection with its reading and measurements."""

    kind: str
    box: Box
    """Box of the cell, x1 y1 x2 y2, frame pixels."""
    score: float
    whole: bool = True
    """Whether the cell is complete enough to be read.

    False where the picture's edge cuts the cell: it is shown, but a white cell then is not read.
    """
    reading: Reading | None = None
    morphometry: Morphometry | None = None
    number: int = 0
    """Number of a white cell in its picture, from 1.

    0 for other cells. Row by row in reading order: the same in tables, overlays and files.
    """


def numbered(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Number the white cells of a picture from 1.

    From top to bottom, then from left to right.
    """
    white = [i for i, cell in enumerate(cells) if cell.kind == WHITE_CELL]
    order = sorted(white, key=lambda i: (cells[i].box[1], cells[i].box[0]))
    numbers = {index: number for number, index in enumerate(order, start=1)}
    return tuple(replace(cell, number=numbers.get(i, 0)) for i, cell in enumerate(cells))


@dataclass(frozen=True, slots=True)
class FieldOfView:
    """Field of view of a picture, frame pixels.

    The part that shows the slide: the round view of an eyepiece, an ellipse where the camera was tilted or the
    picture squeezed; or the upright rectangle between bars. An ellipse may extend beyond the picture, whose edge
    then cuts it.
    """

    x: float
    """X coordinate of the centre."""
    y: float
    semi_major: float
    semi_minor: float
    angle: float = 0.0
    """Angle of the major axis from the x axis, radians.

    Clockwise as seen.
    """
    shape: Literal["ellipse", "rectangle"] = "ellipse"
    """Shape of the field of view.

    Of a rectangle the semi-axes are half its width and half its height, whichever is longer; its angle is 0.
    """

    @classmethod
    def between(cls, left: float, top: float, right: float, bottom: float) -> Self:
        """Return the rectangle between four edges.

        Args:
            left: X of the left edge, frame pixels.
            top: Y of the top edge, frame pixels.
            right: X of the right edge, frame pixels.
            bottom: Y of the bottom edge, frame pixels.
        """
        return cls(
            (left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2, shape="rectangle"
        )

    @property
    def is_ellipse(self) -> bool:
        """Whether it is an eyepiece's, not a rectangle between bars."""
        return self.shape == "ellipse"

    def covers(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return which points lie inside, (N,).

        For points (N, 2), frame pixels.
        """
        across, down = points[:, 0] - self.x, points[:, 1] - self.y
        if not self.is_ellipse:
            within: NDArray[np.bool_] = (np.abs(across) <= self.semi_major) & (
                np.abs(down) <= self.semi_minor
            )
            return within
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        along, aside = across * cosine + down * sine, down * cosine - across * sine
        inside: NDArray[np.bool_] = (along / self.semi_major) ** 2 + (aside / self.semi_minor) ** 2 <= 1
        return inside

    def share(self, width: int, height: int) -> float:
        """Return the share of a picture that lies inside, 0 to 1.

        `width`, `height`: size of the picture. Exact to a pixel column.
        """
        top, bottom = self.chords(np.arange(width) + 0.5, down=True)
        return float((bottom.clip(0, height) - top.clip(0, height)).sum() / (width * height))

    def chords(
        self, at: NDArray[np.floating], *, down: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where rows enter and leave the field of view, x.

        For rows at `at` (N,); with `down` for columns, y. Both values are equal for rows that miss it.
        """
        if not self.is_ellipse:
            return self._sides(at, down)
        # Solve a dx^2 + 2 b dx dy + c dy^2 = 1 for one of dx and dy when the other is known.
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        major, minor = self.semi_major**-2, self.semi_minor**-2
        a, b, c = (
            major * cosine**2 + minor * sine**2,
            (major - minor) * cosine * sine,
            major * sine**2 + minor * cosine**2,
        )
        if not down:
            a, c = c, a
        known = at - (self.x if down else self.y)
        half = np.sqrt(((b * known) ** 2 - c * (a * known**2 - 1)).clip(0)) / c
        middle = (self.y if down else self.x) - b * known / c
        return middle - half, middle + half

    def _sides(self, at: NDArray[np.floating], down: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return `chords` of a rectangle."""
        place, half = (self.y, self.semi_minor) if down else (self.x, self.semi_major)
        other, reach = (self.x, self.semi_major) if down else (self.y, self.semi_minor)
        there = np.where(np.abs(at - other) <= reach, half, 0.0)
        return place - there, place + there

    @property
    def halves(self) -> tuple[float, float]:
        """Half of the width and of the height, frame pixels.

        Whether the picture shows all of it or not.
        """
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        across = np.hypot(self.semi_major * cosine, self.semi_minor * sine)
        down = np.hypot(self.semi_major * sine, self.semi_minor * cosine)
        return float(across), float(down)

    def bounds(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return the bounding rectangle inside a picture; not empty.

        `width`, `height`: size of the picture. The result is left, top, right, bottom of the smallest
        rectangle around what the picture shows of the field of view.
        """
        half_x, half_y = self.halves
        left, right = np.clip([self.x - half_x, self.x + half_x], 0, width)
        top, bottom = np.clip([self.y - half_y, self.y + half_y], 0, height)
        left, top = min(int(left), width - 1), min(int(top), height - 1)
        return left, top, max(left + 1, int(np.ceil(right))), max(top + 1, int(np.ceil(bottom)))

    def moved(self, across: float, down: float) -> FieldOfView:
        """Return the field of view in a picture with a shifted corner.

        That corner lies `across` to the left and `down` above this picture's.
        """
        return replace(self, x=self.x + across, y=self.y + down)

    def half_sides(self) -> tuple[float, float]:
        """Return half sides of the largest upright rectangle inside.

        It has the aspect ratio of the whole. Frame pixels.
        """
        if not self.is_ellipse:
            return self.semi_major, self.semi_minor
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        wide = np.hypot(self.semi_major * cosine, self.semi_minor * sine)
        high = np.hypot(self.semi_major * sine, self.semi_minor * cosine)
        lean = abs(cosine * sine) * abs(self.semi_major**-2 - self.semi_minor**-2)
        corner = (wide * cosine / self.semi_major) ** 2 + (wide * sine / self.semi_minor) ** 2
        corner += (high * sine / self.semi_major) ** 2 + (high * cosine / self.semi_minor) ** 2
        fits = 1 / np.sqrt(corner + 2 * lean * wide * high)
        return float(wide * fits), float(high * fits)

    def enlarged(self, times: float) -> FieldOfView:
        """Return the field of view in a picture `times` as large."""
        major, minor = self.semi_major * times, self.semi_minor * times
        return replace(self, x=self.x * times, y=self.y * times, semi_major=major, semi_minor=minor)

    def stretched(self, across: float, down: float) -> FieldOfView:
        """Return the field of view in a stretched picture.

        The picture is `across` times as wide and `down` times as high.
        """
        if not self.is_ellipse:
            sides = self.semi_major * across, self.semi_minor * down
            return FieldOfView(self.x * across, self.y * down, *sides, shape=self.shape)
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        turned = np.array([[cosine, -sine], [sine, cosine]]) * [self.semi_major, self.semi_minor]
        axes, (major, minor), _ = np.linalg.svd(np.array([[across], [down]]) * turned)
        angle = float(np.arctan2(axes[1, 0], axes[0, 0]))
        return FieldOfView(self.x * across, self.y * down, float(major), float(minor), angle)


@dataclass(frozen=True, slots=True)
class Finding:
    """Quality problem that limits trust in a picture's result."""

    code: str
    """One word: "focus", "motion", "dark", "thick", "domain", ..."""
    severe: bool
    """Whether it refuses the picture; otherwise it is a warning."""
    measure: float
    threshold: float
    """Limit of `measure`, in its unit."""
    text: str
    """Problem and remedy, in a sentence or two."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """Quality of a picture: accepted, warned or refused.

    Accepted means without findings, warned with a warning.
    """

    findings: tuple[Finding, ...] = ()
    forced: bool = False
    """Whether a refused picture was analysed on request.

    The request is the user's.
    """

    @property
    def verdict(self) -> Literal["accepted", "warned", "refused"]:
        if any(finding.severe for finding in self.findings):
            return "refused"
        return "warned" if self.findings else "accepted"


def _enlarged(box: Box, times: int) -> Box:
    x1, y1, x2, y2 = box
    return x1 * times, y1 * times, x2 * times, y2 * times


@dataclass(frozen=True, slots=True)
class Field:
    """One analysed picture."""

    name: str
    width: int
    height: int
    scale: Scale
    cells: tuple[Cell, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time by stage, seconds.

    Stages: light (under a profile), eyepiece, scale, find, read, measure.
    """
    warnings: tuple[str, ...] = ()
    not_counted: frozenset[str] = frozenset()
    """Cell classes that the picture is too coarse for.

    None of them is in `cells`, which says nothing of their number.
    """
    field_of_view: FieldOfView | None = None
    """Part of the picture that was analysed; None for all."""
    assessment: Assessment = Assessment()
    profile: str | None = None
    """Name of the device profile used for light, colour and scale."""

    def of(self, kind: str) -> tuple[Cell, ...]:
        return tuple(cell for cell in self.cells if cell.kind == kind)

    def enlarged(self, times: int) -> Field:
        """Return the field in pixels of a picture `times` as large.

        That is the file, where it was decoded smaller.
        """
        if times == 1:
            return self
        cells = tuple(replace(c, box=_enlarged(c.box, times)) for c in self.cells)
        field_of_view = self.field_of_view and self.field_of_view.enlarged(times)
        return replace(
            self,
            width=self.width * times,
            height=self.height * times,
            scale=self.scale.shrunk(1 / times),
            cells=cells,
            field_of_view=field_of_view,
        )

    @property
    def area_mm2(self) -> float:
        """Analysed area of the slide, mm2."""
        share = self.field_of_view.share(self.width, self.height) if self.field_of_view else 1.0
        return share * self.width * self.height * self.scale.um_per_px_x * self.scale.um_per_px_y * 1e-6


@dataclass(frozen=True, slots=True)
class Placement:
    """Position of a frame on the slide map.

    A similarity from the frame's micrometres to those of its island.

    An island is a part of the map whose fields are joined by overlap; two islands have no known distance. Its
    coordinates are micrometres, x to the right and y down, from the upper left corner of its first frame.
    """

    island: int
    """Number of the island, from 1."""
    x_um: float
    """X of the frame's upper left corner, um."""
    y_um: float
    angle: float = 0.0
    """Rotation of the frame's axes on the map, radians.

    Clockwise as seen.
    """
    new_ground: float = 1.0
    """Share of the frame that no counted field covers, 0 to 1."""
    moved_um: float | None = None
    """Distance from the previous frame, um.

    The previous is the frame examined before. None where the two share nothing that could be recognised.
    """
    zoom: float = 1.0
    """Island micrometres per frame micrometre.

    By the frame's own scale: 1 but for the errors of the two scales.
    """
    mirrored: bool = False
    """Whether the frame's x runs to the left before rotation."""

    @property
    def axes(self) -> NDArray[np.float64]:
        """(2, 2) matrix from frame to island axes.

        It multiplies a column x y of the frame from the left.
        """
        cos, sin = self.zoom * np.cos(self.angle), self.zoom * np.sin(self.angle)
        across = -1.0 if self.mirrored else 1.0
        return np.array([[across * cos, -sin], [across * sin, cos]])

    def on_island(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map points (N, 2) from the frame to the island.

        Frame points are um from the frame's corner, island points um.
        """
        return points @ self.axes.T + (self.x_um, self.y_um)

    def in_frame(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map points (N, 2) from the island to the frame.

        The inverse of `on_island`.
        """
        # The axes are orthogonal and of equal length: the inverse is the transpose over the squared length.
        found: NDArray[np.float64] = (points - np.array([self.x_um, self.y_um])) @ (self.axes / self.zoom**2)
        return found

    def carried(self, by: Placement) -> Placement:
        """Return the same place on another island.

        This island's origin and axes lie at `by` on the other one.
        """
        x, y = by.on_island(np.array([[self.x_um, self.y_um]]))[0].tolist()
        return replace(
            self,
            island=by.island,
            x_um=x,
            y_um=y,
            angle=by.angle + (-self.angle if by.mirrored else self.angle),
            zoom=by.zoom * self.zoom,
            mirrored=by.mirrored != self.mirrored,
        )

    def inverse(self, island: int) -> Placement:
        """Return the place of this island in the frame.

        The frame is taken for an island numbered `island`.
        """
        (x, y), angle = self.in_frame(np.zeros((1, 2)))[0].tolist(), self.angle
        return Placement(
            island, x, y, angle if self.mirrored else -angle, zoom=1 / self.zoom, mirrored=self.mirrored
        )

    def area_mm2(self, field: Field) -> float:
        """Return a field's area by the island's scale, mm2."""
        return field.area_mm2 * self.zoom**2


@dataclass(frozen=True, slots=True)
class Overlap:
    """Area that two counted fields share."""

    number: int
    """Number in the session of the field counted later."""
    other: int
    """Number in the session of the field counted earlier."""
    kind: Literal["copy", "overlap"]
    """Whether both are the same photograph.

    A copy is the same photograph again, or a part of it, however it was edited; an overlap is another
    photograph.
    """
    shared: float
    """Shared area as a share of the smaller field's, 0 to 1."""
    turned: int
    """Clockwise rotation of the earlier field to match the later.

    0, 90, 180 or 270 degrees, the nearest, after mirroring if it was mirrored.
    """
    mirrored: bool
    """Whether one of the fields is mirrored.

    The later one then shows left what the earlier one shows right.
    """
    zoom: float
    """Earlier field's micrometres per micrometre of the later.

    By the later one's own scale.
    """


BESIDE = frozenset(
    {
        "folder", "link", "hidden", "special", "result", "video", "archive", "raw", "scan", "format", "inside", "other",
    }
)  # fmt: skip
"""Codes of files that are not analysed.

They lie beside pictures in a folder, or in a file beside its picture.
"""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Picture or frame that was not counted, with the reason."""

    name: str
    """Name of the picture, as it was given.

    Empty where the error names none.
    """
    code: str
    """Reason code: one word.

    A code of `quality.toml`, "seen", "scale", "copy", one of BESIDE, or the name of the error.
    """
    text: str
    """Problem and remedy."""
    findings: tuple[Finding, ...] = ()
    """Findings on quality that refused it."""
    exit_code: int = 0
    """Exit code of a command for this refusal.

    0 where leaving the picture out is no failure, as for an area that was counted already.
    """


@dataclass(frozen=True, slots=True)
class CountedField:
    """Counted field with its place and its cells' identities.

    Identities are the cells' numbers on the slide map.
    """

    number: int
    """Number in the session, from 1."""
    seconds: float
    """Time on the source's clock, see TimedFrame."""
    at: str
    """Time of counting, UTC, ISO 8601."""
    field: Field
    placement: Placement
    sharpness: float
    """Sharpness of the frame.

    In units that only compare frames of one session; more is sharper.
    """
    identities: tuple[int, ...]
    """Slide-map number of each cell of `field.cells`, from 1.

    In the order of the cells. 0 for a cell that is not on the map: the field is a copy of a better picture,
    which does not show it.
    """
    fresh: frozenset[int]
    """Identities seen here for the first time."""
    thumbnail: NDArray[np.uint8]
    """(h, w) grey, for recognising later frames."""
    crops: Mapping[int, bytes]
    """JPEG pictures of white cells, by index into `field.cells`."""

    def __eq__(self, other: object) -> bool:
        """Return whether all values are equal, thumbnail pixels included.

        Arrays have no single answer of their own.
        """
        if not isinstance(other, CountedField):
            return NotImplemented
        names = (each.name for each in fields(self) if each.name != "thumbnail")
        return np.array_equal(self.thumbnail, other.thumbnail) and all(
            getattr(self, name) == getattr(other, name) for name in names
        )


class Place(NamedTuple):
    """Location of a white cell."""

    picture: str
    """Name of the field."""
    box: Box
    """Box of the cell, x1 y1 x2 y2, frame pixels."""
    number: int = 0
    """Number of the cell in its picture; 0 for none.

    See `Cell.number`.
    """


@dataclass(frozen=True, slots=True)
class NotRecognised:
    """Possible types of unrecognised white cells, added up.

    These are the cells below the reader's threshold.
    """

    cells: int = 0
    expected: Mapping[str, float] = field(default_factory=dict)
    """Sum of the cells' probabilities, by type."""
    possible: Mapping[str, int] = field(default_factory=dict)
    """Number of cells that may be of each type or group.

    See `tally.UnrecognisedRules`.
    """
    counted: Mapping[str, int] = field(default_factory=dict)
    """Possible cells plus sure white cells, by type or group.

    The latter are the other cells that are surely among the white cells of the percentages.
    """
    lineages: Mapping[str, int] = field(default_factory=dict)
    """Number of cells of each lineage whose lineage is sure.

    Two types of one lineage may be likely together, such as myelocyte and metamyelocyte.
    """


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over any number of fields.

    Percentages are derived, never stored.
    """

    fields: int
    white: Mapping[str, int]
    """White cells by label, including "unclassified"."""
    kinds: Mapping[str, int]
    """Cells by cell class (WBC, RBC, Platelet)."""
    attributes: Mapping[str, Mapping[str, int]]
    """Identified white cells by attribute and value.

    Where the reader was sure.
    """
    places: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)
    """Locations of the white cells of each label."""
    cut: int = 0
    """White cells cut by the picture's edge and not read.

    Not in `white`.
    """
    unread: int = 0
    """Whole white cells that were not read.

    Not in `white`.
    """
    not_counted: frozenset[str] = frozenset()
    """Cell classes that at least one field was too coarse for."""
    not_recognised: NotRecognised = field(default_factory=NotRecognised)
    """Sums over the cells that `white` has as "unclassified"."""
    blast_like: float = 0.0
    """Summed probability of the blast-like types.

    Over all white cells but those recognised as something beside them.
    """
    blast_like_doubted: float = 0.0
    """Part of `blast_like` from unrecognised cells."""
    blast_like_read: float = 0.0
    """Part of `blast_like` from cells recognised as blast-like.

    The rest are small probabilities of many other cells.
    """
    most_blast_like: tuple[tuple[float, Place], ...] = ()
    """Probability and place of the most blast-like white cells.

    The likeliest first.
    """
    doubtful: Mapping[str, int] = field(default_factory=dict)
    """Cells of `white` in doubtful pictures, by label.

    These are pictures with a warning under which nothing is called present.
    """
    findings: Mapping[str, int] = field(default_factory=dict)
    """Number of pictures by finding that limits their quality.

    By code of `Finding`.
    """
    doubtful_pictures: int = 0
    """Number of pictures in which nothing is called present.

    They have a warning that prevents it.
    """
    familiarity: float = 0.0
    """Summed familiarity of the white cells of which it was measured.

    Without those recognised as something other than a white cell.
    """
    familiarity_cells: int = 0
    """Number of these cells."""
