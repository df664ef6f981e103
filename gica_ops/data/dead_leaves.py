"""Procedural pictures for training without a data set.

The dead-leaves model: shapes whose radii follow a power law fall on one another and hide what lies
below. Its pictures share edges, occlusion, the spectrum and the independence of scale with
photographs. Source: "Occlusion Models for Natural Images" (Lee, Mumford, Huang, 2001); learning
from such pictures: "Learning to See by Looking at Noise" (Baradad et al., 2021). Textures, shading,
shadows, defocus and long structures are added, as these are what a hole is filled with.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .shapes import Shape, bars, curve, ground, leaves
from .textures import textures

__all__ = ["draw"]

LEAVES = 160


def draw(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A picture of `size`, height and width in pixels: (height, width, 3) uint8, RGB.

    The same state of `rng` gives the same picture. Raises ValueError for a side below 8.

    >>> picture = draw((64, 96), np.random.default_rng(0))
    >>> picture.shape, str(picture.dtype)
    ((64, 96, 3), 'uint8')
    """
    if min(size) < 8:
        raise ValueError(f"size must be at least 8 x 8, got {size[0]} x {size[1]}")
    paint = _Paint(size, rng)
    # Behind lies a plane, often ground, then leaves, often out of focus, then leaves in focus.
    behind = [ground(size, rng)] if rng.random() < 0.5 else []
    behind += leaves(size, rng, int(LEAVES * rng.uniform(0.1, 1.0)))
    picture, _ = paint.layer(behind)
    if rng.random() < 0.4:
        picture = _blurred(picture, rng.uniform(0.005, 0.02) * min(size))
    front = leaves(size, rng, int(LEAVES * rng.uniform(0.02, 0.5)))
    for _ in range(rng.integers(0, 4)):
        front.append(bars(size, rng) if rng.random() < 0.6 else curve(size, rng))
    _cover(picture, *paint.layer(front), rng)
    return np.array(_exposed(picture, rng))


class _Paint:
    """What the layers of a picture are painted with: a palette and a stock of textures."""

    def __init__(self, size: tuple[int, int], rng: np.random.Generator) -> None:
        self.size, self.rng = size, rng
        self.palette = _palette(rng)
        self.stock = textures(size, rng)

    def layer(self, shapes: list[Shape]) -> tuple[Image.Image, Image.Image]:
        """Paints shapes, the later above the earlier, upon one more shape that is everywhere.

        Returns the picture, RGB, and where there are shapes, L, 255 inside them.
        """
        height, width = self.size
        canvas = Image.new("I", (width, height))
        pen = ImageDraw.Draw(canvas)
        for number, shape in enumerate(shapes, 1):
            for polygon in shape.polygons:
                pen.polygon(polygon, fill=number)
        numbers = np.array(canvas, np.intp)
        colour, amplitude, which = self._looks(len(shapes) + 1)
        pixels = np.arange(numbers.size).reshape(numbers.shape)
        texture = self.stock.take(which.take(numbers) * numbers.size + pixels)
        shading = self._shading(shapes, numbers)
        planes = []
        for own, change in zip(colour.T, amplitude.T, strict=True):
            plane = change.take(numbers)
            plane *= texture
            plane += own.take(numbers)
            plane += shading
            planes.append(Image.fromarray(plane.clip(0, 255).astype(np.uint8)))
        where = (numbers > 0).astype(np.uint8) * np.uint8(255)
        return Image.merge("RGB", planes), Image.fromarray(where)

    def _looks(self, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For every shape its colour, how its texture lightens and tints it, and which texture."""
        rng = self.rng
        colour = self.palette[rng.integers(len(self.palette), size=count)]
        colour = colour + rng.normal(0, 0.04, (count, 3))
        amplitude = rng.gamma(1.0, 0.07, (count, 1)) * (1 + rng.normal(0, 0.3, (count, 3)))
        amplitude[rng.random(count) < 0.3] *= 0.1
        which = rng.integers(len(self.stock), size=count)
        return (255 * colour).astype(np.float32), (255 * amplitude).astype(np.float32), which

    def _shading(self, shapes: list[Shape], numbers: np.ndarray) -> np.ndarray:
        """A slope of brightness across every shape, zero at its centre."""
        height, width = self.size
        everywhere = Shape(width / 2, height / 2, max(self.size), [])
        x, y, radius = np.array([s[:3] for s in (everywhere, *shapes)], np.float32).T
        slope = self.rng.normal(0, 20, (2, len(radius))).astype(np.float32)
        slope /= np.maximum(radius, min(self.size) / 8)
        shading = slope[0].take(numbers)
        shading *= np.arange(width, dtype=np.float32)
        down = slope[1].take(numbers)
        down *= np.arange(height, dtype=np.float32)[:, None]
        shading += down
        shading -= (slope[0] * x + slope[1] * y).take(numbers)
        return shading


def _palette(rng: np.random.Generator) -> np.ndarray:
    """Colours that go together, (N, 3) in [0, 1]: most differ in brightness, few in hue."""
    count = int(rng.integers(4, 9))
    hues = rng.normal(rng.uniform(0, 2 * np.pi), 0.4, count)
    hues[rng.random(count) < 0.25] += np.pi
    chroma = np.abs(rng.normal(0, rng.uniform(0.05, 0.3), count))
    grey = rng.beta(1.2, 1.2, count)
    # After brightness, photographs vary most between blue and yellow.
    warm, green = chroma * np.cos(hues), 0.6 * chroma * np.sin(hues)
    colours = np.stack([grey + warm + green, grey + 0.2 * warm - green, grey - warm], 1)
    return colours.clip(0.02, 0.98)


def _blurred(picture: Image.Image, radius: float) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(radius))


def _cover(
    behind: Image.Image, front: Image.Image, where: Image.Image, rng: np.random.Generator
) -> None:
    """Lays the front layer upon the other one, most often with its shadow."""
    side = min(where.size)
    if rng.random() < 0.6:
        depth = rng.uniform(0.2, 0.6)
        right, down = (round(offset) for offset in rng.normal(0, 0.02 * side, 2))
        shadow = Image.new("L", where.size)
        shadow.paste(round(depth * 255), (right, down), where)
        shadow = shadow.filter(ImageFilter.BoxBlur(rng.uniform(0.005, 0.03) * side))
        behind.paste((0, 0, 0), mask=shadow)
    if rng.random() < 0.2:
        where = _blurred(where, rng.uniform(0.5, 2.5))
    behind.paste(front, mask=where)


def _exposed(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Light that changes across the picture, a lens not quite sharp, a camera's contrast."""
    corners = rng.normal(1, 0.15, (2, 2)).clip(0.5, 1).astype(np.float32)
    light = Image.fromarray(corners * 255).resize(picture.size, Image.Resampling.BILINEAR)
    picture = ImageChops.multiply(picture, Image.merge("RGB", [light.convert("L")] * 3))
    middle = rng.uniform(8, 30)
    picture = picture.filter(ImageFilter.Kernel((3, 3), [1, 2, 1, 2, middle, 2, 1, 2, 1]))
    tones = 255 * np.linspace(0, 1, 256) ** np.exp(rng.normal(0, 0.2))
    return picture.point(tones.round().astype(int).tolist() * 3)
