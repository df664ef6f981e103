"""Fills a hole in six kinds of pictures with `gica inpaint`'s filler and with others, side by side.

    python -m benchmarks.inpaint_quality --images docs/images --record benchmarks/results/NAME.json

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
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

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


def telea(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    cv2 = importlib.import_module("cv2")
    return np.asarray(cv2.inpaint(picture, hole.astype(np.uint8), 3, cv2.INPAINT_TELEA))


def fillers() -> dict[str, Filler]:
    found: dict[str, Filler] = {"gica": ours}
    if shutil.which("gmic"):
        found["G'MIC"] = gmic
    if importlib.util.find_spec("cv2"):
        found["OpenCV"] = telea
    return found


def gradient(picture: np.ndarray, hole: np.ndarray) -> float:
    grey = picture.astype(np.float64).mean(2)
    across, down = np.diff(grey, axis=1)[:-1], np.diff(grey, axis=0)[:, :-1]
    return float(np.hypot(across, down)[hole[:-1, :-1]].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder for the pictures side by side")
    parser.add_argument("--record", type=Path, help="file for the figures")
    options = parser.parse_args()
    record: dict[str, dict[str, dict[str, float]]] = {}
    methods = fillers()
    print("picture  " + "".join(f"{name + ' texture, s':>20}" for name in methods))
    for kind, (name, box, hole_box) in PICTURES.items():
        truth = np.array(Image.open(EXAMPLES / name).convert("RGB").crop(box))
        hole = np.zeros(truth.shape[:2], bool)
        left, top, right, bottom = hole_box
        hole[top:bottom, left:right] = True
        before = truth.copy()
        before[hole] = (255, 0, 255)
        row, record[kind] = [truth, before], {}
        for method, filler in methods.items():
            start = time.perf_counter()
            filled = filler(before, hole)
            seconds = time.perf_counter() - start
            ratio = gradient(filled, hole) / gradient(truth, hole)
            record[kind][method] = {"texture": round(ratio, 3), "seconds": round(seconds, 2)}
            row.append(filled)
        cells = (f"{r['texture']:>12.2f}, {r['seconds']:>6.2f}" for r in record[kind].values())
        print(f"{kind:9}" + "".join(cells))
        if options.images:
            options.images.mkdir(parents=True, exist_ok=True)
            gap = np.full((truth.shape[0], 4, 3), 255, np.uint8)
            strip = np.concatenate([part for cell in row for part in (cell, gap)][:-1], 1)
            Image.fromarray(strip).save(options.images / f"inpaint_{kind}.png", optimize=True)
    if options.record:
        options.record.parent.mkdir(parents=True, exist_ok=True)
        options.record.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
