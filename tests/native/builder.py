"""Builds and loads the bridge (bridge.cpp): layer 1 as a module of NumPy functions.

It shares the build folder of setup.py, so that the kernels compile once. Where the environment has
GICA_SANITIZE=1, it is built beside, with address and undefined-behaviour sanitizers; Python has to
be started with their runtime then (test_sanitized.py does).
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

__all__ = ["build_bridge", "load_bridge"]

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
def build_bridge() -> Path:
    """The build folder, with the bridge and all objects of layer 1 up to date in it."""
    run(
        tool("cmake"), "-S", ROOT, "-B", BUILD, "-G", "Ninja", "-DGICA_BRIDGE=ON",
        "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}",
        f"-DPython_EXECUTABLE={sys.executable}", f"-DGICA_SANITIZE={int(SANITIZE)}",
    )  # fmt: skip
    run(tool("cmake"), "--build", BUILD, "--target", "gica_bridge")
    return BUILD


@functools.cache
def load_bridge() -> ModuleType:
    (path,) = build_bridge().glob("gica_bridge.*.so")
    spec = importlib.util.spec_from_file_location("gica_bridge", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
