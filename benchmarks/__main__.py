"""python -m benchmarks: `gica bench`, from a tree that is not installed too."""

from __future__ import annotations

import sys

from gica_ops import cli

if __name__ == "__main__":
    sys.argv[1:1] = ["bench"]
    cli.main()
