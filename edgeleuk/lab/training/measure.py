"""Operating points and figures measured for publishing.

If a recipe has [virtual], all images are seen through that objective.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgeleuk.differential.rules import Rules
from edgeleuk.lab.evaluation.cells import evaluate_reader, middle
from edgeleuk.lab.evaluation.datasets import FieldSample, data_root, load_cells, load_fields, of_split
from edgeleuk.lab.evaluation.fields import evaluate_finder
from edgeleuk.lab.evaluation.metrics import auroc
from edgeleuk.lab.evaluation.objectives import composed_fields, virtual_fields
from edgeleuk.lab.evaluation.probe import probe_sources
from edgeleuk.lab.evaluation.scales import ScaleRule, estimate_by
from edgeleuk.lab.training.cells import UNKNOWN, encode, load_training_cells
from edgeleuk.lab.training.evidence import KEPT_ASIDE, Evidence
from edgeleuk.lab.training.fields import training_samples
from edgeleuk.lab.training.inputs import no_estimate, seen_through
from edgeleuk.lab.training.lenses import cell_loader_of, lens_of
from edgeleuk.lab.training.networks import ReaderNet
from edgeleuk.lab.training.recipe import Recipe
from edgeleuk.lab.training.thresholds import finder_thresholds, rejection_threshold, temperature
from edgeleuk.networks import reader as runtime_reader
from edgeleuk.networks.finder import Finder
from edgeleuk.networks.reader import Reader
from edgeleuk.statistics.correction import Confusion
from edgeleuk.types import WHITE_CELL, Image, Scale

NOMINAL_UM_PER_PX = {"chula_val": 0.18, "phone_val": 0.50}
"""Nominal scales of fields without annotated red cells.

They are used only through an objective, whose blur needs a scale.
"""

SAMPLINGS = (0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.38)
"""um per pixel, tried in this order."""
LEAST_COUNTED = 0.85
"""Minimum recall and precision for printing a count.

The count is that of a cell class. This project's choice.
"""
PROBED = ("pbc", "deepapl")
"""The two laboratories that share most types."""


def kept_aside_fields(
    recipe: Recipe,
) -> tuple[list[FieldSample], Mapping[int, Scale], Callable[[FieldSample], Image]]:
    """Return training fields that the finder never saw.

    Returns:
        The samples, renumbered across files, their scales by `image_id`, and the function that reads their
        images.
    """
    return seen_through(training_samples(recipe, kept_aside=True), lens_of(recipe))


def finder_operating_point(recipe: Recipe, finder: Finder) -> dict[str, float]:
    """Choose the minimum score of each cell class.

    It is chosen on the fields kept aside.
    """
    samples, scales, read = kept_aside_fields(recipe)
    return finder_thresholds(finder, samples, recipe["model"]["classes"], scales, read)


def counted_to(recipe: Recipe, finder: Finder) -> dict[str, float]:
    """Find the coarsest sampling for counting each cell class.

    That is the coarsest of SAMPLINGS within reach of the objective's cameras at which recall and precision
    both reach LEAST_COUNTED, on the fields kept aside, seen through the recipe's objective. White cells are
    excluded.

    Returns:
        um per pixel by cell class, 0 where no sampling is good enough; empty if the images stay as they were
        taken.
    """
    lens = lens_of(recipe)
    if lens is None:
        return {}
    low, high = lens.um_per_px
    chosen, names = training_samples(recipe, kept_aside=True), recipe["model"]["classes"]
    samples = [replace(sample, image_id=i) for i, (sample, _) in enumerate(chosen)]
    limits = dict.fromkeys((name for name in names if name != WHITE_CELL), 0.0)
    for um_per_px in (each for each in SAMPLINGS if low <= each <= high):
        scales = {i: scale for i, (_, scale) in enumerate(chosen)}
        rule = ScaleRule("truth", scales, None, no_estimate)
        shown, seen, read = virtual_fields(samples, rule, lens, um_per_px)
        result = evaluate_finder(finder, shown, names, seen, None, read)
        for name in limits:
            figures = result.overall.classes[name]
            if min(figures.recall or 0, figures.precision or 0) >= LEAST_COUNTED:
                limits[name] = um_per_px
    return limits


def finder_figures(recipe: Recipe, finder: Finder) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield figures on each validation file, with their name.

    The scale is the annotated one if there is one, else the estimated one. Through an objective there are
    also figures on composed fields, which come first.
    """
    root, lens = data_root() / "fields", lens_of(recipe)
    for name in ("txl_val", "chula_val", "phone_val"):
        samples, names = load_fields(root / f"{name}.json", root / "images")
        rule = ScaleRule.of("truth", samples, names, estimate_by(finder))
        if lens is None:
            yield name, evaluate_finder(finder, samples, names, rule).as_json()
            continue
        through = f"{name} through {lens.magnification}x"
        if all(sample.labelled.issuperset(names) for sample in samples):
            wide, at, read = composed_fields(samples, names, rule, lens)
            yield f"{through}, composed", evaluate_finder(finder, wide, names, at, None, read).as_json()
        nominal = NOMINAL_UM_PER_PX.get(name)
        rule = replace(rule, given=Scale.given(nominal) if nominal else None)
        shown, at, read = virtual_fields(samples, rule, lens)
        yield through, evaluate_finder(finder, shown, names, at, None, read).as_json()


