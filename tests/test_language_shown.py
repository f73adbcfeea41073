"""A whole result in another language: no English is left but what is marked as such."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from reported import BLASTS, MOSTLY_UNKNOWN, need_pdf, result_of
from rich.console import Console
from standard import REFERENCE, RULES
from web_server import serving, slide_of_demo

import edgeleuk
from edgeleuk.analysis.analyser import Analyser
from edgeleuk.cli.analyze import demo_picture
from edgeleuk.models import registry
from edgeleuk.render import levey_jennings_page, terminal
from edgeleuk.render._words import unchecked_notice
from edgeleuk.render.report import pdf
from edgeleuk.render.report.page import page
from edgeleuk.render.typography import typeset
from edgeleuk.reports import Context, gather
from edgeleuk.system import language
from edgeleuk.system.language import speaking
from edgeleuk.system.sentences import said
from edgeleuk.web.languages import coded

BOX = "\ue123"
"""Character for private use, which no font has."""
LATIN = re.compile(r"[A-Za-z]{3,}")
NAMES = {
    "edgeleuk", "SHA", "UTC", "Dacie", "and", "Lewis", "mag", "Enter", "Esc", "Space", "Ctrl", "sRGB", "LAB", "CIE", "demo",
    "jpg", "NRBC", "PIN", "frame", "Ada", "FHIR", "PDF", "Shift",
}  # fmt: skip
"""What has no translation: names of programs, books, keys, options and pictures."""
PACKAGE = Path(edgeleuk.__file__).parent
WHOLE_PAGES = [
    path
    for path in sorted((*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.html")))
    if "<!doctype html>" in path.read_text(encoding="utf-8")
]
"""Modules and templates that write a page."""
VOID = {"meta", "link", "input", "img", "br", "rect", "hr"}


class Shown(HTMLParser):
    """The texts of a page outside of parts that are marked as English or hold texts from outside."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._marked = [False]
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = dict(attrs)
        if tag not in VOID:
            apart = tag in ("style", "script", "bdi", "code", "kbd", "svg") or about.get("dir") == "auto"
            self._marked.append(self._marked[-1] or apart or about.get("lang") == "en")
        if not self._marked[-1]:
            self.texts += [about[name] or "" for name in ("aria-label", "alt", "title") if name in about]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            self._marked.pop()

    def handle_data(self, data: str) -> None:
        if not self._marked[-1]:
            self.texts.append(data)


def english(texts: list[str]) -> list[str]:
    """Words of these texts that a translation should have replaced."""
    plain = [re.sub(r"\[[^\]]*\]|--[a-z-]+|`[^`]*`", "", text) for text in texts]
    return [word for text in plain for word in LATIN.findall(text) if word not in NAMES]


@pytest.mark.parametrize(
    "labels", [BLASTS, MOSTLY_UNKNOWN, ("neutrophil",) * 3], ids=["blasts", "unknown", "few"]
)
def test_no_english_is_left_in_a_report(tmp_path: Path, labels: Any) -> None:
    """Written from right to left, with its safety sentences in English too."""
    report = gather(result_of(tmp_path, labels, slide="S-9"), RULES, REFERENCE, Context())
    with speaking("ur"):
        html = page(report)
    assert '<html lang="ur" dir="rtl">' in html
    assert english(Shown(html).texts) == []
    assert report.verdict.text in re.sub(r"<[^>]*>", "", html)
    assert "Research use only. Not a diagnosis." in html


@pytest.mark.parametrize(
    "labels", [BLASTS, MOSTLY_UNKNOWN, ("neutrophil",) * 3], ids=["blasts", "unknown", "few"]
)
def test_no_english_is_left_on_the_terminal(tmp_path: Path, labels: Any) -> None:
    """But in brackets."""
    console = Console(file=io.StringIO(), width=200)
    with speaking("ur"):
        console.print(terminal.analysis(result_of(tmp_path, labels), registry.load("100x"), details=True))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    rows = [line for line in shown.splitlines() if not line.startswith("╭")]
    assert english(["\n".join(rows)]) == []


