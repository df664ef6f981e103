"""How many blocks of a kernel a multiprocessor holds at once, by the rules of NVIDIA's guides."""

from __future__ import annotations

from tests.native.gate.compiled import Kernel
from tests.native.gate.launches import KIB, Device, Launch

__all__ = ["blocks_per_multiprocessor", "occupancy"]

REGISTERS = 65536  # of a multiprocessor, from compute capability 8.0 to 12.x
WARP = 32
# Handed out in units of this many: registers to a warp, bytes of shared memory to a block.
REGISTER_UNIT, SHARED_UNIT = 256, 128
RESERVED_SHARED = KIB  # of every block, for the system


def round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def blocks_per_multiprocessor(kernel: Kernel, launch: Launch, device: Device) -> int:
    warps = -(-launch.threads // WARP)
    registers = warps * round_up(kernel.registers * WARP, REGISTER_UNIT)
    shared = round_up(kernel.shared + launch.dynamic_shared + RESERVED_SHARED, SHARED_UNIT)
    return min(
        REGISTERS // registers,
        device.shared_per_multiprocessor // shared,
        device.threads_per_multiprocessor // (warps * WARP),
        device.blocks_per_multiprocessor,
    )


def occupancy(kernel: Kernel, launch: Launch, device: Device) -> float:
    """The share of a multiprocessor's threads that are there at once."""
    blocks = blocks_per_multiprocessor(kernel, launch, device)
    return blocks * round_up(launch.threads, WARP) / device.threads_per_multiprocessor
