"""What the page's buttons do: each visitor's session, and what the page shows after."""

from __future__ import annotations

import functools
import html
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import gradio as gr
from PIL import Image

from .photograph import preview
from .session import Session, Settings, Stopped

__all__ = ["COLOUR", "OPACITY", "Handlers"]

COLOUR, OPACITY = (255, 59, 92), 0.7  # of the brush
PROGRESS = gr.Progress()


def in_sentences(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The handler, its errors shown as sentences on a page that stays as it was."""

    @functools.wraps(handler)
    def guarded(*arguments: Any) -> Any:
        try:
            return handler(*arguments)
        except Stopped:
            return gr.skip()
        except MemoryError:
            sentence = "this picture takes more memory than there is"
        except (ValueError, OSError) as error:
            sentence = " ".join(str(error).split())
        except Exception as error:
            traceback.print_exc()
            sentence = f"this went wrong, which it should not: {error!r}"
        gr.Warning(_escaped(f"{sentence[:1].upper()}{sentence[1:]}."), title="", duration=20)
        return gr.skip()

    return guarded


class Handlers:
    """A method for each button. A session is kept for each visitor until the page is left.

    folder: where results are written for downloading.
    closing: set when the server ends; fillings that are under way stop.
    """

    def __init__(self, settings: Settings, folder: Path, closing: threading.Event) -> None:
        self.settings = settings
        self.folder = folder
        self.closing = closing
        self.sessions: dict[str, Session] = {}

    @in_sentences
    def open(self, path: str, request: gr.Request) -> list[Any]:
        session = self._session(request)
        note = session.open(Path(path))
        if note:
            gr.Info(_escaped(note), title="")
        return self._anew(session)

    @in_sentences
    def load_mask(self, path: str, request: gr.Request) -> Any:
        session = self._session(request)
        hole = session.load_mask(Path(path))
        layer = Image.new("RGBA", hole.size)
        layer.paste((*COLOUR, round(255 * OPACITY)), mask=hole)
        return self._layered(session, [layer])

    @in_sentences
    def fill(
        self,
        painted: dict[str, Any] | None,
        method: str,
        seed: float | None,
        request: gr.Request,
        progress: gr.Progress = PROGRESS,
    ) -> list[Any]:
        session = self._session(request)

        def show(share: float) -> None:
            if self.closing.is_set():
                raise Stopped
            progress(share, desc="Filling")

        layers = painted["layers"] if painted else []
        done = session.fill(layers, method=method, seed=int(seed or 0), progress=show)
        path = done.photograph.write(Path(mkdtemp(dir=self.folder)))
        return [
            self._file(preview(done.photograph.picture.image)),
            gr.update(value=str(path), interactive=True),
            _escaped(done.said),
            gr.update(visible=True),
            gr.update(visible=True),
            self._file(done.wheel),
            self._file(done.arrows),
        ]

    def begin(self, request: gr.Request) -> list[Any]:
        """The button that stops, in place of the one that fills."""
        self._session(request).begin()
        return [gr.update(visible=False), gr.update(visible=True)]

    def end(self) -> list[Any]:
        """The reverse of `begin`."""
        return [gr.update(visible=True), gr.update(visible=False)]

    def stop(self, request: gr.Request) -> None:
        self._session(request).stop()

    @in_sentences
    def go_on(self, request: gr.Request) -> list[Any]:
        session = self._session(request)
        session.go_on()
        return self._anew(session)

    @in_sentences
    def undo(self, request: gr.Request) -> list[Any]:
        session = self._session(request)
        session.undo()
        return self._anew(session)

    def leave(self, request: gr.Request) -> None:
        session = self.sessions.pop(request.session_hash or "", None)
        if session is not None:
            session.close()

    def _session(self, request: gr.Request) -> Session:
        return self.sessions.setdefault(request.session_hash or "", Session(self.settings))

    def _anew(self, session: Session) -> list[Any]:
        """What the page shows of a session that has no result yet: its `board`, in order."""
        return [
            gr.update(visible=False),
            gr.update(value=self._layered(session, []), visible=True),
            gr.update(interactive=True),
            gr.update(visible=True),
            None,
            gr.update(value=None, interactive=False),
            "",
            gr.update(visible=False),
            gr.update(visible=session.can_undo),
            gr.update(visible=False),
        ]

    def _layered(self, session: Session, layers: list[Image.Image]) -> dict[str, Any]:
        """The editor's value: what is worked on, and what is painted on it."""
        assert session.shown is not None
        return {
            "background": self._file(session.shown),
            "layers": [self._file(layer) for layer in layers],
            "composite": None,
        }

    def _file(self, image: Image.Image) -> str:
        """A file of its own: Gradio writes equal pictures over each other while they are read."""
        path = Path(mkdtemp(dir=self.folder)) / "image.png"
        image.save(path, compress_level=1)
        return str(path)


def _escaped(sentence: str) -> str:
    """For where the page takes HTML."""
    return html.escape(sentence, quote=False)
