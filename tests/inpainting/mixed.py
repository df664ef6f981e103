"""A folder of pictures of every kind, some of them broken, and what is to become of each."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps, TiffImagePlugin

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MAKE = 0x010F
# From an upright picture to one whose EXIF orientation is the key.
LAID = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@dataclass
class Case:
    """A file, and what is to become of it.

    error: words of the sentence why it fails; None where it is filled.
    form: of the output. upright: what a reader should see, and the mode of it.
    """

    name: str
    error: str | None = None
    form: str = ""
    upright: Image.Image | None = None
    hole: np.ndarray | None = None
    profile: bytes | None = None
    make: str | None = None


@dataclass
class Folder:
    """Writes cases into root/in and root/masks."""

    root: Path
    cases: list[Case] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("in", "masks"):
            (self.root / name).mkdir(parents=True)

    def picture(self, name: str) -> Path:
        return self.root / "in" / name

    def mask(self, name: str, hole: np.ndarray) -> Path:
        path = self.root / "masks" / f"{Path(name).stem}.png"
        Image.fromarray(hole.astype(np.uint8) * 255).save(path)
        return path

    def good(
        self,
        name: str,
        image: Image.Image,
        form: str,
        *,
        hole: np.ndarray | None = None,
        orientation: int = 1,
        **options: Any,
    ) -> Path:
        """A picture to be filled: given upright, written as it lies in the file."""
        path = self.picture(name)
        hole = box(image) if hole is None else hole
        self.mask(name, hole)
        exif = Image.Exif()
        if orientation != 1:
            exif[0x0112] = orientation
            exif[MAKE] = "maker"
            options["exif"] = exif
        laid = image if LAID[orientation] is None else image.transpose(LAID[orientation])
        laid.save(path, form, **options)
        case = Case(name, None, form, seen(path), hole)
        if form in ("PNG", "TIFF", "WEBP", "BMP"):
            assert np.array_equal(numbers(case.upright), numbers(image)), name
        case.profile = options.get("icc_profile")
        case.make = "maker" if orientation != 1 else None
        self.cases.append(case)
        return path

    def bad(self, name: str, error: str, data: bytes | None = None) -> Path:
        """A file that fails. data: what is in it; it gets a mask of the usual size."""
        path = self.picture(name)
        if data is not None:
            path.write_bytes(data)
        hole = np.zeros((24, 32), bool)
        hole[8:14, 10:18] = True
        self.mask(name, hole)
        self.cases.append(Case(name, error))
        return path


def seen(path: Path) -> Image.Image:
    """The upright picture, as Pillow reads it."""
    with warnings.catch_warnings(), Image.open(path) as stored:
        warnings.simplefilter("ignore")
        stored.load()
        try:
            return ImageOps.exif_transpose(stored)
        except SyntaxError:  # broken EXIF
            return stored.copy()


def numbers(image: Image.Image) -> np.ndarray:
    """What a picture shows, whatever its palette: two pictures look alike where these do."""
    if image.mode == "P":
        image = image.convert("RGBA")
    return np.asarray(image)


def colours(rng: np.random.Generator, height: int = 24, width: int = 32) -> Image.Image:
    """A smooth picture with some texture, RGB."""
    rows, columns = np.mgrid[:height, :width]
    waves = [120 + 60 * np.sin((rows * a + columns * b) / 5) for a, b in rng.uniform(0, 1, (3, 2))]
    pixels = np.stack(waves, 2) + rng.normal(0, 3, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def box(image: Image.Image) -> np.ndarray:
    """A hole in the middle, a quarter of either side, at least a pixel."""
    width, height = image.size
    hole = np.zeros((height, width), bool)
    high, wide = max(1, height // 4), max(1, width // 4)
    top, left = (height - high) // 2, (width - wide) // 2
    hole[top : top + high, left : left + wide] = True
    return hole


def with_alpha(image: Image.Image, mode: str) -> Image.Image:
    alpha = np.arange(image.width * image.height).reshape(image.height, -1) % 251
    image = image.convert(mode)
    image.putalpha(Image.fromarray(alpha.astype(np.uint8)))
    return image


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, kind: int, data: bytes, *more: bytes) -> bytes:
    """A PNG file by hand: kind is 0 grey, 2 RGB, 4 grey and alpha, 6 RGBA."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + body + chunk(b"IEND", b"")


