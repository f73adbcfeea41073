"""The terminal view of a live count: it fits, it keeps still, it says what matters, and it gives the terminal back."""

from __future__ import annotations

import fcntl
import io
import math
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from dataclasses import replace
from functools import cache
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions
from standard import REFERENCE, RULES, judged

from edgeleuk.console import help
from edgeleuk.console.keys import Controls
from edgeleuk.console.parts import Keyed
from edgeleuk.console.screen import start_lines
from edgeleuk.console.text import fit, lapse, number, whiskers
from edgeleuk.console.view import Extras, LiveView, Screen, can_show, view
from edgeleuk.counting.requests import END
from edgeleuk.counting.state import (
    CameraState,
    CameraWord,
    LastCell,
    LiveState,
    Meters,
    SlideVerdict,
    Verdict,
)
from edgeleuk.differential.for_reader import differential_function
from edgeleuk.differential.verdict import Reason
from edgeleuk.models import registry
from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.statistics.intervals import Share
from edgeleuk.system import language
from edgeleuk.types import Tally

SIZES = [(80, 24), (100, 30), (120, 40), (81, 25), (250, 24), (80, 100), (200, 60)]
WHITE = {
    "neutrophil": 112, "lymphocyte": 54, "monocyte": 12, "eosinophil": 4, "basophil": 1, "blast": 9,
    "promyelocyte": 3, "myelocyte": 5, "unclassified": 31, "erythroblast": 4, "smudge": 3, "artefact": 1,
}  # fmt: skip
CALM = SlideVerdict("nothing_flagged", "Nothing in this count stands out.")
ALARM = SlideVerdict(
    "look_again",
    "9 cells read as blasts, more than the program's own errors explain. Look at them first; 3 more reasons follow.",
)
TROUBLE = (
    "usb:0 gave no frame for 10 s and could not be opened again: no such device. Look at the cable; the next"
    " attempt is in 8 s."
)


@cache
def reader(magnification: str = "100x") -> ReaderManifest:
    return registry.load(magnification).reader


def state(
    white: dict[str, int] | None = None,
    magnification: str = "100x",
    attributes: dict[str, dict[str, int]] | None = None,
    kinds: dict[str, int] | None = None,
    **changes: Any,
) -> LiveState:
    """A count in progress, judged as the reader that ships is."""
    counted = Tally(3, white or {}, kinds or {}, attributes or {})
    usual = LiveState(
        magnification=magnification,
        source="usb:0",
        camera=CameraState("running", 12.0),
        verdict="seen",
        meters=Meters(0.8, 0.7),
        fps=25.04,
        latency_ms=41.3,
        seconds=754.2,
        fields=34,
        differential=differential_function(reader(magnification), RULES, REFERENCE)(counted),
        slide_verdict=CALM,
        target=200,
        last_added={"neutrophil": 2, "lymphocyte": 1},
        um_per_px=0.1021,
        island_count=2,
        session="20261124-104455",
    )
    return replace(usual, **changes)


STATES = {
    "start": state(
        fields=0, last_added={}, um_per_px=None, island_count=0, verdict="scale", fps=0.0, latency_ms=0.0, seconds=0.0,
        session="", camera=CameraState("starting", 0.3), meters=Meters(0.0, 0.0),
    ),
    "one cell": state({"neutrophil": 1}),
    "200 cells and flags": state(WHITE, message="200 white cells: the target is reached. q ends the count, or go on."),
    "camera lost": state(WHITE, camera=CameraState("lost", 75.0, TROUBLE, reopened=3, dropped=123456)),
    "look again": state(WHITE, slide_verdict=ALARM),
    "long message": state(WHITE, message="The disk is full and nothing more can be kept of what is counted. " * 4),
    "paused": state(WHITE, paused=True, verdict="paused"),
    "unclassified": state({"neutrophil": 10, "unclassified": 900}),
    "unicode": state(WHITE, source="/mnt/карта/血液塗片/смир 涂片 👩‍🔬 e\u0301\x1b[2J\n.jpg", session="試験" * 20),
    "big numbers": state(
        dict.fromkeys(WHITE, 1_234_567), kinds={"RBC": 123_456_789, "Platelet": 99_999}, fields=1_234_567,
        island_count=12_345, fps=123_456.7, latency_ms=1e7, seconds=1e7, target=1_000_000, um_per_px=12.34567,
        last_added=dict.fromkeys(WHITE, 1_234_567), camera=CameraState("frozen", 1e9, dropped=10**9, reopened=10**6),
    ),
    "no number": state(WHITE, meters=Meters(math.nan, math.inf), fps=math.inf),
    "too coarse": replace(
        state(), differential=judged(Tally(1, WHITE, {}, {}, not_counted=frozenset({"RBC", "Platelet"})),
        labels=reader().labels)
    ),
    "marked as what no reader says": state(WHITE | {"hairy_cell": 3}),
}  # fmt: skip


