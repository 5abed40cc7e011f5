"""The form of a ticket for several accounts."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from accounts.models import ExchangeAccount
from exchange.types import Side
from infrastructure.admin_pages import DialogForm
from orders.domain.enums import Protection
from signals.domain.posts import symbol_named
from signals.domain.terms import Level, LevelKind, Size, SizeKind, Terms, TermsError, entry_type_of, positive

NONE = [("", "–")]
TOKEN_MAX = 64


def _text(label: str, *, required: bool = True, hint: str = "") -> forms.CharField:
    widget = UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "inputmode": "decimal"})
    return forms.CharField(label=label, max_length=60, required=required, widget=widget, help_text=hint)


def _choice(label: str, words: Any, *, required: bool = True, hint: str = "") -> forms.ChoiceField:
    choices = [*([] if required else NONE), *((word.value, word.value) for word in words)]
    return forms.ChoiceField(
        label=label, choices=choices, required=required, widget=UnfoldAdminSelectWidget(), help_text=hint
    )


class TicketForm(DialogForm):
    """What is wanted, for whom. Without a size each account's own sizing counts."""

    token = forms.CharField(max_length=TOKEN_MAX, widget=forms.HiddenInput)
    accounts = forms.ModelMultipleChoiceField(
        queryset=ExchangeAccount.objects.filter(is_active=True).order_by("name"),
        widget=UnfoldAdminSelectMultipleWidget(),
    )
    symbol = _text("Symbol")
    side = _choice("Side", Side)
    price = _text("Entry price", required=False, hint="Leave empty for an entry at market.")
    trigger_price = _text(
        "Trigger price",
        required=False,
        hint="Makes it a stop entry: it waits for this mark price, above the market to buy, below it to sell. With an entry "
        "price it becomes a limit order there.",
    )
    stop_kind = _choice("Stop-loss by", (LevelKind.PERCENT, LevelKind.PRICE))
    stop_value = _text("Stop-loss")
    target_kind = _choice("Take-profit by", (LevelKind.R, LevelKind.PERCENT, LevelKind.PRICE))
    target_value = _text("Take-profit", hint="With R: a multiple of the distance to the stop.")
    size_kind = _choice(
        "Size by", SizeKind, required=False, hint="Leave empty to use each account's own sizing."
    )
    size_value = _text("Size", required=False)
    protection = _choice("Protection", Protection, required=False, hint="Leave empty for the default.")
    cap = forms.BooleanField(label="Cap at the free margin", required=False, widget=UnfoldBooleanWidget())
    dry_run = forms.BooleanField(label="Dry run: place nothing", required=False, widget=UnfoldBooleanWidget())
    ticket: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["token"].initial = uuid.uuid4().hex  # of the form as it was opened

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        try:
            symbol = symbol_named(cleaned["symbol"])
            price = positive("price", cleaned["price"]) if cleaned["price"] else None
            trigger = (
                positive("trigger_price", cleaned["trigger_price"]) if cleaned["trigger_price"] else None
            )
            stop = Level(LevelKind(cleaned["stop_kind"]), positive("stop_value", cleaned["stop_value"]))
            target = Level(
                LevelKind(cleaned["target_kind"]), positive("target_value", cleaned["target_value"])
            )
            size = self._size(cleaned)
        except TermsError as error:
            self.add_error(error.field, str(error))
            return cleaned
        self.ticket = {
            "token": cleaned["token"],
            "accounts": list(cleaned["accounts"]),
            "symbol": symbol,
            "side": Side(cleaned["side"]),
            "terms": Terms(
                stop,
                target,
                size,
                entry_type_of(trigger=trigger, price=price),
                price,
                protection=cleaned["protection"],
                trigger=trigger,
            ),
            "dry_run": cleaned["dry_run"],
        }
        return cleaned

    @staticmethod
    def _size(cleaned: dict[str, Any]) -> Size | None:
        if bool(cleaned["size_kind"]) != bool(cleaned["size_value"]):
            raise TermsError("size_value", "Enter both kind and size, or neither.")
        if not cleaned["size_kind"]:
            return None
        return Size(
            SizeKind(cleaned["size_kind"]), positive("size_value", cleaned["size_value"]), cleaned["cap"]
        )
