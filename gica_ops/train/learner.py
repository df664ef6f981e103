"""The networks that learn, and what is computed in a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..data.loader import Batch
from ..model import Generator, complete
from .adversary import Adversary, HingePatches, WassersteinBoxes
from .checkpoint import optimizer_tensors, restore_optimizer
from .config import TrainConfig
from .losses import Box
from .optimizer import TFAdam

__all__ = ["Learner", "NonFinite", "Part"]

Stages = tuple[Tensor, Tensor | None]
Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Part:
    """What a process takes at once of a batch, on its device. Fields as in `Batch`."""

    image: Tensor
    mask: Tensor
    boxes: list[Box]
    index: list[int]


class NonFinite(Exception):
    """A loss or a gradient was NaN or infinite. Weights and optimiser are as they were.

    parts: the batch. terms: names of the losses that were, none where it was a gradient.
    """

    def __init__(self, parts: list[Part], terms: list[str]) -> None:
        super().__init__()
        self.parts = parts
        self.terms = terms


class Learner:
    """A generator, its adversary and its average, and their updates.

    config: of the run. accelerator: of the processes. generator: weights to start from.
    """

    def __init__(
        self, config: TrainConfig, accelerator: Accelerator, generator: Generator | None
    ) -> None:
        self.config = config
        self.accelerator = accelerator
        self.device = accelerator.device
        self.dtype = torch.float64 if config.precision == "float64" else torch.float32
        # On CPUs the gradient of a convolution takes twice as long with channels last.
        on_gpu = self.device.type == "cuda"
        self.layout = torch.channels_last if on_gpu else torch.contiguous_format
        torch.manual_seed(config.seed)
        self.generator = self._placed(self._start(generator))
        self.adversary = self._opponent()
        groups = [{"params": list(self.generator.parameters())}]
        if self.adversary is not None:
            self._placed(self.adversary)
            groups.append({"params": list(self.adversary.parameters())})
        betas = (config.beta1, config.beta2)
        self.optimizer = TFAdam(groups, config.lr, betas, shared_clock=config.shared_clock)
        self.average: AveragedModel | None = None
        if config.ema:
            update = get_ema_multi_avg_fn(config.ema)
            self.average = AveragedModel(self.generator, multi_avg_fn=update)

    def _start(self, given: Generator | None) -> Generator:
        drawn = Generator(self.config.generator, backend=self.config.backend)
        if given is not None:
            if given.config != drawn.config:
                raise ValueError(
                    f"generator must be one of the run's config {drawn.config}, got {given.config}"
                )
            drawn.load_state_dict(given.state_dict())
        return drawn

    def _opponent(self) -> Adversary | None:
        config = self.config
        if config.adversary == "wgan-gp":
            options = (config.adversary_width, config.global_weight, config.penalty)
            return WassersteinBoxes((config.size, config.size), config.box(), *options)
        return HingePatches(config.adversary_width) if config.adversary == "hinge" else None

    def _placed(self, network: Any) -> Any:
        return network.to(self.device, self.dtype, memory_format=self.layout).train()

    # What a checkpoint holds

    def _networks(self) -> dict[str, nn.Module]:
        networks = {
            "generator": self.generator,
            "adversary": self.adversary,
            "average": self.average,
        }
        return {name: network for name, network in networks.items() if network is not None}

    def _trained(self) -> dict[str, nn.Parameter]:
        return {
            f"optimizer.{name}.{key}": p
            for name, network in self._networks().items()
            if name != "average"
            for key, p in network.named_parameters()
        }

    def state(self) -> tuple[dict[str, Tensor], list[int]]:
        """All tensors by name, and the optimiser's counts of updates."""
        tensors = {
            f"{name}.{key}": t
            for name, network in self._networks().items()
            for key, t in network.state_dict().items()
        }
        tensors |= optimizer_tensors(self.optimizer, self._trained())
        return tensors, [group["updates"] for group in self.optimizer.param_groups]

    def restore(self, tensors: dict[str, Tensor], updates: list[int]) -> None:
        """The reverse of `state`. Raises ValueError, a sentence, for another run's tensors."""
        for name, network in self._networks().items():
            prefix = f"{name}."
            own = {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
            try:
                network.load_state_dict(own)
            except RuntimeError as error:
                raise ValueError(f"checkpoint is of another run: {error}") from None
        restore_optimizer(self.optimizer, self._trained(), tensors)
        for group, count in zip(self.optimizer.param_groups, updates, strict=True):
            group["updates"] = count

    def export(self) -> Generator:
        """The generator as it is used: the average where there is one."""
        network = self.generator if self.average is None else self.average.module
        assert isinstance(network, Generator)
        return network

    # A step

    def part(self, batch: Batch) -> Part:
        """A batch of the loader on the device."""
        image = batch.image.to(
            self.device, self.dtype, memory_format=self.layout, non_blocking=True
        )
        mask = batch.mask.to(self.device, self.dtype, non_blocking=True)
        boxes: list[Any] = [tuple(box) for box in batch.boxes.tolist()]
        return Part(image, mask, boxes, batch.index.tolist())

    def train_step(self, step: int, batches: Callable[[], list[Part]]) -> Terms:
        """The step after so many: the critics' updates, each on a batch, and the generator's.

        Returns the terms of the losses, this process's means. Raises NonFinite.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.rate_at(step)
        coarse = step < self.config.coarse_steps
        terms: Terms = {}
        if coarse or self.adversary is None:
            batch, stages = batches(), None
        else:
            for i in range(self.config.critic_steps):
                batch = batches()
                # The generator's update needs the graph of the last batch, which is held for it
                # where a batch comes in one part.
                share = i == self.config.critic_steps - 1 and len(batch) == 1
                terms, stages = self._update_critics(self.adversary, batch, share)
        terms |= self._update_generator(batch, stages, coarse)
        if self.average is not None:
            self.average.update_parameters(self.generator)
        return terms

    def _autocast(self) -> torch.autocast:
        enabled = self.config.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def _stages(self, part: Part, coarse: bool) -> Stages:
        if coarse:
            return self.generator.guess(part.image, part.mask), None
        stage1, stage2, *_ = self.generator(part.image, part.mask)
        return stage1, stage2

    def _update_critics(
        self, adversary: Adversary, batch: list[Part], share: bool
    ) -> tuple[Terms, Stages | None]:
        adversary.requires_grad_(True)
        sums: Terms = {}
        stages = None
        for part in batch:
            with self._autocast():
                with torch.set_grad_enabled(share):
                    stages = self._stages(part, coarse=False)
                assert stages[1] is not None
                fake = complete(part.image, part.mask, stages[1].detach())
                loss, terms = adversary.critic_loss(
                    part.image, fake, part.mask, part.boxes, self._alphas(part)
                )
            self._backward(loss, {**terms, "critics": loss}, sums)
        self._apply(adversary, batch, sums)
        return sums, stages if share else None

    def _update_generator(self, batch: list[Part], stages: Stages | None, coarse: bool) -> Terms:
        sums: Terms = {}
        for part in batch:
            with self._autocast():
                if stages is None or len(batch) > 1:
                    stages = self._stages(part, coarse)
                loss, terms = self._generator_loss(part, *stages)
            self._backward(loss, {**terms, "total": loss}, sums)
        self._apply(self.generator, batch, sums)
        return sums

    def _generator_loss(
        self, part: Part, stage1: Tensor, stage2: Tensor | None
    ) -> tuple[Tensor, Terms]:
        reconstruction = self.config.reconstruction
        loss, terms = reconstruction.loss(part.image, stage1, stage2, part.mask, part.boxes)
        if self.adversary is not None and stage2 is not None:
            # No gradient of the critics is needed, only through them.
            self.adversary.requires_grad_(False)
            fake = complete(part.image, part.mask, stage2)
            against, more = self.adversary.generator_loss(fake, part.mask, part.boxes)
            loss = loss + self.config.adversary_weight * against
            terms |= more
        return loss, terms

    def _alphas(self, part: Part) -> Tensor:
        """Where slopes are taken: two numbers for each picture, of its number alone."""
        draws = [np.random.default_rng((self.config.seed, i)).random(2) for i in part.index]
        return torch.tensor(np.array(draws).T, dtype=self.dtype, device=self.device)

    def _backward(self, loss: Tensor, terms: Terms, sums: Terms) -> None:
        parts = self.config.accumulate
        self.accelerator.backward(loss / parts)
        for name, term in terms.items():
            share = term.detach() / parts
            sums[name] = sums[name] + share if name in sums else share

    def _apply(self, network: nn.Module, batch: list[Part], terms: Terms) -> None:
        """One update of a network with the gradients of all processes, if they are finite."""
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        if self.accelerator.num_processes > 1:
            flat = torch.cat([g.flatten() for g in gradients])
            flat = self.accelerator.reduce(flat, "mean")
            for g, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
                g.copy_(mean.view_as(g))
        values = torch.stack((*torch._foreach_norm(gradients), *terms.values()))
        if not bool(values.isfinite().all()):
            raise NonFinite(batch, [n for n, t in terms.items() if not bool(t.isfinite())])
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
