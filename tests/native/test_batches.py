"""Samples of a batch that the CUDA kernels work through side by side, emulated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from gica_ops.testing import Problem, make_mask, make_problem
from tests.judge import weights
from tests.native import emulated
from tests.native.emulated import Schedule
from tests.native.test_emulated_schedules import (
    ARITHMETICS,
    assert_same,
    bare_problem,
    bits,
    orders,
    results,
)

FAMILIES = ["sm80", "sm90"]
BATCH = 3
PROBLEMS = {
    "several tiles": {"channels": 20, "size": (12, 20), "b_size": (20, 10)},
    "wide windows": {"channels": 3, "size": (8, 7), "ksize": 5, "fuse_k": 5, "value_scale": 2},
    "mmagic": {"size": (12, 12), "rate": 3, "semantics": "mmagic"},
}


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


def batch_named(name: str, dtype: torch.dtype = torch.float32) -> Problem:
    """A hole and a query of its own for every sample."""
    sizes = {"batch": BATCH, "mask": "per_sample", "kind": "natural", **PROBLEMS[name]}
    problem = make_problem(**sizes, dtype=dtype)
    query = make_mask("per_sample", BATCH, sizes["size"], torch.Generator().manual_seed(1))
    return replace(problem, query_mask=1 - query)


def alone(problem: Problem, n: int) -> Problem:
    tensors = {name: getattr(problem, name) for name in ("f", "b", "mask", "values", "query_mask")}
    return replace(problem, **{k: None if x is None else x[n : n + 1] for k, x in tensors.items()})


@pytest.mark.parametrize(
    "arithmetic",
    [
        "float32",
        "bfloat16",
        *(pytest.param(x, marks=pytest.mark.slow) for x in ("tf32", "float16")),
    ],
)
@pytest.mark.parametrize("name", PROBLEMS)
def test_every_sample_is_what_it_is_alone(emulated_kernels, name, arithmetic, family):
    """To the last bit; on Hopper, whose paste is cut into other parts then, to a rounding."""
    dtype, tf32 = ARITHMETICS[arithmetic]
    problem, schedule = batch_named(name, dtype), Schedule(family, allow_tf32=tf32)
    expected = [
        results(emulated_kernels, alone(problem, n), schedule, grad_y)
        for n, grad_y in enumerate(weights(problem).split(1))
    ]
    for key, value in results(emulated_kernels, problem, schedule).items():
        one_by_one = np.concatenate([each[key] for each in expected])
        if family == "sm90" and key == "y":
            assert_close(emulated.tensor(value), emulated.tensor(one_by_one))
        else:
            assert np.array_equal(bits(value), bits(one_by_one)), key


def test_a_limit_on_scratch_is_one_on_samples_together(emulated_kernels, family):
    """All of them, some, one: results are the same."""
    problem, schedule = batch_named("several tiles", torch.bfloat16), Schedule(family)

    def scratch(problem: Problem, limited: Schedule) -> int:
        return emulated_kernels.scratch(bare_problem(problem), limited.native())[0]

    def forward(limited: Schedule) -> dict[str, np.ndarray]:
        return emulated_kernels.forward(bare_problem(problem), limited.native(), offsets=False)

    one, every = scratch(alone(problem, 0), schedule), scratch(problem, schedule)
    limits = [replace(schedule, scratch_limit=one * share // 8) for share in range(1, 8 * BATCH)]
    by_scratch = {scratch(problem, limited): limited for limited in limits}
    # With less, a sample is cut into strips, whose sums have an order of their own.
    chosen = {taken: limited for taken, limited in by_scratch.items() if taken >= one}
    assert one in chosen and every in chosen and len(chosen) == BATCH
    expected = forward(schedule)
    for limited in chosen.values():
        for key, value in forward(limited).items():
            if family == "sm90" and key == "y":
                assert_close(emulated.tensor(value), emulated.tensor(expected[key]))
            else:
                assert np.array_equal(bits(value), bits(expected[key])), (key, limited)


@pytest.mark.parametrize("name", ["mmagic"])
def test_no_order_changes_a_bit(emulated_kernels, name, family):
    assert_same(emulated_kernels, batch_named(name, torch.bfloat16), orders(Schedule(family)))
