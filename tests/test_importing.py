"""Import of LeukemiaAttri and its like: what is in the release arrives, and every trap of it is told."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from leukemiaattri import EMPTY, PACKED, SPARSE, TEXT_ALONE, UM_PER_PX, Miniature, make, without
from typer.testing import CliRunner

from edgeleuk.cli import app
from edgeleuk.errors import InputError, UsageError
from edgeleuk.lab.evaluation.datasets import annotated_scales, load_cells, load_fields
from edgeleuk.lab.importing.findings import Findings, Kind
from edgeleuk.lab.importing.importer import Request, run
from edgeleuk.lab.importing.labels import coco_labels, text_labels, voc_labels
from edgeleuk.lab.importing.merging import RawPicture, Reading, cells_of, patch_of
from edgeleuk.lab.importing.report import ImportReport
from edgeleuk.lab.importing.vocabulary import ATTRIBUTES, size_of
from edgeleuk.types import Scale

SCALE = Scale(float(UM_PER_PX[0]), float(UM_PER_PX[1]), "given", 0.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Miniature:
    """Six patients with one small field each, through all subsets."""
    return make(tmp_path_factory.mktemp("release"), patients=6, fields=1, side=320, white=16)


@pytest.fixture(scope="module")
def imported(made: Miniature, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ImportReport]:
    out = tmp_path_factory.mktemp("imported")
    return out, run(Request("leukemiaattri", made.root, out, scale=SCALE))


@pytest.fixture
def small(made: Miniature, tmp_path: Path) -> Path:
    """A copy of one subset, to be damaged."""
    copied = tmp_path / "release" / "H_100X_C1"
    shutil.copytree(made.root / "H_100X_C1", copied)
    return copied


def imported_from(folder: Path, out: Path, **more: Any) -> ImportReport:
    return run(Request("leukemiaattri", folder, out, scale=SCALE, **more))


def codes(report: ImportReport) -> dict[str, int]:
    return {each["code"]: each["count"] for each in report.findings.as_json()}


def test_all_boxes_of_the_release_arrive(made: Miniature, imported: tuple[Path, ImportReport]) -> None:
    """Counts by type and split are those of the truth."""
    out, report = imported
    found = json.loads((out / "import.json").read_text())
    assert found["types"] == made.types()
    assert found["fields"] == made.truth()["fields"]
    assert found["physical_cells"] == sum(1 for _ in made.cells)
    assert {name for name, own in found["subsets"].items() if own["fields"]} == set(made.subsets)
    assert report.findings.unreadable == 0


def test_attributes_arrive(made: Miniature, imported: tuple[Path, ImportReport]) -> None:
    """Each value is counted once a subset; the text files alone have no cell size."""
    truth: dict[str, Counter[str]] = {name: Counter() for name in ATTRIBUTES}
    for _, cell in made.cells:
        for name, value in cell.attributes.items():
            truth[name][value] += len(made.subsets) - (name == "cell_size")
    found = {name: Counter(own) for name, own in imported[1].as_json()["attributes"].items()}
    assert found == {
        name: Counter({v: counts[v] for v in ATTRIBUTES[name].values}) for name, counts in truth.items()
    }


def test_cells_are_those_of_the_truth(made: Miniature, imported: tuple[Path, ImportReport]) -> None:
    """A cell has its type, split and name in every subset; its picture is as this project has them."""
    out, _ = imported
    with (out / "cells" / "cells.csv").open() as file:
        rows = list(csv.DictReader(file))
    truth = {f"{own.patient}/{own.number}/{cell.number:02d}": (own, cell) for own, cell in made.cells}
    for row in rows:
        own, cell = truth[row["cell"]]
        assert (row["label"], row["split"], row["patient"]) == (cell.label, own.split, own.patient)
        assert {name: row[name] for name in cell.attributes if name != "cell_size"} == {
            name: value for name, value in cell.attributes.items() if name != "cell_size"
        }
    cells = load_cells(out / "cells" / "cells.csv", out / "cells" / "images", tuple(ATTRIBUTES))
    assert len(cells) == len(rows)
    assert cv2.imread(str(cells[0].path)).shape == (160, 160, 3)


def test_fields_load_as_any_others(made: Miniature, imported: tuple[Path, ImportReport]) -> None:
    """Boxes of None are neither cells nor background; the scale differs in x and y."""
    out, _ = imported
    for split in ("train", "val"):
        samples, names = load_fields(
            out / "fields" / f"leukemiaattri-100x_{split}.json", out / "fields" / "images"
        )
        truth = [(own, c) for own, c in made.cells if own.split == split]
        assert sum(len(each.boxes) for each in samples) == 4 * sum(c.label != "none" for _, c in truth)
        assert sum(len(each.ignored) for each in samples) == 4 * sum(c.label == "none" for _, c in truth)
        assert all(each.path.is_file() and not each.complete for each in samples)
        assert names == ("WBC", "RBC", "Platelet")
        scale = annotated_scales(samples, names)[samples[0].image_id]
        assert (scale.um_per_px_x, scale.um_per_px_y) == (0.25, 0.14)


def test_no_patient_is_in_both_splits(made: Miniature, imported: tuple[Path, ImportReport]) -> None:
    """One that the release has in both is for validation everywhere."""
    out, report = imported
    groups = {}
    for split in ("train", "val"):
        for mag in ("100x", "40x", "10x"):
            samples, _ = load_fields(out / "fields" / f"leukemiaattri-{mag}_{split}.json", out)
            groups.setdefault(split, set()).update(each.group for each in samples)
    assert not groups["train"] & groups["val"]
    assert made.moved in groups["val"]
    assert codes(report)["moved"] == 1


def test_every_trap_is_told(made: Miniature, imported: tuple[Path, ImportReport]) -> None:
    """Each by its own sentence, with its name where it has one."""
    told = {each["code"]: each["text"] for each in imported[1].as_json()["findings"]}
    assert EMPTY in told["empty_subset"]
    assert PACKED in told["archive_labels"]
    assert TEXT_ALONE in told["no_coco"]
    names = "wrong_ids learnt_ids none code_4 patch incomplete recurring moved alone"
    assert {*names.split()} <= told.keys()
    assert "APML" in told["alone"]
    assert "CLL" in told["alone"]
    nones = sum(cell.label == "none" for _, cell in made.cells)
    assert codes(imported[1])["none"] == nones * len(made.subsets)
    assert codes(imported[1])["patch"] == len(made.places)
    assert SPARSE in next(e["examples"][0] for e in imported[1].findings.as_json() if e["code"] == "patch")


def test_printed_report_names_the_traps(made: Miniature, tmp_path: Path) -> None:
    """The command prints the report, and JSON on demand; both tell where the data is."""
    given = ["data", "import", "leukemiaattri", str(made.root / "H_100X_C1"), "--um-per-px-x", "0.25"]
    done = CliRunner().invoke(app, [*given, "--um-per-px-y", "0.14", "--out", str(tmp_path / "a")])
    assert done.exit_code == 0, done.output
    assert "artefacts and real" in " ".join(done.stdout.split())
    as_json = CliRunner().invoke(app, [*given, "--json", "--out", str(tmp_path / "b")])
    assert json.loads(as_json.stdout) == json.loads((tmp_path / "b" / "import.json").read_text())


def test_scale_is_measured_on_red_cells(made: Miniature, tmp_path: Path) -> None:
    """Without a given scale: squeezed fields are seen as such."""
    report = run(Request("leukemiaattri", made.root / "H_100X_C1", tmp_path, measured_fields=3))
    scale = report.subsets["H_100X_C1"].scale
    assert scale is not None
    assert scale.um_per_px_x == pytest.approx(0.25, rel=0.15)
    assert scale.um_per_px_y == pytest.approx(0.14, rel=0.15)
    assert "squeezed" in codes(report)


def test_coco_alone_is_enough(made: Miniature, tmp_path: Path) -> None:
    """Without text files nothing is missed."""
    copied = without(made, tmp_path, "*.txt")
    report = imported_from(copied / "H_40X_C1", tmp_path / "out")
    assert codes(report)["no_text"] == 1
    assert report.types.total() == sum(1 for _ in made.cells)
    assert report.types["untyped", "train"] == 0


def test_text_alone_has_no_types(made: Miniature, tmp_path: Path) -> None:
    """Its ids are not trusted: cells are found, typed by nothing; None is still told by its attributes."""
    report = imported_from(without(made, tmp_path, "*.json") / "H_100X_C1", tmp_path / "out")
    nones = sum(cell.label == "none" for _, cell in made.cells)
    assert {label for label, _ in report.types} <= {"untyped", "none"}
    assert report.types["none", "train"] + report.types["none", "val"] == nones
    assert codes(report)["untyped"] == sum(1 for _ in made.cells)
    assert "No " not in (tmp_path / "out" / "fields" / "leukemiaattri-100x_train.json").read_text()


def test_text_alone_with_names_has_types(made: Miniature, tmp_path: Path) -> None:
    """The user vouches for the names of the ids."""
    from leukemiaattri import WRONG_IDS

    names = {number: name for name, number in WRONG_IDS.items()}
    report = imported_from(without(made, tmp_path, "*.json") / "L_100X_C1", tmp_path / "out", names=names)
    truth = Counter(cell.label for _, cell in made.cells)
    found: Counter[str] = Counter()
    for (label, _), n in report.types.items():
        found[label] += n
    assert found == truth
    assert codes(report)["derived_size"] == truth.total() - truth["none"]
    sizes = Counter(c.attributes["cell_size"] for _, c in made.cells if c.label != "none")
    assert report.attributes["cell_size"] == sizes


def test_journal_form_in_one_folder(made: Miniature, tmp_path: Path) -> None:
    """Without subset folders: the objective follows from the file names, code 2 is no value."""
    release = tmp_path / "Large Leukemia Dataset"
    shutil.copytree(made.root / SPARSE / "images", release / "Images")
    shutil.copytree(made.root / SPARSE / "txt_labels" / "AttriDet", release / "labels")
    report = run(Request("lld", release, tmp_path / "out", scale=SCALE))
    nones = sum(cell.label == "none" for _, cell in made.cells)
    assert codes(report)["patch"] == len(made.places)
    assert codes(report).get("code_2", 0) == 6 * nones
    assert report.types["none", "train"] + report.types["none", "val"] == nones
    samples, _ = load_fields(tmp_path / "out" / "fields" / "leukemiaattri-40x_val.json", tmp_path)
    assert {each.source for each in samples} == {"large_leukemia_dataset"}


def test_missing_subset_is_told(made: Miniature, tmp_path: Path) -> None:
    """The others are imported, with exit code 0."""
    copied = tmp_path / "release"
    for name in ("H_100X_C1", "L_40X_C2"):
        shutil.copytree(made.root / name, copied / name)
    report = imported_from(copied, tmp_path / "out")
    assert codes(report)["missing_subset"] == 10
    assert report.fields == 2 * len(made.places)


def _truncate(folder: Path) -> None:
    path = folder / "json_labels" / "train.json"
    path.write_bytes(path.read_bytes()[:-40])


def _empty_picture(folder: Path) -> None:
    next((folder / "Images" / "train").glob("*.png")).write_bytes(b"")


def _half_picture(folder: Path) -> None:
    path = next((folder / "Images" / "train").glob("*.png"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _no_picture(folder: Path) -> None:
    next((folder / "Images" / "train").glob("*.png")).unlink()


def _bad_archive(folder: Path) -> None:
    (folder / "labels.zip").write_bytes(b"PK\x03\x04 half an archive")


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (_truncate, "json"),
        (_empty_picture, "picture"),
        (_half_picture, "picture"),
        (_no_picture, "missing_picture"),
        (_bad_archive, "archive"),
    ],
)
def test_damaged_files_are_told_and_passed(
    small: Path, tmp_path: Path, damage: Callable[[Path], None], code: str
) -> None:
    """One sentence, the other fields, and exit code 3."""
    damage(small)
    arguments = ["data", "import", "leukemiaattri", str(small), "--out", str(tmp_path / "out"), "--json"]
    done = CliRunner().invoke(app, [*arguments, "--um-per-px-x", "0.25", "--um-per-px-y", "0.14"])
    report = json.loads(done.stdout)
    (told,) = (each for each in report["findings"] if each["kind"] == Kind.UNREADABLE)
    assert (told["code"], told["count"]) == (code, 1)
    assert report["fields"] >= 5
    assert isinstance(done.exception, InputError)
    assert done.exception.exit_code == 3


def test_pictures_without_labels_are_left_out(small: Path, tmp_path: Path) -> None:
    """They may show cells all the same."""
    picture = next((small / "Images" / "train").glob("*.png"))
    shutil.copy(picture, picture.with_name("77_1_1000_ALL.png"))
    report = imported_from(small, tmp_path / "out")
    assert codes(report)["unlabelled_picture"] == 1
    assert report.subsets["H_100X_C1"].pictures == report.fields + 1


def test_labels_for_another_size_are_left_out(small: Path, tmp_path: Path) -> None:
    """Their boxes would not fit."""
    path = next((small / "Images" / "train").glob("*.png"))
    cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (200, 200)))
    assert codes(imported_from(small, tmp_path / "out"))["size"] == 1


def test_release_without_a_readable_picture_is_refused(small: Path, tmp_path: Path) -> None:
    """Nothing is written then."""
    for path in small.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(
        InputError, match=r"nothing of .* could be imported\. 6 pictures are empty or damaged"
    ):
        imported_from(small, tmp_path / "out")
    assert not (tmp_path / "out" / "import.json").exists()


def test_folder_without_labels_is_refused(tmp_path: Path) -> None:
    """The message says what to unpack."""
    (tmp_path / "release").mkdir()
    with pytest.raises(
        InputError, match=r"holds no subsets such as H_100X_C1, or labels\. Unpack all archives"
    ):
        imported_from(tmp_path / "release", tmp_path / "out")


def test_earlier_import_is_not_overwritten(small: Path, tmp_path: Path) -> None:
    """Nor are any other tables."""
    imported_from(small, tmp_path / "out")
    with pytest.raises(UsageError, match=r"import\.json is there already"):
        imported_from(small, tmp_path / "out")
    (tmp_path / "other" / "cells").mkdir(parents=True)
    (tmp_path / "other" / "cells" / "cells.csv").write_text("file,label\n")
    with pytest.raises(UsageError, match=r"cells\.csv is there already"):
        imported_from(small, tmp_path / "other")


def test_release_stays_as_it_is(small: Path) -> None:
    """An output folder in it is refused."""
    with pytest.raises(UsageError, match="lies in the release"):
        imported_from(small, small / "out")


# Labels


def only(content: str, size: tuple[int, int] = (640, 640)) -> tuple[list[Any], Findings]:
    """Cells of one text file."""
    findings = Findings()
    picture = RawPicture(text=text_labels(content.encode(), "a.txt", findings).boxes)
    return cells_of(
        picture, size, Reading({1: "myeloblast", 3: "none"}, True, False), "a", findings
    ), findings


@given(
    columns=st.sampled_from([5, 11, 12, 15, 16]),
    values=st.lists(st.integers(0, 1), min_size=7, max_size=7),
)
def test_columns_of_text_files(columns: int, values: list[int]) -> None:
    """Six or seven attributes, after a patch or not, are told by their number."""
    patch = ["0", "640", "0", "640"] if columns in (9, 15, 16) else []
    given_ = values if columns in (12, 16) else values[1:] if columns in (11, 15) else []
    (cell,), _ = only(" ".join(["1 0.5 0.5 0.1 0.1", *patch, *map(str, given_)]))
    expected = dict(zip(list(ATTRIBUTES)[-len(given_) :] if given_ else [], given_, strict=True))
    assert cell.box == pytest.approx((288, 288, 352, 352))
    assert {n: v for n, v in cell.attributes.items() if n != "cell_size"} == {
        n: ATTRIBUTES[n].values[c] for n, c in expected.items() if n != "cell_size"
    }


def test_codes_without_a_value_stay_open() -> None:
    """4 does not apply, 2 is a third value, others are unknown."""
    (cell,), findings = only("1 0.5 0.5 0.1 0.1 4 2 7 0 1 0")
    assert cell.attributes == {
        "cell_size": "medium", "cytoplasm": "scanty", "cytoplasmic_basophilia": "moderate",
        "cytoplasmic_vacuoles": "absent",
    }  # fmt: skip
    assert (findings.counts["code_4"], findings.counts["code_2"], findings.counts["code"]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("area", "size"), [(3599, "small"), (3600, "medium"), (8000, "medium"), (8001, "large")]
)
def test_cell_size_by_area(area: float, size: str) -> None:
    """Small under 3,600, large over 8,000 square pixels."""
    assert size_of(area) == size


@pytest.mark.parametrize("line", ["1 0.5 0.5 0.1", "1 0.5 nan 0.1 0.1", "one 0.5 0.5 0.1 0.1"])
def test_malformed_lines_are_passed(line: str) -> None:
    """The next one is read."""
    cells, findings = only(f"{line}\n1 0.5 0.5 0.1 0.1\n")
    assert len(cells) == 1
    assert findings.counts["line"] == 1


def test_boxes_outside_the_picture_are_left_out() -> None:
    """So are slips of the mouse; one that reaches beyond the edge is clipped."""
    cells, findings = only("1 1.5 0.5 0.1 0.1\n1 0.5 0.5 0.001 0.1\n1 0.0 0.5 0.1 0.1\n")
    assert [each.box for each in cells] == [pytest.approx((0, 288, 32, 352))]
    assert findings.counts["box"] == 2


@given(
    st.tuples(*[st.integers(0, 300)] * 2), st.sampled_from(["px1 px2 py1 py2", "x1 y1 x2 y2"]), st.booleans()
)
def test_patch_in_either_order(corner: tuple[int, int], order: str, shares: bool) -> None:
    """It is the one that holds the box, in pixels or shares."""
    x, y = corner
    box = (x, y, x + 200, y + 120)
    written = (box[0], box[2], box[1], box[3]) if order.startswith("p") else box
    line = f"1 {(x + 30) / 640} {(y + 20) / 640} 0.05 0.05 "
    line += " ".join(str(v / 640 if shares else v) for v in written)
    picture = RawPicture(text=text_labels(line.encode(), "a.txt", Findings()).boxes)
    patch = patch_of(picture, (640, 640))
    assert patch is not None
    assert patch[0] <= x + 30 <= patch[2]
    assert patch[1] <= y + 20 <= patch[3]


def test_boxes_with_two_types_have_none() -> None:
    """One named twice alike is one box."""
    boxes = [
        {"id": i, "image_id": 0, "category_id": kind, "bbox": [10, 10, 40, 60]}
        for i, kind in enumerate((1, 2))
    ]
    boxes += [{"id": 2, "image_id": 0, "category_id": 1, "bbox": [100, 100, 40, 60]}] * 2
    document = {
        "images": [{"id": 0, "file_name": "a.png", "width": 640, "height": 640}],
        "annotations": boxes,
        "categories": [{"id": 1, "name": "Myeloblast"}, {"id": 2, "name": "Monoblast"}],
    }
    findings = Findings()
    (picture,) = coco_labels(json.dumps(document).encode(), "a.json", findings)
    cells = cells_of(RawPicture(coco=picture.boxes), (640, 640), Reading({}, False, False), "a", findings)
    assert [each.label for each in cells] == [None, "myeloblast"]
    assert (findings.counts["conflict"], findings.counts["twice"]) == (1, 1)


def test_voc_is_read_and_entities_are_refused() -> None:
    """Nothing in a label file needs them."""
    plain = "<annotation><filename>a.png</filename><object><name>RBC</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object></annotation>"
    found = voc_labels(plain.encode(), "a.xml", Findings())
    assert found is not None
    assert [(each.name, each.box) for each in found.boxes] == [("RBC", (1, 2, 30, 40))]
    findings = Findings()
    assert voc_labels(b'<!DOCTYPE a [<!ENTITY b "c">]>' + plain.encode(), "a.xml", findings) is None
    assert findings.counts["text"] == 1


@pytest.mark.parametrize("form", ["voc", "yolo", "coco"])
def test_general_formats(made: Miniature, tmp_path: Path, form: str) -> None:
    """Cell classes and types arrive under their names, each picture or patient in one split."""
    release = tmp_path / "my set"
    release.mkdir()
    picture = next((made.root / "H_100X_C1").rglob("*.png"))
    for name in ("p1_a", "p1_b", "p2_a"):
        shutil.copy(picture, release / f"{name}.png")
        if form == "yolo":
            (release / f"{name}.txt").write_text("0 0.5 0.5 0.2 0.2\n1 0.2 0.2 0.1 0.1\n")
        elif form == "voc":
            objects = "".join(
                f"<object><name>{kind}</name><bndbox><xmin>{x}</xmin><ymin>9</ymin><xmax>{x + 40}</xmax><ymax>60</ymax></bndbox></object>"
                for kind, x in (("Band neutrophil", 20), ("RBC", 90))
            )
            (release / f"{name}.xml").write_text(f"<annotation>{objects}</annotation>")
    if form == "coco":
        images = [
            {"id": i, "file_name": f"{n}.png", "width": 320, "height": 320}
            for i, n in enumerate(("p1_a", "p1_b", "p2_a"))
        ]
        boxes = [
            {"id": 2 * i + k, "image_id": i, "category_id": k, "bbox": [20 + 90 * k, 9, 40, 51]}
            for i in range(3)
            for k in (0, 1)
        ]
        kinds = [{"id": 0, "name": "Band neutrophil"}, {"id": 1, "name": "RBC"}]
        (release / "labels.json").write_text(
            json.dumps({"images": images, "annotations": boxes, "categories": kinds})
        )
    request = Request(form, release, tmp_path / "out", scale=SCALE, names={0: "Band neutrophil", 1: "RBC"})
    report = run(replace(request, patient=re.compile(r"^(p\d)_")))
    assert sum(report.types.values()) == 3
    assert {label for label, _ in report.types} == {"band_neutrophil"}
    samples = [
        each
        for split in ("train", "val")
        for each in load_fields(tmp_path / "out" / "fields" / f"my_set_{split}.json", tmp_path)[0]
    ]
    assert sorted(each.group for each in samples) == ["p1", "p1", "p2"]
    assert all(each.labelled == {"WBC", "RBC"} and each.complete for each in samples)
    assert np.concatenate([each.kinds for each in samples]).tolist() == [0, 1] * 3
