"""Every read worth a name. Nothing here changes anything, asks an exchange or opens a credential."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from django.conf import settings
from django.db import connection
from django.db.models import Case, Count, DecimalField, OuterRef, QuerySet, Subquery, Sum, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.gateways import limits_of
from exchange.types import ZERO
from orders.domain.average import average_of, running_average
from orders.domain.enums import ENDS, OPENING, Form, LegState, Role, TrioState
from orders.domain.rounding import plain, signed
from orders.domain.sweep_schedule import SweepPlan, plan_sweeps
from orders.domain.validation import TAKER_FEE
from orders.models import Clock, Fill, Leg, Slot, TrioOrder, Watch

WATCH_SILENT_FOR: Final = timedelta(seconds=10)
RESTING_NOW: Final = tuple(state.value for state in LegState if state.is_live)
ENDED: Final = tuple(sorted(state.value for state in ENDS))
# Named and not excluded: an index finds the few that live among a million that have ended.
LIVING_STATES: Final = tuple(
    state.value for state in TrioState if not state.is_end and state is not TrioState.DRAFT
)
# The accounts that share an address, and the symbols on which a trio of theirs lives. One that cannot be reached
# costs nothing, so it stretches nobody's intervals.
LIVING = """
    WITH living AS (
        SELECT account_id, symbol_id FROM orders_trioorder WHERE holds_slot
        UNION SELECT account_id, symbol_id FROM orders_trioorder WHERE state = 'LATE'
    )
    SELECT account.environment, account.id, array_remove(array_agg(DISTINCT symbol.symbol), NULL)
    FROM accounts_exchangeaccount account
    JOIN accounts_credential credential ON credential.account_id = account.id
    LEFT JOIN orders_watch watch ON watch.account_id = account.id
    LEFT JOIN living ON living.account_id = account.id
    LEFT JOIN orders_symbol symbol ON symbol.id = living.symbol_id
    WHERE (account.is_active OR living.account_id IS NOT NULL)
      AND (watch.failures IS NULL OR watch.failures = 0 OR watch.beat IS NOT NULL)
    GROUP BY account.environment, account.id
"""
# Profit is in the symbol's margin asset, each fee in an asset of its own. The margin asset comes first. Income that is about
# no execution of ours is what the account's income says: funding, and the fee of a liquidation.
NET_PNL = """
    SELECT part.trio_id, part.asset, sum(part.realized), sum(part.fee), sum(part.funding) FROM (
    SELECT part.* FROM orders_fill fill
    JOIN orders_trioorder trio ON trio.id = fill.trio_id
    JOIN orders_symbol symbol ON symbol.id = trio.symbol_id
    CROSS JOIN LATERAL (VALUES
        (fill.trio_id, symbol.margin_asset, fill.realized_pnl, 0::numeric, 0::numeric, 0),
        (fill.trio_id, coalesce(nullif(fill.commission_asset, ''), symbol.margin_asset), 0, fill.commission, 0,
         (fill.commission_asset NOT IN ('', symbol.margin_asset))::int)
    ) AS part (trio_id, asset, realized, fee, funding, place)
    WHERE fill.trio_id = ANY (%(trios)s)
    UNION ALL
    SELECT share.trio_id, income.asset, 0,
        CASE WHEN income.kind LIKE '%%FUNDING_FEE' THEN 0 ELSE -share.amount END,
        CASE WHEN income.kind LIKE '%%FUNDING_FEE' THEN share.amount ELSE 0 END, 1
    FROM orders_incomeshare share JOIN orders_income income ON income.id = share.income_id
    WHERE share.trio_id = ANY (%(trios)s)
    ) part
    GROUP BY part.trio_id, part.asset ORDER BY part.trio_id, min(part.place), part.asset
"""
# Fees in other assets than the margin asset, at what they were worth; and how many of them have no price yet.
CONVERTED = """
    SELECT fill.trio_id, symbol.margin_asset, coalesce(sum(fill.commission * fee.price), 0), count(*) - count(fee.price)
    FROM orders_fill fill
    JOIN orders_trioorder trio ON trio.id = fill.trio_id
    JOIN orders_symbol symbol ON symbol.id = trio.symbol_id
    LEFT JOIN orders_feeprice fee ON fee.fill_id = fill.id
    WHERE fill.trio_id = ANY (%s) AND fill.commission <> 0
      AND fill.commission_asset NOT IN ('', symbol.margin_asset)
    GROUP BY fill.trio_id, symbol.margin_asset
"""


# --- lists --------------------------------------------------------------------------------------


def trios_listed() -> QuerySet[TrioOrder]:
    """Return trios with account, symbol and the entry's filled quantity (``entry_filled``)."""
    filled = (
        Leg.objects.filter(trio=OuterRef("pk"), role__in=OPENING)
        .order_by()
        .values("trio")
        .annotate(total=Sum("filled"))
        .values("total")
    )
    number: DecimalField[Decimal, Decimal] = DecimalField(max_digits=38, decimal_places=16)
    return TrioOrder.objects.select_related("account", "symbol").annotate(
        entry_filled=Coalesce(Subquery(filled), ZERO, output_field=number)
    )


