"""Masks: the committed specs draw what they always drew; files by name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gica_ops.evaluate.masks import find_masks, spec_names

# Scores are comparable only as long as these stay: a change of what is drawn is a new spec.
PINNED = {
    "box-half": "81e52a641f220f45",
    "box-quarter": "11a3e743170ff15e",
    "free-form": "4b21c71d02ba9828",
    "medium": "a879f6c6f9d06e75",
    "thick": "5d675b4272466254",
    "thin": "ada7532230f72fb7",
}


def digest(spec: str) -> str:
    masks = find_masks(spec)
    drawn = [masks.hole(f"{name}.png", (96, 128)) for name in ("a", "b", "c")]
    return hashlib.sha256(np.packbits(drawn).tobytes()).hexdigest()[:16]


def test_drawn_masks_are_pinned():
    assert {spec: digest(spec) for spec in spec_names()} == PINNED


def test_a_mask_depends_on_the_spec_and_the_name_alone():
    masks = find_masks("box-quarter")
    first = masks.hole("coffee.png", (64, 64))
    for other in ("rocket.png", "tea.png"):
        assert not np.array_equal(masks.hole(other, (64, 64)), first)
    for same in ("coffee.jpg", "below/coffee.png", "coffee"):
        assert np.array_equal(find_masks("box-quarter").hole(same, (64, 64)), first)
    assert first.sum() == 16 * 16


def test_a_spec_of_the_users(tmp_path):
    holes = []
    for seed in (1, 1, 2):
        path = tmp_path / f"{len(holes)}.json"
        path.write_text(json.dumps({"masks": "box:0.25,delta=0", "seed": seed}))
        holes.append(find_masks(str(path)).hole("coffee.png", (64, 64)))
    assert np.array_equal(holes[0], find_masks("box-quarter").hole("coffee.png", (64, 64)))
    assert np.array_equal(holes[0], holes[1]) and not np.array_equal(holes[0], holes[2])


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"masks": "box"}', '{"masks": 1, "seed": 1}', '{"masks": "no", "seed": 1}'],
)
def test_a_spec_that_is_none_is_a_sentence(tmp_path, text):
    (tmp_path / "spec.json").write_text(text)
    with pytest.raises(ValueError, match="mask"):
        find_masks(str(tmp_path / "spec.json"))


def test_an_unknown_spec_lists_those_there_are():
    with pytest.raises(ValueError, match=r"box-half, box-quarter.*thin.*got 'boxes'"):
        find_masks("boxes")


def write(path: Path, hole: np.ndarray) -> None:
    Image.fromarray(hole.astype(np.uint8) * 255).save(path)


def test_mask_pictures_by_name_and_one_for_all(tmp_path):
    hole = np.random.default_rng(0).random((20, 30)) > 0.5
    write(tmp_path / "a.png", hole)
    masks = find_masks(str(tmp_path))
    assert np.array_equal(masks.hole("a.jpg", (20, 30)), hole)
    with pytest.raises(ValueError, match="none for 'b.jpg'"):
        masks.hole("b.jpg", (20, 30))
    with pytest.raises(ValueError, match="size of the image"):
        masks.hole("a.jpg", (30, 20))
    one = find_masks(str(tmp_path / "a.png"))
    assert np.array_equal(one.hole("b.jpg", (20, 30)), hole)
    Image.new("L", (3, 3)).save(tmp_path / "a.bmp")
    with pytest.raises(ValueError, match="two masks of one name"):
        find_masks(str(tmp_path))


def test_fitted_mask_pictures_are_cut_as_the_pictures_are(tmp_path):
    hole = np.zeros((40, 80), bool)
    hole[:10, 20:30] = True  # the corner of the centre square
    hole[:, :20] = True  # outside of it
    write(tmp_path / "a.png", hole)
    fitted = find_masks(str(tmp_path), fit=True).hole("a.png", (20, 20))
    expected = np.zeros((20, 20), bool)
    expected[:5, :5] = True
    assert np.array_equal(fitted, expected)
