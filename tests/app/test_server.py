"""The page's server: who may read what, and several visitors at once."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.app.conftest import LIMIT, needs
from tests.app.visitor import Visitor, named

ROOT = Path(__file__).resolve().parents[2]
PHOTO, MASK = ROOT / "examples/photo.png", ROOT / "examples/mask.png"
COMMAND = [sys.executable, "-m", "gica_ops.cli", "app", "--no-browser"]


def painted(visitor: Visitor, folder: Path, hole: Image.Image) -> dict[str, object]:
    """What the editor sends of a hole, white in a picture of mode L."""
    layer = Image.new("RGBA", hole.size)
    layer.paste((255, 0, 0, 255), mask=hole)
    layer.save(folder / "layer.png")
    return {
        "background": None, "layers": [visitor.upload(folder / "layer.png")], "composite": None,
        "id": None,
    }  # fmt: skip


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, Image.Image]:
    """A small photograph, and a hole in it."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "small.png")
    hole = Image.new("L", (50, 40))
    hole.paste(255, (12, 10, 24, 18))
    return tmp_path / "small.png", hole


def test_a_small_picture_does_not_wait_for_a_large_one(address, tmp_path, small):
    slow, quick = Visitor(address), Visitor(address)
    slow.press("open", slow.upload(PHOTO))
    hole = painted(slow, tmp_path, Image.open(MASK))
    under_way, ended = threading.Event(), []

    def wait() -> None:
        ended.append(slow.press("fill", hole, "exemplar", 0, under_way=under_way))

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert under_way.wait(60)
    quick.press("open", quick.upload(small[0]))
    data, said = quick.press("fill", painted(quick, tmp_path, small[1]), "exemplar", 0)
    assert "96 pixels filled by exemplar" in data[2] and not said
    assert not ended, "the large one was done before the small one"
    slow.web.post("gradio_api/run/stop", json={"data": [], "session_hash": slow.session})
    waiting.join(60)
    assert ended and not ended[0][1] and all("path" not in part for part in ended[0][0])
    # What a visitor made can be downloaded; the file's name tells what it is.
    link = data[1]["value"]["path"]
    assert Path(link).name == "small-filled.png"
    assert quick.web.get(f"gradio_api/file={link}").content[:4] == b"\x89PNG"


def test_files_from_outside_are_never_opened(address, tmp_path, small):
    visitor = Visitor(address)
    outside = [str(small[0]), "/etc/passwd", str(PHOTO), f"{tempfile.gettempdir()}/../etc/passwd"]
    for path in outside:
        answer = visitor.web.get(f"gradio_api/file={path}")
        assert answer.status_code == 403, path
        for button in ("open", "open_1", "load_mask"):
            _, said = visitor.press(button, named(path))
            assert len(said) == 1 and "was not uploaded by a user" in said[0], (button, path)
        layers = {"background": None, "layers": [named(path)], "composite": None, "id": None}
        _, said = visitor.press("fill", layers, "exemplar", 0)
        assert len(said) == 1 and "was not uploaded by a user" in said[0], path
        _, said = visitor.press("fill", None, "exemplar", named(path))
        assert len(said) == 1, path
    # A path inside the folder of uploads that leads out of it again.
    inside = visitor.upload(small[0])["path"]
    for path in (f"{Path(inside).parent}/../../../../../../../../etc/passwd",):
        _, said = visitor.press("open", named(path))
        assert "was not uploaded by a user" in said[0]
        assert visitor.web.get(f"gradio_api/file={path}").status_code in (403, 404)


def test_nothing_is_fetched_from_elsewhere(address):
    visitor = Visitor(address)
    said_so = "Only files that were uploaded on this page are opened."
    for url in ("http://127.0.0.1:1/a.png", "https://example.com/a.png"):
        answer = visitor.web.get(f"gradio_api/file={url}")
        assert (answer.status_code, answer.json()["detail"]) == (403, said_so)
        assert visitor.press("open", named(url))[1] == [said_so]
        assert visitor.web.get(f"gradio_api/proxy={url}").status_code >= 400


def test_another_name_for_this_computer_is_refused(address):
    visitor = Visitor(address)
    assert visitor.web.get("", headers={"Host": "elsewhere.example"}).status_code == 400


def test_what_is_too_large_or_no_picture_is_said_in_a_sentence(address, tmp_path):
    visitor = Visitor(address)
    (tmp_path / "text.png").write_text("<b>no</b> picture")
    Image.new("L", (1001, 1000)).save(tmp_path / "wide.png")
    for name, sentence in (
        ("text.png", "Image 'text.png' is no picture that Pillow can read."),
        ("wide.png", "Image 'wide.png' is 1001 x 1000, above the limit of 1,000,000 pixels."),
    ):
        data, said = visitor.press("open", visitor.upload(tmp_path / name))
        assert said == [sentence]
        assert all("value" not in part for part in data)  # the page stays as it was
    (tmp_path / "long.png").write_bytes(bytes(LIMIT + 1))
    answer = visitor.web.post(
        "gradio_api/upload", files={"files": ("a.png", (tmp_path / "long.png").read_bytes())}
    )
    assert answer.status_code == 413
    assert visitor.press("fill", None, "exemplar", 0)[1] == ["Load a photograph first."]


def test_ctrl_c_ends_with_a_line_and_leaves_nothing(tmp_path):
    needs(importlib.util.find_spec("gradio"), "gradio is not installed")
    environment = os.environ | {"TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*COMMAND, "--port=0", "--host=0.0.0.0"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first.startswith("the page is at http://"), process.communicate()[1]
    assert len(list(tmp_path.glob("gica-app-*"))) == 1
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "stopped\n")
    assert errors.startswith("warning: on 0.0.0.0 the page is open") and errors.count("\n") == 1
    assert not list(tmp_path.glob("gica-app-*"))


def test_a_port_in_use_is_a_sentence():
    from gica_ops.app.server import free_port

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=rf"on 127.0.0.1, port {port}: .*--port"):
            free_port("127.0.0.1", port)
    assert free_port("127.0.0.1", 0) > 0


def test_without_gradio_the_command_says_what_to_install(monkeypatch):
    from click.testing import CliRunner

    from gica_ops.commands.app import app

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    done = CliRunner().invoke(app, [])
    assert done.exit_code == 1 and "pip install 'gica_ops[app]'" in done.output
