"""From two checkpoints to a model folder: export, quantize, choose thresholds, measure, write manifest and card."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgeleuk import __version__, zoo
from edgeleuk import finder as runtime_finder
from edgeleuk import reader as runtime_reader
from edgeleuk.errors import EdgeleukError, ModelMissingError
from edgeleuk.evaluation.cells import evaluate_reader
from edgeleuk.evaluation.datasets import FieldSample, data_root, load_cells, load_fields
from edgeleuk.evaluation.fields import evaluate_finder
from edgeleuk.evaluation.scales import ScaleRule
from edgeleuk.finder import Finder
from edgeleuk.optics import Resampling
from edgeleuk.reader import Reader
from edgeleuk.rules import load_rules
from edgeleuk.scale import estimate_scale
from edgeleuk.sources.folder import read_picture
from edgeleuk.training import card, quantize
from edgeleuk.training import finder as finder_training
from edgeleuk.training import reader as reader_training
from edgeleuk.training.cells import UNKNOWN, encode, load_training_cells
from edgeleuk.training.fields import training_samples
from edgeleuk.training.loop import console
from edgeleuk.training.networks import STRIDE
from edgeleuk.training.recipe import Recipe, load_recipe
from edgeleuk.training.thresholds import finder_thresholds, rejection_threshold, temperature
from edgeleuk.types import Scale

MULTIPLE = 32
CALIBRATION_SIDE = 384


def publish(finder_name: str, reader_name: str, runs: Path, models: Path) -> Path:
    """Write `models/<magnification>/`; nothing of an older one is touched before all figures are there."""
    finder_recipe, reader_recipe = load_recipe(finder_name, "finder"), load_recipe(reader_name, "reader")
    magnification = finder_recipe["model"]["magnification"]
    if reader_recipe["model"]["magnification"] != magnification:
        raise EdgeleukError(
            "finder and reader are of different magnifications. Publish a pair of the same one."
        )
    work = runs / f"publish-{magnification}"
    work.mkdir(parents=True, exist_ok=True)
    document = {
        "schema": zoo.SCHEMA,
        "magnification": magnification,
        "version": __version__,
        "notice": "Research use only. Not for diagnosis.",
        "finder": publish_finder(finder_recipe, runs, work),
        "reader": publish_reader(reader_recipe, runs, work),
    }
    folder = models / magnification
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("finder.onnx", "reader.onnx"):
        (work / name).replace(folder / name)
    (folder / "model.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card.card(document), encoding="utf-8")
    return folder


def publish_finder(recipe: Recipe, runs: Path, work: Path) -> dict[str, Any]:
    """The finder's part of the manifest; its file is left in `work`."""
    network = _trained(finder_training.build(recipe), recipe, runs)
    full, small = work / "finder.fp32.onnx", work / "finder.onnx"
    quantize.export(network, full, (1, 3, 160, 160), ["classes", "distances"], {2, 3})
    settings, model = recipe["quantize"], recipe["model"]
    batches = finder_inputs(recipe, settings["samples"])
    quantize.quantize(full, small, batches, settings["method"], settings["keep_float"])
    part = {
        "file": small.name,
        "sha256": _sha256(small),
        "um_per_px": model["um_per_px"],
        "stride": STRIDE,
        "input": {
            "layout": "NCHW", "channels": "RGB", "dtype": "float32", "range": [0, 1],
            "multiple": MULTIPLE, "pad": finder_training.PAD,
        },
        "classes": model["classes"],
        "thresholds": dict.fromkeys(model["classes"], 0.3),
        "nms_iou": recipe["publish"]["nms_iou"],
    }  # fmt: skip
    finder = Finder(zoo.finder_manifest(work, part))
    samples, names, scales = kept_aside_fields(recipe)
    part["thresholds"] = finder_thresholds(finder, samples, names, scales)
    manifest = zoo.finder_manifest(work, part)
    figures = {}
    for precision, path in (("int8", small), ("fp32", full)):
        console.print(f"measuring the {precision} finder")
        figures[precision] = finder_figures(Finder(replace(manifest, path=path)))
    _gate(recipe, figures["int8"]["txl_val"], figures["fp32"]["txl_val"], ("map50", "map"))
    return {**part, "figures": figures["int8"], "figures_fp32": figures["fp32"], **_origin(recipe)}


