"""Publishing of two checkpoints as a model folder.

The networks are exported and quantized, thresholds are chosen, figures are measured, and manifest and card
are written.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from edgeleuk import __version__
from edgeleuk.differential.rules import Rules, Standards
from edgeleuk.errors import EdgeleukError, ModelMissingError, UsageError
from edgeleuk.lab.training import card
from edgeleuk.lab.training.doubts import measure_doubts
from edgeleuk.lab.training.evidence import Evidence, by_laboratory, gather
from edgeleuk.lab.training.export import exported, load_trained, manifest_part, quantized
from edgeleuk.lab.training.familiarity import known_part, unknown_laboratory
from edgeleuk.lab.training.guard import guard_part
from edgeleuk.lab.training.loop import console
from edgeleuk.lab.training.measure import (
    counted_to,
    finder_figures,
    finder_operating_point,
    lineage,
    reader_figures,
    reader_thresholds,
    source_probe,
)
from edgeleuk.lab.training.reader import build
from edgeleuk.lab.training.real import left_out_models, real_slides
from edgeleuk.lab.training.recipe import Recipe, load_recipe
from edgeleuk.models import registry
from edgeleuk.models.manifest import finder_manifest, reader_manifest
from edgeleuk.networks.finder import Finder
from edgeleuk.networks.reader import Reader
from edgeleuk.system import file_io
from edgeleuk.system.wording import option

ACROSS = "across.json"
"""File with the figures of `train across`."""


def publish(
    finder_name: str | None, reader_name: str | None, runs: Path, models: Path, standards: Standards
) -> Path:
    """Write the model folder `models/<magnification>/`.

    Nothing in an older folder is changed before all figures of the networks are measured.

    Args:
        finder_name: Recipe of the finder; None to keep the published one.
        reader_name: Recipe of the reader; None to keep the published one.
        runs: Folder with one subfolder per training.
        models: Folder of the model folders.
        standards: Rules and reference values to measure by.

    Returns:
        The model folder.

    Raises:
        UsageError: No recipe is given.
        ModelMissingError: A network has not been trained, or there is no published one to keep.
        EdgeleukError: The recipes are of different magnifications, a training is unfinished or of another
            recipe, or INT8 loses too much.
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
    document = {} if len(recipes) == 2 else published(folder)
    document |= {
        "schema": registry.SCHEMA,
        "magnification": magnification,
        "version": __version__,
        "notice": "Research use only. Not for diagnosis.",
    }
    makers: dict[str, Callable[[Recipe, Path, Path], dict[str, Any]]] = {
        "finder": publish_finder,
        "reader": partial(publish_reader, standards=standards),
    }
    document |= {kind: makers[kind](recipe, runs, work) for kind, recipe in recipes.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for file in (part["file"] for kind in recipes for part in _files_of(document[kind])):
        (work / file).replace(folder / file)
    _write(folder, document, standards, runs)
    return folder


def remeasure(magnification: str, models: Path, runs: Path, standards: Standards) -> Path:
    """Remeasure the figures behind a published reader's verdict.

    Manifest, card and known cells are rewritten; networks, thresholds and all other figures stay. This serves models
    that were published before these figures were measured, and other data to measure them on.

    Args:
        magnification: Magnification of the model, such as "40x".
        models: Folder of the model folders.
        runs: Folder with one subfolder per training.
        standards: Rules and reference values to measure by.

    Returns:
        The model folder.

    Raises:
        ModelMissingError: There is no published model, or a network has not been trained.
    """
    folder = models / magnification
    document = published(folder)
    reader = Reader(reader_manifest(folder, document["reader"]))
    recipe = load_recipe(document["reader"]["recipe"], "reader")
    untempered = Reader(replace(reader.manifest, temperature=1.0))
    work = runs / f"publish-{magnification}"
    evidence = gather(recipe, untempered, runs, work)
    document["version"] = __version__
    document["reader"] |= _familiarity(recipe, reader, evidence, standards.rules, (runs, work))
    document["reader"]["across"] = _across(recipe, runs) or by_laboratory(evidence, reader, standards.rules)
    document["reader"] |= measure_doubts(recipe, reader, evidence, standards.rules, standards.reference)
    for group in standards.rules.groups:
        known = [label for label in group.labels if label in reader.labels]
        if known and group.key in document["reader"]["false_positive_rates"]:
            document["reader"]["false_positive_rates"][group.key]["labels"] = known
    if "known" in document["reader"]:
        file = document["reader"]["known"]["file"]
        (work / file).replace(folder / file)  # when all is measured: the old manifest names the old file
    _write(folder, document, standards, runs)
    return folder


def add_learning(folder: Path, recipe: Recipe, found: Mapping[str, Any], seeds: int) -> None:
    """Add what `teach` and `adapt` gave to a model's manifest and card.

    Args:
        folder: Folder of the published model.
        recipe: Recipe of the networks that were trained without the laboratories.
        found: Figures by laboratory, from `learning.evaluate`.
        seeds: Number of draws of corrected cells.

    Raises:
        ModelMissingError: There is no published model.
    """
    document = published(folder)
    document["learning"] = {
        "recipe": recipe.name,
        "commit": _commit(),
        "seeds": seeds,
        "laboratories": {**document.get("learning", {}).get("laboratories", {}), **found},
    }
    text = json.dumps(document, indent=2) + "\n"
    file_io.write_whole(folder / "model.json", text.encode())
    file_io.write_whole(folder / "README.md", card.card(document).encode())


def _write(folder: Path, document: dict[str, Any], standards: Standards, runs: Path) -> None:
    """Write the manifest and the card.

    Figures on real slides of the objective are measured and added, if there are any.
    """
    manifest_file = folder / "model.json"
    manifest_file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    console.print("measuring on real slides")
    recipe = load_recipe(document["reader"]["recipe"], "reader")
    left_out_folders = left_out_models(recipe, folder, runs, runs / f"publish-{document['magnification']}")
    document["real_slides"] = real_slides(folder, document["magnification"], standards, left_out_folders)
    manifest_file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card.card(document), encoding="utf-8")


