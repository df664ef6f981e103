"""How cost grows: with the image, with the hole, with the share of live blocks."""

from __future__ import annotations

from .problems import Problem, unique

__all__ = ["CONTRASTS", "HOLES", "SIDES", "growth_problems"]

SIDES = {"cpu": (128, 192, 256, 384, 512, 768, 1024, 2048), "cuda": (256, 512, 1024, 2048, 4096)}
HOLES = (0.0, 0.25, 0.5, 0.75, 0.9)
CONTRASTS = (0.1, 0.2, 0.4, 1.0, 3.0, 10.0)
MIDDLE = {"cpu": 512, "cuda": 1024}


def growth_problems(device: str) -> list[Problem]:
    """The problems of the page on growth.

    >>> len(growth_problems("cpu"))
    17
    """
    middle = MIDDLE[device]
    sizes = [Problem(side, side, device=device) for side in SIDES[device]]
    holes = [Problem(middle, middle, hole=share, device=device) for share in HOLES]
    live = [Problem(middle, middle, contrast=contrast, device=device) for contrast in CONTRASTS]
    return unique((*sizes, *holes, *live))
