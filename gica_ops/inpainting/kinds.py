"""Pictures and masks of every kind as tensors to fill, and back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .checks import check_picture

if TYPE_CHECKING:
    from PIL import Image
    from typing_extensions import TypeIs

__all__ = ["Item", "items"]

# Dtypes that torch has next to no arithmetic for, or too little precision, and what stands in.
WIDER = {
    torch.uint16: torch.int32,
    torch.uint32: torch.int64,
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
}


class Item(NamedTuple):
    """A picture to fill.

    values: (C, H, W), on the CPU. hole: (H, W) bool, on the CPU.
    back: from filled values, of the shape of `values`, to a picture of the kind it was.
    device: where results belong.
    """

    values: Tensor
    hole: Tensor
    back: Callable[[Tensor], Any]
    device: torch.device


def items(image: object, mask: object) -> list[Item]:
    """The pictures of a call, one or a batch, with their holes.

    Arguments as `gica_ops.inpaint` has them. Raises TypeError or ValueError, a sentence.
    """
    if not is_batch(image):
        if isinstance(mask, (list, tuple)):
            raise ValueError(f"mask must be one mask for one image, got {len(mask)} masks")
        return [_item(image, mask, "image", "mask")]
    images = list(image)  # type: ignore[call-overload]
    if not images:
        raise ValueError("image must hold at least one picture, got none")
    masks = _masks(mask, len(images))
    return [
        _item(images[i], masks[i], f"image {i}", "mask" if mask is masks[i] else f"mask {i}")
        for i in range(len(images))
    ]


def is_batch(image: object) -> bool:
    """Whether this is several pictures: a list, a tuple, or a tensor (B, C, H, W)."""
    return isinstance(image, (list, tuple)) or (isinstance(image, Tensor) and image.dim() == 4)


def _masks(mask: object, count: int) -> list[Any]:
    """One mask for each of so many pictures."""
    several = isinstance(mask, (Tensor, np.ndarray)) and mask.ndim == 4
    if not several and not isinstance(mask, (list, tuple)):
        return [mask] * count
    masks = list(mask)  # type: ignore[call-overload]
    if several and len(masks) == 1:
        return masks * count
    if len(masks) != count:
        raise ValueError(
            f"mask must be one for all images or one for each of the {count}, got {len(masks)}"
        )
    return masks


def _item(image: object, mask: object, name: str, mask_name: str) -> Item:
    item = _as_item(image, mask, name, mask_name)
    check_picture(item.values, item.hole, name, mask_name)
    return item


def _as_item(image: object, mask: object, name: str, mask_name: str) -> Item:
    cpu = torch.device("cpu")
    if _is_pillow(image):
        from .picture import Picture

        picture = Picture(image, name)
        hole = _hole(mask, picture.size, mask_name)
        return Item(picture.values, hole, lambda new: picture.replaced(new, hole), cpu)
    if isinstance(image, np.ndarray):
        values = _from_array(image, name)
        hole = _hole(mask, values.shape[1:], mask_name)
        return Item(values, hole, lambda new: _into_array(image, new, hole), cpu)
    if isinstance(image, Tensor):
        values = _from_tensor(image, name)
        hole = _hole(mask, values.shape[1:], mask_name)
        return Item(values, hole, lambda new: _into_tensor(image, new, hole), image.device)
    raise TypeError(
        f"{name} must be a PIL image, a NumPy array, a tensor, or a list of these, "
        f"got {type(image).__name__}"
    )


def _is_pillow(value: object) -> TypeIs[Image.Image]:
    """Whether this is an image of Pillow's: nobody has one who has not imported Pillow."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(value, pillow.Image)


def _from_array(array: np.ndarray, name: str) -> Tensor:
    """(H, W) or (H, W, C) as (C, H, W)."""
    if array.ndim not in (2, 3) or not array.size:
        raise ValueError(
            f"{name} must be a non-empty array of shape (H, W) or (H, W, C), "
            f"got shape {array.shape}"
        )
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8 or array.dtype == np.uint64:
        raise TypeError(
            f"{name} must have a real dtype, uint8 to int64 or float16 to float64, "
            f"got {array.dtype}"
        )
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    planes = np.ascontiguousarray(native.reshape(*native.shape[:2], -1).transpose(2, 0, 1))
    return _widened(torch.from_numpy(planes))


