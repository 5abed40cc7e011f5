"""Bars of the symbols and timeframes that are watched, as they grow and as they close."""

from __future__ import annotations

from collections.abc import Collection

from exchange.binance.mapping.body import Body
from exchange.binance.mapping.market import read_kline_event
from exchange.binance.streams.subscribed_stream import STREAMS_MAX, SubscribedStream
from exchange.types import Kline


class KlineStream(SubscribedStream[Kline]):
    """Bars of some symbols and timeframes. ``watch`` changes which, on the open connection."""

    def watch(self, series: Collection[tuple[str, str]]) -> None:
        """Watch exactly these pairs of symbol and timeframe; call it from the stream's own event loop.

        Raises ValueError for more than one connection carries.
        """
        if len(series) > STREAMS_MAX:
            raise ValueError(f"At most {STREAMS_MAX} series of bars can be watched on one connection.")
        self._want(f"{symbol.lower()}@kline_{timeframe}" for symbol, timeframe in sorted(series))

    def _read_event(self, body: Body) -> Kline | None:
        return read_kline_event(body)
