"""Figures, the bounds they are held to, and the record that is written of a run."""

from __future__ import annotations

import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

__all__ = ["Figure", "Report", "describe"]

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True)
class Figure:
    """One measured number; `bound` is the most it may be, None where it only informs."""

    name: str
    value: float
    unit: str
    bound: float | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        if self.bound is None:
            return ""
        return "ok" if self.value <= self.bound else "MISSED"

    def line(self) -> str:
        bound = "" if self.bound is None else f"<= {self.bound:g}"
        return (
            f"{self.name:<58} {self.value:>9.3f} {self.unit:<8} {bound:<9} {self.verdict}".rstrip()
        )


class Report:
    """Collects figures, printing each as it comes."""

    def __init__(self, threads: int, on_cuda: bool = False) -> None:
        self.threads = threads
        self.on_cuda = on_cuda
        self.figures: list[Figure] = []

    def add(self, figure: Figure) -> None:
        self.figures.append(figure)
        print(figure.line(), flush=True)

    def missed(self) -> list[Figure]:
        return [figure for figure in self.figures if figure.verdict == "MISSED"]

    def write(self, path: Path | None = None) -> Path:
        """Writes the record as JSON, to results/<device>-<date>.json unless told otherwise."""
        about = {**describe(self.threads), **(describe_cuda() if self.on_cuda else {})}
        if path is None:
            device = re.sub(r"[^a-z0-9]+", "-", about["device"].lower()).strip("-")
            path = RESULTS / f"{device}-{about['date'][:10]}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {**about, "figures": [asdict(figure) for figure in self.figures]}
        path.write_text(json.dumps(record, indent=1) + "\n")
        return path


def describe(threads: int) -> dict[str, Any]:
    """Where and how the figures were measured."""
    return {
        "device": f"{processor()} {threads} threads",
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "command": " ".join(["python", *sys.orig_argv[1:]]),
        "threads": threads,
        "versions": {
            "gica_ops": importlib.metadata.version("gica_ops"),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "torch_cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def describe_cuda() -> dict[str, Any]:
    """The CUDA device in the place of the processor, and what it runs under."""
    from gica_ops import _native

    about = torch.cuda.get_device_properties(0)
    build = _native.cuda_build()
    driver = importlib.import_module("gica_ops._C_cuda").driver_version()
    return {
        "device": about.name,
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


def commit() -> str:
    """The commit, with "+" where the tree differs from it; "unknown" outside a repository.

    GICA_COMMIT tells it where the files are without their repository.
    """
    if given := os.environ.get("GICA_COMMIT"):
        return given
    try:
        name = git("rev-parse", "--short=12", "HEAD")
        changed = git(
            "status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results"
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name + ("+" if changed else "")


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()
