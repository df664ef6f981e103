"""Everything that only a GPU can tell, in one go: python tests/gpu/check.py, or make gpu-check.

Needs a CUDA device and no network; from the folder dist/ it takes the wheel and whatever other
wheels lie in dist/packages/. Without a wheel that runs here the package is built here. Then: the
tests marked gpu, the benchmark, compute-sanitizer where it is installed. Ends with one record,
benchmarks/results/<device>-<date>.json, a table, and status 1 where a check failed.

What is done is kept in out/gpu-check: cut off, or out of time, it goes on there the next time.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "out" / "gpu-check"
SITE = OUT / "site"
TESTS = ("test_operators", "test_execution", "test_layer")
SIZES = ("1024", "256", "4K", "512", "2048", "64", "128", "8K")
QUICK_SIZES = ("1024", "256", "4K")
TOOLS = ("memcheck", "racecheck", "synccheck")
TRIAL = """
import torch, gica_ops
reason = gica_ops.available_backends("cuda")["cuda"]
assert reason is None, reason
f = torch.randn(1, 16, 16, 16, device="cuda", requires_grad=True)
gica_ops.contextual_attention(f, f, rate=2, backend="cuda").sum().backward()
torch.cuda.synchronize()
print(gica_ops.__file__, torch.__version__, torch.cuda.get_device_name())
"""
Result = dict[str, Any]


class Check:
    """The steps, what became of them, and the time that is left."""

    def __init__(self, quick: bool, minutes: float) -> None:
        self.quick = quick
        self.end = time.monotonic() + 60 * minutes
        self.state_path = OUT / "state.json"
        self.steps: dict[str, Result] = {}
        key = self.key()
        if self.state_path.exists():
            state = json.loads(self.state_path.read_text())
            if state["key"] == key:
                self.steps = state["steps"]
        if not self.steps:
            shutil.rmtree(OUT, ignore_errors=True)
        OUT.mkdir(parents=True, exist_ok=True)
        self.state_key = key

    def key(self) -> str:
        """Changes with whatever would make what was done worthless."""
        digest = hashlib.sha256(f"{self.quick} {sys.executable}".encode())
        for folder in ("csrc", "gica_ops", "tests", "benchmarks"):
            for path in sorted((ROOT / folder).rglob("*")):
                if path.suffix in (".cpp", ".cu", ".h", ".py"):
                    digest.update(path.read_bytes())
        for path in wheels():
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def step(self, name: str, run: Callable[[], Result]) -> Result:
        """Run a step unless it has been done, and keep what came of it."""
        if name in self.steps:
            print(f"== {name}: done before: {self.steps[name]['says']}", flush=True)
            return self.steps[name]
        if self.left() < 5:
            return {"outcome": "no time", "says": "run again to go on here"}
        print(f"== {name}", flush=True)
        start = time.monotonic()
        try:
            result = run()
        except subprocess.TimeoutExpired:
            print(f"== {name}: cut off, run again to go on here", flush=True)
            return {"outcome": "no time", "says": "cut off: run again to go on here"}
        result["seconds"] = round(time.monotonic() - start, 1)
        print(f"== {name}: {result['outcome']}: {result['says']}", flush=True)
        self.steps[name] = result
        state = {"key": self.state_key, "steps": self.steps}
        self.state_path.write_text(json.dumps(state, indent=1))
        return result

    def left(self) -> float:
        return self.end - time.monotonic()

    def run(self, command: list[str], most: float = 600, **env: str) -> tuple[int, str]:
        """Run a command on the installed package; its status, and what it printed."""
        done = subprocess.run(
            command, cwd=OUT, env={**environment(), **env}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=min(most, self.left()),
        )  # fmt: skip
        return done.returncode, done.stdout


def environment() -> dict[str, str]:
    """Of the installed package first, of the tests and benchmarks second."""
    path = os.pathsep.join([str(SITE), str(ROOT)])
    settings = {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    commit = ROOT / "dist" / "commit.txt"
    if commit.exists():
        settings["GICA_COMMIT"] = commit.read_text().strip()
    return {**os.environ, **settings}


def wheels() -> list[Path]:
    newest = sorted((ROOT / "dist").glob("gica_ops-*.whl"), key=lambda p: p.stat().st_mtime)[-1:]
    return newest + sorted((ROOT / "dist" / "packages").glob("*.whl"))


def install(check: Check) -> Result:
    """The wheel, or where it does not run here, one built here."""
    pip = [sys.executable, "-m", "pip"]
    into = [*pip, "install", "-q", "--no-index", "--no-deps", "--upgrade", "--target", str(SITE)]
    said = "no wheel in dist/"
    if wheels() and wheels()[0].name.startswith("gica_ops"):
        status, said = check.run([*into, *map(str, wheels())])
        if status == 0:
            status, said = check.run([sys.executable, "-c", TRIAL])
            if status == 0:
                return {"outcome": "passed", "says": f"wheel: {said.strip()}"}
    print(f"the wheel does not run here, building:\n{said}", flush=True)
    build = [*pip, "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", "built", str(ROOT)]
    jobs = str(os.cpu_count() or 2)
    status, said = check.run(build, GICA_CUDA="1", CMAKE_BUILD_PARALLEL_LEVEL=jobs)
    if status == 0:
        built = [str(path) for path in (OUT / "built").glob("gica_ops-*.whl")]
        status, said = check.run([*into, *built])
    if status == 0:
        status, said = check.run([sys.executable, "-c", TRIAL])
    print(said if status else "", flush=True)
    return {"outcome": "failed" if status else "passed", "says": f"built here: {last(said)}"}


def test(check: Check, name: str) -> Result:
    command = [
        sys.executable, "-m", "pytest", "-q", "-c", str(ROOT / "pyproject.toml"),
        "--rootdir", str(ROOT), "-o", "pythonpath=", "-p", "no:cacheprovider", "--tb=short",
        "-m", "gpu and not slow" if check.quick else "gpu", "--maxfail=20",
        str(ROOT / "tests" / "gpu" / f"{name}.py"),
    ]  # fmt: skip
    if name == "test_layer":
        if importlib.util.find_spec("xdist") is not None:
            command += ["-n", str(min(8, os.cpu_count() or 1))]
        if check.quick:
            command += ["-k", "golden or any or network"]
    status, said = check.run(command, GICA_EXAMPLES="20" if check.quick else "60")
    (OUT / f"{name}.log").write_text(said)
    if status:
        print(said[-6000:], flush=True)
    return {"outcome": "failed" if status else "passed", "says": last(said)}


def measure(check: Check, size: str) -> Result:
    """The driver's record of a size, with the figures that bounds are about."""
    record = OUT / f"benchmark-{size}.json"
    record.unlink(missing_ok=True)
    bars = [sys.executable, "-m", "benchmarks.bars"]
    status, said = check.run([*bars, "problems", size])
    if status == 0:
        rounds = "5" if check.quick else "11"
        command = [sys.executable, "-m", "benchmarks", "--record", str(record), "--rounds", rounds]
        status, said = check.run([*command, "--seconds", "2", "--visits", "1", *said.split()])
        print(said, flush=True)
    if status == 0:
        status, figures = check.run([*bars, "figures", str(record)])
        said = figures if status else said
    if status:
        return {"outcome": "failed", "says": last(said)}
    values = json.loads(record.read_text())
    return {
        "outcome": "measured", "says": last(said), "record": values,
        "figures": json.loads(last(figures)),
    }  # fmt: skip


