"""How numbers, moments and words of the trading pages are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import template
from django.utils.safestring import mark_safe
from django.utils.timezone import localtime

from orders.badges import COLOURS, VERDICT_COLOURS, age, lasted, utc_text
from orders.domain.rounding import money as money_shown
from orders.domain.rounding import plain as plain_number
from orders.domain.rounding import signed as signed_number
from orders.domain.sweep_schedule import SweepPlan
from orders.exchange_data.clock import from_ms
from orders.models import Leg, Watch
from orders.selectors import leg_size, watch_is_kept

register = template.Library()


@register.filter
def plain(value: Decimal | None) -> str:
    """Show a number as people write it; a dash for none."""
    return "–" if value is None else plain_number(value)


@register.filter
def reconciled(watch: Watch, plans: Mapping[int, SweepPlan]) -> str:
    """Say how often an account is reconciled at present, and why not as often as usual."""
    plan = plans.get(watch.account_id)
    text = f"reconciled every {max(1, round(watch.interval_ms / 1000))} s"
    if plan is not None and plan.stretch > 1:
        text += f" (stretched: {plan.accounts} accounts share the address)"
    return text


@register.filter
def is_watched(watch: Watch) -> bool:
    """Does somebody watch this account now?"""
    return watch_is_kept(watch)


@register.filter
def signed(value: Decimal) -> str:
    """Show a result with its sign."""
    return signed_number(value)


@register.filter
def pnl_class(value: Decimal | None) -> str:
    """Return the class that colours a result: what was lost is red."""
    if value is None:
        return ""
    return "trio-good" if value > 0 else "trio-bad" if value < 0 else ""


@register.filter
def money(value: Decimal | None) -> str:
    """Show an amount of money to the cent, smaller ones to four digits; a dash for none. For a glance, not for the books."""
    return "–" if value is None else money_shown(value)


@register.filter
def money_signed(value: Decimal | None) -> str:
    """Show a result with its sign, as money."""
    return "–" if value is None else f"{'+' if value > 0 else ''}{money_shown(value)}"


@register.filter
def at(rows: Sequence[Any], place: int) -> Any:
    """Return the row at a place."""
    return rows[place]


@register.filter
def main_landmark(page: str) -> str:
    """Say of the page's main part that it is that: unfold's layout has no landmark for it."""
    return mark_safe(str(page).replace('<div id="main" ', '<div id="main" role="main" ', 1))  # noqa: S308  # it is a whole page


@register.filter(name="age")
def how_old(value: datetime | None) -> str:
    return "–" if value is None else age(value)


@register.filter
def moment(value: datetime | int | None) -> str:
    """Show a time of day in the viewer's zone, to the millisecond; exchange times are ms."""
    return when(value)[11:] if value else "–"


@register.filter
def when(value: datetime | int | None) -> str:
    """Show a date and time in the viewer's zone, to the millisecond."""
    if not value:
        return "–"
    at = localtime(from_ms(value) if isinstance(value, int) else value)
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"


@register.filter
def day(value: datetime | int | None) -> str:
    """Show the date and time a moment stands for in UTC, for its tooltip."""
    return utc_text(from_ms(value) if isinstance(value, int) else value) if value else ""


@register.filter
def ago(value: datetime | None) -> str:
    return "–" if value is None else f"{age(value)} ago"


@register.filter
def span(seconds: int | None) -> str:
    """Show how long something lasted, in its two largest units; a dash for what is not known."""
    return "–" if seconds is None else lasted(seconds)


@register.filter
def colour(word: Any) -> str:
    """Return the badge colour of a state, role, side or result."""
    return COLOURS.get(str(word), "default")


@register.filter
def verdict_colour(word: str) -> str:
    """Return the badge colour of what a request came to."""
    return VERDICT_COLOURS.get(word, "info")


@register.filter
def words(value: Any) -> str:
    """Show one of our upper-case words as text."""
    return str(value).lower().replace("_", " ")


@register.filter
def words_of(text: str) -> list[str]:
    """Return the words of a text, to go through one by one."""
    return text.split()


@register.filter
def size(leg: Leg) -> str:
    return leg_size(leg)
