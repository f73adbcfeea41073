"""The live count: the simulated stage, the real networks, and what the operator does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from standard import slide_of

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.console.loop import Loop, LoopOptions
from edgeleuk.counting import interruptions
from edgeleuk.counting.live import LiveCounter
from edgeleuk.counting.requests import Command, Mark, NextSlide, Request
from edgeleuk.counting.state import CameraState, Event, LiveState
from edgeleuk.errors import StoreError, UsageError
from edgeleuk.models import registry
from edgeleuk.results.slide_result import identify
from edgeleuk.sessions import NewSession, Store, open_store
from edgeleuk.simulation.smear import Smear
from edgeleuk.sources.camera import Source
from edgeleuk.sources.capture import Capture
from edgeleuk.sources.simulated import Jump, Move, Script, StageSettings, StageSource, Stop
from edgeleuk.types import CountedField, Scale

pytestmark = pytest.mark.usefixtures("painted_once")

UM = Scale.given(0.1)
RUNNING = CameraState("running", 1.0)
FAR, NEAR = (190.0, 45.0), (70.0, 45.0)


@pytest.fixture(scope="module")
def smear() -> Smear:
    return Smear.generate(21, 260.0, 90.0, {"neutrophil": 6, "lymphocyte": 5, "monocyte": 2})


def source(smear: Smear, *segments: Move | Stop | Jump) -> StageSource:
    return StageSource(
        settings=StageSettings(smear=smear, script=Script(NEAR, (Stop(0.6), *segments)), fps=5)
    )


def counter(analyser: Analyser, **options: object) -> LiveCounter:
    options = {"scale": UM, "source": "test", **options}
    slide = slide_of(analyser, options.pop("scale"), stills=False)  # type: ignore[arg-type]
    return LiveCounter(slide, **options)  # type: ignore[arg-type]


def watch(count: LiveCounter, frames: Source) -> list[str]:
    return [count.frame(timed) for timed in iter(lambda: frames.read(1.0), None)]


def whites(count: LiveCounter) -> int:
    return sum(count.state(RUNNING).differential.outside.values()) + count.differential().n


def test_each_white_cell_in_view_counts_once(analyser: Analyser, smear: Smear) -> None:
    """A scan there and back again counts what was wholly in view while the stage stood."""
    frames = source(
        smear, Move((120.0, 45.0), 120), Stop(1), Move(FAR, 120), Stop(1), Move(NEAR, 240), Stop(1)
    )
    count = counter(analyser)
    verdicts = watch(count, frames)
    whole = [cell for cell in frames.truth(still=True) if cell.kind == "WBC"]
    # One that the slide's outer edge cuts by less than a third is read too, though never wholly in view.
    assert len(whole) <= whites(count) <= len(smear.of("WBC"))
    assert verdicts.count("counted") <= 4
    assert {"move", "seen", "counted"} <= set(verdicts)


def test_a_stage_that_stands_still_adds_nothing(analyser: Analyser, smear: Smear) -> None:
    """The first frame that stands counts, and no later one."""
    count = counter(analyser)
    verdicts = watch(count, source(smear, Stop(6)))
    assert verdicts.count("counted") == 1
    assert set(verdicts[3:]) == {"seen"}


def test_a_jump_to_an_unseen_place_loses_nothing(analyser: Analyser, smear: Smear) -> None:
    """Both places count, and the way back is recognised."""
    frames = source(smear, Jump(FAR), Stop(1), Jump(NEAR), Stop(1))
    count = counter(analyser)
    verdicts = watch(count, frames)
    assert verdicts.count("counted") == 2
    assert count.state(RUNNING).island_count == 2


def test_without_a_scale_the_red_cells_tell(analyser: Analyser, smear: Smear) -> None:
    """It is settled before anything is counted."""
    count = counter(analyser, scale=None)
    watch(count, source(smear, Stop(1)))
    assert count.scale is not None
    assert count.scale.um_per_px == pytest.approx(0.1, rel=0.06)
    assert count.state(RUNNING).fields == 1


def test_manual_counts_at_a_key_press_only(analyser: Analyser, smear: Smear) -> None:
    """One press, one field."""
    count = counter(analyser, manual=True)
    frames = source(smear, Stop(2))
    seen = [count.frame(timed) for timed in [frames.read(1.0) for _ in range(4)] if timed]
    assert "counted" not in seen
    assert seen[-1] == "manual"
    count.count_now()
    assert watch(count, frames).count("counted") == 1


def test_a_pause_counts_nothing(analyser: Analyser, smear: Smear) -> None:
    """Until it is taken back."""
    count = counter(analyser)
    count.pause()
    frames = source(smear, Stop(3))
    paused = [count.frame(timed) for timed in [frames.read(1.0) for _ in range(5)] if timed]
    assert set(paused) == {"paused"}
    count.pause()
    assert "counted" in watch(count, frames)


def test_undo_takes_back_and_without_a_field_says_so(analyser: Analyser, smear: Smear) -> None:
    """The last field is gone, and the same ground counts again."""
    count = counter(analyser)
    with pytest.raises(UsageError, match="no counted field"):
        count.undo()
    watch(count, source(smear))
    before = whites(count)
    count.undo()
    assert (whites(count), count.state(RUNNING).fields) == (0, 0)
    watch(count, source(smear))
    assert whites(count) == before


def test_events_say_what_happened(analyser: Analyser, smear: Smear) -> None:
    """A field tells what it added; the target is told once."""
    events: list[Event] = []
    count = counter(analyser, on_event=events.append, target=1)
    watch(count, source(smear, Move((120.0, 45.0), 120), Stop(1)))
    kinds = [event.kind for event in events]
    assert kinds.count("field") == 2
    assert kinds.count("target") == 1
    fields = [event for event in events if event.kind == "field"]
    assert sum(sum(event.data["added"].values()) for event in fields) >= count.differential().n


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "sessions.db", reserve_bytes=0) as opened:
        yield opened


def start(store: Store):
    return store.start(
        NewSession(source="test", model=identify(registry.load("100x")), target=200, um_per_px=0.1)
    )


def test_a_session_goes_on_where_it_stopped(analyser: Analyser, smear: Smear, store: Store) -> None:
    """The tally is the same, and the old ground is still counted ground."""
    session = start(store)
    count = counter(analyser, recorder=session)
    watch(count, source(smear, Move((120.0, 45.0), 120), Stop(1)))
    again = counter(analyser, recorder=session, scale=None)
    again.resume(tuple(session.counted()), session.marks())
    assert again.differential() == count.differential()
    verdicts = watch(again, source(smear, Move((120.0, 45.0), 120), Stop(1)))
    assert "counted" not in verdicts
    assert again.differential().n == count.differential().n


def test_marks_undo_and_notes_are_kept(analyser: Analyser, smear: Smear, store: Store) -> None:
    """What the operator did is in the session."""
    session = start(store)
    count = counter(analyser, recorder=session)
    watch(count, source(smear, Move((120.0, 45.0), 120), Stop(1), Move(FAR, 120), Stop(1)))
    count.mark_last()
    count.note("slide is dirty")
    assert list(session.marks().values()) == ["artefact"]
    assert [note.text for note in session.notes()] == ["slide is dirty"]
    fields = count.state(RUNNING).fields
    count.undo()
    assert len(list(session.counted())) == fields - 1


def test_the_cell_to_be_marked_is_named_before(analyser: Analyser, smear: Smear) -> None:
    """The one that was found last; once it is an artefact, the one before it. Without any, the key says so."""
    count = counter(analyser)
    assert count.question(Command.ARTEFACT) is None
    with pytest.raises(UsageError, match="no white cell to mark"):
        count.mark_last()
    watch(count, source(smear, Move((120.0, 45.0), 120), Stop(1)))
    last = count.state(RUNNING).last_cell
    assert last is not None
    assert last.identity == max(i for i, cell in count.map.cells.items() if cell.reading)
    asked = count.question(Command.ARTEFACT)
    assert asked is not None
    assert asked.text == f"Mark cell {last.identity} ({last.label}, {last.probability:.0%}, field {last.field} cell {last.number}) as an artefact?".replace("%", " %")  # fmt: skip
    assert asked.answer == Mark(last.identity)
    count.mark(last.identity)
    assert count.map.marks == {last.identity: "artefact"}
    before = count.state(RUNNING).last_cell
    assert before is None or before.identity < last.identity


def test_the_last_cell_is_of_the_field_that_showed_it_first(analyser: Analyser, smear: Smear) -> None:
    """Taking that field back takes the cell back."""
    count = counter(analyser)
    watch(count, source(smear, Move((120.0, 45.0), 120), Stop(1), Move(FAR, 120), Stop(1)))
    last = count.state(RUNNING).last_cell
    assert last is not None
    fields = {each.number: each for each in count.map.counted()}
    assert last.identity in fields[last.field].fresh
    while count.slide.number >= last.field:
        count.undo()
    now = count.state(RUNNING).last_cell
    assert now is None or now.identity < last.identity


class _Full:
    """A recorder whose disk is full until there is space."""

    id = "full"

    def __init__(self) -> None:
        self.space = False
        self.kept: list[int] = []

    def add(self, counted: CountedField) -> None:
        if not self.space:
            raise StoreError("the disk is full. Free some space.")
        self.kept.append(counted.number)


def test_what_cannot_be_kept_is_not_counted(analyser: Analyser, smear: Smear) -> None:
    """The count pauses with a reason, and the tally stays that of the disk."""
    count = counter(analyser, recorder=_Full())
    watch(count, source(smear, Stop(1)))
    state = count.state(RUNNING)
    assert (whites(count), state.fields, state.paused) == (0, 0, True)
    assert "disk is full" in state.message


def test_a_count_goes_on_when_the_disk_takes_fields_again(
    analyser: Analyser, smear: Smear, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a hand at the keys, as in a service; the refusal and its end are told once each, however often it tries."""
    monkeypatch.setattr(interruptions, "RETRY_S", 0.0)
    told: list[Event] = []
    recorder = _Full()
    count = counter(analyser, recorder=recorder, on_event=told.append)
    watch(count, source(smear, Stop(1)))
    recorder.space = True
    watch(count, source(smear, Stop(1)))
    assert (recorder.kept, count.state(RUNNING).fields, count.paused, count.message) == ([1], 1, False, "")
    warnings = [event.text for event in told if event.kind == "warning"]
    assert ["disk is full" in warnings[0], *warnings[1:]] == [True, interruptions.SPACE_AGAIN]


