"""Models as tables for a terminal and as plain values."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeleuk.errors import ModelError
from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.models.registry import BUILTIN, Model
from edgeleuk.models.updates import Version
from edgeleuk.system.wording import command, option
from edgeleuk.types import spoken


def summary(model: Model, installed: Sequence[Version] = ()) -> dict[str, Any]:
    """Return one model as a JSON object.

    `installed`: installed versions of its magnification.
    """
    return {
        "magnification": model.magnification,
        "version": model.version,
        "folder": str(model.folder),
        "classes": list(model.finder.classes),
        "types": list(model.reader.labels),
        "attributes": list(model.reader.attributes),
        "bytes": sum(path.stat().st_size for path in model.files if path.exists()),
        "derived_from": [step["version"] for step in model.lineage],
        "installed": [asdict(version) for version in installed],
    }


def listing(models: Sequence[Model], roots: Iterable[Path]) -> RenderableType:
    """Return a row per magnification."""
    if not models:
        return Text(
            f"No models in {' or '.join(map(str, roots))}. Install the package again, or set EDGELEUK_MODELS."
        )
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("magnification", "version", "finds", "types", "attributes", "MB"):
        table.add_column(name, justify="right" if name in ("types", "attributes", "MB") else "left")
    for model in models:
        row = summary(model)
        counts = (str(len(row["types"])), str(len(row["attributes"])), f"{row['bytes'] / 1e6:.1f}")
        table.add_row(row["magnification"], row["version"], ", ".join(row["classes"]), *counts)
    return table


def versions(installed: Mapping[str, Sequence[Version]], shipped: Container[str]) -> RenderableType:
    """Return a row per installed or shipped version.

    A model that came with the program is listed beside installed versions of its magnification.
    """
    table = Table(box=box.SIMPLE_HEAD, title="Installed", title_justify="left", title_style="bold")
    for name in ("magnification", "version", "in use", "signed", "state"):
        table.add_column(name, overflow="fold")
    for magnification, found in installed.items():
        if found and magnification in shipped:
            used = "" if any(version.in_use for version in found) else "yes"
            table.add_row(magnification, BUILTIN, used, "", "came with the program")
        for version in found:
            state = Text("altered: see models verify", style="red") if version.problem else "whole"
            yes = ("yes" if holds else "" for holds in (version.in_use, version.signed))
            table.add_row(magnification, version.version, *yes, state)
    return table


def card(model: Model) -> RenderableType:
    """Return a model's knowledge, figures and origin.

    What it knows, how well, and where that was measured.

    Raises:
        ModelError: Figures or origin are not as `publish` writes them. Reading a manifest does not check
            them, as a count needs neither.
    """
    try:
        return Group(*_parts(model))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"the figures or the origin in {model.folder / 'model.json'} cannot be shown: {error!r}. Compare them with "
            f"those of a model that ships: `{command('models show')} {option('json')}`."
        ) from error


def _parts(model: Model) -> list[RenderableType]:
    finder, reader = model.finder, model.reader
    return [
        Text(f"{model.magnification} model, version {model.version}, in {model.folder}", style="bold"),
        _facts("Finder", {
            "scale": f"{finder.um_per_px} um per px",
            "finds": ", ".join(f"{name} from {finder.thresholds[name]:.2f}" for name in finder.classes),
            **_origin(finder.raw),
        }),
        _facts("Reader", {
            "scale": f"{reader.um_per_px} um per px, {reader.size} px",
            "types": ", ".join(map(spoken, reader.labels)),
            "attributes": ", ".join(name.replace("_", " ") for name in reader.attributes),
            "not recognised": f"under {reader.threshold:.2f}",
            **_optional(reader),
            **_origin(reader.raw),
        }),
        *_lineage(model.lineage),
        _figures(finder.raw.get("figures", {}), ("map50", "map"), "Finder on"),
        _figures(reader.raw.get("figures", {}), ("accuracy", "accuracy5", "attribute_macro_f1"), "Reader on"),
        *_real_slides(model.real_slides),
    ]  # fmt: skip


def _real_slides(real: Mapping[str, Any] | None) -> Iterator[RenderableType]:
    """Yield the figures on real slides.

    Those were really taken with the objective.
    """
    if not real:
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("Real slides", "white", "recognised", "led by", "read", "blast-like", "read"):
        table.add_column(name, justify="left" if name in ("Real slides", "led by") else "right")
    for name, each in real["slides"].items():
        unsure, led, blasts = each["not_recognised"], each["leading"], each["blast_like"]
        table.add_row(
            name,
            str(unsure["of"]),
            "–" if unsure["share"] is None else f"{1 - unsure['share']:.0%}",
            *((led[side] or "nothing").replace("_", " ") for side in ("annotated", "predicted")),
            *("–" if blasts[s] is None else f"{blasts[s]:.0f} %" for s in ("annotated", "predicted")),
        )
    yield table
    yield Text(
        f"{_read_by(real)} Figures above them are of single cells, and at 40x and 10x of pictures through a simulated "
        "objective.",
        style="dim",
    )


def _read_by(real: Mapping[str, Any]) -> str:
    """Return a sentence on the reader's training data.

    It says whether the readers of the real slides had learnt anything of the patients.
    """
    slides = f"Real slides ({real['of']})"
    if any(each.get("learnt") for each in real["slides"].values()):
        return f"{slides} are of patients whose counts the reader learnt."
    return f"{slides} were each read by a reader that learnt nothing of the patient."


def _lineage(steps: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    """Yield a table per ancestor, the parent first."""
    for step in steps:
        changed = step.get("changed", {})
        what = [f"{part}: {', '.join(changed[part])}" for part in ("finder", "reader") if changed.get(part)]
        what += [f"network of the {name}" for name in changed.get("networks", ())]
        yield _facts(f"Derived from the {step['magnification']} model, version {step['version']}", {
            "why": step["reason"],
            "changed": "; ".join(what) or "nothing but the version",
            "data": step["data"] or "none",
            "at": step["at"],
            "SHA-256": str(step.get("manifest_sha256", "unknown")),
        })  # fmt: skip
    if steps:
        yield Text("Figures are as they were measured of the model that was trained.", style="dim")


def _optional(reader: ReaderManifest) -> dict[str, str]:
    """Return facts that only some readers have."""
    facts = {}
    if reader.types != reader.labels:
        printed = (
            (label, [name for name in reader.types if reader.printed[name] == label])
            for label in reader.labels
        )
        finer = (f"{label}: {', '.join(names)}" for label, names in printed if names != [label])
        facts["tells apart"] = "; ".join(finer).replace("_", " ")
    if reader.head:
        facts["head"] = reader.head.path.name
    if reader.subtypes:
        levels = (f"{label}: {', '.join(reader.attributes[name])}" for label, name in reader.subtypes.items())
        facts["second level"] = "; ".join(levels)
    if reader.confusion:
        facts["corrected by"] = f"its confusion on {reader.confusion.of}"
    return facts


def _origin(raw: Mapping[str, Any]) -> dict[str, str]:
    return {
        "recipe": f"{raw.get('recipe', 'unknown')}, commit {raw.get('commit', 'unknown')}",
        "SHA-256": str(raw["sha256"]),
        "data": str(raw.get("licence_note", "unknown")),
    }


def _facts(title: str, facts: Mapping[str, str]) -> Table:
    table = Table(
        box=None, title=title, title_justify="left", title_style="bold", show_header=False, width=78
    )
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, value)
    return table


def _figures(figures: Mapping[str, Mapping[str, Any]], keys: Sequence[str], title: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(title)
    table.add_column("n", justify="right")
    for key in keys:
        table.add_column(key.replace("_", " "), justify="right")
    for data, values in figures.items():
        numbers = (values.get(key) for key in keys)
        shown = ("–" if number is None else f"{number:.3f}" for number in numbers)
        table.add_row(data, str(values.get("n", values.get("images", ""))), *shown)
    return table
