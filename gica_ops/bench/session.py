"""Measuring: every method on every problem, in turns, each checked before it is timed."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from . import memory
from .machine import describe, measure_rates, middle_rates
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
    rounds: int = 60,
    seconds: float = 12.0,
    visits: int = 1,
    threads: int | None = None,
    most_bytes: int | None = None,
    profile: bool = False,
    show: Callable[[str], object] = lambda line: None,
    row_done: Callable[[Row, Record], object] = lambda row, record: None,
) -> Record:
    """Measure methods on problems.

    methods: as in `methods.make_run`. rounds: timed runs of each; fewer where they would take more
    than so many seconds: three at least, and one where a single run takes longer. visits: how often
    to go through all problems, in fresh processes, each time for a part of the rounds: what a
    machine does besides comes and goes within a minute, and so falls on all problems alike.
    threads: of torch, None for as many as it has. most_bytes: memory that a method may take; None
    for what is free. profile: show kernels too. show: is told lines. row_done: is told each row
    that is complete and the record so far.

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
    dtypes = sorted({problem.dtype for problem in problems})
    measured_rates = []
    rows: dict[tuple[Problem, str], Row] = {}
    complete: set[tuple[Problem, str]] = set()
    for left in reversed(range(visits)):
        measured_rates.append(measure_rates(device, dtypes))
        rates = middle_rates(measured_rates)
        with Session(threads, most_bytes or free) as session:
            for problem in problems:
                wanted = [method for method in methods if (problem, method) not in complete]
                visited = session.visit(problem, wanted, rounds, seconds, visits)
                for row, enough in visited:
                    key = problem, row.method
                    rows[key] = rows[key].joined(row) if key in rows else row
                    if enough or not left:
                        complete.add(key)
                record = Record(about, rates, tuple(rows.values()))
                for row, _ in visited:
                    if (problem, row.method) in complete:
                        row_done(rows[problem, row.method], record)
                        if profile and row.measured:
                            table = session.profile(row.method)
                            show(f"{problem.name}, {row.method}:\n{table}")
    return record


def fitting(first: float, seconds: float) -> int:
    """How many rounds of runs like the first are worth so many seconds.

    Where one run takes longer, chance has evened out within it.

    >>> fitting(0.5, 8), fitting(4, 8), fitting(20, 8)
    (16, 3, 1)
    """
    return 1 if first > seconds else max(FEWEST, int(seconds / max(first, 1e-9)))


def turns(counts: Mapping[str, int]) -> list[str]:
    """Names in turns, each as often as counted, from the beginning to the end.

    >>> "".join(turns({"a": 4, "b": 2, "c": 1}))
    'abacaba'
    """
    places = [((i + 0.5) / n, name) for name, n in counts.items() for i in range(n)]
    return [name for _, name in sorted(places, key=lambda place: place[0])]


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

    def visit(
        self, problem: Problem, methods: Sequence[str], rounds: int, seconds: float, visits: int
    ) -> list[tuple[Row, bool]]:
        """The share of one visit: a row for each method that has something to do with the problem.

        With each, whether it asks for no further visit.
        """
        methods = [method for method in methods if reason_against(method, problem) is None]
        if not methods:
            return []
        path = Path(self.folder.name) / "truth.pt"
        truth = Truth.of(problem)
        truth.save(path)
        rows: dict[str, Row] = {}
        times: dict[str, list[float]] = {}
        counts: dict[str, int] = {}
        stopped: set[str] = set()

        def stop(method: str, why: Stopped) -> None:
            rows[method] = self._stopped(problem, method, why)
            stopped.add(method)

        for method in methods:
            try:
                found = self._worker(method).load(problem, str(path))
            except Stopped as why:
                stop(method, why)
                continue
            first = found.pop("first")
            # Beside so long a run it does not count what warms up with it.
            times[method] = [first] if first > seconds else []
            wanted = min(rounds, fitting(first, seconds)) - len(times[method])
            counts[method] = -(-wanted // visits)
            rows[method] = Row(
                problem, method, "being measured", checked_on=truth.problem.name, **found
            )
        # Taking turns makes a slow spell of the machine fall on all methods alike.
        for method in turns(counts):
            if method in stopped:
                continue
            try:
                times[method].append(self.workers[method].time())
            except Stopped as why:
                stop(method, why)
        visited = []
        for method, row in rows.items():
            if method not in stopped:
                row = replace(row, outcome=MEASURED, seconds=tuple(times[method]))
            visited.append((row, method in stopped or not counts[method]))
        return visited

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
