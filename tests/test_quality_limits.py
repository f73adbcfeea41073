"""The limits of quality that ship: on which side of which number a picture is accepted, warned of or refused."""

from __future__ import annotations

import math

import pytest

from edgeleuk.quality.assessment import StreamLimits, load_limits

WARNS, REFUSES = False, True
LIMITS = (
    ("colours", "opposed_chroma", "below", REFUSES, "any", 0.96),
    ("colours", "opposed", "below", REFUSES, "any", 1.2),
    ("colours", "weakest_channel", "above", REFUSES, "any", 0.03),
    ("colours", "nuclear_blue", "below", WARNS, "any", 0.22),
    ("colours", "nuclear_blue", "below", REFUSES, "any", 0.28),
    ("colours", "nuclear_green", "above", REFUSES, "any", 0),
    ("colours", "lone_nuclear_blue", "below", WARNS, "any", 0.28),
    ("colours", "lone_nuclear_green", "above", WARNS, "any", 0),
    ("colours", "negative_percent", "below", REFUSES, "any", 50),
    ("dark", "light_percent", "above", WARNS, "any", 40),
    ("dark", "light_percent", "above", REFUSES, "any", 24),
    ("bright", "clipped_percent", "below", WARNS, "any", 40),
    ("bright", "clipped_percent", "below", REFUSES, "any", 65),
    ("empty", "picture_contrast", "above", REFUSES, "any", 0.025),
    ("empty", "cells", "above", REFUSES, "any", 1),
    ("focus", "rim_um", "below", WARNS, "100x", 0.5),
    ("focus", "rim_um", "below", WARNS, "40x", 0.68),
    ("focus", "rim_um", "below", REFUSES, "100x", 0.62),
    ("focus", "rim_um", "below", REFUSES, "40x", 0.8),
    ("focus", "fine_detail", "above", WARNS, "100x", 2.1),
    ("focus", "fine_detail", "above", WARNS, "40x", 2.1),
    ("focus", "fine_detail", "above", REFUSES, "100x", 1.83),
    ("focus", "fine_detail", "above", REFUSES, "40x", 1.83),
    ("motion", "way_um", "below", WARNS, "100x", 1.4),
    ("motion", "way_um", "below", WARNS, "40x", 2),
    ("motion", "way_um", "below", REFUSES, "100x", 1.9),
    ("motion", "way_um", "below", REFUSES, "40x", 2.6),
    ("pale", "stain", "above", WARNS, "any", 0.055),
    ("pale", "stain", "above", REFUSES, "any", 0.03),
    ("pale", "faint_dye", "above", WARNS, "any", 0.1),
    ("pale", "faint_dye", "above", REFUSES, "any", 0.07),
    ("pale", "faint_likeness_percent", "above", REFUSES, "100x", 11),
    ("pale", "faint_likeness_percent", "above", REFUSES, "40x", 20),
    ("dense", "stain", "below", WARNS, "any", 0.62),
    ("dense", "stain", "below", REFUSES, "any", 0.72),
    ("thick", "stained_percent", "below", WARNS, "any", 78),
    ("thick", "stained_percent", "below", REFUSES, "any", 86),
    ("thick", "layered_percent", "below", WARNS, "100x", 5),
    ("thick", "layered_percent", "below", WARNS, "40x", 8),
    ("thick", "layered_percent", "below", REFUSES, "100x", 35),
    ("thick", "layered_percent", "below", REFUSES, "40x", 35),
    ("thick", "crowding_percent", "below", WARNS, "any", 80),
    ("thick", "spacing_um", "above", WARNS, "100x", 4.6),
    ("thick", "spacing_um", "above", WARNS, "40x", 4.6),
    ("sparse", "red_cells_per_1000_um2", "above", WARNS, "100x", 1.5),
    ("sparse", "red_cells_per_1000_um2", "above", WARNS, "40x", 1.5),
    ("unknown", "unknown_percent", "below", WARNS, "100x", 40),
    ("unknown", "unknown_percent", "below", WARNS, "40x", 40),
    ("coarse", "um_per_px", "below", WARNS, "100x", 0.3),
    ("coarse", "um_per_px", "below", WARNS, "40x", 0.38),
    ("coarse", "um_per_px", "below", WARNS, "10x", 1.52),
    ("drawn", "drawn_over_percent", "below", WARNS, "any", 0),
    ("drawn", "drawn_over_percent", "below", REFUSES, "any", 12),
    ("drawn", "ink", "below", WARNS, "any", 1),
    ("drawn", "black_strokes", "below", WARNS, "any", 5),
    ("drawn", "straight_lines", "below", WARNS, "any", 4),
    ("drawn", "seam", "below", WARNS, "any", 2.4),
    ("drawn", "seam", "below", REFUSES, "any", 3.2),
    ("domain", "likeness_percent", "above", REFUSES, "100x", 11),
    ("domain", "likeness_percent", "above", REFUSES, "40x", 20),
    ("domain", "dye", "above", REFUSES, "any", 0.1),
    ("domain", "cyan", "below", REFUSES, "any", 0.9),
    ("domain", "hues", "below", REFUSES, "any", 0.45),
    ("domain", "hues", "above", REFUSES, "any", 0.018),
    ("domain", "texture", "below", REFUSES, "100x", 0.65),
    ("domain", "texture", "below", REFUSES, "40x", 0.65),
    ("domain", "relief", "above", REFUSES, "100x", 0.04),
    ("domain", "fullness", "above", REFUSES, "100x", 0.05),
    ("domain", "squeeze", "below", REFUSES, "any", 2.05),
)
"""Code, measure, its good side, what a picture past the limit is, objective, limit."""


@pytest.mark.parametrize(("code", "measure", "good", "severe", "objective", "limit"), LIMITS)
def test_a_picture_is_judged_by_this_limit(
    code: str, measure: str, good: str, severe: bool, objective: str, limit: float
) -> None:
    """On the limit it is not past it, the next number is."""
    (rule,) = (
        each for each in load_limits().rules if (each.code, each.measure, each.good) == (code, measure, good)
    )
    asked = "10x" if objective == "any" else objective
    past = math.nextafter(limit, math.inf if good == "below" else -math.inf)
    before, after = rule.finding(limit, asked), rule.finding(past, asked)
    assert before is None or (severe, before.severe) == (REFUSES, WARNS)
    assert after is not None
    assert (after.code, after.severe, after.threshold) == (code, severe, limit)


def test_no_limit_is_without_a_test() -> None:
    """Whoever changes the file changes the table above, and thinks twice."""
    shipped = {
        (rule.code, rule.measure, rule.good, severe, objective, limit)
        for rule in load_limits().rules
        for severe, limits in ((WARNS, rule.warns), (REFUSES, rule.refuses))
        for objective, limit in limits.items()
    }
    assert shipped == {*LIMITS}


def test_frames_of_a_stream_are_judged_by_these_limits() -> None:
    """Focus as a share of the best, rest in pixels, least share of new ground."""
    assert load_limits().stream == StreamLimits(focus_of_best=0.3, still_px=2.0, new_ground=0.08)
