"""`gica_ops.inpaint`: fills holes of pictures of every kind, by whichever method suits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, overload

import torch
from torch import Tensor

from .. import backends, checks

if TYPE_CHECKING:
    from ..model import Generator
    from .filled import Filled
    from .kinds import Item

__all__ = ["Inpainted", "inpaint"]

Picture = TypeVar("Picture")
METHODS = ("auto", "exemplar", "network")
DTYPES = (torch.float32, torch.bfloat16, torch.float16)

Progress = Callable[[float], None]


class Inpainted(NamedTuple):
    """A filled picture, and how it came about.

    image: the picture, of the kind that was given.
    method: "exemplar" or "network".
    why: a clause, why this method; empty where it was asked for.
    sources: (2, H, W) int64, the row and column that the content of each pixel of the hole comes
        from; -1 outside the hole, and where it comes from nowhere in particular.
    """

    image: Any
    method: str
    why: str
    sources: Tensor


@overload
def inpaint(
    image: Picture,
    mask: object,
    *,
    method: str = "auto",
    weights: str | Path | Generator | None = None,
    seed: int = 0,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    backend: str = "auto",
    max_memory: int | None = None,
    progress: Progress | None = None,
    details: Literal[False] = False,
) -> Picture: ...


@overload
def inpaint(
    image: object,
    mask: object,
    *,
    method: str = "auto",
    weights: str | Path | Generator | None = None,
    seed: int = 0,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    backend: str = "auto",
    max_memory: int | None = None,
    progress: Progress | None = None,
    details: Literal[True],
) -> Any: ...


def inpaint(
    image: object,
    mask: object,
    *,
    method: str = "auto",
    weights: str | Path | Generator | None = None,
    seed: int = 0,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    backend: str = "auto",
    max_memory: int | None = None,
    progress: Progress | None = None,
    details: bool = False,
) -> Any:
    """Fills the hole of a picture, or the holes of several.

    image: a PIL image of any mode; a NumPy array (H, W) or (H, W, C); a tensor (C, H, W) or
        (B, C, H, W), on any device; any real dtype and range; or a list of these, of any sizes.
        What the hole holds is not looked at. Alpha of a PIL image stays as it is; in arrays and
        tensors every channel is filled.
    mask: the hole, of the picture's height and width; one for all pictures, or one for each: a PIL
        image, hole where above 127 of 255; a bool array or tensor, True = hole; or numbers, hole
        where above half of the range: 127 in uint8, 32767 in uint16, 0.5 in floating point. Arrays
        and tensors are (H, W) or (1, H, W), or (B, 1, H, W) for several pictures.
    method: "exemplar" copies patches of the picture, "network" asks a generator, "auto" takes
        what measured better on holes of such a share of a picture.
    weights: for "network", which they imply: a generator's folder or repository on the Hugging
        Face hub, or a `Generator`; None takes the one that comes along.
    seed: other seeds search other places, where patches are copied.
    device: where the network runs. None: where the `Generator` given is, else where the image is.
    dtype: torch.bfloat16 or float16 for convolutions of the network in that; with float32 and None
        they are in the dtype of its weights.
    backend: of the matching and the attention, as in `contextual_attention`; "auto" leaves a
        `Generator` given its own.
    max_memory: bytes that may be taken beyond the pictures, their masks and results; less of the
        surroundings is looked at where that is what it takes.
    progress: called now and then with the share done, 0 to 1.
    details: return an `Inpainted` instead of a picture, for a batch a list of them.

    Returns the picture filled, of the kind, dtype and device given, known pixels as they were, to
    the bit; a list for a list. It has no gradient. Pictures of a list are filled alike in company
    and alone; those of equal size go through the network together.

    Errors: TypeError or ValueError, a sentence that names the argument, what was expected and what
    came.

    >>> import torch
    >>> stripes = torch.arange(32).remainder(4).expand(3, 32, 32)
    >>> hole = torch.zeros(32, 32, dtype=torch.bool)
    >>> hole[12:20, 12:20] = True
    >>> bool((inpaint(stripes, hole) == stripes).float().mean() > 0.95)
    True
    >>> inpaint(stripes, hole, details=True).method
    'exemplar'
    """
    from .kinds import is_batch, items

    checks.choice("method", method, METHODS)
    _check_options(weights, method, seed, dtype, max_memory)
    backends.check_name(backend)
    where = None if device is None else _device(device)
    given = items(image, mask)
    chosen = [_chosen(method, weights, item.hole) for item in given]
    generator = None
    if any(name == "network" for name, _ in chosen):
        generator = _generator(weights, where, given[0].device)
    results: list[Any] = [None] * len(given)
    done = 0
    for places in _together(given, chosen):
        part = [given[i] for i in places]
        report = _share(progress, done / len(given), len(part) / len(given))
        options = {"backend": backend, "max_memory": max_memory, "progress": report}
        by = generator if chosen[places[0]][0] == "network" else None
        filled = _filled(part, by, seed, dtype, options)
        for i, one in zip(places, filled, strict=True):
            sources = one.sources.to(given[i].device)
            result = Inpainted(given[i].back(one.values), *chosen[i], sources)
            results[i] = result if details else result.image
        done += len(part)
    if not is_batch(image):
        return results[0]
    return torch.stack(results) if isinstance(image, Tensor) and not details else results


def _check_options(
    weights: object, method: str, seed: object, dtype: object, max_memory: object
) -> None:
    if weights is not None and method == "exemplar":
        raise ValueError("weights are for method 'network', got method 'exemplar'")
    checks.integer("seed", seed, 0)
    if max_memory is not None:
        checks.integer("max_memory", max_memory, 1)
    if dtype not in (None, *DTYPES):
        names = ", ".join(map(str, DTYPES))
        raise ValueError(f"dtype must be one of {names}, or None, got {dtype!r}")


def _chosen(method: str, weights: object, hole: Tensor) -> tuple[str, str]:
    """The method for a hole, and why."""
    if weights is not None or method != "auto":
        return "network" if weights is not None else method, ""
    from .methods import choose

    return choose(hole)


def _generator(
    weights: str | Path | Generator | None, wanted: torch.device | None, otherwise: torch.device
) -> Generator:
    """The generator that is asked for, on its device."""
    from ..model import Generator
    from .network import load_generator

    if not isinstance(weights, Generator):
        return load_generator("default" if weights is None else weights, wanted or otherwise)
    there = next(weights.parameters()).device
    if wanted is not None and wanted != there:
        raise ValueError(f"device must be that of the generator given, {there}, got {wanted}")
    return weights


def _device(device: torch.device | str) -> torch.device:
    """The device by its full name. Raises ValueError, a sentence, where there is none."""
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"device must be one that is here, got {str(device)!r}: {reason}"
        ) from error


def _together(given: list[Item], chosen: list[tuple[str, str]]) -> list[list[int]]:
    """The places of the pictures that are filled in one call: those alike, by the network."""
    groups: dict[Any, list[int]] = {}
    for i, (item, (method, _)) in enumerate(zip(given, chosen, strict=True)):
        alike = (item.values.shape, item.values.dtype) if method == "network" else i
        groups.setdefault(alike, []).append(i)
    return list(groups.values())


def _share(progress: Progress | None, done: float, size: float) -> Progress | None:
    """What is to be called with the share of a part that is done."""
    return None if progress is None else lambda share: progress(done + size * share)


def _filled(
    part: list[Item],
    generator: Generator | None,
    seed: int,
    dtype: torch.dtype | None,
    options: dict[str, Any],
) -> list[Filled]:
    """One picture by patches, or pictures of equal size by a generator."""
    images, masks = [item.values for item in part], [item.hole for item in part]
    if generator is None:
        from .exemplar import fill

        return [fill(images[0], masks[0], seed=seed, **options)]
    from .network import fill_many

    options["backend"] = None if options["backend"] == "auto" else options["backend"]
    device = next(generator.parameters()).device.type
    with torch.autocast(device, dtype=dtype, enabled=dtype not in (None, torch.float32)):
        return fill_many(images, masks, generator=generator, **options)
