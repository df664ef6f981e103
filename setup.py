"""Builds the native libraries with CMake and ninja; everything declarative is in pyproject.toml.

The libraries use PyTorch's stable ABI and Python's limited API, so one `cp310-abi3` wheel serves
every supported Python and torch. Headers come from the torch that is installed in the building
environment. To speed up or slow down the build set CMAKE_BUILD_PARALLEL_LEVEL.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import SetupError

ROOT = Path(__file__).resolve().parent
MINIMUM_TORCH = (2, 10)


class CMakeExtension(Extension):
    """A shared library built by the CMake target that bears its last name, e.g. `_C`."""

    def __init__(self, name: str) -> None:
        super().__init__(name, sources=[], py_limited_api=True)


class CMakeBuild(build_ext):
    def build_extension(self, ext: Extension) -> None:
        target = ext.name.rpartition(".")[2]
        # One folder per interpreter, kept between builds. --fresh drops the cached paths of tools,
        # which may lie in an environment that is gone; the objects of subdirectories stay.
        build = ROOT / "build" / f"cmake-{sys.implementation.cache_tag}"
        cmake = find_tool("cmake")
        configure: list[str | Path] = [
            cmake, "--fresh", "-S", ROOT, "-B", build, "-G", "Ninja",
            f"-DCMAKE_MAKE_PROGRAM={find_tool('ninja')}",
            f"-DCMAKE_BUILD_TYPE={'Debug' if self.debug else 'Release'}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-DGICA_TORCH_DIR={find_torch()}",
        ]  # fmt: skip
        subprocess.run(configure, check=True)
        subprocess.run([cmake, "--build", build, "--target", target], check=True)
        destination = Path(self.get_ext_fullpath(ext.name))
        destination.parent.mkdir(parents=True, exist_ok=True)
        # Replaced, not rewritten: a process that has the old library mapped keeps it.
        destination.unlink(missing_ok=True)
        shutil.copy2(build / f"{target}.abi3.so", destination)


def find_tool(name: str) -> str:
    """The tool of this environment, active or not, before the system's."""
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    path = shutil.which(name, path=folders)
    if path is None:
        raise SetupError(f"{name} is needed to build gica_ops: pip install {name}")
    return path


def find_torch() -> Path:
    """The folder of the installed torch, found without importing it."""
    wanted = ".".join(map(str, MINIMUM_TORCH))
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        raise SetupError(
            f"torch >= {wanted} is needed to build gica_ops: install it first, "
            "then build with pip's --no-build-isolation"
        )
    version = importlib.metadata.version("torch")
    if tuple(map(int, version.split(".")[:2])) < MINIMUM_TORCH:
        raise SetupError(f"torch >= {wanted} is needed to build gica_ops, found {version}")
    return Path(spec.origin).parent


setup(
    ext_modules=[CMakeExtension("gica_ops._C")],
    cmdclass={"build_ext": CMakeBuild},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
