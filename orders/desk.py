"""What a trading desk looks at all day: what is open and at stake, what came in, what was refused. Reads only.

Each figure is of one asset; assets are never added up. A figure that is not known is ``None``, never zero.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Subquery, prefetch_related_objects

from accounts.leverage_brackets import brackets_of
from accounts.models import ExchangeAccount, LeverageBrackets
from exchange.types import ZERO, LeverageBracket, Side
from orders.domain.enums import LegState, Role, TrioState, Verdict
from orders.domain.exposure import (
    Exposure,
    Holding,
    distance_percent,
    exposure_by_account,
    exposure_by_symbol,
    maintenance_margin,
    ratio_percent,
    running,
)
from orders.domain.live_result import Standing
from orders.domain.rounding import CENT, plain
from orders.exchange_data.clock import from_ms, to_ms
from orders.models import Outcome, Slot, Symbol, TrioOrder
from orders.queueing.market import Funds
from orders.queueing.market_at_hand import FundsSeen, funds_seen
from orders.results import planned_of
from orders.selectors import (
    NetConverted,
    NetPnl,
    leg_size,
    net_converted,
    net_pnl,
    trios_alive,
    unprotected_sentence,
)

OPEN_MAX: Final = 500  # trios that are worked out; the list has them all
CURVE_DAYS: Final = 30
CALLS_LOOKED_AT: Final = 5000  # the newest, among which refusals are looked for
ACCOUNTS_READ_MAX: Final = 30
FOREVER_MS: Final = 2**62
PAST_SECONDS: Final = 60.0
_past: Final[dict[tuple[object, ...], tuple[float, list[Any]]]] = {}  # since when, by what was asked

# What executions brought and cost, and what was allotted of the account's income, day by day in a zone.
NET_BY_DAY: Final = """
    SELECT account.environment, part.asset, (to_timestamp(part.at / 1000.0) AT TIME ZONE %(zone)s)::date, sum(part.amount)
    FROM (
        SELECT fill.account_id, fill.time_ts AS at, symbol.margin_asset AS asset, fill.realized_pnl AS amount
        FROM orders_fill fill JOIN orders_trioorder trio ON trio.id = fill.trio_id
        JOIN orders_symbol symbol ON symbol.id = trio.symbol_id
        WHERE fill.account_id = ANY (%(accounts)s) AND fill.time_ts BETWEEN %(since)s AND %(until)s AND fill.realized_pnl <> 0
        UNION ALL
        SELECT fill.account_id, fill.time_ts, coalesce(nullif(fill.commission_asset, ''), symbol.margin_asset), -fill.commission
        FROM orders_fill fill JOIN orders_trioorder trio ON trio.id = fill.trio_id
        JOIN orders_symbol symbol ON symbol.id = trio.symbol_id
        WHERE fill.account_id = ANY (%(accounts)s) AND fill.time_ts BETWEEN %(since)s AND %(until)s AND fill.commission <> 0
        UNION ALL
        SELECT line.account_id, line.time_ts, line.asset, share.amount
        FROM orders_income line JOIN orders_incomeshare share ON share.income_id = line.id
        WHERE line.account_id = ANY (%(accounts)s) AND line.time_ts BETWEEN %(since)s AND %(until)s
    ) part JOIN accounts_exchangeaccount account ON account.id = part.account_id GROUP BY 1, 2, 3
"""
TRANSFERS: Final = """
    SELECT account.environment, line.asset, sum(line.amount)
    FROM orders_income line JOIN accounts_exchangeaccount account ON account.id = line.account_id
    WHERE line.account_id = ANY (%(accounts)s) AND line.time_ts >= %(since)s AND line.kind LIKE '%%TRANSFER%%'
    GROUP BY 1, 2
