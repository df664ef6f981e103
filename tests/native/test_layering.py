"""Layer 1 stays plain C++, and no instruction set's code can end up in another's."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"
SOURCES = {".h", ".hpp", ".inl", ".inc", ".cpp", ".cu", ".cuh"}
LAYER_1 = sorted(
    path
    for folder in ("include", "cpu", "cuda")
    for path in (CSRC / folder).rglob("*")
    if path.suffix in SOURCES
)
BINDING = sorted(path for path in (CSRC / "torch").rglob("*") if path.suffix in SOURCES)


def includes(path: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', path.read_text(), re.MULTILINE)


def test_the_lists_are_not_empty():
    assert len(LAYER_1) > 3 and BINDING


@pytest.mark.parametrize("path", LAYER_1, ids=lambda path: str(path.relative_to(CSRC)))
def test_kernels_include_neither_torch_nor_python(path):
    foreign = re.compile(r"(torch|ATen|c10|caffe2|pybind11|numpy)/|Python\.h$")
    assert [name for name in includes(path) if foreign.match(name)] == []


@pytest.mark.parametrize("path", BINDING, ids=lambda path: str(path.relative_to(CSRC)))
def test_the_binding_keeps_to_the_stable_abi(path):
    unstable = [
        name
        for name in includes(path)
        if name.startswith(("torch/", "ATen/", "c10/", "pybind11/"))
        and not name.startswith(("torch/csrc/stable/", "torch/headeronly/"))
        and name != "torch/csrc/inductor/aoti_torch/c/shim.h"
    ]
    assert unstable == []


def test_objects_of_an_instruction_set_share_no_symbols(build_folder):
    """An inline function that two objects define weakly is kept once by the linker, from either:
    compiled for AVX-512, it would crash a processor without. So these objects define none."""
    if shutil.which("nm") is None:
        pytest.skip("nm (binutils) is not installed")
    objects = sorted(build_folder.glob("csrc/cpu/**/kernels_*.o"))
    assert objects
    for path in objects:
        listing = subprocess.run(
            ["nm", "--demangle", "--defined-only", path], check=True, capture_output=True, text=True
        ).stdout
        weak = [line for line in listing.splitlines() if re.search(r"^[0-9a-f]+ [WVu] ", line)]
        assert weak == [], path.name
