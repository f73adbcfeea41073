"""Golden documents compared: by how much each kind of number may move, and which did by more.

Labels, counts, verdicts and words are exact; every other number has a tolerance, see TOLERANCES.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from golden_files import is_cell

COMMAND = "python tests/regenerate_golden.py"
MOST_TOLD = 40
"""Values that a message names."""
SAME_CELL = 0.5
"""Intersection over union from which on two boxes of one class are the same cell; cells that touch share a third."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """By how much numbers of one kind may move. The larger of the two counts."""

    kind: str
    keys: str
    """Regular expression of the end of a number's path, without indices."""
    absolute: float
    relative: float
    why: str


# fmt: off
TOLERANCES = (
    #          kind                        end of the path                                     abs.  rel.   why it may move
    Tolerance("box",                      r"box|aperture\.\w+",                                 0.5,  0.0,   "follows the scale and the rounding of the resampled picture"),
    Tolerance("scale",                    r"scale\.um_per_px_[xy]|(overlaps|placement)\.zoom",  0.0,  0.002, "a median over red cells"),
    Tolerance("error of the scale",       r"scale\.relative_error",                            0.0,  0.03,  "a spread over red cells"),
    Tolerance("place on the slide, um",   r"placement\.([xy]|moved)_um",                       0.2,  0.0,   "a pixel or two of registration"),
    Tolerance("angle, radians",           r"placement\.angle",                                 2e-3, 0.0,   "as far as it moves the edge of a picture by a pixel"),
    Tolerance("shared ground",            r"overlaps\.shared|placement\.new_ground",           0.01, 0.0,   "pixels along the edges"),
    Tolerance("area",                     r"area_[mu]m2",                                      0.0,  0.004, "the square of the scale"),
    Tolerance("score",                    r"score",                                            0.02, 0.0,   "of the finder: some pixels by a level move it by .005"),
    Tolerance("probability",              r"probability|probabilities\.\w+",                   0.02, 0.0,   "of the reader: likewise"),
    Tolerance("size on the cell",         r"morphometry\.(diameter_um|\w+_um2)",               0.0,  0.03,  "pixels along an outline"),
    Tolerance("N:C ratio",                r"morphometry\.nc_ratio",                            0.02, 0.0,   "of two such areas"),
    Tolerance("corrected share, percent", r"differential\.corrected\..*",                      0.02, 0.0,   "drawn by seed; sums of floats"),
    Tolerance("share",                    r"differential\..*",                                 1e-4, 1e-5,  "follows from counts; written with six digits"),
    Tolerance("estimate",                 r"estimates\..*",                                    0.0,  1e-4,  "follows from counts"),
    Tolerance("cells, counted",           r"measures\.cells",                                  0.0,  0.0,   "a count, though written as a measure"),
    Tolerance("measured percent",         r"measures\.\w+_percent",                            0.2,  0.01,  "pixels or cells at a limit"),
    Tolerance("way, um",                  r"measures\.way_um",                                 0.05, 0.03,  "the root of a small difference"),
    Tolerance("measure",                  r"measures\.\w+|findings\.measure",                  2e-3, 0.02,  "medians over the rims of red cells"),
    Tolerance("meter",                    r"frames\.(focus|light)",                            5e-3, 0.0,   "of a whole frame"),
)
# fmt: on
"""The first whose keys fit counts. Integers, words, truths and numbers that none fits are exact.

The same pictures gave the same boxes, scores and probabilities to the last digit with OpenCV 4.9, numpy 1.26 and onnxruntime
1.19 as with 5.0, 2.4 and 1.32; scales differed by .02 %, cell areas by 1.3 %, nuclei by 2.3 %, rims by 1.8 %. Networks in 8-bit
integers give the same sums with and without VNNI. Each tolerance is about twice what was seen, or what a level of some pixels
does, and far less than what a changed constant does.
"""
EXACT = Tolerance("exact", "", 0.0, 0.0, "a count, a label, a verdict or a limit")
IN_WORDS = Tolerance("number in a sentence", "", 0.15, 0.02, "rounded; it stands elsewhere too")
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Moved:
    """One value that is not what it was."""

    path: str
    was: Any
    now: Any
    tolerance: Tolerance

    def __str__(self) -> str:
        allowed = max(self.tolerance.absolute, self.tolerance.relative * _size(self.was))
        return f"{self.path}: was {_short(self.was)}, is {_short(self.now)} ({self.tolerance.kind}, tolerance {allowed:.3g})"


NOTHING = "nothing"
"""Stands in a message for what is missing."""


def message(name: str, moved: Sequence[Moved]) -> str:
    """What a test or the command says of a case whose numbers moved; empty where none did."""
    if not moved:
        return ""
    told = [f"  {each}" for each in moved[:MOST_TOLD]]
    if len(moved) > MOST_TOLD:
        told.append(f"  and {len(moved) - MOST_TOLD} more")
    head = f"{len(moved)} values of tests/golden/{name}.json moved:"
    return "\n".join([head, *told, f"If that is meant, run `{COMMAND}` and say in the commit why."])


