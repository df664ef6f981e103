"""Everything that only a GPU can tell, in one go: python tests/gpu/check.py, or make gpu-check.

Needs a CUDA device and no network; from the folder dist/ it takes the wheel and whatever other
wheels lie in dist/packages/. Without a wheel that loads here the package is built here. Then: small
problems of every kind, the tests marked gpu, compute-sanitizer where it is installed, and the
benchmark. Ends with a table and, where something was measured, one record,
benchmarks/results/<device>-<date>.json.

Status 0: everything passed. 1: something failed. 2: time ran out before the end. What passed is
kept in out/gpu-check: run again, it goes on with the rest.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "out" / "gpu-check"
SITE, BUILT = OUT / "site", OUT / "built"
RESULTS = ROOT / "benchmarks" / "results"
DTYPES = ("bfloat16", "float32", "float16")
TESTS = ("test_operators", "test_execution", "test_layer")
QUICK_TESTS = "golden or any_ or walks or pastes"  # of test_layer
SIZES = ("1024", "256", "4K", "512", "2048", "64", "128", "8K")
QUICK_SIZES = ("1024", "4K")
TOOLS = ("memcheck", "racecheck", "synccheck")
GOOD = ("passed", "measured")
NOT_DONE = "not done"
# Of the tree, what the installed package is made of.
SOURCES = ("csrc", "gica_ops", "tests", "benchmarks")
LOADS = """
import gica_ops, torch
print(gica_ops.__file__, torch.__version__, torch.cuda.get_device_name())
reason = gica_ops.available_backends("cuda")["cuda"]
if reason is not None:
    raise SystemExit(reason)
