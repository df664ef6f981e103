"""The CUDA kernels, emulated, are right: golden cases and problems of every shape, by the judge."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gica_ops import reference
from gica_ops.testing import Problem, make_problem
from tests import golden
from tests.judge import Standard, judge, judge_match, judge_offsets
from tests.native import emulated
from tests.native.emulated import Schedule
from tests.strategies import LAYOUTS, laid_out, problems

pytestmark = pytest.mark.usefixtures("emulated_kernels")

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
FAMILIES = [Schedule("sm80"), Schedule("sm90")]
GENERIC = [replace(schedule, generic=True) for schedule in FAMILIES]

# Three tiles and a bit of the background per axis, two of the foreground, and runs of positions
# that wrap from tile to tile.
LARGE = {"channels": 128, "size": (9, 17), "b_size": (18, 27), "mask": "irregular"}


# The larger ones take seconds each; check_golden.py runs them all, in every type.
GOLDEN = [
    pytest.param(name, marks=pytest.mark.slow) if golden.positions(name) > 150 else name
    for name in golden.NAMES
]


def attention(schedule):
    return partial(emulated.contextual_attention, schedule=schedule)


def match(schedule):
    return partial(emulated.match, schedule=schedule)


def judge_all(problem, schedules, **how):
    """Attention and its gradients, offsets and matches, under each of these schedules."""
    standard = Standard(problem, **how)
    for schedule in schedules:
        standard.judge(attention(schedule))
        if not schedule.allow_tf32:
            judge_match(problem, match(schedule))


def judge_golden(name, dtype, schedules):
    standard = Standard(golden.load(name).problem.to(dtype), allow_skipping=False)
    for schedule in schedules:
        standard.judge(attention(schedule))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_cases(name, dtype):
    judge_golden(name, dtype, FAMILIES)


@pytest.mark.slow
@pytest.mark.parametrize("skip", ["auto", "never"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", golden.NAMES)
def test_golden_cases_in_every_way(name, dtype, skip):
    problem = golden.load(name).problem.to(dtype).with_options(skip=skip)
    standard = Standard(problem, allow_skipping=False)
    for schedule in [*FAMILIES, *GENERIC]:
        standard.judge(attention(schedule))
        judge_match(problem, match(schedule))


@pytest.mark.parametrize("name", golden.NAMES)
def test_offsets_of_golden_cases(name):
    case = golden.load(name)
    p = case.problem
    clear = case.expected["argmax_margin"] > golden.CLEAR_MARGIN
    for schedule in FAMILIES:
        offsets = emulated.match(**p.match_arguments(), schedule=schedule).offsets
        flat = offsets[:, 0] * (p.b.shape[3] // p.options["rate"]) + offsets[:, 1]
        assert torch.equal(flat[clear], case.expected["argmax_flat"].long()[clear])


def in_float32(problem: Problem) -> Problem:
    """The kernels know no float64."""
    return problem.to(torch.float32) if problem.f.dtype == torch.float64 else problem


schedules = st.builds(
    Schedule,
    family=st.sampled_from(["sm80", "sm90"]),
    generic=st.booleans(),
    eager=st.booleans(),
    seed=st.integers(0, 2),
    scratch_limit=st.sampled_from([0, 0, 1, 100_000]),
)


@settings(max_examples=20)
@given(problems().map(in_float32), schedules)
def test_any_problem(problem, schedule):
    judge(problem, attention(schedule))


@settings(max_examples=20)
@given(problems().map(in_float32), schedules)
def test_any_match(problem, schedule):
    judge_match(problem, match(schedule))
    result = attention(schedule)(**problem.attention_arguments(), return_offsets=True)
    judge_offsets(problem, result.offsets)


@pytest.mark.slow
@settings(max_examples=400)
@given(problems(most=20).map(in_float32), schedules)
def test_many_larger_problems(problem, schedule):
    judge(problem, attention(schedule))
    judge_match(problem, match(schedule))


def large(rate, **options):
    sizes = {name: tuple(rate * n for n in LARGE[name]) for name in ("size", "b_size")}
    return make_problem(**{**LARGE, **sizes}, rate=rate, **options)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_many_channels_and_tiles(dtype):
    judge_all(large(1, dtype=dtype, kind="natural"), FAMILIES)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["noise", "natural"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_many_channels_and_tiles_in_every_way(dtype, kind):
    judge_all(large(2, dtype=dtype, kind=kind), [*FAMILIES, *GENERIC])


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 8, 16, 24, 64, 130, 256])
@pytest.mark.parametrize("rate", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_channels_and_rates(dtype, rate, channels):
    problem = make_problem(
        channels=channels, size=(9 * rate, 17 * rate), b_size=(18 * rate, 10 * rate), rate=rate,
        mask="irregular", dtype=dtype,
    )  # fmt: skip
    judge_all(problem, FAMILIES)


# Maps with several tiles per axis, and ends that tiles do not divide.
WRAPPED = [((26, 26), (26, 26)), ((17, 40), (40, 17)), ((33, 16), (15, 41)), ((1, 70), (70, 1))]


def wrapped(size, b_size, fuse_k, limit):
    problem = make_problem(
        size=size, b_size=b_size, kind="natural", mask="irregular", fuse_k=fuse_k, skip="never"
    )
    judge_all(problem, [replace(s, scratch_limit=limit) for s in FAMILIES])


@pytest.mark.parametrize(("size", "b_size"), [((9, 18), (18, 9)), ((1, 35), (35, 1))])
@pytest.mark.parametrize("fuse_k", [3, 5])
def test_wraps_that_cross_tiles(size, b_size, fuse_k):
    wrapped(size, b_size, fuse_k, limit=60_000)


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0, 1, 500_000])
@pytest.mark.parametrize(("size", "b_size"), WRAPPED)
@pytest.mark.parametrize("fuse_k", [3, 5, 17])
def test_wraps_that_cross_many_tiles(size, b_size, fuse_k, limit):
    wrapped(size, b_size, fuse_k, limit)


@pytest.mark.parametrize("mask", ["none", "all", "per_sample", "nearly_all", "edge"])
@pytest.mark.parametrize("semantics", ["tf", "torch", "mmagic"])
def test_masks_and_semantics(mask, semantics):
    problem = make_problem(batch=2, size=(18, 22), rate=2, mask=mask, semantics=semantics)
    judge_all(problem, FAMILIES)


@pytest.mark.parametrize("rate", [1, 2, 3, 4])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_values_of_any_scale(rate, scale):
    problem = make_problem(
        size=(6 * rate, 10 * rate), b_size=(9 * rate, 7 * rate), rate=rate, value_scale=scale,
        value_channels=5, query=True,
    )  # fmt: skip
    judge_all(problem, FAMILIES)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_any_strides(layout, dtype):
    p = make_problem(batch=2, size=(12, 20), rate=2, value_scale=2, query=True, dtype=dtype)
    assert p.mask is not None and p.values is not None and p.query_mask is not None
    strided = Problem(
        laid_out(p.f, layout),
        laid_out(p.b, layout),
        laid_out(p.mask.bool(), layout),
        laid_out(p.values, layout),
        laid_out(p.query_mask.bool(), layout),
        p.options,
    )
    for schedule in FAMILIES:
        plain = attention(schedule)(**p.attention_arguments())
        y = attention(schedule)(**strided.attention_arguments())
        assert torch.equal(y, plain)
        last = strided.f.is_contiguous(memory_format=torch.channels_last)
        assert y.is_contiguous(memory_format=torch.channels_last) == last
        judge(strided, attention(schedule))


def test_a_map_matched_with_itself_gets_both_gradients():
    judge_all(make_problem(kind="natural", size=(32, 24), rate=2, f_is_b=True), FAMILIES)


@pytest.mark.parametrize("needed", ["f", "b", "values"])
def test_gradients_that_are_needed_alone(needed):
    """They are the same up to rounding: less is computed, perhaps by other kernels."""
    problem = make_problem(size=(16, 20), rate=2, value_scale=2)
    whole = problem.requires_grad()
    attention(Schedule())(**whole.attention_arguments()).sum().backward()
    leaf = getattr(problem, needed).clone().requires_grad_()
    alone = replace(problem, **{needed: leaf})
    attention(Schedule())(**alone.attention_arguments()).sum().backward()
    expected = getattr(whole, needed).grad
    atol = 1e-5 * float(expected.abs().max())
    torch.testing.assert_close(leaf.grad, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("rate", [1, 2])
@pytest.mark.parametrize("pixel", [(7, 7), (8, 3), (3, 8), (8, 8), (9, 15)])
def test_one_pixel_queried_at_the_border_of_tiles(pixel, rate):
    problem = make_problem(size=(10 * rate, 17 * rate), rate=rate, mask="none")
    query = torch.zeros(1, 1, 10 * rate, 17 * rate)
    query[..., rate * pixel[0], rate * pixel[1]] = 1
    judge(replace(problem, query_mask=query), attention(Schedule()), allow_skipping=False)


@pytest.mark.parametrize("semantics", ["tf", "mmagic"])
@pytest.mark.parametrize("scale", [-500.0, 500.0])
def test_scores_far_from_zero(scale, semantics):
    problem = make_problem(channels=47, size=(21, 15), semantics=semantics, softmax_scale=scale)
    judge(problem, attention(Schedule()), allow_skipping=False)


TF32 = [replace(schedule, allow_tf32=True) for schedule in FAMILIES]


@pytest.mark.parametrize("name", GOLDEN)
def test_tf32_golden_cases(name):
    judge_all(golden.load(name).problem, TF32, tf32=True)


def test_tf32_of_many_channels_and_tiles():
    judge_all(large(1), TF32, tf32=True)


def test_tf32_is_coarser_and_only_on_request():
    problem = make_problem(channels=32, size=(12, 12))
    exact = attention(Schedule())(**problem.attention_arguments())
    rounded = attention(TF32[0])(**problem.attention_arguments())
    truth = reference.contextual_attention(**problem.to(torch.float64).attention_arguments())
    assert (rounded - truth).abs().max() > 10 * (exact - truth).abs().max()