def screen(
    shown: LiveState, width: int = 80, height: int = 24, extras: Extras | None = None, **options: Any
) -> list[str]:
    """The lines of a screen, drawn by rich as plain text."""
    file = io.StringIO()
    console = Console(file=file, width=width, height=height, **options)
    labels = reader(shown.magnification).labels
    console.print(view(shown, labels, width, height, extras or Extras(REFERENCE, reader().attributes)))
    return file.getvalue().splitlines()


# It fits


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", STATES)
def test_every_state_fills_the_screen_exactly(name: str, size: tuple[int, int]) -> None:
    """As many lines as the terminal has, each as many cells wide: nothing can wrap or scroll."""
    lines = screen(STATES[name], *size)
    assert [cell_len(line) for line in lines] == [size[0]] * size[1]


@pytest.mark.parametrize(
    "extras",
    [
        Extras(REFERENCE),
        Extras(REFERENCE, keyed=Keyed(typing="血" * 300, dropping=True)),
        Extras(REFERENCE, keyed=Keyed(asking=END)),
        Extras(REFERENCE, helping=True),
        Extras(REFERENCE, {}),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_typing_help_and_unknown_attributes_fit_too(extras: Extras, size: tuple[int, int]) -> None:
    """Whatever the operator does."""
    lines = screen(STATES["200 cells and flags"], *size, extras)
    assert [cell_len(line) for line in lines] == [size[0]] * size[1]


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.sampled_from([*reader().labels, "unclassified", "artefact"]), st.integers(0, 100_000)),
    st.integers(80, 200),
    st.integers(24, 70),
)
def test_any_count_fits_any_window(white: dict[str, int], width: int, height: int) -> None:
    """No combination of counts, flags and sizes breaks the screen."""
    lines = screen(state(white), width, height)
    assert [cell_len(line) for line in lines] == [width] * height


@pytest.mark.parametrize("size", [(79, 24), (80, 23), (40, 4), (20, 3), (1, 1)], ids=str)
def test_a_small_window_is_told_how_large_it_must_be(size: tuple[int, int]) -> None:
    """In as many lines as that takes, whole from 20 x 3 on; nothing is wider or higher than the window."""
    lines = screen(STATES["paused"], *size)
    said = f"Too small: {size[0]} x {size[1]}. Make the window 80 x 24."
    assert [cell_len(line) for line in lines] == [size[0]] * size[1]
    assert size == (1, 1) or " ".join(" ".join(lines).split()).startswith(said)


def test_a_reader_with_many_types_gets_two_a_line() -> None:
    """24 types are all there at 80 x 24, with their intervals."""
    labels = [f"type_{i}" for i in range(20)] + ["smudge"]
    result = judged(Tally(1, {"type_3": 5, "type_19": 15}, {}, {}), labels=labels)
    file = io.StringIO()
    console = Console(file=file, width=80, height=24)
    console.print(view(replace(state(), differential=result), labels, 80, 24, Extras(REFERENCE)))
    text = file.getvalue()
    assert all(re.search(rf"type {i}\b", text) for i in range(20))
    assert re.search(r"type 3 +5 +25 +not known ", text)
    assert len(text.splitlines()) == 24


