"""The layer as functions: arguments are checked, a backend is chosen, the operator runs."""

from __future__ import annotations

from typing import Literal, overload

import torch
from torch import Tensor

from . import backends, checks, ops, reference  # noqa: F401  (ops registers the operators)
from .results import Attended, Match

__all__ = ["contextual_attention", "match"]


def _tf32_allowed() -> bool:
    """Whether PyTorch's settings let float32 products on CUDA be rounded to TF32."""
    return torch.backends.cuda.matmul.fp32_precision == "tf32"


# As torch.compiler.assume_constant_result does (see _native.py). Compiled code is guarded by this
# setting: after a change of it, it is compiled again.
_tf32_allowed._dynamo_marked_constant = True  # type: ignore[attr-defined]


@overload
def contextual_attention(
    f: Tensor,
    b: Tensor,
    mask: Tensor | None = None,
    ksize: int = 3,
    stride: int = 1,
    rate: int = 1,
    fuse_k: int = 3,
    softmax_scale: float = 10.0,
    *,
    fuse: bool = True,
    values: Tensor | None = None,
    query_mask: Tensor | None = None,
    semantics: str = "tf",
    return_offsets: Literal[False] = False,
    skip: str = "auto",
    deterministic: bool | None = None,
    backend: str = "auto",
) -> Tensor: ...


@overload
def contextual_attention(
    f: Tensor,
    b: Tensor,
    mask: Tensor | None = None,
    ksize: int = 3,
    stride: int = 1,
    rate: int = 1,
    fuse_k: int = 3,
    softmax_scale: float = 10.0,
    *,
    fuse: bool = True,
    values: Tensor | None = None,
    query_mask: Tensor | None = None,
    semantics: str = "tf",
    return_offsets: Literal[True],
    skip: str = "auto",
    deterministic: bool | None = None,
    backend: str = "auto",
) -> Attended: ...


def contextual_attention(
    f: Tensor,
    b: Tensor,
    mask: Tensor | None = None,
    ksize: int = 3,
    stride: int = 1,
    rate: int = 1,
    fuse_k: int = 3,
    softmax_scale: float = 10.0,
    *,
    fuse: bool = True,
    values: Tensor | None = None,
    query_mask: Tensor | None = None,
    semantics: str = "tf",
    return_offsets: bool = False,
    skip: str = "auto",
    deterministic: bool | None = None,
    backend: str = "auto",
) -> Tensor | Attended:
    """Rebuild every position of f from patches of b that look like it, and lie outside the hole.

    f: foreground features (B, C, Hf, Wf): float32, float64, bfloat16 or float16, any strides.
    b: background features (B, C, Hb, Wb), dtype and device of f; sizes may differ from those of f.
        `rate` divides all four sizes.
    mask: (1 or B, 1, Hb, Wb), any real dtype, not 0 = hole. A background patch is used only where
        its whole ksize x ksize window is outside the hole. None: everything may be used.
    ksize: side of the patches that are compared, odd, 1 to 63.
    stride: must be 1; it is here because published code has it.
    rate: patches are compared on maps reduced by this factor, and pasted at full resolution.
    fuse_k: side of the propagation window, odd, 1 to 63; `fuse=False` turns propagation off.
    softmax_scale: finite factor on the scores before the softmax.
    values: what is pasted instead of b: (B, any channels, s * Hb, s * Wb) for a whole s.
    query_mask: (1 or B, 1, Hf, Wf), not 0 = output pixel wanted. Only foreground positions that
        reach a wanted pixel are computed; other pixels are 0.
    semantics: "tf" (the original), "torch" (reduction picks the first pixel of each cell) or
        "mmagic" (so too, masked patches left out of the softmax, division by the true overlap).
    return_offsets: also return where each position looks most. No gradient flows through it.
    skip: "auto" leaves out blocks of attention that cannot change the result beyond rounding
        (docs/semantics.md has the bounds); "never" computes them all.
    deterministic: the kernels are always deterministic, so None, True and False mean the same.
    backend: "auto", or a name from `available_backends()` to force one.

    Returns the output (B, C, s * Hf, s * Wf), C being the channels of what is pasted, in the dtype
    of f, channels last where f is; with `return_offsets`, an `Attended` of output and offsets.
    Under autocast f, b and values may differ in dtype and meet at the widest of theirs. On CUDA
    float32 products are rounded to TF32 only where PyTorch's own are, by
    `torch.set_float32_matmul_precision` or `torch.backends.cuda.matmul.fp32_precision`.

    Errors: TypeError or ValueError, a sentence that names the argument, what was expected and what
    came. RuntimeError on a second backward through the kernels (the reference supports it).

    Source: Yu et al., "Generative Image Inpainting with Contextual Attention", CVPR 2018, 4.1.

    >>> import torch
    >>> f = torch.randn(1, 16, 32, 32)
    >>> mask = torch.zeros(1, 1, 32, 32)
    >>> mask[..., 8:24, 8:24] = 1
    >>> contextual_attention(f, f, mask, rate=2).shape
    torch.Size([1, 16, 32, 32])
    >>> contextual_attention(f, f, mask, rate=2, return_offsets=True).offsets.shape
    torch.Size([1, 2, 16, 16])
    """
    checks.choices(semantics, skip, deterministic)
    softmax_scale = checks.scale(softmax_scale)
    inputs = checks.inputs(f, b, mask, values, query_mask, ksize, stride, rate, fuse_k, fuse)
    if backends.select(backend, inputs.f.device, inputs.f.dtype) == "reference":
        y, offsets = reference.attend(*inputs, softmax_scale, semantics, return_offsets)
        return y if offsets is None else Attended(y, offsets)
    y, _, _, _, offsets = torch.ops.gica_ops.attend(
        *inputs, softmax_scale, semantics, skip == "auto", return_offsets, _tf32_allowed()
    )
    return Attended(y, offsets) if return_offsets else y


def match(
    f: Tensor,
    b: Tensor,
    mask: Tensor | None = None,
    ksize: int = 3,
    stride: int = 1,
    rate: int = 1,
    fuse_k: int = 3,
    *,
    fuse: bool = True,
    query_mask: Tensor | None = None,
    semantics: str = "tf",
    backend: str = "auto",
) -> Match:
    """The first half of the layer alone: the best background position, and its score.

    Arguments as in `contextual_attention`. Returns a `Match` of offsets (B, 2, Hf / rate,
    Wf / rate) int64, (row, column) at match resolution, and scores (B, Hf / rate, Wf / rate), the
    propagated score of that position. Where nothing may be matched the offsets are 0, where
    nothing was queried -1, and the score is -inf. Ties go to the lowest row-major position.
    Nothing here has a gradient.

    Errors: as `contextual_attention`.

    >>> import torch
    >>> b = torch.eye(4).view(1, 4, 2, 2)  # four pixels, each in a channel of its own
    >>> match(b.flip(3), b, ksize=1, fuse=False).offsets[0, 1]
    tensor([[1, 0],
            [1, 0]])
    """
    checks.choices(semantics)
    inputs = checks.inputs(f, b, mask, None, query_mask, ksize, stride, rate, fuse_k, fuse)
    if backends.select(backend, inputs.f.device, inputs.f.dtype) == "reference":
        return Match(*reference.best_match(*inputs.without_values(), semantics))
    return Match(*torch.ops.gica_ops.match(*inputs.without_values(), semantics, _tf32_allowed()))
