"""What the fillers accept, in sentences."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["check_picture"]


def check_picture(
    image: Tensor, mask: Tensor, name: str = "image", mask_name: str = "mask"
) -> None:
    """Raise TypeError or ValueError, a sentence, unless these are a picture and its hole.

    image: (C, H, W), real, on the CPU, finite outside the hole. mask: (H, W) bool, True = hole,
    which leaves something known. The names are what the sentences call them.
    """
    for what, value in ((name, image), (mask_name, mask)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{what} must be a tensor, got {type(value).__name__}")
    if image.dim() != 3 or image.dtype == torch.bool or image.is_complex() or not image.numel():
        raise ValueError(
            f"{name} must be a non-empty real tensor of shape (C, H, W), "
            f"got shape {tuple(image.shape)} of {image.dtype}"
        )
    if mask.dtype != torch.bool:
        raise TypeError(f"{mask_name} must be a bool tensor, True = hole, got {mask.dtype}")
    if mask.shape != image.shape[1:]:
        raise ValueError(
            f"{mask_name} must have the image's height and width {tuple(image.shape[1:])}, "
            f"got shape {tuple(mask.shape)}"
        )
    if image.device.type != "cpu" or mask.device.type != "cpu":
        raise ValueError(
            f"{name} and {mask_name} must be on the CPU, got {image.device} and {mask.device}"
        )
    if mask.all():
        raise ValueError(
            f"{mask_name} must leave some pixels to copy from: it covers the whole image"
        )
    if image.is_floating_point() and not _finite(image, mask):
        raise ValueError(f"{name} must be finite outside the hole, got NaN or infinity there")


def _finite(image: Tensor, mask: Tensor) -> bool:
    """Whether all that is known is finite: row by row, a large picture is not doubled."""
    rows = zip(image.unbind(1), mask, strict=True)
    return all(bool((row.isfinite() | hole).all()) for row, hole in rows)
