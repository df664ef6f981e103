"""What is installed: what `gica info` prints, and the commit that records name."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import numpy
import torch

from . import _native
from ._version import __version__
from .backends import available_backends

__all__ = ["commit", "report"]


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


def commit() -> str:
    """The commit, with "+" where the tree differs from it; "unknown" outside a repository.

    GICA_COMMIT tells it where the files are without their repository.
    """
    if given := os.environ.get("GICA_COMMIT"):
        return given
    try:
        _git("ls-files", "--error-unmatch", "__init__.py")  # the repository may be another's
        name = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":/")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    # Records that are being written do not make the code another.
    others = [line for line in changed.splitlines() if "benchmarks/results/" not in line]
    return name + ("+" if others else "")


def _git(*arguments: str) -> str:
    folder = Path(__file__).resolve().parent
    command = ["git", *arguments]
    done = subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True, timeout=30
    )
    return done.stdout.strip()
