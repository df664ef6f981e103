"""The walk through both maps, emulated: tiles of either width, several of them, in every family, by
the judge and in every order."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.testing import assert_close

from gica_ops.testing import Problem, make_problem
from tests.judge import Standard
from tests.native import emulated
from tests.native.emulated import Schedule
from tests.native.test_emulated_schedules import assert_same, orders
from tests.tiles import WALKS

pytestmark = pytest.mark.usefixtures("emulated_kernels")

FAMILIES = [Schedule("sm80"), Schedule("sm90")]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def problem_named(name: str, dtype: torch.dtype) -> Problem:
    return make_problem(**{"mask": "irregular", **WALKS[name]}, dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", WALKS)
def test_problems(name, dtype):
    """Right, gradients too, and scores are the same in every family up to the order of sums."""
    problem = problem_named(name, dtype)
    standard = Standard(problem)
    for schedule in FAMILIES:
        standard.judge(partial(emulated.contextual_attention, schedule=schedule))
    one, other = (emulated.match(**problem.match_arguments(), schedule=s) for s in FAMILIES)
    assert torch.equal(one.offsets, other.offsets)
    assert_close(one.scores, other.scores, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("schedule", FAMILIES, ids=lambda schedule: schedule.family)
@pytest.mark.parametrize("name", ["two tiles of the foreground", "two steps of depth"])
def test_no_order_changes_a_bit(emulated_kernels, name, schedule):
    assert_same(emulated_kernels, problem_named(name, torch.bfloat16), orders(schedule))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["two tiles of the foreground", "two narrow tiles"])
def test_strips_start_anywhere(name, dtype):
    """A strip of a few tiles walks through parts of rows, and jumps where the map ends."""
    standard = Standard(problem_named(name, dtype))
    for schedule in FAMILIES:
        strips = replace(schedule, scratch_limit=1)
        standard.judge(partial(emulated.contextual_attention, schedule=strips))
