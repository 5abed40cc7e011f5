"""Probe an account through its API key: its modes, its permissions, and what forbids its use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from accounts.clock import clock_read, our_ms
from accounts.error_messages import exchange_errors_translated
from accounts.models import PERMISSIONS_UNAVAILABLE, Environment
from exchange.clock_offset import ClockReading
from exchange.errors import ExchangeError
from exchange.port import Exchange
from exchange.types import BalanceView, ExchangeMs, Permissions, PositionMode

WITHDRAWALS_ALLOWED = (
    "This API key may withdraw money: keys that may withdraw are refused."
    " Turn “Enable Withdrawals” off for it on the exchange, then try again."
)


@dataclass(frozen=True, slots=True)
class AccountProbe:
    """What the exchange reported. ``problems`` are sentences, each a reason for no new risk here."""

    position_mode: PositionMode
    multi_assets: bool
    can_trade: bool
    account_alias: str
    balances: tuple[BalanceView, ...]
    permissions: Permissions | None
    clock: ClockReading
    problems: tuple[str, ...]

    @property
    def permissions_note(self) -> str:
        return permissions_note(self.permissions)

    @property
    def wallet_asset(self) -> str:
        """Return the asset of which there is most; empty when there is nothing."""
        largest = max(self.balances, key=lambda b: b.balance, default=None)
        return largest.asset if largest is not None and largest.balance > 0 else ""

    @property
    def balance_text(self) -> str:
        """Return the balance of each asset that has one."""
        held = [b for b in self.balances if b.balance]
        return ", ".join(f"{_money(b.balance)} {b.asset}" for b in held) or "nothing"


def probe(environment: str, exchange: Exchange) -> AccountProbe:
    """Read the key's account from the exchange. Raises AccountsError when there is no usable answer."""
    with exchange_errors_translated(environment):
        clock = clock_read(environment)
        at = clock.exchange_time(our_ms())
        config = exchange.account_config(at=at)
        balances = tuple(exchange.balances(at=at))
        permissions = _permissions(environment, exchange, at)
    problems = []
    if permissions is not None and permissions.withdrawals:
        problems.append(WITHDRAWALS_ALLOWED)
    return AccountProbe(
        position_mode=config.position_mode,
        multi_assets=config.multi_assets,
        can_trade=config.can_trade and (permissions is None or permissions.futures) and not problems,
        account_alias=_alias(balances),
        balances=balances,
        permissions=permissions,
        clock=clock,
        problems=tuple(problems),
    )


def permissions_note(permissions: Permissions | None) -> str:
    """Describe in a few words what a key may do."""
    if permissions is None:
        return PERMISSIONS_UNAVAILABLE
    words = [
        "reading" if permissions.reading else "no reading",
        "futures" if permissions.futures else "no futures",
        "WITHDRAWALS" if permissions.withdrawals else "no withdrawals",
        "bound to addresses" if permissions.ip_restricted else "from any address",
    ]
    return ", ".join(words)


def _permissions(environment: str, exchange: Exchange, at: ExchangeMs) -> Permissions | None:
    try:
        return exchange.permissions(at=at)
    except ExchangeError:
        # With real money the permissions must be known; test exchanges often do not report them.
        if environment == Environment.LIVE:
            raise
        return None


def _alias(balances: Sequence[BalanceView]) -> str:
    return next((b.account_alias for b in balances if b.account_alias), "")


def _money(value: Decimal) -> str:
    return format(value.quantize(Decimal("0.01")) if value >= 1 else value.normalize(), "f")
