"""What turns measurements into verdicts is tested like the rest; the measuring itself is not."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import problems, report, tables, timing


def test_candidates_take_turns():
    order: list[str] = []
    times = timing.measure({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order == ["a", "b"] * 4  # the first turn warms up
    assert all(len(value.seconds) == 3 for value in times.values())


def test_a_ratio_is_the_median_over_rounds():
    slow_spell = timing.Times((1.0, 10.0, 1.2)), timing.Times((2.0, 20.0, 2.0))
    assert timing.ratio(*slow_spell) == 0.5
    assert (slow_spell[0] + slow_spell[1]).seconds == (3.0, 30.0, 3.2)


@pytest.mark.parametrize(
    ("value", "bound", "verdict"), [(1.0, 1.0, "ok"), (1.01, 1.0, "MISSED"), (9.0, None, "")]
)
def test_a_figure_over_its_bound_is_missed(value, bound, verdict):
    figure = report.Figure("name", value, "s", bound)
    assert figure.verdict == verdict and verdict in figure.line()


def test_a_record_says_where_it_comes_from(tmp_path, capsys):
    collected = report.Report(threads=1)
    collected.add(report.Figure("name", 2.0, "s", 1.0))
    assert "MISSED" in capsys.readouterr().out
    record = json.loads(collected.write(tmp_path / "record.json").read_text())
    assert record["versions"]["torch"] == torch.__version__
    assert {"device", "date", "commit", "command", "threads"} <= set(record)
    assert record["figures"][0]["name"] == "name"
    assert collected.missed() == collected.figures


@pytest.mark.parametrize("kind", problems.KINDS)
def test_problems_are_the_same_every_time(kind):
    problem, again = (problems.make(kind, 64, channels=8) for _ in range(2))
    assert problem.f.shape == problem.b.shape == (1, 8, 16, 16)
    assert torch.equal(problem.f, again.f) and torch.equal(problem.f, problem.b)
    assert problem.mask.shape == (1, 1, 16, 16) and problem.mask.sum() == 64
    assert problem.positions == 64


@pytest.mark.parametrize("section", tables.SECTIONS)
def test_the_documented_figures_are_those_of_the_newest_record(section):
    path = tables.newest_record(section)
    if path is None:
        pytest.skip("no record yet")
    record = json.loads(path.read_text())
    assert tables.markdown(record, path.name) in tables.PAGE.read_text()
