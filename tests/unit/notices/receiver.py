"""A receiver of webhooks on this machine: it keeps what comes, and answers as a story wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Receiver:
    """One web server. ``status``: its answer; ``location``: where it sends whoever asks, when that is set.

    ``before``: called with each message before it is answered.
    """

    def __init__(self, host: str, *, status: int = 200, location: str = "") -> None:
        self.host = host
        self.status = status
        self.location = location
        self.before: Callable[[], object] = lambda: None
        self.messages: list[dict[str, Any]] = []
        self.paths: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.paths.append(self.path)
                receiver.messages.append(json.loads(body))
                receiver.before()
                self.send_response(receiver.status)
                if receiver.location:
                    self.send_header("Location", receiver.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port

    def url(self, path: str = "/token-of-the-webhook", *, host: str = "") -> str:
        return f"json://{host or self.host}:{self.port}{path}"

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.messages]

    @property
    def texts(self) -> str:
        return "\n".join(f"{message['title']}\n{message['message']}" for message in self.messages)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
