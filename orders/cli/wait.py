"""What ``--wait`` waits for, and the exit code a script gets. The rules are pure; the loop only looks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction

from infrastructure.connections import UNANSWERED
from orders.domain.coverage import is_uncovered
from orders.domain.decision.amendments import amend_open
from orders.domain.decision.conditions import is_dropped
from orders.domain.decision.decide import decide
from orders.domain.decision.rungs import rungs_unsent
from orders.domain.decision.steps import Rest
from orders.domain.enums import Cause, LegState, Role, TrioState
from orders.domain.operator_questions import Question
from orders.domain.snapshot import LegView, RequestStatus, TrioSnapshot
from orders.exchange_data.clock import db_now
from orders.installation import install_row
from orders.models import Clock, Install, TrioEvent, TrioOrder
from orders.placement.snapshot_loader import snapshot_of
from orders.placement.turn_rows import rows_read

OK, REFUSED, OTHER_END, UNDER_WAY, ASKS = 0, 2, 3, 4, 5
POLL_SECONDS = 0.1
SOUND_RESULTS = frozenset({Cause.STOP_LOSS, Cause.TAKE_PROFIT, Cause.TIME, Cause.MANUAL, Cause.PANIC})


@dataclass(frozen=True, slots=True)
class Baseline:
    """A trio before a verb was given: its question and its story so far are not news."""

    asked: Question | None = None
    event: int = 0

    @classmethod
    def of(cls, trio: TrioOrder) -> Baseline:
        event = trio.events.order_by("-pk").values_list("pk", flat=True).first()
        return cls(trio.asked, event or 0)


FROM_THE_START = Baseline()


@dataclass(frozen=True, slots=True)
class Waited:
    """A trio as it stood when the wait was over. ``rested``: it had come to rest, not just to the deadline."""

    trio: TrioOrder
    rested: bool

    @property
    def exit_code(self) -> int:
        trio = self.trio
        return exit_code(
            trio.trio_state,
            result=trio.result,
            cause=trio.cause,
            asks=trio.asked is not None,
            rested=self.rested,
        )


def exit_code(state: TrioState, *, result: str, cause: str, asks: bool, rested: bool) -> int:
    """Return the script's exit code for what a wait ended with."""
    if not state.is_end:
        return ASKS if asks else OK if rested else UNDER_WAY
    if state is TrioState.REFUSED:
        return REFUSED
    sound = (
        state is TrioState.DRY_RUN
        or (state is TrioState.CLOSED and result in SOUND_RESULTS)
        # Cancelled in the exchange's app is not what anybody requested here.
        or (state is TrioState.CANCELLED and cause not in (Cause.ENTRY_CANCELLED, Cause.DRIFT))
    )
    if not sound:
        return OTHER_END
    return ASKS if asks else OK


def at_rest(trio: TrioSnapshot) -> bool:
    """Does a trio rest in WORKING or OPEN: nothing in flight or in doubt, covered, no request outstanding?"""
    try:
        decision = decide(trio)
    except Exception:  # a bug in deciding: the mechanism meets it too, and asks a person
        return False
    if decision.trio.state is not trio.state or not isinstance(decision.step, Rest):
        return False  # there is something to do, only nobody has done it yet
    if trio.state not in (TrioState.WORKING, TrioState.OPEN):
        return False
    if any(_in_flight(trio, leg) for leg in trio.legs) or rungs_unsent(trio) or _wish_outstanding(trio):
        return False
    if trio.state is TrioState.OPEN:
        unsure = trio.slot_is_newer and trio.slot.quantity == 0  # flat against a known fill
        return not unsure and not is_uncovered(trio)
    return True


def _in_flight(trio: TrioSnapshot, leg: LegView) -> bool:
    if (
        leg.pending
        or leg.look_at is not None
        or amend_open(leg)
        or (leg.cancel in (RequestStatus.IN_FLIGHT, RequestStatus.IN_DOUBT) and leg.live)
    ):
        return True
    if leg.state is LegState.TRIGGERED:
        return True  # its child order is at the market
    if leg.role in (Role.ENTRY, Role.RUNG) or is_dropped(trio, leg):
        return False
    return leg.state is LegState.PLANNED  # refused for now, sent again soon


def _wish_outstanding(trio: TrioSnapshot) -> bool:
    if trio.close_wanted or trio.panic_wanted:
        return True  # fulfilled only by the end
    if trio.moves or trio.foreign or trio.sizes or trio.change is not None:
        return True
    return trio.cancel_wanted and any(leg.live or leg.pending for leg in trio.rungs)


def wait_for(
    trio_id: int,
    *,
    within: timedelta,
    since: Baseline = FROM_THE_START,
    narrate: Callable[[TrioEvent], None] | None = None,
) -> Waited:
    """Look until a trio has ended, asks a person or rests, and no longer than ``within``.

    A question that stood at ``since``, before the verb, ends no wait: the verb is its answer. ``narrate`` gets each line
    the story has had since. A database that does not answer is waited for like anything else. Raises
    one of UNANSWERED when it does not come back.
    """
    deadline = time.monotonic() + within.total_seconds()
    seen = since.event
    while True:
        left = deadline - time.monotonic()
        try:
            trio, resting = look(trio_id)
            for event in TrioEvent.objects.filter(trio_id=trio_id, pk__gt=seen) if narrate else ():
                seen = event.pk
                if narrate is not None:
                    narrate(event)
        except UNANSWERED:
            if left <= 0:
                raise
            connection.close()
        else:
            asks = trio.asked is not None and trio.asked != since.asked
            if trio.is_over or asks or resting:
                return Waited(trio, rested=trio.is_over or resting)
            if left <= 0:
                return Waited(trio, rested=False)
        time.sleep(max(0.0, min(POLL_SECONDS, left)))


def look(trio_id: int) -> tuple[TrioOrder, bool]:
    """Read a trio without locking it, as of one instant; and whether it rests."""
    install = install_row()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        trio = TrioOrder.objects.select_related("account", "symbol", "slot").get(pk=trio_id)
        if trio.is_over or trio.trio_state not in (TrioState.WORKING, TrioState.OPEN):
            return trio, False
        return trio, at_rest(_snapshot(trio, install))


def _snapshot(trio: TrioOrder, install: Install) -> TrioSnapshot:
    # Only what was measured counts here: looking must not ask the exchange.
    offset = Clock.objects.filter(environment=trio.account.environment).values_list("offset_ms", flat=True)
    return snapshot_of(trio, rows_read(trio), now=db_now(), offset_ms=offset.first() or 0, install=install)
