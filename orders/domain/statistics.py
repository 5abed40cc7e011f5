"""What a set of trades comes to. Pure; money is ``Decimal`` in one asset: assets are never added up.

A trade is a trio that had a position and has ended. Won: net above zero; lost: below; even: zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, TypeVar

from exchange.types import ZERO, Side
from orders.domain.rounding import CENT
from orders.domain.validation import TAKER_FEE

FINE: Final = Decimal("0.0001")
Key = TypeVar("Key", date, str, int)


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade: when it closed, its net result with the parts of it, and what its first stop would have lost.

    ``opened_at``: its first execution, or when it was adopted. ``planned``: fees included; ``None`` where there was no stop,
    or none that would have lost. ``slippage``: by how much
    its stops executed worse than at their levels (better: negative); ``None`` where none did.
    """

    trio: int
    closed_at: datetime
    realized: Decimal
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    planned: Decimal | None = None
    slippage: Decimal | None = None
    opened_at: datetime | None = None

    @property
    def net(self) -> Decimal:
        return self.realized - self.fees + self.funding

    @property
    def held(self) -> timedelta | None:
        """How long it was held, from its first execution to its last."""
        return None if self.opened_at is None else self.closed_at - self.opened_at

    @property
    def r(self) -> Decimal | None:
        """Net result as a multiple of the planned risk, to the hundredth."""
        return None if self.planned is None else _rounded(self.net / self.planned, CENT)


@dataclass(frozen=True, slots=True)
class Statistics:
    """The figures of a set of trades in one asset. ``None``: there is no such figure (no trade, no loss, no R).

    Win rates are percent: of all trades, and of those that were won or lost. The drawdown is the largest fall of the sum
    of nets from a height it had reached, beginning at zero. Trades were held for so many whole seconds on average.
    """

    trades: int
    won: int
    lost: int
    even: int
    win_rate: Decimal | None
    win_rate_without_even: Decimal | None
    gains: Decimal
    losses: Decimal
    profit_factor: Decimal | None
    expectancy: Decimal | None
    realized: Decimal
    fees: Decimal
    funding: Decimal
    net: Decimal
    largest_drawdown: Decimal
    average_r: Decimal | None
    best_r: Decimal | None
    worst_r: Decimal | None
    trades_with_r: int
    slippage: Decimal
    average_held_seconds: int | None

    @property
    def no_losses(self) -> bool:
        """Is there no profit factor because nothing was lost?"""
        return bool(self.trades) and not self.losses


def statistics_of(trades: Iterable[Trade]) -> Statistics:
    """Work the figures out, whatever order the trades come in."""
    ordered = sorted(trades, key=lambda trade: (trade.closed_at, trade.trio))
    nets = [trade.net for trade in ordered]
    won, lost = [net for net in nets if net > 0], [net for net in nets if net < 0]
    gains, losses = sum(won, ZERO), -sum(lost, ZERO)
    multiples = [trade.r for trade in ordered if trade.r is not None]
    return Statistics(
        trades=len(nets),
        won=len(won),
        lost=len(lost),
        even=len(nets) - len(won) - len(lost),
        win_rate=_percent(len(won), len(nets)),
        win_rate_without_even=_percent(len(won), len(won) + len(lost)),
        gains=gains,
        losses=losses,
        profit_factor=_rounded(gains / losses, FINE) if losses else None,
        expectancy=_rounded(sum(nets, ZERO) / len(nets), FINE) if nets else None,
        realized=sum((trade.realized for trade in ordered), ZERO),
        fees=sum((trade.fees for trade in ordered), ZERO),
        funding=sum((trade.funding for trade in ordered), ZERO),
        net=sum(nets, ZERO),
        largest_drawdown=drawdown(nets),
        average_r=_rounded(sum(multiples, ZERO) / len(multiples), CENT) if multiples else None,
        best_r=max(multiples, default=None),
        worst_r=min(multiples, default=None),
        trades_with_r=len(multiples),
        slippage=sum((trade.slippage for trade in ordered if trade.slippage is not None), ZERO),
        average_held_seconds=_average_seconds([trade.held for trade in ordered if trade.held is not None]),
    )


def drawdown(nets: Sequence[Decimal]) -> Decimal:
    """Return the largest fall of the running sum from a height it had reached, beginning at zero."""
    height = total = deepest = ZERO
    for net in nets:
        total += net
        height = max(height, total)
        deepest = max(deepest, height - total)
    return deepest


def planned_risk(
    side: Side, *, entry: Decimal, first_stop: Decimal, quantity: Decimal, fee: Decimal = TAKER_FEE
) -> Decimal | None:
    """Return what the first stop would have lost, both fees included; ``None`` where it would have lost nothing."""
    move = entry - first_stop if side is Side.BUY else first_stop - entry
    loss = quantity * (move + fee * (entry + first_stop))
    return loss if loss > 0 else None


def stop_slippage(side: Side, *, level: Decimal, price: Decimal, quantity: Decimal) -> Decimal:
    """Return how much more a stop of a position on ``side`` lost than at its level; less: negative."""
    return quantity * (level - price if side is Side.BUY else price - level)


def day_of(moment: datetime, zone: tzinfo) -> date:
    """Return the day a moment belongs to for somebody in this zone. The day of limits is UTC for everybody."""
    return moment.astimezone(zone).date()


def by_day(trades: Iterable[Trade], zone: tzinfo) -> dict[date, Statistics]:
    """Return the figures of each day in this zone on which a trade closed, oldest first."""
    return grouped(trades, lambda trade: day_of(trade.closed_at, zone))


def grouped(trades: Iterable[Trade], key: Callable[[Trade], Key]) -> dict[Key, Statistics]:
    """Return the figures of each group of trades, the groups in order."""
    groups: dict[Key, list[Trade]] = {}
    for trade in trades:
        groups.setdefault(key(trade), []).append(trade)
    return {name: statistics_of(groups[name]) for name in sorted(groups)}


def _average_seconds(spans: Sequence[timedelta]) -> int | None:
    return round(sum(spans, timedelta()) / len(spans) / timedelta(seconds=1)) if spans else None


def _percent(part: int, whole: int) -> Decimal | None:
    return _rounded(Decimal(100) * part / whole, CENT) if whole else None


def _rounded(value: Decimal, unit: Decimal) -> Decimal:
    return value.quantize(unit, rounding=ROUND_HALF_UP)
