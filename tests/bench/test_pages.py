"""What is made of records: comparisons, pages, plots, figures with bounds."""

from __future__ import annotations

import dataclasses
import json

import pytest

from benchmarks import bars
from gica_ops.bench.compare import compare, machine_changes
from gica_ops.bench.growth import growth_problems
from gica_ops.bench.problems import Problem
from gica_ops.bench.record import Record, Row
from gica_ops.bench.report import write_report, write_section
from gica_ops.bench.tables import markdown

ABOUT = {
    "device": "a processor 2 threads", "date": "2026-01-01T00:00:00+00:00", "commit": "abc",
    "command": "python -m benchmarks", "threads": 2, "versions": {"torch": "2.13.0"},
}  # fmt: skip
RATES = {"matrix": {"float32": 1e11, "bfloat16": 1e12}, "copy": 1e10}
STOPPED = "out of memory"


def row(
    problem: Problem, method: str = "gica", seconds: float = 1.0, live: float | None = 1.0
) -> Row:
    times = tuple(seconds * factor for factor in (0.99, 1.0, 1.01))
    live = live if method == "gica" else None
    name = problem.name
    return Row(problem, method, "measured", times, 2**20, {"output": 1.0}, name, live)


def record(*rows: Row) -> Record:
    return Record(ABOUT, RATES, rows)


SIZES = [Problem(side, side) for side in (256, 512, 1024)]


def test_a_time_without_its_check_is_no_row(tmp_path):
    with pytest.raises(ValueError, match="counts only after its check"):
        dataclasses.replace(row(SIZES[0]), errors={})
    path = tmp_path / "record.json"
    record(row(SIZES[0])).write(path)
    values = json.loads(path.read_text())
    values["rows"][0]["errors"] = {}
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match="none of `gica bench`.*counts only after its check"):
        Record.read(path)
    values["rows"][0] |= {"errors": {"output": 1.0}, "outcome": "the check failed"}
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match="something else without"):
        Record.read(path)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 2}', '{"format": 1, "rows": [1]}'])
def test_what_is_no_record_is_a_sentence(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="none of `gica bench`"):
        Record.read(path)


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [(1.0, "same"), (1.015, "same"), (1.2, "slower"), (0.8, "faster"), (1.025, "same")],
)
def test_a_change_counts_beyond_the_noise(seconds, verdict):
    (change,) = compare(record(row(SIZES[0])), record(row(SIZES[0], seconds=seconds)))
    assert change.verdict == verdict
    assert change.ratio == pytest.approx(seconds)
    assert change.low < change.ratio < change.high


def test_a_change_counts_beyond_that_of_the_machine():
    before, slower = record(row(SIZES[0])), record(row(SIZES[0], seconds=1.2))
    rates = {**RATES, "copy": RATES["copy"] / 1.25}
    (change,) = compare(before, dataclasses.replace(slower, rates=rates))
    assert change.verdict == "same"
    assert machine_changes(before, dataclasses.replace(slower, rates=rates))["copy"] == 0.8
    other = {**slower.about, "device": "another"}
    (change,) = compare(before, dataclasses.replace(slower, rates=rates, about=other))
    assert change.verdict == "slower"


def test_records_that_share_nothing_are_not_compared():
    stopped = Row(SIZES[1], "gica", STOPPED)
    with pytest.raises(ValueError, match="share none"):
        compare(record(row(SIZES[0])), record(stopped))
    (change,) = compare(record(row(SIZES[1])), record(stopped))
    assert change.verdict == "measured -> out of memory" and change.ratio is None


def test_the_speedup_is_over_the_reference_of_the_same_problem():
    never = dataclasses.replace(SIZES[0], skip="never")
    made = record(row(SIZES[0], seconds=2.0), row(SIZES[0], "reference", 6.0), row(never))
    assert made.speedup(made.rows[0]) == 3.0
    assert made.speedup(made.rows[2]) == 6.0
    assert record(row(SIZES[0])).speedup(row(SIZES[0])) is None


def test_the_roof_is_the_slower_of_products_and_copies():
    problem = SIZES[1]
    products = problem.operations(0.5) / 1e11
    assert row(problem, live=0.5).floor(RATES) == pytest.approx(products)
    assert row(problem).floor({**RATES, "copy": 1.0}) == problem.least_bytes()
    assert row(problem).floor({"matrix": {}, "copy": 1.0}) is None


