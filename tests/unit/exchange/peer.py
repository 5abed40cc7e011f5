"""A tiny loopback server that does what a test tells it, and keeps every byte it was sent."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Reply = Callable[[socket.socket], None]


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> str:
        return urlsplit(self.target).query

    @property
    def params(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True, strict_parsing=bool(self.query)))


def answer(
    body: object = b"{}",
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    kind: str = "application/json",
) -> Reply:
    """Answer whole and at once."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    def reply(connection: socket.socket) -> None:
        connection.sendall(
            _head(status, {"Content-Length": str(len(data)), "Content-Type": kind} | dict(headers or {}))
            + data
        )

    return reply


def cut(body: bytes, *, missing: int = 40, status: int = 200) -> Reply:
    """Promise more than is sent, then close."""

    def reply(connection: socket.socket) -> None:
        length = str(len(body) + missing)
        connection.sendall(
            _head(status, {"Content-Length": length, "Content-Type": "application/json"}) + body
        )
        connection.shutdown(socket.SHUT_RDWR)

    return reply


def dripping_body(seconds: float, *, length_known: bool = True) -> Reply:
    """Send a whole head, then one byte after another, never pausing for long."""

    def reply(connection: socket.socket) -> None:
        length = {"Content-Length": "100000"} if length_known else {"Connection": "close"}
        connection.sendall(_head(200, {"Content-Type": "application/json"} | length))
        _drip(connection, b" ", seconds)

    return reply


def dripping_head(seconds: float) -> Reply:
    def reply(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        _drip(connection, b"a", seconds)

    return reply


def silence(seconds: float) -> Reply:
    """Take the request and say nothing; the peer's end lets go earlier."""

    def reply(connection: socket.socket) -> None:
        connection.settimeout(seconds)
        with contextlib.suppress(OSError):
            connection.recv(1)

    return reply


def reset() -> Reply:
    """Take the request, then reset the connection."""

    def reply(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    return reply


def hang_up() -> Reply:
    return lambda connection: connection.shutdown(socket.SHUT_RDWR)


def _drip(connection: socket.socket, byte: bytes, seconds: float) -> None:
    ends = time.monotonic() + seconds
    with contextlib.suppress(OSError):
        while time.monotonic() < ends:
            connection.sendall(byte)
            time.sleep(0.02)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Told\r\n{lines}\r\n".encode()


class Peer:
    """Listens on loopback; answers with what ``then`` queued, or with what ``always`` makes of the request."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.requests: list[Request] = []
        self.taken = 0  # connections
        self.raw: list[bytes] = []
        self._replies: deque[Reply] = deque()
        self._route: Callable[[Request], Reply] | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def then(self, *replies: Reply) -> None:
        self._replies.extend(replies)

    def always(self, route: Callable[[Request], Reply]) -> None:
        self._route = route

    def let_go(self) -> None:
        """Close every connection, and take new ones."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.let_go()
        for thread in self._threads:
            thread.join(timeout=5)

    def _start(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.taken += 1
            self._open.add(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), self._secured(connection) as connection:
            while (request := self._receive(connection)) is not None:
                with self._lock:
                    self.requests.append(request)
                    reply = self._replies.popleft() if self._replies else None
                if reply is None:
                    reply = self._route(request) if self._route else answer({})
                reply(connection)
        self._open.discard(connection)

    def _secured(self, connection: socket.socket) -> socket.socket:
        if self._tls is None:
            return connection
        secured = self._tls.wrap_socket(connection, server_side=True)
        self._open.add(secured)
        return secured

    def _receive(self, connection: socket.socket) -> Request | None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {
            name.lower(): value
            for name, value in (
                line.split(": ", 1) if ": " in line else (line.rstrip(":"), "") for line in lines
            )
        }
        while len(body) < int(headers.get("content-length", "0")):
            body += connection.recv(65536)
        self.raw.append(data)
        return Request(method, target, headers, body)
