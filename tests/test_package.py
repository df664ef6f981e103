"""The package as it is installed: metadata, typing marker, quick import, no network."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import subprocess
import sys

import gica_ops


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_version_is_that_of_the_distribution():
    assert gica_ops.__version__ == importlib.metadata.version("gica_ops")


def test_typing_marker_is_installed():
    assert importlib.resources.files(gica_ops).joinpath("py.typed").is_file()


def test_everything_exported_exists():
    assert all(hasattr(gica_ops, name) for name in gica_ops.__all__)


def test_entry_point_prints_its_help():
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="gica")
    assert entry.value == "gica_ops.cli:main"
    text = python(
        "import sys; sys.argv = ['gica', '--help']\nfrom gica_ops.cli import main; main()"
    )
    assert "inpaint" in text and "info" in text


def test_import_adds_little_to_that_of_torch():
    """The least of some runs: a busy machine only ever adds."""
    code = (
        "import time, torch\n"
        "start = time.perf_counter()\n"
        "import gica_ops\n"
        "print(time.perf_counter() - start)\n"
    )
    assert min(float(python(code)) for _ in range(3)) < 0.2


def test_import_opens_no_connection_and_reads_no_picture_library():
    python(
        "import socket, sys\n"
        "def refuse(*_, **__): raise AssertionError('a connection was opened')\n"
        "socket.socket.connect = refuse\n"
        "socket.getaddrinfo = refuse\n"
        "import gica_ops\n"
        "assert 'PIL' not in sys.modules, 'Pillow is for the tools, not for import gica_ops'\n"
    )


def test_import_starts_no_threads_and_leaves_settings_alone():
    text = python(
        "import threading, torch\n"
        "before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()\n"
        "import gica_ops\n"
        "after = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()\n"
        "print(before == after, threading.active_count())\n"
    )
    assert text.split() == ["True", "1"]
