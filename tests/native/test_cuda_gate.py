"""What must hold of the compiled CUDA kernels, found out without a GPU: no spills, the matrix
instructions that were meant, and launches that every device takes."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.native import cuda_report
from tests.native.gate import build, compiled
from tests.native.gate.launches import DEVICES, KIB, MIB, PASSES, Device, Launch, Sizes, record
from tests.native.gate.occupancy import blocks_per_multiprocessor, occupancy
from tests.tiles import SLICED, SLICED_LIMITS

pytestmark = pytest.mark.slow  # the first run compiles the kernels, where the package has not


@pytest.fixture(scope="module")
def folder() -> Path:
    try:
        return build.build_kernels()
    except build.Off as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def kernels(folder) -> list[compiled.Kernel]:
    return compiled.read_logs(folder)


@pytest.fixture(scope="module")
def cuobjdump() -> None:
    if compiled.disassembler() is None:
        pytest.skip("cuobjdump is not installed: pip install nvidia-cuda-cuobjdump")


def architectures(folder: Path) -> set[str]:
    """What this build is for, as ptxas calls it: sm_80, sm_90a, ..."""
    cache = (folder / "build.ninja").read_text()
    return {f"sm_{found}" for found in re.findall(r"code=\[?(?:compute_\w+,)?sm_(\w+)", cache)}


def test_nothing_spills(kernels):
    assert kernels
    spilling = [k for k in kernels if k.spilled or k.stack]
    assert spilling == [], [compiled.demangled(k.name) for k in spilling]


def test_the_compiler_warns_of_nothing(folder, kernels):
    assert compiled.complaints(folder) == []


def test_every_kernel_is_compiled_for_every_architecture(folder, kernels):
    wanted = architectures(folder)
    assert wanted
    for name in {k.name for k in kernels}:
        mine = [k for k in kernels if k.name == name]
        expected = {"sm_90a"} if all(k.file.startswith("sm90_") for k in mine) else wanted
        assert {k.architecture for k in mine} >= expected, name


def test_registers_leave_room_for_two_blocks(kernels):
    """A kernel at the limit of 255 registers has spilled, or is about to."""
    assert max(k.registers for k in kernels) < 255


def objects(folder: Path, sm90: bool) -> list[Path]:
    """Objects of the files that are, or are not, for 9.0 alone."""
    found = sorted(folder.glob("csrc/cuda/**/*.cu.o"))
    return [path for path in found if path.name.startswith("sm90_") == sm90]


def test_products_run_on_the_matrix_units(folder, cuobjdump):
    """HMMA wherever a kernel multiplies bfloat16, float16 or TF32, all but true float32."""
    found = 0
    for path in objects(folder, sm90=False):
        for name, counted in compiled.instructions(path, "sm_80").items():
            if re.search(r"gram_products|paste|block_gradients", name) and "Float32E" not in name:
                assert counted["HMMA"] > 0, (compiled.demangled(name), path.name)
                found += 1
    assert found > 0 or "sm_80" not in architectures(folder)


def test_hopper_products_are_asynchronous(folder, cuobjdump):
    """Warp-group products (HGMMA) and bulk tensor copies (UTMALDG) in the code for sm_90a."""
    paths = objects(folder, sm90=True)
    if not paths:
        pytest.skip("there are no sm90_*.cu files")
    found = Counter[str]()
    for path in paths:
        for counted in compiled.instructions(path, "sm_90a").values():
            found += counted
    assert found["HGMMA"] > 0 and found["UTMALDG"] > 0


def test_arrivals_wait_for_no_store(folder, cuobjdump):
    """Barriers of copies order nothing else: fences, which wait for all that a multiprocessor has
    stored, come with the barriers of a whole cluster and nowhere else."""
    found = 0
    for path in objects(folder, sm90=True):
        for name, counted in compiled.instructions(path, "sm_90a").items():
            if "paste_clusters" in name:
                assert counted["MEMBAR"] <= counted["UCGABAR"], path.name
                found += counted["SYNCS"]
    assert found > 0 or not objects(folder, sm90=True)


SIZES = {
    "tiny": Sizes((2, 2), channels=1),
    "one position": Sizes((1, 1), channels=3, rate=1, value_channels=5, value_scale=3),
    "ragged": Sizes((46, 34), (30, 70), batch=3, channels=37, fuse_k=5, ksize=5),
    "no propagation": Sizes((64, 64), fuse_k=1, ksize=1),
    "rate 4": Sizes((64, 64), rate=4, channels=256),
    "rate 3, values": Sizes((66, 63), rate=3, value_channels=3, value_scale=4),
    "512": Sizes((128, 128)),
    "1024": Sizes((256, 256)),
    "a long row": Sizes((2, 2048), (2048, 2)),
    "a very high background": Sizes((2, 4), (140_000, 4), channels=16),
    "a very wide background": Sizes((4, 2), (2, 4_194_302), channels=16),
    "a very high foreground": Sizes((1_000_000, 2), (2, 4), channels=16),
    "2048": Sizes((512, 512)),
    "4K": Sizes((540, 960)),
    "8K": Sizes((1080, 1920)),
    "batch of 64": Sizes((64, 64), batch=64),
    "wide": Sizes((64, 64), channels=1024),
}
ARITHMETIC = [("float32", False), ("float32", True), ("bfloat16", False), ("float16", False)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("dtype", "tf32"), ARITHMETIC)
def test_every_device_takes_the_launches(folder, kernels, size, dtype, tf32):
    """Grids, blocks and shared memory are within what devices allow, whatever the problem is."""
    static = {(k.name, k.architecture): k.shared for k in kernels}
    sizes = Sizes(**{**vars(SIZES[size]), "allow_tf32": tf32})
    few = sizes.f[0] * sizes.f[1] > 256**2  # planning the largest takes the host seconds
    for device in (DEVICES["RTX 3060"], DEVICES["H200"]) if few else DEVICES.values():
        for which in PASSES:
            recording = record(which, dtype, sizes, device)
            assert recording.error == 0, (device.name, which, recording.what)
            assert recording.launches
            for launch in recording.launches:
                shared = launch.dynamic_shared + static.get((launch.kernel, device.architecture), 0)
                assert shared <= device.shared_per_block, (device.name, launch)


def scratch_of_maps(sizes: Sizes) -> int:
    """Bytes of f, b and the pasted values, as float32 with their channels rounded up."""
    channels = -(-sizes.channels // 64) * 64
    return 4 * sizes.batch * channels * (2 * sizes.f[0] * sizes.f[1])


@pytest.mark.parametrize("size", ["512", "1024", "2048", "4K", "8K"])
@pytest.mark.parametrize("which", PASSES)
def test_scratch_does_not_grow_with_the_square_of_the_image(folder, size, which):
    """256 MiB for what grows with P x Q, and beside it no more than a few copies of the maps."""
    sizes = SIZES[size]
    recording = record(which, "bfloat16", sizes, DEVICES["H200"])
    assert recording.scratch <= 256 * MIB + 3 * scratch_of_maps(sizes)
    if size == "4K" and which == "forward":
        assert recording.scratch <= 1024 * MIB


@pytest.mark.parametrize("which", PASSES)
def test_hopper_walks_by_its_own_products(folder, which):
    """In 16 bits, where rows fill its wide tiles; others walk as every device does."""

    def product(device: str, dtype: str, side: int) -> set[str]:
        launches = record(which, dtype, Sizes((side, side)), DEVICES[device]).launches
        found = (re.search("walk_scores.*(Warp(?:group)?Product)", x.kernel) for x in launches)
        return {match.group(1) for match in found if match}

    assert product("H200", "bfloat16", 256) == {"WarpgroupProduct"}
    assert product("H200", "bfloat16", 128) == {"WarpProduct"}
    assert product("H200", "float32", 256) == {"WarpProduct"}
    assert product("RTX 4090", "bfloat16", 256) == {"WarpProduct"}


@pytest.mark.parametrize("device", ["RTX 3060", "H200"])
@pytest.mark.parametrize("which", PASSES)
def test_small_samples_share_their_launches(folder, which, device):
    """A batch takes as many as one sample; large ones are worked through one by one."""

    def launches(side: int, batch: int) -> list[Launch]:
        return record(which, "bfloat16", Sizes((side, side), batch=batch), DEVICES[device]).launches

    assert len(launches(16, 12)) == len(launches(16, 1))
    assert len(launches(256, 2)) == 2 * len(launches(256, 1))


def test_a_smaller_limit_on_scratch_is_kept(folder):
    """Down to what the smallest strip takes."""
    device = DEVICES["H200"]
    limits = [0, 64 * MIB, 16 * MIB]
    taken = [
        record("forward", "bfloat16", Sizes((256, 256), scratch_limit=limit), device).scratch
        for limit in limits
    ]
    assert taken == sorted(taken, reverse=True) and taken[2] < taken[0]


def gathers_of_a_strip(dtype: str, sizes: Sizes, device: Device) -> float:
    launches = Counter(
        match.group()
        for launch in record("forward", dtype, sizes, device).launches
        if (match := re.search("walk_scores|gather_blocks", launch.kernel))
    )
    return launches["gather_blocks"] / launches["walk_scores"]


def test_strips_are_pasted_in_slices(folder):
    """Where their blocks do not fit beside their scores."""
    h200 = DEVICES["H200"]
    assert gathers_of_a_strip("bfloat16", SIZES["512"], h200) == 1
    for size in ("1024", "2048", "4K"):
        assert gathers_of_a_strip("bfloat16", SIZES[size], h200) > 1, size


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("capability", [(8, 0), (9, 0)])
def test_the_emulated_kernels_see_slices(folder, capability, dtype):
    device = replace(DEVICES["H200"], capability=capability, multiprocessors=8)
    small = {"f": SLICED["size"], "b": SLICED["b_size"], "channels": SLICED["channels"], "rate": 1}
    gathers = [
        gathers_of_a_strip(dtype, Sizes(**small, scratch_limit=limit), device)
        for limit in SLICED_LIMITS
    ]
    assert max(gathers) > 1, gathers


def test_what_is_refused_is_refused_in_a_sentence(folder):
    refused = record("forward", "float64", Sizes((16, 16)), DEVICES["H200"])
    assert refused.error == -1 and "float64" in refused.what and not refused.launches


def test_the_report_lists_every_pass(folder, kernels):
    text = cuda_report.table(kernels, DEVICES["RTX 4090"], "float32", True, 256)
    assert all(f"| {which} |" in text for which in PASSES) and "gram_products" in text


# The readers themselves.

LOG = """\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z1fv' for 'sm_80'
ptxas info    : Function properties for _Z1fv
    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 22 registers, used 1 barriers, 512 bytes smem, 376 bytes cmem[0]
