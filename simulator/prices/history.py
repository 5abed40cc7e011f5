"""Bars for the klines endpoint: what was traded here, and before that recorded or synthetic history."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

from simulator.engine.exchange import Exchange
from simulator.engine.market import MINUTE, Bar, Market
from simulator.prices.intervals import DAY, INTERVALS, Interval
from simulator.prices.source import Prices

SYNTHETIC_BARS = 1500


class History:
    """Bars of any length, oldest first, the last one still open."""

    def __init__(self, prices: Prices, seed: int) -> None:
        self._prices = prices
        self._seed = seed
        self._cached: dict[tuple[str, str], list[Bar]] = {}

    def bars(
        self, ex: Exchange, market: Market, interval: str, *, since: int | None = None, mark: bool = False
    ) -> list[Bar]:
        """All bars of this interval up to the market's now; with ``since``, only the live ones from there on.

        ``mark``: of the mark price. What was before the live ones is guessed, and the same for both.
        """
        length = INTERVALS[interval]
        if not market.bars:
            market.record_price(ex.market_ms)
        minutes = list(market.bars) if since is None else _newest(market, length.start_of(since))
        live = _merged(minutes, length, length.start_of(ex.market_ms))
        if since is not None:
            return live
        past = self._past(market, interval, length, live[0])
        if mark:
            live = _merged(list(market.mark_bars), length, length.start_of(ex.market_ms))
        return [*past, *live]

    def day(self, ex: Exchange, market: Market) -> Bar:
        """The last 24 hours as one bar: what was traded here, and before that a seeded guess."""
        since = ex.market_ms - DAY
        bars = [bar for bar in market.bars if bar.start >= since]
        if bars and market.bars[0].start < since:
            day = Bar(since, bars[0].open, bars[0].high, bars[0].low, bars[-1].close)
        else:
            day = self._guessed_day(market, since, bars[0].open if bars else market.last)
        for bar in bars:
            day.high, day.low = max(day.high, bar.high), min(day.low, bar.low)
            day.volume += bar.volume
            day.trades += bar.trades
        day.high, day.low = max(day.high, market.last), min(day.low, market.last)
        return day

    def _guessed_day(self, market: Market, since: int, first: Decimal) -> Bar:
        """A day that ends where the live bars begin."""
        rng = random.Random(f"{self._seed}:day:{market.rules.symbol}")
        opened = market.round_to_tick(first * (1000 + rng.randint(-30, 30)) / 1000) or market.rules.tick
        high = market.round_to_tick(max(opened, first) * (1000 + rng.randrange(15)) / 1000)
        low = (
            market.round_to_tick(min(opened, first) * (1000 - rng.randrange(15)) / 1000) or market.rules.tick
        )
        day = Bar(since, opened, max(high, opened, first), min(low, opened, first), market.last)
        day.volume = market.depth.per_level * rng.randint(200, 2000)
        day.trades = rng.randint(2_000, 90_000)
        return day

    def _past(self, market: Market, interval: str, length: Interval, first: Bar) -> list[Bar]:
        key = market.rules.symbol, interval
        past = self._cached.get(key)
        if past is None or length.after(past[-1].start) != first.start:
            known = self._recorded(market, length, first)
            past = [
                *self._synthetic(market, interval, length, known[0] if known else first, len(known)),
                *known,
            ]
            self._cached[key] = past
        return past

    def _recorded(self, market: Market, length: Interval, first: Bar) -> list[Bar]:
        symbol = market.rules.symbol
        recording = self._prices.recordings.get(symbol)
        if recording is None and symbol == "BTCUSDT" and length.length == DAY:
            candles = self._prices.daily.candles[-SYNTHETIC_BARS:]
            start = first.start - len(candles) * DAY
            return [
                Bar(start + n * DAY, c.open, c.high, c.low, c.close, c.volume, 1)
                for n, c in enumerate(candles)
            ]
        if recording is None or length.length % recording.length:
            return []
        bars: list[Bar] = []
        for number, candle in enumerate(recording.candles):
            moment = recording.origin + number * recording.length
            if moment >= first.start:
                break
            start = length.start_of(moment)
            if bars and bars[-1].start == start:
                bar = bars[-1]
                bar.high, bar.low, bar.close = (
                    max(bar.high, candle.high),
                    min(bar.low, candle.low),
                    candle.close,
                )
                bar.volume += candle.volume
                bar.trades += 1
            else:
                bars.append(Bar(start, candle.open, candle.high, candle.low, candle.close, candle.volume, 1))
        return bars if bars and length.after(bars[-1].start) == first.start else []

    def _synthetic(
        self, market: Market, interval: str, length: Interval, first: Bar, known: int
    ) -> list[Bar]:
        """Bars of a seeded random walk, made backwards from where the known ones begin."""
        rng = random.Random(f"{self._seed}:past:{market.rules.symbol}:{interval}")
        scale = int(1_700_000 * (Decimal(length.length) / (15 * MINUTE)).sqrt())
        bars: list[Bar] = []
        close, start = first.open, first.start
        for _ in range(SYNTHETIC_BARS - known):
            start = length.before(start)
            parts = rng.randint(-scale, scale)
            parts = max(-300_000_000, min(300_000_000, parts))
            opened = max(
                market.round_to_tick(close * (1_000_000_000 + parts) / 1_000_000_000), market.rules.tick
            )
            reach = [rng.randrange(scale // 2 + 1) for _ in range(2)]
            high = max(opened, close)
            high = market.round_to_tick(high * (1_000_000_000 + min(reach[0], 200_000_000)) / 1_000_000_000)
            low = min(opened, close)
            low = market.round_to_tick(low * (1_000_000_000 - min(reach[1], 200_000_000)) / 1_000_000_000)
            low = max(min(low, opened, close), market.rules.tick)
            volume = market.depth.per_level * rng.randint(1, 40) / 10
            bars.append(
                Bar(start, opened, max(high, opened, close), low, close, volume, rng.randint(20, 900))
            )
            close = opened
        bars.reverse()
        return bars


def _merged(minutes: list[Bar], length: Interval, current: int) -> list[Bar]:
    """Minutes merged into longer bars without a gap, up to the one that is open now."""
    merged: list[Bar] = []
    for minute in minutes:
        start = length.start_of(minute.start)
        _fill_gap(merged, start, length)
        if merged and merged[-1].start == start:
            bar = merged[-1]
            bar.high, bar.low = max(bar.high, minute.high), min(bar.low, minute.low)
            bar.close = minute.close
            bar.volume += minute.volume
            bar.trades += minute.trades
        else:
            merged.append(replace(minute, start=start))
    _fill_gap(merged, length.after(current), length)
    return merged


def _fill_gap(bars: list[Bar], until: int, length: Interval) -> None:
    """Add a flat bar for every time in which nothing was traded."""
    while bars and length.after(bars[-1].start) < until:
        close = bars[-1].close
        bars.append(Bar(length.after(bars[-1].start), close, close, close, close))


def _newest(market: Market, start: int) -> list[Bar]:
    """The minutes from this time on, at least one."""
    found: list[Bar] = []
    for bar in reversed(market.bars):
        if bar.start < start and found:
            break
        found.append(bar)
    found.reverse()
    return found