def test_a_pause_by_the_operator_outlasts_a_full_disk(
    analyser: Analyser, smear: Smear, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a person paused, only that person lets go on."""
    count = counter(analyser, recorder=_Full())
    watch(count, source(smear, Stop(1)))
    monkeypatch.setattr(interruptions, "RETRY_S", 0.0)
    count.pause()
    count.pause()
    assert set(watch(count, source(smear, Stop(1)))) == {"paused"}


def test_a_clock_that_is_set_back_is_told_and_the_order_kept(
    analyser: Analyser, smear: Smear, store: Store
) -> None:
    """A year back in the middle of a session: the fields stay in order, now and when the session goes on."""
    session, told = start(store), []
    count = counter(analyser, recorder=session, on_event=told.append)
    watch(count, source(smear, Stop(1)))
    count._clock._apart += 365 * 86400  # as if it had gone a year ahead until now
    watch(count, source(smear, Jump(FAR), Stop(1)))
    assert [event.text for event in told if event.kind == "warning"] == [
        "this computer's clock was set back by 365 days. Fields keep the order in which they were counted."
    ]
    assert [field.number for field in session.counted()] == [1, 2]


class _Screen:
    def __init__(self) -> None:
        self.states: list[LiveState] = []

    def update(self, state: LiveState) -> None:
        self.states.append(state)


def test_the_loop_runs_to_the_end_of_its_source(analyser: Analyser, smear: Smear) -> None:
    """Through the capture thread, dropping nothing of a replay."""
    screen, count = _Screen(), counter(analyser)
    with Capture(lambda: source(smear, Stop(1))) as capture:
        reason = Loop(capture, count, screen).run()
    assert "end" in reason
    assert count.state(RUNNING).fields == 1
    assert screen.states


def test_the_loop_obeys_the_operator(analyser: Analyser, smear: Smear) -> None:
    """A mistake becomes a message; finishing ends it."""
    wanted: list[list[Request]] = [[Command.UNDO], [], [Command.FINISH]]
    screen, count = _Screen(), counter(analyser)
    with Capture(lambda: source(smear, Stop(60))) as capture:
        loop = Loop(
            capture, count, screen, LoopOptions(requests=lambda: iter(wanted.pop(0) if wanted else []))
        )
        assert loop.run() == "finished by the operator"
    assert count.message == "there is no counted field to take back."


def test_the_loop_ends_for_the_next_slide_only_where_there_can_be_one(
    analyser: Analyser, smear: Smear
) -> None:
    """A camera shows another slide; a film or a folder would be counted again under its name.

    A too long id is a mistake: the count goes on.
    """
    for possible, slide in ((False, "S-18"), (True, "S-18"), (True, "8" * 65)):
        wanted: list[list[Request]] = [[NextSlide(slide)], [], [Command.FINISH]]
        count = counter(analyser)
        with Capture(lambda: source(smear, Stop(60))) as capture:
            options = LoopOptions(
                requests=lambda wanted=wanted: iter(wanted.pop(0) if wanted else []), next_slides=possible
            )
            loop = Loop(capture, count, _Screen(), options)
            reason = loop.run()
        begun = possible and slide == "S-18"
        assert (reason, loop.next_slide) == (
            ("the next slide was begun", "S-18") if begun else ("finished by the operator", None)
        )
        assert begun or ("64 are the most" if possible else "end this one") in count.message


def test_the_loop_stops_at_the_target(analyser: Analyser, smear: Smear) -> None:
    """For a service that counts one slide after the other."""
    count = counter(analyser, target=1)
    with Capture(lambda: source(smear, Move((120.0, 45.0), 120), Stop(60))) as capture:
        assert (
            Loop(capture, count, _Screen(), LoopOptions(until_target=True)).run() == "the target was reached"
        )