ptxas info    : Compiling entry function '_Z1gv' for 'sm_90a'
ptxas info    : Function properties for _Z1gv
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 34 registers, used 0 barriers
"""


def test_logs_are_read():
    f, g = compiled.parse_log(LOG, "file.cu")
    assert f == compiled.Kernel("_Z1fv", "sm_80", "file.cu", 22, 512, 8, 16)
    assert g == compiled.Kernel("_Z1gv", "sm_90a", "file.cu", 34, 0, 0, 0)
    with pytest.raises(ValueError, match="says nothing of _Z1gv"):
        compiled.parse_log(LOG[: LOG.rindex("ptxas")], "file.cu")


def test_serialised_products_and_warnings_are_found(tmp_path):
    path = tmp_path / "sub" / "sm90_paste_bfloat16.cu.o.log"
    path.parent.mkdir()
    path.write_text(
        LOG + "ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions "
        "are serialized due to ...\nfile.cu(3): warning #177-D: variable was declared\n"
    )
    assert len(compiled.complaints(tmp_path)) == 2


def test_logs_of_files_that_are_gone_are_left_aside(tmp_path):
    (tmp_path / "no_such_kernel.cu.o.log").write_text(LOG)
    assert compiled.read_logs(tmp_path) == []
    (tmp_path / "forward_tf32.cu.o.log").write_text(LOG)
    assert len(compiled.read_logs(tmp_path)) == 2


def test_instructions_are_counted():
    listing = """
