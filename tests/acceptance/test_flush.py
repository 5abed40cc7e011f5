"""The queue is only a doorbell: emptied at any moment of a run, it takes nothing with it.

``FLUSH_TRIOS=200`` makes the run a long one.
"""

from __future__ import annotations

import os
import random
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
import redis
from django.conf import settings

from accounts.models import ExchangeAccount
from infrastructure import job_queue
from local_servers import manager
from orders import services
from orders.models import Symbol, TrioOrder
from tests.acceptance.conftest import Stack, watched
from tests.builders import until

TRIOS: Final = int(os.environ.get("FLUSH_TRIOS", "60"))
ACCOUNTS, SYMBOLS, SEED = 4, 10, 7
PRICE: Final = Decimal(100)


@pytest.fixture
def own_queue(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """A Valkey of this test alone: what is flushed must be nobody else's."""
    socket = tmp_path / "q.sock"
    words = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen([str(manager._valkey_binary()), *words], stdout=subprocess.DEVNULL)
    url = f"unix://{socket}?db=0"
    monkeypatch.setattr(settings, "REDIS_URL", url)
    monkeypatch.setattr(settings, "EMBEDDED_REDIS", False)
    for each in settings.RQ_QUEUES.values():
        monkeypatch.setitem(each, "URL", url)
    monkeypatch.setattr(job_queue, "_connections", threading.local())
    stack.environment["REDIS_URL"] = url
    until(job_queue.answering, why="the queue's server does not answer")
    yield redis.Redis.from_url(url)
    stack.stop_all()
    server.terminate()
    server.wait(timeout=15)


def symbols_chosen() -> list[Symbol]:
    """Symbols that trade at a round price, with steps fine enough for one."""
    fine = [s for s in Symbol.objects.filter(environment="PAPER").order_by("symbol") if _suits(s)]
    assert len(fine) >= SYMBOLS
    return fine[:SYMBOLS]


def _suits(symbol: Symbol) -> bool:
    steps = (symbol.tick_size, symbol.step_size, symbol.market_step_size, symbol.quantity_min)
    trades = symbol.is_trading and symbol.symbol.endswith("USDT")
    within = (symbol.price_max or PRICE) > 10 * PRICE > 10 * (symbol.price_min or 0)
    return trades and within and all(step is None or step <= 1 for step in steps)


class Flusher(threading.Thread):
    """Empties the whole queue's server at seeded random moments until it is told to stop."""

    def __init__(self, server: redis.Redis) -> None:
        super().__init__(name="flusher")
        self.server, self.flushed, self.lost = server, 0, 0
        self.done = threading.Event()
        self._rng = random.Random(SEED)

    def run(self) -> None:
        while not self.done.wait(self._rng.uniform(0.02, 0.6)):
            self.lost += int(self.server.llen("rq:queue:orders"))
            self.server.flushall()
            self.flushed += 1


def test_a_queue_flushed_at_any_moment_loses_no_trio(stack: Stack, own_queue: redis.Redis) -> None:
    # Given four accounts, both workers, and somebody who empties the queue again and again
    accounts = [stack.account(f"stack {n}") for n in range(ACCOUNTS)]
    symbols = symbols_chosen()
    for symbol in symbols:
        stack.price(symbol.symbol, str(PRICE))
    stack.start_worker()
    stack.start_rqworker()
    until(lambda: all(watched(account) for account in accounts), seconds=60, why="not all are watched")
    flusher = Flusher(own_queue)
    flusher.start()

    # When so many trios are queued, open and closed, as many at a time as there are slots
    trios: list[TrioOrder] = []
    try:
        while len(trios) < TRIOS:
            round_ = [(a, s) for s in symbols for a in accounts][: TRIOS - len(trios)]
            placed = [queued(account, symbol) for account, symbol in round_]
            trios += placed
            all_reach(placed, "OPEN")
            for trio in placed:
                services.trio_close(trio_id=trio.pk, by="test")
            all_reach(placed, "CLOSED")
    finally:
        flusher.done.set()
        flusher.join()

    # Then each was placed exactly once, and nothing of any is left
    entries: Counter[tuple[str, str]] = Counter()
    verdict = stack.ask("GET", "/sim/verdict")
    for row in verdict["entries"]:
        entries[row["account"], row["stem"]] += row["orders"]
        assert Decimal(row["entered"]) == Decimal(row["exited"]) == 1, row
    assert len(entries) == TRIOS
    assert set(entries.values()) == {1}
    assert verdict["open_positions"] == verdict["reversed"] == verdict["orphans"] == []
    print(f"{TRIOS} trios, {flusher.flushed} times flushed, {flusher.lost} waiting jobs lost with it")
    assert flusher.flushed >= 5
    assert flusher.lost > 0, "nothing was ever lost: the flushes met an empty queue each time"


def queued(account: ExchangeAccount, symbol: Symbol) -> TrioOrder:
    words: dict[str, Any] = {"stop_loss": PRICE * 9 / 10, "take_profit": PRICE * 11 / 10}
    trio = services.trio_draft(account=account, symbol=symbol, side="BUY", quantity=Decimal(1), **words)
    trio.save()
    reading = services.Reading(mark_price=PRICE, wallet=Decimal(10_000))
    return services.trio_queue(trio_id=trio.pk, by="test", reading=reading)


def all_reach(trios: list[TrioOrder], state: str) -> None:
    wanted = [trio.pk for trio in trios]

    def others() -> dict[int, str]:
        return dict(TrioOrder.objects.filter(pk__in=wanted).exclude(state=state).values_list("pk", "state"))

    until(lambda: not others(), seconds=90, why=f"{state} is not reached by all")
