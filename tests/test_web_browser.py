"""The main road in a real browser: a picture, its result, ten cells by key, two undone, one added, signed, amended."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra `web` is not installed")
pytest.importorskip("playwright", reason="the extra `dev` is not installed")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright
from reported import BLASTS, readings, report_now
from reviewed import OpenReview, keep, kept, store_at
from standard import REFERENCE, RULES
from web_server import Counted, Served, serving

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.cli.analyze import demo_picture
from edgeleuk.counting.requests import NextSlide
from edgeleuk.render.report.page import page as report_page
from edgeleuk.types import Frame

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: no page is driven")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
WAIT_MS = 120_000
"""Longest wait: a loaded machine is slow."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as tool:
        found = tool.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("road") / "sessions.db", lan=True) as found:
        yield found


def require_accessible(page: Page, where: str) -> None:
    """Nothing that axe-core calls serious or critical."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    grave = [
        (each["id"], each["nodes"][0]["html"][:200])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert not grave, f"{where}: {grave}"


def road(page: Page, served: Served, said: list[str]) -> None:
    """From the code in the terminal to the amended report."""
    page.set_default_timeout(WAIT_MS)
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{served.address}/enter#{served.tokens[-1]}")
    page.wait_for_url(f"{served.address}/")
    require_accessible(page, "slides")
    page.goto(f"{served.address}/camera")
    page.fill("#slide", "S-1")
    page.set_input_files("#take", demo_picture())
    page.wait_for_selector("#result .verdict")
    require_accessible(page, "pictures")
    page.click("text=Look at the cells")
    page.wait_for_selector(".tile")
    require_accessible(page, "slide")
    name_reviewer(page)
    reclassify(page)
    add(page)
    sign_and_amend(page)
    require_accessible(page, "amended")


def name_reviewer(page: Page) -> None:
    page.click("#who")
    page.fill("#who-input", "Ada")
    page.press("#who-input", "Enter")
    page.wait_for_selector("#ask-who", state="hidden")


def reclassify(page: Page) -> None:
    """Ten cells get a type they do not have, by keys alone; two are undone. The page stays where it is."""
    page.locator(".tile").first.click()
    first = str(page.evaluate("document.activeElement.id"))
    for number in range(10):
        label = page.evaluate("document.activeElement.dataset.label")
        page.keyboard.press("b" if label != "basophil" else "m")
        expect(page.locator(".tiles .tile.changed")).to_have_count(number + 1, timeout=WAIT_MS)
        if number < 9:
            page.keyboard.press("ArrowRight")
    assert str(page.evaluate("document.activeElement.id")) != first
    at = page.evaluate("[scrollY, document.activeElement.id]")
    for left in (9, 8):
        page.keyboard.press("z")
        expect(page.locator(".tiles .tile.changed")).to_have_count(left, timeout=WAIT_MS)
    assert page.evaluate("[scrollY, document.activeElement.id]") == at
    expect(page.locator(".tiles .tile.changed")).to_have_count(8)
    assert "program" in page.inner_text(".tile.changed .was >> nth=0")


def add(page: Page) -> None:
    """A place in the field's picture that shows no white cell becomes one added by hand."""
    page.keyboard.press("Enter")
    page.wait_for_selector("#panel[open] #field-picture")
    require_accessible(page, "cell")
    page.click("text=Open this field")
    page.wait_for_selector("#add-help")
    box = page.locator("#field-picture").bounding_box()
    assert box
    page.mouse.click(box["x"] + 0.7 * box["width"], box["y"] + 0.45 * box["height"])
    page.wait_for_selector("#add-choices:not([hidden])")
    require_accessible(page, "field")
    page.click("[data-add=lymphocyte]")
    page.wait_for_selector(".by-hand-list .hand", state="attached")
    page.keyboard.press("Escape")
    page.wait_for_selector("#panel", state="hidden")


def sign_and_amend(page: Page) -> None:
    page.click("#sign")
    page.click("#ask-yes")
    page.wait_for_selector("#ask", state="hidden")
    assert "signed as revision 1" in page.inner_text("#state")
    page.locator(".tile").first.click()
    page.keyboard.press("m")
    assert "signed" in page.inner_text("#said")
    expect(page.locator(".tiles .tile.changed")).to_have_count(8)
    page.click("#amend")
    page.fill("#ask-input", "second look")
    page.click("#ask-yes")
    page.wait_for_selector("#ask", state="hidden")
    assert "revision 2 not signed" in page.inner_text("#state")


