"""Builds the native libraries with CMake and ninja; everything declarative is in pyproject.toml.

The libraries use PyTorch's stable ABI and Python's limited API, so one `cp310-abi3` wheel serves
every supported Python and torch. Headers come from the torch that is installed in the building
environment. To speed up or slow down the build set CMAKE_BUILD_PARALLEL_LEVEL.

The CUDA kernels are built wherever nvcc is found, never by asking for a GPU. GICA_CUDA=0 leaves
them out, GICA_CUDA=1 makes it an error where they cannot be built, and
GICA_CUDA_ARCHITECTURES="90a-real;120" builds them for others (csrc/cuda/toolkit.cmake).
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

    @property
    def target(self) -> str:
        return str(self.name).rpartition(".")[2]


class CMakeBuild(build_ext):
    extensions: list[CMakeExtension]

    def build_extensions(self) -> None:
        # One folder per interpreter, kept between builds.
        build = ROOT / "build" / f"cmake-{sys.implementation.cache_tag}"
        self.configure(build)
        for ext in self.extensions:
            # One that an earlier build left, perhaps of another version, must not stay. It is
            # replaced, not rewritten: a process that has the old library mapped keeps it.
            Path(self.get_ext_fullpath(ext.name)).unlink(missing_ok=True)
        off = (build / "cuda_off.txt").read_text()
        if off:
            print(f"gica_ops is built without CUDA kernels: {off}")
            self.extensions = [ext for ext in self.extensions if ext.target != "_C_cuda"]
        targets = [ext.target for ext in self.extensions]
        subprocess.run([find_tool("cmake"), "--build", build, "--target", *targets], check=True)
        for ext in self.extensions:
            destination = Path(self.get_ext_fullpath(ext.name))
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(build / f"{ext.target}.abi3.so", destination)

    def configure(self, build: Path) -> None:
        # --fresh drops the cached paths of tools, which may lie in an environment that is gone; the
        # objects of subdirectories stay.
        command: list[str | Path] = [
            find_tool("cmake"), "--fresh", "-S", ROOT, "-B", build, "-G", "Ninja",
            f"-DCMAKE_MAKE_PROGRAM={find_tool('ninja')}",
            f"-DCMAKE_BUILD_TYPE={'Debug' if self.debug else 'Release'}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-DGICA_TORCH_DIR={find_torch()}",
        ]  # fmt: skip
        if subprocess.run(command).returncode != 0:
            raise SetupError(
                "CMake could not configure gica_ops: its message above says why. Where that is "
                "about nvcc, GICA_CUDA=0 builds without CUDA kernels"
            )


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
    ext_modules=[CMakeExtension("gica_ops._C"), CMakeExtension("gica_ops._C_cuda")],
    cmdclass={"build_ext": CMakeBuild},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
