"""One WebSocket after another on plain aiohttp: connect, listen, notice silence, connect again.

Read one with ``async with contextlib.aclosing(stream.events()) as events: async for event in events``.
It never ends by itself; cancelling the reader closes the socket. After each ``Connected`` read by REST
what may have been missed. One frame that cannot be read is logged and left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import aiohttp
from yarl import URL

from exchange.binance.mapping.body import ForeignShape
from exchange.errors import ExchangeError
from exchange.redaction import excerpt, quieten_http_logs, redact
from exchange.types import Connected, Disconnected, Endpoints

logger = logging.getLogger(__name__)

FRAME_BYTES_MAX: Final = 4 * 1024 * 1024
_NETWORK_FAILURES: Final = (aiohttp.ClientError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Timing:
    """The times of a stream, in seconds."""

    heartbeat: float = 10.0
    connect: float = 5.0
    keepalive: float = 30 * 60.0
    keepalive_retry: float = 30.0
    lifetime: float = 23 * 3600.0
    answer: float = 2.0
    between_messages: float = 0.2  # Binance takes ten a second
    retry_first: float = 0.25
    retry_max: float = 10.0
    after_wait: float = 0.3  # after a wait we were asked for: what protects goes first

    def retry(self, failures: int, *, wait: float = 0.0) -> float:
        """Return the pause before the next try, never in step with others: doubling up to the maximum, or ``wait``."""
        longest: float = min(self.retry_max, self.retry_first * 2.0 ** min(failures, 16))
        pause = longest * random.uniform(0.5, 1.0)
        return max(pause, wait + self.after_wait + random.uniform(0.0, 1.0)) if wait else pause


_Event = TypeVar("_Event")


class _Leave(Exception):
    """Leave this socket and open the next; the text says why."""


class ReconnectingSocket(ABC, Generic[_Event]):
    """One socket at a time, for ever. A stream says where to connect and how a frame is read."""

    def __init__(self, endpoints: Endpoints, timing: Timing | None) -> None:
        if URL(endpoints.stream).scheme not in ("ws", "wss", "http", "https"):
            raise ValueError(
                "The exchange's stream address must be like wss://fstream.binance.com, "
                f"not {endpoints.stream!r}."
            )
        self._root = endpoints.stream.rstrip("/")
        self._timing = timing or Timing()
        quieten_http_logs()

    @abstractmethod
    async def _address(self) -> str:
        """Return where to connect now. May raise ExchangeError."""

    @abstractmethod
    def _read(self, frame: str) -> _Event | None:
        """Make the event of one frame, ``None`` to pass over it. Raises ForeignShape."""

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        """Do what an open socket needs; return why to leave it."""
        await asyncio.Event().wait()
        return "it has nothing more to do"

    def _ends_socket(self, event: _Event) -> str:
        """Return why no more will come on this socket after ``event``; empty while it goes on."""
        return ""

    def _handshake_refused(self, status: int) -> None:
        """Learn from a handshake that the server refused."""

    async def events(self) -> AsyncGenerator[Connected | Disconnected | _Event, None]:
        """Yield what happens, reconnecting for ever. Close it (``aclosing``) to end it."""
        failures = 0
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timing.connect)
        async with aiohttp.ClientSession(trust_env=False, timeout=timeout) as session:
            while True:
                began = time.monotonic()
                reason, error = "the exchange closed it", None
                try:
                    async with contextlib.aclosing(self._one_socket(session)) as happening:
                        async for event in happening:
                            yield event
                except Exception as failed:  # whatever it was, a stream goes on
                    reason, error = self._reason(failed)
                # A socket that breaks off soon costs a connect each time, whatever it carried meanwhile.
                if time.monotonic() - began > self._timing.retry_max:
                    failures = 0
                pause = self._timing.retry(failures, wait=error.wait_ms / 1000 if error else 0.0)
                failures += 1
                yield Disconnected(reason, retry_in=pause, error=error)
                await asyncio.sleep(pause)

    def _reason(self, failed: Exception) -> tuple[str, ExchangeError | None]:
        """Say why a socket was lost; log what is a bug of ours."""
        if isinstance(failed, _Leave):
            return str(failed), None
        if isinstance(failed, ExchangeError):
            return failed.message, failed
        if isinstance(failed, aiohttp.WSServerHandshakeError):
            self._handshake_refused(failed.status)
            return f"the exchange refused the connection (status {failed.status})", None
        reason = f"{type(failed).__name__}: {redact(str(failed))[:200]}"
        if not isinstance(failed, _NETWORK_FAILURES):
            logger.error("stream broke off: %s", reason)
        return reason, None

    async def _one_socket(self, session: aiohttp.ClientSession) -> AsyncGenerator[Connected | _Event, None]:
        address = URL(await self._address(), encoded=True)
        async with contextlib.AsyncExitStack() as closing:
            socket = await self._connect(session, address, closing)
            serving = asyncio.create_task(self._serve_until_old(socket))
            closing.push_async_callback(_end, serving)
            yield Connected()
            while True:
                event = self._event(await self._frame(socket, serving))
                if event is None:
                    continue
                yield event
                if reason := self._ends_socket(event):
                    raise _Leave(reason)

    async def _connect(
        self, session: aiohttp.ClientSession, address: URL, closing: contextlib.AsyncExitStack
    ) -> aiohttp.ClientWebSocketResponse:
        async with asyncio.timeout(self._timing.connect):
            return await closing.enter_async_context(
                session.ws_connect(
                    address,
                    heartbeat=self._timing.heartbeat,
                    compress=0,
                    max_msg_size=FRAME_BYTES_MAX,
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                )
            )

    async def _frame(self, socket: aiohttp.ClientWebSocketResponse, serving: asyncio.Task[str]) -> str:
        """Return the next frame's text. Raises _Leave when there will be none."""
        message = await self._message(socket, serving)
        if message.type is aiohttp.WSMsgType.TEXT:
            return str(message.data)
        if message.type is aiohttp.WSMsgType.BINARY:
            return bytes(message.data).decode("utf-8", errors="replace")
        raise _Leave(_farewell(message, socket))

    async def _message(
        self, socket: aiohttp.ClientWebSocketResponse, serving: asyncio.Task[str]
    ) -> aiohttp.WSMessage:
        receiving = asyncio.ensure_future(socket.receive())
        try:
            await asyncio.wait({receiving, serving}, return_when=asyncio.FIRST_COMPLETED)
            if receiving.done():
                return receiving.result()
            raise _Leave(serving.result())
        finally:
            if not receiving.done():
                await _end(receiving)

    async def _serve_until_old(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timing.lifetime):
                return await self._serve(socket)
        return f"it was {self._timing.lifetime:.0f} s old: Binance ends connections after a day"

    def _event(self, frame: str) -> _Event | None:
        try:
            return self._read(frame)
        except ForeignShape as odd:
            logger.warning("stream frame left out: %s: %s", odd, excerpt(frame)[:300])
        except Exception as bug:  # a frame must never end the stream
            logger.error("stream frame left out: %s: %s", type(bug).__name__, excerpt(frame)[:300])
        return None


async def _end(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.wait({task})  # unlike awaiting it, this keeps its cancellation apart from our own
    if not task.cancelled():
        task.exception()


def _farewell(message: aiohttp.WSMessage, socket: aiohttp.ClientWebSocketResponse) -> str:
    if message.type is aiohttp.WSMsgType.ERROR or socket.exception() is not None:
        return f"the connection broke or fell silent ({type(socket.exception()).__name__})"
    return f"the exchange closed it (code {socket.close_code})"
