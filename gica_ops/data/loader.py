"""Batches of pictures and holes, the same for a seed whatever workers and ranks there are."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, cast, get_args

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from .crops import Crop, crop
from .masks import Mask, parse_mask_spec
from .pictures import LeavesSource, parse_source
from .shards import ShardSource
from .sources import Source, uniform

__all__ = ["Batch", "DataConfig", "Loader", "make_loader"]

CROPS, MASKS = 11, 12  # what random numbers are for: no two purposes share them


@dataclass(frozen=True)
class DataConfig:
    """What to load. `dataclasses.asdict` of it is JSON, and DataConfig(**json) is it again.

    sources: see gica_ops.data.pictures. masks: see gica_ops.data.masks.
    per_batch_mask: one hole for all pictures of a batch, as in DeepFill v1, or one for each.
    crop, flip: see gica_ops.data.crops; procedural pictures have the size asked for.

    >>> DataConfig(sources=["dead-leaves", "bundled*0.5"]).sources
    ('dead-leaves', 'bundled*0.5')
    """

    sources: tuple[str, ...] = ("dead-leaves",)
    masks: str = "box"
    per_batch_mask: bool = True
    crop: str = "crop"
    flip: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.sources, str) or not self.sources:
            raise ValueError(f"sources must be several lines of text, got {self.sources!r}")
        object.__setattr__(self, "sources", tuple(self.sources))
        if self.crop not in get_args(Crop):
            raise ValueError(f"crop must be one of {', '.join(get_args(Crop))}, got {self.crop!r}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")


class Batch(NamedTuple):
    """A batch. B pictures; M is 1 where one hole is for all of them, else B.

    image: (B, 3, size, size) float32, RGB in [-1, 1].
    mask: (M, 1, size, size) float32, 1 = hole, 0 = known.
    boxes: (M, 4) int64, top, left, height, width: what the hole was drawn in, else what it fills.
    index: (B,) int64, numbers of the samples among all ranks' samples.
    """

    image: Tensor
    mask: Tensor
    boxes: Tensor
    index: Tensor  # type: ignore[assignment]  # hides the method of tuples


class Loader(Iterator[Batch]):
    """Batches without end. Made by make_loader.

    skipped: names of files that could not be read so far, with the sentence that says why.
    """

    def __init__(self, batches: _Batches, workers: int) -> None:
        self.skipped: dict[str, str] = {}
        loader: DataLoader[Any] = DataLoader(
            batches,
            batch_size=None,
            num_workers=workers,
            collate_fn=_same,
            worker_init_fn=_ignore_interrupts,
            # Its own, as the loader would otherwise draw from the generator that training uses.
            generator=torch.Generator().manual_seed(0),
        )
        self._batches: Iterator[_Raw] | None = iter(loader)

    def __next__(self) -> Batch:
        if self._batches is None:
            raise StopIteration
        try:
            raw = next(self._batches)
        except RuntimeError as error:
            self.close()
            raise OSError(f"a data worker stopped: {error}") from error
        self.skipped.update(raw.skipped)
        if raw.failure is not None:
            self.close()
            raise ValueError(raw.failure)
        image = torch.from_numpy(raw.images).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        holes = torch.from_numpy(np.stack([mask.hole for mask in raw.masks]))
        return Batch(
            image.contiguous(),
            holes[:, None].float(),
            torch.tensor([mask.bounding_box() for mask in raw.masks]),
            torch.from_numpy(raw.numbers),
        )

    def close(self) -> None:
        """Stops the workers; there are no more batches then."""
        self._batches = None


class _Raw(NamedTuple):
    """A batch on its way from a worker: bytes, as they are four times smaller than floats."""

    images: np.ndarray
    masks: list[Mask]
    numbers: np.ndarray
    skipped: dict[str, str]
    failure: str | None = None


def make_loader(
    config: DataConfig,
    *,
    size: int,
    batch: int,
    rank: int = 0,
    world: int = 1,
    start: int = 0,
    workers: int = 0,
    accumulate: int = 1,
) -> Loader:
    """Batches number start, start + 1, ... of one of `world` ranks, of `batch` pictures each.

    Batch n of rank r holds the samples (n * world + r) * batch + j for j below `batch`. Picture,
    crop and hole of a sample follow from the seed and its number, so that two ranks with 4 pictures
    see together what one with 8 sees, and a loader that starts at n goes on where another left off.
    One hole for a batch is one for all ranks, and for all of `accumulate` batches in a row, which
    make one step.

    workers: processes that prepare batches ahead, the same ones for any number of them.

    Shards are read from front to end instead: there the pictures follow from the seed, rank, world,
    workers and number of the batch.

    Raises ValueError for numbers out of range, and what cannot be read in the configuration; while
    iterating, where a source has no file that can be read.

    >>> loader = make_loader(DataConfig(), size=32, batch=2)
    >>> batch = next(loader)
    >>> batch.image.shape, batch.mask.shape, batch.boxes.shape, batch.index.tolist()
    (torch.Size([2, 3, 32, 32]), torch.Size([1, 1, 32, 32]), torch.Size([1, 4]), [0, 1])
    """
    least = {
        "size": (size, 8), "batch": (batch, 1), "world": (world, 1), "rank": (rank, 0),
        "start": (start, 0), "workers": (workers, 0), "accumulate": (accumulate, 1),
    }  # fmt: skip
    for name, (value, bound) in least.items():
        if value < bound:
            raise ValueError(f"{name} must be at least {bound}, got {value}")
    if rank >= world:
        raise ValueError(f"rank must be below world, {world}, got {rank}")
    batches = _Batches(config, size, batch, rank, world, start, accumulate)
    return Loader(batches, workers)


class _Batches(IterableDataset[_Raw]):
    """Every worker makes the batches that are its turn: the DataLoader asks them one by one."""

    def __init__(
        self,
        config: DataConfig,
        size: int,
        batch: int,
        rank: int,
        world: int,
        start: int,
        accumulate: int,
    ) -> None:
        self.config, self.size, self.batch = config, size, batch
        self.rank, self.world, self.start, self.accumulate = rank, world, start, accumulate
        self.told: set[str] = set()
        self.masks = parse_mask_spec(config.masks)
        parsed = [parse_source(text) for text in config.sources]
        self.sources: list[Source] = [source for source, _ in parsed]
        weights = np.array([weight for _, weight in parsed])
        self.bounds = np.cumsum(weights) / np.cumsum(weights)[-1]  # ends at 1 to the bit

    def __iter__(self) -> Iterator[_Raw]:
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        # A sentence, not an exception: torch wraps those of workers into their tracebacks.
        try:
            self._enter_shards(self.start + first, step)
            for number in itertools.count(self.start + first, step):
                yield self._make(number)
        except ValueError as error:
            nothing = np.empty(0, np.uint8)
            yield _Raw(nothing, [], nothing, self._skipped(), str(error))

    def _enter_shards(self, first: int, step: int) -> None:
        """Shards go on behind what the batches before `first` took of them, every `step`-th."""
        for place, source in enumerate(self.sources):
            if isinstance(source, ShardSource):
                before = np.arange(first % step, first, step)
                parts = np.array_split(before, len(before) // 65536 + 1)
                drawn = sum(int((self._chosen(self._samples(p)) == place).sum()) for p in parts)
                lane = self.rank + self.world * (first % step)
                source.enter(self.config.seed, lane, self.world * step, drawn)

    def _samples(self, number: np.ndarray) -> np.ndarray:
        """The numbers of the samples of batches: (..., batch)."""
        return (number[..., None] * self.world + self.rank) * self.batch + np.arange(self.batch)

    def _chosen(self, samples: np.ndarray) -> np.ndarray:
        """Which source each sample is of."""
        shares = uniform(self.config.seed, samples)
        return np.searchsorted(self.bounds, shares, side="right")

    def _make(self, number: int) -> _Raw:
        index = self._samples(np.array(number))
        sources = [self.sources[place] for place in self._chosen(index)]
        images = np.stack(
            [self._image(*pair) for pair in zip(sources, index.tolist(), strict=True)]
        )
        one = self.config.per_batch_mask
        turns = [number // self.accumulate] if one else index.tolist()
        masks = [self._mask(turn) for turn in turns]
        return _Raw(images, masks, index, self._skipped())

    def _image(self, source: Source, sample: int) -> np.ndarray:
        picture = source.picture(sample, self.config.seed, self.size)
        if isinstance(source, LeavesSource):
            return picture
        rng = np.random.default_rng((self.config.seed, CROPS, sample))
        how = cast(Crop, self.config.crop)
        return crop(picture, self.size, how, rng, self.config.flip)

    def _mask(self, turn: int) -> Mask:
        rng = np.random.default_rng((self.config.seed, MASKS, turn))
        return self.masks.draw((self.size, self.size), rng)

    def _skipped(self) -> dict[str, str]:
        """What was skipped since it was last asked for."""
        found = {name: why for source in self.sources for name, why in source.skipped.items()}
        news = {name: why for name, why in found.items() if name not in self.told}
        self.told.update(news)
        return news


def _same(raw: Any) -> Any:
    return raw


def _ignore_interrupts(worker: int) -> None:
    """Control-C reaches every process of a terminal; the main one stops its workers in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
