"""Adam as TensorFlow computes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["TFAdam"]


class TFAdam(torch.optim.Optimizer):
    """Adam with epsilon outside the bias correction, and a count of updates that groups may share.

    step = lr * sqrt(1 - beta2 ** t) / (1 - beta1 ** t) * m / (sqrt(v) + eps)

    Where gradients are small beside eps this moves less than `torch.optim.Adam`. Parameters without
    a gradient stay as they are.

    params: parameters, or groups of them. lr, betas, eps: as in `torch.optim.Adam`.
    shared_clock: t counts calls of `step`, whoever got a gradient. The original has one optimiser
        for generator and critics, so that the generator's first update, after five of the critics,
        is corrected with t = 6. Without it t counts the updates of the group.

    Raises ValueError, a sentence, for values outside their range.

    >>> weight = torch.nn.Parameter(torch.zeros(1))
    >>> optimizer = TFAdam([weight], lr=0.1)
    >>> weight.grad = torch.ones(1)
    >>> optimizer.step()
    >>> weight.data
    tensor([-0.1000])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.5, 0.9),
        eps: float = 1e-8,
        *,
        shared_clock: bool = True,
    ) -> None:
        if not lr >= 0:
            raise ValueError(f"lr must be at least 0, got {lr}")
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must be at least 0 and less than 1, got {betas}")
        if not eps >= 0:
            raise ValueError(f"eps must be at least 0, got {eps}")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "updates": 0})
        self.shared_clock = shared_clock

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params or self.shared_clock:
                group["updates"] += 1
            if params:
                self._update(params, group)
        return loss

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        for p in params:
            if not self.state[p]:
                self.state[p]["exp_avg"] = torch.zeros_like(p)
                self.state[p]["exp_avg_sq"] = torch.zeros_like(p)
        gradients = [p.grad for p in params if p.grad is not None]
        first, second = ([self.state[p][k] for p in params] for k in ("exp_avg", "exp_avg_sq"))
        (beta1, beta2), t = group["betas"], group["updates"]
        torch._foreach_lerp_(first, gradients, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - beta2)
        below = torch._foreach_sqrt(second)
        torch._foreach_add_(below, group["eps"])
        size = group["lr"] * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
        torch._foreach_addcdiv_(params, first, below, -size)
