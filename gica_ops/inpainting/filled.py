"""What a filler returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

__all__ = ["Filled"]


class Filled(NamedTuple):
    """A filled picture, and where its content comes from.

    values: (C, H, W), in the dtype of the picture; known pixels as they were.
    sources: (2, H, W) int64, the row and column that the content of each pixel of the hole comes
        from; -1 outside the hole, and where it comes from nowhere in particular.
    """

    values: Tensor
    sources: Tensor
