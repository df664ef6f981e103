"""`gica inpaint` on folders: what it is told, what it says, what it leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from gica_ops.cli import gica
from gica_ops.commands._options import Bytes

from .mixed import Folder, box, colours


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Folder:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # put back afterwards
    monkeypatch.chdir(tmp_path)
    folder = Folder(Path("."))
    for name in ("a", "b"):
        folder.good(f"{name}.png", colours(np.random.default_rng(ord(name))), "PNG")
    return folder


def run(*arguments: str, image="in", mask="masks", output="out") -> int:
    paths = (f"--image={image}", f"--mask={mask}", f"--output={output}")
    return gica.main(["inpaint", *paths, *arguments], standalone_mode=False)


def names(path="out") -> list[str]:
    return sorted(p.name for p in Path(path).rglob("*") if p.is_file())


def test_the_last_line_and_the_exit_code_count(folder, capsys):
    assert run("--quiet", "--method=exemplar") == 0 and capsys.readouterr() == ("", "")
    folder.bad("c.png", "", b"text")
    assert run("--skip-existing") == 1
    said = capsys.readouterr()
    assert said.out.startswith("out: 2 skipped, 1 failed in ")
    assert said.err == "failed: image 'in/c.png' is no picture that Pillow can read\n"
    assert run() == 1
    assert "out: 3 failed" in capsys.readouterr().out
    before = Path("out/a.png").read_bytes()
    assert run("--overwrite", "--seed=3", "--method=network") == 1
    assert "out: 2 filled, 1 failed" in capsys.readouterr().out
    assert Path("out/a.png").read_bytes() != before and names() == ["a.png", "b.png"]


def test_the_summary_is_a_file_or_the_terminal(folder, capsys):
    assert run("--json=report.json") == 0
    assert json.loads(Path("report.json").read_text())["filled"] == 2
    assert run("--json=-", "--overwrite") == 0
    said = capsys.readouterr()
    assert json.loads(said.out[said.out.index("{") :])["filled"] == 2
    assert "2 filled" in said.err
    for path, words in {
        "out/a.png": "json must be a file of its own",
        "masks/a.png": "json must be a file of its own",
        "in": "json must be a file",
        "no/where/x.json": "does not exist",
    }.items():
        with pytest.raises(ValueError, match=words):
            run(f"--json={path}")


def test_a_dry_run_lists_and_writes_nothing(folder, capsys):
    (folder.root / "masks" / "b.png").unlink()
    assert run("--dry-run", "--concat", "--format=webp") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "'in/a.png' with 'masks/a.png' to 'out/a.webp', 'out/a_concat.png'",
        "'in/b.png' fails: mask folder 'masks' holds no mask for 'b.png'",
        "1 to fill, 0 to skip, 1 would fail",
    ]
    assert not Path("out").exists()


def test_masks_by_option(folder):
    image = folder.cases[0].upright
    hole = box(image)
    for name, mask, options in (
        ("plain", hole * 255, []),
        ("inverted", ~hole * 255, ["--invert-mask"]),
        ("dim", hole * 20, ["--threshold=19"]),
        ("small", np.repeat(np.repeat(hole, 2, 0), 2, 1) * 255, ["--resize-mask"]),
        ("eroded", np.roll(hole, 1, 0) & np.roll(hole, -1, 0)
         & np.roll(hole, 1, 1) & np.roll(hole, -1, 1), ["--threshold=0", "--dilate=1"]),
    ):  # fmt: skip
        Image.fromarray(mask.astype(np.uint8)).save("m.png")
        target = f"{name}.png"
        run("--method=exemplar", *options, image="in/a.png", mask="m.png", output=target)
    results = {
        name: Path(f"{name}.png").read_bytes()
        for name in ("plain", "inverted", "dim", "small", "eroded")
    }
    assert len(set(results.values())) == 1


def test_what_is_shown_beside(folder):
    run("--save-attention", "--concat", image="in/a.png", mask="masks", output="new/x.jpg")
    assert names("new") == ["x.jpg", "x_arrows.png", "x_attention.png", "x_concat.png"]


def test_one_picture(folder, capsys):
    Image.new("L", (32, 24)).save("none.png")
    run(image="in/a.png", mask="none.png", output="o.png")
    assert "o.png: written unchanged, since the hole is empty, in" in capsys.readouterr().out
    run("--skip-existing", image="in/a.png", mask="none.png", output="o.png")
    assert "o.png: is there already, left as it is in" in capsys.readouterr().out
    with pytest.raises(ValueError, match="is the image itself: --overwrite replaces it"):
        run(image="in/a.png", output="in/a.png")
    before = Path("in/a.png").read_bytes()
    assert run("--overwrite", "--method=exemplar", image="in/a.png", output="in/a.png") == 0
    assert Path("in/a.png").read_bytes() != before
    with pytest.raises(ValueError, match="is 32 x 24, above the limit of 700 pixels"):
        run("--max-pixels=700", image="in/b.png", output="o.png")


def test_globs_and_recursion(folder):
    Path("in/x").mkdir()
    Path("masks/x").mkdir()
    for kind in ("in", "masks"):
        Path(kind, "x", "b.png").write_bytes(Path(kind, "b.png").read_bytes())
    run("--recursive")
    assert sorted(str(p) for p in Path("out").rglob("*.png")) == [
        "out/a.png", "out/b.png", "out/x/b.png"
    ]  # fmt: skip
    run(image="in/**/b.*", output="again")
    assert sorted(str(p) for p in Path("again").rglob("*.png")) == ["again/b.png", "again/x/b.png"]


def test_the_network_on_a_folder(folder):
    options = [
        "--method=network",
        "--batch-size=2",
        "--dtype=bfloat16",
        "--json=r.json",
        "--max-memory=1GiB",
    ]
    assert run(*options) == 0
    files = json.loads(Path("r.json").read_text())["files"]
    assert {f["method"] for f in files} == {"network"}
    for case in folder.cases:
        after = np.asarray(Image.open(f"out/{case.name}"))
        before = np.asarray(case.upright)
        assert np.array_equal(after[~case.hole], before[~case.hole])


def test_pictures_above_what_pillow_allows_by_itself_can_be_allowed(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert run("--max-pixels=800") == 0


def test_memory_in_words():
    convert = lambda text: Bytes().convert(text, None, None)  # noqa: E731
    assert convert("2GiB") == 2 << 30 and convert("1500 MiB") == 1500 << 20
    assert (convert("3k"), convert("1.5MB"), convert("7")) == (3072, 1_500_000, 7)
    for text in ("", "GiB", "-1", "0", "2 XB", "1e9", "two"):
        with pytest.raises(Exception, match="must be a size such as 2GiB"):
            convert(text)


def test_wrong_usage(folder):
    for options, words in (
        (["--overwrite", "--skip-existing"], "exclude each other"),
        (["--quality=0"], "quality"),
        (["--threshold=256"], "threshold"),
        (["--batch-size=0"], "batch-size"),
        (["--max-memory=lots"], "must be a size"),
        (["--dtype=int8"], "dtype"),
    ):
        with pytest.raises(click.UsageError) as error:
            run(*options)
        assert words in error.value.format_message()
    assert not Path("out").exists()


def test_the_help_has_headings(capsys):
    with pytest.raises(SystemExit):
        gica.main(["inpaint", "--help"])
    said = capsys.readouterr().out
    places = [said.index(f"\n{word}:") for word in ("Pictures", "Masks", "Filling", "Writing")]
    assert places == sorted(places)
    for option in ("--image", "--dilate", "--max-memory", "--save-attention", "--dry-run"):
        assert f"  {option}" in said


SLOWLY = """
import time, gica_ops.inpainting.pipeline as pipeline
inpaint = pipeline.inpaint
def slowly(*arguments, **options):
    print("here", flush=True)
    time.sleep(0.5)
    return inpaint(*arguments, **options)
pipeline.inpaint = slowly
from gica_ops.cli import main
main()
"""


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_says_how_far_it_is_and_leaves_whole_files(folder, kill):
    for i in range(20):
        folder.good(f"{i:02}.png", colours(np.random.default_rng(i)), "PNG")
    process = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, "inpaint", "--image=in", "--mask=masks", "--output=out",
         "--method=exemplar", "--json=r.json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    for _ in range(4):
        assert process.stdout.readline() == "here\n"
    process.send_signal(kill)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + kill and "Traceback" not in said
    done = names()
    assert 1 <= len(done) < 20 and said.splitlines()[-1] == f"stopped: {len(done)} filled of 22"
    for name in done:
        Image.open(f"out/{name}").load()
    summary = json.loads(Path("r.json").read_text())
    assert summary["stopped"] and summary["filled"] == len(done)
