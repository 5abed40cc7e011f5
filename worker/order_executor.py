"""OrderExecutor: places a batch of intents as trios on one account. Strategies, webhooks, files and tickets use it.

The balance is read once for the whole batch and reserved trio by trio; a trio that ends without a position
releases its reservation, and a failed intent never stops the next one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from accounts.errors import AccountsError
from accounts.gateways import Gateway, exchange_for
from accounts.models import ExchangeAccount
from exchange.errors import ExchangeError
from exchange.refusals import Refusal
from exchange.types import ZERO, OrderType, Side, TimeInForce
from orders import services
from orders.domain.enums import ENDS, TrioState
from orders.domain.errors import LimitBroken, OrdersError, RuleBroken, SlotTaken
from orders.domain.rounding import CENT, plain
from orders.exchange_data.clock import exchange_now_ms
from orders.models import TrioOrder
from orders.placement.service import OrderPlacementService
from orders.queueing.surroundings import Surroundings, surroundings
from orders.services import Funds, Reading
from orders.specs import grid_of, spec_shown
from signals.domain.refusals import RefusalKind, SignalRefused, sentence
from signals.domain.sizing import Means, figures
from signals.domain.terms import Terms
from signals.services import drafts_claim

logger = logging.getLogger(__name__)

SET_MAX = 50  # queued at once, then placed
NO_POSITION = ENDS - {TrioState.CLOSED}


@dataclass(frozen=True, slots=True)
class Intent:
    """What somebody wants: one trio, prices in the quote asset, quantity in the base asset.

    With ``terms`` the quantity, levels and price are worked out from them, by the mark price and what the account has;
    ``atr`` is the average true range that they may ask for. ``result_id``: the signal's result that this carries out.
    """

    symbol: str
    side: Side
    quantity: Decimal = ZERO
    stop_loss: Decimal = ZERO
    take_profit: Decimal = ZERO
    entry_type: OrderType = OrderType.MARKET
    price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    protection: str = ""
    terms: Terms | None = None
    atr: Decimal | None = None
    source: str = ""
    place_before: datetime | None = None
    result_id: int | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Execution:
    """The result of one intent. ``trio_id`` is ``None`` when no trio was made; ``reserved`` is what it keeps.

    ``refused`` says why not, as data; ``planned`` what a dry run would have placed.
    """

    intent: Intent
    trio_id: int | None
    state: str
    reason: str
    reserved: Decimal = ZERO
    refused: SignalRefused | None = None
    planned: Mapping[str, str] = field(default_factory=dict)

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
    marks: Mapping[str, Decimal] = field(default_factory=dict)  # that were read for it
    losses: dict[int, Decimal] = field(
        default_factory=dict
    )  # at the stop, fees and slippage included, by place

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

    def refuse(self, place: int, intent: Intent, refused: SignalRefused) -> None:
        text = sentence(refused.kind, refused.facts)
        self.executions[place] = Execution(intent, None, "REFUSED", text, refused=refused)


class OrderExecutor:
    """Places intents for one account: queued in sets, then placed one after the other."""

    def __init__(
        self,
        account: ExchangeAccount,
        *,
        placement: OrderPlacementService | None = None,
        gateway: Gateway = exchange_for,
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
        batch = Batch(Funds())
        try:
            batch.funds = self._funds()
        except (ExchangeError, AccountsError) as error:
            unread = SignalRefused(RefusalKind.BALANCE_UNREAD, text=str(error))
            for place, intent in enumerate(intents):
                batch.refuse(place, intent, unread)
            return [batch.executions[place] for place in range(len(intents))]
        waiting = list(enumerate(intents))
        while waiting:
            chosen, waiting = waiting[:SET_MAX], waiting[SET_MAX:]
            # What had no room beside others gets it when one of these has ended.
            waiting = self._set(chosen, batch) + waiting
        return [batch.executions[place] for place in range(len(intents))]

    def carry_on(self, trio: TrioOrder) -> SignalRefused | None:
        """Queue and place a draft that an execution before this one has left behind; return why that was refused."""
        if trio.trio_state is TrioState.DRAFT:
            (result,) = services.trios_queue([trio.pk], by=self._by)
            if result.error is not None:
                return _as_data(result.error)
            self._place(trio)
        return None

    def _funds(self) -> Funds:
        """Read the balance once: for each asset its wallet and what of it is free."""
        exchange = self._gateway(self._account.pk)
        return services.funds_read(self._account, exchange, at=exchange_now_ms(self._account.environment))

    def _set(self, chosen: Sequence[Numbered], batch: Batch) -> list[Numbered]:
        """Queue intents as one set, place those that were accepted; return those to try again."""
        intents = dict(chosen)
        drafts, known = self._drafts(chosen, batch)
        self._rehearse(drafts, intents, known, batch)
        self._save(drafts, intents, batch)
        results = services.trios_queue(
            [draft.pk for draft in drafts.values()],
            by=self._by,
            known={drafts[place].pk: reading for place, reading in known.items() if place in drafts},
            funds={self._account.pk: batch.left},
            prices={self._account.environment: batch.marks},
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
        # Refused before they were queued: no row is kept. A signal's draft goes with its result.
        TrioOrder.objects.filter(
            pk__in=[drafts[place].pk for place in refused if intents[place].result_id is None],
            state=TrioState.DRAFT,
        ).delete()
        again = []
        for place, refusal in refused.items():
            if ended and intents[place].result_id is None and _lacked_room(refusal):
                again.append((place, intents[place]))
            else:
                batch.refuse(place, intents[place], _as_data(refusal))
        return again

    def _place(self, trio: TrioOrder) -> None:
        try:
            self._placement.advance(trio.pk)
        except Exception:  # it is queued: runworker carries it on, and the next intent is served
            logger.exception("trio %s: placing it raised", trio.pk)

    # --- from intents to drafts -------------------------------------------------------------------

    def _drafts(
        self, chosen: Sequence[Numbered], batch: Batch
    ) -> tuple[dict[int, TrioOrder], dict[int, Reading]]:
        """Return an unsaved draft for each intent that can be worked out, and what was read for it already."""
        drafts: dict[int, TrioOrder] = {}
        for place, intent in chosen:
            try:
                drafts[place] = self._draft(intent)
            except OrdersError as error:
                batch.refuse(place, intent, _as_data(error))
        known: dict[int, Reading] = {}
        intents = dict(chosen)
        to_size = [place for place in drafts if intents[place].terms is not None]
        if not to_size:
            return drafts, known
        near = dict(
            zip(to_size, surroundings([drafts[place] for place in to_size], counted=batch.trios), strict=True)
        )
        batch.marks = marks = self._marks(
            drafts[place].symbol.symbol for place in to_size if near[place].mark_price is None
        )
        spoken_for: dict[str, Decimal] = {}  # by those of this set that come before it
        for place in to_size:
            intent, draft, around = intents[place], drafts[place], near[place]
            try:
                mark = around.mark_price or marks.get(draft.symbol.symbol)
                batch.losses[place] = self._work_out(
                    draft, intent, around, batch, mark=mark, spoken_for=spoken_for
                )
            except SignalRefused as refused:
                del drafts[place]
                batch.refuse(place, intent, refused)
                continue
            if not around.brackets_missing:
                known[place] = self._reading(draft, around, batch, mark=mark)
        return drafts, known

    def _draft(self, intent: Intent) -> TrioOrder:
        """Return an unsaved draft. Raises RuleBroken when there is no such symbol."""
        terms = intent.terms
        return services.trio_draft(
            account=self._account,
            symbol=services.symbol_get(self._account.environment, intent.symbol),
            side=intent.side,
            quantity=intent.quantity,
            entry_type=intent.entry_type if terms is None else terms.entry_type,
            price=intent.price,
            trigger_price=None if terms is None else terms.trigger,
            time_in_force=intent.time_in_force if terms is None else terms.time_in_force,
            stop_loss=intent.stop_loss,
            take_profit=intent.take_profit,
            protection=intent.protection if terms is None else terms.protection,
            place_before=intent.place_before,
            source=intent.source or self._by,
        )

    def _marks(self, symbols: Iterable[str]) -> Mapping[str, Decimal]:
        """Return the mark prices that no stream has brought, as the exchange says them; none if it does not answer."""
        wanted = set(symbols)
        if not wanted:
            return {}
        try:
            return services.marks_read(self._account.environment, wanted)
        except (ExchangeError, AccountsError) as error:
            logger.warning("mark prices of %s could not be read: %s", self._account.environment, error)
            return {}

    def _work_out(
        self,
        draft: TrioOrder,
        intent: Intent,
        around: Surroundings,
        batch: Batch,
        *,
        mark: Decimal | None,
        spoken_for: dict[str, Decimal],
    ) -> Decimal:
        """Fill in quantity, levels and price from the intent's terms; return the loss at the stop. Raises SignalRefused."""
        assert intent.terms is not None
        asset = draft.symbol.margin_asset
        purse = batch.funds.purse(asset)
        held = batch.left.of(asset)
        taken = around.promised + spoken_for.get(purse, ZERO)
        setting = around.setting
        leverage = None if setting is None else setting.wanted_leverage or setting.leverage
        came_to = figures(
            intent.terms,
            side=intent.side,
            mark=mark,
            atr=intent.atr,
            grid=grid_of(draft.symbol),
            means=Means(
                equity=ZERO if held is None else held.equity,
                free=ZERO if held is None else held.available - taken,
                leverage=leverage or 1,
            ),
        )
        draft.quantity, draft.price, draft.trigger_price = came_to.quantity, came_to.price, came_to.trigger
        draft.stop_loss, draft.take_profit = came_to.stop, came_to.target
        spoken_for[purse] = spoken_for.get(purse, ZERO) + came_to.margin
        return came_to.at_stop

    def _reading(
        self, draft: TrioOrder, around: Surroundings, batch: Batch, *, mark: Decimal | None
    ) -> Reading:
        held = batch.left.of(draft.symbol.margin_asset)
        return Reading(
            mark_price=mark,
            wallet=None if held is None else held.balance,
            brackets=around.brackets,
            available=None if held is None else held.available,
            counted=frozenset(batch.trios),
        )

    def _rehearse(
        self,
        drafts: dict[int, TrioOrder],
        intents: Mapping[int, Intent],
        known: Mapping[int, Reading],
        batch: Batch,
    ) -> None:
        """Check what is a dry run and say what would be placed; it is neither saved nor queued."""
        for place in [place for place in drafts if intents[place].dry_run]:
            draft = drafts.pop(place)
            try:
                services.trio_check(draft, known.get(place))
            except OrdersError as error:
                batch.refuse(place, intents[place], _as_data(error))
                continue
            planned = spec_shown(draft)
            if place in batch.losses:
                planned["loss_at_stop"] = plain(batch.losses[place].quantize(CENT))
            batch.executions[place] = Execution(intents[place], None, TrioState.DRY_RUN, "", planned=planned)

    def _save(self, drafts: dict[int, TrioOrder], intents: Mapping[int, Intent], batch: Batch) -> None:
        """Save the drafts, those of signals together with the results that name them; drop what others carry out."""
        claims = {intents[place].result_id: place for place in drafts if intents[place].result_id is not None}
        if claims:
            free = drafts_claim({result: drafts[place] for result, place in claims.items() if result})
            for result, place in claims.items():
                if result not in free:
                    del drafts[place]
                    batch.refuse(place, intents[place], SignalRefused(RefusalKind.CLAIMED))
        TrioOrder.objects.bulk_create([draft for draft in drafts.values() if draft.pk is None])


def _as_data(error: Exception) -> SignalRefused:
    if isinstance(error, LimitBroken):
        return SignalRefused(RefusalKind.LIMIT, text=str(error), **error.breach.facts)
    kind = RefusalKind.SLOT_TAKEN if isinstance(error, SlotTaken) else RefusalKind.ORDER_REFUSED
    return SignalRefused(kind, text=str(error))


def _lacked_room(error: Exception) -> bool:
    """Was it refused only because others of the batch had the margin or the slot?"""
    return isinstance(error, SlotTaken) or (isinstance(error, RuleBroken) and error.refusal is Refusal.MARGIN)
