"""A laboratory's corrected cells give a head that reads them better and known cells no worse, or nothing at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import cv2
import jsonschema
import numpy as np
import pytest
import reviewed
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from typer.testing import CliRunner

from edgeleuk.adaptation import fitting, folders, scoring
from edgeleuk.adaptation.cells import NOTHING, Cells, TaughtCell, in_turns, kinds_of
from edgeleuk.adaptation.flagging import flags_of, with_flags
from edgeleuk.adaptation.teaching import LEAST_CELLS, Taught, Teacher, folds_of
from edgeleuk.cli import app
from edgeleuk.errors import InputError, ModelAlteredError, ModelError, NotBetterError, UsageError
from edgeleuk.models import guard, registry, updates
from edgeleuk.models.derive import SCHEMA
from edgeleuk.models.guard import Guard
from edgeleuk.models.heads import Head
from edgeleuk.networks.reader import Reader
from edgeleuk.review.confirmed import confirmed
from edgeleuk.system.result_marks import marked
from edgeleuk.types import UNCLASSIFIED, Frame, Scale

LABELS = ("neutrophil", "lymphocyte", "blast")
FEATURES = 12
MANIFEST: Any = SimpleNamespace(
    types=LABELS,
    labels=LABELS,
    printed=dict(zip(LABELS, LABELS, strict=True)),
    mature=LABELS[:2],
    blast_like=LABELS[2:],
    temperature=1.0,
    threshold=0.9,
    confusion=None,
)
"""What a teacher asks of a reader's manifest."""
CENTRES = 2.0 * np.eye(3, FEATURES)
HEAD = Head(2 * np.eye(FEATURES, 3), np.zeros(3))
"""A head that reads cells at CENTRES."""
TURN = np.roll(np.eye(FEATURES), 3, axis=1)
"""Another microscope: types show in features that the head does not use."""


