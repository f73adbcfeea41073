"""Pictures of one slide that overlap, or are copies of each other: each cell counts once, and it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from standard import RULES

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.differential.tally import tally
from edgeleuk.errors import EdgeleukError
from edgeleuk.imaging.resampling import resize
from edgeleuk.lab.evaluation.datasets import load_fields
from edgeleuk.models import registry
from edgeleuk.slidemap import CountFacts, SlideMap
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.types import UNCLASSIFIED, CountedField, Field, Frame, Image, Overlap, Tally

Pictures = Sequence[tuple[Image, Field]]


def sent(image: Image, quality: int = 85) -> Image:
    """As a JPEG of this quality arrives."""
    data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])[
        1
    ]
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def counted(model: registry.Model, pictures: Pictures) -> tuple[SlideMap, list[CountedField]]:
    """A map of pictures, in this order, each with its own scale."""
    slide, kept = SlideMap.of(model, RULES, stills=True), []
    for number, (image, field) in enumerate(pictures, 1):
        place = slide.locate(image, field)
        kept.append(
            slide.add(
                replace(field, name=f"{number}"), place, CountFacts(number, number, "", 2.0), image, crops=False,
            )
        )  # fmt: skip
    return slide, kept


def told(count: Tally) -> tuple[dict[str, int], dict[str, int]]:
    return dict(count.kinds), dict(count.white)


def identified(count: Tally) -> int:
    return sum(cells for label, cells in count.white.items() if label != UNCLASSIFIED)


def enlarged(image: Image) -> Image:
    """The middle 60 %, digitally zoomed."""
    height, width = image.shape[:2]
    middle = image[height // 5 : height * 4 // 5, width // 5 : width * 4 // 5]
    return np.ascontiguousarray(cv2.resize(middle, (width, height), interpolation=cv2.INTER_CUBIC))


def pale(image: Image) -> Image:
    """Half of the colour, and brighter."""
    grey = image.mean(axis=2, keepdims=True)
    return np.asarray(255 * (((image + grey) / 510) ** 0.8), np.uint8)


def sharp(image: Image) -> Image:
    """Sharpened, with more contrast."""
    return np.asarray(
        cv2.convertScaleAbs(cv2.addWeighted(image, 2.2, cv2.GaussianBlur(image, (0, 0), 2), -1.0, -20))
    )


COPIES: dict[str, tuple[Callable[[Image], Image], int, bool]] = {
    "sent": (lambda image: sent(resize(image, 1280, 960), 40), 0, False),
    "cropped": (lambda image: image[100:700, 300:1100], 0, False),
    "turned": (lambda image: np.rot90(image), 270, False),
    "half a turn": (lambda image: image[::-1, ::-1], 180, False),
    "mirrored": (lambda image: image[:, ::-1], 0, True),
    "upside down": (lambda image: image[::-1], 180, True),
    "enlarged": (enlarged, 0, False),
    "pale": (pale, 0, False),
    "sharp": (sharp, 0, False),
}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_is_told_and_counts_nothing(
    analyser: Analyser, demo_frame: Frame, demo_field: Field, name: str
) -> None:
    """Each cell is that of the original, read there."""
    edit, turned, mirrored = COPIES[name]
    copy = sent(np.ascontiguousarray(edit(demo_frame.pixels)))
    field = analyser.analyse(Frame(copy, "copy"))
    slide, kept = counted(analyser.model, [(demo_frame.pixels, demo_field), (copy, field)])
    (overlap,) = slide.overlaps
    assert (overlap.number, overlap.other, overlap.kind) == (2, 1, "copy")
    assert (overlap.turned, overlap.mirrored) == (turned, mirrored)
    assert overlap.shared > 0.95
    assert overlap.zoom == pytest.approx(1, abs=0.03)
    assert told(slide.tally()) == told(tally([demo_field], RULES))
    assert kept[1].fresh == frozenset()
    assert slide.repeated == (frozenset(), frozenset(range(len(field.cells))))


@pytest.mark.parametrize("name", ["sent", "cropped", "enlarged"])
def test_a_copy_that_comes_first_gives_way(
    analyser: Analyser, demo_frame: Frame, demo_field: Field, name: str
) -> None:
    """The better picture's cells count, wherever it stands: also after the map was rebuilt, and not after an undo."""
    copy = sent(np.ascontiguousarray(COPIES[name][0](demo_frame.pixels)))
    field = analyser.analyse(Frame(copy, "copy"))
    slide, kept = counted(analyser.model, [(copy, field), (demo_frame.pixels, demo_field)])
    assert [each.kind for each in slide.overlaps] == ["copy"]
    assert told(slide.tally()) == told(tally([demo_field], RULES)) == told(tally(slide.fields(), RULES))
    assert {place for place, _ in (cell.place for cell in slide.cells.values())} == {"2"}
    again = SlideMap.of(analyser.model, RULES, stills=True)
    again.restore(kept, {})
    assert again.overlaps == slide.overlaps
    assert again.fields() == slide.fields()
    slide.undo()
    assert slide.overlaps == ()
    assert told(slide.tally()) == told(tally([field], RULES))


