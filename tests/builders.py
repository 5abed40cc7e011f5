"""Builders for stories: a market, an account that is watched, a trio in a line."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from redis.exceptions import RedisError

from accounts.models import ExchangeAccount
from exchange.binance.mapping.user_events import read_user_event
from exchange.types import ConfigEvent, ExchangeMs, MarginCallEvent, OrderEvent, PositionEvent
from orders import services
from orders.domain.decision.steps import Step
from orders.exchange_data.clock import clock_measure, db_now, exchange_now_ms
from orders.models import Heartbeat, TrioOrder, Watch
from orders.placement import admission
from orders.placement.ingest import record_margin_call, record_order_event, record_position
from orders.placement.service import OrderPlacementService
from simulator import Simulator
from worker.due_poll import due_begun, due_queued
from worker.sweep import sweep

PATIENCE_SECONDS = 10.0
MOMENT_MS = 500  # the exchange refuses a request that is dated a second ahead
WATCH = "the test's own watch"


def a_moment_later_ms(environment: str) -> ExchangeMs:
    """Return when everything the exchange has dated is past, however late our measure of its clock is."""
    return ExchangeMs(exchange_now_ms(environment) + MOMENT_MS)


def until(
    what: Callable[[], Any],
    *,
    seconds: float = PATIENCE_SECONDS,
    why: str | Callable[[], str] = "",
    every: float = 0.005,
) -> Any:
    """Return what ``what`` returns as soon as it is true; fail with the reason when it never becomes so.

    ``why`` may be asked for: what is told of a failure is then as of its end. ``every`` so many seconds it looks:
    who measures looks seldom, for a look costs the machine time too.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s: {why() if callable(why) else why or what}")


def nothing_in_the_air() -> bool:
    """Forget what is in the air; False where Valkey took too long to say so, as it may on a busy machine."""
    try:
        admission.forget()
    except RedisError:
        return False
    return True


def due_ids() -> list[int]:
    """Return the trios that are due, in the order in which a poll sees them."""
    return [*due_begun(), *(trio_id for trio_id, _ in due_queued())]


@dataclass
class Desk:
    """One account on one simulated exchange, watched by the test itself: it decides when what is heard."""

    simulator: Simulator
    account: ExchangeAccount
    api_key: str
    service: OrderPlacementService = field(default_factory=OrderPlacementService)
    deaf: bool = False  # events are lost

    def watched(self) -> Desk:
        """Beat as a runworker does, and sweep the account; nothing of another test is in the air."""
        until(nothing_in_the_air, why="Valkey does not answer")
        clock_measure(self.account.environment)
        self.beat()
        Watch.objects.filter(account=self.account).update(stream_since=db_now())
        self.sweep()
        return self

    def beat(self) -> None:
        now = db_now()
        Heartbeat.objects.update_or_create(
            process=WATCH, defaults={"beat": now}, create_defaults={"beat": now, "started_at": now}
        )
        Watch.objects.update_or_create(
            account=self.account, defaults={"incarnation": WATCH, "holder": WATCH, "beat": now}
        )

    def sweep(self) -> None:
        asked = db_now()
        swept = sweep(self.account)
        Watch.objects.filter(account=self.account).update(swept_at=asked, swept_ts=swept.at)

    def hear(self) -> int:
        """Take in what the user stream has said since last time. Returns how many events there were."""
        self.simulator.tick()
        events = self.simulator.drain_events(self.api_key)
        if self.deaf:
            return 0
        for body in events:
            match read_user_event(body):
                case OrderEvent() as event:
                    record_order_event(self.account.pk, event)
                case PositionEvent() as event:
                    for view in event.positions:
                        record_position(self.account.pk, view, as_of=event.time, from_event=True)
                case MarginCallEvent() as event:
                    record_margin_call(self.account.pk, event)
                case ConfigEvent():
                    pass
        return len(events)

    def advance(self, trio: TrioOrder) -> Step:
        return self.service.advance(trio.pk)

    def carry(self) -> None:
        """Do what a runworker does in one pass: beat, hear, carry what is due."""
        self.beat()
        self.hear()
        for trio_id in due_ids():
            self.service.advance(trio_id)

    def carry_until(self, trio: TrioOrder, *states: str, seconds: float = PATIENCE_SECONDS) -> TrioOrder:
        """Work on until the trio is in one of these states."""

        def there() -> TrioOrder | None:
            self.carry()
            trio.refresh_from_db()
            return trio if trio.state in states else None

        until(there, seconds=seconds, why=lambda: f"trio in {states}, it is {trio.state} ({trio.reason})")
        return trio

    def a_trio(self, symbol: str = "BTCUSDT", side: str = "BUY", **fields: Any) -> TrioOrder:
        """Return a saved draft: 0.010 BTC long with stop 95000 and target 110000 unless said otherwise."""
        long = side == "BUY"
        usual: dict[str, Any] = {
            "quantity": Decimal("0.010"),
            "stop_loss": Decimal("95000") if long else Decimal("105000"),
            "take_profit": Decimal("110000") if long else Decimal("90000"),
        }
        draft = services.trio_draft(
            account=self.account,
            symbol=services.symbol_get(self.account.environment, symbol),
            side=side,
            **(usual | fields),
        )
        draft.save()
        return draft

    def queued(self, trio: TrioOrder) -> TrioOrder:
        return services.trio_queue(trio_id=trio.pk, by="test")

    def placed(self, trio: TrioOrder) -> TrioOrder:
        """Queue a draft and carry it until it stands or has ended."""
        self.queued(trio)
        self.service.advance(trio.pk)
        return self.carry_until(
            trio, "OPEN", "WORKING", "CLOSED", "ROLLED_BACK", "REFUSED", "CANCELLED", "EXPIRED", "DRY_RUN"
        )

    @property
    def resting(self) -> list[str]:
        """Return what rests on the exchange, by client id."""
        return sorted(
            order.get("clientAlgoId") or order["clientOrderId"] for order in self.simulator.open_orders()
        )

    def requests(self, method: str = "POST", path: str = "") -> list[Any]:
        return [e for e in self.simulator.log if e.method == method and e.path.startswith(path)]


def the(trio: TrioOrder) -> TrioOrder:
    trio.refresh_from_db()
    return trio


def story(trio: TrioOrder) -> str:
    """Return a trio's events as text, for a failing test to show."""
    return "\n".join(event.text for event in trio.events.all())
