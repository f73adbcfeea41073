"""How good a picture is: measures against limits, and what to do where one is passed.

Rules are data (`data/quality.toml`): each names a measure, its limits under every objective and what to tell the user.
What is measured stands in `quality` and `domain`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from edgeleuk._tables import load_table
from edgeleuk.channels import Nuclei, nuclei
from edgeleuk.domain import Kinship, kinship
from edgeleuk.drawings import TOUCHED, drawn, strokes
from edgeleuk.errors import QualityError
from edgeleuk.eyepiece import middle
from edgeleuk.optics import Resampling
from edgeleuk.quality import Look, inspect
from edgeleuk.types import (
    RED_CELL,
    WHITE_CELL,
    Aperture,
    Assessment,
    Detections,
    Finding,
    Image,
    Scale,
)

LIMITS = Path(__file__).parent / "data" / "quality.toml"
EVERY = "any"
"""Stands for every objective that has no limit of its own."""
BARE = 0.05
"""Share of a picture that something stained covers, up to which what was found in it tells nothing: a single white cell at
the end of a smear is no other thing than a blood smear."""
FAINT = 0.16
"""Optical density of a picture's darkest twenty-fifth below which hardly anything in it is stained."""
TINTED = 0.06
"""Difference in optical density between channels that only a dye makes."""
REFRACTING = 0.14
"""Unevenness of red cells from which on it is their rims that show, and not their stain. Grey ones of stained smears have 0.12
at most, those of unstained ones 0.16 and more."""
INKED = 1.0
"""Of 10,000 pixels, those with the colour of a stroke: with more there are drawings."""
COARSEST = 0.5
"""um per pixel of a picture that has fine detail to lose."""

