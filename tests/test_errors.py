"""Every misuse is answered with a sentence that names the argument and what was expected."""

from __future__ import annotations

import pytest
import torch

import gica_ops
from gica_ops import reference

F = torch.zeros(2, 3, 8, 12)


def ones(*shape, **options):
    return torch.ones(shape, **options)


# (what is passed instead, the exception, its sentence)
COMMON = [
    ({"f": [1, 2]}, TypeError, r"f must be a torch.Tensor, got list"),
    ({"b": None}, TypeError, r"b must be a torch.Tensor, got NoneType"),
    ({"f": ones(3, 8, 12)}, ValueError, r"f must have 4 dimensions .* got 3: shape \(3, 8, 12\)"),
    ({"b": ones(2, 3, 8)}, ValueError, r"b must have 4 dimensions"),
    ({"f": F.int()}, TypeError, r"f must be one of torch.float32.* got torch.int32"),
    ({"f": F.to(torch.complex64)}, TypeError, r"f must be one of .* got torch.complex64"),
    ({"b": F.double()}, TypeError, r"b must have the dtype of f, torch.float32, got torch.float64"),
    ({"b": F.to("meta")}, ValueError, r"b must be on the device of f, cpu, got meta"),
    ({"b": ones(1, 3, 8, 12)}, ValueError, r"b must have the batch size of f, 2, got 1"),
    ({"b": ones(2, 4, 8, 12)}, ValueError, r"b must have as many channels as f, 3, got 4"),
    (
        {"f": ones(0, 3, 8, 12), "b": ones(0, 3, 8, 12)},
        ValueError,
        r"f must not be empty, got shape",
    ),
    ({"f": ones(2, 0, 8, 12)}, ValueError, r"f must not be empty"),
    ({"b": ones(2, 3, 8, 0)}, ValueError, r"b must not be empty, got shape \(2, 3, 8, 0\)"),
    ({"rate": 3}, ValueError, r"height and width of f must be multiples of rate=3, got 8 x 12"),
    ({"b": ones(2, 3, 7, 12), "rate": 2}, ValueError, r"of b must be multiples of rate=2, got 7 x"),
    ({"rate": 0}, ValueError, r"rate must be at least 1, got 0"),
    ({"rate": 2.0}, TypeError, r"rate must be an int, got float"),
    ({"rate": True}, TypeError, r"rate must be an int, got bool"),
    ({"stride": 2}, ValueError, r"stride must be 1, got 2"),
    ({"stride": "1"}, TypeError, r"stride must be an int, got str"),
    ({"ksize": 4}, ValueError, r"ksize must be odd, .* got 4"),
    ({"ksize": -1}, ValueError, r"ksize must be at least 1, got -1"),
    ({"ksize": 65}, ValueError, r"ksize must be at most 63, got 65"),
    ({"fuse_k": 2}, ValueError, r"fuse_k must be odd, .* got 2"),
    ({"fuse_k": 0}, ValueError, r"fuse_k must be at least 1, got 0"),
    ({"fuse_k": 2, "fuse": False}, ValueError, r"fuse_k must be odd"),
    ({"mask": 1}, TypeError, r"mask must be a torch.Tensor, got int"),
    (
        {"mask": ones(8, 12)},
        ValueError,
        r"mask must have shape \(1 or 2, 1, 8, 12\), got \(8, 12\)",
    ),
    ({"mask": ones(3, 1, 8, 12)}, ValueError, r"mask must have shape .* got \(3, 1, 8, 12\)"),
    ({"mask": ones(1, 3, 8, 12)}, ValueError, r"mask must have shape .* got \(1, 3, 8, 12\)"),
    ({"mask": ones(1, 1, 12, 8)}, ValueError, r"mask must have shape .* got \(1, 1, 12, 8\)"),
    ({"mask": ones(1, 1, 8, 12, device="meta")}, ValueError, r"mask must be on the device of f"),
    ({"mask": ones(1, 1, 8, 12, dtype=torch.complex64)}, TypeError, r"mask must be boolean"),
    ({"b": ones(2, 3, 4, 4), "mask": ones(1, 1, 8, 12)}, ValueError, r"mask must have .*1, 4, 4\)"),
    (
        {"query_mask": ones(1, 1, 4, 6)},
        ValueError,
        r"query_mask must have shape \(1 or 2, 1, 8, 12",
    ),
    (
        {"semantics": "keras"},
        ValueError,
        r"semantics must be one of 'tf', 'torch', 'mmagic', got 'k",
    ),
    ({"semantics": None}, ValueError, r"semantics must be one of .* got None"),
]
ATTENTION = [
    ({"softmax_scale": "10"}, TypeError, r"softmax_scale must be a number, got str"),
    ({"softmax_scale": float("nan")}, ValueError, r"softmax_scale must be finite, got nan"),
    ({"softmax_scale": float("-inf")}, ValueError, r"softmax_scale must be finite, got -inf"),
    ({"skip": "always"}, ValueError, r"skip must be one of 'auto', 'never', got 'always'"),
    ({"skip": True}, ValueError, r"skip must be one of 'auto', 'never', got True"),
    ({"deterministic": 1}, TypeError, r"deterministic must be None, True or False, got int"),
    ({"values": ones(2, 8, 12)}, ValueError, r"values must have 4 dimensions"),
    ({"values": ones(2, 5, 8, 12).double()}, TypeError, r"values must have the dtype of f"),
    ({"values": ones(1, 5, 8, 12)}, ValueError, r"values must have the batch size of f, 2, got 1"),
    ({"values": ones(2, 5, 4, 6)}, ValueError, r"values must be s times .* \(8 x 12\).* got 4 x 6"),
    ({"values": ones(2, 5, 16, 12)}, ValueError, r"values must be s times .* got 16 x 12"),
    ({"values": ones(2, 5, 20, 30)}, ValueError, r"values must be s times .* got 20 x 30"),
    ({"values": ones(2, 0, 8, 12)}, ValueError, r"values must not be empty"),
    (
        {"values": ones(2, 5, 8, 12, device="meta")},
        ValueError,
        r"values must be on the device of f",
    ),
]


