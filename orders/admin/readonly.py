"""What may be looked at and never edited: the book, the journal, who is alive, the trading rules."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

import unfold.admin
from django.contrib import admin, messages
from django.db.models import Case, IntegerField, QuerySet, When
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action, display

from accounts.models import ExchangeAccount
from exchange.redaction import redact
from infrastructure import job_queue
from orders import jobs
from orders.admin import trio_page
from orders.admin.actions import go
from orders.admin.forms import SyncSymbolsForm
from orders.badges import ENVIRONMENT_COLOURS, SIDE_COLOURS, VERDICT_COLOURS
from orders.domain.rounding import plain
from orders.exchange_data.clock import from_ms
from orders.models import Clock, Fill, Heartbeat, Request, Slot, Symbol, TrioEvent, Watch

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Any]
else:
    Base = unfold.admin.ModelAdmin


def number(name: str, description: str) -> Any:
    """Return a column that shows an amount as people write it, sortable by its value."""

    @display(description=description, ordering=name)
    def shown(self: Any, row: Any) -> str:
        value = getattr(row, name)
        return "–" if value is None else plain(value)

    return shown


def at(name: str, description: str) -> Any:
    """Return a column that shows a moment to the millisecond, in UTC: a journal needs more than minutes."""

    @display(description=f"{description} (UTC)", ordering=name)
    def shown(self: Any, row: Any) -> str:
        value = getattr(row, name)
        return f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03d}" if value else "–"

    return shown


def at_ms(name: str, description: str) -> Any:
    """Return a column that shows exchange milliseconds as a time in UTC."""

    @display(description=description, ordering=name)
    def shown(self: Any, row: Any) -> str:
        value = getattr(row, name)
        return f"{from_ms(value):%Y-%m-%d %H:%M:%S}" if value else "–"

    return shown


class ReadOnlyAdmin(Base):
    """Shows; a person changes nothing here, not even a superuser."""

    actions = None
    list_per_page = 50
    # Whole rows of amounts would show sixteen decimals: a page names the fields it shows.
    shown: ClassVar[tuple[str, ...]] = ()

    class Media:
        css: ClassVar = {"all": ("orders/trio.css",)}
        js = ("orders/dialogs.js",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.shown

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.shown

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Who may change it in Django's terms may look at it; changing stays impossible.
        name = self.opts.model_name
        return any(request.user.has_perm(f"orders.{verb}_{name}") for verb in ("view", "change"))


@admin.register(Symbol)
class SymbolAdmin(ReadOnlyAdmin):
    list_display = (
        "symbol",
        "environment_badge",
        "status_badge",
        "tick",
        "step",
        "smallest",
        "notional",
        "synced",
    )
    list_filter = ("environment", "status", "contract_type", "quote_asset")
    search_fields = ("symbol", "base_asset")
    actions_list: ClassVar = ["sync"]
    shown = (
        *("symbol", "environment", "status", "contract_type", "base_asset", "quote_asset", "margin_asset"),
        *("tick", "lowest", "highest", "step", "smallest", "largest", "market_step", "market_largest"),
        *("notional", "up", "down", "take_bound", "liquidation", "synced", "first_seen", "raw_text"),
    )
    synced = at("synced_at", "Synced")
    first_seen = at("first_seen_at", "First seen")
    tick = number("tick_size", "Tick")
    lowest = number("price_min", "Lowest price")
    highest = number("price_max", "Highest price")
    step = number("step_size", "Step")
    smallest = number("quantity_min", "Least quantity")
    largest = number("quantity_max", "Most in one order")
    market_step = number("market_step_size", "Step of market orders")
    market_largest = number("market_quantity_max", "Most in one market order")
    notional = number("notional_min", "Least notional")
    up = number("multiplier_up", "Highest price / mark")
    down = number("multiplier_down", "Lowest price / mark")
    take_bound = number("market_take_bound", "Market take bound")
    liquidation = number("liquidation_fee", "Liquidation fee")

    @display(description="Environment", ordering="environment", label=ENVIRONMENT_COLOURS)
    def environment_badge(self, symbol: Symbol) -> str:
        return symbol.environment

    @display(description="Status", ordering="status", label={"TRADING": "success", "DELISTED": "danger"})
    def status_badge(self, symbol: Symbol) -> str:
        return symbol.status

    @display(description="As the exchange sent it")
    def raw_text(self, symbol: Symbol) -> str:
        return format_html('<pre class="trio-raw">{}</pre>', json.dumps(symbol.raw, indent=2))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Symbol], search_term: str
    ) -> tuple[QuerySet[Symbol], bool]:
        found, duplicates = super().get_search_results(request, queryset, search_term)
        if request.GET.get("model_name") == "trioorder" and request.GET.get("field_name") == "symbol":
            found = self._best_first(self._for_a_trio(request, found), search_term.strip())
        return found, duplicates

    @staticmethod
    def _best_first(found: QuerySet[Symbol], term: str) -> QuerySet[Symbol]:
        """The symbol that was typed leads, then those that begin with it: SOLUSDT before RAYSOLUSDT."""
        rank = Case(
            When(symbol__iexact=term, then=0),
            When(symbol__istartswith=term, then=1),
            default=2,
            output_field=IntegerField(),
        )
        return found.order_by(rank, "symbol")

    def _for_a_trio(self, request: HttpRequest, found: QuerySet[Symbol]) -> QuerySet[Symbol]:
        """Offer what the chosen account can trade; without one, what any of our accounts can."""
        accounts = ExchangeAccount.objects.filter(is_active=True)
        if (chosen := request.GET.get("account", "")).isdigit():
            accounts = accounts.filter(pk=int(chosen))
        environments = accounts.values_list("environment", flat=True)
        return found.filter(environment__in=set(environments), status="TRADING")

    def has_sync_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("orders.change_symbol")

    @action(
        description="Sync symbols",
        url_path="sync",
        permissions=["sync"],
        icon="sync",
        dialog={
            "title": "Sync symbols?",
            "description": "Reads the exchange's trading rules into this table. Safe to repeat.",
            "form_submit_text": "Sync",
            "form_class": SyncSymbolsForm,
        },
    )
    def sync(self, request: HttpRequest, form: Any) -> HttpResponse:
        environment = str(form.cleaned_data["environment"])
        if job_queue.answering():
            job_queue.ring(jobs.sync_symbols, environment, queue_name="default")
            messages.success(
                request, f"Sync of {environment} is queued: reload this page in a few seconds to see it."
            )
        else:
            messages.error(
                request,
                "The queue (Redis) does not answer, so nothing was asked for. Start it, or run "
                f"“manage.py sync_symbols --environment {environment}”.",
            )
        return go(request, reverse("admin:orders_symbol_changelist"))


@admin.register(Slot)
class SlotAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "held", "entry", "mark", "liquidation", "strangers_text", "as_of_text")
    list_filter = (("account", admin.RelatedOnlyFieldListFilter), "position_side")
    list_select_related = ("account",)
    search_fields = ("symbol", "account__name")
    shown = (
        *("account", "symbol", "position_side", "held", "entry", "mark", "liquidation"),
        *("strangers_text", "as_of_text", "mark_as_of_text", "updated_at"),
    )
    held = number("quantity", "Position")
    entry = number("entry_price", "Entry price")
    mark = number("mark_price", "Mark price")
    liquidation = number("liquidation_price", "Liquidation price")
    as_of_text = at_ms("as_of", "As of (UTC)")
    mark_as_of_text = at_ms("mark_as_of", "Mark as of (UTC)")

    @display(description="Orders that are not ours")
    def strangers_text(self, slot: Slot) -> str:
        return ", ".join(map(str, slot.strangers)) or "–"


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
    sent_at = at_ms("timestamp", "Timestamp (exchange, UTC)")
    begun = at("begun_at", "Begun")

    @display(description="Trio", ordering="trio_id")
    def trio_link(self, request: Request) -> str:
        return trio_link(request.trio)

    @display(description="Role", ordering="leg__role")
    def role(self, request: Request) -> str:
        return f"{request.leg.role} {request.leg.generation}"

    @display(description="Call")
    def call(self, request: Request) -> str:
        return f"{request.method} {request.path}"

    @display(
        description="Verdict", ordering="outcome__verdict", label=VERDICT_COLOURS | {"IN THE AIR": "info"}
    )
    def verdict_badge(self, request: Request) -> str:
        outcome = getattr(request, "outcome", None)
        return outcome.verdict if outcome else "IN THE AIR"

    @display(description="HTTP status")
    def status(self, request: Request) -> str:
        outcome = getattr(request, "outcome", None)
        return str(outcome.status or "–") if outcome else "–"

    @display(description="Code", ordering="outcome__code")
    def code(self, request: Request) -> str:
        outcome = getattr(request, "outcome", None)
        return str(outcome.code or "–") if outcome else "–"

    @display(description="Latency", ordering="outcome__latency_ms")
    def latency(self, request: Request) -> str:
        outcome = getattr(request, "outcome", None)
        return f"{outcome.latency_ms} ms" if outcome else "–"

    @display(description="What the exchange said")
    def message(self, request: Request) -> str:
        outcome = getattr(request, "outcome", None)
        return redact(outcome.message) if outcome and outcome.message else "–"

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
    time_text = at_ms("time_ts", "Time (exchange, UTC)")
    size = number("quantity", "Quantity")
    at_price = number("price", "Price")
    realized = number("realized_pnl", "Realized")

    @display(description="Trio", ordering="trio_id")
    def trio_link(self, fill: Fill) -> str:
        return trio_link(fill.trio)

    @display(description="Role", ordering="leg__role")
    def role(self, fill: Fill) -> str:
        return fill.leg.role

    @display(description="Side", ordering="side", label=SIDE_COLOURS)
    def side_badge(self, fill: Fill) -> str:
        return fill.side

    @display(description="Fee", ordering="commission")
    def fee(self, fill: Fill) -> str:
        return f"{plain(fill.commission)} {fill.commission_asset}".strip()


@admin.register(TrioEvent)
class TrioEventAdmin(ReadOnlyAdmin):
    list_display = ("moment", "trio_link", "kind", "text")
    list_filter = ("kind",)
    list_select_related = ("trio__symbol",)
    search_fields = ("=trio__id", "text")
    ordering = ("-id",)
    shown = ("moment", "trio_link", "kind", "text", "data")
    moment = at("at", "At")

    @display(description="Trio", ordering="trio_id")
    def trio_link(self, event: TrioEvent) -> str:
        return trio_link(event.trio)


@admin.register(Watch)
class WatchAdmin(ReadOnlyAdmin):
    list_display = ("account", "holder", "last_beat", "stream", "swept", "note")
    list_select_related = ("account",)
    search_fields = ("account__name", "holder")
    shown = ("account", "holder", "incarnation", "last_beat", "stream", "swept", "note")
    last_beat = at("beat", "Beat")
    stream = at("stream_since", "Stream since")
    swept = at("swept_at", "Swept")


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    list_display = ("process", "started", "last_beat", "note")
    search_fields = ("process",)
    shown = ("process", "started", "last_beat", "note")
    started = at("started_at", "Started")
    last_beat = at("beat", "Beat")


@admin.register(Clock)
class ClockAdmin(ReadOnlyAdmin):
    list_display = ("environment", "offset", "round_trip", "measured")
    shown = ("environment", "offset", "round_trip", "measured")
    measured = at("measured_at", "Measured")

    @display(description="Exchange is ahead by", ordering="offset_ms")
    def offset(self, clock: Clock) -> str:
        return f"{clock.offset_ms:+d} ms"

    @display(description="Round trip", ordering="round_trip_ms")
    def round_trip(self, clock: Clock) -> str:
        return f"{clock.round_trip_ms} ms"


def trio_link(trio: Any) -> str:
    return format_html('<a href="{}">{}</a>', reverse("admin:orders_trioorder_change", args=[trio.pk]), trio)
