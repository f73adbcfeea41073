"""From the store of one machine to the page of a programme: what leaves, what is compared, what stands out."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import zipfile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from exported import CLONED, DRIFTED, FAILING, WRONG, packed, programme, run, slide, written
from reviewed import NORMAL, keep, reading, store_at
from typer.testing import CliRunner, Result

from edgeleuk.cli import app
from edgeleuk.errors import UsageError
from edgeleuk.programme import archive
from edgeleuk.programme.conflicts import resolve
from edgeleuk.programme.figures import Programme, figures, rows, sites_as_json
from edgeleuk.programme.page import page
from edgeleuk.quality_control.control import ControlRun
from edgeleuk.quality_control.log import encode
from edgeleuk.sessions import open_store


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A file with two sessions of a named machine, the second with cells that were not recognised, and a control's run."""
    with store_at(tmp_path) as opened:
        for number, labels in enumerate((NORMAL, [*NORMAL[:40], *["unclassified"] * 10]), 1):
            session = opened.annotate(keep(opened, [reading(label) for label in labels], slide=f"S-{number}"))
            session.describe({"site": "Kisumu", "device": "bench 2"})
            session.note("the patient's name")
            session.release()
        opened.add_to_control_log("morning", "run", encode(ControlRun("", "rejected", 200)))
        return opened.path


# --- Export -----------------------------------------------------------------------------------------------------------


def test_an_export_again_gives_the_same_bytes(store: Path, tmp_path: Path) -> None:
    """So that one that was cut off is simply begun again."""
    paths = [tmp_path / "a.zip", tmp_path / "b.zip"]
    for path in paths:
        assert command("sessions", "export", "--all", "--zip", path, "--store", store).exit_code == 0
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_all_and_since_exclude_each_other(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.zip"
    done = command("sessions", "export", "--all", "--since", "2026-01-01", "--zip", out, "--store", store)
    assert isinstance(done.exception, UsageError)
    assert str(done.exception) == "give --all or --since DATE, not both."
    assert not out.exists()


def test_an_export_has_tables_and_the_trail_but_no_notes_and_no_pictures(store: Path, tmp_path: Path) -> None:
    """The log of control slides goes with them; a manifest has the hash of each part."""
    path = tmp_path / "a.zip"
    command("sessions", "export", "--all", "--zip", path, "--store", store)
    with zipfile.ZipFile(path) as opened:
        names = opened.namelist()
        assert {name.split("/")[-1] for name in names if name.startswith("slides/")} == {
            *("slide.json", "cells.csv", "differential.csv", "pictures.csv", "verdict.csv")
        }
        assert not [name for name in names if name.startswith("pictures/")]
        assert b"patient" not in b"".join(opened.read(name) for name in names)
        assert set(json.loads(opened.read("manifest.json"))["files"]) == {*names} - {"manifest.json"}
    contents = archive.read(path)
    assert sorted((each.row["slide"], each.row["not_recognised"]) for each, _ in contents.slides) == [
        ("S-1", 0),
        ("S-2", 10),
    ]
    assert [(each.site, each.outcome) for each, _ in contents.controls] == [("Kisumu", "rejected")]


def test_concatenated_tables_say_whose_each_row_is(store: Path, tmp_path: Path) -> None:
    """Every table of every session: site, device, slide, UUID and time."""
    path = tmp_path / "a.zip"
    command("sessions", "export", "--all", "--zip", path, "--store", store)
    with open_store(store) as opened:
        known = {
            (each.site, each.device, each.slide, each.uuid, each.about.started) for each in opened.list()
        }
    with zipfile.ZipFile(path) as opened_zip:
        tables = [name for name in opened_zip.namelist() if name.endswith(".csv")]
        for kind in {name.split("/")[-1] for name in tables}:
            found = [
                row
                for name in tables
                if name.endswith(f"/{kind}") or name == kind
                for row in csv.DictReader(io.StringIO(opened_zip.read(name).decode()))
            ]
            said = {
                tuple(row[each] for each in ("site", "device", "slide", "session", "started"))
                for row in found
            }
            assert said == known, kind


def test_an_outbox_has_a_file_a_session_and_writes_each_once(store: Path, tmp_path: Path) -> None:
    """A session that was reviewed since replaces its earlier file."""
    outbox = tmp_path / "outbox"
    done = command("sessions", "export", "--all", "--outbox", outbox, "--store", store)
    assert "2 sessions in" in done.stderr
    assert "; 3 new files" in done.stderr
    before = {path.name for path in outbox.iterdir()}
    assert len(before) == 3
    assert all(name.startswith("Kisumu-bench_2-") for name in before)
    assert (
        "; 0 new files" in command("sessions", "export", "--all", "--outbox", outbox, "--store", store).stderr
    )
    with open_store(store) as opened:
        session = opened.annotate(opened.list()[0].id)
        session.describe({"slide": "S-9"})
    assert (
        "; 1 new file" in command("sessions", "export", "--all", "--outbox", outbox, "--store", store).stderr
    )
    after = {path.name for path in outbox.iterdir()}
    assert len(after) == 3
    assert len(before & after) == 2


def test_since_takes_what_was_counted_since(store: Path, tmp_path: Path) -> None:
    """By day or by time; a date that is none is an error."""
    path = tmp_path / "a.zip"
    for date, sessions in (("2020-01-31", 2), ("2100-01-31T08:00", 0)):
        command("sessions", "export", "--since", date, "--zip", path, "--store", store)
        assert len(archive.read(path).slides) == sessions
    done = command("sessions", "export", "--since", "yesterday", "--zip", path, "--store", store)
    assert isinstance(done.exception, UsageError)
    assert "2026-01-31T08:00" in str(done.exception)


def test_since_takes_what_was_changed_since(store: Path, tmp_path: Path) -> None:
    """A slide id that was corrected after an export leaves with the next one, and no other session does."""
    path = tmp_path / "a.zip"
    assert command("sessions", "set", "S-1", "--slide", "S-7", "--store", store).exit_code == 0
    with open_store(store) as opened:
        (changed,) = (each for each in opened.list() if each.slide == "S-7")
        since = opened.get(changed.id).notes()[-1].at
    command("sessions", "export", "--since", since, "--zip", path, "--store", store)
    assert [document.uuid for document, _ in archive.read(path).slides] == [changed.uuid]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "give --all or --since"),
        (("--all", "--since", "2026-01-01"), "give --all or --since"),
        (("--all",), "go to --zip FILE or --outbox DIR"),
        (("--all", "--zip", "a.zip", "--out", "b"), "--out is for one"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: tuple[str, ...], said: str, store: Path) -> None:
    """With what could be."""
    done = command("sessions", "export", *options, "--store", store)
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)


