"""The judge is tried too: it accepts what it must and refuses what it must."""

from __future__ import annotations

import pytest
import torch

import gica_ops
from gica_ops.testing import MASKS, assert_close_to_float64, make_problem

TRUTH = torch.linspace(-3, 3, 100, dtype=torch.float64)
EPS = torch.finfo(torch.float32).eps


def off_by(error: float) -> torch.Tensor:
    """The truth in float32, one value off by this much."""
    result = TRUTH.float()
    result[50] += error
    return result


def test_accepts_the_rounded_truth():
    assert_close_to_float64(TRUTH.float(), TRUTH.float(), TRUTH)
    assert_close_to_float64(TRUTH.bfloat16(), TRUTH.bfloat16(), TRUTH)
    assert_close_to_float64(TRUTH.clone(), TRUTH.clone(), TRUTH)


def test_accepts_twice_the_reference_error_and_not_more():
    reference = off_by(1e-3)
    assert_close_to_float64(off_by(1.9e-3), reference, TRUTH)
    assert_close_to_float64(off_by(-1.9e-3), reference, TRUTH)
    with pytest.raises(AssertionError, match="above"):
        assert_close_to_float64(off_by(2.1e-3), reference, TRUTH)
    assert_close_to_float64(off_by(2.9e-3), reference, TRUTH, factor=3)
    with pytest.raises(AssertionError, match="above"):
        assert_close_to_float64(off_by(3.1e-3), reference, TRUTH, factor=3)


def test_the_floor_is_two_eps_of_the_largest_value():
    exact = torch.tensor([0.0, 4.0], dtype=torch.float64)
    almost = torch.tensor([7.9 * EPS, 4.0])
    assert_close_to_float64(almost, exact.float(), exact)
    with pytest.raises(AssertionError, match="above"):
        assert_close_to_float64(torch.tensor([8.1 * EPS, 4.0]), exact.float(), exact)


def test_numbers_below_the_smallest_normal_one_may_be_flushed():
    tiny = torch.tensor([1e-40], dtype=torch.float64)
    assert_close_to_float64(torch.zeros(1), 0.0, tiny)
    with pytest.raises(AssertionError, match="above"):
        assert_close_to_float64(torch.zeros(1), 0.0, 1000 * tiny)


def test_an_allowance_is_added():
    assert_close_to_float64(off_by(1.9e-3), 0.0, TRUTH, allowance=2e-3)
    with pytest.raises(AssertionError, match="above"):
        assert_close_to_float64(off_by(2.1e-3), 0.0, TRUTH, allowance=2e-3)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_not_finite_never_passes(bad):
    wrong = TRUTH.float()
    wrong[3] = bad
    with pytest.raises(AssertionError, match="1 values are not finite"):
        assert_close_to_float64(wrong, TRUTH.float(), TRUTH)
    # Not even where the reference fails as well.
    with pytest.raises(AssertionError):
        assert_close_to_float64(wrong, wrong, TRUTH)
    with pytest.raises(AssertionError):
        assert_close_to_float64(TRUTH.float(), wrong, TRUTH)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_where_the_truth_is_not_finite_the_result_must_be_the_same(value):
    truth = TRUTH.clone()
    truth[3] = value
    assert_close_to_float64(truth.float(), truth.float(), truth)
    for other in (0.5, 1.0, float("inf"), float("-inf"), float("nan")):
        result = truth.float()
        result[3] = other
        if other == value or (other != other and value != value):
            continue
        with pytest.raises(AssertionError, match="not finite"):
            assert_close_to_float64(result, truth.float(), truth)


def test_overflow_of_a_narrow_dtype_is_an_error():
    truth = torch.tensor([1e5], dtype=torch.float64)
    with pytest.raises(AssertionError, match="not finite"):
        assert_close_to_float64(truth.half(), truth.half(), truth)


def test_refuses_other_shapes_and_dtypes():
    with pytest.raises(AssertionError, match="shapes"):
        assert_close_to_float64(TRUTH.float()[:, None], TRUTH.float(), TRUTH)
    with pytest.raises(AssertionError, match="dtype"):
        assert_close_to_float64(TRUTH.float(), TRUTH.half(), TRUTH)
    with pytest.raises(AssertionError, match="float64"):
        assert_close_to_float64(TRUTH.float(), TRUTH.float(), TRUTH.float())


def test_the_error_of_the_reference_may_be_given():
    assert_close_to_float64(off_by(1.9e-3), 1e-3, TRUTH)
    with pytest.raises(AssertionError, match="above"):
        assert_close_to_float64(off_by(2.1e-3), 1e-3, TRUTH)
    for nonsense in (float("inf"), float("nan")):
        with pytest.raises(AssertionError, match="above"):
            assert_close_to_float64(TRUTH.float(), nonsense, TRUTH)


@pytest.mark.parametrize("kind", ["noise", "natural"])
@pytest.mark.parametrize("mask", MASKS)
def test_problems_are_valid_and_the_same_every_time(kind, mask):
    one, two = (
        make_problem(
            batch=2, size=(12, 8), b_size=(8, 16), kind=kind, mask=mask, value_scale=2, query=True,
            seed=3, rate=2,
        )
        for _ in range(2)
    )  # fmt: skip
    for name in ("f", "b", "values", "mask", "query_mask"):
        first, second = getattr(one, name), getattr(two, name)
        assert (first is None) == (second is None)
        assert first is None or torch.equal(first, second)
        assert first is None or first.isfinite().all()
    y = gica_ops.contextual_attention(**one.attention_arguments())
    assert y.shape == (2, 3, 24, 16)
    gica_ops.match(**one.match_arguments())


def test_problems_change_with_the_seed():
    one, two = make_problem(seed=1), make_problem(seed=2)
    assert not torch.equal(one.f, two.f)
