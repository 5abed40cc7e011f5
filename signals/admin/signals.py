"""Each signal: what was wanted and why, and what became of it on each account."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

import unfold.admin
from django.contrib import admin, messages
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action, display

from infrastructure.admin_pages import DialogActions, ReadOnly, dialog, redirect
from orders.admin import columns
from orders.admin.read_only import ReadOnlyAdmin
from orders.domain.enums import OPENING, TrioState
from orders.domain.rounding import CENT, plain, signed
from orders.models import Leg
from orders.selectors import net_pnl
from signals.admin.ticket_form import TicketForm
from signals.domain.enums import Outcome
from signals.domain.refusals import sentence
from signals.domain.terms import LevelKind, SizeKind, Terms
from signals.models import Signal, SignalResult
from signals.tickets import ticket_record

if TYPE_CHECKING:
    InlineBase = admin.TabularInline[SignalResult, Signal]
else:
    InlineBase = unfold.admin.TabularInline

UNITS = {
    SizeKind.QUANTITY: "quantity {}",
    SizeKind.NOTIONAL: "worth {}",
    SizeKind.EQUITY: "{} % of the equity",
    SizeKind.RISK: "risk {} % of the equity",
}
LEVELS = {
    LevelKind.PRICE: "at {}",
    LevelKind.PERCENT: "{} % away",
    LevelKind.ATR: "{} ATR away",
    LevelKind.R: "at {} R",
}
COLOURS = {
    Outcome.PENDING.value: "info",
    Outcome.PLACED.value: "success",
    Outcome.CLOSING.value: "success",
    Outcome.CANCELLING.value: "success",
    Outcome.REFUSED.value: "danger",
    Outcome.TOO_LATE.value: "warning",
    Outcome.SLOT_TAKEN.value: "warning",
}


def described(terms: Terms) -> str:
    """Return what is wanted as people say it."""
    said = [f"stop entry at {plain(terms.trigger)}"] if terms.trigger is not None else []
    if terms.price is not None:
        said.append(f"limit {plain(terms.price)} {terms.time_in_force}")
    said = said or ["at market"]
    if terms.size is not None:
        cap = ", capped at the free margin" if terms.size.cap else ""
        said.append(f"{UNITS[terms.size.kind].format(plain(terms.size.value))}{cap}")
    for name, level in (("stop", terms.stop), ("target", terms.target)):
        if level is not None:
            said.append(f"{name} {LEVELS[level.kind].format(plain(level.value))}")
    return ", ".join(said)


def why(result: SignalResult) -> str:
    """Return why a result is as it is, in words."""
    return sentence(result.refusal, result.facts) if result.refusal else ""


class ResultInline(ReadOnly, InlineBase):
    model = SignalResult
    verbose_name_plural = "results"
    fields = readonly_fields = ("account", "outcome", "why", "trio_page", "at")
    extra = 0

    @display(description="Why")
    def why(self, result: SignalResult) -> str:
        if result.refusal:
            return why(result)
        return (
            ", ".join(f"{name} {value}" for name, value in result.facts.items() if value) or columns.NOTHING
        )

    @display(description="Trio")
    def trio_page(self, result: SignalResult) -> str:
        if result.trio_id is None:
            return columns.NOTHING
        page = reverse("admin:orders_trioorder_change", args=[result.trio_id])
        return format_html('<a href="{}">{}, {}</a>', page, result.trio, result.trio and result.trio.state)


@admin.register(Signal)
class SignalAdmin(DialogActions, ReadOnlyAdmin):
    actions_list: ClassVar = ["new_ticket"]
    list_display = ("received", "origin", "source", "symbol", "verb", "side", "outcomes", "reason")
    list_filter = ("origin", "status", "verb", "results__outcome", "source")
    search_fields = ("source", "symbol", "reason")
    inlines = (ResultInline,)
    shown = (
        *(
            "origin",
            "source",
            "symbol",
            "verb",
            "side",
            "wanted",
            "reason",
            "figures_shown",
            "dry_run",
            "together",
        ),
        *("timeframe", "bar", "received", "until", "status", "key"),
    )
    received = columns.time("received_at", "Received")
    until = columns.time("act_before", "May act until")
    bar = columns.exchange_time("bar_open_ts", "Bar")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("results__account", "results__trio__symbol")

    @display(description="Outcome")
    def outcomes(self, signal: Signal) -> str:
        found = [f"{result.account.name}: {result.outcome}" for result in signal.results.all()]
        return ", ".join(found) or columns.NOTHING

    @display(description="Wanted")
    def wanted(self, signal: Signal) -> str:
        return described(Terms.from_json(signal.terms))

    @display(description="Figures")
    def figures_shown(self, signal: Signal) -> str:
        return ", ".join(f"{name} {value}" for name, value in signal.figures.items()) or columns.NOTHING

    @display(description="All accounts together")
    def together(self, signal: Signal) -> str:
        trios = [result.trio for result in signal.results.all() if result.trio is not None]
        if not trios:
            return columns.NOTHING
        filled = Leg.objects.filter(trio__in=trios, role__in=OPENING).aggregate(total=Sum("filled"))["total"]
        opened = [trio for trio in trios if trio.trio_state is TrioState.OPEN]
        covered = sum(trio.uncovered_known_at is None for trio in opened)
        nets: dict[str, Decimal] = {}
        for found in net_pnl([trio.pk for trio in trios]).values():
            for part in found:
                nets[part.asset] = nets.get(part.asset, Decimal(0)) + part.net
        net = ", ".join(f"{signed(amount.quantize(CENT))} {asset}" for asset, amount in nets.items())
        return (
            f"{len(trios)} {'trio' if len(trios) == 1 else 'trios'}, filled {plain(filled or Decimal(0))}; {len(opened)} open, {covered} of them protected; "
            f"net {net or 'nothing yet'}"
        )

    def has_ticket_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("orders.place_trioorder")

    @action(
        description="New ticket",
        url_path="new-ticket",
        permissions=["ticket"],
        icon="send",
        dialog=dialog(
            "One trio on several accounts",
            "Each account is sized and checked by itself: one that is refused stops no other.",
            "Place them",
            TicketForm,
        ),
    )
    def new_ticket(self, request: HttpRequest, form: Any) -> HttpResponse:
        signal, is_new = ticket_record(by=request.user.get_username(), **form.ticket)
        if is_new:
            messages.success(request, f"{signal}: on its way. Reload this page to see what became of it.")
        else:
            messages.info(request, "This ticket was sent before: this is what became of it.")
        return redirect(request, reverse("admin:signals_signal_change", args=[signal.pk]))