def reader_thresholds(recipe: Recipe, reader: Reader, evidence: Evidence, rules: Rules) -> dict[str, Any]:
    """Choose a reader's temperature and thresholds.

    All are chosen on the cells kept aside. Networks with laboratories left out are trained for much shorter
    than the published one: how sure they are says little of how sure that one may be.

    Args:
        recipe: Recipe of the reader.
        reader: The reader, at temperature 1.
        evidence: Cells kept aside and their logits.
        rules: Rules with the groups of types.

    Returns:
        Entries of the manifest: temperature, rejection threshold, thresholds of attributes, confusion, and
        false-positive rates by type and by the rules' groups of types.
    """
    settings, truth = recipe["publish"], evidence.truth
    warmth = temperature(evidence.logits, evidence.allowed)
    types = evidence.printed(warmth)
    confidence, read = types.max(axis=1), types.argmax(axis=1)
    judged = settings.get("judged", settings["mature"])
    mature = np.isin(truth, [reader.labels.index(name) for name in judged])
    threshold = rejection_threshold(
        confidence[mature],
        (read == truth)[mature],
        settings["min_accuracy"],
        settings["min_threshold"],
    )
    accepted = confidence >= threshold
    return {
        "temperature": warmth,
        "threshold": threshold,
        "attribute_thresholds": _sure(recipe, reader),
        "false_positive_rates": false_positives(reader.labels, truth, read, mature & accepted, rules),
        "false_positives_of": f"accepted cells of the {'mature' if judged == settings['mature'] else 'named'} types, {KEPT_ASIDE}",
        "confusion": Confusion.from_cells(KEPT_ASIDE, reader.labels, truth, read, accepted).as_json(),
    }


def _sure(recipe: Recipe, reader: Reader) -> dict[str, float]:
    """Choose the minimum probability of each attribute.

    From it on, the attribute is right as often as the recipe asks for.
    """
    samples, load_cell = load_training_cells(recipe, kept_aside=True), cell_loader_of(recipe)
    _, attributes = reader.probabilities(np.stack([middle(reader, *load_cell(each)) for each in samples]))
    sure = {}
    for (name, values), own in zip(attributes.items(), encode(samples, recipe).T[1:], strict=True):
        known = own != UNKNOWN
        right = values[known].argmax(axis=1) == own[known]
        sure[name] = rejection_threshold(
            values[known].max(axis=1), right, recipe["publish"]["sure_accuracy"], 0.5
        )
    return sure


def false_positives(
    labels: Sequence[str],
    truth: NDArray[np.int64],
    read: NDArray[np.int64],
    accepted: NDArray[np.bool_],
    rules: Rules,
) -> dict[str, dict[str, Any]]:
    """Return false positives by type and by group of the rules.

    Args:
        labels: Types that `truth` and `read` refer to.
        truth: (N,) index of the true type.
        read: (N,) index of the best type as read.
        accepted: (N,) whether a cell counts.
        rules: Rules with the groups of types.
    """
    groups = {group.key: [label for label in group.labels if label in labels] for group in rules.groups}
    rates: dict[str, dict[str, Any]] = {}
    for name, members in {**{label: [label] for label in labels}, **groups}.items():
        own = [labels.index(label) for label in members]
        others = accepted & ~np.isin(truth, own)
        rates[name] = {"errors": int(np.isin(read[others], own).sum()), "cells": int(others.sum())}
        if name in groups and members:
            rates[name]["labels"] = members
    return rates


