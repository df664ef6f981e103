"""Measuring: every method on every problem, in turns, each checked before it is timed."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from . import memory
from .machine import describe, measure_rates
from .methods import reason_against
from .problems import Problem
from .record import MEASURED, Record, Row
from .truth import Truth
from .worker import OUT_OF_MEMORY, Stopped, Worker

__all__ = ["Session", "measure"]

RESERVE = 2**30
FEWEST = 3


def measure(
    problems: Sequence[Problem],
    methods: Sequence[str],
    *,
    rounds: int = 11,
    seconds: float = 10.0,
    threads: int | None = None,
    most_bytes: int | None = None,
    profile: bool = False,
    show: Callable[[str], object] = lambda line: None,
    row_done: Callable[[Row, Record], object] = lambda row, record: None,
) -> Record:
    """Measure methods on problems.

    methods: as in `methods.make_run`. rounds: timed runs of each; fewer where they would take more
    than so many seconds: three at least, and one where a single run takes longer. threads: of
    torch, None for as many as it has. most_bytes: memory that a method may take; None for what is
    free. profile: show kernels too. show: is told lines. row_done: is told each row and the record
    so far.

    Raises CheckFailed, a sentence, where a method computes something else; then there is no record.
    """
    for method in methods:
        reason_against(method, problems[0])  # unknown ones fail before anything is measured
    threads = threads or torch.get_num_threads()
    torch.set_num_threads(threads)
    devices = {problem.device for problem in problems}
    if len(devices) != 1:
        raise ValueError(f"problems must be of one device, got {sorted(devices)}")
    (device,) = devices
    free = memory.available_bytes() - RESERVE
    about = describe(threads, device)
    rates = measure_rates(device, sorted({problem.dtype for problem in problems}))
    record = Record(about, rates, ())
    with Session(threads, most_bytes or free) as session:
        for problem in problems:
            rows = session.run(problem, methods, rounds, seconds)
            for row in rows:
                record = Record(about, rates, (*record.rows, row))
            for row in rows:
                row_done(row, record)
            if profile:
                for row in rows:
                    if row.measured:
                        show(f"{row.problem.name}, {row.method}:\n{session.profile(row.method)}")
    return record


def fitting(first: float, seconds: float) -> int:
    """How many rounds of runs like the first are worth so many seconds.

    Where one run takes longer, chance has evened out within it.

    >>> fitting(0.5, 8), fitting(4, 8), fitting(20, 8)
    (16, 3, 1)
    """
    return 1 if first > seconds else max(FEWEST, int(seconds / max(first, 1e-9)))


class Session:
    """The methods' processes, and the truth of the problem at hand."""

    def __init__(self, threads: int, most_bytes: int) -> None:
        self.threads = threads
        self.most_bytes = most_bytes
        self.workers: dict[str, Worker] = {}

    def __enter__(self) -> Session:
        self.folder = tempfile.TemporaryDirectory()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers.values():
            worker.close()
        self.folder.cleanup()

    def run(
        self, problem: Problem, methods: Sequence[str], rounds: int, seconds: float
    ) -> list[Row]:
        """A row for each method that has something to do with the problem."""
        path = Path(self.folder.name) / "truth.pt"
        truth = Truth.of(problem)
        truth.save(path)
        rows: dict[str, Row] = {}
        left: dict[str, int] = {}
        for method in methods:
            if reason_against(method, problem) is not None:
                continue
            try:
                found = self._worker(method).load(problem, str(path))
            except Stopped as stopped:
                rows[method] = self._stopped(problem, method, stopped)
                continue
            left[method] = min(rounds, fitting(found.pop("first"), seconds))
            rows[method] = Row(
                problem, method, "being measured", checked_on=truth.problem.name, **found
            )
        times: dict[str, list[float]] = {method: [] for method in left}
        # Taking turns makes a slow spell of the machine fall on all methods alike.
        while left:
            for method in list(left):
                try:
                    times[method].append(self.workers[method].time())
                except Stopped as stopped:
                    rows[method] = self._stopped(problem, method, stopped)
                    del left[method], times[method]
                    continue
                left[method] -= 1
                if not left[method]:
                    del left[method]
        return [self._finished(row, times.get(row.method)) for row in rows.values()]

    def profile(self, method: str) -> str:
        """The kernels of a method on the last problem."""
        return self.workers[method].profile()

    def _worker(self, method: str) -> Worker:
        if method not in self.workers:
            self.workers[method] = Worker(method, self.threads, self.most_bytes)
        return self.workers[method]

    def _stopped(self, problem: Problem, method: str, stopped: Stopped) -> Row:
        with contextlib.suppress(KeyError):
            self.workers.pop(method).close()  # what it holds is of no use any more
        return Row(problem, method, str(stopped) or OUT_OF_MEMORY)

    def _finished(self, row: Row, times: list[float] | None) -> Row:
        if times is None:
            return row
        values = {**vars(row), "outcome": MEASURED, "seconds": tuple(times)}
        return Row(**values)
