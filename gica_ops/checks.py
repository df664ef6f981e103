"""What the layer accepts, in sentences: every check of a user's argument, and nothing else.

The functions return their argument in the form the rest of the package works with (a hole instead
of a mask, say), so that nothing is looked at twice. They read shapes, dtypes and devices, never
values: a check never waits for a device and never breaks a compiled graph.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
SEMANTICS = ("tf", "torch", "mmagic")
SKIP = ("auto", "never")
# Far above any useful window: the limit keeps a slip from asking for a machine full of memory.
LARGEST_WINDOW = 63


def _tensor(name: str, value: object) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}")
    return value


def _shape(tensor: Tensor) -> str:
    return "(" + ", ".join(str(n) for n in tensor.shape) + ")"


def integer(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, torch.SymInt)):
        raise TypeError(f"{name} must be an int, got {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def _odd(name: str, value: int) -> None:
    integer(name, value, 1)
    if value % 2 == 0:
        raise ValueError(f"{name} must be odd, so that a window has a centre, got {value}")
    if value > LARGEST_WINDOW:
        raise ValueError(f"{name} must be at most {LARGEST_WINDOW}, got {value}")


def choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        known = ", ".join(repr(c) for c in choices)
        raise ValueError(f"{name} must be one of {known}, got {value!r}")


class Inputs(NamedTuple):
    """The checked arguments that every implementation takes, in the operators' order."""

    f: Tensor
    b: Tensor
    hole: Tensor | None
    values: Tensor | None
    query: Tensor | None
    ksize: int
    rate: int
    fuse_k: int

    def without_values(self) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None, int, int, int]:
        """What matching alone takes."""
        return self.f, self.b, self.hole, self.query, self.ksize, self.rate, self.fuse_k


def inputs(
    f: Tensor,
    b: Tensor,
    mask: Tensor | None,
    values: Tensor | None,
    query_mask: Tensor | None,
    ksize: int,
    stride: int,
    rate: int,
    fuse_k: int,
    fuse: bool,
) -> Inputs:
    """Check tensors and windows. Masks become booleans, no propagation a window of 1."""
    windows(ksize, stride, rate, fuse_k)
    f, b = _map("f", f, rate), _map("b", b, rate)
    values = None if values is None else _map("values", values, 1)
    f, b, values = _one_dtype_under_autocast(f, b, values)
    _matches("b", b, f)
    if b.shape[1] != f.shape[1]:
        raise ValueError(f"b must have as many channels as f, {f.shape[1]}, got {b.shape[1]}")
    if values is not None:
        _matches("values", values, f)
        _scale_of("values", values, b)
    hole = None if mask is None else _flags("mask", mask, f, b.shape[2], b.shape[3])
    query = None
    if query_mask is not None:
        query = _flags("query_mask", query_mask, f, f.shape[2], f.shape[3])
    return Inputs(f, b, hole, values, query, ksize, rate, fuse_k if fuse else 1)


def choices(semantics: str, skip: str = "auto", deterministic: bool | None = None) -> None:
    """Check the options that are a choice among a few."""
    choice("semantics", semantics, SEMANTICS)
    choice("skip", skip, SKIP)
    if deterministic is not None and not isinstance(deterministic, bool):
        raise TypeError(
            f"deterministic must be None, True or False, got {type(deterministic).__name__}"
        )


def scale(softmax_scale: float) -> float:
    """Check that the softmax scale is a finite number; return it as a float."""
    if isinstance(softmax_scale, bool) or not isinstance(
        softmax_scale, (int, float, torch.SymInt, torch.SymFloat)
    ):
        raise TypeError(f"softmax_scale must be a number, got {type(softmax_scale).__name__}")
    if not abs(softmax_scale) < float("inf"):
        raise ValueError(f"softmax_scale must be finite, got {softmax_scale}")
    return float(softmax_scale)


def windows(ksize: int, stride: int, rate: int, fuse_k: int) -> None:
    """Check the sizes of the layer's windows."""
    _odd("ksize", ksize)
    integer("rate", rate, 1)
    _odd("fuse_k", fuse_k)
    integer("stride", stride, 1)
    if stride != 1:
        raise ValueError(
            f"stride must be 1, got {stride}: the layer is defined for patches cut at every "
            "position only; use rate to work at a lower resolution"
        )


def _map(name: str, value: object, rate: int) -> Tensor:
    """A feature map: four dimensions, none empty, floating point, divisible by rate."""
    tensor = _tensor(name, value)
    if tensor.dim() != 4:
        raise ValueError(
            f"{name} must have 4 dimensions (batch, channels, height, width), got {tensor.dim()}: "
            f"shape {_shape(tensor)}"
        )
    if tensor.dtype not in DTYPES:
        known = ", ".join(str(d) for d in DTYPES)
        raise TypeError(f"{name} must be one of {known}, got {tensor.dtype}")
    for size in tensor.shape:
        if size == 0:
            raise ValueError(f"{name} must not be empty, got shape {_shape(tensor)}")
    height, width = tensor.shape[2:]
    if height % rate != 0 or width % rate != 0:
        raise ValueError(
            f"height and width of {name} must be multiples of rate={rate}, got "
            f"{height} x {width}: pad or resize the map, or use another rate"
        )
    return tensor


def _one_dtype_under_autocast(
    f: Tensor, b: Tensor, values: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Under autocast the maps meet at the widest of their dtypes; elsewhere they must agree."""
    device = f.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return widest(f, b, values)
    return f, b, values


def widest(f: Tensor, b: Tensor, values: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """The maps in the dtype to which all of them promote."""
    dtype = torch.promote_types(f.dtype, b.dtype)
    if values is not None:
        dtype = torch.promote_types(dtype, values.dtype)
    return f.to(dtype), b.to(dtype), None if values is None else values.to(dtype)


def _matches(name: str, tensor: Tensor, f: Tensor) -> None:
    if tensor.device != f.device:
        raise ValueError(f"{name} must be on the device of f, {f.device}, got {tensor.device}")
    if tensor.dtype != f.dtype:
        raise TypeError(f"{name} must have the dtype of f, {f.dtype}, got {tensor.dtype}")
    if tensor.shape[0] != f.shape[0]:
        raise ValueError(
            f"{name} must have the batch size of f, {f.shape[0]}, got {tensor.shape[0]}"
        )


def _scale_of(name: str, tensor: Tensor, b: Tensor) -> None:
    height, width = b.shape[2:]
    s = tensor.shape[2] // height
    if s < 1 or tensor.shape[2] != s * height or tensor.shape[3] != s * width:
        raise ValueError(
            f"{name} must be s times as high and as wide as b ({height} x {width}) for one whole "
            f"s, got {tensor.shape[2]} x {tensor.shape[3]}"
        )


def _flags(name: str, value: object, f: Tensor, height: int, width: int) -> Tensor:
    """A mask as booleans, True where it is not 0: (1 or batch, 1, height, width)."""
    mask = _tensor(name, value)
    if (
        mask.dim() != 4
        or mask.shape[1] != 1
        or mask.shape[2] != height
        or mask.shape[3] != width
        or (mask.shape[0] != 1 and mask.shape[0] != f.shape[0])
    ):
        raise ValueError(
            f"{name} must have shape (1 or {f.shape[0]}, 1, {height}, {width}), got {_shape(mask)}"
        )
    if mask.is_complex():
        raise TypeError(f"{name} must be boolean, integer or floating point, got {mask.dtype}")
    if mask.device != f.device:
        raise ValueError(f"{name} must be on the device of f, {f.device}, got {mask.device}")
    return mask if mask.dtype == torch.bool else mask != 0
