"""A worker is killed at any moment of a bar: no bar is acted on twice, and none is lost that was still in its window."""

from __future__ import annotations

import os
import random
import time
from decimal import Decimal
from typing import Any

import pytest

from orders.models import TrioOrder
from signals.models import Signal, SignalResult, Strategy, StrategyBar
from signals.strategy_services import strategy_enable
from tests.acceptance.conftest import Stack, watched
from tests.builders import until

KILLS = int(os.environ.get("KILLS", "3"))
SEED = int(os.environ.get("SEED", "1"))
WINDOW_SECONDS = 1.2  # in which a bar is heard of, decided about, recorded, sized, queued, placed and covered
MINUTE_MS = 60_000
D = Decimal

pytestmark = pytest.mark.slow


def decided_after(bar: int) -> int:
    """Wait until the strategy has decided about a later bar than this; return which."""

    def found() -> int | None:
        return StrategyBar.objects.filter(bar_open_ts__gt=bar).values_list("bar_open_ts", flat=True).first()

    return int(until(found, seconds=60))


def newest_stands() -> bool:
    newest = TrioOrder.objects.order_by("-pk").first()
    return newest is not None and newest.state in ("OPEN", "ROLLED_BACK")


def all_done() -> bool:
    return not SignalResult.objects.filter(outcome="PENDING").exists()


def test_a_worker_killed_at_any_moment_of_a_bar(stack: Stack, redis_queue: Any) -> None:
    # Given a strategy that buys after every bar, and a market that moves when it is told to
    stack.environment["STRATEGIES"] = "buys=tests.unit.signals.strategies.naughty:Buys"
    account = stack.account()
    strategy = Strategy.objects.create(
        name="buys", code="buys", symbols="BTCUSDT", timeframe="1m", size_kind="QUANTITY", size_value=D("0.010"),
        parameters={"stop": "95000"},
    )  # fmt: skip
    strategy.accounts.set([account])
    strategy_enable(strategy.pk, by="test")
    stack.start_worker()
    until(lambda: watched(account), seconds=60, why=stack.logs)
    until(StrategyBar.objects.exists, seconds=60, why=stack.logs)
    began = bar = StrategyBar.objects.get().bar_open_ts
    points = random.Random(SEED)

    for _ in range(KILLS):
        # When a bar closes and the worker dies some time after that
        stack.ask("POST", "/sim/market", {"mode": "step", "ms": MINUTE_MS})
        time.sleep(points.uniform(0, WINDOW_SECONDS))  # the moment of the kill, and not a wait for anything
        stack.stop("runworker", kill=True)
        stack.start_worker()

        # Then whoever goes on has decided about that bar, and carried out what was wanted
        bar = decided_after(bar)
        until(all_done, seconds=60, why=lambda: f"{SignalResult.objects.values()} {stack.logs()}")
        until(newest_stands, seconds=60, why=lambda: f"{TrioOrder.objects.values('pk', 'state', 'reason')}")
        # and its stop makes room for the next
        stack.price("BTCUSDT", "94000")
        until(lambda: not TrioOrder.objects.filter(holds_slot=True).exists(), seconds=60, why=stack.logs)
        stack.price("BTCUSDT", "100000")

    # No bar twice, none missing, none too late; and each trio has sent one entry
    signals = list(Signal.objects.order_by("bar_open_ts").values_list("bar_open_ts", flat=True))
    assert signals == list(range(began + MINUTE_MS, bar + 1, MINUTE_MS))
    assert StrategyBar.objects.get().missed_count == 0
    assert set(SignalResult.objects.values_list("outcome", flat=True)) == {"PLACED"}
    assert TrioOrder.objects.count() == len(signals) >= KILLS
    verdict = stack.ask("GET", "/sim/verdict")
    assert all(row["orders"] <= 1 for row in verdict["entries"])
    assert not verdict["reversed"]
