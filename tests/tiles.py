"""Problems of many shapes of tiles, by name: options of gica_ops.testing.make_problem."""

from __future__ import annotations

from typing import Any

__all__ = ["PASTES", "SLICED", "SLICED_LIMITS", "WALKS"]

# A tile takes 64 positions of a row of the foreground by 128 of the background, or by 64 where that
# brings in less: up to 64 long, or from 129 to 192.
WALKS: dict[str, dict[str, Any]] = {
    "one tile": {"channels": 3, "size": (3, 5), "b_size": (2, 70)},
    "a whole tile": {"size": (2, 64), "b_size": (2, 128)},
    "two tiles of the foreground": {"size": (3, 70), "b_size": (3, 97), "query": True},
    "three of the foreground, two of the background": {"size": (2, 131), "b_size": (2, 197)},
    "a whole narrow tile": {"size": (3, 66), "b_size": (2, 64)},
    "two narrow tiles": {"size": (3, 10), "b_size": (3, 130)},
    "two steps of depth": {"channels": 100, "size": (4, 9), "b_size": (3, 66)},
    "four steps of depth": {"channels": 256, "size": (2, 9), "b_size": (2, 65)},
    "taller than wide": {"size": (21, 3), "b_size": (5, 72)},
    "many rows of a long background": {"size": (3, 9), "b_size": (26, 640)},
    "no propagation": {"size": (4, 11), "b_size": (4, 80), "fuse": False},
    "two samples": {
        "batch": 2, "size": (5, 20), "b_size": (4, 68), "mask": "per_sample", "semantics": "mmagic",
    },
}  # fmt: skip

# Bytes of scratch within which strips of this problem are pasted in slices, on a device of eight
# multiprocessors: test_cuda_gate.py counts them, test_emulated_schedules.py looks at the results.
SLICED: dict[str, Any] = {"channels": 16, "size": (10, 60), "b_size": (9, 20)}
SLICED_LIMITS = (300_000, 500_000, 850_000)

DENSE = {"skip": "never", "softmax_scale": 1.0}

# Clusters take four tiles of 64 positions by 256 columns. Where that is less work than there are
# clusters (the emulated device has 4), long lists are split.
PASTES: dict[str, dict[str, Any]] = {
    "one tile": {"channels": 3, "size": (6, 7), "b_size": (7, 6), "mask": "none"},
    "two groups, the second of one tile": {"size": (16, 16), "kind": "natural"},
    "an odd number of rows of tiles": {"size": (24, 24), "b_size": (10, 12)},
    "two samples": {
        "batch": 2, "channels": 20, "size": (22, 36), "b_size": (34, 18), "rate": 2, "query": True,
    },
    "two parts of the columns": {
        "channels": 128, "size": (20, 34), "b_size": (38, 18), "rate": 2, "skip": "never",
    },
    "columns that end within a part": {
        "channels": 72, "size": (20, 20), "b_size": (18, 22), "rate": 2, "query": True, **DENSE,
    },
    "values of 5 channels": {
        "size": (20, 24), "b_size": (22, 26), "rate": 2, "value_scale": 2, "value_channels": 5,
    },
    "values of 40 channels, queried": {
        "channels": 3, "size": (14, 12), "rate": 1, "value_scale": 2, "value_channels": 40,
        "query": True, "semantics": "mmagic",
    },
    "one live block in most rows": {
        "size": (24, 16), "f_is_b": True, "mask": "none", "softmax_scale": 50.0,
    },
    "split lists, dense": {"size": (8, 8), "b_size": (46, 46), **DENSE},
    "split lists, few live": {
        "size": (8, 16), "b_size": (46, 46), "kind": "natural", "softmax_scale": 100.0,
    },
    "nothing to attend to": {"size": (16, 16), "mask": "all"},
    "nothing to attend to, split lists": {"size": (8, 8), "b_size": (46, 46), "mask": "all"},
}  # fmt: skip
