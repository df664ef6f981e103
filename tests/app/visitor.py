"""Somebody who talks to the page's server without a browser, and need not keep to its rules."""

from __future__ import annotations

import json
import secrets
import threading
from pathlib import Path
from typing import Any

__all__ = ["Visitor"]


class Visitor:
    def __init__(self, address: str) -> None:
        import httpx

        self.web = httpx.Client(base_url=address, timeout=60)
        self.session = secrets.token_hex(8)
        parts = self.web.get("config").json()["dependencies"]
        self.numbers = {part["api_name"]: part["id"] for part in parts}

    def upload(self, path: Path) -> dict[str, Any]:
        """A file as the page names it once it is uploaded. Raises httpx.HTTPStatusError."""
        files = {"files": (path.name, path.read_bytes())}
        answer = self.web.post("gradio_api/upload", files=files).raise_for_status()
        return named(answer.json()[0])

    def join(self, button: str, *inputs: Any) -> str:
        """Presses a button without waiting. Returns what the server calls the event."""
        event = {"data": inputs, "fn_index": self.numbers[button], "session_hash": self.session}
        answer = self.web.post("gradio_api/queue/join", json=event).raise_for_status()
        return str(answer.json()["event_id"])

    def press(
        self, button: str, *inputs: Any, under_way: threading.Event | None = None
    ) -> tuple[list[Any], list[str]]:
        """What the page would show, and the sentences it would say. One at a time for a visitor.

        under_way: set when there is progress to be seen.
        """
        event, said = self.join(button, *inputs), []
        query = {"session_hash": self.session}
        with self.web.stream("GET", "gradio_api/queue/data", params=query) as lines:
            for line in lines.iter_lines():
                message = json.loads(line[len("data:") :]) if line.startswith("data:") else {}
                if message.get("event_id") != event:
                    continue
                if message["msg"] == "log":
                    said.append(message["log"])
                if message["msg"] == "progress" and under_way is not None:
                    under_way.set()
                if message["msg"] == "process_completed":
                    output = message["output"]
                    said += [output["error"]] if output.get("error") else []
                    return output.get("data", []), said
        raise AssertionError("the server hung up")


def named(path: str) -> dict[str, Any]:
    """A file as the page names it."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}
