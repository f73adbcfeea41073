"""Unlabelled fields of a new microscope give an adapted model, or nothing; on another microscope the result says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edgeleuk.adaptation import adapting, fields
from edgeleuk.adaptation.cells import Cells
from edgeleuk.analysis.analyser import Analyser
from edgeleuk.analysis.remarks import flagged, other_microscope
from edgeleuk.cli import app
from edgeleuk.device.colour import background
from edgeleuk.errors import InputError
from edgeleuk.models import registry
from edgeleuk.models.derive import Changes, derive
from edgeleuk.models.heads import Head
from edgeleuk.models.microscope import Microscope
from edgeleuk.networks.reader import Reader
from edgeleuk.types import AttributeReading, Cell, Frame, Reading

LABELS = ("neutrophil", "lymphocyte", "monocyte")
FEATURES = 10
MANIFEST: Any = SimpleNamespace(
    types=LABELS, labels=LABELS, printed=dict(zip(LABELS, LABELS, strict=True)), mature=LABELS, temperature=1.0,
    threshold=0.9, confusion=None,
)  # fmt: skip
CENTRES = 2.0 * np.eye(3, FEATURES)
HEAD = Head(3 * np.eye(FEATURES, 3), np.zeros(3))
SHIFT = np.concatenate([[1.6, 0.0, -0.8], np.zeros(FEATURES - 3)])
"""What the new microscope adds to every feature."""


def cells(count: int, seed: int, shift: Any = 0.0) -> Cells:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    features = (CENTRES[labels] + rng.normal(0, 0.4, (count, FEATURES)) + shift).astype(np.float32)
    return Cells(features, labels, np.eye(3, dtype=bool)[labels], ("",) * count, np.arange(count), 1)


def views(own: Cells) -> adapting.Views:
    """Three views that differ by a little noise."""
    rng = np.random.default_rng(0)
    noisy = (own.features + rng.normal(0, 0.3, own.features.shape).astype(np.float32) for _ in range(3))
    return adapting.Views(own.features, tuple(noisy))


def read_right(head: Head, own: Cells) -> float:
    return float((head.logits(own.features).argmax(axis=1) == own.labels).mean())


def test_a_shift_of_all_cells_is_taken_out() -> None:
    """Without a label: more cells are read right, and the figures that decided say so."""
    own = cells(200, 1, SHIFT)
    result = adapting.adapted(MANIFEST, HEAD, cells(90, 2), views(own))
    assert not result.refused
    assert read_right(result.head, own) > read_right(HEAD, own) + 0.05
    figures = result.figures
    assert figures["agreement_of_views"]["after"] > figures["agreement_of_views"]["before"]
    assert figures["sure_in_all_views"]["after"] > figures["sure_in_all_views"]["before"]
    assert result.threshold >= MANIFEST.threshold


def test_a_known_microscope_needs_no_adaptation() -> None:
    """Nothing rises, so that nothing is adopted."""
    result = adapting.adapted(MANIFEST, HEAD, cells(90, 2), views(cells(200, 3)))
    assert "both must rise" in result.refused


def test_cells_of_one_type_tell_no_microscope() -> None:
    """Their type would be taken for the microscope's shift."""
    own = cells(200, 4, SHIFT)
    result = adapting.adapted(MANIFEST, HEAD, cells(90, 2), views(own.where(own.labels == 0)))
    assert "nothing tells the microscope from the patients" in result.refused


def test_types_that_a_patient_brings_tell_no_microscope() -> None:
    """Where most cells are of a type that is not mature."""
    manifest = SimpleNamespace(**vars(MANIFEST) | {"mature": LABELS[1:]})
    result = adapting.adapted(manifest, HEAD, cells(90, 2), views(cells(200, 1, SHIFT)))
    assert "67% are needed" in result.refused


def test_a_folded_head_reads_moved_features() -> None:
    """Guard cells moved to the new microscope are read as before, as far as 16 bits go."""
    known = cells(50, 5)
    factor, offset = np.linspace(0.8, 1.2, FEATURES), np.linspace(-1, 1, FEATURES)
    moved = ((known.features - offset) / factor).astype(np.float32)
    folded = adapting._folded(HEAD, factor, offset)
    assert folded.logits(moved) == pytest.approx(HEAD.logits(known.features), abs=0.02)


# Fields


@pytest.mark.parametrize(
    ("of_field", "said"),
    [([30, 30], "are too few"), ([2] * 20, "40 white cells in 20 fields"), ([60] + [5] * 10, "too uniform")],
)
def test_too_little_to_adapt_to_is_refused(of_field: list[int], said: str) -> None:
    """It says what to collect."""
    with pytest.raises(InputError, match=said):
        fields._require_enough(of_field, [])


