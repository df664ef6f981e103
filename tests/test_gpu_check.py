"""The run of checks for a machine with a GPU, as far as it can be tried without one."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import time

import pytest
import torch

from tests.gpu import check as gpu_check
from tests.gpu import progress, small, summary
from tests.gpu.progress import Check, Result


@pytest.fixture(autouse=True)
def same_key(monkeypatch):
    monkeypatch.setattr(progress, "key", lambda: "key")


def passed() -> Result:
    return {"outcome": "passed", "says": "3 passed"}


def never() -> Result:
    raise AssertionError("it has passed already")


def test_what_passed_is_not_run_again_and_what_failed_is(tmp_path):
    first = Check(1, out=tmp_path)
    first.step("good", passed)
    first.step("bad", lambda: {"outcome": "failed", "says": "1 failed"})
    assert summary.status_of(first) == 1
    second = Check(1, out=tmp_path)
    assert second.step("good", never)["says"] == "3 passed"
    assert second.step("bad", passed)["outcome"] == "passed"
    assert summary.status_of(second) == 0


def test_other_sources_make_it_begin_anew(tmp_path, monkeypatch):
    Check(1, out=tmp_path).step("good", passed)
    monkeypatch.setattr(progress, "key", lambda: "another")
    again = Check(1, out=tmp_path).step("good", lambda: {"outcome": "failed", "says": ""})
    assert again["outcome"] == "failed"


def test_what_is_not_reached_is_no_success(tmp_path):
    check = Check(0.05, out=tmp_path)
    check.step("good", passed, least=1)
    assert check.step("late", never, least=10)["outcome"] == "not done"
    assert summary.status_of(check) == 2
    assert "late" in summary.table(check, None)
    assert summary.write_record(check, "") is None
    assert json.loads((tmp_path / "checks.json").read_text())["late"]["outcome"] == "not done"


def test_what_hangs_is_ended_and_what_it_said_is_there(tmp_path, capsys):
    hangs = "import time; print('this kernel', flush=True); time.sleep(60)"
    check = Check(1, out=tmp_path, copy_to=tmp_path / "copy")
    start = time.monotonic()
    result = check.step(
        "hangs", lambda: check.run([sys.executable, "-c", hangs], "hangs.log", most=2)
    )
    assert time.monotonic() - start < 20
    assert result["outcome"] == "failed" and "cut off after 2 s" in result["says"]
    assert "this kernel" in capsys.readouterr().out
    with tarfile.open(tmp_path / "copy" / "gpu-check.tar.gz") as archive:
        assert {"hangs.log", "state.json"} <= set(archive.getnames())


def test_a_step_that_breaks_leaves_the_others(tmp_path):
    check = Check(1, out=tmp_path)
    result = check.step("broken", lambda: json.loads("no JSON"))
    assert result["outcome"] == "failed" and "JSONDecodeError" in result["says"]
    assert check.step("good", passed)["outcome"] == "passed"


def test_nothing_but_skipped_tests_is_a_failure(tmp_path):
    """The tests for a GPU, where there is none: they refuse, and the step has failed."""
    if torch.cuda.is_available():
        pytest.skip("they would run")
    check = Check(2, out=tmp_path)
    result = check.step("tests", lambda: gpu_check.test(check, "test_operators", True))
    assert result["outcome"] == "failed"
    assert "GICA_REQUIRE_GPU=1, but" in (tmp_path / "test_operators.log").read_text()


def test_what_is_measured_is_one_record(tmp_path, monkeypatch, cpu):
    """By the benchmark itself, on what there is here."""
    words = ["--device", "cpu", "--method", "gica", "--problem", "64,work=forward"]
    monkeypatch.setattr(gpu_check, "problems", lambda check: {"64": words, "128": ["--nonsense"]})
    monkeypatch.setattr(summary, "RESULTS", tmp_path)
    check = Check(2, out=tmp_path / "out")
    assert check.step("benchmark 64", lambda: gpu_check.measure(check, "64"))["says"] == (
        "1 passes timed"
    )
    assert check.step("benchmark 128", lambda: gpu_check.measure(check, "128"))["outcome"] == (
        "failed"
    )
    path = summary.write_record(check, "make gpu-check")
    record = json.loads(path.read_text())
    assert [row["method"] for row in record["rows"]] == ["gica"]
    assert record["checks"]["benchmark 128"]["outcome"] == "failed"
    assert record["command"] == "make gpu-check" and record["figures"]
    text = summary.table(check, path)
    assert "| benchmark 64 | measured |" in text and "x floor" in text


def test_the_first_failure_is_shown():
    said = "x\n" * 5000 + "=== FAILURES ===\nthe first\n" + "y\n" * 5000 + "the end"
    shown = gpu_check.excerpt(said)
    assert shown.startswith("=== FAILURES ===\nthe first") and shown.endswith("the end")
    assert len(shown) < 6000


@pytest.mark.parametrize("dtype", gpu_check.DTYPES)
def test_small_problems_are_right(dtype, cpu, capsys):
    assert small.main([dtype], device="cpu", backend="cpu") == 0
    assert f"{len(small.PROBLEMS)} of {len(small.PROBLEMS)}" in capsys.readouterr().out


def test_a_wrong_kernel_is_seen(capsys, monkeypatch):
    compute = small.compute

    def wrong(problem, backend):
        results = compute(problem, "reference")
        if backend != "reference":
            results[1] = results[1].roll(1)
        return results

    monkeypatch.setattr(small, "compute", wrong)
    assert small.main(["float32"], device="cpu", backend="wrong") == 1
    assert "WRONG" in capsys.readouterr().out


def test_help_says_what_the_status_means():
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu.check", "--help"],
        cwd=progress.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Status 0" in done.stdout and "--copy-to" in done.stdout