def cells(count: int, seed: int, *, foreign: bool, flipped: float = 0.0) -> Cells:
    """Cells of three types, on the microscope that the head knows or on another one."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    centres = CENTRES[labels] @ TURN if foreign else CENTRES[labels]
    features = (centres + rng.normal(0, 0.5, (count, FEATURES))).astype(np.float32)
    said = np.where(rng.random(count) < flipped, rng.integers(0, 3, count), labels)
    kinds = tuple(LABELS[i] for i in said)
    return Cells(features, said, np.eye(3, dtype=bool)[said], kinds, np.arange(count), 1)


def read_right(head: Head, some: Cells) -> float:
    return float((head.logits(some.features).argmax(axis=1) == some.labels).mean())


def taught(own: Cells) -> Taught:
    return Teacher(MANIFEST, HEAD, own, cells(60, 1, foreign=False)).taught()


# Fitting


def test_a_fit_is_where_the_gradient_vanishes() -> None:
    """The coefficients are the residuals over the pull, which is what the minimum asks for."""
    own = cells(40, 2, foreign=True)
    rows = fitting.Design.of(own.features).apply(own.features)
    prior = HEAD.logits(own.features)
    fitter = fitting.Fitter(rows @ rows.T, prior, own.allowed, np.ones(40, np.float32), np.ones(3, bool))
    found = fitter.coefficients(1.0)
    shares = fitting.softmax(prior + rows @ rows.T @ found)
    assert np.abs(found - (own.allowed - shares)).max() < 0.01


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), pull=st.floats(0.1, 100))
def test_a_stronger_pull_changes_less(seed: int, pull: float) -> None:
    """The change of the logits shrinks; without any difference to learn it is none."""
    own = cells(20, seed, foreign=True)
    rows = fitting.Design.of(own.features).apply(own.features)
    products = rows @ rows.T
    fitter = fitting.Fitter(
        products, HEAD.logits(own.features), own.allowed, np.ones(20, np.float32), np.ones(3, bool)
    )
    near, far = (np.linalg.norm(rows.T @ fitter.coefficients(by)) for by in (pull, 10 * pull))
    assert far <= near + 1e-3


def test_standardised_weights_are_those_of_the_features() -> None:
    """A head with the change undone gives the logits that the fit was judged by."""
    own = cells(30, 3, foreign=True)
    design = fitting.Design.of(own.features)
    change = np.random.default_rng(4).normal(size=(FEATURES + 1, 3))
    weight, bias = design.undone(change)
    assert design.apply(own.features) @ change == pytest.approx(own.features @ weight + bias, abs=1e-4)


# Teaching


@pytest.mark.parametrize("count", [60, 120])
def test_corrected_cells_of_another_microscope_are_learnt(count: int) -> None:
    """Other cells of it are read better, the guard cells no worse."""
    result = taught(cells(count, 5, foreign=True))
    assert not result.refused and result.types == LABELS
    others, known = cells(300, 6, foreign=True), cells(300, 7, foreign=False)
    assert read_right(result.head, others) > read_right(HEAD, others) + 0.3
    assert read_right(result.head, known) > 0.88  # the guard cells are 60
    own = result.figures["corrected_cells"]
    assert own["after"]["mean_recall"] > own["before"]["mean_recall"] and own["gained"] > own["lost"]
    assert result.figures["guard_cells"]["after"]["mean_recall"] >= result.figures["guard_cells"]["before"]["mean_recall"]  # fmt: skip


@pytest.mark.parametrize("seed", [5, 8])
def test_both_heads_read_the_guard_cells_by_the_same_features(seed: int) -> None:
    """Whatever the labelled cells are: the difference is that of the heads, adopted or refused."""
    guard_cells = cells(60, 1, foreign=False, flipped=0.2)
    result = Teacher(MANIFEST, HEAD, cells(60, seed, foreign=seed == 5), guard_cells).taught()
    figures = result.figures["guard_cells"]
    assert 0.7 < figures["before"]["accuracy"] < 1
    for name, head in (("before", HEAD), ("after", result.head)):
        assert figures[name]["accuracy"] == pytest.approx(read_right(head, guard_cells))


def test_cells_that_are_read_right_teach_nothing() -> None:
    """There is nothing to gain, so that the head stays, and the result says why."""
    result = taught(cells(60, 8, foreign=False))
    assert result.refused == "all labelled cells are read right already" and result.head is HEAD
    assert result.threshold == MANIFEST.threshold


@pytest.mark.parametrize("seed", range(3))
def test_wrong_corrections_do_not_make_it_worse(seed: int) -> None:
    """With a fifth of the labels at random, other cells are read no worse than before."""
    others = cells(300, 9, foreign=True)
    result = taught(cells(80, 10 + seed, foreign=True, flipped=0.2))
    assert read_right(result.head, others) >= read_right(HEAD, others)


def test_a_type_with_few_cells_keeps_its_weights() -> None:
    """The others change, and not by a single number its own."""
    own = cells(90, 11, foreign=True)
    few = own.where((own.labels != 2) | (np.cumsum(own.labels == 2) < LEAST_CELLS))
    result = taught(few)
    assert not result.refused and result.types == LABELS[:2]
    assert np.array_equal(result.head.weight[:, 2], HEAD.weight[:, 2])
    assert not np.array_equal(result.head.weight[:, 0], HEAD.weight[:, 0])


def test_too_few_cells_of_every_type_are_refused() -> None:
    """It says how many a type needs."""
    result = taught(cells(4, 12, foreign=True))
    assert "no type has 5 labelled cells" in result.refused


def test_few_cells_never_make_sure_what_was_not() -> None:
    """Below a hundred cells threshold and temperature only become stricter."""
    result = taught(cells(60, 5, foreign=True))
    assert result.threshold >= MANIFEST.threshold and result.temperature >= MANIFEST.temperature


@settings(max_examples=30, deadline=None)
@given(groups=st.lists(st.integers(0, 9), min_size=1, max_size=60))
def test_a_slide_is_in_one_fold(groups: list[int]) -> None:
    """No slide's cells help to judge its other cells."""
    found = folds_of(np.array(groups), np.zeros(len(groups), np.int64))
    assert all(len({*found[np.array(groups) == group].tolist()}) == 1 for group in groups)


