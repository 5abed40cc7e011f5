"""How the list of trios is narrowed, searched and counted, so that a million of them answer at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Case, DecimalField, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property

from accounts.models import Environment, ExchangeAccount
from exchange.types import ZERO, Side
from orders import selectors
from orders.desk import OpenTrio, open_trios
from orders.domain.csv_cells import Cell, TimeHeading, figure
from orders.domain.enums import Cause, TrioState
from orders.domain.rounding import CENT, plain
from orders.domain.tags import tags_text
from orders.exchange_data.clock import from_ms, to_ms
from orders.models import Fill, IncomeShare, Leg, Slot, Symbol, TrioNote, TrioOrder, TrioTag
from orders.remarks import tags_known, tags_of

COUNTED_MAX: Final = 10_000  # beyond, nobody turns pages: filters and the search find it
JUDGED_MAX: Final = (
    1_000  # of those narrowed by what they brought or when they closed, which is worked out trio by trio
)
EXPORTED_MAX: Final = 100_000
CHUNK: Final = 500
SYMBOLS_MAX: Final = 300
FOUND_MAX: Final = 100
TAGGED_MAX: Final = 10_000
TAGS_MAX: Final = 200
COLUMNS: Final = (
    *("trio", "account", "environment", "symbol", "side", "position_side", "state", "result", "quantity"),
    *("filled", "entry_type", "price", "stop_loss", "take_profit", "net", "net_asset", "r"),
    *(
        "fees_and_net_by_asset",
        "uncovered_ms",
        "source",
        "made",
        "placed",
        "ended",
        "closed",
        *("closed", "zone"),  # as the list and the statistics have it
        "reason",
        "tags",
    ),
)
TIMES_AT: Final = slice(COLUMNS.index("made"), COLUMNS.index("closed") + 1)
NET, LATER = "net_to_judge", "executed_later"
NUMBER: Final[DecimalField[Decimal, Decimal]] = DecimalField(max_digits=38, decimal_places=16)


if TYPE_CHECKING:
    PaginatorBase = Paginator[Any]
else:
    PaginatorBase = Paginator


class CheapPaginator(PaginatorBase):
    """Counts no further than anybody turns pages."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        most = JUDGED_MAX if {NET, LATER} & set(rows.query.annotations) else COUNTED_MAX
        return int(rows.order_by().values("pk")[:most].count())  # of a trio, its figures are not worked out


def sorted_cheaply(queryset: QuerySet[Any]) -> QuerySet[Any]:
    """Narrow what is sorted otherwise than by number to the newest: nobody waits for a million to be sorted."""
    if tuple(queryset.query.order_by)[:1] in ((), ("-id",), ("id",), ("-pk",), ("pk",)):
        return queryset
    newest = queryset.order_by("-id").values("pk")[:COUNTED_MAX]
    return queryset.filter(pk__in=newest)


# --- filters --------------------------------------------------------------------------------------


class LifeFilter(admin.SimpleListFilter):
    title = "life"
    parameter_name = "life"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("alive", "Alive"), ("asks", "Needs an answer"), ("draft", "Draft"), ("ended", "Ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted = {
            "alive": Q(state__in=selectors.LIVING_STATES),
            "asks": ~Q(question_kind=""),
            "draft": Q(state=TrioState.DRAFT),
            "ended": Q(state__in=selectors.ENDED),
        }
        value = self.value()
        return queryset.filter(wanted[value]) if value in wanted else queryset


class SideFilter(admin.SimpleListFilter):
    title = "side"
    parameter_name = "side"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(Side.BUY.value, "BUY, long"), (Side.SELL.value, "SELL, short")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(side=value) if value in (Side.BUY.value, Side.SELL.value) else queryset


class ResultFilter(admin.SimpleListFilter):
    title = "result"
    parameter_name = "result"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(cause.value, cause.value.lower().replace("_", " ")) for cause in Cause]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(result=value) if value in Cause.__members__ else queryset


class OutcomeFilter(admin.SimpleListFilter):
    """By what a trio brought, after fees and funding; fees in another asset count where their price is known."""

    title = "won or lost"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("won", "Won: net above zero"), ("lost", "Lost: net below zero")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value not in ("won", "lost"):
            return queryset
        ended: QuerySet[Any] = queryset.filter(state__in=selectors.ENDED).alias(**{NET: _net()})
        return ended.filter(**{f"{NET}__gt" if value == "won" else f"{NET}__lt": 0})


def _net() -> Any:
    own = Q(commission_asset="") | Q(commission_asset=F("trio__symbol__margin_asset"))
    worth = Case(
        When(own, then=Value(Decimal(1))), default=Coalesce(F("fee_price__price"), ZERO), output_field=NUMBER
    )
    fills = Fill.objects.filter(trio=OuterRef("pk")).order_by().values("trio")
    executed = fills.annotate(
        net=Sum(F("realized_pnl") - F("commission") * worth, output_field=NUMBER)
    ).values("net")
    shares = IncomeShare.objects.filter(trio=OuterRef("pk"), income__asset=OuterRef("symbol__margin_asset"))
    funded = shares.order_by().values("trio").annotate(net=Sum("amount")).values("net")
    return Subquery(executed, output_field=NUMBER) + Coalesce(Subquery(funded, output_field=NUMBER), ZERO)


