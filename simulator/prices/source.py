"""The market clock and what drives prices along it."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

from simulator.engine.catalogue import Catalogue
from simulator.engine.decimals import EIGHT
from simulator.engine.exchange import Exchange
from simulator.engine.market import Market
from simulator.engine.price_path import move_price
from simulator.engine.symbol_rules import Rules
from simulator.prices.recorded import Recording, bundled_recording, daily_closes, load

MODES = ("hand", "walk", "replay")
STEP_MS = 250
LIVELY = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT")
BUNDLED = {"ADAUSDT": "ADAUSDT_1m.csv.gz", "XRPUSDT": "XRPUSDT_5m.csv.gz"}
HISTORY_BARS = 300
# One step of the walk: about 60 percent a year, in parts of 10^9, for each square root of STEP_MS.
STEP_PARTS = 53_000
QUIET_SHARE = 40  # the other symbols move once in so many steps


class Prices:
    """Moves every market along the market clock. Deterministic: seeded, and time is passed in."""

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        mode: str,
        seed: int,
        files: dict[str, Path] | None = None,
        speed: Decimal | int = 1,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"There is no price mode {mode!r}. Known: {', '.join(MODES)}.")
        self.mode = mode
        self.seed = seed
        self.speed = Decimal(speed)
        self.running = mode != "hand"
        self.recordings: dict[str, Recording] = {}
        self.daily = bundled_recording("BTCUSDT_1d.csv.gz")
        self._closes = daily_closes()
        self._steps = 0
        self._last_now: int | None = None
        self._debt = Decimal(0)
        self._rng: dict[str, random.Random] = {}
        self._quiet: list[str] = []
        wanted = {} if mode != "replay" else {s: n for s, n in BUNDLED.items() if catalogue.find(s)}
        for symbol, path in (files or {}).items():
            if catalogue.find(symbol) is None:
                raise ValueError(f"The symbol list has no {symbol}; --klines needs SYMBOL=FILE.")
            self.recordings[symbol] = load(path)
        for symbol, name in wanted.items():
            if symbol not in self.recordings:
                self.recordings[symbol] = bundled_recording(name)

    def begin(self, ex: Exchange, market_ms: int) -> None:
        """Lay the recordings on the market clock, so that there is some history before now."""
        ex.market_ms = self._last_now = market_ms
        for symbol, recording in self.recordings.items():
            recording.start_at(market_ms, history=HISTORY_BARS)
            ex.counters[f"shift:{symbol}"] = recording.origin

    def resume(self, ex: Exchange, now: int) -> None:
        """Go on after a restart: no price jumps, and the market clock is not behind the exchange's."""
        behind = max(0, now - ex.market_ms)
        ex.market_ms += behind
        for symbol, recording in self.recordings.items():
            known = ex.counters.get(f"shift:{symbol}")
            if known is None:
                recording.start_at(ex.market_ms, history=HISTORY_BARS)
            else:
                recording.origin = known + behind
            ex.counters[f"shift:{symbol}"] = recording.origin

    def start_price(self, rules: Rules) -> Decimal:
        """Where a symbol starts: its recording, its last real daily close, or a plain guess from its tick size."""
        recording = self.recordings.get(rules.symbol)
        if recording is not None:
            price = recording.bar(min(HISTORY_BARS, len(recording.candles) - 1)).open
        elif rules.symbol == "BTCUSDT":
            price = self.daily.candles[-1].close
        else:
            base = rules.symbol.partition("_")[0]
            price = (
                self._closes.get(base) or self._closes.get(base.replace("USDC", "USDT")) or rules.tick * 5000
            )
        tick = rules.tick
        rounded = (price / tick).to_integral_value() * tick if tick else price
        return max(rounded, rules.price_min, tick)

    def advance(self, ex: Exchange, now: int) -> None:
        """Bring the market up to this exchange time."""
        last, self._last_now = self._last_now, now
        if last is None or now <= last or not self.running:
            return
        self._debt += (now - last) * self.speed
        steps = int(self._debt // STEP_MS)
        if not steps:
            return
        # Long pauses are caught up in at most 40 strides, so that a sleepy machine does not fall behind for ever.
        strides = min(steps, 40)
        for number in range(1, strides + 1):
            self.step(
                ex, now, STEP_MS * steps * number // strides - STEP_MS * steps * (number - 1) // strides
            )
        self._debt -= steps * STEP_MS

    def step(self, ex: Exchange, now: int, market_ms: int) -> None:
        """Move the market clock on by so many milliseconds, and the prices with it."""
        before = ex.market_ms
        ex.market_ms += market_ms
        self._steps += 1
        for symbol, recording in self.recordings.items():
            market = ex.market(symbol)
            for price in recording.path(before, ex.market_ms):
                self._go(ex, market, market.round_to_tick(price), now)
        if self.mode == "hand":
            return
        for symbol in self._due(ex):
            if symbol not in self.recordings:
                market = ex.market(symbol)
                self._go(ex, market, self._walked(market, market_ms), now)

    def _due(self, ex: Exchange) -> list[str]:
        """The lively symbols, those where anybody holds or wants anything, and every fortieth of the others."""
        due = {s for s in LIVELY if ex.catalogue.find(s)}
        for symbol, market in ex.markets.items():
            if market.held or market.buys or market.sells or market.trailing or any(market.triggers.values()):
                due.add(symbol)
        if not self._quiet:
            self._quiet = [s for s in ex.catalogue.names if ex.catalogue.is_trading(s)]
        due.update(self._quiet[self._steps % QUIET_SHARE :: QUIET_SHARE])
        return sorted(due)

    def _walked(self, market: Market, market_ms: int) -> Decimal:
        """One stride of a seeded walk in whole numbers: near normal, with a rare jump."""
        symbol = market.rules.symbol
        rng = self._rng.get(symbol)
        if rng is None:
            rng = self._rng[symbol] = random.Random(f"{self.seed}:walk:{symbol}")
        scale = int(Decimal(STEP_PARTS) * (Decimal(market_ms) / STEP_MS).sqrt())
        parts = sum(rng.randint(-scale, scale) for _ in range(3))
        if rng.randrange(5000) == 0:
            parts *= 8
        price = market.round_to_tick(market.last * (1_000_000_000 + parts) / 1_000_000_000)
        rules = market.rules
        if price == market.last and rules.tick and rng.randrange(4) == 0:
            price += rules.tick * rng.choice((-1, 1))
        return min(max(price, rules.price_min, rules.tick), rules.price_max)

    def _go(self, ex: Exchange, market: Market, last: Decimal, now: int) -> None:
        """Last price goes where it is told; the mark price follows it more slowly."""
        mark = (market.mark + (last - market.mark) / 4).quantize(EIGHT)
        move_price(ex, market, last, mark, now)