# It keeps still


STILL = (
    *(
        label.replace("_", " ")
        for label in reader().labels
        if label not in ("smudge", "platelet", "not_a_cell")
    ),
    *(
        "camera",
        "focus",
        "light",
        "white cells",
        "fields",
        "parts",
        "type",
        "last cell",
        "count  ",
        "between",
    ),
    *("not recognised", "last field", "red cells", "platelets", "not typed", "p ", "c count", "q end"),
)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_nothing_moves_between_states(size: tuple[int, int]) -> None:
    """The labels of rows, columns and slots stand at the same places whatever was counted."""
    first = screen(STATES["one cell"], *size)
    places = []
    for word in STILL:
        row = next(row for row, line in enumerate(first) if f" {word}" in f" {line}")
        places.append((row, f" {first[row]}".index(f" {word}"), word))
    for name, each in STATES.items():
        lines = screen(each, *size)
        moved = [word for row, column, word in places if not lines[row].startswith(word, column)]
        assert moved == [], name


def test_rows_keep_the_order_of_the_labels() -> None:
    """Not that of the counts; a type that was not seen has its row, dimmed."""
    lines = screen(state({"blast": 90, "neutrophil": 1}))
    names = [line[column : column + 19].strip() for column in (0, 40) for line in lines[7:13]]
    assert names == [label.replace("_", " ") for label in reader().labels[:12]]
    drawn = screen(state({"blast": 90}), 80, 40, force_terminal=True, color_system="standard")
    assert any(line.startswith("\x1b[2mneutrophil") for line in drawn)
    assert any(line.startswith("blast") for line in drawn)


def test_numbers_are_right_aligned() -> None:
    """Counts, percentages and both ends of the intervals end in the same columns."""
    lines = screen(state({"neutrophil": 12345, "lymphocyte": 7}), 80, 40)
    row = re.compile(r"(\D+?)( +[\d,]+)( +\d+\.\d)( +\d+\.\d) -( +\d+\.\d)")
    ends = {tuple(found.end(i) for i in range(2, 6)) for line in lines[7:22] if (found := row.match(line))}
    assert len(ends) == 1


# It says what matters


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", STATES)
def test_every_screen_says_what_it_is_for(name: str, size: tuple[int, int]) -> None:
    """Research use only is always there; the only diagnosis is the one that it is not."""
    text = "\n".join(screen(STATES[name], *size))
    assert "Research use only" in text
    assert "diagnos" not in text.replace("Not a diagnosis.", "").lower()


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_each_verdict_has_its_word_and_a_sentence(verdict: Verdict) -> None:
    """At the same place, in capitals, with what to do."""
    line = screen(state(WHITE, verdict=verdict))[2]
    assert line.startswith(f" {verdict.upper()} ")
    assert len(line[12:].strip()) > 20


@pytest.mark.parametrize("word", [word for word in get_args(CameraWord) if word != "running"])
def test_a_camera_in_trouble_comes_before_the_verdict(word: CameraWord) -> None:
    """Its word stands where the verdict does, with a sentence even where the state has none."""
    lines = screen(state(WHITE, camera=CameraState(word, 75.0)))
    assert lines[1].startswith(f"camera {word:<9}1 min")
    assert lines[2].startswith(f" {word.upper()} ")
    assert len(lines[2][12:].strip()) > 20


def test_a_long_sentence_of_the_camera_goes_on_below() -> None:
    """Every word of it is on the screen."""
    lines = screen(STATES["camera lost"])
    assert f"{lines[2][12:].strip()} {lines[22].strip()}" == TROUBLE


def test_a_message_may_take_two_lines() -> None:
    """What to do often stands at the end of it."""
    text = "The session's file cannot be written: no space is left on the disk. Free some, then p goes on counting."
    assert " ".join(" ".join(screen(state(WHITE, message=text))[21:23]).split()) == text


def test_pause_is_shown_whatever_the_frame_looks_like() -> None:
    """Otherwise an operator would wait for a count that does not come."""
    lines = screen(state(WHITE, paused=True, verdict="move"))
    assert lines[2].startswith(" PAUSED ")
    assert lines[23].startswith("p go on  c count")


