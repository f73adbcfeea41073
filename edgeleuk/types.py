"""The values that travel between the parts. Frozen; arrays state shape, order, unit and range."""

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
"""(N, 4) float32, x1 y1 x2 y2, pixel edges (a whole picture is 0 0 W H)."""

Box = tuple[float, float, float, float]
"""x1 y1 x2 y2."""

ScaleSource = Literal["given", "red cells", "annotation", "profile"]

WHITE_CELL, RED_CELL, PLATELET = "WBC", "RBC", "Platelet"
"""Cell classes: the program's own names, printed in JSON. A finder's manifest says which of its classes stand for them."""

RED_CELL_UM = 7.2
"""Mean diameter of a healthy red cell on a dried, stained smear, micrometres (healthy means: 6.7 to 7.7).

Price-Jones, Red Blood Cell Diameters, Oxford University Press 1933.
"""


@dataclass(frozen=True, slots=True)
class Scale:
    """Micrometres per pixel of a picture, along x and along y."""

    um_per_px_x: float
    um_per_px_y: float
    source: ScaleSource
    relative_error: float
    """Half-width of the 95 % interval of either scale, as a share of it (0.05 = 5 %)."""
    red_cells: int = 0
    """Red cells the scale was measured on; 0 when it was given."""

    @property
    def um_per_px(self) -> float:
        """Geometric mean of both axes."""
        return float(np.sqrt(self.um_per_px_x * self.um_per_px_y))

    @property
    def squeeze(self) -> float:
        """Width of a round cell over its height, in pixels: 1 for square pixels, 0.5625 for 16:9 made square."""
        return self.um_per_px_y / self.um_per_px_x

    def shrunk(self, times: float) -> Scale:
        """The scale of the same picture at `times` fewer pixels in either direction."""
        if times == 1:
            return self
        return replace(self, um_per_px_x=self.um_per_px_x * times, um_per_px_y=self.um_per_px_y * times)

    @classmethod
    def given(cls, um_per_px: float) -> Scale:
        """A scale the user vouches for, with square pixels."""
        return cls(um_per_px, um_per_px, "given", 0.0)


@dataclass(frozen=True, slots=True, order=True)
class PictureFile:
    """A picture in a file; a TIFF may hold several."""

    path: Path
    page: int = 0
    """From 0."""
    pages: int = 1
    """Pictures in the file."""

    def __str__(self) -> str:
        return str(self.path) if self.pages == 1 else f"{self.path} page {self.page + 1}"


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture as the camera or the file gave it, upright."""

    pixels: Image
    name: str
    shrunk: int = 1
    """Each pixel stands for so many of the file's in either direction: a large picture may be decoded smaller."""
    file: PictureFile | None = None
    """That it was decoded from; None for a camera's frame."""

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame of a source, with its time."""

    frame: Frame
    seconds: float
    """Since the source was opened, on its own clock: of the wall for a camera, of the film for a video, of the stage
    for a simulation. None of them runs backwards."""
    number: int
    """From 0; numbers that are missing were dropped because a newer frame was there."""


@dataclass(frozen=True, slots=True)
class Detections:
    """What the finder found in one picture, best score first."""

    boxes: Boxes
    """(N, 4) frame pixels."""
    scores: NDArray[np.float32]
    """(N,) 0 to 1."""
    kinds: NDArray[np.int64]
    """(N,) index into `names`."""
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.scores)

    def of(self, name: str) -> Detections:
        """Only the detections of one cell class; none where the finder does not know it."""
        return self.where(self.are(name))

    def are(self, name: str) -> NDArray[np.bool_]:
        """(N,) which detections are of one cell class."""
        index = self.names.index(name) if name in self.names else -1
        same: NDArray[np.bool_] = self.kinds == index
        return same

    def where(self, mask: NDArray[np.bool_]) -> Detections:
        """Only the detections whose `mask` (N,) is true, or those at the given indices, in that order."""
        return Detections(self.boxes[mask], self.scores[mask], self.kinds[mask], self.names)

    def without(self, names: Collection[str]) -> Detections:
        """All but the detections of these kinds."""
        return self.where(~np.isin(self.kinds, [self.names.index(name) for name in names]))


@dataclass(frozen=True, slots=True)
class AttributeReading:
    """One morphological attribute of one cell."""

    value: str
    probability: float
    sure: bool
    """Whether `probability` reaches the reader's threshold for this attribute."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the reader says of one white cell."""

    label: str
    """A type of the model's manifest, or "unclassified" below the reader's threshold."""
    probability: float
    """Of the best type, also when the label is "unclassified"."""
    probabilities: Mapping[str, float]
    attributes: Mapping[str, AttributeReading]
    """By attribute; one that is the second level of a type is there on that type only."""


