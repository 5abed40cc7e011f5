"""The terms of a signal: entry, levels and size as a source says them, before an account's figures are known.

A level is a price, or a distance: percent of the entry, multiples of the average true range (ATR), or of the
distance between entry and stop (R). A size is a quantity, a notional, a part of the equity, or a risk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from exchange.types import OrderType, TimeInForce
from orders.domain.enums import Protection
from orders.domain.rounding import plain
from orders.domain.sizing import Level, LevelKind, Size, SizeKind

__all__ = [
    "Level",
    "LevelKind",
    "Size",
    "SizeKind",
    "Terms",
    "TermsError",
    "decimal",
    "entry_type_of",
    "positive",
    "protection_named",
    "size_as_json",
    "size_from_json",
]


ENTRIES: Final = {  # by whether a trigger and a price are named
    (False, False): OrderType.MARKET,
    (False, True): OrderType.LIMIT,
    (True, False): OrderType.STOP_MARKET,
    (True, True): OrderType.STOP,
}


def entry_type_of(*, trigger: Decimal | None, price: Decimal | None) -> OrderType:
    """Return what kind of entry these make: a trigger makes it a stop entry, a price a limit."""
    return ENTRIES[trigger is not None, price is not None]


class TermsError(ValueError):
    """These are no terms. ``field`` names what is wrong."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True, slots=True)
class Terms:
    """What is wanted. What is ``None`` is left to the source's own settings, or not wanted."""

    stop: Level | None = None
    target: Level | None = None
    size: Size | None = None
    entry_type: OrderType = OrderType.MARKET
    price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    protection: str = ""
    trigger: Decimal | None = None  # of a stop entry

    def as_json(self) -> dict[str, Any]:
        """Return it as it is stored: decimals as text, without what is not said."""
        found: dict[str, Any] = {"entry_type": self.entry_type.value}
        for name, level in (("stop", self.stop), ("target", self.target)):
            if level is not None:
                found[name] = {"kind": level.kind.value, "value": plain(level.value)}
        if self.size is not None:
            found["size"] = size_as_json(self.size)
        if self.price is not None:
            found["price"] = plain(self.price)
        if self.trigger is not None:
            found["trigger"] = plain(self.trigger)
        if self.entry_type.has_price:
            found["time_in_force"] = self.time_in_force.value
        if self.protection:
            found["protection"] = self.protection
        return found

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Terms:
        """Return what was stored by ``as_json``. Raises TermsError."""
        return cls(
            stop=_level("stop", said.get("stop")),
            target=_level("target", said.get("target")),
            size=size_from_json(said["size"]) if said.get("size") else None,
            entry_type=_word(OrderType, "entry_type", said.get("entry_type", OrderType.MARKET)),
            price=decimal("price", said["price"]) if said.get("price") is not None else None,
            trigger=decimal("trigger", said["trigger"]) if said.get("trigger") is not None else None,
            time_in_force=_word(TimeInForce, "time_in_force", said.get("time_in_force", TimeInForce.GTC)),
            protection=str(said.get("protection", "")),
        )


def size_as_json(size: Size) -> dict[str, Any]:
    return {
        "kind": size.kind.value,
        "value": plain(size.value),
        "cap": size.cap,
        "slippage": plain(size.slippage),
    }


def size_from_json(said: Mapping[str, Any]) -> Size:
    """Raises TermsError."""
    return Size(
        kind=_word(SizeKind, "size", said.get("kind")),
        value=positive("size", said.get("value")),
        cap=bool(said.get("cap", False)),
        slippage=decimal("slippage", said.get("slippage", "0")),
    )


DIGITS_MAX: Final = 38


def decimal(field: str, text: Any) -> Decimal:
    """Return a finite number. Raises TermsError; a decimal comma is never taken for anything else."""
    if isinstance(text, bool) or not isinstance(text, (str, int, Decimal)):
        raise TermsError(field, f"{field} is not a number: {text!r}")
    if isinstance(text, str) and "," in text:
        meant = text.strip().replace(",", ".")
        hint = f" Write {meant} if that is meant." if meant.count(".") == 1 else ""
        raise TermsError(field, f"{field} is not a number: {text.strip()!r} has a comma.{hint}")
    if isinstance(text, str) and "_" in text:
        raise TermsError(field, f"{field} is not a number: {text.strip()!r}")
    try:
        number = Decimal(text.strip() if isinstance(text, str) else text)
    except InvalidOperation:
        raise TermsError(field, f"{field} is not a number: {str(text)[:40]!r}") from None
    if not number.is_finite():
        raise TermsError(field, f"{field} is not a number: {str(text)[:40]!r}")
    if abs(number.adjusted()) > DIGITS_MAX or len(number.as_tuple().digits) > DIGITS_MAX:
        raise TermsError(field, f"{field} has too many digits: {str(text)[:60]!r}")
    return number


def positive(field: str, text: Any) -> Decimal:
    """Return a number above zero. Raises TermsError."""
    number = decimal(field, text)
    if number <= 0:
        raise TermsError(field, f"{field} must be greater than zero, not {number:f}.")
    return number


def protection_named(text: str) -> str:
    """Return when the legs go out; empty: as the environment's default says. Raises TermsError."""
    return _word(Protection, "protection", text.strip().upper()).value if text.strip() else ""


def _level(field: str, said: Any) -> Level | None:
    if not said:
        return None
    return Level(_word(LevelKind, field, said.get("kind")), positive(field, said.get("value")))


def _word(words: type[Any], field: str, said: Any) -> Any:
    try:
        return words(said)
    except ValueError:
        known = ", ".join(word.value for word in words)
        raise TermsError(field, f"{field} is {str(said)[:40]!r}: one of {known} is meant.") from None
