"""Which method fills a hole, where none is asked for."""

from __future__ import annotations

import functools
import json
from typing import Any

from torch import Tensor

from .network import DEFAULT_WEIGHTS

__all__ = ["choose"]


def choose(mask: Tensor) -> tuple[str, str]:
    """The better method for a hole, and why, a clause.

    mask: (H, W) bool, True = hole.

    Better is what `gica evaluate` gave the higher SSIM on holes of such a share of the picture. L1
    and PSNR prefer the mean of all that could be there, which nobody wants to look at. The scores
    lie beside the weights that they were measured with.

    >>> import torch
    >>> hole = torch.zeros(64, 64, dtype=torch.bool)
    >>> hole[20:30, 20:30] = True
    >>> choose(hole)
    ('...', 'SSIM 0... against 0... in holes of 0 to 10 % of the picture')
    """
    share = float(mask.float().mean())
    bins = _bins()
    # Larger holes than were measured are taken for the largest that were.
    row = max((b for b in bins if b["from"] <= share), key=lambda b: b["from"])
    ssim = {name: row[name]["hole_ssim"] for name in ("exemplar", "network")}
    better, other = sorted(ssim, key=lambda name: -ssim[name])
    first = round(100 * row["from"])
    where = f"{first} % and more" if row is bins[-1] else f"{first} to {first + 10} %"
    scores = f"SSIM {ssim[better]:.2f} against {ssim[other]:.2f}"
    return better, f"{scores} in holes of {where} of the picture"


@functools.lru_cache(maxsize=1)
def _bins() -> list[dict[str, Any]]:
    bins: list[dict[str, Any]] = json.loads((DEFAULT_WEIGHTS / "scores.json").read_text())["bins"]
    return bins
