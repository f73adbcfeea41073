"""What a camera that was kept from training shows of the readers, on its real fields."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeleuk.errors import ScaleError, UsageError
from edgeleuk.lab.evaluation.datasets import FieldSample, load_fields
from edgeleuk.lab.evaluation.fields import read_field
from edgeleuk.lab.evaluation.leftout import five_part, unlabelled
from edgeleuk.lab.evaluation.scales import ScaleRule
from edgeleuk.models import registry
from edgeleuk.networks.reader import Reader
from edgeleuk.types import Image, Scale


@pytest.fixture(scope="module")
def samples(data: Path) -> list[FieldSample]:
    return load_fields(data / "fields" / "chula_val.json", data / "fields" / "images")[0][:6]


def _at(scale: Scale) -> ScaleRule:
    def estimate(_: Image) -> Scale:
        raise ScaleError("too few red cells.")

    return ScaleRule("given", {}, scale, estimate)


def test_typed_cells_are_read_at_the_scale_of_the_rule(samples: list[FieldSample]) -> None:
    """The reader that ships saw other fields of this camera: of six cells it reads at least five as annotated."""
    share = five_part(Reader(registry.load("100x").reader), samples, _at(Scale.given(0.18)), read_field)
    assert share is not None
    assert share.of == 6
    assert share.count >= 5


def test_fields_without_a_scale_are_left_out(samples: list[FieldSample]) -> None:
    """No scale, no reading; and no share of nothing."""
    unknown = ScaleRule("estimate", {}, None, _at(Scale.given(1.0)).estimate)
    assert five_part(Reader(registry.load("100x").reader), samples, unknown, read_field) is None


def test_an_unknown_camera_lists_those_of_the_file(samples: list[FieldSample]) -> None:
    """The error names the sources."""
    with pytest.raises(UsageError, match=r"no field of source 'other'. Sources of the file: chula"):
        unlabelled(samples, "other")
