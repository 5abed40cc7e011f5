"""Columns of the trading pages: amounts, times, badges and links, each shown one way everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.timezone import localtime
from unfold.decorators import display

from orders.badges import utc_text
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


def time_shown(moment: datetime, more: str = "") -> str:
    """Return a time in the viewer's zone, with UTC on hover."""
    shown = f"{localtime(moment):%Y-%m-%d %H:%M:%S}{more}"
    return format_html('<time title="{}">{}</time>', utc_text(moment), shown)


def time(field: str, description: str) -> Any:
    """Return a column that shows a time to the millisecond: a journal needs more than minutes. In the viewer's zone, UTC on hover."""

    @display(description=description, ordering=field)
    def column(self: Any, row: Any) -> str:
        value = getattr(row, field)
        return time_shown(value, f".{value.microsecond // 1000:03d}") if value else NOTHING

    return column


def exchange_time(field: str, description: str) -> Any:
    """Return a column that shows exchange milliseconds as a time in the viewer's zone, UTC on hover."""

    @display(description=description, ordering=field)
    def column(self: Any, row: Any) -> str:
        value = getattr(row, field)
        return time_shown(from_ms(value)) if value else NOTHING

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
