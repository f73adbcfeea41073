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
from edgeleuk.render._words import spoken
from edgeleuk.system.language import _, figure, msgid, word
from edgeleuk.system.wording import command, option


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
        places = _(" or ").join(map(str, roots))
        text = _("No models in {places}. Install the package again, or set EDGELEUK_MODELS.")
        return Text(text.format(places=places))
    table = Table(box=box.SIMPLE_HEAD)
    for name in (_("objective"), _("version"), _("finds")):
        table.add_column(name)
    for name in (_("types"), _("attributes"), _("MB")):
        table.add_column(name, justify="right")
    for model in models:
        row = summary(model)
        counts = (str(len(row["types"])), str(len(row["attributes"])), figure(f"{row['bytes'] / 1e6:.1f}"))
        finds = _(", ").join(map(word, row["classes"]))
        table.add_row(row["magnification"], row["version"], finds, *counts)
    return table


def versions(installed: Mapping[str, Sequence[Version]], shipped: Container[str]) -> RenderableType:
    """Return a row per installed or shipped version.

    A model that came with the program is listed beside installed versions of its magnification.
    """
    table = Table(box=box.SIMPLE_HEAD, title=_("Installed"), title_justify="left", title_style="bold")
    for name in (_("objective"), _("version"), _("in use"), _("signed"), _("state")):
        table.add_column(name, overflow="fold")
    for magnification, found in installed.items():
        if found and magnification in shipped:
            used = "" if any(version.in_use for version in found) else _("yes")
            table.add_row(magnification, BUILTIN, used, "", _("came with the program"))
        for version in found:
            state = Text(_("altered: see `models verify`"), style="red") if version.problem else _("whole")
            yes = (_("yes") if holds else "" for holds in (version.in_use, version.signed))
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
            msgid(
                "the figures or the origin in {path} cannot be shown: {error}. Compare them with those of a model that"
                " ships: `{models_show} {json}`."
            ).format(
                path=model.folder / "model.json",
                error=repr(error),
                models_show=command("models show"),
                json=option("json"),
            )
        ) from error


def _parts(model: Model) -> list[RenderableType]:
    finder, reader = model.finder, model.reader
    return [
        Text(
            _("{objective} model, version {version}, in {folder}").format(
                objective=model.magnification, version=model.version, folder=model.folder
            ),
            style="bold",
        ),
        _facts(_("Finder"), {
            _("scale"): _("{x} um per px").format(x=figure(str(finder.um_per_px))),
            _("finds"): _(", ").join(
                _("{name} from {threshold}").format(name=word(name), threshold=_hundredths(finder.thresholds[name]))
                for name in finder.classes
            ),
            **_origin(finder.raw),
        }),
        _facts(_("Reader"), {
            _("scale"): f"{_('{x} um per px').format(x=figure(str(reader.um_per_px)))}{_(', ')}{reader.size} px",
            _("types"): _(", ").join(map(spoken, reader.labels)),
            _("attributes"): _(", ").join(map(spoken, reader.attributes)),
            _("not recognised"): _("under {threshold}").format(threshold=_hundredths(reader.threshold)),
            **_optional(reader),
            **_origin(reader.raw),
        }),
        *_lineage(model.lineage),
        _figures(finder.raw.get("figures", {}), ("map50", "map"), _("Finder on")),
        _figures(reader.raw.get("figures", {}), ("accuracy", "accuracy5", "attribute_macro_f1"), _("Reader on")),
        *_real_slides(model.real_slides),
    ]  # fmt: skip


def _hundredths(value: float) -> str:
    return figure(f"{value:.2f}")


