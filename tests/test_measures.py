"""Numbers with units on the terminal: on one line, with the space that the language writes."""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reported import BLASTS, result_of
from rich.table import Table
from rich.text import Text

import edgeleuk
from edgeleuk.console.text import wrapped
from edgeleuk.models import registry
from edgeleuk.render import terminal
from edgeleuk.render.rich_console import PlainConsole
from edgeleuk.system.language import figure, speaking
from edgeleuk.system.sentences import said

PACKAGE = Path(edgeleuk.__file__).parent
SCREENS = [
    path
    for path in (*(PACKAGE / "render").glob("*.py"), *(PACKAGE / "console").glob("*.py"))
    if path.name != "overlay.py"  # texts in pictures are English
]
WORDS = st.lists(
    st.sampled_from(
        ["98 %", "1,234.5 um2", "7 µm", "4.1 px", "1\u00a0234 cells", "of", "sure cells", "12 fields"]
    ),
    min_size=1,
)


def printed(shown: Any, width: int) -> list[str]:
    """Lines of a terminal, without the space at their end."""
    out = io.StringIO()
    PlainConsole(file=out, width=width).print(shown)
    return [line.rstrip(" ") for line in out.getvalue().splitlines()]


@given(WORDS, st.integers(20, 60))
def test_no_line_ends_between_a_number_and_its_unit(words: list[str], width: int) -> None:
    """Nothing else changes, so that a line can be searched and copied as it was."""
    text = " ".join(words)
    for shown in (text, Text(text)):
        lines = printed(shown, width)
        assert " ".join(lines) == text
        assert not any(re.match(r"(%|um2|µm|px|234 cells)(\W|$)", line) for line in lines)
    assert not any(re.match(r"(%|um2|µm|px)(\W|$)", line) for line in wrapped(text, width))


def test_a_cell_of_a_table_is_not_broken_within_a_measure() -> None:
    table = Table("a", "b")
    table.add_row("one two three 98 %", Text("four five six 1.5 um"))
    assert not [line for line in printed(table, 26) if re.search(r"│ (%|um) ", line)]


@pytest.mark.parametrize(
    ("text", "french"),
    [("98%", "98\u00a0%"), ("±7%", "±7\u00a0%"), ("12.5 %", "12,5\u00a0%"), ("1,234", "1\u00a0234")],
)
def test_a_percent_sign_has_the_space_of_the_language(text: str, french: str) -> None:
    with speaking("fr"):
        assert figure(text) == french
    for code in ("en", "ur"):
        with speaking(code):
            assert figure(text) == text


def test_a_share_in_a_message_has_it_too() -> None:
    """Messages are made in English, and translated where they are shown."""
    with speaking("fr"):
        shown = said("it contradicts the model on 12% of the cells that both are sure of")
    assert "12\u00a0%" in shown


def test_no_share_lacks_its_space_on_a_french_terminal(tmp_path: Path) -> None:
    """Of a result with all its details."""
    with speaking("fr"):
        result = terminal.analysis(result_of(tmp_path, BLASTS), registry.load("100x"), details=True)
        shown = "\n".join(printed(result, 100))
    assert re.search(r"\d[ \u00a0]%", shown)
    assert not re.search(r"\d%", shown)


@pytest.mark.parametrize("path", SCREENS, ids=lambda path: path.name)
def test_every_share_of_a_screen_is_written_by_the_language(path: Path) -> None:
    """`:.0%` alone has no space in any language: `figure` gives it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    figures = [
        each
        for each in ast.walk(tree)
        if isinstance(each, ast.Call) and getattr(each.func, "id", "") == "figure"
    ]
    written = {id(part) for each in figures for part in ast.walk(each)}
    bare = [
        each.lineno
        for each in ast.walk(tree)
        if isinstance(each, ast.FormattedValue)
        and each.format_spec
        and ast.unparse(each.format_spec).rstrip("'\"").endswith("%")
        and id(each) not in written
    ]
    assert bare == []
