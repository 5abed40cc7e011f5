"""Binance's WebSocket streams on plain aiohttp: connect, listen, notice silence, connect again.

Read one with ``async with contextlib.aclosing(stream.events()) as events: async for event in events``.
It never ends by itself; cancelling the reader closes the socket. After each ``Connected`` read what
may have been missed by REST. One frame that cannot be read is logged and left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

import aiohttp
from yarl import URL

from exchange.binance.errors import LISTEN_KEY_GONE
from exchange.binance.mapping.body import ForeignShape, read_frame
from exchange.binance.mapping.fields import integer
from exchange.binance.mapping.market import read_price_tick
from exchange.binance.mapping.user_events import read_user_event
from exchange.errors import ExchangeError
from exchange.redaction import excerpt, quieten_http_logs, redact
from exchange.types import Connected, Disconnected, Endpoints, PriceTick, StreamEvent, StreamExpired

logger = logging.getLogger(__name__)

USER_EVENTS: Final = ("ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ALGO_UPDATE", "ACCOUNT_CONFIG_UPDATE")
SYMBOLS_MAX: Final = 400  # two streams each; a connection carries 1024
FRAME_BYTES_MAX: Final = 4 * 1024 * 1024
STREAMS_A_MESSAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Patience:
    """The times of a stream, in seconds."""

    heartbeat: float = 10.0
    connect: float = 5.0
    keepalive: float = 30 * 60.0
    keepalive_retry: float = 30.0
    life: float = 23 * 3600.0
    answer: float = 2.0
    between: float = 0.2  # two messages of ours: Binance takes ten a second
    retry_first: float = 0.25
    retry_max: float = 10.0

    def retry(self, failures: int) -> float:
        """Return the pause before the next try: doubling, never over the maximum, never in step."""
        longest: float = min(self.retry_max, self.retry_first * 2.0 ** min(failures, 16))
        return longest * random.uniform(0.5, 1.0)


_Event = TypeVar("_Event")


class _Reconnect(Exception):
    """Leave this socket and open the next; the text says why."""


class _Stream(ABC, Generic[_Event]):
    """What the two streams share: one socket at a time, for ever."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        quieten_http_logs()

    @abstractmethod
    async def _address(self) -> str:
        """Return where to connect now. May raise ExchangeError."""

    @abstractmethod
    def _read(self, frame: str) -> _Event | None:
        """Make the event of one frame, ``None`` to pass over it. Raises ForeignShape."""

    async def _meanwhile(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        """Do what an open socket needs; return why to leave it."""
        await asyncio.Event().wait()
        return "it has nothing more to do"

    def _refused(self, status: int) -> None:
        """Learn from a handshake that the server refused."""

    async def events(self) -> AsyncGenerator[Connected | Disconnected | _Event, None]:
        """Yield what happens, reconnecting for ever. Close it (``aclosing``) to end it."""
        failures = 0
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._patience.connect)
        async with aiohttp.ClientSession(trust_env=False, timeout=timeout) as session:
            while True:
                error: ExchangeError | None = None
                reason = "the exchange closed it"
                began = time.monotonic()
                try:
                    async with contextlib.aclosing(self._one_socket(session)) as happening:
                        async for event in happening:
                            if not isinstance(event, Connected):
                                failures = 0
                            yield event
                except _Reconnect as turn:
                    reason = str(turn)
                except ExchangeError as refused:
                    reason, error = refused.message, refused
                except aiohttp.WSServerHandshakeError as refused:
                    self._refused(refused.status)
                    reason = f"the exchange refused the connection (status {refused.status})"
                except Exception as failed:  # whatever it was, a stream goes on
                    reason = f"{type(failed).__name__}: {redact(str(failed))[:200]}"
                    if not isinstance(failed, (aiohttp.ClientError, OSError, TimeoutError)):
                        logger.error("stream broke off: %s", reason)
                if time.monotonic() - began > self._patience.retry_max:
                    failures = 0
                pause = self._patience.retry(failures)
                failures += 1
                yield Disconnected(reason, retry_in=pause, error=error)
                await asyncio.sleep(pause)

    async def _one_socket(self, session: aiohttp.ClientSession) -> AsyncGenerator[Connected | _Event, None]:
        address = URL(await self._address(), encoded=True)
        async with contextlib.AsyncExitStack() as closing:
            async with asyncio.timeout(self._patience.connect):
                socket = await closing.enter_async_context(
                    session.ws_connect(
                        address,
                        heartbeat=self._patience.heartbeat,
                        compress=0,
                        max_msg_size=FRAME_BYTES_MAX,
                        timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                    )
                )
            beside = asyncio.create_task(self._leave_when_due(socket))
            closing.push_async_callback(_end, beside)
            yield Connected()
            while True:
                message = await self._next(socket, beside)
                if message.type is aiohttp.WSMsgType.TEXT:
                    event = self._understand(str(message.data))
                elif message.type is aiohttp.WSMsgType.BINARY:
                    event = self._understand(bytes(message.data).decode("utf-8", errors="replace"))
                else:
                    raise _Reconnect(_farewell(message, socket))
                if event is None:
                    continue
                yield event
                if isinstance(event, StreamExpired):
                    raise _Reconnect("the listen key has expired")

    async def _next(
        self, socket: aiohttp.ClientWebSocketResponse, beside: asyncio.Task[str]
    ) -> aiohttp.WSMessage:
        receiving = asyncio.ensure_future(socket.receive())
        try:
            await asyncio.wait({receiving, beside}, return_when=asyncio.FIRST_COMPLETED)
            if receiving.done():
                return receiving.result()
            raise _Reconnect(beside.result())
        finally:
            if not receiving.done():
                await _end(receiving)

    async def _leave_when_due(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience.life):
                return await self._meanwhile(socket)
        return f"it was {self._patience.life:.0f} s old: Binance ends connections after a day"

    def _understand(self, frame: str) -> _Event | None:
        try:
            return self._read(frame)
        except ForeignShape as odd:
            logger.warning("stream frame left out: %s: %s", odd, excerpt(frame)[:300])
        except Exception as bug:  # a frame must never end the stream
            logger.error("stream frame left out: %s: %s", type(bug).__name__, excerpt(frame)[:300])
        return None


