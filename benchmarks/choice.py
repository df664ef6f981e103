"""Makes the table that `gica inpaint --method auto` looks into, from runs of `gica evaluate`.

    python -m benchmarks.choice out/*/scores.csv > gica_ops/weights/scores.json

The runs have the methods exemplar and network side by side. The table holds, for each bin of the
hole's share of the picture, the means of SSIM and PSNR on the hole.
"""

from __future__ import annotations

import csv
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

METHODS = ("exemplar", "network")
METRICS = ("hole_ssim", "hole_psnr")


def table(files: list[Path]) -> dict[str, object]:
    """Means by bin, method and metric; bins are tenths of the picture, by their lower bound."""
    found: dict[int, dict[str, list[dict[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for file in files:
        with open(file, newline="") as lines:
            for row in csv.DictReader(lines):
                if row["method"] in METHODS and not row["error"]:
                    found[int(float(row["share"]) * 10)][row["method"]].append(row)
    bins = []
    for tenth, methods in sorted(found.items()):
        means = {
            method: {
                metric: round(statistics.fmean(float(row[metric]) for row in methods[method]), 4)
                for metric in METRICS
            }
            for method in METHODS
        }
        bins.append({"from": tenth / 10, "holes": len(methods["network"]), **means})
    return {"bins": bins}


if __name__ == "__main__":
    print(json.dumps(table([Path(name) for name in sys.argv[1:]]), indent=1))
