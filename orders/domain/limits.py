"""Limits on new risk: what an account, or one source on it, may open. Pure: what is used already comes in as figures.

Stops, exits, cancels and look-ups are never asked about here.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from exchange.types import ZERO, OrderType, Side
from orders.domain.rounding import CENT, plain

AUTOMATIC: Final = frozenset({"strategy", "hook", "file"})  # what stands before the colon of a trio's source
HUNDRED: Final = Decimal(100)


def is_automatic(source: str) -> bool:
    """Did no person decide about this very trio?"""
    kind, colon, _ = source.partition(":")
    return bool(colon) and kind in AUTOMATIC


class LimitRule(enum.StrEnum):
    NO_LIMITS = "NO_LIMITS"
    SYMBOL = "SYMBOL"
    MARK_UNKNOWN = "MARK_UNKNOWN"
    COLLAR = "COLLAR"
    ORDER_NOTIONAL = "ORDER_NOTIONAL"
    OPEN_NOTIONAL = "OPEN_NOTIONAL"
    OPEN_TRIOS = "OPEN_TRIOS"
    ORDERS_A_MINUTE = "ORDERS_A_MINUTE"
    DAILY_LOSS = "DAILY_LOSS"
    DUPLICATE = "DUPLICATE"


@dataclass(frozen=True, slots=True)
class Limits:
    """What is allowed. ``None`` (and no symbols): this rule is off. ``source``: empty for all of the account."""

    account: str
    source: str = ""
    notional_order: Decimal | None = None
    notional_open: Decimal | None = None
    trios_open: int | None = None
    orders_minute: int | None = None
    daily_loss: Decimal | None = None
    collar_percent: Decimal | None = None
    duplicate_seconds: int | None = None
    symbols: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Usage:
    """What is used of a limit already, the trio in question left out. ``day_result``: net, since midnight UTC."""

    notional_open: Decimal = ZERO
    trios_open: int = 0
    begun_minute: int = 0
    day_result: Decimal = ZERO
    duplicate_of: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be opened."""

    symbol: str
    side: Side
    quantity: Decimal
    entry_type: OrderType
    price: Decimal | None
    mark: Decimal | None
    is_add: bool = False  # to a trio that is open: no further one
    trigger: Decimal | None = None  # of a stop entry
    worst: Decimal | None = None  # of a ladder: what a unit may come to on the average of its rungs
    farthest: Decimal | None = None  # of a ladder: the price of its last rung

    @property
    def notional(self) -> Decimal | None:
        """What it may come to: a sale's limit price fills at the market when that is higher. ``None``: not known.

        A stop entry meets the market at its trigger.
        """
        if self.worst is not None:
            return self.quantity * self.worst
        price = self.mark if self.entry_type is OrderType.MARKET else self.named_price
        if price is None:
            return None
        if self.entry_type.has_price and self.side is Side.SELL:
            price = max(price, self.trigger or self.mark or ZERO)
        return self.quantity * price

    @property
    def named_price(self) -> Decimal | None:
        """The price that was asked for: the limit, else the trigger; ``None``: none, it is at market."""
        return self.price if self.entry_type.has_price else self.trigger


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that new risk would break: its value, and the limit."""

    rule: LimitRule
    value: str
    limit: str
    account: str
    source: str = ""

    @property
    def facts(self) -> Mapping[str, str]:
        return {
            "rule": self.rule.value,
            "value": self.value,
            "limit": self.limit,
            "account": self.account,
            "source": self.source,
        }

    @property
    def sentence(self) -> str:
        whose = f"{self.source} on {self.account}" if self.source else self.account
        return _SENTENCES[self.rule].format(value=self.value, limit=self.limit, whose=whose)


_SENTENCES: Final[Mapping[LimitRule, str]] = {
    LimitRule.NO_LIMITS: "{whose} has no limits. Automated trios are placed on {limit} only within limits: "
    "set them under “Limits”.",
    LimitRule.SYMBOL: "Limit of {whose}: {value} is not among the allowed symbols ({limit}).",
    LimitRule.MARK_UNKNOWN: "Limit of {whose}: the mark price of {value} is not known, so the limit cannot be checked.",
    LimitRule.COLLAR: "Limit of {whose}: the entry price is {value} % away from the mark price; the maximum is {limit} %.",
    LimitRule.ORDER_NOTIONAL: "Limit of {whose}: the order's notional is {value}; the maximum is {limit}.",
    LimitRule.OPEN_NOTIONAL: "Limit of {whose}: open notional would be {value}; the maximum is {limit}.",
    LimitRule.OPEN_TRIOS: "Limit of {whose}: it would make {value} open trios; the maximum is {limit}.",
    LimitRule.ORDERS_A_MINUTE: "Limit of {whose}: it would make {value} entries within a minute; the maximum is {limit}.",
    LimitRule.DAILY_LOSS: "Limit of {whose}: daily loss, {value} of {limit} since midnight UTC. It resets at the "
    "next midnight UTC.",
    LimitRule.DUPLICATE: "Limit of {whose}: trio {value} is the same and was placed within the last {limit} s.",
}


def for_change(limited: tuple[Limits, Usage]) -> tuple[Limits, Usage]:
    """Return the limits that a change of a resting entry is asked about: it is no further trio and no further entry."""
    limits, usage = limited
    return replace(limits, trios_open=None, orders_minute=None, duplicate_seconds=None), usage


def breach(entry: Entry, limited: Iterable[tuple[Limits, Usage]]) -> Breach | None:
    """Return the first limit that opening this would break, if any."""
    for limits, usage in limited:
        for found in _breaches(entry, limits, usage):
            return found
    return None


def _breaches(entry: Entry, limits: Limits, usage: Usage) -> Iterable[Breach]:
    def broken(rule: LimitRule, value: object, limit: object) -> Breach:
        return Breach(rule, str(value), str(limit), limits.account, limits.source)

    if limits.symbols and entry.symbol not in limits.symbols:
        yield broken(LimitRule.SYMBOL, entry.symbol, ", ".join(sorted(limits.symbols)))
    if limits.daily_loss is not None and -usage.day_result >= limits.daily_loss:
        yield broken(LimitRule.DAILY_LOSS, _money(-usage.day_result), _money(limits.daily_loss))
    if usage.duplicate_of is not None and limits.duplicate_seconds is not None and not entry.is_add:
        yield broken(LimitRule.DUPLICATE, usage.duplicate_of, limits.duplicate_seconds)
    if limits.trios_open is not None and usage.trios_open + 1 > limits.trios_open and not entry.is_add:
        yield broken(LimitRule.OPEN_TRIOS, usage.trios_open + 1, limits.trios_open)
    if limits.orders_minute is not None and usage.begun_minute + 1 > limits.orders_minute:
        yield broken(LimitRule.ORDERS_A_MINUTE, usage.begun_minute + 1, limits.orders_minute)
    notional = entry.notional
    wants_notional = limits.notional_order is not None or limits.notional_open is not None
    wants_mark = limits.collar_percent is not None and entry.entry_type is not OrderType.MARKET
    if (wants_notional and notional is None) or (wants_mark and not entry.mark):
        yield broken(LimitRule.MARK_UNKNOWN, entry.symbol, "")
        return
    if limits.collar_percent is not None and entry.named_price is not None and entry.mark:
        named = (entry.named_price, entry.farthest or entry.named_price)
        away = max(abs(price - entry.mark) for price in named) / entry.mark * HUNDRED
        if away > limits.collar_percent:
            yield broken(LimitRule.COLLAR, plain(away.quantize(CENT)), plain(limits.collar_percent))
    if notional is None:
        return
    if limits.notional_order is not None and notional > limits.notional_order:
        yield broken(LimitRule.ORDER_NOTIONAL, _money(notional), _money(limits.notional_order))
    if limits.notional_open is not None and usage.notional_open + notional > limits.notional_open:
        yield broken(
            LimitRule.OPEN_NOTIONAL, _money(usage.notional_open + notional), _money(limits.notional_open)
        )


def _money(value: Decimal) -> str:
    return format(value.quantize(CENT), "f")
