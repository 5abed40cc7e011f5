"""What the exchange is asked before a trio is queued: as little as possible, and once for a whole set.

Mark prices come from the price stream where it watches the symbol, brackets are kept; what an account has
available is in no stream.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import Any, NoReturn

from django.db import connection

from accounts.errors import AccountsError
from accounts.gateways import exchange_for, public_exchange
from accounts.leverage_brackets import brackets_store
from accounts.models import ExchangeAccount
from exchange.deadlines import PERSON_MS, answers_within
from exchange.errors import ExchangeError, OrderRejected
from exchange.port import Exchange
from exchange.rate_limits import Priority, spending
from exchange.types import ZERO, AccountTotals, BalanceView, ExchangeMs, LeverageBracket
from orders.domain.errors import MarketUnread
from orders.models import Symbol, TrioOrder
from orders.queueing.surroundings import Surroundings, surroundings

ONE_BY_ONE_MAX = 3  # mark prices; reading all weighs ten times as much as one, and takes as long as three
_pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="market")

Prices = Mapping[str, Decimal]
Brackets = Mapping[str, Sequence[LeverageBracket]]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the market and the account looked like when a trio was checked."""

    mark_price: Decimal | None
    wallet: Decimal | None = None
    brackets: Sequence[LeverageBracket] = ()
    available: Decimal | None = None
    counted: frozenset[int] = frozenset()  # trios whose margin is taken off ``available`` already


@dataclass(frozen=True, slots=True)
class Funds:
    """What an account has, read once; ``taken`` of it meanwhile, and by which trios.

    In multi-assets mode the whole account's margin stands behind every asset, also behind one it does not hold.
    """

    balances: Mapping[str, BalanceView] = field(default_factory=dict)
    totals: AccountTotals | None = None  # in multi-assets mode
    taken: Mapping[str, Decimal] = field(default_factory=dict)
    counted: frozenset[int] = frozenset()

    def purse(self, asset: str) -> str:
        """Return what pays for margin in an asset; one for all assets in multi-assets mode."""
        return asset if self.totals is None else ""

    def of(self, asset: str) -> BalanceView | None:
        """Return what there is of an asset, what is taken left out; ``None`` when the exchange shows none."""
        taken = self.taken.get(self.purse(asset), ZERO)
        if self.totals is not None:
            return BalanceView("", asset, self.totals.margin_balance, self.totals.available - taken)
        view = self.balances.get(asset)
        return view and replace(view, available=view.available - taken)


def funds_read(account: ExchangeAccount, exchange: Exchange, *, at: ExchangeMs) -> Funds:
    """Read what each asset of an account has, and what of it is free for margin. Raises ExchangeError."""
    if account.multi_assets_since is None:
        return Funds({view.asset: view for view in exchange.balances(at=at)})
    return Funds(totals=exchange.account_totals(at=at))


def market_read(account: ExchangeAccount, symbol: Symbol) -> Reading:
    """Ask the exchange for what checking one trio needs, its mark price fresh.

    Raises MarketUnread with a sentence when it cannot be read.
    """
    trio = TrioOrder(account=account, symbol=symbol)
    return reading_of(trio, surroundings([trio])[0])


def reading_of(trio: TrioOrder, around: Surroundings) -> Reading:
    """Read what checking one trio needs. Raises MarketUnread."""
    (reading,) = readings([trio], [around])
    if isinstance(reading, MarketUnread):
        raise reading
    return reading


def readings(
    trios: Sequence[TrioOrder],
    around: Sequence[Surroundings],
    *,
    funds: Mapping[int, Funds] | None = None,
    prices: Mapping[str, Prices] | None = None,
) -> list[Reading | MarketUnread]:
    """Read for each trio what checking it needs, or say why it could not be read: about one account, or all.

    ``funds``: by account, ``prices``: by environment, where they are known. Every account is asked once, and one price serves all trios.
    """
    streamed = _streamed(trios, around)
    for environment, known in (prices or {}).items():
        streamed[environment] = {**streamed.get(environment, {}), **known}
    accounts, without = _accounts_asked(trios, around, known=funds or {})
    said = _all_asked({**accounts, **_prices_asked(trios, streamed)})
    for account_id in without:
        if not isinstance(answer := said[account_id], Exception):
            brackets_store(account_id, answer[1])
    return [_reading(trio, near, said, streamed) for trio, near in zip(trios, around, strict=True)]


def _reading(
    trio: TrioOrder, around: Surroundings, said: Mapping[int | str, Any], streamed: Mapping[str, Prices]
) -> Reading | MarketUnread:
    environment, name = trio.account.environment, trio.symbol.symbol
    for failed in (said.get(environment), said[trio.account_id]):
        if isinstance(failed, Exception):
            unread = MarketUnread(
                f"{name} could not be asked about ({environment}): {failed} Nothing was placed."
            )
            unread.__cause__ = failed
            return unread
    prices: Prices = {**said.get(environment, {}), **streamed.get(environment, {})}
    funds, brackets = said[trio.account_id]
    held = funds.of(trio.symbol.margin_asset)
    return Reading(
        mark_price=prices.get(name),
        wallet=None if held is None else held.balance,
        brackets=around.brackets or brackets.get(name, ()),
        available=None if held is None else held.available,
        counted=funds.counted,
    )


