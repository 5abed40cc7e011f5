"""Orders sorted by the price they wait for, so that a price move looks only at those it reaches."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from decimal import Decimal


class Levels:
    """Order ids sorted by price, then by age."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: list[tuple[Decimal, int]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, price: Decimal, ident: int) -> None:
        insort(self._rows, (price, ident))

    def remove(self, price: Decimal, ident: int) -> None:
        """Remove an id, if it is there."""
        at = bisect_left(self._rows, (price, ident))
        if at < len(self._rows) and self._rows[at] == (price, ident):
            del self._rows[at]

    def up_to(self, price: Decimal) -> Iterator[tuple[Decimal, int]]:
        """Everything at or below this price, lowest first."""
        rows = self._rows
        if not rows or rows[0][0] > price:
            return iter(())
        return iter(rows[: bisect_right(rows, (price, 1 << 62))])

    def down_to(self, price: Decimal) -> Iterator[tuple[Decimal, int]]:
        """Everything at or above this price, highest first and oldest first at one price."""
        rows = self._rows
        if not rows or rows[-1][0] < price:
            return iter(())
        found = rows[bisect_left(rows, (price, -1)) :]
        found.sort(key=lambda row: (-row[0], row[1]))
        return iter(found)
