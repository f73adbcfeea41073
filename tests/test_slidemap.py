"""One place and one identity for each cell of a slide, on the simulated stage."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import pytest
from standard import RULES

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.differential.tally import UnrecognisedRules, tally
from edgeleuk.models.registry import Model
from edgeleuk.simulation.smear import Smear, Stage
from edgeleuk.slidemap import CountFacts, SlideMap
from edgeleuk.slidemap.slide_map import CROP_OUTSIDE, CROP_UM
from edgeleuk.types import AttributeReading, Cell, CountedField, Field, Placement, Reading, Scale, numbered

pytestmark = pytest.mark.usefixtures("painted_once")

UM = 0.1
WIDTH, HEIGHT = 960, 540


@pytest.fixture(scope="module")
def smear() -> Smear:
    return Smear.generate(11, 250.0, 140.0, {"neutrophil": 8, "lymphocyte": 5, "monocyte": 3})


def reading(model: Model, label: str, probability: float = 0.95) -> Reading:
    rest = (1 - probability) / (len(model.reader.labels) - 1)
    return Reading(
        label, probability, {each: probability if each == label else rest for each in model.reader.labels}, {}
    )


@dataclass
class Walk:
    """A stage and its map; the finder is perfect but for a tenth of a micrometre, the reader too."""

    stage: Stage
    map: SlideMap
    model: Model
    counted: list[CountedField] = field(default_factory=list)
    identities: dict[int, set[int]] = field(default_factory=dict)
    """Of each true cell."""

    def to(self, x_um: float, y_um: float, count: bool = True) -> Placement:
        self.stage.move_to(x_um, y_um)
        frame, scale = self.stage.field(), Scale.given(float(self.stage.um_per_px[0]))
        self.map.place(frame.pixels, scale)
        place = self.map.place(frame.pixels, scale)
        if count:
            self.count(frame.pixels, place, scale)
        return place

    def count(self, pixels: np.ndarray, place: Placement, scale: Scale) -> None:
        rng = np.random.default_rng(len(self.counted))
        height, width = pixels.shape[:2]
        limit = np.array([width, height] * 2)
        cells, ids = [], []
        for true, box in self.stage.truth():
            seen = np.clip(np.array(box), 0, limit)
            if (seen[2:] - seen[:2]).min() < 12:
                continue
            whole = bool((np.array(box) == seen).all())
            at = tuple((seen + rng.normal(0, 1, 4)).tolist())
            read = reading(self.model, true.label) if true.label and whole else None
            cells.append(Cell(true.kind, at, 0.9, whole, read))
            ids.append(true.id)
        number = len(self.counted) + 1
        analysed = Field(f"field-{number}", width, height, scale, numbered(cells))
        kept = self.map.add(analysed, place, CountFacts(number, number, "", 2.0), pixels)
        self.counted.append(kept)
        for true_id, identity in zip(ids, kept.identities, strict=True):
            self.identities.setdefault(true_id, set()).add(identity)


@pytest.fixture(scope="module")
def stage(smear: Smear) -> Stage:
    """One for all: it keeps the cells that it has painted."""
    return Stage(smear, UM, (WIDTH, HEIGHT))


@pytest.fixture
def walk(stage: Stage, model: Model) -> Walk:
    return Walk(stage, SlideMap.of(model, RULES), model)


def rows(walk: Walk) -> Sequence[tuple[float, float]]:
    """Six fields in two rows that overlap by a quarter."""
    x1, y1, _, _ = walk.stage.limits_um
    return [(x1 + 70 * i, y1 + 40 * j) for j in (0, 1) for i in ((0, 1, 2) if j == 0 else (2, 1, 0))]


def white(walk: Walk) -> dict[str, int]:
    return dict(tally(walk.map.fields(), RULES).white)


def test_each_cell_has_one_identity(walk: Walk) -> None:
    """White cells and platelets never get two; of the red cells, which overlap each other, fewer than 3 in 100."""
    for place in rows(walk):
        walk.to(*place)
    kinds = {cell.id: cell.kind for cell in walk.stage.smear.cells}
    split = [kinds[true] for true, identities in walk.identities.items() if len(identities) > 1]
    assert set(split) <= {"RBC"}
    assert len(split) < 0.03 * len(walk.identities)
    owners: dict[int, set[int]] = {}
    for true, identities in walk.identities.items():
        for identity in identities:
            owners.setdefault(identity, set()).add(true)
    assert all(len(each) == 1 for each in owners.values())


def test_the_tally_of_the_map_counts_each_white_cell_once(walk: Walk) -> None:
    """It is the truth of what was wholly in view in some field."""
    truth: dict[int, str] = {}
    for place in rows(walk):
        walk.to(*place)
        for true, box in walk.stage.truth():
            if true.label and box[0] >= 0 and box[1] >= 0 and box[2] <= WIDTH and box[3] <= HEIGHT:
                truth[true.id] = true.label
    assert white(walk) == {label: list(truth.values()).count(label) for label in set(truth.values())}


def test_the_map_is_true_to_half_a_micrometre(walk: Walk) -> None:
    """Also after two rows: the way back is tied to the way there."""
    for place in rows(walk):
        walk.to(*place)
    start = np.array(rows(walk)[0])
    walk.stage.move_to(*start)
    origin = np.array(walk.stage.position_um)
    for counted, place in zip(walk.counted, rows(walk), strict=True):
        walk.stage.move_to(*place)
        true = np.array(walk.stage.position_um) - origin
        assert np.hypot(counted.placement.x_um - true[0], counted.placement.y_um - true[1]) < 0.5


def test_old_ground_is_no_new_ground_and_brings_no_new_cell(walk: Walk) -> None:
    """A stage that returns, by jumping, finds itself where it was."""
    for place in rows(walk):
        walk.to(*place)
    again = walk.to(*rows(walk)[1])
    assert again.new_ground < 0.05
    assert walk.counted[-1].fresh == frozenset()


def test_a_stage_that_stands_has_not_moved(walk: Walk) -> None:
    """The second look at one place is at the first one's."""
    assert walk.to(*rows(walk)[0]).moved_um == pytest.approx(0, abs=0.05)


