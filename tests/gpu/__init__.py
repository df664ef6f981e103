"""Tests of the CUDA kernels on a device: `pytest -m gpu tests/gpu`, or `make gpu-check`."""
