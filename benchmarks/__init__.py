"""Speed and memory of gica_ops: `python -m benchmarks --help`. No part of the installed package."""
