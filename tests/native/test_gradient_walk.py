"""The backward's walk, emulated, against the three steps that it takes at once: the same sums, in
another order."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gica_ops.testing import make_problem
from tests.judge import weights
from tests.native import emulated
from tests.native.emulated import Schedule
from tests.native.test_emulated_schedules import bare_problem

pytestmark = pytest.mark.usefixtures("emulated_kernels")

# In the background's first and last two rows, runs of eight look their neighbours up one by one;
# rows of Q that is no multiple of 8 are padded.
SIZES = {
    "one row": ((1, 9), (1, 21)),
    "one column": ((9, 1), (21, 1)),
    "shorter than a run": ((5, 6), (7, 3)),
    "as long as a run": ((4, 9), (9, 8)),
    "a run and one": ((6, 5), (8, 9)),
    "four rows": ((3, 12), (4, 13)),
    "long rows": ((7, 10), (6, 43)),
    "taller than the background": ((26, 4), (5, 11)),
    "several warps": ((9, 20), (9, 40)),
}


def gradients(problem, schedule):
    problem = problem.requires_grad()
    y = emulated.contextual_attention(**problem.attention_arguments(), schedule=schedule)
    (y * weights(problem)).sum().backward()
    return problem.f.grad, problem.b.grad


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("name", SIZES)
def test_the_walk_is_the_steps_it_stands_for(name, fuse):
    size, b_size = SIZES[name]
    problem = make_problem(
        channels=4, size=size, b_size=b_size, fuse=fuse, mask="irregular", softmax_scale=2.0,
        skip="never",
    )  # fmt: skip
    expected = gradients(problem, Schedule(generic=True))
    for limit in (0, 1, 40_000):
        actual = gradients(problem, Schedule(scratch_limit=limit))
        for walked, stepped in zip(actual, expected, strict=True):
            atol = 2e-5 * float(stepped.abs().max())
            torch.testing.assert_close(walked, stepped, rtol=0, atol=atol)


def test_gradients_of_dead_blocks(emulated_kernels):
    """Where blocks are dead, warps have nothing to do."""
    problem = make_problem(
        channels=16, size=(9, 20), b_size=(17, 40), kind="natural", mask="none",
        softmax_scale=200.0, skip="auto",
    )  # fmt: skip
    live = emulated_kernels.forward(bare_problem(problem), Schedule().native())["live"]
    assert 0 < live.mean() < 0.6
    expected = gradients(problem, Schedule(generic=True))
    for walked, stepped in zip(gradients(problem, Schedule()), expected, strict=True):
        largest = float(stepped.abs().max())
        assert largest > 0
        torch.testing.assert_close(walked, stepped, rtol=0, atol=1e-4 * largest)


def test_b_is_not_needed_for_the_gradient_of_f():
    """Without b's gradient nothing is left for the norms."""
    problem = make_problem(channels=4, size=(9, 10), b_size=(7, 12), value_scale=2)
    both, _ = gradients(problem, Schedule())
    alone = replace(problem, f=problem.f.clone().requires_grad_())
    y = emulated.contextual_attention(**alone.attention_arguments(), schedule=Schedule())
    (y * weights(problem)).sum().backward()
    assert torch.equal(alone.f.grad, both)