"""
Result = dict[str, Any]


class Check:
    """The steps, what became of them, and the time that is left."""

    def __init__(self, minutes: float, copy_to: Path | None = None, out: Path = OUT) -> None:
        self.end = time.monotonic() + 60 * minutes
        self.out, self.copy_to = out, copy_to
        self.path = out / "state.json"
        self.key = key()
        self.steps: dict[str, Result] = {}
        self.kept: dict[str, Result] = {}
        out.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            state = json.loads(self.path.read_text())
            if state["key"] == self.key:
                self.kept = {k: v for k, v in state["steps"].items() if v["outcome"] in GOOD}

    def step(self, name: str, run: Callable[[], Result], least: float = 10) -> Result:
        """Run a step unless it has passed before, and keep what came of it.

        least: seconds that it is not started without.
        """
        start = time.monotonic()
        if name in self.kept:
            result = self.kept[name]
        elif self.left() < least:
            result = {"outcome": NOT_DONE, "says": "no time was left"}
        else:
            print(f"== {name}", flush=True)
            try:
                result = run()
            except subprocess.TimeoutExpired as late:
                own = self.left() > 0  # the step's limit, not that of all
                outcome = "failed" if own else NOT_DONE
                result = {"outcome": outcome, "says": f"cut off after {late.timeout:.0f} s"}
            except Exception as error:  # one broken step is no reason to lose the others
                result = {"outcome": "failed", "says": f"{type(error).__name__}: {error}"}
            result["seconds"] = round(time.monotonic() - start, 1)
        print(f"== {name}: {result['outcome']}: {result['says']}", flush=True)
        self.steps[name] = result
        state = {"key": self.key, "steps": {**self.kept, **self.steps}}
        self.path.write_text(json.dumps(state, indent=1))
        self.copy()
        return result

    def left(self) -> float:
        return self.end - time.monotonic()

    def run(self, command: list[str], log: str, most: float = 600, **env: str) -> tuple[int, str]:
        """Run a command on the installed package; its status, and what it printed.

        What it prints goes to a file at once: it is there also when the command never ends.
        """
        path = self.out / log
        limit = max(1.0, min(most, self.left()))
        with path.open("w") as file:
            process = subprocess.Popen(
                command, cwd=self.out, env={**environment(), **env}, stdin=subprocess.DEVNULL,
                stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            try:
                status = process.wait(limit)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                print(path.read_text(errors="replace")[-3000:], flush=True)
                raise
        return status, path.read_text(errors="replace")

    def copy(self) -> None:
        """All that was found so far, in one file elsewhere."""
        if self.copy_to is None:
            return
        self.copy_to.mkdir(parents=True, exist_ok=True)
        with tarfile.open(self.copy_to / "gpu-check.tar.gz", "w:gz") as archive:
            for path in sorted(self.out.iterdir()):
                if path.is_file():
                    archive.add(path, path.name)


def key() -> str:
    """Changes with whatever would make what was done worthless."""
    digest = hashlib.sha256(sys.executable.encode())
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".cpp", ".cu", ".h", ".py"):
                digest.update(path.read_bytes())
    for path in wheels():
        digest.update(path.read_bytes())
    return digest.hexdigest()


def environment() -> dict[str, str]:
    """Of the installed package first, of the tests and benchmarks second."""
    path = os.pathsep.join([str(SITE), str(ROOT)])
    settings = {
        "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "GICA_REQUIRE_GPU": "1",
    }  # fmt: skip
    commit = ROOT / "dist" / "commit.txt"
    if commit.exists():
        settings["GICA_COMMIT"] = commit.read_text().strip()
    return {**os.environ, **settings}


def wheels() -> list[Path]:
    newest = sorted((ROOT / "dist").glob("gica_ops-*.whl"), key=lambda p: p.stat().st_mtime)[-1:]
    return newest + sorted((ROOT / "dist" / "packages").glob("*.whl"))


def differing(site: Path) -> list[str]:
    """Files of the package that are not those of the tree."""
    mine = {p.relative_to(ROOT) for p in (ROOT / "gica_ops").rglob("*.py")}
    return [
        str(path) for path in sorted(mine)
        if not (site / path).exists() or (site / path).read_bytes() != (ROOT / path).read_bytes()
    ]  # fmt: skip


def install(check: Check) -> Result:
    """The wheel, or where there is none that loads here, one built here."""
    pip = [sys.executable, "-m", "pip"]
    into = [*pip, "install", "-q", "--no-index", "--no-deps", "--no-compile", "--upgrade"]
    into += ["--target", str(SITE)]
    loads = [sys.executable, "-c", LOADS]
    said = "no wheel in dist/"
    if any(path.name.startswith("gica_ops") for path in wheels()):
        status, said = check.run([*into, *map(str, wheels())], "install.log")
        if status == 0:
            status, said = check.run(loads, "load.log", most=120)
        if status == 0 and (other := differing(SITE)):
            return {
                "outcome": "failed",
                "says": f"the wheel in dist/ is of another tree, see {other[0]}: make gpu-folder",
            }
        if status == 0:
            return {"outcome": "passed", "says": f"wheel: {last(said)}"}
    print(f"no wheel loads here, building:\n{said}", flush=True)
    import torch

    major, minor = torch.cuda.get_device_capability()
    build = [*pip, "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", str(BUILT), str(ROOT)]
    status, said = check.run(
        build, "build.log", GICA_CUDA="1", CMAKE_BUILD_PARALLEL_LEVEL=str(os.cpu_count() or 2),
        GICA_CUDA_ARCHITECTURES="90a-real" if (major, minor) == (9, 0) else f"{major}{minor}-real",
    )  # fmt: skip
    if status == 0:
        built = [str(path) for path in BUILT.glob("gica_ops-*.whl")]
        status, said = check.run([*into, *built], "install.log")
    if status == 0:
        status, said = check.run(loads, "load.log", most=120)
    print(said if status else "", flush=True)
    return {"outcome": "failed" if status else "passed", "says": f"built here: {last(said)}"}


def small(check: Check, dtype: str) -> Result:
    command = [sys.executable, "-m", "tests.gpu.small", dtype]
    result = passed_or_failed(*check.run(command, f"small-{dtype}.log", most=90))
    if result["outcome"] == "failed":  # by the kernels of every device, or by this one's own?
        log = f"small-{dtype}-sm80.log"
        _, said = check.run(command, log, most=90, GICA_CUDA_FAMILY="sm80")
        result["says"] += f"; with GICA_CUDA_FAMILY=sm80: {last(said)}"
    return result


def test(check: Check, name: str, quick: bool) -> Result:
    command = [
        sys.executable, "-m", "pytest", "-v", "-c", str(ROOT / "pyproject.toml"),
        "--rootdir", str(ROOT), "-o", "pythonpath=", "-p", "no:cacheprovider", "--tb=short",
        "-m", "gpu and not slow" if quick else "gpu", "--maxfail=20",
        str(ROOT / "tests" / "gpu" / f"{name}.py"),
    ]  # fmt: skip
    if importlib.util.find_spec("pytest_timeout") is not None:
        # Ends the process: nothing else ends a kernel that hangs.
        command += ["--timeout=120", "--timeout-method=thread"]
    if name == "test_layer":
        if importlib.util.find_spec("xdist") is not None:
            command += ["-n", str(min(16, os.cpu_count() or 1))]
        if quick:
            command += ["-k", QUICK_TESTS]
    examples = "20" if quick else "60"
    status, said = check.run(command, f"{name}.log", most=300, GICA_EXAMPLES=examples)
    if status == 0 and not re.search(r"\b[1-9]\d* passed", last(said)):
        status = 1
    return passed_or_failed(status, said)


def sanitize(check: Check, tool: str, dtype: str) -> Result:
    program = shutil.which(
        "compute-sanitizer", path=f"{os.environ.get('PATH', '')}:/usr/local/cuda/bin"
    )
    if program is None:
        return {"outcome": "passed", "says": "not run: compute-sanitizer is not installed"}
    command = [program, "--tool", tool, "--error-exitcode", "9"]
    # PyTorch asks the driver for what it may lack: a call that fails is no error of ours. Barriers
    # in shared memory are more than synccheck makes room for by itself.
    command += {
        "memcheck": ["--report-api-errors", "no"],
        "synccheck": ["--num-cuda-barriers", "64"],
    }.get(tool, [])
    command += [sys.executable, "-m", "tests.gpu.small", "--only-run", dtype]
    status, said = check.run(command, f"{tool}-{dtype}.log", most=180)
    if "Device not supported" in said:
        return {"outcome": "passed", "says": "not run: compute-sanitizer takes no such device"}
    result = passed_or_failed(status, said)
    if summary := re.findall(r"(?:ERROR|RACECHECK) SUMMARY: (.*)", said):
        # Which hazards are reported falsely depends on the version.
        _, about = check.run([program, "--version"], "sanitizer.log", most=30)
        result["says"] = f"{summary[-1]}; {last(about)}"
    return result


@functools.cache
def problems(check: Check) -> dict[str, list[str]]:
    """What the benchmark is asked for, by size."""
    command = [sys.executable, "-m", "benchmarks.bars", "problems", *SIZES]
    status, said = check.run(command, "problems.json")
    if status:
        raise RuntimeError(last(said))
    found: dict[str, list[str]] = json.loads(last(said))
    return found


def measure(check: Check, size: str) -> Result:
    """The driver's record of a size, with the figures that bounds are about."""
    record = check.out / f"benchmark-{size}.json"
    record.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks", "--record", str(record)]
    command += ["--rounds", "7", "--seconds", "2", "--visits", "1"]
    status, said = check.run([*command, *problems(check)[size]], f"benchmark-{size}.log")
    if status:
        return passed_or_failed(status, said)
    print(said, flush=True)
    command = [sys.executable, "-m", "benchmarks.bars", "figures", str(record)]
    status, said = check.run(command, f"figures-{size}.json")
    if status:
        return passed_or_failed(status, said)
    figures = json.loads(last(said))
    missing = [f["name"] for f in figures if f["unit"] == "missing"]
    timed = sum(f["unit"] == "ms" for f in figures)
    return {
        "outcome": "failed" if missing or not timed else "measured",
        "says": "; ".join(missing) or f"{timed} passes timed",
        "record": json.loads(record.read_text()), "figures": figures,
    }  # fmt: skip


