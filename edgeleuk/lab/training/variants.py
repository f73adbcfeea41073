"""Comparison of ways to quantize a trained network.

Each is compared by its figures on training images kept aside, and by its size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeleuk.differential.rules import Rules
from edgeleuk.lab.evaluation.cells import evaluate_reader
from edgeleuk.lab.evaluation.fields import evaluate_finder
from edgeleuk.lab.evaluation.scales import ScaleRule
from edgeleuk.lab.training import quantize
from edgeleuk.lab.training.cells import load_training_cells
from edgeleuk.lab.training.export import calibration, exported, manifest_part
from edgeleuk.lab.training.inputs import no_estimate
from edgeleuk.lab.training.lenses import cell_loader_of
from edgeleuk.lab.training.measure import kept_aside_fields
from edgeleuk.lab.training.recipe import Recipe
from edgeleuk.models.manifest import finder_manifest, reader_manifest
from edgeleuk.networks.finder import Finder
from edgeleuk.networks.reader import Reader


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to quantize a network."""

    name: str
    method: str
    per_channel: bool
    keep_float: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Figures and file size of a variant."""

    name: str
    figures: Mapping[str, float]
    kilobytes: int


def variants(recipe: Recipe) -> Iterator[Variant]:
    """Yield the recipe's own way, then one change each."""
    kept = tuple(recipe["quantize"]["keep_float"])
    own = recipe["quantize"]["method"]
    yield Variant(f"recipe: {own}, per channel, {' '.join(kept)} float", own, True, kept)
    yield Variant("weights per tensor", own, False, kept)
    for method in quantize.METHODS:
        if method != own:
            yield Variant(f"ranges by {method}", method, True, kept)
    yield Variant("nothing float", own, True, ())
    first = "/stem/" if recipe["model"]["kind"] == "finder" else "/reader/backbone/stem/"
    yield Variant("first layer float too", own, True, (*kept, first))


def compare(recipe: Recipe, runs: Path, work: Path, rules: Rules) -> Iterator[Outcome]:
    """Measure FP32, then every variant.

    Args:
        recipe: Recipe of a finder or reader.
        runs: Folder with one subfolder per training.
        work: Folder for the networks.
        rules: Rules by which a reader's readings are evaluated.

    Yields:
        Each outcome as it is done.

    Raises:
        ModelMissingError: The network has not been trained.
        EdgeleukError: Its training is unfinished or of another recipe.
    """
    full = exported(recipe, runs, work)
    yield Outcome("FP32", _figures(recipe, full, rules), full.stat().st_size // 1024)
    for number, variant in enumerate(variants(recipe)):
        small = work / f"variant-{number}.onnx"
        batches = calibration(recipe, full)
        quantize.quantize(full, small, batches, variant.method, variant.keep_float, variant.per_channel)
        yield Outcome(variant.name, _figures(recipe, small, rules), small.stat().st_size // 1024)


def _figures(recipe: Recipe, path: Path, rules: Rules) -> dict[str, float]:
    part: dict[str, Any] = manifest_part(recipe, path)
    if recipe["model"]["kind"] == "reader":
        reader = Reader(reader_manifest(path.parent, part))
        samples = load_training_cells(recipe, kept_aside=True)
        cells = evaluate_reader(reader, samples, rules, None, cell_loader_of(recipe))
        return {
            "accuracy": cells.readings.as_json()["accuracy"],
            "macro F1": cells.readings.macro_f1 or 0.0,
            "attributes": cells.attribute_macro_f1 or 0.0,
        }
    finder = Finder(finder_manifest(path.parent, part))
    fields, scales, read = kept_aside_fields(recipe)
    rule = ScaleRule("truth", scales, None, no_estimate)
    found = evaluate_finder(finder, fields, recipe["model"]["classes"], rule, None, read).as_json()
    return {"mAP50": found["map50"], "mAP50-95": found["map"]}
