"""What the CUDA backend decides without a device: reasons, fake tensors, precision."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import gica_ops
from gica_ops import _native, backends
from gica_ops.testing import make_problem

BUILD = _native.CudaBuild("13.0", "80, 90a-real, 100-real, 120-real", "")
CUDA = torch.device("cuda", 0)


@pytest.mark.parametrize(
    "capability", [(8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (11, 0), (12, 1), (13, 0)]
)
def test_devices_that_the_kernels_run_on(capability):
    assert _native.capability_reason(BUILD, (13, 0), capability) is None


@pytest.mark.parametrize(
    ("build", "driver", "capability", "words"),
    [
        (BUILD, (12, 8), (9, 0), "driver supports CUDA 12.8, .* built with 13.0: update"),
        (BUILD, (0, 0), (9, 0), "driver supports CUDA 0.0"),
        (BUILD, (13, 0), (7, 5), "need compute capability 8.0 or above, the device has 7.5"),
        (
            BUILD._replace(architectures="80-real, 120"),
            (13, 0),
            (11, 0),
            "nothing of which runs .* 11.0: .*GICA_CUDA_ARCHITECTURES=110",
        ),
        (BUILD._replace(architectures="90a"), (13, 0), (8, 0), "built for 90a, nothing of which"),
        (BUILD._replace(architectures="native"), (13, 0), (8, 0), "built for native, nothing"),
    ],
)
def test_devices_and_drivers_that_are_refused_in_a_sentence(build, driver, capability, words):
    reason = _native.capability_reason(build, driver, capability)
    assert reason is not None and re.search(words, reason)


@pytest.fixture
def kernels_on_cuda(monkeypatch):
    """As if the CUDA kernels were loaded, and a device were there."""
    monkeypatch.setattr(_native, "CUDA_REASON", None)
    monkeypatch.setattr(_native, "cuda_device_reason", lambda index: None)


def test_auto_takes_the_cuda_kernels_where_they_run(kernels_on_cuda):
    for dtype in (torch.float32, torch.bfloat16, torch.float16, None):
        assert backends.select("auto", CUDA, dtype) == "cuda"
    assert backends.select("auto", CUDA, torch.float64) == "reference"
    with pytest.raises(ValueError, match="backend='cuda' cannot run here: .*got float64 tensors"):
        backends.select("cuda", CUDA, torch.float64)
    with pytest.raises(ValueError, match="need tensors on a CUDA device, got tensors on cpu"):
        backends.select("cuda", torch.device("cpu"), torch.float32)


def test_auto_falls_to_the_reference_where_the_device_is_refused(kernels_on_cuda, monkeypatch):
    monkeypatch.setattr(_native, "cuda_device_reason", lambda index: f"device {index} is too old")
    assert backends.select("auto", CUDA, torch.float32) == "reference"
    with pytest.raises(ValueError, match="cannot run here: device 0 is too old"):
        backends.select("cuda", CUDA, torch.float32)


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a CUDA device")
def test_without_a_device_the_reason_is_a_sentence(monkeypatch):
    monkeypatch.setattr(_native, "CUDA_REASON", None)
    assert "no CUDA device" in str(backends.can_run("cuda", CUDA))


@pytest.mark.parametrize("reason", [None, "the device is too old"])
def test_a_device_is_asked_once_while_compiling(monkeypatch, reason):
    """The question goes to the driver: the compiler must take its answer, not trace it."""
    torch._dynamo.reset()
    asked = []
    monkeypatch.setattr(_native, "CUDA_REASON", None)
    # For this module alone: the compiler would believe it, and ask the device for its state.
    there = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: True))
    monkeypatch.setattr(_native, "torch", there)
    monkeypatch.setattr(_native, "_reason_of_device", lambda i: asked.append(i) or reason)

    def chosen(x):
        return x + (1 if backends.select("auto", CUDA, torch.float32) == "cuda" else 2)

    compiled = torch.compile(chosen, fullgraph=True, backend="eager")
    assert compiled(torch.zeros(1)) == compiled(torch.zeros(1)) == (1 if reason is None else 2)
    assert asked == [0]


def fake_problem(**options):
    """A problem of tensors that say they are on a CUDA device, and hold nothing."""
    p = make_problem(batch=2, channels=4, size=(28, 30), b_size=(18, 46), rate=2, **options)
    hole = None if p.mask is None else p.mask != 0
    with FakeTensorMode():
        f, b = (torch.empty(x.shape, dtype=x.dtype, device="cuda") for x in (p.f, p.b))
        hole = None if hole is None else torch.empty(hole.shape, dtype=torch.bool, device="cuda")
    return f, b, hole


@pytest.mark.usefixtures("cpu")
def test_fake_tensors_on_cuda_have_the_shapes_of_the_kernels():
    f, b, hole = fake_problem()
    y, row_max, row_sum, live, offsets = torch.ops.gica_ops.attend(
        f, b, hole, None, None, 3, 2, 3, 10.0, "tf", True, True, False
    )
    assert {t.device.type for t in (y, row_max, row_sum, live, offsets)} == {"cuda"}
    assert y.shape == f.shape and row_max.shape == row_sum.shape == (2, 14, 15)
    # Grids of 15 x 16 and 10 x 24 positions: 2 x 2 and 2 x 3 tiles.
    assert live.shape == (2, 4, 6) and live.dtype == torch.uint8
    assert offsets.shape == (2, 2, 14, 15)
    df, db, dvalues = torch.ops.gica_ops.attend_backward(
        y, f, b, hole, None, None, row_max, row_sum, live, 3, 2, 3, 10.0, "tf", False,
        True, True, True,
    )  # fmt: skip
    assert df.shape == f.shape and db.shape == b.shape and dvalues.shape == (0,)
    offsets, scores = torch.ops.gica_ops.match(f, b, hole, None, 3, 2, 3, "tf", False)
    assert offsets.shape == (2, 2, 14, 15) and scores.shape == (2, 14, 15)


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("strict", [False, True])
def test_layer_on_fake_cuda_tensors_is_traced_to_the_operator(kernels_on_cuda, strict):
    f, b, hole = fake_problem()
    layer = gica_ops.ContextualAttention(rate=2, return_offsets=True)
    program = torch.export.export(layer, (f, b, hole), strict=strict)
    called = [str(n.target) for n in program.graph.nodes if n.op == "call_function"]
    assert "gica_ops.attend.default" in called


@pytest.fixture
def precision():
    """PyTorch's setting, as it was before the test."""
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    yield matmul
    matmul.fp32_precision = before


