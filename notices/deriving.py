"""What people are to be told of, found in rows that others have written: no turn of a trio writes a notice.

One process looks at a time: who holds the row of ``Progress`` of a source. What is appended (the story of trios and of
strategies, signals) is read onward from where it was read to, and a little way back, for a transaction may commit after
one that began later; what stands (a gap in the cover, a ban) is read as it is. A cause that is known is not told twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Max, Min, Q

from accounts.models import EgressLimits, ExchangeAccount
from notices.domain.kinds import FORMS, Cause, Kind
from notices.domain.timing import due_at
from notices.models import Condition, Notice, Progress, Recipient
from orders.domain.enums import Cause as Why
from orders.domain.enums import TrioState
from orders.domain.rounding import signed
from orders.exchange_data.clock import db_now, to_ms
from orders.models import TrioEvent, TrioOrder, Watch
from orders.placement.ingest import MARGIN_CALL
from orders.selectors import net_pnl
from signals.domain.enums import Outcome, Status
from signals.domain.refusals import RefusalKind
from signals.models import Signal, SignalResult, StrategyEvent

ROWS_MAX: Final = 500
SETTLED: Final = timedelta(
    seconds=30
)  # a transaction of ours is over by then: it may wait for a lock for a second
BANNED_FOR: Final = timedelta(seconds=30)  # what is over sooner is waited out, and no news to anybody
# An account that cannot be watched once or twice is tried again within seconds, and one that is taken over is read anew.
FAILURES_TOLD: Final = 3
UNWATCHED_FOR: Final = timedelta(seconds=30)
FAILED_WITHIN: Final = timedelta(hours=1)  # how often it fails in a row is not forgotten when it succeeds
BOUNDS: Final = "SET LOCAL statement_timeout = '5s'; SET LOCAL lock_timeout = '1s'"
# A position that ended otherwise than its levels, a person or its time said.
FORCED: Final = frozenset(
    {
        *(Why.LIQUIDATED, Why.ADL, Why.SETTLEMENT, Why.DELIVERY),
        *(Why.UNCOVERED, Why.OUTSIDE, Why.DRIFT, Why.LATE),
    }
)
FAILED: Final = frozenset({TrioState.REFUSED, TrioState.ROLLED_BACK, TrioState.EXPIRED})


@dataclass(frozen=True, slots=True)
class Read:
    """What a source brought: causes, and up to where it need not be read again."""

    causes: tuple[Cause, ...]
    position: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """Rows of another room: ``read`` is given the position and the time; ``newest`` the position to begin at."""

    name: str
    read: Callable[[int, datetime], Read]
    newest: Callable[[], int]


def notices_derive() -> int:
    """Look for what people are to be told of, and record it for each of them. Returns how many notices were made."""
    people = recipients_told()
    if not people:  # who is told later is told of what happens from then on
        Progress.objects.all().delete()
        return 0
    return sum(_derive_from(source, people) for source in SOURCES)


def _derive_from(source: Source, people: list[Recipient]) -> int:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(BOUNDS)
        place = _place(source)
        if place is None:  # somebody else looks
            return 0
        now = db_now()
        read = source.read(place.position, now)
        if read.position != place.position:
            Progress.objects.filter(pk=place.pk).update(position=read.position)
        return notices_make(read.causes, people, now=now)


def _place(source: Source) -> Progress | None:
    """Take the right to read a source; ``None`` while another process has it. What was there before is not told."""
    rows = Progress.objects.filter(source=source.name)
    place = rows.select_for_update(skip_locked=True).first()
    if place is None and not rows.exists():
        Progress.objects.get_or_create(source=source.name, defaults={"position": source.newest()})
        place = rows.select_for_update(skip_locked=True).first()
    return place


def somebody_is_told() -> bool:
    """Is there anybody to be told at all? When there is nobody, what happens meanwhile is told to nobody later."""
    if Recipient.objects.filter(is_active=True).exists():
        return True
    Progress.objects.all().delete()
    return False


def recipients_told() -> list[Recipient]:
    """Return the people who are told: they are active, and may see trios."""
    rows = Recipient.objects.filter(is_active=True).select_related("user")
    return [row for row in rows if may_be_told(row.user)]


def may_be_told(user: Any) -> bool:
    assert isinstance(user, User)
    return user.is_active and user.is_staff and user.has_perm("orders.view_trioorder")


def notices_make(causes: Iterable[Cause], recipients: Iterable[Recipient], *, now: datetime) -> int:
    """Record causes for people, each once. Returns how many notices are new."""
    known = {(cause.kind, cause.key): cause for cause in causes}
    people = list(recipients)
    if not known or not people:
        return 0
    told = set(
        Notice.objects.filter(recipient__in=people, cause__in=[key for _, key in known]).values_list(
            "recipient_id", "kind", "cause"
        )
    )
    made = [
        notice
        for (kind, key), cause in known.items()
        for person in people
        if (person.pk, kind.value, key) not in told and (notice := notice_of(cause, person, now))
    ]
    Notice.objects.bulk_create(made, ignore_conflicts=True)
    return len(made)


def notice_of(cause: Cause, person: Recipient, now: datetime) -> Notice | None:
    """Return the notice of a cause for a person, unsaved; ``None`` when that person does not want to be told."""
    severity = FORMS[cause.kind].severity
    due = due_at(severity, person.mode_of(cause.kind), person.hours, now)
    if due is None:
        return None
    return Notice(
        recipient=person,
        kind=cause.kind.value,
        severity=severity.value,
        cause=cause.key,
        facts=dict(cause.facts),
        made_at=now,
        due_at=due,
    )


# --- the story of trios --------------------------------------------------------------------------------


def _story(position: int, now: datetime) -> Read:
    settled = _settled(TrioEvent, position, now)  # before the lines are read, or one might appear in between
    rows = TrioEvent.objects.filter(id__gt=position, kind__in=("question", "state", MARGIN_CALL)).order_by(
        "id"
    )
    lines = list(rows.select_related("trio__account", "trio__symbol")[:ROWS_MAX])
    if len(lines) == ROWS_MAX:
        settled = min(settled, lines[-1].pk)
    ended = {line.trio_id for line in lines if line.trio.state == TrioState.CLOSED}
    nets = {
        trio_id: [[signed(part.net), part.asset] for part in parts]
        for trio_id, parts in net_pnl(ended).items()
    }
    return Read(tuple(_of_story(lines, nets, now)), settled)


def _of_story(lines: Iterable[TrioEvent], nets: Mapping[int, Any], now: datetime) -> Iterator[Cause]:
    for line in lines:
        facts = trio_facts(line.trio)
        if line.kind == "question":
            if asked := line.data.get("question"):
                facts |= {"question": asked, "question_facts": line.data.get("facts", {})}
                yield Cause(Kind.TRIO_ASKS, f"question:{line.pk}", facts)
        elif line.kind == MARGIN_CALL:
            yield Cause(
                Kind.MARGIN_CALL, f"margin-call:{line.pk}", facts | {"mark": line.data.get("mark", "")}
            )
        elif (cause := _of_end(line, facts, nets)) is not None:
            yield cause


def _of_end(line: TrioEvent, facts: dict[str, Any], nets: Mapping[int, Any]) -> Cause | None:
    """Return what people are told of a trio that has ended; nothing of one that lives, or that a person withdrew."""
    trio = line.trio
    if trio.state == TrioState.CLOSED:
        kind = Kind.TRIO_FORCED if trio.result in FORCED else Kind.TRIO_CLOSED
        return Cause(
            kind, f"trio:{trio.pk}:ended", facts | {"result": trio.result, "net": nets.get(trio.pk, [])}
        )
    if trio.state not in FAILED:
        return None
    if "rule" in line.data:
        return _of_limit(trio.account_id, {**line.data, "trio": trio.pk}, line.at)
    if trio.cause == Why.LIMIT:  # the line that ended it says which limit
        return None
    return Cause(
        Kind.TRIO_FAILED, f"trio:{trio.pk}:ended", facts | {"state": trio.state, "reason": trio.reason}
    )


def _of_limit(account_id: int, facts: Mapping[str, Any], at: datetime) -> Cause:
    """Return what people are told of a limit that refused something: once a day (UTC) for each limit and rule."""
    key = f"limit:{account_id}:{facts['source']}:{facts['rule']}:{at:%Y-%m-%d}"
    return Cause(Kind.LIMIT_BREACHED, key, dict(facts))


def trio_facts(trio: TrioOrder) -> dict[str, Any]:
    """Return what a notice says of which trio it is about."""
    return {
        "trio": trio.pk,
        "side": trio.side,
        "symbol": trio.symbol.symbol,
        "account": trio.account.name,
    }


def _settled(model: type[TrioEvent | StrategyEvent], position: int, now: datetime) -> int:
    """Return up to which of the appended rows none can appear any more."""
    rows = model._default_manager.filter(id__gt=position, at__lt=now - SETTLED)
    return int(rows.aggregate(newest=Max("id"))["newest"] or position)


def _newest(model: Any) -> int:
    return int(model.objects.aggregate(newest=Max("id"))["newest"] or 0)


# --- signals and strategies ----------------------------------------------------------------------------


def _strategies(position: int, now: datetime) -> Read:
    settled = _settled(StrategyEvent, position, now)
    rows = StrategyEvent.objects.filter(id__gt=position, kind=StrategyEvent.Kind.DISABLED).order_by("id")
    lines = list(rows.select_related("strategy")[:ROWS_MAX])
    if len(lines) == ROWS_MAX:
        settled = min(settled, lines[-1].pk)
    return Read(
        tuple(
            Cause(
                Kind.STRATEGY_DISABLED,
                f"strategy-event:{line.pk}",
                {"strategy": line.strategy.name, "fault": line.fault, "detail": line.detail},
            )
            for line in lines
            if line.fault
        ),
        settled,
    )


def _signals(position: int, now: datetime) -> Read:
    rows = Signal.objects.filter(id__gt=position)
    settled = rows.filter(received_at__lt=now - SETTLED).aggregate(newest=Max("id"))["newest"] or position
    waiting = rows.filter(status=Status.WAITING).aggregate(oldest=Min("id"))["oldest"]
    if waiting is not None:
        settled = max(position, min(settled, waiting - 1))
    told = Q(outcome=Outcome.TOO_LATE) | Q(refusal=RefusalKind.LIMIT)
    results = SignalResult.objects.filter(told, signal_id__gt=position).order_by("signal_id", "id")
    found = list(results.select_related("signal", "account")[:ROWS_MAX])
    if len(found) == ROWS_MAX:
        settled = max(position, min(settled, found[-1].signal_id - 1))
    return Read(tuple(map(_of_result, found)), settled)


def _of_result(result: SignalResult) -> Cause:
    signal = result.signal
    if result.refusal == RefusalKind.LIMIT:
        return _of_limit(result.account_id, result.facts, signal.received_at)
    facts = {
        "source": signal.trio_source,
        "verb": signal.verb,
        "side": signal.side,
        "symbol": signal.symbol,
        "account": result.account.name,
    }
    return Cause(Kind.SIGNAL_MISSED, f"signal:{signal.pk}:{result.account_id}", facts)


# --- what stands ---------------------------------------------------------------------------------------


def _standing(position: int, now: datetime) -> Read:
    causes = [*_uncovered(now), *_restricted(), *_lasting({**_unwatched(now), **_barred(now)}, now)]
    _mark_over(causes, now)
    return Read(tuple(causes), position)


def _uncovered(now: datetime) -> Iterator[Cause]:
    """Yield gaps in the cover that are longer than the bound: past it the position is being closed, or cannot be.

    One that a person has asked for is none, for as long as was asked for.
    """
    bound = now - timedelta(milliseconds=settings.NAKED_LIMIT_MS)
    rows = TrioOrder.objects.filter(holds_slot=True, uncovered_known_at__lt=bound)
    for trio in rows.select_related("account", "symbol")[:ROWS_MAX]:
        if (until := trio.unprotected_until) is not None and until > to_ms(now):
            continue
        since = trio.uncovered_known_at
        key = f"trio:{trio.pk}:uncovered:{since:%Y-%m-%dT%H:%M:%S.%f}"
        yield Cause(Kind.UNCOVERED, key, {**trio_facts(trio), "since": _shown(since)})


def _restricted() -> Iterator[Cause]:
    for account in ExchangeAccount.objects.exclude(restriction=""):
        seen = f"{account.restricted_at:%Y-%m-%dT%H:%M:%S}" if account.restricted_at else ""
        facts = {
            "account": account.name,
            "text": account.restriction_text.rstrip("."),
            "code": account.restriction_code,
        }
        yield Cause(Kind.ACCOUNT_RESTRICTED, f"account:{account.pk}:restricted:{seen}", facts)


def _unwatched(now: datetime) -> dict[str, Cause]:
    """Return the accounts that nobody can watch, a refused key among the reasons, by what names the condition."""
    living = Q(account__is_active=True) | Q(account__trios__holds_slot=True)
    failing = {"failures__gte": FAILURES_TOLD, "failed_at__gt": now - FAILED_WITHIN, "swept_at": None}
    rows = Watch.objects.filter(living, **failing)
    found = {}
    for watch in rows.select_related("account").distinct():
        key = f"account:{watch.account_id}:unwatched"
        found[key] = Cause(Kind.ACCOUNT_UNWATCHED, key, {"account": watch.account.name, "text": watch.note})
    return found


def _barred(now: datetime) -> dict[str, Cause]:
    """Return the bans that last, by what names the condition."""
    found = {}
    for row in EgressLimits.objects.filter(closed_until__gt=now):
        key = f"egress:{row.pk}:closed"
        known = Condition.objects.filter(key=key).exists()
        if not known and row.closed_until is not None and row.closed_until - now < BANNED_FOR:
            continue
        facts = {
            "environment": row.environment,
            "egress": row.egress,
            "cause": row.closed_cause,
            "until": _shown(row.closed_until),
        }
        found[key] = Cause(Kind.ADDRESS_CLOSED, key, facts)
    return found


def _lasting(found: Mapping[str, Cause], now: datetime) -> Iterator[Cause]:
    """Yield conditions with the time since which each lasts: one that is over and comes back is another cause."""
    Condition.objects.exclude(key__in=found).delete()
    Condition.objects.bulk_create([Condition(key=key, since=now) for key in found], ignore_conflicts=True)
    for row in Condition.objects.all():
        cause = found[row.key]
        if cause.kind is Kind.ACCOUNT_UNWATCHED and row.since > now - UNWATCHED_FOR:
            continue
        key = f"{row.key}:{row.since:%Y-%m-%dT%H:%M:%S.%f}"
        yield Cause(cause.kind, key, {**cause.facts, "since": _shown(row.since)})


def _mark_over(standing: Iterable[Cause], now: datetime) -> None:
    """End what waits to be acknowledged and is over: nobody has to be told any more."""
    waiting = Notice.objects.filter(severity="URGENT", acknowledged_at=None, over_at=None)
    stands = {cause.key for cause in standing}
    kinds = (Kind.UNCOVERED, Kind.ACCOUNT_RESTRICTED, Kind.ACCOUNT_UNWATCHED, Kind.ADDRESS_CLOSED)
    waiting.filter(kind__in=kinds).exclude(cause__in=stands).update(over_at=now)
    asked = {
        notice.pk: (int(notice.facts["trio"]), int(notice.cause.partition(":")[2]))
        for notice in waiting.filter(kind=Kind.TRIO_ASKS).order_by("-id")[:ROWS_MAX]
    }
    trios = TrioOrder.objects.filter(pk__in={trio_id for trio_id, _ in asked.values()})
    still = set(trios.values_list("pk", "question_number"))
    Notice.objects.filter(pk__in=[pk for pk, about in asked.items() if about not in still]).update(
        over_at=now
    )


def _shown(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else "not known"


SOURCES: Final = (
    Source("orders.TrioEvent", _story, lambda: _newest(TrioEvent)),
    Source("signals.StrategyEvent", _strategies, lambda: _newest(StrategyEvent)),
    Source("signals.Signal", _signals, lambda: _newest(Signal)),
    Source("standing", _standing, lambda: 0),
)
