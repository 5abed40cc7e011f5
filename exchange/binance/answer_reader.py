"""Read one HTTP/1.1 answer from a socket: before one deadline, within bounds, and nothing that is not clear.

Whatever is odd is no answer: what it meant is then unknown, and the connection is not used again.
"""

from __future__ import annotations

import re
import socket
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from exchange.binance.answer import Answer
from exchange.binance.transport import time_left

HEAD_MAX: Final = 64 * 1024
BODY_MAX: Final = 32 * 1024 * 1024  # the largest there is, exchangeInfo, has some two
RECEIVE: Final = 64 * 1024
_STATUS_LINE: Final = re.compile(r"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: .*)?")
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?")
_GZIP: Final = 16 + zlib.MAX_WBITS


class Garbled(OSError):
    """What came is not a whole HTTP answer, or too much of it."""


def read_answer(sock: socket.socket, deadline: float) -> tuple[Answer, bool]:
    """Return the answer, and whether the connection may be used again.

    Raises OSError (TimeoutError when the deadline passes) when no whole answer comes.
    """
    incoming = _Incoming(sock, deadline)
    status, version, headers = _head(incoming)
    while 100 <= status < 200 and status != 101:  # a word in between: the answer is still to come
        status, version, headers = _head(incoming)
    body, delimited = _body(incoming, status, headers)
    if headers.get("content-encoding", "identity").lower() == "gzip":
        body = _unzipped(body)
    kept = delimited and version == "1" and "close" not in headers.get("connection", "").lower()
    answer = Answer(status, MappingProxyType(headers), body.decode("utf-8", errors="replace"))
    # What came behind the answer would be taken for the next one.
    return answer, kept and incoming.is_empty


def _head(incoming: _Incoming) -> tuple[int, str, dict[str, str]]:
    """Return status, minor version and headers, their names in lower case."""
    first, *lines = incoming.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
    found = _STATUS_LINE.fullmatch(first)
    if found is None:
        raise Garbled("no status line")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise Garbled("a header is none")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return int(found[2]), found[1], headers


def _body(incoming: _Incoming, status: int, headers: Mapping[str, str]) -> tuple[bytes, bool]:
    """Return the body, and whether its end was marked otherwise than by the connection's."""
    if status in (204, 304):
        return b"", True
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None:
        if coding.lower() != "chunked":
            raise Garbled("an unknown transfer coding")
        return _chunks(incoming), length is None  # with both, somebody on the way may cut elsewhere than we
    if length is None:
        return incoming.to_the_end(), False
    if not (length.isascii() and length.isdigit() and len(length) < 12):
        raise Garbled("no length")
    return incoming.exactly(int(length)), True


def _chunks(incoming: _Incoming) -> bytes:
    body = bytearray()
    while True:
        found = _CHUNK_SIZE.fullmatch(incoming.until(b"\r\n"))
        if found is None:
            raise Garbled("no size of a chunk")
        size = int(found[1], 16)
        if not size:
            break
        if len(body) + size > BODY_MAX:
            raise Garbled("too large")
        body += incoming.exactly(size)
        if incoming.exactly(2) != b"\r\n":
            raise Garbled("no end of a chunk")
    trailer = 0
    while line := incoming.until(b"\r\n"):
        trailer += len(line)
        if trailer > HEAD_MAX:
            raise Garbled("too large")
    return bytes(body)


def _unzipped(body: bytes) -> bytes:
    unzip = zlib.decompressobj(_GZIP)
    try:
        plain = unzip.decompress(body, BODY_MAX)
    except zlib.error as error:
        raise Garbled("not compressed as it says") from error
    if not unzip.eof:
        raise Garbled("too large, or cut")
    return plain


class _Incoming:
    """What comes over a connection, up to a deadline that no byte puts off."""

    __slots__ = ("_buffer", "_deadline", "_sock")

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline
        self._buffer = bytearray()

    @property
    def is_empty(self) -> bool:
        return not self._buffer

    def until(self, mark: bytes) -> bytes:
        """Return what comes before ``mark``, and drop both."""
        searched = 0
        while (end := self._buffer.find(mark, searched)) < 0:
            searched = max(0, len(self._buffer) - len(mark) + 1)
            if len(self._buffer) > HEAD_MAX:
                raise Garbled("too large")
            self._receive()
        found = bytes(self._buffer[:end])
        del self._buffer[: end + len(mark)]
        return found

    def exactly(self, count: int) -> bytes:
        if count > BODY_MAX:
            raise Garbled("too large")
        while len(self._buffer) < count:
            self._receive()
        found = bytes(self._buffer[:count])
        del self._buffer[:count]
        return found

    def to_the_end(self) -> bytes:
        """Return all that comes until the server closes. Only what is in it can tell whether that is all."""
        while len(self._buffer) <= BODY_MAX:
            if not self._more():
                break
        else:
            raise Garbled("too large")
        found = bytes(self._buffer)
        self._buffer.clear()
        return found

    def _receive(self) -> None:
        if not self._more():
            raise Garbled("the connection ended before the answer")

    def _more(self) -> bool:
        self._sock.settimeout(time_left(self._deadline))
        data = self._sock.recv(RECEIVE)
        self._buffer += data
        return bool(data)
