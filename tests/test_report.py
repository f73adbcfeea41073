"""The report of a slide: what it states, in which order, and that it states nothing else than the result."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reported import BLASTS, MOSTLY_UNKNOWN, Page, made, readings, report_now, result_of, reviewing
from reviewed import NORMAL, READER, keep, kept, store_at
from rich.console import Console

from edgeleuk._text import escaped
from edgeleuk.cli import schema
from edgeleuk.cli._console import json_text
from edgeleuk.differential.differential import Differential
from edgeleuk.render import tables, terminal
from edgeleuk.render.report import plain
from edgeleuk.render.report.page import page, span, when
from edgeleuk.render.terminal import between
from edgeleuk.render.typography import BY_FIRST_LETTER, END
from edgeleuk.reports import Remark, Report, wanted
from edgeleuk.reports.from_json import from_document
from edgeleuk.reports.pictures import from_session
from edgeleuk.results.slide_result import SlideResult
from edgeleuk.statistics.bounds import Bounds
from edgeleuk.statistics.rounding import decimals
from edgeleuk.system.file_io import parse_json
from edgeleuk.system.language import speaking
from edgeleuk.types import Finding, spoken

ORDER = (
    "Verdict", "Slide", "Quality", "Differential", "Cells to look at", "Red cells and platelets", "Not looked for", "Scale",
    "Program and models", "Review",
)  # fmt: skip
FIXED = {"20", "5", "95", "100", "0", "256", "7.2"}
"""Numbers of the page itself: side and bar of the pictures, per cent, SHA-256, red cells."""


@pytest.fixture(scope="module")
def blasts(tmp_path_factory: pytest.TempPathFactory) -> SlideResult:
    return result_of(
        tmp_path_factory.mktemp("store"),
        BLASTS,
        slide="S-7",
        site="Post 3",
        operator="A. Banda",
        device="bench 2",
    )


def test_the_verdict_comes_first_and_the_signature_last(blasts: SlideResult) -> None:
    """The order of a report is fixed."""
    html = page(made(blasts))
    assert re.findall(r'aria-label="(Verdict)"|<h2>(.*?)</h2>', html) == [
        (name, "") if name == "Verdict" else ("", name) for name in ORDER
    ]
    assert html.index(blasts.verdict.title) < html.index("<h2>")
    assert html.rindex("Research use only. Not a diagnosis.") > html.index("Signature")


def test_names_keep_their_direction_wherever_they_stand(blasts: SlideResult) -> None:
    """In the page, in its head and in the footer of a PDF."""
    name = "bench 2 (left), no. 7"
    result = replace(blasts, about=replace(blasts.about, slide=name, site=name, device=name, operator=name))
    with speaking("ur"):
        html = page(made(result))
    body = html[html.index("<body>") :]
    assert body.count(name) >= 6
    assert body.count(f"{BY_FIRST_LETTER}{name}{END}") == body.count(name)


def test_each_row_is_that_of_the_differential(blasts: SlideResult) -> None:
    """Count, percentage, bounds and range of every type are the result's."""
    shown, found = Page(page(made(blasts))), blasts.differential
    ranges = {"neutrophil": "40 – 80", "lymphocyte": "20 – 40", "monocyte": "2 – 10", "eosinophil": "1 – 6"}
    for label, share in found.types.items():
        digits = decimals(share.of)
        bounds = found.bounds.get(label)
        row = shown.row(spoken(label))
        assert row[1:4] == [
            str(share.count),
            f"{share.percent:.{digits}f}" if share.count or bounds else "",  # 0 % would exclude it
            between(bounds, digits) if bounds else "not known",
        ]
        assert row[4] == ranges.get(label, "0 – 2" if label == "basophil" else "")
    assert shown.row("not recognised") if found.not_recognised else True


def test_no_number_of_the_page_is_its_own(blasts: SlideResult) -> None:
    """Every number that is printed is one of the result's, rounded."""
    report = made(blasts)
    known: set[str] = {*FIXED}
    _numbers(plain.document(report), known)
    told = re.findall(r"\d+(?:\.\d+)?", Page(page(report)).text)
    assert len(told) > 100
    assert {*told} - known == set()


