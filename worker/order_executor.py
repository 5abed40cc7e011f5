"""OrderExecutor: places a batch of intents as trios on one account.

The balance is read once for the whole batch and reserved trio by trio; a trio that ends without a position
releases its reservation, and a failed intent never stops the next one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from accounts.errors import AccountsError
from accounts.gateways import exchange_for
from accounts.models import ExchangeAccount
from exchange.errors import ExchangeError
from exchange.port import Exchange
from exchange.refusals import Refusal
from exchange.types import ZERO, OrderType, Side, TimeInForce
from orders import services
from orders.domain.enums import ENDS, TrioState
from orders.domain.errors import OrdersError, RuleBroken, SlotTaken
from orders.exchange_data.clock import exchange_now_ms
from orders.models import TrioOrder
from orders.placement.service import OrderPlacementService
from orders.services import Funds

logger = logging.getLogger(__name__)

SET_MAX = 50  # queued at once, then placed
NO_POSITION = ENDS - {TrioState.CLOSED}


@dataclass(frozen=True, slots=True)
class Intent:
    """What somebody wants: one trio, prices in the quote asset, quantity in the base asset."""

    symbol: str
    side: Side
    quantity: Decimal
    stop_loss: Decimal
    take_profit: Decimal
    entry_type: OrderType = OrderType.MARKET
    price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    protection: str = ""


@dataclass(frozen=True, slots=True)
class Execution:
    """The result of one intent. ``trio_id`` is ``None`` when no trio was made; ``reserved`` is what it keeps."""

    intent: Intent
    trio_id: int | None
    state: str
    reason: str
    reserved: Decimal = ZERO

    @property
    def placed(self) -> bool:
        return self.trio_id is not None and self.state not in NO_POSITION


Numbered = tuple[int, Intent]


@dataclass(slots=True)
class Batch:
    """A batch on its way: what it may still spend, and what became of each intent, by its place."""

    funds: Funds
    executions: dict[int, Execution] = field(default_factory=dict)
    amounts: dict[str, Decimal] = field(default_factory=dict)  # taken so far, by purse
    trios: set[int] = field(default_factory=set)

    @property
    def left(self) -> Funds:
        return replace(self.funds, taken=self.amounts, counted=frozenset(self.trios))

    def reserve(self, intent: Intent, trio: TrioOrder) -> Execution:
        """Take off what a placed trio needs, nothing where it ended without a position."""
        needed = ZERO if trio.trio_state in NO_POSITION else trio.margin_promised
        purse = self.funds.purse(trio.symbol.margin_asset)
        self.amounts[purse] = self.amounts.get(purse, ZERO) + needed
        self.trios.add(trio.pk)
        return Execution(intent, trio.pk, trio.state, trio.reason, needed)


class OrderExecutor:
    """Places intents for one account: queued in sets, then placed one after the other."""

    def __init__(
        self,
        account: ExchangeAccount,
        *,
        placement: OrderPlacementService | None = None,
        gateway: Callable[[int], Exchange] = exchange_for,
        by: str = "executor",
    ) -> None:
        self._account = account
        self._placement = placement or OrderPlacementService(gateway=gateway)
        self._gateway = gateway
        self._by = by

    def execute(self, intents: Iterable[Intent]) -> list[Execution]:
        """Place each intent. Never raises for one of them: its ``reason`` says what was wrong."""
        intents = list(intents)
        if not intents:
            return []
        try:
            funds = self._funds()
        except (ExchangeError, AccountsError) as error:
            return [Execution(i, None, "REFUSED", f"The balance could not be read: {error}") for i in intents]
        batch = Batch(funds)
        waiting = list(enumerate(intents))
        while waiting:
            chosen, waiting = waiting[:SET_MAX], waiting[SET_MAX:]
            # What had no room beside others gets it when one of these has ended.
            waiting = self._set(chosen, batch) + waiting
        return [batch.executions[place] for place in range(len(intents))]

    def _funds(self) -> Funds:
        """Read the balance once: for each asset its wallet and what of it is free."""
        exchange = self._gateway(self._account.pk)
        return services.funds_read(self._account, exchange, at=exchange_now_ms(self._account.environment))

    def _set(self, chosen: Sequence[Numbered], batch: Batch) -> list[Numbered]:
        """Queue intents as one set, place those that were accepted; return those to try again."""
        drafts: dict[int, TrioOrder] = {}
        for place, intent in chosen:
            try:
                drafts[place] = self._draft(intent)
            except OrdersError as error:
                batch.executions[place] = Execution(intent, None, "REFUSED", str(error))
        TrioOrder.objects.bulk_create(drafts.values())
        intents = dict(chosen)
        results = services.trios_queue(
            [draft.pk for draft in drafts.values()], by=self._by, funds={self._account.pk: batch.left}
        )
        refused: dict[int, Exception] = {}
        ended = False
        for place, result in zip(drafts, results, strict=True):
            if result.error is not None:
                refused[place] = result.error
                continue
            trio = drafts[place]
            self._place(trio)
            trio.refresh_from_db()
            ended |= trio.is_over
            batch.executions[place] = batch.reserve(intents[place], trio)
        # Refused before they were queued: no row is kept.
        TrioOrder.objects.filter(
            pk__in=[drafts[place].pk for place in refused], state=TrioState.DRAFT
        ).delete()
        again = []
        for place, refusal in refused.items():
            if ended and _lacked_room(refusal):
                again.append((place, intents[place]))
            else:
                batch.executions[place] = Execution(intents[place], None, "REFUSED", str(refusal))
        return again

    def _place(self, trio: TrioOrder) -> None:
        try:
            self._placement.advance(trio.pk)
        except Exception:  # it is queued: runworker carries it on, and the next intent is served
            logger.exception("trio %s: placing it raised", trio.pk)

    def _draft(self, intent: Intent) -> TrioOrder:
        """Return an unsaved draft. Raises RuleBroken when there is no such symbol."""
        return services.trio_draft(
            account=self._account,
            symbol=services.symbol_get(self._account.environment, intent.symbol),
            side=intent.side,
            quantity=intent.quantity,
            entry_type=intent.entry_type,
            price=intent.price,
            time_in_force=intent.time_in_force,
            stop_loss=intent.stop_loss,
            take_profit=intent.take_profit,
            protection=intent.protection,
            source=self._by,
        )


def _lacked_room(error: Exception) -> bool:
    """Was it refused only because others of the batch had the margin or the slot?"""
    return isinstance(error, SlotTaken) or (isinstance(error, RuleBroken) and error.refusal is Refusal.MARGIN)
