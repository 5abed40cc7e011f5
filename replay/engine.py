"""Carries a strategy through recorded bars: bar by bar, decision by decision, trio by trio."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from exchange.types import ZERO
from orders.domain.enums import Role, TrioState
from orders.models import Fill, TrioOrder
from replay.desk import ReplayDesk
from replay.market import Levels, pauses, way_through
from replay.recordings import Recording
from replay.report import Closed, digest, statistics, text
from signals.domain.bars import Bar
from signals.domain.sizing import TAKER_FEE
from signals.models import Signal, SignalResult, Strategy
from signals.strategy_services import strategy_enable
from simulator.prices.recorded import Candle
from worker.signal_execution import signals_execute
from worker.strategy_runner import Decider, Setup

Say = Callable[[str], None]
PROGRESS_SECONDS = 2.0
NAME = "replay"
FUNDING = "FUNDING_FEE"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is replayed. ``terms`` are fields of a strategy as its page has them: size, cool-down, history."""

    code: str
    parameters: dict[str, Any]
    recordings: tuple[Recording, ...]
    balance: Decimal = Decimal(10_000)
    terms: dict[str, Any] = field(default_factory=dict)
    warmup: int = 0  # so many bars of each symbol are history, before the strategy begins


class RecordedBars:
    """The bars of one recording, as far as they are closed: later ones are not there yet."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._bars: list[Bar] = []

    def __len__(self) -> int:
        return len(self._bars)

    def close(self, candle: Candle, *, closed_at: int) -> Bar:
        """Add a bar that has just closed."""
        end = candle.start + self.recording.length - 1
        bar = Bar(
            candle.start, end, candle.open, candle.high, candle.low, candle.close, candle.volume, closed_at
        )
        self._bars.append(bar)
        return bar

    def after(self, key: tuple[str, str], open_time: int) -> list[Bar]:
        found = []
        for bar in reversed(self._bars):
            if bar.open_time <= open_time:
                break
            found.append(bar)
        return found[::-1]

    def until(self, key: tuple[str, str], open_time: int, count: int) -> list[Bar]:
        end = len(self._bars)
        while end and self._bars[end - 1].open_time > open_time:
            end -= 1
        return self._bars[max(0, end - count) : end]

    def last(self, key: tuple[str, str]) -> Bar | None:
        return self._bars[-1] if self._bars else None


class Replay:
    """One run. The market advances only when nothing is in the air or due."""

    def __init__(self, plan: Plan, *, say: Say = lambda line: None) -> None:
        self._plan = plan
        self._say = say
        self._desk = ReplayDesk([r.symbol for r in plan.recordings], balance=plan.balance)
        self._deciders: dict[str, Decider] = {}
        self._bars = {r.symbol: RecordedBars(r) for r in plan.recordings}
        self._closed_bar: dict[int, int] = {}  # trio → the bar in which it ended
        self._ambiguous: set[int] = set()
        self._funding: dict[int, Decimal] = {}
        self._ledger: dict[str, Decimal] = {}  # the exchange's, by kind of income
        self._equity: list[tuple[int, str]] = []
        self._in_position = 0
        self._living: dict[int, TrioOrder] = {}

    def run(self) -> dict[str, Any]:
        """Replay everything; return what came of it."""
        began = time.monotonic()
        self._prepare()
        bars = sorted(
            (
                (candle.start + r.length, r.symbol, candle)
                for r in self._plan.recordings
                for candle in r.candles
            ),
            key=lambda row: row[:2],
        )
        self._desk.simulator.ex.market_ms = bars[0][2].start
        said_at = began
        try:
            for number, (_, symbol, candle) in enumerate(bars, start=1):
                self._bar(symbol, candle)
                if time.monotonic() - said_at > PROGRESS_SECONDS:
                    said_at = time.monotonic()
                    self._say(f"{number} of {len(bars)} bars, {TrioOrder.objects.count()} trios")
        finally:
            for decider in self._deciders.values():
                decider.close()
        return self._document(len(bars), time.monotonic() - began)

    def _prepare(self) -> None:
        plan = self._plan
        for recording in plan.recordings:
            strategy = Strategy.objects.create(
                name=f"{NAME}-{recording.symbol.lower()}",
                code=plan.code,
                parameters=plan.parameters,
                symbols=recording.symbol,
                timeframe=recording.timeframe,
                **plan.terms,
            )
            strategy.accounts.set([self._desk.account])
            strategy_enable(strategy.pk, by=NAME)
            strategy.refresh_from_db()
            decider = Decider(Setup.of(strategy), strategy.parameters, self._bars[recording.symbol])
            decider.load()
            self._deciders[recording.symbol] = decider

    # --- one bar --------------------------------------------------------------------------------------

    def _bar(self, symbol: str, candle: Candle) -> None:
        """Take the price through a bar, corner by corner, then let the strategy decide about it."""
        bars = self._bars[symbol]
        exchange = self._desk.simulator.ex
        exchange.market_ms = max(exchange.market_ms, candle.start)  # funding is due by the market's time
        living = [trio for trio in self._living.values() if trio.symbol.symbol == symbol]
        for trio in living:
            if trio.trio_state is not TrioState.OPEN:  # its entry may have filled since
                trio.refresh_from_db(fields=["state"])
        levels = {trio.pk: _levels_of(trio) for trio in living}
        way = way_through(candle, levels.values())
        if way.is_ambiguous:
            self._ambiguous.update(
                pk for pk, one in levels.items() if one.both_in(candle) or one.waits_in(candle)
            )
        part, happened, before = bars.recording.length // len(way.corners), False, candle.open
        for place, price in enumerate(way.corners):
            # Between two bars nothing traded: a price that is elsewhere now has jumped.
            for pause in pauses(before, price, levels.values()):
                self._desk.simulator.set_price(symbol, pause)
                self._desk.mark(symbol)
                happened |= self._desk.settle()
            self._desk.simulator.set_price(symbol, price, gap=place == 0)
            if place:
                self._desk.simulator.advance_market(part)
            if living:
                self._desk.mark(symbol)
            happened |= self._desk.settle()
            before = price
        behind = candle.start + bars.recording.length - exchange.market_ms
        if behind > 0:
            self._desk.simulator.advance_market(min(behind, bars.recording.length))
            happened |= self._desk.settle()
        bars.close(candle, closed_at=self._desk.simulator.clock())
        self._book(symbol, candle, happened=happened)
        if len(bars) < self._plan.warmup:
            return
        if signals := self._deciders[symbol].decide(symbol):
            self._desk.mark(symbol)
            signals_execute(signals)
            self._desk.settle(was_touched=True)
            self._look(candle)

    def _book(self, symbol: str, candle: Candle, *, happened: bool) -> None:
        """Note what has ended in this bar, and what it cost to hold."""
        for kind, of_symbol, amount in self._desk.income():
            self._ledger[kind] = self._ledger.get(kind, ZERO) + amount
            for trio in self._living.values() if kind == FUNDING else ():
                if trio.symbol.symbol == of_symbol:
                    self._funding[trio.pk] = self._funding.get(trio.pk, ZERO) + amount
        self._in_position += any(
            trio.symbol.symbol == symbol and trio.trio_state is not TrioState.WORKING
            for trio in self._living.values()
        )
        if happened:
            self._look(candle)

    def _look(self, candle: Candle) -> None:
        """Find out which trios live now, and note the bar in which others have ended."""
        living = set(self._desk.living())
        ended = self._living.keys() - living
        for trio_id in ended:
            self._closed_bar[trio_id] = candle.start
            del self._living[trio_id]
        if fresh := living - self._living.keys():
            made = TrioOrder.objects.filter(pk__in=fresh).select_related("symbol")
            self._living |= {trio.pk: trio for trio in made}
        if ended:
            self._equity.append((candle.start, text(self._desk.simulator.wallet(NAME)) or "0"))

    # --- what came of it ------------------------------------------------------------------------------

    def _document(self, bars: int, seconds: float) -> dict[str, Any]:
        plan = self._plan
        trios = [self._closed(result) for result in _results()]
        booked = Fill.objects.aggregate(pnl=Sum("realized_pnl"), fees=Sum("commission"))
        realised, fees = booked["pnl"] or ZERO, booked["fees"] or ZERO
        ledger, funding = self._ledger, self._ledger.get(FUNDING, ZERO)
        wallet = self._desk.simulator.wallet(NAME)
        verdict = self._desk.simulator.verdict()
        document: dict[str, Any] = {
            "strategy": plan.code,
            "parameters": plan.parameters,
            "terms": {name: str(value) for name, value in sorted(plan.terms.items())},
            "balance": text(plan.balance),
            "warmup": plan.warmup,
            "recordings": [
                {
                    "symbol": r.symbol, "timeframe": r.timeframe, "bars": len(r.candles), "digest": r.digest,
                    "first": r.candles[0].start, "last": r.candles[-1].start,
                }
                for r in plan.recordings
            ],
            "signals": Signal.objects.count(),
            "outcomes": _outcomes(),
            "refused": _refused(),
            "trios": [trio.as_json() for trio in trios],
            "statistics": statistics(trios),
            "exposure_percent": text((Decimal(self._in_position) * 100 / bars).quantize(Decimal("0.01"))),
            "ambiguous_bars": len(self._ambiguous),
            "equity": self._equity,
            "ledger": {
                "realised": text(realised),
                "fees": text(fees),
                "funding": text(funding),
                "wallet": text(plan.balance + realised - fees + funding),
                "exchange": {
                    "realised": text(ledger.get("REALIZED_PNL", ZERO)),
                    "fees": text(-ledger.get("COMMISSION", ZERO)),
                    "funding": text(funding),
                    "wallet": text(wallet),
                },
            },
            "uncovered_longest_ms": max((trio.uncovered_ms for trio in trios), default=0),
            "verdict": {
                "uncovered_ms_max": verdict["uncovered_ms_max"],
                "reversed": len(verdict["reversed"]),
                "orphans": len(verdict["orphans"]),
            },
        }  # fmt: skip
        document["hash"] = digest(document)
        document["took"] = {
            "seconds": round(seconds, 2),
            "bars": bars,
            "bars_per_second": round(bars / seconds, 1),
            "trios_per_second": round(len(trios) / seconds, 2),
        }
        return document

    def _closed(self, result: SignalResult) -> Closed:
        trio, signal = result.trio, result.signal
        assert trio is not None
        assert trio.stop_loss is not None
        assert trio.take_profit is not None
        assert signal.bar_open_ts is not None
        fills = list(trio.fills.select_related("leg"))
        entered = [fill for fill in fills if Role(fill.leg.role).opens]
        left = [fill for fill in fills if not Role(fill.leg.role).opens]
        entry, quantity = _average(entered), sum((fill.quantity for fill in entered), ZERO)
        planned = ZERO
        if entry is not None:
            planned = quantity * (abs(entry - trio.stop_loss) + TAKER_FEE * (entry + trio.stop_loss))
        return Closed(
            number=trio.pk,
            symbol=trio.symbol.symbol,
            timeframe=signal.timeframe,
            signal_bar=signal.bar_open_ts,
            closed_bar=self._closed_bar.get(trio.pk),
            side=trio.side,
            quantity=quantity,
            entry=entry,
            exit=_average(left),
            stop=trio.stop_loss,
            target=trio.take_profit,
            state=trio.state,
            result=trio.result,
            gross=sum((fill.realized_pnl for fill in fills), ZERO),
            fees=sum((fill.commission for fill in fills), ZERO),
            funding=self._funding.get(trio.pk, ZERO),
            planned=planned,
            uncovered_ms=trio.uncovered_longest_ms,
            ambiguous=trio.pk in self._ambiguous,
        )


def _levels_of(trio: TrioOrder) -> Levels:
    assert trio.stop_loss is not None
    assert trio.take_profit is not None
    waits = trio.trio_state is TrioState.WORKING
    return Levels(
        trio.stop_loss,
        trio.take_profit,
        entry=(trio.trigger_price or trio.price) if waits else None,
        by_trigger=waits and trio.trigger_price is not None,
    )


def _average(fills: Sequence[Fill]) -> Decimal | None:
    quantity = sum((fill.quantity for fill in fills), ZERO)
    if not quantity:
        return None
    return sum((fill.quantity * fill.price for fill in fills), ZERO) / quantity


def _results() -> list[SignalResult]:
    made = SignalResult.objects.filter(trio__isnull=False).select_related("signal", "trio__symbol")
    return list(made.order_by("trio_id"))


def _outcomes() -> dict[str, int]:
    found: dict[str, int] = {}
    for outcome in SignalResult.objects.values_list("outcome", flat=True):
        found[outcome] = found.get(outcome, 0) + 1
    return dict(sorted(found.items()))


def _refused() -> list[dict[str, Any]]:
    """Every signal that placed nothing, with the kind of why not and its facts."""
    results = SignalResult.objects.filter(trio=None).select_related("signal").order_by("signal_id")
    return [
        {
            "symbol": result.signal.symbol,
            "signal_bar": result.signal.bar_open_ts,
            "outcome": result.outcome,
            "kind": result.refusal,
            "facts": result.facts,
        }
        for result in results
    ]
