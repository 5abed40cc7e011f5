"""From what was written to plain numbers: a trio's levels and quantity, with a sentence for each that was worked out. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from exchange.types import OrderType, Side
from orders.domain.errors import RuleBroken
from orders.domain.rounding import entry_to_tick, on_grid, plain, scaled, to_grid
from orders.domain.sizing import (
    Grid,
    Level,
    LevelKind,
    Means,
    SizeKind,
    SizingProblem,
    SizingRefused,
    level_placed,
    quantity_of,
)
from orders.domain.written import WrittenSize, level_words, size_words


@dataclass(frozen=True, slots=True)
class Written:
    """What was written. A Decimal is taken as it is; ``None``: nothing (that can be read)."""

    side: Side
    entry_type: OrderType
    price: Decimal | None = None
    quantity: Decimal | WrittenSize | None = None
    stop_loss: Decimal | Level | None = None
    take_profit: Decimal | Level | None = None
    trigger_price: Decimal | None = None

    @property
    def needs_market(self) -> bool:
        """Must the market or the account be known to understand it?"""
        return any(
            isinstance(value, (Level, WrittenSize))
            for value in (self.quantity, self.stop_loss, self.take_profit)
        )


@dataclass(slots=True)
class Understood:
    """The same in plain numbers. ``words``: by field, what was worked out; ``problems``: what could not be."""

    quantity: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    words: dict[str, str] = field(default_factory=dict)
    problems: list[RuleBroken] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Around:
    """What it is worked out from. ``mark``: ``None`` when it is not known."""

    grid: Grid
    means: Means
    base: str
    quote: str
    mark: Decimal | None = None


def understood(written: Written, around: Around) -> Understood:
    """Return what was written in plain numbers: levels first, for a size may depend on them."""
    found = Understood()
    entry = _entry(written, around)
    found.stop_loss = _level(found, "stop_loss", written.stop_loss, written, around, entry=entry)
    found.take_profit = _level(found, "take_profit", written.take_profit, written, around, entry=entry)
    found.quantity = _quantity(found, written, around, entry=entry)
    return found


def _entry(written: Written, around: Around) -> Decimal | None:
    if written.entry_type is OrderType.MARKET:
        return around.mark
    price = written.price if written.entry_type.has_price else written.trigger_price
    if price is None or price <= 0:
        return None
    if not written.entry_type.has_price:
        return to_grid(price, around.grid.tick, ROUND_CEILING if written.side is Side.BUY else ROUND_FLOOR)
    return entry_to_tick(price, tick=around.grid.tick, side=written.side)


def _level(
    found: Understood,
    name: str,
    level: Decimal | Level | None,
    written: Written,
    around: Around,
    *,
    entry: Decimal | None,
) -> Decimal | None:
    if not isinstance(level, Level):
        return level
    what = name.replace("_", "-")
    stop = found.stop_loss
    risk = abs(entry - stop) if entry is not None and stop is not None else None
    try:
        reference = _known(entry, SizingProblem.LEVEL_UNKNOWN, _entry_name(written), level=what)
        price = level_placed(
            what, level, side=written.side, entry=reference, atr=None, risk=risk, grid=around.grid,
            adverse=name == "stop_loss",
        )  # fmt: skip
    except SizingRefused as error:
        found.problems.append(RuleBroken(name, error.sentence))
        return None
    found.words[name] = (
        f"{own(price, around.grid.tick)}: {level_words(level)} ({own(reference, around.grid.tick)})."
        if level.kind is LevelKind.PERCENT
        else f"{own(price, around.grid.tick)}: {level_words(level)}."
    )
    return price


def _quantity(
    found: Understood, written: Written, around: Around, *, entry: Decimal | None
) -> Decimal | None:
    wanted = written.quantity
    if not isinstance(wanted, WrittenSize):
        return wanted
    try:
        size = wanted.size(base=around.base, quote=around.quote)
        if size.kind is SizeKind.QUANTITY:
            return size.value
        price = _known(entry, SizingProblem.SIZE_UNKNOWN, _entry_name(written))
        stop = found.stop_loss
        if size.kind is SizeKind.RISK:
            stop = _known(stop, SizingProblem.SIZE_UNKNOWN, "the stop-loss")
        quantity = quantity_of(
            size,
            side=written.side,
            entry=price,
            stop=price if stop is None else stop,
            grid=around.grid,
            means=around.means,
        )
    except SizingRefused as error:
        found.problems.append(RuleBroken("quantity", error.sentence))
        return None
    except RuleBroken as problem:
        found.problems.append(problem)
        return None
    words = size_words(size, base=around.base, quote=around.quote)
    of = ""
    if size.kind in (SizeKind.EQUITY, SizeKind.RISK) and around.means.equity is not None:
        of = f" (equity {plain(around.means.equity)})"
    found.words["quantity"] = f"{own(quantity, around.grid.step)} {around.base}: {words}{of}."
    return quantity


def _known(value: Decimal | None, problem: SizingProblem, missing: str, **facts: str) -> Decimal:
    if value is None:
        raise SizingRefused(problem, missing=missing, **facts)
    return value


def _entry_name(written: Written) -> str:
    if written.entry_type is OrderType.MARKET:
        return "the mark price"
    return "the entry price" if written.entry_type.has_price else "the trigger price"


def own(value: Decimal, grid: Decimal | None) -> str:
    """Return a price or quantity as text with the symbol's own decimals; what is off the grid is shown as it is."""
    if grid and grid > 0 and on_grid(value, grid):
        return format(scaled(value, grid), "f")
    return plain(value)
