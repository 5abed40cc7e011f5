"""What the admin's first page shows, and the badge that says whose money is at stake."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.models import Count
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from backoffice import health


def environment_badge(request: HttpRequest) -> list[str]:
    """Return the badge beside the title: LIVE as soon as real orders may leave."""
    if settings.ALLOW_LIVE and not settings.DRY_RUN_MODE:
        return ["LIVE", "danger"]
    if settings.ALLOW_LIVE:
        return ["LIVE, dry run", "warning"]
    if settings.BINANCE_TESTNET:
        return ["TESTNET, dry run" if settings.DRY_RUN_MODE else "TESTNET", "warning"]
    return ["PAPER", "success"]


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add counts of trios by state, live workers and the queue's reachability to the index page."""
    may_see = request.user.has_perm("orders.view_trioorder")
    context["trio_states"] = trio_states() if may_see else None
    context["heartbeats"] = health.heartbeats()
    context["queues"] = health.queues()
    return context


def trio_states() -> list[dict[str, Any]]:
    """Return ``[{"state", "count", "link"}]``, most frequent first."""
    model = apps.get_model("orders", "TrioOrder")
    link = _link("admin:orders_trioorder_changelist")
    counted = model._default_manager.order_by().values("state").annotate(count=Count("pk"))
    return sorted(
        ({**row, "link": f"{link}?state__exact={row['state']}"} for row in counted),
        key=lambda row: -row["count"],
    )


def _link(name: str) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""
