"""A trio rebuilt from its journal and its fills alone, and how the books differ from that."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from exchange.types import ZERO, Side
from orders.domain.enums import Cause, LegState, RequestKind, Role, Source, TrioState, Verdict
from orders.domain.leg_replay import Rebuilt, Replay
from orders.domain.rounding import plain
from orders.journal.append import Row, view_of_facts
from orders.journal.verify import one_instant, rows_of
from orders.leg_facts import FACT_FIELDS
from orders.models import Fill, Leg, Outcome, Request, Sighting, TrioOrder

# A sighting that brings nothing new is not journaled, so the books may have seen the order later.
EXACT: Final = tuple(name for name in FACT_FIELDS if name != "seen_ts")
ASKED: Final = ("role", "generation", "type", "side")
EMPTY_ENDS: Final = (TrioState.CANCELLED, TrioState.EXPIRED, TrioState.REFUSED, TrioState.DRY_RUN)
STEPS: Final = Decimal("1E-16")  # what the books' columns hold
OLD_MESSAGE: Final = re.compile(
    r"The exchange (?:refused|refuses this account): (?P<words>.*) \((?:code|status) -?\d+\)\."
    r"(?: Check the API key, its permissions and IP list\.)?",
    re.DOTALL,
)
OLD_REFUSED_TEXT: Final = re.compile(
    r"(?:The exchange refuses this account: )?(?P<words>.*) \((?:code|status) -?\d+\)\.?"
    r"(?: Check the API key, its permissions and IP list\.?)?",
    re.DOTALL,
)


@dataclass
class Replayed:
    """A trio rebuilt from journal and fills; where the books differ, and what else is worth knowing."""

    legs: dict[str, Rebuilt]
    bought: Decimal = ZERO
    sold: Decimal = ZERO
    rows: int = 0
    differences: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def trio_replay(trio: TrioOrder) -> Replayed:
    """Rebuild a trio and compare it with the books. Its journal must be whole."""
    with one_instant():
        trio = TrioOrder.objects.get(pk=trio.pk)
        rows = list(rows_of(trio.pk))
        fills = list(Fill.objects.filter(trio=trio).select_related("leg").order_by("time_ts", "trade_id"))
        books = {leg.client_id: leg for leg in Leg.objects.filter(trio=trio).order_by("id")}
    replayed = Replayed(rebuild(rows), rows=len(rows))
    for fill in fills:
        if fill.side == Side.BUY:
            replayed.bought += fill.quantity
        else:
            replayed.sold += fill.quantity
    for client_id in {**replayed.legs, **books}:
        replayed.differences += _leg_differs(client_id, replayed.legs.get(client_id), books.get(client_id))
    for leg in replayed.legs.values():
        _executions(replayed, leg, [fill for fill in fills if fill.leg.client_id == leg.client_id], trio)
    _end(replayed, trio)
    return replayed


def rebuild(rows: Iterable[Row]) -> dict[str, Rebuilt]:
    """Return the legs that the lines of one trio's journal make, in the order they were first sent."""
    replay = Replay()
    about: dict[int, tuple[str, RequestKind]] = {}
    for row in rows:
        match row:
            case Request():
                kind = RequestKind(row.kind)
                about[row.pk] = replay.requested(kind, row.payload), kind
            case Outcome():
                client_id, kind = about[row.request_id]
                replay.answered(
                    client_id,
                    kind=kind,
                    verdict=Verdict(row.verdict),
                    # Older rows do not say where the trio stood; the books' word, which follows, does.
                    trio=TrioState(row.trio_state or TrioState.OPEN),
                    code=row.code,
                    words=exchange_words(row.message),
                    at=row.received_ts,
                )
            case Sighting():
                _sighted(replay, row)
    return replay.legs


def exchange_words(message: str) -> str:
    """Return the exchange's own words from an outcome's message. Lines of 0.1 and before have ours around them.

    Those lines are hashed and stay as they are, so their form is understood for ever.
    """
    old = OLD_MESSAGE.fullmatch(message)
    return old["words"] if old else message


def booked_words(refused_text: str) -> str:
    """Return the exchange's own words from what the books of 0.1 said when the chain began.

    The books themselves lost our words around them when questions became data; this line is hashed.
    """
    old = OLD_REFUSED_TEXT.fullmatch(refused_text)
    return old["words"] if old else refused_text


