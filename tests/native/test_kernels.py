"""The CPU kernels bare: every instruction set, any workers, any order of tasks, any strips.

Whether their results are right is tested through the ops, against the reference; here, that nothing
of the machinery changes them.
"""

from __future__ import annotations

import numpy as np
import pytest

SHAPES = {
    "square": {"f": (1, 5, 16, 16), "b": (1, 5, 16, 16), "rate": 2},
    "one tile and a bit": {"f": (2, 3, 20, 18), "b": (2, 3, 18, 22), "rate": 2},
    "rows that wrap over tiles": {"f": (1, 4, 33, 17), "b": (1, 4, 19, 35), "rate": 1, "fuse_k": 5},
    "wide patches": {"f": (1, 7, 24, 27), "b": (1, 7, 27, 24), "rate": 3, "ksize": 5},
    "smallest": {"f": (1, 1, 1, 1), "b": (1, 1, 1, 1), "rate": 1},
}


def make(bridge, name, dtype=np.float32, **options):
    arguments = dict(SHAPES[name])
    generator = np.random.default_rng(sum(map(ord, name)))
    f = generator.standard_normal(arguments.pop("f"), dtype=np.float32).astype(dtype)
    b = generator.standard_normal(arguments.pop("b"), dtype=np.float32).astype(dtype)
    hole = np.zeros((1, 1, *b.shape[2:]), bool)
    hole[..., b.shape[2] // 4 : b.shape[2] // 2, b.shape[3] // 4 : b.shape[3] // 2] = True
    return bridge.Problem(f, b, hole=hole, **{**arguments, **options})


def results(bridge, problem, kernels, **schedule):
    forward = bridge.forward(problem, kernels, **schedule)
    match = bridge.match(problem, kernels, **schedule)
    y = forward["y"]
    generator = np.random.default_rng(1)
    grad_y = generator.standard_normal(y.shape[1:], dtype=np.float32).astype(y.dtype)
    grad_y = np.broadcast_to(grad_y, y.shape)
    backward = bridge.backward(problem, grad_y, forward["live"], kernels, **schedule)
    return {
        **forward,
        **backward,
        "match offsets": match["offsets"],
        "match scores": match["scores"],
    }


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_workers_and_order_change_no_bit(bridge, name, dtype):
    problem = make(bridge, name, dtype)
    for kernels in bridge.available():
        alone = results(bridge, problem, kernels)
        for schedule in ({"workers": 3}, {"reverse": True}, {"workers": 2, "reverse": True}):
            for key, value in results(bridge, problem, kernels, **schedule).items():
                assert np.array_equal(alone[key], value, equal_nan=True), (kernels, schedule, key)


@pytest.mark.parametrize("name", SHAPES)
def test_instruction_sets_agree(bridge, name):
    exact = results(bridge, make(bridge, name, np.float64, skip=False), "baseline")
    problem = make(bridge, name, skip=False)
    for kernels in bridge.available():
        for key, value in results(bridge, problem, kernels).items():
            if "offsets" in key:
                assert (value == exact[key]).mean() > 0.99, (kernels, key)
            elif key != "live":
                scale = max(abs(exact[key]).max(), 1.0)
                assert abs(value - exact[key]).max() <= 2e-4 * scale, (kernels, key)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("strip_bytes", [1, 20_000])
def test_the_size_of_strips_changes_rounding_at_most(bridge, name, strip_bytes):
    whole = results(bridge, make(bridge, name, np.float64), bridge.best())
    cut = results(bridge, make(bridge, name, np.float64, strip_bytes=strip_bytes), bridge.best())
    for key, value in cut.items():
        np.testing.assert_allclose(value, whole[key], rtol=1e-9, atol=1e-11, err_msg=key)


def test_any_strides(bridge):
    generator = np.random.default_rng(0)
    f = generator.standard_normal((2, 5, 16, 12), dtype=np.float32)
    last = np.ascontiguousarray(f.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    holed = np.zeros((2, 5, 32, 36), np.float32)[:, :, ::2, ::3]
    holed[...] = f
    flipped = np.ascontiguousarray(f[:, :, ::-1, ::-1])[:, :, ::-1, ::-1]
    expected = results(bridge, bridge.Problem(f, f, rate=2), bridge.best())
    for other in (last, holed, flipped):
        actual = results(bridge, bridge.Problem(other, other, rate=2), bridge.best())
        for key, value in actual.items():
            assert np.array_equal(value, expected[key]), key


def test_a_mask_per_sample(bridge):
    generator = np.random.default_rng(0)
    f = generator.standard_normal((2, 5, 16, 12), dtype=np.float32)
    hole = np.zeros((2, 1, 16, 12), bool)
    hole[1, :, 4:9, 2:9] = True
    both = results(bridge, bridge.Problem(f, f, hole=hole, rate=2), bridge.best())
    for i in range(2):
        sample = np.ascontiguousarray(f[i : i + 1])
        problem = bridge.Problem(sample, sample, hole=hole[i : i + 1], rate=2)
        for key, value in results(bridge, problem, bridge.best()).items():
            assert np.array_equal(value, both[key][i : i + 1]), key