def test_a_group_of_copies_counts_as_its_best(
    analyser: Analyser, demo_frame: Frame, demo_field: Field
) -> None:
    """Two crops, then one sent, then the original, then a mirrored one."""
    image = demo_frame.pixels
    crops = [image[100:700, 300:1100], image[500:1100, 200:1000]]
    edited = [*crops, COPIES["sent"][0](image), image, image[:, ::-1]]
    arrived = [np.ascontiguousarray(each) for each in edited]
    fields = [
        demo_field if i == 3 else analyser.analyse(Frame(each, f"{i}")) for i, each in enumerate(arrived)
    ]
    slide, _ = counted(analyser.model, list(zip(arrived, fields, strict=True)))
    assert slide.island_count == 1
    assert told(slide.tally()) == told(tally([demo_field], RULES))
    kinds = {(each.number, each.other): each.kind for each in slide.overlaps}
    assert kinds[2, 1] == "overlap"
    assert {kind for pair, kind in kinds.items() if pair != (2, 1)} == {"copy"}


def test_two_halves_count_each_cell_once(analyser: Analyser, demo_frame: Frame, demo_field: Field) -> None:
    """Pictures of different shapes that overlap, one upright: as many cells as in the whole."""
    image = demo_frame.pixels
    parts = [np.ascontiguousarray(each) for each in (image[:, :900], image[:700, 500:], image[600:, 450:])]
    fields = [analyser.analyse(Frame(each, f"{i}")) for i, each in enumerate(parts)]
    slide, _ = counted(analyser.model, list(zip(parts, fields, strict=True)))
    assert slide.island_count == 1
    assert [(each.number, each.other, each.kind) for each in slide.overlaps] == [
        (2, 1, "overlap"), (3, 1, "overlap"), (3, 2, "overlap"),
    ]  # fmt: skip
    count, whole = slide.tally(), tally([demo_field], RULES)
    assert count.kinds["WBC"] == whole.kinds["WBC"]
    assert count.kinds["Platelet"] == whole.kinds["Platelet"]
    assert count.kinds["RBC"] == pytest.approx(whole.kinds["RBC"], abs=3)
    assert sum(count.white.values()) == sum(whole.white.values())


def test_other_ground_is_no_overlap(analyser: Analyser, demo_frame: Frame) -> None:
    """Two parts that share nothing lie on islands of their own, and nothing is told."""
    parts = [np.ascontiguousarray(each) for each in (demo_frame.pixels[:, :780], demo_frame.pixels[:, 800:])]
    fields = [analyser.analyse(Frame(each, f"{i}")) for i, each in enumerate(parts)]
    slide, _ = counted(analyser.model, list(zip(parts, fields, strict=True)))
    assert slide.island_count == 2
    assert slide.overlaps == ()


def cut(image: Image, share: float, rng: np.random.Generator) -> list[Image]:
    """Two parts of a field that share so much of themselves, each resized and compressed in its own way."""
    width = round(image.shape[1] / (2 - share))
    return [
        sent(resize(part, *(round(side * factor) for side in (part.shape[1], part.shape[0]))), quality)
        for part in (np.ascontiguousarray(image[:, :width]), np.ascontiguousarray(image[:, -width:]))
        for factor, quality in [(rng.uniform(0.65, 1.35), int(rng.integers(40, 92)))]
    ]


@pytest.mark.data
def test_pairs_of_real_fields_are_found_at_their_own_scales(data: Path, analyser: Analyser) -> None:
    """Eight pairs that share 25 to 60 %: each is found, where it is."""
    rng = np.random.default_rng(7)
    paths = [
        each.path
        for name in ("chula_val", "deepbionet_val")
        for each in load_fields(data / "fields" / f"{name}.json", data / "fields" / "images")[0][::40][:4]
    ]
    slide40 = sorted((data / "slides" / "images" / "lld40x").glob("*.jpg"))[::90]
    analyser40 = Analyser(registry.load("40x"))
    jobs = [(analyser, path) for path in paths[:5]] + [(analyser40, path) for path in slide40[:3]]
    assert len(jobs) == 8
    for (judge, path), share in zip(jobs, np.linspace(0.25, 0.6, 8), strict=True):
        parts = cut(read_picture(path).pixels, float(share), rng)
        fields = [judge.analyse(Frame(part, path.name)) for part in parts]
        slide, kept = counted(judge.model, list(zip(parts, fields, strict=True)))
        assert slide.island_count == 1, path
        first = fields[0].width * fields[0].scale.um_per_px_x
        assert kept[1].placement.x_um == pytest.approx((1 - share) * first, abs=2.0)
        assert kept[1].placement.y_um == pytest.approx(0, abs=2.0)
        assert [each.kind for each in slide.overlaps] == ["overlap"]


@pytest.mark.data
def test_real_fields_of_different_slides_are_not_matched(data: Path, analyser: Analyser) -> None:
    """Thirty-six of six cameras on one map, each with all before: none shares anything with another source."""
    sources: dict[int, str] = {}
    slide = SlideMap.of(analyser.model, RULES, stills=True)
    names = ("chula_val", "deepbionet_val", "txl_val", "phone_val")
    samples = [
        (name, each.path)
        for name in names
        for each in load_fields(data / "fields" / f"{name}.json", data / "fields" / "images")[0]
    ]
    for number, (name, path) in enumerate(samples[:: len(samples) // 36], 1):
        frame = read_picture(path)
        try:
            field = analyser.analyse(frame)
        except EdgeleukError:  # a picture without a scale is not of this test
            continue
        sources[number] = name
        slide.add(
            field, slide.locate(frame.pixels, field), CountFacts(number, number, "", 2.0), frame.pixels, crops=False,
        )  # fmt: skip
    assert len(sources) > 25
    assert all(sources[each.number] == sources[each.other] for each in slide.overlaps)


def test_an_overlap_is_a_value() -> None:
    """Two of the same are one."""
    assert len({Overlap(2, 1, "copy", 1.0, 90, False, 1.0), Overlap(2, 1, "copy", 1.0, 90, False, 1.0)}) == 1
