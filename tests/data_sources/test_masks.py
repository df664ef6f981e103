"""Holes: the original's boxes, strokes of every kind, files, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gica_ops.data.masks import BoxMask, Mask, box_hole, parse_mask_spec, sample_box
from gica_ops.data.strokes import LAMA, free_form, lama

GOLDEN = Path(__file__).parents[1] / "data/golden/box_masks_v1.npz"
KINDS = ["box", "box:0.25,margin=0.1", "free-form", "thin", "medium", "thick", "box+free-form+thin"]


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("number", range(6))
def test_holes_are_the_original_codes(number):
    golden = np.load(GOLDEN)
    box, mask = tuple(golden[f"bbox{number}"].tolist()), golden[f"bbox{number}_mask"]
    rows = int(np.flatnonzero(mask.any(1))[0]) - box[0]
    columns = int(np.flatnonzero(mask.any(0))[0]) - box[1]
    most = golden[f"bbox{number}_maxdelta"] // 2
    assert 0 <= rows <= most[0] and 0 <= columns <= most[1]
    assert np.array_equal(box_hole(mask.shape, box, (rows, columns)), mask == 1)


def test_boxes_reach_as_far_as_the_original_codes():
    golden = np.load(GOLDEN)
    height, width, down, right, tall, wide = golden["random_bbox_config_H_W_vm_hm_h_w"].tolist()
    rng = generator()
    boxes = np.array(
        [sample_box((height, width), (tall, wide), rng, (down, right)) for _ in range(4000)]
    )
    seen = np.stack([boxes[:, :2].min(0), boxes[:, :2].max(0)], 1)
    assert np.array_equal(seen, golden["random_bbox_observed_min_max"])
    assert (boxes[:, 2:] == (tall, wide)).all()


def test_the_papers_box():
    rng = generator()
    masks = [parse_mask_spec("box").draw((256, 256), rng) for _ in range(1500)]
    boxes = np.array([mask.box for mask in masks])
    assert (boxes[:, 2:] == 128).all()
    assert boxes[:, :2].min() == 0 and boxes[:, :2].max() == 127  # 128 is never taken
    holes = np.array([Mask(mask.hole).bounding_box() for mask in masks])
    cut = holes[:, :2] - boxes[:, :2]
    assert (holes[:, 2:] == 128 - 2 * cut).all()  # centred
    assert set(cut[:, 0]) == set(cut[:, 1]) == set(range(17))
    assert abs(np.corrcoef(cut.T)[0, 1]) < 0.1  # rows and columns on their own
    assert all(mask.hole.sum() == h * w for mask, (_, _, h, w) in zip(masks, holes, strict=True))


@pytest.mark.parametrize("text", KINDS)
@settings(max_examples=25)
@given(st.integers(2, 90), st.integers(2, 90), st.integers(0, 2**32))
def test_every_mask_has_a_hole_and_surroundings(text, height, width, seed):
    spec = parse_mask_spec(text)
    mask = spec.draw((height, width), generator(seed))
    assert mask.hole.shape == (height, width) and mask.hole.dtype == bool
    assert 0 < mask.hole.sum() < mask.hole.size
    top, left, tall, wide = mask.bounding_box()
    assert top >= 0 and left >= 0 and top + tall <= height and left + wide <= width
    outside = mask.hole.copy()
    outside[top : top + tall, left : left + wide] = False
    assert not outside.any()
    again = spec.draw((height, width), generator(seed))
    assert np.array_equal(mask.hole, again.hole) and mask.box == again.box


def test_bounding_box_touches_the_hole_on_every_side():
    mask = parse_mask_spec("free-form").draw((64, 80), generator(3))
    assert mask.box is None
    top, left, tall, wide = mask.bounding_box()
    inside = mask.hole[top : top + tall, left : left + wide]
    for side in (inside[0], inside[-1], inside[:, 0], inside[:, -1]):
        assert side.any()


def shares(draw, size, count=150):
    return np.array([draw(size, generator(seed)).mean() for seed in range(count)])


# Around what the papers' settings give, wide enough for other random numbers.
@pytest.mark.parametrize(
    "draw, low, high",
    [
        (free_form, 0.10, 0.20),
        (lambda size, rng: lama(LAMA["thin"], size, rng), 0.20, 0.36),
        (lambda size, rng: lama(LAMA["medium"], size, rng), 0.17, 0.32),
        (lambda size, rng: lama(LAMA["thick"], size, rng), 0.30, 0.48),
    ],
)
def test_strokes_cover_what_they_should_at_any_size(draw, low, high):
    at = {size: shares(draw, (size, size)).mean() for size in (96, 256)}
    assert low < at[256] < high
    assert abs(at[96] - at[256]) < 0.05  # they grow with the picture


def test_strokes_are_as_thick_as_their_kind():
    """The mean distance from the hole's pixels to known ones, by erosion."""

    def thickness(kind: str) -> float:
        total = []
        for seed in range(20):
            hole = parse_mask_spec(kind).draw((128, 128), generator(seed)).hole
            area, steps = hole.sum(), 0
            while hole.any():
                steps += hole.sum()
                inner = np.pad(hole, 1, constant_values=True)
                hole = (
                    hole & inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
                )
            total.append(steps / area)
        return float(np.mean(total))

    assert 1.5 * thickness("thin") < thickness("medium") < thickness("thick") / 1.3