def test_the_row_of_a_type() -> None:
    """Count, percentage, bounds, and the bar with whiskers before the reference range."""
    row = next(
        line for line in screen(state({"neutrophil": 56, "lymphocyte": 44}), 80, 40) if "neutrophil" in line
    )
    assert row.startswith("neutrophil             56     56     45 -    68  ")
    assert row[49:] == "█" * 14 + "├" + "─" * 5 + "┤" + "░" * 4 + " " * 6


def test_a_wide_screen_has_more_columns() -> None:
    """The reference range from 96 cells on."""
    screens = [screen(state(WHITE), width, 30) for width in (95, 96)]
    head = {len(lines[0]): next(line for line in lines if line.startswith("type")) for lines in screens}
    assert [" reference " in line[:60] for line in head.values()] == [False, True]


def test_ranges_are_marked_only_where_they_are_the_judged_ones() -> None:
    """With another laboratory's ranges than the differential's no range is drawn."""
    other = replace(REFERENCE, name="another laboratory")
    assert any("░" in line for line in screen(state(WHITE), 80, 40))
    assert not any("░" in line for line in screen(state(WHITE), 80, 40, extras=Extras(other)))


def flagged(*words: int) -> LiveState:
    """A count whose verdict has a reason for each number of words, beside the one of its line."""
    texts = [" ".join([f"Word{place}"] * number) + "." for place, number in enumerate(words)]
    others = [Reason(f"reason_{place}", text) for place, text in enumerate(texts)]
    verdict = SlideVerdict(
        "look_again", "The first. See field 3 cell 1.", (Reason("first", "The first."), *others)
    )
    result = replace(state(WHITE).differential, adequacy=())
    return state(WHITE, differential=result, slide_verdict=verdict)


def edged(lines: list[str]) -> str:
    """What stands behind the coloured edges of a screen, as one text."""
    return " ".join(" ".join(line[2:].split()) for line in lines if line.startswith("▌"))


def test_reasons_stand_whole_at_80_by_24() -> None:
    """Two of two lines have room with all of their advice; the others are counted and named."""
    shown = flagged(20, 20, 20, 20)
    said = edged(screen(shown))
    assert all(reason.text in said for reason in shown.slide_verdict.reasons[1:3])
    assert said.endswith("+2 more (see the end): Reason 2, Reason 3")
    assert "Word2" not in said


def test_no_reason_is_shown_in_part() -> None:
    """One that is too long for what is left is named; the one before it is whole."""
    shown = flagged(10, 80, 1)
    said = edged(screen(shown))
    assert shown.slide_verdict.reasons[1].text in said
    assert "Word1" not in said
    assert "+2 more (see the end): Reason 1, Reason 2" in said


def test_a_high_screen_has_every_reason() -> None:
    """The gravest first; the one that the verdict's line gives is not said again."""
    shown = flagged(20, 20, 20, 20, 40)
    lines = screen(shown, 120, 60)
    said = edged(lines)
    places = [said.index(reason.text) for reason in shown.slide_verdict.reasons[1:]]
    assert places == sorted(places)
    assert "The first." not in said


def test_where_too_little_was_recognised_there_are_counts_alone() -> None:
    """No percentage, no bound and no bar, whatever the size of the window."""
    few = state({"neutrophil": 10, "unclassified": 90}, attributes={"cell_size": {"small": 5, "big": 5}})
    assert not few.differential.supported
    for height in (24, 100):
        lines = screen(few, 80, height)
        row = next(line for line in lines if line.startswith("neutrophil"))
        assert row.removesuffix(row[40:]).split() == ["neutrophil", "10"]
        assert not any("50 %" in line for line in lines)
        assert not any(glyph in line for line in lines[7:] for glyph in "█├┤")