# --- mark prices --------------------------------------------------------------------------------


def _streamed(trios: Sequence[TrioOrder], around: Sequence[Surroundings]) -> dict[str, dict[str, Decimal]]:
    """Return the prices that a stream has just brought, by environment and symbol.

    None for one trio alone: a person looks on, and it is read fresh.
    """
    found: dict[str, dict[str, Decimal]] = {}
    for trio, near in zip(trios, around, strict=True):
        if near.mark_price is not None and len(trios) > 1:
            found.setdefault(trio.account.environment, {})[trio.symbol.symbol] = near.mark_price
    return found


def _prices_asked(
    trios: Sequence[TrioOrder], streamed: Mapping[str, Prices]
) -> dict[int | str, Callable[[], Prices]]:
    """Return how to ask for the prices that no stream brought, by environment."""
    wanted: dict[str, set[str]] = {}
    for trio in trios:
        environment, name = trio.account.environment, trio.symbol.symbol
        if name not in streamed.get(environment, {}):
            wanted.setdefault(environment, set()).add(name)
    return {
        environment: partial(_marks_read, environment, symbols) for environment, symbols in wanted.items()
    }


def marks_read(environment: str, symbols: Collection[str]) -> dict[str, Decimal]:
    """Return the mark prices of these symbols, read now. Raises ExchangeError or AccountsError."""
    with spending(Priority.PLACE), answers_within(PERSON_MS):
        return _marks_read(environment, symbols)


def _marks_read(environment: str, symbols: Collection[str]) -> dict[str, Decimal]:
    public = public_exchange(environment)
    asked: Iterable[str | None] = sorted(symbols) if len(symbols) <= ONE_BY_ONE_MAX else [None]
    return {mark.symbol: mark.mark for symbol in asked for mark in public.mark_prices(symbol)}


# --- what accounts have ---------------------------------------------------------------------------


def _accounts_asked(
    trios: Sequence[TrioOrder], around: Sequence[Surroundings], *, known: Mapping[int, Funds]
) -> tuple[dict[int | str, Callable[[], tuple[Funds, Brackets]]], set[int]]:
    """Return how to ask what each account has, and the accounts whose brackets are asked for, too."""
    accounts = {trio.account_id: (trio.account, near) for trio, near in zip(trios, around, strict=True)}
    without = {trio.account_id for trio, near in zip(trios, around, strict=True) if near.brackets_missing}
    return {
        key: _asking(account, near, funds=known.get(key), with_brackets=key in without)
        for key, (account, near) in accounts.items()
    }, without


def _asking(
    account: ExchangeAccount, around: Surroundings, *, funds: Funds | None, with_brackets: bool
) -> Callable[[], tuple[Funds, Brackets]]:
    """Return how to ask about one account; it asks for nothing that is known."""
    if funds is not None and not with_brackets:
        return lambda: (funds, {})
    try:
        exchange = exchange_for(account.pk)
    except AccountsError as error:
        return partial(_raise, error)

    def ask() -> tuple[Funds, Brackets]:
        def now() -> ExchangeMs:  # for each request anew: the one before may have taken long
            return around.exchange_ms(account.environment)

        brackets = _brackets(exchange, at=now()) if with_brackets else {}
        return funds or funds_read(account, exchange, at=now()), brackets

    return ask


def _raise(error: Exception) -> NoReturn:
    raise error


def _brackets(exchange: Exchange, *, at: ExchangeMs) -> Brackets:
    """Return the leverage brackets; none where this exchange has none, and then no liquidation price is estimated."""
    try:
        return exchange.leverage_brackets(at=at)
    except OrderRejected:
        return {}


# --- asking -----------------------------------------------------------------------------------------


def _all_asked(asked: Mapping[int | str, Callable[[], Any]]) -> dict[int | str, Any]:
    """Ask all at once, for each answer takes as long as the exchange is away; return what was said or went wrong."""
    *others, last = asked
    waiting = {key: _pool.submit(_asked_apart, asked[key]) for key in others}
    said = {last: _asked(asked[last])}
    return said | {key: future.result() for key, future in waiting.items()}


def _asked(ask: Callable[[], Any]) -> Any:
    try:
        with spending(Priority.PLACE), answers_within(PERSON_MS):
            return ask()
    except (ExchangeError, AccountsError) as error:
        return error


def _asked_apart(ask: Callable[[], Any]) -> Any:
    try:
        return _asked(ask)
    finally:
        connection.close()  # it has one where limits were read or kept
