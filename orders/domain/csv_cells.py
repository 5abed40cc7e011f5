"""Cells of a file for a spreadsheet, which must not take what somebody wrote for a formula. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, TypeAlias

from orders.domain.rounding import plain

NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")
BEGINS_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
# What a spreadsheet keeps of a number: it counts in binary, with 15 digits that are sure.
DIGITS_KEPT: Final = 15


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, and of which grid (tick, step) it is: that has as many decimals. Without one it has its own."""

    value: Decimal
    grid: Decimal | None = None

    @property
    def decimals(self) -> int:
        """Return with how many decimals it is shown: none of its own is left out."""
        return max(_decimals(self.value), 0 if self.grid is None else _decimals(self.grid))

    @property
    def is_kept(self) -> bool:
        """Does a spreadsheet keep every digit of it?"""
        return len(self.value.normalize().as_tuple().digits) <= DIGITS_KEPT


@dataclass(frozen=True, slots=True)
class TimeHeading:
    """The name of a column of times. Which zone they are in stands beside it."""

    name: str


Cell: TypeAlias = "str | int | Figure | TimeHeading | datetime | None"


def figure(value: Decimal | None, grid: Decimal | None = None) -> Figure | None:
    return None if value is None else Figure(value, grid)


def _decimals(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def cell(text: str) -> str:
    """Return a cell that no spreadsheet runs; a plain number stays one."""
    return text if NUMBER.fullmatch(text) or not text.startswith(BEGINS_A_FORMULA) else f"'{text}"


def csv_lines(rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """Yield the lines of a file, one a row; nothing is shown as an empty cell, a time in UTC."""
    for row in rows:
        line = io.StringIO()
        csv.writer(line, lineterminator="\r\n").writerow([cell(_text(value)) for value in row])
        yield line.getvalue()


def _text(value: Cell) -> str:
    match value:
        case None:
            return ""
        case Figure():
            return plain(value.value)
        case TimeHeading():
            return f"{value.name}_utc"
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        case _:
            return str(value)