def test_a_screen_without_other_reasons_says_what_the_count_leaves_open() -> None:
    """In the words of the differential."""
    shown = state(WHITE)
    assert shown.differential.adequacy[0] in edged(screen(shown))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_verdict_is_never_cut(size: tuple[int, int]) -> None:
    """It stands under the progress, over the full width, in as many lines as it needs."""
    for text in ("Short.", ALARM.text, "Many words. " * 30):
        shown = SlideVerdict("look_again", text.strip())
        lines = screen(state(WHITE, slide_verdict=shown), *size)
        assert " ".join(" ".join(lines[4:]).split()).startswith(shown.line)


def test_a_high_screen_has_attributes_and_their_second_level() -> None:
    """Percent of the cells where the reader was sure, by attribute, the stage of a type among them."""
    counts = {"cell_size": {"small": 50, "big": 100}, "neutrophil_stage": {"band": 7, "segmented": 93}}
    lines = screen(state(WHITE, attributes=counts), 120, 50)
    assert any(re.match(r"cell size +small  33 %  big  67 %", line) for line in lines)
    assert any(re.match(r"neutrophil stage +band   7 %  segmented  93 %", line) for line in lines)


def test_a_file_name_cannot_steer_the_terminal() -> None:
    """Control characters of a name are blanks."""
    assert not any("\x1b" in line for line in screen(STATES["unicode"]))


def test_the_smallest_pieces() -> None:
    """Texts, counts and durations in their cells."""
    assert (fit("abcdef", 5), fit("ab", 4), fit("ab", 4, right=True), fit("涂片涂片", 6)) == (
        *("ab...", "ab  ", "  ab", "涂 ..."),
    )
    assert [number(n, 5) for n in (7, 1234, 12345, 123456, 10**7)] == [
        *("    7", "1,234", "12345", " 123k", "  10M"),
    ]
    assert [lapse(s) for s in (0.4, 59, 75, 7200, 1e9)] == ["0 s", "59 s", "1 min", "2 h", "999 h"]


@given(st.integers(0, 400), st.integers(1, 400), st.integers(20, 120))
def test_whiskers_span_the_interval(count: int, of: int, width: int) -> None:
    """Their ends lie within a cell of the bounds, on a line of exactly the asked width."""
    share = Share(min(count, of), of)
    pieces = whiskers(share.percent, (share.low, share.high), width, "#0062cc", None)
    text = "".join(char for char, _ in pieces)
    first, last = (text.index("│"),) * 2 if "│" in text else (text.index("├"), text.index("┤"))
    assert len(text) == width
    assert abs(first - share.low / 100 * width) <= 1
    assert abs(last - share.high / 100 * width) <= 1


# It lives on a terminal


def test_no_screen_is_drawn_where_none_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe, a terminal that cannot move its cursor, and one without the glyphs are left to plain lines."""
    utf8 = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    assert can_show(Console(file=utf8, force_terminal=True))
    assert not can_show(Console(file=utf8))
    assert not can_show(Console(file=io.TextIOWrapper(io.BytesIO(), encoding="latin-1"), force_terminal=True))
    monkeypatch.setenv("TERM", "dumb")
    assert not can_show(Console(file=utf8, force_terminal=True))


def drawn(*states: LiveState, pause: float = 0.13, controls: Controls | None = None) -> list[str]:
    """What a view writes for each state, and last what it writes at its end."""
    file = io.StringIO()
    console = Console(file=file, width=80, height=24, force_terminal=True, color_system="standard")
    written = []
    with Screen(console) as opened:
        shown = LiveView(reader().labels, opened, reference=REFERENCE, controls=controls)
        for each in states:
            shown.update(each)
            written.append(file.getvalue())
            file.seek(0), file.truncate()
            time.sleep(pause)
    return [*written, file.getvalue()]


def test_the_screen_is_there_before_the_count() -> None:
    """It says what is done and what takes so long, and then becomes the count's, cleared once."""
    file = io.StringIO()
    with Screen(Console(file=file, width=80, height=24, force_terminal=True)) as opened:
        opened.draw(start_lines(["loading the 40x model", "opening usb:0"], 80, 24), (80, 24))
        assert "loading the 40x model: done" in file.getvalue()
        assert "opening usb:0 ..." in file.getvalue()
        LiveView(reader().labels, opened, reference=REFERENCE).update(state(WHITE))
        assert file.getvalue().count("\x1b[?1049h") == 1
        assert file.getvalue().count("\x1b[2J") == 1


