"""Costs of window pairs against their definition written out."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.mark.parametrize(("channels", "ksize"), [(1, 1), (3, 5), (4, 7), (17, 3)])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_cost_is_the_weighted_mean_of_squared_differences(bridge, channels, ksize, workers):
    generator = np.random.default_rng(0)
    height, width, count, radius = 19, 23, 1200, ksize // 2
    pixels = generator.random((height, width, channels), dtype=np.float32)
    weight = generator.random((height, width), dtype=np.float32)
    rows = generator.integers(radius, height - radius, (2, count))
    columns = generator.integers(radius, width - radius, (2, count))
    targets, sources = rows * width + columns

    def window(array, y, x):
        return array[y - radius : y + radius + 1, x - radius : x + radius + 1].astype(np.float64)

    expected = []
    for (ty, sy), (tx, sx) in zip(rows.T, columns.T, strict=True):
        squares = ((window(pixels, ty, tx) - window(pixels, sy, sx)) ** 2).sum(-1)
        share = window(weight, ty, tx)
        expected.append((share * squares).sum() / share.sum())
    for kernels in bridge.available():
        costs = bridge.window_costs(kernels, pixels, weight, targets, sources, ksize, workers)
        np.testing.assert_allclose(costs, expected, rtol=1e-5, atol=1e-6)


def test_a_window_without_weight_costs_nothing(bridge):
    pixels = np.arange(25, dtype=np.float32).reshape(5, 5, 1)
    weight = np.zeros((5, 5), np.float32)
    at = np.array([12]), np.array([6])
    for kernels in bridge.available():
        assert bridge.window_costs(kernels, pixels, weight, *at, 3) == [0]
