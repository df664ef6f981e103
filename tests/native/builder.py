"""Builds and loads layer 1 as modules of NumPy functions: the CPU kernels (bridge.cpp) and the CUDA
kernels under the emulator (emulated_bridge.cpp).

They share the build folder of setup.py, so that the kernels compile once. Where the environment has
GICA_SANITIZE=1, they are built beside, with address and undefined-behaviour sanitizers; Python has
to be started with their runtime then (test_sanitized.py does).
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from tests.native.lock import alone_in

__all__ = ["build_bridge", "emulated_off", "load_bridge", "load_emulated"]

ROOT = Path(__file__).resolve().parents[2]
SANITIZE = os.environ.get("GICA_SANITIZE") == "1"
BUILD = ROOT / "build" / f"cmake-{sys.implementation.cache_tag}{'-sanitized' * SANITIZE}"


def tool(name: str) -> str:
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    path = shutil.which(name, path=folders)
    if path is None:
        raise RuntimeError(f"{name} is needed to build the test bridge: pip install {name}")
    return path


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


@functools.cache
def configure() -> None:
    with alone_in(BUILD):
        run(
            tool("cmake"), "-S", ROOT, "-B", BUILD, "-G", "Ninja", "-DGICA_BRIDGE=ON",
            "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}",
            f"-DPython_EXECUTABLE={sys.executable}", f"-DGICA_SANITIZE={int(SANITIZE)}",
        )  # fmt: skip


@functools.cache
def build(target: str) -> Path:
    """The build folder, with this target up to date in it."""
    configure()
    with alone_in(BUILD):
        run(tool("cmake"), "--build", BUILD, "--target", target)
    return BUILD


@functools.cache
def load(target: str) -> ModuleType:
    (path,) = build(target).glob(f"{target}.*.so")
    spec = importlib.util.spec_from_file_location(target, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build_bridge() -> Path:
    """The build folder, with the bridge and all objects of the CPU kernels in it."""
    return build("gica_bridge")


def load_bridge() -> ModuleType:
    return load("gica_bridge")


@functools.cache
def emulated_off() -> str:
    """Why the CUDA kernels cannot be compiled for the emulator; empty where they can."""
    configure()
    return (BUILD / "emulated_off.txt").read_text()


def load_emulated() -> ModuleType:
    """The CUDA kernels, emulated, as a module of NumPy functions."""
    if off := emulated_off():
        raise RuntimeError(f"the CUDA kernels cannot be compiled for the emulator: {off}")
    return load("gica_emulated")