def _numbers(value: Any, known: set[str]) -> None:
    """Add every way in which the values of a document may be printed."""
    if isinstance(value, dict):
        for each in (*value, *value.values()):
            _numbers(each, known)
    elif isinstance(value, list | tuple):
        for each in value:
            _numbers(each, known)
    elif isinstance(value, str):
        known.update(re.findall(r"\d+(?:\.\d+)?", value))
        known.update(re.findall(r"\d+(?:\.\d+)?", when(value)))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        known.update(
            (str(value), f"{value:.0f}", f"{value:.1f}", f"{value:.3g}", f"{value:.4f}", f"{value:g}")
        )
        known.update((f"{100 * value:.0f}", *between(Bounds(value, value), 0).split(" – ")))
        known.update(between(Bounds(value, value), 1).split(" – "))


def test_a_slide_of_which_little_was_recognised_has_counts_alone(tmp_path: Path) -> None:
    """No percentage, no bounds, no bar, in any form: as on the terminal."""
    result = result_of(tmp_path, MOSTLY_UNKNOWN)
    assert not result.differential.supported
    report = made(result)
    html = page(report)
    differential = html[html.index("<h2>Differential") : html.index("<h2>Red cells")]
    assert "<svg" not in html
    assert Page(html).row("neutrophil")[1:] == ["20", ""]
    assert Page(html).row("none of the others")[1:] == ["0", ""]
    assert (
        "%"
        not in Page(differential)
        .text.replace(" ".join(result.differential.adequacy), "")
        .partition("Cells")[0]
    )
    assert {(row.percent, row.bounds, row.range) for row in report.rows} == {(None, None, None)}
    document = plain.document(report)["differential"]
    assert {each["percent"] for each in document["types"].values()} == {None}
    assert {each["low"] for each in document["types"].values()} == {None}
    rows = csv.DictReader(io.StringIO(plain.csv(report)))
    assert {row["percent"] for row in rows if row["section"] == "type"} == {""}


def test_a_slide_that_is_not_usable_has_counts_alone(tmp_path: Path) -> None:
    """No percentage in any form, although enough cells were recognised."""
    coarse = Finding("coarse", False, 0.0, 1.0, "too little detail")
    with store_at(tmp_path) as store:
        result = kept(store, keep(store, readings(NORMAL), findings=(coarse,))).result
    report = made(result)
    assert report.verdict.code == "not_usable"
    assert {(row.percent, row.bounds, row.range) for row in report.rows} == {(None, None, None)}
    shown = Page(page(report))
    assert shown.row("neutrophil")[1:] == ["60", ""]
    assert "%" not in shown.text.partition("Differential")[2].partition("Red cells")[0]
    rows = csv.DictReader(io.StringIO(plain.csv(report)))
    assert {row["percent"] for row in rows if row["section"] == "type"} == {""}
    console = Console(width=80, file=io.StringIO())
    console.print(terminal.together(result.fields, result.differential, READER, details=True))
    assert "%" not in console.file.getvalue()
    assert "percent " not in console.file.getvalue()


def test_cells_that_were_not_recognised_have_their_denominator(blasts: SlideResult) -> None:
    """All white cells that were found."""
    found = blasts.differential
    assert f",type,unclassified,{found.not_recognised},{found.white_cells}," in plain.csv(made(blasts))


def test_a_report_names_no_diagnosis(blasts: SlideResult) -> None:
    """It says what was counted."""
    said = Page(page(made(blasts))).text.lower()
    assert "leukaemia" not in said
    assert "leukemia" not in said
    assert said.count("not a diagnosis") == 2