def trios_alive() -> QuerySet[TrioOrder]:
    """Return trios that were placed and have not ended, questions first."""
    alive = trios_listed().filter(state__in=LIVING_STATES)
    return alive.order_by(Case(When(question_kind="", then=1), default=0), "-id")


def trios_asking() -> QuerySet[TrioOrder]:
    """Return trios that ask a person something, oldest first."""
    return trios_listed().exclude(question_kind="").order_by("id")


def trios_on(account_id: int) -> QuerySet[TrioOrder]:
    """Return the trios that are placed on an account, or wait to be, and have not ended."""
    return TrioOrder.objects.filter(account=account_id, state__in=LIVING_STATES)


def positions_on(account_id: int) -> QuerySet[Slot]:
    """Return where the exchange holds a position for an account, whoever opened it."""
    return Slot.objects.filter(account=account_id).exclude(quantity=0)


def trios_sent() -> QuerySet[TrioOrder]:
    """Return the trios of the account ``OuterRef("pk")`` that hold a slot and may have something on the exchange."""
    held = TrioOrder.objects.filter(account=OuterRef("pk"), holds_slot=True)
    return held.exclude(state=TrioState.QUEUED)  # a QUEUED one has sent nothing yet


def trio_counts() -> list[tuple[TrioState, int]]:
    """Return how many trios are in each state that is no end, in the order of a trio's life, without empty states.

    Those that have ended may be a million: nobody waits for them to be counted.
    """
    living = TrioOrder.objects.filter(state__in=[state.value for state in TrioState if not state.is_end])
    found = dict(living.order_by().values_list("state").annotate(count=Count("pk")))
    return [(state, found[state.value]) for state in TrioState if state.value in found]


def watches() -> list[Watch]:
    return list(Watch.objects.select_related("account").order_by("account__name"))


def watch_is_kept(watch: Watch | None) -> bool:
    """Does somebody watch this account now? A holder beats four times a second, so seconds between clocks do not matter."""
    return watch is not None and watch.beat is not None and timezone.now() - watch.beat < WATCH_SILENT_FOR


def sweep_plans() -> dict[int, SweepPlan]:
    """Return the plan of every account that is watched, by whomever: one statement for all."""
    with connection.cursor() as cursor:
        cursor.execute(LIVING)
        rows = cursor.fetchall()
    living: dict[str, dict[int, list[str]]] = {}
    for environment, account_id, symbols in rows:
        living.setdefault(environment, {})[account_id] = symbols
    plans: dict[int, SweepPlan] = {}
    for environment, accounts in living.items():
        plans |= plan_sweeps(
            accounts,
            weight_1m=limits_of(environment).weight_1m,
            sweep_ms=1000 * settings.SWEEP_SECONDS,
            rules_ms=1000 * settings.SYMBOLS_SECONDS,
        )
    return plans


def clocks() -> list[Clock]:
    return list(Clock.objects.order_by("environment"))


# --- results --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NetPnl:
    """What trios brought in one asset. ``net`` is the figure; the gross, the fees and the funding are its parts.

    ``fees`` were paid (a liquidation's too); ``funding`` was received, or paid where it is negative.
    """

    asset: str
    realized: Decimal
    fees: Decimal
    funding: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        return self.realized - self.fees + self.funding


def net_pnl(trio_ids: Collection[int]) -> dict[int, tuple[NetPnl, ...]]:
    """Return what each of these trios brought, by asset: one statement for all. A trio without fills has none."""
    if not trio_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(NET_PNL, {"trios": list(trio_ids)})
        rows = cursor.fetchall()
    found: dict[int, tuple[NetPnl, ...]] = {}
    for trio_id, asset, realized, fees, funding in rows:
        found[trio_id] = (*found.get(trio_id, ()), NetPnl(asset, realized, fees, funding))
    return found


@dataclass(frozen=True, slots=True)
class NetConverted:
    """A trio's net in its symbol's margin asset, fees in other assets converted at what they were worth when paid.

    ``fees``: all of them, converted. ``None``: not yet known, as there is no price for one of them.
    """

    asset: str
    fees: Decimal | None
    net: Decimal | None

    @property
    def sentence(self) -> str:
        """Say the figure, and that fees were converted."""
        if self.net is None:
            return f"Together in {self.asset}: not yet known, as there is no price yet for a fee in another asset."
        return f"Together {signed(self.net)} {self.asset}, fees in other assets converted at what they were worth when paid."


