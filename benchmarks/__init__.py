"""Benchmarks of the project: records in results/, `gica bench` as `python -m benchmarks`, the same
problems for pytest-benchmark, and the bounds that the kernels are held to (`benchmarks.bounds`)."""
