"""A strategy trades: from its bars to a trio that has ended, on a market whose clock runs fast."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from django.conf import settings

from accounts.models import ExchangeAccount
from demo.market import SimulatedMarket
from demo.retry import retrying
from orders import services
from orders.domain.enums import ENDS, TrioState
from orders.domain.errors import OrdersError
from orders.models import TrioEvent, TrioOrder
from signals.models import Signal, Strategy, StrategyBar
from signals.strategy_services import strategy_enable, strategy_stop

Say = Callable[[str], None]
NAME = "demo-crossover"
STORY = "a strategy trades closed bars, from bar to closed trio"
SYMBOLS = ("SOLUSDT", "BNBUSDT")  # where WORKER_SYMBOLS names none
SPEED = 60  # a bar of a minute closes each second
END_SECONDS = 120.0
# Crosses every few bars, and its levels are near: a demonstration, no advice.
PARAMETERS = {"fast": "1", "slow": "3", "stop_percent": "0.15", "target_percent": "0.15"}


class StrategyStory:
    """Sets a strategy up, lets the market run fast until one of its trios has ended, and says what happens."""

    def __init__(self, account: ExchangeAccount, market: SimulatedMarket, *, say: Say, by: str) -> None:
        self._account = account
        self._market = market
        self._say = say
        self._by = by
        self._told_signals = self._told_events = 0

    def run(self) -> dict[str, Any]:
        """Return how it ended, as the report has it."""
        strategy = retrying(self._set_up)
        self._told_signals = _newest(Signal)
        self._told_events = _newest(TrioEvent)
        before = _newest(TrioOrder)
        symbols = strategy.symbols.replace(",", ", ")
        self._say(
            f"[strategy] “{NAME}” looks at closed 1m bars of {symbols}; the market runs {SPEED} times as fast as the clock."
        )
        self._market.run(speed=SPEED)
        ended = self._wait(before)
        retrying(partial(strategy_stop, strategy.pk, by=self._by))
        self._market.run(speed=1)
        self._market.pause()
        left = self._close_rest(before)
        self._tell()
        bars = retrying(
            lambda: sum(StrategyBar.objects.filter(strategy=strategy).values_list("bars_count", flat=True))
        )
        row: dict[str, Any] = {"story": STORY, "bars": bars, "account": self._account.name, "left_over": left}
        if ended is None:
            self._say(f"[strategy] None of its trios ended within {END_SECONDS:.0f} s.")
            return row | {"trio": None, "state": None, "result": None, "uncovered_ms": 0, "as_told": False}
        return row | {
            "trio": ended.pk,
            "symbol": ended.symbol.symbol,
            "side": ended.side,
            "protection": ended.protection,
            "state": ended.state,
            "result": ended.result or None,
            "reason": ended.reason or None,
            "uncovered_ms": ended.uncovered_ms,
            "as_told": ended.result in ("TAKE_PROFIT", "STOP_LOSS") and not left,
        }

    def _set_up(self) -> Strategy:
        strategy, _ = Strategy.objects.update_or_create(
            name=NAME,
            defaults={
                "code": "crossover",
                "parameters": PARAMETERS,
                "symbols": ",".join(settings.WORKER_SYMBOLS or SYMBOLS),
                "timeframe": settings.TIMEFRAME,
                "size_kind": "NOTIONAL",
                "size_value": Decimal(600),
            },
        )
        strategy.accounts.set([self._account])
        strategy_enable(strategy.pk, by=self._by)
        return strategy

    def _wait(self, before: int) -> TrioOrder | None:
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline:
            self._tell()
            ended: TrioOrder | None = retrying(
                lambda: self._ours(before).filter(state=TrioState.CLOSED).first()
            )
            if ended is not None:
                return ended
            time.sleep(0.1)
        return None

    def _ours(self, before: int) -> Any:
        mine = TrioOrder.objects.filter(source=f"strategy:{NAME}", pk__gt=before)
        return mine.select_related("symbol").order_by("pk")

    def _close_rest(self, before: int) -> list[str]:
        """Close what it has open besides; return what did not end."""
        for trio in retrying(lambda: list(self._ours(before).exclude(state__in=ENDS))):
            try:
                retrying(partial(services.trio_close, trio_id=trio.pk, by=self._by))
            except OrdersError as refused:
                self._say(f"[strategy] {trio}: {refused}")  # it has ended by itself meanwhile
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline:
            left = retrying(lambda: list(self._ours(before).exclude(state__in=ENDS)))
            if not left:
                return []
            time.sleep(0.1)
        return [str(trio) for trio in left]

    def _tell(self) -> None:
        """Say what it has wanted since, and what its trios did."""
        signals = Signal.objects.filter(source=NAME, pk__gt=self._told_signals).order_by("pk")
        for signal in retrying(lambda: list(signals)):
            self._told_signals = signal.pk
            self._say(f"[strategy] {signal.side} {signal.symbol}: {signal.reason}.")
        events = TrioEvent.objects.filter(trio__source=f"strategy:{NAME}", pk__gt=self._told_events).order_by(
            "pk"
        )
        for event in retrying(lambda: list(events)):
            self._told_events = event.pk
            self._say(f"[strategy] Trio {event.trio_id}: {event.text}")


def _newest(model: Any) -> int:
    found: int | None = retrying(lambda: model.objects.order_by("-pk").values_list("pk", flat=True).first())
    return found or 0
