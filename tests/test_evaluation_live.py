"""The live count against a simulated slide."""

from __future__ import annotations

import pytest

from edgeleuk.evaluation.live import TypeShare, evaluate_live
from edgeleuk.pipeline import Analyser
from edgeleuk.sources.simulated import Smear
from edgeleuk.sources.stage import Move, Script, StageSource, Stop
from edgeleuk.types import Scale


def test_a_small_slide_is_counted_to_the_cell(analyser: Analyser) -> None:
    """Three fields of a slide that they cover: each white cell in view once, and the accounts add up."""
    smear = Smear.generate(8, 230.0, 72.1, {"neutrophil": 5, "lymphocyte": 4})
    script = Script(
        (64.0, 36.0), (Stop(0.8), Move((115.0, 36.0), 120), Stop(0.8), Move((166.0, 36.0), 120), Stop(0.8))
    )
    source = StageSource(magnification="100x", smear=smear, script=script, fps=5)
    told: list[float] = []
    result = evaluate_live(analyser, source, 8, Scale.given(0.1), told.append)
    assert abs(sum(result.counted.values()) - sum(result.in_view.values())) <= 1
    assert result.frames == sum(result.verdicts.values()) == len(told)
    assert result.fields == result.verdicts["counted"]
    assert result.as_json()["islands"] == 1
    assert {label: share.true for label, share in result.types.items() if share.true} == {
        "neutrophil": pytest.approx(500 / 9),
        "lymphocyte": pytest.approx(400 / 9),
    }


def test_a_share_is_explained_within_its_corrected_interval() -> None:
    """Both ends belong to it."""
    assert TypeShare(true=10, read=14, low=10, high=20).explained
    assert TypeShare(true=20, read=14, low=10, high=20).explained
    assert not TypeShare(true=9.9, read=14, low=10, high=20).explained
