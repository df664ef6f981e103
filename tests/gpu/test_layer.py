"""The layer on CUDA against the reference in float64 and the golden numbers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings

import gica_ops
from gica_ops import reference
from gica_ops.testing import Problem, assert_close_to_float64, largest_error, make_problem
from tests import golden
from tests.gpu import device, small
from tests.judge import judge, judge_match, judge_offsets, run, weights
from tests.strategies import LAYOUTS, laid_out, problems
from tests.tiles import PASTES, WALKS

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
WITH_GRADIENTS = [n for n in golden.NAMES if golden.load(n).has_gradients]
STORED, STORED_GRADIENT = 2e-5, 2e-5  # as in test_golden.py, for float32
# The autouse fixtures need no reset between the examples.
examples = settings(suppress_health_check=[*HealthCheck])


@pytest.mark.parametrize("name", golden.NAMES)
def test_golden_output_and_offsets(name):
    case = golden.load(name)
    p = case.problem
    result = device.attention(**p.attention_arguments(), return_offsets=True)
    torch.testing.assert_close(result.output, case.expected["y"], rtol=0, atol=STORED)
    flat = result.offsets[:, 0] * (p.b.shape[3] // p.options["rate"]) + result.offsets[:, 1]
    clear = case.expected["argmax_margin"] > golden.CLEAR_MARGIN
    assert torch.equal(flat[clear], case.expected["argmax_flat"].long()[clear])
    matched = device.match(**p.match_arguments())
    assert torch.equal(matched.offsets, result.offsets)


@pytest.mark.parametrize("name", WITH_GRADIENTS)
def test_golden_gradients(name):
    case = golden.load(name)
    problem = case.problem.requires_grad()
    device.attention(**problem.attention_arguments()).backward(case.expected["g"])
    for key, gradient in case.gradients(problem).items():
        most = float(case.expected[key].abs().max())
        torch.testing.assert_close(
            gradient, case.expected[key], rtol=0, atol=STORED_GRADIENT * most, msg=key
        )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", golden.NAMES)
def test_golden_problems_in_every_dtype(name, dtype):
    judge(golden.load(name).problem.to(dtype), device.attention, allow_skipping=False)


@examples
@given(problems())
def test_any_problem(problem):
    assume(problem.f.dtype != torch.float64)
    judge(problem, device.attention)


@examples
@given(problems())
def test_any_match(problem):
    assume(problem.f.dtype != torch.float64)
    judge_match(problem, device.match)
    result = device.attention(**problem.attention_arguments(), return_offsets=True)
    judge_offsets(problem, result.offsets)


@pytest.mark.slow
@examples
@given(problems(most=30))
def test_many_larger_problems(problem):
    assume(problem.f.dtype != torch.float64)
    judge(problem, device.attention)
    judge_match(problem, device.match)


@pytest.fixture
def tf32():
    before = torch.backends.cuda.matmul.fp32_precision
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    yield
    torch.backends.cuda.matmul.fp32_precision = before


@pytest.mark.parametrize("kind", ["noise", "natural"])
@pytest.mark.parametrize("channels", [3, 64, 128])
def test_tf32_where_the_setting_allows_it(kind, channels, tf32):
    problem = make_problem(kind=kind, channels=channels, size=(40, 44), rate=2)
    judge(problem, device.attention, tf32=True)


def test_true_float32_is_the_default():
    """TF32 would be off by 2^-11 of a score in the tens."""
    problem = make_problem(channels=128, size=(32, 32), rate=2)
    judge(problem, device.attention)


@pytest.mark.parametrize("skip", ["auto", "never"])
@pytest.mark.parametrize(
    ("size", "b_size"),
    [((34, 34), (34, 34)), ((17, 50), (50, 17)), ((33, 16), (15, 41)), ((1, 70), (70, 1))],
)
@pytest.mark.parametrize("kind", ["noise", "natural"])
def test_wraps_that_cross_tiles(size, b_size, kind, skip):
    problem = make_problem(
        size=size, b_size=b_size, kind=kind, mask="irregular", fuse_k=5, skip=skip, batch=2
    )
    judge(problem, device.attention)
    judge_match(problem, device.match)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("channels", [1, 3, 16, 64, 128, 129, 192, 256, 300])
@pytest.mark.parametrize("rate", [1, 2, 4])
def test_channels_rates_and_dtypes(channels, rate, dtype):
    size = (26 * rate, 21 * rate)
    problem = make_problem(channels=channels, size=size, rate=rate, dtype=dtype, kind="natural")
    judge(problem, device.attention, count=2)


@pytest.mark.parametrize("mask", ["none", "all", "per_sample", "nearly_all", "edge"])
@pytest.mark.parametrize("semantics", ["tf", "torch", "mmagic"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_masks_and_semantics(mask, semantics, dtype):
    problem = make_problem(
        batch=3, size=(40, 28), rate=2, mask=mask, semantics=semantics, dtype=dtype
    )
    judge(problem, device.attention)
    judge_match(problem, device.match)


@pytest.mark.parametrize("rate", [1, 2, 3, 4])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_values_of_any_scale(rate, scale):
    problem = make_problem(
        size=(6 * rate, 10 * rate), b_size=(9 * rate, 7 * rate), rate=rate, value_scale=scale,
        value_channels=5, query=True,
    )  # fmt: skip
    judge(problem, device.attention)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_any_strides(layout, dtype):
    p = make_problem(batch=2, size=(16, 20), rate=2, value_scale=2, query=True, dtype=dtype)
    plain = judge(p, device.attention)
    assert p.mask is not None and p.values is not None and p.query_mask is not None
    strided = Problem(
        laid_out(p.f, layout),
        laid_out(p.b, layout),
        laid_out(p.mask.bool(), layout),
        laid_out(p.values, layout),
        laid_out(p.query_mask.bool(), layout),
        p.options,
    )
    y = device.attention(**strided.attention_arguments())
    assert torch.equal(y, plain["output"])


@pytest.mark.parametrize("kind", ["noise", "natural"])
def test_a_map_matched_with_itself_gets_both_gradients(kind):
    judge(make_problem(kind=kind, size=(32, 24), rate=2, f_is_b=True), device.attention)


@pytest.mark.parametrize("pixel", [(7, 7), (8, 3), (3, 8), (8, 8), (9, 15)])
def test_one_pixel_queried_at_the_border_of_tiles(pixel):
    problem = make_problem(size=(20, 34), rate=2, mask="none")
    query = torch.zeros(1, 1, 20, 34)
    query[..., 2 * pixel[0], 2 * pixel[1]] = 1
    judge(replace(problem, query_mask=query), device.attention, allow_skipping=False)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_reaches_what_it_reaches_in_the_reference(bad):
    problem = make_problem(size=(48, 40), rate=2, kind="natural")
    f = problem.f.clone()
    f[0, 3, 22, 18] = bad
    problem = replace(problem, f=f)
    expected = reference.contextual_attention(**problem.attention_arguments())
    y = device.attention(**problem.attention_arguments())
    assert torch.equal(y.isnan(), expected.isnan()) and y.isnan().any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", ["noise", "natural"])
def test_the_size_of_a_network(kind, dtype):
    """128 channels at rate 2: many tiles per axis."""
    problem = make_problem(
        channels=128, size=(128, 120), rate=2, kind=kind, dtype=dtype, f_is_b=True
    )
    judge(problem, device.attention, count=2)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", WALKS)
def test_walks_of_every_width(name, dtype):
    problem = make_problem(**{"mask": "irregular", **WALKS[name]}, dtype=dtype)
    judge(problem, device.attention)
    judge_match(problem, device.match)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", PASTES)
def test_pastes_of_every_shape(name, dtype):
    problem = make_problem(**{"mask": "irregular", **PASTES[name]}, dtype=dtype)
    judge(problem, device.attention)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("options", [*WALKS.values(), *PASTES.values()])
def test_kernels_of_every_device_agree_with_its_own(options, dtype, monkeypatch):
    """On a device that has none of its own they are the same."""
    problem = make_problem(**{"mask": "irregular", **options}, dtype=getattr(torch, dtype))
    own = small.compute(device.moved(problem), "cuda")
    monkeypatch.setenv("GICA_CUDA_FAMILY", "sm80")
    assert small.off_by(small.compute(device.moved(problem), "cuda"), own) <= small.MOST[dtype]


def test_a_family_that_is_none_is_a_sentence(monkeypatch):
    monkeypatch.setenv("GICA_CUDA_FAMILY", "sm70")
    with pytest.raises(RuntimeError, match="GICA_CUDA_FAMILY must be sm80 or empty, got sm70"):
        device.attention(**make_problem(size=(8, 8)).attention_arguments())


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("size", [(256, 256), (200, 390)], ids=str)
def test_several_strips(size, dtype):
    """An image of 1024 x 1024, and one wider than high: by the reference on the device, where it
    takes tens of GB. A single run of it may be lucky: it is given twice its error."""
    p = device.moved(make_problem(channels=64, size=size, rate=2, dtype=dtype, skip="never"))
    g = weights(p).cuda()
    exact = run(p.to(torch.float64), reference.contextual_attention, g)
    own = run(p, reference.contextual_attention, g)
    actual = run(p, partial(gica_ops.contextual_attention, backend="cuda"), g)
    for name, truth in exact.items():
        error = 2 * largest_error(own[name], truth, name)
        assert_close_to_float64(actual[name], error, truth, 2.0 if name == "output" else 3.0, name)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("semantics", ["tf", "mmagic"])
def test_small_samples_side_by_side(semantics, dtype):
    """A batch, each with a hole of its own: right, and each what it is alone, to a rounding."""
    problem = make_problem(
        batch=12, channels=64, size=(40, 36), rate=2, mask="per_sample", kind="natural",
        semantics=semantics, dtype=dtype,
    )  # fmt: skip
    judge(problem, device.attention, count=2)
    together = device.attention(**problem.attention_arguments())
    for n, expected in enumerate(together.split(1)):
        f, b, mask = (x[n : n + 1] for x in (problem.f, problem.b, problem.mask))
        alone = replace(problem, f=f, b=b, mask=mask)
        torch.testing.assert_close(device.attention(**alone.attention_arguments()), expected)


def test_the_reference_runs_on_cuda():
    p = make_problem(batch=2, rate=2, mask="per_sample", value_scale=2, query=True)
    expected = reference.contextual_attention(**p.attention_arguments())
    y = reference.contextual_attention(**device.moved(p).attention_arguments())
    torch.testing.assert_close(y.cpu(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_4k_matches_itself():
    """P * Q passes 2^33. In noise every known position looks at itself, and copies itself."""
    torch.manual_seed(0)
    f = torch.randn(1, 32, 540, 960, device="cuda", dtype=torch.bfloat16)
    result = gica_ops.contextual_attention(f, f, rate=2, return_offsets=True, backend="cuda")
    rows = torch.arange(270, device="cuda")[:, None].expand(270, 480)
    columns = torch.arange(480, device="cuda").expand(270, 480)
    # Where propagation reaches past the ends of the matrix a neighbour may win.
    inner = (slice(None), slice(2, -2), slice(2, -2))
    expected = torch.stack((rows, columns))[None]
    wrong = (result.offsets != expected).any(1)[inner].float().mean()
    assert wrong < 1e-3
    same = torch.isclose(result.output, f, rtol=0.02, atol=0.02)[:, :, 8:-8, 8:-8].float().mean()
    assert same > 0.999
