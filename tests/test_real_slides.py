"""Whole real slides of patients: nothing that is printed of them contradicts what was annotated."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console
from standard import REFERENCE, RULES

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.counting.pictures import Batch
from edgeleuk.counting.scale_policy import ScalePolicy
from edgeleuk.counting.slide import SlideCount, SlideOptions
from edgeleuk.lab.evaluation.slides import SlideSample, load_slides
from edgeleuk.models import registry
from edgeleuk.render.terminal import analysis
from edgeleuk.results.slide_result import SlideResult
from edgeleuk.types import PictureFile

FIELDS = 12
"""Of each slide: these are nearly pure, and a part has what the whole has."""
CLOSE = {"blasts": ("blast", "myeloblast", "lymphoblast", "monoblast")}


@pytest.fixture(scope="module")
def analyser() -> Analyser:
    return Analyser(registry.load("40x"), refusing=True)


def slides(data: Path) -> list[SlideSample]:
    return load_slides(data / "slides" / "lld40x.json", data / "slides" / "images")


def counted(analyser: Analyser, sample: SlideSample) -> SlideResult:
    slide = SlideCount(analyser, RULES, REFERENCE, ScalePolicy(analyser), SlideOptions(crops=False))
    for _ in Batch(slide, 2).analyse_all([PictureFile(path) for path in sample.fields[:FIELDS]]):
        pass
    return slide.result()


def annotated(counts: Mapping[str, int], labels: tuple[str, ...]) -> float:
    """Percent of the annotated white cells that are of some types; "none" is an artefact."""
    white = {label: n for label, n in counts.items() if label != "none"}
    return 100 * sum(white.get(label, 0) for label in labels) / sum(white.values())


def share_of(kind: str, counts: Mapping[str, int]) -> float:
    groups = {group.key: group.labels for group in RULES.groups}
    labels = CLOSE["blasts"] if kind == "blast" else groups.get(kind, (kind,))
    return annotated(counts, tuple(labels))


TRUE = {
    "BLASTS_PRESENT": lambda share: share("blasts") > 5,
    "BLASTS_20_PERCENT": lambda share: share("blasts") >= 20,
    "BLASTS_20_PERCENT_POSSIBLE": lambda share: share("blasts") >= 20,
    "ATYPICAL_LYMPHOCYTES_PRESENT": lambda share: share("atypical_lymphocytes") > 5,
    "IMMATURE_GRANULOCYTES_PRESENT": lambda share: share("immature_granulocytes") > 5,
    "NEUTROPHILS_LOW": lambda share: share("neutrophil") < 40,
    "LYMPHOCYTES_LOW": lambda share: share("lymphocyte") < 20,
}
"""What must be annotated of a slide where a flag stands, in percent of its white cells."""


@pytest.mark.parametrize("number", range(5))
def test_nothing_printed_contradicts_the_annotation(data: Path, analyser: Analyser, number: int) -> None:
    """Look again; every bound holds the truth, and every flag that calls something present or off is right."""
    sample = slides(data)[number]
    result = counted(analyser, sample)
    differential = result.differential
    assert result.verdict.code in ("look_again", "not_usable")
    for kind, bounds in {**differential.bounds, **differential.group_bounds}.items():
        truth = share_of(kind, sample.counts)
        assert bounds.low <= truth
        assert bounds.high is None or truth <= bounds.high
    for flag in differential.flags:
        if flag.code.endswith(("_PRESENT", "_HIGH", "_LOW", "_PERCENT", "_POSSIBLE")):
            assert TRUE[flag.code](lambda kind: share_of(kind, sample.counts)), flag.text
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(analysis(result, analyser.model))
    text = " ".join(console.export_text().split())
    if not differential.supported:
        assert not re.search(r"\d ?%", text)
        assert "The count excludes nothing" in text
    for absent in ("0 blasts", "No blasts", "no blasts"):
        assert absent not in text or share_of("blasts", sample.counts) < 5
