"""Other ways to compute the layer, written from their descriptions; all are exact.

Arguments are those of `gica_ops.contextual_attention` with ksize 3 and the original's semantics.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..reference import SMALLEST_NORM, aligned_indices

__all__ = ["grouped_convolutions", "scaled_dot_product"]

KSIZE, FUSE_K, SCALE = 3, 3, 10.0


def grouped_convolutions(
    f: Tensor, b: Tensor, mask: Tensor, rate: int = 2, fuse: bool = True
) -> Tensor:
    """As the ports do it: background patches are filters, samples are groups of a convolution.

    The score of all positions is a convolution of f with the normalised patches; propagation is a
    convolution of the matrix of scores with an identity; pasting is a transposed convolution of the
    attention with the patches.

    >>> import torch, gica_ops
    >>> f = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> mask = torch.zeros(1, 1, 8, 8)
    >>> y = gica_ops.contextual_attention(f, f, mask, rate=2)
    >>> torch.allclose(grouped_convolutions(f, f, mask), y, atol=1e-4)
    True
    """
    batch, channels = f.shape[:2]
    fr, br = (_reduced(x, rate) for x in (f, b))
    (fh, fw), (bh, bw) = fr.shape[2:], br.shape[2:]
    patches = F.unfold(br, KSIZE, padding=KSIZE // 2).transpose(1, 2)
    norm = patches.norm(dim=2, keepdim=True).clamp_min(SMALLEST_NORM)
    filters = (patches / norm).reshape(-1, channels, KSIZE, KSIZE)
    scores = F.conv2d(fr.flatten(0, 1)[None], filters, padding=KSIZE // 2, groups=batch)
    scores = scores.view(batch, bh * bw, fh * fw).transpose(1, 2)
    if fuse:
        scores = _diagonals(scores).view(batch, fh, fw, bh, bw).permute(0, 2, 1, 4, 3)
        scores = _diagonals(scores.reshape(batch, fh * fw, bh * bw))
        scores = scores.view(batch, fw, fh, bw, bh).permute(0, 2, 1, 4, 3)
        scores = scores.reshape(batch, fh * fw, bh * bw)
    valid = _valid(mask, rate).to(scores.dtype)
    attention = (SCALE * scores * valid).softmax(-1) * valid
    maps = attention.transpose(1, 2).reshape(1, batch * bh * bw, fh, fw)
    pasted = _pasted_patches(b, rate).transpose(1, 2).reshape(-1, channels, 2 * rate, 2 * rate)
    y = F.conv_transpose2d(maps, pasted, stride=rate, groups=batch)
    return _cropped(y.view(batch, channels, *y.shape[2:]), f, rate)


def scaled_dot_product(f: Tensor, b: Tensor, mask: Tensor, rate: int = 2) -> Tensor:
    """Attention from unfolded patches to unfolded patches, without propagation.

    Positions that may not be copied from have a score of 0 and paste 0, so their keys and values
    are 0, and no mask is needed.

    >>> import torch, gica_ops
    >>> f = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> mask = torch.zeros(1, 1, 8, 8)
    >>> y = gica_ops.contextual_attention(f, f, mask, rate=2, fuse=False)
    >>> torch.allclose(scaled_dot_product(f, f, mask), y, atol=1e-4)
    True
    """
    fr, br = (_reduced(x, rate) for x in (f, b))
    query, key = (F.unfold(x, KSIZE, padding=KSIZE // 2).transpose(1, 2) for x in (fr, br))
    valid = _valid(mask, rate).transpose(1, 2).to(f.dtype)
    key = key / key.norm(dim=2, keepdim=True).clamp_min(SMALLEST_NORM) * valid
    values = _pasted_patches(b, rate).transpose(1, 2) * valid
    pasted = F.scaled_dot_product_attention(query, key, values, scale=SCALE)
    side = tuple(rate * n + rate for n in fr.shape[2:])
    return _cropped(F.fold(pasted.transpose(1, 2), side, 2 * rate, stride=rate), f, rate)


def _reduced(x: Tensor, rate: int) -> Tensor:
    rows, columns = (aligned_indices(n, n // rate, x.device) for n in x.shape[2:])
    return x.index_select(2, rows).index_select(3, columns)


def _valid(mask: Tensor, rate: int) -> Tensor:
    """(1 or batch, 1, Q) bool."""
    hole = _reduced(mask, rate)
    return (F.max_pool2d(hole, KSIZE, 1, KSIZE // 2) == 0).flatten(2)


def _diagonals(scores: Tensor) -> Tensor:
    identity = torch.eye(FUSE_K, dtype=scores.dtype, device=scores.device)[None, None]
    return F.conv2d(scores[:, None], identity, padding=FUSE_K // 2)[:, 0]


def _pasted_patches(b: Tensor, rate: int) -> Tensor:
    before = rate // 2
    padded = F.pad(b, (before, rate - before) * 2)
    return F.unfold(padded, 2 * rate, stride=rate)


def _cropped(y: Tensor, f: Tensor, rate: int) -> Tensor:
    before, (height, width) = rate // 2, f.shape[2:]
    return y[:, :, before : before + height, before : before + width] / 4