def _sighted(replay: Replay, row: Sighting) -> None:
    client_id = row.leg.client_id
    match Source(row.source):
        case Source.ABSENCE:
            replay.absent(client_id, at=row.facts["at"])
        case Source.ADOPTED:
            replay.adopted(client_id, row.facts)
        case Source.BOOKS:
            replay.taken_over(
                client_id, row.facts | {"refused_text": booked_words(row.facts["refused_text"])}
            )
        case _:
            replay.seen(client_id, view_of_facts(row.facts), certain=row.certain)


# --- how the books differ -----------------------------------------------------------------------


def _leg_differs(client_id: str, rebuilt: Rebuilt | None, booked: Leg | None) -> list[str]:
    if rebuilt is None:
        return [f"{client_id} is in the books, but no request of the journal placed it."]
    if booked is None:
        return [f"{client_id} was requested as the journal says, but is not in the books."]
    by_journal: dict[str, Any] = {name: getattr(rebuilt, name) for name in ASKED}
    by_journal |= {"form": rebuilt.facts.form, "state": rebuilt.facts.state}
    by_journal |= {name: getattr(rebuilt.facts, name) for name in EXACT}
    found = [
        f"{client_id}: {name} is {_shown(getattr(booked, name))} in the books, {_shown(value)} by the journal."
        for name, value in by_journal.items()
        if not _same(getattr(booked, name), value)
    ]
    if (booked.seen_ts or 0) < (rebuilt.facts.seen_ts or 0):
        found.append(f"{client_id}: seen_ts in the books is before the journal's last sighting.")
    return found


def _executions(replayed: Replayed, leg: Rebuilt, fills: list[Fill], trio: TrioOrder) -> None:
    """Compare what an order executed by the journal with the executions that are booked."""
    booked = sum((fill.quantity for fill in fills), ZERO)
    if any(fill.side != leg.side for fill in fills):
        replayed.differences.append(f"{leg.client_id}: a booked execution is on the other side.")
    if booked > leg.facts.filled and trio.is_over:
        replayed.differences.append(
            f"{leg.client_id}: executions of {plain(booked)} are booked, the journal knows of {plain(leg.facts.filled)}."
        )
    elif trio.is_adopted and leg.role is Role.ENTRY and not booked:
        replayed.remarks.append(
            f"{leg.client_id}: a position of {plain(leg.facts.filled)} was adopted; its executions are not in the books."
        )
    elif booked != leg.facts.filled:
        replayed.remarks.append(
            f"{leg.client_id}: {plain(leg.facts.filled)} executed, executions of {plain(booked)} are booked so far."
        )


def _end(replayed: Replayed, trio: TrioOrder) -> None:
    """Add where the trio's state contradicts what became of its orders."""
    legs = list(replayed.legs.values())
    state = trio.trio_state
    entered = sum((_executed(legs, role) for role in Role if role.opens), ZERO)
    left = sum((_executed(legs, role) for role in Role if not role.opens), ZERO)
    if state.is_end:
        replayed.differences += [
            f"The trio has ended {state}, but {leg.client_id} is still {leg.facts.state}."
            for leg in legs
            if leg.facts.state.is_live or leg.facts.state is LegState.SUBMITTED
        ]
    if state in EMPTY_ENDS and entered:
        replayed.differences.append(f"The trio has ended {state}, but its entry filled {plain(entered)}.")
    if state is TrioState.DRAFT and legs:
        replayed.differences.append("The trio is a DRAFT, but requests of it were sent.")
    named_after = {
        Cause.TAKE_PROFIT: (Role.TAKE_PROFIT, Role.PART_TARGET),
        Cause.STOP_LOSS: (Role.STOP_LOSS, Role.TRAIL),
    }
    for cause, roles in named_after.items():
        if (
            state is TrioState.CLOSED
            and trio.result == cause
            and not any(_executed(legs, role) for role in roles)
        ):
            replayed.differences.append(
                f"The trio is CLOSED by {cause}, but no {roles[0].words} executed anything."
            )
    if state in (TrioState.CLOSED, TrioState.ROLLED_BACK) and entered != left:
        replayed.remarks.append(
            f"The entry filled {plain(entered)}, our orders closed {plain(left)}: somebody else did the difference."
        )


def _executed(legs: list[Rebuilt], role: Role) -> Decimal:
    return sum((leg.facts.filled for leg in legs if leg.role is role), ZERO)


def _same(booked: Any, by_journal: Any) -> bool:
    if isinstance(booked, Decimal) and isinstance(by_journal, Decimal):
        return abs(booked - by_journal) < STEPS
    return bool(booked == by_journal)


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "nothing"
    return plain(value) if isinstance(value, Decimal) else str(value)
