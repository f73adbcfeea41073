"""Options `--rules` and `--reference`.

Only commands load either; everything below is handed them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk.errors import InputError
from edgeleuk.system import user_paths

if TYPE_CHECKING:
    from edgeleuk.differential.rules import Reference, Rules

RulesOption = Annotated[
    Path | None,
    typer.Option(
        "--rules",
        help="TOML file with your laboratory's rules: what is counted where, and what is flagged.",
        show_default=False,
    ),
]
ReferenceOption = Annotated[
    Path | None,
    typer.Option(
        "--reference", help="TOML file with your laboratory's reference ranges.", show_default=False
    ),
]


def standards(rules: Path | None = None, reference: Path | None = None) -> tuple[Rules, Reference]:
    """Load the rules and the reference ranges.

    Where no file is named, those that ship are loaded.

    Raises:
        InputError: A file cannot be read or is not valid.
    """
    from edgeleuk.differential.rules import load_reference, load_rules

    if rules:
        rules = user_paths.expanded(rules, "--rules", InputError)
    if reference:
        reference = user_paths.expanded(reference, "--reference", InputError)
    return load_rules(rules), load_reference(reference)
