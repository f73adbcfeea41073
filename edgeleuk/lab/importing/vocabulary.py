"""Names and codes of LeukemiaAttri, and this project's own.

Abdul Rehman et al., A large-scale multi domain leukemia dataset for the white blood cells detection with
morphological attributes for explainability, MICCAI 2024 (arXiv 2405.10803); its journal form is the Large
Leukemia Dataset, LLD (arXiv 2504.02602). Keys and columns are those of its files and of its authors' code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edgeleuk.types import PLATELET, RED_CELL, WHITE_CELL

NONE = "none"
"""Type of a box that the annotators named None.

It holds artefacts and real leukocytes.
"""
DOCUMENTED = (
    "None", "Myeloblast", "Lymphoblast", "Neutrophil", "Atypical lymphocyte", "Promonocyte", "Monoblast",
    "Lymphocyte", "Myelocyte", "Abnormal promyelocyte", "Monocyte", "Metamyelocyte", "Eosinophil", "Basophil",
)  # fmt: skip
"""Names of the class ids in the authors' WBC_v1.yaml.

The text files do not keep to them: COCO's categories are right.
"""
CLASSES = {
    "wbc": WHITE_CELL, "wbcs": WHITE_CELL, "white_blood_cell": WHITE_CELL, "leukocyte": WHITE_CELL,
    "rbc": RED_CELL, "rbcs": RED_CELL, "red_blood_cell": RED_CELL, "erythrocyte": RED_CELL,
    "platelet": PLATELET, "platelets": PLATELET, "thrombocyte": PLATELET,
}  # fmt: skip
"""Cell classes by the names that data sets give them."""

NOT_APPLICABLE = 4
"""Code of an attribute that does not apply, as on None."""
THIRD_VALUE = 2
"""Code that attributes of two values have in LLD.

The authors' training leaves such cells out.
"""
SMALL_BELOW_PX2, LARGE_OVER_PX2 = 3600.0, 8000.0
"""Cell size by the area of the box at 100x, square pixels of a field of 640 x 640."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One morphological attribute."""

    values: tuple[str, ...]
    """Values in the order of their codes, from 0."""
    keys: tuple[str, ...]
    """Keys of it in COCO files; misspelt ones are those of the release."""


ATTRIBUTES: Mapping[str, Attribute] = {
    "cell_size": Attribute(("small", "medium", "large"), ("cell_size",)),
    "nuclear_chromatin": Attribute(
        ("open", "coarse"), ("nuclear_chromatin", "nuclear_chromatio", "nuclear_chromation")
    ),
    "nuclear_shape": Attribute(("regular", "irregular"), ("nuclear_shape",)),
    "nucleoli": Attribute(("inconspicuous", "prominent"), ("nucleoli", "nucleolus", "nucleous", "nucleus")),
    "cytoplasm": Attribute(("scanty", "abundant"), ("cytoplasm",)),
    "cytoplasmic_basophilia": Attribute(("slight", "moderate"), ("cytoplasmic_basophilia",)),
    "cytoplasmic_vacuoles": Attribute(("absent", "prominent"), ("cytoplasmic_vacuoles",)),
}
SIZE = "cell_size"
SIX = tuple(name for name in ATTRIBUTES if name != SIZE)
"""Attributes of the text files' six columns, in order."""


def plain(name: str) -> str:
    """Return a name in lower case with underscores."""
    return re.sub(r"[\s\-_]+", "_", name.strip().lower())


def size_of(area_px2: float) -> str:
    """Return the cell size of a box at 100x."""
    if area_px2 < SMALL_BELOW_PX2:
        return "small"
    return "large" if area_px2 > LARGE_OVER_PX2 else "medium"
