"""From two checkpoints to a model folder: export, quantize, choose thresholds, measure, write manifest and card."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgeleuk import __version__, _files, heads, manifest, zoo
from edgeleuk.errors import EdgeleukError, ModelMissingError, UsageError
from edgeleuk.finder import Finder
from edgeleuk.manifest import finder_manifest, reader_manifest
from edgeleuk.microscope import objective
from edgeleuk.reader import FEATURES, Reader
from edgeleuk.rules import Reference, Rules
from edgeleuk.training import card, quantize
from edgeleuk.training import finder as finder_training
from edgeleuk.training import reader as reader_training
from edgeleuk.training.doubts import measure_doubts
from edgeleuk.training.evidence import gather
from edgeleuk.training.labels import Labels
from edgeleuk.training.loop import console
from edgeleuk.training.measure import (
    counted_to,
    finder_figures,
    finder_inputs,
    finder_operating_point,
    reader_figures,
    reader_inputs,
    reader_thresholds,
    source_probe,
)
from edgeleuk.training.networks import STRIDE, FeaturesAlone
from edgeleuk.training.real import real_slides
from edgeleuk.training.recipe import Recipe, density_of, load_recipe, told_by_label

MULTIPLE = 32
HEAD = "reader-head.npz"
ACROSS = "across.json"
"""What `train across` measured."""


@dataclass(frozen=True, slots=True)
class Standards:
    """What models are measured by."""

    rules: Rules
    reference: Reference


def publish(
    finder_name: str | None, reader_name: str | None, runs: Path, models: Path, standards: Standards
) -> Path:
    """Write `models/<magnification>/`; nothing of an older one is touched before all figures are there.

    A network without a recipe, None, stays as it was published.
    """
    recipes = {
        kind: load_recipe(name, kind)
        for kind, name in (("finder", finder_name), ("reader", reader_name))
        if name is not None
    }
    magnifications = {recipe["model"]["magnification"] for recipe in recipes.values()}
    if not recipes:
        raise UsageError("nothing to publish. Name the recipe of a finder, of a reader, or of both.")
    if len(magnifications) > 1:
        raise EdgeleukError(
            "finder and reader are of different magnifications. Publish a pair of the same one."
        )
    magnification = magnifications.pop()
    folder, work = models / magnification, runs / f"publish-{magnification}"
    work.mkdir(parents=True, exist_ok=True)
    document = {} if len(recipes) == 2 else _published(folder)
    document |= {
        "schema": zoo.SCHEMA,
        "magnification": magnification,
        "version": __version__,
        "notice": "Research use only. Not for diagnosis.",
    }
    makers = {"finder": publish_finder, "reader": partial(publish_reader, standards=standards)}
    document |= {kind: makers[kind](recipe, runs, work) for kind, recipe in recipes.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for file in (part["file"] for kind in recipes for part in _files_of(document[kind])):
        (work / file).replace(folder / file)
    _write(folder, document, standards)
    return folder


def remeasure(magnification: str, models: Path, runs: Path, standards: Standards) -> Path:
    """Measure what the verdict rests on anew for a published reader, and write its manifest and card again.

    For models that were published before it was measured, or other data to measure it on: networks, thresholds and all other
    figures stay.
    """
    folder = models / magnification
    document = _published(folder)
    reader = Reader(reader_manifest(folder, document["reader"]))
    recipe = load_recipe(document["reader"]["recipe"], "reader")
    untempered = Reader(replace(reader.manifest, temperature=1.0))
    evidence = gather(recipe, untempered, runs, runs / f"publish-{magnification}")
    document["reader"] |= measure_doubts(recipe, reader, evidence, standards.rules, standards.reference)
    for group in standards.rules.groups:
        known = [label for label in group.labels if label in reader.labels]
        if known and group.key in document["reader"]["false_positive_rates"]:
            document["reader"]["false_positive_rates"][group.key]["labels"] = known
    _write(folder, document, standards)
    return folder


def _write(folder: Path, document: dict[str, Any], standards: Standards) -> None:
    """The manifest and the card, with figures on real slides of the objective where there are any."""
    manifest_file = folder / "model.json"
    manifest_file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    console.print("measuring on real slides")
    document["real_slides"] = real_slides(
        folder, document["magnification"], standards.rules, standards.reference
    )
    manifest_file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card.card(document), encoding="utf-8")


def _files_of(part: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of a network's manifest that name a file: itself, and the head of a reader."""
    return [part, *([part["head"]] if "head" in part else [])]


def _published(folder: Path) -> dict[str, Any]:
    """What is published of the network that stays."""
    try:
        document: dict[str, Any] = _files.read_json(folder / "model.json")
    except (OSError, ValueError) as error:
        raise ModelMissingError(
            f"no published model in {folder} of which a network could stay. Give --finder and --reader."
        ) from error
    return document


def publish_finder(recipe: Recipe, runs: Path, work: Path) -> dict[str, Any]:
    """The finder's part of the manifest; its file is left in `work`."""
    full = exported(recipe, runs, work)
    part = manifest_part(recipe, quantized(recipe, full))
    part["thresholds"] = finder_operating_point(recipe, Finder(finder_manifest(work, part)))
    part["counted_to"] = counted_to(recipe, Finder(finder_manifest(work, part)))
    measured = finder_manifest(work, part)
    console.print("measuring the finder")
    figures = dict(finder_figures(recipe, Finder(measured)))
    name, full_figures = next(finder_figures(recipe, Finder(replace(measured, path=full))))
    _gate(recipe, figures[name], full_figures, ("map50", "map"))
    return {**part, "figures": figures, "figures_fp32": {name: full_figures}, **_origin(recipe)}


