"""The market and an account as they are at hand: for a screen that answers while a person types.

What the price stream has just brought and what is kept is taken as it is. The rest is asked apart, once in a few seconds
for everybody who types, and is waited for no longer than a moment: what is not there by then is “not known”, and the answer
serves the next look. Nothing that is placed rests on this: placing reads anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from django.db import DatabaseError, connection
from django.utils import timezone

from accounts.errors import AccountsError
from accounts.gateways import exchange_for, public_exchange
from accounts.leverage_brackets import brackets_store
from accounts.models import ExchangeAccount
from exchange.deadlines import PERSON_MS, answers_within
from exchange.errors import ExchangeError, OrderRejected
from exchange.rate_limits import Priority, spending
from exchange.types import Kline
from orders.domain import validation
from orders.exchange_data.clock import exchange_now_ms
from orders.models import TrioOrder
from orders.queueing.check import market_of
from orders.queueing.market import Funds, Reading, funds_read
from orders.queueing.surroundings import Surroundings, surroundings

FUNDS_SECONDS: Final = 5.0
MARK_SECONDS: Final = 1.0
BRACKETS_SECONDS: Final = 600.0
WAITS_SECONDS: Final = PERSON_MS / 1000
SEEN_SECONDS: Final = 15.0  # a screen that refreshes itself reads a balance no more often
SEEN_WAITS_SECONDS: Final = 0.4
BARS_SECONDS: Final = 5.0
_pool: Final = ThreadPoolExecutor(max_workers=4, thread_name_prefix="at-hand")
_screens: Final = ThreadPoolExecutor(max_workers=2, thread_name_prefix="screens")


@dataclass(slots=True)
class _Kept:
    """One thing that was asked for. ``since``: this machine's monotonic clock, when it was asked."""

    since: float
    answer: Future[Any]


_kept: dict[tuple[str, object], _Kept] = {}
_last_seen: dict[int, FundsSeen] = {}
_lock: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class AtHand:
    """What is known of the place where a ticket would go."""

    around: Surroundings
    reading: Reading
    market: validation.Market  # with the leverage that placing sets first
    equity: Decimal | None
    unread: tuple[str, ...] = ()  # sentences: what could not be read just now


def at_hand(trio: TrioOrder) -> AtHand:
    """Return what is known about one trio's market and account, saved or not, after a moment at most."""
    (around,) = surroundings([trio])
    account, name = trio.account, trio.symbol.symbol
    environment = account.environment
    asked = {"funds": _once(("funds", account.pk), FUNDS_SECONDS, lambda: _funds(account, around))}
    if around.mark_price is None:
        asked["mark"] = _mark(environment, name)
    if around.brackets_missing:
        asked["brackets"] = _once(
            ("brackets", account.pk), BRACKETS_SECONDS, lambda: _brackets(account, around)
        )
    wait(asked.values(), timeout=WAITS_SECONDS)
    said = {what: _answer(future) for what, future in asked.items()}
    funds = said["funds"]
    held = funds.of(trio.symbol.margin_asset) if isinstance(funds, Funds) else None
    mark = around.mark_price if around.mark_price is not None else said.get("mark")
    brackets = around.brackets or (said.get("brackets") or {}).get(name, ())
    reading = Reading(
        mark_price=mark,
        wallet=None if held is None else held.balance,
        brackets=brackets,
        available=None if held is None else held.available,
    )
    setting = around.setting
    market = market_of(trio, around, reading)
    if setting is not None and setting.wanted_leverage and not around.is_lived_on:
        market = replace(market, leverage=setting.wanted_leverage)
    unread = tuple(
        sentence
        for known, sentence in (
            (mark, f"The mark price of {name} is not known: {environment} did not answer in time."),
            (held, f"The balance of {account.name} is not known: {environment} did not answer in time."),
        )
        if known is None
    )
    return AtHand(around, reading, market, None if held is None else held.equity, unread)


