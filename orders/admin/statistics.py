"""The page of statistics: what trades came to, by whom, what, when; as a picture, a table and a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.models import ExchangeAccount
from exchange.types import Side
from orders.admin.spreadsheet import csv_answer, xlsx_answer
from orders.domain.csv_cells import Cell, Figure
from orders.domain.exposure import running
from orders.domain.rounding import CENT, plain
from orders.domain.statistics import Statistics, Trade, grouped, statistics_of
from orders.models import TrioOrder
from orders.remarks import tags_known, tags_of
from orders.results import Wanted, trades_wanted

DAYS: Final = 30
DAYS_MAX: Final = 366
POINTS_MAX: Final = 400
TAGS_MAX: Final = 200
BY: Final = {
    "day": "Day",
    "account": "Account",
    "symbol": "Symbol",
    "source": "Strategy or source",
    "tag": "Tag",
    "side": "Side",
    "hour": "Hour of the day",
    "weekday": "Day of the week",
    "result": "Result",
}
UNTAGGED: Final = "–"
FILES: Final = {"csv": csv_answer, "xlsx": xlsx_answer}
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
COLUMNS: Final = (
    *(
        "asset",
        "group",
        "trades",
        "won",
        "lost",
        "even",
        "win_rate",
        "win_rate_without_even",
        "profit_factor",
    ),
    *(
        "expectancy",
        "net",
        "realized",
        "fees",
        "funding",
        "largest_drawdown",
        "average_r",
        "best_r",
        "worst_r",
    ),
    *("slippage", "average_held_seconds"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks of the page: which trades, and in which groups."""

    wanted: Wanted
    by: str
    since: date
    until: date  # included
    zone: tzinfo


def asked_of(request: HttpRequest) -> Asked:
    """Read the address; what is no filter counts as not asked."""
    zone, today = timezone.get_current_timezone(), timezone.localdate()
    until = _day(request.GET.get("until", "")) or today
    since = _day(request.GET.get("since", "")) or until - timedelta(days=DAYS - 1)
    since = max(min(since, until), until - timedelta(days=DAYS_MAX - 1))
    side = request.GET.get("side", "")
    by = request.GET.get("by", "day")
    begins = datetime.combine(since, datetime.min.time(), tzinfo=zone)
    ends = datetime.combine(until + timedelta(days=1), datetime.min.time(), tzinfo=zone)
    wanted = Wanted(
        account=request.GET.get("account", ""),
        symbol=request.GET.get("symbol", "").strip().upper(),
        side=side if side in (Side.BUY.value, Side.SELL.value) else "",
        source=request.GET.get("source", "").strip(),
        tag=request.GET.get("tag", "").strip().lstrip("#").lower(),
        since=begins,
        until=ends,
    )
    return Asked(wanted, by if by in BY else "day", since, until, zone)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


@require_safe
def statistics(
    request: HttpRequest, admin_context: Callable[[HttpRequest], Mapping[str, Any]]
) -> HttpResponseBase:
    """Answer with the page, or the same figures as CSV, XLSX or JSON (``format``)."""
    if not request.user.has_perm("orders.view_trioorder"):
        raise PermissionDenied("You may not see the results of trios.")
    asked = asked_of(request)
    found = trades_wanted(asked.wanted)
    groups = {asset: _groups(trades, asked) for asset, trades in sorted(found.trades.items())}
    sums = {asset: statistics_of(trades) for asset, trades in sorted(found.trades.items())}
    form = request.GET.get("format", "")
    if form in FILES:
        return FILES[form]([list(COLUMNS), *_lines(groups, sums)], "statistics")
    if form == "json":
        return JsonResponse(_document(asked, groups, sums, found.not_known))
    return _page(request, asked, found.trades, groups, sums, found.not_known, admin_context(request))


