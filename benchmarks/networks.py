"""python -m benchmarks.networks: the generator and its training with the kernels and without.

The generator is v1 at its published width on a photograph, float32, without gradient; its weights
are drawn, so that attention is flat and nothing is skipped. Training is v1's recipe at 64 x 64 with
narrow networks, against a loop as it is usually written.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from benchmarks import memory, problems
from benchmarks.plain_training import PlainLoop
from benchmarks.report import Figure, Report
from benchmarks.timing import Times, measure, ratio
from gica_ops.data.loader import make_loader
from gica_ops.model import Generator
from gica_ops.train.config import RECIPES, TrainConfig, with_options
from gica_ops.train.learner import Learner, Part

__all__ = ["main", "run_generator", "run_training"]

BACKENDS = ("auto", "reference")
BOUNDED_SIDE = 512
LAYER_SHARE, WHOLE, MEMORY = 1 / 5, 0.55, 1 / 3
TRAINING = {
    "size": "64",
    "batch": "4",
    "generator.cnum": "8",
    "adversary_width": "16",
    "data.sources": '["dead-leaves"]',
    "data.masks": "box:side=0.5,delta=0.25",
    "workers": "0",
}


def picture(side: int) -> tuple[Tensor, Tensor]:
    """A photograph in -1 to 1 and a centre hole of half its side."""
    image = 2 * problems.photograph(problems.PHOTOGRAPHS["coffee"], side) - 1
    return image, problems.centre_hole(side, side // 2).float()


def make_generator(backend: str) -> Generator:
    torch.manual_seed(0)
    return Generator.v1(backend=backend).eval()


def timed_layer(generator: Generator) -> Callable[[], float]:
    """Seconds that the generator has spent in its attention since the last call."""
    spent = [0.0]
    attend = generator.fine.attend

    def timed(*arguments: Any) -> tuple[Tensor, Tensor | None]:
        start = time.perf_counter()
        result = attend(*arguments)
        spent[0] += time.perf_counter() - start
        return result

    def take() -> float:
        seconds, spent[0] = spent[0], 0.0
        return seconds

    generator.fine.attend = timed  # type: ignore[method-assign, assignment]
    return take


def run_generator(report: Report, side: int, rounds: int) -> None:
    """Adds the time of the generator, the attention's share of it, and its memory."""
    image, mask = picture(side)
    runs: dict[str, Callable[[], object]] = {}
    layer: dict[str, list[float]] = {backend: [] for backend in BACKENDS}
    for backend in BACKENDS:
        generator = make_generator(backend)
        take = timed_layer(generator)

        def run(
            generator: Generator = generator, seconds: list[float] = layer[backend],
            take: Callable[[], float] = take,
        ) -> None:  # fmt: skip
            with torch.inference_mode():
                generator(image, mask)
            seconds.append(take())

        runs[backend] = run
    times = measure(runs, rounds)
    bounded = side == BOUNDED_SIDE
    for backend in BACKENDS:
        name, whole = f"{side} generator, backend={backend}", times[backend]
        report.add(Figure(name, whole.median, "s", None, whole.record()))
        share = ratio(Times(tuple(layer[backend][1:])), whole)  # the first run warms up
        bound = LAYER_SHARE if bounded and backend == "auto" else None
        report.add(Figure(f"{name}, share of the attention", share, "x whole", bound))
    share = ratio(times["auto"], times["reference"])
    report.add(Figure(f"{side} generator", share, "x ref", WHOLE if bounded else None))
    grown = {backend: peak_growth(side, backend, report.threads) for backend in BACKENDS}
    for backend, size in grown.items():
        name = f"{side} generator, backend={backend}, peak memory growth"
        report.add(Figure(name, size / 2**20, "MiB", None, {"bytes": size}))
    share = grown["auto"] / grown["reference"]
    bound = MEMORY if bounded else None
    report.add(Figure(f"{side} generator, peak memory growth", share, "x ref", bound))


def peak_growth(side: int, backend: str, threads: int) -> int:
    """Bytes that one run of the generator takes at its peak, in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.networks", "--measure-memory", backend]
    command += ["--side", str(side), "--threads", str(threads)]
    root = Path(__file__).resolve().parent.parent
    # What the C library keeps of freed memory is not counted: it then keeps none.
    env = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**20)}
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True, env=env)
    return int(json.loads(done.stdout)["peak_growth_bytes"])


def child(side: int, backend: str) -> int:
    generator = make_generator(backend)
    with torch.inference_mode():
        generator(*picture(64))  # code is loaded and threads are started before the count
        inputs = picture(side)
        ctypes.CDLL(None).malloc_trim(0)
        before = memory.status_bytes("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
        generator(*inputs)
    return memory.status_bytes("VmHWM") - before


def training_config(backend: str) -> TrainConfig:
    return dataclasses.replace(with_options(RECIPES["v1"], TRAINING), backend=backend)


def run_training(report: Report, rounds: int) -> None:
    """Adds pictures per second of the trainer and of a plain loop, on batches in memory."""
    runs: dict[str, Callable[[], object]] = {}
    for backend in BACKENDS:
        config = training_config(backend)
        learner = Learner(config, Accelerator(), None)
        parts = draw(config, learner, 2 * config.critic_steps)
        runs[f"trainer, backend={backend}"] = step_of(learner, itertools.cycle(parts))
        loop = PlainLoop(config)
        runs[f"plain loop, backend={backend}"] = plain_step_of(loop, itertools.cycle(parts))
    times = measure(runs, rounds)
    for name, taken in times.items():
        speed = config.batch / taken.median
        report.add(Figure(f"{config.size} {name}", speed, "images/s", None, taken.record()))
    first, *others = times
    for name in others:
        speedup = ratio(times[name], times[first])
        report.add(Figure(f"{config.size} trainer, speed-up over {name}", speedup, "x"))


def draw(config: TrainConfig, learner: Learner, count: int) -> list[Part]:
    """The first batches of a run."""
    loader = make_loader(config.data, size=config.size, batch=config.batch, workers=0)
    with contextlib.closing(loader):
        return [learner.part(next(loader)) for _ in range(count)]


def step_of(learner: Learner, parts: Iterator[Part]) -> Callable[[], object]:
    return lambda: learner.train_step(0, lambda: [next(parts)])


def plain_step_of(loop: PlainLoop, parts: Iterator[Part]) -> Callable[[], object]:
    return lambda: loop.step((part.image, part.mask, part.boxes) for part in parts)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks", description=__doc__)
    parser.add_argument("--side", type=int, default=BOUNDED_SIDE, help="of the generator's picture")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each timing")
    parser.add_argument("--record", type=Path, help="where to write the record")
    parser.add_argument("--measure-memory", choices=BACKENDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.measure_memory:
        grown = child(options.side, options.measure_memory)
        print(json.dumps({"peak_growth_bytes": grown}))
        return 0
    report = Report(options.threads)
    run_generator(report, options.side, options.rounds)
    run_training(report, options.rounds)
    if options.record is not None:
        print("record:", report.write(options.record))
    return 1 if report.missed() else 0


if __name__ == "__main__":
    sys.exit(main())
