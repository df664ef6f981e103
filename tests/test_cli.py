"""The command line: what it writes, what it says, what it leaves behind."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gica_ops.model import Generator
from tests.command import gica
from tests.held import kill_in


def paths_in(folder: Path, **names: str) -> list[str]:
    """The options for an image, a mask and an output in this folder."""
    names = {"image": "image.png", "mask": "mask.png", "output": "out.png"} | names
    return [f"--{option}={folder / name}" for option, name in names.items()]


def inpaint(folder: Path, **names: str) -> subprocess.CompletedProcess[str]:
    return gica("inpaint", *paths_in(folder, **names))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    mask = np.zeros((40, 50), np.uint8)
    mask[10:22, 15:30] = 255
    mask[30, 5] = 127  # not above 127: known
    Image.fromarray(mask).save(tmp_path / "mask.png")
    return tmp_path


def test_known_pixels_stay_and_the_last_line_says_where_and_how_long(folder):
    command = [sys.executable, "-m", "gica_ops.cli", "inpaint", *paths_in(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert str(folder / "out.png") in done.stdout and " s\n" in done.stdout
    before, after = (np.asarray(Image.open(folder / name)) for name in ("image.png", "out.png"))
    hole = np.asarray(Image.open(folder / "mask.png")) > 127
    assert np.array_equal(before[~hole], after[~hole])
    assert sorted(p.name for p in folder.iterdir()) == ["image.png", "mask.png", "out.png"]


@pytest.mark.parametrize("mode", ["P", "RGBA", "CMYK", "I;16"])
def test_every_mode_keeps_its_known_pixels(folder, mode):
    image = Image.open(folder / "image.png")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 200)
    name = "image.tif" if mode == "CMYK" else "image.png"
    image.convert(mode).save(folder / name) if mode != "I;16" else image.save(folder / name)
    out = "out.tif" if mode == "CMYK" else "out.png"
    done = inpaint(folder, image=name, output=out)
    assert done.returncode == 0, done.stderr
    before, after = Image.open(folder / name), Image.open(folder / out)
    assert before.mode == after.mode and before.size == after.size
    hole = np.asarray(Image.open(folder / "mask.png")) > 127
    assert np.array_equal(np.asarray(before)[~hole], np.asarray(after)[~hole])


def test_bad_input_is_a_sentence_and_writes_nothing(folder):
    Image.new("L", (7, 7)).save(folder / "small.png")
    Image.new("L", (50, 40), 255).save(folder / "all.png")
    (folder / "cut.png").write_bytes((folder / "image.png").read_bytes()[:700])
    (folder / "text.png").write_text("no picture")
    (folder / "empty.png").write_bytes(b"")
    (folder / "folder.png").mkdir()
    cases = [
        {"image": "missing.png"},
        {"image": "cut.png"},
        {"image": "text.png"},
        {"image": "empty.png"},
        {"image": "folder.png"},
        {"mask": "missing.png"},
        {"mask": "cut.png"},
        {"mask": "small.png"},
        {"mask": "all.png"},
        {"output": "nowhere/deeper/out.png"},
        {"output": "out.unknown"},
        {"output": "folder.png"},
    ]
    before = sorted(folder.rglob("*"))
    for case in cases:
        done = inpaint(folder, **case)
        assert done.returncode == 1, case
        assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr, case
        assert done.stderr.count("\n") == 1, (case, done.stderr)
        assert sorted(folder.rglob("*")) == before, case


def test_wrong_usage_says_what_is_missing():
    done = gica("inpaint", "--image", "x.png")
    assert done.returncode == 2 and "--mask" in done.stderr
    assert gica("nothing").returncode == 2


FILLING, WRITING = ("gica_ops.inpainting.exemplar", "fill"), ("os", "replace")


@pytest.mark.parametrize(
    ("place", "kill"),
    [
        (FILLING, signal.SIGINT),
        (FILLING, signal.SIGTERM),
        (WRITING, signal.SIGTERM),
        (WRITING, signal.SIGKILL),
    ],
)
def test_a_killed_process_leaves_nothing_half_written(folder, kill, place):
    paths = [f"--{name}={folder / name}.png" for name in ("image", "mask", "output")]
    # A file that is being written is written to its end.
    seconds = 2 if place == WRITING else 100
    kill_in(*place, ["inpaint", "--method=exemplar", *paths], kill, seconds)
    left = {path.name for path in folder.iterdir()} - {"image.png", "mask.png"}
    # Nothing can tidy up after SIGKILL, but what is left then is not the output.
    assert "output.png" not in left and (not left or kill == signal.SIGKILL)


def test_seed_quiet_and_backend(folder):
    paths = [f"--image={folder}/image.png", f"--mask={folder}/mask.png"]
    for name in ("a", "b"):
        done = gica("inpaint", *paths, f"--output={folder}/{name}.png", "--quiet", "--seed=1")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()
    done = gica("inpaint", *paths, f"--output={folder}/c.png", "--backend=abacus")
    assert done.returncode == 1 and "backend must be" in done.stderr
    assert gica("inpaint", *paths, f"--output={folder}/c.png", "--seed=-1").returncode == 2
    assert not (folder / "c.png").exists()


def test_methods_and_weights(folder):
    torch.manual_seed(0)
    Generator.v1(4).save_pretrained(folder / "weights")
    paths = [f"--image={folder}/image.png", f"--mask={folder}/mask.png"]
    said = {}
    for name, options in {
        "auto": [],
        "exemplar": ["--method=exemplar"],
        "network": ["--method=network"],
        "own": [f"--weights={folder}/weights"],
    }.items():
        done = gica("inpaint", *paths, *options, f"--output={folder}/{name}.png")
        assert done.returncode == 0, done.stderr
        said[name] = done.stdout
    assert re.search(r"filled by (exemplar|network) \(SSIM 0\.\d+ against", said["auto"])
    assert "filled by exemplar in" in said["exemplar"]
    assert "filled by network in" in said["network"] and "filled by network in" in said["own"]
    pictures = {name: np.asarray(Image.open(folder / f"{name}.png")) for name in said}
    known = np.asarray(Image.open(folder / "mask.png")) <= 127
    before = np.asarray(Image.open(folder / "image.png"))
    for name, picture in pictures.items():
        assert np.array_equal(picture[known], before[known]), name
    assert not np.array_equal(pictures["own"], pictures["network"])
    assert not np.array_equal(pictures["exemplar"], pictures["network"])


def test_weights_that_are_none_are_a_sentence(folder):
    (folder / "weights").mkdir()
    paths = [f"--image={folder}/image.png", f"--mask={folder}/mask.png"]
    for weights, words in (("missing", "must be a folder"), ("weights", "config.json is missing")):
        options = [f"--weights={folder}/{weights}", f"--output={folder}/out.png"]
        done = gica("inpaint", *paths, *options)
        assert done.returncode == 1 and words in done.stderr and done.stderr.count("\n") == 1
    done = gica("inpaint", *paths, *options, "--method=exemplar")
    assert done.returncode == 2 and "--weights is for --method network" in done.stderr
    assert not (folder / "out.png").exists()


def test_info_and_help_and_version():
    done = gica("info")
    assert done.returncode == 0
    for word in ("gica_ops", "torch", "backend"):
        assert word in done.stdout
    commands = gica("--help").stdout
    for name in ("inpaint", "train", "evaluate", "convert", "info"):
        assert name in commands
    assert gica("--version").stdout.startswith("gica")
