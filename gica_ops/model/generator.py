"""The generator: a coarse network, and a fine one whose second branch is contextual attention.

Layers bear the names that the original's variables have.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import backends
from ..functional import contextual_attention
from ..reference import aligned_indices
from .config import GeneratorConfig
from .convolution import (
    Activation,
    Convolution,
    DoublingConvolution,
    GatedConvolution,
    GatedDoublingConvolution,
)
from .pretrained import Pretrained

__all__ = ["Generator", "Look", "complete"]


class Layer(NamedTuple):
    """One line of a network's table. `width` counts in multiples of the first layer's."""

    name: str
    width: float
    kernel: int = 3
    stride: int = 1
    dilation: int = 1
    doubling: bool = False


ATROUS = [("conv7_atrous", 2), ("conv8_atrous", 4), ("conv9_atrous", 8), ("conv10_atrous", 16)]
COARSE = [
    Layer("conv1", 1, kernel=5),
    Layer("conv2_downsample", 2, stride=2),
    Layer("conv3", 2),
    Layer("conv4_downsample", 4, stride=2),
    Layer("conv5", 4),
    Layer("conv6", 4),
    *(Layer(name, 4, dilation=d) for name, d in ATROUS),
    Layer("conv11", 4),
    Layer("conv12", 4),
    Layer("conv13_upsample", 2, doubling=True),
    Layer("conv14", 2),
    Layer("conv15_upsample", 1, doubling=True),
    Layer("conv16", 0.5),
]
CONVOLUTION_BRANCH = [
    Layer("xconv1", 1, kernel=5),
    Layer("xconv2_downsample", 1, stride=2),
    Layer("xconv3", 2),
    Layer("xconv4_downsample", 2, stride=2),
    Layer("xconv5", 4),
    Layer("xconv6", 4),
    *(Layer("x" + name, 4, dilation=d) for name, d in ATROUS),
]
BEFORE_ATTENTION = [
    Layer("pmconv1", 1, kernel=5),
    Layer("pmconv2_downsample", 1, stride=2),
    Layer("pmconv3", 2),
    Layer("pmconv4_downsample", 4, stride=2),
    Layer("pmconv5", 4),
    Layer("pmconv6", 4),
]
AFTER_ATTENTION = [Layer("pmconv9", 4), Layer("pmconv10", 4)]
JOINT = [
    Layer("allconv11", 4),
    Layer("allconv12", 4),
    Layer("allconv13_upsample", 2, doubling=True),
    Layer("allconv14", 2),
    Layer("allconv15_upsample", 1, doubling=True),
    Layer("allconv16", 0.5),
]


class Builder:
    """Adds the layers of a table to a network, one after the other."""

    def __init__(self, network: nn.Module, config: GeneratorConfig) -> None:
        self.network = network
        self.config = config
        self.gated = config.version == "v2"

    def add(self, layers: list[Layer], channels: int) -> int:
        """The layers on maps of so many channels; returns how many come out."""
        for layer in layers:
            out = round(layer.width * self.config.width)
            self.network.add_module(layer.name, self._layer(layer, channels, out))
            channels = out // 2 if self.gated else out
        return channels

    def add_last(self, name: str, channels: int) -> None:
        """The convolution to three colours, with neither activation nor gate."""
        self.network.add_module(name, Convolution(channels, 3))

    def _layer(self, layer: Layer, channels: int, out: int) -> Convolution:
        # Features that are compared are not negative: scores are products of them.
        activation: Activation = functools.partial(F.elu, inplace=not self.gated)
        if layer.name == "pmconv6":
            activation = functools.partial(F.relu, inplace=not self.gated)
        if layer.doubling:
            doubling = GatedDoublingConvolution if self.gated else DoublingConvolution
            return doubling(channels, out, activation=activation)
        plain = GatedConvolution if self.gated else Convolution
        return plain(
            channels,
            out,
            layer.kernel,
            stride=layer.stride,
            dilation=layer.dilation,
            padding=self.config.padding,
            activation=activation,
        )


def run(network: nn.Module, layers: list[Layer], x: Tensor) -> Tensor:
    """A map through the layers of a table."""
    for layer in layers:
        x = network.get_submodule(layer.name)(x)
    return x


def laid_out(x: Tensor) -> Tensor:
    """The map in the layout that convolutions are fastest in, which what follows keeps.

    On CPUs that is channels last, which spares two copies per convolution, unless a gradient is
    wanted, which then takes twice as long.
    """
    if x.device.type == "cpu" and not torch.is_grad_enabled():
        return x.contiguous(memory_format=torch.channels_last)
    return x


def bounded(x: Tensor, version: str) -> Tensor:
    """Colours as a picture has them, -1 to 1."""
    return x.tanh() if version == "v2" else x.clamp(-1, 1)


class CoarseNetwork(nn.Module):
    """The first stage: the whole picture at once, the hole as a rough guess."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.version = config.version
        builder = Builder(self, config)
        builder.add_last("conv17", builder.add(COARSE, 5))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 5, H, W), colours, ones and mask, to (B, 3, H, W) in -1 to 1."""
        x = laid_out(x)
        return bounded(self.get_submodule("conv17")(run(self, COARSE, x)), self.version)


class FineNetwork(nn.Module):
    """The second stage: convolutions beside an attention branch, and a decoder of both."""

    def __init__(self, config: GeneratorConfig, backend: str) -> None:
        super().__init__()
        self.config = config
        self.backend = backend
        channels = 3 if config.version == "v2" else 5
        builder = Builder(self, config)
        found = builder.add(CONVOLUTION_BRANCH, channels)
        matched = builder.add(AFTER_ATTENTION, builder.add(BEFORE_ATTENTION, channels))
        builder.add_last("allconv17", builder.add(JOINT, found + matched))

    def forward(
        self, x: Tensor, hole: Tensor, return_offsets: bool, backend: str | None = None
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """(B, 3 or 5, H, W) and the mask of that size, to colours in -1 to 1, offsets, features."""
        x = laid_out(x)
        found = run(self, CONVOLUTION_BRANCH, x)
        features = run(self, BEFORE_ATTENTION, x)
        attended, offsets = self.attend(features, hole, return_offsets, backend)
        x = run(self, JOINT, torch.cat((found, run(self, AFTER_ATTENTION, attended)), 1))
        return bounded(self.get_submodule("allconv17")(x), self.config.version), offsets, features

    def attend(
        self,
        features: Tensor,
        hole: Tensor,
        return_offsets: bool,
        backend: str | None = None,
        **options: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Features, matched with themselves outside the hole.

        backend: instead of the network's own. options: more of `contextual_attention`.
        """
        config = self.config
        windows = (config.ksize, 1, config.rate, config.fuse_k, config.softmax_scale)
        result = contextual_attention(
            features,
            features,
            quarter(hole, config.semantics),
            *windows,
            fuse=config.fuse,
            semantics=config.semantics,
            backend=backend or self.backend,
            return_offsets=return_offsets,  # type: ignore[call-overload]
            **options,
        )
        return (result.output, result.offsets) if return_offsets else (result, None)