def test_a_report_has_tables_and_plots_and_is_written_twice_alike(tmp_path):
    pytest.importorskip("matplotlib")
    docs = tmp_path / "docs"
    readme = tmp_path / "README.md"
    readme.write_text(
        "# Title\n\n<!-- written by gica bench report: bench -->\n<!-- end -->\nmore\n"
    )
    rows = [row(p, m) for p in SIZES for m in ("gica", "reference")]
    made = record(*rows, row(SIZES[0], "grouped"), Row(SIZES[1], "grouped", STOPPED))
    write_report({tmp_path / "record.json": made}, docs)
    names = [
        f"bench_{n}.{e}" for n in ("time", "memory", "speedup", "roofline") for e in ("svg", "png")
    ]
    assert sorted(path.name for path in (docs / "images").iterdir()) == sorted(names)
    page = (docs / "benchmarks.md").read_text()
    assert "| 512 forward natural skip=auto | grouped | out of memory |" in page
    assert "[record](../record.json)" in page
    assert "docs/images/bench_speedup.svg" in readme.read_text() and "more" in readme.read_text()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.suffix != ".png"}
    write_report({tmp_path / "record.json": made}, docs)
    assert before == {path: path.read_bytes() for path in before}


def test_the_page_on_growth_shows_where_curves_end(tmp_path):
    pytest.importorskip("matplotlib")
    rows = []
    for problem in growth_problems("cpu"):
        rows.append(row(problem, seconds=problem.positions**2 / 1e6))
        small = problem.positions <= 1024
        other = row(problem, "reference") if small else Row(problem, "reference", STOPPED)
        rows.append(other)
    write_report({tmp_path / "record.json": record(*rows)}, tmp_path)
    page = (tmp_path / "growth.md").read_text()
    assert "so many times as much: gica 16.0" in page
    assert "256" in page and not (tmp_path / "benchmarks.md").exists()
    assert (
        "1024: out of memory" not in (tmp_path / "images" / "bench_growth_memory.svg").read_text()
    )
    assert len(list((tmp_path / "images").iterdir())) == 8


def test_a_section_is_replaced_and_the_rest_kept(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n")
    write_section(page, "a", "one\n")
    write_section(page, "b", "two\n")
    write_section(page, "a", r"three \1" + "\n")
    text = page.read_text()
    assert "before" in text and "one" not in text
    assert text.index(r"three \1") < text.index("two")


def test_bounds_are_applied_to_the_kernels_rows():
    problem = Problem(1024, 1024, dtype="bfloat16", device="cuda", skip="never", kind="noise")
    floor = problem.operations(1.0) / 1e12
    fast = record(row(problem, seconds=1.9 * floor), row(problem, "reference", 20 * floor))
    verdicts = {figure.name: figure.verdict for figure in bars.figures(fast)}
    assert verdicts[f"{problem.name}, of the dense floor"] == "ok"
    assert verdicts[f"{problem.name}, of the reference"] == "ok"
    slow = record(row(problem, seconds=2.1 * floor), Row(SIZES[0], "gica", STOPPED))
    missed = [figure.name for figure in bars.figures(slow) if figure.verdict == "MISSED"]
    assert missed == [f"{problem.name}, of the dense floor", f"{SIZES[0].name}: out of memory"]


@pytest.mark.parametrize("size", ["64", "256", "1024", "4K", "8K"])
def test_the_gpu_check_asks_for_problems_that_exist(size):
    from gica_ops.bench.problems import parse_problem

    words = bars.arguments(size)
    problems = [words[i + 1] for i, word in enumerate(words) if word == "--problem"]
    parsed = [parse_problem(text, device="cuda") for text in problems]
    assert {p.size for p in parsed} == {size} and all(p.dtype == "bfloat16" for p in parsed)
    assert len(parsed) == {"8K": 2, "256": 8}.get(size, 4)
    assert {p.batch for p in parsed} == ({1, 16} if size == "256" else {1})


def test_the_documented_rows_are_those_of_the_newest_records():
    from benchmarks.report import RESULTS, ROOT

    newest: dict[str, Record] = {}
    for path in sorted(RESULTS.glob("*.json"), key=lambda p: p.name[-15:]):
        if "rates" in json.loads(path.read_text()):
            read = Record.read(path)
            grown = any(r.problem.contrast != 1 for r in read.rows)
            device = read.rows[0].problem.device
            newest[f"{'growth' if grown else 'benchmarks'} {device}"] = read
    if not newest:
        pytest.skip("no record yet")
    for name, read in newest.items():
        page = (ROOT / "docs" / f"{name.split()[0]}.md").read_text()
        assert markdown(read.rows, read) in page
