"""Known cells: which slides look like none of a laboratory that the reader learnt, and what follows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from standard import REFERENCE, RULES

from edgeleuk.differential.conclusion import conclude
from edgeleuk.differential.differential import Differential, as_json
from edgeleuk.differential.for_reader import differential_function
from edgeleuk.differential.labelled import NOBODY, Labelled
from edgeleuk.differential.verdict import Pictures, Verdict
from edgeleuk.errors import ModelAlteredError, ModelError
from edgeleuk.models import known, registry
from edgeleuk.models.derive import KNOWN, SCHEMA, Changes, derive
from edgeleuk.models.known import Known
from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.models.registry import Model
from edgeleuk.networks.reader import Reader
from edgeleuk.types import UNCLASSIFIED, NotRecognised, Scale, Tally

RISING = np.array([[0, 0.5, 1], [0.2, 0.3, 0.4]], np.float32)
HEALTHY = {"neutrophil": 120, "lymphocyte": 60, "monocyte": 14, "eosinophil": 4, "basophil": 2}


def knowing(model: Model, folder: Path, least: float, **more: Any) -> Model:
    """A copy of the model that knows three random means, and says what `more` says."""
    folder.mkdir(parents=True)
    for path in (*model.files, model.folder / "model.json"):
        (folder / path.name).write_bytes(path.read_bytes())
    assert model.reader.head
    width = np.load(model.reader.head.path)["weight"].shape[0]
    means = np.random.default_rng(3).random((3, width)).astype(np.float32)
    similarities = np.tile(np.linspace(0, 1, 5, dtype=np.float32), (len(model.reader.labels), 1))
    sha256 = known.save(folder / "reader-known.npz", Known(means, similarities))
    document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    entry = {"file": "reader-known.npz", "sha256": sha256, "least": least, "cells": 10}
    document["reader"] |= {"known": entry, **more}
    if not more:
        document["reader"].pop("unknown_laboratory", None)
    (folder / "model.json").write_text(json.dumps(document), encoding="utf-8")
    jsonschema.validate(document, json.loads(SCHEMA.read_text(encoding="utf-8")))
    return registry.load_folder(folder)


def elsewhere(manifest: ReaderManifest, accuracy: float) -> dict[str, Any]:
    """Errors of a reader that is right so often in laboratories it never saw."""
    labels = list(manifest.labels)
    read = [*labels, UNCLASSIFIED]
    right, wrong = round(1000 * accuracy), round(1000 * (1 - accuracy) / (len(labels) - 1))
    counts = [[right if a == b else wrong * (b != UNCLASSIFIED) for b in read] for a in labels]
    rates = {label: {"errors": wrong, "cells": 1000} for label in labels}
    return {
        "of": "cells of a test",
        "accuracy": accuracy,
        "false_positive_rates": rates,
        "confusion": {"of": "cells of a test", "labels": labels, "read": read, "counts": counts},
        "possible": {"from": 0.01, "of": "cells of a test", "missed": {}, "missed_groups": {}},
    }


def slide(white: dict[str, int], mean: float, cells: int | None = None) -> Tally:
    number = sum(white.values()) if cells is None else cells
    doubts = NotRecognised(white.get(UNCLASSIFIED, 0))
    return Tally(
        10,
        white,
        {"WBC": 200},
        {},
        not_recognised=doubts,
        familiarity=mean * number,
        familiarity_cells=number,
    )


def concluded(model: Model, tally: Tally, labelled: Labelled = NOBODY) -> tuple[Differential, Verdict]:
    judge = differential_function(model.reader, RULES, REFERENCE)
    return conclude(tally, judge, Pictures(10), RULES, labelled)


def codes(verdict: Verdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]


# The file


@given(arrays(np.float32, (7, 5), elements=st.integers(0, 9)), st.integers(1, 9))
def test_clusters_are_means_of_cells(features: NDArray[np.float32], most: int) -> None:
    """No more than asked for or than there are cells, each of length 1 or nothing; the same every time."""
    means = known.clusters(features, most)
    assert means.shape == (min(most, 7), 5)
    lengths = np.linalg.norm(means, axis=1)
    assert (np.isclose(lengths, 1, atol=1e-5) | np.isclose(lengths, 0, atol=1e-5)).all()
    np.testing.assert_array_equal(means, known.clusters(features, most))


def test_two_looks_have_a_mean_each() -> None:
    """Each cell lies at the mean of its look."""
    looks = np.repeat(np.eye(2, 6, dtype=np.float32), 10, axis=0)
    means = known.clusters(looks, 2)
    np.testing.assert_allclose(Known(means, RISING).similarity(looks), 1, atol=1e-6)


def test_similarity_has_exact_values() -> None:
    """The cosine to the nearest mean, whatever the length of the features."""
    means = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    cells = np.array([[5, 0, 0], [0, 3, 4], [0, 0, 2]], np.float32)
    np.testing.assert_allclose(Known(means, RISING).similarity(cells), [1, 0.6, 0], atol=1e-6)


def test_familiarity_is_the_share_of_known_cells_below() -> None:
    """Among those of the type that the cell is read as, in steps of their quantiles."""
    means = np.array([[1, 0]], np.float32)
    cells = np.array([[0.6, 0.8]] * 2, np.float32)
    similarities = np.array([[0.2, 0.4, 0.6, 0.8, 1.0], [0.7, 0.8, 0.9, 0.95, 1.0]], np.float32)
    found = Known(means, similarities).familiarity(cells, np.array([0, 1]))
    np.testing.assert_allclose(found, [0.5, 0], atol=1e-5)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """In 8 bits, to a two hundredth of each feature's range."""
    means = known.unit(np.random.default_rng(0).random((9, 20)).astype(np.float32))
    sha256 = known.save(tmp_path / "known.npz", Known(means, RISING))
    back = known.load(tmp_path / "known.npz", sha256, 20, 2)
    np.testing.assert_allclose(back.means, means, atol=5e-3)
    np.testing.assert_array_equal(back.similarities, RISING)


