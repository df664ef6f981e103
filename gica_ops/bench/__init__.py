"""Benchmarks: what the layer costs beside other ways to compute it. Used by `gica bench`."""
