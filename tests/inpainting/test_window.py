"""Where a generator looks: windows around the pieces of a hole."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gica_ops.inpainting.window import LARGEST, thickness, windows


def box(size: tuple[int, int], *cut: slice) -> Tensor:
    hole = torch.zeros(size, dtype=torch.bool)
    hole[cut] = True
    return hole


@given(
    st.tuples(st.integers(4, 40), st.integers(4, 40)),
    st.integers(1, 30),
    st.integers(1, 30),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
def test_thickness_of_boxes(border, height, width, after):
    size = (border[0] + height + after[0], border[1] + width + after[1])
    hole = box(size, slice(border[0], border[0] + height), slice(border[1], border[1] + width))
    thin = min(height, width)
    assert thickness(hole) == thin + thin % 2
    assert thickness(hole.T) == thickness(hole)


def test_thickness_of_corner_cases():
    none = torch.zeros(8, 8, dtype=torch.bool)
    assert thickness(none) == 0 and thickness(~none) == 16
    assert thickness(box((50, 90), slice(0, 50), slice(0, 20))) == 40  # known on one side only
    large = thickness(box((3000, 3000), slice(1000, 2500), slice(500, 2500)))
    assert abs(large - 1500) <= 16


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(20, 300), st.integers(20, 300), st.integers(1, 8))
def test_windows_hold_the_hole_and_have_nothing_in_common(seed, height, width, count):
    """Strokes and boxes anywhere, at the border too."""
    dice = torch.Generator().manual_seed(seed)
    hole = torch.zeros(height, width, dtype=torch.bool)
    for _ in range(count):
        row, column, down, across = torch.rand(4, generator=dice).tolist()
        row, column = int(row * height), int(column * width)
        hole[row : row + 1 + int(60 * down**4), column : column + 1 + int(60 * across**2)] = True
    found = windows(hole)
    times_seen = torch.zeros(height, width)
    for window in found:
        times_seen[window.rows, window.columns] += 1
        inside = hole[window.rows, window.columns]
        assert inside.any()
        assert window.size[0] <= height and window.size[1] <= width
    assert times_seen.max() == 1 and (times_seen[hole] == 1).all()


def test_the_hole_is_in_the_middle_of_its_window_unless_the_border_is_near():
    hole = box((400, 400), slice(200, 220), slice(0, 20))
    (window,) = windows(hole)
    assert (window.rows, window.columns) == (slice(162, 258), slice(0, 96))


def test_no_window_is_larger_than_can_be_seen_at_once():
    """A thin line across a large picture is seen at a smaller scale, or with less around it."""
    hole = torch.zeros(3000, 3000, dtype=torch.bool)
    hole[torch.arange(3000), torch.arange(3000)] = True
    for window in windows(hole):
        assert window.size[0] * window.size[1] <= LARGEST * window.factor**2


def test_specks_all_over_are_seen_in_one_window():
    hole = torch.zeros(200, 200, dtype=torch.bool)
    hole[::10, ::10] = True
    assert len(windows(hole)) == 1


def test_what_fits_is_asked_of_every_window():
    hole = box((500, 500), slice(200, 300), slice(200, 300))
    (whole,) = windows(hole)
    (part,) = windows(hole, lambda window: window.size[0] <= 200)
    assert part.size[0] <= 200 < whole.size[0] and part.factor == whole.factor == 3
    (small,) = windows(hole, lambda window: window.factor > 4)
    assert small.factor == 5
    with pytest.raises(LookupError) as error:
        windows(hole, lambda window: False)
    tried = error.value.args[0]
    assert whole in tried and part in tried and max(w.factor for w in tried) > 20
    assert all(hole[w.rows, w.columns].sum() == hole.sum() for w in tried)
