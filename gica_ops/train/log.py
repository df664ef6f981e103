"""What a run tells: losses in a file, TensorBoard, and the progress on the terminal."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from ..files import write_whole

__all__ = ["RunLog"]

LOSSES = "losses.jsonl"
LINE_SECONDS = 30.0  # between lines where there is no terminal
SMOOTH = 0.95  # of the speed that is shown


class RunLog:
    """The log of one process; only the main one writes.

    step, steps: where the run is, and where it ends. Lines of steps after `step`, which a killed
    run wrote beyond its last checkpoint, are taken out.
    """

    def __init__(self, folder: Path, step: int, steps: int, *, main: bool, quiet: bool) -> None:
        self.main = main
        self.steps = steps
        self.console = Console(stderr=True)
        self.quiet = quiet or not main
        self.speed = 0.0
        self.last = self.last_line = time.monotonic()
        self.file: IO[str] | None = None
        self.board: SummaryWriter | None = None
        self.progress: Progress | None = None
        if not main:
            return
        path = folder / LOSSES
        if path.exists():
            write_whole(path, _until(path.read_bytes(), step))
        self.file = open(path, "a")  # noqa: SIM115  (closed by close)
        self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        if not self.quiet and sys.stderr.isatty():
            self.progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=self.console,
            )
            self.task = self.progress.add_task("training", total=steps, completed=step)
            self.progress.start()

    def step(self, step: int, terms: dict[str, float], pictures: int) -> None:
        """One step is done: its loss terms, and how many pictures it took."""
        now = time.monotonic()
        rate = pictures / max(now - self.last, 1e-9)
        self.last = now
        self.speed = rate if not self.speed else SMOOTH * self.speed + (1 - SMOOTH) * rate
        if not self.main:
            return
        assert self.file is not None and self.board is not None
        self.file.write(json.dumps({"step": step, **terms}) + "\n")
        self.file.flush()
        for name, value in terms.items():
            self.board.add_scalar(f"loss/{name}", value, step)
        self.board.add_scalar("speed/images_per_second", rate, step)
        self._show(step, terms, now)

    def _show(self, step: int, terms: dict[str, float], now: float) -> None:
        if self.quiet:
            return
        text = f"{self.speed:.1f} images/s  " + "  ".join(
            f"{name} {value:.4g}" for name, value in terms.items() if name in ("total", "critics")
        )
        if self.progress is not None:
            self.progress.update(self.task, completed=step, description=text)
        elif now - self.last_line > LINE_SECONDS or step == self.steps:
            self.last_line = now
            self.console.print(f"step {step} of {self.steps}: {text}", highlight=False)

    def say(self, text: str) -> None:
        """A line for whoever watches."""
        if not self.quiet:
            self.console.print(text, highlight=False, soft_wrap=True)

    def pictures(self, step: int, pictures: dict[str, Tensor]) -> None:
        """Sample pictures, each (B, 3, H, W) in 0 to 1, in one grid a name."""
        if self.board is not None:
            for name, batch in pictures.items():
                self.board.add_images(name, batch.float().clamp(0, 1).cpu(), step)
            self.board.flush()

    def settings(self, text: str) -> None:
        if self.board is not None:
            self.board.add_text("config", f"```json\n{text}\n```")

    def close(self) -> None:
        if self.progress is not None:
            self.progress.stop()
        for it in (self.file, self.board):
            if it is not None:
                it.close()


def _until(data: bytes, step: int) -> bytes:
    """The lines of steps up to `step`; a last line that was cut off goes, too."""
    kept = []
    for line in data.splitlines():
        try:
            record: dict[str, Any] = json.loads(line)
        except ValueError:
            continue
        if record["step"] <= step:
            kept.append(line + b"\n")
    return b"".join(kept)
