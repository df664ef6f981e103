"""Filling with a generator: what it looks at, scales, and leaves alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from gica_ops.inpainting import methods, network
from gica_ops.inpainting.methods import choose
from gica_ops.inpainting.network import fill, fill_many, load_generator
from gica_ops.inpainting.window import THICKEST, thickness, windows
from gica_ops.model import Generator


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator.v1(4).eval()


def picture(shape: tuple[int, ...], dtype: torch.dtype = torch.uint8) -> Tensor:
    dice = torch.Generator().manual_seed(1)
    return (torch.rand(shape, generator=dice) * 250).to(dtype)


def box(size: tuple[int, int], *cut: slice) -> Tensor:
    hole = torch.zeros(size, dtype=torch.bool)
    hole[cut] = True
    return hole


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float32, torch.float64])
def test_known_pixels_stay_and_the_hole_is_filled(generator, channels, dtype):
    image = picture((channels, 40, 50), dtype)
    hole = box((40, 50), slice(10, 25), slice(20, 31))
    image[:, hole] = 0
    before = image.clone()
    filled = fill(image, hole, generator=generator).values
    assert torch.equal(image, before)
    assert filled.dtype == dtype and filled.shape == image.shape
    assert torch.equal(filled[:, ~hole], image[:, ~hole])
    assert filled[:, hole].double().std() > 0
    low, high = image[:, ~hole].double().aminmax()
    if dtype != torch.uint8:
        assert filled[:, hole].min() >= low and filled[:, hole].max() <= high


def test_what_the_hole_holds_is_not_looked_at(generator):
    image = picture((3, 40, 50), torch.float32)
    hole = box((40, 50), slice(0, 20), slice(30, 50))
    wanted = fill(image, hole, generator=generator).values
    image[:, hole] = torch.nan
    assert torch.equal(fill(image, hole, generator=generator).values, wanted)


def test_a_grey_picture_is_filled_as_grey_colours(generator):
    grey = picture((1, 32, 32))
    hole = box((32, 32), slice(8, 20), slice(8, 20))
    colours = fill(grey.expand(3, -1, -1), hole, generator=generator)
    filled = fill(grey, hole, generator=generator)
    assert torch.equal(filled.values, colours.values[:1])
    assert torch.equal(filled.sources, colours.sources)


@pytest.fixture
def seen(generator, monkeypatch):
    """The pictures and holes that the generator is shown."""
    shown = []
    look = generator.look

    def watched(image, mask, **options):
        shown.append((image, mask))
        return look(image, mask, **options)

    monkeypatch.setattr(generator, "look", watched)
    return shown


def test_far_away_pixels_do_not_matter_and_are_not_computed(generator, seen):
    image = picture((3, 400, 500))
    hole = box((400, 500), slice(200, 220), slice(300, 320))
    wanted = fill(image, hole, generator=generator).values
    image[:, :100], image[:, :, :200] = 0, 0
    assert torch.equal(fill(image, hole, generator=generator).values[:, hole], wanted[:, hole])
    assert [x.shape for x, _ in seen] == [(1, 3, 96, 96)] * 2


def test_thick_holes_are_seen_at_a_smaller_scale(generator, seen):
    image = picture((3, 600, 600))
    hole = box((600, 600), slice(200, 392), slice(200, 392))
    filled = fill(image, hole, generator=generator).values
    assert torch.equal(filled[:, ~hole], image[:, ~hole])
    ((shown, mask),) = seen
    assert thickness(mask[0, 0]) <= THICKEST + 2
    assert shown.shape[2] < 200


def test_pieces_far_apart_are_seen_one_by_one(generator, seen):
    """A thin piece is seen at full resolution, whatever else there is; its filling is its own."""
    image = picture((3, 400, 900))
    thin = box((400, 900), slice(180, 190), slice(20, 60))
    thick = box((400, 900), slice(100, 220), slice(600, 720))
    both = fill(image, thin | thick, generator=generator)
    for hole in (thin, thick):
        alone = fill(image, hole, generator=generator)
        assert torch.equal(both.values[:, hole], alone.values[:, hole])
        assert torch.equal(both.sources[:, hole], alone.sources[:, hole])
    assert [x.shape[3] for x, _ in seen] == [128, 128, 128, 128]
    assert (both.values[:, ~(thin | thick)] == image[:, ~(thin | thick)]).all()


def test_pictures_of_equal_size_go_through_together_and_are_filled_as_alone(generator, seen):
    images = [picture((3, 100, 120)).roll(i, 2) for i in range(5)]
    masks = [box((100, 120), slice(40, 60), slice(10 * i, 10 * i + 20)) for i in range(5)]
    shares = []
    filled = fill_many(images, masks, generator=generator, progress=shares.append)
    assert [len(x) for x, _ in seen] == [5]
    assert shares == [1.0]
    for image, mask, one in zip(images, masks, filled, strict=True):
        alone = fill(image, mask, generator=generator)
        # Products of several pictures are summed in another order.
        assert (one.values.int() - alone.values.int()).abs().max() <= 1
        assert torch.equal(one.values[:, ~mask], image[:, ~mask])


def test_batches_are_bounded(generator, seen, monkeypatch):
    monkeypatch.setattr(network, "BATCH", 3 * 96 * 96)
    images = [picture((1, 96, 96))] * 7
    fill_many(images, [box((96, 96), slice(40, 60), slice(40, 60))] * 7, generator=generator)
    assert [len(x) for x, _ in seen] == [3, 3, 1]


def test_sources_are_known_pixels_of_the_picture(generator):
    image = picture((3, 150, 170))
    hole = box((150, 170), slice(0, 70), slice(90, 160))
    sources = fill(image, hole, generator=generator).sources
    assert (sources[:, ~hole] == -1).all()
    rows, columns = sources[:, hole]
    assert torch.equal(rows < 0, columns < 0) and (rows >= 0).float().mean() > 0.9
    found = rows >= 0
    assert not hole[rows[found], columns[found]].any()


def test_the_estimate_of_memory_is_enough():
    """The peak of a process that fills two windows at full and at a smaller scale."""
    code = (
        "import re, sys, torch\n"
        "from pathlib import Path\n"
        "from gica_ops.inpainting import network\n"
        "from gica_ops.inpainting.window import windows\n"
        "def size(of):\n"
        "    status = Path('/proc/self/status').read_text()\n"
        "    return 1024 * int(re.search(of + r':\\s+(\\d+) kB', status)[1])\n"
        "hole = torch.zeros(720, 1280, dtype=torch.bool)\n"
        "hole[slice(*map(int, sys.argv[1:3])), slice(*map(int, sys.argv[3:5]))] = True\n"
        "image = torch.randint(256, (3, *hole.shape), dtype=torch.uint8)\n"
        "generator = network.load_generator()\n"
        "before = size('VmRSS')\n"
        "filled = network.fill(image, hole)\n"
        "result = filled.values.numel() + 8 * filled.sources.numel()\n"
        "(window,) = windows(hole)\n"
        "print(size('VmHWM') - before - result, network.memory(generator, window, 3))\n"
    )
    for cut in (("350", "360", "200", "1000"), ("300", "500", "300", "500")):
        done = subprocess.run([sys.executable, "-c", code, *cut], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        taken, estimate = map(int, done.stdout.split())
        assert estimate / 4 < taken < estimate


def test_less_memory_is_less_to_look_at(generator, seen):
    image = picture((3, 300, 300))
    hole = box((300, 300), slice(110, 190), slice(110, 190))
    (window,) = windows(hole)
    need = network.memory(generator, window, 3)
    fill(image, hole, generator=generator, max_memory=need)
    less = fill(image, hole, generator=generator, max_memory=need - 1).values
    assert torch.equal(less[:, ~hole], image[:, ~hole])
    (whole, _), (part, _) = seen
    assert part.numel() < whole.numel()
    with pytest.raises(ValueError, match=r"max_memory must be at least \d+ MiB for this hole"):
        fill(image, hole, generator=generator, max_memory=1000)


def test_choosing_by_what_was_measured(monkeypatch):
    """Every bin of the table that ships, and one in which the network is better."""
    bins = methods._bins()
    assert bins[0]["from"] == 0 and all(row["holes"] >= 20 for row in bins)
    for row in bins:
        hole = torch.zeros(100, 100, dtype=torch.bool)
        hole[: round(100 * row["from"]) + 3] = True
        scores = {name: row[name]["hole_ssim"] for name in ("exemplar", "network")}
        name, why = choose(hole)
        assert name == max(scores, key=scores.__getitem__)
        assert f"{round(100 * row['from'])} " in why and f"{scores[name]:.2f}" in why
    row = {"from": 0, "exemplar": {"hole_ssim": 0.5}, "network": {"hole_ssim": 0.75}}
    monkeypatch.setattr(methods, "_bins", lambda: [row])
    why = "SSIM 0.75 against 0.50 in holes of 0 % and more of the picture"
    assert choose(torch.ones(4, 4, dtype=torch.bool)) == ("network", why)


def test_bad_input_is_a_sentence(generator, tmp_path):
    image, hole = picture((3, 16, 16)), box((16, 16), slice(4, 8), slice(4, 8))
    with pytest.raises(ValueError, match="mask must leave some pixels"):
        fill(image, torch.ones_like(hole), generator=generator)
    with pytest.raises(TypeError, match="mask must be a bool tensor"):
        fill(image, hole.int(), generator=generator)
    with pytest.raises(ValueError, match="name must be a folder"):
        load_generator(tmp_path / "missing")
    with pytest.raises(ValueError, match="backend must be one of"):
        fill(image, hole, generator=generator, backend="abacus")
    with pytest.raises(ValueError, match="images must have equal shapes"):
        fill_many([image, image[:, 1:]], [hole, hole[1:]], generator=generator)


def test_the_generators_backend_stays_as_it_was(generator):
    image, hole = picture((3, 16, 16)), box((16, 16), slice(4, 8), slice(4, 8))
    fill(image, hole, generator=generator, backend="reference")
    assert generator.backend == "auto"


def test_no_hole_is_no_work(generator):
    image = picture((3, 16, 16))
    shares = []
    hole = torch.zeros(16, 16, dtype=torch.bool)
    filled = fill(image, hole, generator=generator, progress=shares.append)
    assert torch.equal(filled.values, image) and filled.values is not image
    assert (filled.sources == -1).all() and shares == [1.0]
