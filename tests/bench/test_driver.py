"""The driver end to end: problems, checks before times, what is written and what is not."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from gica_ops.bench import session
from gica_ops.bench.methods import reason_against
from gica_ops.bench.problems import Inputs, Problem, parse_problem
from gica_ops.bench.record import Record, Row
from gica_ops.bench.timing import Times
from gica_ops.bench.truth import CheckFailed, Truth
from gica_ops.commands.bench import bench

SMALL = Problem(64, 64, channels=8)
TINY = "64,channels=8"


@pytest.mark.parametrize("work", ["forward", "backward", "both"])
@pytest.mark.parametrize("rate", [1, 2, 3])
@pytest.mark.parametrize("fuse", [True, False])
def test_every_method_computes_the_layer(work, rate, fuse):
    problem = Problem(96, 96, channels=8, work=work, rate=rate, fuse=fuse, batch=2)
    truth = Truth.of(problem)
    for method in ("gica", "reference", "grouped", "sdpa"):
        if reason_against(method, problem) is None:
            assert max(truth.check(method).values()) < 32


def test_a_baseline_that_cannot_propagate_does_not_take_part():
    assert reason_against("sdpa", SMALL) is not None
    assert reason_against("sdpa", dataclasses.replace(SMALL, fuse=False)) is None


def test_half_types_are_checked_in_their_own_precision():
    truth = Truth.of(dataclasses.replace(SMALL, dtype="bfloat16"))
    for method in ("gica", "grouped"):
        truth.check(method)


@pytest.mark.parametrize("name", ["output", "gradient of f", "gradient of b"])
def test_a_wrong_result_fails_the_check(name):
    truth = Truth.of(dataclasses.replace(SMALL, work="both"))
    moved = dict(truth.exact)
    moved[name] = moved[name] * 1.001
    with pytest.raises(CheckFailed, match=f"is not timed: {name}"):
        dataclasses.replace(truth, exact=moved).check("gica")


def test_a_larger_problem_is_checked_on_a_smaller_image():
    truth = Truth.of(Problem(480, 640, channels=2))
    assert truth.problem.positions <= 32**2
    assert truth.problem.name.endswith("channels=2")


def test_no_record_comes_of_a_run_whose_check_failed(tmp_path):
    record = tmp_path / "record.json"
    options = ["--problem", TINY, "--rounds", "3", "--record", str(record)]
    methods = ["--method", "gica", "--method", "tests.bench.wrong:wrong"]
    with pytest.raises(CheckFailed, match="wrong:wrong is wrong on 64 forward .* is not timed"):
        bench.main([*options, *methods], standalone_mode=False)
    assert not list(tmp_path.iterdir())


def test_a_run_is_written_and_read_again(tmp_path, capsys):
    record = tmp_path / "record.json"
    options = ["--problem", TINY, "--rounds", "3", "--record", str(record), "--profile"]
    methods = ["--method", "gica", "--method", "tests.bench.wrong:right"]
    bench.main([*options, *methods], standalone_mode=False)
    assert "gica_ops::attend" in capsys.readouterr().out
    read = Record.read(record)
    assert [row.method for row in read.rows] == ["gica", "tests.bench.wrong:right"]
    assert {"device", "versions", "commit", "command", "clocks_mhz", "date"} <= set(read.about)
    for row in read.rows:
        assert row.measured and len(row.seconds) == 3 and row.errors and row.problem == SMALL
    assert read.rows[0].live is not None
    bench.main(["compare", str(record), str(record)], standalone_mode=False)
    assert capsys.readouterr().out.count(" 1.000 ") == 2


def test_every_visit_adds_its_share_of_the_rounds():
    shown = []
    record = session.measure(
        [SMALL, dataclasses.replace(SMALL, fuse=False)],
        ["gica"],
        rounds=5,
        visits=2,
        row_done=lambda row, so_far: shown.append((row, len(so_far.rows))),
    )
    assert [len(row.seconds) for row in record.rows] == [6, 6]
    assert shown == [(record.rows[0], 2), (record.rows[1], 2)]


def test_a_run_of_more_than_the_seconds_is_timed_once():
    shown = []
    record = session.measure(
        [SMALL], ["gica"], seconds=0, visits=3, row_done=lambda row, _: shown.append(row)
    )
    assert [len(row.seconds) for row in record.rows] == [1] and shown == list(record.rows)


def test_rows_of_two_visits_are_one():
    first = Row(SMALL, "gica", "measured", (1.0,), 5, {"output": 0.5})
    later = Row(SMALL, "gica", "measured", (2.0, 3.0), 4, {"output": 0.7})
    joined = first.joined(later)
    assert joined.seconds == (1.0, 2.0, 3.0) and joined.extra_bytes == 5
    assert joined.errors == {"output": 0.7}
    stopped = Row(SMALL, "gica", "out of memory")
    assert first.joined(stopped) == stopped.joined(first) == stopped


def test_a_method_without_memory_is_a_row_that_says_so(tmp_path):
    problem = Problem(512, 512, channels=2)
    record = session.measure([problem], ["gica", "reference"], rounds=3, most_bytes=200 * 2**20)
    own, reference = record.rows
    assert own.measured and own.extra_bytes is not None and own.extra_bytes < 200 * 2**20
    assert reference.outcome == "out of memory" and not reference.seconds
    record.write(tmp_path / "record.json")
    assert Record.read(tmp_path / "record.json") == record


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size", "0"], "height must be at least 8"),
        (["--size", "huge"], "size must be"),
        (["--size", "100"], "height must be a multiple of 4"),
        (["--problem", "64,colour=red"], "problem must have options of"),
        (["--problem", "64,batch=many"], "batch must be int"),
        (["--work", "sideways"], "work must be one of"),
        (["--method", "magic"], "method must be"),
        (["--hole", "1"], "hole must be at least 0 and less than 1"),
    ],
)
def test_what_cannot_be_measured_is_a_sentence(options, words):
    with pytest.raises(ValueError, match=words):
        bench.main(options, standalone_mode=False)


def test_problems_are_the_same_every_time():
    for kind in ("natural", "noise"):
        problem = parse_problem("64x96", kind=kind)
        one, other = Inputs.of(problem), Inputs.of(problem)
        assert torch.equal(one.f, other.f) and torch.equal(one.f, one.b)
        assert one.f.shape == (1, 128, 16, 24) and one.mask.shape == (1, 1, 16, 24)
        assert one.mask.sum() == 8 * 12 and one.mask[0, 0, 4:12, 6:18].all()


def test_operations_are_those_of_the_design():
    pairs = 4096**2 * 128
    for work, unfused, fused in (("forward", 50, 10), ("backward", 100, 22), ("both", 150, 32)):
        problem = Problem(512, 512, work=work)
        assert problem.operations() == unfused * pairs
        assert problem.operations(1.0) == fused * pairs
        assert problem.operations(0.0) < problem.operations(0.5) < problem.operations(1.0)


def test_percentiles_leave_out_what_is_rare():
    times = Times((1.0, 1.1, 1.2, 1.3, 9.0, 0.1))
    assert times.median == pytest.approx(1.15)
    assert times.low == 1.0 and times.high == 1.3
