"""The tests of the bare kernels once more, under address and undefined-behaviour sanitizers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def run(*arguments: str | Path, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=HERE.parents[1],
        env={**os.environ, "GICA_SANITIZE": "1", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]


def libraries() -> list[str]:
    """The sanitizer's runtime, which has to come before Python itself, and the C++ library, whose
    functions it wraps."""
    names = ("libasan.so", "libstdc++.so")
    compiler = os.environ.get("CXX", "c++")
    return [subprocess.getoutput(f"{compiler} -print-file-name={name}") for name in names]


def run_tests(target: str, *arguments: str | Path) -> None:
    preloaded = libraries()
    if not all(map(os.path.isabs, preloaded)):
        pytest.skip("the compiler has no address sanitizer")
    run("-c", f"from tests.native.builder import build; build('{target}')")
    run(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider"),
        "--capture=sys",  # the sanitizers write to the standard error itself, before they abort
        *arguments,
        LD_PRELOAD=" ".join(preloaded),
        ASAN_OPTIONS="detect_leaks=0",  # Python itself keeps memory to its end
        UBSAN_OPTIONS="print_stacktrace=1",
    )


@pytest.mark.slow
def test_kernels_touch_no_memory_but_their_own():
    names = ("geometry", "product", "kernels", "windows")
    run_tests("gica_bridge", *(HERE / f"test_{name}.py" for name in names))


@pytest.mark.slow
@pytest.mark.usefixtures("emulated_kernels")
def test_emulated_kernels_touch_no_memory_but_their_own():
    """Memory of the device, and shared memory: of every block it is one allocation."""
    chosen = "(indices or tiny or strips or per_sample or dense) and not (wraps or order)"
    files = [*sorted(HERE.glob("test_emulated*.py")), HERE / "test_sm90.py", HERE / "test_walk.py"]
    run_tests("gica_emulated", *files, "-k", chosen)
