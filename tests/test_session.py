"""Networks compute what they were quantized to, whatever processor this is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeleuk.cli.analyze import demo_picture
from edgeleuk.imaging.resampling import resize
from edgeleuk.models import registry
from edgeleuk.networks.finder import prepare
from edgeleuk.networks.onnx_session import Session
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.system import machine


@pytest.mark.parametrize("magnification", registry.MAGNIFICATIONS)
def test_eight_bit_sums_do_not_saturate(magnification: str) -> None:
    """8-bit arithmetic agrees with float on the same rounded values; a saturated sum moves logits by whole units."""
    manifest = registry.load(magnification).finder
    picture = resize(read_picture(Path(demo_picture())).pixels, 320, 256)
    batch = prepare(picture, manifest.multiple, manifest.pad)
    exact = Session(manifest.path, 1, "float").run(batch)
    for computed, expected in zip(Session(manifest.path, 1, "int8").run(batch), exact, strict=True):
        assert np.abs(computed - expected).mean() < 0.05


@pytest.mark.parametrize("magnification", registry.MAGNIFICATIONS)
def test_a_processor_with_vnni_computes_the_same_as_one_without(
    magnification: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other kernels are asked for where it has no VNNI; to the last bit they give what this processor's own do."""
    manifest = registry.load(magnification).finder
    picture = resize(read_picture(Path(demo_picture())).pixels, 320, 256)
    batch = prepare(picture, manifest.multiple, manifest.pad)
    own = Session(manifest.path, 1, "int8").run(batch)
    monkeypatch.setattr(machine, "flags", frozenset)
    for one, other in zip(own, Session(manifest.path, 1, "int8").run(batch), strict=True):
        assert np.array_equal(one, other)
