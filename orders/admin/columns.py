"""Columns of the trading pages: amounts, times, badges and links, each shown one way everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display

from orders.domain.rounding import plain
from orders.exchange_data.clock import from_ms

NOTHING = "–"


def amount(field: str, description: str) -> Any:
    """Return a column that shows an amount as people write it, sortable by its value."""

    @display(description=description, ordering=field)
    def column(self: Any, row: Any) -> str:
        value = getattr(row, field)
        return NOTHING if value is None else plain(value)

    return column


def time(field: str, description: str) -> Any:
    """Return a column that shows a time to the millisecond, in UTC: a journal needs more than minutes."""

    @display(description=f"{description} (UTC)", ordering=field)
    def column(self: Any, row: Any) -> str:
        value = getattr(row, field)
        return f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03d}" if value else NOTHING

    return column


def exchange_time(field: str, description: str) -> Any:
    """Return a column that shows exchange milliseconds as a time in UTC."""

    @display(description=f"{description} (UTC)", ordering=field)
    def column(self: Any, row: Any) -> str:
        value = getattr(row, field)
        return f"{from_ms(value):%Y-%m-%d %H:%M:%S}" if value else NOTHING

    return column


def badge(field: str, description: str, colours: Mapping[str, str]) -> Any:
    """Return a column that shows a word of ours as a badge."""

    @display(description=description, ordering=field, label=colours)
    def column(self: Any, row: Any) -> str:
        return str(getattr(row, field))

    return column


def trio(field: str = "trio") -> Any:
    """Return a column that names a row's trio and leads to its page."""

    @display(description="Trio", ordering=f"{field}_id")
    def column(self: Any, row: Any) -> str:
        found = getattr(row, field)
        page = reverse("admin:orders_trioorder_change", args=[found.pk])
        return format_html('<a href="{}">{}</a>', page, found)

    return column