def reader_figures(recipe: Recipe, reader: Reader, rules: Rules) -> dict[str, Any]:
    """Measure figures on the validation cells.

    Args:
        recipe: Recipe of the reader, whose objective the cells are seen through.
        reader: The reader to measure.
        rules: Rules by which the readings are evaluated.

    Returns:
        The figures, by the name of the data.
    """
    root, lens = data_root() / "cells", lens_of(recipe)
    samples = of_split(
        load_cells(
            root / "cells.csv", root / "images", tuple(reader.attributes), reader.manifest.told_by_label
        ),
        "val",
    )
    name = "cells_val" if lens is None else f"cells_val through {lens.magnification}x"
    return {name: evaluate_reader(reader, samples, rules, None, cell_loader_of(recipe)).as_json()}


LYMPHOID, MYELOID = ("lymphoblast",), ("myeloblast", "monoblast")


def lineage(recipe: Recipe, reader: Reader) -> dict[str, Any] | None:
    """Measure how well blast lineages are told apart.

    The lineages are lymphoid and myeloid. The cells are validation cells of patients kept aside. The area
    under the ROC curve is that of the lymphoid types' share in the probability of all blasts.

    Returns:
        Numbers of cells and patients, and the area; None if the reader's types have no lineage.
    """
    both = [reader.types.index(each) for each in (*LYMPHOID, *MYELOID) if each in reader.types]
    if len(both) < len(LYMPHOID) + len(MYELOID):
        return None
    root, load_cell = data_root() / "cells", cell_loader_of(recipe)
    cells = of_split(load_cells(root / "cells.csv", root / "images"), "val")
    own = [cell for cell in cells if cell.label in (*LYMPHOID, *MYELOID) and cell.patient]
    types = reader.type_probabilities(np.stack([middle(reader, *load_cell(cell)) for cell in own]))
    lymphoid = types[:, both[: len(LYMPHOID)]].sum(axis=1) / types[:, both].sum(axis=1).clip(min=1e-9)
    truth = np.array([cell.label in LYMPHOID for cell in own])
    patients = [
        len({cell.patient for cell in own if (cell.label in LYMPHOID) == side}) for side in (True, False)
    ]
    return {
        "lymphoid": {"cells": int(truth.sum()), "patients": patients[0]},
        "myeloid": {"cells": int((~truth).sum()), "patients": patients[1]},
        "auroc": auroc(lymphoid, truth),
    }


def source_probe(recipe: Recipe, reader: Reader, network: ReaderNet) -> dict[str, Any]:
    """Measure how well a linear probe identifies the laboratory.

    The probe tells validation cells of the same type apart between the laboratories PROBED.

    Args:
        recipe: Recipe of the reader, whose objective the cells are seen through.
        reader: The reader that prepares the cells.
        network: Its network in float.

    Returns:
        Results on three kinds of features. "levels" and "input" are mean and standard deviation of each
        channel, before and after the normalisation; "network" are the network's features.
    """
    root = data_root() / "cells"
    cells = of_split(load_cells(root / "cells.csv", root / "images"), "val")
    samples = [sample for sample in cells if sample.source in PROBED]
    load_cell = cell_loader_of(recipe)
    crops = np.stack([middle(reader, *load_cell(sample)) for sample in samples])
    prepared = {
        "levels": runtime_reader.prepare(crops),
        "input": runtime_reader.prepare(crops, reader.manifest.density),
    }
    features = {
        name: np.concatenate([batch.mean(axis=(2, 3)), batch.std(axis=(2, 3))], axis=1)
        for name, batch in prepared.items()
    }
    with torch.no_grad():
        parts = [
            network.features(torch.from_numpy(prepared["input"][i : i + 64])).numpy()
            for i in range(0, len(samples), 64)
        ]
    features["network"] = np.concatenate(parts)
    names = (
        [s.source for s in samples],
        [s.label for s in samples],
        [s.patient or s.path.name for s in samples],
    )
    return {name: probe_sources(each, *names).as_json() for name, each in features.items()}
