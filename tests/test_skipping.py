"""Blocks of attention that are left out change nothing beyond the bounds that are promised.

With eps as docs/semantics.md has it for the output's dtype, A the attention and dA its gradient:

* the output changes by less than eps * max|values|;
* the gradient of the scores changes by at most 2 * scale * eps * max|dA| in the sum over a row, and
  over a column.

What rounds differently because terms are missing is allowed for separately.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import gica_ops
from gica_ops.testing import Problem, make_problem
from tests.judge import SKIPPING_UNIT, skipping_bounds

pytestmark = pytest.mark.usefixtures("cpu")

SIDE = 24  # positions per axis: three tiles and the one row and column of pasting
DTYPES = [torch.float32, torch.float64, torch.bfloat16]


def attention_of(logits: Tensor) -> Problem:
    """A problem whose attention is the softmax of these logits, (P, Q) over maps of SIDE x SIDE.

    Every background position is a channel of its own, with a patch of one pixel and length 1, so
    that the foreground holds the scores.
    """
    p, q = logits.shape
    b = torch.eye(q).view(1, q, SIDE, SIDE)
    f = logits.t().reshape(1, q, SIDE, SIDE)
    values = 1 + torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return Problem(f, b, values=values, options={"ksize": 1, "fuse": False, "softmax_scale": 1.0})


def natural(side: int = 2 * SIDE) -> Problem:
    return make_problem(kind="natural", channels=24, size=(side, side), rate=2, f_is_b=True)


def flat() -> Problem:
    return natural().with_options(softmax_scale=1e-3)


def peaky() -> Problem:
    return natural()


def saturated() -> Problem:
    return natural().with_options(softmax_scale=1e3)


def adversarial(level: float, dtype: torch.dtype) -> Problem:
    """Every position attends to itself, but for crumbs of `level` times what a block is kept for.

    Pasting joins up to four crumbs in one, so that blocks are kept from a level of 1/4 to 1 on.
    """
    n = SIDE * SIDE
    logits = torch.full((n, n), math.log(level * SKIPPING_UNIT[dtype] / n), dtype=torch.float64)
    logits.fill_diagonal_(0.0)
    return attention_of(logits.float())


def cases(dtype: torch.dtype) -> dict[str, Problem]:
    found = {"flat": flat(), "peaky": peaky(), "saturated": saturated()}
    for level in (0.01, 0.2, 0.24, 0.26, 0.9, 3.0, 10.0, 100.0):
        found[f"adversarial {level}"] = adversarial(level, dtype)
    return {name: problem.to(dtype) for name, problem in found.items()}


CASES = [(dtype, name) for dtype in DTYPES for name in cases(dtype)]


def run(problem: Problem, skip: str) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    problem = problem.requires_grad()
    y = gica_ops.contextual_attention(**problem.attention_arguments(), skip=skip, backend="cpu")
    g = torch.randn(y.shape, generator=torch.Generator().manual_seed(3)).to(y.dtype)
    y.backward(g)
    leaves = {n: getattr(problem, n) for n in ("f", "b", "values")}
    return y.detach(), {n: x.grad for n, x in leaves.items() if x is not None}, g


def live_share(problem: Problem, skip: bool) -> float:
    o = problem.options
    hole = None if problem.mask is None else problem.mask != 0
    *_, live, _ = torch.ops.gica_ops.attend(
        problem.f, problem.b, hole, problem.values, None, o.get("ksize", 3), o.get("rate", 1),
        3 if o.get("fuse", True) else 1, o.get("softmax_scale", 10.0), "tf", skip, False, False,
    )  # fmt: skip
    return float(live.double().mean())


@pytest.mark.parametrize(("dtype", "name"), CASES, ids=str)
def test_the_output_keeps_its_bound(dtype, name):
    problem = cases(dtype)[name]
    pasted = problem.b if problem.values is None else problem.values
    skipped, _, _ = run(problem, "auto")
    whole, _, _ = run(problem, "never")
    # Two roundings of the output, and as much again for the sums before them.
    rounding = torch.finfo(dtype).eps * float(whole.abs().max())
    bound = SKIPPING_UNIT[dtype] * float(pasted.abs().max())
    difference = skipped.double() - whole.double()
    assert float(difference.abs().max()) <= bound + 2 * rounding
    # Rounding goes both ways; crumbs of one sign that go missing do not.
    assert abs(float(difference.mean())) <= bound


@pytest.mark.parametrize(("dtype", "name"), CASES, ids=str)
def test_the_gradients_keep_their_bounds(dtype, name):
    problem = cases(dtype)[name]
    _, skipped, g = run(problem, "auto")
    _, whole, _ = run(problem, "never")
    bounds = skipping_bounds(problem, g)
    for leaf, gradient in whole.items():
        difference = float((skipped[leaf].double() - gradient.double()).abs().max())
        rounding = 16 * torch.finfo(dtype).eps * float(gradient.abs().max())
        assert difference <= bounds[f"gradient of {leaf}"] + rounding, leaf


def test_what_is_skipped():
    """Natural features are mostly skipped, flat attention never, and "never" is never."""
    assert live_share(natural(96), True) < 0.5
    assert live_share(saturated(), True) < 0.5
    everywhere = make_problem(size=(48, 48), rate=2, mask="none", softmax_scale=1e-3)
    assert live_share(everywhere, True) == 1.0
    assert live_share(everywhere.with_options(softmax_scale=1e3), False) == 1.0
    assert live_share(adversarial(0.01, torch.float32), True) < 1.0
    assert live_share(adversarial(100.0, torch.float32), True) == 1.0


def test_nothing_is_skipped_where_nan_is():
    problem = natural()
    f = problem.f.clone()
    f[0, 0, 0, 0] = float("nan")
    y = gica_ops.contextual_attention(f, problem.b, problem.mask, rate=2, backend="cpu")
    assert y[0, :, 0, 0].isnan().all()