class AccountFilter(admin.SimpleListFilter):
    title = "account"
    parameter_name = "account__id__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows = ExchangeAccount.objects.order_by(F("archived_at").asc(nulls_first=True), "name")
        return [
            (str(account.pk), f"{account.name} (archived)" if account.archived_at else account.name)
            for account in rows.only("name", "archived_at")
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value() or ""
        return queryset.filter(account=int(value)) if value.isdecimal() and len(value) < 18 else queryset


class EnvironmentFilter(admin.SimpleListFilter):
    title = "environment"
    parameter_name = "account__environment__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, str(label)) for value, label in Environment.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value not in Environment.values:
            return queryset
        return queryset.filter(account__in=ExchangeAccount.objects.filter(environment=value).values("pk"))


class SymbolFilter(admin.SimpleListFilter):
    """The symbols that have a slot: those that were traded."""

    title = "symbol"
    parameter_name = "symbol"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = Slot.objects.order_by("symbol").values_list("symbol", flat=True).distinct()[:SYMBOLS_MAX]
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = (self.value() or "").upper()
        return (
            queryset.filter(symbol__in=Symbol.objects.filter(symbol=value).values("pk"))
            if value
            else queryset
        )


class SourceFilter(admin.SimpleListFilter):
    """Who wanted it: a person, a strategy, a webhook, a file."""

    title = "source"
    parameter_name = "source"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        newest = TrioOrder.objects.order_by("-id").values("source")[:5000]
        return [(name, name) for name in sorted({row["source"] for row in newest})]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(source=value) if value else queryset


class TagFilter(admin.SimpleListFilter):
    """The tags that people gave."""

    title = "tag"
    parameter_name = "tag"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in tags_known(TAGS_MAX)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(_tagged(value)) if value else queryset


def _tagged(name: str) -> Q:
    return Q(pk__in=TrioTag.objects.filter(name=name.lower()).values("trio"))


def _days() -> dict[str, tuple[date, date]]:
    """Return the spans of days that are offered, last day included: days of the viewer's zone."""
    today = timezone.localdate()
    month = today.replace(day=1)
    return {
        "today": (today, today),
        "yesterday": (today - timedelta(days=1), today - timedelta(days=1)),
        "week": (today - timedelta(days=6), today),
        "month": (today - timedelta(days=29), today),
        "this-month": (month, today),
        "last-month": ((month - timedelta(days=1)).replace(day=1), month - timedelta(days=1)),
    }


class DayFilter(admin.SimpleListFilter):
    """A span of days; ``2026-11-01..2026-11-28`` in the address is one, too."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("today", "Today"),
            ("yesterday", "Yesterday"),
            ("week", "7 days"),
            ("month", "30 days"),
            ("this-month", "This month"),
            ("last-month", "Last month"),
        ]

    def span(self) -> tuple[datetime, datetime] | None:
        """Return its first moment, and the first that is not in it any more."""
        value = self.value() or ""
        days = _days().get(value) or _written(value)
        if days is None:
            return None
        zone = timezone.get_current_timezone()
        first = datetime.combine(days[0], datetime.min.time(), tzinfo=zone)
        return first, datetime.combine(days[1] + timedelta(days=1), datetime.min.time(), tzinfo=zone)


def _written(value: str) -> tuple[date, date] | None:
    begins, _, ends = value.partition("..")
    try:
        return date.fromisoformat(begins), date.fromisoformat(ends or begins)
    except ValueError:
        return None


class ClosedFilter(DayFilter):
    """The day of its last execution, as in the statistics."""

    title = "closed"
    parameter_name = "closed"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        span = self.span()
        if span is None:
            return queryset
        since, until = (to_ms(moment) for moment in span)
        accounts = list(ExchangeAccount.objects.values_list("pk", flat=True))  # the index begins with them
        in_it = Fill.objects.filter(account__in=accounts, time_ts__gte=since, time_ts__lt=until).values(
            "trio"
        )
        later = Exists(Fill.objects.filter(trio=OuterRef("pk"), time_ts__gte=until))
        found: QuerySet[Any] = queryset.alias(**{LATER: later})
        return found.filter(**{LATER: False}, pk__in=in_it, state__in=selectors.ENDED)


class MadeFilter(DayFilter):
    title = "made"
    parameter_name = "made"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        span = self.span()
        return queryset if span is None else queryset.filter(created_at__gte=span[0], created_at__lt=span[1])


# --- search ---------------------------------------------------------------------------------------


def searched(queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
    """Narrow trios to those that fit every word: an id of any kind, a symbol, an account, a source, a tag, a note."""
    for word in text.split():
        queryset = queryset.filter(_id(word) if word.removeprefix("#").isdecimal() else _word(word))
    return queryset


def _id(word: str) -> Q:
    """Return which trios have this number: their own, or that of an order or execution at the exchange."""
    number = word.removeprefix("#")
    if len(number) > 18:
        return Q(pk__in=())
    value = int(number)
    if word.startswith("#") or (
        TrioOrder.objects.filter(pk=value).exists() and not Leg.objects.filter(order_id=value).exists()
    ):
        return Q(pk=value)
    found = {
        trio
        for rows in (
            Leg.objects.filter(order_id=value),
            Leg.objects.filter(algo_id=value),
            Fill.objects.filter(trade_id=value),
        )
        for trio in rows.order_by().values_list("trio", flat=True)[:FOUND_MAX]
    }
    return Q(pk__in=[*found, value]) | _word(word)


def _word(word: str) -> Q:
    """Return which trios a word is about. What it may name is looked up first: an OR over joins reads every trio."""
    if word.lower().startswith("tag:"):
        return _tagged(word[4:])
    if word.lower().startswith("note:"):
        return Q(pk__in=TrioNote.objects.filter(text__icontains=word[5:]).values("trio"))
    found = Q(pk__in=())
    if symbols := list(Symbol.objects.filter(symbol__icontains=word).values_list("pk", flat=True)):
        found |= Q(symbol__in=symbols)
    if accounts := list(ExchangeAccount.objects.filter(name__icontains=word).values_list("pk", flat=True)):
        found |= Q(account__in=accounts)
    if tagged := list(
        TrioTag.objects.filter(name=word.lower())
        .order_by("-trio")
        .values_list("trio", flat=True)[:TAGGED_MAX]
    ):
        found |= Q(pk__in=tagged)
    if "-" in word:  # as client ids have
        clients = Leg.objects.filter(client_id__gte=word, client_id__lt=f"{word}~").order_by("client_id")
        if named := list(clients.values_list("trio", flat=True)[:TAGGED_MAX]):
            found |= Q(pk__in=named)
    if ":" in word or word in ("admin", "command"):
        found |= Q(source__startswith=word)
    return found


# --- figures --------------------------------------------------------------------------------------


def figures_put(trios: list[Any]) -> None:
    """Give each trio of a page its ``figures``, its ``tag_names``, and ``closed_at``: its last execution, once it has ended."""
    keys = [trio.pk for trio in trios]
    tags = tags_of(keys)
    last = dict(Fill.objects.filter(trio__in=keys).order_by("time_ts").values_list("trio", "time_ts"))
    for trio in trios:
        trio.closed_at = from_ms(last[trio.pk]) if trio.is_over and trio.pk in last else None
    for row in open_trios(trios):
        row.trio.figures = row  # type: ignore[attr-defined]
        row.trio.tag_names = tags.get(row.trio.pk, [])  # type: ignore[attr-defined]


def exported(queryset: QuerySet[Any], zone: tzinfo) -> Iterator[list[Cell]]:
    """Yield the lines of the list as a file: names first, then a trio each, numbers as they are.

    ``zone``: the viewer's; the lines may be written when it is no longer the current one.
    """
    names: list[Cell] = list(COLUMNS)
    names[TIMES_AT] = [TimeHeading(name) for name in COLUMNS[TIMES_AT]]
    yield names
    last: int | None = None
    done = 0
    rows = queryset.select_related("account", "symbol", "slot").order_by("-pk")
    while done < EXPORTED_MAX:
        chunk = list((rows if last is None else rows.filter(pk__lt=last))[:CHUNK])
        if not chunk:
            return
        figures_put(chunk)
        for trio in chunk:
            yield _line(trio, zone)
        last, done = chunk[-1].pk, done + len(chunk)


def _line(trio: Any, zone: tzinfo) -> list[Cell]:
    row: OpenTrio = trio.figures
    parts = "; ".join(f"{plain(part.net)} {part.asset} (fees {plain(part.fees)})" for part in row.parts)
    ended, tick, step = trio.is_over, trio.symbol.tick_size, trio.symbol.step_size
    return [
        *(trio.pk, trio.account.name, trio.account.environment, trio.symbol.symbol),
        *(trio.side, trio.position_side, trio.state, trio.result),
        *(figure(trio.quantity, step), figure(trio.entry_filled, step), trio.entry_type),
        *(figure(price, tick) for price in (trio.price, trio.stop_loss, trio.take_profit)),
        *(figure(row.booked), row.asset if row.booked is not None else ""),
        *(figure(row.booked_r, CENT) if ended else None, parts, trio.uncovered_ms, trio.source),
        *(trio.created_at, trio.begun_at, trio.ended_at),
        *_closed(trio.closed_at, zone),
        *(trio.reason, tags_text(trio.tag_names)),
    ]


def _closed(moment: datetime | None, zone: tzinfo) -> tuple[datetime | None, str, str]:
    """Return when it closed, and as the list and the statistics have it: in the viewer's zone, which is named."""
    return moment, "" if moment is None else f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}", str(zone)
