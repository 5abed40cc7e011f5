"""What the page of one trio shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.utils import timezone

from exchange.redaction import redact
from exchange.types import ZERO
from orders import risk_gates
from orders.admin import trio_desk
from orders.admin.trio_desk import AtLevel, Latency
from orders.badges import result_colour
from orders.desk import OpenTrio
from orders.domain.average import average_of
from orders.domain.cover_bar import CoverBar, cover_bar
from orders.domain.coverage import Gaps
from orders.domain.enums import LegState, RequestKind, Role, TrioState
from orders.domain.next_step import NextStep
from orders.domain.rounding import plain
from orders.exchange_data.clock import db_now, from_ms
from orders.follow_rows import following
from orders.models import Fill, Leg, Request, Reversal, Slot, TrioEvent, TrioOrder, Watch
from orders.placement.uncovered import cover_spans, trio_seen, uncovered_now
from orders.reversal import reversal_sentence
from orders.selectors import ENDED, NetPnl, unprotected_sentence, watch_is_kept

BUSY: Final = frozenset(
    {
        TrioState.PLACING,
        TrioState.WITHDRAWING,
        TrioState.ROLLING_BACK,
        TrioState.EXITING,
        TrioState.LATE,
    }
)


# A trio that was retried for a day has thousands; the newest are shown, the journal's list has all.
ROWS_SHOWN: Final = 200


# What a page must never show, should it ever get into a payload.
HIDDEN_PARAMETERS: Final = frozenset({"signature", "apikey", "listenkey", "secret"})


@dataclass(frozen=True, slots=True)
class Job:
    """Whether somebody is at work on a trio: queued, running, done, or nothing for a draft."""

    word: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Rung:
    """One price on the ladder from stop to target; ``percent`` is its place from the left, 0 to 100."""

    kind: str
    label: str
    price: str
    percent: str


@dataclass(frozen=True, slots=True)
class CallRow:
    """One request to the exchange and its outcome."""

    request: Request
    at: datetime
    role: str
    payload: tuple[tuple[str, str], ...]
    verdict: str
    status: int
    code: int
    message: str
    latency_ms: int | None


@dataclass(frozen=True, slots=True)
class TrioPage:
    """All that a trio's page shows."""

    trio: TrioOrder
    job: Job
    legs: Sequence[Leg]
    fills: Sequence[Fill]
    events: Sequence[TrioEvent]
    calls: Sequence[CallRow]
    ladder: Sequence[Rung]
    entry_filled: Decimal
    entry_average: Decimal | None
    results: Sequence[NetPnl]
    converted: str  # the same in one asset, where fees were paid in others
    worker_alive: bool
    watched: bool
    events_count: int = 0
    calls_count: int = 0
    slot: Slot | None = None
    slot_as_of: datetime | None = None
    uncovered: Gaps = field(default_factory=lambda: Gaps(0, 0))  # up to this moment
    cover: CoverBar | None = None  # over time, from its first execution on
    wishes: Sequence[str] = field(default_factory=tuple)
    unprotected: str = ""  # that a person has it left so, until when
    following: Sequence[str] = field(default_factory=tuple)  # what follows the price, a sentence each
    result_colour: str = "default"
    money: OpenTrio | None = None
    levels: Sequence[AtLevel] = field(default_factory=tuple)
    latencies: Sequence[Latency] = field(default_factory=tuple)
    slippage: Decimal | None = None
    next: NextStep | None = None  # what is done next, and by which rule

    @property
    def is_live(self) -> bool:
        """May anything still change by itself?"""
        return self.trio.trio_state is not TrioState.DRAFT and not self.trio.is_over


