"""An account on a simulated exchange in this process, watched as a worker watches one, but in step with the replay.

Placement, executor and ingestion are the ones that trade; only the way from the exchange to them is short: events are
handed over instead of travelling on a socket, and the market stands still until nothing is in the air or due.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from accounts import endpoints
from accounts.gateways import user_event
from accounts.models import ExchangeAccount
from accounts.services import account_add
from exchange.types import ConfigEvent, OrderEvent, PositionEvent, PriceKind, PriceTick
from orders.cli.wait import look
from orders.domain.enums import ENDS, TrioState
from orders.exchange_data.clock import clock_measure, db_now
from orders.exchange_data.symbol_sync import symbols_sync
from orders.installation import install_row
from orders.models import Heartbeat, TrioOrder, Watch
from orders.placement.ingest import record_order_event, record_position
from orders.placement.service import service
from simulator import Simulator
from simulator.transport import InProcessAdapter
from worker.due_poll import due_begun, due_queued
from worker.price_watch import marks_store
from worker.sweep import sweep

NAME: Final = "replay"
KEY, SECRET = "replay-key-that-opens-nothing", "replay-secret-that-opens-nothing"
BEAT_SECONDS: Final = 1.0
SWEEP_SECONDS: Final = 5.0
SETTLE_SECONDS: Final = 60.0
STILL: Final = [state.value for state in ENDS] + [TrioState.DRAFT.value, TrioState.LATE.value]


class Unsettled(RuntimeError):
    """A trio did not come to rest: the replay would not be one."""


class ReplayDesk:
    """One account, its exchange, and what a worker does for both."""

    def __init__(self, symbols: Iterable[str], *, balance: Decimal, environment: str = "PAPER") -> None:
        self.simulator = Simulator(prices="hand", enforce_rates=False, symbols=set(symbols))
        endpoints.use_transport(environment, InProcessAdapter(self.simulator))
        self.simulator.add_account(NAME, KEY, SECRET, balance=balance)
        symbols_sync(environment)
        install_row()
        self.account: ExchangeAccount = account_add(
            name=NAME, environment=environment, api_key=KEY, api_secret=SECRET
        )
        clock_measure(environment)
        self._beat_at = self._sweep_at = 0.0
        self._income_seen = 0
        self._beat()
        Watch.objects.filter(account=self.account).update(stream_since=db_now())
        self._sweep()

    # --- what a worker does -----------------------------------------------------------------------

    def look_after(self) -> None:
        """Beat, and sweep, when it is time."""
        now = time.monotonic()
        if now >= self._beat_at:
            self._beat()
        if now >= self._sweep_at:
            self._sweep()

    def _beat(self) -> None:
        self._beat_at = time.monotonic() + BEAT_SECONDS
        now = db_now()
        Heartbeat.objects.update_or_create(
            process=NAME, defaults={"beat": now}, create_defaults={"beat": now, "started_at": now}
        )
        Watch.objects.update_or_create(
            account=self.account, defaults={"incarnation": NAME, "holder": NAME, "beat": now}
        )

    def _sweep(self) -> None:
        self._sweep_at = time.monotonic() + SWEEP_SECONDS
        asked = db_now()
        swept = sweep(self.account)
        Watch.objects.filter(account=self.account).update(swept_at=asked, swept_ts=swept.at)

    def hear(self) -> int:
        """Take in what the exchange has said since last time. Returns how many events there were."""
        events = self.simulator.drain_events(KEY)
        for body in events:
            match user_event(body):
                case OrderEvent() as event:
                    record_order_event(self.account.pk, event)
                case PositionEvent() as event:
                    for view in event.positions:
                        record_position(self.account.pk, view, as_of=event.time, from_event=True)
                case ConfigEvent():
                    pass
        return len(events)

    def mark(self, symbol: str) -> None:
        """Take in the mark price, as a worker hears it each second."""
        market = self.simulator.ex.market(symbol)
        marks_store(
            [self.account.pk], [PriceTick(symbol, PriceKind.MARK, market.mark, self.simulator.clock())]
        )

    def settle(self, *, was_touched: bool = False) -> bool:
        """Work until nothing is in the air or due and every trio that lives rests. Raises Unsettled.

        Returns whether there was anything to do.
        """
        self.look_after()
        if not self.hear() and not was_touched:
            return False
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            due = [*due_begun(), *(trio_id for trio_id, _ in due_queued())]
            for trio_id in due:
                service().advance(trio_id)
            if self.hear() or due:
                continue
            moving = [trio_id for trio_id in self.living() if not look(trio_id)[1]]
            if not moving:
                return True
            self.look_after()
            time.sleep(
                0.001
            )  # a rest of some milliseconds: the exchange's clock goes on, the market does not
        raise Unsettled(f"Trio {moving[0]} did not come to rest within {SETTLE_SECONDS:.0f} s.")

    def living(self) -> list[int]:
        """The trios that have not ended."""
        return list(TrioOrder.objects.exclude(state__in=STILL).order_by("pk").values_list("pk", flat=True))

    # --- the exchange's own records ---------------------------------------------------------------

    def income(self) -> list[tuple[str, str, Decimal]]:
        """The lines of income since last asked: kind (REALIZED_PNL, COMMISSION, FUNDING_FEE …), symbol, amount."""
        found = []
        for line in reversed(self.simulator.ex.books[NAME].income):
            if line.id <= self._income_seen:
                break
            found.append((line.type, line.symbol, line.amount))
        self._income_seen = max((line.id for line in self.simulator.ex.books[NAME].income), default=0)
        return found[::-1]
