"""The market clock, and what moves the prices along it."""

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
ACTIVE_SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT")
BUNDLED = {"ADAUSDT": "ADAUSDT_1m.csv.gz", "XRPUSDT": "XRPUSDT_5m.csv.gz"}
HISTORY_BARS = 300
# One step of the walk in parts of 10^9: about 60 percent a year.
STEP_PARTS = 53_000
QUIET_EVERY = 40  # the other symbols move once in so many steps


class Prices:
    """Moves every market along the market clock. Deterministic: it is seeded, and time is passed in."""

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
        self._pending_ms = Decimal(0)
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
        """Start the market clock, and align the recordings so that there is some history before now."""
        ex.market_ms = self._last_now = market_ms
        for symbol, recording in self.recordings.items():
            recording.start_at(market_ms, history=HISTORY_BARS)
            ex.counters[f"shift:{symbol}"] = recording.origin

    def resume(self, ex: Exchange, now: int) -> None:
        """Go on after a restart: no price jumps, and the market clock is not behind the exchange clock."""
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
        """Where a symbol starts: at its recording, at a real daily close, or at a guess from its tick size."""
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
        self._pending_ms += (now - last) * self.speed
        steps = int(self._pending_ms // STEP_MS)
        if not steps:
            return
        # A long pause is caught up in at most 40 strides, so that a machine that slept does not fall behind for good.
        strides = min(steps, 40)
        for number in range(1, strides + 1):
            self.step(
                ex, now, STEP_MS * steps * number // strides - STEP_MS * steps * (number - 1) // strides
            )
        self._pending_ms -= steps * STEP_MS

    def run(self, ex: Exchange, now: int, ms: int) -> None:
        """Move the market clock on by so many milliseconds at once, in the steps in which it runs by itself."""
        if ms <= 0:
            return
        moves_by_itself = self.recordings or self.mode != "hand"
        step_ms = STEP_MS if moves_by_itself else ms
        for start in range(0, ms, step_ms):
            self.step(ex, now, min(step_ms, ms - start))

    def step(self, ex: Exchange, now: int, market_ms: int) -> None:
        """Move the market clock on by so many milliseconds, and the prices with it."""
        before = ex.market_ms
        ex.market_ms += market_ms
        self._steps += 1
        for symbol, recording in self.recordings.items():
            market = ex.market(symbol)
            until = ex.market_ms
            for moment, price in recording.path(before, until):
                ex.market_ms = (
                    moment  # a bar's last price belongs to that bar, though the step ends in the next one
                )
                self._move(ex, market, market.round_to_tick(price), now)
            ex.market_ms = until
        if self.mode == "hand":
            return
        for symbol in self._symbols_to_move(ex):
            if symbol not in self.recordings:
                market = ex.market(symbol)
                self._move(ex, market, self._next_of_walk(market, market_ms), now)

    def _symbols_to_move(self, ex: Exchange) -> list[str]:
        """The active symbols, those with positions or open orders, and one in forty of the others."""
        symbols = {symbol for symbol in ACTIVE_SYMBOLS if ex.catalogue.find(symbol)}
        for symbol, market in ex.markets.items():
            if market.held or market.buys or market.sells or market.trailing or any(market.triggers.values()):
                symbols.add(symbol)
        if not self._quiet:
            self._quiet = [s for s in ex.catalogue.names if ex.catalogue.is_trading(s)]
        symbols.update(self._quiet[self._steps % QUIET_EVERY :: QUIET_EVERY])
        return sorted(symbols)

    def _next_of_walk(self, market: Market, market_ms: int) -> Decimal:
        """The next price of a seeded random walk, near normal with a rare jump. Computed in whole numbers."""
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

    def _move(self, ex: Exchange, market: Market, last: Decimal, now: int) -> None:
        """Move the last price there; the mark price follows more slowly."""
        mark = (market.mark + (last - market.mark) / 4).quantize(EIGHT)
        move_price(ex, market, last, mark, now)
