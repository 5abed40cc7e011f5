"""Bars that a test makes: what the stream says of them, and what can be read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from exchange.errors import ExchangeUnavailable
from exchange.types import Connected, Kline
from orders.exchange_data.clock import exchange_now_ms

MINUTE = 60_000


@dataclass
class Chart:
    """One symbol's bars of a minute. ``now`` is in the bar that is open; earlier ones have ended."""

    symbol: str = "ADAUSDT"
    timeframe: str = "1m"
    rows: list[Kline] = field(default_factory=list)
    is_down: bool = False
    reads: int = 0

    def bar(self, open_time: int, close: str, *, closed: bool = False, said: int | None = None) -> Kline:
        price = Decimal(close)
        return Kline(
            self.symbol, self.timeframe, open_time, open_time + MINUTE - 1, price, price, price, price, Decimal(1), 1,
            closed=closed, time=(open_time + MINUTE if said is None else said) if closed or said else 0,
        )  # fmt: skip

    def put(self, kline: Kline) -> Kline:
        """What can be read from now on; a bar with the same key is replaced."""
        self.rows = sorted(
            [
                *(row for row in self.rows if row.open_time != kline.open_time),
                replace(kline, closed=False, time=0),
            ],
            key=lambda row: row.open_time,
        )
        return kline


class FakeExchange:
    """Answers ``klines`` from charts."""

    def __init__(self, *charts: Chart) -> None:
        self.charts = {(chart.symbol, chart.timeframe): chart for chart in charts}

    def klines(
        self, symbol: str, timeframe: str, *, since: int | None = None, limit: int = 500
    ) -> Sequence[Kline]:
        chart = self.charts[symbol, timeframe]
        chart.reads += 1
        if chart.is_down:
            raise ExchangeUnavailable("The exchange does not answer.")
        if since is None:
            return chart.rows[-limit:]
        return [row for row in chart.rows if row.open_time >= since][:limit]


class FakeKlineStream:
    """Says what a test has it say."""

    def __init__(self) -> None:
        self.watched: list[tuple[str, str]] = []
        self._said: asyncio.Queue[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def watch(self, series: Collection[tuple[str, str]]) -> None:
        self.watched = sorted(series)

    def say(self, event: Any) -> None:
        assert self._loop is not None
        assert self._said is not None
        self._loop.call_soon_threadsafe(self._said.put_nowait, event)

    async def events(self) -> AsyncGenerator[Any, None]:
        self._loop, self._said = asyncio.get_running_loop(), asyncio.Queue()
        yield Connected()
        while True:
            yield await self._said.get()


def minutes_ago(count: int, *, seconds: int = 5) -> int:
    """The open time of a bar of a minute that began so many minutes, and some seconds, before now."""
    return exchange_now_ms("PAPER") - seconds * 1000 - count * MINUTE
