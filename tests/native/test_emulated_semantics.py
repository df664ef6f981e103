"""What the options mean, NaN and infinity, what may be skipped: the tests of every backend once
more, on the CUDA kernels, emulated."""

from __future__ import annotations

import pytest
import torch

import gica_ops
from tests import test_nonfinite, test_semantics, test_skipping
from tests.native import emulated
from tests.native.emulated import Schedule

# They are collected here as if they had been written here, and get the backend below.
from tests.test_semantics import (  # noqa: F401
    test_a_map_attends_to_itself,
    test_a_query_for_nothing_gives_zeros,
    test_any_mask_that_is_not_zero_is_a_hole,
    test_channels_last_stays_channels_last,
    test_everything_masked_gives_zeros,
    test_masked_scores_count_in_the_softmax_of_the_original_only,
    test_mmagic_divides_by_the_true_overlap,
    test_no_propagation_is_a_window_of_one,
    test_offsets_are_the_best_scores_whatever_the_softmax_makes_of_them,
    test_one_mask_per_sample,
    test_one_query_per_sample,
    test_queried_pixels_are_those_of_the_whole_output,
    test_repeated_values_give_a_repeated_output,
    test_ties_go_to_the_lowest_position,
    test_values_of_b_are_the_default,
)

HALVES_AND_SINGLE = [torch.float32, torch.bfloat16, torch.float16]


@pytest.fixture(params=["sm80", "sm90"])
def backend(request, emulated_kernels, monkeypatch):
    """The functions of the package are replaced by those of the emulated kernels."""
    schedule = Schedule(request.param)

    def contextual_attention(*arguments, backend, **options):
        return emulated.contextual_attention(*arguments, **options, schedule=schedule)

    def match(*arguments, backend, **options):
        return emulated.match(*arguments, **options, schedule=schedule)

    for module in (gica_ops, test_semantics):
        monkeypatch.setattr(module, "contextual_attention", contextual_attention)
        monkeypatch.setattr(module, "match", match)
    return "emulated"


@pytest.mark.parametrize("bad", test_nonfinite.BAD)
@pytest.mark.parametrize("where", ["corner", "several"])
def test_a_bad_foreground_pixel(bad, where, backend):
    test_nonfinite.test_a_bad_foreground_pixel_reaches_what_it_reaches_in_the_reference(
        bad, where, "centre", "auto", backend
    )


@pytest.mark.slow
@pytest.mark.parametrize("bad", test_nonfinite.BAD)
@pytest.mark.parametrize("mask", ["none", "centre"])
@pytest.mark.parametrize("skip", ["auto", "never"])
def test_every_bad_foreground_pixel(bad, mask, skip, backend):
    for where in ("corner", "middle", "several"):
        test_nonfinite.test_a_bad_foreground_pixel_reaches_what_it_reaches_in_the_reference(
            bad, where, mask, skip, backend
        )


@pytest.mark.parametrize("bad", test_nonfinite.BAD)
def test_bad_background_values_and_scores(bad, backend):
    test_nonfinite.test_a_bad_background_pixel_that_may_be_matched_reaches_everything(bad, backend)
    test_nonfinite.test_bad_values_reach_the_output_where_they_are_pasted(bad, backend)
    test_nonfinite.test_a_bad_score_in_the_hole_stays_there(bad, backend)


def test_overflow_and_tiny_numbers(backend):
    for huge in (1e30, 3e38):
        test_nonfinite.test_overflow_on_the_way_is_not_a_crash(huge, backend)
    test_nonfinite.test_tiny_numbers(backend)


def test_never_a_crash(backend):
    bad = float("nan")
    test_nonfinite.test_never_a_crash(bad, "per_sample", "tf", torch.bfloat16, backend)


@pytest.mark.slow
@pytest.mark.parametrize("bad", test_nonfinite.BAD)
@pytest.mark.parametrize("mask", gica_ops.testing.MASKS)
@pytest.mark.parametrize("dtype", HALVES_AND_SINGLE, ids=str)
def test_never_a_crash_with_any_mask(bad, mask, dtype, backend):
    for semantics in ("tf", "mmagic"):
        test_nonfinite.test_never_a_crash(bad, mask, semantics, dtype, backend)


SKIPPING = [(dtype, name) for dtype, name in test_skipping.CASES if dtype != torch.float64]


def test_skipping_keeps_its_bounds(backend):
    test_skipping.test_the_output_keeps_its_bound(torch.bfloat16, "peaky")
    test_skipping.test_the_gradients_keep_their_bounds(torch.bfloat16, "peaky")


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "name"), SKIPPING, ids=str)
def test_skipping_always_keeps_its_bounds(dtype, name, backend):
    test_skipping.test_the_output_keeps_its_bound(dtype, name)
    test_skipping.test_the_gradients_keep_their_bounds(dtype, name)


def test_nothing_is_skipped_where_nan_is(backend):
    test_skipping.test_nothing_is_skipped_where_nan_is()


def test_dtypes_come_back(backend):
    for dtype in HALVES_AND_SINGLE:
        problem = gica_ops.testing.make_problem(rate=2, dtype=dtype)
        y = gica_ops.contextual_attention(**problem.attention_arguments(), backend=backend)
        assert y.dtype == dtype


def test_float64_is_refused_in_a_sentence(backend):
    f = torch.ones(1, 1, 4, 4, dtype=torch.float64)
    with pytest.raises(ValueError, match="take float32, bfloat16 and float16, not float64"):
        gica_ops.contextual_attention(f, f, backend=backend)
