"""NaN and infinity in: NaN where they reach, and never a crash."""

from __future__ import annotations

import pytest
import torch

import gica_ops
from gica_ops import reference
from gica_ops.testing import MASKS, make_problem

BAD = [float("nan"), float("inf"), float("-inf")]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("where", ["corner", "middle", "several"])
@pytest.mark.parametrize("mask", ["none", "centre"])
@pytest.mark.parametrize("skip", ["auto", "never"])
def test_a_bad_foreground_pixel_reaches_what_it_reaches_in_the_reference(
    bad, where, mask, skip, cpu
):
    problem = make_problem(size=(48, 40), rate=2, mask=mask)
    f = problem.f.clone()
    # Rows and columns that the reduction picks.
    for y, x in {"corner": [(0, 0)], "middle": [(22, 18)], "several": [(0, 39), (47, 4)]}[where]:
        f[0, 3, y, x] = bad
    expected = reference.contextual_attention(f, problem.b, problem.mask, rate=2)
    actual = gica_ops.contextual_attention(
        f, problem.b, problem.mask, rate=2, skip=skip, backend=cpu
    )
    assert expected.isnan().any() and not expected.isnan().all()
    assert torch.equal(actual.isnan(), expected.isnan())
    fine = ~expected.isnan()
    torch.testing.assert_close(actual[fine], expected[fine])


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_background_pixel_that_may_be_matched_reaches_everything(bad, backend):
    problem = make_problem(size=(32, 32), rate=2, mask="none")
    b = problem.b.clone()
    b[0, 0, 16, 16:18] = bad
    b[0, 0, 17, 16:18] = bad
    y = gica_ops.contextual_attention(problem.f, b, rate=2, backend=backend)
    if bad != bad:
        assert y.isnan().all()
    else:
        # An infinite norm makes scores of infinity over infinity at that pixel, and 0 elsewhere.
        assert y.isnan().any()


@pytest.mark.parametrize("bad", BAD)
def test_bad_values_reach_the_output_where_they_are_pasted(bad, backend):
    problem = make_problem(size=(16, 16), rate=2, mask="none", value_scale=1, softmax_scale=0.01)
    values = problem.values.clone()
    values[0, 1, 5, 5] = bad
    y = gica_ops.contextual_attention(
        problem.f, problem.b, rate=2, values=values, softmax_scale=0.01, backend=backend
    )
    assert not y[:, 1].isfinite().all()
    assert y[:, 0].isfinite().all() and y[:, 2].isfinite().all()


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_score_in_the_hole_stays_there(bad, backend):
    """Only attention of 0 would join it with the rest, so it is replaced, not multiplied."""
    problem = make_problem(size=(20, 20), rate=1, mask="none")
    b, mask = problem.b.clone(), torch.zeros(1, 1, 20, 20)
    mask[..., 5:15, 5:15] = 1
    b[..., 10, 10] = bad
    options = {"values": problem.b, "backend": backend}
    y = gica_ops.contextual_attention(problem.f, b, mask, **options)
    assert y.isfinite().all()
    torch.testing.assert_close(
        y, gica_ops.contextual_attention(problem.f, problem.b, mask, **options)
    )


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("semantics", ["tf", "mmagic"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_never_a_crash(bad, mask, semantics, dtype, backend):
    problem = make_problem(
        batch=2, size=(20, 28), rate=2, mask=mask, value_scale=2, dtype=dtype, semantics=semantics
    ).requires_grad()
    for tensor in (problem.f, problem.b, problem.values):
        with torch.no_grad():
            tensor[0, 0, 2:9, 4:6] = bad
            tensor[1, :, -1] = bad
        result = gica_ops.contextual_attention(
            **problem.attention_arguments(), return_offsets=True, backend=backend
        )
        result.output.sum().backward()
        offsets = gica_ops.match(**problem.match_arguments(), backend=backend).offsets
        for o in (offsets, result.offsets):
            assert (o >= 0).all() and (o[:, 0] < 10).all() and (o[:, 1] < 14).all()


@pytest.mark.parametrize("huge", [1e30, 3e38])
def test_overflow_on_the_way_is_not_a_crash(huge, backend):
    f = torch.full((1, 4, 12, 12), huge).requires_grad_()
    y = gica_ops.contextual_attention(f, f, rate=2, backend=backend)
    y.sum().backward()


def test_tiny_numbers(backend):
    """Norms below the clamp, and squares that underflow."""
    for tiny in (1e-3, 1e-6, 1e-20, 1e-38, 0.0):
        f = torch.full((1, 4, 12, 12), tiny).requires_grad_()
        y = gica_ops.contextual_attention(f, f, rate=2, backend=backend)
        y.sum().backward()
        assert y.isfinite().all() and f.grad.isfinite().all()