def _into_array(array: np.ndarray, new: Tensor, hole: Tensor) -> np.ndarray:
    filled = np.array(array)
    where = hole.numpy()
    colours = new[:, hole].T.numpy()
    filled[where] = colours[:, 0] if array.ndim == 2 else colours
    return filled


def _from_tensor(tensor: Tensor, name: str) -> Tensor:
    if tensor.dim() != 3 or not tensor.numel():
        raise ValueError(
            f"{name} must be a non-empty tensor of shape (C, H, W) or (B, C, H, W), "
            f"got shape {tuple(tensor.shape)}"
        )
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise TypeError(f"{name} must be a plain dense tensor, got {tensor.dtype}, {tensor.layout}")
    if tensor.dtype in (torch.bool, torch.uint64) or tensor.is_complex():
        raise TypeError(
            f"{name} must have a real dtype, uint8 to int64 or float16 to float64, "
            f"got {tensor.dtype}"
        )
    return _widened(tensor.detach().cpu())


def _into_tensor(tensor: Tensor, new: Tensor, hole: Tensor) -> Tensor:
    there = new.to(device=tensor.device, dtype=tensor.dtype)
    return torch.where(hole.to(tensor.device), there, tensor.detach())


def _widened(values: Tensor) -> Tensor:
    return values.to(WIDER.get(values.dtype, values.dtype))


def _hole(mask: object, size: Sequence[int], name: str) -> Tensor:
    """The hole, (H, W) bool on the CPU, of a mask of any kind."""
    if _is_pillow(mask):
        from .picture import white

        hole = white(mask)
    elif isinstance(mask, np.ndarray):
        numbers = mask[..., 0] if mask.ndim == 3 and mask.shape[2] == 1 else mask
        if numbers.dtype.kind not in "buif" or numbers.dtype.itemsize > 8:
            raise TypeError(f"{name} must be bool or real numbers, got {mask.dtype}")
        native = numbers.astype(numbers.dtype.newbyteorder("="), copy=False)
        hole = _set(torch.from_numpy(np.ascontiguousarray(native)), name)
    elif isinstance(mask, Tensor):
        hole = _set(mask.detach().cpu(), name)
    else:
        raise TypeError(
            f"{name} must be a PIL image, a NumPy array or a tensor, got {type(mask).__name__}"
        )
    height, width = size
    while hole.dim() > 2 and hole.shape[0] == 1:
        hole = hole[0]
    if hole.shape != (height, width):
        raise ValueError(
            f"{name} must have the height and width of its image, ({height}, {width}), "
            f"got shape {tuple(hole.shape)}"
        )
    return hole


def _set(mask: Tensor, name: str) -> Tensor:
    """Where a mask is True, or above half of the range of its dtype.

    What reads as another convention is refused: a mask that says nothing fills nothing.
    """
    if mask.dtype == torch.bool:
        return mask
    if mask.is_floating_point():
        if mask.numel() and not bool(((mask >= 0) & (mask <= 1)).all()):
            raise ValueError(f"{name} of {mask.dtype} must lie in 0 to 1, hole where above 0.5")
        return mask > 0.5
    if mask.dtype not in (torch.uint8, torch.uint16):
        raise TypeError(
            f"{name} must be bool, uint8, uint16 or floating point, got {mask.dtype}: "
            "pass mask != 0 where that is meant"
        )
    half = torch.iinfo(mask.dtype).max // 2
    numbers = mask.to(torch.int32)
    if numbers.numel() and int(numbers.max()) == 1:
        raise ValueError(
            f"{name} of {mask.dtype} is hole above {half}, but its largest number is 1: "
            "pass mask != 0 where that is meant"
        )
    return numbers > half
