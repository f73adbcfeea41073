"""Training of a model folder on an imported LeukemiaAttri.

Its recipes say how; which subsets and patients there are, the imported data says. Finder and reader go on from
the networks that ship for the objective.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from edgeleuk import __version__
from edgeleuk.differential.rules import Rules, Standards
from edgeleuk.errors import InputError, UsageError
from edgeleuk.imaging.objectives import objective
from edgeleuk.lab.evaluation.cells import evaluate_reader
from edgeleuk.lab.evaluation.datasets import (
    CellSample,
    FieldSample,
    annotated_scales,
    data_root,
    load_cells,
    load_fields,
    read_document,
)
from edgeleuk.lab.evaluation.fields import evaluate_finder, read_field
from edgeleuk.lab.evaluation.scales import ScaleRule
from edgeleuk.lab.training import card, finder, reader
from edgeleuk.lab.training.doubts import possible
from edgeleuk.lab.training.evidence import gather
from edgeleuk.lab.training.export import exported, manifest_part, quantized
from edgeleuk.lab.training.fields import spread, training_samples
from edgeleuk.lab.training.inputs import no_estimate
from edgeleuk.lab.training.loop import console
from edgeleuk.lab.training.measure import reader_thresholds
from edgeleuk.lab.training.publish import gate, origin
from edgeleuk.lab.training.recipe import Recipe, changed, load_recipe
from edgeleuk.lab.training.restore import shipped_network
from edgeleuk.lab.training.teacher import taught
from edgeleuk.lab.training.thresholds import finder_thresholds
from edgeleuk.models import registry
from edgeleuk.models.manifest import finder_manifest, reader_manifest
from edgeleuk.networks.finder import Finder
from edgeleuk.networks.reader import Reader
from edgeleuk.system import file_io
from edgeleuk.system.wording import command, option
from edgeleuk.types import Scale

FINDER, READER = "finder-leukemiaattri", "reader-leukemiaattri"
REPORT = "import.json"
TRAINING = "training"
"""Folder of the checkpoints, in the model's folder."""
ASIDE_SHARE = 0.2
"""Share of the training patients that thresholds are chosen on."""
LEAST_PATIENTS = 3
"""Minimum training patients of a group of the release from which one is kept aside."""
LEAST_FIELDS = 240
"""Least number of fields drawn in an epoch."""
LEAST_JUDGED = 100
"""Minimum number of fields or cells of validation on which the loss by quantization is judged.

On fewer, one cell that is read otherwise is more than the recipes allow.
"""
MARGIN = 1.2
"""How far scales may lie outside those of the data."""
DRAWS_PER_CELL, LEAST_DRAWS = 4, 640
"""How often each cell is drawn in an epoch, on average, where there are few; and least number of draws."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to train on, and for how long."""

    magnification: str
    subsets: tuple[str, ...] = ()
    """Subsets to learn from; empty for all of the objective."""
    epochs: int | None = None
    """Epochs of either network; None for those of the recipes."""


@dataclass(frozen=True, slots=True)
class Recipes:
    """Recipes of one training."""

    finder: Recipe
    reader: Recipe


def recipes_for(wanted: Wanted) -> Recipes:
    """Return the recipes for the data of `data_root`.

    Raises:
        UsageError: There is no such subset, or none of the objective.
        InputError: The data is no import, or has too few typed cells or patients.
    """
    root = data_root()
    subsets = _subsets(root, wanted)
    cells = [each for each in _cells(root) if each.split == "train" and each.source in subsets]
    aside = kept_aside(cells)
    learnt = [each for each in cells if each.patient not in aside]
    if not aside or not learnt:
        raise InputError(
            f"{root} has typed cells of {len({each.patient for each in cells})} training patients in {', '.join(subsets)}. "
            "At least two are needed: one is kept aside for the thresholds."
        )
    data = {"aside": sorted(aside)}
    draws = max(LEAST_DRAWS, DRAWS_PER_CELL * len(learnt))
    train = {} if wanted.epochs is None else {"epochs": wanted.epochs}
    name = f"leukemiaattri-{wanted.magnification}"
    finder_data = {
        **data,
        "held_out": ASIDE_SHARE,
        "fields": {name: {}},
        "sources": {each: {"repeat": _repeat(root, name, subsets, aside)} for each in subsets},
    }
    recipe = load_recipe(READER, "reader")
    reader_data = {
        **data,
        "held_out": ASIDE_SHARE,
        "sources": list(subsets),
        "draws": min(draws, recipe["data"]["draws"]),
    }
    return Recipes(
        _for(load_recipe(FINDER, "finder"), wanted, finder_data, train),
        _for(recipe, wanted, reader_data, train),
    )