def finder_inputs(recipe: Recipe, number: int) -> Iterator[NDArray[np.float32]]:
    """Training fields as the runtime prepares them, in the middle of each."""
    fields = training_samples(recipe, kept_aside=False)
    rng = np.random.default_rng(recipe["train"]["seed"])
    for i in rng.choice(len(fields), min(number, len(fields)), replace=False):
        sample, scale = fields[i]
        image = read_picture(sample.path).pixels
        resampling = Resampling.to_scale(sample.width, sample.height, scale, recipe["model"]["um_per_px"])
        small = resampling.apply(image)[:CALIBRATION_SIDE, :CALIBRATION_SIDE]
        yield runtime_finder.prepare(small, MULTIPLE, finder_training.PAD)


def kept_aside_fields(recipe: Recipe) -> tuple[list[FieldSample], tuple[str, ...], dict[int, Scale]]:
    """Training fields that the finder never saw, renumbered across files, with the scale of each."""
    samples, scales = [], {}
    for number, (sample, scale) in enumerate(training_samples(recipe, kept_aside=True)):
        samples.append(replace(sample, image_id=number))
        scales[number] = scale
    return samples, tuple(recipe["model"]["classes"]), scales


def finder_figures(finder: Finder) -> dict[str, Any]:
    """Figures on each validation file, at the annotated scale where there is one and the estimated elsewhere."""
    root = data_root() / "fields"
    figures = {}
    for name in ("txl_val", "chula_val", "phone_val"):
        samples, names = load_fields(root / f"{name}.json", root / "images")
        rule = ScaleRule.of("truth", samples, names, lambda image: estimate_scale(image, finder))
        figures[name] = evaluate_finder(finder, samples, names, rule).as_json()
    return figures


def publish_reader(recipe: Recipe, runs: Path, work: Path) -> dict[str, Any]:
    """The reader's part of the manifest; its file is left in `work`."""
    network = _trained(reader_training.build(recipe), recipe, runs)
    full, small = work / "reader.fp32.onnx", work / "reader.onnx"
    model, settings = recipe["model"], recipe["quantize"]
    quantize.export(network, full, (1, 3, model["size"], model["size"]), ["logits"], {0})
    part = {
        "file": full.name,
        "sha256": _sha256(full),
        "um_per_px": model["um_per_px"],
        "input": {
            "layout": "NCHW", "channels": "RGB", "dtype": "float32", "range": [0, runtime_reader.MOST_DENSE if "normalise" in model else 1], "size": model["size"],
            **({"normalise": model["normalise"]} if "normalise" in model else {}),
        },
        "labels": model["labels"],
        "merge": recipe["data"]["merge"],
        "temperature": 1.0,
        "threshold": 0.0,
        "attributes": recipe["attributes"],
        "attribute_thresholds": dict.fromkeys(recipe["attributes"], 0.5),
        "attributes_assessed_on": recipe["publish"]["mature"],
        "false_positive_rates": {},
    }  # fmt: skip
    plain = Reader(zoo.reader_manifest(work, part))
    quantize.quantize(full, small, reader_inputs(recipe, plain), settings["method"], settings["keep_float"])
    part |= {"file": small.name, "sha256": _sha256(small)}
    part |= reader_thresholds(recipe, Reader(zoo.reader_manifest(work, part)))
    manifest = zoo.reader_manifest(work, part)
    figures = {}
    for precision, path in (("int8", small), ("fp32", full)):
        console.print(f"measuring the {precision} reader")
        figures[precision] = reader_figures(Reader(replace(manifest, path=path)))
    _gate(
        recipe, figures["int8"]["cells_val"], figures["fp32"]["cells_val"], ("accuracy", "attribute_macro_f1")
    )
    return {**part, "figures": figures["int8"], "figures_fp32": figures["fp32"], **_origin(recipe)}


def reader_inputs(recipe: Recipe, reader: Reader) -> Iterator[NDArray[np.float32]]:
    """Training cells as the runtime crops and prepares them."""
    samples = load_training_cells(recipe, kept_aside=False)
    rng = np.random.default_rng(recipe["train"]["seed"])
    for i in rng.choice(len(samples), recipe["quantize"]["samples"], replace=False):
        yield runtime_reader.prepare(
            reader_training.runtime_crop(reader, samples[i])[None], reader.manifest.normalise
        )


