"""The page: what is on it, and what its buttons do."""

from __future__ import annotations

from typing import Any

import gradio as gr

from .handlers import COLOUR, OPACITY, Handlers

__all__ = ["CSS", "THEME", "build_page"]

INTRODUCTION = """
# Take something out of a photograph
**1.** Load a photograph &ensp; **2.** Paint over what should go &ensp; **3.** Press *Fill*
"""
CSS = """
.gradio-container {
    width: 100% !important; max-width: 1280px !important; margin: 0 auto !important;
}
footer { display: none !important; }
"""
# Fonts of the system: the page asks no other host for anything.
THEME = gr.themes.Default(
    primary_hue="blue",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)
HEIGHT = 480
BRUSH = ("rgb({}, {}, {})".format(*COLOUR), OPACITY)
PICTURE: dict[str, Any] = {"interactive": False, "buttons": ["fullscreen"]}


def build_page(handlers: Handlers, method: str, at_once: int = 2) -> gr.Blocks:
    """The page, whose visitors have a session each.

    method: the one that is set at first.
    at_once: how many pictures are filled at the same time. They are filled in threads: nearly all
        the time goes to torch, which lets go of Python's lock, and a process of its own would load
        torch and the weights anew.
    """
    with gr.Blocks(
        title="gica: take something out of a photograph",
        analytics_enabled=False,
        delete_cache=(3600, 24 * 3600),  # seconds: how often to look, and how old files get
    ) as page:
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            with gr.Column():
                drop = gr.File(label="Photograph", file_types=["image"], height=HEIGHT)
                editor = _editor()
                fill = gr.Button("Fill", variant="primary", size="lg", interactive=False)
                stop = gr.Button("Stop", variant="stop", size="lg", visible=False)
                with gr.Column(visible=False) as settings:
                    with gr.Row():
                        way = gr.Radio(
                            [("automatic", "auto"), "exemplar", "network"],
                            value=method,
                            label="Method",
                            info="exemplar copies patches, network asks a trained generator",
                            scale=3,
                        )
                        seed = gr.Number(
                            0,
                            label="Seed",
                            info="for another filling",
                            precision=0,
                            minimum=0,
                            maximum=2**53 - 1,
                            min_width=90,
                        )
                    with gr.Row():
                        again = gr.UploadButton("Another photograph", file_types=["image"])
                        mask = gr.UploadButton("Hole from a mask file", file_types=["image"])
            with gr.Column():
                result = gr.Image(label="Result", height=HEIGHT, elem_id="result", **PICTURE)
                download = gr.DownloadButton("Download", interactive=False, size="lg")
                said = gr.Markdown(elem_id="said")
                with gr.Row():
                    go_on = gr.Button("Go on with the result", visible=False)
                    undo = gr.Button("Back to the picture before", visible=False)
        with gr.Row(visible=False) as attention:
            wheel = gr.Image(label="In which direction each pixel's source lies", **PICTURE)
            arrows = gr.Image(label="Where the content comes from", **PICTURE)
        board = [
            drop, editor, fill, settings, result, download, said, go_on, undo, attention,
        ]  # fmt: skip
        quick: dict[str, Any] = {"concurrency_limit": 4, "concurrency_id": "quick"}
        drop.upload(handlers.open, drop, board, show_progress_on=drop, **quick)
        again.upload(handlers.open, again, board, show_progress_on=editor, **quick)
        mask.upload(handlers.load_mask, mask, editor, **quick)
        go_on.click(handlers.go_on, None, board, show_progress_on=editor, **quick)
        undo.click(handlers.undo, None, board, show_progress_on=editor, **quick)
        fill.click(handlers.begin, None, [fill, stop], queue=False).then(
            handlers.fill,
            [editor, way, seed],
            [result, download, said, go_on, attention, wheel, arrows],
            show_progress_on=result,
            concurrency_limit=at_once,
        ).then(handlers.end, None, [fill, stop], queue=False)
        stop.click(handlers.stop, None, None, queue=False)
        page.unload(handlers.leave)
    return page


def _editor() -> gr.ImageEditor:
    """A brush and an eraser on a picture, nothing else: the file comes in another way, as it is."""
    brush = gr.Brush(default_size=20, colors=[BRUSH], default_color=BRUSH, color_mode="fixed")
    return gr.ImageEditor(
        label="Paint over what should go",
        type="pil",
        format="png",
        sources=[],
        transforms=[],
        layers=False,
        buttons=[],
        brush=brush,
        height=HEIGHT,
        visible=False,
        elem_id="editor",
    )
