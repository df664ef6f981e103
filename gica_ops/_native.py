"""Loads the native libraries, whose import registers the operators; never fails.

`_C` has the schemas and the CPU kernels, `_C_cuda` the CUDA kernels. Where one cannot be loaded the
reason is kept, and everything runs on what is there, in the end on the reference.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
from typing import NamedTuple

import torch

SMALLEST_CAPABILITY = (8, 0)


class CudaBuild(NamedTuple):
    """How the package was built: the toolkit's version and the architectures, "80-real, 90a-real",
    or the reason why there are no CUDA kernels in it."""

    version: str
    architectures: str
    off: str


def _load(name: str) -> str | None:
    """Import a library; the reason when that is not possible, else None."""
    try:
        importlib.import_module(f"{__package__}.{name}")
    except ModuleNotFoundError:
        return f"the native library gica_ops.{name} was not built; install the package to build it"
    except ImportError as error:
        return f"the native library gica_ops.{name} did not load: {error}"
    return None


def _load_cuda() -> str | None:
    """The same for the CUDA kernels. Loading them starts no CUDA: the driver is asked later."""
    if REASON is not None:
        return REASON
    off = cuda_build().off
    if off:  # also where an earlier build has left its library
        return f"the CUDA kernels were not built: {off}"
    if importlib.util.find_spec(f"{__package__}._C_cuda") is None:
        return "the CUDA kernels are missing: gica_ops._C_cuda is not in the installation"
    if torch.version.cuda is None:
        return f"the installed PyTorch, {torch.__version__}, was built without CUDA"
    return _load("_C_cuda")


def cpu_capability() -> str | None:
    """The instruction set that the CPU kernels use on this machine; None without them."""
    if not LOADED:
        return None
    return str(importlib.import_module(f"{__package__}._C").cpu_capability())


def cuda_build() -> CudaBuild:
    """What the build knew about CUDA."""
    if not LOADED:
        return CudaBuild("", "", str(REASON))
    return CudaBuild(*importlib.import_module(f"{__package__}._C").cuda_build())


def cuda_device_reason(index: int | None) -> str | None:
    """Why the loaded CUDA kernels cannot run on this device, by default the current one."""
    if not torch.cuda.is_available():
        return "PyTorch finds no CUDA device on this machine"
    return _reason_of_device(torch.cuda.current_device() if index is None else index)


# What torch.compiler.assume_constant_result does: the compiler takes the answer as it is. Setting
# the mark by hand spares the import of the compiler, which takes a second.
cuda_device_reason._dynamo_marked_constant = True  # type: ignore[attr-defined]


@functools.cache
def _reason_of_device(index: int) -> str | None:
    driver = importlib.import_module(f"{__package__}._C_cuda").driver_version()
    capability = torch.cuda.get_device_capability(index)
    return capability_reason(cuda_build(), driver, capability)


def capability_reason(
    build: CudaBuild, driver: tuple[int, int], capability: tuple[int, int]
) -> str | None:
    """Why kernels of this build cannot run under this driver on a device of this capability.

    driver: the newest CUDA version that the driver supports.
    """
    found = "{}.{}".format(*capability)
    if driver[0] < int(build.version.partition(".")[0]):
        return (
            f"the CUDA driver supports CUDA {driver[0]}.{driver[1]}, the kernels were built with "
            f"{build.version}: update the driver, or build the package with an older toolkit"
        )
    if capability < SMALLEST_CAPABILITY:
        needed = "{}.{}".format(*SMALLEST_CAPABILITY)
        return f"the CUDA kernels need compute capability {needed} or above, the device has {found}"
    if not any(
        runs_on(architecture, capability) for architecture in build.architectures.split(", ")
    ):
        return (
            f"the CUDA kernels were built for {build.architectures}, nothing of which runs on "
            f"compute capability {found}: build the package again with "
            f"GICA_CUDA_ARCHITECTURES={capability[0]}{capability[1]}"
        )
    return None


def runs_on(architecture: str, capability: tuple[int, int]) -> bool:
    """Whether code for one of CMake's architectures runs on a device of this capability.

    Machine code ("80-real") runs on the same major number, from its minor on; intermediate code
    ("80-virtual", and both for "80") on everything newer; what has a letter on its own chip only.

    >>> runs_on("80-real", (8, 9)), runs_on("90a-real", (9, 0)), runs_on("120", (13, 0))
    (True, True, True)
    >>> runs_on("80-real", (9, 0)), runs_on("90a", (10, 0))
    (False, False)
    """
    parts = re.fullmatch(r"(\d+)(\d)([a-z]?)(-real|-virtual)?", architecture)
    if parts is None:
        return False
    major, minor, letter, kind = parts.groups()
    own = int(major), int(minor)
    if letter:
        return own == capability
    machine = kind != "-virtual" and own[0] == capability[0] and own <= capability
    intermediate = kind != "-real" and own <= capability
    return machine or intermediate


REASON = _load("_C")
"""Why the native library is off, as a sentence; None where it is loaded."""

LOADED = REASON is None

CUDA_REASON = _load_cuda()
"""Why the CUDA kernels are off on any device, as a sentence; None where they are loaded."""