@pytest.mark.parametrize("size", [(80, 24), (20, 3), (1, 1)], ids=str)
def test_the_first_screen_fits_any_window(size: tuple[int, int]) -> None:
    """Each line is cut to the window, and there are no more of them."""
    shown = start_lines(["opening " + "x" * 200], *size)
    assert [text.cell_len for text in shown] == [size[0]] * size[1]


def test_only_changed_lines_are_written() -> None:
    """The first update clears and draws; a later one writes the changed line at its place and nothing else."""
    first = state(WHITE)
    start, same, later, end = drawn(first, first, replace(first, verdict="move"))
    assert start.count("\x1b[2J") == 1
    assert start.count("\x1b[?1049h") == 1
    assert same == ""
    assert re.findall(r"\x1b\[(\d+);1H", later) == ["3"]
    assert "\x1b[2J" not in later
    assert len(later) < 150
    assert "\x1b[?1049l" in end
    assert "\x1b[?25h" in end


def test_updates_that_come_too_fast_are_not_drawn() -> None:
    """About eight a second; the next one after a while shows where things are."""
    first = state(WHITE)
    start, second, _ = drawn(first, replace(first, verdict="move"), pause=0.0)
    assert start
    assert second == ""


def test_a_window_of_another_size_is_drawn_anew() -> None:
    """Cleared once, every line at its new width."""
    file = io.StringIO()
    console = Console(file=file, width=80, height=24, force_terminal=True)
    with Screen(console) as opened:
        shown = LiveView(reader().labels, opened, reference=REFERENCE)
        shown.update(state(WHITE))
        file.seek(0), file.truncate()
        console.size = ConsoleDimensions(120, 40)
        time.sleep(0.13)
        shown.update(state(WHITE))
        assert file.getvalue().count("\x1b[2J") == 1
        assert re.findall(r"\x1b\[(\d+);1H", file.getvalue()) == [str(row) for row in range(1, 41)]


def test_aside_gives_way_and_draws_anew() -> None:
    """A suspended program shows the former screen and a cursor; afterwards the whole view is drawn at once."""
    file = io.StringIO()
    with Screen(Console(file=file, width=80, height=24, force_terminal=True)) as opened:
        shown = LiveView(reader().labels, opened, reference=REFERENCE)
        shown.update(state(WHITE))
        file.seek(0), file.truncate()
        with opened.aside():
            assert file.getvalue() == "\x1b[?1049l\x1b[?25h"
        time.sleep(0.13)
        shown.update(state(WHITE))
        assert "\x1b[?1049h" in file.getvalue()
        assert "last field" in file.getvalue()


def test_the_target_rings_once() -> None:
    """When it is reached, not again with each field after it, and not where it was reached before the start."""
    before, at, after = state({"neutrophil": 199}), state({"neutrophil": 200}), state({"neutrophil": 210})
    assert ["\x07" in text for text in drawn(before, at, after)] == [False, True, False, False]
    assert ["\x07" in text for text in drawn(at, after)] == [False, False, False]


@pytest.mark.parametrize("size", [(20, 3), (80, 24), (120, 40)], ids=str)
def test_a_question_is_on_every_screen(size: tuple[int, int]) -> None:
    """With both of its answers, also where the window is too small for anything else."""
    lines = screen(state(WHITE), *size, Extras(REFERENCE, keyed=Keyed(asking=END)))
    assert "End the count?" in " ".join(" ".join(lines).split())
    assert "any other key" in " ".join(" ".join(lines).split())