def trio_page(trio_id: int) -> TrioPage:
    """Read all that a trio's page shows. Raises TrioOrder.DoesNotExist."""
    trio = TrioOrder.objects.select_related("account", "symbol", "slot", "created_by").get(pk=trio_id)
    legs = list(trio.legs.all())
    fills = list(trio.fills.select_related("leg"))
    requests = list(trio.requests.select_related("outcome", "leg").order_by("-id")[:ROWS_SHOWN])
    entries = [leg for leg in legs if Role(leg.role).opens]
    filled = sum((leg.filled for leg in entries), ZERO)
    average = average_of(legs)
    slot = trio.slot
    money = None if trio.trio_state is TrioState.DRAFT else trio_desk.money_of(trio)
    results = () if money is None else money.parts
    foreign = any(part.asset != trio.symbol.margin_asset for part in results)
    converted = money.converted if money is not None and foreign else None
    seen = None if money is None or trio.is_over else trio_seen(trio)
    alive = risk_gates.worker_alive()
    watched = alive and watch_is_kept(Watch.objects.filter(account=trio.account_id).first())
    return TrioPage(
        trio=trio,
        job=trio_job(trio, legs, requests, now=db_now(), watched=watched),
        legs=legs,
        fills=fills,
        events=list(trio.events.order_by("-id")[:ROWS_SHOWN]),
        events_count=trio.events.count(),
        calls_count=trio.requests.count(),
        calls=[call_row(request) for request in requests],
        ladder=ladder(trio, entry_average=average, mark=slot.mark_price if slot else None),
        entry_filled=filled,
        entry_average=average,
        results=results,
        converted="" if converted is None else converted.sentence,
        worker_alive=alive,
        watched=watched,
        slot=slot,
        slot_as_of=from_ms(slot.as_of) if slot and slot.as_of else None,
        uncovered=uncovered_now(trio, seen),
        cover=cover_bar(cover_spans(trio, seen)),
        wishes=wishes(trio),
        unprotected=unprotected_sentence(trio),
        following=following(trio),
        money=money,
        levels=trio_desk.at_levels(money) if money is not None else (),
        latencies=trio_desk.latencies(trio, legs, requests, fills),
        slippage=trio_desk.slippage_of(trio, legs, fills),
        next=trio_desk.next_step(trio, seen),
        result_colour=result_colour(
            trio.result, [part.net for part in results], None if converted is None else converted.net
        ),
    )


def trio_job(
    trio: TrioOrder, legs: Sequence[Leg], requests: Sequence[Request], *, now: datetime, watched: bool = True
) -> Job:
    """Say whether work on a trio is queued, running or done, from the database alone.

    The queue may have lost its jobs, so it is not asked: the trio's row knows.
    """
    state = trio.trio_state
    if state is TrioState.DRAFT:
        return Job("", "A draft: nothing has been sent to the exchange yet.")
    if trio.is_over:
        return Job("done", f"Ended{_at(trio.ended_at)}.")
    if state is TrioState.QUEUED:
        limit = f" Expires{_at(trio.place_before)}." if trio.place_before else ""
        return Job("queued", f"Waiting for a worker{_at(trio.queued_at, 'since')}.{limit}")
    if asked := outstanding_wish(trio, legs):
        return Job("running", f"{asked}; in progress.")
    open_requests = sum(_unanswered(request) for request in requests)
    if open_requests:
        what = "One request waits" if open_requests == 1 else f"{open_requests} requests wait"
        return Job("running", f"{what} for the exchange's answer.")
    if any(leg.looking_since or (leg.look_at and leg.look_at <= now) for leg in legs):
        return Job("running", "Being looked up on the exchange.")
    if state in BUSY:
        return Job("running", "A worker is processing it.")
    if trio.wake_at and trio.wake_at <= now:
        return Job("queued", "A worker is about to look at it.")
    if not watched:
        return Job("unwatched", "Its account is not monitored now: fills are not seen.")
    return Job("done", "Nothing to do; it is monitored until it ends.")


def outstanding_wish(trio: TrioOrder, legs: Sequence[Leg]) -> str:
    """Return what a person asked for and is not there yet, or nothing."""
    if trio.is_over:
        return ""
    if at := trio.panic_wanted_at:
        return f"Panic close asked for{_at(at)}"
    if at := trio.close_wanted_at:
        return f"Close at market asked for{_at(at)}"
    entry_over = all(LegState(leg.state).is_final for leg in legs if Role(leg.role).opens)
    if (at := trio.cancel_wanted_at) and not (trio.trio_state is TrioState.OPEN and entry_over):
        return f"Cancel asked for{_at(at)}"
    return ""


