"""What the compiler made of the CUDA kernels: registers, shared memory, spills, instructions."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sysconfig
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.native.builder import ROOT

__all__ = ["Kernel", "complaints", "demangled", "disassembler", "instructions", "read_logs"]

COMPILING = re.compile(r"Compiling entry function '(\S+)' for '(sm_\w+)'")
SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers(?:.*?(\d+) bytes smem)?")
# Warp-group products that the compiler could not leave running: C7510 and its kin.
SERIALISED = re.compile(r"C75\d\d|wgmma.*serializ", re.IGNORECASE)


@dataclass(frozen=True)
class Kernel:
    """One kernel for one architecture; bytes, and registers per thread."""

    name: str  # mangled
    architecture: str
    file: str
    registers: int
    shared: int
    stack: int
    spilled: int


def read_logs(folder: Path) -> list[Kernel]:
    """Every kernel that a build in this folder has compiled, by what ptxas said of it."""
    kernels = []
    for path in logs(folder):
        kernels += parse_log(path.read_text(), path.name.removesuffix(".o.log"))
    return kernels


def logs(folder: Path) -> list[Path]:
    """Those of files that are still there: a build folder that is kept holds others too."""
    sources = {path.name for path in (ROOT / "csrc" / "cuda").rglob("*.cu")}
    found = sorted(folder.rglob("*.cu.o.log"))
    return [path for path in found if path.name.removesuffix(".o.log") in sources]


def parse_log(text: str, file: str) -> list[Kernel]:
    kernels = []
    entries = COMPILING.split(text)[1:]
    for name, architecture, said in zip(*(entries[i::3] for i in range(3)), strict=True):
        spills, used = SPILLS.search(said), USED.search(said)
        if spills is None or used is None:
            raise ValueError(f"{file}: ptxas says nothing of {name} for {architecture}")
        stack, stores, loads = map(int, spills.groups())
        registers, shared = int(used[1]), int(used[2] or 0)
        kernels.append(Kernel(name, architecture, file, registers, shared, stack, stores + loads))
    return kernels


def complaints(folder: Path) -> list[str]:
    """Lines of the logs that must not be there: warnings, and serialised warp-group products."""
    found = []
    for path in logs(folder):
        for line in path.read_text().splitlines():
            if SERIALISED.search(line) or re.search(r"\bwarning\b", line):
                found.append(f"{path.name.removesuffix('.o.log')}: {line.strip()}")
    return found


def disassembler() -> str | None:
    """cuobjdump of the PyPI package nvidia-cuda-cuobjdump, of the toolkit, or None."""
    packaged = Path(sysconfig.get_path("purelib")) / "nvidia"
    folders = [str(path.parent) for path in packaged.glob("*/bin/cuobjdump")]
    folders += [os.environ.get("PATH", ""), "/usr/local/cuda/bin"]
    return shutil.which("cuobjdump", path=os.pathsep.join(folders))


@functools.cache
def instructions(path: Path, architecture: str) -> dict[str, Counter[str]]:
    """How often every kernel of a library or an object, by its mangled name, has each instruction
    in its code for an architecture; instructions by their first word: HMMA, HGMMA, UTMALDG, ..."""
    tool = disassembler()
    if tool is None:
        raise RuntimeError("cuobjdump is needed: pip install nvidia-cuda-cuobjdump")
    # It calls nvdisasm, which lies beside it.
    folders = os.pathsep.join([str(Path(tool).parent), os.environ.get("PATH", "")])
    listing = subprocess.run(
        [tool, "--dump-sass", "--gpu-architecture", architecture, path],
        check=True, capture_output=True, text=True, env={**os.environ, "PATH": folders},
    ).stdout  # fmt: skip
    return count_instructions(listing.splitlines())


def count_instructions(listing: Iterable[str]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    here = Counter[str]()
    for line in listing:
        if found := re.match(r"\s*Function : (\S+)", line):
            here = counts.setdefault(found[1], Counter())
        elif found := re.match(r"\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9]*)", line):
            here[found[1]] += 1
    return counts


@functools.cache
def demangled(name: str) -> str:
    """A kernel as it is written in the source, without its parameters and namespaces."""
    if shutil.which("c++filt") is None:
        return name
    text = subprocess.run(["c++filt", name], check=True, capture_output=True, text=True).stdout
    text = text.strip().removeprefix("void ").replace("gica::cuda::", "").replace("gica::", "")
    depth = 0
    for i, letter in enumerate(text):  # up to the parameters, past those of the template
        depth += (letter == "<") - (letter == ">")
        if letter == "(" and depth == 0 and not text.startswith("(anonymous", i):
            return text[:i]
    return text