class Comparison:
    """Compares two documents; `moved` has every value that differs by more than its tolerance, in their order."""

    def __init__(self, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        self.moved: list[Moved] = []
        self._numbers: dict[int, int] = {}
        """Of each cell on the slide map, the number it has now. The numbers themselves follow the order of the scores."""
        self._compare("", was, now)

    def _compare(self, path: str, was: Any, now: Any) -> None:
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            for key in [*was, *(key for key in now if key not in was)]:
                self._compare(f"{path}.{key}" if path else key, was.get(key, NOTHING), now.get(key, NOTHING))
        elif isinstance(was, list) and isinstance(now, list):
            pairs = _cells_paired(was, now) if all(map(is_cell, [*was, *now])) else _paired(was, now)
            for name, one, other in pairs:
                self._compare(f"{path}[{name}]", one, other)
        elif path.endswith("].cell"):
            self._compare_numbers(path, was, now)
        elif not within(tolerance := tolerance_of(path, was, now), was, now):
            self.moved.append(Moved(path, was, now, tolerance))

    def _compare_numbers(self, path: str, was: Any, now: Any) -> None:
        """A cell's number on the map is a name: whatever had one has one now, and no two things the same."""
        known = self._numbers.setdefault(was, now)
        taken = [before for before, after in self._numbers.items() if after == now]
        if known != now or taken != [was]:
            self.moved.append(Moved(path, f"the same as cell {was}", f"cell {now}", EXACT))


def tolerance_of(path: str, was: Any, now: Any) -> Tolerance:
    """The tolerance of a value at a path such as `images[a.png].scale.um_per_px_x`."""
    if isinstance(was, str) and isinstance(now, str):
        return IN_WORDS
    if not (_is_number(was) and _is_number(now)) or (isinstance(was, int) and isinstance(now, int)):
        return EXACT
    plain = re.sub(r"\[[^]]*\]", "", path)
    return next((each for each in TOLERANCES if re.search(rf"(?:^|\.)(?:{each.keys})$", plain)), EXACT)


def within(tolerance: Tolerance, was: Any, now: Any) -> bool:
    """Whether a value moved by no more than its tolerance; of sentences the words must be the same."""
    if isinstance(was, str) and isinstance(now, str):
        numbers = [[float(each.replace(",", "")) for each in NUMBER.findall(text)] for text in (was, now)]
        same_words = NUMBER.sub("#", was) == NUMBER.sub("#", now)
        return same_words and all(within(tolerance, *pair) for pair in zip(*numbers, strict=True))
    if _is_number(was) and _is_number(now):
        return abs(was - now) <= max(tolerance.absolute, tolerance.relative * abs(was))
    return bool(was == now)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _size(value: Any) -> float:
    return abs(value) if _is_number(value) else 0.0


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 160 else f"{text[:157]}..."


def _paired(was: Sequence[Any], now: Sequence[Any]) -> Iterator[tuple[str, Any, Any]]:
    """By the name of their picture where they have one and it is unique, else by their place in the list."""
    names = [_names(values) for values in (was, now)]
    before, after = (
        dict(zip(each, values, strict=True)) for each, values in zip(names, (was, now), strict=True)
    )
    for name in [*before, *(name for name in after if name not in before)]:
        yield name, before.get(name, NOTHING), after.get(name, NOTHING)


def _names(values: Sequence[Any]) -> list[str]:
    names = [str(value.get("path", "")) if isinstance(value, Mapping) else "" for value in values]
    return names if "" not in names and len({*names}) == len(names) else [str(i) for i in range(len(values))]


def _cells_paired(was: Sequence[Any], now: Sequence[Any]) -> Iterator[tuple[str, Any, Any]]:
    """Each cell with the one of its class and picture that it shares most ground with, wherever that stands in the list."""
    left = [*now]
    for cell in was:
        best = max(
            (each for each in left if _alike(cell, each)), key=lambda each: _iou(cell, each), default=None
        )
        found = best is not None and _iou(cell, best) >= SAME_CELL
        if found:
            left.remove(best)
        yield _cell_name(cell), cell, best if found else NOTHING
    for cell in left:
        yield _cell_name(cell), NOTHING, cell


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one.get(key) == other.get(key) for key in ("kind", "field", "path"))


def _cell_name(cell: Mapping[str, Any]) -> str:
    x1, y1, x2, y2 = cell["box"]
    kind = next((cell[key] for key in ("kind", "field", "path") if key in cell), "")
    return f"{kind} at {(x1 + x2) / 2:.0f} {(y1 + y2) / 2:.0f}"


def _iou(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    (a, b, c, d), (e, f, g, h) = one["box"], other["box"]
    shared = max(0.0, min(c, g) - max(a, e)) * max(0.0, min(d, h) - max(b, f))
    return shared / ((c - a) * (d - b) + (g - e) * (h - f) - shared)