def _real_slides(real: Mapping[str, Any] | None) -> Iterator[RenderableType]:
    """Yield the figures on real slides.

    Those were really taken with the objective.
    """
    if not real:
        return
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(_("Real slides"))
    for name in (_("white"), _("recognised")):
        table.add_column(name, justify="right")
    table.add_column(_("led by"))
    for name in (_("read"), _("blast-like"), _("read")):
        table.add_column(name, justify="right")
    for name, each in real["slides"].items():
        unsure, led, blasts = each["not_recognised"], each["leading"], each["blast_like"]
        table.add_row(
            name,
            str(unsure["of"]),
            "–" if unsure["share"] is None else figure(f"{1 - unsure['share']:.0%}"),
            *(spoken(led[side]) if led[side] else _("nothing") for side in ("annotated", "predicted")),
            *("–" if blasts[s] is None else f"{blasts[s]:.0f} %" for s in ("annotated", "predicted")),
        )
    yield table
    yield Text(
        f"{_read_by(real)} "
        + _(
            "Figures above them are of single cells, and at 40x and 10x of pictures through a simulated objective."
        ),
        style="dim",
    )


def _read_by(real: Mapping[str, Any]) -> str:
    """Return a sentence on the reader's training data.

    It says whether the readers of the real slides had learnt anything of the patients.
    """
    if any(each.get("learnt") for each in real["slides"].values()):
        text = _("Real slides ({of}) are of patients whose counts the reader learnt.")
    else:
        text = _("Real slides ({of}) were each read by a reader that learnt nothing of the patient.")
    return text.format(of=real["of"])


def _lineage(steps: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    """Yield a table per ancestor, the parent first."""
    for step in steps:
        changed = step.get("changed", {})
        parts = {"finder": _("finder"), "reader": _("reader")}
        what = [
            f"{name}{_(': ')}{_(', ').join(changed[part])}"
            for part, name in parts.items()
            if changed.get(part)
        ]
        what += [
            _("network of the {name}").format(name=parts.get(name, name))
            for name in changed.get("networks", ())
        ]
        title = _("Derived from the {objective} model, version {version}")
        yield _facts(title.format(objective=step["magnification"], version=step["version"]), {
            _("why"): step["reason"],
            _("changed"): _("; ").join(what) or _("nothing but the version"),
            _("data"): step["data"] or _("none"),
            _("at"): step["at"],
            "SHA-256": str(step.get("manifest_sha256", _("unknown"))),
        })  # fmt: skip
    if steps:
        yield Text(_("Figures are as they were measured of the model that was trained."), style="dim")


def _optional(reader: ReaderManifest) -> dict[str, str]:
    """Return facts that only some readers have."""
    facts = {}
    if reader.types != reader.labels:
        printed = (
            (label, [name for name in reader.types if reader.printed[name] == label])
            for label in reader.labels
        )
        finer = (_level(label, names) for label, names in printed if names != [label])
        facts[_("tells apart")] = _("; ").join(finer)
    if reader.head:
        facts[_("head")] = reader.head.path.name
    if reader.subtypes:
        levels = (_level(label, reader.attributes[name]) for label, name in reader.subtypes.items())
        facts[_("second level")] = _("; ").join(levels)
    if reader.confusion:
        facts[_("corrected by")] = _("its confusion on {of}").format(of=reader.confusion.of)
    return facts


def _level(label: str, names: Iterable[str]) -> str:
    return f"{spoken(label)}{_(': ')}{_(', ').join(map(spoken, names))}"


def _origin(raw: Mapping[str, Any]) -> dict[str, str]:
    return {
        _("recipe"): _("{recipe}, commit {commit}").format(
            recipe=raw.get("recipe", _("unknown")), commit=raw.get("commit", _("unknown"))
        ),
        "SHA-256": str(raw["sha256"]),
        _("data"): str(raw.get("licence_note", _("unknown"))),
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
        table.add_column(word(key.replace("_", " ")), justify="right")
    for data, values in figures.items():
        numbers = (values.get(key) for key in keys)
        shown = ("–" if number is None else figure(f"{number:.3f}") for number in numbers)
        table.add_row(data, str(values.get("n", values.get("images", ""))), *shown)
    return table
