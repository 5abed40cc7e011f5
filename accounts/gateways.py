"""From an account to its exchange. The only reader of the credentials table."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import transaction

from accounts.errors import CredentialsUnreadable
from accounts.fields import newest_fernet
from accounts.models import Credential, ExchangeAccount
from backoffice.prepared import Prepared
from exchange.port import Exchange, PublicExchange
from exchange.types import Endpoints

if TYPE_CHECKING:
    from requests.adapters import BaseAdapter

MADE_FROM = Prepared(
    lambda account: Credential.objects.filter(account_id=account).values_list(
        "account__environment", "account__name", "updated_at"
    ),
    int,
)
_lock = threading.RLock()
_transports: dict[str, BaseAdapter] = {}
# What a client was made from sits beside it: a replaced key or another URL makes a new one.
_exchanges: dict[int, tuple[tuple[Any, ...], Exchange]] = {}
_publics: dict[str, tuple[tuple[Any, ...], PublicExchange]] = {}


def exchange_for(account_id: int) -> Exchange:
    """Return the account's way to its exchange, safe to share between threads.

    Raises CredentialsUnreadable when no key is stored or it cannot be decrypted. Whether the account
    may take new risk (``ALLOW_LIVE``, ``is_active``) is for the caller to ask: protecting is always allowed.
    """
    row = MADE_FROM.first(account_id)
    if row is None:
        raise CredentialsUnreadable(
            f"Account {account_id} has no stored API key: enter one with “Replace credentials”."
        )
    environment, name, updated_at = row
    made_from = _made_from(environment, updated_at)
    with _lock:
        known = _exchanges.get(account_id)
        if known and known[0] == made_from:
            return known[1]
    api_key, api_secret = _secrets(account_id, name)
    exchange = connect(environment, api_key=api_key, api_secret=api_secret)
    with _lock:
        _exchanges[account_id] = (made_from, exchange)
    return exchange


def connect(environment: str, *, api_key: str, api_secret: str) -> Exchange:
    """Make a client for a key that is not stored (yet). Nothing is sent."""
    from exchange.binance import BinanceExchange  # imported late: the library takes most of a second

    return BinanceExchange(
        stream_endpoints(environment),
        api_key=api_key,
        api_secret=api_secret,
        timeout_ms=settings.BINANCE_TIMEOUT_MS,
        recv_window=settings.RECV_WINDOW_MS,
        transport=transport(environment),
    )


def public_exchange(environment: str) -> PublicExchange:
    """Return the way to what needs no key, safe to share between threads."""
    made_from = _made_from(environment, None)
    with _lock:
        known = _publics.get(environment)
        if known and known[0] == made_from:
            return known[1]
    from exchange.binance import BinancePublic

    public = BinancePublic(
        stream_endpoints(environment),
        timeout_ms=settings.BINANCE_TIMEOUT_MS,
        transport=transport(environment),
    )
    with _lock:
        _publics[environment] = (made_from, public)
    return public


def stream_endpoints(environment: str) -> Endpoints:
    """Return where the environment lives: REST, stream root, SAPI."""
    endpoints: Endpoints = settings.BINANCE_URLS[str(environment)]
    return endpoints


def use_transport(environment: str, adapter: BaseAdapter | None) -> None:
    """Mount an adapter under every client of an environment (the in-process simulator); None unmounts."""
    with _lock:
        if adapter is None:
            _transports.pop(str(environment), None)
        else:
            _transports[str(environment)] = adapter
        _exchanges.clear()
        _publics.clear()


def transport(environment: str) -> BaseAdapter | None:
    """Return the adapter mounted for an environment, if any."""
    return _transports.get(str(environment))


def forget(account_id: int) -> None:
    """Drop the cached client of an account; the next use makes a new one."""
    with _lock:
        _exchanges.pop(account_id, None)


def _made_from(environment: str, updated_at: datetime.datetime | None) -> tuple[Any, ...]:
    mounted = transport(environment)
    return (
        updated_at,
        stream_endpoints(environment),
        settings.BINANCE_TIMEOUT_MS,
        settings.RECV_WINDOW_MS,
        id(mounted) if mounted is not None else None,
    )


def _secrets(account_id: int, name: str) -> tuple[str, str]:
    credential = Credential.objects.get(account_id=account_id)
    try:
        api_key, api_secret = credential.api_key.reveal(), credential.api_secret.reveal()
    except InvalidToken:
        raise CredentialsUnreadable(
            f"The stored API key of “{name}” cannot be decrypted: CREDENTIALS_MASTER_KEY is not the one it"
            " was stored under. Put the old key back (after a comma), or use “Replace credentials”."
        ) from None
    if not api_key or not api_secret:  # a row loaded from a dump: dumps never hold secrets
        raise CredentialsUnreadable(
            f"“{name}” has an empty stored API key: enter it anew with “Replace credentials”."
        )
    return api_key, api_secret


def paper_provision(account: ExchangeAccount) -> bool:
    """Make a stored PAPER account known to the simulator. False: not ours. Raises AccountsError."""
    from accounts import paper

    api_key, api_secret = _secrets(account.pk, account.name)
    return paper.provision(
        name=account.name, api_key=api_key, api_secret=api_secret, position_mode=account.position_mode
    )


@dataclass(frozen=True, slots=True)
class Rotation:
    """How a re-encryption went; ``unreadable`` names the accounts no configured key decrypts."""

    rotated: int
    already: int
    unreadable: tuple[str, ...]


def rotate(progress: Callable[[int, int], None] | None = None) -> Rotation:
    """Re-encrypt every credential with the first key of ``CREDENTIALS_MASTER_KEY``. Safe to repeat.

    ``progress`` is told (done, total). A row that no configured key decrypts is left as it is and named.
    """
    first = newest_fernet()
    rotated = already = 0
    unreadable: list[str] = []
    ids = list(Credential.objects.order_by("account_id").values_list("account_id", flat=True))
    for done, account_id in enumerate(ids, start=1):
        with transaction.atomic():
            row = (
                Credential.objects.select_for_update(of=("self",))
                .select_related("account")
                .filter(account_id=account_id)
                .first()
            )
            if row is None:
                continue
            try:
                for sealed in (row.api_key, row.api_secret):
                    first.decrypt(sealed.ciphertext)
                already += 1
            except InvalidToken:
                try:
                    plain = {"api_key": row.api_key.reveal(), "api_secret": row.api_secret.reveal()}
                except InvalidToken:
                    unreadable.append(row.account.name)
                else:
                    # update(), not save(): the key is the same, so clients made from it stay good.
                    Credential.objects.filter(account_id=account_id).update(**plain)
                    rotated += 1
        if progress:
            progress(done, len(ids))
    return Rotation(rotated, already, tuple(unreadable))
