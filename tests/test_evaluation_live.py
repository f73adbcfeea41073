"""The live count against a simulated slide."""

from __future__ import annotations

import pytest
from standard import judged, slide_of

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.lab.evaluation.live import TypeShare, evaluate_live, type_shares
from edgeleuk.simulation.smear import Smear
from edgeleuk.sources.simulated import Move, Script, StageSettings, StageSource, Stop
from edgeleuk.statistics.correction import Confusion
from edgeleuk.types import Scale, Tally

pytestmark = pytest.mark.usefixtures("painted_once")


def test_a_small_slide_is_counted_to_the_cell(analyser: Analyser) -> None:
    """Three fields of a slide that they cover: each white cell in view once, and the accounts add up."""
    smear = Smear.generate(8, 230.0, 72.1, {"neutrophil": 5, "lymphocyte": 4})
    script = Script(
        (64.0, 36.0), (Stop(0.8), Move((115.0, 36.0), 120), Stop(0.8), Move((166.0, 36.0), 120), Stop(0.8))
    )
    source = StageSource(settings=StageSettings(smear=smear, script=script, fps=5))
    told: list[float] = []
    result = evaluate_live(slide_of(analyser, Scale.given(0.1), stills=False), source, 8, told.append)
    assert abs(sum(result.counted.values()) - sum(result.in_view.values())) <= 1
    assert result.frames == sum(result.verdicts.values()) == len(told)
    assert result.fields == result.verdicts["counted"]
    assert result.as_json()["islands"] == 1
    assert {label: share.true for label, share in result.types.items() if share.true} == {
        "neutrophil": pytest.approx(500 / 9),
        "lymphocyte": pytest.approx(400 / 9),
    }


@pytest.mark.parametrize(
    ("true", "expected", "explained"),
    [(10, 10, True), (25, 25, False), (25, 20, True), (20, 25, True), (5, 25, True), (5, 9.9, False)],
)
def test_a_share_is_explained_where_chance_bridges_what_errors_leave(
    true: float, expected: float, explained: bool
) -> None:
    """The interval of what was read, 10 to 20 %, meets the way from the truth to what the confusion makes of it."""
    assert TypeShare(true, expected, read=14, low=10, high=20).explained is explained


def test_what_is_expected_of_a_slide_follows_the_confusion() -> None:
    """Of 80 lymphocytes half stay unclassified and a quarter are read as blasts; all 20 blasts are read as such."""
    confusion = Confusion(
        "cells", ("lymphocyte", "blast"), ("lymphocyte", "blast", "unclassified"), ((1, 1, 2), (0, 5, 0))
    )
    read = judged(
        Tally(fields=1, kinds={}, attributes={}, white={"lymphocyte": 20, "blast": 40, "unclassified": 40}),
        labels=["lymphocyte", "blast"],
    )
    shares = type_shares({"lymphocyte": 80, "blast": 20}, read, confusion)
    assert [(each.true, each.expected) for each in shares.values()] == [
        (80, pytest.approx(100 / 3)),
        (20, pytest.approx(200 / 3)),
    ]
    assert shares["blast"].read == pytest.approx(200 / 3)


def test_of_a_type_that_was_never_measured_nothing_is_expected() -> None:
    """Nor of the others, as it may be read as any of them."""
    confusion = Confusion("cells", ("blast",), ("blast", "unclassified"), ((1, 0),))
    read = judged(Tally(fields=1, kinds={}, attributes={}, white={"blast": 4}), labels=["blast"])
    assert type_shares({"lymphocyte": 1, "blast": 1}, read, confusion) == {}