def test_a_page_needs_nothing_from_outside(blasts: SlideResult) -> None:
    """No script, no style sheet, no picture and no link but what it holds."""
    images = {(place.picture, place.number): b"\xff\xd8jpeg" for place in wanted(blasts)}
    html = page(made(blasts, images=images))
    shown = Page(html)
    assert {tag for tag, _ in shown.tags} & {
        "script",
        "link",
        "iframe",
        "object",
        "form",
        "a",
        "base",
    } == set()
    sources = [
        value for _, named in shown.tags for name, value in named.items() if name in ("src", "href", "srcset")
    ]
    assert len(sources) == len(images) > 0
    assert all(value and value.startswith("data:image/jpeg;base64,") for value in sources)
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


HOSTILE = (
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "</style><style>*{display:none}", "{{ 7*7 }}",
    "\u202egnp.exe", "\x1b[31mred", "&lt;b&gt;", "'; DROP TABLE", "a\nb", "\ud800",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_from_outside_are_shown_and_not_obeyed(blasts: SlideResult, text: str) -> None:
    """In the slide's id, the names of people and files, and notes; control characters are escaped."""
    plain_tags = [tag for tag, _ in Page(page(made(blasts, remarks=(Remark("", "x", "y"),)))).tags]
    field = replace(blasts.counted[0].field, name=f"{text}.jpg")
    hostile = replace(
        blasts,
        about=replace(
            blasts.about, slide=text, site=text, operator=text, device=text, source=text, profile=text
        ),
        counted=(replace(blasts.counted[0], field=field), *blasts.counted[1:]),
        fields=(field, *blasts.fields[1:]),
    )
    html = page(made(hostile, session=text, remarks=(Remark("", text, text),)))
    shown = Page(html)
    assert [tag for tag, _ in shown.tags if tag not in ("th", "td", "tr")] == [
        tag for tag in plain_tags if tag not in ("th", "td", "tr")
    ]
    assert shown.fact("Site") == escaped(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ud800-\udfff]", html)
    html.encode()


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(), max_size=40))
def test_any_text_is_shown_as_it_is(blasts: SlideResult, text: str) -> None:
    """Whatever somebody writes into a note."""
    shown = Page(page(made(blasts, remarks=(Remark("", "", f"[{text}]"),))))
    assert escaped(f"[{text}]") in "".join(shown.texts)


def test_equal_results_give_equal_pages(blasts: SlideResult) -> None:
    """No time of printing, no order that changes."""
    assert page(made(blasts)) == page(made(blasts))
    assert plain.csv(made(blasts)) == plain.csv(made(blasts))


def test_without_a_review_a_report_is_preliminary(blasts: SlideResult) -> None:
    """It says so first, and has a line to sign on paper."""
    report = made(blasts)
    said = Page(page(report)).text
    assert report.standing.status == "preliminary"
    assert said.startswith("Blood smear report S-7 Preliminary, not reviewed")
    assert report.program is None


def test_the_programs_own_count_stands_beside_the_reviewed_one(tmp_path: Path) -> None:
    """Two neutrophils that a person calls bands of another type: 58 and 60."""
    with store_at(tmp_path) as store:
        opened = reviewing(store)
        opened.reclassify("M. Phiri", [1, 2], "eosinophil", "granules")
        report = report_now(store, opened)
    row = next(each for each in report.rows if each.label == "neutrophil")
    assert (row.count, row.program) == (58, (60, 60.0))
    shown = Page(page(report))
    assert shown.row("neutrophil")[1] == "58"
    assert shown.row("neutrophil")[-1] == "60 (60 %)"
    assert "Preliminary, reviewed, not signed" in shown.text
    assert "A person looked at 2 of 100 marked cells and changed 2." in shown.text
    assert shown.fact("Reviewer") == "M. Phiri"


