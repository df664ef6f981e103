"""Whole folders: every kind of picture comes out as it went in, every broken one is named."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gica_ops.inpainting import pipeline
from gica_ops.inpainting.inpaint import Inpainted
from gica_ops.inpainting.jobs import plan
from gica_ops.inpainting.pipeline import Options, run
from gica_ops.inpainting.report import Report

from .mixed import MAKE, Case, Folder, colours, mixed, numbers

LOSSY = 4.0  # mean difference that JPEG makes of known pixels, in 255ths
EXEMPLAR = Options(method="exemplar")


def fill(folder: Folder, options: Options = EXEMPLAR, **planning) -> Report:
    root = folder.root
    jobs = plan(str(root / "in"), str(root / "masks"), str(root / "out"), **planning)
    report = Report(len(jobs), quiet=True)
    run(jobs, options, report.tell, report.progress)
    return report


def check(case: Case, path: Path) -> None:
    """The output of a good case: format, size, mode, metadata, known pixels."""
    with Image.open(path) as after:
        after.load()
    before = case.upright
    assert (after.format, after.size, after.mode) == (case.form, before.size, before.mode), case
    assert after.info.get("icc_profile") == case.profile, case.name
    assert after.getexif().get(0x0112, 1) == 1 and after.getexif().get(MAKE) == case.make, case.name
    if "dpi" in before.info and case.form in ("PNG", "JPEG"):
        assert after.info["dpi"] == pytest.approx(before.info["dpi"], abs=1)
    old, new = numbers(before), numbers(after)
    if case.form == "JPEG":
        assert np.abs(old.astype(float) - new)[~case.hole].mean() < LOSSY, case.name
    else:
        assert np.array_equal(old[~case.hole], new[~case.hole]), case.name
        if before.mode == "RGB" and case.hole.sum() > 9:
            assert not np.array_equal(old[case.hole], new[case.hole]), case.name
    if after.mode in ("LA", "RGBA"):
        assert np.array_equal(old[..., -1], new[..., -1]), case.name


@pytest.mark.parametrize("rounds", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_a_mixed_folder(tmp_path, rounds, capfd):
    folder = mixed(tmp_path, rounds)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    report = fill(folder)
    outcomes = {outcome.job.image.name: outcome for outcome in report.outcomes}
    assert outcomes.keys() == {case.name for case in folder.cases}
    good = [case for case in folder.cases if case.error is None]
    for case in folder.cases:
        outcome, path = outcomes[case.name], tmp_path / "out" / case.name
        if case.error is None:
            assert outcome.error is None, (case.name, outcome.error)
            assert outcome.status == ("filled" if case.hole.any() else "unchanged")
            check(case, path)
        else:
            assert outcome.status == "failed" and case.error in (outcome.error or ""), outcome
            assert Path(case.name).stem in outcome.error and not path.exists()
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {case.name for case in good} and len(good) == 45 * rounds
    assert report.counts()["failed"] == 20
    assert report.line() == f"{44 * rounds} filled, {rounds} unchanged, 20 failed"
    noted = {name for name, outcome in outcomes.items() if outcome.notes}
    assert {f"0-{name}" for name in ("several.gif", "exif.jpg")} <= noted
    assert before == {p: p.read_bytes() for p in before}
    said = capfd.readouterr().err  # failures only, a line each
    assert len(said.splitlines()) == 20 and all(
        line.startswith("failed: ") for line in said.splitlines()
    )


def test_pictures_of_one_kind_go_through_the_network_together(tmp_path, monkeypatch):
    folder = Folder(tmp_path)
    rng = np.random.default_rng(0)
    for i, (height, width) in enumerate([(24, 32)] * 5 + [(20, 20)] * 2 + [(24, 32)]):
        image = colours(rng, height, width)
        folder.good(f"{i}.png", image.convert("L") if i == 4 else image, "PNG")
    calls = []

    def inpaint(images, masks, **options):
        calls.append(len(images))
        assert options["method"] == "network" and len(masks) == len(images)
        if len(images) == 3:
            raise ValueError("one of these is bad")
        if images[0].getpixel((0, 0)) == first:
            raise ValueError("this one is bad")
        return [
            Inpainted(image, "network", "", torch.full((2, *image.size[::-1]), -1))
            for image in images
        ]

    first = folder.cases[1].upright.getpixel((0, 0))
    monkeypatch.setattr(pipeline, "inpaint", inpaint)
    report = fill(folder, Options(method="network", batch_size=3))
    # Four alike, of which the first three fail together and are tried alone; a grey one; and so on.
    assert calls == [3, 1, 1, 1, 1, 1, 2, 1]
    failed = [o.job.image.name for o in report.outcomes if o.status == "failed"]
    assert failed == ["1.png"] and report.outcomes[1].error == "this one is bad"
    assert [o.job.image.name for o in report.outcomes] == [f"{i}.png" for i in range(8)]


def test_few_pictures_are_in_memory_and_work_overlaps(tmp_path, monkeypatch):
    folder = Folder(tmp_path)
    for i in range(12):
        folder.good(f"{i:02}.png", colours(np.random.default_rng(i)), "PNG")
    read, threads = [], set()
    original = pipeline.read_picture

    def reading(path, **options):
        read.append(path)
        threads.add(threading.get_ident())
        return original(path, **options)

    monkeypatch.setattr(pipeline, "read_picture", reading)
    ahead = []
    jobs = plan(str(tmp_path / "in"), str(tmp_path / "masks"), str(tmp_path / "out"))

    def tell(outcome):
        told.append(outcome)
        ahead.append(len(read) - len(told))

    told: list = []
    shares: list[float] = []
    run(jobs, EXEMPLAR, tell, shares.append)
    # Two that are read, one being filled, two that wait to be written, one just written.
    assert len(told) == 12 and max(ahead) <= 6
    assert threading.get_ident() not in threads
    assert shares == sorted(shares) and shares[-1] == 12


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_stopped_between_pictures_all_that_is_there_is_whole(tmp_path, stop):
    folder = Folder(tmp_path)
    for i in range(8):
        folder.good(f"{i}.png", colours(np.random.default_rng(i)), "PNG")
    jobs = plan(str(tmp_path / "in"), str(tmp_path / "masks"), str(tmp_path / "out"))
    told = []

    def progress(done):
        if done > 4:
            raise stop

    with pytest.raises(stop):
        run(jobs, EXEMPLAR, told.append, progress)
    written = sorted((tmp_path / "out").iterdir())
    assert written == [outcome.job.output for outcome in told] and 2 <= len(written) <= 4
    for path in written:
        Image.open(path).load()
    again = plan(
        str(tmp_path / "in"), str(tmp_path / "masks"), str(tmp_path / "out"), existing="skip"
    )
    assert sum(job.skip for job in again) == len(written)


def test_pictures_beside_the_output(tmp_path):
    folder = Folder(tmp_path)
    image = colours(np.random.default_rng(0))
    folder.good("a.jpg", image, "JPEG")
    folder.good("b.jpg", image, "JPEG", hole=np.zeros((24, 32), bool))
    report = fill(folder, beside=("attention", "arrows", "concat"))
    assert report.line() == "1 filled, 1 unchanged"
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "a.jpg", "a_attention.png", "a_arrows.png", "a_concat.png", "b.jpg", "b_concat.png"
    }  # fmt: skip
    shown = np.asarray(Image.open(tmp_path / "out" / "a_attention.png"))
    assert shown.shape == (24, 32, 3) and shown.any()


def test_the_summary(tmp_path):
    folder = Folder(tmp_path)
    folder.good("a.png", colours(np.random.default_rng(0)), "PNG")
    hole = np.ones((24, 32), bool)
    hole[:, :8] = False
    folder.good("b.png", colours(np.random.default_rng(1)), "PNG", hole=hole)
    folder.bad("c.png", "no picture", b"text")
    summary = json.loads(fill(folder, Options()).json())
    assert (summary["filled"], summary["failed"], summary["stopped"]) == (2, 1, False)
    a, b, c = summary["files"]
    assert (a["status"], a["width"], a["height"], a["hole_pixels"]) == ("filled", 32, 24, 48)
    assert a["method"] in ("exemplar", "network") and a["why"].startswith("SSIM")
    assert a["output"].endswith("a.png") and a["seconds"] > 0 and a["error"] is None
    assert "75 % of it are hole" in b["notes"][0]
    assert c["status"] == "failed" and "no picture" in c["error"] and c["method"] is None


def test_a_full_disk_and_too_little_memory_are_sentences(tmp_path, monkeypatch):
    folder = Folder(tmp_path)
    for name in ("a.png", "b.png", "c.png"):
        folder.good(name, colours(np.random.default_rng(0)), "PNG")

    def write(path, data):
        raise OSError(28, "No space left on device")

    def inpaint(images, masks, **options):
        if next(turns) == 1:
            raise MemoryError
        raise RuntimeError("something else")

    report_of_writing = None
    with monkeypatch.context() as patch:
        patch.setattr("gica_ops.inpainting.writing.write_whole", write)
        report_of_writing = fill(folder)
    errors = {outcome.error for outcome in report_of_writing.outcomes}
    assert errors == {"[Errno 28] No space left on device"}
    turns = iter(range(3))
    monkeypatch.setattr(pipeline, "inpaint", inpaint)
    errors = [outcome.error for outcome in fill(folder).outcomes]
    assert errors == ["RuntimeError: something else", "out of memory"] + [
        "RuntimeError: something else"
    ]
    assert not any((tmp_path / "out").iterdir())


def test_quality_and_forced_format(tmp_path):
    folder = Folder(tmp_path)
    image = colours(np.random.default_rng(0))
    folder.good("a.png", image, "PNG")
    folder.good("b.jpg", image, "JPEG")
    sizes = {}
    for quality in (30, 95):
        options = Options(method="exemplar", quality=quality)
        report = fill(folder, options, form="jpg", existing="overwrite")
        assert report.line() == "2 filled"
        sizes[quality] = [path.stat().st_size for path in sorted((tmp_path / "out").iterdir())]
    assert all(low < high for low, high in zip(sizes[30], sizes[95], strict=True))
    assert {Image.open(p).format for p in (tmp_path / "out").iterdir()} == {"JPEG"}


def test_nothing_is_said_twice_where_the_terminal_is_one(tmp_path, monkeypatch):
    """The bar and the sentences go the same way, and names are not markup."""
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", terminal)
    folder = Folder(tmp_path)
    folder.bad("[red]x.png", "no picture", b"text")
    folder.bad("y.png", "no picture", b"text")
    jobs = plan(str(tmp_path / "in"), str(tmp_path / "masks"), str(tmp_path / "out"))
    with Report(len(jobs)) as report:
        run(jobs, EXEMPLAR, report.tell, report.progress)
    assert terminal.getvalue().count("[red]x.png'") == 1
    assert "2 of 2" in terminal.getvalue()
