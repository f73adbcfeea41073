"""One way for a slide: pictures and streams at one scale and one quality, whoever supplies the frames."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from standard import slide_of
from test_profiles import whole

from edgeleuk.analysis import observation
from edgeleuk.analysis.analyser import Analyser
from edgeleuk.analysis.observation import Observation
from edgeleuk.counting import view_tracker
from edgeleuk.counting.live import LiveCounter
from edgeleuk.counting.pictures import Batch
from edgeleuk.counting.slide import SlideCount
from edgeleuk.errors import QualityError, StoreError
from edgeleuk.imaging.resampling import resize
from edgeleuk.models import registry
from edgeleuk.sources.stills import FolderSource
from edgeleuk.types import CountedField, Field, Frame, Image, PictureFile, Refusal, Scale, TimedFrame

UM = 0.1
"""Of the demo."""


@pytest.fixture(scope="module")
def refusing(model: registry.Model) -> Analyser:
    """As `analyze` and `live` open it."""
    return Analyser(model, refusing=True)


@pytest.fixture(scope="module")
def places(demo_frame: Frame) -> tuple[Image, Image]:
    """Two places of the demo as a camera of 1280 x 720 pixels shows them."""
    pixels = demo_frame.pixels
    return pixels[:720, :1280].copy(), pixels[480:1200, 320:1600].copy()


def zoomed(image: Image) -> Image:
    """The middle, twice as large."""
    height, width = image.shape[:2]
    return resize(image[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4], width, height)


def halved(image: Image) -> Image:
    """At half the resolution."""
    return resize(image, image.shape[1] // 2, image.shape[0] // 2)


def types_of(field: Field) -> list[str]:
    return sorted(cell.reading.label if cell.reading else "" for cell in field.of("WBC"))


def stream(slide: SlideCount, views: Sequence[tuple[Image, int]]) -> list[list[CountedField | Refusal]]:
    """What became of each frame where every view is shown for so many frames."""
    outcomes: list[list[CountedField | Refusal]] = []
    number = 0
    for image, times in views:
        outcomes.append([])
        for _ in range(times):
            outcomes[-1].append(
                slide.consider(TimedFrame(Frame(image, f"frame {number}"), number / 5, number))
            )
            number += 1
    return outcomes


def counted(outcomes: Sequence[CountedField | Refusal]) -> list[CountedField]:
    return [each for each in outcomes if isinstance(each, CountedField)]


# The scale


@pytest.mark.parametrize("given", [None, UM])
@pytest.mark.parametrize("change", [zoomed, halved])
def test_a_stream_that_changes_its_scale_is_read_as_each_frame_alone(
    refusing: Analyser, places: tuple[Image, Image], given: float | None, change: object
) -> None:
    """A camera that zooms twofold, or halves its resolution: the scale is measured again before anything is counted."""
    first, second = places
    changed = change(second)  # type: ignore[operator]
    slide = slide_of(refusing, Scale.given(given) if given else None, stills=False)
    before, after = stream(slide, [(first, 4), (changed, 9)])
    (one,), (other,) = counted(before), counted(after)
    alone = refusing.analyse(Frame(changed, "alone"))
    assert types_of(other.field) == types_of(alone)
    assert other.field.scale.um_per_px == pytest.approx(alone.scale.um_per_px, rel=0.04)
    assert one.field.scale.um_per_px == pytest.approx(UM, rel=0.06)


def test_a_zoom_is_told_and_the_frame_not_counted(refusing: Analyser, places: tuple[Image, Image]) -> None:
    """The frame whose red cells contradict is refused for its scale, and the reason names what to check."""
    events = []
    slide = slide_of(refusing, stills=False)
    live = LiveCounter(slide, source="test", on_event=events.append)
    views = [places[0]] * 4 + [zoomed(places[1])] * 3
    verdicts = [live.frame(TimedFrame(Frame(each, str(i)), i / 5, i)) for i, each in enumerate(views)]
    assert verdicts[-2] == "scale"
    (warning,) = [event.text for event in events if event.kind == "warning"]
    assert "times as large as before: another zoom or objective" in warning
    assert "--mag" in warning


def test_a_place_seen_at_two_resolutions_counts_once(refusing: Analyser, places: tuple[Image, Image]) -> None:
    """The camera reopens at half the resolution over counted ground: it is recognised."""
    slide = slide_of(refusing, stills=False)
    before, after = stream(slide, [(places[0], 4), (halved(places[0]), 6)])
    white = sum(slide.tally().white.values())
    assert white == sum(cell.reading is not None for cell in counted(before)[0].field.cells)
    assert not counted(after) or not {
        cell.kind
        for cell, identity in zip(counted(after)[0].field.cells, counted(after)[0].identities, strict=True)
        if identity in counted(after)[0].fresh and cell.reading
    }


def picture(image: Image, name: str = "picture") -> Observation:
    return Observation.of(Frame(image, name))


def test_the_given_scale_comes_before_the_common_one(analyser: Analyser, demo_frame: Frame) -> None:
    """What the user says stands, vouched for, in pixels of the file: a frame decoded at half the size gets twice as much."""
    policy = slide_of(analyser, Scale.given(UM)).scale
    seen = replace(picture(halved(demo_frame.pixels)), frame=Frame(halved(demo_frame.pixels), "x", shrunk=2))
    choice = policy.choose(seen)
    assert choice.scale == Scale.given(2 * UM)
    assert choice.vouched


@pytest.mark.parametrize(("change", "um_per_px"), [("crop", UM), ("half", 2 * UM), ("zoom", UM / 2)])
def test_a_given_scale_for_another_size_is_held_against_the_red_cells(
    analyser: Analyser, demo_frame: Frame, change: str, um_per_px: float
) -> None:
    """A crop keeps it, another resolution takes it along, a zoomed crop is measured; the last two are told."""
    policy = slide_of(analyser, Scale.given(UM)).scale
    policy.choose(picture(demo_frame.pixels))
    pixels = demo_frame.pixels
    images = {
        "crop": pixels[:900, :1100],
        "half": halved(pixels),
        "zoom": resize(pixels[:600, :700], 1400, 1200),
    }
    choice = policy.choose(picture(images[change]))
    assert choice.scale
    assert choice.scale.um_per_px == pytest.approx(um_per_px, rel=0.08)
    assert bool(choice.warning) is (change != "crop")


def test_a_given_scale_without_red_cells_to_hold_it_against_is_told(
    analyser: Analyser, demo_frame: Frame
) -> None:
    """It is used for a picture of another size, with a warning; in a stream it is not."""
    blank = np.full((480, 640, 3), (236, 212, 190), np.uint8)
    policy = slide_of(analyser, Scale.given(UM)).scale
    policy.choose(picture(demo_frame.pixels))
    choice = policy.choose(picture(blank))
    assert choice.scale == Scale.given(UM)
    assert "taken for a crop" in choice.warning
    assert not choice.told


def test_a_picture_that_contradicts_the_given_scale_is_measured(
    refusing: Analyser, demo_frame: Frame
) -> None:
    """The second picture is zoomed: its red cells are twice those of the first, at the scale that was given."""
    slide = slide_of(refusing, Scale.given(UM))
    slide.consider(Frame(demo_frame.pixels, "a"))
    other = slide.consider(Frame(zoomed(demo_frame.pixels), "b"))
    assert isinstance(other, CountedField)
    assert other.field.scale.um_per_px == pytest.approx(UM / 2, rel=0.08)
    assert any("another objective or zoom" in text for text in other.field.warnings)


def test_a_given_scale_that_makes_no_human_red_cells_is_told(refusing: Analyser, demo_frame: Frame) -> None:
    """It stands, since the user vouches for it, with the size that red cells then have."""
    slide = slide_of(refusing, Scale.given(0.06))
    field = slide.consider(Frame(demo_frame.pixels, "a"))
    assert isinstance(field, CountedField)
    assert field.field.scale == Scale.given(0.06)
    assert any("red cells measure 4." in text and "Check the scale" in text for text in field.field.warnings)


# Quality


def spoiled(image: Image, how: str) -> Image:
    if how == "focus":
        return cv2.GaussianBlur(image, (0, 0), 9)
    if how == "dark":
        return (image * 0.22).astype(np.uint8)
    if how == "bright":
        return np.clip(image * 1.9, 0, 255).astype(np.uint8)
    if how == "pale":
        return (235 - (235 - image.astype(int)) * 0.09).clip(0, 255).astype(np.uint8)
    return np.full_like(image, 225)


@pytest.mark.parametrize("how", ["focus", "dark", "bright", "pale", "empty"])
def test_what_pictures_are_refused_for_streams_do_not_count(
    refusing: Analyser, places: tuple[Image, Image], how: str
) -> None:
    """One set of limits: a picture of a folder and a frame of a camera are refused for the same reason."""
    image = spoiled(places[0], how)
    still = slide_of(refusing, Scale.given(UM)).consider(Frame(image, "still"))
    *_, last = stream(slide_of(refusing, Scale.given(UM), stills=False), [(image, 3)])[0]
    assert isinstance(still, Refusal)
    assert isinstance(last, Refusal)
    assert still.code == last.code
    with pytest.raises(QualityError):
        refusing.analyse(Frame(image, "still"), Scale.given(UM))


def test_a_refused_view_is_analysed_once(refusing: Analyser, places: tuple[Image, Image]) -> None:
    """A stage that stays at a place that is refused does not cost an analysis a frame."""
    calls = []
    watched = Analyser(refusing.model, refusing=True)
    one = watched.analyse
    watched.analyse = lambda *a, **k: (calls.append(1), one(*a, **k))[1]  # type: ignore[method-assign]
    outcomes = stream(slide_of(watched, Scale.given(UM), stills=False), [(spoiled(places[0], "pale"), 8)])[0]
    assert not counted(outcomes)
    assert len(calls) == 1


# Once a frame


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often a field of view was searched for, and image statistics taken."""
    times = {"field of view": 0, "look": 0}

    def counting(name: str, function: object) -> object:
        def wrapped(*arguments: object) -> object:
            times[name] += 1
            return function(*arguments)  # type: ignore[operator]

        return wrapped

    monkeypatch.setattr(
        observation, "find_field_of_view", counting("field of view", observation.find_field_of_view)
    )
    monkeypatch.setattr(
        view_tracker, "find_field_of_view", counting("field of view", view_tracker.find_field_of_view)
    )
    monkeypatch.setattr(observation, "look", counting("look", observation.look))
    return times


