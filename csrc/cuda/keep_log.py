"""keep_log.py COMMAND...: runs a compiler and keeps what it says beside its object, in OBJECT.log.

What `-Xptxas -v` tells of every kernel is thereby there after a build, which itself stays silent
unless it fails.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main(command: list[str]) -> int:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    Path(command[command.index("-o") + 1] + ".log").write_bytes(done.stdout)
    if done.returncode != 0:
        sys.stderr.buffer.write(done.stdout)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
