"""The verbs on accounts. Each either does the whole thing or leaves the database as it was."""

from __future__ import annotations

import datetime
import secrets
from dataclasses import dataclass, field
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import gateways, simulator_provisioning
from accounts.clock import our_ms
from accounts.errors import AccountExists, AccountUnsuitable, InvalidAccount
from accounts.models import (
    Credential,
    Environment,
    ExchangeAccount,
    key_fingerprint,
    key_hash,
    permissions_as_json,
)
from accounts.position_modes import modes_take_in
from accounts.probe import AccountProbe, probe
from accounts.symbol_settings import settings_store
from exchange.errors import ExchangeError
from exchange.types import PositionMode, PositionSide, SymbolConfig

NAME_MAX = 64
KEY_MAX = 256


# What a probe tells and `_take_over` takes in.
SEEN = ("account_alias", "can_trade", "permissions", "permissions_note", "last_checked_at")


@dataclass(frozen=True, slots=True)
class AccountDraft:
    """An account that passed every check and is not stored yet. Its repr holds no secret."""

    name: str
    environment: Environment
    notes: str
    probe: AccountProbe
    symbol_configs: tuple[SymbolConfig, ...]
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccountCheck:
    """What *Test connection* found. ``remarks`` and ``problems`` are sentences; a problem stops new risk."""

    account: ExchangeAccount
    probe: AccountProbe
    remarks: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Permissions, balance, mode and clock offset in one line."""
        mode = self.account.get_position_mode_display().lower()
        return (
            f"{self.account.name}: connected. Permissions: {self.account.permissions_note}."
            f" Balance: {self.probe.balance_text}. Position mode: {mode}."
            f" Clock offset: {self.probe.clock.offset_ms:+d} ms (round trip {self.probe.clock.round_trip_ms} ms)."
        )


def account_add(
    *,
    name: str,
    environment: str,
    api_key: str,
    api_secret: str,
    notes: str = "",
    balance: Decimal | None = None,
    position_mode: str | None = None,
) -> ExchangeAccount:
    """Check an account with its exchange and keep it. Raises AccountsError; then nothing is stored.

    ``balance`` (USDT) and ``position_mode`` are wishes for a new PAPER account; elsewhere they are refused.
    """
    draft = account_prepare(
        name=name,
        environment=environment,
        api_key=api_key,
        api_secret=api_secret,
        notes=notes,
        balance=balance,
        position_mode=position_mode,
    )
    return account_store(draft)


def account_prepare(
    *,
    name: str,
    environment: str,
    api_key: str,
    api_secret: str,
    notes: str = "",
    balance: Decimal | None = None,
    position_mode: str | None = None,
) -> AccountDraft:
    """Make every check, here and at the exchange, and store nothing. Raises AccountsError."""
    place = _environment(environment)
    name = account_name(name)
    api_key, api_secret = _credentials(api_key, api_secret)
    if place is not Environment.PAPER and (balance is not None or position_mode is not None):
        raise InvalidAccount(
            "Balance and position mode can be chosen for PAPER only: elsewhere they are read."
        )
    _refuse_duplicate(place, name=name, api_key=api_key)
    if place is Environment.PAPER:
        simulator_provisioning.provision(
            name=name, api_key=api_key, api_secret=api_secret, balance=balance, position_mode=position_mode
        )
    exchange = gateways.connect(place, api_key=api_key, api_secret=api_secret)
    seen = probe(place, exchange)
    if seen.problems:
        raise AccountUnsuitable(seen.problems[0], field="api_key")
    _refuse_duplicate(place, alias=seen.account_alias)
    try:
        configs = tuple(exchange.symbol_configs(at=seen.clock.exchange_time(our_ms())))
    except ExchangeError:
        configs = ()  # read again before a wish is applied; no reason to refuse the account
    return AccountDraft(
        name=name,
        environment=place,
        notes=notes,
        probe=seen,
        symbol_configs=configs,
        api_key=api_key,
        api_secret=api_secret,
    )


def account_store(draft: AccountDraft, account: ExchangeAccount | None = None) -> ExchangeAccount:
    """Keep a checked account and its credentials together. Raises AccountExists."""
    account = account or ExchangeAccount()
    account.name = draft.name
    account.environment = draft.environment
    account.notes = draft.notes
    _take_over(account, draft.probe, now=timezone.now())
    _take_key(account, draft.api_key)
    try:
        with transaction.atomic():
            account.save()
            Credential.objects.create(
                account=account,
                api_key=draft.api_key,
                api_secret=draft.api_secret,
            )
            settings_store(account, draft.symbol_configs)
    except IntegrityError:
        # Somebody else was faster: say whose it is, as if we had seen it before.
        _refuse_duplicate(
            draft.environment, name=draft.name, api_key=draft.api_key, alias=draft.probe.account_alias
        )
        raise
    return account


def account_test(account: ExchangeAccount) -> AccountCheck:
    """Ask the exchange about a stored account and bring our row up to date.

    Raises AccountsError when the exchange does not answer, refuses the key, or the key cannot be read.
    """
    seen = probe(account.environment, gateways.exchange_for(account.pk))
    remarks = []
    if seen.position_mode != account.position_mode:
        remarks.append(
            f"The position mode on the exchange is now {seen.position_mode}"
            f" (it was {account.position_mode} here)."
        )
    if seen.account_alias:
        _refuse_duplicate(Environment(account.environment), alias=seen.account_alias, but=account)
    problems = list(seen.problems)
    if not seen.can_trade and not problems:
        problems.append("The exchange says that this account or its key may not trade futures.")
    _take_over(account, seen, now=timezone.now())
    account.save(update_fields=[*SEEN, "updated_at"])
    modes_take_in(account, position_mode=seen.position_mode, multi_assets=seen.multi_assets)
    return AccountCheck(account=account, probe=seen, remarks=tuple(remarks), problems=tuple(problems))


def account_replace_credentials(
    *, account: ExchangeAccount, api_key: str, api_secret: str
) -> ExchangeAccount:
    """Put another key of the *same* account of the exchange in place.

    Raises AccountsError; then nothing changes.
    """
    api_key, api_secret = _credentials(api_key, api_secret)
    place = Environment(account.environment)
    _refuse_duplicate(place, api_key=api_key, but=account)
    if place is Environment.PAPER:
        simulator_provisioning.provision(
            name=account.name, api_key=api_key, api_secret=api_secret, position_mode=account.position_mode
        )
    seen = probe(place, gateways.connect(place, api_key=api_key, api_secret=api_secret))
    if seen.problems:
        raise AccountUnsuitable(seen.problems[0], field="api_key")
    _refuse_duplicate(place, alias=seen.account_alias, but=account)
    other = account.account_alias and seen.account_alias and account.account_alias != seen.account_alias
    if other and place is not Environment.PAPER:  # a simulator started afresh knows nobody any more
        raise AccountExists(
            "This API key belongs to another account of the exchange: add it as an account of its own.",
            field="api_key",
        )
    _take_over(account, seen, now=timezone.now())
    _take_key(account, api_key)
    with transaction.atomic():
        account.save(update_fields=[*SEEN, "key_hash", "key_fingerprint", "updated_at"])
        Credential.objects.update_or_create(
            account=account, defaults={"api_key": api_key, "api_secret": api_secret}
        )
    modes_take_in(account, position_mode=seen.position_mode, multi_assets=seen.multi_assets)
    # Clients made from the old key are found out by the row's new `updated_at`, in every process.
    return account


def paper_account_ensure(
    *, name: str, balance: Decimal | None = None, position_mode: str | None = None
) -> ExchangeAccount:
    """Return the PAPER account of that name, made with a fresh key when missing, known to the simulator.

    For demo and smoke orders. Raises AccountsError, also when the name belongs to another environment.
    """
    account = ExchangeAccount.objects.filter(name=name).first()
    if account is None:
        return account_add(
            name=name,
            environment=Environment.PAPER,
            api_key=secrets.token_hex(32),
            api_secret=secrets.token_hex(32),
            balance=balance,
            position_mode=position_mode,
        )
    if account.environment != Environment.PAPER:
        raise InvalidAccount(
            f"“{name}” is a {account.environment} account: choose another name for the PAPER one.",
            field="name",
        )
    account_provision(account)  # the simulator may have been started afresh
    return account


def account_provision(account: ExchangeAccount) -> bool:
    """Make a stored PAPER account known again at a simulator that lost it. False: not our simulator."""
    if account.environment != Environment.PAPER:
        raise InvalidAccount("Only PAPER accounts can be made known to the simulator.")
    return simulator_provisioning.paper_provision(account)


def position_mode_problem(account: ExchangeAccount, position_side: str) -> str | None:
    """Say why a position side does not fit the account's position mode; None when it fits."""
    hedge = account.position_mode == PositionMode.HEDGE
    if hedge and position_side == PositionSide.BOTH:
        return (
            f"“{account.name}” is in hedge mode: name the position side, LONG or SHORT,"
            " or switch the account to one-way mode on the exchange and test the connection."
        )
    if not hedge and position_side != PositionSide.BOTH:
        return (
            f"“{account.name}” is in one-way mode and has no {position_side} side: leave the position side"
            " out, or switch the account to hedge mode on the exchange and test the connection."
        )
    return None