def test_one_field_is_refused_by_the_command(demo_frame: Frame, tmp_path: Path) -> None:
    """With what to collect, and nothing is written."""
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "a.png"), demo_frame.pixels[..., ::-1])
    done = CliRunner().invoke(
        app, ["adapt", str(tmp_path / "in"), "--name", "b", "--out", str(tmp_path / "o")]
    )
    assert isinstance(done.exception, InputError) and "Take 10 fields" in str(done.exception)
    assert not (tmp_path / "o").exists()


def test_slightly_other_stains_keep_the_background() -> None:
    """Only what absorbs light changes, more where it absorbs more."""
    crops = np.full((1, 8, 8, 3), 200, np.uint8)
    crops[0, :2] = 100
    stained = adapting._restained(crops, (1.1, 1.0, 0.9))
    assert stained[0, 4, 4].tolist() == [200, 200, 200]
    assert stained[0, 0, 0].tolist() == [93, 100, 107]


# Another microscope


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (Microscope(0.0, 0.0, 0.1, "bench-1"), ""),
        (Microscope(0.15, -0.15, 0.12, ""), ""),
        (Microscope(0.25, 0.0, 0.1), "the background has another colour"),
        (Microscope(0.0, 0.0, 0.2), "the camera or its zoom is another one, by the size of red cells"),
        (Microscope(0.0, 0.0, 0.1, "bench-2"), "the profile is bench-2, not bench-1"),
    ],
)
def test_another_microscope_is_told_by_its_pictures(other: Microscope, said: str) -> None:
    """By colour, scale or profile; small differences between slides are none."""
    assert Microscope(0.0, 0.0, 0.1, "bench-1").doubt(other) == said


def test_the_facts_of_a_microscope_come_back() -> None:
    """From the manifest, also without a scale."""
    for one in (Microscope.seen((200, 180, 150), 0.1, "bench-1"), Microscope.seen((1, 255, 255), None)):
        assert Microscope.of(one.as_json()) == one


def test_a_result_of_another_microscope_says_so(
    model: registry.Model, tmp_path: Path, demo_frame: Frame
) -> None:
    """A remark of the field, once for all its pictures; on its own microscope there is none."""
    own = Microscope.seen(background(demo_frame.pixels), None)
    for name, facts, remarks in (("own", own, 0), ("other", replace(own, red=own.red + 0.5), 1)):
        made = derive(model, tmp_path / name, Changes(name, "x", reader={"microscope": facts.as_json()}))
        found = [*other_microscope(made, demo_frame, 0.1, None)]
        assert len(found) == remarks
    assert "learnt another microscope or stain: the background has another colour" in found[0]
    field = Analyser(made, 1).analyse(demo_frame)
    assert found[0] in field.warnings
    assert [*other_microscope(model, demo_frame, 0.1, None)] == []


def test_flagged_cells_are_named() -> None:
    """Those that are surely flagged, by number."""

    def cell(number: int, value: str, sure: bool) -> Cell:
        reading = Reading("blast", 0.99, {"blast": 0.99}, {"ring_form": AttributeReading(value, 0.95, sure)})
        return Cell("WBC", (0.0, 0.0, 9.0, 9.0), 0.9, True, reading, number=number)

    some = [cell(1, "yes", True), cell(2, "yes", False), cell(3, "no", True), cell(4, "yes", True)]
    assert [*flagged(some, ["ring_form"])] == [
        "cell 1, 4: flagged as ring form, which this laboratory taught. Look at it."
    ]
    assert [*flagged(some, [])] == []


def test_features_give_the_readers_probabilities(model: registry.Model) -> None:
    """What is adapted and taught is what the reader reads."""
    reader = Reader(model.reader, 1)
    crops = np.random.default_rng(6).integers(
        0, 256, (3, reader.manifest.size, reader.manifest.size, 3), np.uint8
    )
    assert reader.head
    logits = reader.head.logits(reader.features(crops))[:, : len(reader.types)] / reader.manifest.temperature
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert reader.type_probabilities(crops) == pytest.approx(shares, abs=1e-5)


def test_pictures_that_are_not_there_are_told_first(tmp_path: Path) -> None:
    """And not that there are too few cells."""
    done = CliRunner().invoke(app, ["adapt", str(tmp_path / "nothing"), "--name", "here"])
    assert "does not exist" in str(done.exception)
    assert "too few" not in str(done.exception)
