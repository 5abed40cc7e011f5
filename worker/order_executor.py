"""OrderExecutor: places a batch of intents as trios on one account.

The balance is read once for the whole batch and reserved trio by trio; a trio that ends without a position
releases its reservation, and a failed intent never stops the next one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from accounts.errors import AccountsError
from accounts.gateways import exchange_for
from accounts.models import ExchangeAccount
from exchange.errors import ExchangeError
from exchange.port import Exchange
from exchange.types import ZERO, BalanceView, OrderType, Side, TimeInForce
from orders import services
from orders.domain.enums import ENDS, TrioState
from orders.domain.errors import OrdersError
from orders.models import Symbol, TrioOrder
from orders.placement.service import OrderPlacementService

logger = logging.getLogger(__name__)

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


@dataclass(slots=True)
class Reserved:
    """What the batch has taken of each asset so far, and for which trios."""

    amounts: dict[str, Decimal] = field(default_factory=dict)
    trios: set[int] = field(default_factory=set)


class OrderExecutor:
    """Places intents for one account, one after the other."""

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
        reserved = Reserved()
        return [self._one(intent, funds, reserved) for intent in intents]

    def _funds(self) -> dict[str, BalanceView]:
        """Read the balance once: for each asset its wallet and what of it is free."""
        return services.funds_read(self._account, self._gateway(self._account.pk))

    def _one(self, intent: Intent, funds: dict[str, BalanceView], reserved: Reserved) -> Execution:
        draft: TrioOrder | None = None
        try:
            symbol = services.symbol_get(self._account.environment, intent.symbol)
            asset = symbol.margin_asset
            held = funds.get(asset) or BalanceView("", asset, ZERO, ZERO)
            purse = asset if self._account.multi_assets_since is None else ""  # one for all assets
            left = replace(held, available=held.available - reserved.amounts.get(purse, ZERO))
            reading = services.market_read(self._account, symbol, funds=left)
            reading = replace(reading, counted=frozenset(reserved.trios))
            draft = self._draft(intent, symbol)
            services.trio_queue(trio_id=draft.pk, by=self._by, reading=reading)
        except (OrdersError, AccountsError, ExchangeError) as error:
            if draft is not None:
                draft.delete()  # refused before it was queued: no row is kept
            return Execution(intent, None, "REFUSED", str(error))
        self._place(draft)
        draft.refresh_from_db()
        needed = ZERO if draft.trio_state in NO_POSITION else draft.margin_promised
        reserved.amounts[purse] = reserved.amounts.get(purse, ZERO) + needed
        reserved.trios.add(draft.pk)
        return Execution(intent, draft.pk, draft.state, draft.reason, needed)

    def _place(self, trio: TrioOrder) -> None:
        try:
            self._placement.advance(trio.pk)
        except Exception:  # it is queued: runworker carries it on, and the next intent is served
            logger.exception("trio %s: placing it raised", trio.pk)

    def _draft(self, intent: Intent, symbol: Symbol) -> TrioOrder:
        draft = services.trio_draft(
            account=self._account,
            symbol=symbol,
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
        draft.save()
        return draft