def test_a_picture_under_a_profile_is_looked_at_once(
    model: registry.Model, demo_frame: Frame, looks: dict[str, int], tmp_path: Path
) -> None:
    """One search for the field of view and one look for each picture, those that told the scale included."""
    paths = []
    for i in range(3):
        paths.append(tmp_path / f"{i}.png")
        cv2.imwrite(str(paths[-1]), cv2.cvtColor(demo_frame.pixels, cv2.COLOR_RGB2BGR))
    for profile in (whole(demo_frame), None):
        looks.update({"field of view": 0, "look": 0})
        analyser = Analyser(model, profile=profile, refusing=True)
        done = list(Batch(slide_of(analyser)).analyse_all([PictureFile(path) for path in paths]))
        assert len(done) == 3
        assert looks == {"field of view": 3, "look": 3}


def test_pictures_of_a_folder_are_looked_at_once_in_a_live_count(
    refusing: Analyser, demo_frame: Frame, looks: dict[str, int], tmp_path: Path
) -> None:
    """What told the common scale is not observed again when it is counted."""
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), cv2.cvtColor(demo_frame.pixels, cv2.COLOR_RGB2BGR))
    slide = slide_of(refusing)
    live = LiveCounter(slide, source="test")
    source = FolderSource([str(tmp_path)], slide.scale)
    while timed := source.read(1.0):
        live.frame(timed)
    assert slide.number == 3
    assert looks == {"field of view": 3, "look": 3}


