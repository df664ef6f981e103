"""Which method fills a hole, where none is asked for."""

from __future__ import annotations

from torch import Tensor

from .network import thickness

__all__ = ["METHODS", "choose"]

METHODS = ("auto", "exemplar", "network")
# Pixels. Measured by `gica evaluate`: see docs/evaluation.md, "What auto does".
THICKEST_FOR_NETWORK = 16


def choose(mask: Tensor) -> tuple[str, str]:
    """The better method for a hole, and why, a clause.

    mask: (H, W) bool, True = hole.

    >>> import torch
    >>> scratch = torch.zeros(64, 64, dtype=torch.bool)
    >>> scratch[30:34] = True
    >>> choose(scratch)
    ('network', 'the hole is 4 pixels thick, no more than 16')
    """
    thick = thickness(mask)
    if thick <= THICKEST_FOR_NETWORK:
        return "network", f"the hole is {thick} pixels thick, no more than {THICKEST_FOR_NETWORK}"
    return "exemplar", f"the hole is {thick} pixels thick, more than {THICKEST_FOR_NETWORK}"
