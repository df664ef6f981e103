"""The emulator runs right kernels right, and finds every planted bug in the mode that has to."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.native.emulator.build import ROOT, build, toolkit

DEMOS = Path(__file__).resolve().parent / "emulator_demo"
BUILD = ROOT / "build" / "emulator"
NAMES = (
    "block_sum",
    "warp_functions",
    "layouts",
    "product_sm80",
    "layouts_sm90",
    "product_sm90",
    "product_cluster",
)
SEEDS = (0, 1, 2)
LATE, EAGER = 0, 1
MODES = {LATE: "late", EAGER: "eager"}

# demonstration, bug, modes that have to find it, what is said
PLANTED = [
    ("block_sum", "no_barrier", (LATE, EAGER), "wrong: sum"),
    ("block_sum", "divergent_barrier", (LATE, EAGER), "__syncthreads: others of this block"),
    ("block_sum", "divergent_shuffle", (LATE, EAGER), r"__shfl_xor_sync.*block_sum\.cu:\d+"),
    ("product_sm80", "no_wait", (LATE,), "wrong: c"),
    ("product_sm80", "no_guard", (LATE, EAGER), "wrong: c"),
    ("product_sm80", "no_trans", (LATE, EAGER), "wrong: c"),
    ("product_sm80", "misaligned", (LATE, EAGER), "ldmatrix_x4: a row's address"),
    ("product_sm80", "misaligned_copy", (LATE, EAGER), "cp.async: an address"),
    ("product_sm90", "early_release", (LATE,), "wrong: c"),
    ("product_sm90", "wrong_count", (LATE, EAGER), "deadlock: .* lacks 1 of 3 arrivals"),
    ("product_sm90", "wrong_bytes", (LATE, EAGER), "deadlock: .* and 16 bytes"),
    ("product_sm90", "no_init", (LATE, EAGER), "the mbarrier was not initialised"),
    ("product_sm90", "no_fence", (LATE, EAGER), "no wgmma_fence"),
    ("layouts_sm90", "no_proxy_fence", (LATE, EAGER), "no fence_async_proxy since copies"),
    ("product_sm90", "no_full", (LATE,), "wrong: c|more arrivals than"),
    ("product_sm90", "left_copy", (LATE,), "while copies to its shared memory were under way"),
    ("product_cluster", "early_release", (LATE,), "wrong: c"),
    ("product_cluster", "leave_early", (LATE,), "has ended"),
]


@pytest.fixture(scope="module", autouse=True)
def cuda_headers() -> None:
    if toolkit() is None:
        pytest.skip("no CUDA toolkit with headers, or GICA_CUDA=0")


def build_demo(name: str, *flags: str) -> Path:
    sources = [path for path in sorted(DEMOS.glob("*.cu")) if not path.stem.startswith("wrappers")]
    return build(BUILD / name, [*sources, DEMOS / "main.cpp"], flags)


@pytest.fixture(scope="module")
def demo() -> Path:
    return build_demo("demo")


@pytest.fixture(scope="module")
def sanitized_demo() -> Path:
    try:
        return build_demo("demo_sanitized", "-O1", "-fsanitize=address")
    except RuntimeError as error:
        if "asan" not in str(error):
            raise
        pytest.skip("the compiler has no address sanitizer")


def run(program: Path, name: str, bug: str, mode: int, seed: int) -> str:
    done = subprocess.run(
        [program, name, bug, str(mode), str(seed)], capture_output=True, text=True, timeout=60
    )
    return done.stdout + done.stderr


def expect_right(program: Path, name: str, mode: int) -> None:
    for seed in SEEDS:
        assert run(program, name, "none", mode, seed) == "right\n", seed


@pytest.mark.parametrize("mode", MODES, ids=MODES.get)
@pytest.mark.parametrize("name", NAMES)
def test_right_kernels_are_right(demo, name, mode):
    expect_right(demo, name, mode)


@pytest.mark.parametrize("mode", MODES, ids=MODES.get)
@pytest.mark.parametrize("name", NAMES)
def test_the_sanitizer_has_nothing_against_them(sanitized_demo, name, mode):
    expect_right(sanitized_demo, name, mode)


@pytest.mark.parametrize(
    ("name", "bug", "mode", "said"),
    [(name, bug, mode, said) for name, bug, modes, said in PLANTED for mode in modes],
    ids=[f"{name}-{bug}-{MODES[mode]}" for name, bug, modes, _ in PLANTED for mode in modes],
)
def test_planted_bugs_are_found(demo, name, bug, mode, said):
    for seed in SEEDS:
        output = run(demo, name, bug, mode, seed)
        assert re.search(said, output), (seed, output)


@pytest.mark.parametrize("mode", MODES, ids=MODES.get)
def test_the_sanitizer_sees_what_leaves_shared_memory(sanitized_demo, mode):
    assert "heap-buffer-overflow" in run(sanitized_demo, "block_sum", "out_of_bounds", mode, 0)


@pytest.mark.parametrize("bug", ["wrong_count", "no_fence"])
def test_an_abandoned_block_leaves_nothing_behind(sanitized_demo, bug):
    assert "Sanitizer" not in run(sanitized_demo, "product_sm90", bug, LATE, 0)


@pytest.mark.parametrize("header", ["ptx.h", "ptx_sm90.h"])
def test_the_emulator_has_the_functions_of_the_device(header):
    device = (ROOT / "csrc" / "cuda" / "common" / header).read_text()
    names = set(re.findall(r"^(?:__device__ __forceinline__|inline) \w+ (\w+)\(", device, re.M))
    emulated = (ROOT / "tests" / "native" / "emulator" / header).read_text()
    used = (DEMOS / f"wrappers_{'sm90' if 'sm90' in header else 'sm80'}.cu").read_text()
    assert len(names) > 10
    for name in names - {"shared_address", "settle"}:  # the others' own
        assert re.search(rf"^(?:inline )?\w+ {name}\(", emulated, re.M), name
        assert re.search(rf"\b{name}[<(]", used), name


@pytest.mark.parametrize(("source", "architecture"), [("sm80", "sm_80"), ("sm90", "sm_90a")])
def test_every_wrapper_compiles_for_a_device(source, architecture, tmp_path):
    if shutil.which("nvcc") is None:
        pytest.skip("nvcc is not on the PATH")
    include = [f"-I{ROOT / 'csrc' / folder}" for folder in ("include", "cuda")]
    done = subprocess.run(
        ["nvcc", "-std=c++17", f"-arch={architecture}", *include]
        + ["-c", DEMOS / f"wrappers_{source}.cu", "-o", tmp_path / "wrappers.o"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
