"""What `gica info` prints: versions, what was built, and why a backend is off."""

from __future__ import annotations

import importlib.metadata
import platform

import numpy
import torch

from . import _native
from ._version import __version__
from .backends import available_backends

__all__ = ["report"]


def report() -> str:
    """Lines of `name: value` for a bug report.

    >>> print(report())
    gica_ops: ...
    """
    versions = {
        "gica_ops": __version__,
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "Pillow": _installed("pillow"),
        "platform": platform.platform(),
        "threads": str(torch.get_num_threads()),
        "native library": "loaded" if _native.LOADED else f"off: {_native.REASON}",
        "CPU kernels": _native.cpu_capability() or "off",
        "CUDA kernels": _cuda_kernels(),
        "CUDA in torch": torch.version.cuda or "none",
    }
    lines = [f"{name}: {value}" for name, value in versions.items()]
    for name, reason in available_backends().items():
        lines.append(f"backend {name}: {'on' if reason is None else f'off: {reason}'}")
    return "\n".join(lines)


def _cuda_kernels() -> str:
    build = _native.cuda_build()
    if build.off:
        return f"not built: {build.off}"
    return f"built with CUDA {build.version} for {build.architectures}"


def _installed(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