@pytest.mark.parametrize(
    "path",
    ["/", "/slides/{session}", "/slides/{session}/cells/{cell}", "/slides/{session}/fields/1", "/camera"],
)
def test_no_english_is_left_on_a_page(kept_demo: tuple[httpx.Client, str], path: str) -> None:
    """Of a browser that asks for another language."""
    client, session = kept_demo
    cell = re.search(r'data-id="(\d+)"', client.get(f"/slides/{session}").text)
    assert cell
    html = client.get(
        path.format(session=session, cell=cell[1]), headers={"accept-language": "sw, ur-PK;q=0.9, en;q=0.5"}
    ).text
    assert english(Shown(html).texts) == []
    if "cells" not in path and "fields" not in path:
        assert '<html lang="ur" dir="rtl">' in html


def test_scripts_have_the_words_of_the_page(kept_demo: tuple[httpx.Client, str]) -> None:
    """Every text that a script shows, by its English form; none on an English page."""
    client, _ = kept_demo

    def words(accepted: str) -> Any:
        html = client.get("/", headers={"accept-language": accepted}).text
        found = re.search(r'<meta name="words" content="([^"]*)">', html)
        assert found
        return json.loads(unescape(found[1]))

    assert words("en-GB") == {}
    assert set(words("fr")) >= {"Sign as {name}?", "sending, {n} %", "No cell chosen."}


def test_a_refused_request_is_answered_in_the_language_of_the_browser(
    kept_demo: tuple[httpx.Client, str],
) -> None:
    """Its code is for programs, and the same in each."""
    client, _ = kept_demo
    answers = [
        client.get("/nothing", headers={"accept-language": code}).json()["error"] for code in ("en", "fr")
    ]
    assert [each["code"] for each in answers] == ["not_found", "not_found"]
    assert [each["text"] for each in answers] == ["there is no such page.", "il n'y a pas de telle page."]


@pytest.fixture(scope="module")
def kept_demo(
    analyser: Analyser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, str]]:
    """A client of a server that has the demo picture, and the picture's session."""
    store = tmp_path_factory.mktemp("pages") / "sessions.db"
    session = slide_of_demo(store, analyser, Path(demo_picture()), f"S1 {BOX}")
    with serving(store) as served, served.browser() as client:
        yield client, session


@pytest.mark.parametrize("code", language.codes())
def test_the_page_that_offers_a_pdf_tells_what_it_shows_as_boxes(
    kept_demo: tuple[httpx.Client, str], code: str
) -> None:
    """In the words of the command `report`, before the PDF is fetched."""
    need_pdf()
    client, session = kept_demo
    html = client.get(f"/slides/{session}", headers={"accept-language": code}).text
    found = re.search(r'id="pdf-warning">(.*)</p>', html)
    assert found
    with speaking(code):
        letters = BOX + "".join(set().union(*language.current().entries.values()))
        text = said(pdf.box_warning(pdf.boxes(letters)))
        shown = typeset(f"{language._('warning: ')}{coded(text)}")
    assert f"U+{ord(BOX):04X}" in text
    assert found[1] == shown


def test_a_pdf_without_boxes_has_no_warning() -> None:
    """Latin letters, figures and punctuation are not tried."""
    assert pdf.box_warning(pdf.boxes("S-17 é µ – “…”")) == ""


@pytest.mark.parametrize("path", WHOLE_PAGES, ids=lambda path: path.name)
def test_every_page_tells_that_nobody_checked_its_translation(path: Path) -> None:
    """Whatever module or template writes it."""
    assert "unchecked" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("code", language.codes()[1:])
def test_the_page_of_a_control_slide_tells_that_nobody_checked_its_translation(code: str) -> None:
    """In a language that a native reader has yet to check."""
    with speaking(code) as spoken:
        html = levey_jennings_page.page("c", [], [])
        assert bool(unchecked_notice()) is not spoken.is_checked
        assert typeset(unchecked_notice()) in Shown(html).texts


def test_a_page_names_its_language() -> None:
    """Each that ships has its own direction of writing."""
    assert {code: language.load(code).direction for code in language.codes()} == {
        "en": "ltr",
        "fr": "ltr",
        "ur": "rtl",
    }
