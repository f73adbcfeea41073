"""The source probe: it finds what tells two sources apart, and nothing where nothing does."""

from __future__ import annotations

import numpy as np
import pytest

from edgeleuk.lab.evaluation.probe import FOLDS, MIN_CELLS, fit_logistic, folds_by_group, probe_sources

N = 100
"""Cells of each source."""


def cells(shift: float, width: int = 4) -> tuple[np.ndarray, list[str], list[str], list[str]]:
    """Normal features of lymphocytes from two sources that differ by `shift` in the first, each cell its own group."""
    rng = np.random.default_rng(7)
    features = rng.normal(size=(2 * N, width))
    features[N:, 0] += shift
    return features, ["a"] * N + ["b"] * N, ["lymphocyte"] * (2 * N), [str(i) for i in range(2 * N)]


def test_sources_that_differ_are_told_apart() -> None:
    """Six standard deviations apart, nearly every cell tells its source."""
    report = probe_sources(*cells(6.0))
    assert report.auroc == pytest.approx(1.0, abs=0.001)
    assert report.balanced_accuracy is not None
    assert report.balanced_accuracy > 0.99


def test_sources_that_do_not_differ_are_told_by_chance() -> None:
    """Features without a difference leave the probe near 0.5, since it is judged on cells it did not see."""
    report = probe_sources(*cells(0.0, width=20))
    assert report.auroc == pytest.approx(0.5, abs=0.12)
    assert report.balanced_accuracy == pytest.approx(0.5, abs=0.12)


def test_what_a_group_shares_is_no_evidence_of_its_source() -> None:
    """Ten patients known by heart say nothing of the next one: whole patients are left out together."""
    rng = np.random.default_rng(3)
    patient = np.repeat(np.arange(10), 20)
    features = rng.normal(size=(10, 30))[patient] + 0.01 * rng.normal(size=(200, 30))
    sources = ["a" if p < 5 else "b" for p in patient]
    names = [f"patient {p}" for p in patient]
    together = probe_sources(features, sources, ["blast"] * 200, names)
    apart = probe_sources(features, sources, ["blast"] * 200, [str(i) for i in range(200)])
    assert apart.auroc == pytest.approx(1.0)
    assert together.auroc is not None
    assert together.auroc < 0.9


def test_an_imbalance_is_no_accuracy() -> None:
    """With nine cells of one source to one of the other, guessing the larger one scores 0.5."""
    rng = np.random.default_rng(1)
    sources = ["a"] * 270 + ["b"] * 30
    report = probe_sources(
        rng.normal(size=(300, 3)), sources, ["monocyte"] * 300, [str(i) for i in range(300)]
    )
    assert report.balanced_accuracy == pytest.approx(0.5, abs=0.12)


def test_types_are_probed_apart_and_averaged() -> None:
    """What differs between sources in one type only is reported there; types with too few cells are named."""
    features, sources, _, groups = cells(0.0)
    easy, _, _, _ = cells(6.0)
    few = MIN_CELLS - 1
    report = probe_sources(
        np.concatenate([features, easy, easy[: 2 * few]]),
        [*sources, *sources, *["a", "b"] * few],
        ["monocyte"] * len(sources) + ["lymphocyte"] * len(sources) + ["basophil"] * (2 * few),
        [*groups, *groups, *groups[: 2 * few]],
    )
    document = report.as_json()
    assert set(document["by_type"]) == {"lymphocyte", "monocyte"}
    assert document["by_type"]["lymphocyte"]["cells"] == {"a": N, "b": N}
    assert document["left_out"] == {"basophil": "19 cells of a, fewer than 20"}
    each = [result["auroc"] for result in document["by_type"].values()]
    assert document["auroc"] == pytest.approx(sum(each) / 2)
    assert each[0] > 0.99
    assert each[1] < 0.65


def test_too_few_patients_are_named() -> None:
    """Groups that cannot fill the folds leave the type out."""
    features, sources, types, groups = cells(0.0)
    report = probe_sources(features, sources, types, ["one"] * N + groups[N:])
    assert report.left_out == {"lymphocyte": "1 groups of a, fewer than the 5 folds"}
    assert (report.auroc, report.balanced_accuracy) == (None, None)


def test_a_constant_feature_does_no_harm() -> None:
    """A feature without spread is standardised to nothing."""
    features, *names = cells(6.0)
    report = probe_sources(np.column_stack([features, np.full(len(features), 3.0)]), *names)
    assert report.auroc == pytest.approx(1.0, abs=0.001)


@pytest.mark.parametrize("sources", [["a"] * 4, ["a", "b", "c", "a"]])
def test_two_sources_are_compared(sources: list[str]) -> None:
    """One source or three are refused."""
    with pytest.raises(ValueError, match="two sources"):
        probe_sources(np.zeros((4, 2)), sources, ["blast"] * 4, list("wxyz"))


def test_folds_keep_groups_together_and_sources_even() -> None:
    """No group is in two folds, and every fold has a fifth of each source where groups allow."""
    sources = np.array(["a"] * 50 + ["b"] * 10)
    groups = np.array([f"a{i // 5}" for i in range(50)] + [f"b{i}" for i in range(10)])
    fold = folds_by_group(sources, groups)
    assert all(len(set(fold[groups == group])) == 1 for group in set(groups))
    assert np.bincount(fold[:50]).tolist() == [10] * FOLDS
    assert np.bincount(fold[50:]).tolist() == [2] * FOLDS


def test_the_fit_is_at_its_optimum() -> None:
    """The slope of the penalised likelihood vanishes: no neighbouring weights fit better."""
    rng = np.random.default_rng(5)
    features, positive = rng.normal(size=(60, 3)), rng.random(60) < 0.5
    weights, intercept = fit_logistic(features, positive)
    chance = 1 / (1 + np.exp(-(features @ weights + intercept)))
    cell = np.where(positive, 0.5 / positive.mean(), 0.5 / (~positive).mean())
    assert features.T @ (cell * (positive - chance)) - weights == pytest.approx(np.zeros(3), abs=1e-6)
    assert float(cell @ (positive - chance)) == pytest.approx(0, abs=1e-6)


def test_separable_cells_have_finite_weights() -> None:
    """Where a plane parts both sources the penalty holds the weights, with more features than cells too."""
    rng = np.random.default_rng(5)
    features = rng.normal(size=(40, 100))
    weights, intercept = fit_logistic(features, features[:, 0] > 0)
    assert np.isfinite(weights).all()
    assert np.isfinite(intercept)
    assert (((features @ weights + intercept) > 0) == (features[:, 0] > 0)).all()
