"""Review over HTTP: what a page asks for, on a real server with a kept slide."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra `web` is not installed")

import httpx
from reported import reviewing
from reviewed import store_at
from web_server import Served, serving, slide_of_demo

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.cli.analyze import demo_picture
from edgeleuk.quality_control import log
from edgeleuk.quality_control.control import Control, ControlRun, EvaluatedValue, Expected
from edgeleuk.sessions import open_store
from edgeleuk.types import UNCLASSIFIED
from edgeleuk.web.shown import tile

Post = Any


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, analyser: Analyser) -> tuple[Path, str]:
    """A store with the demo as a slide of one picture."""
    store = tmp_path_factory.mktemp("kept") / "sessions.db"
    return store, slide_of_demo(store, analyser, Path(demo_picture()))


@pytest.fixture
def slide(kept: tuple[Path, str], tmp_path: Path) -> tuple[Path, str]:
    """A copy of it, to be changed."""
    store, session = kept
    (tmp_path / "sessions.db").write_bytes(store.read_bytes())
    return tmp_path / "sessions.db", session


@pytest.fixture
def served(slide: tuple[Path, str]) -> Iterator[Served]:
    with serving(slide[0]) as found:
        yield found


class Slide:
    """The page of a slide, as its script behaves."""

    def __init__(self, client: httpx.Client, session: str) -> None:
        self.client, self.base = client, f"/api/slides/{session}"
        self.page = client.get(f"/slides/{session}").text
        self.last = int(re.findall(r'data-last="(\d+)"', self.page)[0])
        self.cells = [int(each) for each in re.findall(r'id="cell-(\d+)"', self.page)]

    def post(self, name: str, code: int = 200, **body: Any) -> dict[str, Any]:
        answer = self.client.post(f"{self.base}/{name}", json={"last": self.last, **body})
        assert answer.status_code == code, answer.text
        told: dict[str, Any] = answer.json()
        if code == 200:
            self.last = told["last"]
        return told


def test_cells_are_reclassified_and_undone(served: Served, slide: tuple[Path, str]) -> None:
    """The differential follows at once, and only what changed is sent."""
    with served.browser() as client:
        page = Slide(client, slide[1])
        before = client.get(page.base).json()["counts"]
        two = page.cells[:2]
        done = page.post("reclassify", cells=two, label="basophil")
        assert {each["id"] for each in done["cells"]} >= set(two)
        assert done["counts"]["basophil"] == before["basophil"] + 2
        assert all(each["changed"] for each in done["cells"] if each["id"] in two)
        assert "basophil" in done["summary"]
        back = page.post("undo")
        assert back["counts"] == before


def test_what_a_page_did_not_know_is_sent(served: Served, slide: tuple[Path, str]) -> None:
    """Another browser changed something in between: all cells come, so that the page is right again."""
    with served.browser() as client, served.browser("Ben") as other:
        one, two = Slide(client, slide[1]), Slide(other, slide[1])
        two.post("reclassify", cells=[two.cells[0]], label="basophil")
        done = one.post("reclassify", cells=[one.cells[1]], label="basophil")
        assert len(done["cells"]) == len(one.cells)


def test_only_cells_that_were_shown_are_looked_at(served: Served, slide: tuple[Path, str]) -> None:
    """Nothing else counts as reviewed."""
    with served.browser() as client:
        page = Slide(client, slide[1])
        done = page.post("look", cells=page.cells[:3])
        assert done["reviewed"] == 3
        assert {each["id"] for each in done["cells"] if each["looked_at"]} == set(page.cells[:3])


def test_a_missed_cell_is_counted_apart(served: Served, slide: tuple[Path, str]) -> None:
    """It is none of the program's cells; a place outside the picture is refused."""
    with served.browser() as client:
        page = Slide(client, slide[1])
        before = client.get(page.base).json()["counts"]
        done = page.post("add", label="lymphocyte", field=1, x=600.0, y=400.0)
        assert (done["added"], done["counts"]) == ({"lymphocyte": 1}, before)
        assert "by Ada" in done["by_hand"]
        assert (
            page.post("add", 409, label="lymphocyte", field=1, x=1e5, y=400.0)["error"]["code"] == "outside"
        )
        assert (
            page.post("add", 409, label="lymphocyte", field=7, x=600.0, y=400.0)["error"]["code"] == "outside"
        )


