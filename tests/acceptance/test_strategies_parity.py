"""A worker on PAPER and a replay of the same bars make the same trios: bar, side, levels."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings

from orders.cli.wait import look
from orders.domain.enums import ENDS
from orders.exchange_data.clock import exchange_now_ms
from orders.models import Leg, Slot, TrioOrder
from orders.queueing.surroundings import MARK_AGE_MS
from replay.market import Levels, way_through
from replay.process import replayed
from replay.recordings import recording
from signals.models import Signal, SignalResult, Strategy, StrategyBar
from signals.strategy_services import strategy_enable
from simulator.prices.recorded import Candle
from tests.acceptance.conftest import Stack, watched
from tests.builders import until

MINUTE_MS = 60_000
QUARTER_MS = MINUTE_MS // 4
FIRST = 300
WARMUP = 20
BARS = 50
PARAMETERS = {"bars": "4", "atr_bars": "5", "stop_atr": "1.5", "target_r": "1.5"}
TERMS = {"size_kind": "NOTIONAL", "size_value": "600"}

pytestmark = pytest.mark.slow


def at_rest(stack: Stack) -> bool:
    """Is everything known and done: every signal carried out, every trio at rest, our books those of the exchange?"""
    if SignalResult.objects.filter(outcome="PENDING").exists():
        return False
    living = TrioOrder.objects.exclude(state__in=[state.value for state in ENDS]).values_list("pk", flat=True)
    if not all(look(trio_id)[1] for trio_id in living):
        return False
    (shown,) = stack.ask("GET", "/sim/state")["accounts"]
    resting = {
        row.get("clientAlgoId") or row["clientOrderId"] for row in (*shown["orders"], *shown["algo_orders"])
    }
    live = Leg.objects.filter(trio__in=living, state__in=("ACCEPTED", "PARTIALLY_FILLED", "TRIGGERED"))
    held = {row["symbol"] for row in shown["positions"] if Decimal(row["quantity"])}
    return resting == set(live.values_list("client_id", flat=True)) and bool(held) == living.exists()


def mark_is_known(price: Decimal) -> bool:
    """Is the price that is kept the market's, or too old to be used?"""
    slot = Slot.objects.filter(symbol="ADAUSDT").first()
    if slot is None or slot.mark_price == price:
        return True
    return exchange_now_ms("PAPER") - slot.mark_as_of > MARK_AGE_MS


def levels() -> list[Levels]:
    living = TrioOrder.objects.exclude(state__in=[state.value for state in ENDS])
    return [Levels(t.stop_loss, t.take_profit) for t in living if t.stop_loss and t.take_profit]


def test_a_worker_and_a_replay_make_the_same_trios(stack: Stack, redis_queue: Any) -> None:
    # Given recorded bars, a market that goes through them as it is told, and a worker with a strategy
    candles = recording("ADAUSDT", None).candles[FIRST - WARMUP : FIRST + BARS]
    account = stack.account()
    stack.price("ADAUSDT", str(candles[0].open))
    now = int(stack.ask("POST", "/sim/market", {"mode": "pause"})["market_ms"])
    now = step(stack, MINUTE_MS - now % MINUTE_MS)
    shift = now - candles[0].start

    def go_through(candle: Candle) -> None:
        """Move on to each corner of a bar only when nothing is in the air."""
        for place, price in enumerate(way_through(candle, levels()).corners):
            stack.ask("POST", "/sim/price", {"symbol": "ADAUSDT", "price": str(price), "gap": place == 0})
            until(lambda: at_rest(stack), seconds=60, why=stack.logs, every=0.02)
            step(stack, QUARTER_MS if place else 0)
        # A price of a second ago counts as fresh, and this market goes through a minute in less.
        until(lambda: mark_is_known(candle.close), seconds=60, why=stack.logs, every=0.05)
        step(stack, QUARTER_MS)

    for candle in candles[:WARMUP]:
        go_through(candle)
    strategy = Strategy.objects.create(
        name="same", code="breakout", symbols="ADAUSDT", timeframe="1m", parameters=PARAMETERS,
        size_kind="NOTIONAL", size_value=Decimal(600),
    )  # fmt: skip
    strategy.accounts.set([account])
    strategy_enable(strategy.pk, by="test")
    stack.start_worker()
    until(lambda: watched(account), seconds=60, why=stack.logs)
    until(StrategyBar.objects.exists, seconds=60, why=stack.logs)
    assert StrategyBar.objects.get().bar_open_ts == candles[WARMUP - 1].start + shift

    # When the market goes on, far ahead of the clock
    for candle in candles[WARMUP:]:
        go_through(candle)
        decided = StrategyBar.objects.filter(bar_open_ts=candle.start + shift)
        until(decided.exists, seconds=60, why=stack.logs, every=0.02)
        until(lambda: at_rest(stack), seconds=60, why=stack.logs, every=0.02)
    stack.stop("runworker")

    # Then a replay of these bars makes the same trios
    live = [
        (result.signal.bar_open_ts - shift, result.trio.side, result.trio.stop_loss, result.trio.take_profit)
        for result in SignalResult.objects.order_by("signal_id").select_related("signal", "trio")
        if result.signal.bar_open_ts is not None and result.trio is not None
    ]
    report = replayed(
        {
            "strategy": "breakout", "parameters": PARAMETERS, "balance": "10000", "terms": TERMS, "warmup": WARMUP,
            "recordings": [{"symbol": "ADAUSDT", "first": candles[0].start, "last": candles[-1].start}],
        },
        strategies=settings.STRATEGIES,
    )  # fmt: skip
    made = [
        (trio["signal_bar"], trio["side"], Decimal(trio["stop"]), Decimal(trio["target"]))
        for trio in report["trios"]
    ]
    assert len(live) >= 3
    assert live == made
    assert not Signal.objects.exclude(results__outcome="PLACED").exists()


def step(stack: Stack, ms: int) -> int:
    """Move the market's clock on; return where it is."""
    return int(stack.ask("POST", "/sim/market", {"mode": "step", "ms": ms})["market_ms"])
