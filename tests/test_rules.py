"""Rules and reference ranges: the files that ship are sound, and a fault in another is named by its place."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from edgeleuk.differential.rules import REFERENCE, RULES, load_reference, load_rules
from edgeleuk.errors import InputError

DISEASES = re.compile(
    r"leuk[a]?em|lymphom|myelom|cancer|malign|tumou?r|neoplas|myelodys|dysplas|\bA[ML]L\b|\bC[ML]L\b|\bAPL\b|\bMDS\b"
    r"|anaemi|anemi|infecti|sepsis|mononucleosis|allerg|parasit|patholog|diagnos|disease|syndrome",
    re.IGNORECASE,
)

Edit = Callable[[str, str], Path]


@pytest.fixture
def edited_rules(tmp_path: Path) -> Edit:
    """The rules that ship with one text replaced, as a file."""

    def edit(old: str, new: str) -> Path:
        text = RULES.read_text(encoding="utf-8")
        assert old in text
        path = tmp_path / "mine.toml"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return path

    return edit


def texts_in(value: object) -> list[str]:
    """Every text of a rules dataclass, sources left out: titles of papers do name diseases."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, tuple):
        return [text for item in value for text in texts_in(item)]
    if is_dataclass(value):
        kept = [item.name for item in fields(value) if item.name != "sources"]
        return [text for name in kept for text in texts_in(getattr(value, name))]
    return []


def test_no_text_names_a_disease() -> None:
    """Flags, statements and verdicts state counts; only what is not looked for is named: no parasite is found or excluded."""
    texts = texts_in(load_rules()) + [each.name for each in load_reference().ranges]
    assert len(texts) > 50
    assert [text for text in texts if DISEASES.search(text)] == [load_rules().verdict.not_looked_for]


def test_every_reference_range_is_adult_and_cited() -> None:
    """The shipped ranges are those of Dacie and Lewis, and say so."""
    reference = load_reference()
    assert "Dacie and Lewis Practical Haematology, 12th edition" in reference.sources[0]
    assert {each.code: (each.low, each.high) for each in reference.ranges} == {
        "NEUTROPHILS": (40, 80),
        "LYMPHOCYTES": (20, 40),
        "MONOCYTES": (2, 10),
        "EOSINOPHILS": (1, 6),
        "BASOPHILS": (0, 2),
    }


def test_the_file_says_that_ranges_vary() -> None:
    """Whoever opens the ranges reads that they are to be replaced by local ones."""
    assert "vary by population, age" in REFERENCE.read_text(encoding="utf-8")
    assert "Replace them" in REFERENCE.read_text(encoding="utf-8")


def test_every_source_is_cited() -> None:
    """No source stands in the rules without a rule that rests on it."""
    rules = load_rules()
    rest = RULES.read_text(encoding="utf-8").split("[outside]")[1]
    assert [key for key in rules.sources if key not in rest] == []


def test_a_laboratory_brings_its_own_ranges(tmp_path: Path) -> None:
    """A file of one range is a whole reference."""
    path = tmp_path / "ours.toml"
    path.write_text(
        'schema = 1\nname = "ours"\nsources = ["Our 120 donors, 2024"]\n'
        '[[ranges]]\ncode = "NEUTROPHILS"\nname = "neutrophils"\nlabels = ["neutrophil"]\n'
        "low = 30\nhigh = 75\n"
    )
    reference = load_reference(path)
    assert (reference.name, reference.ranges[0].low, reference.ranges[0].high) == ("ours", 30, 75)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("schema = 2", "schema = 1", "schema is 1, not 2"),
        ("p_value = 0.01", "p_value = 1.5", "presence.p_value is 1.5, not between 0 and 1"),
        ("p_value = 0.01", "", "presence.p_value is missing"),
        ("p_value = 0.01", 'p_value = "small"', "presence.p_value is 'small', not a number from 0"),
        ("p_value = 0.01", "p_value = true", "presence.p_value is True, not a number from 0"),
        ("over = 10.0", "over = -1", "ratios[1].over is -1, not a number from 0"),
        ("over = 10.0", "ovre = 10.0", "ratios[1].over is missing"),
        ("over = 10.0", "over = 10.0\nunder = 1", "ratios[1].under is unknown"),
        ('severity = "alert"', 'severity = "loud"', "'loud', not 'note' or 'warning' or 'alert'"),
        (
            'labels = ["promonocyte"]',
            'labels = "promonocyte"',
            "groups[3].labels is 'promonocyte', not a list",
        ),
        ("[outside]", "[[outside]]", "outside is no table"),
        ('group = "blasts"', 'group = "blats"', "BLASTS names a group 'blats' that is not there"),
        ('sources = ["macdonald2003",', 'sources = ["nobody1900",', "[sources] has no 'nobody1900'"),
        (
            "{cells} read as {name}, more",
            "{cell} read as {name}, more",
            "presence.present has a placeholder {cell}",
        ),
        (
            "{cells} read as {name}, more",
            "{cells} read as {name, more",
            "presence.present has unpaired braces",
        ),
        (
            '["plasma_cell"]',
            '["plasma_cell", "smudge"]',
            "group 'plasma_cells' has labels inside and outside",
        ),
        (
            'labels = ["blast", "myeloblast", "lymphoblast", "monoblast"]',
            'labels = ["smudge"]',
            "BLASTS_20_PERCENT asks",
        ),
        ('label = "smudge"', 'label = "neutrophil"', "'neutrophil' is reported per 100 white cells"),
        ("\nsuspects = true", "\nsuspects = 1", "presence.rules[1].suspects is 1, not true or false"),
        ("percent = 20.0", "percent = true", "threshold.rules[1].percent is True, not a number from 0"),
        ("value = 0.02", "value = 1.0", "verdict.likeness_p_value is 1.0, not between 0 and 1"),
        ("percent = 50.0", "percent = 101", "verdict.not_recognised_percent is 101, no share"),
        ("not_looked_for =", "not_looked =", "verdict.not_looked_for is missing"),
        ("Count {more} more", "Count {many} more", "verdict.texts.too_few has a placeholder {many}"),
        ("[outside]", "[outside", "is no TOML file"),
    ],
)
def test_a_malformed_rules_file_names_its_fault(edited_rules: Edit, old: str, new: str, fault: str) -> None:
    """One clear line says where the file is wrong, and which file is right."""
    with pytest.raises(InputError, match=re.escape(fault)) as caught:
        load_rules(edited_rules(old, new))
    assert f"Compare it with {RULES}." in str(caught.value)


@pytest.mark.parametrize(("low", "high"), [(50, 40), (40, 40), (10, 101)])
def test_a_range_must_rise_within_percent(tmp_path: Path, low: int, high: int) -> None:
    """A range that is empty or beyond 100 % is refused."""
    path = tmp_path / "ours.toml"
    path.write_text(
        f'schema = 1\nname = "ours"\nsources = []\n'
        f'[[ranges]]\ncode = "N"\nname = "n"\nlabels = ["neutrophil"]\nlow = {low}\nhigh = {high}\n'
    )
    with pytest.raises(InputError, match=f"range N is {low}"):
        load_reference(path)


def test_an_absent_file_is_an_input_error(tmp_path: Path) -> None:
    """A path that leads nowhere is named."""
    with pytest.raises(InputError, match=r"cannot read .*none\.toml"):
        load_reference(tmp_path / "none.toml")


def test_a_binary_file_is_an_input_error(tmp_path: Path) -> None:
    """So is a file that is no text."""
    path = tmp_path / "picture.toml"
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(InputError, match=r"cannot read .*picture\.toml"):
        load_rules(path)
