"""Proof sheets: of a trio, and of an account's day. They print well, and scripts read the same as JSON."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.models import ExchangeAccount
from orders.admin.trio_desk import latencies, money_of, slippage_of
from orders.admin.trio_page import call_row
from orders.domain.rounding import plain
from orders.exchange_data.clock import from_ms
from orders.models import TrioOrder
from orders.placement.uncovered import uncovered_now
from orders.proof import DayProof, Total, day_proof, trio_is_read, trio_totals
from orders.results import first_stop, planned_of
from orders.selectors import net_pnl

CALLS_MAX: Final = 2000


@require_safe
def trio_sheet(request: HttpRequest, trio_id: int) -> HttpResponse:
    """Answer with the proof of a trio: every call and event, what it came to, and what the exchange booked."""
    _may_see(request)
    trio = (
        TrioOrder.objects.select_related("account", "symbol", "slot", "created_by").filter(pk=trio_id).first()
    )
    if trio is None:
        raise Http404("There is no such trio.")
    sheet = _trio(trio)
    if request.GET.get("format") == "json":
        return JsonResponse(_trio_document(sheet))
    return render(request, "admin/orders/proof/trio.html", sheet)


@require_safe
def day_sheet(request: HttpRequest) -> HttpResponse:
    """Answer with the proof of an account's day, in the viewer's zone; today and the first account unless asked otherwise."""
    _may_see(request)
    accounts = list(ExchangeAccount.objects.order_by("name"))
    name = request.GET.get("account", "")
    account = next(
        (found for found in accounts if found.name == name), accounts[0] if accounts and not name else None
    )
    if account is None:
        raise Http404("There is no such account.")
    try:
        day = date.fromisoformat(request.GET.get("day", ""))
    except ValueError:
        day = timezone.localdate()
    proof = day_proof(account, day, timezone.get_current_timezone())
    nets = net_pnl([trio.pk for trio in proof.trios])
    if request.GET.get("format") == "json":
        return JsonResponse(_day_document(proof, nets))
    rows = [(trio, nets.get(trio.pk, ())) for trio in proof.trios]
    return render(
        request, "admin/orders/proof/day.html", {"proof": proof, "rows": rows, "accounts": accounts}
    )


def _may_see(request: HttpRequest) -> None:
    if not request.user.has_perm("orders.view_trioorder"):
        raise PermissionDenied("You may not see the results of trios.")


def _trio(trio: TrioOrder) -> dict[str, Any]:
    legs, fills = list(trio.legs.all()), list(trio.fills.select_related("leg"))
    requests = list(trio.requests.select_related("outcome", "leg").order_by("id")[:CALLS_MAX])
    money = money_of(trio)
    return {
        "trio": trio,
        "legs": legs,
        "fills": fills,
        "calls": [call_row(request) for request in requests],
        "events": list(trio.events.order_by("id")[:CALLS_MAX]),
        "totals": trio_totals(trio),
        "is_read": trio_is_read(trio, max((fill.time_ts for fill in fills), default=None)),
        "first_stop": first_stop(trio),
        "planned": planned_of(trio, legs),
        "r": money.booked_r,
        "slippage": slippage_of(trio, legs, fills),
        "latencies": latencies(trio, legs, requests, fills),
        "uncovered": uncovered_now(trio),
        "printed_at": timezone.now(),
        "zone": timezone.get_current_timezone_name(),
    }


def _trio_document(sheet: dict[str, Any]) -> dict[str, Any]:
    trio: TrioOrder = sheet["trio"]
    return {
        "trio": trio.pk,
        "account": trio.account.name,
        "environment": trio.account.environment,
        "symbol": trio.symbol.symbol,
        "side": trio.side,
        "state": trio.state,
        "result": trio.result or None,
        "quantity": plain(trio.quantity),
        "first_stop": _text(sheet["first_stop"]),
        "planned_risk": _text(sheet["planned"]),
        "r": _text(sheet["r"]),
        "slippage_of_stop": _text(sheet["slippage"]),
        "uncovered_ms": sheet["uncovered"].total,
        "latencies_ms": {row.name: row.ms for row in sheet["latencies"]},
        "income_is_read": sheet["is_read"],
        "totals": [_total_document(total) for total in sheet["totals"]],
        "executions": [
            {
                "at": from_ms(fill.time_ts).isoformat(timespec="milliseconds"),
                "trade_id": fill.trade_id,
                "order_id": fill.order_id,
                "role": fill.leg.role,
                "side": fill.side,
                "quantity": plain(fill.quantity),
                "price": plain(fill.price),
                "realized": plain(fill.realized_pnl),
                "fee": plain(fill.commission),
                "fee_asset": fill.commission_asset,
            }
            for fill in sheet["fills"]
        ],
        "calls": [
            {
                "at": call.at.isoformat(timespec="milliseconds"),
                "call": f"{call.request.method} {call.request.path}",
                "for": call.role,
                "parameters": dict(call.payload),
                "verdict": call.verdict or None,
                "status": call.status,
                "code": call.code,
                "latency_ms": call.latency_ms,
            }
            for call in sheet["calls"]
        ],
        "events": [
            {"at": event.at.isoformat(timespec="milliseconds"), "kind": event.kind, "text": event.text}
            for event in sheet["events"]
        ],
        "journal": {"length": trio.journal_length, "head": trio.journal_head},
    }


def _day_document(proof: DayProof, nets: dict[int, Any]) -> dict[str, Any]:
    return {
        "account": proof.account.name,
        "environment": proof.account.environment,
        "day": proof.day.isoformat(),
        "zone": proof.zone,
        "income_is_read": proof.is_read,
        "totals": [_total_document(total) for total in proof.totals],
        "income": [
            {"asset": row.asset, "kind": row.kind, "lines": row.lines, "amount": plain(row.amount)}
            for row in proof.kinds
        ],
        "trios": [
            {
                "trio": trio.pk,
                "symbol": trio.symbol.symbol,
                "side": trio.side,
                "state": trio.state,
                "result": trio.result or None,
                "net_pnl": [{"asset": part.asset, "net": plain(part.net)} for part in nets.get(trio.pk, ())],
            }
            for trio in proof.trios
        ],
        "more": proof.more,
    }


def _total_document(total: Total) -> dict[str, Any]:
    return {
        "asset": total.asset,
        "executions": total.executions,
        "realized": plain(total.realized),
        "fees": plain(total.fees),
        "funding": plain(total.funding),
        "net": plain(total.net),
        "booked_lines": total.booked_lines,
        "booked_realized": plain(total.booked_realized),
        "booked_fees": plain(total.booked_fees),
        "booked_net": plain(total.booked_net),
        "equal": total.is_equal,
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