Measures = Mapping[str, float]
"""By the names that rules use. What could not be measured is absent, and no rule is applied to it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One measure that should not pass its limits."""

    code: str
    measure: str
    good: Literal["below", "above"]
    """On which side of its limits a good picture lies."""
    text: Annotated[str, "measure limit"]
    """What is wrong, and what to do."""
    warns: Mapping[str, float]
    """Limit by objective ("100x", "40x", "10x", or "any"), past which the picture is accepted with a warning."""
    refuses: Mapping[str, float]
    """Past which it is refused."""

    def finding(self, value: float, objective: str) -> Finding | None:
        """What to say of a measured value; None where it is good."""
        for limits, severe in ((self.refuses, True), (self.warns, False)):
            limit = limits.get(objective, limits.get(EVERY))
            if limit is not None and (value > limit if self.good == "below" else value < limit):
                text = self.text.format(measure=f"{value:.3g}", limit=f"{limit:.3g}")
                return Finding(self.code, severe, value, limit, text)
        return None


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """When a frame of a stream counts by itself. Pictures that were taken one by one need none of it."""

    focus_of_best: float
    """Least sharpness as a share of the best one of the session, 0 to 1."""
    still_px: float
    """Most movement since the frame before, pixels."""
    new_ground: float
    """Least share of the frame that no counted field shows, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Limits:
    """A whole file of rules."""

    schema: Literal[1]
    stream: StreamLimits
    rules: tuple[Rule, ...]


def load_limits(path: Path | None = None) -> Limits:
    """The rules of a file, or those that ship. Raises InputError where it cannot be read or is malformed."""
    return load_table(Limits, path, like=LIMITS) if path else _shipped()


@cache
def _shipped() -> Limits:
    return load_table(Limits, LIMITS, like=LIMITS)


@dataclass(frozen=True, slots=True)
class QualityPolicy:
    """Which pictures and frames count: one set of limits for both."""

    limits: Limits
    objective: str
    """"100x", "40x" or "10x"."""
    refusing: bool = False
    """Whether a picture past a limit is an error; else it is analysed and marked as forced."""

    def judge(self, name: str, measures: Measures) -> Assessment:
        """Assess a picture by its measures. Raises QualityError where it is refused and the policy is refusing."""
        return settle(name, assess(measures, self.objective, self.limits), self.refusing)

    def refusal(self, measures: Measures) -> Finding | None:
        """The first finding that refuses a frame of such measures; None where none does."""
        found = assess(measures, self.objective, self.limits)
        return next((finding for finding in found if finding.severe), None)


def look_measures(look: Look) -> Measures:
    """What a look tells, by the names that rules use."""
    told = {
        "light_percent": 100 * look.light,
        "clipped_percent": 100 * look.clipped,
        "picture_contrast": look.contrast,
    }
    if seen := look.channels:
        told |= {"opposed": seen.opposed, "weakest_channel": seen.weakest}
        told |= {"opposed_chroma": seen.opposed} if seen.chroma else {}
    return told


def after(
    pixels: Image,
    disc: Aperture | None,
    scale: Scale,
    found: Detections,
    um_per_px: float,
    whole: Image | None = None,
) -> Measures:
    """What the found cells tell, at `um_per_px`, the finder's scale; `whole` is a picture without a disc at that scale, where
    it was made already."""
    part, corner = middle(pixels, disc)
    resampling = Resampling.to_scale(part.shape[1], part.shape[0], scale, um_per_px)
    small = resampling.apply(part) if whole is None else whole
    boxes = resampling.forward(found.boxes - np.array([*corner, *corner], np.float32))
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    shown = ((middles >= 0) & (middles < (resampling.width, resampling.height))).all(axis=1)
    red = shown & found.are(RED_CELL)
    detail = inspect(small, um_per_px, boxes[red], boxes[shown & ~red])
    # Of an eyepiece's disc the rim tells as well as the middle what the whole is.
    reds, white_scores = len(found.of(RED_CELL)), found.of(WHITE_CELL).scores
    kin = kinship(small, um_per_px, boxes[red], reds, white_scores, detail.unknown)
    white = shown & found.are(WHITE_CELL)
    faint = kin.depth is not None and kin.depth < FAINT
    told = {
        **_drawn(part, replace(found, boxes=found.boxes - np.array([*corner, *corner], np.float32))),
        "rim_um": detail.rim_um,
        "fine_detail": detail.fine if scale.um_per_px < COARSEST else None,
        **_hue(nuclei(small, boxes[white], found.scores[white])),
        "way_um": detail.way_um,
        "stain": detail.contrast,
        "crowding_percent": None if detail.crowding is None else 100 * detail.crowding,
        "spacing_um": detail.spacing_um,
        "red_cells_per_1000_um2": detail.red_cells,
        "stained_percent": 100 * detail.covered,
        "layered_percent": None if detail.layered is None else 100 * detail.layered,
        "unknown_percent": 100 * detail.unknown,
        "cells": len(found),
        "faint_likeness_percent" if faint else "likeness_percent": 100 * kin.likeness
        if detail.covered > BARE
        else None,
        "faint_dye" if faint else "dye": None if _coloured(kin) else kin.dye,
        "cyan": kin.cyan,
        "hues": kin.hues,
        "texture": kin.texture,
        "relief": kin.relief,
        "fullness": kin.fullness,
        "squeeze": max(scale.squeeze, 1 / scale.squeeze),
    }
    return {name: value for name, value in told.items() if value is not None}


def _coloured(kin: Kinship) -> bool:
    """Whether a picture with grey red cells has the colour of dyes elsewhere, as in nuclei. Red cells that are no less
    uneven than unstained ones tell that it is not theirs."""
    return kin.tint is not None and kin.tint > TINTED and (kin.texture is None or kin.texture < REFRACTING)


def _hue(seen: Nuclei | None) -> dict[str, float | None]:
    """What the hue of nuclei tells, under other names where it is that of one alone."""
    if seen is None:
        return {}
    lone = "lone_" if seen.cells == 1 else ""
    return {f"{lone}nuclear_blue": seen.blue, f"{lone}nuclear_green": seen.green}


def _drawn(part: Image, found: Detections) -> dict[str, float | None]:
    """What drawings a picture has, and the share of what was found in it that they lie on."""
    white = found.of(WHITE_CELL).boxes
    seen = drawn(part, white)
    told: dict[str, float | None] = {
        "ink": seen.ink,
        "black_strokes": seen.black,
        "straight_lines": seen.lines,
        "seam": seen.seam,
    }
    if seen.ink > INKED and len(found):
        told["drawn_over_percent"] = 100 * float((strokes(part, found.boxes, white) > TOUCHED).mean())
    return told


def assess(measures: Measures, objective: str, limits: Limits) -> tuple[Finding, ...]:
    """What is wrong with a picture: of each code the gravest finding, those that refuse it first."""
    worst: dict[str, Finding] = {}
    for finding in _findings(measures, objective, limits.rules):
        if finding.code not in worst or finding.severe > worst[finding.code].severe:
            worst[finding.code] = finding
    return tuple(sorted(worst.values(), key=lambda finding: not finding.severe))


def _findings(measures: Measures, objective: str, rules: Sequence[Rule]) -> Iterator[Finding]:
    for rule in rules:
        value = measures.get(rule.measure)
        if value is not None and (finding := rule.finding(value, objective)):
            yield finding


def settle(name: str, findings: tuple[Finding, ...], refusing: bool) -> Assessment:
    """The verdict on a picture. Raises QualityError where it is refused and `refusing`; else it is marked as forced."""
    severe = [finding for finding in findings if finding.severe]
    if severe and refusing:
        reasons = " ".join(finding.text for finding in severe)
        raise QualityError(f"{name} is refused: {reasons} --force analyses it all the same.", findings)
    return Assessment(findings, forced=bool(severe))