def set_legacy_precision(allowed):
    torch.set_float32_matmul_precision("high" if allowed else "highest")


def set_legacy_flag(allowed):
    torch.backends.cuda.matmul.allow_tf32 = allowed


def set_precision(allowed):
    torch.backends.cuda.matmul.fp32_precision = "tf32" if allowed else "ieee"


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("setter", [set_legacy_precision, set_legacy_flag, set_precision])
@pytest.mark.parametrize("name", ["attend", "match"])
def test_compiled_code_follows_the_float32_precision(precision, setter, name):
    """Read while compiling, without a graph break; a change compiles again."""
    torch._dynamo.reset()
    seen = []

    def look(graph, _):
        (call,) = (n for n in graph.graph.nodes if f"gica_ops.{name}" in str(n.target))
        seen.append(call.args[-1])
        return graph.forward

    functions = {"attend": gica_ops.contextual_attention, "match": gica_ops.match}
    compiled = torch.compile(
        lambda f: functions[name](f, f, backend="cpu"), fullgraph=True, backend=look
    )
    f = torch.randn(1, 2, 6, 6)
    for allowed in (False, True, False, True):
        setter(allowed)
        compiled(f)
    assert seen == [False, True]


@pytest.mark.usefixtures("cpu")
def test_backward_has_the_precision_of_the_forward(precision, monkeypatch):
    """It recomputes the scores: they must come out as they did."""
    seen = []
    original = torch.ops.gica_ops.attend_backward
    monkeypatch.setattr(
        torch.ops.gica_ops, "attend_backward", lambda *a: seen.append(a[14]) or original(*a)
    )
    f = torch.randn(1, 2, 6, 6, requires_grad=True)
    for allowed in (False, True):
        set_precision(allowed)
        y = gica_ops.contextual_attention(f, f, backend="cpu")
        set_precision(not allowed)
        y.sum().backward()
    assert seen == [False, True]
