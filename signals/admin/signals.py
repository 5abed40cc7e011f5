"""Each signal: what was wanted and why, and what became of it on each account."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import unfold.admin
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display

from infrastructure.admin_pages import ReadOnly
from orders.admin import columns
from orders.admin.read_only import ReadOnlyAdmin
from signals.domain.enums import Outcome
from signals.domain.refusals import sentence
from signals.models import Signal, SignalResult

if TYPE_CHECKING:
    InlineBase = admin.TabularInline[SignalResult, Signal]
else:
    InlineBase = unfold.admin.TabularInline

COLOURS = {
    Outcome.PENDING.value: "info",
    Outcome.PLACED.value: "success",
    Outcome.CLOSING.value: "success",
    Outcome.CANCELLING.value: "success",
    Outcome.REFUSED.value: "danger",
    Outcome.TOO_LATE.value: "warning",
    Outcome.SLOT_TAKEN.value: "warning",
}


def why(result: SignalResult) -> str:
    """Return why a result is as it is, in words."""
    return sentence(result.refusal, result.facts) if result.refusal else ""


class ResultInline(ReadOnly, InlineBase):
    model = SignalResult
    verbose_name_plural = "what became of it"
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
class SignalAdmin(ReadOnlyAdmin):
    list_display = ("received", "origin", "source", "symbol", "verb", "side", "outcomes", "reason")
    list_filter = ("origin", "status", "verb", "results__outcome", "source")
    search_fields = ("source", "symbol", "reason")
    inlines = (ResultInline,)
    shown = (
        *("origin", "source", "symbol", "verb", "side", "wanted", "reason", "figures_shown", "dry_run"),
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
        return json.dumps(signal.terms, ensure_ascii=False)

    @display(description="Figures")
    def figures_shown(self, signal: Signal) -> str:
        return ", ".join(f"{name} {value}" for name, value in signal.figures.items()) or columns.NOTHING
