"""Events as lines: for logs, for pipes, and what is said at the target."""

from __future__ import annotations

import json
import math

import pytest
from standard import judged, measured

from edgeleuk.counting.state import Event
from edgeleuk.differential.differential import Differential
from edgeleuk.render import events
from edgeleuk.statistics.intervals import clopper_pearson
from edgeleuk.types import Tally

LABELS = ("neutrophil", "lymphocyte", "blast")


def counted(**white: int) -> Differential:
    """By a reader of three types that misses 1 %, and surely no more than 1.83 %."""
    return judged(Tally(1, white, {}, {}), labels=LABELS, errors=measured(*LABELS))


def test_plain_is_one_line_with_time_kind_and_text() -> None:
    """Hours, minutes and seconds stand below each other, and so do the texts."""
    assert (
        events.plain(Event("field", 754.9, "field 3: 2 neutrophil."))
        == " 0:12:34  field     field 3: 2 neutrophil."
    )
    assert events.plain(Event("artefact", 36000, "marked.")) == "10:00:00  artefact  marked."


def test_plain_stays_one_line() -> None:
    """A line break or an escape sequence in a note, or in a file's name, reaches no terminal."""
    line = events.plain(Event("note", 0, "two\nlines\x1b[2J\r"))
    assert line == r" 0:00:00  note      two\nlines\x1b[2J\r"


def test_json_is_one_line_with_the_fields() -> None:
    """What happened, when, for a person and for a program."""
    line = events.as_json(Event("note", 1.5, "two\nlines µ", {"field": 3, "added": {"blast": 1}}))
    assert "\n" not in line
    assert json.loads(line) == {
        "event": "note",
        "seconds": 1.5,
        "text": "two\nlines µ",
        "data": {"field": 3, "added": {"blast": 1}},
    }


def test_json_has_no_number_that_json_lacks() -> None:
    """Infinity and what is no number are null, also deep inside."""
    line = events.as_json(Event("field", 0.0, "", {"x": math.nan, "y": [math.inf, 1.5, (2,)]}))
    assert json.loads(line, parse_constant=pytest.fail)["data"] == {"x": None, "y": [None, 1.5, [2]]}


def test_json_of_a_name_that_is_no_text_can_be_written() -> None:
    """A file name of undecodable bytes is escaped, so that any pipe takes the line."""
    assert events.as_json(Event("note", 0, "smear\udcff.jpg")).isascii()


def test_the_target_says_what_none_among_200_leaves_open() -> None:
    """The upper bound: the upper end of the two-sided 95 % interval, 1 - 0.025 ** (1 / 200), over what is not missed."""
    differential = counted(neutrophil=150, lymphocyte=50)
    found = 1 - clopper_pearson(10, 1000)[1]
    high = differential.group_bounds["blasts"].high
    assert high == pytest.approx(100 * (1 - 0.025 ** (1 / 200)) / found)
    assert high == pytest.approx(1.862, abs=0.001)
    assert events.target_text(differential, 200).startswith(
        "200 white cells counted, the target of 200 reached. "
        "No blasts recognised. Up to 1.9 % of the white cells may be."
    )


def test_before_the_target_the_count_is_named() -> None:
    """A count that was ended early says how far it came."""
    text = events.target_text(counted(neutrophil=40), 200)
    assert text.startswith(
        "40 of 200 white cells counted. No blasts recognised. Up to 9 % of the white cells may be."
    )


def test_with_every_type_seen_nothing_is_said_of_unseen_ones() -> None:
    """There is no limit to give."""
    text = events.target_text(counted(neutrophil=100, lymphocyte=90, blast=10), 200)
    assert "Every type that the program knows was seen." in text
    assert "up to" not in text


def test_of_nothing_nothing_is_excluded() -> None:
    """An empty count makes no statement."""
    text = events.target_text(counted(), 200)
    assert text == "0 of 200 white cells counted. No white cell was recognised. Nothing can be excluded."
