"""Index maths of the CUDA kernels against statements of what it means, by brute force."""

from __future__ import annotations

import itertools

import pytest

BOXES = [(0, 8, 0, 8), (0, 9, 0, 9), (3, 20, 5, 32), (0, 1, 0, 71), (8, 17, 0, 3), (2, 25, 7, 24)]


def positions(box):
    y0, y1, x0, x1 = box
    return list(itertools.product(range(y0, y1), range(x0, x1)))


@pytest.mark.parametrize("box", BOXES)
def test_tiles_hold_every_position_of_a_box_once(emulated_kernels, box):
    slots = emulated_kernels.tile_positions(box)
    held = [tuple(at) for at in slots if at is not None]
    assert sorted(held) == positions(box)
    assert len(slots) - len(held) < 64
    for slot, at in enumerate(slots):
        if at is not None:
            assert emulated_kernels.tile_find(box, *at) == slot


@pytest.mark.parametrize("box", BOXES)
def test_whole_tiles_are_squares(emulated_kernels, box):
    slots = emulated_kernels.tile_positions(box)
    y0, y1, x0, x1 = box
    for tile in range((y1 - y0) // 8 * ((x1 - x0) // 8)):
        ys, xs = zip(*slots[64 * tile : 64 * tile + 64], strict=True)
        assert max(ys) - min(ys) == 7 and max(xs) - min(xs) == 7


@pytest.mark.parametrize(("height", "width"), [(5, 4), (1, 6), (6, 1), (3, 3)])
@pytest.mark.parametrize("steps", range(-7, 8))
def test_steps_down_the_columns(emulated_kernels, height, width, steps):
    """Column-major flat positions, one after the other."""
    order = [y * width + x for x in range(width) for y in range(height)]
    for at, position in enumerate(order):
        expected = order[at + steps] if 0 <= at + steps < len(order) else -1
        assert emulated_kernels.step_down(position, steps, height, width) == expected


STRIPS = [
    ((0, 9, 0, 17), 9, 17), ((7, 16, 0, 8), 20, 17), ((0, 8, 7, 17), 9, 20),
    ((15, 20, 7, 13), 20, 13), ((0, 1, 0, 12), 1, 12), ((0, 12, 0, 1), 12, 1), ((0, 3, 0, 4), 3, 4),
    ((7, 9, 7, 9), 9, 9),
]  # fmt: skip


RADII = [(0, 0), (1, 0), (1, 1), (2, 1), (1, 3), (0, 8)]


@pytest.mark.parametrize(("box_radius", "fuse_radius"), RADII)
@pytest.mark.parametrize(("strip", "height", "width"), STRIPS)
def test_slots_of_a_strip(emulated_kernels, strip, height, width, box_radius, fuse_radius):
    """Every score that a propagated score needs has a slot, and every product that it needs too."""
    slots = emulated_kernels.Slots(
        strip, height, width, box_radius=box_radius, fuse_radius=fuse_radius
    )
    gram_slots = slots.gram_groups * slots.gram_width
    reach = range(-fuse_radius, fuse_radius + 1)
    for row, column in positions(strip):
        for down, along in itertools.product(reach, reach):
            group = row - strip[0] + fuse_radius + down
            below = emulated_kernels.step_down(row * width + column, down, height, width)
            inside = 0 <= column + slots.score_shift(group) < width
            assert inside == (below >= 0)
            if not inside:
                continue
            p = below + along
            assert slots.score_base(group) + column - strip[2] + along == p
            if not 0 <= p < height * width:
                continue
            i = column - strip[2] + fuse_radius + along
            assert 0 <= group < slots.score_groups and 0 <= i < slots.score_width
            box = range(-box_radius, box_radius + 1)
            for dy, dx in itertools.product(box, box):
                y, x = p // width + dy, p % width + dx
                if not (0 <= y < height and 0 <= x < width):
                    continue
                slot = slots.gram_of(group, dy) * slots.gram_width + i + box_radius + dx
                assert 0 <= slot < gram_slots
                assert slots.gram_position(slot) == y * width + x


MAPS = [(8, 8), (9, 17), (40, 33), (1, 50), (50, 1), (16, 7), (20, 20)]


def inside(inner, outer):
    starts = all(outer[i] <= inner[i] for i in (0, 2))
    return starts and all(inner[i] <= outer[i] for i in (1, 3))


@pytest.mark.parametrize(("both_sides", "slices"), [(False, False), (False, True), (True, False)])
@pytest.mark.parametrize(
    ("box_radius", "fuse_radius"), [(1, 1), (0, 0), (2, 1), (1, 8), (5, 20), (31, 31)]
)
@pytest.mark.parametrize(("height", "width"), MAPS)
def test_plans(emulated_kernels, height, width, box_radius, fuse_radius, both_sides, slices):
    """Strips own every position of the grid once, slices every one of their strip, in whole tiles;
    they hold what they need, and fit into the scratch that is made for the largest."""
    smallest = None
    for limit in (1, 500, 5000, 1 << 40):
        *strips, largest = emulated_kernels.strips(
            height, width, box_radius=box_radius, fuse_radius=fuse_radius,
            both_sides=both_sides, slices=slices, limit=limit,
        )  # fmt: skip
        owned = [at for strip in strips for at in positions(strip["own"])]
        assert sorted(owned) == positions((0, height + 1, 0, width + 1))
        scored = [at for strip in strips for at in positions(strip["scored"])]
        assert sorted(scored) == positions((0, height, 0, width))
        needed = largest["attended_sizes"][1] + len(positions(largest["slices"][0]))
        smallest = needed if smallest is None else smallest
        assert needed <= max(limit, smallest)
        for strip in strips:
            y0, y1, x0, x1 = strip["own"]
            more = 1 if both_sides else 0
            grid = (y0, min(y1 + more, height + 1), x0, min(x1 + more, width + 1))
            assert inside(grid, strip["grid"])
            attended = (
                max(grid[0] - 1, 0), min(grid[1], height), max(grid[2] - 1, 0), min(grid[3], width)
            )  # fmt: skip
            assert inside(attended, strip["positions"])
            for name in ("attended_sizes", "scored_sizes"):
                assert all(a <= b for a, b in zip(strip[name], largest[name], strict=True)), strip
            assert max(strip["tiles"]) <= largest["tiles"][0]
            cut = [at for part in strip["slices"] for at in positions(part)]
            assert sorted(cut) == positions(strip["grid"])
            assert len(strip["slices"]) == 1 or all(part[2] % 8 == 0 for part in strip["slices"])


def test_plain_tiles(emulated_kernels):
    grid = (0, 17, 0, 25)
    for i, j in positions(grid):
        assert emulated_kernels.plain_tile(grid, i, j) == i // 8 * 4 + j // 8
