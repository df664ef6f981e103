"""Index maths of layer 1, each against its definition written out."""

from __future__ import annotations

import numpy as np
import pytest


def test_aligned_reduction_picks_what_the_original_picks(bridge):
    assert bridge.reduced_index(8, 4, "tf").tolist() == [0, 2, 5, 7]
    assert bridge.reduced_index(10, 5, "tf").tolist() == [0, 2, 5, 7, 9]
    assert bridge.reduced_index(16, 8, "tf").tolist() == [0, 2, 4, 6, 9, 11, 13, 15]
    assert bridge.reduced_index(3, 1, "tf").tolist() == [0]


@pytest.mark.parametrize(("n_in", "n_out"), [(54, 27), (76, 19), (108, 27), (116, 29), (680, 85)])
def test_aligned_reduction_rounds_in_float32(bridge, n_in, n_out):
    scale = np.float32(n_in - 1) / np.float32(n_out - 1)
    position = np.arange(n_out, dtype=np.float32) * scale
    expected = np.minimum(np.floor(position.astype(np.float64) + 0.5), n_in - 1)
    assert bridge.reduced_index(n_in, n_out, "tf").tolist() == expected.tolist()


@pytest.mark.parametrize("semantics", ["torch", "mmagic"])
def test_the_ports_take_every_rate_th_pixel(bridge, semantics):
    assert bridge.reduced_index(12, 4, semantics).tolist() == [0, 3, 6, 9]


@pytest.mark.parametrize("positions", range(1, 60))
def test_tiles_cover_an_axis_once(bridge, positions):
    tiles = bridge.tiles(positions)
    covered = [i for begin, end in tiles for i in range(begin, end)]
    assert covered == list(range(positions))
    assert len(tiles) == max(1, (positions + 6) // 8)
    assert max(end - begin for begin, end in tiles) <= 9


@pytest.mark.parametrize("height", [1, 2, 5])
def test_column_major_positions_wrap_into_the_next_column(bridge, height):
    for row in range(-2 * height, 3 * height):
        wrapped, shift = bridge.column_major(row, height)
        assert (wrapped, shift) == (row % height, row // height)


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (16, 40), (65, 33)])
@pytest.mark.parametrize("positions", [1, 100, 1000, 10**6])
def test_strips_cover_every_tile_once_and_fit(bridge, size, positions):
    """Where a strip of one tile does not fit, it is taken all the same."""
    f = np.zeros((1, 1, *size), np.float32)
    strips = bridge.strips(bridge.Problem(f, f), 4, 4 * positions)
    tiles = np.zeros([len(bridge.tiles(n + 1)) for n in size], int)
    needed = np.zeros(size, int)
    for (y0, y1, x0, x1), (v0, v1, u0, u1) in strips:
        tiles[y0:y1, x0:x1] += 1
        needed[v0:v1, u0:u1] += 1
        assert (v1 - v0) * (u1 - u0) <= positions or tiles[y0:y1, x0:x1].size == 1
    assert (tiles == 1).all() and (needed >= 1).all()
