"""Damaged files by the thousand, through what `gica inpaint` does: filled or named, no more."""

from __future__ import annotations

import io
import os
import resource
import signal
import struct
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gica_ops.formats import picture_suffixes
from gica_ops.inpainting.jobs import plan
from gica_ops.inpainting.pipeline import Options, run

from .mixed import PROFILE, box, colours, with_alpha

MAX_PIXELS = 2000  # of pictures of 16 x 12
SECONDS = 5.0  # for one file
MEMORY = 1 << 30  # beyond what the process has
GROUP = 50
OPTIONS = Options(method="exemplar", max_pixels=MAX_PIXELS)


def whole_files() -> list[tuple[str, bytes]]:
    """Small pictures of many formats, suffix and bytes."""
    rgb = colours(np.random.default_rng(0), 12, 16)
    grey, palette = rgb.convert("L"), rgb.quantize(20)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
    clear = rgb.quantize(20)
    clear.info["transparency"] = 3
    files = []
    for image, suffix, options in (
        (rgb, "png", {"icc_profile": PROFILE, "exif": exif, "dpi": (72, 72)}),
        (palette, "png", {}), (clear, "png", {}), (deep, "png", {}), (grey.convert("1"), "png", {}),
        (with_alpha(rgb, "RGBA"), "png", {}), (with_alpha(grey, "LA"), "png", {}),
        (rgb, "jpg", {"exif": exif, "icc_profile": PROFILE[:300]}),
        (rgb, "jpg", {"progressive": True}), (grey, "jpg", {}), (rgb.convert("CMYK"), "jpg", {}),
        (rgb, "webp", {"lossless": True}), (with_alpha(rgb, "RGBA"), "webp", {"exif": exif}),
        (rgb, "tif", {"exif": exif.tobytes()}), (rgb, "tif", {"compression": "tiff_lzw"}),
        (deep, "tif", {"compression": "tiff_adobe_deflate"}), (rgb, "tif", {"compression": "jpeg"}),
        (grey.convert("1"), "tif", {"compression": "group4"}), (palette, "tif", {}),
        (grey.convert("F"), "tif", {}), (palette, "gif", {}), (clear, "gif", {}),
        (palette, "gif", {"save_all": True, "append_images": [clear]}),
        (rgb, "bmp", {}), (palette, "bmp", {}), (grey, "bmp", {}),
    ):  # fmt: skip
        buffer = io.BytesIO()
        form = {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())
        image.save(buffer, form, **options)
        files.append((suffix, buffer.getvalue()))
    return files


def damaged(rng: np.random.Generator, files: list[tuple[str, bytes]]) -> tuple[str, bytes]:
    """One of the files, changed in one place or a few, with a suffix that is mostly its own."""
    suffix, data = files[rng.integers(len(files))]
    work = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        if not work:
            break
        at = int(rng.integers(len(work)))
        match rng.integers(7):
            case 0:
                work[at] ^= 1 << int(rng.integers(8))
            case 1:
                work = work[:at]
            case 2:  # into another file
                other = files[rng.integers(len(files))][1]
                work = work[:at] + other[int(rng.integers(len(other))) :]
            case 3:  # in the header
                for place in rng.integers(0, min(64, len(work)), 3):
                    work[place] = int(rng.integers(256))
            case 4:  # a length, a count or an offset
                value = int(rng.choice([0, 1, 255, 65535, 2**31 - 1, 2**31, 2**32 - 1, len(work)]))
                layout = str(rng.choice(["<I", ">I", "<H", ">H"]))
                value &= 0xFFFF if layout.endswith("H") else 0xFFFFFFFF
                work[at : at + struct.calcsize(layout)] = struct.pack(layout, value)
            case 5:  # a piece twice
                end = at + int(rng.integers(1, 64))
                work = work[:end] + work[at:end] + work[end:]
            case _:  # random bytes in a row
                size = int(rng.integers(1, 16))
                work[at : at + size] = rng.bytes(size)
    if suffix == "png" and rng.random() < 0.8:
        work = bytearray(checked(bytes(work)))
    if rng.random() < 0.1:
        suffix = files[rng.integers(len(files))][0]
    return suffix, bytes(work)


