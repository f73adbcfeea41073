"""SECURITY.md: every hazard has what prevents it and a test that proves it, and that test exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DOCUMENT = TESTS.parent / "SECURITY.md"
REFERENCE = re.compile(r"`(test_\w+)::(test_\w+)`")
pytestmark = pytest.mark.skipif(not DOCUMENT.is_file(), reason="this comes with a checkout")


def rows() -> list[list[str]]:
    """The cells of each row of the table of hazards, its head left out; none where there is no document."""
    if not DOCUMENT.is_file():
        return []
    lines = DOCUMENT.read_text(encoding="utf-8").split("## What can go wrong")[1].splitlines()
    table = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in table[2:]]


def hazards() -> list[list[str]]:
    """Without the rows that are headings."""
    return [row for row in rows() if not row[0].startswith("**")]


def test_every_hazard_has_what_prevents_it_and_a_test() -> None:
    """In three cells, none of them empty."""
    assert len(hazards()) > 20
    assert [row for row in hazards() if len(row) != 3 or not row[1] or not REFERENCE.search(row[2])] == []


@pytest.mark.parametrize(
    "module", sorted({module for row in hazards() for module, _ in REFERENCE.findall(row[2])})
)
def test_every_named_test_exists(module: str) -> None:
    """In the module that is named, also where it was renamed since."""
    named = {name for row in hazards() for where, name in REFERENCE.findall(row[2]) if where == module}
    tree = ast.parse((TESTS / f"{module}.py").read_text(encoding="utf-8"))
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert named - defined == set()


def test_nothing_else_stands_beside_the_tests() -> None:
    """A misspelt reference is not passed over."""
    assert [row[2] for row in hazards() if REFERENCE.sub("", row[2]).strip(", ")] == []


def test_each_part_has_hazards() -> None:
    """From being offline to the proofs themselves."""
    headings = [int(found[1]) for row in rows() if (found := re.match(r"\*\*(\d)\. ", row[0]))]
    assert headings == list(range(1, 10))
