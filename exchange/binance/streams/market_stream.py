"""Last and mark prices of the symbols that are watched."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from exchange.binance.mapping.body import Body
from exchange.binance.mapping.market import read_price_tick
from exchange.binance.streams.reconnecting_socket import Timing
from exchange.binance.streams.subscribed_stream import STREAMS_MAX, SubscribedStream
from exchange.types import Endpoints, PriceTick

SYMBOLS_MAX: Final = STREAMS_MAX // 2  # two streams each


class MarketStream(SubscribedStream[PriceTick]):
    """Last and mark prices of some symbols. ``watch`` changes which, on the open connection."""

    def __init__(
        self, endpoints: Endpoints, symbols: Collection[str] = (), *, timing: Timing | None = None
    ) -> None:
        super().__init__(endpoints, timing=timing)
        self.watch(symbols)

    def watch(self, symbols: Collection[str]) -> None:
        """Watch exactly these symbols; call it from the stream's own event loop.

        Raises ValueError for more than one connection carries.
        """
        if len(symbols) > SYMBOLS_MAX:
            raise ValueError(f"At most {SYMBOLS_MAX} symbols can be watched on one connection.")
        kinds = ("markPrice@1s", "aggTrade")
        self._want(f"{name.lower()}@{kind}" for name in sorted(symbols) for kind in kinds)

    def _read_event(self, body: Body) -> PriceTick | None:
        return read_price_tick(body)
