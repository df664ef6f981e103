"""The critics as opponents: what each recipe asks of them, and of the generator through them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..model import LocalGlobalCritic, PatchCritic
from . import losses
from .losses import Box

__all__ = ["Adversary", "HingePatches", "WassersteinBoxes"]

Terms = dict[str, Tensor]


class Adversary(nn.Module):
    """A critic and its losses. Both methods return the loss and the terms it is made of.

    real, fake: (B, 3, H, W) in -1 to 1, fake being real outside the hole. mask: (1 or B, 1, H, W),
    1 = hole. boxes: (top, left, height, width) around the holes, one or one per picture.
    """

    def critic_loss(
        self, real: Tensor, fake: Tensor, mask: Tensor, boxes: list[Box], alphas: Tensor
    ) -> tuple[Tensor, Terms]:
        """What the critic minimises. alphas: (2, B) in 0 to 1, where slopes are taken."""
        raise NotImplementedError

    def generator_loss(self, fake: Tensor, mask: Tensor, boxes: list[Box]) -> tuple[Tensor, Terms]:
        """What the generator minimises."""
        raise NotImplementedError


class WassersteinBoxes(Adversary):
    """WGAN-GP with the critics of the box and of the whole picture.

    size: of the pictures. box: side of the boxes. width: channels of the critics' first layers.
    global_weight: of the whole picture's score for the generator. penalty: of the slopes.

    Source: Yu et al., CVPR 2018, section 3.1.
    """

    def __init__(
        self,
        size: tuple[int, int],
        box: tuple[int, int],
        width: int = 64,
        global_weight: float = 1.0,
        penalty: float = 10.0,
    ) -> None:
        super().__init__()
        self.critic = LocalGlobalCritic(box, size, width)
        self.global_weight = global_weight
        self.penalty = penalty

    def critic_loss(
        self, real: Tensor, fake: Tensor, mask: Tensor, boxes: list[Box], alphas: Tensor
    ) -> tuple[Tensor, Terms]:
        boxed = torch.cat([losses.crop(x, boxes) for x in (real, fake)])
        near, far = self.critic(boxed, torch.cat((real, fake)))
        terms = {
            name: losses.wgan_critic(*score.chunk(2))
            for name, score in (("critic_local", near), ("critic_global", far))
        }
        masks = mask.expand(real.shape[0], -1, -1, -1)
        views = (
            ("local", self.critic.local_critic, boxed.chunk(2), losses.crop(masks, boxes)),
            ("global", self.critic.global_critic, (real, fake), mask),
        )
        for (name, critic, pair, hole), alpha in zip(views, alphas, strict=True):
            between = losses.interpolate(pair[0], pair[1], alpha)
            terms[f"penalty_{name}"] = losses.gradient_penalty(critic, between, hole)
        penalties = terms["penalty_local"] + terms["penalty_global"]
        loss = terms["critic_local"] + terms["critic_global"] + self.penalty * penalties
        return loss, terms

    def generator_loss(self, fake: Tensor, mask: Tensor, boxes: list[Box]) -> tuple[Tensor, Terms]:
        near, far = (losses.wgan_generator(s) for s in self.critic(losses.crop(fake, boxes), fake))
        terms = {"adversarial_local": near, "adversarial_global": far}
        return near + self.global_weight * far, terms


class HingePatches(Adversary):
    """Hinge loss with the spectrally normalised critic of patches, which also sees the mask.

    width: channels of the critic's first layer.

    Source: Yu et al., ICCV 2019, section 3.3.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.critic = PatchCritic(width)

    def critic_loss(
        self, real: Tensor, fake: Tensor, mask: Tensor, boxes: list[Box], alphas: Tensor
    ) -> tuple[Tensor, Terms]:
        masks = mask.to(real).expand(real.shape[0], -1, -1, -1)
        scores = self.critic(torch.cat([torch.cat((x, masks), 1) for x in (real, fake)]))
        loss = losses.hinge_critic(*scores.chunk(2))
        return loss, {"critic": loss}

    def generator_loss(self, fake: Tensor, mask: Tensor, boxes: list[Box]) -> tuple[Tensor, Terms]:
        masks = mask.to(fake).expand(fake.shape[0], -1, -1, -1)
        loss = losses.hinge_generator(self.critic(torch.cat((fake, masks), 1)))
        return loss, {"adversarial": loss}