def quarter(mask: Tensor, semantics: str) -> Tensor:
    """The mask at a quarter of its size, as the attention's own reduction picks pixels."""
    if semantics != "tf":
        return mask[:, :, ::4, ::4]
    rows, columns = (aligned_indices(n, n // 4, mask.device) for n in mask.shape[2:])
    return mask.index_select(2, rows).index_select(3, columns)


class Look(NamedTuple):
    """What a generator makes of a picture, and what its attention compares.

    stage2: (B, 3, H, W) in -1 to 1, the padding included that makes sides multiples of 4 * rate.
    features: (B, C, H / 4, W / 4). hole: (1 or B, 1, H, W) bool.
    offsets: where the attention looks most, as `contextual_attention` returns it.
    """

    stage2: Tensor
    features: Tensor
    offsets: Tensor
    hole: Tensor


class Generator(nn.Module, Pretrained):
    """Fills the hole of a picture: both stages, as the paper's and its successor's.

    config: a `GeneratorConfig`; `Generator.v1()` and `Generator.v2()` are as published, with
        3,601,542 and 4,052,478 parameters.
    backend: of the attention, as in `contextual_attention`; it may be set later, too.

    Kernels are drawn Glorot-uniform, biases are 0.

    Sources: Yu et al., "Generative Image Inpainting with Contextual Attention", CVPR 2018,
    sections 3 and 4; "Free-Form Image Inpainting with Gated Convolution", ICCV 2019, section 3.

    >>> import torch
    >>> generator = Generator.v1(cnum=8)
    >>> image, mask = torch.zeros(1, 3, 50, 70), torch.zeros(1, 1, 50, 70)
    >>> mask[..., 10:30, 20:40] = 1
    >>> stage1, stage2 = generator(image, mask)
    >>> stage2.shape
    torch.Size([1, 3, 50, 70])
    """

    def __init__(self, config: GeneratorConfig | None = None, *, backend: str = "auto") -> None:
        super().__init__()
        backends.check_name(backend)
        self.config = GeneratorConfig() if config is None else config
        self.coarse = CoarseNetwork(self.config)
        self.fine = FineNetwork(self.config, backend)

    @classmethod
    def v1(cls, cnum: int = 32, *, backend: str = "auto", **options: Any) -> Generator:
        """The network of the 2018 paper. `options` are those of `GeneratorConfig`."""
        return cls(GeneratorConfig("v1", cnum, **options), backend=backend)

    @classmethod
    def v2(cls, cnum: int = 48, *, backend: str = "auto", **options: Any) -> Generator:
        """The gated network of 2019. `options` are those of `GeneratorConfig`."""
        return cls(GeneratorConfig("v2", cnum, **options), backend=backend)

    @property
    def backend(self) -> str:
        """The backend of the attention."""
        return self.fine.backend

    @backend.setter
    def backend(self, name: str) -> None:
        backends.check_name(name)
        self.fine.backend = name

    def forward(
        self, image: Tensor, mask: Tensor, return_offsets: bool = False
    ) -> tuple[Tensor, Tensor] | tuple[Tensor, Tensor, Tensor]:
        """Both stages' pictures, and where the attention looked if that is asked for.

        image: (B, 3, H, W) RGB in -1 to 1, floating point, of any size; what the hole holds is not
            looked at.
        mask: (1 or B, 1, H, W), any real dtype, not 0 = hole.
        return_offsets: also return offsets (B, 2, h, w) int64, the (row, column) that each
            position of the attention looked at most. Positions are 4 * rate pixels apart in the
            picture, which is padded with its border to a multiple of that.

        Returns (stage1, stage2), each (B, 3, H, W) in -1 to 1, or (stage1, stage2, offsets). Both
        cover the whole picture: the result is stage2 in the hole and the image elsewhere
        (`complete` does that).

        Raises ValueError or TypeError, a sentence, for other shapes and dtypes.
        """
        known, hole = self._inputs(image, mask)
        stage1 = self._stage1(known, hole)
        stage2, offsets, _ = self.fine(self._guessed(known, hole, stage1), hole, return_offsets)
        pictures = tuple(uncovered(s, image) for s in (stage1, stage2))
        return pictures if offsets is None else (*pictures, offsets)  # type: ignore[return-value]

    def look(self, image: Tensor, mask: Tensor, *, backend: str | None = None) -> Look:
        """The second stage's picture and what led to it; arguments and errors as in `forward`.

        backend: of the attention, in this call, instead of the network's own. `fine.attend` takes
        the features once more, with other `values`.
        """
        known, hole = self._inputs(image, mask)
        guessed = self._guessed(known, hole, self._stage1(known, hole))
        stage2, offsets, features = self.fine(guessed, hole, True, backend)
        assert offsets is not None
        return Look(stage2.to(image.dtype), features, offsets, hole)

    def guess(self, image: Tensor, mask: Tensor) -> Tensor:
        """The first stage's picture alone: arguments, shape and errors as in `forward`."""
        return uncovered(self._stage1(*self._inputs(image, mask)), image)

    def _inputs(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The padded picture with an empty hole, and the padded hole, one or one per sample."""
        check_picture(image, mask)
        height, width = image.shape[2:]
        down, right = -height % self.config.multiple, -width % self.config.multiple
        hole = (mask != 0).to(image.dtype)
        known = image.masked_fill(hole != 0, 0)
        # The border is repeated: a hole that reaches it goes on, and so does what is known.
        known, hole = (F.pad(x, (0, right, 0, down), mode="replicate") for x in (known, hole))
        return known, hole != 0

    def _guessed(self, known: Tensor, hole: Tensor, stage1: Tensor) -> Tensor:
        """The fine network's input."""
        x = torch.where(hole, stage1, known)
        return with_mask(x, hole) if self.config.version == "v1" else x

    def _stage1(self, known: Tensor, hole: Tensor) -> Tensor:
        guess: Tensor = self.coarse(with_mask(known, hole))
        return guess.to(known.dtype)


def with_mask(x: Tensor, hole: Tensor) -> Tensor:
    """The five channels of a network's input: colours, ones, and the hole."""
    shape = (x.shape[0], 1, *x.shape[2:])
    return torch.cat((x, x.new_ones(shape), hole.to(x.dtype).expand(shape)), 1)


def uncovered(x: Tensor, image: Tensor) -> Tensor:
    """A stage's picture without the padding, in the dtype of the image."""
    return x[:, :, : image.shape[2], : image.shape[3]].to(image.dtype)


def complete(image: Tensor, mask: Tensor, prediction: Tensor) -> Tensor:
    """The prediction in the hole, the image elsewhere. Shapes as in `Generator.forward`.

    >>> import torch
    >>> image, mask = torch.zeros(1, 3, 2, 2), torch.eye(2).view(1, 1, 2, 2)
    >>> complete(image, mask, image + 1)[0, 0]
    tensor([[1., 0.],
            [0., 1.]])
    """
    return torch.where(mask != 0, prediction, image)


def check_picture(image: Tensor, mask: Tensor) -> None:
    """Raise ValueError or TypeError, a sentence, unless these are a picture and its hole."""
    for name, value in (("image", image), ("mask", mask)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}")
    if image.dim() != 4 or image.shape[1] != 3:
        raise ValueError(f"image must have shape (B, 3, H, W), got {tuple(image.shape)}")
    if not image.is_floating_point():
        raise TypeError(f"image must be floating point, -1 to 1, got {image.dtype}")
    if mask.is_complex():
        raise TypeError(f"mask must be boolean, integer or floating point, got {mask.dtype}")
    batch, _, height, width = image.shape
    if mask.dim() != 4 or mask.shape[1:] != (1, height, width) or mask.shape[0] not in (1, batch):
        raise ValueError(
            f"mask must have shape (1 or {batch}, 1, {height}, {width}), got {tuple(mask.shape)}"
        )
    if 0 in image.shape:
        raise ValueError(f"image must not be empty, got shape {tuple(image.shape)}")
    if mask.device != image.device:
        raise ValueError(f"mask must be on the device of image, {image.device}, got {mask.device}")
