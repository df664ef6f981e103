"""Which implementation runs a call, and why another cannot."""

from __future__ import annotations

import torch

from . import _native

__all__ = ["available_backends", "can_run", "select"]

NAMES = ("cpu", "cuda", "reference")


def can_run(
    backend: str, device: torch.device | None = None, dtype: torch.dtype | None = None
) -> str | None:
    """Why this backend cannot run tensors of this device and dtype, a sentence; None where it can.

    Without a device: why it cannot run at all. Without a dtype: why it can run none.
    """
    if backend == "reference":
        return None
    check_name(backend)
    if backend == "cuda":
        return _can_run_cuda(device, dtype)
    if _native.REASON is not None:
        return _native.REASON
    if device is not None and device.type != "cpu":
        return f"the CPU kernels need tensors on the CPU, got tensors on {device}"
    return None


def _can_run_cuda(device: torch.device | None, dtype: torch.dtype | None) -> str | None:
    if _native.CUDA_REASON is not None:
        return _native.CUDA_REASON
    if device is not None and device.type != "cuda":
        return f"the CUDA kernels need tensors on a CUDA device, got tensors on {device}"
    if dtype == torch.float64:
        return "the CUDA kernels take float32, bfloat16 and float16, got float64 tensors"
    return _native.cuda_device_reason(None if device is None else device.index)


def check_name(backend: str) -> None:
    """Raise ValueError unless this is "auto" or the name of a backend."""
    if backend not in ("auto", *NAMES):
        known = ", ".join(repr(name) for name in ("auto", *NAMES))
        raise ValueError(f"backend must be one of {known}, got {backend!r}")


def select(backend: str, device: torch.device, dtype: torch.dtype | None = None) -> str:
    """The name of the backend to run: the one asked for, or for "auto" the first that can.

    Raises ValueError where the backend asked for cannot run.
    """
    if backend == "auto":
        kernels = "cuda" if device.type == "cuda" else "cpu"
        return "reference" if can_run(kernels, device, dtype) else kernels
    reason = can_run(backend, device, dtype)
    if reason is not None:
        raise ValueError(f"backend={backend!r} cannot run here: {reason}")
    return backend


def available_backends(device: torch.device | str | None = None) -> dict[str, str | None]:
    """Every backend by name, with None where it can run and else the reason why not, a sentence.

    device: ask for tensors on this device; without it, ask whether the backend works at all.

    >>> available_backends("cuda")["cpu"] is None
    False
    >>> available_backends()["reference"] is None
    True
    """
    device = None if device is None else torch.device(device)
    return {name: can_run(name, device) for name in NAMES}
