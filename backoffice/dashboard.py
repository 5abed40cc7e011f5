"""What the admin's first page shows, how it keeps itself fresh, and the badge that says whose money is at stake."""

from __future__ import annotations

import json
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.models import EgressLimits, ExchangeAccount
from accounts.rate_budget import budget_of
from backoffice import health
from orders import desk, selectors
from orders.domain.exposure import ratio_percent
from orders.domain.rounding import CENT
from orders.equity import EquityCurve, equity_curves
from orders.models import Symbol, TrioOrder
from orders.placement.uncovered import uncovered_now
from signals.models import Strategy

ROWS: Final = 20  # of each table; the list shows the rest
REFUSALS: Final = 6
EXPOSURES: Final = 8


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
    return context | {"title": "Dashboard"} | _desk(request)


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """Answer the first page's parts anew; the page asks every two seconds and swaps in what has changed."""
    return HttpResponse(render_to_string("admin/desk/parts.html", _desk(request), request))


def _desk(request: HttpRequest) -> dict[str, Any]:
    may_see = request.user.has_perm("orders.view_trioorder")
    context: dict[str, Any] = {
        "may_see_trios": may_see,
        "may_add_trio": request.user.has_perm("orders.add_trioorder"),
        "may_see_accounts": request.user.has_perm("accounts.view_exchangeaccount"),
        "rows": ROWS,
        "watches": selectors.watches(),
        "sweep_plans": selectors.sweep_plans(),
        "clocks": selectors.clocks(),
        "heartbeats": health.heartbeats(),
        "queues": health.queues(),
        "closures": health.closures(),
        "notice_problems": health.notice_problems() if may_see else [],
        "budgets": list(_budgets()),
        "zone": timezone.get_current_timezone_name(),
    }
    context["worker_alive"] = any(beat["alive"] for beat in context["heartbeats"])
    context["worker_late"] = context["worker_alive"] and all(beat["late"] for beat in context["heartbeats"])
    if may_see:
        context |= _money()
    if context["may_add_trio"] and not context.get("alive") and not TrioOrder.objects.exists():
        context["steps"] = _first_steps(worker_alive=context["worker_alive"])
    if request.user.has_perm("signals.view_strategy"):
        context["faulty"] = list(Strategy.objects.exclude(fault="")[:ROWS])
    return context


def _money() -> dict[str, Any]:
    """Return what is open, at stake and earned."""
    alive = desk.open_trios()
    for row in alive[:ROWS]:
        _count_gap(row.trio)
    positions = desk.positions_held()
    everyone = list(ExchangeAccount.objects.order_by("name"))
    funds = desk.accounts_funds(positions, everyone)
    by_symbol, by_account = desk.exposure(positions)
    earned = desk.net_by_asset(
        [account.pk for account in everyone], now=timezone.now(), zone=timezone.get_current_timezone()
    )
    return {
        "trio_states": trio_states(),
        "asking": list(selectors.trios_asking()[:ROWS]),
        "alive": alive[:ROWS],
        "alive_count": selectors.trios_alive().count() if len(alive) == desk.OPEN_MAX else len(alive),
        "unprotected": [row for row in alive if row.is_unprotected],
        "external": positions.external[:ROWS],
        "risks": desk.risk_sums(alive),
        "funds": funds,
        "equities": desk.equity_sums(funds),
        "worth": [(row, _equity_curve(row)) for row in equity_curves(funds, now=timezone.now())],
        "earned": earned,
        "curves": [_curve(row) for row in earned],
        "by_symbol": by_symbol[:EXPOSURES],
        "by_account": by_account[:EXPOSURES],
        "refused": desk.refusals(REFUSALS),
    }


def _first_steps(*, worker_alive: bool) -> list[dict[str, Any]]:
    """Return what leads from the first login to the first trio, each with whether it is done."""
    accounts = list(ExchangeAccount.objects.order_by("pk")[:2])
    account = accounts[0] if accounts else None
    checked = account is not None and account.last_checked_at is not None and account.can_trade
    symbols = account is not None and Symbol.objects.filter(environment=account.environment).exists()
    own_page = (
        None if account is None else reverse("admin:accounts_exchangeaccount_change", args=[account.pk])
    )
    return [
        {
            "title": "Add an account",
            "words": "A paper account trades on the simulator: no keys, no money.",
            "done": account is not None,
            "link": reverse("admin:accounts_exchangeaccount_add"),
        },
        {
            "title": "Check it",
            "words": "The exchange is asked whether the key may trade, and in which position mode.",
            "done": checked,
            "link": own_page,
        },
        {
            "title": "Sync the symbols",
            "words": "Ticks, steps and minimums of every contract are read once, and kept up to date by a runworker.",
            "done": symbols,
            "link": reverse("admin:orders_symbol_changelist"),
        },
        {
            "title": "Start a runworker",
            "words": "“manage.py runworker” watches accounts and manages trios; without one nothing is placed.",
            "done": worker_alive,
            "link": None,
        },
        {
            "title": "Place the first trio",
            "words": "Entry, stop-loss and take-profit: the form shows risk and reward as you type.",
            "done": False,
            "link": reverse("admin:orders_trioorder_add") if account is not None else None,
        },
    ]


def _count_gap(trio: TrioOrder) -> None:
    """Count a gap in the cover of a trio that is open now up to this moment."""
    if trio.uncovered_known_at is not None:
        trio.uncovered_ms = uncovered_now(trio).total


def _curve(row: desk.NetOfAsset) -> dict[str, str]:
    """Return what the picture of a running net is drawn from. Its points are for the eye: figures stand beside it."""
    points = [format(value.quantize(CENT), "f") for value in row.curve]
    return {
        "label": f"Net PnL, {row.environment} {row.asset}",
        "days": json.dumps([f"{day:%d %b}" for day in row.days]),
        "points": json.dumps(points),
    }


def _equity_curve(row: EquityCurve) -> dict[str, str]:
    """Return what the picture of an equity is drawn from."""
    points = [format(value.quantize(CENT), "f") for value in row.values]
    return {"days": json.dumps([f"{day:%d %b}" for day in row.days]), "points": json.dumps(points)}


def _budgets() -> Any:
    """Yield how much of each address's request weight was used in the last minute."""
    for row in EgressLimits.objects.filter(egress=settings.EGRESS).order_by("environment"):
        used = budget_of(row.environment).used()
        percent = None if used is None else ratio_percent(CENT * 100 * used, CENT * 100 * row.weight_1m)
        yield {
            "environment": row.environment,
            "used": used,
            "allowed": row.weight_1m,
            "percent": percent,
            "high": percent is not None and percent >= 80,
        }


def trio_states() -> list[dict[str, Any]]:
    """Return ``[{"state", "count", "link"}]`` in the order of a trio's life, without empty states."""
    link = reverse("admin:orders_trioorder_changelist")
    return [
        {"state": state.value, "count": count, "link": f"{link}?state__exact={state.value}"}
        for state, count in selectors.trio_counts()
    ]
