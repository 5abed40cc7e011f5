"""Last and mark prices of the symbols that are watched."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from typing import Final
from urllib.parse import quote

import aiohttp

from exchange.binance.mapping.body import read_frame
from exchange.binance.mapping.fields import integer
from exchange.binance.mapping.market import read_price_tick
from exchange.binance.streams.reconnecting_socket import ReconnectingSocket, Timing
from exchange.types import Endpoints, PriceTick

SYMBOLS_MAX: Final = 400  # two streams each; a connection carries 1024
STREAMS_PER_MESSAGE: Final = 100


class MarketStream(ReconnectingSocket[PriceTick]):
    """Last and mark prices of some symbols. ``watch`` changes which, on the open connection.

    A server that does not take that change is connected to anew, with all symbols in the address.
    """

    def __init__(
        self, endpoints: Endpoints, symbols: Collection[str] = (), *, timing: Timing | None = None
    ) -> None:
        super().__init__(endpoints, timing)
        self._symbols: frozenset[str] = frozenset()
        self._subscribed: frozenset[str] = frozenset()  # what the open connection carries
        self._newest_id = 0
        self._accepted: dict[int, bool] = {}  # by the id of our message
        self._changed = asyncio.Event()
        self._answered = asyncio.Event()
        self.watch(symbols)

    def watch(self, symbols: Collection[str]) -> None:
        """Watch exactly these symbols; call it from the stream's own event loop.

        Raises ValueError for more than one connection carries.
        """
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
        self._subscribed = self._symbols
        names = (quote(name, safe="@") for name in _streams_of(self._subscribed))
        return f"{self._root}/market/stream?streams=" + "/".join(names)

    def _read(self, frame: str) -> PriceTick | None:
        body = read_frame(frame)
        if "e" not in body and "id" in body:
            self._accepted[integer(body, "id", fallback=0)] = "error" not in body
            self._answered.set()
            return None
        return read_price_tick(body)

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        """Carry every change of what is watched to the open connection."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            wanted = self._symbols
            for method, symbols in (
                ("SUBSCRIBE", wanted - self._subscribed),
                ("UNSUBSCRIBE", self._subscribed - wanted),
            ):
                if symbols and not await self._change(socket, method, symbols):
                    return "other symbols are to be watched"
            self._subscribed = wanted

    async def _change(
        self, socket: aiohttp.ClientWebSocketResponse, method: str, symbols: Collection[str]
    ) -> bool:
        """Change what the connection carries; return whether the server took it."""
        names = _streams_of(symbols)
        for first in range(0, len(names), STREAMS_PER_MESSAGE):
            self._newest_id += 1
            part = names[first : first + STREAMS_PER_MESSAGE]
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


def _streams_of(symbols: Collection[str]) -> list[str]:
    return [f"{name.lower()}@{kind}" for name in sorted(symbols) for kind in ("markPrice@1s", "aggTrade")]
