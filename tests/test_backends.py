"""Backends by name, the module, and the package where the native library is missing."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import torch

import gica_ops
from gica_ops import backends
from gica_ops.testing import make_problem


def test_reasons_are_sentences():
    for device in (None, "cpu", "cuda", torch.device("mps")):
        found = gica_ops.available_backends(device)
        assert list(found) == ["cpu", "cuda", "reference"]
        assert found["reference"] is None
        for name in ("cpu", "cuda"):
            assert found[name] is None or len(found[name].split()) > 4
    assert "tensors on cuda" in (gica_ops.available_backends("cuda")["cpu"] or "") or (
        gica_ops.available_backends()["cpu"] is not None
    )


def test_auto_takes_the_kernels_where_they_run(cpu):
    assert backends.select("auto", torch.device("cpu")) == cpu
    assert backends.select("auto", torch.device("mps")) == "reference"
    p = make_problem(rate=2)
    auto, forced = (
        gica_ops.contextual_attention(**p.attention_arguments(), backend=name)
        for name in ("auto", cpu)
    )
    assert torch.equal(auto, forced)


def test_module_does_what_the_function_does(backend):
    p = make_problem(batch=2, rate=2, value_scale=2, query=True)
    module = gica_ops.ContextualAttention(
        ksize=5, rate=2, fuse_k=5, softmax_scale=3.0, semantics="mmagic", return_offsets=True,
        backend=backend,
    )  # fmt: skip
    result = module(p.f, p.b, p.mask, values=p.values, query_mask=p.query_mask)
    expected = gica_ops.contextual_attention(
        **p.with_options(ksize=5, fuse_k=5, softmax_scale=3.0, semantics="mmagic")
        .attention_arguments(),
        return_offsets=True, backend=backend,
    )  # fmt: skip
    assert torch.equal(result.output, expected.output)
    assert torch.equal(result.offsets, expected.offsets)
    assert not list(module.parameters()) and not module.state_dict()
    assert "ksize=5" in repr(module) and "semantics='mmagic'" in repr(module)


def test_module_can_be_copied_and_saved(tmp_path):
    module = gica_ops.ContextualAttention(rate=2)
    torch.save(module, tmp_path / "layer.pt")
    loaded = torch.load(tmp_path / "layer.pt", weights_only=False)
    assert repr(loaded) == repr(module)


def test_without_the_native_library_everything_runs_on_the_reference():
    """In a fresh interpreter in which the library cannot be imported."""
    program = """
        import sys
        sys.modules["gica_ops._C"] = None  # makes its import fail
        import torch, gica_ops
        assert "not built" in gica_ops.available_backends()["cpu"]
        assert "not built" in gica_ops.available_backends()["cuda"]
        f = torch.randn(1, 4, 8, 8, requires_grad=True)
        gica_ops.contextual_attention(f, f, rate=2).sum().backward()
        gica_ops.match(f, f, rate=2)
        try:
            gica_ops.contextual_attention(f, f, backend="cpu")
        except ValueError as error:
            assert "was not built" in str(error), error
        else:
            raise AssertionError("backend='cpu' ran")
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)