def _environment(text: str) -> Environment:
    try:
        return Environment(str(text).upper())
    except ValueError:
        known = ", ".join(Environment.values)
        raise InvalidAccount(
            f"“{text}” is no environment: choose one of {known}.", field="environment"
        ) from None


def account_name(text: str) -> str:
    """Return a name fit for an account. Raises InvalidAccount."""
    name = text.strip()
    if not name:
        raise InvalidAccount("The account needs a name.", field="name")
    if len(name) > NAME_MAX:
        raise InvalidAccount(
            f"The name is too long: {len(name)} characters, at most {NAME_MAX}.", field="name"
        )
    if not name.isprintable():
        raise InvalidAccount("The name may hold printable characters only.", field="name")
    return name


def _credentials(api_key: str, api_secret: str) -> tuple[str, str]:
    cleaned = []
    for text, what, where in ((api_key, "API key", "api_key"), (api_secret, "API secret", "new_secret")):
        value = text.strip()
        if not value:
            raise InvalidAccount(f"The {what} is missing.", field=where)
        if len(value) > KEY_MAX or not value.isascii() or any(not c.isprintable() or c == " " for c in value):
            raise InvalidAccount(
                f"The {what} cannot be right: it is one word of at most {KEY_MAX} letters and digits."
                " Copy it again (HMAC keys only).",
                field=where,
            )
        cleaned.append(value)
    if cleaned[0] == cleaned[1]:
        raise InvalidAccount("API key and API secret are the same text: copy them again.", field="new_secret")
    return cleaned[0], cleaned[1]