def test_lama_masks_leave_half_of_the_picture():
    spec = parse_mask_spec("thick")
    assert max(spec.draw((64, 64), generator(seed)).hole.mean() for seed in range(200)) <= 0.5


def test_options_of_boxes():
    exact = parse_mask_spec("box:24,delta=0").draw((64, 48), generator())
    assert exact.box[2:] == (24, 24) and exact.hole.sum() == 24 * 24
    assert parse_mask_spec("box:side=0.25,margin=8") == BoxMask(0.25, 0.25, 8)
    for seed in range(50):
        top, left, *_ = parse_mask_spec("box:0.25,margin=8").draw((64, 64), generator(seed)).box
        assert 8 <= top < 40 and 8 <= left < 40
    # A delta as large as the box still leaves a hole.
    assert parse_mask_spec("box:4,delta=64").draw((64, 64), generator()).hole.any()


def test_mixtures_draw_every_kind():
    spec = parse_mask_spec("box:8,delta=0+box:16,delta=0+free-form")
    kinds = [spec.draw((64, 64), generator(seed)).box for seed in range(300)]
    sides = [box[2] if box else 0 for box in kinds]
    for side in (0, 8, 16):
        assert 70 < sides.count(side) < 130


def test_files_are_white_where_the_hole_is(tmp_path):
    for number, grey in enumerate((127, 128)):
        picture = np.zeros((20, 30), np.uint8)
        picture[5:10, 6 + 10 * number : 12 + 10 * number] = grey
        picture[0, 0] = 255
        Image.fromarray(picture).save(tmp_path / f"a+box {number}.png")
    (tmp_path / "notes.txt").write_text("no mask")
    spec = parse_mask_spec(f"files:{tmp_path}")
    holes = [spec.draw((40, 60), generator(seed)).hole for seed in range(20)]
    sums = {int(hole.sum()) for hole in holes}
    assert sums == {4, 4 + 10 * 12}  # 127 is known
    one = parse_mask_spec(f"files:{tmp_path}/*1.png").draw((20, 30), generator()).hole
    assert one[5:10, 16:22].all() and one.sum() == 31
    # A plus in a name is no separator, unless a kind's name comes behind it.
    mixed = parse_mask_spec(f"files:{tmp_path}/a+box 1.png+thin")
    assert len(mixed.specs) == 2


def test_what_is_refused(tmp_path):
    for text in ("", "boxes", "thin:3", "free-form+", "files:", "box:side", "box:-1", "box:0",
                 "box:side=1,depth=2", f"files:{tmp_path}"):  # fmt: skip
        with pytest.raises(ValueError, match="^masks"):
            parse_mask_spec(text)
    with pytest.raises(ValueError, match="leaves nothing of a picture of 64 x 64"):
        parse_mask_spec("box:64").draw((64, 64), generator())
    with pytest.raises(ValueError, match="does not fit"):
        parse_mask_spec("box:40,margin=20").draw((64, 64), generator())
    with pytest.raises(ValueError, match="room for a hole"):
        parse_mask_spec("box").draw((1, 1), generator())
    Image.new("L", (9, 9)).save(tmp_path / "black.png")
    with pytest.raises(ValueError, match="left no hole"):
        parse_mask_spec(f"files:{tmp_path}").draw((9, 9), generator())
    (tmp_path / "black.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"black\.png.*cannot be read"):
        parse_mask_spec(f"files:{tmp_path}").draw((9, 9), generator())
