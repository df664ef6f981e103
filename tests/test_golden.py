"""Every golden case through every backend: output, gradients, arg-max, intermediates, flow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gica_ops
from gica_ops import reference
from tests import golden
from tests.judge import judge

WITH_GRADIENTS = [n for n in golden.NAMES if golden.load(n).has_gradients]
WITH_INTERMEDIATES = [n for n in golden.NAMES if golden.load(n).has_intermediates]
# What the stored float32 numbers themselves differ from float64; and more for float32, whose own
# error differs tenfold with the order of additions.
STORED = {torch.float64: 4e-6, torch.float32: 2e-5}
STORED_GRADIENT = {torch.float64: 1e-5, torch.float32: 2e-5}


def test_the_cases_are_there():
    assert len(golden.NAMES) == 30
    assert len(WITH_GRADIENTS) == 10
    assert len(WITH_INTERMEDIATES) == 4


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", golden.NAMES)
def test_output_and_offsets(name, dtype, backend):
    case = golden.load(name)
    problem = case.problem.to(dtype)
    result = gica_ops.contextual_attention(
        **problem.attention_arguments(), return_offsets=True, backend=backend
    )
    torch.testing.assert_close(
        result.output, case.expected["y"].to(dtype), rtol=0, atol=STORED[dtype]
    )
    flat = result.offsets[:, 0] * (problem.b.shape[3] // problem.options["rate"])
    flat = flat + result.offsets[:, 1]
    clear = case.expected["argmax_margin"] > golden.CLEAR_MARGIN
    assert torch.equal(flat[clear], case.expected["argmax_flat"].long()[clear])
    matched = gica_ops.match(**problem.match_arguments(), backend=backend)
    assert torch.equal(matched.offsets, result.offsets)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", WITH_GRADIENTS)
def test_gradients(name, dtype, backend):
    case = golden.load(name)
    problem = case.problem.to(dtype).requires_grad()
    y = gica_ops.contextual_attention(**problem.attention_arguments(), backend=backend)
    y.backward(case.expected["g"].to(dtype))
    gradients = case.gradients(problem)
    assert len(gradients) == (1 if problem.f is problem.b else 2)
    for key, gradient in gradients.items():
        largest = float(case.expected[key].abs().max())
        torch.testing.assert_close(
            gradient,
            case.expected[key].to(dtype),
            rtol=0,
            atol=STORED_GRADIENT[dtype] * largest,
            msg=lambda text, key=key: f"{key}: {text}",
        )


@pytest.mark.parametrize("skip", ["auto", "never"])
@pytest.mark.parametrize("name", golden.NAMES)
def test_kernels_are_as_near_to_float64_as_the_reference(name, skip, cpu):
    """The rule for float32: 2 times the reference's own error, 3 times for gradients."""
    problem = golden.load(name).problem.with_options(skip=skip)
    judge(problem, cpu, count=8, allow_skipping=False)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", WITH_INTERMEDIATES)
def test_intermediates(name, dtype):
    case = golden.load(name)
    p = case.problem.to(dtype)
    options = {k: v for k, v in p.options.items() if k != "stride"}
    inner = reference.intermediates(p.f, p.b, p.mask, **options)
    for key in ("scores", "fused", "attention"):
        expected = case.expected[key].flatten(3).flatten(1, 2).to(dtype)
        torch.testing.assert_close(getattr(inner, key), expected, rtol=0, atol=4e-6, msg=key)


@pytest.mark.parametrize("name", golden.NAMES)
def test_valid_background(name):
    case = golden.load(name)
    p = case.problem
    options = {k: v for k, v in p.options.items() if k != "stride"}
    valid = reference.intermediates(p.f, p.b, p.mask, **options).valid
    assert torch.equal(valid.flatten(), case.expected["valid"].flatten().bool())


@pytest.mark.parametrize("name", [n for n in golden.NAMES if "flow" in golden.load(n).expected])
def test_flow(name, backend):
    case = golden.load(name)
    rate = case.problem.options["rate"]
    offsets = gica_ops.match(**case.problem.match_arguments(), backend=backend).offsets
    moved = gica_ops.displacements(offsets)
    # Where two attentions are equal up to rounding the arg-max is anybody's.
    clear = (case.expected["argmax_margin"] > golden.CLEAR_MARGIN)[:, None].expand_as(moved)
    assert torch.equal(moved[clear], case.expected["offsets"].long()[clear])
    image = gica_ops.flow_to_image(case.expected["offsets"]).float() / 127.5 - 1
    rows, columns = (reference.aligned_indices(n, rate * n).tolist() for n in image.shape[2:])
    enlarged = image[:, :, rows][..., columns]
    assert np.array_equal(enlarged.numpy(), case.expected["flow"].numpy())
