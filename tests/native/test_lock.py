"""Several processes build the same thing."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.native.emulator.build import ROOT

COMPILER = """#!/bin/sh
echo "$@" >>"$LOG"
sleep 0.2
while [ $# -gt 1 ]; do
    [ "$1" = -o ] && echo object >"$2"
    [ "$1" = -MF ] && echo "object: $SOURCE" >"$2"
    shift
done
"""


def test_processes_that_build_at_once_build_once(tmp_path):
    """What one has built, and may be running, another leaves alone."""
    compiler, source, log = tmp_path / "compiler", tmp_path / "kernel.cu", tmp_path / "log"
    compiler.write_text(COMPILER)
    compiler.chmod(0o755)
    source.write_text("")
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "cuda_runtime.h").write_text("")
    program = (
        "from pathlib import Path; from tests.native.emulator.build import build; "
        f"build(Path({str(tmp_path / 'program')!r}), [Path({str(source)!r})])"
    )
    paths = {"CXX": compiler, "LOG": log, "SOURCE": source, "CUDA_HOME": tmp_path}
    environment = {**os.environ, **{name: str(path) for name, path in paths.items()}}
    environment["GICA_CUDA"] = "1"
    started = [
        subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=environment)
        for _ in range(3)
    ]
    assert [process.wait(timeout=60) for process in started] == [0, 0, 0]
    assert len(log.read_text().splitlines()) == 2  # compiled, linked
