"""A served page, and what it takes to look at it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator

import pytest

LIMIT = 1_000_000  # of uploads, in bytes


def needs(there: object, reason: str) -> None:
    """Skips the test where something is missing; where everything is said to be there, fails."""
    if there:
        return
    if os.environ.get("GICA_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """A page on this computer, for pictures of at most 1 MB and a million pixels."""
    needs(importlib.util.find_spec("gradio"), "gradio is not installed")
    from gica_ops.app.photograph import Limits
    from gica_ops.app.server import served
    from gica_ops.app.session import Settings

    with served("127.0.0.1", 0, Settings(Limits(LIMIT, 1_000_000)), "exemplar") as address:
        yield address
