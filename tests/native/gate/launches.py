"""What the CUDA kernels' host code launches for a problem: asked of recorder.cpp, without a GPU."""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass, field

from tests.native.gate.build import build_kernels

__all__ = ["DEVICES", "Device", "Launch", "Recording", "Sizes", "record"]

PASSES = ("forward", "backward", "match")
DTYPES = ("float32", "float64", "bfloat16", "float16")  # in the order of gica::Dtype


@dataclass(frozen=True)
class Device:
    """What the kernels know of a device, and what bounds how many blocks a multiprocessor holds."""

    name: str
    capability: tuple[int, int]
    multiprocessors: int
    shared_per_block: int
    cache: int
    shared_per_multiprocessor: int
    threads_per_multiprocessor: int
    blocks_per_multiprocessor: int

    @property
    def architecture(self) -> str:
        """The code that runs on it, as ptxas calls it."""
        major, minor = self.capability
        return "sm_90a" if (major, minor) == (9, 0) else f"sm_{major}0"


KIB, MIB = 2**10, 2**20
DEVICES = {
    device.name: device
    for device in (
        Device("A100", (8, 0), 108, 163 * KIB, 40 * MIB, 164 * KIB, 2048, 32),
        Device("RTX 3060", (8, 6), 28, 99 * KIB, 3 * MIB, 100 * KIB, 1536, 16),
        Device("RTX 4090", (8, 9), 128, 99 * KIB, 72 * MIB, 100 * KIB, 1536, 24),
        Device("H200", (9, 0), 132, 227 * KIB, 60 * MIB, 228 * KIB, 2048, 32),
        Device("B200", (10, 0), 148, 227 * KIB, 126 * MIB, 228 * KIB, 2048, 32),
        Device("RTX 5090", (12, 0), 170, 99 * KIB, 96 * MIB, 100 * KIB, 1536, 24),
    )
}


_FIELDS = (
    "which", "dtype", "batch", "channels", "hf", "wf", "hb", "wb", "ksize", "rate", "fuse_k",
    "value_channels", "value_scale", "masked", "allow_tf32", "skip", "scratch_limit", "major",
    "minor", "multiprocessors", "shared_bytes", "cache_bytes",
)  # fmt: skip


class _Problem(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in _FIELDS]


class _Answer(ctypes.Structure):
    _fields_ = [
        ("scratch", ctypes.c_int64),
        ("error", ctypes.c_int64),
        ("what", ctypes.c_char_p),
        ("log", ctypes.c_char_p),
    ]


@dataclass(frozen=True)
class Sizes:
    """A problem in numbers. value_scale 0: b itself is pasted."""

    f: tuple[int, int]
    b: tuple[int, int] | None = None
    batch: int = 1
    channels: int = 128
    ksize: int = 3
    rate: int = 2
    fuse_k: int = 3
    value_channels: int = 0
    value_scale: int = 0
    masked: bool = True
    allow_tf32: bool = False
    skip: bool = True
    scratch_limit: int = 0


@dataclass(frozen=True)
class Launch:
    kernel: str  # mangled
    grid: tuple[int, int, int]
    threads: int
    dynamic_shared: int
    cluster: int

    @property
    def blocks(self) -> int:
        return self.grid[0] * self.grid[1] * self.grid[2]


@dataclass(frozen=True)
class Recording:
    """scratch in bytes; error: a cudaError_t, 0 where everything could be launched, -1 where the
    kernels refuse the problem, in the sentence `what`."""

    scratch: int
    error: int
    what: str
    launches: list[Launch] = field(repr=False)


@functools.cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(str(build_kernels() / "libgica_cuda_recorder.so"))


def record(which: str, dtype: str, sizes: Sizes, device: Device) -> Recording:
    """The launches of one of PASSES on a device."""
    hb, wb = sizes.f if sizes.b is None else sizes.b
    major, minor = device.capability
    problem = _Problem(
        PASSES.index(which), DTYPES.index(dtype), sizes.batch, sizes.channels, *sizes.f, hb, wb,
        sizes.ksize, sizes.rate, sizes.fuse_k, sizes.value_channels, sizes.value_scale,
        sizes.masked, sizes.allow_tf32, sizes.skip, sizes.scratch_limit, major, minor,
        device.multiprocessors, device.shared_per_block, device.cache,
    )  # fmt: skip
    answer = _Answer()
    _library().gica_record(ctypes.byref(problem), ctypes.byref(answer))
    launches = []
    for line in answer.log.decode().splitlines():
        kernel, *numbers = line.split()
        x, y, z, threads, shared, cluster = map(int, numbers)
        launches.append(Launch(kernel, (x, y, z), threads, shared, cluster))
    return Recording(answer.scratch, answer.error, answer.what.decode(), launches)
