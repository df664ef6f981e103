"""What a run tells: progress and sentences on the terminal, and a summary as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from .pipeline import Outcome

__all__ = ["Report"]

STATUSES = ("filled", "unchanged", "skipped", "failed")


class Report:
    """Collects outcomes, and says on stderr what is odd or failed as it comes.

    total: the number of pictures; for one, its failure is left to the caller to say.
    quiet: say nothing but failures.

    >>> report = Report(1, quiet=True)
    >>> with report:
    ...     report.progress(1.0)
    >>> report.line()
    'nothing done'
    """

    def __init__(self, total: int, *, quiet: bool = False) -> None:
        self.total = total
        self.quiet = quiet
        self.outcomes: list[Outcome] = []
        self.start = time.perf_counter()
        self.bar = Progress(
            TextColumn("filling"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[at]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=quiet or not sys.stderr.isatty(),
            transient=True,
        )
        self.task = self.bar.add_task("", total=total, at="")

    def __enter__(self) -> Report:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def progress(self, done: float) -> None:
        """So many pictures are done, parts included."""
        at = f"{min(int(done) + 1, self.total)} of {self.total}" if self.total > 1 else ""
        self.bar.update(self.task, completed=done, at=at)

    def tell(self, outcome: Outcome) -> None:
        """One picture is through."""
        self.outcomes.append(outcome)
        if not self.quiet:
            for note in outcome.notes:
                self._say(f"note: {note}")
        if outcome.status == "failed" and self.total > 1:
            name, error = repr(str(outcome.job.image)), str(outcome.error)
            self._say(f"failed: {error}" if name in error else f"failed: {name}: {error}")

    def _say(self, text: str) -> None:
        if self.bar.disable:
            click.echo(text, err=True)
        else:
            self.bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @property
    def failed(self) -> bool:
        return any(outcome.status == "failed" for outcome in self.outcomes)

    @property
    def seconds(self) -> float:
        """Since the report was begun."""
        return time.perf_counter() - self.start

    def counts(self) -> dict[str, int]:
        found = Counter(outcome.status for outcome in self.outcomes)
        return {status: found[status] for status in STATUSES}

    def line(self) -> str:
        """The counts in words, such as "180 filled, 20 failed"."""
        parts = [f"{count} {status}" for status, count in self.counts().items() if count]
        return ", ".join(parts) or "nothing done"

    def json(self, *, stopped: bool = False) -> str:
        """The summary: counts, seconds, and an object for every picture.

        stopped: the run was, so that pictures are missing.
        """
        summary = {
            **self.counts(),
            "seconds": round(self.seconds, 3),
            "stopped": stopped,
            "files": list(_files(self.outcomes)),
        }
        return json.dumps(summary, indent=1) + "\n"


def _files(outcomes: Iterable[Outcome]) -> Iterable[dict[str, Any]]:
    for outcome in outcomes:
        job = outcome.job
        yield {
            "image": str(job.image),
            "mask": None if job.mask is None else str(job.mask),
            "output": str(job.output),
            **{what: str(path) for what, path in job.beside.items()},
            "status": outcome.status,
            "width": outcome.width,
            "height": outcome.height,
            "hole_pixels": outcome.pixels,
            "method": outcome.method,
            "why": outcome.why,
            "seconds": round(outcome.seconds, 3),
            "notes": outcome.notes,
            "error": outcome.error,
        }