def net_converted(
    trio_ids: Collection[int], parts: Mapping[int, tuple[NetPnl, ...]] | None = None
) -> dict[int, NetConverted]:
    """Return the converted net of those of these trios that paid fees in other assets. ``parts``: their ``net_pnl``, if known."""
    if not trio_ids:
        return {}
    if parts is None:
        parts = net_pnl(trio_ids)
    with connection.cursor() as cursor:
        cursor.execute(CONVERTED, [list(trio_ids)])
        rows = cursor.fetchall()
    found: dict[int, NetConverted] = {}
    for trio_id, asset, foreign, unpriced in rows:
        own = next((part for part in parts[trio_id] if part.asset == asset), NetPnl(asset, ZERO, ZERO))
        found[trio_id] = (
            NetConverted(asset, None, None)
            if unpriced
            else NetConverted(asset, own.fees + foreign, own.net - foreign)
        )
    return found


@dataclass(frozen=True, slots=True)
class EntryCost:
    """What a trio's position cost: its average price, and fees for each unit of quantity, in the margin asset."""

    average: Decimal
    fee_each: Decimal


def trio_cost(trio: TrioOrder) -> EntryCost | None:
    """Return what a trio's open position cost when what the trio has earned and paid so far, funding too, is counted on it.

    ``None`` while not every execution is booked, or while it is not known what a fee in another asset was worth.
    """
    cost, fills, legs = entry_cost(trio), list(trio.fills.all()), list(trio.legs.all())
    signs = {leg.pk: 1 if Role(leg.role).opens else -1 for leg in legs}
    left = sum((signs[leg.pk] * leg.filled for leg in legs), ZERO)
    booked = sum((signs[fill.leg_id] * fill.quantity for fill in fills), ZERO)
    if cost is None or left <= 0 or booked != left:
        return None
    net = _net_of(trio)
    return None if net is None else EntryCost(cost.average, -net / left)


def _net_of(trio: TrioOrder) -> Decimal | None:
    """Return what a trio has brought so far in its margin asset; ``None``: a fee in another asset has no price yet."""
    parts = net_pnl([trio.pk])
    if (converted := net_converted([trio.pk], parts).get(trio.pk)) is not None:
        return converted.net
    own = (part.net for part in parts.get(trio.pk, ()) if part.asset == trio.symbol.margin_asset)
    return next(own, ZERO)


def entry_cost(trio: TrioOrder) -> EntryCost | None:
    """Return what a trio's position cost, what was added included; ``None`` while that is not known.

    A fee that is not booked yet, or was paid in another asset, counts as what a taker pays.
    """
    legs = {leg.pk: leg for leg in trio.legs.all() if leg.filled}
    opening = [leg for leg in legs.values() if Role(leg.role).opens]
    if not opening or not all(leg.average_price for leg in opening):
        return None
    taken_over = [
        leg for leg in opening if leg.role == Role.ENTRY and trio.is_adopted
    ]  # none of its executions is booked
    fills = list(trio.fills.order_by("time_ts", "trade_id"))
    booked = sum((fill.quantity for fill in fills), ZERO) + sum((leg.filled for leg in taken_over), ZERO)
    if booked != sum((leg.filled for leg in legs.values()), ZERO):  # something is not booked yet
        average = average_of(legs.values())
        return None if average is None else EntryCost(average, average * TAKER_FEE)
    executed = [
        _Executed(leg.filled, price := leg.average_price or ZERO, price * TAKER_FEE) for leg in taken_over
    ]
    executed += [
        _Executed(
            fill.quantity if Role(legs[fill.leg_id].role).opens else -fill.quantity,
            fill.price,
            fill.price * TAKER_FEE if _is_foreign(fill, trio) else fill.commission / fill.quantity,
        )
        for fill in fills
    ]
    average = running_average((one.change, one.price) for one in executed)
    with_fees = running_average((one.change, one.price + one.fee_each) for one in executed)
    assert average is not None  # something has filled
    assert with_fees is not None
    return EntryCost(average, with_fees - average)


class _Executed(NamedTuple):
    change: Decimal
    price: Decimal
    fee_each: Decimal


def _is_foreign(fill: Fill, trio: TrioOrder) -> bool:
    """Was a fee of it paid in another asset? An execution without one names no asset."""
    return bool(fill.commission) and fill.commission_asset not in ("", trio.symbol.margin_asset)


# --- one trio -----------------------------------------------------------------------------------


def leg_size(leg: Leg) -> str:
    """Return how much an order is meant for, in words."""
    return "whole position" if leg.form == Form.CLOSE_POSITION else plain(leg.quantity)


def unprotected_sentence(trio: TrioOrder) -> str:
    """Say that a person has a trio left unprotected, until when, and whether a stop rests; nothing where nobody does."""
    said = trio.outside.get("unprotected")
    if said is None or trio.is_over:
        return ""
    until = datetime.fromtimestamp(said["until"] / 1000, tz=UTC)
    rests = trio.legs.filter(role=Role.STOP_LOSS, state__in=RESTING_NOW, acknowledged=True).exists()
    what = (
        "its stop-loss still rests, and is not placed again if it is cancelled"
        if rests
        else "it has NO stop-loss"
    )
    return f"Left unprotected until {until:%Y-%m-%d %H:%M:%S} UTC by {said['by']}: {what}."