def reader_thresholds(recipe: Recipe, reader: Reader) -> dict[str, Any]:
    """Temperature, rejection, certainty of attributes and false-positive rates, on training cells kept aside.

    False-positive rates are by type and by the rules' groups of types.
    """
    samples, settings = load_training_cells(recipe, kept_aside=True), recipe["publish"]
    targets = encode(samples, recipe)
    crops = np.stack([reader_training.runtime_crop(reader, sample) for sample in samples])
    types, attributes = reader.probabilities(crops)
    logits = np.log(np.clip(types, 1e-12, 1))
    warmth = temperature(logits, targets[:, 0])
    types = runtime_reader.softmax(logits / warmth)
    confidence, read = types.max(axis=1), types.argmax(axis=1)
    mature = np.isin(targets[:, 0], [reader.labels.index(name) for name in settings["mature"]])
    threshold = rejection_threshold(
        confidence[mature],
        (read == targets[:, 0])[mature],
        settings["min_accuracy"],
        settings["min_threshold"],
    )
    sure = {}
    for (name, values), truth in zip(attributes.items(), targets.T[1:], strict=True):
        known = truth != UNKNOWN
        right = values[known].argmax(axis=1) == truth[known]
        sure[name] = rejection_threshold(values[known].max(axis=1), right, settings["sure_accuracy"], 0.5)
    accepted = mature & (confidence >= threshold)
    groups = {
        group.key: [label for label in group.labels if label in reader.labels]
        for group in load_rules().groups
    }
    rates = {}
    for name, members in {**{label: [label] for label in reader.labels}, **groups}.items():
        own = [reader.labels.index(label) for label in members]
        others = accepted & ~np.isin(targets[:, 0], own)
        rates[name] = {"errors": int(np.isin(read[others], own).sum()), "cells": int(others.sum())}
    return {
        "temperature": warmth,
        "threshold": threshold,
        "attribute_thresholds": sure,
        "false_positive_rates": rates,
        "false_positives_of": "accepted cells of the mature types, training cells kept aside",
    }


def reader_figures(reader: Reader) -> dict[str, Any]:
    """Figures on the validation cells."""
    root = data_root() / "cells"
    samples = load_cells(root / "cells.csv", root / "images", tuple(reader.attributes))
    return {"cells_val": evaluate_reader(reader, [s for s in samples if s.split == "val"]).as_json()}


def _trained(network: nn.Module, recipe: Recipe, runs: Path) -> nn.Module:
    path = runs / recipe.name / "checkpoint.pt"
    if not path.is_file():
        raise ModelMissingError(
            f"no checkpoint {path}. Run `edgeleuk train {recipe['model']['kind']}` first."
        )
    state = torch.load(path, weights_only=True)
    if state["digest"] != recipe.digest or state["epoch"] < recipe["train"]["epochs"]:
        raise EdgeleukError(
            f"{path} is of another recipe or unfinished (epoch {state['epoch']}). Train to the end first."
        )
    network.load_state_dict(state["average"])
    return network


def _gate(recipe: Recipe, small: dict[str, Any], full: dict[str, Any], keys: tuple[str, ...]) -> None:
    """Refuse a quantized network that lost more than the recipe allows."""
    for key in keys:
        loss = full[key] - small[key]
        console.print(f"{key}: INT8 {small[key]:.4f}, FP32 {full[key]:.4f}")
        if loss > recipe["quantize"]["max_loss"]:
            raise EdgeleukError(
                f"INT8 loses {loss:.4f} of {key}, more than {recipe['quantize']['max_loss']}. "
                "Try another method or keep_float in [quantize]."
            )


def _origin(recipe: Recipe) -> dict[str, Any]:
    return {
        "recipe": recipe.name,
        "recipe_digest": recipe.digest,
        "seed": recipe["train"]["seed"],
        "commit": _commit(),
        "licence_note": recipe["publish"]["licence_note"],
        "data": recipe["data"],
        "quantization": recipe["quantize"],
    }


def _commit() -> str:
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