def deep_png(kind: int, channels: int, width: int = 32, height: int = 24) -> bytes:
    """16 bits per colour, which Pillow reads as 8."""
    return png(width, height, 16, kind, (b"\0" + bytes(width * channels * 2)) * height)


def deep_tiff(width: int = 32, height: int = 24) -> bytes:
    """RGB of 16 bits, uncompressed."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    size = width * height * 6
    for tag, value in {
        256: width, 257: height, 258: (16, 16, 16), 259: 1, 262: 2, 273: 0, 277: 3, 278: height,
        279: size, 284: 1,
    }.items():  # fmt: skip
        tags[tag] = value
    # Offsets of pixels count from the end of the tags until they are written.
    return b"II*\0" + struct.pack("<I", 8) + tags.tobytes(8) + bytes(size)


def mixed(root: Path, rounds: int) -> Folder:
    """45 kinds of good pictures, `rounds` of each, and 20 broken ones."""
    folder = Folder(root)
    for turn in range(rounds):
        rng = np.random.default_rng(turn)
        many: list[Callable[..., None]] = [_modes, _files, _turned, _odd]
        for add in many:
            add(folder, f"{turn}-", rng)
    _broken(folder)
    return folder


def _modes(folder: Folder, name: str, rng: np.random.Generator) -> None:
    rgb = colours(rng, 20 + int(rng.integers(8)), 28 + int(rng.integers(8)))
    grey = rgb.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    clear = rgb.quantize(60)
    clear.info["transparency"] = 3
    levels = rgb.quantize(16)
    levels.info["transparency"] = bytes(range(0, 160, 10))
    lab = Image.frombytes("LAB", rgb.size, rgb.tobytes())
    for what, image, form in (
        ("l.png", grey, "PNG"), ("la.png", with_alpha(grey, "LA"), "PNG"), ("rgb.png", rgb, "PNG"),
        ("rgba.png", with_alpha(rgb, "RGBA"), "PNG"), ("p.png", rgb.quantize(60), "PNG"),
        ("clear.png", clear, "PNG"), ("levels.png", levels, "PNG"),
        ("one.png", grey.convert("1"), "PNG"), ("deep.png", deep, "PNG"), ("l.jpg", grey, "JPEG"),
        ("rgb.jpg", rgb, "JPEG"), ("cmyk.jpg", rgb.convert("CMYK"), "JPEG"),
        ("l.tif", grey, "TIFF"), ("rgb.tiff", rgb, "TIFF"),
        ("cmyk.tif", rgb.convert("CMYK"), "TIFF"),
        ("rgba.tif", with_alpha(rgb, "RGBA"), "TIFF"), ("i.tif", deep.convert("I"), "TIFF"),
        ("f.tif", grey.convert("F"), "TIFF"), ("lab.tif", lab, "TIFF"),
        ("rgb.bmp", rgb, "BMP"), ("l.bmp", grey, "BMP"), ("p.gif", rgb.quantize(60), "GIF"),
        ("clear.gif", clear, "GIF"),
    ):  # fmt: skip
        folder.good(f"{name}{what.replace('.', '_')}.{what.split('.')[1]}", image, form)


def _files(folder: Folder, name: str, rng: np.random.Generator) -> None:
    rgb = colours(rng)
    lossless = {"lossless": True, "exact": True}
    folder.good(f"{name}webp.webp", rgb, "WEBP", **lossless)
    folder.good(f"{name}clear.webp", with_alpha(rgb, "RGBA"), "WEBP", **lossless)
    folder.good(f"{name}profile.jpg", rgb, "JPEG", icc_profile=PROFILE, dpi=(300, 300))
    folder.good(f"{name}profile.png", rgb, "PNG", icc_profile=PROFILE, dpi=(300, 300))
    folder.good(f"{name}png_in.jpg", rgb, "PNG")
    folder.good(f"{name}jpeg_in.png", rgb, "JPEG")
    folder.good(f"{name}fax.tif", rgb.convert("1"), "TIFF", compression="group4")
    folder.good(f"{name}several.gif", rgb.quantize(60), "GIF", save_all=True,
                append_images=[colours(rng).quantize(60)])  # fmt: skip
    broken = folder.good(f"{name}exif.jpg", rgb, "JPEG", exif=b"Exif\0\0no such thing as a tag")
    assert b"Exif" in broken.read_bytes()
    no_profile = b"x\0\0" + b"no zlib"
    rows = b"".join(b"\0" + row.tobytes() for row in np.asarray(rgb))
    path = folder.good(f"{name}icc.png", rgb, "PNG")
    path.write_bytes(png(32, 24, 8, 2, rows, chunk(b"iCCP", no_profile)))


def _turned(folder: Folder, name: str, rng: np.random.Generator) -> None:
    kinds = {1: "JPEG", 2: "JPEG", 3: "PNG", 4: "WEBP", 5: "JPEG", 6: "JPEG", 7: "TIFF", 8: "PNG"}
    for orientation, form in kinds.items():
        options = {"lossless": True, "exact": True} if form == "WEBP" else {}
        suffix = form.lower().replace("jpeg", "jpg")
        folder.good(
            f"{name}turned{orientation}.{suffix}", colours(rng), form, orientation=orientation,
            **options,
        )  # fmt: skip


def _odd(folder: Folder, name: str, rng: np.random.Generator) -> None:
    for height, width in ((2, 3), (1, 40), (120, 4)):
        folder.good(f"{name}{height}x{width}.png", colours(rng, height, width), "PNG")
    dot = colours(rng, 1, 1)
    folder.good(f"{name}dot.png", dot, "PNG", hole=np.zeros((1, 1), bool))


def _broken(folder: Folder) -> None:
    rng = np.random.default_rng(99)
    rgb = colours(rng)
    for suffix, form in {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "tif": "TIFF"}.items():
        path = folder.bad(f"cut_{suffix}.{suffix}", "cannot be read")
        rgb.save(path, form)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    folder.bad("empty.png", "no picture", b"")
    folder.bad("text.png", "no picture", b"no picture at all\n" * 9)
    folder.bad("deep_rgb.png", "16 bits per colour", deep_png(2, 3))
    folder.bad("deep_rgba.png", "16 bits per colour", deep_png(6, 4))
    folder.bad("deep_la.png", "16 bits per colour", deep_png(4, 2))
    folder.bad("deep.tif", "16 bits per colour", deep_tiff())
    folder.bad("deep.ppm", "16 bits per colour", b"P6 32 24 65535\n" + bytes(32 * 24 * 6))
    folder.bad("bomb.png", "above the limit", png(60000, 60000, 8, 0, b"\0"))
    path = folder.bad("bomb.gif", "above the limit")
    rgb.quantize(60).save(path)
    path.write_bytes(b"GIF89a" + struct.pack("<HH", 65535, 65535) + path.read_bytes()[10:])
    folder.bad("folder.png", "is a folder").mkdir()
    folder.bad("link.png", "is no file").symlink_to("nowhere")
    os.mkfifo(folder.bad("pipe.png", "is no file"))
    for name, error in {
        "no_mask.png": "holds no mask",
        "small_mask.png": "mask must have the size",
        "all_hole.png": "covers all",
        "lying_mask.jpg": "before its EXIF orientation is applied",
    }.items():
        path = folder.bad(name, error)
        exif = Image.Exif()
        exif[0x0112] = 6
        rgb.save(path, **({"exif": exif} if "lying" in name else {}))
    (folder.root / "masks" / "no_mask.png").unlink()
    folder.mask("small_mask.png", np.ones((3, 3), bool))
    folder.mask("all_hole.png", np.ones((24, 32), bool))
