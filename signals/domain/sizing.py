"""From terms to figures: levels as prices of the symbol, and the quantity, rounded towards less risk.

A quantity below the symbol's minimum is refused, never raised; one above the free margin is refused unless the
size says ``cap``. Leverage changes what margin is needed, never how much is bought.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from exchange.types import ZERO, OrderType, Side
from orders.domain.rounding import entry_to_tick, plain, quantity_down, quantity_up, trigger_to_tick
from signals.domain.refusals import RefusalKind, SignalRefused
from signals.domain.terms import Level, LevelKind, Size, SizeKind, Terms

TAKER_FEE: Final = Decimal("0.0005")  # of the notional: what accounts without a discount pay
CENT: Final = Decimal("0.01")
HUNDRED: Final = Decimal(100)
CAPPED_TO: Final = Decimal("0.98")  # of the free margin: a market order is judged a little above the mark


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


@dataclass(frozen=True, slots=True)
class Figures:
    """Terms as figures of one account: what is to be placed."""

    quantity: Decimal
    stop: Decimal
    target: Decimal
    price: Decimal | None
    margin: Decimal  # that its entry needs, fee included
    at_stop: Decimal  # what is lost there, fees and slippage included


def figures(
    terms: Terms, *, side: Side, mark: Decimal | None, atr: Decimal | None, grid: Grid, means: Means
) -> Figures:
    """Return what these terms come to. Raises SignalRefused."""
    price = terms.price
    if terms.entry_type is OrderType.LIMIT and price is not None:
        price = entry_to_tick(price, tick=grid.tick, side=side)
    entry = price if terms.entry_type is OrderType.LIMIT else mark
    if entry is None:
        raise SignalRefused(RefusalKind.LEVEL_UNKNOWN, level="entry", missing="the mark price")
    stop = _placed("stop", terms.stop, side=side, entry=entry, atr=atr, risk=None, grid=grid, adverse=True)
    target = _placed(
        "target",
        terms.target,
        side=side,
        entry=entry,
        atr=atr,
        risk=abs(entry - stop),
        grid=grid,
        adverse=False,
    )
    if terms.size is None:
        raise SignalRefused(RefusalKind.SIZE_UNKNOWN, missing="a size")
    quantity = quantity_of(terms.size, side=side, entry=entry, stop=stop, grid=grid, means=means)
    loss = loss_per_unit(entry, stop, side=side, fee=means.fee, slippage=terms.size.slippage)
    return Figures(quantity, stop, target, price, margin_of(quantity, entry, means), quantity * loss)


def quantity_of(
    size: Size, *, side: Side, entry: Decimal, stop: Decimal, grid: Grid, means: Means
) -> Decimal:
    """Return the quantity that a size comes to. Raises SignalRefused."""
    raw = _raw(size, side=side, entry=entry, stop=stop, means=means)
    quantity = quantity_down(raw, step=grid.step)
    if means.free is not None and (needed := margin_of(quantity, entry, means)) > means.free:
        if not size.cap:
            raise SignalRefused(
                RefusalKind.SIZE_ABOVE_MARGIN,
                quantity=plain(quantity), symbol=grid.symbol, needed=plain(needed.quantize(CENT)),
                free=plain(max(ZERO, means.free).quantize(CENT)), asset=grid.margin_asset,
            )  # fmt: skip
        affordable = max(ZERO, means.free) * CAPPED_TO / margin_of(Decimal(1), entry, means)
        quantity = quantity_down(min(raw, affordable), step=grid.step)
    least = _least(entry, grid)
    if quantity < least:
        raise SignalRefused(
            RefusalKind.SIZE_TOO_SMALL, quantity=plain(quantity), symbol=grid.symbol, least=plain(least)
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
        raise SignalRefused(RefusalKind.SIZE_UNKNOWN, missing="the account's equity")
    amount = max(ZERO, means.equity) * size.value / HUNDRED
    if size.kind is SizeKind.EQUITY:
        return amount / entry
    loss = loss_per_unit(entry, stop, side=side, fee=means.fee, slippage=size.slippage)
    if loss <= 0:
        raise SignalRefused(RefusalKind.SIZE_UNKNOWN, missing="a stop on the losing side of the entry")
    return amount / loss


def _least(entry: Decimal, grid: Grid) -> Decimal:
    least = max(grid.quantity_min, grid.step)
    if grid.notional_min and entry:
        least = max(least, grid.notional_min / entry)
    return quantity_up(least, step=grid.step)


def _placed(
    name: str, level: Level | None, *, side: Side, entry: Decimal, atr: Decimal | None, risk: Decimal | None,
    grid: Grid, adverse: bool,
) -> Decimal:  # fmt: skip
    """Return a level as a price on the tick, rounded towards the entry: never risk, nor hope for, more."""
    if level is None:
        raise SignalRefused(RefusalKind.LEVEL_UNKNOWN, level=name, missing="where it is wanted")
    if level.kind is LevelKind.PRICE:
        price = level.value
    else:
        distance = _distance(name, level, entry=entry, atr=atr, risk=risk)
        below = (side is Side.BUY) == adverse
        price = entry - distance if below else entry + distance
    price = trigger_to_tick(price, tick=grid.tick, entry_price=entry)
    if price <= 0:
        raise SignalRefused(RefusalKind.LEVEL_IMPOSSIBLE, level=name, price=plain(price))
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
        raise SignalRefused(RefusalKind.LEVEL_UNKNOWN, level=name, missing=missing)
    return unit * level.value