arch = sm_80
		Function : _Z1fv
        /*0000*/                   MOV R1, c[0x0][0x28] ;      /* 0x00000a0000017a02 */
                                                               /* 0x003fde0000000f00 */
        /*0010*/             @!P0  HMMA.16816.F32.BF16 R12, R4.reuse, R14, RZ ;
        /*0020*/                   HMMA.16816.F32.BF16 R16, R4, R16, RZ ;
"""
    counted = compiled.count_instructions(listing.splitlines())
    assert counted == {"_Z1fv": Counter(HMMA=2, MOV=1)}


def test_occupancy_follows_what_runs_out_first():
    h200 = DEVICES["H200"]

    def of(registers: int, shared: int, threads: int) -> int:
        kernel = compiled.Kernel("", "sm_90a", "", registers, 0, 0, 0)
        return blocks_per_multiprocessor(kernel, Launch("", (1, 1, 1), threads, shared, 1), h200)

    assert of(32, 0, 32) == 32  # blocks
    assert of(32, 0, 256) == 8  # threads
    assert of(128, 0, 256) == 2  # registers
    assert of(32, 100 * KIB, 128) == 2  # shared memory
    kernel = compiled.Kernel("", "sm_90a", "", 128, 0, 0, 0)
    assert occupancy(kernel, Launch("", (1, 1, 1), 256, 0, 1), h200) == 0.25


def test_kernels_are_named_as_in_the_source():
    name = "_ZN4gica4cuda13gram_productsINS0_4HalfEEEvPKNT_6StoredES6_NS0_5ShapeEPKiiPf"
    assert compiled.demangled(name) in ("gram_products<Half>", name)  # without c++filt
