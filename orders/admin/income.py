"""The account's income: how far it was read, what it comes to by asset, and where it differs from our executions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, path
from django.utils.html import format_html_join
from unfold.decorators import display

from orders.admin import columns
from orders.admin.account_days import days_page
from orders.admin.read_only import ReadOnlyAdmin
from orders.domain.rounding import signed
from orders.income import difference_sentences, income_sums
from orders.models import Income, IncomeReading


@admin.register(IncomeReading)
class IncomeReadingAdmin(ReadOnlyAdmin):
    list_display = ("account", "begins", "read", "equality")
    list_select_related = ("account",)
    search_fields = ("account__name",)
    shown = ("account", "begins", "read", "equality", "sums")

    def get_urls(self) -> list[URLPattern]:
        days = path("days/", self.admin_site.admin_view(self._days), name="orders_account_days")
        return [days, *super().get_urls()]

    def _days(self, request: HttpRequest) -> HttpResponseBase:
        return days_page(request, self.admin_site.each_context)

    begins = columns.exchange_time("since_ts", "Read from")
    read = columns.time("read_at", "Last read")

    @display(description="Against our executions")
    def equality(self, reading: IncomeReading) -> str:
        return " ".join(difference_sentences(reading)) or "equal"

    @display(description="Income, by asset and kind")
    def sums(self, reading: IncomeReading) -> Any:
        rows = (
            (found.kind, signed(found.total), found.asset, signed(found.of_trios), signed(found.of_account))
            for found in income_sums(reading.account_id, since=reading.since_ts, until=reading.read_ts)
        )
        line = "<div>{}: <b>{}</b> {} (of trios {}, of no trio {})</div>"
        return format_html_join("", line, rows) or columns.NOTHING


@admin.register(Income)
class IncomeAdmin(ReadOnlyAdmin):
    list_display = ("time", "account", "kind", "amount_text", "asset", "symbol", "trade_id")
    list_filter = ("kind", "asset", ("account", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("account",)
    search_fields = ("=symbol", "=trade_id")
    ordering = ("-time_ts", "-id")
    shown = (
        "time",
        "account",
        "kind",
        "amount_text",
        "asset",
        "symbol",
        "trade_id",
        "tran_id",
        "info",
        "trios",
    )
    time = columns.exchange_time("time_ts", "Time")
    amount_text = columns.amount("amount", "Amount")

    @display(description="Allocated to")
    def trios(self, line: Income) -> str:
        found = [f"trio {share.trio_id}: {signed(share.amount)}" for share in line.shares.order_by("trio_id")]
        return ", ".join(found) or columns.NOTHING
