"""What publishing measures on real slides of the model's objective, beside the simulated ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeleuk import zoo
from edgeleuk.evaluation.datasets import data_root
from edgeleuk.evaluation.slides import evaluate_slides, load_slides
from edgeleuk.pipeline import Analyser
from edgeleuk.rules import Reference, Rules

SLIDES = {"40x": "lld40x.json"}
"""By objective, the file under `slides/` with slides that were really taken through it."""


def real_slides(
    folder: Path, magnification: str, rules: Rules, reference: Reference
) -> dict[str, Any] | None:
    """Count the real slides of an objective with the model in `folder`; None where there are none."""
    if magnification not in SLIDES:
        return None
    table = data_root() / "slides" / SLIDES[magnification]
    samples = load_slides(table, data_root() / "slides" / "images")
    analyser = Analyser(zoo.load_folder(folder), refusing=True)
    report = evaluate_slides(analyser, samples, rules, reference)
    document = report.as_json()
    for slide in document["slides"].values():
        # The reasons name cells of files that only this machine has.
        slide["verdict"] = {name: slide["verdict"][name] for name in ("code", "text")}
    return {"of": table.stem, **document}
