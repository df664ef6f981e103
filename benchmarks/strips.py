"""The forward with different amounts of scratch for a strip of scores: why the kernels choose so.

Larger strips repeat less of the match product at their edges; smaller ones keep memory small.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import problems
from benchmarks.report import Figure, Report
from benchmarks.timing import measure, ratio
from tests.native.builder import load_bridge

__all__ = ["run"]

MIB = 2**20
CHOSEN = 0  # leaves the choice to the kernels
SIZES = (CHOSEN, 8 * MIB, 16 * MIB, 32 * MIB, 64 * MIB, 128 * MIB, 256 * MIB)


def run(report: Report, image_side: int, rounds: int) -> None:
    """Adds the time of each strip size, as a multiple of that of the kernels' own choice."""
    bridge = load_bridge()
    problem = problems.make("noise", image_side)
    f, b, hole = problem.f.numpy(), problem.b.numpy(), problem.mask.numpy()

    def forward(strip_bytes: int) -> Callable[[], object]:
        options = {"rate": problems.RATE, "skip": False, "strip_bytes": strip_bytes}
        bare = bridge.Problem(f, b, hole=hole, **options)
        return lambda: bridge.forward(bare, bridge.best(), report.threads)

    times = measure({str(size): forward(size) for size in SIZES}, rounds)
    chosen = times[str(CHOSEN)]
    for size in SIZES[1:]:
        report.add(
            Figure(
                f"{image_side} forward, noise, skip=never, strips of {size // MIB} MiB",
                ratio(times[str(size)], chosen),
                "x chosen",
                details={"strips": times[str(size)].record(), "chosen": chosen.record()},
            )
        )
