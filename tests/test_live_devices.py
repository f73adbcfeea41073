"""The live count behind a phone at an eyepiece, and with a device profile: real frames, the capture's own thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from standard import slide_of
from test_field_of_view import in_black

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.calibration.device import Pictures, calibrate
from edgeleuk.console.loop import Loop
from edgeleuk.counting.live import LiveCounter
from edgeleuk.counting.state import Event, LiveState
from edgeleuk.device.profiles import Profile
from edgeleuk.imaging.field_of_view import boxes_inside, cut_by_rim
from edgeleuk.models import registry
from edgeleuk.results.slide_result import identify
from edgeleuk.sessions import NewSession, Session, open_store
from edgeleuk.simulation.smear import Optics, Smear, Stage
from edgeleuk.sources.camera import SourceInfo
from edgeleuk.sources.capture import Capture
from edgeleuk.sources.simulated import Move, Script, StageSettings, StageSource, Stop
from edgeleuk.types import CountedField, Field, FieldOfView, Frame, Image, Scale, TimedFrame

pytestmark = pytest.mark.usefixtures("painted_once")

UM = 0.1
SIZE = (1000, 800)
ROUND_VIEW = FieldOfView(500.0, 400.0, 360.0, 360.0)
ROW = ((60.0, 50.0), (120.0, 50.0), (180.0, 50.0))
LAMP = Optics(light_rgb=(235.0, 205.0, 150.0), vignette=0.4)
"""A yellow lamp, and corners that are a fifth darker."""
BLUE = Optics(light_rgb=(150.0, 200.0, 240.0))

See = Callable[[Image, int], Image]


class Through:
    """The simulated stage as a device sees it."""

    def __init__(self, source: StageSource, see: See) -> None:
        self._source, self._see = source, see

    @property
    def info(self) -> SourceInfo:
        return self._source.info

    def read(self, timeout: float) -> TimedFrame | None:
        timed = self._source.read(timeout)
        if timed is None:
            return None
        return replace(timed, frame=replace(timed.frame, pixels=self._see(timed.frame.pixels, timed.number)))

    def close(self) -> None:
        self._source.close()


class Screen:
    def __init__(self) -> None:
        self.states: list[LiveState] = []

    def update(self, state: LiveState) -> None:
        self.states.append(state)


class Counted:
    """A live count run to the end of its source."""

    def __init__(
        self,
        analyser: Analyser,
        smear: Smear,
        *segments: Move | Stop,
        see: See = lambda image, _: image,
        optics: Optics | None = None,
        scale: Scale | None = None,
        start: tuple[float, float] = ROW[0],
        recorder: Session | None = None,
        before: tuple[CountedField, ...] = (),
    ) -> None:
        self.events: list[Event] = []
        self.verdicts: list[str] = []
        slide = slide_of(analyser, scale, stills=False)
        self.counter = LiveCounter(slide, source="test", on_event=self.events.append, recorder=recorder)
        if before:
            self.counter.resume(before, {})
        one = self.counter.frame
        self.counter.frame = lambda timed: self.verdicts.append(one(timed)) or self.verdicts[-1]  # type: ignore[method-assign,func-returns-value,return-value]

        def opened() -> Through:
            script = Script(start, (Stop(0.8), *segments))
            stage = StageSource(
                0, "100x", *SIZE, StageSettings(smear=smear, script=script, fps=5, optics=optics)
            )
            return Through(stage, see)

        with Capture(opened) as capture:
            Loop(capture, self.counter, Screen()).run()

    @property
    def fields(self) -> tuple[Field, ...]:
        return self.counter.map.fields()

    @property
    def white_cells(self) -> int:
        result = self.counter.differential()
        return result.n + sum(result.outside.values())

    def told(self, kind: str) -> list[str]:
        return [event.text for event in self.events if event.kind == kind]


@pytest.fixture(scope="module")
def smear() -> Smear:
    return Smear.generate(21, 240.0, 100.0, {"neutrophil": 6, "lymphocyte": 5, "monocyte": 2})


def in_round_view(image: Image, number: int, field_of_view: FieldOfView = ROUND_VIEW) -> Image:
    return in_black(image, field_of_view, number)


def whole_in_view(
    smear: Smear, *places: tuple[float, float], field_of_view: FieldOfView = ROUND_VIEW
) -> set[int]:
    """Ids of the white cells that the field of view shows whole while the stage is at one of the places."""
    white = smear.of("WBC")
    found: set[int] = set()
    for place in places:
        corner = np.array(place) - np.array(SIZE) * UM / 2
        boxes = (np.array([cell.box_um for cell in white]) - np.tile(corner, 2)) / UM
        found |= {white[i].id for i in np.flatnonzero(~cut_by_rim(boxes.astype(np.float32), field_of_view))}
    return found


def test_a_phone_at_the_eyepiece_counts_what_its_view_shows(analyser: Analyser, smear: Smear) -> None:
    """Each white cell that the field of view shows whole once, there and back; nothing beside the field of view, and its area alone."""
    done = Counted(
        analyser, smear, Move(ROW[1], 60), Stop(0.6), Move(ROW[2], 60), Stop(0.6), Move(ROW[0], 120), Stop(0.6), see=in_round_view,
    )  # fmt: skip
    assert done.white_cells == len(whole_in_view(smear, *ROW))
    assert done.verdicts.count("counted") == len(done.fields) == 3
    assert "thick" not in done.verdicts
    share = ROUND_VIEW.share(*SIZE)
    for field in done.fields:
        assert field.field_of_view
        assert boxes_inside(
            np.array([cell.box for cell in field.cells], np.float32), field.field_of_view
        ).all()
        whole = replace(field, field_of_view=None).area_mm2
        assert field.area_mm2 == pytest.approx(share * whole, rel=0.02)


def test_ground_between_two_views_is_new(analyser: Analyser, smear: Smear) -> None:
    """The frames of two fields lie side by side and their fields of view do not: what lies between them was not seen."""
    left, between, right = ROW
    done = Counted(
        analyser, smear, Move(right, 45), Stop(0.6), Move(between, 45), Stop(0.6),
        see=in_round_view, scale=Scale.given(UM), start=left,
    )  # fmt: skip
    assert done.verdicts[-1] == "seen"
    assert done.verdicts.count("counted") == 3
    assert done.white_cells == len(whole_in_view(smear, *ROW))


def test_the_black_around_a_small_view_is_no_thick_smear(analyser: Analyser, smear: Smear) -> None:
    """A field of view of a tenth of the frame counts as one that fills it."""
    small = replace(ROUND_VIEW, semi_major=170.0, semi_minor=170.0)
    done = Counted(
        analyser, smear, Stop(0.6), see=lambda i, n: in_round_view(i, n, small), scale=Scale.given(UM)
    )
    assert set(done.verdicts) <= {"move", "counted", "seen"}
    assert done.verdicts.count("counted") == 1


def test_a_phone_that_slips_sees_the_same_ground(analyser: Analyser, smear: Smear) -> None:
    """Its field of view lies elsewhere in the frame and is looked for again; what it shows was counted."""

    def slipped(image: Image, number: int) -> Image:
        beside = replace(ROUND_VIEW, x=ROUND_VIEW.x + 100)
        return (
            in_round_view(np.roll(image, 100, axis=1), number, beside)
            if number > 3
            else in_round_view(image, number)
        )

    done = Counted(analyser, smear, Stop(3), see=slipped, scale=Scale.given(UM))
    assert done.verdicts[-1] == "seen"
    assert done.verdicts.count("counted") == 1
    assert done.white_cells == len(whole_in_view(smear, ROW[0]))


def test_a_session_behind_an_eyepiece_goes_on_where_it_stopped(
    analyser: Analyser, smear: Smear, tmp_path: Path
) -> None:
    """What the field of view showed is kept with the field: its ground is known again, and the ground beside it is new."""
    given = {"see": in_round_view, "scale": Scale.given(UM)}
    with open_store(tmp_path / "sessions.db", reserve_bytes=0) as store:
        session = store.start(
            NewSession(source="test", model=identify(analyser.model), target=200, um_per_px=UM)
        )
        first = Counted(analyser, smear, recorder=session, **given)
        kept = tuple(session.counted())
        assert [each.field.field_of_view for each in kept] == [field.field_of_view for field in first.fields]
        again = Counted(
            analyser, smear, Move((ROW[0][0] + 25, ROW[0][1]), 45), Stop(0.6), recorder=session, before=kept, **given,
        )  # fmt: skip
    assert again.verdicts.count("counted") == 1
    assert again.counter.map.island_count == 1
    places = (ROW[0], (ROW[0][0] + 25, ROW[0][1]))
    assert again.white_cells == len(whole_in_view(smear, *places))


def test_pictures_of_a_folder_have_each_a_view_of_its_own(analyser: Analyser, smear: Smear) -> None:
    """However soon after the one before: a picture that comes once is not taken for a phone that slips."""
    counter = LiveCounter(slide_of(analyser, Scale.given(UM)), source="test")
    stage = Stage(smear, UM, SIZE)
    for number, (place, x) in enumerate(((ROW[0], 500.0), (ROW[2], 450.0))):
        stage.move_to(*place)
        pixels = in_round_view(stage.field().pixels, number, replace(ROUND_VIEW, x=x))
        assert counter.frame(TimedFrame(Frame(pixels, str(number)), 0.1 * number, number)) == "counted"
    found = [field.field_of_view.x for field in counter.map.fields() if field.field_of_view]
    assert found == pytest.approx([500.0, 450.0], abs=2)


def profile_of(
    folder: Path, analyser: Analyser, optics: Optics, see: See = lambda image, _: image
) -> Profile:
    """As `edgeleuk calibrate` makes it, from an empty field and three of a smear."""
    width, height = (side * UM for side in SIZE)
    smears = [Smear(1, width, height, ())]
    smears += [Smear.generate(k, width, height, {"neutrophil": 2, "lymphocyte": 2}) for k in range(3)]
    paths = []
    for number, each in enumerate(smears):
        image = see(Stage(each, UM, SIZE, optics=optics).field().pixels, number)
        paths.append(folder / f"{number}.png")
        cv2.imwrite(str(paths[-1]), image[..., ::-1])
    pictures = Pictures(blank=paths[:1], smear=paths[1:])
    return calibrate("bench-2", "100x", pictures, None, analyser.finder).profile


@pytest.fixture(scope="module")
def profiled(model: registry.Model, analyser: Analyser, tmp_path_factory: pytest.TempPathFactory) -> Analyser:
    """With the profile of the yellow lamp."""
    folder = tmp_path_factory.mktemp("yellow")
    return Analyser(model, profile=profile_of(folder, analyser, LAMP))


def test_a_profile_gives_scale_light_and_focus(profiled: Analyser, smear: Smear) -> None:
    """No field is spent on the scale, every one is corrected, and each white cell counts once."""
    done = Counted(profiled, smear, Move(ROW[1], 60), Stop(0.6), Move(ROW[0], 60), Stop(0.6), optics=LAMP)
    assert "scale" not in done.verdicts
    assert profiled.profile
    assert done.counter.scale == profiled.profile.scale_at(*SIZE)
    assert [field.profile for field in done.fields] == ["bench-2"] * 2
    assert done.told("warning") == []
    shown = [c for c in smear.of("WBC") if 10 + 3 < c.x_um < 170 - 3 and 10 + 3 < c.y_um < 90 - 3]
    assert done.white_cells >= len(shown)
    assert done.verdicts[-1] == "seen"


def test_frames_that_do_not_fit_the_profile_are_told_once(profiled: Analyser, smear: Smear) -> None:
    """Under another lamp the count goes on without the profile, with a scale of its own, and says so."""
    done = Counted(profiled, smear, Move(ROW[1], 60), Stop(0.6), optics=BLUE)
    assert len(done.fields) == 2
    assert [field.profile for field in done.fields] == [None, None]
    assert done.counter.scale
    assert done.counter.scale.source == "red cells"
    (text,) = done.told("warning")
    assert "another colour than profile bench-2" in text


def test_a_profile_of_an_eyepiece_s_view(
    model: registry.Model, analyser: Analyser, smear: Smear, tmp_path: Path
) -> None:
    """The rim is no dirt on the empty field; light is put right within the field of view, and cells are counted there."""
    profile = profile_of(tmp_path, analyser, LAMP, in_round_view)
    done = Counted(Analyser(model, profile=profile), smear, Stop(0.6), see=in_round_view, optics=LAMP)
    (field,) = done.fields
    assert field.profile == "bench-2"
    assert done.white_cells == len(whole_in_view(smear, ROW[0]))
    assert done.verdicts[-1] == "seen"