def test_the_cell_that_would_be_marked_is_on_the_screen() -> None:
    """Its number, type, probability and field, before the key is pressed."""
    shown = state(WHITE, last_cell=LastCell(1743, 34, 2, "atypical_lymphocyte", 0.934))
    line = next(line for line in screen(shown) if line.startswith("last cell"))
    assert " ".join(line.split()) == "last cell 1743: atypical lymphocyte, 93 %, field 34 cell 2 a artefact"
    assert str(LastCell(1743, 34, 2, "unclassified", 0.4)) == "cell 1743 (not recognised, field 34 cell 2)"


def test_no_word_of_the_help_is_cut() -> None:
    """Every key and what it does, at the smallest size of the screen."""
    shown = "\n".join(screen(state(WHITE), extras=Extras(REFERENCE, helping=True)))
    words = [does.format(manual="--manual") for key, does in help.KEYS]
    assert all(does in shown for does in words)
    assert all(means in shown for word, means in help.WORDS[:6])


def test_what_another_escape_does_is_shown_beside_the_note() -> None:
    """The text stays in sight."""
    lines = screen(state(WHITE), extras=Extras(REFERENCE, keyed=Keyed(typing="oil renewed", dropping=True)))
    assert lines[22].rstrip() == "note: oil renewed_  Esc again drops the note"
    assert lines[23].startswith("Esc drops the note  any other key goes on writing it")


def test_what_is_typed_is_shown() -> None:
    """The note so far stands above the keys."""
    keys = iter("nquiet")
    controls = Controls(lambda: next(keys, None))
    list(controls.requests())
    assert "note: " in (text := drawn(state(WHITE), controls=controls)[0])
    assert "quiet" in text


CHILD = """
import os, sys, time
sys.path.insert(0, "tests")
from standard import REFERENCE
from test_render_live import WHITE, reader, state
from edgeleuk.console.keys import Keys
from edgeleuk.console import help
from edgeleuk.console.view import LiveView, Screen
with Screen() as opened, Keys(aside=opened.aside):
    shown = LiveView(reader().labels, opened, reference=REFERENCE)
    shown.update(state(WHITE))
    os.write(2, b"[mjpeg] overread 8\\n" * 30)
    sys.stderr.write("late warning\\n")
    os.write(1, b"<shown>")
    if sys.argv[1] == "error":
        raise RuntimeError("of the count")
    while sys.argv[1] == "wait":
        time.sleep(0.01)
"""


@pytest.mark.parametrize("way", ["end", "error", "wait"])
def test_the_terminal_is_given_back(way: str) -> None:
    """At the end, after an error and after SIGTERM: the former screen, the cursor, echo; then the last errors."""
    ours, theirs = os.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(theirs)
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment = {
        key: value for key, value in environment.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")
    }
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, way], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    text = _until(ours, b"<shown>", b"")
    if way == "wait":
        process.send_signal(signal.SIGTERM)
    text = _until(ours, b"late warning", text)
    assert process.wait(20) == {"end": 0, "error": 1, "wait": 128 + signal.SIGTERM}[way]
    assert termios.tcgetattr(theirs) == before
    os.close(theirs)
    os.close(ours)
    screen, after = text.split(b"\x1b[?1049l")
    assert b"mjpeg" not in screen
    assert b"\x1b[?25h" in after
    assert after.count(b"mjpeg") == 19


def _until(terminal: int, text: bytes, seen: bytes) -> bytes:
    """What was `seen` before, and what comes until `text` is in it."""
    while text not in seen:
        assert select.select([terminal], [], [], 20)[0], seen
        seen += os.read(terminal, 65536)
    return seen


# Other languages


@pytest.mark.parametrize("code", language.codes())
@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
@pytest.mark.parametrize("name", ["start", "look again", "big numbers", "camera lost"])
def test_every_language_fills_the_screen_exactly(name: str, size: tuple[int, int], code: str) -> None:
    """Columns are measured in cells of the terminal, in whatever script."""
    with language.speaking(code):
        for extras in (None, Extras(REFERENCE, None, Keyed(END)), Extras(REFERENCE, helping=True)):
            lines = screen(STATES[name], *size, extras)
            assert len(lines) == size[1]
            assert {cell_len(line) for line in lines} == {size[0]}