def test_a_threshold_is_the_smallest_that_holds() -> None:
    """Exact: the wrong cell at 0.6 must be below it; without any such threshold there is none."""
    sure = np.array([[0.95, 0.05], [0.9, 0.1], [0.6, 0.4]], np.float32)
    score = scoring.Score(("a", "b"), np.array([0, 0, 1]), sure)
    assert scoring.threshold_for(score, ["a", "b"], 0.99) == 0.61
    assert scoring.threshold_for(replace(score, truth=np.array([1, 1, 1])), ["a", "b"], 0.99) is None


# Flags


def test_a_new_kind_is_a_flag_beside_the_type() -> None:
    """It is found by an output of its own, and no logit of a type changes."""
    own, known = cells(40, 13, foreign=False), cells(60, 14, foreign=False)
    features = own.features.copy()
    features[:10, 8] += 4
    labels = np.where(np.arange(40) < 10, NOTHING, own.labels)
    kinds = ("parasite",) * 10 + own.kinds[10:]
    (flag,) = flags_of(replace(own, features=features, labels=labels, kinds=kinds), known)
    assert (flag.kind, flag.refused, flag.figures["found"]) == ("parasite", "", 10)
    head = with_flags(HEAD, [flag])
    assert head.outputs == 5
    assert np.array_equal(head.logits(features)[:, :3], HEAD.logits(features))
    assert fitting.softmax(head.logits(features)[:10, 3:])[:, 1].min() > flag.threshold


def test_a_kind_that_cannot_be_told_is_refused() -> None:
    """Cells like all others give no flag."""
    own, known = cells(40, 15, foreign=False), cells(60, 16, foreign=False)
    labels = np.where(np.arange(40) < 10, NOTHING, own.labels)
    (flag,) = flags_of(replace(own, labels=labels, kinds=("mitosis",) * 10 + own.kinds[10:]), known)
    assert "mitosis" in flag.refused


# The guard cells


def test_guard_cells_come_back_to_a_level(tmp_path: Path) -> None:
    """The same cells give the same bytes; features differ by half of an 8-bit step at most."""
    features = np.random.default_rng(17).random((9, 4), np.float32)
    own = Guard(features, np.arange(9) % 3, np.arange(9))
    sha256 = guard.save(tmp_path / "g.npz", own)
    assert guard.save(tmp_path / "h.npz", own) == sha256
    back = guard.load(tmp_path / "g.npz", sha256, 3)
    assert np.abs(back.features - features).max() <= 0.5 / 255
    assert np.array_equal(back.labels, own.labels) and np.array_equal(back.groups, own.groups)
    with pytest.raises(ModelError, match="a label that the reader has not"):
        guard.load(tmp_path / "g.npz", sha256, 2)
    with pytest.raises(ModelAlteredError):
        guard.load(tmp_path / "g.npz", "0" * 64, 3)


@pytest.mark.parametrize("magnification", ["100x", "40x", "10x"])
def test_every_model_has_guard_cells(magnification: str) -> None:
    """Of all labels that it had cells kept aside of, and no more than some hundred kB."""
    model = registry.load(magnification)
    assert model.reader.guard and model.reader.guard.path in model.files
    own = guard.load(model.reader.guard.path, model.reader.guard.sha256, len(model.reader.labels))
    reader = Reader(model.reader)
    assert reader.head and own.features.shape[1] == reader.head.features
    assert {*model.reader.mature} <= {model.reader.labels[i] for i in own.labels.tolist()}
    assert model.reader.guard.path.stat().st_size < 700_000


# Sessions and folders


