"""Several views of a cell read together."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.models.registry import Model
from edgeleuk.slidemap.fusion import fuse
from edgeleuk.types import UNCLASSIFIED, AttributeReading, Reading


@pytest.fixture(scope="module")
def manifest(model: Model) -> ReaderManifest:
    return model.reader


def read(
    manifest: ReaderManifest, label: str, probability: float, **attributes: tuple[str, float]
) -> Reading:
    rest = (1 - probability) / (len(manifest.labels) - 1)
    return Reading(
        label,
        probability,
        {each: probability if each == label else rest for each in manifest.labels},
        {name: AttributeReading(value, p, True) for name, (value, p) in attributes.items()},
    )


def test_one_view_is_its_own_reading(manifest: ReaderManifest) -> None:
    """Nothing is worked out where there is nothing to fuse."""
    only = read(manifest, "lymphocyte", 0.97)
    assert fuse([only], [1.0], manifest) is only


@given(st.integers(2, 9), st.floats(0.3, 0.999))
def test_the_same_view_again_makes_it_no_surer(
    manifest: ReaderManifest, times: int, probability: float
) -> None:
    """Views of one cell are no independent witnesses."""
    views = [read(manifest, "monocyte", probability)] * times
    assert fuse(views, [1.0] * times, manifest).probability == pytest.approx(probability, abs=1e-6)


def test_the_sharper_view_weighs_more(manifest: ReaderManifest) -> None:
    """Two views that disagree are decided by their weights."""
    views = [read(manifest, "neutrophil", 0.8), read(manifest, "eosinophil", 0.8)]
    assert fuse(views, [3.0, 1.0], manifest).probabilities["neutrophil"] > 0.5
    assert fuse(views, [1.0, 3.0], manifest).probabilities["eosinophil"] > 0.5


def test_familiarity_is_the_mean_of_the_views(manifest: ReaderManifest) -> None:
    """By their weights; a view without it leaves none."""
    plain = read(manifest, "neutrophil", 0.8)
    views = [replace(plain, familiarity=0.9), replace(plain, familiarity=0.5)]
    assert fuse(views, [3.0, 1.0], manifest).familiarity == pytest.approx(0.8)
    assert fuse([*views, plain], [1.0, 1.0, 1.0], manifest).familiarity is None


def test_disagreement_ends_below_the_threshold(manifest: ReaderManifest) -> None:
    """Two sure views of different types are no sure reading."""
    views = [read(manifest, "neutrophil", 0.99), read(manifest, "blast", 0.99)]
    fused = fuse(views, [1.0, 1.0], manifest)
    assert fused.label == UNCLASSIFIED
    assert sum(fused.probabilities.values()) == pytest.approx(1)


def test_attributes_are_fused_by_the_views_behind_them(manifest: ReaderManifest) -> None:
    """The value with more weight stays, and is sure only where its share is."""
    views = [
        read(manifest, "lymphocyte", 0.99, cell_size=("small", 0.99)),
        read(manifest, "lymphocyte", 0.99, cell_size=("big", 0.9)),
    ]
    size = fuse(views, [2.0, 1.0], manifest).attributes["cell_size"]
    assert size.value == "small"
    assert size.probability == pytest.approx(0.66)
    assert size.sure == (manifest.attribute_thresholds["cell_size"] <= 0.66)
