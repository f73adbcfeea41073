"""What stays on the terminal when a live count is over."""

from __future__ import annotations

from dataclasses import replace

from rich.cells import cell_len
from standard import judged, measured
from test_render_live import ALARM, WHITE, edged, flagged, state

from edgeleuk.console.summary import BELOW, Ended
from edgeleuk.console.table import paired
from edgeleuk.counting.state import LiveState
from edgeleuk.differential.differential import Differential
from edgeleuk.types import Tally


def summary(result: Differential, height: int = 24) -> list[str]:
    """The lines of a count's summary, 80 cells wide."""
    return of(state(WHITE, differential=result), height)


def of(shown: LiveState, height: int = 24) -> list[str]:
    """Likewise of all that a screen showed."""
    ended = Ended(shown.slide_verdict, shown.differential, "100x", 34, 200, "finished by the operator")
    return [text.plain for text in ended.summary(80, height)]


def test_it_begins_with_the_verdict_and_says_how_far_the_count_came() -> None:
    """The whole verdict, then cells, fields, objective and why the count ended."""
    text = " ".join(" ".join(of(state(WHITE, slide_verdict=ALARM))).split())
    assert text.startswith(ALARM.line)
    assert "200 of 200 white cells in 34 fields at 100x: finished by the operator." in text
    assert "Research use only" in text


def test_a_busy_count_fits_80_by_24() -> None:
    """Eight types, four more reasons of two lines, and what is printed below it: nothing scrolls away."""
    lines = of(flagged(20, 20, 20, 20))
    assert max(map(cell_len, lines)) <= 80
    assert len(lines) + BELOW + 2 <= 24


def test_every_reason_is_there_in_full() -> None:
    """Whatever the height of the window."""
    shown = flagged(*[40] * 8)
    assert all(reason.text in edged(of(shown)) for reason in shown.slide_verdict.reasons[1:])


def test_types_that_were_seen_have_their_percentages() -> None:
    """Two a line with count, percentage and bounds; one line is for all others."""
    result = state(WHITE).differential
    lines = summary(result)
    seen = [label for label, share in result.types.items() if share.count]
    assert {text.plain for text in paired(result, seen, 80)} <= {*lines}
    said = lines.index("Not recognised: 31 of 231 white cells. Types not seen: up to 2.3 % of each; of")
    assert lines[said + 1] == "promonocyte and plasma cell it is not known."


def test_of_types_that_were_all_measured_nothing_is_unknown() -> None:
    """One sentence, with the greatest of their limits."""
    labels = ("neutrophil", "lymphocyte", "blast")
    white = {"neutrophil": 120, "lymphocyte": 80}
    result = judged(Tally(1, white, {}, {}), labels=labels, errors=measured(*labels))
    assert "Types not seen: up to 1.9 % of each." in summary(result)


def test_a_count_of_nothing_has_no_table() -> None:
    """There is nothing to give a percentage of."""
    lines = summary(state().differential)
    assert not any(line.startswith("type ") for line in lines)


def test_where_too_little_was_recognised_there_are_counts_alone() -> None:
    """No percentage of a type, and no limit for those that were not seen."""
    lines = summary(state({"neutrophil": 10, "unclassified": 90}).differential)
    assert "neutrophil    10" in {line.rstrip() for line in lines}
    assert "Not recognised: 90 of 100 white cells." in lines
    assert not any("up to" in line or "%" in line for line in lines)


def test_what_the_count_can_exclude_is_said_where_there_is_room() -> None:
    """It is the first to be left out."""
    result = state(WHITE).differential
    busy = flagged(*[40] * 3)
    shown = replace(busy, differential=replace(busy.differential, adequacy=result.adequacy))
    assert result.adequacy[0] not in of(shown, 24)
    assert result.adequacy[0] in of(shown, 60)