def forget() -> None:
    """Forget what was asked for."""
    with _lock:
        _kept.clear()
        _last_seen.clear()


@dataclass(frozen=True, slots=True)
class FundsSeen:
    """What an account had, and when it was read: a screen shows both."""

    funds: Funds
    read_at: datetime


def funds_seen(accounts: Collection[ExchangeAccount]) -> dict[int, FundsSeen]:
    """Return what these accounts had when they were last read, by account; read anew where that is old.

    What does not answer within a moment is shown as it was before; an account that was never read is left out.
    """
    asked = [
        _once(("funds seen", account.pk), SEEN_SECONDS, partial(_seen, account), pool=_screens)
        for account in accounts
    ]
    wait(asked, timeout=SEEN_WAITS_SECONDS)
    for account, answer in zip(accounts, asked, strict=True):
        if (found := _answer(answer)) is not None:
            _last_seen[account.pk] = found
    return {account.pk: _last_seen[account.pk] for account in accounts if account.pk in _last_seen}


def mark_seen(environment: str, symbol: str) -> Decimal | None:
    """Return the mark price of a symbol, read at most once a second; ``None`` while it is not there."""
    asked = _mark(environment, symbol)
    wait([asked], timeout=WAITS_SECONDS)
    found: Decimal | None = _answer(asked)
    return found


def _mark(environment: str, symbol: str) -> Future[Any]:
    return _once(
        ("mark", (environment, symbol)),
        MARK_SECONDS,
        lambda: next(iter(public_exchange(environment).mark_prices(symbol))).mark,
    )


def bars_seen(
    environment: str, symbol: str, timeframe: str, since: int | None, limit: int
) -> Sequence[Kline] | None:
    """Return bars of a symbol for a picture, read once in some seconds; ``None`` while they are not there."""
    asked = _once(
        ("bars", (environment, symbol, timeframe, since, limit)),
        BARS_SECONDS,
        lambda: public_exchange(environment).klines(symbol, timeframe, since=since, limit=limit),
        pool=_screens,
    )
    wait([asked], timeout=WAITS_SECONDS)
    found: Sequence[Kline] | None = _answer(asked)
    return found


def _once(
    key: tuple[str, object], seconds: float, ask: Callable[[], Any], *, pool: ThreadPoolExecutor | None = None
) -> Future[Any]:
    """Return the answer to a question that is asked at most once in so many seconds, also when it fails."""
    with _lock:
        now = time.monotonic()
        known = _kept.get(key)
        if known is not None and (now - known.since < seconds or not known.answer.done()):
            return known.answer
        for old in [old for old, kept in _kept.items() if now - kept.since > BRACKETS_SECONDS]:
            del _kept[old]
        answer = (pool or _pool).submit(_apart, ask)
        _kept[key] = _Kept(now, answer)
        return answer


def _apart(ask: Callable[[], Any]) -> Any:
    """Ask in a thread of its own; ``None`` when there is no answer."""
    try:
        with spending(Priority.PAGE), answers_within(PERSON_MS):
            return ask()
    except (ExchangeError, AccountsError, DatabaseError):
        return None
    finally:
        connection.close()


def _answer(asked: Future[Any]) -> Any:
    return asked.result() if asked.done() else None


def _seen(account: ExchangeAccount) -> FundsSeen:
    now = timezone.now()
    return FundsSeen(
        funds_read(account, exchange_for(account.pk), at=exchange_now_ms(account.environment)), now
    )


def _funds(account: ExchangeAccount, around: Surroundings) -> Funds:
    return funds_read(account, exchange_for(account.pk), at=around.exchange_ms(account.environment))


def _brackets(account: ExchangeAccount, around: Surroundings) -> Any:
    try:
        found = exchange_for(account.pk).leverage_brackets(at=around.exchange_ms(account.environment))
    except OrderRejected:
        return {}
    brackets_store(account.pk, found)
    return found
