"""The command `gica` in this process, which spares a test the import of torch, some seconds."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
from pathlib import Path
from subprocess import CompletedProcess
from unittest import mock

from PIL import Image

from gica_ops.cli import main

__all__ = ["gica"]


def gica(*arguments: str | Path) -> CompletedProcess[str]:
    """What it prints, and its exit code. What it sets for the whole process is put back."""
    command = ["gica", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    limit, handler = Image.MAX_IMAGE_PIXELS, signal.getsignal(signal.SIGTERM)
    code: object = 0
    try:
        with (
            mock.patch.object(sys, "argv", command),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            main()
    except SystemExit as leave:
        code = leave.code
    finally:
        Image.MAX_IMAGE_PIXELS = limit
        signal.signal(signal.SIGTERM, handler)
    assert isinstance(code, int)
    return CompletedProcess(command, code, out.getvalue(), err.getvalue())
