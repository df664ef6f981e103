from __future__ import annotations

import os
from collections.abc import Iterator

import hypothesis
import pytest
import torch

import gica_ops

# Examples are drawn the same way in every run: a red test is red again.
hypothesis.settings.register_profile(
    "default",
    deadline=None,
    derandomize=True,
    max_examples=int(os.environ.get("GICA_EXAMPLES", "100")),
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
)
hypothesis.settings.load_profile("default")


@pytest.fixture(autouse=True)
def same_seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The problems are small: handing them to a second thread costs more than it brings.

    A test of threads sets their number for itself.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def skip_unless_available(backend: str) -> None:
    reason = gica_ops.available_backends("cpu")[backend]
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(params=["reference", "cpu"])
def backend(request: pytest.FixtureRequest) -> str:
    """Every backend that runs tensors on the CPU."""
    skip_unless_available(request.param)
    return request.param


@pytest.fixture
def cpu() -> str:
    """The CPU kernels, for tests of what only kernels have."""
    skip_unless_available("cpu")
    return "cpu"
