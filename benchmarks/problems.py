"""The inputs that are measured: noise, and the features of photographs, both with a centre hole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

__all__ = ["KINDS", "Problem", "centre_hole", "make"]

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
CHANNELS = 128
RATE = 2
FEATURE_STRIDE = 4  # image pixels per feature: DeepFill attends at a quarter of the resolution
PHOTOGRAPHS = {"astronaut": "astronaut.png", "coffee": "coffee.png"}
KINDS = ("noise", *PHOTOGRAPHS)


@dataclass(frozen=True)
class Problem:
    """One call's tensors: f and b (1, C, H, W) float32, mask (1, 1, H, W) bool."""

    name: str
    f: torch.Tensor
    b: torch.Tensor
    mask: torch.Tensor

    @property
    def positions(self) -> int:
        """P = Q, at match resolution."""
        return (self.f.shape[2] // RATE) * (self.f.shape[3] // RATE)

    def arguments(self, skip: str = "auto") -> dict[str, Any]:
        """Keyword arguments for `gica_ops.contextual_attention`."""
        return {"f": self.f, "b": self.b, "mask": self.mask, "rate": RATE, "skip": skip}


def make(kind: str, image_side: int, channels: int = CHANNELS) -> Problem:
    """The problem of a square image: `kind` is one of KINDS; the maps are a quarter of its side.

    As in the networks, foreground and background are the same features. In noise every known
    position then matches itself: noise is peaky, not flat.
    """
    side = image_side // FEATURE_STRIDE
    if kind == "noise":
        generator = torch.Generator().manual_seed(0)
        features = 0.5 * torch.randn(1, channels, side, side, generator=generator)
    else:
        image = photograph(PHOTOGRAPHS[kind], image_side)
        deviation, mean = torch.std_mean(image, (2, 3), keepdim=True)
        features = random_features((image - mean) / deviation, channels)
    hole = centre_hole(side, side // 2)
    return Problem(f"{kind} {image_side}", features, features.clone(), hole)


def centre_hole(side: int, hole_side: int) -> torch.Tensor:
    """(1, 1, side, side) bool, True in a centred square."""
    hole = torch.zeros(1, 1, side, side, dtype=torch.bool)
    start = (side - hole_side) // 2
    hole[..., start : start + hole_side, start : start + hole_side] = True
    return hole


def photograph(name: str, side: int) -> torch.Tensor:
    """(1, 3, side, side) in [0, 1]: the largest centred square of the picture, resized."""
    with Image.open(EXAMPLES / name) as file:
        picture = file.convert("RGB")
        edge = min(picture.size)
        left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
        square = picture.resize(
            (side, side), Image.Resampling.LANCZOS, (left, top, left + edge, top + edge)
        )
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)[None].float() / 255


def random_features(image: torch.Tensor, channels: int) -> torch.Tensor:
    """(1, channels, H/4, W/4): seeded random convolutions, shaped like DeepFill's encoder.

    With He's scale of weights: the features are about as large as the image's values.
    """
    generator = torch.Generator().manual_seed(0)
    x = image
    for out, kernel, stride in (
        (32, 5, 1),
        (64, 3, 2),
        (64, 3, 1),
        (channels, 3, 2),
        (channels, 3, 1),
    ):
        fan_in = x.shape[1] * kernel * kernel
        weight = torch.randn(out, x.shape[1], kernel, kernel, generator=generator)
        x = F.relu(F.conv2d(x, weight * (2 / fan_in) ** 0.5, stride=stride, padding=kernel // 2))
    return x
