from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.native.builder import build_bridge, emulated_off, load_bridge, load_emulated


@pytest.fixture(scope="session")
def build_folder() -> Path:
    """The CMake build folder, with the bridge and all objects of layer 1 in it."""
    return build_bridge()


@pytest.fixture(scope="session")
def bridge() -> ModuleType:
    """Layer 1 as a module of NumPy functions."""
    return load_bridge()


@pytest.fixture(scope="session")
def emulated_kernels() -> ModuleType:
    """The CUDA kernels under the emulator, as a module of NumPy functions."""
    if off := emulated_off():
        pytest.skip(off)
    return load_emulated()
