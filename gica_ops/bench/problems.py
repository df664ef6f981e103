"""What is measured: problems, each a value that can be named, written down and made again."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .. import checks, testing

__all__ = ["SIZES", "Inputs", "Problem", "parse_problem", "parse_size"]

SIZES = {str(side): (side, side) for side in (64, 128, 256, 512, 1024, 2048, 4096)}
SIZES |= {"4K": (2160, 3840), "8K": (4320, 7680)}
FEATURE_STRIDE = 4  # pixels of the image per feature: the networks attend at a quarter of it
KSIZE, FUSE_K, SCALE = 3, 3, 10.0
KINDS = ("natural", "noise")
WORKS = ("forward", "backward", "both", "generator")
DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Problem:
    """One call of the layer, or of the generator, as it is measured.

    height, width: of the image, in pixels; maps are a quarter of that.
    batch, channels, rate, fuse, skip, dtype, device: of the layer. The generator takes the batch
        and the device.
    hole: side of the centre hole, as a share of the image's.
    kind: "natural" features have the spectrum of photographs, "noise" has none.
    contrast: factor on the features: the more, the more peaked the attention.
    work: "forward", "backward" (of a forward that has been run), "both", or "generator", a forward
        of the v1 network.

    Raises ValueError, a sentence, for values that make no problem.

    >>> Problem(512, 512, skip="never").name
    '512 forward natural skip=never'
    """

    height: int
    width: int
    batch: int = 1
    channels: int = 128
    rate: int = 2
    fuse: bool = True
    hole: float = 0.5
    kind: str = "natural"
    contrast: float = 1.0
    skip: str = "auto"
    work: str = "forward"
    dtype: str = "float32"
    device: str = "cpu"

    def __post_init__(self) -> None:
        checks.choice("kind", self.kind, KINDS)
        checks.choice("work", self.work, WORKS)
        checks.choice("skip", self.skip, ("auto", "never"))
        checks.choice("dtype", self.dtype, DTYPES)
        checks.choice("device", self.device, ("cpu", "cuda"))
        for name in ("batch", "channels", "rate"):
            checks.integer(name, getattr(self, name), 1)
        for name in ("height", "width"):
            value, step = getattr(self, name), FEATURE_STRIDE * self.rate
            checks.integer(name, value, step)
            if value % step:
                raise ValueError(f"{name} must be a multiple of 4 * rate = {step}, got {value}")
        if not 0 <= self.hole < 1:
            raise ValueError(f"hole must be at least 0 and less than 1, got {self.hole}")
        if not 0 < self.contrast < float("inf"):
            raise ValueError(f"contrast must be positive and finite, got {self.contrast}")

    @property
    def size(self) -> str:
        """The image's size by its name, the side of a square, or height x width.

        >>> Problem(2160, 3840).size, Problem(96, 96).size, Problem(64, 96).size
        ('4K', '96', '64x96')
        """
        names = {size: name for name, size in SIZES.items()}
        plain = str(self.height) if self.height == self.width else f"{self.height}x{self.width}"
        return names.get((self.height, self.width), plain)

    @property
    def name(self) -> str:
        """Size, work, kind, skipping, and what is not as usual."""
        parts = [self.size, self.work]
        if self.work != "generator":
            parts += [self.kind, f"skip={self.skip}"]
        shown = ("height", "width", "work", "kind", "skip")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name not in shown and value != field.default:
                parts.append(f"{field.name}={value}")
        return " ".join(parts)

    @property
    def maps(self) -> tuple[int, int]:
        """Height and width of the feature maps."""
        return self.height // FEATURE_STRIDE, self.width // FEATURE_STRIDE

    @property
    def positions(self) -> int:
        """P = Q, at match resolution."""
        return (self.maps[0] // self.rate) * (self.maps[1] // self.rate)

    def operations(self, live: float | None = None) -> float:
        """Floating-point operations of the products.

        live: None for the unfused layer, 50 P Q C forward at rate 2 and twice that backward; or the
        share of live blocks, for the fused one: 10 P Q C and 22 P Q C where all are live.

        >>> problem = Problem(512, 512)
        >>> problem.operations() / problem.operations(1.0)
        5.0
        """
        pair = self.batch * self.positions**2 * self.channels
        paste = 2 * self.rate**2
        if live is None:
            forward = 2.0 * KSIZE**2 + 4 * paste
            backward = 2 * forward
        else:
            forward = 2 + paste * live
            backward = 2 + 4 * live + 2 * paste * live
        each = {"forward": forward, "backward": backward, "both": forward + backward}
        return pair * each.get(self.work, 0.0)

    def least_bytes(self) -> int:
        """What has to be moved at least: each input read once, each output written once."""
        height, width = self.maps
        maps = {"forward": 3, "backward": 5, "both": 6}.get(self.work, 0)
        size = torch.finfo(getattr(torch, self.dtype)).bits // 8
        return maps * size * self.batch * self.channels * height * width

    def shrunk(self, positions: int) -> Problem:
        """The same problem on an image small enough for so many positions.

        >>> Problem(2160, 3840).shrunk(4096).size
        '384x680'
        """
        if self.positions <= positions:
            return self
        factor = (positions / self.positions) ** 0.5
        step = FEATURE_STRIDE * self.rate
        height, width = (
            max(step, int(n * factor / step) * step) for n in (self.height, self.width)
        )
        return dataclasses.replace(self, height=height, width=width)


@dataclass(frozen=True)
class Inputs:
    """A problem's tensors: f, b and g, the gradient that comes in, (B, C, H, W); mask, 1 = hole.

    Of the generator f is the image (B, 3, height, width), and the mask is of that size.
    """

    f: Tensor
    b: Tensor
    g: Tensor
    mask: Tensor

    @classmethod
    def of(cls, problem: Problem) -> Inputs:
        """The same tensors every time."""
        generator = torch.Generator().manual_seed(0)
        whole = problem.work == "generator"
        size = (problem.height, problem.width) if whole else problem.maps
        make = testing.noise_features if problem.kind == "noise" else testing.natural_features
        f = problem.contrast * make(
            problem.batch, 3 if whole else problem.channels, size, generator
        )
        if whole:
            f = (2 * f - 1).clamp(-1, 1)
        mask = torch.zeros(1, 1, *size)
        top, left = (round(n * (1 - problem.hole) / 2) for n in size)
        if problem.hole:
            mask[..., top : size[0] - top, left : size[1] - left] = 1
        f = f.to(problem.device, torch.float32 if whole else getattr(torch, problem.dtype))
        g = torch.ones_like(f) if whole else torch.randn(f.shape, generator=generator).to(f)
        return cls(f, f.clone(), g, mask.to(problem.device))


def parse_size(text: str) -> tuple[int, int]:
    """Height and width from a name such as 512 or 4K, or from 480x640.

    >>> parse_size("8K"), parse_size("480x640")
    ((4320, 7680), (480, 640))
    """
    if text in SIZES:
        return SIZES[text]
    found = re.fullmatch(r"(\d{1,6})(?:x(\d{1,6}))?", text)
    if not found:
        raise ValueError(f"size must be {', '.join(SIZES)} or HEIGHTxWIDTH, got {text!r}")
    return int(found[1]), int(found[2] or found[1])


def parse_problem(text: str, **defaults: Any) -> Problem:
    """A problem from its size and what is not as usual. Raises ValueError, a sentence.

    >>> parse_problem("512,work=backward,skip=never").name
    '512 backward natural skip=never'
    """
    size, *options = text.split(",")
    height, width = parse_size(size)
    values = dict(defaults)
    kinds = {f.name: type(f.default) for f in dataclasses.fields(Problem)[2:]}
    for option in options:
        name, _, value = option.partition("=")
        if name not in kinds:
            raise ValueError(f"problem must have options of {', '.join(kinds)}, got {option!r}")
        values[name] = _value(name, value, kinds[name])
    return Problem(height, width, **values)


def _value(name: str, text: str, kind: type[Any]) -> Any:
    if kind is bool:
        if text not in ("on", "off"):
            raise ValueError(f"{name} must be on or off, got {text!r}")
        return text == "on"
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{name} must be {kind.__name__}, got {text!r}") from None


def unique(problems: Iterable[Problem]) -> list[Problem]:
    """The problems without repetition, in their order."""
    return list(dict.fromkeys(problems))
