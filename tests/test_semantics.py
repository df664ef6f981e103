"""What the options mean, on every backend: properties that need no second implementation."""

from __future__ import annotations

import pytest
import torch

from gica_ops import contextual_attention, match
from gica_ops.testing import make_problem


def attend(problem, backend, **extra):
    return contextual_attention(**{**problem.attention_arguments(), **extra}, backend=backend)


def test_a_map_attends_to_itself(backend):
    """With sharp attention and nothing masked, every position finds itself: y is b, inside."""
    f = torch.nn.functional.normalize(torch.randn(1, 64, 12, 12), dim=1)
    result = contextual_attention(
        f, f, softmax_scale=1e3, fuse=False, return_offsets=True, backend=backend
    )
    rows, columns = torch.meshgrid(torch.arange(12), torch.arange(12), indexing="ij")
    assert torch.equal(result.offsets[0], torch.stack((rows, columns)))
    torch.testing.assert_close(result.output[:, :, 1:, 1:], f[:, :, 1:, 1:])


def test_everything_masked_gives_zeros(backend):
    for semantics in ("tf", "torch", "mmagic"):
        problem = make_problem(mask="all", rate=2, semantics=semantics).requires_grad()
        result = attend(problem, backend, return_offsets=True)
        assert torch.equal(result.output, torch.zeros_like(result.output))
        assert torch.equal(result.offsets, torch.zeros_like(result.offsets))
        result.output.sum().backward()
        for leaf in (problem.f, problem.b):
            assert torch.equal(leaf.grad, torch.zeros_like(leaf))
        scores = match(**problem.match_arguments(), backend=backend).scores
        assert scores.isneginf().all()


def test_one_mask_per_sample(backend):
    problem = make_problem(batch=3, mask="per_sample", size=(16, 24), rate=2)
    together = attend(problem, backend)
    for i in range(3):
        one = slice(i, i + 1)
        alone = contextual_attention(
            problem.f[one], problem.b[one], problem.mask[one], rate=2, backend=backend
        )
        torch.testing.assert_close(together[one], alone)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float64])
def test_any_mask_that_is_not_zero_is_a_hole(dtype, backend):
    problem = make_problem(mask="irregular", rate=2)
    expected = attend(problem, backend)
    assert torch.equal(attend(problem, backend, mask=problem.mask.to(dtype)), expected)
    assert torch.equal(attend(problem, backend, mask=problem.mask * 0.1), expected)


def test_values_of_b_are_the_default(backend):
    problem = make_problem(rate=2)
    torch.testing.assert_close(attend(problem, backend, values=problem.b), attend(problem, backend))


@pytest.mark.parametrize("rate", [1, 2, 3, 4])
@pytest.mark.parametrize("s", [2, 3])
def test_repeated_values_give_a_repeated_output(rate, s, backend):
    problem = make_problem(rate=rate, size=(4 * rate, 5 * rate), b_size=(6 * rate, 3 * rate))
    values = problem.b.repeat_interleave(s, 2).repeat_interleave(s, 3)
    y = attend(problem, backend)
    torch.testing.assert_close(
        attend(problem, backend, values=values), y.repeat_interleave(s, 2).repeat_interleave(s, 3)
    )


@pytest.mark.parametrize("rate", [1, 2, 3])
@pytest.mark.parametrize("s", [0, 2])
def test_queried_pixels_are_those_of_the_whole_output(rate, s, backend):
    problem = make_problem(batch=2, rate=rate, size=(8 * rate, 6 * rate), value_scale=s)
    query = torch.zeros(1, 1, 8 * rate, 6 * rate)
    query[..., 2 * rate : 3 * rate + 1, rate : 2 * rate] = 1
    whole = attend(problem, backend, return_offsets=True)
    part = attend(problem, backend, return_offsets=True, query_mask=query)
    s = s or 1
    wanted = query.bool().repeat_interleave(s, 2).repeat_interleave(s, 3)
    torch.testing.assert_close(part.output, torch.where(wanted, whole.output, 0))
    queried = part.offsets >= 0
    assert torch.equal(part.offsets[queried], whole.offsets[queried])
    assert (part.offsets[~queried] == -1).all()
    # Patches of 2 * rate pixels, a step of rate apart, that touch a wanted pixel.
    before = rate // 2
    for axis, first, last in ((2, 2 * rate, 3 * rate), (3, rate, 2 * rate - 1)):
        touched = queried.any(5 - axis).any(1).any(0).nonzero().flatten().tolist()
        starts = [i * rate - before for i in range(whole.offsets.shape[axis])]
        expected = [i for i, a in enumerate(starts) if a <= last and a + 2 * rate > first]
        assert touched == expected
    scores = match(
        problem.f, problem.b, problem.mask, rate=rate, query_mask=query, backend=backend
    ).scores
    assert torch.equal(scores.isneginf(), ~queried[:, 0])


