"""Connections to the exchange, kept between requests: one request and its whole answer over one of them at a time.

A kept connection is used only while nothing has come over it unasked: one that its server has closed is readable, and
is thrown away before anything leaves. From the first byte on there is no second try: whether a request without an
answer was carried out cannot be known here. No proxy is asked for and no redirect followed.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import ssl
import time
from collections import deque
from functools import cached_property, lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import certifi

from exchange.binance.answer import Answer
from exchange.binance.answer_reader import read_answer
from exchange.binance.transport import Flight, Outgoing, time_left

KEPT_MAX: Final = 20  # at rest, for each address
# A server, or a router on the way, that drops what rests mostly waits a minute. What was dropped without a word
# would cost a request its whole time.
IDLE_SECONDS: Final = 30.0
_TARGET: Final = re.compile(r"[!-~]+")


class Origin(NamedTuple):
    host: str
    port: int
    tls: bool


class KeptConnections:
    """A process's connections, shared by all its clients and threads. A forked child begins with none."""

    def __init__(self, certificates: str | None = None) -> None:
        self._certificates = certificates
        # The latest comes first; threads take from it and add to it without a lock, which a fork could leave locked.
        self._kept: dict[Origin, deque[tuple[socket.socket, float]]] = {}
        self._process = os.getpid()

    def send(self, outgoing: Outgoing, flight: Flight) -> Answer:
        """Send a request, once. Raises OSError or ValueError when no whole answer comes before the deadline."""
        origin, host, path = _place(outgoing.url)
        request = _as_bytes(outgoing, host, path)
        sock = self._take(origin) or self._open(origin, flight.deadline)
        try:
            flight.leave()
        except BaseException:
            self._keep(origin, sock)  # nothing has gone over it
            raise
        try:
            sock.settimeout(time_left(flight.deadline))
            sock.sendall(request)
            answer, reusable = read_answer(sock, flight.deadline)
        except BaseException:
            sock.close()
            raise
        if reusable:
            self._keep(origin, sock)
        else:
            sock.close()
        return answer

    def close(self) -> None:
        """Close what rests."""
        for kept in self._kept.values():
            for sock, _ in kept:
                sock.close()
        self._kept = {}

    def _take(self, origin: Origin) -> socket.socket | None:
        if self._process != os.getpid():  # the parent goes on using them
            self.close()
            self._process = os.getpid()
        kept = self._kept.get(origin)
        while kept:
            with contextlib.suppress(IndexError):  # another thread was quicker
                sock, since = kept.pop()
                if time.monotonic() - since <= IDLE_SECONDS and not _is_readable(sock):
                    return sock
                sock.close()
        return None

    def _keep(self, origin: Origin, sock: socket.socket) -> None:
        kept = self._kept.setdefault(origin, deque())
        now = time.monotonic()
        kept.append((sock, now))
        with contextlib.suppress(IndexError):
            while len(kept) > KEPT_MAX or now - kept[0][1] > IDLE_SECONDS:
                kept.popleft()[0].close()

    def _open(self, origin: Origin, deadline: float) -> socket.socket:
        """Connect to the first address that answers; each has its part of the time, so that a dead one leaves some."""
        addresses = socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        failed: OSError = OSError("no address")
        for place, (family, kind, proto, _, address) in enumerate(addresses):
            sock = socket.socket(family, kind, proto)
            try:
                sock.settimeout(time_left(deadline) / (len(addresses) - place))
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if not origin.tls:
                    return sock
                sock.settimeout(time_left(deadline))
                return self._tls.wrap_socket(sock, server_hostname=origin.host)
            except OSError as error:
                sock.close()
                failed = error
            except BaseException:
                sock.close()
                raise
        raise failed

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._certificates or certifi.where())
        context.set_alpn_protocols(["http/1.1"])
        return context


KEPT: Final = KeptConnections()


@lru_cache(maxsize=256)
def _place(url: str) -> tuple[Origin, str, str]:
    """Return where a URL leads: origin, the Host header, path."""
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    host = parts.hostname or ""
    port = parts.port or (443 if tls else 80)
    shown = f"[{host}]" if ":" in host else host
    return Origin(host, port, tls), shown if parts.port is None else f"{shown}:{port}", parts.path or "/"


def _as_bytes(outgoing: Outgoing, host: str, path: str) -> bytes:
    target = f"{path}?{outgoing.query}" if outgoing.query else path
    if not _TARGET.fullmatch(target):
        raise ValueError("not a target of a request")
    lines = [
        f"{outgoing.method} {target} HTTP/1.1",
        f"Host: {host}",
        "Accept-Encoding: gzip",
        *[f"{name}: {value}" for name, value in outgoing.headers.items()],
    ]
    if outgoing.method != "GET":
        lines.append("Content-Length: 0")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _is_readable(sock: socket.socket) -> bool:
    """Tell whether the server has closed, reset or said something although nothing was asked."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