def test_a_file_of_another_reader_is_told(tmp_path: Path) -> None:
    """By the number of its features or labels; an altered one by its hash."""
    sha256 = known.save(tmp_path / "known.npz", Known(np.ones((2, 20), np.float32), RISING))
    with pytest.raises(ModelError, match="it has 20 features and the reader 21"):
        known.load(tmp_path / "known.npz", sha256, 21, 2)
    with pytest.raises(ModelError, match="it has no similarities of each label"):
        known.load(tmp_path / "known.npz", sha256, 20, 3)
    with pytest.raises(ModelAlteredError):
        known.load(tmp_path / "known.npz", "0" * 64, 20, 2)


@pytest.mark.parametrize("similarities", [RISING[:, ::-1], RISING * np.nan])
def test_similarities_that_do_not_rise_are_refused(tmp_path: Path, similarities: NDArray[np.float32]) -> None:
    """No cell has a rank among them."""
    sha256 = known.save(tmp_path / "known.npz", Known(np.ones((2, 20), np.float32), similarities))
    with pytest.raises(ModelError, match="its similarities do not rise"):
        known.load(tmp_path / "known.npz", sha256, 20, 2)


# The reader


def test_a_reading_has_the_familiarity_of_its_features(model: Model, tmp_path: Path) -> None:
    """The same as of the features alone; without known cells there is none."""
    knows = Reader(knowing(model, tmp_path / "new", 0.7).reader, threads=1)
    image = np.random.default_rng(1).integers(0, 255, (200, 200, 3)).astype(np.uint8)
    boxes = np.array([[60, 60, 140, 140]], np.float32)
    reading = knows.read(image, Scale.given(0.1), boxes)[0]
    features = knows.features(knows.crop(image, Scale.given(0.1), (100.0, 100.0))[None])
    expected = knows.familiarity(features, knows.labels_of(features))[0]
    assert reading.familiarity == pytest.approx(expected, abs=1e-6)
    assert reading.familiarity is not None
    assert 0 < reading.familiarity < 1
    plain = Reader(replace(model.reader, known=None), threads=1)
    assert plain.read(image, Scale.given(0.1), boxes)[0].familiarity is None


# The slide