def test_new_ground_is_what_no_field_covers(walk: Walk) -> None:
    """Half a field further half of it is new."""
    x, y = rows(walk)[0]
    walk.to(x, y)
    assert walk.to(x + 48, y, count=False).new_ground == pytest.approx(0.5, abs=0.04)


def test_a_jump_to_unseen_ground_begins_an_island(walk: Walk) -> None:
    """Nothing is lost and nothing is guessed: the two parts have no known distance."""
    x1, y1, x2, y2 = walk.stage.limits_um
    walk.to(x1, y1)
    walk.to(x2, y2)
    assert walk.map.island_count == 2
    assert [each.placement.island for each in walk.counted] == [1, 2]


def test_a_field_that_shows_two_islands_joins_them(walk: Walk) -> None:
    """What both had seen is one thing again, and no cell counts twice."""
    x1, y1, x2, _ = walk.stage.limits_um
    for x in (x1, x2, x2 - 60, x2 - 110):
        walk.to(max(x, x1), y1)
    assert walk.map.island_count == 1
    seen = {cell.identity for cell in walk.map.cells.values()}
    kinds = {cell.id: cell.kind for cell in walk.stage.smear.cells}
    whites = [true for true in walk.identities if kinds[true] == "WBC"]
    assert len(seen) == len(whites)