@pytest.mark.parametrize(("width", "height"), [(390, 844), pytest.param(1280, 800, marks=pytest.mark.long)])
def test_the_main_road(browser: Browser, served: Served, width: int, height: int, tmp_path: Path) -> None:
    """On a phone and at a desk: nothing is reported by the browser, nothing serious by axe-core, nothing is too wide."""
    phone: dict[str, Any] = {"has_touch": True, "is_mobile": True} if width < 500 else {}
    context = browser.new_context(viewport={"width": width, "height": height}, **phone)
    page, said = context.new_page(), list[str]()
    try:
        road(page, served, said)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.screenshot(path=str(tmp_path / "end.png"))
    finally:
        context.close()
    assert said == []


def test_only_what_was_on_the_screen_was_looked_at(browser: Browser, served: Served) -> None:
    """For a second: what lies below the window is not, and a person who gave no name looks at nothing."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    with served.browser("") as client:
        client.post("/api/tokens", json={})
    page.goto(f"{served.address}/enter#{served.tokens[-1]}")
    page.wait_for_url(f"{served.address}/")
    page.goto(f"{served.address}/camera")
    page.fill("#slide", "S-2")
    page.set_input_files("#choose", demo_picture())
    page.click("text=Look at the cells")
    page.wait_for_selector(".tile")
    name_reviewer(page)
    page.wait_for_timeout(3500)
    assert page.locator(".tile.looked").count() == 0
    page.locator(".tile").first.scroll_into_view_if_needed()
    page.wait_for_selector(".tile.looked")
    page.wait_for_timeout(500)
    low = page.evaluate("innerHeight - document.getElementById('palette').offsetHeight")
    for tile in page.locator(".tile.looked").all():
        box = tile.bounding_box()
        assert box
        assert box["y"] < low
    assert page.locator(".tile.looked").count() < page.locator(".tiles .tile").count()
    context.close()


def test_the_next_slide_is_begun_on_the_page(
    browser: Browser, analyser: Analyser, demo_frame: Frame, tmp_path: Path
) -> None:
    """The button is there with a camera alone; its dialog asks for the id, and without one it stays open."""
    counted = Counted(analyser, demo_frame)
    counted.show()
    with serving(tmp_path / "sessions.db", live=counted.hub) as served:
        page = browser.new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto(f"{served.address}/live")
        page.wait_for_selector("#tally .verdict")
        assert page.locator("#next").is_hidden()
        counted.hub.next_slides = True
        page.click("#next")
        require_accessible(page, "next slide")
        page.click("text=Begin the next slide")
        assert page.locator("#ask-next").is_visible()
        page.fill("#next-input", "S-18")
        page.press("#next-input", "Enter")
        page.wait_for_selector("#ask-next", state="hidden")
        page.close()
    assert list(counted.requests()) == [NextSlide("S-18")]


A4_PX = 688
"""Width of an A4 page within its margins, CSS pixels."""


def test_a_browser_prints_a_report_whole(browser: Browser, tmp_path: Path) -> None:
    """On two A4 pages, amended; nothing reaches beyond the paper, and nothing of it is hidden."""
    with store_at(tmp_path) as store:
        opened = OpenReview(store, kept(store, keep(store, readings(BLASTS), "S-2")), RULES, REFERENCE)
        opened.sign("Ada", opened.look("Ada", [1, 2]).last)
        opened.reclassify("Ada", [1], "eosinophil", "second look")
        (tmp_path / "report.html").write_text(report_page(report_now(store, opened)), encoding="utf-8")
    page = browser.new_page(viewport={"width": A4_PX, "height": 1000})
    page.goto((tmp_path / "report.html").as_uri())
    page.emulate_media(media="print")
    wide = page.eval_on_selector_all(
        "body *",
        "all => all.filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML)",
    )
    assert wide == []
    cut = page.eval_on_selector_all(
        "td, th, p, li, figcaption",
        "all => all.filter(e => !e.classList.contains('running') && e.scrollWidth > e.clientWidth + 1"
        " && getComputedStyle(e).overflow !== 'visible').map(e => e.outerHTML)",
    )
    assert cut == []
    printed = page.pdf(format="A4", prefer_css_page_size=True)
    assert printed.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 2
    page.close()
