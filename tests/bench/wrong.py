"""Layers of one's own, as `--method MODULE:FUNCTION` takes them: a right one and a wrong one."""

from __future__ import annotations

from torch import Tensor

from gica_ops import contextual_attention


def right(f: Tensor, b: Tensor, mask: Tensor, rate: int, fuse: bool) -> Tensor:
    return contextual_attention(f, b, mask, rate=rate, fuse=fuse, backend="reference")


def wrong(f: Tensor, b: Tensor, mask: Tensor, rate: int, fuse: bool) -> Tensor:
    return right(f, b, mask, rate, fuse) * 1.01
