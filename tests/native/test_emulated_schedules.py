"""What must not matter to the CUDA kernels, emulated: who runs first, when copies land, how the
foreground is cut into strips, and what was in memory before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gica_ops.testing import make_problem
from tests.judge import weights
from tests.native import emulated
from tests.native.emulated import Schedule
from tests.tiles import SLICED, SLICED_LIMITS

PROBLEMS = {
    "several tiles": {
        "batch": 2, "channels": 20, "size": (22, 36), "b_size": (34, 18), "rate": 2, "query": True,
    },
    "wraps": {"channels": 5, "size": (9, 17), "b_size": (17, 11), "kind": "natural"},
    "wide windows": {"channels": 3, "size": (12, 10), "ksize": 5, "fuse_k": 5, "value_scale": 2},
    "128 channels": {
        "channels": 128, "size": (20, 34), "b_size": (38, 18), "rate": 2, "skip": "never",
    },
    "mmagic": {
        "batch": 2, "mask": "per_sample", "size": (15, 12), "rate": 3, "semantics": "mmagic",
    },
}  # fmt: skip
ARITHMETICS = {
    "float32": (torch.float32, False),
    "tf32": (torch.float32, True),
    "bfloat16": (torch.bfloat16, False),
    "float16": (torch.float16, False),
}
FAMILIES = ["sm80", "sm90"]


def bare_problem(problem):
    """The problem as the bare kernels take it."""
    p, o = problem, dict(problem.options)
    skip = o.pop("skip", "auto") == "auto"
    inputs = emulated.checks.inputs(
        p.f, p.b, p.mask, p.values, p.query_mask, o.pop("ksize", 3), 1, o.pop("rate", 1),
        o.pop("fuse_k", 3), True,
    )  # fmt: skip
    return emulated.problem_of(inputs, skip=skip, **o)


def results(kernels, problem, schedule, grad_y=None):
    """Everything that the kernels write, as arrays."""
    bare = bare_problem(problem)
    forward = kernels.forward(bare, schedule.native())
    g = emulated.array((weights(problem) if grad_y is None else grad_y).to(problem.f.dtype))
    saved = (forward[name] for name in ("row_max", "row_sum", "live"))
    backward = kernels.backward(bare, g, *saved, schedule.native())
    match = kernels.match(bare, schedule.native())
    return {
        **forward,
        **{f"gradient of {name}": x for name, x in backward.items()},
        **{f"match {name}": x for name, x in match.items()},
    }


def assert_same(kernels, problem, schedules):
    first, *others = (results(kernels, problem, schedule) for schedule in schedules)
    for schedule, other in zip(schedules[1:], others, strict=True):
        for name, value in other.items():
            assert np.array_equal(bits(value), bits(first[name])), (schedule, name)


def bits(x):
    return np.ascontiguousarray(x).view(np.uint8)


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


def orders(schedule):
    """Every order in which a machine may do things that these stand for."""
    return [
        replace(schedule, eager=eager, seed=seed) for eager in (False, True) for seed in (0, 1, 2)
    ]


# Poison is part of it: what is read before it is written, or not written at all, shows.
def memories(schedule):
    return [replace(schedule, poison=poison) for poison in (0xFF, 0x00, 0x55)]


def machines(schedule):
    return [replace(schedule, threads=threads) for threads in (1, 2, 5)]


@pytest.mark.parametrize(("name", "arithmetic"), [("wraps", "bfloat16"), ("wide windows", "tf32")])
def test_no_order_changes_a_bit(emulated_kernels, family, name, arithmetic):
    dtype, tf32 = ARITHMETICS[arithmetic]
    problem = make_problem(**{"mask": "irregular", **PROBLEMS[name]}, dtype=dtype)
    assert_same(emulated_kernels, problem, orders(Schedule(family, allow_tf32=tf32)))


@pytest.mark.parametrize("name", ["wraps", "wide windows", "mmagic"])
def test_neither_memory_nor_threads_change_a_bit(emulated_kernels, family, name):
    """Everything is written, and what was there before is not read."""
    problem = make_problem(**{"mask": "irregular", **PROBLEMS[name]}, dtype=torch.bfloat16)
    schedule = Schedule(family)
    assert_same(emulated_kernels, problem, [*memories(schedule), *machines(schedule)])


@pytest.mark.slow
@pytest.mark.parametrize("generic", [False, True])
@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_nothing_changes_a_bit(emulated_kernels, family, name, arithmetic, generic):
    dtype, tf32 = ARITHMETICS[arithmetic]
    problem = make_problem(**{"mask": "irregular", **PROBLEMS[name]}, dtype=dtype)
    for limit in (0, 1):
        schedule = Schedule(family, allow_tf32=tf32, generic=generic, scratch_limit=limit)
        assert_same(
            emulated_kernels,
            problem,
            [*orders(schedule), *memories(schedule), *machines(schedule)],
        )


# Sums over strips are rounded in another order, and half types once more at the end.
ROUNDING = {torch.float32: 3e-5, torch.bfloat16: 2.0**-7, torch.float16: 2.0**-10}


def assert_strips_do_not_matter(kernels, name, dtype, schedule):
    """Down to strips of one tile."""
    problem = make_problem(**{"mask": "irregular", **PROBLEMS[name]}, dtype=dtype)
    problem = problem.with_options(softmax_scale=2.0)  # no digit of a score moves much
    whole = results(kernels, problem, schedule)
    for limit in (1, 150_000):
        cut = results(kernels, problem, replace(schedule, scratch_limit=limit))
        assert_close(cut, whole, dtype, limit)


def assert_close(results, expected, dtype, at):
    """All but a rounding."""
    for key, value in results.items():
        if value.dtype in (np.uint8, np.int64):
            assert np.array_equal(value, expected[key]), (at, key)
            continue
        x, truth = (emulated.tensor(of).double() for of in (value, expected[key]))
        finite = truth.isfinite()
        assert torch.equal(x[~finite], truth[~finite]), (at, key)
        error = float((x - truth)[finite].abs().max())
        assert error <= ROUNDING[dtype] * float(truth[finite].abs().max()), (at, key)


@pytest.mark.parametrize("name", ["wraps", "wide windows"])
def test_strips_change_rounding_at_most(emulated_kernels, family, name):
    assert_strips_do_not_matter(emulated_kernels, name, torch.float32, Schedule(family))


@pytest.mark.parametrize("offsets", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_slices_change_rounding_at_most(emulated_kernels, family, dtype, offsets):
    """Strips whose blocks of attention do not fit beside their scores."""
    problem = make_problem(**SLICED, mask="irregular", softmax_scale=2.0, dtype=dtype)
    bare, schedule = bare_problem(problem), Schedule(family)
    whole = emulated_kernels.forward(bare, schedule.native(), offsets)
    for limit in SLICED_LIMITS:
        limited = replace(schedule, scratch_limit=limit).native()
        assert_close(emulated_kernels.forward(bare, limited, offsets), whole, dtype, limit)


@pytest.mark.slow
@pytest.mark.parametrize("generic", [False, True])
@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize("name", PROBLEMS)
def test_no_strips_change_more_than_rounding(emulated_kernels, family, name, dtype, generic):
    assert_strips_do_not_matter(emulated_kernels, name, dtype, Schedule(family, generic=generic))


def test_less_scratch_is_asked_for_where_less_is_allowed(emulated_kernels, family):
    problem = make_problem(channels=8, size=(64, 64))
    inputs = emulated.checks.inputs(problem.f, problem.b, None, None, None, 3, 1, 1, 3, True)
    bare = emulated.problem_of(inputs)
    most, *less, least = (
        emulated_kernels.scratch(bare, Schedule(family, scratch_limit=limit).native())
        for limit in (0, 4 << 20, 1 << 20, 1)
    )
    for i, which in enumerate(("forward", "match")):
        asked = [most[i], *(x[i] for x in less), least[i]]
        assert asked == sorted(asked, reverse=True), which
        assert asked[-1] < asked[0], which


@pytest.mark.parametrize("skip", ["auto", "never"])
def test_blocks_that_are_kept(emulated_kernels, family, skip):
    """The map says 0 or 1, and 1 everywhere where nothing may be skipped."""
    problem = make_problem(kind="natural", size=(40, 40), rate=2, f_is_b=True, skip=skip)
    live = results(emulated_kernels, problem, Schedule(family))["live"]
    assert set(np.unique(live)) <= {0, 1}
    assert live.all() == (skip == "never")
