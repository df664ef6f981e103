"""Commands that are stopped at a chosen place."""

from __future__ import annotations

import signal
import subprocess
import sys

# Stops where it is told to, and says so: the process can then be killed there without a race.
# In a job in the background SIGINT is ignored from the start, and the process has to hear it.
HELD = """
import importlib, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
module = importlib.import_module({module!r})
def held(*_, **__):
    print("here", flush=True)
    time.sleep({seconds})
module.{function} = held
from gica_ops.cli import main
main()
"""


def kill_in(
    module: str, function: str, arguments: list[str], kill: signal.Signals, seconds: float = 100
) -> None:
    """Run `gica` until it calls this function, signal it there, and see that it ends in order.

    seconds: after which it goes on, where it is nothing that a signal would end.
    """
    code = HELD.format(module=module, function=function, seconds=seconds)
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "here\n"
    process.send_signal(kill)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (-kill if kill == signal.SIGKILL else 128 + kill)
    assert "Traceback" not in said