@pytest.mark.parametrize(("changes", "error", "sentence"), COMMON + ATTENTION)
def test_contextual_attention(changes, error, sentence, backend):
    with pytest.raises(error, match=sentence):
        gica_ops.contextual_attention(**{"f": F, "b": F, **changes}, backend=backend)


@pytest.mark.parametrize(("changes", "error", "sentence"), COMMON + ATTENTION)
def test_reference(changes, error, sentence):
    with pytest.raises(error, match=sentence):
        reference.contextual_attention(**{"f": F, "b": F, **changes})


@pytest.mark.parametrize(("changes", "error", "sentence"), COMMON)
def test_match(changes, error, sentence, backend):
    for function in (gica_ops.match, reference.match):
        with pytest.raises(error, match=sentence):
            function(**{"f": F, "b": F, **changes}, backend=backend)


OPTIONS = {
    "ksize",
    "stride",
    "fuse_k",
    "fuse",
    "softmax_scale",
    "semantics",
    "skip",
    "deterministic",
}


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [case for case in COMMON + ATTENTION if case[0].keys() <= OPTIONS],
)
def test_module_checks_its_options_when_it_is_made(changes, error, sentence):
    with pytest.raises(error, match=sentence):
        gica_ops.ContextualAttention(**changes)


def test_an_unknown_backend():
    for call in (
        lambda: gica_ops.contextual_attention(F, F, backend="tpu"),
        lambda: gica_ops.match(F, F, backend="tpu"),
        lambda: gica_ops.ContextualAttention(backend="tpu"),
    ):
        known = "'auto', 'cpu', 'cuda', 'reference'"
        with pytest.raises(ValueError, match=f"backend must be one of {known}, got 'tpu'"):
            call()


def test_a_backend_that_cannot_run_these_tensors():
    f = F.to("meta")
    with pytest.raises(ValueError, match=r"backend='cpu' cannot run here: the (CPU|native) .*"):
        gica_ops.contextual_attention(f, f, backend="cpu")


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (
            lambda: gica_ops.displacements([1]),
            TypeError,
            "offsets must be a torch.Tensor, got list",
        ),
        (lambda: gica_ops.displacements(ones(1, 2, 3, 3)), TypeError, "offsets must be int64"),
        (
            lambda: gica_ops.displacements(ones(1, 3, 3, 3)),
            ValueError,
            r"\(batch, 2, height, width",
        ),
        (lambda: gica_ops.flow_to_image(None), TypeError, "displacements must be a torch.Tensor"),
        (lambda: gica_ops.flow_to_image(ones(2, 3, 3)), ValueError, r"got \(2, 3, 3\)"),
        (lambda: gica_ops.flow_to_image(ones(1, 2, 0, 3)), ValueError, "not be empty"),
        (lambda: gica_ops.flow_to_image(ones(1, 2, 1, 1) * 1j), TypeError, "must be real"),
    ],
)
def test_flow(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()