@pytest.mark.parametrize("um, width", [(UM / 2, WIDTH), (2 * UM, WIDTH // 2), (1.04 * UM, WIDTH)])
def test_a_stream_that_changes_its_scale_or_size_goes_on(walk: Walk, um: float, width: int) -> None:
    """Zoomed twofold, at half the resolution, at a scale measured anew: the same island, and no cell counts twice."""
    x, y = rows(walk)[0]
    walk.to(x, y)
    walk.to(x + 60, y)
    walk.stage = Stage(walk.stage.smear, um, (width, width * HEIGHT // WIDTH))
    for step in (20, 40):
        walk.to(x + step, y + 5)
    assert walk.map.island_count == 1
    kinds = {cell.id: cell.kind for cell in walk.stage.smear.cells}
    assert all(len(ids) == 1 for true, ids in walk.identities.items() if kinds[true] == "WBC")
    assert {each.number for each in walk.map.overlaps} == {2, 3, 4}
    assert {each.kind for each in walk.map.overlaps} == {"overlap"}


def test_islands_of_different_scales_are_joined_by_their_cells(walk: Walk) -> None:
    """A second scale that is 6 % off: what begins an island of its own is known again by its cells when it is counted."""
    x, y = rows(walk)[0]
    walk.to(x, y)
    walk.to(x + 30, y)
    walk.stage.move_to(x + 15, y)
    pixels, wrong = walk.stage.field().pixels, Scale.given(UM * 1.06)
    alone = Placement(2, 0.0, 0.0)
    walk.count(pixels, alone, wrong)
    assert walk.map.island_count == 1
    kinds = {cell.id: cell.kind for cell in walk.stage.smear.cells}
    assert len(walk.map.white_cells) == sum(kinds[true] == "WBC" for true in walk.identities)


def test_a_cell_cut_by_the_edge_is_read_once_it_is_seen_whole(walk: Walk) -> None:
    """It is not counted twice, and its first field is where it is shown."""
    x1, y1, _, _ = walk.stage.limits_um
    walk.to(x1, y1)
    before = {i for i, cell in walk.map.cells.items() if cell.reading is None}
    for step in (30, 60):
        walk.to(x1 + step, y1)
        walk.to(x1 + step, y1 + 30)
    unread = {i for i, cell in walk.map.cells.items() if cell.reading is None}
    assert unread.isdisjoint(before) or unread < before


def test_undo_takes_back_a_field_and_nothing_else(walk: Walk) -> None:
    """The map is what it was, and the field can be counted again."""
    first, second, third = rows(walk)[:3]
    walk.to(*first)
    walk.to(*second)
    before = white(walk)
    walk.to(*third)
    taken = walk.map.undo()
    assert taken
    assert taken.number == walk.counted.pop().number
    assert white(walk) == before
    walk.to(*third)
    assert len(walk.map.fields()) == 3


def test_undo_of_nothing_is_none(walk: Walk) -> None:
    """There may be nothing to take back."""
    assert walk.map.undo() is None


def test_a_map_is_rebuilt_from_its_counted_fields(walk: Walk, model: Model) -> None:
    """The same cells, places and tally; and the next frame is found on it."""
    for place in rows(walk)[:4]:
        walk.to(*place)
    again = SlideMap.of(model, RULES)
    again.restore(walk.counted, {})
    assert again.cells == walk.map.cells
    assert again.fields() == walk.map.fields()
    walk.stage.move_to(*rows(walk)[2])
    pixels = walk.stage.field().pixels
    place = again.place(pixels, Scale.given(UM))
    assert place.island == 1
    assert place.new_ground < 0.05


def test_a_mark_overrules_the_reader(walk: Walk) -> None:
    """An artefact is one whatever it looks like."""
    for place in rows(walk)[:4]:
        walk.to(*place)
    identity = next(i for i, cell in walk.map.cells.items() if cell.reading)
    before = white(walk)
    walk.map.mark(identity, "artefact")
    assert white(walk)["artefact"] == 1
    assert sum(white(walk).values()) == sum(before.values())


def test_the_map_tells_the_tally_of_its_fields_at_any_time(walk: Walk) -> None:
    """After each field, a mark, and a field taken back; with what the reader doubts."""
    doubts = UnrecognisedRules.of(walk.model.reader, RULES)
    for place in rows(walk):
        walk.to(*place)
        assert walk.map.tally() == tally(walk.map.fields(), RULES, doubts)
    walk.map.mark(walk.map.white_cells[0], "artefact")
    assert walk.map.tally() == tally(walk.map.fields(), RULES, doubts)
    walk.map.undo()
    assert walk.map.tally() == tally(walk.map.fields(), RULES, doubts)


def test_a_counted_field_leaves_little_in_memory(stage: Stage, model: Model) -> None:
    """Eighty cells, three of them read, and the pictures by which it is recognised: less than 10 kB."""
    slide, pixels = SlideMap.of(model, RULES), stage.field().pixels
    attributes = {
        name: AttributeReading(values[0], 0.9, True) for name, values in model.reader.attributes.items()
    }
    read = replace(reading(model, "lymphocyte"), attributes=attributes)

    def count(numbers: range) -> None:
        for number in numbers:
            rng = np.random.default_rng(number)
            corners = rng.uniform(0, 1, (80, 2)) * (WIDTH - 80, HEIGHT - 80)
            boxes = np.concatenate([corners, corners + rng.uniform(60, 80, (80, 2))], axis=1).tolist()
            cells = [Cell("RBC", tuple(box), float(rng.random())) for box in boxes]
            cells[:3] = [replace(cell, kind="WBC", reading=read) for cell in cells[:3]]
            field = Field(
                f"field-{number}", WIDTH, HEIGHT, Scale.given(UM), tuple(cells), {"find": float(number)}
            )
            place = Placement(1, 200.0 * number, 0.0)
            slide.add(field, place, CountFacts(number, number, "", 2.0), pixels)
            slide.tally()

    tracemalloc.start()
    try:
        count(range(1, 61))
        before = tracemalloc.get_traced_memory()[0]
        count(range(61, 161))
        assert tracemalloc.get_traced_memory()[0] - before < 100 * 10_000
    finally:
        tracemalloc.stop()


def test_white_cells_keep_their_picture(walk: Walk) -> None:
    """A JPEG of each, by its index in the field."""
    walk.to(*rows(walk)[1])
    counted = walk.counted[-1]
    assert set(counted.crops) == {i for i, cell in enumerate(counted.field.cells) if cell.kind == "WBC"}
    assert all(picture.startswith(b"\xff\xd8") for picture in counted.crops.values())


def test_a_cut_white_cell_is_shown_cut(walk: Walk) -> None:
    """Beyond the edge of the picture its own picture is grey: the cell is not drawn on."""
    for place in rows(walk):
        walk.to(*place)
    cut = 0
    for counted in walk.counted:
        for index, jpeg in counted.crops.items():
            crop = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            x1, y1, x2, y2 = counted.field.cells[index].box
            x, y, half = (x1 + x2) / 2 * UM, (y1 + y2) / 2 * UM, CROP_UM / 2
            beyond = (half - x, half - y, x + half - WIDTH * UM, y + half - HEIGHT * UM)
            sides = (crop[:, 0], crop[0], crop[:, -1], crop[-1])
            for over, side in zip(beyond, sides, strict=True):
                if over > 2:
                    assert side == pytest.approx(np.full(side.shape, CROP_OUTSIDE), abs=4)
                    cut += 1
                elif over < 0 and max(beyond) < 0:
                    assert side.mean() > CROP_OUTSIDE + 20
    assert cut


def test_the_networks_find_each_cell_once(stage: Stage, analyser: Analyser) -> None:
    """Three overlapping fields through finder and reader: as many white cells as are wholly in view, to one."""
    slide = SlideMap.of(analyser.model, RULES)
    x1, y1, _, _ = stage.limits_um
    whole = set()
    for number, x in enumerate((x1, x1 + 50, x1 + 100), 1):
        stage.move_to(x, y1)
        frame = stage.field()
        place = slide.place(frame.pixels, Scale.given(UM))
        analysed = analyser.analyse(frame, Scale.given(UM))
        slide.add(analysed, place, CountFacts(number, 0, "", 2.0), frame.pixels)
        for true, box in stage.truth():
            if true.label and min(box[:2]) >= 0 and box[2] <= WIDTH and box[3] <= HEIGHT:
                whole.add(true.id)
    assert abs(sum(cell.reading is not None for cell in slide.cells.values()) - len(whole)) <= 1