def test_what_a_person_labelled_or_confirmed_is_taught(tmp_path: Path) -> None:
    """A relabelled cell, one looked at, and none that nobody could tell; pictures that are gone are counted."""
    with reviewed.store_at(tmp_path) as store:
        review = reviewed.opened(store)
        review.look("Ada", [1, 2, 3])
        review.reclassify("Ada", [3], "monocyte")
        found = review.reclassify("Ada", [4], UNCLASSIFIED)
        counted = [
            replace(each, crops={0: b"one", 2: b"three"} if each.number == 1 else {})
            for each in store.get(found.session).counted()
        ]
        told = confirmed(found, counted)
    assert [(cell.label, cell.picture) for cell in told.cells] == [("neutrophil", b"one"), ("monocyte", b"three")]  # fmt: skip
    assert told.without_picture == 1 and told.um_per_px == 0.2


def test_folders_are_named_by_type(model: registry.Model, tmp_path: Path) -> None:
    """Plurals and spaces are read as people write them; a name that is no type is a new kind."""
    for name in ("Neutrophils", "myeloblast", "Giant platelet", "ring form", ".hidden"):
        (tmp_path / name).mkdir()
    found = {each.path.name: (each.kind, each.known) for each in folders.kind_folders(tmp_path, model.reader)}
    assert found == {
        "Neutrophils": ("neutrophil", True),
        "myeloblast": ("myeloblast", True),
        "Giant platelet": ("giant_platelet", True),
        "ring form": ("ring_form", False),
    }
    assert kinds_of(model.reader)["blast"] == ("lymphoblast", "monoblast", "myeloblast")
    with pytest.raises(InputError, match="has no folders"):
        folders.kind_folders(tmp_path / "Neutrophils", model.reader)


def test_exported_crops_are_read_once_each(model: registry.Model, tmp_path: Path) -> None:
    """The mark of a result does not leave them out; a copy does, and so does one under another type."""
    crops = tmp_path / "S-1" / "crops"
    for name, seed in (("basophil/1", 1), ("basophil/2", 2), ("basophil/2-copy", 2), ("neutrophil/1", 1)):
        jpeg = cv2.imencode(".jpg", picture(0, seed))[1].tobytes()
        (crops / name).parent.mkdir(parents=True, exist_ok=True)
        (crops / f"{name}.jpg").write_bytes(marked(jpeg, "6ba7b810-9dad-11d1-80b4-00c04fd430c8"))
    with pytest.raises(InputError, match=r"S-1/crops"):
        folders.kind_folders(crops.parent, model.reader)
    seen = folders.Seen()
    basophils, neutrophils = (
        list(folders.cells_in(kind, 0.125, "S-1", seen))
        for kind in sorted(folders.kind_folders(crops, model.reader), key=lambda each: each.kind)
    )
    assert [isinstance(each, TaughtCell) for each in basophils] == [True, True] and seen.copies == 1
    assert [str(each).partition(": ")[2] for each in neutrophils] == [
        f"it is the same picture as {crops / 'basophil' / '1.jpg'}, which counts as basophil. Keep it in the folder of its"
        " type only."
    ]


def test_the_same_pixels_count_once_whatever_the_file(model: registry.Model, tmp_path: Path) -> None:
    """A PNG, its copy as BMP, the same crop of two results; a turned one is another picture."""
    folder = tmp_path / "basophil"
    folder.mkdir()
    cv2.imwrite(str(folder / "1.png"), picture(0, 1))
    cv2.imwrite(str(folder / "1.bmp"), picture(0, 1))
    cv2.imwrite(str(folder / "turned.png"), cv2.rotate(picture(0, 1), cv2.ROTATE_90_CLOCKWISE))
    jpeg = cv2.imencode(".jpg", picture(0, 2))[1].tobytes()
    for number in range(2):
        (folder / f"crop-{number}.jpg").write_bytes(marked(jpeg, str(UUID(int=number))))
    seen = folders.Seen()
    (kind,) = folders.kind_folders(tmp_path, model.reader)
    assert len(list(folders.cells_in(kind, 0.125, "S-1", seen))) == 3
    assert (seen.copies, seen.overlays) == (2, 0)


