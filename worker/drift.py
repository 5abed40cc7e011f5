"""What changes at the exchange without an event of ours: settings of the account, symbols that stop trading.

Nothing new is opened on what changed, what lives keeps its legs, and each trio that it concerns asks a person,
once for each change.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db.models import Max

from accounts.gateways import exchange_for
from accounts.models import ExchangeAccount
from accounts.modes import modes_take_in
from accounts.symbol_settings import symbol_settings_read
from orders.clock import db_now, exchange_now_ms
from orders.domain.words import TrioState
from orders.facts import question_put
from orders.models import Symbol, TrioOrder
from orders.symbols import symbols_sync


def drift_look(account: ExchangeAccount, *, all_of_it: bool) -> set[int]:
    """Read how the account is set; with ``all_of_it`` its symbols too. Returns the trios that ask now.

    Raises ExchangeError or AccountsError when it could not be read; it is read again with the next look.
    """
    config = exchange_for(account.pk).account_config(at=exchange_now_ms(account.environment))
    asks: set[int] = set()
    if differs := modes_take_in(account, config):
        asks |= _ask(_living(account), differs)
    if all_of_it:
        before = _margin_types(account)
        symbol_settings_read(account)
        symbols_renew(account.environment)
        for symbol, margin_type in _margin_types(account).items():
            if before.get(symbol, margin_type) != margin_type:
                asks |= _ask(
                    _living(account, symbol),
                    f"The margin type was changed on the exchange: {symbol} on “{account.name}” is {margin_type} now,"
                    f" it was {before[symbol]}. Its orders stay; where it would be liquidated may have moved.",
                )
    for symbol, status in _not_trading(account):
        asks |= _ask(
            _living(account, symbol),
            f"The symbol does not trade now: {symbol} is {status}. Nothing new is opened on it; what rests there"
            " stays, and is cancelled by nobody here.",
        )
    return asks


def symbols_renew(environment: str) -> None:
    """Read the trading rules anew unless somebody did within ``SYMBOLS_SECONDS``. Raises AccountsError."""
    known = Symbol.objects.filter(environment=environment).aggregate(Max("synced_at"))["synced_at__max"]
    if known is None or db_now() - known > timedelta(seconds=settings.SYMBOLS_SECONDS):
        symbols_sync(environment)


def _living(account: ExchangeAccount, symbol: str | None = None) -> list[int]:
    """Return the trios of which something may be on the exchange."""
    trios = TrioOrder.objects.filter(account=account, holds_slot=True).exclude(state=TrioState.QUEUED)
    if symbol is not None:
        trios = trios.filter(symbol__symbol=symbol)
    return list(trios.values_list("pk", flat=True))


def _margin_types(account: ExchangeAccount) -> dict[str, str]:
    """Return what is known of the margin types of symbols on which something lives."""
    lived = TrioOrder.objects.filter(account=account, holds_slot=True).values("symbol__symbol")
    kept = account.symbol_settings.filter(symbol__in=lived).exclude(margin_type="")
    return dict(kept.values_list("symbol", "margin_type"))


def _not_trading(account: ExchangeAccount) -> list[tuple[str, str]]:
    held = TrioOrder.objects.filter(account=account, holds_slot=True).exclude(symbol__status="TRADING")
    return list(held.values_list("symbol__symbol", "symbol__status").distinct().order_by("symbol__symbol"))


def _ask(trio_ids: Iterable[int], question: str) -> set[int]:
    return {trio_id for trio_id in trio_ids if question_put(trio_id, question)}
