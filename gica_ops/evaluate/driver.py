"""Every method on every picture: what the hole held is hidden, filled, and compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .learned import Frechet, Lpips
from .methods import Method
from .metrics import score
from .pictures import Load

__all__ = ["BINS", "Results", "Row", "Shown", "evaluate"]

BINS = 10  # of the hole's share of the picture: 0 to 10 %, 10 to 20 % and so on, as LaMa has them


class Row(NamedTuple):
    """What one method made of one picture.

    share: of the picture that is hole, 0 to 1; bin: its tenth, 0 to 9 (10 % is in bin 1).
    scores: as `metrics.score` returns them, and "whole_lpips"; empty where there is an error.
    seconds: the filling took; not a number to compare runs by to the last digit.
    error: a sentence where the method failed, altered known pixels or returned something else.
    """

    picture: str
    method: str
    height: int
    width: int
    share: float
    bin: int
    scores: dict[str, float | None]
    seconds: float
    error: str | None = None


class Shown(NamedTuple):
    """A picture and its fillings by method, as an observer gets them; (H, W, 3) uint8."""

    picture: str
    truth: np.ndarray
    hole: np.ndarray
    filled: dict[str, np.ndarray]
    rows: list[Row]


@dataclass
class Results:
    """rows: picture by picture, method by method. broken: why a picture was left out, by name.
    fid: by method, where it was asked for; None for less than two pictures."""

    rows: list[Row] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    fid: dict[str, float | None] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """No picture was broken and no method failed."""
        return not self.broken and all(row.error is None for row in self.rows)


def evaluate(
    pictures: Mapping[str, np.ndarray | Load],
    masks: Callable[[str, tuple[int, int]], np.ndarray],
    methods: Mapping[str, Method],
    *,
    lpips: Lpips | None = None,
    fid: Frechet | None = None,
    observe: Callable[[Shown], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Results:
    """Has every method fill the hole of every picture, and scores what comes out.

    pictures: by name, (H, W, 3) uint8 arrays or functions that load one, as `find_pictures` gives.
    masks: from name and (height, width) to the hole, (H, W) bool, as `find_masks(...).hole`.
    methods: by label; each gets copies of the picture, 0 in the hole, and of the hole.
    lpips, fid: networks from the user's files.
    observe: is shown every picture that was not broken, in their order.
    progress: is told how many pictures are done.

    A picture that cannot be loaded or has no mask, or a mask of no or of all pixels, is left out
    and named in `broken`. A method that raises, alters known pixels or returns another shape or
    dtype gets a row with the error. Pictures are held one at a time.

    Raises ValueError where there are no methods, ImportError where the extra `evaluate` is missing.

    >>> picture = np.tile(np.uint8([[[10], [200]]]), (16, 8, 3))
    >>> def mask(name, size):
    ...     hole = np.zeros(size, bool)
    ...     hole[6:10, 6:10] = True
    ...     return hole
    >>> def grey(picture, hole):
    ...     return np.where(hole[..., None], np.uint8(105), picture)
    >>> results = evaluate({"stripes": picture}, mask, {"grey": grey})
    >>> round(results.rows[0].scores["hole_l1"], 4)
    0.3725
    """
    if not methods:
        raise ValueError("methods must hold at least one method, got none")
    results = Results()
    for done, (name, picture) in enumerate(pictures.items(), 1):
        try:
            shown = _prepare(name, picture, masks)
        except (ValueError, OSError) as error:
            results.broken[name] = str(error)
        else:
            for label, method in methods.items():
                shown.rows.append(_measure(shown, label, method, lpips))
            if fid is not None:
                fid.add(shown.truth, shown.filled)
            results.rows += shown.rows
            if observe is not None:
                observe(shown)
        if progress is not None:
            progress(done)
    if fid is not None:
        results.fid = fid.distances()
    return results


def _prepare(
    name: str,
    picture: np.ndarray | Load,
    masks: Callable[[str, tuple[int, int]], np.ndarray],
) -> Shown:
    truth = picture() if callable(picture) else picture
    if truth.ndim != 3 or truth.shape[2] != 3 or truth.dtype != np.uint8:
        raise ValueError(
            f"picture must be of shape (H, W, 3) and uint8, got {truth.shape} of {truth.dtype}"
        )
    size = truth.shape[:2]
    hole = masks(name, size)
    if hole.shape != size or hole.dtype != np.bool_:
        raise ValueError(f"mask must be of shape {size} and bool, got {hole.shape} of {hole.dtype}")
    if not hole.any() or hole.all():
        covered = "all" if hole.any() else "nothing"
        raise ValueError(f"mask must cover some of the picture and not all, but covers {covered}")
    return Shown(name, truth, hole, {}, [])


def _measure(shown: Shown, label: str, method: Method, lpips: Lpips | None) -> Row:
    name, truth, hole, filled_by, _ = shown
    (height, width), covered = hole.shape, int(hole.sum())
    row = Row(name, label, height, width, covered / hole.size, covered * BINS // hole.size, {}, 0.0)
    start = time.perf_counter()
    try:
        filled = method(np.where(hole[..., None], np.uint8(0), truth), hole.copy())
        row = row._replace(seconds=time.perf_counter() - start)
        _check_filled(filled, truth, hole)
    except MemoryError:
        raise
    # Methods are anybody's: what one raises is noted, and the others go on.
    except Exception as error:
        return row._replace(error=" ".join(f"{type(error).__name__}: {error}".split()))
    filled_by[label] = filled
    scores = score(truth, filled, hole)
    if lpips is not None:
        scores["whole_lpips"] = lpips(truth, filled)
    return row._replace(scores=scores)


def _check_filled(filled: object, truth: np.ndarray, hole: np.ndarray) -> None:
    if not isinstance(filled, np.ndarray):
        raise TypeError(f"a method must return an array, got {type(filled).__name__}")
    if filled.shape != truth.shape or filled.dtype != np.uint8:
        raise ValueError(
            f"a method must return {truth.shape} of uint8, got {filled.shape} of {filled.dtype}"
        )
    altered = int((filled != truth).any(2)[~hole].sum())
    if altered:
        raise ValueError(f"a method must leave known pixels as they are, but altered {altered}")
