"""The exchange's trading rules, and the dialog that reads them anew."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, ClassVar, Final

from django.contrib import admin, messages
from django.db.models import Case, IntegerField, QuerySet, When
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action, display

from accounts.badges import ENVIRONMENT_COLOURS
from accounts.models import ExchangeAccount
from infrastructure import job_queue
from infrastructure.admin_pages import dialog, redirect
from orders import jobs
from orders.admin import columns
from orders.admin.forms import SyncSymbolsForm
from orders.admin.read_only import ReadOnlyAdmin
from orders.models import Symbol

STATUS_COLOURS = {"TRADING": "success", "DELISTED": "danger"}


USUAL_WALLET: Final = "USDT"
DIGITS_MAX: Final = 19  # of a number that a key can be


@admin.register(Symbol)
class SymbolAdmin(ReadOnlyAdmin):
    list_display = (
        *("symbol", "environment_badge", "status_badge", "tick", "step", "smallest", "notional", "synced"),
    )
    list_filter = ("environment", "status", "contract_type", "quote_asset")
    search_fields = ("symbol", "base_asset")
    actions_list: ClassVar = ["sync"]
    shown = (
        *("symbol", "environment", "status", "contract_type", "base_asset", "quote_asset", "margin_asset"),
        *("tick", "lowest", "highest", "step", "smallest", "largest", "market_step", "market_largest"),
        *("notional", "up", "down", "take_bound", "liquidation", "synced", "first_seen", "raw_text"),
    )
    environment_badge = columns.badge("environment", "Environment", ENVIRONMENT_COLOURS)
    status_badge = columns.badge("status", "Status", STATUS_COLOURS)
    synced = columns.time("synced_at", "Synced")
    first_seen = columns.time("first_seen_at", "First seen")
    tick = columns.amount("tick_size", "Tick size")
    lowest = columns.amount("price_min", "Min price")
    highest = columns.amount("price_max", "Max price")
    step = columns.amount("step_size", "Step size")
    smallest = columns.amount("quantity_min", "Min quantity")
    largest = columns.amount("quantity_max", "Max quantity")
    market_step = columns.amount("market_step_size", "Step size, market orders")
    market_largest = columns.amount("market_quantity_max", "Max quantity, market orders")
    notional = columns.amount("notional_min", "Min notional")
    up = columns.amount("multiplier_up", "Max price / mark price")
    down = columns.amount("multiplier_down", "Min price / mark price")
    take_bound = columns.amount("market_take_bound", "Market take bound")
    liquidation = columns.amount("liquidation_fee", "Liquidation fee")

    @display(description="As the exchange sent it")
    def raw_text(self, symbol: Symbol) -> str:
        return format_html('<pre class="trio-raw">{}</pre>', json.dumps(symbol.raw, indent=2))

    # --- the search in a draft's form ---

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Symbol], search_term: str
    ) -> tuple[QuerySet[Symbol], bool]:
        found, duplicates = super().get_search_results(request, queryset, search_term)
        if request.GET.get("model_name") == "trioorder" and request.GET.get("field_name") == "symbol":
            accounts = self._accounts(request)
            environments = {account.environment for account in accounts}
            offered = found.filter(environment__in=environments, status="TRADING")
            wallets = {account.wallet_asset for account in accounts} - {""}
            found = self._best_first(offered, search_term.strip(), wallets or {USUAL_WALLET})
        return found, duplicates

    @staticmethod
    def _best_first(found: QuerySet[Symbol], term: str, wallets: Collection[str]) -> QuerySet[Symbol]:
        """The symbol that was typed leads, then the coin that was typed, then what begins like it.

        Of each, what is paid from the account's wallet comes first: LTCUSDT before LTCUSDC, SOLUSDT before RAYSOLUSDT.
        """
        likeness = Case(
            When(symbol__iexact=term, then=0),
            When(base_asset__iexact=term, then=1),
            When(symbol__istartswith=term, then=2),
            default=3,
            output_field=IntegerField(),
        )
        paid_from = Case(When(margin_asset__in=wallets, then=0), default=1, output_field=IntegerField())
        return found.order_by(likeness, paid_from, "symbol")

    @staticmethod
    def _accounts(request: HttpRequest) -> list[ExchangeAccount]:
        """Return the account that was chosen in the form; without one, all that are active."""
        accounts = ExchangeAccount.objects.filter(is_active=True)
        if (chosen := request.GET.get("account", "")).isdigit() and len(chosen) < DIGITS_MAX:
            accounts = accounts.filter(pk=int(chosen))
        return list(accounts)

    # --- reading the rules anew ---

    def has_sync_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("orders.change_symbol")

    @action(
        description="Sync symbols",
        url_path="sync",
        permissions=["sync"],
        icon="sync",
        dialog=dialog(
            "Sync symbols?",
            "Reads the exchange's trading rules into this table. Safe to repeat.",
            "Sync",
            SyncSymbolsForm,
        ),
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
                "The queue (Redis) does not answer, so nothing was requested. Start it, or run "
                f"“manage.py sync_symbols --environment {environment}”.",
            )
        return redirect(request, reverse("admin:orders_symbol_changelist"))
