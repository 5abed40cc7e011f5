"""Levels and sizes as people and signals say them, worked out as figures of one symbol and account. Pure.

A level is a price, or a distance from the entry; a size is a quantity, a value, a part of the equity, or a risk. Everything is
rounded towards less risk. A quantity below the symbol's minimum is refused, never raised; one above the free margin is refused
unless the size says ``cap``. Leverage changes what margin is needed, never how much is bought.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from exchange.types import ZERO, Side
from orders.domain.rounding import CENT, plain, quantity_down, quantity_up, trigger_to_tick
from orders.domain.validation import TAKER_FEE

HUNDRED: Final = Decimal(100)
CAPPED_TO: Final = Decimal("0.98")  # of the free margin: a market order is judged a little above the mark


class LevelKind(enum.StrEnum):
    PRICE = "PRICE"
    PERCENT = "PERCENT"  # of the entry price
    ATR = "ATR"  # multiples of the average true range that the signal brings
    R = "R"  # multiples of the distance between entry and stop; for targets


class SizeKind(enum.StrEnum):
    QUANTITY = "QUANTITY"  # of the base asset
    NOTIONAL = "NOTIONAL"  # of the quote asset
    EQUITY = "EQUITY"  # percent of the equity, as notional
    RISK = "RISK"  # percent of the equity, lost at the stop with fees and slippage


@dataclass(frozen=True, slots=True)
class Level:
    kind: LevelKind
    value: Decimal


@dataclass(frozen=True, slots=True)
class Size:
    """How much. ``cap``: made smaller where the free margin does not suffice. ``slippage``: percent, each way."""

    kind: SizeKind
    value: Decimal
    cap: bool = False
    slippage: Decimal = Decimal(0)


class SizingProblem(enum.StrEnum):
    SIZE_TOO_SMALL = "SIZE_TOO_SMALL"
    SIZE_ABOVE_MARGIN = "SIZE_ABOVE_MARGIN"
    SIZE_UNKNOWN = "SIZE_UNKNOWN"  # it needs something that is not there: a price, a stop, the equity
    LEVEL_UNKNOWN = "LEVEL_UNKNOWN"
    LEVEL_IMPOSSIBLE = "LEVEL_IMPOSSIBLE"


class SizingRefused(Exception):
    """This level or size comes to no figure. ``kind`` and ``facts`` say why."""

    def __init__(self, kind: SizingProblem, **facts: str) -> None:
        super().__init__(kind.value)
        self.kind = kind
        self.facts: Mapping[str, str] = facts

    @property
    def sentence(self) -> str:
        """What it says to the person who wrote it."""
        return _SENTENCES[self.kind](self.facts)


_SENTENCES: Final[Mapping[SizingProblem, Callable[[Mapping[str, str]], str]]] = {
    SizingProblem.SIZE_TOO_SMALL: lambda f: (
        f"The size comes to {f['quantity']}, below the smallest order of {f['symbol']}, {f['least']}. It is never raised."
    ),
    SizingProblem.SIZE_ABOVE_MARGIN: lambda f: (
        f"{f['quantity']} {f['symbol']} would need {f['needed']} {f['asset']} of margin and fees, but only {f['free']} are free."
    ),
    SizingProblem.SIZE_UNKNOWN: lambda f: f"The size cannot be worked out: {f['missing']} is not known.",
    SizingProblem.LEVEL_UNKNOWN: lambda f: (
        f"The {f['level']} cannot be worked out: {f['missing']} is not known."
    ),
    SizingProblem.LEVEL_IMPOSSIBLE: lambda f: (
        f"The {f['level']} comes to {f['price']}, which is not a price."
    ),
}


@dataclass(frozen=True, slots=True)
class Grid:
    """What of a symbol's rules a size must fit."""

    symbol: str
    tick: Decimal
    step: Decimal
    quantity_min: Decimal = ZERO
    notional_min: Decimal = ZERO
    margin_asset: str = ""


@dataclass(frozen=True, slots=True)
class Means:
    """What an account has for it. ``None``: not known."""

    equity: Decimal | None = None
    free: Decimal | None = None
    leverage: int = 1
    fee: Decimal = TAKER_FEE


