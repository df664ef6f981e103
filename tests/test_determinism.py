"""The same numbers in every run and for every number of threads."""

from __future__ import annotations

import pytest
import torch

import gica_ops
from gica_ops.testing import make_problem

pytestmark = pytest.mark.usefixtures("cpu")


def everything(problem):
    problem = problem.requires_grad()
    result = gica_ops.contextual_attention(
        **problem.attention_arguments(), return_offsets=True, deterministic=True, backend="cpu"
    )
    g = torch.randn(result.output.shape, generator=torch.Generator().manual_seed(1))
    result.output.backward(g.to(result.output.dtype))
    match = gica_ops.match(**problem.match_arguments(), backend="cpu")
    leaves = (problem.f, problem.b, problem.values)
    gradients = [leaf.grad for leaf in leaves if leaf is not None]
    return [*result, *match, *gradients]


@pytest.mark.parametrize("skip", ["auto", "never"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kind", ["noise", "natural"])
def test_identical_over_repeats_and_threads(kind, dtype, skip):
    problem = make_problem(
        batch=2, channels=24, size=(56, 44), b_size=(40, 60), rate=2, kind=kind, dtype=dtype,
        mask="per_sample", value_scale=0 if kind == "noise" else 2, skip=skip,
    )  # fmt: skip
    torch.set_num_threads(1)
    expected = everything(problem)
    for threads in (1, 2, 3, 2, 3):
        torch.set_num_threads(threads)
        for i, (one, other) in enumerate(zip(everything(problem), expected, strict=True)):
            assert torch.equal(one, other), f"result {i} differs with {threads} threads"


def test_samples_do_not_depend_on_the_batch_they_are_in():
    problem = make_problem(batch=3, channels=16, size=(24, 40), rate=2)
    together = gica_ops.contextual_attention(**problem.attention_arguments(), backend="cpu")
    for i in range(3):
        alone = gica_ops.contextual_attention(
            problem.f[i : i + 1], problem.b[i : i + 1], problem.mask, rate=2, backend="cpu"
        )
        assert torch.equal(together[i : i + 1], alone)