def test_a_counted_frame_of_a_stream_is_looked_at_once(
    model: registry.Model, places: tuple[Image, Image], looks: dict[str, int]
) -> None:
    """Under a profile too; the field of view is searched for again only when the frame is counted."""
    frame = Frame(places[0], "x")
    analyser = Analyser(model, profile=whole(frame), refusing=True)
    slide = slide_of(analyser, stills=False)
    slide.consider(TimedFrame(frame, 0.0, 0))
    looks.update({"field of view": 0, "look": 0})
    assert isinstance(slide.consider(TimedFrame(replace(frame, name="y"), 0.2, 1)), CountedField)
    assert looks == {"field of view": 1, "look": 1}


# What is kept


class Recorder:
    def __init__(self) -> None:
        self.fields: list[CountedField] = []
        self.full = False

    def add(self, field: CountedField) -> None:
        if self.full:
            raise StoreError("the disk is full.")
        self.fields.append(field)

    def undo(self) -> None:
        self.fields.pop()

    def mark(self, identity: int, label: str) -> None: ...


def test_a_slide_goes_on_from_what_was_stored(refusing: Analyser, demo_frame: Frame) -> None:
    """The same tally, differential and area; what was counted is still counted ground."""
    kept = Recorder()
    slide = slide_of(refusing)
    slide.recorder = kept
    for number, (left, right) in enumerate(((0, 1000), (600, 1600))):
        slide.consider(Frame(demo_frame.pixels[:, left:right], f"{number}"))
    slide.mark(slide.map.white_cells[0], "artefact")
    again = slide_of(refusing)
    again.restore(kept.fields, slide.map.marks)
    assert again.tally() == slide.tally()
    assert again.differential() == slide.differential()
    assert again.map.area_mm2 == pytest.approx(slide.map.area_mm2)
    before = again.tally().white
    again.consider(Frame(demo_frame.pixels[:, 300:1300], "again"))
    assert sum(again.tally().white.values()) == sum(before.values())