"""


# --- what is open ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenTrio:
    """A trio that lives: where it stands now, and what its levels would bring. Money is in ``asset``.

    ``net`` is what it would bring if its position were closed at the mark price now, fees included; ``at_stop`` and
    ``at_target`` the same at its levels. ``parts`` are what is booked, by asset; ``booked`` is that in one asset, fees in
    others converted, and ``None`` where nothing has filled or a fee has no price yet. R is net or booked in planned risk.
    """

    trio: TrioOrder
    asset: str
    position: Decimal  # on the trio's side
    entry: Decimal | None
    mark: Decimal | None
    parts: tuple[NetPnl, ...]
    booked: Decimal | None
    booked_r: Decimal | None
    net: Decimal | None
    r: Decimal | None
    at_stop: Decimal | None
    at_target: Decimal | None
    even: Decimal | None
    stop_distance: Decimal | None
    target_distance: Decimal | None
    standing: Standing | None
    converted: NetConverted | None = None  # of one that paid fees in other assets

    @property
    def is_unprotected(self) -> bool:
        return self.trio.uncovered_known_at is not None or self.trio.unprotected_until is not None

    @property
    def left_unprotected(self) -> str:
        """That a person has it left unprotected, and until when; empty where nobody does."""
        return unprotected_sentence(self.trio)

    @property
    def at_risk(self) -> Decimal | None:
        """What the trio loses if its stop executes at its level; zero where it would gain."""
        return None if self.at_stop is None else max(ZERO, -self.at_stop)


@dataclass(slots=True)
class RiskSum:
    """What all open positions together lose at their stops, in one asset."""

    environment: str
    asset: str
    at_risk: Decimal = ZERO
    locked_in: Decimal = ZERO  # what those bring whose stop lies beyond break-even
    trios: int = 0
    not_known: int = 0


def open_trios(trios: Iterable[TrioOrder] | None = None) -> list[OpenTrio]:
    """Return the trios that live, questions first, each with its figures: a handful of statements for all."""
    found = list(
        trios if trios is not None else trios_alive().select_related("account", "symbol", "slot")[:OPEN_MAX]
    )
    prefetch_related_objects(found, "legs", "level_moves")
    keys = [trio.pk for trio in found]
    results = net_pnl(keys)
    foreign = [
        trio.pk
        for trio in found
        if any(part.asset != trio.symbol.margin_asset for part in results.get(trio.pk, ()))
    ]
    converted = net_converted(foreign, results)  # only of those that paid in another asset
    return [_open(trio, results.get(trio.pk, ()), converted.get(trio.pk)) for trio in found]


def _open(trio: TrioOrder, parts: tuple[NetPnl, ...], converted: NetConverted | None) -> OpenTrio:
    asset, slot = trio.symbol.margin_asset, trio.slot if trio.holds_slot else None
    side = Side(trio.side)
    mark = slot.mark_price if slot is not None else None
    quantity = ZERO
    if slot is not None:
        quantity = max(ZERO, slot.quantity if side is Side.BUY else -slot.quantity)
    standing = _standing(side, quantity, slot, asset, parts, converted)
    planned = planned_of(trio, list(trio.legs.all()))
    net = at_stop = at_target = even = None
    if standing is not None:
        net = None if mark is None else standing.net_if_closed(mark)
        at_stop = None if trio.stop_loss is None else standing.net_if_closed(trio.stop_loss)
        at_target = None if trio.take_profit is None else standing.net_if_closed(trio.take_profit)
        even = standing.even_of_trio(tick=trio.symbol.tick_size or ZERO)
    booked = _booked(asset, parts, converted)
    return OpenTrio(
        trio=trio,
        asset=asset,
        position=quantity,
        entry=slot.entry_price if slot is not None and quantity else None,
        mark=mark,
        parts=parts,
        booked=booked,
        booked_r=_r(booked, planned),
        net=net,
        r=_r(net, planned),
        at_stop=at_stop,
        at_target=at_target,
        even=even,
        standing=standing,
        converted=converted,
        stop_distance=None if mark is None or not trio.stop_loss else distance_percent(mark, trio.stop_loss),
        target_distance=None
        if mark is None or not trio.take_profit
        else distance_percent(mark, trio.take_profit),
    )


def _r(net: Decimal | None, planned: Decimal | None) -> Decimal | None:
    return None if net is None or planned is None else (net / planned).quantize(CENT, rounding=ROUND_HALF_UP)


def _booked(asset: str, parts: tuple[NetPnl, ...], converted: NetConverted | None) -> Decimal | None:
    """Return what a trio has brought so far, in its margin asset."""
    if converted is not None:
        return converted.net
    return next((part.net for part in parts if part.asset == asset), None)


def _standing(
    side: Side,
    quantity: Decimal,
    slot: Slot | None,
    asset: str,
    parts: tuple[NetPnl, ...],
    converted: NetConverted | None,
) -> Standing | None:
    """Return where a position stands; ``None`` where there is none, or where a figure of it is not known."""
    if slot is None or not quantity or not slot.entry_price:
        return None
    own = next((part for part in parts if part.asset == asset), NetPnl(asset, ZERO, ZERO))
    fees = own.fees
    if converted is not None:
        if converted.fees is None:
            return None
        fees = converted.fees
    return Standing(side, quantity, slot.entry_price, own.realized, fees, own.funding)


def risk_sums(trios: Iterable[OpenTrio]) -> list[RiskSum]:
    """Add up what is at risk to the stops, asset by asset."""
    found: dict[tuple[str, str], RiskSum] = {}
    for trio in trios:
        if not trio.position:
            continue
        key = (trio.trio.account.environment, trio.asset)
        total = found.setdefault(key, RiskSum(*key))
        total.trios += 1
        if trio.at_stop is None:
            total.not_known += 1
        elif trio.at_stop < 0:
            total.at_risk -= trio.at_stop
        else:
            total.locked_in += trio.at_stop
    return [found[key] for key in sorted(found)]


# --- what accounts have ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Purse:
    """What an account has in one asset. ``equity``: the wallet and what is open, at the mark price."""

    asset: str
    wallet: Decimal | None
    free: Decimal | None
    unrealized: Decimal
    equity: Decimal | None
    maintenance: Decimal | None
    ratio: Decimal | None  # maintenance margin in percent of the equity; at 100 the exchange liquidates


@dataclass(frozen=True, slots=True)
class AccountFunds:
    account: ExchangeAccount
    purses: tuple[Purse, ...]
    read_at: datetime | None
    positions: int


@dataclass(slots=True)
class Equity:
    """What all accounts of an environment have in one asset. ``accounts`` of ``of`` are known."""

    environment: str
    asset: str
    total: Decimal = ZERO
    accounts: int = 0
    of: int = 0


@dataclass(frozen=True, slots=True)
class Positions:
    """Every position that accounts hold, whoever opened it."""

    slots: Sequence[Slot]
    symbols: Mapping[tuple[str, str], Symbol]
    holders: Mapping[int, int]  # slot and the trio that holds it

    def asset_of(self, slot: Slot) -> str:
        symbol = self.symbols.get((slot.account.environment, slot.symbol))
        return "" if symbol is None else symbol.margin_asset

    @property
    def holdings(self) -> list[Holding]:
        return [
            Holding(
                slot.account.environment,
                slot.account.name,
                slot.symbol,
                self.asset_of(slot),
                slot.quantity,
                slot.mark_price,
            )
            for slot in self.slots
            if slot.mark_price is not None
        ]

    @property
    def external(self) -> list[Slot]:
        """The positions that no trio holds."""
        return [slot for slot in self.slots if slot.pk not in self.holders]


def positions_held(slots: Iterable[Slot] | None = None) -> Positions:
    """Return the positions that the exchange holds, as last reported."""
    found = list(
        slots
        if slots is not None
        else Slot.objects.exclude(quantity=0).select_related("account").order_by("account__name", "symbol")
    )
    names = {slot.symbol for slot in found}
    symbols = {
        (row.environment, row.symbol): row for row in Symbol.objects.filter(symbol__in=names).defer("raw")
    }
    holders = TrioOrder.objects.filter(slot__in=[slot.pk for slot in found], holds_slot=True)
    placed = holders.exclude(state=TrioState.QUEUED).values_list("slot_id", "pk")
    return Positions(found, symbols, {slot: trio for slot, trio in placed if slot is not None})


def exposure(positions: Positions) -> tuple[list[Exposure], list[Exposure]]:
    """Return what positions are worth by symbol, and by account."""
    return exposure_by_symbol(positions.holdings), exposure_by_account(positions.holdings)


def accounts_funds(
    positions: Positions, everyone: Iterable[ExchangeAccount] | None = None
) -> list[AccountFunds]:
    """Return what each active account has, as last read, with what is open in it. Asks the exchange seldom, and never waits long."""
    held = {slot.account_id for slot in positions.slots}
    accounts = [
        account
        for account in (ExchangeAccount.objects.order_by("name") if everyone is None else everyone)
        if account.is_active or account.pk in held
    ]
    accounts.sort(key=lambda account: account.pk not in held)  # those that hold something first
    accounts = accounts[:ACCOUNTS_READ_MAX]
    seen = funds_seen(accounts)
    brackets = _brackets(positions.slots)
    return [_funds(account, positions, seen.get(account.pk), brackets) for account in accounts]


def purses_now(account: ExchangeAccount, funds: Funds, *, read_at: datetime) -> tuple[Purse, ...]:
    """Return what an account has, of funds that were just read, with what is open in it as last reported."""
    slots = Slot.objects.filter(account=account).exclude(quantity=0).select_related("account")
    return _funds(account, positions_held(slots), FundsSeen(funds, read_at), {}).purses


def _brackets(slots: Sequence[Slot]) -> dict[tuple[int, str], tuple[LeverageBracket, ...]]:
    rows = LeverageBrackets.objects.filter(
        account__in={slot.account_id for slot in slots}, symbol__in={slot.symbol for slot in slots}
    )
    return {(row.account_id, row.symbol): brackets_of(json.dumps(row.steps)) for row in rows}


def _funds(
    account: ExchangeAccount,
    positions: Positions,
    seen: FundsSeen | None,
    brackets: Mapping[tuple[int, str], tuple[LeverageBracket, ...]],
) -> AccountFunds:
    slots = [slot for slot in positions.slots if slot.account_id == account.pk]
    totals = None if seen is None else seen.funds.totals
    assets = {positions.asset_of(slot) for slot in slots}
    if seen is not None and totals is None:
        assets |= {asset for asset, view in seen.funds.balances.items() if view.balance}
    if totals is not None or (not assets and account.wallet_asset):
        assets = {account.wallet_asset or "USD"}
    purses = []
    for asset in sorted(assets - {""}):
        own = slots if totals is not None else [slot for slot in slots if positions.asset_of(slot) == asset]
        purses.append(_purse(account, "USD" if totals is not None else asset, own, seen, brackets))
    return AccountFunds(account, tuple(purses), None if seen is None else seen.read_at, len(slots))


def _purse(
    account: ExchangeAccount,
    asset: str,
    slots: Sequence[Slot],
    seen: FundsSeen | None,
    brackets: Mapping[tuple[int, str], tuple[LeverageBracket, ...]],
) -> Purse:
    known = [slot for slot in slots if slot.mark_price is not None and slot.entry_price]
    unrealized = sum(
        (slot.quantity * ((slot.mark_price or ZERO) - (slot.entry_price or ZERO)) for slot in known), ZERO
    )
    needed = [
        maintenance_margin(
            slot.quantity * (slot.mark_price or ZERO), brackets.get((account.pk, slot.symbol), ())
        )
        for slot in slots
    ]
    maintenance = (
        None if any(part is None for part in needed) else sum((part or ZERO for part in needed), ZERO)
    )
    wallet = free = equity = None
    if seen is not None and seen.funds.totals is not None:
        free, equity = seen.funds.totals.available, seen.funds.totals.margin_balance
        wallet = equity - unrealized
    elif seen is not None:
        view = seen.funds.balances.get(asset)
        wallet, free = (ZERO, ZERO) if view is None else (view.balance, view.available)
        equity = wallet + unrealized if len(known) == len(slots) else None
    ratio = None if equity is None or maintenance is None else ratio_percent(maintenance, equity)
    return Purse(asset, wallet, free, unrealized, equity, maintenance, ratio)


def equity_sums(funds: Iterable[AccountFunds]) -> list[Equity]:
    """Add up what accounts have, asset by asset, and say of how many it is known. Live and paper money are apart."""
    found: dict[tuple[str, str], Equity] = {}
    for account in funds:
        for purse in account.purses:
            key = (account.account.environment, purse.asset)
            total = found.setdefault(key, Equity(*key))
            total.of += 1
            if purse.equity is not None:
                total.total += purse.equity
                total.accounts += 1
    return [found[key] for key in sorted(found)]


# --- one slot after the other ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SlotStanding:
    """What a slot holds: whose it is, what protects it, and where it stands. ``unrealized`` is before fees."""

    trio: OpenTrio | None
    asset: str
    stops: tuple[str, ...]  # acknowledged stop orders of its trio, in words
    unrealized: Decimal | None
    notional: Decimal | None
    liquidation_distance: Decimal | None

    @property
    def is_unprotected(self) -> bool:
        """Does a trio hold a position that none of its stops covers?"""
        return self.trio is not None and bool(self.trio.position) and not self.stops


def slots_standing(slots: Sequence[Slot]) -> dict[int, SlotStanding]:
    """Return where each of these slots stands: a handful of statements for all."""
    positions = positions_held(slots)
    trios = TrioOrder.objects.filter(pk__in=positions.holders.values()).select_related(
        "account", "symbol", "slot"
    )
    held = {row.trio.slot_id: row for row in open_trios(trios)}
    return {slot.pk: _slot_standing(slot, positions.asset_of(slot), held.get(slot.pk)) for slot in slots}


def _slot_standing(slot: Slot, asset: str, row: OpenTrio | None) -> SlotStanding:
    mark = slot.mark_price
    stops = (
        ()
        if row is None
        else tuple(
            f"{leg_size(leg)} at {plain(leg.trigger_price)}"
            for leg in row.trio.legs.all()
            if leg.role == Role.STOP_LOSS and leg.acknowledged and LegState(leg.state).is_live
        )
    )
    return SlotStanding(
        trio=row,
        asset=asset,
        stops=stops,
        unrealized=slot.quantity * (mark - slot.entry_price)
        if slot.quantity and mark and slot.entry_price
        else None,
        notional=abs(slot.quantity) * mark if slot.quantity and mark else None,
        liquidation_distance=distance_percent(mark, slot.liquidation_price)
        if mark and slot.liquidation_price
        else None,
    )


# --- what came in ---------------------------------------------------------------------------------


@dataclass(slots=True)
class NetOfAsset:
    """What was earned in one asset: today, in 7 and in 30 days, and the running sum of the 30."""

    environment: str
    asset: str
    today: Decimal = ZERO
    week: Decimal = ZERO
    month: Decimal = ZERO
    days: list[date] = field(default_factory=list)
    nets: list[Decimal] = field(default_factory=list)
    transfers: Decimal = ZERO

    @property
    def curve(self) -> list[Decimal]:
        return running(self.nets)


def net_by_asset(accounts: Collection[int], *, now: datetime, zone: tzinfo) -> list[NetOfAsset]:
    """Return what was earned, asset by asset. Days are those of the viewer's zone; transfers stand apart."""
    today = now.astimezone(zone).date()
    days = [today - timedelta(days=back) for back in range(CURVE_DAYS - 1, -1, -1)]
    begins = datetime.combine(days[0], datetime.min.time(), tzinfo=zone)
    midnight = to_ms(datetime.combine(today, datetime.min.time(), tzinfo=zone))
    values: dict[str, Any] = {"accounts": sorted(accounts), "since": to_ms(begins), "zone": zone_name(zone)}
    nets: dict[tuple[str, str], dict[date, Decimal]] = {}
    rows = _rows(NET_BY_DAY, values | {"since": midnight, "until": FOREVER_MS})
    for environment, asset, day, amount in [*_past_days(values | {"until": midnight - 1}), *rows]:
        nets.setdefault((environment, asset), {})[day] = amount
    transfers = {(environment, asset): amount for environment, asset, amount in _rows(TRANSFERS, values)}
    found = []
    for key in sorted(nets.keys() | transfers.keys()):
        by_day = [nets.get(key, {}).get(day, ZERO) for day in days]
        found.append(
            NetOfAsset(
                environment=key[0],
                asset=key[1],
                today=by_day[-1],
                week=sum(by_day[-7:], ZERO),
                month=sum(by_day, ZERO),
                days=days,
                nets=by_day,
                transfers=transfers.get(key, ZERO),
            )
        )
    return found


