"""What the layer returns: named results, and how their memory is laid out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Attended(NamedTuple):
    """The layer's output, and where each foreground position looked most.

    output: (batch, channels of the values, s * height of f, s * width of f), dtype of f.
    offsets: (batch, 2, height of f / rate, width of f / rate) int64, the (row, column) of the best
        background position at match resolution; ties go to the lowest row-major position, rows
        that may look nowhere are 0, rows that were not queried -1.
    """

    output: Tensor
    offsets: Tensor


class Match(NamedTuple):
    """The best background position of each foreground position, and its score.

    offsets: as in `Attended`.
    scores: (batch, height of f / rate, width of f / rate), float64 for float64 maps and float32
        for all others: the propagated score, before the softmax scale. -inf where nothing may be
        matched or nothing was asked.
    """

    offsets: Tensor
    scores: Tensor


def layout_like(t: Tensor) -> torch.memory_format:
    """The memory format of results that go with this map: channels last where it is, beyond doubt.

    A map that is also contiguous, having one channel or one pixel, counts as contiguous.
    """
    _, channels, height, width = t.shape
    strides = (channels * height * width, 1, channels * width, channels)
    is_channels_last = t.stride() == strides and not t.is_contiguous()
    return torch.channels_last if is_channels_last else torch.contiguous_format