def test_what_the_recorder_does_not_keep_is_not_counted(refusing: Analyser, demo_frame: Frame) -> None:
    """The error goes to the driver, and the tally stays as it was."""
    kept = Recorder()
    slide = slide_of(refusing)
    slide.recorder = kept
    slide.consider(Frame(demo_frame.pixels[:, :800], "a"))
    before, kept.full = slide.tally(), True
    with pytest.raises(StoreError):
        slide.consider(Frame(demo_frame.pixels[:, 800:], "b"))
    assert (slide.tally(), slide.number, slide.map.island_count) == (before, 1, 1)


def test_a_field_is_kept_in_pixels_of_its_file(refusing: Analyser, demo_frame: Frame, tmp_path: Path) -> None:
    """A picture that is decoded smaller is stored as the file has it, and so are its crops' cells."""
    large = resize(demo_frame.pixels, 4 * 1600, 4 * 1200)
    cv2.imwrite(str(tmp_path / "large.jpg"), cv2.cvtColor(large, cv2.COLOR_RGB2BGR))
    slide = slide_of(refusing, Scale.given(UM / 4))
    (done,) = Batch(slide).analyse_all([PictureFile(tmp_path / "large.jpg")])
    field = done.counted  # type: ignore[union-attr]
    assert (field.field.width, field.field.height) == (6400, 4800)
    assert field.field.scale.um_per_px == pytest.approx(UM / 4)
    small = refusing.analyse(demo_frame, Scale.given(UM))
    assert types_of(field.field) == types_of(small)
    assert len(field.crops) == len(small.of("WBC"))
    index = next(i for i, cell in enumerate(field.field.cells) if cell.reading)
    crop = cv2.imdecode(np.frombuffer(field.crops[index], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    half = len(crop) // 2
    assert crop[half - 8 : half + 8, half - 8 : half + 8].mean() < crop.mean() - 10  # a nucleus


def test_frames_of_the_same_name_are_told_apart(refusing: Analyser, demo_frame: Frame) -> None:
    """A camera that is opened again numbers its frames anew; a field that is taken back gives its name free."""
    slide = slide_of(refusing)
    for left in (0, 400, 800):
        slide.consider(Frame(demo_frame.pixels[:, left : left + 800], "frame 7"))
    names = ("frame 7", "frame 7 (2)", "frame 7 (3)")
    assert slide.map.names == names
    assert {place.picture for each in slide.tally().places.values() for place in each} <= {*names}
    slide.undo()
    slide.consider(Frame(demo_frame.pixels[:, 800:], "frame 7"))
    assert slide.map.names == names


def test_frames_after_a_restart_are_told_apart_from_those_before(
    refusing: Analyser, demo_frame: Frame
) -> None:
    """What was stored keeps its name."""
    kept = Recorder()
    slide = slide_of(refusing)
    slide.recorder = kept
    slide.consider(Frame(demo_frame.pixels[:, :800], "frame 1"))
    again = slide_of(refusing)
    again.restore(kept.fields, {})
    again.consider(Frame(demo_frame.pixels[:, 800:], "frame 1"))
    assert again.map.names == ("frame 1", "frame 1 (2)")


def test_pictures_of_the_same_name_are_named_with_their_folder(refusing: Analyser, demo_frame: Frame) -> None:
    """The verdict's cells are found again."""
    slide = slide_of(refusing)
    for name, left in (("s/a/1.png", 0), ("s/b/1.png", 800)):
        slide.consider(Frame(demo_frame.pixels[:, left : left + 800], name))
    blast = next(each for each in slide.verdict().reasons if each.code == "blasts_suspect")
    (place,) = slide.tally().places["blast"]
    assert blast.named == f"See {place.picture.removeprefix('s/')} cell {place.number}."


def test_a_forced_picture_is_doubtful(model: registry.Model, places: tuple[Image, Image]) -> None:
    """Most pictures being such, the slide is of poor pictures."""
    slide = slide_of(Analyser(model, refusing=False))
    slide.consider(Frame(spoiled(places[0], "dark"), "dark"))
    (field,) = slide.map.fields()
    assert field.assessment.forced
    assert slide.tally().doubtful_pictures == 1
    assert "doubtful_pictures" in [each.code for each in slide.verdict().reasons]


def test_a_result_says_what_counted_it(refusing: Analyser, demo_frame: Frame) -> None:
    """Without a driver's word: a UUID, the time with its zone, the program and the model by its hashes."""
    slide = slide_of(refusing)
    slide.consider(Frame(demo_frame.pixels[:, :800], "a"))
    slide.consider(Frame(np.full((400, 400, 3), 225, np.uint8), "b"))
    result = slide.result()
    assert uuid.UUID(result.about.id).version == 4
    assert datetime.fromisoformat(result.about.started).utcoffset() is not None
    assert result.about.model.reader_sha256 == refusing.model.reader.sha256
    assert [each.name for each in result.refused] == ["b"]
    assert [each.number for each in result.counted] == [1]
    assert result.fields[0].cells == result.counted[0].field.cells