UNCLASSIFIED = "unclassified"
"""The label, in files, of a cell below the reader's threshold."""
NOT_A_CELL = "not_a_cell"
"""The label, in files, of what the finder takes for a white cell and the reader for none: stain, a red cell, a torn nucleus."""
SPOKEN = {UNCLASSIFIED: "not recognised", NOT_A_CELL: "not a white cell"}
"""Labels that people call by another name."""


def spoken(name: str) -> str:
    """A label, attribute or code as a person writes it."""
    return SPOKEN.get(name, name.replace("_", " "))


@dataclass(frozen=True, slots=True)
class Morphometry:
    """What can be measured on one white cell. None is "not measurable"; `reason` then says why."""

    diameter_um: float | None = None
    """Of the circle with the cell's area."""
    cell_area_um2: float | None = None
    nucleus_area_um2: float | None = None
    nc_ratio: float | None = None
    """Nucleus area over cell area, 0 to 1."""
    lobes: int | None = None
    """Nuclear segments, 1 to 5."""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing the finder found, with what is known of it."""

    kind: str
    box: Box
    """x1 y1 x2 y2, frame pixels."""
    score: float
    whole: bool = True
    """False where the picture's edge cuts the cell: it is shown, and a white cell then is not read."""
    reading: Reading | None = None
    morphometry: Morphometry | None = None
    number: int = 0
    """Of a white cell in its picture, from 1, row by row as one reads: in tables, overlays and files alike. 0 for others."""