def test_a_slide_of_an_unknown_laboratory_is_looked_at(model: Model, tmp_path: Path) -> None:
    """Nothing else is notable about it; the sentence says why, and how often the reader was right in such ones."""
    own = knowing(model, tmp_path / "new", 0.78, unknown_laboratory=elsewhere(model.reader, 0.79))
    result, verdict = concluded(own, slide(HEALTHY, 0.77))
    assert verdict.code == "look_again"
    assert codes(verdict)[0] == "unfamiliar"
    assert verdict.text.startswith("The white cells look unlike those that the reader learnt from")
    assert (
        "0.77 on average; slides of learnt laboratories reach 0.78. In laboratories"
        in verdict.reasons[0].detail
    )
    assert verdict.reasons[0].detail.endswith("79 % of the cells that it recognised were right.")
    assert as_json(result)["familiarity"] == {
        "cells": 200,
        "mean": pytest.approx(0.77),
        "least": 0.78,
        "unfamiliar": True,
        "accuracy_elsewhere": 0.79,
    }


def test_the_errors_of_unknown_laboratories_hold_there(model: Model, tmp_path: Path) -> None:
    """Shares are corrected by them on such a slide, and by the reader's own on others."""
    own = knowing(model, tmp_path / "new", 0.78, unknown_laboratory=elsewhere(model.reader, 0.79))
    foreign, _ = concluded(own, slide(HEALTHY, 0.77))
    home, verdict = concluded(own, slide(HEALTHY, 0.79))
    assert "unfamiliar" not in codes(verdict)
    unknown = own.reader.unknown_laboratory
    assert unknown
    plain = replace(own.reader, known=None)
    other = replace(plain, confusion=unknown.confusion, missed=unknown.missed)
    expected = (differential_function(each, RULES, REFERENCE)(slide(HEALTHY, 0.0)) for each in (other, plain))
    assert [foreign.corrected, home.corrected] == [each.corrected for each in expected]
    assert foreign.corrected != home.corrected


@pytest.mark.parametrize("cells", [0, 9])
def test_of_too_few_cells_nothing_is_said(model: Model, tmp_path: Path, cells: int) -> None:
    """Ten are needed; cells without a familiarity do not count."""
    own = knowing(model, tmp_path / "new", 0.78)
    result, verdict = concluded(own, slide(HEALTHY, 0.2, cells))
    assert result.familiarity is None
    assert "unfamiliar" not in codes(verdict)


def test_without_figures_of_others_the_reader_s_own_hold(model: Model, tmp_path: Path) -> None:
    """And nothing is said of how often it was right."""
    own = knowing(model, tmp_path / "new", 0.78)
    result, verdict = concluded(own, slide(HEALTHY, 0.5))
    reason = next(each for each in verdict.reasons if each.code == "unfamiliar")
    assert reason.detail.endswith("reach 0.78.")
    assert result.corrected == concluded(own, slide(HEALTHY, 0.9))[0].corrected


def test_a_slide_that_a_person_labelled_is_familiar(model: Model, tmp_path: Path) -> None:
    """Its types are no longer the reader's."""
    own = knowing(model, tmp_path / "new", 0.78)
    _, verdict = concluded(own, slide(HEALTHY, 0.5), Labelled(HEALTHY))
    assert "unfamiliar" not in codes(verdict)


def test_what_is_hardly_recognised_is_still_not_usable(model: Model, tmp_path: Path) -> None:
    """That it is unfamiliar stands with it, as the probable cause."""
    own = knowing(model, tmp_path / "new", 0.78)
    _, verdict = concluded(own, slide({"neutrophil": 20, UNCLASSIFIED: 180}, 0.5))
    assert (verdict.code, codes(verdict)) == ("not_usable", ["not_recognised", "unfamiliar"])


# Derived models


def test_a_derived_model_keeps_or_loses_known_cells(model: Model, tmp_path: Path) -> None:
    """A new head leaves the features as they were; a new network needs other means."""
    own = knowing(model, tmp_path / "own", 0.78)
    kept = derive(own, tmp_path / "kept", Changes("9", "a copy"))
    assert kept.reader.known
    assert own.reader.known
    assert kept.reader.known.file.path.read_bytes() == own.reader.known.file.path.read_bytes()
    lost = derive(own, tmp_path / "lost", Changes("9", "trained", networks={KNOWN: None}))
    assert lost.reader.known is None
    assert not (tmp_path / "lost" / "reader-known.npz").exists()


def test_an_altered_file_is_no_model(model: Model, tmp_path: Path) -> None:
    """As with every file that its results depend on."""
    own = knowing(model, tmp_path / "own", 0.78)
    (tmp_path / "own" / "reader-known.npz").write_bytes(b"other")
    with pytest.raises(ModelAlteredError):
        own.verify()
