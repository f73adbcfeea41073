"""Through which objective a recipe's pictures are seen."""

from __future__ import annotations

from edgeleuk.evaluation.cells import Look, read_cell
from edgeleuk.evaluation.virtual import virtual_cells
from edgeleuk.microscope import Objective, objective
from edgeleuk.training.recipe import Recipe


def lens_of(recipe: Recipe) -> Objective | None:
    """The objective that a recipe's pictures go through; None where they stay as they were taken."""
    virtual = recipe.sections.get("virtual")
    return objective(virtual["objective"]) if virtual else None


def look_of(recipe: Recipe) -> Look:
    """How the recipe's cells look: as they are, or through its objective."""
    return through(lens_of(recipe), read_cell)


def through(lens: Objective | None, look: Look) -> Look:
    """A way to look at cells, through an objective where there is one."""
    return look if lens is None else virtual_cells(lens, look)
