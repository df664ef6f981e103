"""Scores as a table of rows, as means, and as Markdown."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from .driver import BINS, Results, Row
from .metrics import METRICS, MS_SSIM_LEAST

__all__ = ["scores_csv", "summarise", "summary_markdown"]

# Columns of the Markdown tables: heading, metric, factor.
COLUMNS = (
    ("hole L1 %", "hole_l1", 100), ("hole L2 %", "hole_l2", 100), ("hole PSNR dB", "hole_psnr", 1),
    ("hole SSIM", "hole_ssim", 1), ("hole TV ratio", "hole_tv_ratio", 1),
    ("whole L1 %", "whole_l1", 100), ("whole PSNR dB", "whole_psnr", 1),
    ("whole SSIM", "whole_ssim", 1), ("whole MS-SSIM", "whole_ms_ssim", 1),
    ("LPIPS", "whole_lpips", 1),
)  # fmt: skip


def scores_csv(results: Results) -> str:
    """A row for every picture and method, with a heading.

    Shares are of the picture, numbers have nine digits. Cells of metrics that are not defined are
    empty; PSNR of equal pictures is `inf`. How long it took is left out: the same run gives the
    same file.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["picture", "method", "height", "width", "share", "bin", *METRICS, "error"])
    for row in results.rows:
        cells = [_cell(row.scores.get(name)) for name in METRICS]
        known = [
            row.picture,
            row.method,
            row.height,
            row.width,
            _cell(row.share),
            bin_name(row.bin),
        ]
        writer.writerow([*known, *cells, row.error or ""])
    return text.getvalue()


def summarise(results: Results) -> dict[str, Any]:
    """Means by method, over all pictures and by the hole's share of the picture.

    Returns what JSON can hold: under "methods", by label, "all" and "bins"; in these, by metric,
    "mean", "std" (over n - 1; None for one picture), "count", and "infinite": pictures of infinite
    PSNR, which count in neither of the others. Also "pictures", "broken", "notes".

    >>> scores = [{"hole_psnr": 20.0}, {"hole_psnr": 22.0}, {"hole_psnr": math.inf}]
    >>> rows = [Row(f"{i}.png", "a", 8, 8, 0.25, 2, s, 0.5) for i, s in enumerate(scores)]
    >>> summarise(Results(rows))["methods"]["a"]["bins"]["20-30 %"]["hole_psnr"]
    {'mean': 21.0, 'std': 1.4142135623730951, 'count': 2, 'infinite': 1}
    """
    methods: dict[str, Any] = {}
    for label in dict.fromkeys(row.method for row in results.rows):
        rows = [row for row in results.rows if row.method == label]
        done = [row for row in rows if row.error is None]
        methods[label] = {
            "pictures": len(done),
            "errors": {row.picture: row.error for row in rows if row.error is not None},
            "seconds": statistics.fmean(row.seconds for row in done) if done else None,
            "all": _means(done),
            "bins": {
                bin_name(i): _means(part)
                for i in range(BINS)
                if (part := [row for row in done if row.bin == i])
            },
        }
        if label in results.fid:
            methods[label]["fid"] = results.fid[label]
    return {
        "pictures": len({row.picture for row in results.rows}),
        "broken": results.broken,
        "methods": methods,
        "notes": list(_notes(results)),
    }


def summary_markdown(summary: dict[str, Any]) -> str:
    """The table of a summary, and where holes are of several sizes one by these.

    Columns that nobody has a value in are left out.
    """
    methods = summary["methods"]
    used = [c for c in COLUMNS if any(c[1] in method["all"] for method in methods.values())]
    has_fid = any("fid" in method for method in methods.values())
    headings = ["method", "pictures", *(heading for heading, _, _ in used)]
    lines = _heading([*headings, *(["FID"] if has_fid else []), "s / picture"])
    for label, method in methods.items():
        cells = [label, str(method["pictures"]), *_numbers(method["all"], used)]
        for name, decimals in [*([("fid", 2)] if has_fid else []), ("seconds", 3)]:
            value = method.get(name)
            cells.append("" if value is None else f"{value:.{decimals}f}")
        lines.append(_line(cells))
    bins = [
        bin_name(i) for i in range(BINS) if any(bin_name(i) in m["bins"] for m in methods.values())
    ]
    if len(bins) > 1:
        lines += ["", *_heading(["hole", *headings])]
        for part in bins:
            for label, method in methods.items():
                if part in method["bins"]:
                    means = method["bins"][part]
                    count = str(max(m["count"] + m["infinite"] for m in means.values()))
                    lines.append(_line([part, label, count, *_numbers(means, used)]))
    for note in summary["notes"]:
        lines += ["", note]
    return "\n".join(lines) + "\n"


def bin_name(number: int) -> str:
    """What a bin is called.

    >>> bin_name(0)
    '0-10 %'
    """
    width = 100 // BINS
    return f"{width * number}-{width * (number + 1)} %"


def _means(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    found = {}
    for name in METRICS:
        values = [v for row in rows if (v := row.scores.get(name)) is not None]
        finite = [v for v in values if math.isfinite(v)]
        if values:
            found[name] = {
                "mean": statistics.fmean(finite) if finite else None,
                "std": statistics.stdev(finite) if len(finite) > 1 else None,
                "count": len(finite),
                "infinite": len(values) - len(finite),
            }
    return found


def _notes(results: Results) -> Iterable[str]:
    if results.broken:
        yield f"Pictures left out: {len(results.broken)}; summary.json says why."
    failed = [row for row in results.rows if row.error is not None]
    if failed:
        yield f"Fillings that failed and are in no mean: {len(failed)}; summary.json says why."
    infinite = sum(row.scores.get("hole_psnr") == math.inf for row in results.rows)
    if infinite:
        yield f"Fillings equal to the truth, whose infinite PSNR is in no mean: {infinite}."
    small = {row.picture for row in results.rows if min(row.height, row.width) < MS_SSIM_LEAST}
    if small:
        yield f"Pictures below {MS_SSIM_LEAST} pixels a side, which have no MS-SSIM: {len(small)}."
    if results.fid:
        count = len({row.picture for row in results.rows})
        yield f"Pictures that FID is of: {count}; below some thousands it is biased upwards."


def _numbers(means: dict[str, Any], columns: Sequence[tuple[str, str, int]]) -> list[str]:
    cells = []
    for _, name, factor in columns:
        found = means.get(name)
        if found is None:
            cells.append("")
        elif found["mean"] is None:
            cells.append("inf")
        else:
            decimals = METRICS[name] - (2 if factor == 100 else 0)
            cells.append(f"{found['mean'] * factor:.{decimals}f}")
    return cells


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.9g}"


def _heading(cells: Sequence[str]) -> list[str]:
    return [_line(cells), _line(["---"] * len(cells)).replace(" ", "")]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
