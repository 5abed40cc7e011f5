"""The wire under the library: one send, no redirects, one deadline, every answer kept.

``requests``' own timeout starts again with each byte, and the library loses the bodies of most
errors. So an adapter of ours notes what really happened, and a timer ends what drips.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from exchange.binance.answer import Answer

POOL_MAX: Final = 20


@dataclass(slots=True)
class Flight:
    """What became of one request: whether a byte may have left, and the whole answer if there was one."""

    deadline: float
    sent: bool = False
    sends: int = 0
    answer: Answer | None = None
    overdue: bool = False


class _Here(threading.local):
    flight: Flight | None = None


_here: Final = _Here()


@contextlib.contextmanager
def flying(timeout_ms: int) -> Any:
    """Keep the record of one request made in this thread, which must end within ``timeout_ms``."""
    flight = Flight(deadline=time.monotonic() + timeout_ms / 1000)
    before, _here.flight = _here.flight, flight
    try:
        yield flight
    finally:
        _here.flight = before


class SentTwice(requests.RequestException):
    """Something tried to send one request a second time; it was stopped before it left."""


class Recorder(BaseAdapter):
    """Pass one request on, once, and keep what came back, whatever the library makes of it."""

    def __init__(self, inner: BaseAdapter | None = None) -> None:
        super().__init__()
        self._ours = inner is None
        self._inner = DeadlineAdapter() if inner is None else inner

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        flight = _here.flight
        if flight is None:
            return self._inner.send(request, *args, **kwargs)
        if flight.sends:
            raise SentTwice("one request, one send")
        flight.sends += 1
        # Our own connections say when the first byte leaves; of others we must assume it.
        flight.sent = not self._ours
        try:
            response = self._inner.send(request, *args, **(kwargs | {"stream": True}))
            text = response.content.decode("utf-8", errors="replace")
        except requests.RequestException as error:
            if never_left(error):
                flight.sent = False
            raise
        headers = {str(name).lower(): str(value) for name, value in response.headers.items()}
        flight.answer = Answer(int(response.status_code), MappingProxyType(headers), text)
        return response

    def close(self) -> None:
        self._inner.close()


def never_left(error: BaseException) -> bool:
    """Tell whether this failure proves that no connection was ever made."""
    if isinstance(
        error,
        (
            requests.exceptions.ConnectTimeout,
            requests.exceptions.ProxyError,
            requests.exceptions.InvalidURL,
            requests.exceptions.InvalidSchema,
            requests.exceptions.MissingSchema,
            requests.exceptions.InvalidHeader,
        ),
    ):
        return True
    inner = error.args[0] if error.args else None
    reason = getattr(inner, "reason", inner)
    return isinstance(reason, (NewConnectionError, NameResolutionError, ConnectTimeoutError))


class _Timer:
    """End a socket at the deadline: the reader then fails, however slowly bytes drip in."""

    def __init__(self, sock: socket.socket | None, flight: Flight) -> None:
        self._sock = sock
        self._flight = flight
        self._timer = threading.Timer(max(0.001, flight.deadline - time.monotonic()), self._end)
        self._timer.daemon = True
        self._timer.start()

    def _end(self) -> None:
        self._flight.overdue = True
        if self._sock is not None:
            # The plain socket's shutdown: the TLS one would first tear off the encryption, and a reader
            # in another thread could take what is left for plain text.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def cancel(self) -> None:
        self._timer.cancel()


class _Deadline:
    """Mixed into urllib3's connections: notes the first byte out, and watches the answer."""

    sock: socket.socket | None

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]
        if _here.flight is not None:
            _here.flight.sent = True
        super().send(data)  # type: ignore[misc]

    def getresponse(self) -> Any:
        flight = _here.flight
        if flight is None:
            return super().getresponse()  # type: ignore[misc]
        timer = _Timer(self.sock, flight)
        try:
            response = super().getresponse()  # type: ignore[misc]
        except BaseException:
            timer.cancel()
            raise
        response.deadline = timer
        return response


class _Connection(_Deadline, HTTPConnection):
    pass


class _TLSConnection(_Deadline, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class DeadlineAdapter(HTTPAdapter):
    """An HTTP adapter whose whole answer, body included, must arrive before the flight's deadline."""

    def __init__(self) -> None:
        super().__init__(pool_connections=4, pool_maxsize=POOL_MAX, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        response = super().send(request, *args, **(kwargs | {"stream": True}))
        timer = getattr(response.raw, "deadline", None)
        try:
            response.content  # noqa: B018  (read here, while the timer runs)
        finally:
            if timer is not None:
                timer.cancel()
        flight = _here.flight
        if flight is not None and flight.overdue:
            # A body without a length ends like a whole one when its socket is shut.
            raise requests.exceptions.ReadTimeout("the answer was not complete in time", request=request)
        return response
