"""A worker on PAPER and a replay of the same bars make the same trios: bar, side, levels."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings

from orders.cli.wait import look
from orders.domain.enums import ENDS
from orders.models import TrioOrder
from replay.process import replayed
from replay.recordings import recording
from signals.models import Signal, SignalResult, Strategy, StrategyBar
from signals.strategy_services import strategy_enable
from tests.acceptance.conftest import Stack, watched
from tests.builders import until

MINUTE_MS = 60_000
BARS = 50
WARMUP = 40
PARAMETERS = {"bars": "4", "atr_bars": "5", "stop_atr": "1.5", "target_r": "1.5"}
TERMS = {"size_kind": "NOTIONAL", "size_value": "600"}
PLACE = ("open", "high", "low", "close")

pytestmark = pytest.mark.slow


def at_rest() -> bool:
    """Does nothing move: every signal is carried out, every trio rests or has ended?"""
    if SignalResult.objects.filter(outcome="PENDING").exists():
        return False
    living = TrioOrder.objects.exclude(state__in=[state.value for state in ENDS]).values_list("pk", flat=True)
    return all(look(trio_id)[1] for trio_id in living)


def test_a_worker_and_a_replay_make_the_same_trios(stack: Stack, redis_queue: Any) -> None:
    # Given a market that follows recorded bars, as far as it is told, and a worker with a strategy
    port = int(stack.url.rpartition(":")[2])
    stack.stop("simulator")
    stack.start_simulator(port, prices="replay")
    now = int(stack.ask("POST", "/sim/market", {"mode": "pause"})["market_ms"])
    account = stack.account()
    strategy = Strategy.objects.create(
        name="same", code="breakout", symbols="ADAUSDT", timeframe="1m", parameters=PARAMETERS,
        size_kind="NOTIONAL", size_value=Decimal(600),
    )  # fmt: skip
    strategy.accounts.set([account])
    strategy_enable(strategy.pk, by="test")
    stack.start_worker()
    until(lambda: watched(account), seconds=60, why=stack.logs)
    until(StrategyBar.objects.exists, seconds=60, why=stack.logs)
    seeded = StrategyBar.objects.get().bar_open_ts

    # When the market moves on by a quarter of a bar at a time, and each time only when nothing is in the air
    for _ in range(BARS):
        closes = (now // MINUTE_MS + 1) * MINUTE_MS
        while now < closes:
            step = min(MINUTE_MS // 4, closes - now)
            now = int(stack.ask("POST", "/sim/market", {"mode": "step", "ms": step})["market_ms"])
            until(at_rest, seconds=60, why=stack.logs, every=0.02)
        decided = now // MINUTE_MS * MINUTE_MS - MINUTE_MS
        until(
            StrategyBar.objects.filter(bar_open_ts__gte=decided).exists,
            seconds=60,
            why=stack.logs,
            every=0.02,
        )
        until(at_rest, seconds=60, why=stack.logs, every=0.02)
    stack.stop("runworker")

    # Then a replay of the recorded bars makes the same
    shift = shift_of(stack, now)
    live = [
        (signal.bar_open_ts - shift, trio.side, trio.stop_loss, trio.take_profit)
        for signal, trio in ((r.signal, r.trio) for r in SignalResult.objects.order_by("signal_id"))
        if signal.bar_open_ts is not None and trio is not None
    ]
    report = replayed(
        {
            "strategy": "breakout", "parameters": PARAMETERS, "balance": "10000", "terms": TERMS, "warmup": WARMUP + 1,
            "recordings": [{
                "symbol": "ADAUSDT", "first": seeded - shift - WARMUP * MINUTE_MS,
                "last": seeded - shift + BARS * MINUTE_MS,
            }],
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


def shift_of(stack: Stack, now: int) -> int:
    """How much later the market's bars are than when they were recorded, by what they say."""
    rows = stack.ask("GET", "/fapi/v1/klines?symbol=ADAUSDT&interval=1m&limit=20")[:-1]
    said = [tuple(Decimal(text) for text in row[1:5]) for row in rows]
    candles = recording("ADAUSDT", None).candles
    kept = [tuple(getattr(candle, name) for name in PLACE) for candle in candles]
    places = [place for place in range(len(kept)) if kept[place : place + len(said)] == said]
    assert len(places) == 1, "the bars of the market are those of the recording, and stand there once"
    return int(rows[0][0]) - candles[places[0]].start
