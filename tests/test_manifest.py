"""The numbers of a model stand in its manifest; one that does not say them means what such models always meant."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from standard import RULES

from edgeleuk.differential.tally import UnrecognisedRules
from edgeleuk.models import registry
from edgeleuk.models.manifest import GROUPS, finder_manifest, reader_manifest
from edgeleuk.statistics.bounds import Missed
from edgeleuk.statistics.likeness import HealthyCells

FINDER: dict[str, Any] = {
    "cell_classes": {"WBC": "WBC", "RBC": "RBC", "Platelet": "Platelet"},
    "red_cell_box_um": 7.78,
    "max_candidates": 12000,
    "same_thing_iou": 0.75,
    "nested_share": 0.9,
    "tiling": {"largest": 589824, "overlap": 128, "alignment": 32, "seam": 8},
}
DENSITY = {"dark": 0.03, "white": 0.95, "min_contrast": 0.15, "most_dense": 1.3}
MATURE = ["neutrophil", "eosinophil", "basophil", "lymphocyte", "monocyte"]
STAGE = {"neutrophil_stage": {"band neutrophil": "band", "segmented neutrophil": "segmented"}}
HEALTHY = {"of": "cells of a test", "probabilities": [0.0, 0.5], "shares": [0.9, 0.1], "not_recognised": 0.05}
GROUPED = {"missed": 1, "cells": 30, "labels": ["blast", "promonocyte"]}
READER = ("largest_um", "mature", "groups", "told_by_label")
MAGNIFICATIONS = ("100x", "40x", "10x")


def written(magnification: str) -> dict[str, Any]:
    """model.json of a model that ships."""
    document: dict[str, Any] = json.loads((registry.shipped()[magnification] / "model.json").read_text())
    return document


def silent(magnification: str) -> dict[str, Any]:
    """The same as published before manifests said these numbers."""
    document = copy.deepcopy(written(magnification))
    for name in FINDER:
        del document["finder"][name]
    for name in READER:
        del document["reader"][name]
    del document["reader"]["input"]["density"]
    return document


@pytest.mark.parametrize("magnification", MAGNIFICATIONS)
def test_models_that_ship_say_every_number(magnification: str) -> None:
    """Nothing of them rests on what the program takes for granted."""
    document = written(magnification)
    finder, reader = document["finder"], document["reader"]
    assert {name: finder[name] for name in FINDER} == FINDER
    assert finder["nms_iou"] == 0.6
    assert reader["input"]["density"] == DENSITY
    assert reader["largest_um"] == {"platelet": 7.2}
    assert reader["mature"] == MATURE
    assert sorted(reader["groups"]) == ["blast_like", "granulocytic", "lymphoid", "monocyte"]
    assert reader["told_by_label"] == ({} if magnification == "10x" else STAGE)


@pytest.mark.parametrize("magnification", MAGNIFICATIONS)
def test_a_manifest_without_them_means_the_same(magnification: str) -> None:
    """A model installed from a stick years ago loads, and gives the same results."""
    folder, document = registry.shipped()[magnification], silent(magnification)
    now = registry.read_manifest(folder)
    then = finder_manifest(folder, document["finder"])
    assert then.nested_share is None  # what they counted twice they count twice
    assert replace(then, raw={}, nested_share=0.9) == replace(now.finder, raw={})
    assert replace(reader_manifest(folder, document["reader"]), raw={}) == replace(now.reader, raw={})
    assert now.reader.density is not None
    assert asdict(now.reader.density) == DENSITY


@pytest.mark.parametrize(
    ("part", "change", "fault"),
    [
        ("finder", {"cell_classes": {"WBC": "leukocyte"}}, "cell_classes have 'WBC': 'leukocyte'"),
        ("finder", {"cell_classes": {"white": "WBC"}}, "cell_classes have 'white': 'WBC'"),
        ("finder", {"cell_classes": {"WBC": "RBC"}}, "two classes stand for one: RBC, RBC, Platelet"),
        ("finder", {"same_thing_iou": 1.5}, "1.5 is not between 0 and 1"),
        ("finder", {"max_candidates": 0}, "0 is not a whole number from 1"),
        ("finder", {"tiling": FINDER["tiling"] | {"largest": 10_000}}, "tiles of 10000 pixels, too small"),
        ("finder", {"tiling": {"largest": 589824}}, "'overlap'"),
        ("reader", {"input": {"size": 96, "normalise": "density", "density": DENSITY | {"dark": 0.96}}}, "dark 0.96"),
        ("reader", {"largest_um": {"platelet": 0}}, "0 is not a positive number"),
        ("reader", {"mature": []}, r"\[\] is not a list of different names"),
        ("reader", {"told_by_label": {"neutrophil_stage": {"stab": "stab"}}}, "'stab', not a value of neutrophil_stage"),
        ("reader", {"possible": {"from": 1.5}}, "1.5 is not between 0 and 1"),
        ("reader", {"possible": {"missed": {"blast": {"missed": -1, "cells": 3}}}}, "-1 is not a whole number from 0"),
        ("reader", {"possible": {"missed": {"blast": {"missed": 4, "cells": 3}}}}, "4 of 3 held-out cells"),
        ("reader", {"possible": {"missed": {"blast": {"missed": 4}}}}, "'cells'"),
        ("reader", {"possible": {"missed_groups": {"blasts": GROUPED | {"missed": 31}}}}, "31 of 30 held-out cells"),
        ("reader", {"possible": {"missed_groups": {"blasts": GROUPED | {"labels": []}}}}, r"\[\] is not a list of different names"),
        ("reader", {"possible": {"missed_groups": {"blasts": {"missed": 1, "cells": 30}}}}, "'labels'"),
        ("reader", {"healthy": [HEALTHY | {"shares": [0.5, 0.4]}]}, "add up to 0.9, not 1"),
        ("reader", {"healthy": [HEALTHY | {"shares": [1.0]}]}, "not as many probabilities as shares"),
        ("reader", {"healthy": [HEALTHY | {"probabilities": [0.0, 1.1]}]}, "1.1 is not between 0 and 1"),
        ("reader", {"healthy": [HEALTHY | {"of": 3}]}, "3 is not a text"),
        ("reader", {"healthy": [HEALTHY, HEALTHY | {"not_recognised": 1.5}]}, "1.5 is not between 0 and 1"),
        ("reader", {"healthy": [{"of": "cells", "shares": [1.0], "not_recognised": 0.0}]}, "'probabilities'"),
        ("reader", {"healthy": [{"of": "cells", "probabilities": [0.0], "shares": [1.0]}]}, "'not_recognised'"),
    ],
)  # fmt: skip
def test_a_number_that_makes_no_sense_is_named(part: str, change: dict[str, Any], fault: str) -> None:
    """Rather than give results that nobody measured."""
    make = {"finder": finder_manifest, "reader": reader_manifest}[part]
    with pytest.raises((ValueError, KeyError, TypeError), match=fault):
        make(Path("x"), written("100x")[part] | change)


def test_a_reader_whose_doubts_were_not_measured_has_none() -> None:
    """Models from before bounds load; of them nothing is known that a bound or a blast-likeness could rest on."""
    part = written("100x")["reader"]
    del part["possible"], part["healthy"]
    manifest = reader_manifest(Path("x"), part)
    assert (manifest.possible_from, manifest.missed, manifest.healthy) == (0.01, {}, ())


@pytest.mark.parametrize("magnification", MAGNIFICATIONS)
def test_models_that_ship_say_how_they_doubt(magnification: str) -> None:
    """Of every type and every group of the rules that the reader knows, and of healthy cells."""
    reader = registry.read_manifest(registry.shipped()[magnification]).reader
    assert reader.missed.keys() == UnrecognisedRules.of(reader, RULES).kinds.keys()
    assert reader.healthy
    assert reader.blast_like == GROUPS["blast_like"]
    assert reader.possible_from == 0.01


@pytest.mark.parametrize(
    "magnification",
    [
        "100x",
        "40x",
        pytest.param(
            "10x",
            marks=pytest.mark.xfail(strict=True, reason="no 10x network without a laboratory was trained"),
        ),
    ],
)
def test_healthy_cells_of_models_that_ship_are_of_two_places(magnification: str) -> None:
    """At home, and in laboratories that a network never saw."""
    assert len(registry.read_manifest(registry.shipped()[magnification]).reader.healthy) == 2


@pytest.mark.parametrize("magnification", MAGNIFICATIONS)
def test_groups_of_models_that_ship_say_their_types(magnification: str) -> None:
    """Those of the rules that the reader knows: its measurements hold for these alone."""
    reader = registry.read_manifest(registry.shipped()[magnification]).reader
    for kind, labels in UnrecognisedRules.of(reader, RULES).kinds.items():
        grouped = kind not in reader.labels
        assert reader.missed[kind].labels == (labels if grouped else ())
        assert reader.false_positive_rates[kind.removeprefix("group ")]["labels"] == (
            labels if grouped else ()
        )


def test_a_group_with_a_type_for_its_key_is_kept_apart() -> None:
    """What is missed of the one is not said of the other."""
    missed = {"missed": {"blast": {"missed": 2, "cells": 9}}, "missed_groups": {"blast": GROUPED}}
    manifest = reader_manifest(Path("x"), written("100x")["reader"] | {"possible": missed})
    assert manifest.missed == {
        "blast": Missed(2, 9),
        "group blast": Missed(1, 30, ("blast", "promonocyte")),
    }


def test_healthy_cells_come_from_home_first() -> None:
    """In the manifest's order, with the share that is not recognised there."""
    healthy = [HEALTHY, HEALTHY | {"of": "others", "not_recognised": 0.3}]
    manifest = reader_manifest(Path("x"), written("100x")["reader"] | {"healthy": healthy})
    assert manifest.healthy == (
        HealthyCells("cells of a test", (0.0, 0.5), (0.9, 0.1), 0.05),
        HealthyCells("others", (0.0, 0.5), (0.9, 0.1), 0.3),
    )


def test_what_a_reader_does_not_know_does_no_harm() -> None:
    """A limit of a type, or names of an attribute, that this reader lacks."""
    part = written("100x")["reader"] | {
        "largest_um": {"platelet": 5.0, "spherocyte": 2.0},
        "told_by_label": {"nucleoli": {"a": "b"}},
    }
    manifest = reader_manifest(Path("x"), part)
    assert (manifest.largest_um, manifest.told_by_label) == ({"platelet": 5.0}, {})