def passed_or_failed(status: int, said: str) -> Result:
    if status:
        print(excerpt(said), flush=True)
    return {"outcome": "failed" if status else "passed", "says": last(said)}


FIRST_FAILURE = re.compile(
    r"^=+ (FAILURES|ERRORS) =+$|^=+ +(Invalid|Uninit|Error|Barrier|Program hit)|Traceback", re.M
)


def excerpt(said: str) -> str:
    """The first failure, which the others may come from, and the end."""
    found = FIRST_FAILURE.search(said)
    start = found.start() if found else 0
    if len(said) - start <= 5000:
        return said[start:]
    return f"{said[start : start + 3500]}\n[...]\n{said[-1500:]}"


def last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip("= ") if lines else ""


def write_record(check: Check, command: str) -> Path | None:
    """One record of all that was measured, and of the checks beside it."""
    checks = {
        name: {k: v for k, v in result.items() if k not in ("record", "figures")}
        for name, result in check.steps.items()
    }
    (check.out / "checks.json").write_text(json.dumps(checks, indent=1) + "\n")
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
    device = re.sub(r"[^a-z0-9]+", "-", about["device"].lower()).strip("-")
    path = RESULTS / f"{device}-{about['date'][:10]}.json"
    about["command"] = command
    record = {**about, "rows": rows, "checks": checks, "figures": figures}
    path.write_text(json.dumps(record, indent=1) + "\n")
    shutil.copy2(path, check.out)
    return path


