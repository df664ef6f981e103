"""A process that runs one method: what it is asked comes in as lines of JSON, and so it answers.

Each method has its own process: memory is then its own, and where it runs out the others go on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import memory
from .methods import Run, make_run
from .problems import FUSE_K, KSIZE, SCALE, Inputs, Problem
from .timing import Clock
from .truth import CheckFailed, Truth

__all__ = ["Stopped", "Worker"]

OUT_OF_MEMORY = "out of memory"


class Stopped(Exception):
    """A method could not do a problem; the text says why."""


class Worker:
    """The other end of the process.

    method: as in `make_run`. threads: of torch. limit: bytes that it may take beyond what it has
    when it starts.
    """

    def __init__(self, method: str, threads: int, limit: int) -> None:
        command = [sys.executable, "-m", __name__, method, str(threads), str(limit)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self.method = method
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )

    def load(self, problem: Problem, truth: str) -> dict[str, Any]:
        """Check, warm up and measure memory. Raises CheckFailed and Stopped."""
        return self._ask({"do": "load", "problem": dataclasses.asdict(problem), "truth": truth})

    def time(self) -> float:
        """Seconds of one run of what was loaded."""
        return float(self._ask({"do": "time"})["seconds"])

    def profile(self) -> str:
        """A table of the kernels that one run spends its time in."""
        return str(self._ask({"do": "profile"})["table"])

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            status = self.process.wait()
            killed = status == -9  # how Linux ends a process when memory is out
            raise Stopped(OUT_OF_MEMORY if killed else f"the process ended with status {status}")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise CheckFailed(answer["failed"])
        if "stopped" in answer:
            raise Stopped(answer["stopped"])
        return answer


class Bench:
    """The process's end: what is loaded, and what it does when asked."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.run: Run | None = None
        self.problem: Problem | None = None
        self.clock: Clock | None = None

    def load(self, problem: dict[str, Any], truth: str) -> dict[str, Any]:
        self.run = None
        self.problem = Problem(**problem)
        device = self.problem.device
        if device == "cuda":
            torch.cuda.empty_cache()  # other methods share the device
        errors = Truth.load(truth).check(self.method)
        if self.clock is None:
            self.clock = Clock(device)
        inputs = Inputs.of(self.problem)
        run = make_run(self.method, self.problem, inputs)
        if self.method == "compiled":
            run()  # what compiling takes is not the layer's
        extra, first = self._warm_up(run, self.clock)
        self.run = run
        live = live_share(self.problem, inputs) if self.method == "gica" else None
        return {"errors": errors, "extra_bytes": extra, "first": first, "live": live}

    def _warm_up(self, run: Run, clock: Clock) -> tuple[int, float]:
        """The first run: bytes that it takes at its peak, and its seconds."""
        assert self.problem is not None
        results: dict[str, Tensor] = {}
        seconds = 0.0

        def timed() -> dict[str, Tensor]:
            nonlocal seconds
            seconds = clock.seconds(lambda: results.update(run()))
            return results

        return memory.peak_extra(self.problem.device, timed), seconds

    def time(self) -> dict[str, Any]:
        assert self.run is not None and self.clock is not None
        return {"seconds": self.clock.seconds(self.run)}

    def profile(self) -> dict[str, Any]:
        assert self.run is not None and self.problem is not None
        activities = [torch.profiler.ProfilerActivity.CPU]
        key = "self_cpu_time_total"
        if self.problem.device == "cuda":
            activities.append(torch.profiler.ProfilerActivity.CUDA)
            key = "self_device_time_total"
        with torch.profiler.profile(activities=activities) as profiler:
            self.run()
        events = sorted(profiler.key_averages(), key=lambda e: -getattr(e, key))
        total = sum(getattr(e, key) for e in events) or 1
        lines = [
            f"{getattr(e, key) / total:6.1%} {getattr(e, key) / 1e3:10.3f} ms {e.count:6}  {e.key}"
            for e in events[:12]
        ]
        return {"table": "\n".join(lines)}


def live_share(problem: Problem, inputs: Inputs) -> float | None:
    """The share of blocks of attention that skipping leaves; None where that is not counted."""
    if problem.work == "generator":
        return None
    if problem.skip == "never":
        return 1.0
    fuse_k = FUSE_K if problem.fuse else 1
    options = (KSIZE, problem.rate, fuse_k, SCALE, "tf", True, False, False)
    with torch.no_grad():
        arguments = (inputs.f, inputs.b, inputs.mask != 0, None, None)
        return float(torch.ops.gica_ops.attend(*arguments, *options)[3].float().mean())


def serve(bench: Bench, answer: Callable[[dict[str, Any]], None]) -> None:
    for line in sys.stdin:
        request = json.loads(line)
        do = getattr(bench, request.pop("do"))
        try:
            answer(do(**request))
        except CheckFailed as error:
            answer({"failed": str(error)})
        except (MemoryError, torch.OutOfMemoryError):
            answer({"stopped": OUT_OF_MEMORY})
        except RuntimeError as error:
            short = "can't allocate memory" in str(error) or "out of memory" in str(error)
            answer({"stopped": OUT_OF_MEMORY if short else " ".join(str(error).split())[:300]})


def main() -> None:
    method, threads, most = sys.argv[1:]
    torch.set_num_threads(int(threads))
    # Whatever else is printed must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if Path("/proc/self/status").exists() and not torch.cuda.is_available():
        memory.limit(int(most))

    def answer(values: dict[str, Any]) -> None:
        print(json.dumps(values), file=answers, flush=True)

    serve(Bench(method), answer)


if __name__ == "__main__":
    main()