def test_a_signature_makes_a_report_final_and_a_change_makes_the_next_preliminary(tmp_path: Path) -> None:
    """An amended one is told as such once it is signed."""
    with store_at(tmp_path) as store:
        opened = reviewing(store)
        review = opened.look("M. Phiri", range(1, 101))
        opened.sign("M. Phiri", review.last)
        final = report_now(store, opened)
        opened.reclassify("M. Phiri", [1], "eosinophil", "second look")
        changed = report_now(store, opened)
        opened.sign("J. Zulu", opened.review().last)
        amended = report_now(store, opened)
    standings = [each.standing for each in (final, changed, amended)]
    assert [(each.status, each.revision) for each in standings] == [
        ("final", 1),
        ("preliminary", 2),
        ("amended", 2),
    ]
    assert [each.signed_by for each in standings] == ["M. Phiri", "", "J. Zulu"]
    assert "Final, revision 1. Signed by M. Phiri" in Page(page(final)).text
    assert "changed after revision 1 was signed, and not signed again" in Page(page(changed)).text
    assert "Revision 1 was signed by M. Phiri" in Page(page(amended)).text


@pytest.mark.parametrize(("why", "said"), [("second look", ": second look."), ("", ", without a reason.")])
def test_why_a_signed_report_was_amended_is_told(tmp_path: Path, why: str, said: str) -> None:
    """By whom and when, in the page, the table and the JSON."""
    with store_at(tmp_path) as store:
        opened = reviewing(store)
        opened.sign("M. Phiri", opened.look("M. Phiri", [1]).last)
        opened.reclassify("J. Zulu", [1], "eosinophil", why)
        report = report_now(store, opened)
    (amendment,) = report.standing.amendments
    assert (amendment.revision, amendment.by, amendment.why) == (2, "J. Zulu", why)
    assert f"Revision 2 was opened by J. Zulu, {when(amendment.at)}{said}" in Page(page(report)).text
    rows = csv.DictReader(io.StringIO(plain.csv(report)))
    (told,) = (row["text"] for row in rows if (row["section"], row["name"]) == ("revision", "opened"))
    assert told == f"revision 2 by J. Zulu at {amendment.at}: {why or 'no reason given'}"
    assert plain.document(report)["revision"]["amendments"][0]["why"] == why


def test_cells_that_the_program_flagged_stay_in_a_reviewed_report(tmp_path: Path) -> None:
    """With what the person calls them, and what the program called them."""
    with store_at(tmp_path) as store:
        opened = reviewing(store, BLASTS)
        opened.reclassify("M. Phiri", range(101, 121), "lymphocyte")
        report = report_now(store, opened)
    assert report.verdict.code != "look_again"
    assert {(cell.label, cell.program, cell.probability) for cell in report.flagged} == {
        ("lymphocyte", "blast", None)
    }
    said = Page(page(report)).text
    assert "lymphocyte, by a person (program: blast)" in said
    assert f"The program's own verdict, before the review: {report.program_verdict.line}" in said  # type: ignore[union-attr]


def test_a_cell_that_was_looked_at_keeps_the_programs_probability(tmp_path: Path) -> None:
    """Nobody who lets a label stand makes it 100 %."""
    with store_at(tmp_path) as store:
        opened = reviewing(store, BLASTS)
        before = report_now(store, opened).flagged
        opened.look("M. Phiri", range(1, 121))
        after = report_now(store, opened).flagged
    told = {(cell.picture, cell.number): cell.probability for cell in before}
    blasts = [cell for cell in after if cell.label == "blast"]
    assert blasts
    assert all(cell.probability == told[cell.picture, cell.number] for cell in blasts)
    assert all(cell.probability and cell.probability < 1 for cell in blasts)


def test_pictures_of_cells_come_from_the_session(tmp_path: Path) -> None:
    """Each cell's own, by its picture and number."""
    result = result_of(tmp_path, BLASTS)
    counted = [
        replace(each, crops={i: f"{each.number} {i}".encode() for i in range(len(each.identities))})
        for each in result.counted
    ]
    places = wanted(result)
    found = from_session(counted, places)
    assert [*found] == [(place.picture, place.number) for place in places]
    index = {each.field.name: each for each in counted}
    for (name, number), picture in found.items():
        each = index[name]
        cells = [cell.number for cell in each.field.cells]
        assert picture == f"{each.number} {cells.index(number)}".encode()


def test_a_result_and_its_json_give_the_same_report(blasts: SlideResult) -> None:
    """Nothing that a report states is lost in the file."""
    document = parse_json(json_text(tables.document(blasts)))
    again, report = made(from_document(document, "x.json")), made(blasts)
    assert plain.csv(again) == plain.csv(report)
    assert page(again) == page(report)


