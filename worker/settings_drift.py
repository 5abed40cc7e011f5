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
from accounts.models import ExchangeAccount, SymbolSetting
from accounts.position_modes import modes_take_in
from accounts.symbol_settings import symbol_settings_read
from orders.domain.enums import TrioState
from orders.exchange_data.clock import db_now, exchange_now_ms
from orders.exchange_data.symbol_sync import symbols_sync
from orders.models import Symbol, TrioOrder
from orders.story import Put, question_put


def modes_look(account: ExchangeAccount) -> set[int]:
    """Read the account's modes. Returns the trios that ask now. Raises ExchangeError or AccountsError."""
    config = exchange_for(account.pk).account_config(at=exchange_now_ms(account.environment))
    differs = modes_take_in(account, position_mode=config.position_mode, multi_assets=config.multi_assets)
    return _ask(_living(account), differs)[0] if differs else set()


def margins_look(account: ExchangeAccount) -> set[int]:
    """Read leverage and margin types. Returns the trios that ask now. Raises AccountsError."""
    symbol_settings_read(account)
    asks: set[int] = set()
    for setting in SymbolSetting.objects.filter(account=account).exclude(margin_type_was=""):
        asked, all_know = set[int](), True
        if setting.margin_type_was != setting.margin_type:
            asked, all_know = _ask(
                _living(account, setting.symbol),
                f"The margin type was changed on the exchange: {setting.symbol} on “{account.name}” is"
                f" {setting.margin_type} now, it was {setting.margin_type_was}. Its orders stay; where it would be"
                f" liquidated may have moved. (Seen {setting.read_at:%Y-%m-%d %H:%M:%S} UTC.)",
            )
        if all_know:
            told = SymbolSetting.objects.filter(pk=setting.pk, margin_type=setting.margin_type)
            told.update(margin_type_was="")
        asks |= asked
    return asks


def symbols_look(account: ExchangeAccount) -> set[int]:
    """Read the trading rules if they are old. Returns the trios that ask now. Raises AccountsError."""
    symbols_renew(account.environment)
    asks: set[int] = set()
    held = TrioOrder.objects.filter(account=account, holds_slot=True).values("symbol")
    for symbol in Symbol.objects.filter(pk__in=held).exclude(status="TRADING").order_by("symbol"):
        since = f" since {symbol.status_since:%Y-%m-%d %H:%M:%S} UTC" if symbol.status_since else ""
        asked, _ = _ask(
            _living(account, symbol.symbol),
            f"The symbol does not trade now: {symbol.symbol} is {symbol.status}{since}. Nothing new is opened on it;"
            " what rests there stays, and is cancelled by nobody here.",
        )
        asks |= asked
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


def _ask(trio_ids: Iterable[int], question: str) -> tuple[set[int], bool]:
    """Return the trios that ask this now, and whether there is none left that must be asked later."""
    put = {trio_id: question_put(trio_id, question) for trio_id in trio_ids}
    return {trio_id for trio_id, how in put.items() if how is Put.ASKED}, Put.LATER not in put.values()
