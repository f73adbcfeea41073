"""Pages in other languages: measures stay whole, parts in Latin letters keep their direction, fonts join words."""

from __future__ import annotations

import re
import zlib
from html import escape
from pathlib import Path

import pytest
from reported import need_pdf

import edgeleuk
from edgeleuk.render import typography
from edgeleuk.render.report import pdf as printing
from edgeleuk.render.typography import typeset
from edgeleuk.system.language import SOURCE, speaking

PACKAGE = Path(edgeleuk.__file__).parent


def test_english_pages_are_left_as_they_are() -> None:
    with speaking(SOURCE):
        assert typeset("<p>20 µm, 5 %</p>") == "<p>20 µm, 5 %</p>"


@pytest.mark.parametrize(
    ("text", "set_text"),
    [
        ("large de 20 µm", "large de 20\u00a0µm"),
        ("39 % ensemble", "39\u00a0% ensemble"),
        ("blaste 98%", "blaste 98\u00a0%"),
        ("Relecteur : Ada", "Relecteur\u00a0: Ada"),
        ("la lecture « blaste ».", "la lecture «\u00a0blaste\u00a0»."),
        ("14 leucocytes", "14 leucocytes"),
    ],
)
def test_french_measures_and_punctuation_stay_on_one_line(text: str, set_text: str) -> None:
    with speaking("fr"):
        assert typeset(f"<p>{text}</p>") == f"<p>{set_text}</p>"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("پٹی 5 µm ہے", ["5\u00a0µm"]),
        ("فی پکسل ±7 %، سرخ", ["±7\u00a0%"]),
        ("بالغ، Dacie and Lewis، 12واں", ["Dacie\u00a0and\u00a0Lewis"]),
        ("100x، 1 تصویر", ["100x"]),
        ("0 – 39 ہر ایک", ["0\u00a0–\u00a039"]),
        ("(Laney, Quality Engineering 2002;14:531-537)", ["Laney, Quality Engineering 2002;14:531-537"]),
        ("پر: edgeleuk site --fill، پھر", ["edgeleuk\u00a0site\u00a0--fill"]),
        ("یہ /dev/video0 ہے (~/outbox)، ./a ہے", ["/dev/video0", "~/outbox", "./a"]),
        (
            "لیں edgeleuk --zip a.zip --outbox /media/stick/outbox، پھر",
            ["edgeleuk --zip a.zip --outbox /media/stick/outbox"],
        ),
        ("خلیہ/WBC", ["WBC"]),
        ("14 سفید خلیے، 1,000 سرخ", []),
        ("&#39;خلیہ&amp;", []),
    ],
)
def test_parts_in_latin_letters_keep_their_direction_in_urdu(text: str, parts: list[str]) -> None:
    with speaking("ur"):
        assert re.findall("\u2066([^\u2069]*)\u2069", typeset(f"<p>{text}</p>")) == parts


@pytest.mark.parametrize(
    ("html", "set_html"),
    [
        ('<td dir="auto">A. B.</td>', '<td dir="auto">\u2068A. B.\u2069</td>'),
        ("<bdi>±7 %</bdi>", "<bdi>\u2068±7\u00a0%\u2069</bdi>"),
        ('<td dir="auto">100x، خلیہ</td>', '<td dir="auto">\u2066100x\u2069، خلیہ</td>'),
        ("<text>خلیہ 5 %</text>", "<text>\u2068خلیہ \u20665\u00a0%\u2069\u2069</text>"),
        ('<span dir="ltr">Not a diagnosis.</span>', '<span dir="ltr">\u2066Not a diagnosis.\u2069</span>'),
    ],
)
def test_a_text_with_its_own_direction_is_marked_whole(html: str, set_html: str) -> None:
    """A PDF knows no `dir`."""
    with speaking("ur"):
        assert typeset(html) == set_html


@pytest.mark.parametrize("code", ["fr", "ur"])
@pytest.mark.parametrize(
    "html",
    [
        '<b data-name="Ada 5 %">',
        "<option>Ada 5 %</option>",
        "<textarea>5 %</textarea>",
        "<style>a { width: 5 % }</style>",
        "<code>edgeleuk serve</code>",
    ],
)
def test_what_is_given_back_or_run_is_left(code: str, html: str) -> None:
    with speaking(code):
        assert typeset(html) == html


LONG = (
    "Laney, Quality Engineering 2002;14:531-537, Spiegelhalter, Statistics in Medicine 2005;24:1185-1202",
    "Not a diagnosis: 12 cells of 100 (5 - 19 %) were read & 3 were not. A person must look at the smear.",
    "edgeleuk sessions export --all --zip kisumu-north-2026.zip --outbox /media/stick/outbox --since 2026-01-01",
    "ward (3), bench no. 2 - second floor, room 14 (left), shelf 3; 12, 13 and 14 of 2026.",
)


def _drawn(html: str) -> bytes:
    """The glyphs of a PDF in the order in which they stand on its lines."""
    pdf = printing.pdf(html)
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    contents = [zlib.decompress(each) if each[:1] == b"\x78" else each for each in streams]
    return b"|".join(
        b"".join(re.findall(rb"<([0-9a-f]+)>", each)) for each in contents if b" Tf" in each or b"TJ" in each
    )


@pytest.mark.parametrize("width", [50, 65, 90])
@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("p", LONG[0]),
        ("p", LONG[2]),
        *(("bdi", text) for text in LONG),
        *(('span dir="ltr"', text) for text in LONG),
    ],
)
def test_a_part_in_latin_letters_keeps_its_direction_on_every_line_of_a_pdf(
    tag: str, text: str, width: int
) -> None:
    """Whatever its length: its lines in a page from right to left are those of a page from left to right."""
    need_pdf()
    with speaking("ur"):
        part = typeset(f"<{tag}>{escape(text)}</{tag.split()[0]}>")
    pages = [
        f'<html dir="{side}"><style>@page {{ size: {width}mm 90mm; margin: 5mm }} body {{ text-align: left }}</style>'
        f"<body>{part}</body></html>"
        for side in ("ltr", "rtl")
    ]
    ltr, rtl = map(_drawn, pages)
    assert len(ltr) > 3 * len(text)
    assert rtl == ltr


def _stacks() -> list[str]:
    sheets = [*PACKAGE.rglob("*.css")]
    found = [each for sheet in sheets for each in re.findall(r"font:([^;]+);", sheet.read_text("utf-8"))]
    return [typography.FONTS, *(each for each in found if "sans-serif" in each)]


@pytest.mark.parametrize("stack", _stacks())
def test_a_font_with_all_letters_of_urdu_comes_before_one_with_some(stack: str) -> None:
    """A word is joined only within one font, and DejaVu Sans has no U+06C1."""
    assert stack.index("Noto Naskh Arabic") < stack.index("DejaVu Sans")
    assert stack.index("Noto Naskh Arabic") < stack.index("system-ui")


def test_characters_that_a_pdf_shows_as_boxes_are_told() -> None:
    need_pdf()
    boxes: set[str] = set()
    printing.pdf("<p>x \ue123</p>", boxes.add)
    assert boxes == {"\ue123"}