def test_clumps_of_platelets_are_remarked(blasts: SlideResult) -> None:
    """The number of platelets is then too low; a reader that does not know them is named."""
    assert "does not look for platelet clumps" in Page(page(made(blasts))).text
    found: Differential = replace(
        blasts.differential, outside={**blasts.differential.outside, "platelet_clump": 3}
    )
    said = Page(page(made(replace(blasts, differential=found)))).text
    assert "3 platelet clumps seen: the number of platelets is too low." in said


def test_other_ranges_than_the_results_are_not_shown(blasts: SlideResult) -> None:
    """Where a result was compared with ranges that are not here, only their name is."""
    other = replace(blasts, differential=replace(blasts.differential, reference="of our own"))
    report = made(other)
    assert {row.range for row in report.rows} == {None}
    assert "compared with of our own" in Page(page(report)).text


@pytest.mark.parametrize(
    ("started", "ended", "shown"),
    [
        ("2026-11-30T16:35:19.265+00:00", "2026-11-30T16:36:21+00:00", "2026-11-30 16:35 to 16:36 UTC"),
        ("2026-11-30T23:59:00+02:00", "2026-12-01T00:10:00+02:00", "2026-11-30 23:59 UTC+02:00 to 2026-12-01 00:10 UTC+02:00"),
        ("2026-11-30T23:59:00+02:00", None, "2026-11-30 23:59 UTC+02:00, not finished"),
    ],
)  # fmt: skip
def test_times_have_their_zone(started: str, ended: str | None, shown: str) -> None:
    assert span(started, ended) == shown


def test_a_page_has_one_spelling_of_micrometres_and_its_sentences_one_end(tmp_path: Path) -> None:
    """Texts of the program have µm in a page; a user's note stays as it was written."""
    findings = (
        Finding("objective", False, 0.0, 1.0, "it is blurred over 1.2 um, and 3 um2 of it at 0.1 um per px."),
    )
    with store_at(tmp_path) as store:
        result = kept(store, keep(store, readings(NORMAL), findings=findings)).result
    html = page(made(result, remarks=(Remark("", "", "um 3 um"),)))
    said = Page(html).text
    assert "perhaps another objective. it is blurred over 1.2 µm, and 3 µm2 of it at 0.1 µm per px." in said
    assert "um 3 um" in said
    assert "?." not in said
    assert ".." not in said.replace("...", "")


def require_valid(report: Report) -> None:
    path = Path(schema.__file__).parents[1] / "data" / "report.schema.json"
    jsonschema.validate(json.loads(json_text(plain.document(report))), json.loads(path.read_text()))


@pytest.mark.parametrize(
    "labels", [NORMAL, BLASTS, MOSTLY_UNKNOWN, []], ids=["normal", "blasts", "unknown", "none"]
)
def test_reports_keep_to_their_schema(tmp_path: Path, labels: Sequence[str]) -> None:
    """Of a result, and of its review from the first look to the amended revision."""
    with store_at(tmp_path) as store:
        opened = reviewing(store, labels)
        require_valid(made(opened.review().result))
        require_valid(report_now(store, opened))
        opened.note("M. Phiri", "a note")
        opened.sign("M. Phiri", opened.review().last)
        require_valid(report_now(store, opened))
        opened.amend("J. Zulu", "second look")
        require_valid(report_now(store, opened))


def test_the_schema_allows_no_other_key_and_no_share_above_all(blasts: SlideResult) -> None:
    """So that a new key has to be described."""
    path = Path(schema.__file__).parents[1] / "data" / "report.schema.json"
    validator = jsonschema.Draft202012Validator(json.loads(path.read_text()))
    document = json.loads(json_text(plain.document(made(blasts))))
    assert validator.is_valid(document)
    assert not validator.is_valid(document | {"diagnosis": ""})
    document["differential"]["types"]["blast"]["percent"] = 101
    assert not validator.is_valid(document)
