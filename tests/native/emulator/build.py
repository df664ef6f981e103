"""Compiles .cu files for the emulator with the C++ compiler and the headers of the CUDA toolkit."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.native.lock import alone_in

__all__ = ["ROOT", "build", "compiler", "toolkit"]

ROOT = Path(__file__).resolve().parents[3]
JOBS = 2


@functools.cache
def toolkit() -> Path | None:
    """The folder of a CUDA toolkit that has headers; None where there is no such thing, and where
    GICA_CUDA=0 leaves all that is CUDA's out."""
    if os.environ.get("GICA_CUDA") == "0":
        return None
    candidates = [os.environ.get("CUDA_HOME"), *folders_of_nvcc(), "/usr/local/cuda"]
    for candidate in filter(None, candidates):
        if (Path(candidate) / "include" / "cuda_runtime.h").is_file():
            return Path(candidate)
    return None


def folders_of_nvcc() -> list[str]:
    """Where nvcc lies, and where it says it does: it may be called through a script elsewhere."""
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        return []
    says = subprocess.run(
        [nvcc, "--dryrun", "-E", "-x", "cu", os.devnull], capture_output=True, text=True
    ).stderr
    return [str(Path(nvcc).resolve().parents[1]), *re.findall(r"^#\$ TOP=(.*)$", says, re.M)]


def compiler() -> str:
    return os.environ.get("CXX", "c++")


def build(target: Path, sources: Sequence[Path], flags: Sequence[str] = ()) -> Path:
    """Compiles the sources, each of which may be a .cu file, and links them to `target`: a shared
    library if -shared is among the flags, else a program. What is up to date is left alone."""
    folder = target.with_name(target.name + ".objects")
    command = [compiler(), *base_flags(), *flags]
    objects = [folder / f"{source.name}.o" for source in sources]
    with alone_in(folder):
        with ThreadPoolExecutor(JOBS) as pool:
            done = pool.map(functools.partial(compile_one, command), sources, objects)
            changed = any(list(done))
        if changed or not target.exists():
            run([compiler(), *flags, "-o", target, *objects, "-pthread"])
    return target


def base_flags() -> list[str]:
    folder = toolkit()
    if folder is None:
        raise RuntimeError("the emulator needs the headers of a CUDA toolkit: set CUDA_HOME")
    own = [ROOT / "csrc" / "include", ROOT / "csrc" / "cuda", ROOT / "tests" / "native"]
    return [
        *("-std=c++17", "-O2", "-fPIC", "-pthread", "-Wall", "-Wextra", "-Wno-unknown-pragmas"),
        *(f"-I{path}" for path in own),
        *("-isystem", str(folder / "include")),
        *("-DGICA_EMULATED", "-include", "emulator/cuda.h"),
    ]


def compile_one(command: Sequence[str], source: Path, object_file: Path) -> bool:
    """Whether there was something to do."""
    dependencies = object_file.with_suffix(".d")
    full: list[str | Path] = [*command, "-c", "-x", "c++", source, "-o", object_file]
    full += ["-MMD", "-MF", dependencies]
    text = " ".join(map(str, full))
    record = object_file.with_suffix(".command")
    if is_fresh(object_file, dependencies) and record.is_file() and record.read_text() == text:
        return False
    run(full)
    record.write_text(text)
    return True


def is_fresh(object_file: Path, dependencies: Path) -> bool:
    if not (object_file.is_file() and dependencies.is_file()):
        return False
    made = object_file.stat().st_mtime
    needed = re.sub(r"\\\n", " ", dependencies.read_text()).split()[1:]
    return all(Path(path).is_file() and Path(path).stat().st_mtime < made for path in needed)


def run(command: Sequence[str | Path]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