def quantity_of(
    size: Size, *, side: Side, entry: Decimal, stop: Decimal, grid: Grid, means: Means
) -> Decimal:
    """Return the quantity that a size comes to. Raises SizingRefused."""
    raw = _raw(size, side=side, entry=entry, stop=stop, means=means)
    quantity = quantity_down(raw, step=grid.step)
    if means.free is not None and (needed := margin_of(quantity, entry, means)) > means.free:
        if not size.cap:
            raise SizingRefused(
                SizingProblem.SIZE_ABOVE_MARGIN,
                quantity=plain(quantity), symbol=grid.symbol, needed=plain(needed.quantize(CENT)),
                free=plain(max(ZERO, means.free).quantize(CENT)), asset=grid.margin_asset,
            )  # fmt: skip
        affordable = max(ZERO, means.free) * CAPPED_TO / margin_of(Decimal(1), entry, means)
        quantity = quantity_down(min(raw, affordable), step=grid.step)
    least = _least(entry, grid)
    if quantity < least:
        raise SizingRefused(
            SizingProblem.SIZE_TOO_SMALL, quantity=plain(quantity), symbol=grid.symbol, least=plain(least)
        )
    return quantity


def loss_per_unit(
    entry: Decimal, stop: Decimal, *, side: Side, fee: Decimal, slippage: Decimal = ZERO
) -> Decimal:
    """Return what one unit loses between entry and stop, both fees and the slippage of both included."""
    worse = slippage / HUNDRED
    if side is Side.BUY:
        paid, got = entry * (1 + worse), stop * (1 - worse)
        return paid - got + fee * (paid + got)
    got, paid = entry * (1 - worse), stop * (1 + worse)
    return paid - got + fee * (paid + got)


def margin_of(quantity: Decimal, entry: Decimal, means: Means) -> Decimal:
    notional = quantity * entry
    return notional / means.leverage + notional * means.fee


def _raw(size: Size, *, side: Side, entry: Decimal, stop: Decimal, means: Means) -> Decimal:
    if size.kind is SizeKind.QUANTITY:
        return size.value
    if size.kind is SizeKind.NOTIONAL:
        return size.value / entry
    if means.equity is None:
        raise SizingRefused(SizingProblem.SIZE_UNKNOWN, missing="the account's equity")
    amount = max(ZERO, means.equity) * size.value / HUNDRED
    if size.kind is SizeKind.EQUITY:
        return amount / entry
    if (
        stop >= entry if side is Side.BUY else stop <= entry
    ):  # fees alone would make it a loss, and a vast quantity
        raise SizingRefused(SizingProblem.SIZE_UNKNOWN, missing="a stop on the losing side of the entry")
    return amount / loss_per_unit(entry, stop, side=side, fee=means.fee, slippage=size.slippage)


def _least(entry: Decimal, grid: Grid) -> Decimal:
    least = max(grid.quantity_min, grid.step)
    if grid.notional_min and entry:
        least = max(least, grid.notional_min / entry)
    return quantity_up(least, step=grid.step)


def level_placed(
    name: str, level: Level | None, *, side: Side, entry: Decimal, atr: Decimal | None, risk: Decimal | None,
    grid: Grid, adverse: bool,
) -> Decimal:  # fmt: skip
    """Return a level as a price on the tick, rounded towards the entry: never risk, nor hope for, more."""
    if level is None:
        raise SizingRefused(SizingProblem.LEVEL_UNKNOWN, level=name, missing="where it is wanted")
    if level.kind is LevelKind.PRICE:
        price = level.value
    else:
        distance = _distance(name, level, entry=entry, atr=atr, risk=risk)
        below = (side is Side.BUY) == adverse
        price = entry - distance if below else entry + distance
    price = trigger_to_tick(price, tick=grid.tick, entry_price=entry)
    if price <= 0:
        raise SizingRefused(SizingProblem.LEVEL_IMPOSSIBLE, level=name, price=plain(price))
    return price


def _distance(
    name: str, level: Level, *, entry: Decimal, atr: Decimal | None, risk: Decimal | None
) -> Decimal:
    if level.kind is LevelKind.PERCENT:
        return entry * level.value / HUNDRED
    unit, missing = (
        (atr, "the average true range") if level.kind is LevelKind.ATR else (risk, "the distance to the stop")
    )
    if unit is None:
        raise SizingRefused(SizingProblem.LEVEL_UNKNOWN, level=name, missing=missing)
    return unit * level.value