def _repeat(root: Path, table: str, subsets: Sequence[str], aside: set[str]) -> float:
    """Return how often a field is drawn in an epoch.

    It is more than once where there are few fields.
    """
    samples, _ = load_fields(root / "fields" / f"{table}_train.json", root / "fields" / "images")
    fields = sum(each.source in subsets and each.group not in aside for each in samples)
    return max(1.0, round(LEAST_FIELDS / max(fields, 1), 2))


def _for(recipe: Recipe, wanted: Wanted, data: Mapping[str, Any], train: Mapping[str, Any]) -> Recipe:
    """Return a recipe for an objective, started from the network that ships."""
    kind, magnification = recipe["model"]["kind"], wanted.magnification
    model = {
        **recipe["objectives"][magnification],
        "magnification": magnification,
        "start": f"shipped-{kind}-{magnification}",
    }
    teacher = {"teacher": {"model": magnification}} if kind == "finder" else {}
    changes = {"model": model, "data": data, "train": train, **teacher}
    return changed(recipe, f"{recipe.name}-{magnification}", changes)


def _subsets(root: Path, wanted: Wanted) -> tuple[str, ...]:
    report = read_document(root / REPORT) if (root / REPORT).is_file() else {}
    named = report.get("subsets") if isinstance(report, dict) else None
    if not isinstance(named, dict) or report.get("format") not in ("leukemiaattri", "lld"):
        raise InputError(
            f"{root} is no import of LeukemiaAttri. Make one with `{command('data import')} leukemiaattri`."
        )
    objective = f"_{wanted.magnification.upper()}_"
    there = tuple(name for name, own in named.items() if own.get("fields") and objective in f"_{name}_")
    there = there or tuple(name for name, own in named.items() if own.get("fields") and "X_" not in name)
    if not there:
        raise UsageError(
            f"{root} has no subset of {wanted.magnification}. Subsets there: {', '.join(named)}. Give another {option('mag')}."
        )
    if unknown := [each for each in wanted.subsets if each not in there]:
        raise UsageError(
            f"no subset {unknown[0]} of {wanted.magnification} in {root}. Subsets there: {', '.join(there)}."
        )
    return wanted.subsets or there


def _cells(root: Path, attributes: Sequence[str] = ()) -> list[CellSample]:
    table = root / "cells" / "cells.csv"
    if file_io.is_absent(table):
        raise InputError(
            f"{root} has no typed cells: its labels were text alone. Import it with COCO files, or with {option('names')}."
        )
    return load_cells(table, root / "cells" / "images", tuple(attributes))


def kept_aside(cells: Sequence[CellSample]) -> set[str]:
    """Choose patients that thresholds are chosen on.

    No type loses its last patient but one where another choice is possible: patients whose types all have
    LEAST_PATIENTS come first. The choice is the same on every machine.
    """
    types: dict[str, set[str]] = {}
    for each in cells:
        types.setdefault(each.patient, set()).add(each.label)
    number = max(1, round(ASIDE_SHARE * len(types))) if len(types) > 1 else 0
    left = Counter(label for labels in types.values() for label in labels)
    chosen: set[str] = set()
    # Many types first, so that few patients tell of many.
    for patient in sorted(types, key=lambda name: (-len(types[name]), _rank(name))):
        if len(chosen) < number and all(left[label] >= LEAST_PATIENTS for label in types[patient]):
            chosen.add(patient)
            left.subtract(types[patient])
    for patient in sorted(types, key=_rank):
        if not chosen and number:
            chosen.add(patient)
    return chosen


def _rank(name: str) -> str:
    """Return what patients are sorted by, the same on every machine."""
    return hashlib.sha256(name.encode()).hexdigest()


def train(wanted: Wanted, out: Path, standards: Standards, device: torch.device) -> Path:
    """Train finder and reader and write the model folder.

    A training that was stopped goes on from its checkpoints.

    Args:
        wanted: What to train on.
        out: Model folder; checkpoints are in a folder of it.
        standards: Rules and reference values to measure by.
        device: Device to train on.

    Raises:
        UsageError: There is no such subset.
        InputError: The data is no import, or has too little in it.
        EdgeleukError: A checkpoint is of another recipe, a loss is not finite, or INT8 loses too much.
    """
    recipes, runs = recipes_for(wanted), out / TRAINING
    for recipe, learn in ((recipes.finder, finder.train), (recipes.reader, reader.train)):
        console.print(f"training {recipe.name}")
        shipped_network(recipe, wanted.magnification, runs / recipe["model"]["start"])
        learn(recipe, runs / recipe.name, device)
    return publish(recipes, out, runs, standards)


