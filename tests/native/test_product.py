"""The matrix product, every instruction set the processor has, against float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

SIZES = st.integers(1, 70) | st.sampled_from([127, 128, 129, 192, 193, 255, 256, 257, 300])


@given(
    m=SIZES,
    k=SIZES,
    n=SIZES,
    transposed=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
    workers=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_product_is_as_exact_as_its_dtype_allows(bridge, m, k, n, transposed, dtype, workers, seed):
    generator = np.random.default_rng(seed)
    a = generator.standard_normal((m, k)).astype(dtype)
    b = generator.standard_normal((k, n)).astype(dtype)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    # The bound of a sum of k products, in any order: k roundings of the sum of magnitudes.
    bound = (k + 2) * np.finfo(dtype).eps * (abs(a) @ abs(b)).astype(np.float64)
    right = np.ascontiguousarray(b.T) if transposed else b
    for kernels in bridge.available():
        c = bridge.product(kernels, a, right, transposed, workers)
        assert (abs(c - exact) <= bound).all(), kernels


def test_workers_change_no_bit(bridge):
    generator = np.random.default_rng(0)
    a = generator.standard_normal((400, 300), dtype=np.float32)
    b = generator.standard_normal((300, 500), dtype=np.float32)
    for kernels in bridge.available():
        alone = bridge.product(kernels, a, b, False, 1)
        assert np.array_equal(alone, bridge.product(kernels, a, b, False, 4))


def test_baseline_kernels_always_exist(bridge):
    assert "baseline" in bridge.available()
    assert bridge.best() == bridge.available()[-1]


def test_unknown_kernels_are_refused(bridge):
    a = np.zeros((2, 2), np.float32)
    with pytest.raises(ValueError, match="no kernels named sse9"):
        bridge.product("sse9", a, a)
