"""Where something is measured: what to write down of the machine, and how fast it can be."""

from __future__ import annotations

import datetime
import importlib
import platform
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import __version__, _native
from ..info import commit
from .timing import Clock, Times

__all__ = ["describe", "measure_rates", "middle_rates", "processor"]

WARM_UP = 0.3  # seconds


def describe(threads: int, device: str = "cpu") -> dict[str, Any]:
    """Device, driver, versions, commit, command and clocks, as JSON takes them.

    >>> sorted(describe(1))[:4]
    ['clocks_mhz', 'command', 'commit', 'date']
    """
    about: dict[str, Any] = {
        "device": f"{processor()} {threads} threads",
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "command": shlex.join(["python", *sys.orig_argv[1:]]),
        "threads": threads,
        "versions": {
            "gica_ops": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "torch_cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "kernels": _native.cpu_capability(),
        "clocks_mhz": processor_clocks(),
    }
    return about if device == "cpu" else {**about, **describe_cuda()}


def describe_cuda() -> dict[str, Any]:
    """The CUDA device in the place of the processor, and what it runs under."""
    about = torch.cuda.get_device_properties(0)
    build = _native.cuda_build()
    driver = importlib.import_module("gica_ops._C_cuda").driver_version()
    return {
        "device": about.name,
        "clocks_mhz": device_clocks(),
        "cuda": {
            "capability": f"{about.major}.{about.minor}",
            "multiprocessors": about.multi_processor_count,
            "memory_bytes": about.total_memory,
            "driver_supports": "{}.{}".format(*driver),
            "torch_built_with": torch.version.cuda,
            "kernels_built_with": build.version,
            "kernels_built_for": build.architectures,
        },
    }


def processor() -> str:
    """The processor as its maker names it."""
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def processor_clocks() -> dict[str, float]:
    """The lowest and the highest clock of the cores at this moment; empty where none is told."""
    cpuinfo = Path("/proc/cpuinfo")
    found = re.findall(r"cpu MHz\s*:\s*([\d.]+)", cpuinfo.read_text()) if cpuinfo.exists() else []
    clocks = [float(clock) for clock in found]
    return {"lowest": min(clocks), "highest": max(clocks)} if clocks else {}


def device_clocks() -> dict[str, str]:
    """What the driver tells of clocks, temperature and power; empty without nvidia-smi."""
    names = "clocks.sm,clocks.mem,clocks.max.sm,temperature.gpu,power.draw,driver_version"
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    command = [program, f"--query-gpu={names}", "--format=csv,noheader,nounits", "--id=0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    values = [value.strip() for value in done.stdout.split(",")]
    return dict(zip(names.split(","), values, strict=False)) if done.returncode == 0 else {}


def measure_rates(device: str, dtypes: list[str], rounds: int = 15) -> dict[str, Any]:
    """What the machine reaches: operations a second of matrix products, bytes a second of copies.

    A copied byte counts twice, read and written.

    >>> measure_rates("cpu", ["float32"], rounds=1)["copy"] > 0
    True
    """
    clock = Clock(device)
    side = 8192 if device == "cuda" else 1024
    rates: dict[str, Any] = {"matrix": {}}
    for dtype in dtypes:
        a, b = (torch.randn(side, side, device=device).to(getattr(torch, dtype)) for _ in range(2))
        out = torch.empty_like(a)
        taken = best(clock, lambda a=a, b=b, out=out: torch.mm(a, b, out=out), rounds)  # type: ignore[misc]
        rates["matrix"][dtype] = 2 * side**3 / taken
    size = 2**31 if device == "cuda" else 2**28
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    rates["copy"] = 2 * size / best(clock, lambda: target.copy_(source), rounds)
    return rates


def middle_rates(several: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The medians of what was measured several times.

    >>> middle_rates([{"matrix": {"float32": rate}, "copy": 1.0} for rate in (3.0, 1.0, 2.0)])
    {'matrix': {'float32': 2.0}, 'copy': 1.0}
    """
    matrix = {
        dtype: statistics.median(rates["matrix"][dtype] for rates in several)
        for dtype in several[0]["matrix"]
    }
    return {"matrix": matrix, "copy": statistics.median(rates["copy"] for rates in several)}


def best(clock: Clock, run: Callable[[], object], rounds: int) -> float:
    """The median after a warm-up: what the machine holds, not what it once reached.

    A device that was idle does not run at its full clocks at once.
    """
    end = time.perf_counter() + WARM_UP
    clock.seconds(run)
    while time.perf_counter() < end:
        clock.seconds(run)
    return Times(tuple(clock.seconds(run) for _ in range(rounds))).median
