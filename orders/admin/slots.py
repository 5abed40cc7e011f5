"""What each slot holds, as the exchange shows it: our position, the mark price, external orders."""

from __future__ import annotations

from django.contrib import admin
from unfold.decorators import display

from orders.admin import columns
from orders.admin.read_only import ReadOnlyAdmin
from orders.models import Slot


@admin.register(Slot)
class SlotAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "held", "entry", "mark", "liquidation", "external_orders", "as_of_time")
    list_filter = (("account", admin.RelatedOnlyFieldListFilter), "position_side")
    list_select_related = ("account",)
    search_fields = ("symbol", "account__name")
    shown = (
        *("account", "symbol", "position_side", "held", "entry", "mark", "liquidation"),
        *("external_orders", "as_of_time", "mark_as_of_time", "updated_at"),
    )
    held = columns.amount("quantity", "Position")
    entry = columns.amount("entry_price", "Entry price")
    mark = columns.amount("mark_price", "Mark price")
    liquidation = columns.amount("liquidation_price", "Liquidation price")
    as_of_time = columns.exchange_time("as_of", "As of")
    mark_as_of_time = columns.exchange_time("mark_as_of", "Mark price as of")

    @display(description="External orders")
    def external_orders(self, slot: Slot) -> str:
        return ", ".join(map(str, slot.strangers)) or columns.NOTHING
