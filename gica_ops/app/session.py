"""What one open page works on, without the page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..model import Generator
from .photograph import Limits, Photograph, open_mask, open_photograph, preview, scaled

__all__ = ["Filling", "Session", "Settings", "Stopped", "fill"]

KEPT = 8  # pictures that can be gone back to


class Settings(NamedTuple):
    """What holds for all pages of a server.

    generator: of the method "network"; None is the one that ships.
    max_memory: bytes that a filling may take, as `gica_ops.inpaint` has it, or None.
    """

    limits: Limits = Limits()
    generator: Generator | None = None
    max_memory: int | None = None


class Filling(NamedTuple):
    """A filled photograph, what to look at beside it, and a sentence on how it came about."""

    photograph: Photograph
    wheel: Image.Image
    arrows: Image.Image
    said: str


class Stopped(Exception):
    """This filling was stopped, or nobody waits for it any more."""


def fill(
    photograph: Photograph,
    hole: Tensor,
    settings: Settings,
    *,
    method: str = "auto",
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Filling:
    """Fills the hole, (height, width) bool, of a photograph. This is all the work that a page does.

    Raises ValueError, a sentence, as `gica_ops.inpaint` does and where there is no hole; and what
    `progress` raises.
    """
    from .. import inpaint
    from ..inpainting import attention

    if not bool(hole.any()):
        raise ValueError("Nothing is painted yet: paint over what should go, then press Fill")
    start = time.perf_counter()
    before = photograph.picture.image
    done = inpaint(
        before,
        hole,
        method=method,
        weights=None if method == "exemplar" else settings.generator,
        seed=seed,
        max_memory=settings.max_memory,
        progress=progress,
        details=True,
    )
    seconds = time.perf_counter() - start
    why = f" ({done.why})" if done.why else ""
    said = f"{int(hole.sum())} pixels filled by {done.method}{why} in {seconds:.1f} s"
    wheel = Image.fromarray(attention.wheel(done.sources, before).permute(1, 2, 0).numpy())
    arrows = attention.arrows(done.image, done.sources, hole)
    return Filling(photograph.replaced(done.image), preview(wheel), preview(arrows), said)


class Session:
    """The photographs of one open page: the one that is worked on, and those before it.

    shown: the photograph that is worked on as the page shows it, or None before the first.
    result: what was made of it last, or None.

    Files are read where `open` and `load_mask` are told they are, and nowhere else.

    >>> Session(Settings()).undo()
    Traceback (most recent call last):
    ValueError: There is no picture before this one
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.shown: Image.Image | None
        self.result: Photograph | None
        self._history: list[Photograph]
        self._loaded: Tensor | None  # the hole of a mask's file, at the photograph's size
        self._stopped = False
        self._show([])

    @property
    def can_undo(self) -> bool:
        return len(self._history) > 1

    def open(self, path: Path) -> str | None:
        """Begins anew with the photograph of a file; returns a note on what is left out of it."""
        photograph = open_photograph(path, self.settings.limits)
        self._show([photograph])
        return photograph.picture.note

    def load_mask(self, path: Path) -> Image.Image:
        """Takes the hole of a mask's file, and returns it as the page shows it, mode 1."""
        self._loaded = open_mask(path, self._photograph().picture, self.settings.limits)
        return Image.fromarray(scaled(self._loaded, self._shown_size()).numpy())

    def hole(self, layers: Sequence[Image.Image]) -> Tensor:
        """The hole, (height, width) bool, that is painted: layers over `shown`, with alpha.

        What was loaded from a file, and not painted over, keeps its resolution.
        """
        size = self._photograph().picture.size
        painted = torch.zeros(self._shown_size(), dtype=torch.bool)
        for layer in layers:
            alpha = np.array(layer.convert("RGBA").getchannel("A")) > 0
            painted |= scaled(torch.from_numpy(alpha), self._shown_size())
        if self._loaded is None:
            return scaled(painted, size)
        changed = painted ^ scaled(self._loaded, self._shown_size())
        return torch.where(scaled(changed, size), scaled(painted, size), self._loaded)

    def fill(
        self,
        layers: Sequence[Image.Image],
        *,
        method: str,
        seed: int,
        progress: Callable[[float], None],
    ) -> Filling:
        """`fill` with the hole painted. Raises Stopped after `stop`, and where another picture has
        taken the place."""
        photograph = self._photograph()

        def report(share: float) -> None:
            if self._stopped or not self._history or self._history[-1] is not photograph:
                raise Stopped
            progress(share)

        hole = self.hole(layers)
        done = fill(photograph, hole, self.settings, method=method, seed=seed, progress=report)
        report(1.0)
        self.result = done.photograph
        return done

    def begin(self) -> None:
        """Comes before `fill`, as soon as it is asked for: from here on `stop` is meant for it."""
        self._stopped = False

    def stop(self) -> None:
        """Ends the filling that is under way, or waits for its turn, at its next step; what there
        was before it stays."""
        self._stopped = True

    def go_on(self) -> None:
        """Makes the result the photograph that is worked on."""
        if self.result is None:
            raise ValueError("There is no result yet")
        self._show([*self._history[-KEPT:], self.result])

    def undo(self) -> None:
        """Back to the photograph before the last `go_on`."""
        if not self.can_undo:
            raise ValueError("There is no picture before this one")
        self._show(self._history[:-1])

    def close(self) -> None:
        """Lets go of everything; a filling that is under way stops."""
        self._show([])

    def _show(self, history: list[Photograph]) -> None:
        self._history = history
        self.shown = preview(history[-1].picture.image) if history else None
        self.result = self._loaded = None

    def _photograph(self) -> Photograph:
        if not self._history:
            raise ValueError("Load a photograph first")
        return self._history[-1]

    def _shown_size(self) -> tuple[int, int]:
        assert self.shown is not None
        return self.shown.height, self.shown.width
