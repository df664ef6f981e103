"""How far both stages are from the real picture, as each recipe weighs it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from . import losses
from .losses import Box

__all__ = ["Reconstruction"]


@dataclass(frozen=True)
class Reconstruction:
    """Weights of the L1 terms; a term of weight 0 is not computed.

    box: in the box around the hole, discounted by `discount` per pixel (1: not at all).
    background: outside the hole. whole: over the whole picture.
    coarse: factor on the first stage's error in all three.
    """

    box: float = 1.2
    background: float = 1.2
    whole: float = 0.0
    coarse: float = 1.2
    discount: float = 0.9

    def loss(
        self,
        real: Tensor,
        stage1: Tensor,
        stage2: Tensor | None,
        mask: Tensor,
        boxes: list[Box],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum and its terms. Without stage2, what concerns the first stage alone.

        real, stage1, stage2: (B, 3, H, W) in -1 to 1. mask: (1 or B, 1, H, W), 1 = hole.
        """
        stages = [(stage1, self.coarse)] + ([] if stage2 is None else [(stage2, 1.0)])
        discount = None
        if self.box and self.discount != 1:
            discount = losses.spatial_discount(*boxes[0][2:], self.discount).to(real)
        terms = {}
        if self.box:
            parts = [w * losses.box_l1(x, real, boxes, discount) for x, w in stages]
            terms["l1"] = sum(parts[1:], parts[0])
        if self.background:
            parts = [w * losses.background_l1(x, real, mask) for x, w in stages]
            terms["background"] = sum(parts[1:], parts[0])
        if self.whole:
            parts = [w * (real - x).abs().mean() for x, w in stages]
            terms["whole"] = sum(parts[1:], parts[0])
        weights = {"l1": self.box, "background": self.background, "whole": self.whole}
        weighted = [weights[name] * term for name, term in terms.items()]
        return sum(weighted[1:], weighted[0]), terms
