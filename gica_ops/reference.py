"""The layer in plain PyTorch: its definition, the truth of the tests, and what runs where no
kernel does.

It is the unfused layer written as directly as batched PyTorch allows, for any floating dtype and
any device, and differentiable as often as wanted. It holds several (positions x positions)
matrices at once; the kernels exist because of that.

Both products are batched matrix products over unfolded patches. On 2 CPU cores with 128 channels
and rate 2 that is level with grouped convolutions at 64 x 64 and up to a quarter faster at
128 x 128, and propagation as shifted additions is twice as fast as a convolution with an identity.

Source: Yu et al., "Generative Image Inpainting with Contextual Attention", CVPR 2018, section 4.1,
as the code published with it computes it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from . import checks
from .results import Attended, Match, layout_like

__all__ = ["Intermediates", "aligned_indices", "contextual_attention", "intermediates", "match"]

SMALLEST_NORM = 1e-4


class Intermediates(NamedTuple):
    """What the layer computes on its way, P foreground by Q background positions, row-major.

    scores: (batch, P, Q) cosine-like patch scores, the background patch normalised.
    fused: (batch, P, Q) the same after propagation.
    valid: (1 or batch, 1, Q) bool, the background positions that may be copied from.
    attention: (batch, P, Q) after softmax and the final masking.
    output: what the layer returns.
    """

    scores: Tensor
    fused: Tensor
    valid: Tensor
    attention: Tensor
    output: Tensor


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
    """`gica_ops.contextual_attention` in plain PyTorch: same arguments, same result, same errors.

    Half types are computed in float32 and rounded once, at the end. `skip`, `deterministic` and
    `backend` are there so that one call can stand for the other; nothing is ever skipped here.

    >>> import torch
    >>> f = torch.randn(2, 8, 16, 16)
    >>> mask = torch.zeros(1, 1, 16, 16)
    >>> mask[..., 4:12, 4:12] = 1
    >>> contextual_attention(f, f, mask, rate=2).shape
    torch.Size([2, 8, 16, 16])
    """
    checks.choices(semantics, skip, deterministic)
    softmax_scale = checks.scale(softmax_scale)
    inputs = checks.inputs(f, b, mask, values, query_mask, ksize, stride, rate, fuse_k, fuse)
    output, offsets = attend(*inputs, softmax_scale, semantics, return_offsets)
    return output if offsets is None else Attended(output, offsets)


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
    """`gica_ops.match` in plain PyTorch: same arguments, same result, same errors.

    >>> import torch
    >>> f = torch.randn(1, 8, 6, 6)
    >>> match(f, f, ksize=1, fuse=False).scores.shape
    torch.Size([1, 6, 6])
    """
    checks.choices(semantics)
    inputs = checks.inputs(f, b, mask, None, query_mask, ksize, stride, rate, fuse_k, fuse)
    return Match(*best_match(*inputs.without_values(), semantics))


def intermediates(
    f: Tensor,
    b: Tensor,
    mask: Tensor | None = None,
    ksize: int = 3,
    rate: int = 1,
    fuse_k: int = 3,
    softmax_scale: float = 10.0,
    *,
    fuse: bool = True,
    semantics: str = "tf",
) -> Intermediates:
    """The layer with everything it computes on its way, for tests and for looking inside."""
    checks.choices(semantics)
    f, b, hole, *_, fuse_k = checks.inputs(f, b, mask, None, None, ksize, 1, rate, fuse_k, fuse)
    with _exact_dtypes(f):
        fr, br = (_working(_reduce(x, rate, semantics)) for x in (f, b))
        valid = _valid(hole, br, ksize, rate, semantics)
        scores = _scores(fr, br, ksize)
        fused = _propagate(scores, fr.shape[2:], br.shape[2:], fuse_k)
        attention = _attention(fused, valid, softmax_scale, semantics)
        output = _paste(attention, _working(b), f.shape[2:], b.shape[2:], rate, semantics)
    return Intermediates(scores, fused, valid, attention, output.to(f.dtype))


def attend(
    f: Tensor,
    b: Tensor,
    hole: Tensor | None,
    values: Tensor | None,
    query: Tensor | None,
    ksize: int,
    rate: int,
    fuse_k: int,
    softmax_scale: float,
    semantics: str,
    return_offsets: bool,
) -> tuple[Tensor, Tensor | None]:
    """The layer on checked arguments: the output, and the offsets where they are asked for."""
    with _exact_dtypes(f):
        fr, br = (_working(_reduce(x, rate, semantics)) for x in (f, b))
        valid = _valid(hole, br, ksize, rate, semantics)
        fused = _propagate(_scores(fr, br, ksize), fr.shape[2:], br.shape[2:], fuse_k)
        offsets = None
        if return_offsets:
            offsets, _ = _best(fused.detach(), valid, query, fr.shape[2:], br.shape[2:], rate)
        attention = _attention(fused, valid, softmax_scale, semantics)
        del fused
        pasted = b if values is None else values
        output = _paste(attention, _working(pasted), f.shape[2:], b.shape[2:], rate, semantics)
        if query is not None:
            s = pasted.shape[2] // b.shape[2]
            wanted = query.repeat_interleave(s, 2).repeat_interleave(s, 3)
            output = torch.where(wanted, output, 0)
    return output.to(f.dtype).contiguous(memory_format=layout_like(f)), offsets


def best_match(
    f: Tensor,
    b: Tensor,
    hole: Tensor | None,
    query: Tensor | None,
    ksize: int,
    rate: int,
    fuse_k: int,
    semantics: str,
) -> tuple[Tensor, Tensor]:
    """The first half of the layer on checked arguments: offsets and scores, without gradient."""
    with torch.no_grad(), _exact_dtypes(f):
        fr, br = (_working(_reduce(x, rate, semantics)) for x in (f, b))
        valid = _valid(hole, br, ksize, rate, semantics)
        fused = _propagate(_scores(fr, br, ksize), fr.shape[2:], br.shape[2:], fuse_k)
        return _best(fused, valid, query, fr.shape[2:], br.shape[2:], rate)


def aligned_indices(n_in: int, n_out: int, device: torch.device | str | None = None) -> Tensor:
    """Which n_out of n_in pixels a nearest-neighbour resize with aligned corners picks.

    The original's rule: i * (n_in - 1) / (n_out - 1) in float32, half rounded away from zero. The
    float32 product decides some ties, so it is kept as it is.

    >>> aligned_indices(8, 4).tolist()
    [0, 2, 5, 7]
    """
    over, under = (n_in - 1, n_out - 1) if n_out > 1 else (n_in, n_out)
    step = torch.full((), over, dtype=torch.float32, device=device)
    step = step / torch.full((), under, dtype=torch.float32, device=device)
    position = torch.arange(n_out, dtype=torch.float32, device=device) * step
    low = position.floor()
    return (low + (position - low >= 0.5)).clamp(max=n_in - 1).long()


def _exact_dtypes(f: Tensor) -> AbstractContextManager[object]:
    """Scores reach the hundreds before the softmax: autocast must not narrow the products."""
    if torch.amp.is_autocast_available(f.device.type):
        return torch.autocast(f.device.type, enabled=False)
    return nullcontext()


def _working(x: Tensor) -> Tensor:
    """In the dtype of the arithmetic: float64 for float64, float32 for all others."""
    return x if x.dtype == torch.float64 else x.float()


def _reduce(x: Tensor, rate: int, semantics: str) -> Tensor:
    if rate == 1:
        return x
    if semantics != "tf":
        return x[:, :, ::rate, ::rate]
    rows, columns = (aligned_indices(n, n // rate, x.device) for n in x.shape[2:])
    return x.index_select(2, rows).index_select(3, columns)


def _valid(hole: Tensor | None, br: Tensor, ksize: int, rate: int, semantics: str) -> Tensor:
    """Background positions whose whole window is outside the hole: (1 or batch, 1, Q)."""
    if hole is None:
        return br.new_ones((1, 1, br.shape[2] * br.shape[3]), dtype=torch.bool)
    reduced = _reduce(hole, rate, semantics).to(br.dtype)
    return (F.max_pool2d(reduced, ksize, 1, ksize // 2) == 0).flatten(2)


def _scores(fr: Tensor, br: Tensor, ksize: int) -> Tensor:
    """Patch products, the background patch normalised: (batch, P, Q)."""
    sources = F.unfold(br, ksize, padding=ksize // 2)
    norm = torch.linalg.vector_norm(sources, dim=1, keepdim=True)
    sources = sources / norm.clamp_min(SMALLEST_NORM)
    return F.unfold(fr, ksize, padding=ksize // 2).transpose(1, 2) @ sources


def _propagate(s: Tensor, fsize: torch.Size, bsize: torch.Size, k: int) -> Tensor:
    """Neighbouring positions that look at neighbouring positions support each other.

    Diagonal sums over flat indices, row-major and then column-major, which wrap at row and column
    ends and are cut off at the ends of the matrix.
    """
    if k == 1:
        return s
    (fh, fw), (bh, bw) = fsize, bsize
    s = _diagonal_sum(s, k)
    s = s.unflatten(2, (bh, bw)).unflatten(1, (fh, fw)).permute(0, 2, 1, 4, 3)
    s = _diagonal_sum(s.flatten(3).flatten(1, 2), k)
    s = s.unflatten(2, (bw, bh)).unflatten(1, (fw, fh)).permute(0, 2, 1, 4, 3)
    return s.flatten(3).flatten(1, 2)


def _diagonal_sum(s: Tensor, k: int) -> Tensor:
    """sum of s[p + d, q + d] over the k offsets d around 0, with 0 outside the matrix."""
    p, q = s.shape[1:]
    padded = F.pad(s, (k // 2,) * 4)
    total = padded[:, :p, :q]
    for d in range(1, k):
        total = total + padded[:, d : d + p, d : d + q]
    return total


def _attention(fused: Tensor, valid: Tensor, softmax_scale: float, semantics: str) -> Tensor:
    """Softmax over the background. Masked scores are replaced, not multiplied: no NaN spreads."""
    logits = fused * softmax_scale
    # A lowest finite number rather than -inf: with everything masked no row turns into NaN.
    masked = torch.finfo(fused.dtype).min if semantics == "mmagic" else 0.0
    logits = torch.where(valid, logits, masked)
    return torch.where(valid, logits.softmax(-1), 0)


def _paste(
    attention: Tensor,
    values: Tensor,
    fsize: torch.Size,
    bsize: torch.Size,
    rate: int,
    semantics: str,
) -> Tensor:
    """Overlapping patches of 2 steps a side, weighted by attention and laid down a step apart."""
    (fh, fw), (bh, _) = fsize, bsize
    s = values.shape[2] // bh
    step, before = s * rate, s * (rate // 2)
    after = step - before
    patches = F.unfold(F.pad(values, (before, after, before, after)), 2 * step, stride=step)
    pasted = patches @ attention.transpose(1, 2)
    canvas = (s * fh + step, s * fw + step)
    y = F.fold(pasted, canvas, 2 * step, stride=step)
    y = y[:, :, before : before + s * fh, before : before + s * fw]
    if semantics != "mmagic":
        return y / 4
    rows, columns = (_coverage(s * n, step, before, y) for n in (fh, fw))
    return y / (rows[:, None] * columns)


def _coverage(length: int, step: int, before: int, like: Tensor) -> Tensor:
    """How many patches cover each pixel of one axis: 1 at the ends, 2 elsewhere."""
    last = torch.arange(length, device=like.device).add(before).div(step, rounding_mode="floor")
    return ((last > 0).to(like.dtype)) + (last < length // step).to(like.dtype)


def _best(
    fused: Tensor,
    valid: Tensor,
    query: Tensor | None,
    fsize: torch.Size,
    bsize: torch.Size,
    rate: int,
) -> tuple[Tensor, Tensor]:
    """The best valid background position of every foreground position, and its score."""
    scores, flat = torch.where(valid, fused, -torch.inf).max(-1)
    scores, flat = scores.unflatten(1, fsize), flat.unflatten(1, fsize)
    offsets = torch.stack((flat // bsize[1], flat % bsize[1]), 1)
    if query is None:
        return offsets, scores
    before = rate // 2
    wanted = F.pad(query.to(fused.dtype), (before, rate - before) * 2)
    queried = F.max_pool2d(wanted, 2 * rate, rate) != 0
    return torch.where(queried, offsets, -1), torch.where(queried[:, 0], scores, -torch.inf)
