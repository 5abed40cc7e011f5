"""The trio as a person meant it, in the symbol's own decimals, and the symbol's rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from exchange.types import ZERO, OrderType, PositionMode, PositionSide, Side, TimeInForce
from orders.domain.enums import Follow, Protection, TargetPolicy
from orders.domain.errors import RuleBroken
from orders.domain.rounding import plain, shown
from orders.domain.sizing import Grid
from orders.domain.snapshot import PartTarget, Rules, Rung, Spec
from orders.models import Symbol, TrioOrder

PART_TARGET = re.compile(r"(?P<level>\d{1,20}(?:\.\d{1,16})?)\s*:\s*(?P<share>\d{1,3}(?:\.\d{1,4})?)\s*%?")
FILTERS = (
    "tick_size",
    "price_min",
    "price_max",
    "step_size",
    "quantity_min",
    "quantity_max",
    "market_step_size",
    "market_quantity_min",
    "market_quantity_max",
    "notional_min",
    "multiplier_up",
    "multiplier_down",
    "orders_max",
)


def spec_of(trio: TrioOrder) -> Spec:
    """Return what a person meant, with each number in the symbol's own decimals."""
    symbol = trio.symbol

    def price(value: Decimal | None) -> Decimal | None:
        return None if value is None else shown(value, symbol.tick_size)

    return Spec(
        side=Side(trio.side),
        position_side=PositionSide(trio.position_side),
        mode=PositionMode(trio.account.position_mode),
        quantity=shown(trio.quantity, symbol.step_size),
        entry_type=OrderType(trio.entry_type),
        protection=Protection(trio.protection),
        price=price(trio.price),
        trigger_price=price(trio.trigger_price),
        time_in_force=TimeInForce(trio.time_in_force),
        stop_loss=price(trio.stop_loss),
        take_profit=price(trio.take_profit),
        target_policy=TargetPolicy(trio.target_policy),
        part_targets=part_targets_of(trio),
        follow=Follow(trio.follow),
        rungs=rungs_of(trio),
        tick=symbol.tick_size,
        multiplier_up=symbol.multiplier_up,
        multiplier_down=symbol.multiplier_down,
    )


def grid_of(symbol: Symbol) -> Grid:
    """Return what of a symbol's rules a size must fit: it is to be sold at market, too, so the coarser of both lots."""
    return Grid(
        symbol=symbol.symbol,
        tick=symbol.tick_size or ZERO,
        step=max(symbol.step_size or ZERO, symbol.market_step_size or ZERO),
        quantity_min=max(symbol.quantity_min or ZERO, symbol.market_quantity_min or ZERO),
        notional_min=symbol.notional_min or ZERO,
        margin_asset=symbol.margin_asset,
    )


def part_targets_of(trio: TrioOrder) -> tuple[PartTarget, ...]:
    """Return a trio's part targets, nearest first, with each level in the symbol's own decimals."""
    return tuple(
        PartTarget(row["number"], shown(Decimal(row["level"]), trio.symbol.tick_size), Decimal(row["share"]))
        for row in trio.part_targets
    )


def rungs_of(trio: TrioOrder) -> tuple[Rung, ...]:
    """Return the rungs of a trio's entry ladder, with each price in the symbol's own decimals; empty where it is none."""
    return tuple(replace(rung, price=shown(rung.price, trio.symbol.tick_size)) for rung in trio.ladder)


def rungs_read(text: str) -> list[dict[str, str]]:
    """Read an entry ladder as a person writes it, “62000:50, 61500:50”: each price with its share in percent, nearest to the
    market first. Raises RuleBroken.
    """
    rows = []
    for part in filter(None, map(str.strip, text.split(","))):
        written = PART_TARGET.fullmatch(part)
        if written is None:
            raise RuleBroken(
                "rungs", f"“{part}” is no rung: write its price and its share in percent, such as 62000:50."
            )
        rows.append({"price": written["level"], "share": written["share"]})
    return rows


def rungs_text(trio: TrioOrder) -> str:
    """Return an entry ladder as a person writes it."""
    return ", ".join(f"{plain(rung.price)}:{plain(rung.share)}" for rung in rungs_of(trio))


def part_targets_read(text: str, *, after: int = 0) -> list[dict[str, int | str]]:
    """Read part targets as a person writes them, “62000:50, 63000:25”: each level with its share in percent, nearest first.

    ``after``: the last number that was given before. Raises RuleBroken.
    """
    rows: list[dict[str, int | str]] = []
    for place, part in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
        written = PART_TARGET.fullmatch(part)
        if written is None:
            raise RuleBroken(
                "part_targets",
                f"“{part}” is not a part target: write its price and its share in percent, such as 62000:50.",
            )
        rows.append({"number": after + place, "level": written["level"], "share": written["share"]})
    return rows


def part_targets_text(trio: TrioOrder) -> str:
    """Return part targets as a person writes them."""
    return ", ".join(f"{plain(part.level)}:{plain(part.share)}" for part in part_targets_of(trio))


LISTED: Final[Mapping[str, Callable[[TrioOrder], str]]] = {
    "part_targets": part_targets_text,
    "rungs": rungs_text,
}


def rules_of(symbol: Symbol) -> Rules:
    """Return the symbol's rules as they were last read."""
    return Rules(
        symbol=symbol.symbol,
        trading=symbol.is_trading,
        status=symbol.status,
        **{name: getattr(symbol, name) for name in FILTERS},
    )


def spec_shown(trio: TrioOrder) -> dict[str, str]:
    """Return a draft as a page shows it, one text for each field a person may set."""
    found = {}
    for name in TrioOrder.SPEC_FIELDS:
        value = LISTED[name](trio) if name in LISTED else getattr(trio, name)
        found[name] = plain(value) if isinstance(value, Decimal) else "" if value is None else str(value)
    return found


def spec_changes(trio: TrioOrder, seen: Mapping[str, str]) -> list[str]:
    """Return what of a draft is not as somebody saw it, as “quantity 0.01 → 5”."""
    now = spec_shown(trio)
    return [
        f"{name.replace('_', ' ')} {seen[name] or 'none'} → {text or 'none'}"
        for name, text in now.items()
        if name in seen and seen[name] != text
    ]
