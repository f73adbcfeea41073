"""From two checkpoints to a model folder: export, quantize, choose thresholds, measure, write manifest and card."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgeleuk import __version__, zoo
from edgeleuk import reader as runtime_reader
from edgeleuk.errors import EdgeleukError, ModelMissingError
from edgeleuk.finder import Finder
from edgeleuk.microscope import objective
from edgeleuk.reader import Reader
from edgeleuk.training import card, quantize
from edgeleuk.training import finder as finder_training
from edgeleuk.training import reader as reader_training
from edgeleuk.training.loop import console
from edgeleuk.training.measure import (
    counted_to,
    finder_figures,
    finder_inputs,
    finder_operating_point,
    reader_figures,
    reader_inputs,
    reader_thresholds,
)
from edgeleuk.training.networks import STRIDE
from edgeleuk.training.recipe import Recipe, load_recipe

MULTIPLE = 32


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
    batches = finder_inputs(recipe, settings["samples"], MULTIPLE, finder_training.PAD)
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
        "cameras_um_per_px": [round(x, 4) for x in objective(model["magnification"]).um_per_px],
        "nms_iou": recipe["publish"]["nms_iou"],
    }  # fmt: skip
    part["thresholds"] = finder_operating_point(recipe, Finder(zoo.finder_manifest(work, part)))
    part["counted_to"] = counted_to(recipe, Finder(zoo.finder_manifest(work, part)))
    manifest = zoo.finder_manifest(work, part)
    figures = {}
    for precision, path in (("int8", small), ("fp32", full)):
        console.print(f"measuring the {precision} finder")
        figures[precision] = finder_figures(recipe, Finder(replace(manifest, path=path)))
    _gate(recipe, _first(figures["int8"]), _first(figures["fp32"]), ("map50", "map"))
    return {**part, "figures": figures["int8"], "figures_fp32": figures["fp32"], **_origin(recipe)}


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
        "subtypes": recipe["publish"].get("subtypes", {}),
    }  # fmt: skip
    plain = Reader(zoo.reader_manifest(work, part))
    quantize.quantize(full, small, reader_inputs(recipe, plain), settings["method"], settings["keep_float"])
    part |= {"file": small.name, "sha256": _sha256(small)}
    part |= reader_thresholds(recipe, Reader(zoo.reader_manifest(work, part)))
    manifest = zoo.reader_manifest(work, part)
    figures = {}
    for precision, path in (("int8", small), ("fp32", full)):
        console.print(f"measuring the {precision} reader")
        figures[precision] = reader_figures(recipe, Reader(replace(manifest, path=path)))
    _gate(recipe, _first(figures["int8"]), _first(figures["fp32"]), ("accuracy", "attribute_macro_f1"))
    return {**part, "figures": figures["int8"], "figures_fp32": figures["fp32"], **_origin(recipe)}


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


def _first(figures: dict[str, Any]) -> dict[str, Any]:
    """The figures that the gate looks at."""
    first: dict[str, Any] = next(iter(figures.values()))
    return first


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
        "limits": recipe["publish"]["limits"],
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
