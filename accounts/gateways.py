"""From an account to its exchange: the clients and streams, made once and kept."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from django.conf import settings

from accounts.credentials import MADE_FROM, secrets_of
from accounts.endpoints import stream_endpoints, transport
from accounts.errors import CredentialsUnreadable
from accounts.rate_budget import Closure, budget_of, gate_for
from exchange.binance import errors
from exchange.port import Exchange, KlineStream, MarketStream, PublicExchange, UserStream
from exchange.rate_limits import Limits
from exchange.refusals import Refusal
from exchange.types import StreamEvent
from infrastructure.planned import fetch_planned

_lock = threading.RLock()
# Each with what it was made from: a replaced key or another URL makes a new one.
_exchanges: dict[int, tuple[tuple[Any, ...], Exchange]] = {}
_publics: dict[str, tuple[tuple[Any, ...], PublicExchange]] = {}


class KeyMark(NamedTuple):
    """Which key an account has: by it a client that was made is still the right one."""

    environment: str
    name: str  # of the account
    stored_at: datetime.datetime | None  # none: it has no key


class Gateway(Protocol):
    """The way from an account to its exchange."""

    def __call__(self, account_id: int, key: KeyMark | None = None) -> Exchange: ...


def exchange_for(account_id: int, key: KeyMark | None = None) -> Exchange:
    """Return the account's client, safe to share between threads. ``key``: as just read; without, it is read.

    Raises CredentialsUnreadable when no key is stored or it cannot be decrypted. Whether the account
    may take new risk (``ALLOW_LIVE``, ``is_active``) is the caller's check: protection is always allowed.
    """
    if key is None:
        row = fetch_planned(MADE_FROM, account_id)
        key = KeyMark("", "", None) if row is None else KeyMark(*row)
    if key.stored_at is None:
        raise CredentialsUnreadable(
            f"Account {account_id} has no stored API key: enter one with “Replace credentials”."
        )
    environment, name, updated_at = key
    made_from = _made_from(environment, updated_at)
    with _lock:
        known = _exchanges.get(account_id)
        if known and known[0] == made_from:
            return known[1]
    api_key, api_secret = secrets_of(account_id, name)
    exchange = connect(environment, api_key=api_key, api_secret=api_secret, account=str(account_id))
    with _lock:
        _exchanges[account_id] = (made_from, exchange)
    return exchange


def connect(environment: str, *, api_key: str, api_secret: str, account: str = "") -> Exchange:
    """Make a client; of a key that is not stored (yet), for no ``account``. Nothing is sent."""
    from exchange.binance.client import BinanceExchange  # imported late: it loads an HTTP client

    return BinanceExchange(
        stream_endpoints(environment),
        api_key=api_key,
        api_secret=api_secret,
        timeout_ms=settings.BINANCE_TIMEOUT_MS,
        recv_window=settings.RECV_WINDOW_MS,
        transport=transport(environment),
        gate=gate_for(environment, account),
    )


def public_exchange(environment: str) -> PublicExchange:
    """Return the client for what needs no key, safe to share between threads."""
    made_from = _made_from(environment, None)
    with _lock:
        known = _publics.get(environment)
        if known and known[0] == made_from:
            return known[1]
    from exchange.binance.public import BinancePublic

    public = BinancePublic(
        stream_endpoints(environment),
        timeout_ms=settings.BINANCE_TIMEOUT_MS,
        transport=transport(environment),
        gate=gate_for(environment, ""),
    )
    with _lock:
        _publics[environment] = (made_from, public)
    return public


def limits_of(environment: str) -> Limits:
    """Return what the exchange allows the address we send from, as last published."""
    return budget_of(environment).limits


def closure_of(environment: str) -> Closure | None:
    """Return why and until when the exchange does not serve our address, as far as this process knows."""
    return budget_of(environment).closure if settings.KEEP_TO_LIMITS else None


def refusal_of(code: int) -> Refusal:
    """Return what a code that the exchange refused with means."""
    return errors.refusal_of(code)


def user_stream(environment: str, exchange: Exchange) -> UserStream:
    """Return the event stream of the account behind ``exchange``. Nothing is connected yet."""
    from exchange.binance.streams.user_stream import UserStream as BinanceUserStream

    return BinanceUserStream(
        stream_endpoints(environment),
        listen_key=exchange.listen_key,
        keep_listen_key=exchange.keep_listen_key,
    )


def user_event(body: Mapping[str, Any]) -> StreamEvent:
    """Return what one body of an account's stream says, where it comes by another way than the socket."""
    from exchange.binance.mapping.user_events import read_user_event

    return read_user_event(body)


def market_stream(environment: str) -> MarketStream:
    """Return the price stream of an environment, watching nothing yet. Nothing is connected yet."""
    from exchange.binance.streams.market_stream import MarketStream as BinanceMarketStream

    return BinanceMarketStream(stream_endpoints(environment))


def kline_stream(environment: str) -> KlineStream:
    """Return the stream of bars of an environment, watching nothing yet. Nothing is connected yet."""
    from exchange.binance.streams.kline_stream import KlineStream as BinanceKlineStream

    return BinanceKlineStream(stream_endpoints(environment))


def prepare() -> None:
    """Import the exchange library now: that takes most of a second, and the first order must not wait for it."""
    from exchange.binance.http import prepare as load

    load()


def forget(account_id: int) -> None:
    """Drop the cached client of an account; the next use makes a new one."""
    with _lock:
        _exchanges.pop(account_id, None)


def _made_from(environment: str, updated_at: datetime.datetime | None) -> tuple[Any, ...]:
    return (
        updated_at,
        stream_endpoints(environment),
        settings.BINANCE_TIMEOUT_MS,
        settings.RECV_WINDOW_MS,
        settings.KEEP_TO_LIMITS,
        transport(environment),  # another one mounted makes a new client, here and nowhere else
    )