def table(check: Check, path: Path | None) -> str:
    lines = ["| check | outcome | | s |", "|---|---|---|---|"]
    for name, result in check.steps.items():
        cells = name, result["outcome"], result["says"], str(result.get("seconds", ""))
        lines.append("| " + " | ".join(cell.replace("\n", " ") for cell in cells) + " |")
    if path is None:
        return "\n".join(lines)
    lines += ["", "| figure | measured | bound | |", "|---|---|---|---|"]
    for figure in json.loads(path.read_text())["figures"]:
        bound = figure["bound"]
        verdict = "" if bound is None else "ok" if figure["value"] <= bound else "MISSED"
        measured = f"{figure['value']:.4g} {figure['unit']}"
        lines.append(f"| {figure['name']} | {measured} | {bound or ''} | {verdict} |")
    return "\n".join([*lines, "", f"record: {path}"])


def status_of(check: Check) -> int:
    outcomes = {result["outcome"] for result in check.steps.values()}
    return 1 if "failed" in outcomes else 2 if NOT_DONE in outcomes else 0


def steps(check: Check, quick: bool) -> None:
    """Everything, what tells most first. A failure does not keep the rest from being tried."""
    check.kept.pop("install", None)  # the folder it went to may be gone
    if check.step("install", partial(install, check))["outcome"] != "passed":
        return
    for dtype in DTYPES:
        check.step(f"small problems {dtype}", partial(small, check, dtype))

    def tests() -> None:
        for name in TESTS:
            title = f"{name}, quick" if quick else name
            check.step(title, partial(test, check, name, quick), least=20)

    def watch(tools: Sequence[str], dtypes: Sequence[str]) -> None:
        for tool in tools:
            for dtype in dtypes:
                check.step(f"{tool} {dtype}", partial(sanitize, check, tool, dtype), least=30)

    def bench(sizes: Sequence[str]) -> None:
        for size in sizes:
            check.step(f"benchmark {size}", partial(measure, check, size), least=20)

    if quick:
        bench(QUICK_SIZES[:1])
        watch(TOOLS[:1], DTYPES[:1])
        tests()
        bench(QUICK_SIZES[1:])
    else:
        tests()
        watch(TOOLS[:1], DTYPES)
        bench(SIZES)
        watch(TOOLS[1:], DTYPES)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="check.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the most telling part, 2 minutes")
    parser.add_argument("--minutes", type=float, help="stop and report after these (8, quick 2.5)")
    parser.add_argument(
        "--copy-to", type=Path, metavar="FOLDER",
        help="leave there, after every step, one archive of all that was found so far",
    )  # fmt: skip
    options = parser.parse_args()
    minutes = options.minutes or (2.5 if options.quick else 8)
    check = Check(minutes, options.copy_to and options.copy_to.resolve())
    steps(check, options.quick)
    path = write_record(check, "make gpu-check" + (" QUICK=1" if options.quick else ""))
    check.copy()
    print(table(check, path))
    return status_of(check)


if __name__ == "__main__":
    sys.exit(main())
