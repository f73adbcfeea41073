"""What publishing measures: inputs to calibrate INT8 with, operating points, and figures, as the model's objective sees.

Where a recipe has [virtual], all of it goes through that objective.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgeleuk import reader as runtime_reader
from edgeleuk.correction import Confusion
from edgeleuk.evaluation.cells import evaluate_reader, middle
from edgeleuk.evaluation.datasets import FieldSample, data_root, load_cells, load_fields, of_split
from edgeleuk.evaluation.fields import evaluate_finder
from edgeleuk.evaluation.metrics import auroc
from edgeleuk.evaluation.probe import probe_sources
from edgeleuk.evaluation.scales import ScaleRule, estimate_by
from edgeleuk.evaluation.virtual import composed_fields, virtual_fields
from edgeleuk.finder import Finder
from edgeleuk.reader import Reader
from edgeleuk.rules import Rules
from edgeleuk.training.cells import UNKNOWN, encode, load_training_cells
from edgeleuk.training.evidence import Evidence
from edgeleuk.training.fields import training_samples
from edgeleuk.training.inputs import no_estimate, seen_through
from edgeleuk.training.lenses import lens_of, look_of
from edgeleuk.training.networks import ReaderNet
from edgeleuk.training.recipe import Recipe
from edgeleuk.training.thresholds import finder_thresholds, rejection_threshold, temperature
from edgeleuk.types import WHITE_CELL, Image, Scale

NOMINAL_UM_PER_PX = {"chula_val": 0.18, "phone_val": 0.50}
"""Of pictures without annotated red cells that go through an objective, where blur needs a size."""

SAMPLINGS = (0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.38)
"""um per pixel, tried in this order."""
LEAST_COUNTED = 0.85
"""Recall and precision under which the number of cells of a kind is not worth printing. This project's choice."""
PROBED = ("pbc", "deepapl")


def kept_aside_fields(
    recipe: Recipe,
) -> tuple[list[FieldSample], Mapping[int, Scale], Callable[[FieldSample], Image]]:
    """Training fields that the finder never saw, renumbered across files: samples, scales, and how to read them."""
    return seen_through(training_samples(recipe, kept_aside=True), lens_of(recipe))


def finder_operating_point(recipe: Recipe, finder: Finder) -> dict[str, float]:
    """The least score by class, chosen on the fields kept aside."""
    samples, scales, read = kept_aside_fields(recipe)
    return finder_thresholds(finder, samples, recipe["model"]["classes"], scales, read)


def counted_to(recipe: Recipe, finder: Finder) -> dict[str, float]:
    """By class but the white cells, the coarsest sampling at which recall and precision both reach LEAST_COUNTED.

    On the fields kept aside, through the recipe's objective, at each of SAMPLINGS that its cameras reach. 0 where
    none will do; nothing where the pictures stay as they were taken.
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
    """Figures on each validation file: at the annotated scale where there is one and the estimated elsewhere.

    Through an objective also those on composed fields, which come first.
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
    """Temperature, rejection, certainty of attributes, false-positive rates and confusion.

    Attributes are measured on the cells kept aside; all else on the whole evidence, that is on laboratories which were
    left out too. False-positive rates are by type and by the rules' groups of types.
    """
    settings, truth = recipe["publish"], evidence.truth
    warmth = temperature(evidence.logits, evidence.allowed)
    types = evidence.printed(warmth)
    confidence, read = types.max(axis=1), types.argmax(axis=1)
    mature = np.isin(truth, [reader.labels.index(name) for name in settings["mature"]])
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
        "false_positive_rates": _false_positives(reader.labels, truth, read, mature & accepted, rules),
        "false_positives_of": f"accepted cells of the mature types, {evidence.of}",
        "confusion": Confusion.counted(evidence.of, reader.labels, truth, read, accepted).as_json(),
    }


def _sure(recipe: Recipe, reader: Reader) -> dict[str, float]:
    """By attribute, the least probability at which it is right as often as the recipe asks for."""
    samples, look = load_training_cells(recipe, kept_aside=True), look_of(recipe)
    _, attributes = reader.probabilities(np.stack([middle(reader, *look(each)) for each in samples]))
    sure = {}
    for (name, values), own in zip(attributes.items(), encode(samples, recipe).T[1:], strict=True):
        known = own != UNKNOWN
        right = values[known].argmax(axis=1) == own[known]
        sure[name] = rejection_threshold(
            values[known].max(axis=1), right, recipe["publish"]["sure_accuracy"], 0.5
        )
    return sure


def _false_positives(
    labels: Sequence[str],
    truth: NDArray[np.int64],
    read: NDArray[np.int64],
    accepted: NDArray[np.bool_],
    rules: Rules,
) -> dict[str, dict[str, Any]]:
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
    """Figures on the validation cells."""
    root, lens = data_root() / "cells", lens_of(recipe)
    samples = of_split(
        load_cells(
            root / "cells.csv", root / "images", tuple(reader.attributes), reader.manifest.told_by_label
        ),
        "val",
    )
    name = "cells_val" if lens is None else f"cells_val through {lens.magnification}x"
    return {name: evaluate_reader(reader, samples, rules, None, look_of(recipe)).as_json()}


LYMPHOID, MYELOID = ("lymphoblast",), ("myeloblast", "monoblast")


def lineage(recipe: Recipe, reader: Reader) -> dict[str, Any] | None:
    """How well a reader tells lymphoid from myeloid blasts, on validation cells of patients kept aside.

    None where its types have no lineage. The area under the ROC curve is of the share of the lymphoid types in the
    probability of all blasts.
    """
    both = [reader.types.index(each) for each in (*LYMPHOID, *MYELOID) if each in reader.types]
    if len(both) < len(LYMPHOID) + len(MYELOID):
        return None
    root, look = data_root() / "cells", look_of(recipe)
    cells = of_split(load_cells(root / "cells.csv", root / "images"), "val")
    own = [cell for cell in cells if cell.label in (*LYMPHOID, *MYELOID) and cell.patient]
    types = reader.type_probabilities(np.stack([middle(reader, *look(cell)) for cell in own]))
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
    """How well a linear probe tells the laboratory of validation cells of the same type: before, and in the network.

    Between PROBED, the two laboratories that share most types.

    "levels" and "input" are mean and standard deviation of each channel, before and after the normalisation.
    """
    root = data_root() / "cells"
    cells = of_split(load_cells(root / "cells.csv", root / "images"), "val")
    samples = [sample for sample in cells if sample.source in PROBED]
    look = look_of(recipe)
    crops = np.stack([middle(reader, *look(sample)) for sample in samples])
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
