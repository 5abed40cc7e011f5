"""The panic page: everything, or one account, is closed at market; and how far that is until all is flat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.hold import accounts_held, accounts_release
from accounts.models import ExchangeAccount
from orders import risk_gates
from orders.domain.enums import TrioState
from orders.installation import install_refusal
from orders.models import Slot, TrioOrder
from orders.panic import living_trios
from orders.panic import panic as close_all

SHOWN_FOR: Final = timedelta(hours=24)
ROWS_MAX: Final = 500
RELEASES: Final = ("orders.place_trioorder", "orders.close_trioorder")  # who may do both may release

AdminContext = Callable[[HttpRequest], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Row:
    """One trio on its way: ``flat`` is what the exchange showed of its slot after it had ended."""

    trio: TrioOrder
    done: bool
    flat: bool


@require_http_methods(["GET", "HEAD", "POST"])
def panic(request: HttpRequest, admin_context: AdminContext) -> HttpResponse:
    """Ask for the words, then close what is shown at market. What is confirmed is what was shown."""
    if not request.user.has_perm("orders.close_trioorder"):
        raise PermissionDenied("You may not close trios.")
    account = _account(request)
    living = _living(account)
    words = words_for(len(living), account)
    if request.method == "POST":
        return _confirmed(request, account, living, words)
    held = Slot.objects.exclude(quantity=0)
    held = held if account is None else held.filter(account=account)
    ours = TrioOrder.objects.filter(holds_slot=True).exclude(state=TrioState.QUEUED).values("slot")
    page = {
        **admin_context(request),
        "title": "Panic: close at market",
        "trios": living,
        "external": list(held.exclude(pk__in=ours).select_related("account")[:50]),
        "accounts": ExchangeAccount.objects.filter(archived_at=None).order_by("name"),
        "account": account,
        "words": words,
        "seen": ",".join(str(trio.pk) for trio in living),
        "real_money": any(trio.account.environment == "LIVE" for trio in living),
        "worker_alive": risk_gates.worker_alive(),
    }
    return TemplateResponse(request, "admin/orders/panic/ask.html", page)


def words_for(count: int, account: ExchangeAccount | None) -> str:
    """Return what has to be typed."""
    return f"close {count}" + ("" if account is None else f" on {account.name}")


def _account(request: HttpRequest) -> ExchangeAccount | None:
    name = request.POST.get("on", "") if request.method == "POST" else request.GET.get("on", "")
    if not name:
        return None
    account = None if "\0" in name else ExchangeAccount.objects.filter(name=name).first()
    if account is None:  # never all of them instead
        raise Http404("There is no such account.")
    return account


def _living(account: ExchangeAccount | None) -> list[TrioOrder]:
    return living_trios(None if account is None else account.pk)


def _confirmed(
    request: HttpRequest, account: ExchangeAccount | None, living: list[TrioOrder], words: str
) -> HttpResponse:
    scope = {} if account is None else {"on": account.name}
    ask = f"{reverse('admin:orders_panic')}?{urlencode(scope)}"
    if refusal := install_refusal():
        messages.error(request, f"{refusal} Nothing was requested.")
        return HttpResponseRedirect(ask)
    shown = request.POST.get("seen", "")
    if shown != ",".join(str(trio.pk) for trio in living) or not living:
        messages.error(request, "The list of open trios has changed: review it again. Nothing was requested.")
        return HttpResponseRedirect(ask)
    if " ".join(request.POST.get("typed", "").lower().split()) != words.lower():
        messages.error(request, f"Type “{words}” to close them. Nothing was requested.")
        return HttpResponseRedirect(ask)
    by = request.user.get_username()
    done = close_all(by=by, account_id=None if account is None else account.pk)
    _log(request, done.held, "Held by a panic.")
    for trio in done.ended:
        messages.info(request, f"{trio} had ended by itself.")
    for trio in done.left:
        messages.error(
            request, f"{trio}: another process holds its row, so nothing was requested: panic again."
        )
    closed = done.closing
    if closed:
        LogEntry.objects.log_actions(
            str(request.user.pk), closed, CHANGE, "Panic: close at market requested."
        )
    return HttpResponseRedirect(f"{reverse('admin:orders_panic_progress')}?{urlencode(scope)}")


@require_POST
def release(request: HttpRequest) -> HttpResponse:
    """Let new trios be opened again on what a panic holds: on one account, or on all."""
    if not request.user.has_perms(RELEASES):
        raise PermissionDenied("You may not release what a panic holds.")
    account = _account(request)
    released = accounts_release(account_id=None if account is None else account.pk)
    _log(request, released, "Released after a panic.")
    if released:
        names = ", ".join(found.name for found in released)
        messages.success(request, f"Released: {names}. New trios are accepted again.")
    else:
        messages.info(request, "Nothing is held: somebody else has released it.")
    return HttpResponseRedirect(reverse("admin:orders_panic_progress"))


def _log(request: HttpRequest, accounts: list[ExchangeAccount], words: str) -> None:
    if accounts:
        LogEntry.objects.log_actions(str(request.user.pk), accounts, CHANGE, words)


@require_safe
def progress(request: HttpRequest, admin_context: AdminContext) -> HttpResponse:
    """Show how far the closing is, from the rows alone: whoever opens it later, anywhere, sees the same."""
    if not request.user.has_perm("orders.view_trioorder"):
        raise PermissionDenied("You may not see trios.")
    account = _account(request)
    rows = _rows(account)
    page = {
        "rows": rows,
        "done": sum(row.done and row.flat for row in rows),
        "count": len(rows),
        "account": account,
        "worker_alive": risk_gates.worker_alive(),
        "held": list(accounts_held() if account is None else accounts_held().filter(pk=account.pk)),
        "may_release": request.user.has_perms(RELEASES),
        "new": len([trio for trio in _living(account) if trio.panic_wanted_at is None]),
    }
    if request.GET.get("parts"):
        return render(request, "admin/orders/panic/parts.html", page)
    query = urlencode({"parts": "1"} | ({} if account is None else {"on": account.name}))
    page |= {
        **admin_context(request),
        "title": "Panic: progress",
        "url": f"{reverse('admin:orders_panic_progress')}?{query}",
    }
    return TemplateResponse(request, "admin/orders/panic/progress.html", page)


def _rows(account: ExchangeAccount | None) -> list[Row]:
    wished = TrioOrder.objects.filter(panic_wanted_at__gte=timezone.now() - SHOWN_FOR)
    wished = wished if account is None else wished.filter(account=account)
    trios = list(wished.select_related("account", "symbol", "slot").order_by("pk")[:ROWS_MAX])
    taken = dict(
        TrioOrder.objects.filter(slot__in={trio.slot_id for trio in trios}, holds_slot=True).values_list(
            "slot", "pk"
        )
    )
    rows = [
        # A slot that another trio holds by now says nothing about this one.
        Row(
            trio,
            trio.is_over,
            trio.slot is None or trio.slot.quantity == 0 or taken.get(trio.slot_id or 0, trio.pk) != trio.pk,
        )
        for trio in trios
    ]
    return sorted(rows, key=lambda row: (row.done and row.flat, row.trio.pk))
