"""Objective through which a recipe's images are seen."""

from __future__ import annotations

from edgeleuk.imaging.objectives import Objective, objective
from edgeleuk.lab.evaluation.cells import CellLoader, read_cell
from edgeleuk.lab.evaluation.objectives import virtual_cells
from edgeleuk.lab.training.recipe import Recipe


def lens_of(recipe: Recipe) -> Objective | None:
    """Return the objective that a recipe simulates.

    None if its images stay as they were taken.
    """
    virtual = recipe.sections.get("virtual")
    return objective(virtual["objective"]) if virtual else None


def cell_loader_of(recipe: Recipe) -> CellLoader:
    """Return the function that reads a recipe's cells.

    It shows them as they were taken, or through the recipe's objective.
    """
    return through(lens_of(recipe), read_cell)


def through(lens: Objective | None, load_cell: CellLoader) -> CellLoader:
    """Wrap `load_cell` by an objective, if there is one."""
    return load_cell if lens is None else virtual_cells(lens, load_cell)
