"""The v1 recipe as a training loop is usually written: what the trainer's speed is compared with.

Every update runs the generator anew with its graph, real and filled pictures go through the critics
one after the other, and the generator's update computes gradients for the critics too.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gica_ops.model import Generator, LocalGlobalCritic, complete
from gica_ops.train import losses
from gica_ops.train.config import TrainConfig
from gica_ops.train.losses import Box

__all__ = ["PlainLoop"]

Batch = tuple[Tensor, Tensor, list[Box]]


class PlainLoop:
    """WGAN-GP on two networks with an optimiser each."""

    def __init__(self, config: TrainConfig) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.generator = Generator(config.generator, backend=config.backend).train()
        size = (config.size, config.size)
        self.critics = LocalGlobalCritic(config.box(), size, config.adversary_width).train()
        betas = (config.beta1, config.beta2)
        self.optimizer, self.critics_optimizer = (
            torch.optim.Adam(network.parameters(), config.lr, betas)
            for network in (self.generator, self.critics)
        )

    def step(self, batches: Iterator[Batch]) -> tuple[float, float]:
        """The critics' updates and one of the generator's; returns the last losses."""
        for _ in range(self.config.critic_steps):
            batch = next(batches)
            critics_loss = self.critics_loss(*batch)
            self.critics_optimizer.zero_grad()
            critics_loss.backward()
            self.critics_optimizer.step()
        loss = self.generator_loss(*batch)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return critics_loss.item(), loss.item()

    def critics_loss(self, real: Tensor, mask: Tensor, boxes: list[Box]) -> Tensor:
        _, stage2 = self.generator(real, mask)
        fake = complete(real, mask, stage2).detach()
        near, far = (losses.crop(x, boxes) for x in (real, fake))
        scores = self.critics(near, real), self.critics(far, fake)
        views = (
            (self.critics.local_critic, near, far, losses.crop(mask, boxes)),
            (self.critics.global_critic, real, fake, mask),
        )
        loss = real.new_zeros(())
        for (critic, first, second, hole), *pair in zip(views, *scores, strict=True):
            between = losses.interpolate(first, second, torch.rand(real.shape[0]))
            penalty = losses.gradient_penalty(critic, between, hole)
            loss = loss + losses.wgan_critic(*pair) + self.config.penalty * penalty
        return loss

    def generator_loss(self, real: Tensor, mask: Tensor, boxes: list[Box]) -> Tensor:
        config = self.config
        stage1, stage2 = self.generator(real, mask)
        loss, _ = config.reconstruction.loss(real, stage1, stage2, mask, boxes)
        fake = complete(real, mask, stage2)
        near, far = self.critics(losses.crop(fake, boxes), fake)
        against = losses.wgan_generator(near) + config.global_weight * losses.wgan_generator(far)
        return loss + config.adversary_weight * against
