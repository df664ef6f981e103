"""Checks the one wheel in a folder: its size, its tag, what is in it, and what its library needs.

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
EXPECTED = {"gica_ops/_C.abi3.so", "gica_ops/py.typed", "gica_ops/__init__.py"}


def main(folder: str) -> int:
    wheels = sorted(Path(folder).glob("gica_ops-*.whl"))
    if len(wheels) != 1:
        print(f"expected one wheel in {folder}, found {len(wheels)}")
        return 1
    problems = [*check_contents(wheels[0]), *check_library(wheels[0])]
    for problem in problems:
        print(f"wrong: {problem}")
    return 1 if problems else 0


def check_contents(wheel: Path) -> list[str]:
    size = wheel.stat().st_size
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    print(f"{wheel.name}: {size / 1e6:.2f} MB, {len(names)} files")
    problems = []
    if size > MAXIMUM_BYTES:
        problems.append(f"the wheel is {size} bytes, more than {MAXIMUM_BYTES}")
    if "-cp310-abi3-" not in wheel.name:
        problems.append("the wheel is not tagged cp310-abi3")
    problems += [f"{name} is not in the wheel" for name in sorted(EXPECTED - names)]
    if not any(name.endswith("/licenses/LICENSE") for name in names):
        problems.append("the licence is not in the wheel")
    outside = {n for n in names if not re.match(r"gica_ops(-[^/]*\.dist-info)?/", n)}
    problems += [f"{name} is in the wheel" for name in sorted(outside)]
    return problems


def check_library(wheel: Path) -> list[str]:
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(wheel) as archive:
        library = archive.extract("gica_ops/_C.abi3.so", scratch)
        dynamic = subprocess.run(
            ["readelf", "--dynamic", library], check=True, capture_output=True, text=True
        ).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    print("_C.abi3.so needs", ", ".join(needed))
    problems = []
    if "libtorch.so" not in needed:
        problems.append("_C does not need libtorch.so: CUDA symbols would be null on CUDA builds")
    problems += [f"_C needs {name}" for name in needed if "python" in name or "c10" in name]
    if "PATH)" in dynamic:
        problems.append("_C has a path of the building machine in it (RPATH or RUNPATH)")
    return problems


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
