"""No statement waits for a PostgreSQL that has fallen silent: for pages and commands, behind which a person waits.

A slow statement, or one that waits for a lock, may take its time as long as the server is alive. Once nothing
has come for a while the server is asked on another line; when that says nothing either, the statement fails.
Workers do without: their hot path must not pay for it, and their work is in the database anyway.
"""

from __future__ import annotations

import os
import select
import socket
import time
from typing import Any, Final

import psycopg2
from psycopg2 import extensions

QUIET_SECONDS: Final = 0.7  # without a word on a statement's own connection
PROBE_SECONDS: Final = 0.7  # for a word on another
REMEMBERED_SECONDS: Final = 2.0  # what was found silent is not asked again at once
SSL_REQUEST: Final = bytes.fromhex(
    "0000000804d2162f"
)  # the one question that a server answers before any login
SILENT: Final = (
    "PostgreSQL accepts connections but says nothing (stopped, or its machine is overloaded). The last request to it "
    "may or may not have been carried out."
)

_silent_until = 0.0


def limit_waits() -> None:
    """Have every connection of this process give up on a silent server."""
    extensions.set_wait_callback(_wait)


def _wait(connection: Any) -> None:
    while (state := connection.poll()) != extensions.POLL_OK:
        poller = select.poll()
        poller.register(
            connection.fileno(), select.POLLIN if state == extensions.POLL_READ else select.POLLOUT
        )
        while not poller.poll(QUIET_SECONDS * 1000):
            _refuse_silence(connection.fileno())


def _refuse_silence(descriptor: int) -> None:
    """Return when the server behind a connection answers on another one. Raises OperationalError."""
    global _silent_until
    if time.monotonic() >= _silent_until and _answers(descriptor):
        return
    _silent_until = time.monotonic() + REMEMBERED_SECONDS
    raise psycopg2.OperationalError(SILENT)


def _answers(descriptor: int) -> bool:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as known:
            family, peer = known.family, known.getpeername()
        with socket.socket(family, socket.SOCK_STREAM) as line:
            line.settimeout(PROBE_SECONDS)
            line.connect(peer)
            line.sendall(SSL_REQUEST)
            return bool(line.recv(1))
    except OSError:
        return False
