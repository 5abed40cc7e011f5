"""What may be done with an account. Each service does the whole thing or leaves the database as it was."""

from __future__ import annotations

import datetime
import secrets
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Required, TypedDict, Unpack

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
from accounts.restrictions import restriction_lift
from accounts.symbol_settings import settings_store
from exchange.errors import ExchangeError
from exchange.port import Exchange
from exchange.secret import Secret
from exchange.types import PositionMode, PositionSide, SymbolConfig

NAME_MAX = 64
KEY_MAX = 256

# The columns that `_apply_probe` writes.
PROBED = ("account_alias", "can_trade", "wallet_asset", "permissions", "permissions_note", "last_checked_at")


class NewAccount(TypedDict, total=False):
    """What a person enters. ``balance`` (USDT) and ``position_mode`` are for a new PAPER account only."""

    name: Required[str]
    environment: Required[str]
    api_key: Required[str]
    api_secret: Required[str]
    notes: str
    balance: Decimal | None
    position_mode: str | None


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
    """What *Test connection* found. ``remarks`` and ``problems`` are sentences; a problem forbids new risk."""

    account: ExchangeAccount
    probe: AccountProbe
    remarks: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Return permissions, balance, position mode and clock offset in one line."""
        mode = self.account.get_position_mode_display().lower()
        assets = ", multi-assets mode" if self.probe.multi_assets else ""
        return (
            f"{self.account.name}: connected. Permissions: {self.account.permissions_note}."
            f" Balance: {self.probe.balance_text}. Position mode: {mode}{assets}."
            f" Clock offset: {self.probe.clock.offset_ms:+d} ms (round trip {self.probe.clock.round_trip_ms} ms)."
        )


def account_add(**new: Unpack[NewAccount]) -> ExchangeAccount:
    """Check an account with its exchange and store it. Raises AccountsError; then nothing is stored."""
    return account_store(account_prepare(**new))


def account_prepare(**new: Unpack[NewAccount]) -> AccountDraft:
    """Make every check, here and on the exchange, and store nothing. Raises AccountsError."""
    environment = _environment(new["environment"])
    name = account_name(new["name"])
    api_key, api_secret = _credentials(new["api_key"], new["api_secret"])
    balance, position_mode = new.get("balance"), new.get("position_mode")
    if environment is not Environment.PAPER and (balance is not None or position_mode is not None):
        raise InvalidAccount(
            "Balance and position mode can be chosen for PAPER only: elsewhere they are read from the exchange."
        )
    _refuse_duplicate(environment, name=name, api_key=api_key)
    if environment is Environment.PAPER:
        simulator_provisioning.provision(
            name=name, api_key=api_key, api_secret=api_secret, balance=balance, position_mode=position_mode
        )
    exchange = gateways.connect(environment, api_key=api_key, api_secret=api_secret)
    found = _suitable(environment, exchange)
    _refuse_duplicate(environment, alias=found.account_alias)
    try:
        configs = tuple(exchange.symbol_configs(at=found.clock.exchange_time(our_ms())))
    except ExchangeError:
        configs = ()  # read again before any is set; no reason to refuse the account
    return AccountDraft(
        name=name,
        environment=environment,
        notes=new.get("notes", ""),
        probe=found,
        symbol_configs=configs,
        api_key=api_key,
        api_secret=api_secret,
    )


def account_store(draft: AccountDraft, account: ExchangeAccount | None = None) -> ExchangeAccount:
    """Store a checked account together with its credentials. Raises AccountExists."""
    account = account or ExchangeAccount()
    account.name = draft.name
    account.environment = draft.environment
    account.notes = draft.notes
    _apply_probe(account, draft.probe, now=timezone.now())
    _apply_key(account, draft.api_key)
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
        # Somebody else stored it first: refuse as if it had been there before.
        _refuse_duplicate(
            draft.environment, name=draft.name, api_key=draft.api_key, alias=draft.probe.account_alias
        )
        raise
    return account


def account_test(account: ExchangeAccount) -> AccountCheck:
    """Read a stored account from the exchange and bring our row up to date.

    Raises AccountsError when the exchange does not answer, refuses the key, or the key cannot be read.
    """
    found = probe(account.environment, gateways.exchange_for(account.pk))
    remarks = []
    if found.position_mode != account.position_mode:
        remarks.append(
            f"The position mode on the exchange is now {found.position_mode}"
            f" (here it was {account.position_mode})."
        )
    if found.account_alias:
        _refuse_duplicate(Environment(account.environment), alias=found.account_alias, except_for=account)
    problems = list(found.problems)
    if not found.can_trade and not problems:
        problems.append(
            "The exchange does not let this account or its API key trade futures: new trios are refused."
            " Allow it on the exchange, then test the connection again."
        )
    _apply_probe(account, found, now=timezone.now())
    account.save(update_fields=[*PROBED, "updated_at"])
    modes_take_in(account, position_mode=found.position_mode, multi_assets=found.multi_assets)
    account.refresh_from_db(fields=["restriction"])
    if account.restriction and found.can_trade:
        remarks.append(
            "The exchange had refused this account; new trios are tried again now. Should it refuse the next one, "
            "nothing new is opened again."
        )
        restriction_lift(account)
    return AccountCheck(account=account, probe=found, remarks=tuple(remarks), problems=tuple(problems))


def account_replace_credentials(
    *, account: ExchangeAccount, api_key: str, api_secret: str
) -> ExchangeAccount:
    """Replace the key by another one of the *same* exchange account.

    Raises AccountsError; then nothing changes.
    """
    api_key, api_secret = _credentials(api_key, api_secret)
    environment = Environment(account.environment)
    _refuse_duplicate(environment, api_key=api_key, except_for=account)
    if environment is Environment.PAPER:
        simulator_provisioning.provision(
            name=account.name, api_key=api_key, api_secret=api_secret, position_mode=account.position_mode
        )
    found = _suitable(environment, gateways.connect(environment, api_key=api_key, api_secret=api_secret))
    _refuse_duplicate(environment, alias=found.account_alias, except_for=account)
    other = account.account_alias and found.account_alias and account.account_alias != found.account_alias
    if other and environment is not Environment.PAPER:  # a simulator started afresh gives new aliases
        raise AccountExists(
            "This API key belongs to another exchange account: add it as a separate account.",
            field="api_key",
        )
    _apply_probe(account, found, now=timezone.now())
    _apply_key(account, api_key)
    with transaction.atomic():
        account.save(update_fields=[*PROBED, "key_hash", "key_fingerprint", "updated_at"])
        Credential.objects.update_or_create(
            account=account, defaults={"api_key": api_key, "api_secret": api_secret}
        )
    modes_take_in(account, position_mode=found.position_mode, multi_assets=found.multi_assets)
    # Clients made from the old key are recognised by the row's new `updated_at`, in every process.
    return account


def paper_account_ensure(
    *, name: str, balance: Decimal | None = None, position_mode: str | None = None
) -> ExchangeAccount:
    """Return the PAPER account of that name, opened at the simulator; made with a fresh key when missing.

    For the demo and smoke orders. Raises AccountsError, also when the name belongs to another environment.
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
    """Open a stored PAPER account again at a simulator that lost it. False: not our simulator."""
    if account.environment != Environment.PAPER:
        raise InvalidAccount("Only PAPER accounts can be opened at the simulator.")
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
            f"“{text}” is not an environment: choose one of {known}.", field="environment"
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
        raise InvalidAccount("The name may contain printable characters only.", field="name")
    return name


