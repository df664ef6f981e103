"""How the network's thick holes get their detail: ways to carry it, by photographs held out.

    python -m benchmarks.transfer --record benchmarks/quality/transfer-DATE.json

Square holes at random places of the photographs that the weights have not seen. All ways share what
the generator makes of the picture at a smaller scale, and where its attention looks. Texture is the
mean gradient inside the hole over that of the true content: 1 is right, less is blurred.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from benchmarks.inpaint_quality import gradient
from gica_ops.bench.machine import describe
from gica_ops.data.bundled import bundled_pictures
from gica_ops.evaluate.metrics import score
from gica_ops.inpainting import exemplar, network, transfer
from gica_ops.inpainting.pyramid import extent
from gica_ops.model import Generator
from gica_ops.model.generator import Look

SIZES = (96, 160, 256)
BORDER = 16  # pixels at least that are known around a hole
SHARPER = (30.0, 100.0)  # factors on the scores before the softmax, beside the generator's own

Carried = Callable[[Generator, Look, Tensor, Tensor, "str | None"], Tensor]
carried = transfer.carried


def nothing(
    generator: Generator, look: Look, residual: Tensor, hole: Tensor, backend: str | None
) -> Tensor:
    """No detail: the enlarged filling alone."""
    return torch.zeros_like(residual)


def sharper(scale: float) -> Carried:
    """The layer with another factor on its scores."""

    def carry(
        generator: Generator, look: Look, residual: Tensor, hole: Tensor, backend: str | None
    ) -> Tensor:
        config = dataclasses.replace(generator.config, softmax_scale=scale)
        with patch.object(generator.fine, "config", config):
            return carried(generator, look, residual, hole, backend)

    return carry


def copied(
    generator: Generator, look: Look, residual: Tensor, hole: Tensor, backend: str | None
) -> Tensor:
    """The best match of every position alone, laid side by side: nothing is averaged."""
    offsets = look.offsets
    side = residual.shape[2] // offsets.shape[2]
    rows, columns = (torch.arange(n) for n in residual.shape[2:])
    found = offsets[:, :, rows // side][..., columns // side].clamp_min(0) * side
    within = torch.stack(torch.meshgrid(rows % side, columns % side, indexing="ij"))
    known = residual.masked_fill(hole, 0)
    detail = [r[:, p[0], p[1]] for r, p in zip(known, found + within, strict=True)]
    return torch.stack(detail)


WAYS: dict[str, Carried] = {
    "none": nothing,
    "attention": carried,
    **{f"attention, scale {scale:g}": sharper(scale) for scale in SHARPER},
    "best match": copied,
}


def holes(picture: np.ndarray, size: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Square holes, (H, W) bool, where the picture has room for one."""
    dice = np.random.default_rng(seed)
    room = [n - size - 2 * BORDER for n in picture.shape[:2]]
    for _ in range(draws if min(room) > 0 else 0):
        top, left = (BORDER + int(dice.integers(n)) for n in room)
        hole = np.zeros(picture.shape[:2], bool)
        hole[top : top + size, left : left + size] = True
        yield hole


def measure(picture: np.ndarray, hole: np.ndarray) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every way's scores on one hole, and those of patch copying."""
    image = torch.from_numpy(picture).permute(2, 0, 1).contiguous()
    mask = torch.from_numpy(hole)
    fillings = {}
    for name, way in WAYS.items():
        with patch.object(transfer, "carried", way):
            fillings[name] = network.fill(image, mask).values
    fillings["exemplar"] = exemplar.fill(image, mask).values
    # The hole's scores depend on nothing farther away.
    near = extent(mask, BORDER)
    truth, cut = picture[near], hole[near]
    for name, values in fillings.items():
        filled = values.permute(1, 2, 0).numpy()[near]
        scores = score(truth, filled, cut)
        texture = gradient(filled, cut) / gradient(truth, cut)
        yield name, {"ssim": scores["hole_ssim"], "l1": scores["hole_l1"], "texture": texture}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", type=Path, help="file for the figures")
    parser.add_argument("--draws", type=int, default=4, help="holes of each size in a picture")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="sides of the holes")
    options = parser.parse_args()
    figures = {}
    print(f"{'hole':>5}  {'detail from':24}{'SSIM':>8}{'L1 %':>8}{'texture':>9}{'holes':>7}")
    for size in options.sizes:
        found: dict[str, list[dict[str, Any]]] = {}
        for seed, bundled in enumerate(bundled_pictures("held-out")):
            picture = bundled.load()
            for hole in holes(picture, size, options.draws, seed):
                for name, scores in measure(picture, hole):
                    found.setdefault(name, []).append(scores)
        for name, rows in found.items():
            mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
            line = f"{mean['ssim']:8.3f}{100 * mean['l1']:8.2f}{mean['texture']:9.2f}"
            print(f"{size:5}  {name:24}{line}{len(rows):7}", flush=True)
            figures[f"{size} {name}"] = {**mean, "holes": len(rows)}
    if options.record:
        record = {**describe(torch.get_num_threads()), "figures": figures}
        options.record.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
