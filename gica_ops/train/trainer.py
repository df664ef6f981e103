"""A training run: data, steps, checkpoints, and how it goes on where it was."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import safetensors.torch
import torch
from accelerate import Accelerator
from torch import Tensor

from ..data.loader import make_loader
from ..files import clear_parts, write_whole
from ..model import Generator
from .checkpoint import Checkpoints
from .config import TrainConfig
from .learner import Learner, NonFinite, Part
from .log import RunLog
from .samples import sample_pictures

__all__ = ["NonFiniteError", "Trainer"]

CONFIG, CHECKPOINTS, EXPORT = "config.json", "checkpoints", "generator"


class NonFiniteError(ValueError):
    """A loss or a gradient was NaN or infinite; the batch is saved, the weights are as before."""


class Trainer:
    """Trains a generator as a `TrainConfig` says, in a folder of its own.

    config: the run. folder: of the run; `config.json`, `losses.jsonl` (one line a step),
    `checkpoints/`, `tensorboard/` and `generator/` (for `Generator.from_pretrained`) go there.
    generator: weights to start from instead of drawn ones; its config has to be the run's.
    quiet: say nothing.

    Where the folder holds checkpoints the run goes on from the newest. It then computes what the
    unbroken run would have: every draw depends on the seeds and the number of the picture alone.
    Under `torchrun` each process takes its share of every batch.

    Raises ValueError, a sentence, for a config that cannot run, unreadable checkpoints and data.

    >>> import tempfile
    >>> from gica_ops.model import GeneratorConfig
    >>> config = TrainConfig(GeneratorConfig(cnum=2), size=16, batch=2, steps=1, adversary="none")
    >>> Trainer(config, tempfile.mkdtemp(), quiet=True).run()
    0
    """

    def __init__(
        self,
        config: TrainConfig,
        folder: str | Path,
        *,
        generator: Generator | None = None,
        quiet: bool = False,
    ) -> None:
        self.config = config
        self.folder = Path(folder)
        # On the CPU Accelerate heeds torchrun only where it is told that there is nothing else.
        self.accelerator = Accelerator(cpu=not torch.accelerator.is_available())
        processes = self.accelerator.num_processes
        if processes != (started := int(os.environ.get("WORLD_SIZE", 1))):
            raise ValueError(
                f"{started} processes were started, but Accelerate joins {processes} on "
                f"{self.accelerator.device}: each would train for itself in the same folder"
            )
        if config.batch % (processes * config.accumulate):
            raise ValueError(
                f"batch must be a multiple of processes times accumulate, {processes} * "
                f"{config.accumulate}, got {config.batch}"
            )
        self.learner = Learner(config, self.accelerator, generator)
        self.checkpoints = Checkpoints(self.folder / CHECKPOINTS, config.keep)
        self.step = 0
        self.batches = 0
        notes = self._restore() if self.checkpoints.steps() else []
        self.loader = make_loader(
            config.data,
            size=config.size,
            batch=config.batch // (processes * config.accumulate),
            rank=self.accelerator.process_index,
            world=processes,
            start=self.batches * config.accumulate,
            workers=config.workers,
            accumulate=config.accumulate,
        )
        self.skipped: set[str] = set()
        main = self.accelerator.is_main_process
        if main:
            self.folder.mkdir(parents=True, exist_ok=True)
            for place in (self.folder, self.folder / CHECKPOINTS, self.folder / EXPORT):
                clear_parts(place)
            write_whole(self.folder / CONFIG, config.to_json().encode())
        self.log = RunLog(self.folder, self.step, config.steps, main=main, quiet=quiet)
        for note in notes:
            self.log.say(f"note: {note}")
        self.stopped = 0
        self.saved, self.saved_step = time.monotonic(), -1
        if generator is not None and self.step == 0:
            # Drawn weights can be drawn again; given ones are only here.
            self.save()

    def run(self) -> int:
        """Train to the last step. Returns 0, or the number of the signal that ended it early.

        SIGTERM and SIGINT end it after the step in flight, with a checkpoint. Raises
        NonFiniteError, and OSError where a checkpoint cannot be written.
        """
        self.log.settings(self.config.to_json())
        with contextlib.closing(self.loader), contextlib.closing(self.log), self._signals():
            while self.step < self.config.steps and not self.stopped:
                self._one_step()
                last = self.step == self.config.steps
                if last or self.step % self.config.sample_every == 0:
                    self._sample()
                if time.monotonic() - self.saved >= self.config.save_seconds:
                    self.save()
            self.save()
        return self.stopped

    def save(self) -> None:
        """A checkpoint of the step that is done, and the generator for whoever uses it."""
        self.saved = time.monotonic()
        if self.accelerator.is_main_process and self.step != self.saved_step:
            tensors, updates = self.learner.state()
            state = {"step": self.step, "batches": self.batches, "updates": updates}
            self.checkpoints.save(self.step, tensors, state)
            self.learner.export().save_pretrained(self.folder / EXPORT)
            self.saved_step = self.step

    def _restore(self) -> list[str]:
        tensors, state, notes = self.checkpoints.load()
        self.learner.restore(tensors, state["updates"])
        self.step, self.batches = state["step"], state["batches"]
        return notes

    def _one_step(self) -> None:
        try:
            terms = self.learner.train_step(self.step, self._batch)
        except NonFinite as found:
            raise self._report(found) from None
        numbers = self._agreed(terms)
        self.step += 1
        self.log.step(self.step, numbers, self.config.batch)

    def _batch(self) -> list[Part]:
        """This process's share of the next batch."""
        self.batches += 1
        parts = [self.learner.part(next(self.loader)) for _ in range(self.config.accumulate)]
        for name, why in self.loader.skipped.items():
            if name not in self.skipped:
                self.skipped.add(name)
                self.log.say(f"note: skipped, {len(self.skipped)} so far: {why}")
        return parts

    def _agreed(self, terms: dict[str, Tensor]) -> dict[str, float]:
        """The means over all processes as numbers; who was told to stop lets all know."""
        values = torch.stack([*terms.values(), torch.zeros_like(terms["total"]) + self.stopped])
        if self.accelerator.num_processes > 1:
            values = self.accelerator.reduce(values, "mean")
        *numbers, anyone = values.tolist()
        if anyone and not self.stopped:
            self.stopped = int(signal.SIGTERM)
        return dict(zip(terms, numbers, strict=True))

    def _report(self, found: NonFinite) -> NonFiniteError:
        rank, step = self.accelerator.process_index, self.step + 1
        path = self.folder / f"nonfinite-step-{step:09d}-rank-{rank}.safetensors"
        tensors = {
            f"{i}.{name}": getattr(part, name).cpu().contiguous()
            for i, part in enumerate(found.parts)
            for name in ("image", "mask")
        }
        numbers = [number for part in found.parts for number in part.index]
        write_whole(path, safetensors.torch.save(tensors, {"index": str(numbers)}))
        what = ", ".join(found.terms) if found.terms else "a gradient"
        saved = self.checkpoints.steps()
        last = f"the last checkpoint is of step {saved[-1]}" if saved else "there is no checkpoint"
        return NonFiniteError(
            f"{what} was not finite in step {step}; its batch is in {str(path)!r}, and {last}"
        )

    def _sample(self) -> None:
        if self.accelerator.is_main_process:
            generator = self.learner.export().eval()
            pictures = sample_pictures(generator, self.config, self.accelerator.device)
            self.log.pictures(self.step, pictures)
            generator.train()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def note(number: int, frame: FrameType | None) -> None:
            self.stopped = number

        before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
