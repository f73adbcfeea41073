"""Recipes of models.

A recipe holds the settings and the seed that make a model. Each is a TOML file under `recipes/`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeleuk.errors import InputError, UsageError
from edgeleuk.models import manifest
from edgeleuk.models.manifest import Density
from edgeleuk.system import file_io

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe's name, sections and digest.

    A checkpoint holds the digest of its recipe.
    """

    name: str
    sections: dict[str, Any]
    digest: str

    def __getitem__(self, section: str) -> Any:
        try:
            return self.sections[section]
        except KeyError as error:
            raise InputError(
                f"recipe {self.name} has no [{section}]. It needs one; see {RECIPES}."
            ) from error


def load_recipe(name: str, kind: str | None = None) -> Recipe:
    """Load a recipe by name or path.

    `name` is that of a shipped recipe, or the path of a TOML file. `kind` is "finder" or "reader"; None
    accepts both.

    Raises:
        UsageError: There is no such recipe, or it is of the other kind.
        InputError: The file cannot be read, holds a date or a time, or names no kind of model.
    """
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    if not file_io.is_regular(path):
        shipped = ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
        raise UsageError(
            f"no recipe {name}. Recipes here: {shipped}. Use one of these, or the path of a .toml file."
        )
    try:
        sections = file_io.read_toml(path)
    except (OSError, file_io.UnreadableError) as error:
        raise InputError(
            f"cannot read {path}: {file_io.plain(error)}. See {RECIPES} for what a recipe is."
        ) from error
    try:
        digest = _training_digest(sections)
    except TypeError as error:
        raise InputError(
            f"{path} holds a date or a time, which no setting of a recipe is. Remove it."
        ) from error
    recipe = Recipe(path.stem, sections, digest)
    model = sections.get("model")
    own = model.get("kind") if isinstance(model, dict) else None
    if own not in ("finder", "reader"):
        raise InputError(f'{path} says no kind of model. Write kind = "finder" or "reader" under [model].')
    if kind and own != kind:
        raise UsageError(f"recipe {name} is of a {own}, not of a {kind}. Use `train {own}`.")
    return recipe


def density_of(recipe: Recipe) -> Density | None:
    """Return the density normalisation of a reader's crops.

    It is the recipe's [model.density], else the default of manifests; None if crops are not normalised.
    """
    model = recipe["model"]
    if "normalise" not in model:
        return None
    return Density(**model["density"]) if "density" in model else manifest.DENSITY


def without(recipe: Recipe, laboratories: Collection[str]) -> Recipe:
    """Return the recipe without some laboratories or slides.

    The slides are those of its bags. The reader of this recipe shows how a reader performs in a laboratory
    that it never saw. The settings `across_train` of [publish] replace those of its training. It starts from
    the network of the recipe `across_start` that was trained without these laboratories, perhaps among others.

    Raises:
        UsageError: The recipe does not learn from one of the names.
    """
    data = recipe["data"]
    known = {*data["sources"], *data.get("fields", {}), *recipe.sections.get("bags", {}).get("names", ())}
    if unknown := sorted({*laboratories} - known):
        raise UsageError(
            f"recipe {recipe.name} does not learn from {unknown[0]}. It learns from: {', '.join(sorted(known))}."
        )
    left = {**data, "left_out": sorted(laboratories)}
    suffix = f"-without-{'-'.join(left['left_out'])}".replace(" ", "").lower()
    publish = recipe["publish"]
    train = recipe["train"] | publish.get("across_train", {})
    start = (
        {"start": _start_without(publish["across_start"], left["left_out"])}
        if "across_start" in publish
        else {}
    )
    sections = {**recipe.sections, "data": left, "train": train, "model": recipe["model"] | start}
    name = recipe.name + suffix
    return replace(recipe, name=name, sections=sections, digest=_training_digest(sections))


def _start_without(name: str, laboratories: Sequence[str]) -> str:
    """Return the name of a network that never saw some laboratories.

    Args:
        name: Recipe whose [publish] names the groups that its networks left out.
        laboratories: Names that one of these groups must hold.

    Raises:
        UsageError: No group does.
    """
    base = load_recipe(name)
    for group in base["publish"].get("across", ()):
        if {*laboratories} <= {*group}:
            return without(base, group).name
    raise UsageError(
        f"recipe {name} has no network without {', '.join(laboratories)}. Add them to its `across`."
    )


def left_outs(recipe: Recipe) -> list[Recipe]:
    """Return the left-out variants of a recipe.

    They are the recipe without each group of laboratories that its [publish] names as `across`, and without
    each slide of its bags. If `across_by` names another recipe, the networks of that recipe stand for the
    groups.
    """
    publish = recipe["publish"]
    groups = [] if "across_by" in publish else publish.get("across", [])
    slides = [[name] for name in recipe.sections.get("bags", {}).get("names", ())]
    return [without(recipe, each) for each in (*groups, *slides)]


def learns_from(recipe: Recipe, laboratory: str) -> bool:
    """Return whether a recipe learns from a laboratory.

    False if the laboratory is left out, see `without`.
    """
    return laboratory not in recipe["data"].get("left_out", ())


def head_sizes(recipe: Recipe) -> list[int]:
    """Return the output sizes of a reader's heads.

    The first head is that of the types, then follow those of the attributes.
    """
    return [len(recipe["model"]["labels"]), *(len(values) for values in recipe["attributes"].values())]


def told_by_label(recipe: Recipe) -> Mapping[str, Mapping[str, str]]:
    """Return the attributes implied by annotators' type names.

    Only attributes of the recipe are returned, see `ReaderManifest.told_by_label`.
    """
    told: Mapping[str, Mapping[str, str]] = recipe["data"].get("told_by_label", manifest.TOLD_BY_LABEL)
    return {name: values for name, values in told.items() if name in recipe["attributes"]}


def is_aside(recipe: Recipe, group: str) -> bool:
    """Return whether a group is kept aside for thresholds.

    The recipe's [data] names such groups as `aside`, or says as `held_out` which share of all they are.
    """
    data = recipe["data"]
    return group in data["aside"] if "aside" in data else held_out(group, data["held_out"])


def changed(recipe: Recipe, name: str, sections: Mapping[str, Mapping[str, Any]]) -> Recipe:
    """Return a recipe of another name with changed settings.

    Args:
        recipe: Recipe to start from.
        name: Name of the new one.
        sections: Settings by section; those that are not named stay.
    """
    new = dict(recipe.sections)
    for section, settings in sections.items():
        new[section] = {**new.get(section, {}), **settings}
    return Recipe(name, new, _training_digest(new))


def _training_digest(sections: dict[str, Any]) -> str:
    """Hash the sections that shape a training.

    How a network is quantized and published later does not change which checkpoint it has.
    """
    shaping = {name: values for name, values in sections.items() if name not in ("quantize", "publish")}
    return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()[:16]


def held_out(group: str, share: float) -> bool:
    """Return whether training images are kept aside.

    The images of a `group` are kept aside together, to choose thresholds on. The answer is the same on every
    machine.
    """
    return int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF < share