def publish_reader(recipe: Recipe, runs: Path, work: Path, standards: Standards) -> dict[str, Any]:
    """The reader's part of the manifest; its file is left in `work`."""
    rules = standards.rules
    full = exported(recipe, runs, work)
    part = manifest_part(recipe, quantized(recipe, full))
    untempered = Reader(reader_manifest(work, part))
    evidence = gather(recipe, untempered, runs, work)
    part |= reader_thresholds(recipe, untempered, evidence, rules)
    part |= measure_doubts(recipe, Reader(reader_manifest(work, part)), evidence, rules, standards.reference)
    measured = reader_manifest(work, part)
    console.print("measuring the reader")
    figures = reader_figures(recipe, Reader(measured), rules)
    full_figures = reader_figures(recipe, Reader(replace(measured, path=full)), rules)
    for name in figures:
        _gate(recipe, figures[name], full_figures[name], ("accuracy", "attribute_macro_f1"))
    network = reader_training.build(recipe)
    _load(network, recipe, runs)
    probe = source_probe(recipe, Reader(measured), network.eval())
    return {
        **part,
        "figures": figures,
        "figures_fp32": full_figures,
        "source_probe": probe,
        **_across(recipe, runs),
        **_origin(recipe),
    }


def _across(recipe: Recipe, runs: Path) -> dict[str, Any]:
    """What was measured with laboratories left out, if it was."""
    path = runs / f"across-{recipe.name}" / ACROSS
    return {"across": _files.read_json(path)} if path.is_file() else {}


def exported(recipe: Recipe, runs: Path, work: Path) -> Path:
    """The trained network as an FP32 ONNX file in `work`."""
    model = recipe["model"]
    path = work / f"{model['kind']}.fp32.onnx"
    if model["kind"] == "finder":
        finder = finder_training.build(recipe)
        _load(finder, recipe, runs)
        quantize.export(finder, path, (1, 3, 160, 160), ["classes", "distances"], {2, 3})
    else:
        reader = reader_training.build(recipe)
        _load(reader, recipe, runs)
        shape = (1, 3, model["size"], model["size"])
        quantize.export(FeaturesAlone(reader), path, shape, [FEATURES], {0})
        heads.save(work / HEAD, reader.head.weight.detach().numpy().T, reader.head.bias.detach().numpy())
    return path


def calibration(recipe: Recipe, full: Path) -> Iterator[NDArray[np.float32]]:
    """Training pictures as the runtime feeds them to the network, to quantize with."""
    if recipe["model"]["kind"] == "finder":
        return finder_inputs(recipe, recipe["quantize"]["samples"], MULTIPLE, finder_training.PAD)
    return reader_inputs(recipe, Reader(reader_manifest(full.parent, manifest_part(recipe, full))))


def manifest_part(recipe: Recipe, path: Path) -> dict[str, Any]:
    """What the recipe says of a network's file; thresholds accept everything until they are chosen."""
    model = recipe["model"]
    common = {"file": path.name, "sha256": _sha256(path), "um_per_px": model["um_per_px"]}
    layout = {"layout": "NCHW", "channels": "RGB", "dtype": "float32"}
    if model["kind"] == "finder":
        return {
            **common,
            "stride": STRIDE,
            "input": {**layout, "range": [0, 1], "multiple": MULTIPLE, "pad": finder_training.PAD},
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
        "head": {"file": HEAD, "sha256": _sha256(head)},
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
        "attributes_assessed_on": recipe["publish"]["mature"],
        "false_positive_rates": {},
        "subtypes": recipe["publish"].get("subtypes", {}),
    }


def _finder_numbers(recipe: Recipe) -> dict[str, Any]:
    """What a finder's results depend on beside the network: the recipe's [publish], else the usual values."""
    given = recipe["publish"]
    own = {name: name for name in recipe["model"]["classes"] if name in manifest.CELL_CLASSES}
    return {
        "cell_classes": given.get("cell_classes", own),
        "red_cell_box_um": manifest.RED_CELL_BOX_UM,  # the scales that it learnt at were measured by it
        "max_candidates": given.get("max_candidates", manifest.MAX_CANDIDATES),
        "same_thing_iou": given.get("same_thing_iou", manifest.SAME_THING_IOU),
        "nested_share": given.get("nested_share", manifest.NESTED_SHARE),
        "tiling": given.get("tiling", asdict(manifest.TILING)),
    }


def _reader_numbers(recipe: Recipe) -> dict[str, Any]:
    """Likewise of a reader."""
    given, labels = recipe["publish"], Labels.of(recipe).printing
    usual = {label: um for label, um in manifest.LARGEST_UM.items() if label in labels}
    return {
        "largest_um": given.get("largest_um", usual),
        "mature": given["mature"],
        "groups": given.get("groups", {name: list(types) for name, types in manifest.GROUPS.items()}),
        "told_by_label": {name: dict(values) for name, values in told_by_label(recipe).items()},
    }


def quantized(recipe: Recipe, full: Path) -> Path:
    """The INT8 network of a recipe beside its FP32 one."""
    settings = recipe["quantize"]
    small = full.with_name(f"{recipe['model']['kind']}.onnx")
    quantize.quantize(full, small, calibration(recipe, full), settings["method"], settings["keep_float"])
    return small


def _load(network: nn.Module, recipe: Recipe, runs: Path) -> None:
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
        "earlier": [{"recipe": each.name, "data": each["data"]} for each in _earlier(recipe)],
        "quantization": recipe["quantize"],
    }


def _earlier(recipe: Recipe) -> Iterator[Recipe]:
    """The recipes whose weights its training went on from, the last one first."""
    while start := recipe["model"].get("start"):
        recipe = load_recipe(start)
        yield recipe


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
