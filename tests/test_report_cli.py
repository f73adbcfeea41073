"""`edgeleuk report` and `analyze --report`: what is written, where, and what is refused."""

from __future__ import annotations

import copy
import json
import stat
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import pytest
from reported import BLASTS, MOSTLY_UNKNOWN, Page, faults, need_pdf, result_of, reviewing
from reviewed import store_at
from typer.testing import CliRunner

from edgeleuk.cli import app
from edgeleuk.cli._console import json_text
from edgeleuk.differential.differential import all_values
from edgeleuk.errors import EdgeleukError, InputError, MissingExtraError, OutputError, RecordError, UsageError
from edgeleuk.render import tables
from edgeleuk.render.report import pdf as printing
from edgeleuk.reports.outbox import Outbox, bundle_name
from edgeleuk.results.codec import encode


def run(*arguments: str | Path) -> str:
    """What a command says; an error is raised as it is."""
    done = CliRunner().invoke(app, ["report", *map(str, arguments)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A result's JSON."""
    result = result_of(tmp_path_factory.mktemp("store"), BLASTS, slide="S-7")
    return json_text(tables.document(result))


@pytest.fixture
def document(tmp_path: Path, shared: str) -> Path:
    """A file of a result."""
    path = tmp_path / "results.json"
    path.write_text(shared)
    return path


def test_every_form_is_written_at_once(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a result's JSON; each file is this user's alone. Without WeasyPrint: all but the PDF."""
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    forms = {name: tmp_path / f"r.{name}" for name in ("html", "csv", "json", "fhir")}
    said = run(document, *(part for name, path in forms.items() for part in (f"--{name}", path)))
    assert "S-7" in Page(forms["html"].read_text()).text
    assert forms["csv"].read_text().startswith("site,device,slide,session,started,section,name,count,")
    assert json.loads(forms["json"].read_text())["schema"] == "edgeleuk-report/1"
    assert faults(json.loads(forms["fhir"].read_text())) == []
    assert "presentedForm" not in forms["fhir"].read_text()
    assert "has no PDF: the extra `pdf` is not installed" in said
    assert {stat.S_IMODE(path.stat().st_mode) for path in forms.values()} == {0o600}
    assert all(f"the report is in {path}" in said.replace("\n", "") for path in forms.values())


def test_a_form_for_programs_can_be_printed(document: Path) -> None:
    """By a dash; what is looked at needs a file."""
    printed = CliRunner().invoke(app, ["report", str(document), "--json", "-"])
    assert json.loads(printed.stdout)["schema"] == "edgeleuk-report/1"
    refused = CliRunner().invoke(app, ["report", str(document), "--html", "-"])
    assert "need a file" in str(refused.exception)


def test_a_session_and_a_slide_id_name_the_same_report(tmp_path: Path) -> None:
    """The newest session of a slide; its cells' review is in it."""
    with store_at(tmp_path) as store:
        opened = reviewing(store, BLASTS, slide="S-9")
        opened.note("M. Phiri", "stain is pale")
        session = opened.review().session
    pages = [tmp_path / "one.html", tmp_path / "other.html"]
    for name, path in zip((session, "S-9"), pages, strict=True):
        run(name, "--store", tmp_path / "sessions.db", "--html", path)
    assert pages[0].read_text() == pages[1].read_text()
    shown = Page(pages[0].read_text())
    assert shown.fact("Session") == session
    assert "M. Phiri: stain is pale" in shown.text


def test_a_folder_of_results_names_its_json(document: Path, tmp_path: Path) -> None:
    run(document.parent, "--html", tmp_path / "r.html")
    assert "S-7" in (tmp_path / "r.html").read_text()


def test_an_exported_record_has_a_report_too(tmp_path: Path) -> None:
    """`result.edgeleuk` of `sessions export`."""
    (tmp_path / "result.edgeleuk").write_bytes(encode(result_of(tmp_path, slide="S-8")))
    run(tmp_path / "result.edgeleuk", "--html", tmp_path / "r.html")
    assert "S-8" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (["--html", "x.html"], UsageError, "name a slide"),
        (["S-1"], UsageError, "say what to write"),
        (["S-1", "--html", "x", "--csv", "x"], UsageError, "same file"),
        (["none.json", "--html", "x.html"], InputError, "cannot read none.json"),
        (["text.json", "--html", "x.html"], RecordError, "is no result"),
        (["other.json", "--html", "x.html"], RecordError, "schema 'other/1'"),
        (["empty.json", "--html", "x.html"], RecordError, "damaged, or was changed"),
    ],
)
def test_what_cannot_be_reported_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    kind: type[EdgeleukError],
    said: str,
) -> None:
    """In one sentence, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    Path("text.json").write_text("no json")
    Path("other.json").write_text('{"schema": "other/1"}')
    Path("empty.json").write_text('{"schema": "edgeleuk-analysis/1"}')
    with pytest.raises(kind, match=said):
        run(*arguments)
    assert not Path("x.html").exists()


def test_a_percentage_that_was_changed_is_refused(document: Path) -> None:
    """It contradicts its own two counts."""
    changed = json.loads(document.read_text())
    changed["differential"]["types"]["blast"]["percent"] = 1.0
    document.write_text(json.dumps(changed))
    with pytest.raises(RecordError, match="20 of 120 are not 1 %"):
        run(document, "--html", document.parent / "x.html")


def test_results_of_older_versions_without_support_are_read(tmp_path: Path) -> None:
    """Until 0.2.0 a share stood beside `supported` false; the report has counts alone either way."""
    result = result_of(tmp_path, MOSTLY_UNKNOWN)
    now = json.loads(json_text(tables.document(result)))
    older = copy.deepcopy(now)
    older["differential"] |= json.loads(json_text(all_values(result.differential)))
    pages = []
    for name, told in (("now", now), ("older", older)):
        (tmp_path / f"{name}.json").write_text(json.dumps(told))
        run(tmp_path / f"{name}.json", "--json", tmp_path / f"{name}.report")
        pages.append(json.loads((tmp_path / f"{name}.report").read_text()))
    assert older["differential"]["types"]["neutrophil"]["percent"] == 100.0
    assert pages[0] == pages[1]
    assert pages[0]["differential"]["types"]["neutrophil"]["percent"] is None


def test_analyze_writes_one_page_a_slide(tmp_path: Path) -> None:
    """With pictures of the flagged cells, also where nothing is kept."""
    command = [
        sys.executable,
        "-m",
        "edgeleuk",
        "analyze",
        "--demo",
        "--report",
        "--no-keep",
        "--slide",
        "D-1",
        "--out",
        "out",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "out").glob("[!.]*")] == ["report.html"]
    shown = Page((tmp_path / "out" / "report.html").read_text())
    assert "1 cell. Each picture is 20 µm wide; the bar is 5 µm." in shown.text
    assert [tag for tag, _ in shown.tags].count("img") == 1
    assert shown.row("blast")[1] == "1"


def test_a_pdf_is_the_page_on_a4(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The FHIR document, also the one in the outbox, holds the same bytes."""
    need_pdf()
    monkeypatch.setenv("EDGELEUK_OUTBOX", str(tmp_path / "box"))
    run(document, "--pdf", tmp_path / "r.pdf", "--fhir", tmp_path / "r.json", "--outbox")
    printed = (tmp_path / "r.pdf").read_bytes()
    assert printed.startswith(b"%PDF-")
    bundle = json.loads((tmp_path / "r.json").read_text())
    assert b64decode(bundle["entry"][1]["resource"]["presentedForm"][0]["data"]) == printed
    assert faults(bundle) == []
    (waiting,) = Outbox().listed()
    assert json.loads(Outbox().read(waiting.name)) == bundle


