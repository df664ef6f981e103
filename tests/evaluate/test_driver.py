"""The driver: what methods get to see, what they may return, what happens when one fails."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from gica_ops.evaluate import Shown, evaluate, find_masks, make_methods
from gica_ops.evaluate.pictures import find_pictures, repeat
from gica_ops.model import Generator

SIDE = 16


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, (SIDE, SIDE, 3), np.uint8)


def mask(name: str, size: tuple[int, int]) -> np.ndarray:
    hole = np.zeros(size, bool)
    hole[4:8, 4:8] = True
    return hole


def grey(seen: np.ndarray, hole: np.ndarray) -> np.ndarray:
    return np.where(hole[..., None], np.uint8(128), seen)


def test_a_method_never_sees_the_hole():
    truth = picture()

    def cheat(seen: np.ndarray, hole: np.ndarray) -> np.ndarray:
        assert np.array_equal(seen[~hole], truth[~hole])
        return seen  # would score perfectly if the hole's content were still there

    row = evaluate({"a": truth}, mask, {"cheat": cheat}).rows[0]
    assert row.error is None
    assert row.scores["hole_l1"] == pytest.approx(truth[4:8, 4:8].mean() / 255)  # it saw black


def test_a_method_that_works_in_place_disturbs_nobody():
    def spoil(seen: np.ndarray, hole: np.ndarray) -> np.ndarray:
        filled = seen.copy()
        seen[:] = 0
        hole[:] = True
        return filled

    rows = evaluate({"a": picture()}, mask, {"spoil": spoil, "grey": grey}).rows
    alone = evaluate({"a": picture()}, mask, {"grey": grey}).rows
    assert rows[0].error is None and rows[1].scores == alone[0].scores


def shift(seen: np.ndarray, hole: np.ndarray) -> np.ndarray:
    filled = grey(seen, hole)
    filled[0, 0, 0] ^= 1
    filled[9, 9] ^= 1
    return filled


def burst(seen: np.ndarray, hole: np.ndarray) -> np.ndarray:
    raise RuntimeError("no\nluck")


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (shift, "ValueError: a method must leave known pixels as they are, but altered 2"),
        (burst, "RuntimeError: no luck"),
        (lambda seen, hole: seen[1:], "ValueError: a method must return (16, 16, 3) of uint8"),
        (lambda seen, hole: seen / 255, "got (16, 16, 3) of float64"),
        (lambda seen, hole: None, "TypeError: a method must return an array, got NoneType"),
    ],
)
def test_what_goes_wrong_in_a_method_is_a_row(method, said):
    shown: list[Shown] = []
    methods = {"wrong": method, "grey": grey}
    results = evaluate({"a": picture(), "b": picture(1)}, mask, methods, observe=shown.append)
    assert [row.error is None for row in results.rows] == [False, True] * 2
    assert said in results.rows[0].error and results.rows[0].scores == {}
    assert not results.complete
    assert [list(each.filled) for each in shown] == [["grey"]] * 2


def test_broken_pictures_are_named_and_the_rest_goes_on(tmp_path):
    for name in ("a.png", "c.png"):
        Image.fromarray(picture()).save(tmp_path / name)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    (tmp_path / "notes.txt").write_text("no picture, and not taken for one")
    done: list[int] = []
    pictures = find_pictures(str(tmp_path))
    results = evaluate(pictures, mask, {"grey": grey}, progress=done.append)
    assert [row.picture for row in results.rows] == ["a.png", "c.png"]
    assert list(results.broken) == ["b.png"] and "b.png" in results.broken["b.png"]
    assert not results.complete and done == [1, 2, 3]


@pytest.mark.parametrize(
    ("hole", "said"),
    [
        (np.zeros((SIDE, SIDE), bool), "covers nothing"),
        (np.ones((SIDE, SIDE), bool), "covers all"),
        (np.zeros((SIDE, 9), bool), "must be of shape"),
        (np.zeros((SIDE, SIDE), np.uint8), "uint8"),
    ],
)
def test_a_mask_that_cannot_be_used_leaves_its_picture_out(hole, said):
    masks = {"a": hole, "b": mask("b", (SIDE, SIDE))}
    pictures = {"a": picture(), "b": picture()}
    results = evaluate(pictures, lambda name, size: masks[name], {"grey": grey})
    assert [row.picture for row in results.rows] == ["b"] and said in results.broken["a"]


def test_bins_by_the_share_of_the_hole():
    def rows(pixels: int) -> np.ndarray:
        hole = np.zeros(100, bool)
        hole[:pixels] = True
        return hole.reshape(10, 10)

    covered = [1, 9, 10, 11, 55, 90, 99]
    pictures = {str(i): np.zeros((10, 10, 3), np.uint8) for i in covered}
    results = evaluate(pictures, lambda name, size: rows(int(name)), {"grey": grey})
    assert [row.bin for row in results.rows] == [0, 0, 1, 1, 5, 9, 9]
    assert [row.share for row in results.rows] == [i / 100 for i in covered]


def test_no_methods_is_a_sentence():
    with pytest.raises(ValueError, match="methods must hold"):
        evaluate({"a": picture()}, mask, {})


def test_every_shipped_method_fills_a_hole_and_leaves_the_rest():
    ramp = np.linspace(40, 200, SIDE).astype(np.uint8)
    truth = np.broadcast_to(ramp[:, None, None], (SIDE, SIDE, 3)).copy()
    methods = make_methods(["exemplar", "telea", "navier-stokes"])
    results = evaluate({"ramp": truth}, mask, methods)
    assert results.complete
    for row in results.rows:
        assert row.scores["hole_l1"] < 0.06, row.method  # black would be 0.4


def test_two_checkpoints_side_by_side(tmp_path):
    for name, seed in (("one", 0), ("two", 1)):
        torch.manual_seed(seed)
        Generator.v1(cnum=4).save_pretrained(tmp_path / name)
    methods = make_methods([f"first=network:{tmp_path}/one", f"network:{tmp_path}/two"])
    shown: list[Shown] = []
    results = evaluate({"a": picture()}, mask, methods, observe=shown.append)
    assert results.complete, results.rows
    first, second = shown[0].filled.values()
    assert not np.array_equal(first, second)
    assert [row.method for row in results.rows] == ["first", f"network:{tmp_path}/two"]


def test_unknown_and_repeated_methods_are_sentences():
    with pytest.raises(ValueError, match="exemplar, network, telea, navier-stokes, got 'magic'"):
        make_methods(["magic"])
    with pytest.raises(ValueError, match="'telea' is there twice; LABEL=telea"):
        make_methods(["telea", "telea"])
    with pytest.raises(ValueError, match="takes a folder after the colon, got 'some/where'"):
        make_methods(["network:some/where"])
    with pytest.raises(ValueError, match="takes nothing after a colon, got '3'"):
        make_methods(["exemplar:3"])


def test_a_glob_names_pictures_by_where_they_differ(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / folder / "same.png")
    assert list(find_pictures(f"{tmp_path}/*/*.png")) == ["one/same.png", "two/same.png"]


def test_pictures_of_every_mode_become_colours_of_8_bits(tmp_path):
    deep = np.full((4, 6), 200 * 257, np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.new("RGBA", (6, 4), (200, 10, 20, 0)).save(tmp_path / "alpha.png")
    Image.new("L", (6, 4), 200).save(tmp_path / "grey.png")
    pictures = find_pictures(str(tmp_path))
    assert pictures["deep.png"]()[0, 0].tolist() == [200] * 3
    assert pictures["alpha.png"]()[0, 0].tolist() == [200, 10, 20]
    assert pictures["grey.png"]().shape == (4, 6, 3)


def test_size_takes_the_centre_square(tmp_path):
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    fitted = find_pictures(str(tmp_path), size=10)["a.png"]()
    assert fitted.shape == (10, 10, 3) and fitted.min() == 255


@pytest.mark.parametrize("images", ["", "nowhere/*.png"])
def test_no_pictures_is_a_sentence(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="images must"):
        find_pictures(images)


def test_repeated_pictures_get_masks_of_their_own():
    pictures = repeat({"a.png": picture}, 3)
    results = evaluate(pictures, find_masks("box-quarter").hole, {"grey": grey})
    assert [row.picture for row in results.rows] == ["a.png", "a#2.png", "a#3.png"]
    assert len({row.scores["hole_l1"] for row in results.rows}) == 3
    once = evaluate({"a.png": picture}, find_masks("box-quarter").hole, {"grey": grey})
    assert once.rows[0].scores == results.rows[0].scores


def test_bundled_pictures_by_part():
    held_out, every = find_pictures("bundled:held-out", size=32), find_pictures("bundled")
    assert len(held_out) >= 5 and held_out.keys() < every.keys()
    assert held_out["coffee"]().shape == (32, 32, 3)
    with pytest.raises(ValueError, match="held-out.*got 'none'"):
        find_pictures("bundled:none")
