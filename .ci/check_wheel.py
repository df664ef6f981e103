"""Checks the one wheel in a folder: its size, its tag, what is in it, and what its libraries need.

    python .ci/check_wheel.py dist

Prints what it found and ends with status 1 where something is not as it should be.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

MAXIMUM_BYTES = 5_000_000
MAXIMUM_BYTES_WITH_CUDA = 40_000_000  # code for every architecture
CUDA = "gica_ops/_C_cuda.abi3.so"
EXPECTED = {
    "gica_ops/_C.abi3.so",
    "gica_ops/py.typed",
    "gica_ops/__init__.py",
    "gica_ops/weights/model.safetensors",
    "gica_ops/evaluate/specs/box-quarter.json",
}


def main(folder: str) -> int:
    wheels = sorted(Path(folder).glob("gica_ops-*.whl"))
    if len(wheels) != 1:
        print(f"expected one wheel in {folder}, found {len(wheels)}")
        return 1
    problems = check_contents(wheels[0])
    for library in libraries(wheels[0]):
        problems += check_library(wheels[0], library)
    for problem in problems:
        print(f"wrong: {problem}")
    return 1 if problems else 0


def check_contents(wheel: Path) -> list[str]:
    size = wheel.stat().st_size
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    print(f"{wheel.name}: {size / 1e6:.2f} MB, {len(names)} files")
    problems = []
    most = MAXIMUM_BYTES_WITH_CUDA if CUDA in names else MAXIMUM_BYTES
    if size > most:
        problems.append(f"the wheel is {size} bytes, more than {most}")
    if "-cp310-abi3-" not in wheel.name:
        problems.append("the wheel is not tagged cp310-abi3")
    problems += [f"{name} is not in the wheel" for name in sorted(EXPECTED - names)]
    if not any(name.endswith("/licenses/LICENSE") for name in names):
        problems.append("the licence is not in the wheel")
    outside = {n for n in names if not re.match(r"gica_ops(-[^/]*\.dist-info)?/", n)}
    problems += [f"{name} is in the wheel" for name in sorted(outside)]
    return problems


def libraries(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if name.endswith(".so")]


def check_library(wheel: Path, name: str) -> list[str]:
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(wheel) as archive:
        library = archive.extract(name, scratch)
        dynamic, defined = (
            subprocess.run(command, check=True, capture_output=True, text=True).stdout
            for command in (
                ["readelf", "--dynamic", library],
                ["nm", "--dynamic", "--defined-only", library],
            )
        )
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    print(f"{name} needs", ", ".join(needed))
    problems = []
    if "libtorch.so" not in needed:
        problems.append(f"{name} does not need libtorch.so: CUDA symbols would be null")
    # Neither a CUDA library (the runtime is linked in, the driver is asked for at run time), nor
    # Python's, nor what PyTorch keeps to itself.
    foreign = ("python", "c10", "cuda", "libcudart")
    problems += [f"{name} needs {n}" for n in needed if any(f in n for f in foreign)]
    if "PATH)" in dynamic:
        problems.append(f"{name} has a path of the building machine in it (RPATH or RUNPATH)")
    problems += [f"{name} shows {symbol}" for symbol in re.findall(r" T (cuda\w+)", defined)]
    return problems


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
