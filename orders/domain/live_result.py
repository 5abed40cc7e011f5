"""Where an open trio stands: what it has realised, what is open, and the price at which it comes out even. Pure.

All in the margin asset; a fee in another asset must not come in here.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from exchange.types import Side
from orders.domain.rounding import to_grid
from orders.domain.validation import TAKER_FEE


@dataclass(frozen=True, slots=True)
class Standing:
    """A trio with a position: its side, what is left of it, its average price, and what was booked until now."""

    side: Side
    quantity: Decimal
    average: Decimal
    realized: Decimal
    fees: Decimal
    funding: Decimal

    @property
    def _direction(self) -> int:
        return 1 if self.side is Side.BUY else -1

    def unrealized(self, mark: Decimal) -> Decimal:
        """What the position that is left would realise at this price, without a fee."""
        return self._direction * self.quantity * (mark - self.average)

    def net(self, mark: Decimal) -> Decimal:
        """Realised − fees + funding + what is open. A fee for closing what is left is not in it."""
        return self.realized - self.fees + self.funding + self.unrealized(mark)

    def net_if_closed(self, mark: Decimal, *, fee: Decimal = TAKER_FEE) -> Decimal:
        """The same, closed at this price as a taker."""
        return self.net(mark) - fee * self.quantity * mark

    def even_of_trio(self, *, tick: Decimal, fee: Decimal = TAKER_FEE) -> Decimal | None:
        """The price at which what is left is closed for the whole trio to come out even; ``None`` where no price would do."""
        booked = self.realized - self.fees + self.funding
        return self._even(self.quantity * self.average - self._direction * booked, tick, fee)

    def even_of_rest(
        self, *, tick: Decimal, fee: Decimal = TAKER_FEE, fee_each: Decimal | None = None
    ) -> Decimal | None:
        """The price at which what is left pays for itself, what it cost to enter included.

        ``fee_each``: what a unit of it cost in fees; ``None``: what a taker pays.
        """
        paid = self.quantity * (fee * self.average if fee_each is None else fee_each)
        return self._even(self.quantity * self.average + self._direction * paid, tick, fee)

    def _even(self, worth: Decimal, tick: Decimal, fee: Decimal) -> Decimal | None:
        """Return the price, rounded to the side that loses nothing, at which closing brings this much after its fee."""
        price = worth / (self.quantity * (1 - self._direction * fee))
        if price <= 0:
            return None
        return to_grid(price, tick, ROUND_CEILING if self.side is Side.BUY else ROUND_FLOOR)
