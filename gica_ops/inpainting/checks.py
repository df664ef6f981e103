"""What the fillers accept, in sentences."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["check_picture"]


def check_picture(image: Tensor, mask: Tensor) -> None:
    """Raise TypeError or ValueError, a sentence, unless these are a picture and its hole.

    image: (C, H, W), real, on the CPU, finite outside the hole. mask: (H, W) bool, True = hole,
    which leaves something known.
    """
    for name, value in (("image", image), ("mask", mask)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a tensor, got {type(value).__name__}")
    if image.dim() != 3 or image.dtype == torch.bool or image.is_complex() or not image.numel():
        raise ValueError(
            "image must be a non-empty real tensor of shape (C, H, W), "
            f"got shape {tuple(image.shape)} of {image.dtype}"
        )
    if mask.dtype != torch.bool:
        raise TypeError(f"mask must be a bool tensor, True = hole, got {mask.dtype}")
    if mask.shape != image.shape[1:]:
        raise ValueError(
            f"mask must have the image's height and width {tuple(image.shape[1:])}, "
            f"got shape {tuple(mask.shape)}"
        )
    if image.device.type != "cpu" or mask.device.type != "cpu":
        raise ValueError(f"image and mask must be on the CPU, got {image.device} and {mask.device}")
    if mask.all():
        raise ValueError("mask must leave some pixels to copy from: it covers the whole image")
    if image.is_floating_point() and not bool(image[:, ~mask].isfinite().all()):
        raise ValueError("image must be finite outside the hole, got NaN or infinity there")
