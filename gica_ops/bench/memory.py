"""How much memory a run takes at its peak beyond what goes in and comes out."""

from __future__ import annotations

import ctypes
import gc
import resource
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["available_bytes", "limit", "peak_extra"]

RESET_PEAK = "5"


def peak_extra(device: str, run: Callable[[], dict[str, Tensor]]) -> int:
    """Bytes beyond inputs and results that one run takes at its peak.

    On CUDA the allocator counts them, on Linux the kernel counts resident memory. Kept memory is
    handed back before, so that what is used again counts.
    """
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        results = run()
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated()
    else:
        ctypes.CDLL(None).malloc_trim(0)
        before = status_bytes("VmRSS")
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)
        results = run()
        peak = status_bytes("VmHWM")
    kept = sum(t.numel() * t.element_size() for t in results.values())
    return max(0, peak - before - kept)


def status_bytes(field: str) -> int:
    """A field of /proc/self/status, e.g. VmHWM, the peak of resident memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def available_bytes() -> int:
    """What the machine can still hand out."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/meminfo has no MemAvailable")


def limit(size: int) -> None:
    """Make allocations fail, instead of the process end, once so many bytes more are in use."""
    used = status_bytes("VmData")
    resource.setrlimit(resource.RLIMIT_DATA, (used + size, resource.RLIM_INFINITY))
