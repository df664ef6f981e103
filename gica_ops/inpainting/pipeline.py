"""Fills one picture after another while the next are read and the last ones written."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from .attention import arrows, strip, wheel
from .inpaint import Inpainted, inpaint
from .jobs import Job
from .masks import MaskOptions, read_mask
from .methods import choose
from .picture import Picture
from .reading import MAX_PIXELS, read_picture
from .writing import QUALITY, check_encoding, write_image

if TYPE_CHECKING:
    from ..model import Generator

__all__ = ["Options", "Outcome", "run"]

AHEAD = 2  # pictures that are read beyond those being filled, and that wait to be written
LARGE = 0.5  # share of a picture that is worth a warning

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Options:
    """How pictures are read, filled and written; most as `gica_ops.inpaint` takes them.

    batch_size: pictures of one size and mode, one after another, that go through the network
        together.
    """

    method: str = "auto"
    weights: Generator | None = None
    seed: int = 0
    device: str | None = None
    dtype: torch.dtype | None = None
    backend: str = "auto"
    max_memory: int | None = None
    batch_size: int = 4
    max_pixels: int = MAX_PIXELS
    masks: MaskOptions = MaskOptions()
    quality: int = QUALITY


@dataclass
class Outcome:
    """What became of a job.

    status: "filled", "unchanged" (its hole is empty), "skipped" or "failed".
    method, why: as `Inpainted` has them. pixels: of the hole. seconds: that filling took.
    notes: sentences on what is odd, but no failure. error: a sentence.
    """

    job: Job
    status: str = "failed"
    width: int | None = None
    height: int | None = None
    pixels: int | None = None
    method: str | None = None
    why: str = ""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    error: str | None = None


@dataclass
class _Work:
    """A picture on its way: what `outcome` tells of it is known up to here."""

    outcome: Outcome
    picture: Picture | None = None
    hole: Tensor | None = None
    form: str = ""
    result: Inpainted | None = None

    @property
    def alike(self) -> Any:
        """Equal where pictures can be filled together; None where this one is on its own."""
        if self.picture is None or self.outcome.method != "network":
            return None
        return self.picture.size, self.picture.image.mode


def run(
    jobs: Iterable[Job],
    options: Options,
    tell: Callable[[Outcome], None],
    progress: Progress | None = None,
) -> None:
    """Do the jobs in their order; only a few pictures are in memory at a time.

    tell: is called with each outcome, in this thread. A job that fails stops no other.
    progress: called now and then with the number of pictures done, parts included.

    Stopped by an exception, such as KeyboardInterrupt, it finishes the file that is being written,
    tells of it, and raises. Every output is there whole or not at all.
    """
    reader, writer = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
    writes: deque[Future[Outcome]] = deque()
    done = 0
    try:
        for batch in _batches(_read_ahead(jobs, options, reader), options.batch_size):
            report = _Part(progress, done, len(batch))
            _fill(batch, options, report)
            done += len(batch)
            report(1.0)
            while batch:
                writes.append(writer.submit(_write, batch.pop(0), options.quality))
            _settle(writes, AHEAD, tell)
        _settle(writes, 0, tell)
    except BaseException:
        for write in writes:
            write.cancel()
        raise
    finally:
        reader.shutdown(cancel_futures=True)
        writer.shutdown()
        for write in writes:
            if not write.cancelled():
                tell(write.result())


class _Part:
    """The progress of a part of the pictures, told as that of all."""

    def __init__(self, progress: Progress | None, before: int, count: int) -> None:
        self.progress, self.before, self.count = progress, before, count

    def __call__(self, share: float) -> None:
        if self.progress is not None:
            self.progress(self.before + self.count * share)


def _settle(writes: deque[Future[Outcome]], most: int, tell: Callable[[Outcome], None]) -> None:
    """Wait until at most so many are still to be written."""
    while len(writes) > most:
        outcome = writes[0].result()
        writes.popleft()
        tell(outcome)


def _read_ahead(
    jobs: Iterable[Job], options: Options, reader: ThreadPoolExecutor
) -> Iterator[_Work]:
    left = iter(jobs)
    reads = deque(reader.submit(_read, job, options) for job in itertools.islice(left, AHEAD))
    while reads:
        work = reads.popleft().result()
        reads.extend(reader.submit(_read, job, options) for job in itertools.islice(left, 1))
        yield work


def _batches(works: Iterable[_Work], most: int) -> Iterator[list[_Work]]:
    """What can be filled together, one after another as they come."""
    batch: list[_Work] = []
    for work in works:
        if batch and (len(batch) == most or batch[0].alike != work.alike):
            yield batch
            batch = []
        batch.append(work)
        if work.alike is None:
            yield batch
            batch = []
    if batch:
        yield batch


def _read(job: Job, options: Options) -> _Work:
    """Everything that is to be known before filling; an error in its outcome."""
    outcome = Outcome(job)
    if job.skip or job.error is not None or job.mask is None:
        outcome.status = "skipped" if job.skip else "failed"
        outcome.error = job.error
        return _Work(outcome)
    try:
        picture = read_picture(job.image, max_pixels=options.max_pixels)
        outcome.height, outcome.width = picture.size
        hole = read_mask(job.mask, picture, options.masks, max_pixels=options.max_pixels)
        form = job.form or picture.form or "PNG"
        check_encoding(picture.image, form)
        outcome.notes += [picture.note] if picture.note else []
        outcome.pixels = int(hole.sum())
        share = outcome.pixels / hole.numel()
        if share == 1:
            raise ValueError(f"mask {str(job.mask)!r} covers all of {str(job.image)!r}")
        if share > LARGE:
            outcome.notes.append(f"{str(job.image)!r}: {100 * share:.0f} % of it are hole")
        if share == 0:
            outcome.why = "the hole is empty"
        elif options.method == "auto":
            outcome.method, outcome.why = choose(hole)
        else:
            outcome.method = options.method
    except Exception as error:
        outcome.error = _sentence(error)
        return _Work(outcome)
    return _Work(outcome, picture, hole, form)


def _fill(batch: list[_Work], options: Options, progress: Progress) -> None:
    first = batch[0].outcome
    if first.method is None or first.error is not None:
        return
    network = first.method == "network"
    start = time.perf_counter()
    try:
        results = inpaint(
            [work.picture.image for work in batch if work.picture],
            [work.hole for work in batch],
            method=first.method,
            weights=options.weights if network else None,
            seed=options.seed,
            device=options.device if network else None,
            dtype=options.dtype if network else None,
            backend=options.backend,
            max_memory=options.max_memory,
            progress=progress,
            details=True,
        )
    except Exception as error:
        if len(batch) == 1:
            first.error = _sentence(error)
            return
        for work in batch:  # one by one, so that only what cannot be filled is not
            _fill([work], options, lambda share: None)
        return
    seconds = (time.perf_counter() - start) / len(batch)
    for work, result in zip(batch, results, strict=True):
        work.result = result
        work.outcome.seconds = seconds


def _write(work: _Work, quality: int) -> Outcome:
    outcome, job = work.outcome, work.outcome.job
    if work.picture is None or outcome.error is not None:
        return outcome
    try:
        after = work.picture.image if work.result is None else work.result.image
        job.output.parent.mkdir(parents=True, exist_ok=True)
        for what, path in job.beside.items():
            shown = _shown(what, work, after)
            if shown is not None:
                write_image(shown, path, "PNG")
        # Last, since where it is there all is there.
        write_image(after, job.output, work.form, quality=quality)
        outcome.status = "unchanged" if work.result is None else "filled"
    except Exception as error:
        outcome.error = _sentence(error)
    return outcome


def _shown(what: str, work: _Work, after: Image.Image) -> Image.Image | None:
    """A picture to go beside the output; None where there is nothing to show."""
    assert work.picture is not None and work.hole is not None
    before = work.picture.image
    if what == "concat":
        return strip(before, work.hole, after)
    if work.result is None:
        return None
    sources = work.result.sources
    if what == "arrows":
        return arrows(before, sources, work.hole)
    return Image.fromarray(wheel(sources, before).permute(1, 2, 0).numpy())


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "can't allocate memory" in text:
        return "out of memory"
    known = isinstance(error, (ValueError, TypeError, OSError))
    return text if known and text else f"{type(error).__name__}: {text}"
