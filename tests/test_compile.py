"""torch.compile without a graph break, with dynamic shapes, and torch.export."""

from __future__ import annotations

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

import gica_ops
from gica_ops.testing import make_problem


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def test_compiles_whole_and_once_for_every_size(backend):
    def layer(f, b, mask):
        result = gica_ops.contextual_attention(
            f, b, mask, rate=2, return_offsets=True, backend=backend
        )
        return 2 * result.output, result.offsets

    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend=counter)
    compilations = []
    for size in ((20, 24), (24, 32), (40, 20)):
        p = make_problem(batch=2, size=size, rate=2).requires_grad()
        y, offsets = compiled(p.f, p.b, p.mask)
        y.sum().backward()
        gradients = p.f.grad, p.b.grad
        p.f.grad = p.b.grad = None
        expected, expected_offsets = layer(p.f, p.b, p.mask)
        expected.sum().backward()
        torch.testing.assert_close(y, expected)
        assert torch.equal(offsets, expected_offsets)
        torch.testing.assert_close(gradients, (p.f.grad, p.b.grad))
        compilations.append(counter.frame_count)
    assert compilations[-1] == compilations[0]


def test_compiles_with_the_default_backend(cpu):
    p = make_problem(batch=2, rate=2, query=True, value_scale=2)

    def layer(f, b, mask, values, query_mask):
        module = gica_ops.ContextualAttention(rate=2, backend=cpu)
        match = gica_ops.match(f, b, mask, rate=2, backend=cpu)
        return module(f, b, mask, values=values, query_mask=query_mask) + match.scores.mean()

    compiled = torch.compile(layer, fullgraph=True)
    arguments = (p.f, p.b, p.mask, p.values, p.query_mask)
    torch.testing.assert_close(compiled(*arguments), layer(*arguments))


def test_compiles_under_autocast(backend):
    p = make_problem(rate=2)

    @torch.compile(fullgraph=True, backend="aot_eager")
    def layer(f, b):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return gica_ops.contextual_attention(f, b, p.mask, rate=2, backend=backend)

    y = layer(p.f.bfloat16(), p.b)
    assert y.dtype == torch.float32


def test_errors_are_raised_from_compiled_code_too(backend):
    compiled = torch.compile(
        lambda f: gica_ops.contextual_attention(f, f, rate=2, backend=backend), backend="eager"
    )
    with pytest.raises(Exception, match="must be multiples of rate=2"):
        compiled(torch.randn(1, 3, 7, 8))


@pytest.mark.parametrize("strict", [False, True])
def test_exports_with_dynamic_sizes(strict, backend):
    if strict and backend == "reference":
        pytest.skip("plain PyTorch, slow to trace: once is enough")
    layer = gica_ops.ContextualAttention(rate=2, return_offsets=True, backend=backend)
    p = make_problem(batch=2, size=(20, 24), rate=2)
    height, width = (2 * torch.export.Dim(n, min=2, max=64) for n in ("height", "width"))
    sizes = {2: height, 3: width}
    program = torch.export.export(
        layer, (p.f, p.b, p.mask), dynamic_shapes=(sizes, sizes, sizes), strict=strict
    )
    if backend == "cpu":
        called = {str(n.target) for n in program.graph.nodes if n.op == "call_function"}
        assert "gica_ops.attend.default" in called
    other = make_problem(batch=2, size=(32, 20), rate=2)
    actual = program.module()(other.f, other.b, other.mask)
    expected = layer(other.f, other.b, other.mask)
    torch.testing.assert_close(actual.output, expected.output)
    assert torch.equal(actual.offsets, expected.offsets)


def test_devices_without_kernels_run_the_reference():
    f = torch.empty(2, 8, 16, 16, device="meta")
    result = gica_ops.contextual_attention(f, f, rate=2, return_offsets=True)
    assert result.output.is_meta and result.output.shape == f.shape
    assert result.offsets.is_meta and result.offsets.shape == (2, 2, 8, 8)
