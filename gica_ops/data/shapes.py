"""Shapes that fall on one another in procedural pictures, as polygons."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

__all__ = ["Shape", "bars", "curve", "ground", "leaves"]

SMALLEST, LARGEST = 0.02, 0.5  # radii of leaves, in shorter sides
CORNERS = 24
CIRCLE = np.exp(2j * np.pi * np.arange(CORNERS) / CORNERS)
SQUARE = np.repeat([1 + 1j, -1 + 1j, -1 - 1j, 1 - 1j], CORNERS // 4)


class Shape(NamedTuple):
    """Centre and radius in pixels, and polygons, each x0, y0, x1, y1, ..."""

    x: float
    y: float
    radius: float
    polygons: list[list[float]]


def leaves(size: tuple[int, int], rng: np.random.Generator, count: int) -> list[Shape]:
    """`count` discs, ellipses, blobs, polygons and rectangles anywhere in a picture of `size`.

    The density of their radii falls as r^-3, which makes what one sees independent of scale.

    >>> found = leaves((64, 64), np.random.default_rng(0), 100)
    >>> len(found), min(leaf.radius for leaf in found) >= 0.02 * 64
    (100, True)
    """
    share = rng.random(count)
    radius = min(size) / np.sqrt((1 - share) / SMALLEST**2 + share / LARGEST**2)
    centre = rng.random(count) * size[1] + 1j * rng.random(count) * size[0]
    # What people build stands upright.
    upright = rng.random(count) < 0.4
    angle = np.where(upright, rng.normal(0, 0.04, count), rng.uniform(0, 2 * np.pi, count))
    outline = (radius * np.exp(1j * angle))[:, None] * _outlines(rng, count) + centre[:, None]
    points = np.ascontiguousarray(outline).view(np.float64).tolist()
    return [
        Shape(c.real, c.imag, r, [polygon])
        for c, r, polygon in zip(centre.tolist(), radius.tolist(), points, strict=True)
    ]


def _outlines(rng: np.random.Generator, count: int) -> np.ndarray:
    """Outlines of about unit radius, (count, CORNERS) complex."""
    kind = rng.integers(5, size=count)[:, None]
    phases = rng.uniform(0, 2 * np.pi, (count, 2, 1))
    turn = np.angle(CIRCLE)
    bend = 0.25 * np.sin(2 * turn + phases[:, 0]) + 0.15 * np.sin(3 * turn + phases[:, 1])
    flat = rng.uniform(0.25, 0.8, (count, 1))
    sides = rng.uniform(0.4, 1.3, (count, 2, 1))
    turns = np.sort(rng.uniform(0, 2 * np.pi, (count, 6)), 1).repeat(CORNERS // 6, 1)
    return np.select(
        [kind == 0, kind == 1, kind == 2, kind == 3],
        [
            np.broadcast_to(CIRCLE, (count, CORNERS)),
            CIRCLE.real + 1j * flat * CIRCLE.imag,
            CIRCLE * (1 + bend),
            np.exp(1j * turns),
        ],
        SQUARE.real * sides[:, 0] + 1j * SQUARE.imag * sides[:, 1],
    )


def bars(size: tuple[int, int], rng: np.random.Generator) -> Shape:
    """Parallel or converging bars across the whole picture: frames, rails, roads, wires.

    >>> 1 <= len(bars((64, 64), np.random.default_rng(0)).polygons) <= 4
    True
    """
    width = min(size) * math.exp(rng.uniform(math.log(0.008), math.log(0.12)))
    gap = width * rng.uniform(1.5, 5)
    narrowing = rng.uniform(0.2, 1.8) if rng.random() < 0.5 else 1.0
    edge = np.arange(rng.integers(1, 5))[:, None] * gap + np.array([[0, 0, width, width]])
    across = edge * np.array([1, narrowing, narrowing, 1])
    reach = float(sum(size))
    return _laid(np.array([-reach, reach, reach, -reach]) + 1j * across, width, size, rng)


def curve(size: tuple[int, int], rng: np.random.Generator) -> Shape:
    """A ribbon across the whole picture: a branch, a cable, a path.

    >>> len(curve((64, 64), np.random.default_rng(0)).polygons)
    1
    """
    along = np.linspace(-1, 1, 40)
    wave = along * np.pi * rng.uniform(0.5, 2) + rng.uniform(0, 2 * np.pi)
    across = np.sin(wave) * min(size) / rng.uniform(4, 12)
    width = min(size) * math.exp(rng.uniform(math.log(0.01), math.log(0.12)))
    edge = along * max(size) * 1.5 + 1j * across
    return _laid(np.concatenate([edge, edge[::-1] + 1j * width])[None], width, size, rng)


def ground(size: tuple[int, int], rng: np.random.Generator) -> Shape:
    """What lies below a horizon.

    >>> ground((64, 64), np.random.default_rng(0)).radius
    32.0
    """
    height, width = size
    left, right = (height * (rng.uniform(0.3, 0.8) + rng.normal(0, 0.04, 2))).tolist()
    polygon = [0.0, left, width, right, width, height, 0.0, height]
    return Shape(width / 2, height, height / 2, [polygon])


def _laid(
    polygons: np.ndarray, radius: float, size: tuple[int, int], rng: np.random.Generator
) -> Shape:
    """Polygons that lie along the x axis, moved and turned at random, mostly near upright."""
    upright = rng.random() < 0.5
    angle = rng.integers(2) * np.pi / 2 + rng.normal(0, 0.05) if upright else rng.uniform(0, np.pi)
    x, y = rng.random(2) * (size[1], size[0])
    moved = polygons * np.exp(1j * angle) + complex(x, y)
    return Shape(x, y, radius, np.ascontiguousarray(moved).view(np.float64).tolist())
