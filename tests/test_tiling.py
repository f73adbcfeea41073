"""Large pictures are cut into tiles that overlap enough, are not too large, and share every place among them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgeleuk.models.manifest import TILING
from edgeleuk.networks.tiling import Tile, tiles

SIDES = st.integers(1, 8000)


def area(tile: Tile) -> int:
    rows, columns = tile.window
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


@given(SIDES, SIDES)
def test_tiles_cover_a_picture_and_overlap_enough(width: int, height: int) -> None:
    """Side by side, tiles leave no gap, stay inside, start on the network's grid, and share the pixels of an overlap."""
    cut = list(tiles(width, height, TILING))
    across, down = {tile.across for tile in cut}, {tile.down for tile in cut}
    assert len(cut) == len(across) * len(down)
    for spans, length in ((across, width), (down, height)):
        ordered = sorted(spans, key=lambda span: span.start)
        assert (ordered[0].start, ordered[-1].end) == (0, length)
        assert all(second.start <= first.end - TILING.overlap for first, second in pairwise(ordered))
        assert all(span.start % TILING.alignment == 0 for span in ordered)


@given(SIDES, SIDES)
def test_no_tile_is_larger_than_what_fits_memory(width: int, height: int) -> None:
    """The limit is one of area: a tile may be long where it is low."""
    assert max(map(area, tiles(width, height, TILING))) <= TILING.largest


@given(st.integers(1, 768), st.integers(1, 768))
def test_a_small_picture_is_one_tile(width: int, height: int) -> None:
    """Nothing is gained by cutting a picture that fits, and all of it is the tile's share."""
    (tile,) = tiles(width, height, TILING)
    assert tile.window == (slice(0, height), slice(0, width))
    assert tile.own(np.array([[0, 0, 0, 0], [width - 1, height - 1, width, height]], np.float32)).all()


def test_a_field_of_twelve_megapixels_is_halved() -> None:
    """As 40x finders see it, 1040 x 784 pixels: quarters would look at 160 rows twice, too."""
    assert [tile.window for tile in tiles(1040, 784, TILING)] == [
        (slice(0, 784), slice(0, 608)),
        (slice(0, 784), slice(448, 1040)),
    ]


@given(SIDES, SIDES, st.floats(0, 1), st.floats(0, 1))
def test_every_place_is_some_tiles_share(width: int, height: int, right: float, below: float) -> None:
    """What lies anywhere in the picture is told at least once, and more than once only at a seam."""
    x, y = right * (width - 1), below * (height - 1)
    owners = [
        tile for tile in tiles(width, height, TILING) if tile.own(np.array([[x, y, x, y]], np.float32))[0]
    ]
    assert owners
    if len(owners) > 1:
        assert any(
            abs(at - edge) <= TILING.seam + 1e-3
            for tile in owners
            for at, span in ((x, tile.across), (y, tile.down))
            for edge in (span.low + TILING.seam, span.high - TILING.seam)
        )
