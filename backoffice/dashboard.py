"""What the admin's first page shows, and the badge that says whose money is at stake."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from backoffice import health
from orders import selectors
from orders.models import TrioOrder
from orders.placement.uncovered import uncovered_now
from signals.models import Strategy

ROWS: Final = 20  # of each table; the list shows the rest


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
    """Add what asks for a person, what is open and who is at work to the index page."""
    may_see = request.user.has_perm("orders.view_trioorder")
    context["title"] = "Dashboard"
    context["may_see_trios"] = may_see
    context["may_add_trio"] = request.user.has_perm("orders.add_trioorder")
    if may_see:
        context |= {
            "trio_states": trio_states(),
            "asking": list(selectors.trios_asking()[:ROWS]),
            "alive": _alive(),
            "alive_count": selectors.trios_alive().count(),
        }
    if request.user.has_perm("signals.view_strategy"):
        context["faulty"] = list(Strategy.objects.exclude(fault="")[:ROWS])
    context["rows"] = ROWS
    context["watches"] = selectors.watches()
    context["sweep_plans"] = selectors.sweep_plans()
    context["clocks"] = selectors.clocks()
    context["heartbeats"] = health.heartbeats()
    context["worker_alive"] = any(beat["alive"] for beat in context["heartbeats"])
    context["queues"] = health.queues()
    context["closures"] = health.closures()
    return context


def _alive() -> list[TrioOrder]:
    """Return the trios that are shown as alive; an open gap in the cover of one is counted up to this moment."""
    alive = list(selectors.trios_alive()[:ROWS])
    for trio in alive:
        if trio.uncovered_known_at is not None:
            trio.uncovered_ms = uncovered_now(trio).total
    return alive


def trio_states() -> list[dict[str, Any]]:
    """Return ``[{"state", "count", "link"}]`` in the order of a trio's life, without empty states."""
    link = reverse("admin:orders_trioorder_changelist")
    return [
        {"state": state.value, "count": count, "link": f"{link}?state__exact={state.value}"}
        for state, count in selectors.trio_counts()
    ]
