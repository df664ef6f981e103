"""Memory of copying: the bound holds in a process of its own, and a limit is kept."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from gica_ops.inpainting import exemplar
from gica_ops.inpainting.memory import needed, window

# Prints what a filling took beyond the picture and its result, of resident memory.
MEASURE = """
import ctypes
from pathlib import Path
import torch
from gica_ops.inpainting import exemplar

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024

torch.set_num_threads(1)
dice = torch.Generator().manual_seed(0)
coarse = torch.randint(0, 200, (3, {height} // 8, {width} // 8), generator=dice).byte()
image = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)
mask = torch.zeros(image.shape[1:], dtype=torch.bool)
mask[{rows}, {columns}] = True
first = torch.zeros(64, 64, dtype=torch.bool)  # what is loaded with the first call counts as code
first[:9] = True
exemplar.fill(image[:, :64, :64].contiguous(), first)
ctypes.CDLL(None).malloc_trim(0)
before = status("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
filled = exemplar.fill(image, mask, max_memory={limit})
results = filled.values.numel() + 8 * filled.sources.numel()
print(status("VmHWM") - before - results)
"""


def measured(size, rows, columns, limit=None) -> int:
    code = MEASURE.format(height=size[0], width=size[1], rows=rows, columns=columns, limit=limit)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak of resident memory")
def test_the_bound_holds_and_is_no_more_than_some_times_what_is_taken():
    size, hole = (1440, 1920), (slice(600, 780), slice(700, 940))
    mask = torch.zeros(size, dtype=torch.bool)
    mask[hole] = True
    bound = needed(mask.numel(), int(mask.sum()), int(exemplar.grow(mask, 3).sum()), 3)
    taken = measured(size, *(f"slice({s.start}, {s.stop})" for s in hole))
    assert bound / 3 < taken <= bound


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak of resident memory")
def test_a_limit_is_kept():
    limit = 140 * 2**20
    rows, columns = "slice(600, 700)", "slice(700, 840)"
    assert measured((2400, 3200), rows, columns, limit) <= limit


def test_a_limit_takes_what_is_near_the_hole_and_says_where_that_is_too_little():
    mask = torch.zeros(2000, 3000, dtype=torch.bool)
    mask[900:1000, 100:200] = True
    rows, columns = window(mask, 3, 2**27)
    assert rows.start <= 868 and rows.stop >= 1032 and columns.start == 0 and columns.stop >= 232
    assert (rows.stop - rows.start) * (columns.stop - columns.start) < mask.numel() / 4
    with pytest.raises(ValueError, match=r"max_memory must be at least \d+ MiB for this hole"):
        window(mask, 3, 2**20)


def test_what_is_filled_within_a_limit_is_exact_outside_the_hole():
    image = torch.randint(0, 256, (3, 700, 900), dtype=torch.uint8)
    mask = torch.zeros(700, 900, dtype=torch.bool)
    mask[300:340, 500:560] = True
    filled = exemplar.fill(image, mask, max_memory=118 * 2**20)
    assert torch.equal(filled.values[:, ~mask], image[:, ~mask])
    row, column = filled.sources[:, mask]
    rows, columns = window(mask, 3, 118 * 2**20)
    assert rows.stop - rows.start < 700
    assert int(row.min()) >= rows.start and int(row.max()) < rows.stop
    assert int(column.min()) >= columns.start and int(column.max()) < columns.stop
    assert not mask[row, column].any()
