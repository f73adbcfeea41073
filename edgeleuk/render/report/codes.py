"""Codes of observations: LOINC for what is measured, UCUM for units.

Only codes of which the LOINC part "property" is a number fraction of the leukocytes in blood (NFr, in %)
stand for shares here, and none that names a method. 26474-7 does not: it is the number of lymphocytes per volume.
What has no code is told as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"


class Code(NamedTuple):
    """LOINC code with its name and its unit in UCUM."""

    code: str
    display: str
    unit: str


TYPES: Mapping[str, Code] = {
    "neutrophil": Code("26511-6", "Neutrophils/Leukocytes in Blood", "%"),
    "segmented_neutrophil": Code("26505-8", "Segmented neutrophils/Leukocytes in Blood", "%"),
    "band_neutrophil": Code("26508-2", "Band form neutrophils/Leukocytes in Blood", "%"),
    "lymphocyte": Code("26478-8", "Lymphocytes/Leukocytes in Blood", "%"),
    "atypical_lymphocyte": Code("13046-8", "Variant lymphocytes/Leukocytes in Blood", "%"),
    "monocyte": Code("26485-3", "Monocytes/Leukocytes in Blood", "%"),
    "eosinophil": Code("26450-7", "Eosinophils/Leukocytes in Blood", "%"),
    "basophil": Code("30180-4", "Basophils/Leukocytes in Blood", "%"),
    "metamyelocyte": Code("28541-1", "Metamyelocytes/Leukocytes in Blood", "%"),
    "myelocyte": Code("26498-6", "Myelocytes/Leukocytes in Blood", "%"),
    "promyelocyte": Code("26524-9", "Promyelocytes/Leukocytes in Blood", "%"),
    "blast": Code("26446-5", "Blasts/Leukocytes in Blood", "%"),
}
"""Shares of the recognised white cells, by type."""
STAGES: Mapping[tuple[str, str], str] = {
    ("neutrophil", "segmented"): "segmented_neutrophil",
    ("neutrophil", "band"): "band_neutrophil",
}
"""Types of second-level values, by type and value."""
BESIDE: Mapping[str, Code] = {"smudge": Code("34992-8", "Smudge cells/Leukocytes in Blood", "%")}
"""Cells beside the percentages, per 100 recognised white cells."""
ESTIMATES: Mapping[str, Code] = {
    "white cells": Code("49498-9", "Leukocytes [#/volume] in Blood by Estimate", "/uL")
}
"""Estimates per volume; they exist only where the blood's red-cell count was entered, or the area is known."""
DOCUMENT = Code("11502-2", "Laboratory report", "")
