"""Export of a trained network to files.

The network is exported and quantized, and its part of the manifest is made from its recipe.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgeleuk.errors import EdgeleukError, ModelMissingError
from edgeleuk.imaging.objectives import objective
from edgeleuk.lab.training import quantize
from edgeleuk.lab.training import reader as reader_training
from edgeleuk.lab.training.inputs import finder_inputs, reader_inputs
from edgeleuk.lab.training.labels import Labels
from edgeleuk.lab.training.networks import PAD, FeaturesAlone, build_finder, stride_of
from edgeleuk.lab.training.recipe import Recipe, density_of, told_by_label
from edgeleuk.models import heads, manifest
from edgeleuk.models.manifest import reader_manifest
from edgeleuk.networks.reader import FEATURES, Reader
from edgeleuk.system.wording import command

MULTIPLE = 32
HEAD = "reader-head.npz"


def exported(recipe: Recipe, runs: Path, work: Path) -> Path:
    """Export the trained network to FP32 ONNX.

    Args:
        recipe: Recipe of a finder or reader.
        runs: Folder with one subfolder per training.
        work: Folder for the file, and for the head of a reader.

    Raises:
        ModelMissingError: The network has not been trained.
        EdgeleukError: Its training is unfinished or of another recipe.
    """
    model = recipe["model"]
    path = work / f"{model['kind']}.fp32.onnx"
    if model["kind"] == "finder":
        finder = build_finder(recipe)
        load_trained(finder, recipe, runs)
        quantize.export(finder, path, (1, 3, 160, 160), ["classes", "distances"], {2, 3})
    else:
        reader = reader_training.build(recipe)
        load_trained(reader, recipe, runs)
        shape = (1, 3, model["size"], model["size"])
        quantize.export(FeaturesAlone(reader), path, shape, [FEATURES], {0})
        heads.save(work / HEAD, reader.head.weight.detach().numpy().T, reader.head.bias.detach().numpy())
    return path


def calibration(recipe: Recipe, full: Path) -> Iterator[NDArray[np.float32]]:
    """Return calibration inputs for the quantization.

    They are training images as the runtime feeds them to the network.
    """
    if recipe["model"]["kind"] == "finder":
        return finder_inputs(recipe, recipe["quantize"]["samples"], MULTIPLE, PAD)
    return reader_inputs(recipe, Reader(reader_manifest(full.parent, manifest_part(recipe, full))))


def manifest_part(recipe: Recipe, path: Path) -> dict[str, Any]:
    """Return a network's part of the manifest.

    Thresholds are provisional until they are chosen: the reader's accepts every cell.
    """
    model = recipe["model"]
    common = {"file": path.name, "sha256": sha256_of(path), "um_per_px": model["um_per_px"]}
    layout = {"layout": "NCHW", "channels": "RGB", "dtype": "float32"}
    if model["kind"] == "finder":
        return {
            **common,
            "stride": stride_of(recipe),
            "input": {**layout, "range": [0, 1], "multiple": MULTIPLE, "pad": PAD},
            "classes": model["classes"],
            "thresholds": dict.fromkeys(model["classes"], 0.3),
            "cameras_um_per_px": [round(x, 4) for x in objective(model["magnification"]).um_per_px],
            "nms_iou": recipe["publish"]["nms_iou"],
            **_finder_numbers(recipe),
        }
    views = {"views": recipe["publish"]["views"]} if "views" in recipe["publish"] else {}
    density = density_of(recipe)
    normalised = {"normalise": model["normalise"], "density": asdict(density)} if density else {}
    top = density.most_dense if density else 1
    labels = Labels.of(recipe)
    head = path.with_name(HEAD)
    return {
        **common,
        "head": {"file": HEAD, "sha256": sha256_of(head)},
        "input": {**layout, "range": [0, top], "size": model["size"], **normalised, **views},
        "types": list(labels.types),
        "printed": labels.prints,
        "labels": list(labels.printing),
        "merge": recipe["data"]["merge"],
        **_reader_numbers(recipe),
        "temperature": 1.0,
        "threshold": 0.0,
        "attributes": recipe["attributes"],
        "attribute_thresholds": dict.fromkeys(recipe["attributes"], 0.5),
        "attributes_assessed_on": recipe["publish"].get("assessed", recipe["publish"]["mature"]),
        "false_positive_rates": {},
        "subtypes": recipe["publish"].get("subtypes", {}),
    }


def _finder_numbers(recipe: Recipe) -> dict[str, Any]:
    """Return a finder's settings beside the network.

    They are those of the recipe's [publish], else the usual values.
    """
    given = recipe["publish"]
    own = {name: name for name in recipe["model"]["classes"] if name in manifest.CELL_CLASSES}
    return {
        "cell_classes": given.get("cell_classes", own),
        "red_cell_box_um": manifest.RED_CELL_BOX_UM,  # its training scales were measured by it
        "max_candidates": given.get("max_candidates", manifest.MAX_CANDIDATES),
        "same_thing_iou": given.get("same_thing_iou", manifest.SAME_THING_IOU),
        "nested_share": given.get("nested_share", manifest.NESTED_SHARE),
        "tiling": given.get("tiling", asdict(manifest.TILING)),
    }


def _reader_numbers(recipe: Recipe) -> dict[str, Any]:
    """Return a reader's settings beside the network.

    They are those of the recipe's [publish], else the usual values.
    """
    given, labels = recipe["publish"], Labels.of(recipe).printing
    usual = {label: um for label, um in manifest.LARGEST_UM.items() if label in labels}
    return {
        "largest_um": given.get("largest_um", usual),
        "mature": given["mature"],
        "groups": given.get("groups", {name: list(types) for name, types in manifest.GROUPS.items()}),
        "told_by_label": {name: dict(values) for name, values in told_by_label(recipe).items()},
    }


def quantized(recipe: Recipe, full: Path) -> Path:
    """Quantize a recipe's network to INT8.

    The file is written beside the FP32 one, `full`.
    """
    settings = recipe["quantize"]
    small = full.with_name(f"{recipe['model']['kind']}.onnx")
    quantize.quantize(full, small, calibration(recipe, full), settings["method"], settings["keep_float"])
    return small


def load_trained(network: nn.Module, recipe: Recipe, runs: Path) -> None:
    """Load the averaged weights of a finished training.

    Args:
        network: Network of the recipe's shape, changed in place.
        recipe: Recipe of the training.
        runs: Folder with one subfolder per training.

    Raises:
        ModelMissingError: There is no checkpoint.
        EdgeleukError: The training is unfinished or of another recipe.
    """
    path = runs / recipe.name / "checkpoint.pt"
    if not path.is_file():
        raise ModelMissingError(
            f"no checkpoint {path}. Run `{command('train')} {recipe['model']['kind']}` first."
        )
    state = torch.load(path, weights_only=True)
    if state["digest"] != recipe.digest or state["epoch"] < recipe["train"]["epochs"]:
        raise EdgeleukError(
            f"{path} is of another recipe or unfinished (epoch {state['epoch']}). Train to the end first."
        )
    network.load_state_dict(state["average"])


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
