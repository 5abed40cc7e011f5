"""Prices that people wait for: which are watched, and telling their owner once."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from django.db import transaction

from notices.deriving import may_be_told, notices_make
from notices.domain.kinds import Cause, Kind
from notices.models import PriceAlert
from orders.domain.rounding import plain
from orders.exchange_data.clock import db_now


def alerts_waiting() -> dict[str, list[PriceAlert]]:
    """Return the alerts that wait for their price, by environment; those of people who are not told are left alone."""
    found: dict[str, list[PriceAlert]] = defaultdict(list)
    rows = PriceAlert.objects.filter(fired_at=None, recipient__is_active=True)
    for alert in rows.select_related("recipient__user"):
        if may_be_told(alert.recipient.user):
            found[alert.environment].append(alert)
    return found


def alert_fire(alert_id: int, price: Decimal) -> bool:
    """Tell an alert's owner that the price was reached, unless that was done. Returns whether it was done now."""
    now = db_now()
    with transaction.atomic():
        if not PriceAlert.objects.filter(pk=alert_id, fired_at=None).update(fired_at=now, fired_price=price):
            return False
        alert = PriceAlert.objects.select_related("recipient").get(pk=alert_id)
        facts = {
            "environment": alert.environment,
            "symbol": alert.symbol,
            "side": alert.side,
            "level": plain(alert.level),
            "price": plain(price),
            "price_kind": alert.kind,
            "note": alert.note,
        }
        notices_make([Cause(Kind.PRICE_ALERT, f"alert:{alert.pk}", facts)], [alert.recipient], now=now)
    return True