def test_a_revision_is_signed_and_amended(served: Served, slide: tuple[Path, str]) -> None:
    """Only as it was seen; a later change belongs to the next one."""
    with served.browser() as client:
        page = Slide(client, slide[1])
        seen = page.last
        page.post("note", text="smear a little thick")
        page.post("sign", 409, seen=seen)
        signed = page.post("sign", seen=page.last)
        assert (signed["signed"], signed["standing"], signed["revision"]) == (True, "final", 1)
        amended = page.post("amend", why="second look")
        assert (amended["signed"], amended["standing"], amended["revision"]) == (False, "amended", 2)
        assert "signed by Ada" in amended["state"]


def test_mistakes_are_told_in_a_sentence(served: Served, slide: tuple[Path, str]) -> None:
    """Unknown cells, labels, slides and states."""
    with served.browser() as client:
        page = Slide(client, slide[1])
        assert "99999" in page.post("reclassify", 409, cells=[99999], label="blast")["error"]["text"]
        page.post("reclassify", 409, cells=[page.cells[0]], label="dragon")
        page.post("undo", 409)
        page.post("amend", 409, why="not signed yet")
        assert client.get("/api/slides/nothing").status_code in (404, 409)
        assert client.get("/slides/nothing").status_code == 404
        assert client.get(f"/slides/{slide[1]}/cells/99999.jpg").status_code == 404


def test_nobody_changes_a_slide_without_a_name(served: Served, slide: tuple[Path, str]) -> None:
    """The page asks who reviews."""
    with served.browser("") as client:
        page = Slide(client, slide[1])
        assert page.post("reclassify", 409, cells=page.cells[:1], label="blast")["error"]["code"] == "no_name"


def test_where_there_are_operators_a_pin_is_needed(slide: tuple[Path, str]) -> None:
    """To review under a name, and again to sign."""
    with open_store(slide[0]) as store:
        store.operators.add("Ada", "2468-13")
    with serving(slide[0]) as served, served.browser("") as client:
        wrong = client.post("/api/operator", json={"name": "Ada", "pin": "1"})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (403, "pin")
        assert client.post("/api/operator", json={"name": "Ada", "pin": "2468-13"}).json() == {"name": "Ada"}
        page = Slide(client, slide[1])
        assert "<option selected>Ada</option>" in page.page
        page.post("reclassify", cells=page.cells[:1], label="blast")
        refused = client.post(f"{page.base}/sign", json={"last": page.last, "seen": page.last, "pin": "0"})
        assert refused.status_code in (409, 503), refused.text
        assert page.post("sign", seen=page.last, pin="2468-13")["signed"]


def test_pictures_and_parts_of_a_slide_are_there(served: Served, slide: tuple[Path, str]) -> None:
    """The crop of each cell, the field, and what is said of a cell."""
    with served.browser() as client:
        page = Slide(client, slide[1])
        for cell in page.cells[:3]:
            crop = client.get(f"/slides/{slide[1]}/cells/{cell}.jpg")
            assert (crop.headers["content-type"], crop.content[:3]) == ("image/jpeg", b"\xff\xd8\xff")
        assert client.get(f"/slides/{slide[1]}/fields/1.jpg").content[:3] == b"\xff\xd8\xff"
        told = client.get(f"/slides/{slide[1]}/cells/{page.cells[0]}").text
        assert "In its field" in told
        assert "Attributes" in told
        assert client.get(f"/slides/{slide[1]}/fields/1").text.count('class="box"') == len(page.cells)


def test_the_report_is_that_of_the_command(served: Served, slide: tuple[Path, str]) -> None:
    """It runs nothing, whatever is in it."""
    with served.browser() as client:
        report = client.get(f"/slides/{slide[1]}/report.html")
        assert report.status_code == 200
        assert "sandbox" in report.headers["content-security-policy"]
        assert "script-src" not in report.headers["content-security-policy"]
        table = client.get(f"/slides/{slide[1]}/report.csv")
        assert table.headers["content-disposition"] == 'attachment; filename="S1-revision-1.csv"'
        assert client.get(f"/slides/{slide[1]}/report.exe").status_code == 404


