"""What a person writes for a level or a size, understood: “2%”, “1.5R”, “59500”, “250 USDT”, “1% risk”. Pure.

Nothing is guessed: a decimal comma, a bare “%” for a size, an unknown unit are refused with what to write instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from orders.domain.errors import RuleBroken
from orders.domain.rounding import plain
from orders.domain.sizing import Level, LevelKind, Size, SizeKind

NUMBER: Final = r"(?P<number>\d{1,22}(?:\.\d{1,16})?|\.\d{1,16})"
LEVEL: Final = re.compile(rf"{NUMBER}\s*(?P<unit>%|[rR])")
SIZE: Final = re.compile(rf"{NUMBER}\s*(?P<unit>%)?\s*(?:of\s+)?(?P<word>[A-Za-z0-9]{{1,24}})?")
COMMA: Final = re.compile(r"[\d.]*\d,\d[\d.,]*")
RISK: Final = frozenset({"risk", "risked", "r"})
EQUITY: Final = frozenset({"equity", "account", "balance"})


@dataclass(frozen=True, slots=True)
class WrittenSize:
    """A size as it was written, before it is known which assets the symbol has. ``word``: lower case."""

    text: str
    number: Decimal
    is_percent: bool
    word: str

    def size(self, *, base: str, quote: str) -> Size:
        """Return what it means for a symbol of these assets. Raises RuleBroken."""
        if self.is_percent:
            if self.word in RISK:
                return Size(SizeKind.RISK, self.number)
            if self.word in EQUITY:
                return Size(SizeKind.EQUITY, self.number)
        elif self.word == quote.lower():
            return Size(SizeKind.NOTIONAL, self.number)
        elif self.word in ("", base.lower()):
            return Size(SizeKind.QUANTITY, self.number)
        percent = f"{plain(self.number)}%"
        if self.is_percent and not self.word:
            raise _no_size(
                f"“{self.text}” does not say of what: write “{percent} risk” (of the equity, lost at the stop) or "
                f"“{percent} equity” (of the equity, as value)."
            )
        raise _no_size(
            f"“{self.text}” is not a size that can be understood: write a quantity in {base}, a value like “250 {quote}”, "
            "“1% risk” or “5% equity”."
        )


def level_read(field: str, text: str) -> Level | None:
    """Read a level that is a distance, “2%” or “1.5R”; ``None``: it is none, so it must be a price. Raises RuleBroken."""
    text = text.strip()
    _no_comma(field, text)
    written = LEVEL.fullmatch(text)
    if written is None:
        return None
    kind = LevelKind.PERCENT if written["unit"] == "%" else LevelKind.R
    value = Decimal(written["number"])
    if value <= 0:
        raise RuleBroken(field, f"“{text}” is not a distance: it must be greater than zero.")
    if kind is LevelKind.R and field == "stop_loss":
        raise RuleBroken(
            field,
            "R is the distance from the entry to the stop-loss, so it cannot say where that is: write a price, or a distance "
            "like “2%”.",
        )
    return Level(kind, value)


def size_read(text: str) -> WrittenSize | None:
    """Read a size that is more than a number; ``None``: it is none, so it must be a quantity. Raises RuleBroken."""
    text = text.strip()
    _no_comma("quantity", text)
    written = SIZE.fullmatch(text)
    if written is None or not (written["unit"] or written["word"]):
        return None
    if re.fullmatch(r"[eE]\d*", written["word"] or ""):
        return None  # “1e5” is a number as machines write it
    number = Decimal(written["number"])
    if number <= 0:
        raise _no_size(f"“{text}” is not a size: it must be greater than zero.")
    return WrittenSize(text, number, bool(written["unit"]), (written["word"] or "").lower())


def level_words(level: Level) -> str:
    """Return a level as it was understood."""
    match level.kind:
        case LevelKind.PERCENT:
            return f"{plain(level.value)} % from the entry"
        case LevelKind.R:
            return f"{plain(level.value)} × the distance from the entry to the stop-loss"
        case _:
            return f"price {plain(level.value)}"


def size_words(size: Size, *, base: str, quote: str) -> str:
    """Return a size as it was understood."""
    value = plain(size.value)
    return {
        SizeKind.QUANTITY: f"{value} {base}",
        SizeKind.NOTIONAL: f"worth {value} {quote} at the entry",
        SizeKind.EQUITY: f"worth {value} % of the equity at the entry",
        SizeKind.RISK: f"{value} % of the equity lost at the stop-loss, fees included",
    }[size.kind]


def _no_comma(field: str, text: str) -> None:
    """A comma is a decimal sign to one reader and a thousand to another: neither is taken for granted."""
    if "," in text:
        raise RuleBroken(
            field, f"“{text}” has a comma: decimals take a point, thousands nothing.{comma_hint(text)}"
        )


def comma_hint(text: str) -> str:
    """Return a sentence that asks for a point where a comma may have been meant for one; empty when none was."""
    found = COMMA.search(text)
    meant = found.group().replace(",", ".") if found else ""
    return f" Write {meant} if that is meant." if meant.count(".") == 1 else ""


def _no_size(sentence: str) -> RuleBroken:
    return RuleBroken("quantity", sentence)
