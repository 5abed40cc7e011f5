"""What each slot holds, as the exchange shows it: our position, the mark price, external orders. One may be adopted."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.models import Environment
from infrastructure.admin_pages import DialogActions, DialogForm, dialog, redirect
from orders import services
from orders.admin import columns
from orders.admin.read_only import ReadOnlyAdmin
from orders.domain.adoption import level_read
from orders.domain.enums import Role
from orders.domain.errors import OrdersError, TrioRefused
from orders.models import Slot, TrioOrder
from orders.services import ForeignOrders

LEVEL_ATTRS = {"autocomplete": "off", "placeholder": "2%"}


class AdoptForm(DialogForm):
    """Shows the position as the exchange has it now, and asks for its levels. What is adopted is what was shown."""

    form_before_template = "admin/orders/slot/dialog_adopt.html"

    stop = forms.CharField(
        label="Stop-loss",
        max_length=60,
        help_text="A percentage of the entry price, like 2%, or a price.",
        widget=UnfoldAdminTextInputWidget(attrs=LEVEL_ATTRS),
    )
    target = forms.CharField(
        label="Take-profit",
        max_length=60,
        help_text="A percentage of the entry price, like 5%, or a price.",
        widget=UnfoldAdminTextInputWidget(attrs=LEVEL_ATTRS | {"placeholder": "5%"}),
    )
    foreign = forms.ChoiceField(
        label="Orders that are not ours",
        choices=[
            (ForeignOrders.LEAVE.value, "Leave them as they are"),
            (ForeignOrders.CANCEL.value, "Cancel those shown here, once ours stand"),
        ],
        initial=ForeignOrders.LEAVE.value,
        widget=UnfoldAdminSelectWidget(),
    )
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sentence, self._live = "", False
        if self.is_bound:
            return
        object_id = str(kwargs.get("object_id"))
        slots = Slot.objects.select_related("account")
        slot = slots.filter(pk=object_id).first() if object_id.isdigit() else None
        if slot is None:
            return
        self._live = slot.account.environment == Environment.LIVE
        try:
            found = services.position_find(**_named(slot))
        except OrdersError as error:
            self._sentence = str(error)
            return
        self._sentence = found.sentence
        shown = {"quantity": str(found.quantity), "orders": [order.client_id for order in found.orders]}
        self.fields["seen"].initial = json.dumps(shown)

    def get_before_template_context(self, request: Any, object_id: Any = None) -> dict[str, Any]:
        return {"sentence": self._sentence, "real_money": self._live}


def _named(slot: Slot) -> dict[str, Any]:
    """Return which position a slot is about. Raises RuleBroken for a symbol that is not known."""
    return {
        "account": slot.account,
        "symbol": services.symbol_get(slot.account.environment, slot.symbol),
        "position_side": slot.position_side,
    }


def seen_position(text: str) -> tuple[Decimal, list[str]]:
    """Read the quantity and the orders that the dialog showed. Raises TrioRefused when it does not say."""
    try:
        found = json.loads(text)
        return Decimal(str(found["quantity"])), [str(order) for order in found["orders"]]
    except (ValueError, TypeError, KeyError, ArithmeticError):
        raise TrioRefused(
            "This request does not say which position was shown. Open the slot, look at what is there, then adopt it. "
            "Nothing was adopted."
        ) from None


@admin.register(Slot)
class SlotAdmin(DialogActions, ReadOnlyAdmin):
    refusals = (OrdersError,)
    actions_detail: ClassVar = ["adopt"]
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

    # --- adopting what a slot holds ---

    def has_adopt_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("orders.place_trioorder")

    @action(
        description="Adopt",
        url_path="adopt",
        permissions=["adopt"],
        icon="volunteer_activism",
        variant=ActionVariant.PRIMARY,
        dialog=dialog(
            "Adopt this position?",
            "It becomes a trio: a stop-loss and a take-profit go out at once, and from then on it is covered, and closed, like any "
            "other. If the exchange takes no stop-loss for it, it is closed at market.",
            "Adopt it",
            AdoptForm,
        ),
    )
    def adopt(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        slot = self.get_object(request, object_id)
        made: list[TrioOrder] = []
        if slot is not None and self.run(request, slot, partial(_adopted, request, form.cleaned_data, made)):
            self.log_change(request, made[0], f"Adopted from {slot}.")
            return redirect(request, reverse("admin:orders_trioorder_change", args=[made[0].pk]))
        return self.on_page(request, object_id, lambda _: None)


def _adopted(request: HttpRequest, typed: dict[str, Any], made: list[TrioOrder], slot: Slot) -> str:
    quantity, orders = seen_position(typed["seen"])
    trio = services.position_adopt(
        **_named(slot),
        stop=level_read(typed["stop"], Role.STOP_LOSS),
        target=level_read(typed["target"], Role.TAKE_PROFIT),
        foreign=ForeignOrders(typed["foreign"]),
        quantity=quantity,
        named=orders,
        by=request.user.get_username(),
    )
    made.append(trio)
    return f"{trio}: adopted. {trio.reason}".strip()