def test_pictures_go_along_only_where_asked_for(store: Path, tmp_path: Path) -> None:
    """One session by its id, too."""
    with open_store(store) as opened:
        session = opened.list()[0].id
    path = tmp_path / "a.zip"
    done = command("sessions", "export", session, "--zip", path, "--pictures", "--store", store)
    assert done.exit_code == 0
    assert len(archive.read(path).slides) == 1


# --- Figures ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Programme:
    """Forty sites of forty slides: a lamp that drifts, another objective, a cloned card, a control that fails."""
    paths = written(tmp_path_factory.mktemp("exports"), programme(sites=40, slides=40).archives)
    contents = [archive.read(path) for path in paths]
    slides = {each.uuid: each for content in contents for each, _ in content.slides}
    controls = {each.store + str(each.number): each for content in contents for each, _ in content.controls}
    # One state of each session, since the archives say the same where they overlap.
    return figures(resolve(("", slides[uuid]) for uuid in sorted(slides)), controls.values())


def test_the_site_whose_lamp_drifts_stands_out(simulated: Programme) -> None:
    """Against its own first slides."""
    (site,) = [each for each in simulated.sites if each.site == DRIFTED]
    assert "white cells not recognised: more than on its first slides" in site.reasons
    drifted = [
        each.site
        for each in simulated.sites
        if (found := each.measures["not_recognised"].change) and found.deviation > 5
    ]
    assert drifted == [DRIFTED]


def test_another_objective_a_cloned_card_and_a_failing_control_are_found(simulated: Programme) -> None:
    """At their sites alone."""
    scaled = [slide(number, um_per_px=0.2 if number != 3 else 0.5) for number in range(1, 6)]
    off = figures(resolve(("", each) for each in sorted(scaled, key=lambda each: each.uuid)), ())
    assert [(each.site, each.scale_off) for each in off.sites] == [("north", 1)]
    assert [row["slide"] for row in rows(off) if row["scale_off"]] == ["north-3"]
    assert [each.site for each in simulated.sites if each.control_last == "rejected"] == [FAILING]
    assert [(each.kind, CLONED in each.text) for each in simulated.slides.conflicts] == [("cloned", True)]
    assert WRONG in {each.site for each in simulated.sites}


