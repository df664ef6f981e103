"""Problems of every shape: the kernels against the reference in float64."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings

import gica_ops
from gica_ops.testing import Problem, make_problem
from tests.judge import judge, judge_match, judge_offsets
from tests.strategies import LAYOUTS, laid_out, problems

# A fixture would be set up once for all examples; the backend is checked here instead.
pytestmark = pytest.mark.skipif(
    gica_ops.available_backends("cpu")["cpu"] is not None,
    reason=str(gica_ops.available_backends("cpu")["cpu"]),
)


@given(problems())
def test_any_problem(problem):
    judge(problem, "cpu")


@given(problems())
def test_any_match(problem):
    judge_match(problem, "cpu")
    result = gica_ops.contextual_attention(
        **problem.attention_arguments(), return_offsets=True, backend="cpu"
    )
    judge_offsets(problem, result.offsets)


@pytest.mark.slow
@settings(max_examples=1500)
@given(problems(most=30))
def test_many_larger_problems(problem):
    judge(problem, "cpu")
    judge_match(problem, "cpu")


# Tiles are 8 x 8 positions: these maps have several per axis, and ends that tiles do not divide.
@pytest.mark.parametrize("skip", ["auto", "never"])
@pytest.mark.parametrize(
    ("size", "b_size"),
    [((26, 26), (26, 26)), ((17, 40), (40, 17)), ((33, 9), (15, 25)), ((1, 70), (70, 1))],
)
@pytest.mark.parametrize("kind", ["noise", "natural"])
def test_wraps_that_cross_tiles(size, b_size, kind, skip):
    problem = make_problem(
        size=size, b_size=b_size, kind=kind, mask="irregular", fuse_k=5, skip=skip, batch=2
    )
    judge(problem, "cpu")
    judge_match(problem, "cpu")


@pytest.mark.parametrize("mask", ["none", "all", "per_sample", "nearly_all", "edge"])
@pytest.mark.parametrize("semantics", ["tf", "torch", "mmagic"])
def test_masks_and_semantics(mask, semantics):
    problem = make_problem(batch=3, size=(40, 28), rate=2, mask=mask, semantics=semantics)
    judge(problem, "cpu")
    judge_match(problem, "cpu")


@pytest.mark.parametrize("rate", [1, 2, 3, 4])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_values_of_any_scale(rate, scale):
    problem = make_problem(
        size=(6 * rate, 10 * rate), b_size=(9 * rate, 7 * rate), rate=rate, value_scale=scale,
        value_channels=5, query=True,
    )  # fmt: skip
    judge(problem, "cpu")


@pytest.mark.parametrize("channels", [1, 3, 16, 64, 129, 130])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_channels_and_dtypes(channels, dtype):
    judge(make_problem(channels=channels, size=(20, 22), rate=2, dtype=dtype), "cpu")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_any_strides(layout, dtype):
    p = make_problem(batch=2, size=(16, 20), rate=2, value_scale=2, query=True, dtype=dtype)
    plain = judge(p, "cpu")
    assert p.mask is not None and p.values is not None and p.query_mask is not None
    strided = Problem(
        laid_out(p.f, layout),
        laid_out(p.b, layout),
        laid_out(p.mask.bool(), layout),
        laid_out(p.values, layout),
        laid_out(p.query_mask.bool(), layout),
        p.options,
    )
    y = gica_ops.contextual_attention(**strided.attention_arguments(), backend="cpu")
    # Strides change where numbers are read, not the order in which they are added.
    assert torch.equal(y, plain["output"])
    last = strided.f.is_contiguous(memory_format=torch.channels_last)
    assert y.is_contiguous(memory_format=torch.channels_last) == last


@pytest.mark.parametrize("kind", ["noise", "natural"])
def test_a_map_matched_with_itself_gets_both_gradients(kind):
    judge(make_problem(kind=kind, size=(32, 24), rate=2, f_is_b=True), "cpu")


@pytest.mark.parametrize("rate", [1, 2])
@pytest.mark.parametrize("pixel", [(7, 7), (8, 3), (3, 8), (8, 8), (9, 15)])
def test_one_pixel_queried_at_the_border_of_tiles(pixel, rate):
    problem = make_problem(size=(10 * rate, 17 * rate), rate=rate, mask="none")
    query = torch.zeros(1, 1, 10 * rate, 17 * rate)
    query[..., rate * pixel[0], rate * pixel[1]] = 1
    judge(replace(problem, query_mask=query), "cpu", allow_skipping=False)


@pytest.mark.parametrize("semantics", ["tf", "mmagic"])
@pytest.mark.parametrize("scale", [-500.0, 500.0])
@pytest.mark.parametrize("kind", ["noise", "natural"])
def test_scores_far_from_zero(kind, scale, semantics):
    """Exponents of hundreds of thousands on both sides of 0, with and without a hole's zeros."""
    problem = make_problem(
        kind=kind, channels=47, size=(21, 15), semantics=semantics, softmax_scale=scale
    )
    judge(problem, "cpu", allow_skipping=False)


@pytest.mark.parametrize("size", [(8, 15), (8, 16), (21, 17), (21, 32)])
def test_rows_whose_scores_are_all_negative(size):
    """Nothing masked, so no exp(0) either: the largest exponent of a row is below 0."""
    problem = make_problem(kind="natural", channels=47, size=size, mask="none", softmax_scale=20.0)
    judge(replace(problem, f=-problem.f), "cpu", allow_skipping=False)