def test_names_are_never_markup(slide: tuple[Path, str]) -> None:
    """Of a slide, of a reviewer, of a note."""
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    with open_store(slide[0]) as store:
        held = store.annotate(slide[1])
        held.describe({"slide": evil})
        held.release()
    with serving(slide[0]) as served, served.browser(evil[:60]) as client:
        page = Slide(client, slide[1])
        done = page.post("note", text=evil)
        for text in (
            page.page,
            client.get("/").text,
            done["state"],
            client.get(f"/camera?session={slide[1]}").text,
        ):
            assert "<script>alert" not in text
            assert "<img src=x" not in text


def test_a_slide_being_counted_is_not_changed(slide: tuple[Path, str]) -> None:
    """It can be looked at meanwhile."""
    with open_store(slide[0]) as store, serving(slide[0]) as served, served.browser() as client:
        held = store.extend(slide[1])
        page = Slide(client, slide[1])
        assert "being counted now" in page.page
        told = page.post("reclassify", 503, cells=page.cells[:1], label="blast")
        assert told["error"]["code"] == "StoreError"
        held.finish("done")


def test_a_page_tells_of_a_failed_control_slide(tmp_path: Path, analyser: Analyser) -> None:
    """When it is loaded, after each change, and in the report."""
    store = tmp_path / "sessions.db"
    values = (EvaluatedValue("neutrophil", 80.0, 60.0, 5.0, 4.0, "1-3s"),)
    with open_store(store) as opened:
        expected = (Expected("neutrophil", 60.0, 5.0),)
        opened.add_to_control_log("c1", "set", log.encode(Control("c1", "c1", "100x", expected)))
        opened.add_to_control_log("c1", "run", log.encode(ControlRun("0" * 36, "rejected", 200, values)))
    session = slide_of_demo(store, analyser, Path(demo_picture()))
    with serving(store) as served, served.browser() as client:
        page = Slide(client, session)
        changed = page.post("reclassify", cells=page.cells[:1], label="basophil")
        for text in (page.page, changed["summary"], client.get(f"/slides/{session}/report.html").text):
            assert "Control slide c1 failed on" in text


def test_a_page_is_made_quickly(served: Served, slide: tuple[Path, str]) -> None:
    """Once its slide is open."""
    with served.browser() as client:
        client.get(f"/slides/{slide[1]}")
        began = time.monotonic()
        client.get(f"/slides/{slide[1]}")
        assert time.monotonic() - began < 1


def test_a_tile_of_a_cell_not_recognised_names_its_likeliest_type(tmp_path: Path) -> None:
    """With its probability, until a person labels the cell."""
    with store_at(tmp_path) as store:
        opened = reviewing(store, ["neutrophil"] * 9 + [UNCLASSIFIED])
        kept = opened._kept
        assert tile(kept, opened.review().cells[1])["name"] == "neutrophil"
        assert tile(kept, opened.review().cells[10])["name"] == "not recognised, most like blast (50 %)"
        labelled = opened.reclassify("Ada", [10], "monocyte").cells[10]
        assert tile(kept, labelled)["name"] == "monocyte"


def test_a_kept_slide_is_shown_without_networks(
    served: Served, slide: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored needs the model's manifest alone: to open its networks costs seconds on a small computer."""

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("a network was opened")

    monkeypatch.setattr("edgeleuk.networks.onnx_session.Session.__init__", opened)
    with served.browser() as client:
        assert client.get(f"/slides/{slide[1]}").status_code == 200
        for name in ("html", "json"):
            assert client.get(f"/slides/{slide[1]}/report.{name}").status_code == 200


def test_the_list_of_slides_tells_verdict_and_review(served: Served, slide: tuple[Path, str]) -> None:
    """Each row asks for its own; what it shows follows the review."""
    with served.browser() as client:
        assert f'data-session="{slide[1]}"' in client.get("/").text
        path = f"/slides/{slide[1]}/standing"
        told = client.get(path).json()
        assert told["review"] == "not reviewed"
        page = Slide(client, slide[1])
        assert f'<div class="verdict {told["code"]}"><h2>{told["title"]}</h2>' in page.page
        page.post("look", cells=page.cells[:2])
        assert client.get(path).json()["review"] == f"preliminary, 2 of {len(page.cells)} looked at"
        page.post("sign", seen=page.last)
        assert client.get(path).json()["review"] == "final, signed by Ada"
        page.post("amend", why="second look")
        assert (
            client.get(path).json()["review"].startswith("preliminary, changed after revision 1 was signed")
        )
        assert client.get("/slides/none/standing").status_code == 404
