from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
# Without it PyTorch's own matrix products warn in deterministic mode.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    from tests.gpu.device import REASON

    if REASON is not None and os.environ.get("GICA_REQUIRE_GPU") == "1":
        raise pytest.UsageError(f"GICA_REQUIRE_GPU=1, but: {REASON}")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            if REASON is not None:
                item.add_marker(pytest.mark.skip(reason=REASON))


@pytest.fixture(autouse=True)
def poisoned() -> Iterator[None]:
    """Every tensor that PyTorch allocates, outputs and scratch, starts out as NaN or as bytes of
    255: what a kernel forgets to write, or reads before it has written it, shows."""
    before = torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = before


@pytest.fixture(autouse=True)
def device_answers(request: pytest.FixtureRequest) -> Iterator[None]:
    """After an illegal access every call fails, and hides which test it was."""
    yield
    try:
        torch.cuda.synchronize()
    except RuntimeError as error:
        request.session.shouldstop = f"the device is lost after {request.node.name}: {error}"
        raise