class UserStreamForm(StrEnum):
    """How the listen key is written into the address; both are documented."""

    QUERY = "/private/ws?listenKey={key}&events={events}"
    PATH = "/private/ws/{key}"


class UserStream(_Stream[StreamEvent]):
    """One account's events. ``listen_key`` and ``keep_listen_key`` are the exchange's; they may block.

    A server that refuses the handshake in one form is tried in the other the next time.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        listen_key: Callable[[], str],
        keep_listen_key: Callable[[], None],
        form: UserStreamForm = UserStreamForm.QUERY,
        events: Collection[str] = USER_EVENTS,
        patience: Patience | None = None,
    ) -> None:
        super().__init__(patience or Patience())
        self._root = _root(endpoints)
        self._listen_key = listen_key
        self._keep = keep_listen_key
        self._form = form
        self._names = "/".join(events)

    async def _address(self) -> str:
        # POST gives the live key extended, or a new one: right after every kind of loss.
        key = await asyncio.to_thread(self._listen_key)
        return self._root + self._form.format(key=quote(key, safe=""), events=self._names)

    def _read(self, frame: str) -> StreamEvent | None:
        body = read_frame(frame)
        return read_user_event(body) if "e" in body else None

    def _refused(self, status: int) -> None:
        if 400 <= status < 500:
            forms = [form for form in UserStreamForm if form is not self._form]
            self._form = forms[0]

    async def _meanwhile(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        pause = self._patience.keepalive
        while True:
            await asyncio.sleep(pause)
            pause = self._patience.keepalive
            try:
                await asyncio.to_thread(self._keep)
            except ExchangeError as failed:
                if failed.code == LISTEN_KEY_GONE:
                    return "the listen key is gone"
                logger.warning("listen key not extended: %s", failed.message)
                pause = min(self._patience.keepalive_retry, self._patience.keepalive)


class MarketStream(_Stream[PriceTick]):
    """Last and mark prices of some symbols. ``watch`` changes which, on the open connection.

    A server that does not take that change is connected to anew, with all symbols in the address.
    """

    def __init__(
        self, endpoints: Endpoints, symbols: Collection[str] = (), *, patience: Patience | None = None
    ) -> None:
        super().__init__(patience or Patience())
        self._root = _root(endpoints)
        self._symbols: frozenset[str] = frozenset()
        self._heard: frozenset[str] = frozenset()  # what the open connection carries
        self._asked = 0
        self._answers: dict[int, bool] = {}
        self._changed = asyncio.Event()
        self._answered = asyncio.Event()
        self.watch(symbols)

    def watch(self, symbols: Collection[str]) -> None:
        """Watch exactly these symbols; call it from the stream's own event loop. Raises ValueError for more than one connection carries."""
        if len(symbols) > SYMBOLS_MAX:
            raise ValueError(f"At most {SYMBOLS_MAX} symbols can be watched on one connection.")
        if frozenset(symbols) != self._symbols:
            self._symbols = frozenset(symbols)
            self._changed.set()

    async def _address(self) -> str:
        while not self._symbols:
            await self._changed.wait()
            self._changed.clear()
        self._changed.clear()
        self._heard = self._symbols
        names = (quote(name, safe="@") for name in _streams_of(self._heard))
        return f"{self._root}/market/stream?streams=" + "/".join(names)

    def _read(self, frame: str) -> PriceTick | None:
        body = read_frame(frame)
        if "e" not in body and "id" in body:
            self._answers[integer(body, "id", fallback=0)] = "error" not in body
            self._answered.set()
            return None
        return read_price_tick(body)

    async def _meanwhile(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        while True:
            await self._changed.wait()
            self._changed.clear()
            wanted = self._symbols
            for method, symbols in (
                ("SUBSCRIBE", wanted - self._heard),
                ("UNSUBSCRIBE", self._heard - wanted),
            ):
                if symbols and not await self._change(socket, method, symbols):
                    return "other symbols are to be watched"
            self._heard = wanted

    async def _change(
        self, socket: aiohttp.ClientWebSocketResponse, method: str, symbols: Collection[str]
    ) -> bool:
        """Change what the connection carries; return whether the server took it."""
        names = _streams_of(symbols)
        for first in range(0, len(names), STREAMS_A_MESSAGE):
            self._asked += 1
            ident = self._asked
            await socket.send_json(
                {"method": method, "params": names[first : first + STREAMS_A_MESSAGE], "id": ident}
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience.answer):
                    while ident not in self._answers:
                        await self._answered.wait()
                        self._answered.clear()
            if not self._answers.pop(ident, False):
                return False
            await asyncio.sleep(self._patience.between)
        return True


def _streams_of(symbols: Collection[str]) -> list[str]:
    return [f"{name.lower()}@{kind}" for name in sorted(symbols) for kind in ("markPrice@1s", "aggTrade")]


async def _end(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.wait({task})  # unlike awaiting it, this tells its cancellation from our own
    if not task.cancelled():
        task.exception()


def _farewell(message: aiohttp.WSMessage, socket: aiohttp.ClientWebSocketResponse) -> str:
    if message.type is aiohttp.WSMsgType.ERROR or socket.exception() is not None:
        return f"the connection broke or fell silent ({type(socket.exception()).__name__})"
    return f"the exchange closed it (code {socket.close_code})"


def _root(endpoints: Endpoints) -> str:
    if URL(endpoints.stream).scheme not in ("ws", "wss", "http", "https"):
        raise ValueError(
            f"The exchange's stream address must be like wss://fstream.binance.com, not {endpoints.stream!r}."
        )
    return endpoints.stream.rstrip("/")
