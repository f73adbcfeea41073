"""A miniature of the LeukemiaAttri release, painted, with every trap of the real one and its truth.

    python tests/leukemiaattri.py FOLDER [--patients 30] [--fields 2] [--side 640]

writes FOLDER/LeukemiaAttri_Dataset with the twelve subset folders and FOLDER/truth.json. The same cells lie in all
subsets, as in the real one: 16:9 frames squeezed to squares, at one scale, through two microscopes, three
objectives and two cameras each.
"""

from __future__ import annotations

import argparse
import json
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from leukemiaattri_cells import HABITS, Look, draw_look, place

from edgeleuk.lab.importing.release import SUBSET, SUBSETS
from edgeleuk.lab.importing.vocabulary import ATTRIBUTES, SIX
from edgeleuk.simulation.camera import Camera, Optics, View
from edgeleuk.simulation.smear import Stage
from edgeleuk.types import Image

UM_PER_PX = np.array([0.25, 0.14])
EMPTY, PACKED, SPARSE, TEXT_ALONE = "L_10X_C1", "L_100X_C2", "H_40X_C2", "L_40X_C1"
"""Subsets with nothing in them, with their labels in an archive, with LLD's patches, and without COCO files."""
KEYS = dict(
    zip(
        ATTRIBUTES,
        (
            "cell_size", "nuclear_chromatio", "nuclear_shape", "nucleolus", "cytoplasm", "cytoplasmic_basophilia",
            "cytoplasmic_vacuoles",
        ),
        strict=True,
    )
)  # fmt: skip
"""Keys as the release spells them."""
CATEGORIES = {name.replace("_", " "): number for number, name in enumerate(sorted(HABITS), start=1)}
WRONG_IDS = {name: (5 * number + 3) % 14 for number, name in enumerate(("none", *list(HABITS)[:-1]))}
"""Class ids of the text files, which are not those of WBC_v1.yaml."""
DIAGNOSES = {
    "ALL": ("lymphoblast", "lymphocyte", "neutrophil"),
    "AML": ("myeloblast", "monoblast", "promonocyte", "monocyte"),
    "CML": ("myelocyte", "metamyelocyte", "neutrophil", "basophil", "eosinophil"),
    "CLL": ("lymphocyte", "atypical_lymphocyte"),
    "APML": ("abnormal_promyelocyte", "myeloblast"),
}
UNLABELLED = 0.15
"""Share of the white cells that nobody annotated."""


@dataclass
class Annotated:
    """One box of the truth."""

    label: str
    attributes: dict[str, str]
    box: tuple[float, float, float, float]
    """x1 y1 x2 y2, pixels."""
    number: int


@dataclass
class Place:
    """One field of a patient, the same in all subsets."""

    patient: str
    number: int
    diagnosis: str
    split: str
    density: Any
    cells: list[Annotated]
    unlabelled: list[Annotated]

    def stem(self, subset: str) -> str:
        power = {"100": "1000", "40": "400", "10": "100"}[SUBSET.match(subset)["magnification"]]  # type: ignore[index]
        return f"{self.patient}_{self.number}_{power}_{self.diagnosis}"


@dataclass
class Miniature:
    """A release on disk, and what is true of it."""

    root: Path
    side: int
    places: list[Place]
    moved: str
    """Patient that is in train of some subsets and in test of others."""
    subsets: list[str] = field(default_factory=lambda: [name for name in SUBSETS if name != EMPTY])

    def of(self, split: str) -> list[Place]:
        return [each for each in self.places if each.split == split]

    @property
    def cells(self) -> Iterator[tuple[Place, Annotated]]:
        return ((place, cell) for place in self.places for cell in place.cells)

    def types(self) -> dict[str, dict[str, int]]:
        """Boxes by type and split over all subsets."""
        found = {name: Counter({"train": 0, "val": 0}) for name in {cell.label for _, cell in self.cells}}
        for own, cell in self.cells:
            found[cell.label][own.split] += len(self.subsets)
        return {name: dict(counts) for name, counts in sorted(found.items())}

    def truth(self) -> dict[str, Any]:
        return {
            "subsets": self.subsets,
            "fields": len(self.places) * len(self.subsets),
            "boxes": sum(1 for _ in self.cells) * len(self.subsets),
            "unlabelled": sum(len(each.unlabelled) for each in self.places),
            "types": self.types(),
            "moved": self.moved,
            "patients": {each.patient: [each.diagnosis, each.split] for each in self.places},
        }