def test_annotated_copies_are_no_cells(model: registry.Model, tmp_path: Path, demo_frame: Frame) -> None:
    """By their name, also if it was saved anew; by the mark of a result, also if it was renamed. Crops are cells."""
    folder = tmp_path / "basophil"
    folder.mkdir()
    field = cv2.imencode(".jpg", cv2.cvtColor(demo_frame.pixels[:300, :400], cv2.COLOR_RGB2BGR))[1].tobytes()
    own = marked(field, str(UUID(int=1)))
    for name, content in (("0.overlay", own), ("renamed", own), ("a-overlay", field), ("1.overlay-2", own)):
        (folder / f"{name}.jpg").write_bytes(content)
    crop = cv2.imencode(".jpg", picture(0, 1))[1].tobytes()
    (folder / "00001-0001.jpg").write_bytes(marked(crop, str(UUID(int=1))))
    (folder / "overlaying.jpg").write_bytes(field)
    seen = folders.Seen()
    (kind,) = folders.kind_folders(tmp_path, model.reader)
    cells = list(folders.cells_in(kind, 0.125, "S-1", seen))
    assert [each.picture.shape[:2] for each in cells if isinstance(each, TaughtCell)] == [
        (160, 160),
        (300, 400),
    ]
    assert seen.overlays == 4


# The command


def picture(kind: int, seed: int) -> NDArray[np.uint8]:
    """A thing that no reader knows, of one of two kinds: discs or rings."""
    rng = np.random.default_rng((kind, seed))
    image = np.full((160, 160, 3), 225, np.uint8)
    middle = tuple((80 + rng.integers(-6, 7, 2)).tolist())
    cv2.circle(image, middle, int(rng.integers(34, 42)), (170, 90, 130), 12 if kind else -1)
    image = cv2.GaussianBlur(image, (0, 0), 1.5)
    image[0, 0] = seed  # no two are copies
    return image


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of two types that the pictures do not look like."""
    place = tmp_path_factory.mktemp("lesson")
    for kind, name in enumerate(("basophil", "plasma_cell")):
        (place / name).mkdir()
        for i in range(12):
            cv2.imwrite(str(place / name / f"{i}.png"), picture(kind, i))
    return place


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["teach", *arguments, "--um-per-px", "0.125", "--name", "bench-2"])


def familiarity(reader: Reader, features: NDArray[np.float32]) -> float:
    """The mean familiarity of cells."""
    each = reader.familiarity(features, reader.labels_of(features))
    return float(np.mean([value for value in each if value is not None]))


def test_a_taught_model_names_its_parent_and_reads_the_cells(
    lesson: Path, model: registry.Model, tmp_path: Path
) -> None:
    """One folder with head, guard cells and measured rates; valid, packed and removed like any model."""
    out = tmp_path / "own"
    done = run(str(lesson), "--out", str(out), "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["adopted"] and said["corrected_cells"]["after"]["n"] == 24
    made = registry.load_folder(out)
    document = json.loads((out / "model.json").read_text(encoding="utf-8"))
    jsonschema.validate(document, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert made.version == "bench-2" and document["lineage"][0]["version"] == model.version
    assert (
        document["lineage"][0]["changed"]["networks"] == ["head", "known"] and document["real_slides"] is None
    )
    part = document["reader"]
    assert "across" not in part and part["figures_fp32"] == {}
    assert sum(map(sum, part["confusion"]["counts"])) == 24 + said["guard_cells"]["after"]["n"]
    assert made.reader.threshold >= model.reader.threshold and made.reader.microscope
    assert model.reader.guard and made.reader.guard and made.reader.guard.sha256 == model.reader.guard.sha256
    reader = Reader(made.reader, 1)
    crops = np.stack([cv2.resize(picture(1, i), (96, 96), interpolation=cv2.INTER_AREA) for i in range(12)])
    best = reader.probabilities(crops)[0].argmax(axis=1)
    assert (best == made.reader.labels.index("plasma_cell")).mean() > 0.8
    learnt_from = in_turns(Reader(model.reader, 1), crops)
    np.testing.assert_allclose(reader.features(crops), learnt_from, atol=1e-5)
    before = familiarity(Reader(model.reader, 1), learnt_from)
    after = familiarity(reader, learnt_from)
    assert before < 0.05 and after > 0.5  # it knows the cells that it was taught
    names = updates.read(updates.pack(made)).files.keys()
    assert {"model.json", "reader-head.npz", "reader-guard.npz"} <= names
    card = CliRunner().invoke(app, ["models", "show", "--model", str(out)])
    assert card.exit_code == 0 and "taught: basophil, plasma_cell" in card.output


def test_without_out_it_is_installed_and_removed_by_one_command(
    lesson: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the others, which stay in use; a name is used once."""
    monkeypatch.setenv(registry.STORE_VARIABLE, str(tmp_path / "store"))
    done = run(str(lesson))
    assert done.exit_code == 0, done.output
    assert [(each.version, each.in_use) for each in updates.versions("100x")] == [("bench-2", False)]
    again = run(str(lesson))
    assert isinstance(again.exception, UsageError) and "installed already" in str(again.exception)
    removed = CliRunner().invoke(app, ["models", "remove", "100x", "bench-2"])
    assert removed.exit_code == 0 and updates.versions("100x") == []


