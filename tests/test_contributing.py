"""CONTRIBUTING.md says what is so: its picture of the flow, and the files that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_layers import LAYERS, MODULES, modules_imported, name_of

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "CONTRIBUTING.md"
pytestmark = pytest.mark.skipif(not DOCUMENT.is_file(), reason="this comes with a checkout")


def arrows() -> list[tuple[str, str]]:
    """Each arrow of the picture; none where there is no document."""
    if not DOCUMENT.is_file():
        return []
    picture = DOCUMENT.read_text(encoding="utf-8").split("```mermaid")[1].split("```")[0]
    return re.findall(r"^ +(\w+) --> (\w+)$", picture, re.MULTILINE)


@pytest.mark.parametrize(("used", "user"), arrows())
def test_each_arrow_is_an_import(used: str, user: str) -> None:
    """From the package that is used to one that imports from it, and upward among the layers."""
    imported = {
        module.split(".")[0]
        for path in MODULES
        if name_of(path).split(".")[0] == user
        for module in modules_imported(path)
    }
    assert used in imported, f"{user} does not import {used}: correct the picture in CONTRIBUTING.md"
    assert LAYERS.index(used) < LAYERS.index(user)


def test_the_picture_is_read_as_a_whole() -> None:
    """Each of its lines is an arrow, and the way of a picture is among them from source to command."""
    picture = DOCUMENT.read_text(encoding="utf-8").split("```mermaid")[1].split("```")[0]
    assert len(arrows()) == len(picture.strip().splitlines()) - 1
    assert {("sources", "counting"), ("analysis", "counting"), ("results", "render"), ("render", "cli")} <= {
        *arrows()
    }


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "deploy/README.md",
        "deploy/METHOD.md",
        "deploy/ENGINEERS.md",
    ],
)
def test_files_that_are_named_exist(name: str) -> None:
    """Links of the documents, and the modules and tests that CONTRIBUTING names."""
    document = ROOT / name
    text = document.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if not link.startswith("http")]
    missing = [link for link in links if not (document.parent / link).exists()]
    named = re.findall(r"`((?:edgeleuk|tests|deploy)/[\w./-]+)`", text)
    assert missing == []
    assert [path for path in named if not (ROOT / path).exists() and "NAME" not in path] == []


@pytest.mark.parametrize(
    "name", ["README.md", "deploy/METHOD.md", "deploy/ENGINEERS.md", "deploy/COMMANDS.md", "CONTRIBUTING.md"]
)
def test_headings_that_are_linked_exist(name: str) -> None:
    """As a forge makes their anchors: lower case, no punctuation, dashes for spaces."""
    document = ROOT / name
    for file, anchor in re.findall(r"\]\(([^)#\s]*)#([^)]+)\)", document.read_text(encoding="utf-8")):
        target = (document.parent / file) if file else document
        headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
        assert anchor in anchors, f"{name} links to #{anchor} of {target.name}"
