"""A whole result in another language: no English is left but what is marked as such."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from reported import BLASTS, MOSTLY_UNKNOWN, result_of
from rich.console import Console
from standard import REFERENCE, RULES

from edgeleuk.models import registry
from edgeleuk.render import terminal
from edgeleuk.render.report.page import page
from edgeleuk.reports import Context, gather
from edgeleuk.system import language
from edgeleuk.system.language import speaking

LATIN = re.compile(r"[A-Za-z]{3,}")
NAMES = {
    "edgeleuk", "SHA", "UTC", "Dacie", "and", "Lewis", "mag", "Enter", "Esc", "Space", "Ctrl", "sRGB", "LAB", "CIE", "demo",
    "jpg", "NRBC", "PIN", "frame",
}  # fmt: skip
"""What has no translation: names of programs, books, keys, options and pictures."""
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


def test_a_page_names_its_language() -> None:
    """Each that ships has its own direction of writing."""
    assert {code: language.load(code).direction for code in language.codes()} == {
        "en": "ltr",
        "fr": "ltr",
        "ur": "rtl",
    }
