"""Steps of a long run on a machine that may be taken away: what became of each is kept at once, and
what has passed is not run again."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["NOT_DONE", "OUT", "ROOT", "SITE", "Check", "Result", "wheels"]

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "out" / "gpu-check"
SITE = OUT / "site"  # where the package is installed
GOOD = ("passed", "measured")
NOT_DONE = "not done"
# Of the tree, what the installed package and its tests are made of.
SOURCES = ("csrc", "gica_ops", "tests", "benchmarks")
Result = dict[str, Any]


class Check:
    """The steps, what became of them, and the time that is left."""

    def __init__(self, minutes: float, copy_to: Path | None = None, out: Path = OUT) -> None:
        self.end = time.monotonic() + 60 * minutes
        self.out, self.copy_to = out, copy_to
        self.path = out / "state.json"
        self.key = key()
        self.steps: dict[str, Result] = {}
        self.kept: dict[str, Result] = {}
        out.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            state = json.loads(self.path.read_text())
            if state["key"] == self.key:
                self.kept = {k: v for k, v in state["steps"].items() if v["outcome"] in GOOD}

    def step(self, name: str, run: Callable[[], Result], least: float = 10) -> Result:
        """Run a step unless it has passed before, and keep what came of it.

        least: seconds that it is not started without.
        """
        start = time.monotonic()
        if name in self.kept:
            result = self.kept[name]
        elif self.left() < least:
            result = {"outcome": NOT_DONE, "says": "no time was left"}
        else:
            print(f"== {name}", flush=True)
            try:
                result = run()
            except subprocess.TimeoutExpired as late:
                own = self.left() > 0  # the step's limit, not that of all
                outcome = "failed" if own else NOT_DONE
                result = {"outcome": outcome, "says": f"cut off after {late.timeout:.0f} s"}
            except Exception as error:  # one broken step is no reason to lose the others
                result = {"outcome": "failed", "says": f"{type(error).__name__}: {error}"}
            result["seconds"] = round(time.monotonic() - start, 1)
        print(f"== {name}: {result['outcome']}: {result['says']}", flush=True)
        self.steps[name] = result
        state = {"key": self.key, "steps": {**self.kept, **self.steps}}
        self.path.write_text(json.dumps(state, indent=1))
        self.copy()
        return result

    def left(self) -> float:
        return self.end - time.monotonic()

    def run(self, command: list[str], log: str, most: float = 600, **env: str) -> tuple[int, str]:
        """Run a command on the installed package; its status, and what it printed.

        What it prints goes to a file at once: it is there also when the command never ends.
        """
        path = self.out / log
        limit = max(1.0, min(most, self.left()))
        with path.open("w") as file:
            process = subprocess.Popen(
                command, cwd=self.out, env={**environment(), **env}, stdin=subprocess.DEVNULL,
                stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            try:
                status = process.wait(limit)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                print(path.read_text(errors="replace")[-3000:], flush=True)
                raise
        return status, path.read_text(errors="replace")

    def copy(self) -> None:
        """All that was found so far, in one file elsewhere."""
        if self.copy_to is None:
            return
        self.copy_to.mkdir(parents=True, exist_ok=True)
        with tarfile.open(self.copy_to / "gpu-check.tar.gz", "w:gz") as archive:
            for path in sorted(self.out.iterdir()):
                if path.is_file():
                    archive.add(path, path.name)


def key() -> str:
    """Changes with whatever would make what was done worthless."""
    digest = hashlib.sha256(sys.executable.encode())
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".cpp", ".cu", ".h", ".py"):
                digest.update(path.read_bytes())
    for path in wheels():
        digest.update(path.read_bytes())
    return digest.hexdigest()


def environment() -> dict[str, str]:
    """Of the installed package first, of the tests and benchmarks second."""
    path = os.pathsep.join([str(SITE), str(ROOT)])
    settings = {
        "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "GICA_REQUIRE_GPU": "1",
    }  # fmt: skip
    commit = ROOT / "dist" / "commit.txt"
    if commit.exists():
        settings["GICA_COMMIT"] = commit.read_text().strip()
    return {**os.environ, **settings}


def wheels() -> list[Path]:
    newest = sorted((ROOT / "dist").glob("gica_ops-*.whl"), key=lambda p: p.stat().st_mtime)[-1:]
    return newest + sorted((ROOT / "dist" / "packages").glob("*.whl"))