def make(out: Path, patients: int = 30, fields: int = 2, side: int = 640, white: int = 9) -> Miniature:
    """Write a miniature release below a folder."""
    root = out / "LeukemiaAttri_Dataset"
    places = [
        _place(patient, number, diagnosis, split, side, white)
        for patient, diagnosis, split in _patients(patients)
        for number in range(1, fields + 1)
    ]
    found = Miniature(root, side, places, moved=next(p.patient for p in places if p.split == "val"))
    for subset in SUBSETS:
        (root / subset).mkdir(parents=True, exist_ok=True)
    for subset in found.subsets:
        _write_subset(found, subset)
    return found


def _patients(number: int) -> list[tuple[str, str, str]]:
    """One APML and one CLL patient a split, the others ALL, AML and CML, a third for validation."""
    kinds = [("APML", "train"), ("CLL", "train"), ("APML", "val"), ("CLL", "val")]
    usual = ("ALL", "AML", "CML")
    others = range(number - len(kinds))
    kinds += [(usual[i % 3], "val" if (i // 3) % 3 == 2 else "train") for i in others]
    return [(str(i + 1), diagnosis, split) for i, (diagnosis, split) in enumerate(kinds[:number])]


def _place(patient: str, number: int, diagnosis: str, split: str, side: int, white: int) -> Place:
    seed = int(patient) * 100 + number
    rng = np.random.default_rng(seed)
    size = UM_PER_PX * side
    looks = [draw_look(_drawn_type(diagnosis, rng), rng) for _ in range(round(white * (side / 640) ** 2))]
    smear = place(seed, *size.tolist(), looks, round(60 * (side / 640) ** 2))
    stage = Stage(smear, float(UM_PER_PX[1]), (side, side), squeeze=float(UM_PER_PX[1] / UM_PER_PX[0]))
    boxes = {cell.id: box for cell, box in stage.truth()}
    annotated: list[Annotated] = []
    unlabelled: list[Annotated] = []
    for i, look in smear.looks.items():
        hidden = rng.random() < UNLABELLED and annotated
        kept = unlabelled if hidden else annotated
        attributes = {} if look.label == "none" else dict(look.attributes)
        kept.append(Annotated(look.label, attributes, boxes[i], len(kept)))
    return Place(patient, number, diagnosis, split, stage._density(), annotated, unlabelled)


def _drawn_type(diagnosis: str, rng: np.random.Generator) -> str:
    """Six of ten cells are the patient's, one of ten is None, the rest is any."""
    chance = rng.random()
    if chance < 0.1:
        return "none"
    own = DIAGNOSES[diagnosis] if chance < 0.7 else tuple(name for name in HABITS if name != "none")
    return str(rng.choice(own))


def picture(own: Place, subset: str, side: int) -> Image:
    """Take a field through a subset's microscope, objective and camera."""
    names = SUBSET.match(subset)
    assert names is not None
    low = names["microscope"].upper() == "L"
    aperture = {"100": 1.25, "40": 0.65, "10": 0.35}[names["magnification"]]
    light = ((235.0, 238.0, 244.0), (255.0, 232.0, 190.0))[low]
    optics = Optics(light, 0.12 if low else 0.04, aperture * (0.8 if low else 1.0), immersion_index=1.515)
    mobile = names["camera"].upper() == "C2"
    camera = Camera(0.9 if mobile else 0.97, 0.6 if mobile else 1.0, 9000 if low else 40000, seed=own.number)
    return View(side, side, UM_PER_PX, optics, camera).field(own.density)


def _write_subset(made: Miniature, subset: str) -> None:
    folder = made.root / subset
    images = "images" if subset.endswith("C2") else "Images"
    labels: dict[str, bytes] = {}
    for split in ("train", "test"):
        own = [each for each in made.places if _split_in(made, each, subset) == split]
        for each in own:
            path = folder / images / split / f"{each.stem(subset)}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), cv2.cvtColor(picture(each, subset, made.side), cv2.COLOR_RGB2BGR))
            stem = f"{split}/{each.stem(subset)}.txt"
            labels[f"txt_labels/AttriDet/{stem}"] = _text(each, made.side, subset).encode()
            labels[f"txt_labels/WBC_Detection/{stem}"] = _text(each, made.side, None).encode()
        if subset != TEXT_ALONE:
            name = "json_labels" if subset.startswith("H") else "WBC_Detection"
            labels[f"{name}/{split}.json"] = json.dumps(_coco(own, subset, made.side)).encode()
    if subset == PACKED:
        with zipfile.ZipFile(folder / "labels.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in labels.items():
                archive.writestr(name, content)
        return
    for name, content in labels.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _split_in(made: Miniature, own: Place, subset: str) -> str:
    """The moved patient is in test of the high-cost microscope and in train of the other."""
    if own.patient == made.moved and subset.startswith("L"):
        return "train"
    return "test" if own.split == "val" else "train"


def _coco(places: Sequence[Place], subset: str, side: int) -> dict[str, Any]:
    """COCO with one entry of the picture for each of its boxes, as train.json of the release has them."""
    images, annotations = [], []
    for each in places:
        for cell in each.cells:
            number = len(images)
            images.append(
                {"id": number, "file_name": f"{each.stem(subset)}.png", "width": side, "height": side}
            )
            x1, y1, x2, y2 = cell.box
            name = cell.label.replace("_", " ")
            annotations.append(
                {
                    "id": number,
                    "image_id": number,
                    "category_id": CATEGORIES[name],
                    "category_name": name,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                    **{KEYS[key]: _code(key, cell, 4) for key in ATTRIBUTES},
                }
            )
    categories = [{"id": number, "name": name} for name, number in CATEGORIES.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def _code(name: str, cell: Annotated, none: int) -> int:
    return ATTRIBUTES[name].values.index(cell.attributes[name]) if name in cell.attributes else none


def _text(own: Place, side: int, subset: str | None) -> str:
    """Lines of a text file: with six attributes, LLD's with a patch and code 2, without a subset the boxes alone."""
    lines = []
    for cell in own.cells:
        x1, y1, x2, y2 = (each / side for each in cell.box)
        columns = [
            WRONG_IDS[cell.label],
            *(f"{v:.6f}" for v in ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)),
        ]
        if subset == SPARSE:
            columns += [0, side, 0, side]
        if subset is not None:
            columns += [_code(name, cell, 2 if subset == SPARSE else 4) for name in SIX]
        lines.append(" ".join(map(str, columns)))
    return "\n".join(lines) + "\n"


def without(made: Miniature, out: Path, pattern: str) -> Path:
    """Copy a release without the files that a pattern matches."""
    copied = out / made.root.name
    shutil.copytree(made.root, copied)
    for path in copied.rglob(pattern):
        if path.is_file():
            path.unlink()
    return copied


def looks_of(label: str, number: int, seed: int = 1) -> list[Look]:
    rng = np.random.default_rng(seed)
    return [draw_look(label, rng) for _ in range(number)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patients", type=int, default=30)
    parser.add_argument("--fields", type=int, default=2)
    parser.add_argument("--side", type=int, default=640)
    given = parser.parse_args()
    made = make(given.folder, given.patients, given.fields, given.side)
    (given.folder / "truth.json").write_text(json.dumps(made.truth(), indent=2))


if __name__ == "__main__":
    main()