def publish(recipes: Recipes, out: Path, runs: Path, standards: Standards) -> Path:
    """Export, quantize and measure both networks, and write the model folder.

    Raises:
        EdgeleukError: A training is unfinished or of another recipe, or INT8 loses too much.
    """
    work = runs / "publish"
    work.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {
        "schema": registry.SCHEMA,
        "magnification": recipes.finder["model"]["magnification"],
        "version": __version__,
        "notice": "Research use only. Not for diagnosis.",
        "finder": finder_part(recipes.finder, runs, work),
        "reader": reader_part(recipes.reader, runs, work, standards.rules),
    }
    reader_part_ = document["reader"]
    for file in (document["finder"]["file"], reader_part_["file"], reader_part_["head"]["file"]):
        file_io.write_whole(out / file, (work / file).read_bytes())
    file_io.write_whole(out / "README.md", card.card(document).encode())
    file_io.write_whole(out / "model.json", (json.dumps(document, indent=2) + "\n").encode())
    registry.load_folder(out)
    return out


def finder_part(recipe: Recipe, runs: Path, work: Path) -> dict[str, Any]:
    """Return the finder's part of the manifest; leave its file in `work`."""
    full = exported(recipe, runs, work)
    part = manifest_part(recipe, quantized(recipe, full))
    chosen = taught(recipe, training_samples(recipe, kept_aside=True), runs)
    samples = [replace(sample, image_id=number) for number, (sample, _) in enumerate(chosen)]
    scales = {number: scale for number, (_, scale) in enumerate(chosen)}
    opened = Finder(finder_manifest(work, part))
    part["thresholds"] = finder_thresholds(opened, samples, recipe["model"]["classes"], scales, read_field)
    measured = finder_manifest(work, part)
    console.print("measuring the finder")
    figures = _finder_figures(recipe, Finder(measured))
    full_figures = _finder_figures(recipe, Finder(replace(measured, path=full)))
    (name,) = figures
    if figures[name]["images"] >= LEAST_JUDGED:
        gate(recipe, figures[name], full_figures[name], ("map50", "map"))
    return {
        **part,
        "cameras_um_per_px": _cameras(recipe, scales),
        "figures": figures,
        "figures_fp32": full_figures,
        **origin(recipe, []),
    }


def _cameras(recipe: Recipe, scales: Mapping[int, Scale]) -> list[float]:
    """Return the range of um per pixel that is expected.

    It covers the objective's range and that of the data.
    """
    low, high = objective(recipe["model"]["magnification"]).um_per_px
    seen = [scale.um_per_px for scale in scales.values()]
    return [round(min(low, *(x / MARGIN for x in seen)), 4), round(max(high, *(x * MARGIN for x in seen)), 4)]


def _finder_figures(recipe: Recipe, opened: Finder) -> dict[str, Any]:
    """Measure white cells on the fields of validation."""
    root = data_root() / "fields"
    (name,) = recipe["data"]["fields"]
    samples, names = load_fields(root / f"{name}_val.json", root / "images")
    own: list[FieldSample] = [each for each in samples if each.source in recipe["data"]["sources"]]
    own = spread(own, recipe["publish"]["most_measured"])
    rule = ScaleRule("truth", annotated_scales(own, names), None, no_estimate)
    return (
        {f"{name} val": evaluate_finder(opened, own, names, rule).as_json()}
        if own
        else {name: _nothing(names)}
    )


def _nothing(names: Sequence[str]) -> dict[str, Any]:
    """Return the figures of no field: there is no patient for validation."""
    undefined = dict.fromkeys(("ap50", "ap", "recall", "precision"))
    return {"images": 0, "map50": None, "map": None, "classes": dict.fromkeys(names, undefined), "counts": {}}


def reader_part(recipe: Recipe, runs: Path, work: Path, rules: Rules) -> dict[str, Any]:
    """Return the reader's part of the manifest; leave its files in `work`."""
    full = exported(recipe, runs, work)
    part = manifest_part(recipe, quantized(recipe, full))
    untempered = Reader(reader_manifest(work, part))
    evidence = gather(recipe, untempered, runs, work)
    part |= reader_thresholds(recipe, untempered, evidence.home, rules)
    part["possible"] = possible(Reader(reader_manifest(work, part)), evidence.home, rules)
    measured = reader_manifest(work, part)
    console.print("measuring the reader")
    root = data_root()
    samples = [
        each
        for each in _cells(root, tuple(recipe["attributes"]))
        if each.split == "val" and each.source in recipe["data"]["sources"]
    ]
    opened = {"figures": Reader(measured), "figures_fp32": Reader(replace(measured, path=full))}
    figures = {
        kind: {"cells_val": evaluate_reader(each, samples, rules).as_json()} if samples else {}
        for kind, each in opened.items()
    }
    for name, own in figures["figures"].items():
        if own["n"] < LEAST_JUDGED:
            continue
        gate(recipe, own, figures["figures_fp32"][name], ("accuracy", "attribute_macro_f1"))
    return {**part, **figures, **origin(recipe, [])}