def _groups(trades: list[Trade], asked: Asked) -> dict[str, Statistics]:
    keys = [trade.trio for trade in trades]
    columns = {
        "account": "account__name",
        "symbol": "symbol__symbol",
        "source": "source",
        "side": "side",
        "result": "result",
    }
    if asked.by in columns:
        names = dict(TrioOrder.objects.filter(pk__in=keys).values_list("pk", columns[asked.by]))
        found = grouped(trades, lambda trade: names.get(trade.trio) or "–")
        return dict(sorted(found.items(), key=lambda item: -abs(item[1].net)))
    if asked.by == "tag":
        tags = tags_of(keys)
        by_tag: dict[str, list[Trade]] = {}
        for trade in trades:
            for name in tags.get(trade.trio, [UNTAGGED]):
                by_tag.setdefault(name, []).append(trade)
        sums = {name: statistics_of(some) for name, some in by_tag.items()}
        return dict(sorted(sums.items(), key=lambda item: -abs(item[1].net)))
    if asked.by == "hour":
        return grouped(trades, lambda trade: f"{trade.closed_at.astimezone(asked.zone):%H}:00")
    if asked.by == "weekday":
        found_days = grouped(trades, lambda trade: trade.closed_at.astimezone(asked.zone).weekday())
        return {WEEKDAYS[day]: figures for day, figures in found_days.items()}
    return {
        day.isoformat(): figures
        for day, figures in grouped(
            trades, lambda trade: trade.closed_at.astimezone(asked.zone).date()
        ).items()
    }


def _lines(
    groups: Mapping[str, Mapping[str, Statistics]], sums: Mapping[str, Statistics]
) -> list[list[Cell]]:
    found: list[list[Cell]] = []
    for asset, rows in groups.items():
        for name, figures in [*rows.items(), ("all", sums[asset])]:
            found.append([asset, name, *(_cell(getattr(figures, column)) for column in COLUMNS[2:])])
    return found


def _cell(value: Decimal | int | None) -> Cell:
    return Figure(value) if isinstance(value, Decimal) else value


def _document(
    asked: Asked,
    groups: Mapping[str, Mapping[str, Statistics]],
    sums: Mapping[str, Statistics],
    not_known: Mapping[int, str],
) -> dict[str, Any]:
    def figures(found: Statistics) -> dict[str, Any]:
        return {column: _plain(getattr(found, column)) for column in COLUMNS[2:]} | {
            "no_losses": found.no_losses
        }

    return {
        "zone": str(asked.zone),
        "since": asked.since.isoformat(),
        "until": asked.until.isoformat(),
        "by": asked.by,
        "assets": [
            {
                "asset": asset,
                **figures(sums[asset]),
                "groups": [{"group": name, **figures(found)} for name, found in rows.items()],
            }
            for asset, rows in groups.items()
        ],
        "not_known": [{"trio": trio, "reason": why} for trio, why in sorted(not_known.items())],
    }


def _plain(value: object) -> object:
    return plain(value) if isinstance(value, Decimal) else value


def _page(
    request: HttpRequest,
    asked: Asked,
    trades: Mapping[str, list[Trade]],
    groups: Mapping[str, Mapping[str, Statistics]],
    sums: Mapping[str, Statistics],
    not_known: Mapping[int, str],
    context: Mapping[str, Any],
) -> HttpResponse:
    query = request.GET.copy()
    query.pop("format", None)
    assets = [
        {
            "asset": asset,
            "sum": sums[asset],
            "rows": list(rows.items()),
            "curve": _curve(asset, trades[asset], asked.zone),
        }
        for asset, rows in groups.items()
    ]
    page = {
        **context,
        "title": "Statistics",
        "asked": asked,
        "by_name": BY[asked.by],
        "choices": BY.items(),
        "accounts": ExchangeAccount.objects.order_by("name").values_list("name", flat=True),
        "assets": assets,
        "tags": tags_known(TAGS_MAX),
        "not_known": sorted(not_known.items()),
        "query": query.urlencode(),
        "zone": timezone.get_current_timezone_name(),
    }
    return TemplateResponse(request, "admin/orders/trioorder/statistics.html", page)


def _curve(asset: str, trades: list[Trade], zone: tzinfo) -> dict[str, str]:
    """Return what the picture of the running net is drawn from: at most so many points, the last one always."""
    ordered = sorted(trades, key=lambda trade: (trade.closed_at, trade.trio))
    sums = running(trade.net for trade in ordered)
    step = max(1, len(sums) // POINTS_MAX)
    kept = sorted({*range(0, len(sums), step), len(sums) - 1})
    return {
        "label": f"Cumulative net PnL of {len(sums)} trades, {asset}",
        "days": json.dumps(
            ["", *(f"{ordered[place].closed_at.astimezone(zone):%d %b %H:%M}" for place in kept)]
        ),
        "points": json.dumps(["0", *(format(sums[place].quantize(CENT), "f") for place in kept)]),
    }
