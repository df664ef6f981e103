"""`gica evaluate`: as real processes where how it ends matters."""

from __future__ import annotations

import csv
import json
import re
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.command import gica
from tests.held import kill_in

run = partial(gica, "evaluate")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    noise = np.random.default_rng(0).normal(0, 20, (2, 48, 64, 3))
    ramp = np.linspace(30, 220, 64)[:, None]
    for name, pixels in zip(("a", "b"), ramp + noise, strict=True):
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{name}.png")
    return folder


def test_the_same_command_gives_the_same_scores(images, tmp_path):
    arguments = [
        f"--images={images}", "--masks=box-half", "--size=32", "--method=telea",
        "--method=second=navier-stokes", "--save-filled", "--sheet-rows=1",
    ]  # fmt: skip
    outputs = [tmp_path / "one", tmp_path / "two"]
    for output in outputs:
        done = run(*arguments, f"--output={output}")
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        assert done.stdout.strip() == (output / "summary.md").read_text().strip()
    one, two = ((output / "scores.csv").read_text() for output in outputs)
    assert one == two
    rows = list(csv.DictReader(one.splitlines()))
    assert [(r["picture"], r["method"]) for r in rows] == [
        (p, m) for p in ("a.png", "b.png") for m in ("telea", "second")
    ]
    assert {r["share"] for r in rows} == {"0.25"} and {r["height"] for r in rows} == {"32"}
    summary = json.loads((outputs[0] / "summary.json").read_text())
    assert summary["masks"]["name"] == "box-half" and summary["size"] == 32
    assert summary["command"].startswith("gica evaluate --images=")
    assert summary["versions"]["scikit-image"] and "commit" in summary
    mean = np.mean([float(r["hole_psnr"]) for r in rows if r["method"] == "telea"])
    assert summary["methods"]["telea"]["all"]["hole_psnr"]["mean"] == pytest.approx(mean)
    filled = sorted(p.relative_to(outputs[0]) for p in (outputs[0] / "filled").rglob("*.png"))
    assert [str(p) for p in filled] == [
        f"filled/{m}/{p}.png" for m in ("second", "telea") for p in ("a", "b")
    ]
    assert Image.open(outputs[0] / filled[0]).size == (32, 32)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images", "one", "two"]


def test_a_broken_picture_is_named_and_the_exit_code_says_so(images, tmp_path):
    (images / "c.png").write_bytes(b"no picture")
    done = run(f"--images={images}", "--masks=box-half", "--method=telea", f"--output={tmp_path}/o")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("left out c.png: ")
    assert "| telea | 2 |" in done.stdout
    assert len((tmp_path / "o" / "scores.csv").read_text().splitlines()) == 3


def test_bad_input_is_a_sentence_and_writes_nothing(images, tmp_path):
    good = {"images": str(images), "masks": "thin", "method": "telea", "output": f"{tmp_path}/o"}
    cases = [
        ({"images": str(tmp_path / "none")}, "images must be"),
        ({"masks": "thinner"}, "masks must be"),
        ({"method": "magic"}, "method must be one of"),
        ({"output": str(images)}, "output folder .* holds files"),
        ({"masks": str(images), "draws": "2"}, "draws must be 1"),
        ({"lpips-weights": "none.pt"}, "lpips weights 'none.pt' do not exist"),
    ]
    before = sorted(tmp_path.rglob("*"))
    for change, said in cases:
        options = [f"--{name}={value}" for name, value in {**good, **change}.items()]
        done = run(*options)
        assert done.returncode == 1 and done.stderr.count("\n") == 1, (change, done.stderr)
        assert re.search(said, done.stderr), (change, done.stderr)
        assert sorted(tmp_path.rglob("*")) == before, change


def test_where_nothing_can_be_measured_nothing_is_written(images, tmp_path):
    for name in ("a", "b"):
        (images / f"{name}.png").write_bytes(b"")
    before = sorted(tmp_path.rglob("*"))
    done = run(f"--images={images}", "--masks=thin", "--method=telea", f"--output={tmp_path}/o")
    assert done.returncode == 1
    assert done.stderr.startswith("error: none of 2 pictures could be measured: ")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("place", [("driver", "score"), ("output", "origin")])
def test_a_killed_run_leaves_nothing_half_written(images, tmp_path, kill, place):
    options = [f"--images={images}", "--masks=thin", "--method=telea", f"--output={tmp_path}/o"]
    module = f"gica_ops.evaluate.{place[0]}"
    kill_in(module, place[1], ["evaluate", "--save-filled", *options], kill)
    left = [path.name for path in tmp_path.iterdir() if path.name != "images"]
    # Nothing can tidy up after SIGKILL, but what is left then is not the output.
    assert "o" not in left and (not left or kill == signal.SIGKILL)
