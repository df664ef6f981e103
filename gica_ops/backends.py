"""Which implementation runs a call, and why another cannot."""

from __future__ import annotations

import torch

from . import _native

__all__ = ["available_backends", "can_run", "select"]

NAMES = ("cpu", "reference")


def can_run(backend: str, device: torch.device | None = None) -> str | None:
    """Why this backend cannot run on this device, as a sentence; None where it can.

    Without a device: why it cannot run at all.
    """
    if backend == "reference":
        return None
    check_name(backend)
    if _native.REASON is not None:
        return _native.REASON
    if device is not None and device.type != "cpu":
        return f"the CPU kernels need tensors on the CPU, got tensors on {device}"
    return None


def check_name(backend: str) -> None:
    """Raise ValueError unless this is "auto" or the name of a backend."""
    if backend not in ("auto", *NAMES):
        known = ", ".join(repr(name) for name in ("auto", *NAMES))
        raise ValueError(f"backend must be one of {known}, got {backend!r}")


def select(backend: str, device: torch.device) -> str:
    """The name of the backend to run: the one asked for, or for "auto" the first that can.

    Raises ValueError where the backend asked for cannot run.
    """
    if backend == "auto":
        return "reference" if can_run("cpu", device) else "cpu"
    reason = can_run(backend, device)
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