def sanitize(check: Check, tool: str) -> Result:
    program = shutil.which(
        "compute-sanitizer", path=f"{os.environ.get('PATH', '')}:/usr/local/cuda/bin"
    )
    if program is None:
        return {"outcome": "not run", "says": "compute-sanitizer is not installed"}
    command = [program, "--tool", tool, "--error-exitcode", "9", sys.executable, "-m"]
    status, said = check.run([*command, "tests.gpu.sanitized"], most=180)
    (OUT / f"{tool}.log").write_text(said)
    if "Device not supported" in said:
        return {"outcome": "not run", "says": "compute-sanitizer does not support this device"}
    if status:
        print(said[-4000:], flush=True)
    summary = re.findall(r"(?:ERROR|RACECHECK) SUMMARY: (.*)", said)
    return {
        "outcome": "failed" if status else "passed",
        "says": summary[-1] if summary else last(said),
    }


def last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip("= ") if lines else ""


def write_record(check: Check) -> Path | None:
    """One record of all that was measured, and of the checks beside it."""
    measured = {
        name.removeprefix("benchmark "): result
        for name, result in check.steps.items()
        if "record" in result
    }
    if not measured:
        return None
    about = next(iter(measured.values()))["record"]
    rows = [row for result in measured.values() for row in result["record"]["rows"]]
    figures = []
    for size, result in measured.items():
        for figure in result["figures"]:
            sized = figure["name"].startswith(size)
            figures.append(figure if sized else {**figure, "name": f"{size} {figure['name']}"})
    checks = {
        name: {k: v for k, v in result.items() if k not in ("record", "figures")}
        for name, result in check.steps.items()
    }
    device = re.sub(r"[^a-z0-9]+", "-", about["device"].lower()).strip("-")
    path = ROOT / "benchmarks" / "results" / f"{device}-{about['date'][:10]}.json"
    command = "make gpu-check" + (" QUICK=1" if check.quick else "")
    about["command"] = command
    record = {**about, "rows": rows, "checks": checks, "figures": figures}
    path.write_text(json.dumps(record, indent=1) + "\n")
    shutil.copy2(path, OUT)
    return path


def table(check: Check, path: Path | None) -> str:
    lines = ["| check | outcome | | s |", "|---|---|---|---|"]
    for name, result in check.steps.items():
        cells = name, result["outcome"], result["says"], str(result.get("seconds", ""))
        lines.append("| " + " | ".join(cells) + " |")
    if path is None:
        return "\n".join(lines)
    lines += ["", "| figure | measured | bound | |", "|---|---|---|---|"]
    for figure in json.loads(path.read_text())["figures"]:
        bound = figure["bound"]
        verdict = "" if bound is None else "ok" if figure["value"] <= bound else "MISSED"
        measured = f"{figure['value']:.4g} {figure['unit']}"
        lines.append(f"| {figure['name']} | {measured} | {bound or ''} | {verdict} |")
    return "\n".join([*lines, "", f"record: {path.relative_to(ROOT)}"])


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="check.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the most telling part, 2 minutes")
    parser.add_argument("--minutes", type=float, help="stop and report after these (8, quick 2.5)")
    options = parser.parse_args()
    check = Check(options.quick, options.minutes or (2.5 if options.quick else 8))
    if check.step("install", lambda: install(check))["outcome"] != "passed":
        return 1
    for name in TESTS:
        check.step(f"tests {name}", lambda name=name: test(check, name))  # type: ignore[misc]
    for size in QUICK_SIZES if options.quick else SIZES:
        check.step(f"benchmark {size}", lambda size=size: measure(check, size))  # type: ignore[misc]
    for tool in TOOLS[:1] if options.quick else TOOLS:
        check.step(f"sanitizer {tool}", lambda tool=tool: sanitize(check, tool))  # type: ignore[misc]
    print(table(check, write_record(check)))
    failed = [name for name, result in check.steps.items() if result["outcome"] == "failed"]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
