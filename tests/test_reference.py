"""The reference by itself: what it is built of, and what must hold whatever the numbers are."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch

import gica_ops
from gica_ops import reference
from gica_ops.testing import make_problem
from tests.golden import FOLDER


def test_aligned_indices_are_those_of_the_original():
    data = np.load(FOLDER / "resize_nearest_align_corners.npz")
    starts = data["index_start"]
    for (n_in, n_out), start, end in zip(data["pairs"], starts, starts[1:], strict=False):
        picked = reference.aligned_indices(int(n_in), int(n_out))
        assert picked.tolist() == data["index_flat"][start:end].tolist(), (n_in, n_out)


@pytest.mark.parametrize("rate", [2, 3, 4])
def test_torch_semantics_reduce_as_interpolate_does(rate):
    x = torch.randn(2, 3, 6 * rate, 5 * rate)
    expected = torch.nn.functional.interpolate(x, scale_factor=1 / rate, mode="nearest")
    for semantics in ("torch", "mmagic"):
        assert torch.equal(reference._reduce(x, rate, semantics), expected)


def test_signatures_are_those_of_the_public_functions():
    for name in ("contextual_attention", "match"):
        ours, theirs = (inspect.signature(getattr(m, name)) for m in (reference, gica_ops))
        assert ours.parameters == theirs.parameters


@pytest.mark.parametrize("semantics", ["tf", "torch", "mmagic"])
@pytest.mark.parametrize("mask", ["none", "centre", "per_sample", "all"])
def test_samples_do_not_touch_each_other(semantics, mask):
    problem = make_problem(batch=3, size=(12, 8), mask=mask, rate=2, value_scale=2)
    options = {"rate": 2, "semantics": semantics, "return_offsets": True}
    whole = reference.contextual_attention(
        problem.f, problem.b, problem.mask, values=problem.values, **options
    )
    for i in range(3):
        own = problem.mask
        if own is not None and own.shape[0] == 3:
            own = own[i : i + 1]
        one = slice(i, i + 1)
        alone = reference.contextual_attention(
            problem.f[one], problem.b[one], own, values=problem.values[one], **options
        )
        torch.testing.assert_close(whole.output[one], alone.output)
        assert torch.equal(whole.offsets[one], alone.offsets)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_are_computed_in_float32_and_rounded_once(dtype):
    problem = make_problem(rate=2, dtype=dtype, value_scale=1)
    narrow = reference.contextual_attention(**problem.attention_arguments())
    wide = reference.contextual_attention(**problem.to(torch.float32).attention_arguments())
    assert torch.equal(narrow, wide.to(dtype))


def test_gradients_of_all_tensors_agree_with_finite_differences():
    problem = make_problem(
        channels=2, size=(4, 6), b_size=(6, 4), dtype=torch.float64, value_scale=2
    )
    leaves = problem.requires_grad()

    def layer(f, b, values):
        return reference.contextual_attention(
            f, b, problem.mask, values=values, rate=2, softmax_scale=2.0
        )

    inputs = (leaves.f, leaves.b, leaves.values)
    assert torch.autograd.gradcheck(layer, inputs)
    assert torch.autograd.gradgradcheck(layer, inputs, fast_mode=True)


def test_intermediates_end_in_the_output():
    problem = make_problem(batch=2, rate=2, mask="per_sample")
    inner = reference.intermediates(problem.f, problem.b, problem.mask, rate=2)
    assert torch.equal(
        inner.output, reference.contextual_attention(**problem.attention_arguments())
    )
    assert inner.scores.shape == inner.fused.shape == inner.attention.shape == (2, 64, 64)
    assert inner.valid.shape == (2, 1, 64)
    assert (inner.attention[~inner.valid.expand_as(inner.attention)] == 0).all()