def numbered(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Number the white cells of a picture from 1, from top to bottom, then from left to right."""
    white = [i for i, cell in enumerate(cells) if cell.kind == WHITE_CELL]
    order = sorted(white, key=lambda i: (cells[i].box[1], cells[i].box[0]))
    numbers = {index: number for number, index in enumerate(order, start=1)}
    return tuple(replace(cell, number=numbers.get(i, 0)) for i, cell in enumerate(cells))


@dataclass(frozen=True, slots=True)
class Aperture:
    """The part of a picture that shows the slide: the disc of an eyepiece, an ellipse where the camera was tilted or the
    picture squeezed; or the upright rectangle between bars. Frame pixels; a disc may reach beyond the picture, whose edge
    then cuts it."""

    x: float
    """Of the centre."""
    y: float
    semi_major: float
    semi_minor: float
    angle: float = 0.0
    """From the x axis to the major one, radians, clockwise as seen."""
    shape: Literal["ellipse", "rectangle"] = "ellipse"
    """Of a rectangle the semi-axes are half its width and half its height, whichever is longer; its angle is 0."""

    @classmethod
    def between(cls, left: float, top: float, right: float, bottom: float) -> Self:
        """The rectangle between four edges, frame pixels."""
        return cls(
            (left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2, shape="rectangle"
        )

    @property
    def is_disc(self) -> bool:
        """Whether it is the disc of an eyepiece."""
        return self.shape == "ellipse"

    def covers(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """(N,) which of the points (N, 2), frame pixels, lie inside."""
        across, down = points[:, 0] - self.x, points[:, 1] - self.y
        if not self.is_disc:
            within: NDArray[np.bool_] = (np.abs(across) <= self.semi_major) & (
                np.abs(down) <= self.semi_minor
            )
            return within
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        along, aside = across * cosine + down * sine, down * cosine - across * sine
        inside: NDArray[np.bool_] = (along / self.semi_major) ** 2 + (aside / self.semi_minor) ** 2 <= 1
        return inside

    def share(self, width: int, height: int) -> float:
        """Of a picture of this size that lies inside, 0 to 1; exact to a pixel column."""
        top, bottom = self.chords(np.arange(width) + 0.5, down=True)
        return float((bottom.clip(0, height) - top.clip(0, height)).sum() / (width * height))

    def chords(
        self, at: NDArray[np.floating], *, down: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where rows at `at` (N,) enter and leave it, x; or with `down` columns, y. Twice the same where they miss it."""
        if not self.is_disc:
            return self._sides(at, down)
        # The quadratic form a dx^2 + 2 b dx dy + c dy^2 = 1, solved for the one when the other is known.
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
        """`chords` of a rectangle."""
        place, half = (self.y, self.semi_minor) if down else (self.x, self.semi_major)
        other, reach = (self.x, self.semi_major) if down else (self.y, self.semi_minor)
        there = np.where(np.abs(at - other) <= reach, half, 0.0)
        return place - there, place + there

    @property
    def halves(self) -> tuple[float, float]:
        """Half of its width and of its height, whether the picture shows them or not."""
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        across = np.hypot(self.semi_major * cosine, self.semi_minor * sine)
        down = np.hypot(self.semi_major * sine, self.semi_minor * cosine)
        return float(across), float(down)

    def bounds(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the least rectangle around what a picture of this size shows of it; not empty."""
        half_x, half_y = self.halves
        left, right = np.clip([self.x - half_x, self.x + half_x], 0, width)
        top, bottom = np.clip([self.y - half_y, self.y + half_y], 0, height)
        left, top = min(int(left), width - 1), min(int(top), height - 1)
        return left, top, max(left + 1, int(np.ceil(right))), max(top + 1, int(np.ceil(bottom)))

    def moved(self, across: float, down: float) -> Aperture:
        """The same in a picture whose corner lies so far up and to the left of this one's."""
        return replace(self, x=self.x + across, y=self.y + down)

    def half_sides(self) -> tuple[float, float]:
        """Of the largest upright rectangle inside that is as wide for its height as the whole, frame pixels."""
        if not self.is_disc:
            return self.semi_major, self.semi_minor
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        wide = np.hypot(self.semi_major * cosine, self.semi_minor * sine)
        high = np.hypot(self.semi_major * sine, self.semi_minor * cosine)
        lean = abs(cosine * sine) * abs(self.semi_major**-2 - self.semi_minor**-2)
        corner = (wide * cosine / self.semi_major) ** 2 + (wide * sine / self.semi_minor) ** 2
        corner += (high * sine / self.semi_major) ** 2 + (high * cosine / self.semi_minor) ** 2
        fits = 1 / np.sqrt(corner + 2 * lean * wide * high)
        return float(wide * fits), float(high * fits)

    def enlarged(self, times: float) -> Aperture:
        """The same in pixels of a picture `times` as large."""
        major, minor = self.semi_major * times, self.semi_minor * times
        return replace(self, x=self.x * times, y=self.y * times, semi_major=major, semi_minor=minor)

    def stretched(self, across: float, down: float) -> Aperture:
        """The same in pixels of a picture so many times as wide and as high."""
        if not self.is_disc:
            sides = self.semi_major * across, self.semi_minor * down
            return Aperture(self.x * across, self.y * down, *sides, shape=self.shape)
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        turned = np.array([[cosine, -sine], [sine, cosine]]) * [self.semi_major, self.semi_minor]
        axes, (major, minor), _ = np.linalg.svd(np.array([[across], [down]]) * turned)
        angle = float(np.arctan2(axes[1, 0], axes[0, 0]))
        return Aperture(self.x * across, self.y * down, float(major), float(minor), angle)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a picture that limits how far its result can be trusted."""

    code: str
    """One word: "focus", "motion", "dark", "thick", "domain", ..."""
    severe: bool
    """Whether it refuses the picture; else it is a warning."""
    measure: float
    threshold: float
    """What `measure` should not pass, in its unit."""
    text: str
    """What is wrong, and what to do about it: a sentence or two."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """How good a picture is: accepted without findings, with a warning, or refused."""

    findings: tuple[Finding, ...] = ()
    forced: bool = False
    """Whether it was analysed although it is refused, because the user said so."""

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
    """Wall time by stage: light (under a profile), eyepiece, scale, find, read, measure."""
    warnings: tuple[str, ...] = ()
    not_counted: frozenset[str] = frozenset()
    """Kinds that the picture is too coarse for: none of them in `cells`, which says nothing of their number."""
    aperture: Aperture | None = None
    """What of the picture was looked at; None where that is all of it."""
    assessment: Assessment = Assessment()
    profile: str | None = None
    """Name of the device profile that put light and colour right, and gave the scale."""

    def of(self, kind: str) -> tuple[Cell, ...]:
        return tuple(cell for cell in self.cells if cell.kind == kind)

    def enlarged(self, times: int) -> Field:
        """The same in pixels of a picture `times` as large: of the file, where it was decoded smaller."""
        if times == 1:
            return self
        cells = tuple(replace(c, box=_enlarged(c.box, times)) for c in self.cells)
        aperture = self.aperture and self.aperture.enlarged(times)
        return replace(
            self,
            width=self.width * times,
            height=self.height * times,
            scale=self.scale.shrunk(1 / times),
            cells=cells,
            aperture=aperture,
        )

    @property
    def area_mm2(self) -> float:
        """Of the slide, as far as it was looked at."""
        share = self.aperture.share(self.width, self.height) if self.aperture else 1.0
        return share * self.width * self.height * self.scale.um_per_px_x * self.scale.um_per_px_y * 1e-6


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a frame lies on the slide map: a similarity from its micrometres to those of its island.

    An island is a part of the map whose fields are joined by overlap; two islands have no known distance. Its
    coordinates are micrometres, x to the right and y down, from the upper left corner of its first frame.
    """

    island: int
    """From 1."""
    x_um: float
    """Of the frame's upper left corner."""
    y_um: float
    angle: float = 0.0
    """By which the frame's axes are turned on the map, radians, clockwise as seen."""
    new_ground: float = 1.0
    """Share of the frame that no counted field covers, 0 to 1."""
    moved_um: float | None = None
    """From the frame looked at before; None where the two share nothing that could be recognised."""
    zoom: float = 1.0
    """Micrometres of the island to one of the frame by its own scale: 1 but for what the two scales err."""
    mirrored: bool = False
    """Whether the frame's x runs to the left, before it is turned."""

    @property
    def axes(self) -> NDArray[np.float64]:
        """(2, 2) what is multiplied from the left with a column x y of the frame."""
        cos, sin = self.zoom * np.cos(self.angle), self.zoom * np.sin(self.angle)
        across = -1.0 if self.mirrored else 1.0
        return np.array([[across * cos, -sin], [across * sin, cos]])

    def on_island(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map points (N, 2), um from the frame's corner, to the island, um."""
        return points @ self.axes.T + (self.x_um, self.y_um)

    def in_frame(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map points (N, 2) of the island to the frame: the inverse of `on_island`."""
        # The axes are at right angles and of one length: their inverse is their transpose, but for that.
        found: NDArray[np.float64] = (points - np.array([self.x_um, self.y_um])) @ (self.axes / self.zoom**2)
        return found

    def carried(self, by: Placement) -> Placement:
        """The same place on another island, on which this one's origin and axes lie at `by`."""
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
        """The place of this one's island in the frame, taken for an island of that number."""
        (x, y), angle = self.in_frame(np.zeros((1, 2)))[0].tolist(), self.angle
        return Placement(
            island, x, y, angle if self.mirrored else -angle, zoom=1 / self.zoom, mirrored=self.mirrored
        )

    def area_mm2(self, field: Field) -> float:
        """Of the slide, what a field at this place shows, by the island's scale."""
        return field.area_mm2 * self.zoom**2


@dataclass(frozen=True, slots=True)
class Overlap:
    """Ground that two counted fields share."""

    number: int
    """Of the field that was counted later, in its session."""
    other: int
    """Of the earlier one."""
    kind: Literal["copy", "overlap"]
    """A copy is the same photograph again, or a part of it, however it was edited; an overlap another photograph."""
    shared: float
    """Share of the smaller one's ground that both show, 0 to 1."""
    turned: int
    """By which the earlier one is to be turned clockwise to look like the later one, after it was mirrored if it was: 0, 90,
    180 or 270 degrees, the nearest."""
    mirrored: bool
    """Whether the later one shows left what the earlier one shows right."""
    zoom: float
    """Micrometres of the earlier one to one of the later by its own scale."""


BESIDE = frozenset(
    {
        "folder", "link", "hidden", "special", "result", "video", "archive", "raw", "scan", "format", "inside", "other",
    }
)  # fmt: skip
"""Codes of what lies beside pictures in a folder, or in a file beside its picture, and is not analysed."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A picture or frame that was not counted, with the reason."""

    name: str
    """Of the picture, as it was given; empty where the error names none."""
    code: str
    """One word: a code of `quality.toml`, "seen", "scale", "copy", one of BESIDE, or the name of the error."""
    text: str
    """What is wrong, and what to do."""
    findings: tuple[Finding, ...] = ()
    """What refused it, where its quality did."""
    exit_code: int = 0
    """That a command ends with for it; 0 where leaving it out is no failure, as of ground that was counted."""


@dataclass(frozen=True, slots=True)
class CountedField:
    """One field that was counted, with its place and what each of its cells is on the slide map."""

    number: int
    """In its session, from 1."""
    seconds: float
    """On the source's clock, see Shot."""
    at: str
    """UTC, ISO 8601."""
    field: Field
    placement: Placement
    sharpness: float
    """Of the frame, in units that only compare frames of one session; more is sharper."""
    identities: tuple[int, ...]
    """Of each of `field.cells`, in order: the cell's number on the slide map, from 1. 0 for a cell that is not on it: the field
    is a copy of a better picture, which does not show it."""
    fresh: frozenset[int]
    """Those of the identities that were seen here for the first time."""
    thumbnail: NDArray[np.uint8]
    """(h, w) grey, by which later frames are recognised."""
    crops: Mapping[int, bytes]
    """JPEG pictures of white cells, by index into `field.cells`."""

    def __eq__(self, other: object) -> bool:
        """Whether every value is the same, the thumbnail's pixels too: arrays have no single answer of their own."""
        if not isinstance(other, CountedField):
            return NotImplemented
        names = (each.name for each in fields(self) if each.name != "thumbnail")
        return np.array_equal(self.thumbnail, other.thumbnail) and all(
            getattr(self, name) == getattr(other, name) for name in names
        )


class Place(NamedTuple):
    """Where a white cell is."""

    picture: str
    """Name of the field."""
    box: Box
    """x1 y1 x2 y2, frame pixels."""
    number: int = 0
    """Of the cell in its picture, see `Cell.number`; 0 where it has none."""


@dataclass(frozen=True, slots=True)
class NotRecognised:
    """What the white cells below the reader's threshold may be, added up."""

    cells: int = 0
    expected: Mapping[str, float] = field(default_factory=dict)
    """By type, the sum of the cells' probabilities of it."""
    possible: Mapping[str, int] = field(default_factory=dict)
    """By type, or group of types: the cells that may be of it, see `tallies.Doubts`."""
    counted: Mapping[str, int] = field(default_factory=dict)
    """By type or group: those cells, and the others that are surely white cells of the percentages."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over any number of fields. Percentages are derived, never stored."""

    fields: int
    white: Mapping[str, int]
    """White cells by label, "unclassified" among them."""
    kinds: Mapping[str, int]
    """Cells by finder kind (WBC, RBC, Platelet)."""
    attributes: Mapping[str, Mapping[str, int]]
    """Identified white cells by attribute and value, where the reader was sure."""
    places: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)
    """Where the white cells of each label are."""
    cut: int = 0
    """White cells that the picture's edge cuts and that were not read: not in `white`."""
    unread: int = 0
    """Whole white cells that were not read: not in `white`."""
    not_counted: frozenset[str] = frozenset()
    """Kinds that at least one field was too coarse for."""
    not_recognised: NotRecognised = field(default_factory=NotRecognised)
    """Of the cells that `white` has as "unclassified"."""
    blast_like: float = 0.0
    """Summed probability of the blast-like types, over all white cells but those recognised as something beside them."""
    blast_like_doubted: float = 0.0
    """The part of `blast_like` that is of cells that were not recognised."""
    blast_like_read: float = 0.0
    """The part that is of cells recognised as blast-like. What is left are small probabilities of many others."""
    most_blast_like: tuple[tuple[float, Place], ...] = ()
    """Probability and place of the white cells that are most like blasts, the likest first."""
    doubtful: Mapping[str, int] = field(default_factory=dict)
    """Those of `white` that lie in pictures with a warning under which nothing is called present."""
    findings: Mapping[str, int] = field(default_factory=dict)
    """Pictures by what limits their quality: codes of `Finding`."""
    doubtful_pictures: int = 0
    """Those with a warning under which nothing is called present."""
