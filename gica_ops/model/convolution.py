"""Convolutions as the networks have them: TensorFlow's padding, activation or gate, up-sampling."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Convolution", "DoublingConvolution", "GatedConvolution", "GatedDoublingConvolution"]

Activation = Callable[[Tensor], Tensor]


def same_padding(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """What TensorFlow's SAME puts in front of and behind a row: the smaller half in front.

    >>> same_padding(8, kernel=3, stride=2), same_padding(9, kernel=3, stride=2)
    ((0, 1), (1, 1))
    """
    # The negative of a floor is a ceiling; it also works on sizes that are traced.
    total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2


class Convolution(nn.Conv2d):
    """A convolution of odd kernel that keeps the size, or divides it by the stride, rounded up.

    padding: "tf" or "symmetric"; they differ where the stride is not 1.
    activation: applied to the result, in place where it can be.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        dilation: int = 1,
        padding: str = "tf",
        activation: Activation | None = None,
    ) -> None:
        shift = stride != 1 and padding == "tf"
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=0 if shift else dilation * (kernel_size // 2),
            dilation=dilation,
        )
        self.shift = shift
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(B, in channels, H, W) to (B, out channels, H / stride, W / stride), rounded up."""
        if self.shift:
            height, width = x.shape[2:]
            rows = same_padding(height, self.kernel_size[0], self.stride[0])
            columns = same_padding(width, self.kernel_size[1], self.stride[1])
            x = F.pad(x, (*columns, *rows))
        return self.activate(super().forward(x))

    def activate(self, x: Tensor) -> Tensor:
        return x if self.activation is None else self.activation(x)

    def reset_parameters(self) -> None:
        """Glorot-uniform kernels and zero biases, as the original draws them."""
        nn.init.xavier_uniform_(self.weight)
        assert self.bias is not None
        nn.init.zeros_(self.bias)


class DoublingConvolution(Convolution):
    """Every pixel repeated 2 x 2 times, then a 3 x 3 convolution.

    Two taps of three fall on copies of one pixel. Summed up beforehand they make a transposed
    convolution of stride 2 and 4 x 4 taps: 16 products for 36, and the enlarged map never exists.
    """

    taps: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, activation: Activation | None = None
    ) -> None:
        super().__init__(in_channels, out_channels, activation=activation)
        # Row t says which taps of three make tap t of four, on either axis.
        taps = torch.tensor(((0.0, 0, 1), (0, 1, 1), (1, 1, 0), (1, 0, 0)))
        self.register_buffer("taps", taps, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in channels, H, W) to (B, out channels, 2 H, 2 W)."""
        kernel = (self.taps @ self.weight @ self.taps.T).transpose(0, 1)
        return self.activate(F.conv_transpose2d(x, kernel, self.bias, stride=2, padding=1))


def gate(x: Tensor, activation: Activation | None) -> Tensor:
    """The first half of the channels through the activation, times the sigmoid of the second."""
    features, gates = x.chunk(2, 1)
    return (features if activation is None else activation(features)) * gates.sigmoid()


class GatedConvolution(Convolution):
    """A convolution whose second half of channels gates the first.

    `out_channels` counts both halves; half as many come out.

    Source: Yu et al., "Free-Form Image Inpainting with Gated Convolution", ICCV 2019, 3.1.
    """

    def activate(self, x: Tensor) -> Tensor:
        return gate(x, self.activation)


class GatedDoublingConvolution(DoublingConvolution):
    """A `DoublingConvolution` whose second half of channels gates the first."""

    def activate(self, x: Tensor) -> Tensor:
        return gate(x, self.activation)