def wishes(trio: TrioOrder) -> tuple[str, ...]:
    """Return what people asked of a trio, with who and when."""
    asked = (
        ("Cancel", "Cancel", trio.cancel_wanted_at),
        ("Close", "Close at market", trio.close_wanted_at),
        ("Panic", "Panic", trio.panic_wanted_at),
    )
    by: dict[str, str] = {}
    for data in trio.events.filter(kind="wish").order_by("id").values_list("data", flat=True):
        by.setdefault(data.get("verb", ""), data.get("by", ""))
    found = [
        f"{label} asked for{_at(at)}{f' by {by[verb]}' if by.get(verb) else ''}"
        for verb, label, at in asked
        if at
    ]
    if trio.adoption is not None:
        found.append(adoption_sentence(trio.adoption))
    wish = Reversal.objects.filter(trio=trio).first()
    if wish is not None:
        found.append(reversal_sentence(wish))
    first = Reversal.objects.filter(successor=trio).values_list("trio_id", flat=True).first()
    if first is not None:
        found.append(f"It reverses trio {first}.")
    return tuple(found)


def adoption_sentence(adoption: dict[str, Any]) -> str:
    """Say whose position a trio was made of, and what became of the orders beside it that are not ours."""
    words = {"LEFT": "left", "GONE": "cancelled, gone", "": "being cancelled"}
    beside = "; ".join(f"{order['text']} ({words[order['end']]})" for order in adoption["orders"])
    return (
        f"Adopted by {adoption['by']}{_at(from_ms(adoption['at']))}: {adoption['quantity']} at {adoption['entry_price']}, "
        f"its entry fee is not included here. External orders: {beside or 'none'}."
    )


def call_row(request: Request) -> CallRow:
    """Return one exchange call as it may be shown: nothing that signs or identifies a key."""
    outcome = getattr(request, "outcome", None)
    shown = tuple(
        (name, _text(value))
        for name, value in request.payload.items()
        if name.lower() not in HIDDEN_PARAMETERS
    )
    return CallRow(
        request=request,
        at=from_ms(request.timestamp),
        role=Role(request.leg.role).words,
        payload=shown,
        verdict=outcome.verdict if outcome else "",
        status=outcome.status if outcome else 0,
        code=outcome.code if outcome else 0,
        message=redact(outcome.message) if outcome else "",
        latency_ms=outcome.latency_ms if outcome else None,
    )


def ladder(
    trio: TrioOrder, *, entry_average: Decimal | None = None, mark: Decimal | None = None
) -> tuple[Rung, ...]:
    """Place stop, entry, mark and target on a line, cheapest at the left; empty when there is no line."""
    entry = entry_average or trio.price or trio.trigger_price
    prices = [
        ("stop", "Stop-loss", trio.stop_loss),
        ("entry", "Entry", entry),
        ("target", "Take-profit", trio.take_profit),
        ("mark", "Mark", mark if trio.state not in ENDED else None),
    ]
    known = [(kind, label, price) for kind, label, price in prices if price is not None]
    low = min((price for *_, price in known), default=ZERO)
    span = max((price for *_, price in known), default=ZERO) - low
    if span <= 0:
        return ()
    return tuple(
        Rung(kind, label, plain(price), plain(((price - low) / span * 100).quantize(Decimal("0.01"))))
        for kind, label, price in known
    )


def _unanswered(request: Request) -> bool:
    if getattr(request, "outcome", None) is not None:
        return False
    state = LegState(request.leg.state)
    # A look-up may have answered what the request itself never did.
    of_one_that_rests = request.kind in (RequestKind.CANCEL, RequestKind.AMEND)
    return not state.is_final if of_one_that_rests else state is LegState.SUBMITTED


def _at(moment: datetime | None, word: str = "at") -> str:
    return f" {word} {timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}" if moment else ""


def _text(value: Any) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)
