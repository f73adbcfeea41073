"""Assessment of pictures: measures against limits, with findings.

Rules are data (`data/quality.toml`). Each names a measure, its limits for every objective, and what to tell
the user when a limit is passed. The measures themselves come from `quality` and `domain`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from edgeleuk.errors import QualityError
from edgeleuk.imaging.field_of_view import middle
from edgeleuk.imaging.resampling import Resampling
from edgeleuk.quality.channels import Nuclei, nuclei
from edgeleuk.quality.drawings import TOUCHED, drawn, strokes
from edgeleuk.quality.measures import Look, inspect
from edgeleuk.quality.smear_likeness import SmearMeasures, measure_smear
from edgeleuk.system.toml_tables import load_table
from edgeleuk.system.wording import option
from edgeleuk.types import (
    RED_CELL,
    WHITE_CELL,
    Assessment,
    Detections,
    FieldOfView,
    Finding,
    Image,
    Scale,
)

LIMITS = Path(__file__).parents[1] / "data" / "quality.toml"
EVERY = "any"
"""Key for objectives without their own limit."""
BARE = 0.05
"""Minimum stained-area fraction for scoring smear-likeness.

Below it the detections do not tell whether the picture is a smear: a single white cell at the end of a
smear is still part of a blood smear.
"""
FAINT = 0.16
"""Optical density limit for faint staining.

It is compared with the density of the darkest twenty-fifth of the picture.
"""
TINTED = 0.06
"""Minimum density difference between channels for a dye."""
REFRACTING = 0.14
"""Red-cell unevenness that indicates refracting rims, not stain.

Grey red cells of stained smears reach 0.12 at most, those of unstained smears have 0.16 or more.
"""
INKED = 1.0
"""Maximum stroke-coloured pixels per 10,000 without drawings."""
COARSEST = 0.5
"""Coarsest scale for assessing fine detail, um per pixel."""

Measures = Mapping[str, float]
"""Measured values by the names that rules use.

A value that could not be measured is absent, and no rule is applied to it.
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """One measure with its limits."""

    code: str
    measure: str
    good: Literal["below", "above"]
    """Side of the limits for a good picture."""
    text: Annotated[str, "measure limit"]
    """Message template with the fault and the remedy."""
    warns: Mapping[str, float]
    """Warning limits by objective.

    Objectives are "100x", "40x", "10x" or "any". A picture past its limit is accepted with a warning.
    """
    refuses: Mapping[str, float]
    """Refusal limits by objective."""

    def finding(self, value: float, objective: str) -> Finding | None:
        """Return the finding for a value; None if good."""
        for limits, severe in ((self.refuses, True), (self.warns, False)):
            limit = limits.get(objective, limits.get(EVERY))
            if limit is not None and (value > limit if self.good == "below" else value < limit):
                text = self.text.format(measure=f"{value:.3g}", limit=f"{limit:.3g}")
                return Finding(self.code, severe, value, limit, text)
        return None


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Limits for automatic counting of stream frames.

    Pictures that were taken one by one need none of them.
    """

    focus_of_best: float
    """Minimum sharpness relative to the session's best.

    It is a share, 0 to 1.
    """
    still_px: float
    """Maximum movement since the previous frame, pixels."""
    new_ground: float
    """Minimum share of uncounted ground in the frame.

    It is 0 to 1; no counted field shows such ground.
    """


@dataclass(frozen=True, slots=True)
class Limits:
    """Contents of a rules file."""

    schema: Literal[1]
    stream: StreamLimits
    rules: tuple[Rule, ...]


def load_limits(path: Path | None = None) -> Limits:
    """Load rules from a file, or the shipped ones.

    Raises:
        InputError: The file cannot be read or is malformed.
    """
    return load_table(Limits, path, like=LIMITS) if path else _shipped()


@cache
def _shipped() -> Limits:
    return load_table(Limits, LIMITS, like=LIMITS)


@dataclass(frozen=True, slots=True)
class QualityPolicy:
    """Rules that decide which pictures and frames count.

    Pictures and frames share one set of limits.
    """

    limits: Limits
    objective: str
    """Objective: "100x", "40x" or "10x"."""
    refusing: bool = False
    """Whether exceeding a limit is an error.

    If False the picture is analysed and marked as forced.
    """

    def assess(self, name: str, measures: Measures) -> Assessment:
        """Assess a picture by its measures.

        Raises:
            QualityError: The picture is refused and the policy is refusing.
        """
        return to_assessment(name, worst_findings(measures, self.objective, self.limits), self.refusing)

    def refusal(self, measures: Measures) -> Finding | None:
        """Return the first refusing finding, or None."""
        found = worst_findings(measures, self.objective, self.limits)
        return next((finding for finding in found if finding.severe), None)


def look_measures(look: Look) -> Measures:
    """Return a look's measures by rule name."""
    told = {
        "light_percent": 100 * look.light,
        "clipped_percent": 100 * look.clipped,
        "picture_contrast": look.contrast,
    }
    if seen := look.channels:
        told |= {"opposed": seen.opposed, "weakest_channel": seen.weakest}
        told |= {"opposed_chroma": seen.opposed} if seen.chroma else {}
    return told


