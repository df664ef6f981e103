"""Loads the native library, whose import registers the operators; never fails.

Where it cannot be loaded the reason is kept, and everything runs on the reference.
"""

from __future__ import annotations

import importlib


def _load() -> str | None:
    """Import the library; the reason when that is not possible, else None."""
    try:
        importlib.import_module(f"{__package__}._C")
    except ModuleNotFoundError:
        return "the native library gica_ops._C was not built; install the package to build it"
    except ImportError as error:
        return f"the native library gica_ops._C did not load: {error}"
    return None


REASON = _load()
"""Why the native library is off, as a sentence; None where it is loaded."""

LOADED = REASON is None


def cpu_capability() -> str | None:
    """The instruction set that the CPU kernels use on this machine; None without them."""
    if not LOADED:
        return None
    return str(importlib.import_module(f"{__package__}._C").cpu_capability())
