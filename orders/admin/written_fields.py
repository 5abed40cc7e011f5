"""The order form's fields in which a level or a size may be written: “2%”, “1.5R”, “250 USDT”, “1% risk”, or a number.

What was written becomes plain numbers before the form's rules are asked; the draft keeps those alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django import forms
from unfold.widgets import UnfoldAdminTextInputWidget

from exchange.types import ZERO, OrderType, Side
from orders.domain.errors import RuleBroken
from orders.domain.sizing import Level, Means
from orders.domain.understood import Around, Understood, Written, understood
from orders.domain.written import WrittenSize, level_read, size_read
from orders.models import Symbol, TrioOrder
from orders.queueing.market_at_hand import AtHand, at_hand
from orders.specs import grid_of

WRITTEN: Final = ("quantity", "stop_loss", "take_profit")
HELPS: Final = {
    "quantity": "A quantity in the base asset, “250 USDT”, “1% risk” (lost at the stop) or “5% equity”.",
    "stop_loss": "A price, or a distance from the entry: “2%”. Closes the position at market when the mark price reaches it. Required.",
    "take_profit": "A price, “3%”, or “1.5R” (R: the distance from the entry to the stop). Closes at market when the last price reaches it. Required.",
}


class WrittenField(forms.DecimalField):
    """A number, or what can be understood as one. What it gives is a Decimal, a Level or a WrittenSize."""

    def __init__(self, name: str, *, label: str) -> None:
        self._read: Callable[[str], Level | WrittenSize | None] = (
            size_read if name == "quantity" else lambda text: level_read(name, text)
        )
        super().__init__(
            label=label,
            required=True,
            max_digits=38,
            decimal_places=16,
            help_text=HELPS[name],
            widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
            error_messages={
                "invalid": "Enter a number, with a point for decimals, like 0.010, or one of the forms below."
            },
        )

    def clean(self, value: Any) -> Any:
        try:
            written = self._read(value) if isinstance(value, str) else None
        except RuleBroken as problem:
            raise forms.ValidationError(str(problem)) from None
        return super().clean(value) if written is None else written


class WrittenForm(forms.BaseForm):
    """Mixed into the order form: understands its written fields.

    ``words``: by field, what was worked out. ``hand``: the market it was worked out from; ``None`` where none was needed.
    ``read``: what was read of all fields before the rules are asked, ``unread``: what of them could not be.
    """

    words: dict[str, str]
    hand: AtHand | None
    read: dict[str, Any]
    unread: dict[str, list[str]]
    cleaned_data: dict[str, Any]

    def understand(self, cleaned: dict[str, Any]) -> None:
        """Put plain numbers in the place of what was written, and an error at each field where that fails."""
        self.words, self.hand = {}, None
        written = _written(cleaned)
        if written is not None and written.needs_market:
            self.hand = at_hand(trio_of(cleaned))
            found = understood(written, around_of(cleaned["symbol"], self.hand))
            self._take(cleaned, found)
        self.read = dict(cleaned)
        self.unread = {name: [str(error) for error in found] for name, found in self.errors.items()}

    def _take(self, cleaned: dict[str, Any], found: Understood) -> None:
        self.words = found.words
        for name in WRITTEN:
            if name in cleaned and isinstance(cleaned[name], (Level, WrittenSize)):
                cleaned[name] = getattr(found, name)
        for problem in found.problems:
            if not self.has_error(problem.field):
                self.add_error(problem.field, str(problem))
        for name in WRITTEN:
            if cleaned.get(name, ZERO) is None:
                del cleaned[name]

    def drop_written(self) -> set[str]:
        """Take out what was not understood; return the names, for the row's own checks to leave out."""
        left = {name for name in WRITTEN if isinstance(self.cleaned_data.get(name), (Level, WrittenSize))}
        for name in left:
            del self.cleaned_data[name]
        return left


def _written(cleaned: dict[str, Any]) -> Written | None:
    if not cleaned.get("side") or not cleaned.get("entry_type"):
        return None
    return Written(
        side=Side(cleaned["side"]),
        entry_type=OrderType(cleaned["entry_type"]),
        price=cleaned.get("price"),
        trigger_price=cleaned.get("trigger_price"),
        quantity=cleaned.get("quantity"),
        stop_loss=cleaned.get("stop_loss"),
        take_profit=cleaned.get("take_profit"),
    )


def trio_of(cleaned: dict[str, Any]) -> TrioOrder:
    """Return an unsaved trio with what is said so far; a quantity of zero when none is."""
    said = {name: cleaned[name] for name in TrioOrder.SPEC_FIELDS if cleaned.get(name) not in (None, "")}
    said = {name: value for name, value in said.items() if not isinstance(value, (Level, WrittenSize))}
    trio = TrioOrder(**{"quantity": ZERO, **said}, source="admin")
    if not trio.position_side:
        trio.position_side = "BOTH"
    return trio


def around_of(symbol: Symbol, hand: AtHand) -> Around:
    """Return what levels and sizes are worked out from."""
    market = hand.market
    return Around(
        grid=grid_of(symbol),
        means=Means(
            equity=hand.equity,
            free=None if market.available is None else market.available - market.promised,
            leverage=market.leverage or 1,
        ),
        base=symbol.base_asset,
        quote=symbol.quote_asset,
        mark=market.mark_price,
    )
