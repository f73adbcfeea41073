"""`edgeleuk site`: what this machine is called, and that every count states it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import old_store
import pytest
from counted import counted_field
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from edgeleuk._text import escaped
from edgeleuk.cli import app
from edgeleuk.cli.analyze import demo_picture
from edgeleuk.errors import InputError, OutputError, UsageError
from edgeleuk.sessions import open_store
from edgeleuk.system import site


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "etc" / "site.toml"
    monkeypatch.setenv(site.VARIABLE, str(path))
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_nothing_is_set_at_first() -> None:
    """It says how to set it, and is no error."""
    done = run("site")
    assert done.exit_code == 0
    assert done.stdout.split() == ["site", "-", "device", "-", "operator", "-"]
    assert 'edgeleuk site --site "NAME" --device "NAME"' in done.stderr


def test_values_are_set_one_by_one(file: Path) -> None:
    """What is not named stays; an empty text removes a value."""
    assert run("site", "--site", 'Kisumu "North"', "--device", "bench 2").exit_code == 0
    assert run("site", "--operator", "Ayé").exit_code == 0
    assert site.load() == site.Site('Kisumu "North"', "bench 2", "Ayé")
    shown = json.loads(run("site", "--operator", "", "--json").stdout)
    assert shown == {"path": str(file), "site": 'Kisumu "North"', "device": "bench 2", "operator": ""}


@given(st.text(max_size=90))
def test_any_text_is_kept_exactly_or_refused(text: str) -> None:
    """No text is changed on the way."""
    try:
        known = site.checked(site=text)
    except UsageError:
        assert len(text) > site.LONGEST or escaped(text) != text or text.strip() != text
        return
    site.save(known)
    assert site.load().site == text


def test_a_new_count_states_site_device_and_operator(tmp_path: Path) -> None:
    """Without an option or a variable; --slide names the slide."""
    site.save(site.Site("Kisumu", "bench 2", "ab"))
    store = tmp_path / "s.db"
    demo = demo_picture()
    assert run("analyze", demo, "--slide", "S-7", "--um-per-px", "0.1", "--store", store).exit_code == 0
    assert run("analyze", demo, "--site", "", "--um-per-px", "0.1", "--store", store).exit_code == 0
    with open_store(store) as opened:
        named = [(each.site, each.device, each.operator, each.slide) for each in opened.list()]
    assert named == [("", "bench 2", "ab", ""), ("Kisumu", "bench 2", "ab", "S-7")]


def test_a_damaged_file_is_told_of_and_does_not_stop_a_count(file: Path, tmp_path: Path) -> None:
    """The count goes on without; `site --site` writes the file anew."""
    file.parent.mkdir()
    file.write_text("site = 3")
    assert run("site").exit_code == 1
    done = run("analyze", demo_picture(), "--um-per-px", "0.1", "--store", tmp_path / "s.db")
    assert done.exit_code == 0
    assert "the site of this machine is not known" in " ".join(done.stderr.split())
    with pytest.raises(InputError, match="site is 3, not a text"):
        site.load()
    assert run("site", "--site", "Kisumu").exit_code == 0
    assert site.load() == replace(site.Site(), site="Kisumu")


def test_a_file_that_cannot_be_written_is_an_error_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where it belongs to the system."""
    (tmp_path / "file").touch()
    monkeypatch.setenv(site.VARIABLE, str(tmp_path / "file" / "site.toml"))
    with pytest.raises(OutputError, match="use sudo; or name another file in EDGELEUK_SITE_FILE"):
        site.save(site.Site("a"))


def test_old_sessions_get_the_site_where_that_is_asked_for(tmp_path: Path) -> None:
    """Those without one, with a note; what a session has already stays."""
    path = tmp_path / "s.db"
    for number in (1, 2):
        old_store.write(path, [counted_field(number)], id=f"2026010{number}-101010-aa")
    with open_store(path) as store:
        session = store.annotate("20260101")
        session.describe({"site": "Mombasa"})
    done = run("site", "--site", "Kisumu", "--device", "bench 2", "--fill", "--store", path, "--json")
    assert json.loads(done.stdout)["sessions_filled"] == 2
    with open_store(path) as store:
        assert [(each.site, each.device) for each in store.list()] == [
            ("Kisumu", "bench 2"),
            ("Mombasa", "bench 2"),
        ]
        assert [note.text for note in store.get("20260102").notes()] == [
            'site set to "Kisumu".',
            'device set to "bench 2".',
        ]
    again = run("site", "--fill", "--store", path, "--json")
    assert json.loads(again.stdout)["sessions_filled"] == 0