def test_what_is_no_better_is_not_written(lesson: Path, model: registry.Model, tmp_path: Path) -> None:
    """Cells under the names that they are read as already: exit code 13, and no folder."""
    reader, place = Reader(model.reader, 1), tmp_path / "cells"
    for path in sorted(lesson.glob("*/*.png")):
        image = cv2.imread(str(path))[..., ::-1]
        crop = reader.crop(image, Scale.given(0.125), (80.0, 80.0))
        read = reader.labels[int(reader.probabilities(crop[None])[0].argmax())]
        (place / read).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place / read / f"{path.parent.name}-{path.name}")
    done = run(str(place), "--out", str(tmp_path / "own"))
    assert isinstance(done.exception, NotBetterError) and NotBetterError.exit_code == 13
    assert "nothing was written" in str(done.exception)
    assert not (tmp_path / "own").exists()


def test_a_new_kind_is_taught_by_name_only(lesson: Path, tmp_path: Path) -> None:
    """Without --flag its folder is left out and named; with it cells are flagged, whatever their type."""
    place = tmp_path / "cells"
    shutil.copytree(lesson / "basophil", place / "basophil")
    shutil.copytree(lesson / "plasma_cell", place / "ring form")
    (place / "basophil" / "broken.png").write_bytes(b"no picture")
    out = tmp_path / "own"
    done = run(str(place), "--out", str(out), "--flag", "ring form")
    assert done.exit_code == 3, done.output  # a picture could not be read; the rest was done
    assert "broken.png" in done.output and "warning: " in done.output and "error: " not in done.output
    made = registry.load_folder(out)
    assert made.reader.flags == ("ring_form",)
    crops = np.stack([cv2.resize(picture(1, i), (96, 96), interpolation=cv2.INTER_AREA) for i in range(4)])
    _, attributes = Reader(made.reader, 1).probabilities(crops)
    assert (attributes["ring_form"][:, 1] > made.reader.attribute_thresholds["ring_form"]).all()
    without = run(str(place), "--out", str(tmp_path / "other"))
    assert "ring_form" in without.output and "--flag" in without.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("no-such-slide",), "no file of sessions"),
        (("LESSON", "--name", "0.2.0"), "another --name"),
        (("LESSON", "--name", "a/b"), "is no version"),
    ],
)
def test_wrong_requests_are_refused_before_the_work(
    lesson: Path, tmp_path: Path, arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One clear sentence, and nothing written."""
    monkeypatch.setenv("EDGELEUK_SESSIONS", str(tmp_path / "none.db"))
    named = [str(lesson) if each == "LESSON" else each for each in arguments]
    done = CliRunner().invoke(app, ["teach", "--name", "x", "--um-per-px", "0.1", *named, "--out", str(tmp_path / "o")])  # fmt: skip
    assert isinstance(done.exception, UsageError) and said in str(done.exception)
    assert not (tmp_path / "o").exists()
