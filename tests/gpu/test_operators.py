"""The operators on CUDA as PyTorch sees them: opcheck, autocast, vmap, compiled code, refusals."""

from __future__ import annotations

import itertools

import pytest
import torch

import gica_ops
from gica_ops import backends
from gica_ops.testing import Problem, make_problem
from tests.gpu.device import moved


def sample_problems() -> list[Problem]:
    size = {"size": (8, 12), "rate": 2}
    narrow = make_problem(size=(8, 24), rate=2)
    last = make_problem(**size, batch=2)
    return [
        make_problem(**size),
        make_problem(**size, batch=2, mask="per_sample", value_scale=2, query=True),
        make_problem(size=(20, 18), b_size=(9, 33), mask="irregular", semantics="mmagic"),
        make_problem(**size, dtype=torch.bfloat16, value_scale=1),
        make_problem(**size, channels=16, dtype=torch.float16, mask="all"),
        Problem(
            *(x.to(memory_format=torch.channels_last) for x in (last.f, last.b)),
            last.mask,
            options=last.options,
        ),
        Problem(narrow.f[..., ::2], narrow.b[..., 1::2], options=narrow.options),
    ]


PROBLEMS = sample_problems()


def attend_arguments(p: Problem, skip: bool = True, return_offsets: bool = True) -> tuple:
    hole, query = (None if m is None else m != 0 for m in (p.mask, p.query_mask))
    o = p.options
    windows = 3, o.get("rate", 1), o.get("fuse_k", 3)
    semantics = o.get("semantics", "tf")
    maps = p.f, p.b, hole, p.values, query
    return *maps, *windows, 10.0, semantics, skip, return_offsets, False


@pytest.mark.parametrize("i", range(len(PROBLEMS)))
def test_opcheck(i):
    ops = torch.ops.gica_ops
    p = moved(PROBLEMS[i])
    arguments = attend_arguments(p)
    torch.library.opcheck(ops.attend.default, arguments)
    torch.library.opcheck(ops.attend.default, attend_arguments(p.requires_grad(), False, False))
    y, row_max, row_sum, live, _ = ops.attend(*arguments)
    shared = torch.randn_like(y), *arguments[:5], row_max, row_sum, live, *arguments[5:10], False
    for need in itertools.product((True, False), repeat=3):
        torch.library.opcheck(
            ops.attend_backward.default,
            (*shared, *need),
            test_utils=("test_schema", "test_faketensor"),
        )
    f, b, hole, _, query, ksize, rate, fuse_k, _, semantics, *_ = arguments
    torch.library.opcheck(
        ops.match.default, (f, b, hole, query, ksize, rate, fuse_k, semantics, False)
    )


def test_auto_takes_the_kernels():
    here = torch.device("cuda", torch.cuda.current_device())
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        assert backends.select("auto", here, dtype) == "cuda"
    p = moved(make_problem(rate=2))
    auto, forced = (
        gica_ops.contextual_attention(**p.attention_arguments(), backend=name)
        for name in ("auto", "cuda")
    )
    assert torch.equal(auto, forced)


def test_float64_falls_to_the_reference():
    p = moved(make_problem(rate=2, dtype=torch.float64))
    auto = gica_ops.contextual_attention(**p.attention_arguments())
    expected = gica_ops.contextual_attention(**p.attention_arguments(), backend="reference")
    assert torch.equal(auto, expected)
    with pytest.raises(ValueError, match="float64"):
        gica_ops.contextual_attention(**p.attention_arguments(), backend="cuda")
    with pytest.raises(RuntimeError, match="float64"):
        torch.ops.gica_ops.attend(*attend_arguments(p))


def test_tensors_on_two_devices_are_refused():
    p = make_problem(rate=2)
    on_cuda = moved(p)
    with pytest.raises(ValueError, match="b must be on the device of f"):
        gica_ops.contextual_attention(on_cuda.f, p.b)
    mixed = list(attend_arguments(on_cuda))
    mixed[2] = mixed[2].cpu()
    with pytest.raises(RuntimeError, match="on the device of f"):
        torch.ops.gica_ops.attend(*mixed)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_meets_at_the_widest_dtype(dtype):
    p = moved(make_problem(rate=2, value_scale=1))
    expected = gica_ops.contextual_attention(**p.attention_arguments(), backend="cuda")
    with torch.autocast("cuda", dtype=dtype):
        wide = gica_ops.contextual_attention(**p.attention_arguments(), backend="cuda")
        mixed = gica_ops.contextual_attention(p.f.to(dtype), p.b, p.mask, rate=2, backend="cuda")
        narrow = gica_ops.contextual_attention(
            p.f.to(dtype), p.b.to(dtype), p.mask, rate=2, backend="cuda"
        )
    assert torch.equal(wide, expected)
    assert (mixed.dtype, narrow.dtype) == (torch.float32, dtype)


def test_vmap():
    p = moved(make_problem(batch=6, rate=2, size=(8, 12), mask="per_sample"))

    def layer(f, b, mask):
        return gica_ops.contextual_attention(f, b, mask, rate=2, backend="cuda")

    f, b, mask = (x.unflatten(0, (3, 2)) for x in (p.f, p.b, p.mask))
    together = torch.vmap(layer)(f, b, mask)
    alone = torch.stack([layer(f[i], b[i], mask[i]) for i in range(3)])
    assert torch.equal(together, alone)


def test_compiles_whole_for_every_size():
    torch._dynamo.reset()

    def layer(f, b, mask):
        result = gica_ops.contextual_attention(f, b, mask, rate=2, return_offsets=True)
        return 2 * result.output, result.offsets

    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend="aot_eager")
    for size in ((20, 24), (24, 32)):
        p = moved(make_problem(batch=2, size=size, rate=2)).requires_grad()
        y, offsets = compiled(p.f, p.b, p.mask)
        y.sum().backward()
        gradients = p.f.grad, p.b.grad
        p.f.grad = p.b.grad = None
        expected, expected_offsets = layer(p.f, p.b, p.mask)
        expected.sum().backward()
        assert torch.equal(y, expected) and torch.equal(offsets, expected_offsets)
        torch.testing.assert_close(gradients, (p.f.grad, p.b.grad))
