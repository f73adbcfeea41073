"""Evaluation on real slides of the model's objective.

Publishing adds it to the figures on simulated ones.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.differential.rules import Standards
from edgeleuk.lab.evaluation.datasets import data_root
from edgeleuk.lab.evaluation.slides import SlidesReport, evaluate_slides, load_slides
from edgeleuk.lab.training.export import exported, manifest_part, quantized
from edgeleuk.lab.training.recipe import Recipe, without
from edgeleuk.models import registry
from edgeleuk.system import file_io

SLIDES = {"40x": "lld40x.json"}
"""Table of real slides under `slides/`, by objective."""


def real_slides(
    folder: Path, magnification: str, standards: Standards, left_out_folders: Mapping[str, Path] | None = None
) -> dict[str, Any] | None:
    """Evaluate a model on its objective's real slides.

    Args:
        folder: Folder of the model.
        magnification: Magnification of the objective, such as "40x".
        standards: Rules and reference values to measure by.
        left_out_folders: For slides that the model's reader learnt from, the model folder of a reader that did not.

    Returns:
        The report as JSON, in which a slide whose counts were learnt has "learnt" true; None if there are no
        slides of the objective.
    """
    if magnification not in SLIDES:
        return None
    table = data_root() / "slides" / SLIDES[magnification]
    parts = {}
    learnt = registry.load_folder(folder).reader.raw.get("learnt_slides", [])
    for sample in load_slides(table, data_root() / "slides" / "images"):
        used = (left_out_folders or {}).get(sample.name, folder)
        analyser = Analyser(registry.load_folder(used), refusing=True)
        report = evaluate_slides(analyser, [sample], standards.rules, standards.reference)
        parts[sample.name] = report.slides[sample.name]
    document = SlidesReport(parts).as_json()
    for name, slide in document["slides"].items():
        # The reasons name cells in files that exist only on this machine.
        slide["verdict"] = {key: slide["verdict"][key] for key in ("code", "text")}
        slide["learnt"] = name in learnt and name not in (left_out_folders or {})
    return {"of": table.stem, **document}


def left_out_models(recipe: Recipe, folder: Path, runs: Path, work: Path) -> dict[str, Path]:
    """Create a model folder for each left-out slide.

    Its reader was trained without the slide. Everything but the reader's network and head is that of the
    model in `folder`, thresholds included.

    Args:
        recipe: Recipe of the published reader.
        folder: Folder of the published model.
        runs: Folder with one subfolder per training.
        work: Folder for the model folders.

    Returns:
        Model folders by slide of the recipe's bags; slides without such a training are skipped.
    """
    found = {}
    for slide in recipe.sections.get("bags", {}).get("names", ()):
        own = without(recipe, [slide])
        if not (runs / own.name / "checkpoint.pt").is_file():
            continue
        made = work / own.name
        made.mkdir(parents=True, exist_ok=True)
        document = file_io.read_json(folder / "model.json")
        shutil.copy(folder / document["finder"]["file"], made)
        part = manifest_part(own, quantized(own, exported(own, runs, made)))
        document["reader"] |= {name: part[name] for name in ("sha256", "head")}
        for name in ("guard", "known"):  # features of the published network
            document["reader"].pop(name, None)
        (made / "model.json").write_text(json.dumps(document), encoding="utf-8")
        found[slide] = made
    return found