def test_equal_pages_print_equal_bytes() -> None:
    """No time of printing is in a PDF."""
    need_pdf()
    assert printing.pdf("<p>x</p>") == printing.pdf("<p>x</p>")


def test_printing_fetches_nothing(tmp_path: Path) -> None:
    """A page that refers to a file or an address is not printed."""
    need_pdf()
    (tmp_path / "x.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    for source in ((tmp_path / "x.svg").as_uri(), "http://127.0.0.1:9/x.png", "ftp://127.0.0.1/x"):
        with pytest.raises(OutputError, match="outside"):
            printing.pdf(f'<p>x</p><img src="{source}">')


def test_without_weasyprint_the_extra_is_named(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any work, with the command that installs it."""
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'edgeleuk\[pdf\]'"):
        run(document, "--pdf", tmp_path / "r.pdf")
    assert not (tmp_path / "r.pdf").exists()


def test_a_bundle_waits_in_the_outbox_until_it_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for each result and revision; its folder is this user's alone."""
    monkeypatch.setenv("EDGELEUK_OUTBOX", str(tmp_path / "box"))
    assert "nothing in the outbox" in run("--outbox")
    name = bundle_name("r", 1, "final")
    for content in (b"{}", b"[]"):
        Outbox().put(name, content)
    assert name in run("--outbox")
    assert Outbox().read(name) == b"[]"
    assert stat.S_IMODE((tmp_path / "box").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "box" / name).stat().st_mode) == 0o600
    Outbox().fetched(name)
    Outbox().fetched(name)
    assert Outbox().listed() == ()


@pytest.mark.parametrize(
    "name", ["../x.fhir.json", "/etc/passwd", "x.json", "", ".fhir.json", "a/b.fhir.json"]
)
def test_the_outbox_opens_no_other_file(tmp_path: Path, name: str) -> None:
    """A name of a bundle has no folder in it."""
    with pytest.raises(UsageError):
        Outbox(tmp_path).read(name)
    assert "/" not in bundle_name(name, 1, "final")


def test_half_written_bundles_are_not_listed(tmp_path: Path) -> None:
    """Writing is one step: what has the name is whole."""
    (tmp_path / ".a1b2.partial").write_bytes(b"{")
    Outbox(tmp_path).put(bundle_name("r", 1, "final"), b"{}")
    assert [each.name for each in Outbox(tmp_path).listed()] == ["r-r1-final.fhir.json"]
