"""The page's server, from its start to its end."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .session import Settings

__all__ = ["LOCAL", "free_port", "served"]

LOCAL = ("127.0.0.1", "localhost")


def free_port(host: str, port: int) -> int:
    """The port, or one that is free for 0. Raises ValueError, a sentence, where it is not free."""
    try:
        with socket.create_server((host, port)) as probe:
            return int(probe.getsockname()[1])
    except OSError as error:
        raise ValueError(
            f"the page cannot be served on {host}, port {port}: {error.strerror}; "
            "another port can be chosen with --port"
        ) from error


@contextlib.contextmanager
def served(host: str, port: int, settings: Settings, method: str = "auto") -> Iterator[str]:
    """Serves the page in the background, and gives its address; ends with everything removed.

    Uploads and results lie in a temporary folder of its own, the only one that files are read from.
    Nothing is fetched from any other host. Raises ValueError, a sentence, where the port is taken.
    """
    port = free_port(host, port)
    closing = threading.Event()
    with tempfile.TemporaryDirectory(prefix="gica-app-", ignore_cleanup_errors=True) as folder:
        # Gradio's settings from outside could open folders, or share the page.
        for name in [name for name in os.environ if name.startswith("GRADIO_")]:
            del os.environ[name]
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False"}
        from .handlers import Handlers
        from .page import CSS, THEME, build_page

        _fetch_nothing()
        handlers = Handlers(settings, Path(folder), closing)
        page = build_page(handlers, method)
        try:
            _, address, _ = page.queue(max_size=100).launch(
                server_name=host,
                server_port=port,
                share=False,
                prevent_thread_lock=True,
                quiet=True,
                show_error=True,
                footer_links=[],
                run_history=False,
                max_file_size=settings.limits.bytes,
                enable_monitoring=False,
                ssr_mode=False,
                pwa=False,
                mcp_server=False,
                app_kwargs=_app_options(host),
                theme=THEME,
                css=CSS,
            )
            yield address
        finally:
            closing.set()
            page.close(verbose=False)


def _fetch_nothing() -> None:
    """Gradio fetches files for a visitor who names an address instead of uploading: not here."""
    import gradio as gr
    from gradio import processing_utils, routes
    from starlette.exceptions import HTTPException

    def refuse(error: Exception) -> Callable[..., Any]:
        async def refuse_all(*arguments: Any, **options: Any) -> Any:
            raise error

        return refuse_all

    said = "Only files that were uploaded on this page are opened."
    error = gr.Error(said, title="", print_exception=False)
    processing_utils.async_ssrf_protected_download = refuse(error)
    routes.secure_url_stream_response = refuse(HTTPException(403, said))


def _app_options(host: str) -> dict[str, Any]:
    """A page on this computer answers to this computer's name alone, not to one that points at it.

    Otherwise any site could have its visitors' browsers take it for its own.
    """
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    if host not in LOCAL:
        return {}
    return {"middleware": [Middleware(TrustedHostMiddleware, allowed_hosts=list(LOCAL))]}
