"""Options of the commands: each is written once."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from edgeleuk import cli


def test_no_option_is_written_twice() -> None:
    """What several commands share is a name, so that they cannot come to differ by accident."""
    found: Counter[str] = Counter()
    for path in sorted(Path(cli.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Annotated":
                found[ast.unparse(node)] += 1
    assert len(found) > 100
    assert [text for text, number in found.items() if number > 1] == []
