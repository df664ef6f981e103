"""The terms of both papers' objectives, each a mean over the batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "background_l1",
    "box_l1",
    "crop",
    "gradient_penalty",
    "hinge_critic",
    "hinge_generator",
    "interpolate",
    "spatial_discount",
    "wgan_critic",
    "wgan_generator",
]

Box = tuple[int, int, int, int]


def spatial_discount(height: int, width: int, gamma: float = 0.9) -> Tensor:
    """Weights (height, width) of a box's pixels: 1 at its rim, less the farther from what is known.

    gamma ** (steps to the nearest of top and bottom, or of left and right, whichever is larger a
    weight). The first row and column count 0 steps, the last ones 1, as the original has it.

    Source: Yu et al., CVPR 2018, section 3.2, "spatially discounted reconstruction loss".

    >>> spatial_discount(3, 3, 0.5)
    tensor([[1.0000, 1.0000, 1.0000],
            [1.0000, 0.5000, 0.5000],
            [1.0000, 0.5000, 0.5000]])
    """
    rows, columns = (
        torch.tensor([gamma ** min(i, n - i) for i in range(n)]) for n in (height, width)
    )
    return torch.maximum(rows[:, None], columns)


def crop(x: Tensor, boxes: list[Box]) -> Tensor:
    """Cut a box out of each picture: (B, C, H, W) to (B, C, height, width).

    boxes: (top, left, height, width), one for all or one per picture, all of one size. Raises
    ValueError where sizes or numbers differ.

    >>> crop(torch.arange(16.0).view(1, 1, 4, 4), [(1, 2, 2, 1)]).flatten()
    tensor([ 6., 10.])
    """
    sizes = {box[2:] for box in boxes}
    if len(sizes) != 1 or len(boxes) not in (1, x.shape[0]):
        raise ValueError(
            f"boxes must be one or {x.shape[0]}, all of one size, got {len(boxes)} of sizes "
            f"{sorted(sizes)}"
        )
    cuts = [
        (x if len(boxes) == 1 else x[i : i + 1])[:, :, top : top + height, left : left + width]
        for i, (top, left, height, width) in enumerate(boxes)
    ]
    return cuts[0] if len(cuts) == 1 else torch.cat(cuts)


def box_l1(prediction: Tensor, real: Tensor, boxes: list[Box], discount: Tensor | None) -> Tensor:
    """Mean absolute error in the box around the hole, discounted towards its centre.

    prediction, real: (B, C, H, W). boxes: as in `crop`. discount: (height, width) or None.
    """
    error = (crop(real, boxes) - crop(prediction, boxes)).abs()
    return (error if discount is None else error * discount).mean()


def background_l1(prediction: Tensor, real: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute error outside the hole: per picture over its known pixels, then over pictures.

    prediction, real: (B, C, H, W). mask: (1 or B, 1, H, W), 1 = hole. A picture that is all hole
    counts 0.
    """
    known = 1 - mask
    errors = ((real - prediction).abs() * known).mean((1, 2, 3))
    return (errors / known.mean((1, 2, 3)).clamp_min(1e-6)).mean()


def wide(x: Tensor) -> Tensor:
    """In float32, or wider where it is: means over half types lose digits."""
    return x if x.dtype == torch.float64 else x.float()


def wgan_generator(fake: Tensor) -> Tensor:
    """What the generator minimises, from the critic's scores of filled pictures."""
    return -wide(fake).mean()


def wgan_critic(real: Tensor, fake: Tensor) -> Tensor:
    """What the critic minimises, from its scores of real and filled pictures."""
    return (wide(fake) - wide(real)).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """As `wgan_generator`: the hinge is the critic's."""
    return -wide(fake).mean()


def hinge_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Scores beyond 1 and -1 are good enough; both sides count half."""
    return 0.5 * (F.relu(1 - wide(real)).mean() + F.relu(1 + wide(fake)).mean())


def interpolate(real: Tensor, fake: Tensor, alpha: Tensor) -> Tensor:
    """Pictures on the way from real to filled ones. alpha: (B,), 0 is real."""
    return real + alpha.view(-1, 1, 1, 1).to(real) * (fake - real)


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], x: Tensor, mask: Tensor | None = None, norm: float = 1.0
) -> Tensor:
    """How far the critic's slope is from `norm`: mean over pictures of (|gradient| - norm) ** 2.

    x: (B, C, H, W), where the slope is taken; it keeps its graph, so that a gradient of the
    penalty flows to x as well. mask: (1 or B, 1, H, W): only the gradient at these pixels counts.

    Computed in float32 or wider, under autocast too.

    Source: Gulrajani et al., "Improved Training of Wasserstein GANs", NeurIPS 2017; on the hole
    alone: Yu et al., CVPR 2018, equation 4.
    """
    with torch.autocast(x.device.type, enabled=False):
        x = wide(x)
        x = x if x.requires_grad else x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
        squared = gradient.square() if mask is None else gradient.square() * mask
        # The root of exactly 0 has no finite slope.
        length = squared.sum((1, 2, 3)).clamp_min(torch.finfo(x.dtype).tiny).sqrt()
        return (length - norm).square().mean()
