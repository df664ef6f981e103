"""Fills holes with `gica inpaint`'s filler and with others, side by side.

Six kinds of pictures of 256 x 256, and at 1024 x 1024 and 4K the pictures of
`benchmarks.inpainting`.

    python -m benchmarks.inpaint_quality --images docs/images --record benchmarks/quality/NAME.json

G'MIC (the program `gmic`) and OpenCV (the package `opencv-python-headless`) take part where they
are installed; neither is a dependency. Besides the pictures it prints, for every filler, the
texture ratio: the mean gradient inside the hole over that of the true content. 1 is right, less is
blurred.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks import inpainting
from gica_ops.inpainting.exemplar import fill

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
# Picture, and the hole as (left, top, right, bottom) in a square of 256 pixels around it.
PICTURES = {
    "brick": ("brick.png", (128, 128, 384, 384), (96, 96, 160, 160)),
    "grass": ("grass.png", (128, 128, 384, 384), (96, 96, 160, 160)),
    "face": ("astronaut.png", (96, 0, 352, 256), (150, 100, 190, 140)),
    "edge": ("coffee.png", (230, 40, 486, 296), (120, 110, 184, 174)),
    "sky": ("photo.png", (180, 20, 436, 276), (150, 60, 214, 124)),
    "text": ("text.png", (0, 0, 256, 172), (96, 60, 140, 104)),
}
# Height, width, and the sides of the picture over those of the hole in its middle.
LARGE = {"1024": (1024, 1024, 4), "4k": (2160, 3840, 8)}
SHOWN = 256  # pixels of height, of which a large picture shows the hole and as much around it
Box = tuple[int, int, int, int]
Filler = Callable[[np.ndarray, np.ndarray], np.ndarray]


def ours(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    image = torch.from_numpy(picture).permute(2, 0, 1).contiguous()
    return fill(image, torch.from_numpy(hole)).values.permute(1, 2, 0).numpy()


def gmic(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        image, mask, out = (Path(folder) / name for name in ("image.png", "mask.png", "out.png"))
        Image.fromarray(picture).save(image)
        Image.fromarray(hole.astype(np.uint8) * 255).save(mask)
        command = ["gmic", str(image), str(mask), "-inpaint_matchpatch[0]", "[1]", "-keep[0]"]
        command += ["-o", str(out)]
        subprocess.run(command, check=True, capture_output=True)
        return np.asarray(Image.open(out).convert("RGB"))


def opencv(flag: str) -> Filler:
    cv2 = importlib.import_module("cv2")

    def run(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.inpaint(picture, hole.astype(np.uint8), 3, getattr(cv2, flag)))

    return run


def fillers() -> dict[str, Filler]:
    found: dict[str, Filler] = {"gica": ours}
    if shutil.which("gmic"):
        found["G'MIC"] = gmic
    if importlib.util.find_spec("cv2"):
        found["Telea"] = opencv("INPAINT_TELEA")
        found["Navier-Stokes"] = opencv("INPAINT_NS")
    return found


def gradient(picture: np.ndarray, hole: np.ndarray) -> float:
    grey = picture.astype(np.float64).mean(2)
    across, down = np.diff(grey, axis=1)[:-1], np.diff(grey, axis=0)[:, :-1]
    return float(np.hypot(across, down)[hole[:-1, :-1]].mean())


def cases() -> Iterator[tuple[str, np.ndarray, Box]]:
    """Name, true picture, and (left, top, right, bottom) of its hole."""
    for kind, (name, box, hole) in PICTURES.items():
        yield kind, np.array(Image.open(EXAMPLES / name).convert("RGB").crop(box)), hole
    for kind, (height, width, divisor) in LARGE.items():
        left, top = (width - width // divisor) // 2, (height - height // divisor) // 2
        box = (left, top, left + width // divisor, top + height // divisor)
        yield kind, inpainting.picture(height, width), box


def shown(picture: np.ndarray, hole: Box) -> np.ndarray:
    """The picture, or the surroundings of the hole where it is large."""
    if picture.shape[0] <= SHOWN:
        return picture
    left, top, right, bottom = hole
    across, down = (right - left) // 2, (bottom - top) // 2
    near = picture[top - down : bottom + down, left - across : right + across]
    size = (SHOWN * near.shape[1] // near.shape[0], SHOWN)
    return np.array(Image.fromarray(near).resize(size, Image.Resampling.LANCZOS))


def strip(row: list[np.ndarray]) -> Image.Image:
    gap = np.full((row[0].shape[0], 4, 3), 255, np.uint8)
    return Image.fromarray(np.concatenate([part for cell in row for part in (cell, gap)][:-1], 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder for the pictures side by side")
    parser.add_argument("--record", type=Path, help="file for the figures")
    options = parser.parse_args()
    record: dict[str, dict[str, dict[str, float]]] = {}
    methods = fillers()
    print("picture  " + "".join(f"{name + ' texture, s':>26}" for name in methods))
    for kind, truth, box in cases():
        left, top, right, bottom = box
        hole = np.zeros(truth.shape[:2], bool)
        hole[top:bottom, left:right] = True
        before = truth.copy()
        before[hole] = (255, 0, 255)
        row, record[kind] = [shown(truth, box), shown(before, box)], {}
        for method, filler in methods.items():
            start = time.perf_counter()
            filled = filler(before, hole)
            seconds = time.perf_counter() - start
            ratio = gradient(filled, hole) / gradient(truth, hole)
            record[kind][method] = {"texture": round(ratio, 3), "seconds": round(seconds, 2)}
            row.append(shown(filled, box))
        cells = (f"{r['texture']:>18.2f}, {r['seconds']:>6.2f}" for r in record[kind].values())
        print(f"{kind:9}" + "".join(cells), flush=True)
        if options.images:
            options.images.mkdir(parents=True, exist_ok=True)
            strip(row).save(options.images / f"inpaint_{kind}.png", optimize=True)
    if options.record:
        options.record.parent.mkdir(parents=True, exist_ok=True)
        options.record.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
