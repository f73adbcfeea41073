"""Every text that reaches a screen is in the catalogues, and every catalogue is whole."""

from __future__ import annotations

import importlib.util
import re
import sys
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from edgeleuk.system import language

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "deploy" / "catalogues.py"
pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="this comes with a checkout")
PATHS = sorted((ROOT / "edgeleuk" / "locale").glob("*.po"))


@cache
def catalogues() -> Any:
    """The script that writes the catalogues."""
    spec = importlib.util.spec_from_file_location("catalogues", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["catalogues"] = module
    spec.loader.exec_module(module)
    return module


@cache
def texts() -> Any:
    return catalogues().texts()


def forms(message: Any) -> list[tuple[str, str]]:
    """Each English form of a message with its translation."""
    if isinstance(message.id, str):
        return [(message.id, message.string)]
    return [(message.id[min(place, 1)], each) for place, each in enumerate(message.string)]


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_no_text_reaches_a_screen_outside_of_the_catalogues() -> None:
    """Of the modules, templates and scripts that the script lists."""
    assert catalogues().unmarked() == []


@pytest.mark.parametrize(
    "source", ['print("Count more")', 'x = ["neutrophil"]', 'print(f"{n} cells")', 'add_column("count")']
)
def test_a_text_outside_is_found(source: str) -> None:
    """A string, a part of an f-string, an element of a table."""
    assert catalogues().of_source(source, "edgeleuk/console/new.py", told=False)[1]


@pytest.mark.parametrize(
    "source",
    [
        '"""Docstring."""',
        'print(_("Count more"))',
        'x["key"]',
        'line("", style="bold red")',
        'if x == "count": pass',
    ],
)
def test_what_no_person_reads_is_not(source: str) -> None:
    """Docstrings, keys, styles, comparisons."""
    assert catalogues().of_source(source, "edgeleuk/console/new.py", told=False)[1] == []


def test_a_message_below_the_screens_is_a_template() -> None:
    """Each choice between two constants is a template of its own."""
    source = "raise InputError(f\"{path.name} has {len(x)} picture{'' if one else 's'}: {option('mag')} is wrong.\")"
    found, _ = catalogues().of_source(source, "edgeleuk/sources/new.py", told=True)
    assert [each.english for each in found] == [
        "{name} has {n} picture: {option_mag} is wrong.",
        "{name} has {n} pictures: {option_mag} is wrong.",
    ]


@pytest.mark.parametrize(
    ("source", "template"),
    [
        ('tell(f"deleted {path}")', "deleted {path}"),
        ('raise InputError("nothing")', "nothing"),
        ('logger.warning("a model %s is not used: %s")', "a model {value} is not used: {value_2}"),
        ('raise StoreError(f"{name} is held by {{holder}}.")', "{name} is held by {holder}."),
    ],
)
def test_what_is_printed_or_raised_is_a_message(source: str, template: str) -> None:
    """However short it is, and however its values are filled in."""
    found, _ = catalogues().of_source(source, "edgeleuk/sessions/new.py", told=True)
    assert [each.english for each in found] == [template]


def test_a_text_that_lacks_its_subject_gets_one() -> None:
    """Sources say what is wrong, and one place puts the name of the source before it."""
    source = 'raise InputError("has closed the connection.")'
    found, _ = catalogues().of_source(source, "edgeleuk/sources/new.py", told=True)
    assert [each.english for each in found] == ["{subject} has closed the connection."]


@pytest.mark.parametrize(
    "source",
    ['x = "SELECT id FROM sessions WHERE uuid = ?"', 'x = "sudo apt install tool"', '_STYLE = "a b c"'],
)
def test_statements_and_commands_are_no_messages(source: str) -> None:
    """Nobody translates what a program reads."""
    assert catalogues().of_source(source, "edgeleuk/sessions/new.py", told=True)[0] == []


def test_every_module_is_read_unless_it_is_named_with_a_reason() -> None:
    """A new module is read at once; no pattern stands for nothing."""
    script = catalogues()
    shown = {script.PACKAGE / name for name in script.SHOWN}
    english = {pattern: set(script.PACKAGE.glob(pattern)) for pattern in script.ENGLISH}
    assert all(english.values()) and all(script.ENGLISH.values())
    assert not shown & set().union(*english.values())
    assert {*script.told(), *shown}.union(*english.values()) == set(script.PACKAGE.rglob("*.py"))


@pytest.mark.parametrize(
    "package",
    [
        "adaptation",
        "device",
        "models",
        "programme",
        "quality_control",
        "review",
        "sessions",
        "sources",
        "system",
    ],
)
def test_all_that_a_field_worker_may_meet_is_read(package: str) -> None:
    """No module of these packages keeps its messages in English."""
    script = catalogues()
    of_package = set((script.PACKAGE / package).rglob("*.py"))
    assert of_package - {script.PACKAGE / name for name in script.SHOWN} <= set(script.told())


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_each_catalogue_is_up_to_date(path: Path) -> None:
    """`python deploy/catalogues.py` writes both files; a new text needs that."""
    po, mo = catalogues().compiled(catalogues().catalogue(texts(), path))
    assert path.read_bytes() == po, (
        "run `python deploy/catalogues.py`, translate what is new, and commit the files"
    )
    assert path.with_suffix(".mo").read_bytes() == mo


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_nothing_is_untranslated_or_doubtful(path: Path) -> None:
    """A language that ships is whole."""
    catalog, _ = catalogues().read(path)
    assert [each.id for each in catalog if each.id and not catalogues().is_translated(each)] == []


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_no_translation_loses_a_placeholder(path: Path) -> None:
    """Nor makes one up; the singular may leave out the number that it is."""
    catalog, _ = catalogues().read(path)
    for message in catalog:
        for english, translated in forms(message) if message.id else ():
            assert placeholders(translated) == placeholders(english), message.id


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_options_and_keys_are_not_translated(path: Path) -> None:
    """They are typed as they are."""
    catalog, _ = catalogues().read(path)
    for message in catalog:
        for english, translated in forms(message) if message.id else ():
            assert set(re.findall(r"--[a-z-]+|`[^`]+`", english)) == set(
                re.findall(r"--[a-z-]+|`[^`]+`", translated)
            )


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_each_catalogue_says_who_checked_it_and_how_it_is_written(path: Path) -> None:
    """Its own name, direction, numbers and dates; the reader's name may be empty."""
    _, own = catalogues().read(path)
    loaded = language.load(path.stem)
    assert own["X-Language-Name"] == loaded.name != path.stem
    assert own["X-Direction"] == loaded.direction in ("ltr", "rtl")
    assert own["X-Checked-By"] == loaded.checked_by
    assert own["X-Date"] == loaded.date
