"""A market socket that carries a set of streams, which may change while it is open."""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, TypeVar
from urllib.parse import quote

import aiohttp

from exchange.binance.mapping.body import Body, read_frame
from exchange.binance.mapping.fields import integer
from exchange.binance.streams.reconnecting_socket import ReconnectingSocket, Timing
from exchange.types import Endpoints

STREAMS_MAX: Final = 800  # a connection carries 1024
STREAMS_PER_MESSAGE: Final = 100
NAMES_MAX: Final = 4000  # characters of them in an address: Binance, and most routers, take some 8,000

_Event = TypeVar("_Event")


class SubscribedStream(ReconnectingSocket[_Event]):
    """Carries exactly the streams that are wanted. A server that does not take a change is connected to anew."""

    def __init__(self, endpoints: Endpoints, *, timing: Timing | None = None) -> None:
        super().__init__(endpoints, timing)
        self._wanted: tuple[str, ...] = ()
        self._subscribed: tuple[str, ...] = ()  # what the open connection carries
        self._newest_id = 0
        self._accepted: dict[int, bool] = {}  # by the id of our message
        self._changed = asyncio.Event()
        self._answered = asyncio.Event()

    @abstractmethod
    def _read_event(self, body: Body) -> _Event | None:
        """Make the event of one body, ``None`` to pass over it. Raises ForeignShape."""

    def _want(self, streams: Iterable[str]) -> None:
        """Carry exactly these streams from now on; call it from the stream's own event loop."""
        wanted = tuple(dict.fromkeys(streams))
        if set(wanted) != set(self._wanted):
            self._wanted = wanted
            self._changed.set()

    async def _address(self) -> str:
        while not self._wanted:
            await self._changed.wait()
            self._changed.clear()
        self._changed.clear()
        self._subscribed = _that_fit(self._wanted)
        if len(self._subscribed) < len(self._wanted):
            self._changed.set()  # the rest is asked for on the open connection
        return f"{self._root}/market/stream?streams=" + "/".join(map(_quoted, self._subscribed))

    def _read(self, frame: str) -> _Event | None:
        body = read_frame(frame)
        if "e" not in body and "id" in body:
            self._accepted[integer(body, "id", fallback=0)] = "error" not in body
            self._answered.set()
            return None
        return self._read_event(body)

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        """Carry every change of what is wanted to the open connection."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            wanted = self._wanted
            for method, streams in (
                ("SUBSCRIBE", _without(wanted, self._subscribed)),
                ("UNSUBSCRIBE", _without(self._subscribed, wanted)),
            ):
                if streams and not await self._change(socket, method, streams):
                    return "other streams are wanted"
            self._subscribed = wanted

    async def _change(
        self, socket: aiohttp.ClientWebSocketResponse, method: str, streams: Sequence[str]
    ) -> bool:
        """Change what the connection carries; return whether the server took it."""
        for first in range(0, len(streams), STREAMS_PER_MESSAGE):
            self._newest_id += 1
            part = streams[first : first + STREAMS_PER_MESSAGE]
            await socket.send_json({"method": method, "params": part, "id": self._newest_id})
            if not await self._is_accepted(self._newest_id):
                return False
            await asyncio.sleep(self._timing.between_messages)
        return True

    async def _is_accepted(self, message_id: int) -> bool:
        """Wait for the answer to one of our messages; none in time is a no."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timing.answer):
                while message_id not in self._accepted:
                    await self._answered.wait()
                    self._answered.clear()
        return self._accepted.pop(message_id, False)


def _quoted(stream: str) -> str:
    return quote(stream, safe="@")


def _that_fit(streams: Sequence[str]) -> tuple[str, ...]:
    """Return the first of these streams, as many as an address takes."""
    lengths = accumulate(len(_quoted(name)) + 1 for name in streams)
    return tuple(name for name, length in zip(streams, lengths, strict=True) if length <= NAMES_MAX)


def _without(streams: Iterable[str], others: Sequence[str]) -> list[str]:
    return [name for name in streams if name not in others]
