"""The page of an account's days: balances, fees, funding and income, and the same as a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, timedelta
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.models import ExchangeAccount
from orders.account_days import AccountDay, account_days
from orders.admin.spreadsheet import csv_answer, xlsx_answer
from orders.domain.csv_cells import Cell, figure

DAYS: Final = 30
DAYS_MAX: Final = 366
FILES: Final = {"csv": csv_answer, "xlsx": xlsx_answer}
COLUMNS: Final = (
    *("day", "asset", "wallet", "equity", "realized", "fees", "funding", "other", "net", "transfers"),
)


@require_safe
def days_page(
    request: HttpRequest, admin_context: Callable[[HttpRequest], Mapping[str, Any]]
) -> HttpResponseBase:
    """Answer with the days of one account, as a page or a file (``format``)."""
    if not request.user.has_perm("orders.view_incomereading"):
        raise PermissionDenied("You may not see the income of accounts.")
    account = _account(request)
    today = timezone.now().astimezone(UTC).date()
    until = _day(request.GET.get("until", "")) or today
    since = _day(request.GET.get("since", "")) or until - timedelta(days=DAYS - 1)
    since = max(min(since, until), until - timedelta(days=DAYS_MAX - 1))
    days = account_days(account, since, until)
    if (form := request.GET.get("format", "")) in FILES:
        return FILES[form]([list(COLUMNS), *(_line(day) for day in days)], "account_days")
    query = request.GET.copy()
    query.pop("format", None)
    page = {
        **admin_context(request),
        "title": f"{account.name}, day by day",
        "account": account,
        "accounts": ExchangeAccount.objects.order_by("name").values_list("name", flat=True),
        "days": days,
        "since": since,
        "until": until,
        "query": query.urlencode(),
    }
    return TemplateResponse(request, "admin/orders/incomereading/days.html", page)


def _account(request: HttpRequest) -> ExchangeAccount:
    name = request.GET.get("account", "")
    found = ExchangeAccount.objects.filter(name=name) if name else ExchangeAccount.objects.order_by("pk")
    account = found.first()
    if account is None:
        raise Http404("There is no such account.")
    return account


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _line(day: AccountDay) -> list[Cell]:
    return [day.day.isoformat(), *(_cell(getattr(day, name)) for name in COLUMNS[1:])]


def _cell(value: Any) -> Cell:
    return value if isinstance(value, str) else figure(value)
