"""`pytest benchmarks`: the problems of `gica bench` for pytest-benchmark, checked before timing."""

from __future__ import annotations

import pytest

pytest.importorskip("pytest_benchmark", reason="pip install gica_ops[bench]")