def _past_days(values: Mapping[str, Any]) -> list[Any]:
    """Return what the days before today brought. They change seldom: a page that refreshes itself reads them once a minute."""
    key = (*values["accounts"], values["until"], values["zone"])
    now = time.monotonic()
    kept = _past.get(key)
    if kept is None or now - kept[0] >= PAST_SECONDS:
        for old in [old for old, (since, _) in _past.items() if now - since >= PAST_SECONDS]:
            _past.pop(old, None)
        kept = _past[key] = (now, _rows(NET_BY_DAY, values))
    return kept[1]


def _rows(sql: str, values: Mapping[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows: list[Any] = cursor.fetchall()
    return rows


def zone_name(zone: tzinfo) -> str:
    """Return the name by which the database knows a zone."""
    return zone.key if isinstance(zone, ZoneInfo) else "UTC"


# --- what was refused -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Refused:
    """One refusal: of a trio before anything was sent, or of an order by the exchange."""

    at: datetime
    trio_id: int
    what: str
    sentence: str
    code: int = 0


def refusals(limit: int) -> list[Refused]:
    """Return the last refusals, newest first."""
    ended = TrioOrder.objects.filter(state__in=(TrioState.REFUSED, TrioState.ROLLED_BACK)).order_by("-id")
    found = [
        Refused(trio.ended_at or trio.updated_at, trio.pk, f"{trio.side} {trio.symbol.symbol}", trio.reason)
        for trio in ended.select_related("symbol")[:limit]
    ]
    newest = Outcome.objects.order_by("-id").values("pk")[:1]
    calls = Outcome.objects.filter(verdict=Verdict.REFUSED, pk__gt=Subquery(newest) - CALLS_LOOKED_AT)
    for outcome in calls.select_related("request__leg").order_by("-id")[:limit]:
        words = Role(outcome.request.leg.role).words
        found.append(
            Refused(
                from_ms(outcome.received_ts), outcome.trio_id, f"{words} order", outcome.message, outcome.code
            )
        )
    return sorted(found, key=lambda refused: refused.at, reverse=True)[:limit]