def field_measures(
    pixels: Image,
    field_of_view: FieldOfView | None,
    scale: Scale,
    found: Detections,
    um_per_px: float,
    whole: Image | None = None,
) -> Measures:
    """Return the measures that need detections.

    Args:
        pixels: (H, W, 3) picture.
        field_of_view: Field of view of an eyepiece; None if the whole image shows the slide.
        scale: Scale of the picture.
        found: Detections, boxes in pixels of the picture.
        um_per_px: The finder's scale, um per pixel; the measures are taken at it.
        whole: The picture resampled to `um_per_px`, if it has no field-of-view mask and was resampled
            already.

    Returns:
        Measures by the names that rules use. Those that could not be measured are absent.
    """
    part, corner = middle(pixels, field_of_view)
    resampling = Resampling.to_scale(part.shape[1], part.shape[0], scale, um_per_px)
    small = resampling.apply(part) if whole is None else whole
    boxes = resampling.forward(found.boxes - np.array([*corner, *corner], np.float32))
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    shown = ((middles >= 0) & (middles < (resampling.width, resampling.height))).all(axis=1)
    red = shown & found.are(RED_CELL)
    detail = inspect(small, um_per_px, boxes[red], boxes[shown & ~red])
    # Cells near the rim of the field of view are evidence of a smear as well as those in its middle.
    reds, white_scores = len(found.of(RED_CELL)), found.of(WHITE_CELL).scores
    smear = measure_smear(small, um_per_px, boxes[red], reds, white_scores, detail.unknown)
    white = shown & found.are(WHITE_CELL)
    faint = smear.depth is not None and smear.depth < FAINT
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
        "faint_likeness_percent" if faint else "likeness_percent": 100 * smear.likeness
        if detail.covered > BARE
        else None,
        "faint_dye" if faint else "dye": None if _coloured(smear) else smear.dye,
        "cyan": smear.cyan,
        "hues": smear.hues,
        "texture": smear.texture,
        "relief": smear.relief,
        "fullness": smear.fullness,
        "squeeze": max(scale.squeeze, 1 / scale.squeeze),
    }
    return {name: value for name, value in told.items() if value is not None}


def _coloured(smear: SmearMeasures) -> bool:
    """Check for dye colour outside of grey red cells.

    The colour may be in nuclei, for example. Red cells that are at least as uneven as unstained ones show
    that the colour is not that of a dye.
    """
    return (
        smear.tint is not None
        and smear.tint > TINTED
        and (smear.texture is None or smear.texture < REFRACTING)
    )


def _hue(seen: Nuclei | None) -> dict[str, float | None]:
    """Return the hue measures of nuclei.

    The measures of a single nucleus have names of their own, with the prefix `lone_`.
    """
    if seen is None:
        return {}
    lone = "lone_" if seen.cells == 1 else ""
    return {f"{lone}nuclear_blue": seen.blue, f"{lone}nuclear_green": seen.green}


def _drawn(part: Image, found: Detections) -> dict[str, float | None]:
    """Return measures of drawings.

    With drawings the share of detections that they cover is one of them.
    """
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


def worst_findings(measures: Measures, objective: str, limits: Limits) -> tuple[Finding, ...]:
    """Return the most severe finding per code.

    Findings that refuse the picture come first.

    Args:
        measures: Measured values by rule name.
        objective: "100x", "40x" or "10x".
        limits: The rules to apply.
    """
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


def to_assessment(name: str, findings: tuple[Finding, ...], refusing: bool) -> Assessment:
    """Turn findings into an assessment.

    With a severe finding the assessment is marked as forced.

    Args:
        name: Name of the picture for the error message.
        findings: What is wrong with the picture.
        refusing: Whether a severe finding is an error.

    Raises:
        QualityError: A finding is severe and `refusing` is True.
    """
    severe = [finding for finding in findings if finding.severe]
    if severe and refusing:
        reasons = " ".join(finding.text for finding in severe)
        raise QualityError(
            f"{name} is refused: {reasons} {option('force')} analyses it all the same.", findings
        )
    return Assessment(findings, forced=bool(severe))