def _refuse_duplicate(
    environment: Environment,
    *,
    name: str = "",
    api_key: str = "",
    alias: str = "",
    but: ExchangeAccount | None = None,
) -> None:
    others = ExchangeAccount.objects.all()
    if but is not None:
        others = others.exclude(pk=but.pk)
    if name and others.filter(name=name).exists():
        raise AccountExists(f"There is an account named “{name}” already: choose another name.", field="name")
    if api_key and (known := others.filter(key_hash=key_hash(environment, api_key)).first()):
        raise AccountExists(
            f"This API key is entered already, as account “{known.name}”."
            " One account of the exchange is entered once.",
            field="api_key",
        )
    if alias and (known := others.filter(environment=environment, account_alias=alias).first()):
        raise AccountExists(
            f"This is the same account of the exchange as “{known.name}”, through another key."
            " One account of the exchange is entered once.",
            field="api_key",
        )


def _take_over(account: ExchangeAccount, seen: AccountProbe, *, now: datetime.datetime) -> None:
    if not account.pk:
        account.position_mode = seen.position_mode.value
    account.account_alias = seen.account_alias or account.account_alias
    account.can_trade = seen.can_trade
    account.permissions = permissions_as_json(seen.permissions)
    account.permissions_note = seen.permissions_note
    account.last_checked_at = now


def _take_key(account: ExchangeAccount, api_key: str) -> None:
    account.key_hash = key_hash(account.environment, api_key)
    account.key_fingerprint = key_fingerprint(api_key)