def _files_of(part: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the manifest parts that name files.

    They are the part itself, and the head, guard cells and known cells of a reader.
    """
    return [part, *(part[name] for name in ("head", "guard", "known") if name in part)]


def published(folder: Path) -> dict[str, Any]:
    """Read the manifest of a published model.

    Raises:
        ModelMissingError: There is none.
    """
    try:
        document: dict[str, Any] = file_io.read_json(folder / "model.json")
    except (OSError, ValueError) as error:
        raise ModelMissingError(
            f"no published model in {folder} of which a network could stay. Give {option('finder')} and {option('reader')}."
        ) from error
    return document


def publish_finder(recipe: Recipe, runs: Path, work: Path) -> dict[str, Any]:
    """Export and measure the finder.

    Args:
        recipe: Recipe of the finder.
        runs: Folder with one subfolder per training.
        work: Folder in which the network's file is left.

    Returns:
        The finder's part of the manifest.

    Raises:
        ModelMissingError: The network has not been trained.
        EdgeleukError: Its training is unfinished or of another recipe, or INT8 loses too much.
    """
    full = exported(recipe, runs, work)
    part = manifest_part(recipe, quantized(recipe, full))
    part["thresholds"] = finder_operating_point(recipe, Finder(finder_manifest(work, part)))
    part["counted_to"] = counted_to(recipe, Finder(finder_manifest(work, part)))
    measured = finder_manifest(work, part)
    console.print("measuring the finder")
    figures = dict(finder_figures(recipe, Finder(measured)))
    name, full_figures = next(finder_figures(recipe, Finder(replace(measured, path=full))))
    gate(recipe, figures[name], full_figures, ("map50", "map"))
    return {
        **part,
        "figures": figures,
        "figures_fp32": {name: full_figures},
        **origin(recipe, _earlier(recipe)),
    }


def publish_reader(recipe: Recipe, runs: Path, work: Path, standards: Standards) -> dict[str, Any]:
    """Export and measure the reader.

    Args:
        recipe: Recipe of the reader.
        runs: Folder with one subfolder per training.
        work: Folder in which the network's files are left.
        standards: Rules and reference values to measure by.

    Returns:
        The reader's part of the manifest.

    Raises:
        ModelMissingError: A network has not been trained.
        EdgeleukError: A training is unfinished or of another recipe, or INT8 loses too much.
    """
    rules = standards.rules
    full = exported(recipe, runs, work)
    part = manifest_part(recipe, quantized(recipe, full))
    untempered = Reader(reader_manifest(work, part))
    evidence = gather(recipe, untempered, runs, work)
    part |= reader_thresholds(recipe, untempered, evidence.home, rules)
    part |= measure_doubts(recipe, Reader(reader_manifest(work, part)), evidence, rules, standards.reference)
    measured = reader_manifest(work, part)
    console.print("measuring the reader")
    figures = reader_figures(recipe, Reader(measured), rules)
    full_figures = reader_figures(recipe, Reader(replace(measured, path=full)), rules)
    for name in figures:
        gate(recipe, figures[name], full_figures[name], ("accuracy", "attribute_macro_f1"))
    network = build(recipe)
    load_trained(network, recipe, runs)
    probe = source_probe(recipe, Reader(measured), network.eval())
    return {
        **part,
        **({"guard": guard_part(recipe, Reader(measured), work)} if "head" in part else {}),
        **_familiarity(recipe, Reader(measured), evidence, rules, (runs, work)),
        "figures": figures,
        "figures_fp32": full_figures,
        "source_probe": probe,
        "lineage": lineage(recipe, Reader(measured)),
        "across": _across(recipe, runs) or by_laboratory(evidence, Reader(measured), rules),
        **origin(recipe, _earlier(recipe)),
    }


def _familiarity(
    recipe: Recipe, reader: Reader, evidence: Evidence, rules: Rules, folders: tuple[Path, Path]
) -> dict[str, Any]:
    """Return the entries on unfamiliar slides.

    Empty for a reader without a separate head; without errors elsewhere if no laboratory was left out. `folders`: of the
    trainings, and for the file.
    """
    if reader.head is None:
        return {}
    console.print("measuring how familiar laboratories are")
    part = {"known": known_part(recipe, reader, *folders)}
    if evidence.foreign.any():
        part["unknown_laboratory"] = unknown_laboratory(reader, evidence, rules)
    return part


def _across(recipe: Recipe, runs: Path) -> Any:
    """Return the figures on left-out laboratories, if measured."""
    path = runs / f"across-{recipe['publish'].get('across_by', recipe.name)}" / ACROSS
    return file_io.read_json(path) if path.is_file() else None


def gate(recipe: Recipe, small: dict[str, Any], full: dict[str, Any], keys: tuple[str, ...]) -> None:
    """Refuse a network that loses too much by quantization.

    The recipe sets the maximum loss.
    """
    for key in keys:
        if full[key] is None or small[key] is None:
            continue
        loss = full[key] - small[key]
        console.print(f"{key}: INT8 {small[key]:.4f}, FP32 {full[key]:.4f}")
        if loss > recipe["quantize"]["max_loss"]:
            raise EdgeleukError(
                f"INT8 loses {loss:.4f} of {key}, more than {recipe['quantize']['max_loss']}. "
                "Try another method or keep_float in [quantize]."
            )


def origin(recipe: Recipe, earlier: Iterable[Recipe]) -> dict[str, Any]:
    """Return what the manifest says of a network's training.

    Args:
        recipe: Recipe of the network.
        earlier: Recipes that the training went on from, the last one first.
    """
    return {
        "recipe": recipe.name,
        "recipe_digest": recipe.digest,
        "seed": recipe["train"]["seed"],
        "commit": _commit(),
        "licence_note": recipe["publish"]["licence_note"],
        "limits": recipe["publish"]["limits"],
        "data": recipe["data"],
        "learnt_slides": list(recipe.sections.get("bags", {}).get("names", ())),
        "earlier": [{"recipe": each.name, "data": each["data"]} for each in earlier],
        "quantization": recipe["quantize"],
    }


def _earlier(recipe: Recipe) -> Iterator[Recipe]:
    """Yield the recipes that the training went on from.

    The last one comes first.
    """
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
