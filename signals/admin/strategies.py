"""The strategies' pages: set one up, enable it, see what it saw last, what it decided and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import unfold.admin
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action, display

from infrastructure.admin_pages import DialogActions, ReadOnlyHistory, dialog
from signals.admin.strategy_form import PARAMETER, form_for
from signals.domain.faults import StrategyFailed
from signals.models import Strategy
from signals.strategy_page import strategy_page
from signals.strategy_services import strategy_check, strategy_enable, strategy_stop

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Strategy]
else:

    class Base(ReadOnlyHistory, unfold.admin.ModelAdmin):
        pass


COLOURS = {"ENABLED": "success", "DISABLED": "danger", "OFF": "info"}


@admin.register(Strategy)
class StrategyAdmin(DialogActions, Base):
    refusals = (StrategyFailed,)
    list_display = ("name", "code", "state", "where", "dry_run", "last_seen", "last_signal")
    list_filter = ("enabled", "code")
    search_fields = ("name", "code", "symbols")
    filter_horizontal = ("accounts",)
    change_form_template = "admin/signals/strategy/change_form.html"
    actions_detail: ClassVar = ["enable", "disable"]

    class Media:
        css: ClassVar = {"all": ("orders/trio.css",)}
        js = ("orders/dialogs.js",)

    # --- what is shown and what may be changed ---

    def get_form(
        self, request: HttpRequest, obj: Strategy | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        kwargs["form"] = form_for(obj)
        kwargs["fields"] = kwargs["form"].Meta.fields
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Strategy | None = None) -> Any:
        parameters = [PARAMETER + spec.name for spec in form_for(obj).specs] if obj else []
        found: list[Any] = [
            ("What", {"fields": (("name", "code"), ("symbols", "timeframe"), "accounts")}),
            (
                "How much",
                {
                    "fields": (
                        ("size_kind", "size_value"),
                        ("size_cap", "slippage"),
                        "cooldown_bars",
                        "dry_run",
                    )
                },
            ),
            ("Bounds", {"fields": (("history_bars", "deadline_seconds", "memory_mb"),)}),
        ]
        if parameters:
            found.insert(1, ("Parameters", {"fields": parameters}))
        return found

    def get_readonly_fields(self, request: HttpRequest, obj: Strategy | None = None) -> Any:
        return ("name", "code") if obj else ()  # its trios and signals are named after it

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # its signals refer to it: disable it instead

    @display(description="State", label=COLOURS)
    def state(self, strategy: Strategy) -> tuple[str, str]:
        if strategy.enabled:
            return "ENABLED", "Enabled"
        return ("DISABLED", "Disabled by a fault") if strategy.fault else ("OFF", "Off")

    @display(description="Where")
    def where(self, strategy: Strategy) -> str:
        return f"{strategy.symbols or 'WORKER_SYMBOLS'} {strategy.timeframe}".replace(",", ", ")

    @display(description="Last bar (UTC)")
    def last_seen(self, strategy: Strategy) -> str:
        return strategy_page(strategy).last_seen

    @display(description="Last signal")
    def last_signal(self, strategy: Strategy) -> str:
        return strategy_page(strategy).last_signal

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        strategy = self.get_object(request, object_id)
        context = {**(extra_context or {}), "page": strategy_page(strategy) if strategy else None}
        return super().change_view(request, object_id, form_url, context)

    def response_add(
        self, request: HttpRequest, obj: Strategy, post_url_continue: Any = None
    ) -> HttpResponse:
        """Go on to the page of the new one, where its parameters are entered."""
        page = reverse("admin:signals_strategy_change", args=[obj.pk])
        messages.success(request, format_html("{} is set up. Look at its parameters, then enable it.", obj))
        return HttpResponseRedirect(page)

    # --- actions ---

    @action(
        description="Enable",
        url_path="enable",
        permissions=["change"],
        dialog=dialog(
            "Enable this strategy?",
            "From the next closed bar on it trades on its accounts. Bars that closed before are not acted on.",
            "Enable",
        ),
    )
    def enable(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def perform(strategy: Strategy) -> str:
            strategy_check(strategy)
            strategy_enable(strategy.pk, by=request.user.get_username())
            return f"{strategy} is enabled."

        return self.on_page(request, object_id, lambda strategy: self.run(request, strategy, perform))

    @action(
        description="Disable",
        url_path="disable",
        permissions=["change"],
        dialog=dialog(
            "Disable this strategy?",
            "It acts on no further bars. Its trios stay open and protected.",
            "Disable",
        ),
    )
    def disable(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def perform(strategy: Strategy) -> str:
            strategy_stop(strategy.pk, by=request.user.get_username())
            return f"{strategy} is disabled. Its trios stay open and protected."

        return self.on_page(request, object_id, lambda strategy: self.run(request, strategy, perform))
