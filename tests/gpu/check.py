"""Everything that only a GPU can tell, in one go: python -m tests.gpu.check, or make gpu-check.

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
import importlib.util
import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.gpu.progress import OUT, ROOT, SITE, Check, Result, wheels
from tests.gpu.summary import status_of, table, write_record

BUILT = OUT / "built"
DTYPES = ("bfloat16", "float32", "float16")
TESTS = ("test_operators", "test_execution", "test_layer")
QUICK_TESTS = "golden or any_ or walks or pastes"  # of test_layer
SIZES = ("1024", "256", "4K", "512", "2048", "64", "128", "8K")
QUICK_SIZES = ("1024", "4K")
TOOLS = ("memcheck", "racecheck", "synccheck")
LOADS = """
import gica_ops, torch
print(gica_ops.__file__, torch.__version__, torch.cuda.get_device_name())
reason = gica_ops.available_backends("cuda")["cuda"]
if reason is not None:
    raise SystemExit(reason)
"""


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
        prog="python -m tests.gpu.check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