def test_a_query_for_nothing_gives_zeros(backend):
    problem = make_problem(rate=2).requires_grad()
    y = attend(problem, backend, query_mask=torch.zeros(1, 1, 16, 16))
    assert torch.equal(y, torch.zeros_like(y))
    y.sum().backward()
    assert torch.equal(problem.f.grad, torch.zeros_like(problem.f))


def test_one_query_per_sample(backend):
    problem = make_problem(batch=2, rate=2)
    query = torch.zeros(2, 1, 16, 16)
    query[0, :, :4] = 1
    query[1, :, :, 12:] = 1
    y = attend(problem, backend, query_mask=query)
    torch.testing.assert_close(y, torch.where(query.bool(), attend(problem, backend), 0))


@pytest.mark.parametrize("s", [1, 2])
@pytest.mark.parametrize("rate", [1, 2, 3, 4])
def test_mmagic_divides_by_the_true_overlap(rate, s, backend):
    problem = make_problem(rate=rate, size=(5 * rate, 6 * rate), mask="none", value_scale=s)
    counted = attend(problem, backend, semantics="mmagic")
    quartered = attend(problem, backend, semantics="torch")
    step, before = s * rate, s * (rate // 2)
    # A patch of ones laid down at every position counts how often each pixel is covered.
    overlap = torch.nn.functional.conv_transpose2d(
        torch.ones(1, 1, 5, 6), torch.ones(1, 1, 2 * step, 2 * step), stride=step
    )[:, :, before : before + 5 * step, before : before + 6 * step]
    assert overlap.unique().tolist() == [1, 2, 4]
    torch.testing.assert_close(counted * overlap, quartered * 4)


def test_masked_scores_count_in_the_softmax_of_the_original_only(backend):
    """The original adds exp(0) for every masked patch, so a hole makes the output fainter."""
    mask = torch.ones(1, 1, 16, 16)
    mask[..., 5:10, 5:10] = 0  # leaves 3 x 3 of 256 background positions
    problem = make_problem(size=(16, 16), softmax_scale=0.01)
    values = torch.ones_like(problem.b)
    inside = (slice(None), slice(None), slice(1, None), slice(1, None))
    faint = attend(problem, backend, mask=mask, values=values, semantics="torch")[inside]
    full = attend(problem, backend, mask=mask, values=values, semantics="mmagic")[inside]
    torch.testing.assert_close(full, torch.ones_like(full))
    torch.testing.assert_close(faint, torch.full_like(faint, 9 / 256), rtol=0.1, atol=0)


def test_ties_go_to_the_lowest_position(backend):
    f = torch.ones(1, 4, 6, 6)
    offsets = match(f, f, ksize=1, fuse=False, backend=backend).offsets
    assert torch.equal(offsets, torch.zeros_like(offsets))
    mask = torch.zeros(1, 1, 6, 6)
    mask[..., :3, :] = 1
    offsets = match(f, f, mask, ksize=1, fuse=False, backend=backend).offsets
    assert torch.equal(offsets[:, 0], torch.full_like(offsets[:, 0], 3))
    assert torch.equal(offsets[:, 1], torch.zeros_like(offsets[:, 1]))


@pytest.mark.parametrize("scale", [0.0, -10.0, 1e-30, 1e4])
def test_offsets_are_the_best_scores_whatever_the_softmax_makes_of_them(scale, backend):
    problem = make_problem(softmax_scale=scale, rate=2)
    offsets = attend(problem, backend, return_offsets=True).offsets
    assert torch.equal(offsets, match(**problem.match_arguments(), backend=backend).offsets)


def test_no_propagation_is_a_window_of_one(backend):
    problem = make_problem(rate=2)
    assert torch.equal(
        attend(problem, backend, fuse=False, fuse_k=5), attend(problem, backend, fuse_k=1)
    )


def test_channels_last_stays_channels_last(backend):
    problem = make_problem(batch=2, rate=2, channels=8)
    f = problem.f.to(memory_format=torch.channels_last)
    y = attend(problem, backend, f=f)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert attend(problem, backend).is_contiguous()


def test_any_dtype_comes_back(backend):
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        problem = make_problem(rate=2, dtype=dtype)
        assert attend(problem, backend).dtype == dtype
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        assert match(**problem.match_arguments(), backend=backend).scores.dtype == wide
