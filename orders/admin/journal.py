"""The record of what happened: exchange calls with their outcomes, fills, and each trio's story."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.html import format_html
from unfold.decorators import display

from exchange.redaction import redact
from orders.admin import columns, trio_page
from orders.admin.read_only import ReadOnlyAdmin
from orders.badges import SIDE_COLOURS, VERDICT_COLOURS
from orders.domain.rounding import plain
from orders.models import Fill, Request, TrioEvent

IN_FLIGHT = "IN FLIGHT"


def outcome_of(request: Request, field: str) -> Any:
    """Return one field of a call's outcome; nothing while it has none."""
    return getattr(getattr(request, "outcome", None), field, None)


@admin.register(Request)
class RequestAdmin(ReadOnlyAdmin):
    list_display = ("begun", "trio_link", "kind", "role", "call", "verdict_badge", "code", "latency")
    list_filter = ("kind", "outcome__verdict", "method")
    list_select_related = ("trio__symbol", "leg", "outcome")
    search_fields = ("=trio__id", "leg__client_id", "outcome__message")
    ordering = ("-id",)
    shown = (
        *("trio_link", "kind", "role", "call", "payload_text", "payload_hash", "sent_at", "recv_window"),
        *("timeout_ms", "begun", "asked_by", "verdict_badge", "status", "code", "message", "latency"),
        *("position", "hash"),
    )
    trio_link = columns.trio()
    sent_at = columns.exchange_time("timestamp", "Timestamp, exchange time")
    begun = columns.time("begun_at", "Begun")

    @display(description="Role", ordering="leg__role")
    def role(self, request: Request) -> str:
        return f"{request.leg.role} {request.leg.generation}"

    @display(description="Call")
    def call(self, request: Request) -> str:
        return f"{request.method} {request.path}"

    @display(description="Verdict", ordering="outcome__verdict", label=VERDICT_COLOURS | {IN_FLIGHT: "info"})
    def verdict_badge(self, request: Request) -> str:
        return outcome_of(request, "verdict") or IN_FLIGHT

    @display(description="HTTP status")
    def status(self, request: Request) -> str:
        return str(outcome_of(request, "status") or columns.NOTHING)

    @display(description="Code", ordering="outcome__code")
    def code(self, request: Request) -> str:
        return str(outcome_of(request, "code") or columns.NOTHING)

    @display(description="Latency", ordering="outcome__latency_ms")
    def latency(self, request: Request) -> str:
        latency_ms = outcome_of(request, "latency_ms")
        return columns.NOTHING if latency_ms is None else f"{latency_ms} ms"

    @display(description="The exchange's message")
    def message(self, request: Request) -> str:
        return redact(outcome_of(request, "message") or columns.NOTHING)

    @display(description="Parameters")
    def payload_text(self, request: Request) -> str:
        lines = "\n".join(f"{name} = {value}" for name, value in trio_page.call_row(request).payload)
        return format_html('<pre class="trio-raw">{}</pre>', lines)


@admin.register(Fill)
class FillAdmin(ReadOnlyAdmin):
    list_display = ("time_text", "trio_link", "role", "side_badge", "size", "at_price", "fee", "realized")
    list_filter = (("account", admin.RelatedOnlyFieldListFilter), "side", "maker")
    list_select_related = ("trio__symbol", "leg", "account")
    search_fields = ("=trio__id", "=trade_id", "=order_id", "symbol")
    ordering = ("-time_ts", "-trade_id")
    shown = (
        *("trio_link", "role", "account", "symbol", "side", "size", "at_price", "fee", "realized"),
        *("maker", "trade_id", "order_id", "time_text"),
    )
    trio_link = columns.trio()
    time_text = columns.exchange_time("time_ts", "Exchange time")
    side_badge = columns.badge("side", "Side", SIDE_COLOURS)
    size = columns.amount("quantity", "Quantity")
    at_price = columns.amount("price", "Price")
    realized = columns.amount("realized_pnl", "Realized PnL")

    @display(description="Role", ordering="leg__role")
    def role(self, fill: Fill) -> str:
        return fill.leg.role

    @display(description="Fee", ordering="commission")
    def fee(self, fill: Fill) -> str:
        return f"{plain(fill.commission)} {fill.commission_asset}".strip()


@admin.register(TrioEvent)
class TrioEventAdmin(ReadOnlyAdmin):
    list_display = ("time", "trio_link", "kind", "text")
    list_filter = ("kind",)
    list_select_related = ("trio__symbol",)
    search_fields = ("=trio__id", "text")
    ordering = ("-id",)
    shown = ("time", "trio_link", "kind", "text", "data")
    trio_link = columns.trio()
    time = columns.time("at", "Time")
