"""Limits on new risk: one row for an account, or for one source on it. Every change is kept."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import unfold.admin
from django import forms
from django.contrib import admin
from unfold.decorators import display

from infrastructure.admin_pages import ReadOnlyHistory
from orders.admin.columns import NOTHING, amount
from orders.domain.rounding import plain
from orders.models import RiskLimit

if TYPE_CHECKING:
    Base = admin.ModelAdmin[RiskLimit]
    FormBase = forms.ModelForm[RiskLimit]
else:

    class Base(ReadOnlyHistory, unfold.admin.ModelAdmin):
        pass

    FormBase = forms.ModelForm

SYMBOL = re.compile(r"[A-Z0-9_]{2,40}")
# fmt: off
RULES = ("notional_order", "notional_open", "trios_open", "orders_minute", "daily_loss", "collar_percent",
         "duplicate_seconds", "symbols")
# fmt: on


class LimitForm(FormBase):
    class Meta:
        model = RiskLimit
        fields = ("account", "source", "is_active", *RULES)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("notional_order", "notional_open", "daily_loss", "collar_percent"):
            if isinstance(value := self.initial.get(name), Decimal):  # not with sixteen decimals
                self.initial[name] = plain(value)

    def clean_symbols(self) -> str:
        """Return the symbols in capitals, each once. Raises ValidationError for what is no name of one."""
        names = list(dict.fromkeys(filter(None, re.split(r"[\s,]+", self.cleaned_data["symbols"].upper()))))
        if odd := [name for name in names if not SYMBOL.fullmatch(name)]:
            raise forms.ValidationError(
                f"{odd[0][:40]!r} is not a symbol: write them with commas, as in BTCUSDT,ETHUSDT."
            )
        return ", ".join(names)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors and not any(cleaned.get(name) not in (None, "") for name in RULES):
            raise forms.ValidationError("Set at least one limit.")
        return cleaned


@admin.register(RiskLimit)
class RiskLimitAdmin(Base):
    form = LimitForm
    list_display = (
        *("__str__", "is_active", "per_order", "open_together", "trios_open", "orders_minute", "loss_of_day"),
        *("collar_percent", "symbols_shown"),
    )
    list_filter = ("is_active", ("account", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("account",)
    search_fields = ("account__name", "source")
    fieldsets = (
        (None, {"fields": ("account", "source", "is_active")}),
        ("Limits", {"fields": RULES}),
    )
    per_order = amount("notional_order", "Per order")
    open_together = amount("notional_open", "Open together")
    loss_of_day = amount("daily_loss", "Daily loss")

    def get_readonly_fields(self, request: Any, obj: RiskLimit | None = None) -> tuple[str, ...]:
        return () if obj is None else ("account", "source")  # another account's limits are another row

    @display(description="Symbols")
    def symbols_shown(self, limit: RiskLimit) -> str:
        return limit.symbols or NOTHING