def _credentials(api_key: str, api_secret: str) -> tuple[str, str]:
    cleaned = []
    for text, what, where in ((api_key, "API key", "api_key"), (api_secret, "API secret", "new_secret")):
        value = Secret(text.strip())
        if not value:
            raise InvalidAccount(f"The {what} is missing.", field=where)
        if len(value) > KEY_MAX or not value.isascii() or any(not c.isprintable() or c == " " for c in value):
            raise InvalidAccount(
                f"This is not a valid {what}: it must be one word of at most {KEY_MAX} letters and digits."
                " Copy it again (HMAC keys only).",
                field=where,
            )
        cleaned.append(value)
    if cleaned[0] == cleaned[1]:
        raise InvalidAccount("API key and API secret are the same: copy both again.", field="new_secret")
    return cleaned[0], cleaned[1]


def _refuse_duplicate(
    environment: Environment,
    *,
    name: str = "",
    api_key: str = "",
    alias: str = "",
    except_for: ExchangeAccount | None = None,
) -> None:
    others = ExchangeAccount.objects.all()
    if except_for is not None:
        others = others.exclude(pk=except_for.pk)
    if name and others.filter(name=name).exists():
        raise AccountExists(f"An account named “{name}” already exists: choose another name.", field="name")
    if api_key and (known := others.filter(key_hash=key_hash(environment, api_key)).first()):
        raise AccountExists(
            f"This API key is already used by account “{known.name}”."
            " An exchange account can be added only once.",
            field="api_key",
        )
    if alias and (known := others.filter(environment=environment, account_alias=alias).first()):
        raise AccountExists(
            f"This API key belongs to the same exchange account as “{known.name}”."
            " An exchange account can be added only once.",
            field="api_key",
        )


def _suitable(environment: Environment, exchange: Exchange) -> AccountProbe:
    """Probe an account that is about to be stored. Raises AccountUnsuitable when it must not be used."""
    found = probe(environment, exchange)
    if found.problems:
        raise AccountUnsuitable(found.problems[0], field="api_key")
    return found


def _apply_probe(account: ExchangeAccount, found: AccountProbe, *, now: datetime.datetime) -> None:
    if not account.pk:
        account.position_mode = found.position_mode.value
        account.multi_assets_since = now if found.multi_assets else None
    account.account_alias = found.account_alias or account.account_alias
    account.can_trade = found.can_trade
    account.wallet_asset = found.wallet_asset or account.wallet_asset
    account.permissions = permissions_as_json(found.permissions)
    account.permissions_note = found.permissions_note
    account.last_checked_at = now


def _apply_key(account: ExchangeAccount, api_key: str) -> None:
    account.key_hash = key_hash(account.environment, api_key)
    account.key_fingerprint = key_fingerprint(api_key)
