"""A lesson: from labelled cells to what a new model has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeleuk.adaptation import rates
from edgeleuk.adaptation.adapting import Adapted, Views, adapted
from edgeleuk.adaptation.cells import NOTHING, TURNS, Cells, TaughtCell, guarding, seen
from edgeleuk.adaptation.fields import UnlabelledCells
from edgeleuk.adaptation.flagging import Flag, flags_of, with_flags
from edgeleuk.adaptation.teaching import Taught, Teacher
from edgeleuk.adaptation.writing import NewReader, guard_of, without_figures
from edgeleuk.differential.rules import Reference
from edgeleuk.errors import UsageError
from edgeleuk.models.heads import Head
from edgeleuk.models.manifest import FLAG_VALUES, ReaderManifest
from edgeleuk.models.microscope import Microscope
from edgeleuk.models.registry import Model
from edgeleuk.networks.reader import Reader

MEASURED_ON = "cells taught and guard cells, each read by a head that was fitted without it"
OF_PARENT_MODEL = "read by the model that it was adapted from"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Facts of the cells, and what their figures are compared with."""

    um_per_px: float | None
    """Scale of the camera's pictures; None if unknown."""
    profile: str
    """Device profile; empty if none."""
    reference: Reference


@dataclass(frozen=True, slots=True)
class Lesson:
    """Result of teaching a model."""

    new: NewReader | None
    """What the new model has; None if nothing is adopted."""
    refused: str
    """Why nothing is adopted, a clause; empty if something is."""
    figures: Mapping[str, Any]
    remarks: tuple[str, ...] = ()
    """What was not adopted, a sentence each."""


def taught(model: Model, reader: Reader, cells: Sequence[TaughtCell], circumstances: Circumstances) -> Lesson:
    """Teach a model's reader.

    Args:
        model: Parent model.
        reader: Its reader.
        cells: Labelled cells, one at least.
        circumstances: Facts of the cells.

    Raises:
        UsageError: A new kind has the name of an attribute.
        ModelError: The model has no head or no guard cells.
    """
    manifest, guard = model.reader, guarding(guard_of(model), model.reader)
    every = seen(reader, cells, circumstances.um_per_px, circumstances.profile)
    for kind in {*np.array(every.kinds)[every.labels == NOTHING].tolist()} & {*manifest.attributes}:
        raise UsageError(f"{kind} is an attribute of the model already. Give the new kind another name.")
    head = reader.head
    assert head is not None  # `guard_of` required it
    own = every.where(every.labels != NOTHING)
    result = _types(manifest, head, own, guard)
    flags = list(flags_of(every, guard))
    adopted = [flag for flag in flags if not flag.refused]
    figures = {
        **(result.figures if result else {}),
        **({"flags": {flag.kind: dict(flag.figures) for flag in flags}} if flags else {}),
    }
    why_not = [result.refused] if result and result.refused else []
    why_not += [flag.refused for flag in flags if flag.refused]
    if not adopted and (result is None or result.refused):
        return Lesson(None, "; ".join(why_not), figures)
    patch: dict[str, Any] = {
        "taught": figures,
        "microscope": _microscope(every),
        "input": {**manifest.raw["input"], "views": TURNS},
    }
    if result and not result.refused:
        patch |= _of_types(result, manifest, len(own), circumstances.reference)
        head = result.head
    patch |= _of_flags(adopted, manifest)
    changed = [*(result.types if result and not result.refused else ()), *(flag.kind for flag in adopted)]
    new = NewReader(
        with_flags(head, adopted) if adopted else head,
        patch,
        f"taught: {', '.join(changed)}",
        f"{len(every)} cells of {every.slides} slide{'s' if every.slides > 1 else ''}",
        learnt=[own.features[own.labels == label] for label in np.unique(own.labels)],
    )
    return Lesson(new, "", figures, tuple(f"{reason}." for reason in why_not))


def adapted_to(model: Model, reader: Reader, found: UnlabelledCells) -> Lesson:
    """Adapt a model's reader to a microscope.

    Args:
        model: Parent model.
        reader: Its reader.
        found: White cells of the microscope's fields.

    Raises:
        ModelError: The model has no head or no guard cells.
    """
    manifest, guard = model.reader, guarding(guard_of(model), model.reader)
    assert reader.head is not None  # `guard_of` required it
    result = adapted(manifest, reader.head, guard, Views.of(reader, found.crops))
    figures = {**result.figures, "fields": found.fields}
    if result.refused:
        return Lesson(None, result.refused, figures)
    patch = of_adaptation(manifest, result, found.microscope) | {"adapted": figures}
    data = f"{len(found.crops)} unlabelled cells of {found.fields} fields"
    return Lesson(
        NewReader(result.head, patch, "adapted: types fitted to labels by likeness", data), "", figures
    )


def of_adaptation(manifest: ReaderManifest, result: Adapted, microscope: Microscope) -> dict[str, Any]:
    """Return the entries of a manifest that an adaptation changes.

    Without labels no error rates can be measured: those of the parent stay, and the manifest says whose they are.

    Args:
        manifest: Parent reader.
        result: The adaptation.
        microscope: Microscope of the cells.
    """
    of = manifest.raw.get("false_positives_of", "")
    return {
        **without_figures(manifest),
        "temperature": result.temperature,
        "false_positives_of": f"{of}, {OF_PARENT_MODEL}" if of else OF_PARENT_MODEL,
        "microscope": microscope.as_json(),
    }


def _types(manifest: ReaderManifest, head: Head, cells: Cells, guard: Cells) -> Taught | None:
    return Teacher(manifest, head, cells, guard).taught() if len(cells) else None


def _of_types(result: Taught, manifest: ReaderManifest, cells: int, reference: Reference) -> dict[str, Any]:
    """Return the entries of a manifest that follow from newly fitted types."""
    score = result.held_out
    assert score is not None  # of every head that is adopted
    is_taught = np.arange(len(score.truth)) < cells
    after = result.figures["corrected_cells"]["after"]
    figures = {
        "cells taught, cross-validated": {name: after[name] for name in ("n", "accuracy", "mean_recall")}
    }
    return {
        **without_figures(manifest),
        "temperature": result.temperature,
        "threshold": result.threshold,
        **rates.measured(score, result.threshold, manifest, MEASURED_ON),
        "healthy": rates.healthy(score, result.threshold, manifest, is_taught, reference),
        "figures": figures,
    }


def _of_flags(flags: Sequence[Flag], manifest: ReaderManifest) -> dict[str, Any]:
    if not flags:
        return {}
    return {
        "attributes": dict(manifest.raw["attributes"]) | {flag.kind: list(FLAG_VALUES) for flag in flags},
        "attribute_thresholds": dict(manifest.raw["attribute_thresholds"])
        | {flag.kind: flag.threshold for flag in flags},
        "flags": [*manifest.flags, *(flag.kind for flag in flags)],
    }


def _microscope(cells: Cells) -> dict[str, Any]:
    assert cells.microscope is not None  # `seen` measured it
    return cells.microscope.as_json()