def test_healthy_sites_seldom_stand_out(simulated: Programme) -> None:
    """Though they differ by more than chance, few of 36 do."""
    odd = {each.site for each in simulated.sites if each.reasons} - {DRIFTED, WRONG, FAILING}
    assert len(odd) <= 4


def test_a_row_a_slide_says_what_people_made_of_it() -> None:
    """Signature, corrections and contradictions stand beside what was counted."""
    signed = {
        "signed": True,
        "state": "final",
        "revision": 2,
        "revisions": [{"by": "ab", "at": "2026-01-06"}],
    }
    reviewed = replace(slide(1), review=signed, looked_at=20, corrected=3, program_verdict="look_again")
    (row,) = rows(figures(resolve([("", reviewed)]), ()))
    names = ("review", "revision", "signed_by", "looked_at", "corrected")
    assert tuple(row[name] for name in names) == ("final", 2, "ab", 20, 3)
    assert row["program_verdict"] == "look_again"
    assert row["slide"] == "north-1"


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.loads += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "onload")
        ]


def test_the_page_needs_no_script_and_loads_nothing(simulated: Programme) -> None:
    """It has a funnel plot a measure with something counted, and names the site first that drifts most."""
    text = page(simulated)
    tags = Tags(text)
    assert "script" not in tags.names
    assert tags.loads == []
    assert tags.names.count("svg") >= 3
    looked_at = re.findall(r"<h3>(.*?)</h3>", text)
    assert looked_at[0] == DRIFTED
    assert "Spiegelhalter" in text
    assert "Laney" in text


def test_names_from_outside_are_escaped_everywhere(tmp_path: Path) -> None:
    """On the page, on the terminal and in tables."""
    name = "=<script>\x1b[31m\u202e&"
    paths = written(
        tmp_path, [packed([slide(1, site=name), slide(2, site=name, device="")], [run(name, 1, "rejected")])]
    )
    assert command("merge", *paths, "--into", tmp_path / "m.db").exit_code == 0
    done = command("programme", tmp_path / "m.db", "--csv", tmp_path / "s.csv", "--html", tmp_path / "p.html")
    assert done.exit_code == 0
    assert "\x1b" not in done.stdout + (tmp_path / "p.html").read_text() + (tmp_path / "s.csv").read_text()
    assert "script" not in Tags((tmp_path / "p.html").read_text()).names
    assert next(csv.DictReader(io.StringIO((tmp_path / "s.csv").read_text())))["site"].startswith("'=")


def test_programme_prints_json_and_csv(tmp_path: Path) -> None:
    """A row a slide; both on standard output are refused."""
    paths = written(
        tmp_path, [packed([slide(number) for number in range(1, 4)], [run("north", 1, "in_control")])]
    )
    command("merge", *paths, "--into", tmp_path / "m.db")
    told = json.loads(command("programme", tmp_path / "m.db", "--json", "-").stdout)
    assert [row["slide"] for row in told["slides"]] == ["north-1", "north-2", "north-3"]
    assert [(each["site"], each["control_runs"]) for each in told["sites"]] == [("north", 1)]
    table = list(csv.DictReader(io.StringIO(command("programme", tmp_path / "m.db", "--csv", "-").stdout)))
    assert [row["slide"] for row in table] == ["north-1", "north-2", "north-3"]
    both = command("programme", tmp_path / "m.db", "--csv", "-", "--json", "-")
    assert isinstance(both.exception, UsageError)


def test_an_empty_programme_is_no_error(tmp_path: Path) -> None:
    """Of an archive without sessions."""
    command("merge", *written(tmp_path, [packed([])]), "--into", tmp_path / "m.db")
    done = command("programme", tmp_path / "m.db", "--html", tmp_path / "p.html")
    assert done.exit_code == 0
    assert "0 sites, 0 slides" in (tmp_path / "p.html").read_text()


def test_figures_do_not_depend_on_the_order_of_the_control_runs() -> None:
    """Their times and numbers tell it."""
    slides = sorted((slide(number) for number in range(1, 30)), key=lambda each: each.uuid)
    controls = [run("north", day, "rejected" if day == 3 else "in_control") for day in range(1, 6)]
    first = sites_as_json(figures(resolve(("", each) for each in slides), controls))
    random.Random(1).shuffle(controls)
    assert sites_as_json(figures(resolve(("", each) for each in slides), controls)) == first
