"""Leverage and margin type per account and symbol: read, wanted, set while nothing is open."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts import gateways
from accounts.clock import exchange_time
from accounts.error_messages import exchange_errors_translated
from accounts.errors import SettingsRefused
from accounts.models import ExchangeAccount, SymbolSetting
from exchange.errors import OutcomeUnknown
from exchange.port import Exchange
from exchange.types import ExchangeMs, MarginType, Stamp, SymbolConfig


def symbol_settings_read(account: ExchangeAccount) -> int:
    """Read leverage and margin type of every symbol in one request. Returns how many.

    Raises AccountsError.
    """
    with exchange_errors_translated(account.environment):
        exchange = gateways.exchange_for(account.pk)
        configs = exchange.symbol_configs(at=exchange_time(account.environment))
    return settings_store(account, configs)


def settings_store(account: ExchangeAccount, configs: Iterable[SymbolConfig]) -> int:
    """Store what was read and has changed; what is wanted stays as it is. Returns how many symbols were read."""
    now = timezone.now()
    configs = list(configs)
    known = {row.symbol: row for row in SymbolSetting.objects.filter(account=account)}

    def was(config: SymbolConfig) -> str:
        """Return the margin type before the change, until trios have asked about it."""
        row = known.get(config.symbol)
        if row is None or not row.margin_type:
            return ""
        return row.margin_type_was or (row.margin_type if row.margin_type != config.margin_type.value else "")

    def leverage_was(config: SymbolConfig) -> int | None:
        row = known.get(config.symbol)
        if row is None or row.leverage is None:
            return None
        return row.leverage_was or (row.leverage if row.leverage != config.leverage else None)

    def differs(config: SymbolConfig) -> bool:
        row = known.get(config.symbol)
        return row is None or (row.leverage, row.margin_type) != (config.leverage, config.margin_type.value)

    rows = [
        SymbolSetting(
            account=account,
            symbol=config.symbol,
            leverage=config.leverage,
            margin_type=config.margin_type.value,
            margin_type_was=was(config),
            leverage_was=leverage_was(config),
            read_at=now,
        )
        for config in configs
        if differs(config)
    ]
    SymbolSetting.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["account", "symbol"],
        update_fields=["leverage", "leverage_was", "margin_type", "margin_type_was", "read_at"],
    )
    return len(configs)


def leverage_store(account: ExchangeAccount, symbol: str, leverage: int) -> None:
    """Store a leverage that the exchange told of by itself, and what it was before, until trios have asked about it."""
    rows = SymbolSetting.objects.filter(account=account, symbol=symbol).exclude(leverage=leverage)
    rows.update(leverage=leverage, leverage_was=Coalesce("leverage_was", "leverage"), read_at=timezone.now())


def symbol_setting_want(
    account: ExchangeAccount, symbol: str, *, leverage: int | None, margin_type: str | None
) -> SymbolSetting:
    """Store what is wanted for a symbol; None: keep what the exchange has. Sends nothing."""
    row, _ = SymbolSetting.objects.update_or_create(
        account=account,
        symbol=symbol,
        defaults={"wanted_leverage": leverage, "wanted_margin_type": margin_type or None},
    )
    return row


def symbol_settings_apply(account: ExchangeAccount, symbol: str) -> SymbolSetting:
    """Set margin type, then leverage, to what is wanted, and read the result back.

    Raises SettingsRefused when something is open on the symbol, the exchange refuses, or what it shows
    afterwards is not what is wanted; other AccountsErrors when it does not answer.
    """
    row = SymbolSetting.objects.filter(account=account, symbol=symbol).first()
    if row is None or (row.wanted_leverage is None and not row.wanted_margin_type):
        raise SettingsRefused(
            f"No leverage or margin type is wanted for {symbol} on “{account.name}”: enter one first."
        )
    with exchange_errors_translated(account.environment):
        exchange = gateways.exchange_for(account.pk)
        at = exchange_time(account.environment)
        if what := _what_is_open(exchange, symbol, at):
            raise SettingsRefused(
                f"Leverage and margin type of {symbol} are not changed while {what}: close or cancel it first."
            )
        row = _read_back(account, exchange, symbol, at)
        stamp = Stamp(timestamp=at, recv_window=settings.RECV_WINDOW_MS)
        try:
            if row.wanted_margin_type and row.wanted_margin_type != row.margin_type:
                exchange.set_margin_type(symbol, MarginType(row.wanted_margin_type), stamp=stamp)
            if row.wanted_leverage is not None and row.wanted_leverage != row.leverage:
                exchange.set_leverage(symbol, row.wanted_leverage, stamp=stamp)
        except OutcomeUnknown:
            pass  # what is read back decides
        row = _read_back(account, exchange, symbol, exchange_time(account.environment))
    # Nothing was open meanwhile: no trio is asked about what was changed at our own wish.
    SymbolSetting.objects.filter(pk=row.pk).update(leverage_was=None, margin_type_was="")
    if sentence := setting_mismatch(row, account):
        raise SettingsRefused(sentence)
    return row


def symbol_settings_apply_all(account: ExchangeAccount) -> tuple[list[SymbolSetting], list[str]]:
    """Set every symbol that differs from what is wanted. Returns the rows set and the refusals' sentences.

    Raises AccountsError when the exchange does not answer: then the rest waits.
    """
    done, refused = [], []
    for row in list(SymbolSetting.objects.filter(account=account)):
        if setting_mismatch(row, account) is None:
            continue
        try:
            done.append(symbol_settings_apply(account, row.symbol))
        except SettingsRefused as error:
            refused.append(error.sentence)
    return done, refused


def symbol_setting_problem(account: ExchangeAccount, symbol: str) -> str | None:
    """Say why a trio must not be placed with the symbol's settings; None when they are as wanted.

    Reads our own table only: it is part of every placement and must not cost a request.
    """
    row = SymbolSetting.objects.filter(account=account, symbol=symbol).first()
    return None if row is None else setting_mismatch(row, account)


def setting_mismatch(row: SymbolSetting, account: ExchangeAccount) -> str | None:
    """Say how a symbol's settings differ from what is wanted; None when they do not."""
    differs = []
    if row.wanted_leverage is not None and row.wanted_leverage != row.leverage:
        differs.append(f"leverage is {row.leverage or 'not known'}, wanted is {row.wanted_leverage}")
    if row.wanted_margin_type and row.wanted_margin_type != row.margin_type:
        differs.append(f"margin type is {row.margin_type or 'not known'}, wanted is {row.wanted_margin_type}")
    if not differs:
        return None
    return (
        f"{row.symbol} on “{account.name}” is not set as wanted: {'; '.join(differs)}."
        " Apply leverage and margin type on the account's page, or change what is wanted."
    )


def _what_is_open(exchange: Exchange, symbol: str, at: ExchangeMs) -> str | None:
    if any(p.symbol == symbol and p.quantity for p in exchange.positions(symbol, at=at)):
        return "a position is open"
    if any(o.symbol == symbol for o in exchange.open_orders(symbol, at=at)):
        return "an order is open"
    return None


def _read_back(account: ExchangeAccount, exchange: Exchange, symbol: str, at: ExchangeMs) -> SymbolSetting:
    configs = [c for c in exchange.symbol_configs(symbol, at=at) if c.symbol == symbol]
    if not configs:
        raise SettingsRefused(f"The exchange has no settings for {symbol}: check that it lists this symbol.")
    settings_store(account, configs)
    return SymbolSetting.objects.get(account=account, symbol=symbol)
