"""What is at stake in open positions: distances to levels, exposure, and the margin that keeps them. Pure.

Money is in one asset: assets are never added up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from exchange.types import ZERO, LeverageBracket
from orders.domain.rounding import CENT

HUNDRED: Final = Decimal(100)


@dataclass(frozen=True, slots=True)
class Holding:
    """One position: where it is, its signed quantity, and its price now. Real and paper money are never added up."""

    environment: str
    account: str
    symbol: str
    asset: str
    quantity: Decimal
    mark: Decimal

    @property
    def notional(self) -> Decimal:
        """What it is worth, signed: short is negative."""
        return self.quantity * self.mark


@dataclass(slots=True)
class Exposure:
    """What positions together are worth in one asset; ``short`` is not negative."""

    environment: str
    name: str
    asset: str
    long: Decimal = ZERO
    short: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        return self.long - self.short

    @property
    def gross(self) -> Decimal:
        return self.long + self.short


def exposure_by_symbol(holdings: Iterable[Holding]) -> list[Exposure]:
    """Add up what positions are worth, symbol by symbol, the largest first."""
    return _largest_first((holding.symbol, holding) for holding in holdings)


def exposure_by_account(holdings: Iterable[Holding]) -> list[Exposure]:
    """Add up what positions are worth, account by account and asset by asset, the largest first."""
    return _largest_first((holding.account, holding) for holding in holdings)


def _largest_first(holdings: Iterable[tuple[str, Holding]]) -> list[Exposure]:
    found: dict[tuple[str, str, str], Exposure] = {}
    for name, holding in holdings:
        key = (holding.environment, name, holding.asset)
        exposure = found.setdefault(key, Exposure(*key))
        if holding.notional > 0:
            exposure.long += holding.notional
        else:
            exposure.short -= holding.notional
    return sorted(found.values(), key=lambda one: (one.environment != "LIVE", -one.gross, one.name))


def distance_percent(price: Decimal, level: Decimal) -> Decimal | None:
    """Return how far a level lies from a price, in percent of the price, to the hundredth; always positive."""
    if price <= 0:
        return None
    return (abs(level - price) / price * HUNDRED).quantize(CENT, rounding=ROUND_HALF_UP)


def maintenance_margin(notional: Decimal, brackets: Sequence[LeverageBracket]) -> Decimal | None:
    """Return the margin that keeps a position of this worth; ``None`` where its brackets are not known."""
    if not brackets:
        return None
    size = abs(notional)
    step = next((step for step in brackets if size <= step.cap), brackets[-1])
    return max(ZERO, size * step.maintenance_rate - step.maintenance_amount)


def ratio_percent(part: Decimal, whole: Decimal) -> Decimal | None:
    """Return a part of a whole in percent, to the hundredth; ``None`` where there is no whole."""
    return (part / whole * HUNDRED).quantize(CENT, rounding=ROUND_HALF_UP) if whole > 0 else None


def running(steps: Iterable[Decimal]) -> list[Decimal]:
    """Return the sum after each step; it begins at zero."""
    sums, total = [], ZERO
    for step in steps:
        total += step
        sums.append(total)
    return sums
