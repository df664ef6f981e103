"""Batches: what they hold, and that seed and number alone decide it."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gica_ops.data.loader import Batch, DataConfig, Loader, make_loader
from tests.data_sources.test_shards import png, write

SIZE = 16


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(7):
        shape = (20 + number, 40 - number, 3)
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(tmp_path / f"{number}.png")
    return tmp_path


@pytest.fixture
def mixed(folder: Path) -> DataConfig:
    sources = (str(folder), "dead-leaves*0.5")
    return DataConfig(sources, masks="box+thin", per_batch_mask=False, crop="random-scale")


def batches(config: DataConfig, count: int, **options: int) -> list[Batch]:
    loader = make_loader(config, **{"size": SIZE, "batch": 4, **options})
    found = [next(loader) for _ in range(count)]
    loader.close()
    return found


def same(first: list[Batch], second: list[Batch]) -> bool:
    pairs = [pair for batch in zip(first, second, strict=True) for pair in zip(*batch, strict=True)]
    return all(torch.equal(one, other) for one, other in pairs)


def joined(parts: list[Batch]) -> Batch:
    return Batch(*(torch.cat(field) for field in zip(*parts, strict=True)))


def test_a_batch_holds_what_it_says(mixed):
    for batch in batches(mixed, 5):
        assert batch.image.shape == (4, 3, SIZE, SIZE) and batch.image.dtype == torch.float32
        assert batch.image.is_contiguous() and batch.image.abs().max() <= 1
        assert batch.mask.shape == (4, 1, SIZE, SIZE) and set(batch.mask.unique().tolist()) == {
            0,
            1,
        }
        assert batch.boxes.shape == (4, 4) and batch.boxes.dtype == batch.index.dtype == torch.int64
        for (top, left, height, width), mask in zip(batch.boxes.tolist(), batch.mask, strict=True):
            inside = mask[:, top : top + height, left : left + width]
            assert inside.numel() == height * width and inside.sum() == mask.sum()
    assert torch.cat([b.index for b in batches(mixed, 5)]).tolist() == list(range(20))


def test_values_and_channels(tmp_path):
    Image.new("RGB", (SIZE, SIZE), (0, 128, 255)).save(tmp_path / "a.png")
    image = batches(DataConfig((str(tmp_path),)), 1)[0].image
    expected = torch.tensor([-1, 128 / 127.5 - 1, 1])
    torch.testing.assert_close(image.amax((0, 2, 3)), expected, rtol=0, atol=1e-7)
    torch.testing.assert_close(image.amin((0, 2, 3)), expected, rtol=0, atol=1e-7)


def test_one_hole_for_a_batch_has_its_box(folder):
    config = DataConfig((str(folder),), masks="box")
    found = batches(config, 6, size=32)
    for batch in found:
        assert batch.mask.shape == (1, 1, 32, 32) and batch.boxes.shape == (1, 4)
        assert batch.boxes[0, 2:].tolist() == [16, 16]  # the box, not the hole shrunk inside it
    assert len({tuple(batch.boxes[0].tolist()) for batch in found}) > 1
    assert any(batch.mask.sum() < 16 * 16 for batch in found)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(mixed, workers):
    assert same(batches(mixed, 8), batches(mixed, 8, workers=workers))


@pytest.mark.parametrize("workers", [0, 2])
def test_going_on_is_as_if_unbroken(mixed, workers):
    whole = batches(mixed, 9)
    assert same(batches(mixed, 4, start=5, workers=workers), whole[5:])


@pytest.mark.parametrize("per_batch", [False, True])
def test_ranks_see_together_what_one_sees(mixed, per_batch):
    config = dataclasses.replace(mixed, per_batch_mask=per_batch)
    whole = batches(config, 6, batch=8)
    ranks = [batches(config, 6, batch=4, rank=rank, world=2) for rank in (0, 1)]
    for one, parts in zip(whole, zip(*ranks, strict=True), strict=True):
        together = joined(list(parts))
        assert torch.equal(one.image, together.image) and torch.equal(one.index, together.index)
        if per_batch:
            assert all(torch.equal(one.mask, part.mask) for part in parts)
        else:
            assert torch.equal(one.mask, together.mask) and torch.equal(one.boxes, together.boxes)


def test_accumulated_batches_are_one_step(mixed):
    config = dataclasses.replace(mixed, per_batch_mask=True)
    whole, parts = batches(config, 3, batch=8), batches(config, 6, batch=4, accumulate=2)
    for number, one in enumerate(whole):
        pair = parts[2 * number : 2 * number + 2]
        assert torch.equal(one.image, joined(pair).image)
        assert all(torch.equal(one.mask, part.mask) for part in pair)


def test_seeds_and_batches_differ(mixed):
    first, second = batches(mixed, 2)
    other = batches(dataclasses.replace(mixed, seed=1), 1)[0]
    for batch in (second, other):
        assert not torch.equal(first.image, batch.image)
        assert not torch.equal(first.mask, batch.mask)


def test_pictures_come_once_in_an_epoch(tmp_path):
    for grey in range(12):
        Image.new("L", (SIZE, SIZE), grey * 20).save(tmp_path / f"{grey}.png")
    found = joined(batches(DataConfig((str(tmp_path),), per_batch_mask=False), 6)).image
    greys = ((found[:, 0, 0, 0] + 1) * 127.5 / 20).round().int().tolist()
    assert sorted(greys[:12]) == sorted(greys[12:]) == list(range(12)) and greys[:12] != greys[12:]


def test_weights_are_shares(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("L", (SIZE, SIZE), 255 * (name == "b")).save(tmp_path / name / "x.png")
    config = DataConfig((f"{tmp_path}/a", f"{tmp_path}/b*3"))
    found = torch.cat([batch.image[:, 0, 0, 0] for batch in batches(config, 100, size=8)])
    assert 0.68 < (found > 0).float().mean() < 0.82


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_files_are_counted_and_named(folder, workers):
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("none")
    config = DataConfig((str(folder),))
    loader = make_loader(config, size=SIZE, batch=4, workers=workers)
    found = [next(loader) for _ in range(8)]
    assert sorted(loader.skipped) == [f"{folder}/empty.png", f"{folder}/text.png"]
    assert "is no picture" in loader.skipped[f"{folder}/text.png"]
    assert same(found[3:], batches(config, 5, start=3))
    loader.close()
    assert list(loader) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_what_fails_later_is_one_sentence(tmp_path, workers):
    (tmp_path / "a.png").write_text("none")
    loader = make_loader(DataConfig((str(tmp_path),)), size=SIZE, batch=2, workers=workers)
    with pytest.raises(ValueError, match="none of 1 files can be read") as caught:
        next(loader)
    assert "Traceback" not in str(caught.value) and "\n" not in str(caught.value)
    assert list(loader) == [] and list(loader.skipped) == [str(tmp_path / "a.png")]


def test_a_killed_worker_is_one_sentence():
    loader = make_loader(DataConfig(), size=SIZE, batch=2, workers=1)
    next(loader)
    worker = multiprocessing.active_children()[-1]
    worker.kill()
    with pytest.raises(OSError, match="a data worker stopped"):
        for _ in range(100):
            next(loader)


@pytest.fixture
def sharded(tmp_path: Path) -> DataConfig:
    for shard in range(4):
        members = {f"{i}.png": png(10 * shard + i) for i in range(10)}
        write(tmp_path / f"{shard}.tar", members)
    return DataConfig((f"{tmp_path}/{{0..3}}.tar", "dead-leaves"), masks="thin", crop="resize")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("start", [3, 10])
def test_shards_go_on_with_the_same_ranks_and_workers(sharded, workers, start):
    options = {"workers": workers, "batch": 3, "world": 2, "rank": 1}
    whole = batches(sharded, 16, **options)
    assert same(batches(sharded, 16 - start, start=start, **options), whole[start:])


def test_ranks_and_workers_share_the_shards(sharded):
    config = dataclasses.replace(sharded, sources=sharded.sources[:1])
    parts = [batches(config, 4, batch=5, world=2, rank=rank, workers=2) for rank in (0, 1)]
    corners = [batch.image[:, 0, 0, 0] for part in parts for batch in part]
    greys = ((torch.cat(corners) + 1) * 127.5).round().int().tolist()
    assert sorted(greys) == list(range(40))  # each of four lanes one shard
    loader = make_loader(config, size=8, batch=1, world=5)
    with pytest.raises(ValueError, match="at least as many shards"):
        next(loader)
    loader.close()


def test_the_configuration_is_json():
    config = DataConfig(("a", "b*2"), masks="thick", seed=3)
    assert DataConfig(**json.loads(json.dumps(dataclasses.asdict(config)))) == config


def test_training_draws_the_same_random_numbers_for_any_workers(mixed):
    torch.manual_seed(0)
    expected = torch.rand(3)
    for workers in (0, 1):
        torch.manual_seed(0)
        batches(mixed, 1, workers=workers)
        assert torch.equal(torch.rand(3), expected)


def test_what_is_refused(folder):
    for options in ({"sources": "x"}, {"sources": ()}, {"crop": "squash"}, {"seed": -1}):
        with pytest.raises(ValueError, match=f"^{next(iter(options))} must be"):
            DataConfig(**options)
    for options in ({"size": 4}, {"batch": 0}, {"world": 0}, {"rank": 1}, {"start": -1},
                    {"workers": -1}, {"accumulate": 0}):  # fmt: skip
        with pytest.raises(ValueError, match=f"^{next(iter(options))} must be"):
            make_loader(DataConfig(), **{"size": SIZE, "batch": 1, **options})
    with pytest.raises(ValueError, match="masks must be made of"):
        make_loader(DataConfig(masks="star"), size=SIZE, batch=1)
    assert isinstance(make_loader(DataConfig(), size=SIZE, batch=1), Loader)
