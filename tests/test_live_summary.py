"""What stays on the terminal when a live count is over."""

from __future__ import annotations

from rich.cells import cell_len
from test_render_live import ALARM, WHITE, flagged, reader, state

from edgeleuk.differential import Differential
from edgeleuk.render.live_summary import BELOW, Ended
from edgeleuk.render.live_table import paired

LABELS = reader().labels


def summary(result: Differential, height: int = 24) -> list[str]:
    """The lines of a count's summary, 80 cells wide."""
    ended = Ended(ALARM, result, LABELS, "100x", 34, 200, "finished by the operator")
    return [text.plain for text in ended.summary(80, height)]


def test_it_begins_with_the_verdict_and_says_how_far_the_count_came() -> None:
    """The whole verdict, then cells, fields, objective and why the count ended."""
    text = " ".join(" ".join(summary(state(WHITE).differential)).split())
    assert text.startswith(ALARM.line)
    assert "200 of 200 white cells in 34 fields at 100x: finished by the operator." in text
    assert "Research use only" in text


def test_a_busy_count_fits_80_by_24() -> None:
    """Nine types, four flags of two lines, and what is printed below it: nothing scrolls away."""
    lines = summary(flagged(20, 20, 20, 20).differential)
    assert max(map(cell_len, lines)) <= 80
    assert len(lines) + BELOW + 2 <= 24


def test_every_flag_is_there_in_full() -> None:
    """Whatever the height of the window."""
    result = state(WHITE).differential
    said = " ".join(" ".join(line.removeprefix("▌ ").split()) for line in summary(result))
    assert all(flag.text in said for flag in result.flags)


def test_types_that_were_seen_have_their_percentages() -> None:
    """Two a line with count, percentage and interval; one line is for all others."""
    result = state(WHITE).differential
    lines = summary(result)
    seen = [label for label, share in result.types.items() if share.count]
    assert {text.plain for text in paired(result, seen, 80)} <= {*lines}
    assert "none of the other types: up to 1.8 % of each" in lines


def test_a_count_of_nothing_has_no_table() -> None:
    """There is nothing to give a percentage of."""
    lines = summary(state().differential)
    assert not any("interval" in line and "count" in line for line in lines)


def test_what_the_count_can_exclude_is_said_where_there_is_room() -> None:
    """It is the first to be left out."""
    result = state(WHITE).differential
    said = result.adequacy[0].split(":")[0][:40]
    assert not any(said in line for line in summary(result, 24))
    assert any(said in line for line in summary(result, 60))
