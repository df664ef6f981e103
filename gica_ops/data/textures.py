"""Procedural textures: fields of about zero mean and unit spread, (height, width) float32."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

__all__ = ["noise_pair", "textures"]

Field = np.ndarray


def textures(size: tuple[int, int], rng: np.random.Generator, count: int = 4) -> np.ndarray:
    """A picture's stock of textures, (count + 2, height, width) float32.

    Two are noises; the others are drawn from gratings, grain, bricks, checks, dots and rings, at
    random angles and scales.

    >>> textures((32, 48), np.random.default_rng(0)).shape
    (6, 32, 48)
    """
    smooth, rough = noise_pair(size, rng, rng.uniform(0.9, 2.0))
    made = [smooth, rough]
    for kind in rng.choice(len(KINDS), count):
        u, v = _axes(size, rng)
        made.append(KINDS[kind](u, v, smooth, rng))
    return np.stack(made).astype(np.float32, copy=False)


def noise_pair(
    size: tuple[int, int], rng: np.random.Generator, slope: float
) -> tuple[np.ndarray, np.ndarray]:
    """Two independent noises whose amplitude falls with frequency as f^-slope.

    They are the two parts of one complex noise, at the price of one transform.

    >>> a, b = noise_pair((64, 64), np.random.default_rng(0), 1.5)
    >>> bool(0.5 < a.std() < 1.5), bool(abs((a * b).mean()) < 0.5)
    (True, True)
    """
    spectrum = rng.standard_normal((*size, 2), np.float32).view(np.complex64)[..., 0]
    spectrum *= np.exp(_log_frequency(size) * np.float32(-slope))
    spectrum[0, 0] = 0
    noise = np.fft.ifft2(spectrum)
    # Its mean is zero, and either part has half of its power.
    noise *= np.float32(np.sqrt(2 * noise.size / max(float(np.vdot(noise, noise).real), 1e-12)))
    return noise.real, noise.imag


@lru_cache(8)
def _log_frequency(size: tuple[int, int]) -> np.ndarray:
    frequency = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1]))
    frequency[0, 0] = 1
    return np.log(frequency).astype(np.float32)


def _axes(size: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rotated coordinates in periods: mostly upright, as what people build is."""
    upright = rng.random() < 0.5
    angle = rng.choice((0.0, np.pi / 2)) + rng.normal(0, 0.05) if upright else rng.uniform(0, np.pi)
    # Periods from 4 pixels to a quarter of the picture, small ones as likely as large ones.
    period = np.exp(rng.uniform(np.log(4), np.log(max(6, min(size) / 4))))
    y = np.arange(size[0], dtype=np.float32)[:, None] / np.float32(period)
    x = np.arange(size[1], dtype=np.float32)[None] / np.float32(period)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return x * cos + y * sin + np.float32(rng.random()), y * cos - x * sin + np.float32(
        rng.random()
    )


def _wave(u: Field) -> Field:
    return np.sin(np.float32(2 * np.pi) * u)


def _part(u: Field) -> Field:
    """What is behind the point; the remainder operator is slow."""
    return u - np.floor(u)


def _grating(u: Field, v: Field, noise: Field, rng: np.random.Generator) -> Field:
    sharpness = np.float32(rng.uniform(0.3, 4))
    return np.tanh(sharpness * _wave(u)) * np.float32(1.2)


def _grain(u: Field, v: Field, noise: Field, rng: np.random.Generator) -> Field:
    """A grating bent by noise: wood, water, fabric."""
    return _wave(u + noise * np.float32(rng.uniform(0.2, 1.0))) * np.float32(1.3)


def _bricks(u: Field, v: Field, noise: Field, rng: np.random.Generator) -> Field:
    row = np.floor(v)
    along = (u + row) / 2
    joint = np.float32(rng.uniform(0.06, 0.2))
    inside = (v - row > joint) & (_part(along) > joint / 2)
    # Every brick has a tone of its own, which depends on where it lies.
    tone = _wave(row * np.float32(0.377) + np.floor(along) * np.float32(0.713))
    return np.where(inside, tone * np.float32(0.5) + np.float32(0.4), np.float32(-1.8))


def _checks(u: Field, v: Field, noise: Field, rng: np.random.Generator) -> Field:
    return np.where(_part((np.floor(u) + np.floor(v)) / 2) > 0, np.float32(1), np.float32(-1))


def _dots(u: Field, v: Field, noise: Field, rng: np.random.Generator) -> Field:
    radius = np.float32(rng.uniform(0.2, 0.45))
    near = (_part(u) - np.float32(0.5)) ** 2 + (_part(v) - np.float32(0.5)) ** 2
    return np.tanh((radius * radius - near) * np.float32(16)) + np.float32(0.3)


def _rings(u: Field, v: Field, noise: Field, rng: np.random.Generator) -> Field:
    centre_u, centre_v = (np.float32(rng.uniform(c.min(), c.max())) for c in (u, v))
    return _wave(np.hypot(u - centre_u, v - centre_v)) * np.float32(1.3)


def _cells(u: Field, v: Field, noise: Field, rng: np.random.Generator) -> Field:
    """Steps of noise: pebbles, leaves, clouds."""
    return np.tanh(_wave(noise * np.float32(rng.uniform(0.3, 1.2))) * np.float32(3))


KINDS = (_grating, _grain, _bricks, _checks, _dots, _rings, _cells)
