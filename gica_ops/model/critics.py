"""The critics, which tell filled pictures from real ones during training."""

from __future__ import annotations

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .convolution import Convolution, same_padding

__all__ = ["Critic", "LocalGlobalCritic", "PatchCritic"]

LEAK = 0.2
SMALLEST_NORM = 1e-12

leaky = functools.partial(F.leaky_relu, negative_slope=LEAK)


class Critic(nn.Module):
    """Four strided convolutions and one dense unit: a number per picture.

    widths: channels after each convolution. size: height and width of the pictures.
    """

    def __init__(self, widths: tuple[int, ...], size: tuple[int, int]) -> None:
        super().__init__()
        channels = 3
        for i, width in enumerate(widths, 1):
            layer = Convolution(channels, width, 5, stride=2, activation=leaky)
            self.add_module(f"conv{i}", layer)
            channels = width
        height, width = (math.ceil(n / 2 ** len(widths)) for n in size)
        self.size = size
        self.fc_size = (height, width)
        self.fc = nn.Linear(channels * height * width, 1)
        nn.init.xavier_uniform_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, *size) in -1 to 1 to (B, 1). Raises ValueError for another size."""
        if x.shape[2:] != self.size:
            raise ValueError(f"x must be of size {self.size}, got {tuple(x.shape[2:])}")
        for layer in self.children():
            if layer is not self.fc:
                x = layer(x)
        return self.fc(x.flatten(1))


class LocalGlobalCritic(nn.Module):
    """The paper's two critics: of the box around the hole, and of the whole picture.

    local_size, global_size: height and width of what they see. base: channels of the first
    layers, 64 as published.

    Source: Yu et al., CVPR 2018, section 3, after Iizuka et al., SIGGRAPH 2017.

    >>> import torch
    >>> critic = LocalGlobalCritic((32, 32), (64, 64), base=8)
    >>> near, far = critic(torch.zeros(2, 3, 32, 32), torch.zeros(2, 3, 64, 64))
    >>> near.shape, far.shape
    (torch.Size([2, 1]), torch.Size([2, 1]))
    """

    def __init__(
        self,
        local_size: tuple[int, int] = (128, 128),
        global_size: tuple[int, int] = (256, 256),
        base: int = 64,
    ) -> None:
        super().__init__()
        self.local_critic = Critic((base, 2 * base, 4 * base, 8 * base), local_size)
        self.global_critic = Critic((base, 2 * base, 4 * base, 4 * base), global_size)

    def forward(self, boxes: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, *local_size) and (B, 3, *global_size), -1 to 1, to two times (B, 1)."""
        return self.local_critic(boxes), self.global_critic(pictures)


class SpectralConvolution(Convolution):
    """A strided convolution whose kernel is divided by its largest singular value.

    The value is estimated by one step of power iteration per use from the vector u, which is kept
    in training mode; the gradient flows through the estimate.

    Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018.
    """

    u: Tensor

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 5, stride=2, activation=leaky)
        self.register_buffer("u", torch.randn(1, out_channels))

    def forward(self, x: Tensor) -> Tensor:
        # The rows of the matrix are taps, its columns output channels.
        matrix = self.weight.flatten(1).T
        v = normalised(self.u @ matrix.T)
        u = normalised(v @ matrix)
        sigma = (v @ matrix @ u.T).squeeze()
        if self.training:
            self.u = u.detach()
        rows, columns = (same_padding(n, 5, 2) for n in x.shape[2:])
        x = F.pad(x, (*columns, *rows))
        return self.activate(F.conv2d(x, self.weight / sigma, self.bias, self.stride))


def normalised(x: Tensor) -> Tensor:
    """A vector of length 1."""
    return x / (torch.linalg.vector_norm(x) + SMALLEST_NORM)


class PatchCritic(nn.Module):
    """SN-PatchGAN: six spectrally normalised convolutions, a number per patch and channel.

    base: channels of the first layer, 64 as published.

    Source: Yu et al., ICCV 2019, section 3.3.

    >>> import torch
    >>> PatchCritic(base=8)(torch.zeros(2, 4, 64, 64)).shape
    torch.Size([2, 32])
    """

    def __init__(self, base: int = 64) -> None:
        super().__init__()
        channels = 4
        for i, width in enumerate((base, 2 * base, 4 * base, 4 * base, 4 * base, 4 * base), 1):
            self.add_module(f"conv{i}", SpectralConvolution(channels, width))
            channels = width

    def forward(self, x: Tensor) -> Tensor:
        """(B, 4, H, W), a picture in -1 to 1 and its mask, to (B, patches * channels)."""
        for layer in self.children():
            x = layer(x)
        return x.flatten(1)