def checked(data: bytes) -> bytes:
    """A PNG with its check sums put right, so that readers look further."""
    out, at = data[:8], 8
    while at + 12 <= len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        body = data[at + 4 : at + 8 + size]
        out += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + size
    return out + data[at:]


@contextmanager
def limits(seconds: float) -> Iterator[None]:
    """Less memory, and an alarm."""

    def late(*_):
        raise TimeoutError(f"{GROUP} files took longer than {seconds} s")

    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGALRM, late)
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, before[1]))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


def tree(root: Path) -> dict[str, bytes | None]:
    return {str(p): p.read_bytes() if p.is_file() else None for p in root.rglob("*")}


def fuzz(folder: Path, count: int, seed: int) -> Counter:
    """So many damaged files, a folder of some at a time; what became of them."""
    files = whole_files()
    mask = io.BytesIO()
    Image.fromarray(box(Image.new("L", (16, 12)))).save(mask, "PNG")
    found: Counter = Counter()
    for group in range(-(-count // GROUP)):
        rng = np.random.default_rng([seed, group])
        root = folder / str(group)
        for name in ("in", "masks"):
            (root / name).mkdir(parents=True)
        for i in range(min(GROUP, count - group * GROUP)):
            picture, hole = damaged(rng, files), ("png", mask.getvalue())
            if rng.random() < 0.2:  # the mask is what is damaged
                picture, hole = files[rng.integers(len(files))], damaged(rng, files)
            (root / "in" / f"{i:02}.{picture[0]}").write_bytes(picture[1])
            (root / "masks" / f"{i:02}.{hole[0]}").write_bytes(hole[1])
        found += through(root, folder)
        for path in sorted(root.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    return found


def through(root: Path, folder: Path) -> Counter:
    """What becomes of the files of a group, and that nothing else does."""
    before = tree(folder)
    jobs = plan(str(root / "in"), str(root / "masks"), str(root / "out"))
    outcomes, times = [], [time.monotonic()]

    def tell(outcome):
        outcomes.append(outcome)
        times.append(time.monotonic())

    with limits(SECONDS * 10):
        run(jobs, OPTIONS, tell)
    assert len(outcomes) == len(jobs) == len(list((root / "in").iterdir()))
    slowest, job = max(zip(np.diff(times), jobs, strict=True))
    assert slowest < SECONDS, job
    written = set()
    for outcome in outcomes:
        if outcome.status == "failed":
            assert outcome.error and "\n" not in outcome.error, outcome
            # Anything else would be a mistake of ours.
            assert not outcome.error.split(":")[0].endswith("Error"), outcome
        else:
            written.add(str(outcome.job.output))
            with Image.open(outcome.job.output) as image:
                image.load()
            assert image.width * image.height <= MAX_PIXELS
    after = tree(folder)
    assert set(after) - set(before) - {str(root / "out")} == written
    assert all(after[path] == before[path] for path in before)
    return Counter(outcome.status for outcome in outcomes)


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_damaged_files(tmp_path, count):
    count = int(os.environ.get("GICA_FUZZ", count))
    found = fuzz(tmp_path, count, seed=count)
    print(dict(found))
    assert sum(found.values()) == count
    assert found["failed"] > count / 4 and found["filled"] > count / 10


def test_the_whole_files_are_filled(tmp_path):
    """So that what fails in the other test fails of its damage."""
    for name in ("in", "masks"):
        (tmp_path / name).mkdir()
    for i, (suffix, data) in enumerate(whole_files()):
        assert f".{suffix}" in picture_suffixes()
        (tmp_path / "in" / f"{i:02}.{suffix}").write_bytes(data)
        with Image.open(tmp_path / "in" / f"{i:02}.{suffix}") as image:
            turned = image.getexif().get(0x0112, 1) == 6
        size = (12, 16) if turned and suffix != "tif" else image.size
        Image.fromarray(box(Image.new("L", size))).save(tmp_path / "masks" / f"{i:02}.png")
    assert through(tmp_path, tmp_path) == {"filled": len(whole_files())}
