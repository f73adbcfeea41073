"""Unlabelled fields of a new microscope give an adapted model, or nothing; on another microscope the result says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edgeleuk.adaptation import adapting, fields, learning, propagating, writing
from edgeleuk.adaptation.cells import Cells
from edgeleuk.analysis.analyser import Analyser
from edgeleuk.analysis.remarks import flagged, other_microscope
from edgeleuk.cli import app
from edgeleuk.device.colour import background
from edgeleuk.errors import InputError
from edgeleuk.models import heads, registry
from edgeleuk.models.derive import Changes, derive
from edgeleuk.models.heads import Head
from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.models.microscope import Microscope
from edgeleuk.networks.reader import Reader
from edgeleuk.types import AttributeReading, Cell, Frame, Reading

LABELS = ("neutrophil", "lymphocyte", "blast")
FEATURES = 10
CENTRES = 2.0 * np.eye(3, FEATURES)
HEAD = Head(3 * np.eye(FEATURES, 3), np.zeros(3))
SHIFT = np.concatenate([[1.6, 0.0, -0.8], np.zeros(FEATURES - 3)])
"""What the new microscope adds to every feature."""


@pytest.fixture(scope="module")
def manifest(model: registry.Model) -> ReaderManifest:
    """A reader of three types, the last one blast-like."""
    return replace(
        model.reader, labels=LABELS, printed=dict(zip(LABELS, LABELS, strict=True)), mature=LABELS[:2],
        groups={"blast_like": LABELS[2:]}, temperature=1.0, threshold=0.9,
    )  # fmt: skip


def cells(count: int, seed: int, shift: Any = 0.0) -> Cells:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    features = (CENTRES[labels] + rng.normal(0, 0.4, (count, FEATURES)) + shift).astype(np.float32)
    return Cells(features, labels, np.eye(3, dtype=bool)[labels], ("",) * count, np.arange(count), 1)


def views(own: Cells) -> adapting.Views:
    """Three views that differ by a little noise."""
    rng = np.random.default_rng(0)
    turned, sharpened = (
        own.features + rng.normal(0, 0.3, own.features.shape).astype(np.float32) for _ in range(2)
    )
    return adapting.Views(own.features, turned, sharpened)


def read_right(head: Head, own: Cells) -> float:
    return float((head.logits(own.features).argmax(axis=1) == own.labels).mean())


def judgement(
    read: list[int], agreement: float = 0.9, blast_like: float = 0.0, mature: float = 0.3
) -> adapting.Judgement:
    """What a head says of cells that it is all sure of."""
    return adapting.Judgement(agreement, 0.9, np.array(read), np.ones(len(read), bool), blast_like, mature)


def test_a_shift_of_all_cells_is_learnt(manifest: ReaderManifest) -> None:
    """Without a label: more cells are read right, and the figures that decided say so."""
    own = cells(200, 1, SHIFT)
    result = adapting.adapted(manifest, HEAD, cells(90, 2), views(own))
    assert not result.refused
    assert read_right(result.head, own) > read_right(HEAD, own) + 0.05
    figures = result.figures
    assert figures["agreement_of_views"]["after"] > figures["agreement_of_views"]["before"]
    assert 0 < figures["read_otherwise"] < 100
    assert figures["guard_cells"]["after"] >= figures["guard_cells"]["before"] - 0.01


def test_no_more_cells_are_recognised_than_before(manifest: ReaderManifest) -> None:
    """Nothing tells that more may be; the temperature sees to it."""
    seen_in = views(cells(200, 1, SHIFT))
    result = adapting.adapted(manifest, HEAD, cells(90, 2), seen_in)
    before = adapting.judged(manifest, HEAD, seen_in)
    after = adapting.judged(replace(manifest, temperature=result.temperature), result.head, seen_in)
    assert result.temperature > manifest.temperature
    assert 0 < after.is_sure.sum() <= before.is_sure.sum()


def test_a_known_microscope_needs_no_adaptation(manifest: ReaderManifest) -> None:
    """Views agree no more often, so that nothing is adopted."""
    result = adapting.adapted(manifest, HEAD, cells(90, 2), views(cells(200, 3)))
    assert "more must" in result.refused
    assert result.head is HEAD and result.temperature == manifest.temperature


def test_a_slide_of_blasts_keeps_its_blasts(manifest: ReaderManifest) -> None:
    """Also where most of them are read as mature cells: none that was read as a blast is lost."""
    own = cells(300, 4, SHIFT)
    blasts = own.where(own.labels == 2)
    before = HEAD.logits(blasts.features).argmax(axis=1) == 2
    result = adapting.adapted(manifest, HEAD, cells(90, 2), views(blasts))
    after = result.head.logits(blasts.features).argmax(axis=1) == 2
    assert 0 < before.sum() < len(before)
    assert (after & before).sum() >= adapting.BLASTS_KEPT * before.sum()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (judgement([0] * 10), judgement([0] * 10, 0.95), ""),
        (judgement([0] * 10), judgement([0] * 10), "more must"),
        (judgement([0] * 10), judgement([0] * 9 + [1], 0.95), "contradicts the model on 10% of the cells"),
        (judgement([0] * 10, 0.9, 0.5), judgement([0] * 10, 0.95, 0.44), "from 50% of the cells to 44%"),
        (judgement([0] * 10, 0.9, 0.5), judgement([0] * 10, 0.95, 0.46), ""),
        (judgement([0] * 10, 0.9, 0.5), judgement([0] * 10, 0.95, 0.5, 0.4), "mature ones from 30% to 40%"),
        (judgement([0] * 10, 0.9, 0.04), judgement([0] * 10, 0.95, 0.0), ""),
    ],
)
def test_what_is_no_better_is_refused(
    before: adapting.Judgement, after: adapting.Judgement, said: str
) -> None:
    """With the figure that decides; blasts count first."""
    doubt = adapting._doubt(before, after)
    assert said in doubt and bool(said) == bool(doubt)


def test_too_much_change_is_no_correction() -> None:
    """Even where no sure cell is contradicted."""
    after = judgement([1] * 6 + [0] * 4, 0.95)
    unsure = replace(after, is_sure=np.arange(10) >= 6)
    assert "60% of the cells otherwise" in adapting._doubt(judgement([0] * 10), unsure)


def test_known_cells_must_not_be_lost(manifest: ReaderManifest) -> None:
    """Neither those of all types nor the blast-like ones."""
    guard = cells(90, 2)
    flat = Head(HEAD.weight * [1, 1, 0], HEAD.bias)
    before, after = (adapting.guard_score(manifest, head, guard) for head in (HEAD, flat))
    assert "reads the guard cells worse" in adapting.loss_on_guard(manifest, before, after)
    assert not adapting.loss_on_guard(manifest, before, before)


def test_an_adapted_model_has_its_own_head_and_temperature(model: registry.Model, tmp_path: Path) -> None:
    """And says that its error rates are those of its parent."""
    old = model.reader
    assert old.head
    head = heads.load(old.head.path, old.head.sha256)
    other = Head(head.weight * 0.5, head.bias)
    result = adapting.Adapted(other, old.temperature * 1.5, {})
    patch = learning.of_adaptation(old, result, Microscope(0.0, 0.0, 0.1, "bench-1"))
    made = writing.write(model, tmp_path / "m", "bench-1", writing.NewReader(other, patch, "adapted", "x"))
    assert made.reader.temperature == old.temperature * 1.5 and made.reader.threshold == old.threshold
    assert made.reader.head
    assert heads.load(made.reader.head.path, made.reader.head.sha256).weight == pytest.approx(
        other.weight, abs=1e-4
    )
    assert made.reader.raw["false_positives_of"].endswith("read by the model that it was adapted from")
    assert made.reader.microscope == Microscope(0.0, 0.0, 0.1, "bench-1")


# Labels by likeness


def clusters(seed: int) -> tuple[Any, Any]:
    """Two groups of 40 and 20 cells, and their true labels."""
    rng = np.random.default_rng(seed)
    truth = np.repeat([0, 1], [40, 20])
    return (CENTRES[truth] + rng.normal(0, 0.2, (60, FEATURES))).astype(np.float32), truth


def test_a_lone_label_gives_way_to_its_neighbours() -> None:
    """Both ways."""
    features, truth = clusters(7)
    read = np.where(np.arange(60) % 10 == 0, 1 - truth, truth)
    shares = np.eye(3, dtype=np.float32)[read]
    assert (propagating.propagated(shares, features).argmax(axis=1) == truth).all()
    assert (propagating.by_centre(shares, features) == truth).all()


def test_a_group_that_is_mostly_misread_is_found_by_its_centre() -> None:
    """Its neighbours would outvote it."""
    features, truth = clusters(8)
    read = np.where((truth == 1) & (np.arange(60) % 3 > 0), 0, truth)
    shares = np.eye(3, dtype=np.float32)[read]
    assert (propagating.by_centre(shares, features) == truth).all()
    assert (propagating.propagated(shares, features).argmax(axis=1) == truth).mean() < 0.9


def test_a_label_of_few_cells_draws_no_others() -> None:
    """Below the minimum no cell takes it."""
    features, truth = clusters(9)
    shares = np.eye(3, dtype=np.float32)[np.where(np.arange(60) < 3, 2, truth)]
    assert 2 not in propagating.by_centre(shares, features)


def test_probabilities_stay_probabilities() -> None:
    """Also of fewer cells than neighbours."""
    features = np.random.default_rng(1).normal(size=(4, FEATURES)).astype(np.float32)
    shares = np.full((4, 3), 1 / 3, np.float32)
    assert propagating.propagated(shares, features) == pytest.approx(shares, abs=1e-6)


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


@pytest.mark.parametrize("command", [("adapt",), ("train", "adapt")], ids=["adapt", "train adapt"])
def test_fields_in_subfolders_are_found_as_the_message_says(
    command: tuple[str, ...], demo_frame: Frame, tmp_path: Path
) -> None:
    """A folder for each slide: without -r the message names it, and with it the fields are found."""
    (tmp_path / "in" / "s1").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "in" / "s1" / "a.png"), demo_frame.pixels[..., ::-1])
    arguments = [*command, str(tmp_path / "in"), "--name", "b", "--out", str(tmp_path / "o")]
    if "train" in command:
        pytest.importorskip("torch", reason="the extra `train` is not installed")
        arguments += ["--runs", str(tmp_path / "runs")]
    assert "Its subfolders are read with -r." in str(CliRunner().invoke(app, arguments).exception)
    assert "Take 10 fields" in str(CliRunner().invoke(app, [*arguments, "-r"]).exception)


def test_sharpening_changes_edges_only() -> None:
    """A dark cell becomes darker at its rim, and its background brighter."""
    crops = np.full((1, 16, 16, 3), 200, np.uint8)
    crops[0, :8] = 100
    sharp = adapting._sharpened(crops, 1.0)
    assert sharp[0, 0, 0].tolist() == [100] * 3 and sharp[0, 15, 0].tolist() == [200] * 3
    assert (sharp[0, 7] < 100).all() and (sharp[0, 8] > 200).all()


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
