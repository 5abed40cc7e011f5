"""What each slot holds, as the exchange shows it: our position, the mark price, external orders. One may be adopted."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.models import Environment
from infrastructure.admin_pages import DialogActions, DialogForm, dialog, redirect
from orders import services
from orders.admin import columns
from orders.admin.read_only import ReadOnlyAdmin
from orders.desk import SlotStanding, slots_standing
from orders.domain.adoption import level_read
from orders.domain.enums import Role
from orders.domain.errors import OrdersError, TrioRefused
from orders.domain.rounding import plain
from orders.models import Slot, TrioOrder
from orders.services import ForeignOrders
from orders.templatetags.trios import money, money_signed, pnl_class

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


class HoldsFilter(admin.SimpleListFilter):
    """Positions that are open; and of them those that no trio holds."""

    title = "position"
    parameter_name = "holds"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "Open"), ("ours", "Held by a trio"), ("external", "External"), ("flat", "Flat")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        held = TrioOrder.objects.filter(slot=OuterRef("pk"), holds_slot=True).exclude(state="QUEUED")
        value = self.value()
        if value == "flat":
            return queryset.filter(quantity=0)
        if value not in ("open", "ours", "external"):
            return queryset
        found = queryset.exclude(quantity=0)
        if value == "open":
            return found
        return found.filter(Exists(held)) if value == "ours" else found.filter(~Exists(held))


@admin.register(Slot)
class SlotAdmin(DialogActions, ReadOnlyAdmin):
    refusals = (OrdersError,)
    actions_detail: ClassVar = ["adopt"]
    list_display = (
        *("slot_name", "position", "whose", "protection", "entry", "mark", "result_now", "worth"),
        *("liquidation_at", "external_orders", "as_of_time"),
    )
    list_filter = (HoldsFilter, ("account", admin.RelatedOnlyFieldListFilter), "position_side")
    list_fullwidth = True
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

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the list that reads where all its slots stand at once."""
        usual = super().get_changelist(request, **kwargs)

        class WithStanding(usual):  # type: ignore[misc, valid-type]
            result_list: list[Any]

            def get_results(self, request: HttpRequest) -> None:
                super().get_results(request)
                self.result_list = list(self.result_list)
                found = slots_standing(self.result_list)
                for slot in self.result_list:
                    slot.standing = found[slot.pk]

        return WithStanding

    @display(description="Slot", ordering="symbol")
    def slot_name(self, slot: Slot) -> str:
        side = "" if slot.position_side == "BOTH" else f" {slot.position_side}"
        return format_html("<b>{}{}</b><div>{}</div>", slot.symbol, side, slot.account)

    @display(description="Position", ordering="quantity")
    def position(self, slot: Slot) -> str:
        if not slot.quantity:
            return "flat"
        return f"{'long' if slot.quantity > 0 else 'short'} {plain(abs(slot.quantity))}"

    @display(description="Whose")
    def whose(self, slot: Any) -> str:
        standing: SlotStanding = slot.standing
        if standing.trio is not None:
            page = reverse("admin:orders_trioorder_change", args=[standing.trio.trio.pk])
            return format_html('<a class="trio-link" href="{}">trio #{}</a>', page, standing.trio.trio.pk)
        if not slot.quantity:
            return columns.NOTHING
        page = reverse("admin:orders_slot_change", args=[slot.pk])
        return format_html('not ours <a class="trio-link" href="{}">Adopt …</a>', page)

    @display(description="Protected by")
    def protection(self, slot: Any) -> str:
        standing: SlotStanding = slot.standing
        if not slot.quantity:
            return columns.NOTHING
        if standing.stops:
            return "; ".join(standing.stops)
        words = "no stop of ours" if standing.trio is None else "nothing: unprotected now"
        return format_html('<b class="trio-bad">{}</b>', words)

    @display(description="Net now")
    def result_now(self, slot: Any) -> str:
        standing: SlotStanding = slot.standing
        net = standing.unrealized if standing.trio is None else standing.trio.net
        if net is None:
            return columns.NOTHING
        note = "before fees" if standing.trio is None else "if closed now"
        return format_html(
            '<b class="{}">{}</b> {}<div><small>{}</small></div>',
            pnl_class(net),
            money_signed(net),
            standing.asset,
            note,
        )

    @display(description="Worth")
    def worth(self, slot: Any) -> str:
        return money(slot.standing.notional)

    @display(description="Liquidation", ordering="liquidation_price")
    def liquidation_at(self, slot: Any) -> str:
        away = slot.standing.liquidation_distance
        if away is None or not slot.quantity:
            return columns.NOTHING
        return format_html("{}<div><small>{} % away</small></div>", plain(slot.liquidation_price), away)

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
