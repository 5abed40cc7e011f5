"""The pages' rows as predicates over a snapshot and its decision, and how often each held.

Transitions are those of docs/reference/states.md. The others bear the names they have in
docs/explanation/refusals-and-losses.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Final

from exchange.refusals import Refusal
from exchange.types import OrderType, PositionMode
from orders.domain.decision.conditions import before_entry
from orders.domain.decision.decide import Decision
from orders.domain.decision.steps import AskPerson, Cancel, Confirm, Done, Exit, Observe, Rest, Submit
from orders.domain.enums import Cause, Form, LegState, Role
from orders.domain.enums import TrioState as S
from orders.domain.operator_questions import QuestionKind
from orders.domain.snapshot import LegView, RequestStatus, TrioSnapshot
from tests.walk.canon import snapshot_key

STEPS: Counter[str] = Counter()
TRANSITIONS: Counter[tuple[str, str, str]] = Counter()
FOUND: Counter[str] = Counter()
SNAPSHOTS: set[Hashable] = set()


def witness(seen: TrioSnapshot, decision: Decision) -> None:
    """Count one decision: its snapshot, its step, its transition, and the rows it belongs to."""
    kind = (seen.spec.protection, seen.spec.mode, seen.spec.entry_type, seen.drift)
    key = hash((kind, snapshot_key(seen)))
    if key in SNAPSHOTS:
        return
    SNAPSHOTS.add(key)
    trio, step = decision.trio, decision.step
    STEPS[type(step).__name__] += 1
    after = step.state if isinstance(step, Done) else trio.state
    if after is not seen.state or trio.state is not seen.state:
        TRANSITIONS[seen.state.value, trio.state.value, (trio.cause or "").__str__()] += 1
        if isinstance(step, Done):
            TRANSITIONS[trio.state.value, after.value, (trio.cause or "").__str__()] += 1
    for name, holds in ROWS.items():
        if holds(seen, decision):
            FOUND[name] += 1


def forget() -> None:
    """Start counting anew."""
    for counter in (STEPS, TRANSITIONS, FOUND):
        counter.clear()
    SNAPSHOTS.clear()


# --- transitions: (from, to, cause) → the row -------------------------------------------------------

# fmt: off
LIFE: Final[tuple[tuple[str, tuple[S, ...], S, tuple[Cause | None, ...]], ...]] = (
    ("QUEUED, withdrawn → CANCELLED", (S.QUEUED,), S.CANCELLED, (Cause.CANCEL_WANTED,)),
    ("QUEUED, a rule refuses → REFUSED", (S.QUEUED,), S.REFUSED, (Cause.LIMIT,)),
    ("QUEUED, place_before passed → EXPIRED", (S.QUEUED,), S.EXPIRED, (Cause.PLACE_BEFORE,)),
    ("QUEUED, dry run → DRY_RUN", (S.QUEUED,), S.DRY_RUN, (None,)),
    ("QUEUED, begin of the first request → PLACING", (S.QUEUED,), S.PLACING, (None,)),
    ("PLACING, everything accepted → WORKING", (S.PLACING,), S.WORKING, (None,)),
    ("PLACING, stop refused → ROLLING_BACK", (S.PLACING,), S.ROLLING_BACK, (Cause.STOP_REFUSED,)),
    ("PLACING, target refused → ROLLING_BACK", (S.PLACING,), S.ROLLING_BACK, (Cause.TARGET_REFUSED,)),
    ("PLACING, entry refused → ROLLING_BACK", (S.PLACING,), S.ROLLING_BACK, (Cause.ENTRY_REFUSED,)),
    ("PLACING, entry absent → ROLLING_BACK", (S.PLACING,), S.ROLLING_BACK, (Cause.ENTRY_ABSENT,)),
    ("PLACING, first fill → OPEN", (S.PLACING,), S.OPEN, (None,)),
    ("WORKING, first fill → OPEN", (S.WORKING,), S.OPEN, (None,)),
    ("WITHDRAWING, first fill → OPEN", (S.WITHDRAWING,), S.OPEN, tuple(Cause)),
    ("cancel wanted → WITHDRAWING", (S.PLACING, S.WORKING), S.WITHDRAWING, (Cause.CANCEL_WANTED,)),
    ("close wanted → WITHDRAWING", (S.PLACING, S.WORKING), S.WITHDRAWING, (Cause.MANUAL,)),
    ("panic wanted → WITHDRAWING", (S.PLACING, S.WORKING), S.WITHDRAWING, (Cause.PANIC,)),
    ("good-till passed → WITHDRAWING", (S.PLACING, S.WORKING), S.WITHDRAWING, (Cause.GOOD_TILL,)),
    ("place_before passed before the entry → WITHDRAWING", (S.PLACING,), S.WITHDRAWING, (Cause.PLACE_BEFORE,)),
    ("a limit refuses in begin → WITHDRAWING", (S.PLACING,), S.WITHDRAWING, (Cause.LIMIT,)),
    ("armed stop gone → WITHDRAWING", (S.PLACING, S.WORKING), S.WITHDRAWING, (Cause.STOP_GONE,)),
    ("armed stop's level passed → WITHDRAWING", (S.PLACING, S.WORKING), S.WITHDRAWING, (Cause.LEVEL_PASSED,)),
    ("entry ended unfilled → WITHDRAWING", (S.PLACING, S.WORKING), S.WITHDRAWING, (Cause.ENTRY_ENDED,)),
    ("entry cancelled in the app → WITHDRAWING", (S.PLACING, S.WORKING), S.WITHDRAWING, (Cause.ENTRY_CANCELLED,)),
    ("OPEN, stop refused in both forms → ROLLING_BACK", (S.OPEN,), S.ROLLING_BACK, (Cause.STOP_REFUSED,)),
    ("OPEN, target refused → ROLLING_BACK", (S.OPEN,), S.ROLLING_BACK, (Cause.TARGET_REFUSED,)),
    ("OPEN, -2021 before every leg was there → ROLLING_BACK", (S.OPEN,), S.ROLLING_BACK, (Cause.LEVEL_PASSED,)),
    ("OPEN, uncovered for good → EXITING", (S.OPEN,), S.EXITING, (Cause.UNCOVERED,)),
    ("OPEN, level passed → EXITING", (S.OPEN,), S.EXITING, (Cause.LEVEL_PASSED,)),
    ("OPEN, close wanted → EXITING", (S.OPEN,), S.EXITING, (Cause.MANUAL,)),
    ("OPEN, panic wanted → EXITING", (S.OPEN,), S.EXITING, (Cause.PANIC,)),
    ("OPEN, the stop executed → EXITING", (S.OPEN,), S.EXITING, (Cause.STOP_LOSS,)),
    ("OPEN, the target executed → EXITING", (S.OPEN,), S.EXITING, (Cause.TAKE_PROFIT,)),
    ("OPEN, flat by somebody else → EXITING", (S.OPEN,), S.EXITING, (Cause.OUTSIDE,)),
    ("OPEN, somebody acts outside, closed by policy → EXITING", (S.OPEN,), S.EXITING, (Cause.DRIFT,)),
    ("OPEN, holding time over → EXITING", (S.OPEN,), S.EXITING, (Cause.TIME,)),
    ("WITHDRAWING, empty → CANCELLED", (S.WITHDRAWING,), S.CANCELLED, tuple(Cause)),
    ("WITHDRAWING, empty → EXPIRED", (S.WITHDRAWING,), S.EXPIRED, tuple(Cause)),
    ("WITHDRAWING, empty → REFUSED", (S.WITHDRAWING,), S.REFUSED, tuple(Cause)),
    ("WITHDRAWING, empty → ROLLED_BACK", (S.WITHDRAWING,), S.ROLLED_BACK, tuple(Cause)),
    ("ROLLING_BACK, flat and empty → ROLLED_BACK", (S.ROLLING_BACK,), S.ROLLED_BACK, tuple(Cause)),
    ("EXITING, flat and empty → CLOSED", (S.EXITING,), S.CLOSED, tuple(Cause)),
    ("an end, a written-off id turns up → LATE", (S.CLOSED, S.ROLLED_BACK, S.CANCELLED, S.EXPIRED, S.REFUSED), S.LATE,
     (Cause.LATE,)),
    ("LATE, nothing of it lives → CLOSED", (S.LATE,), S.CLOSED, (Cause.LATE,)),
)
# fmt: on


def _turned(froms: tuple[S, ...], to: S, causes: tuple[Cause | None, ...]) -> Row:
    def holds(seen: TrioSnapshot, decision: Decision) -> bool:
        trio, step = decision.trio, decision.step
        if trio.cause not in causes and not (None in causes and trio.state is not to):
            return False
        if seen.state in froms and trio.state is to and seen.state is not to:
            return True
        return isinstance(step, Done) and step.state is to and trio.state in froms and trio.state is not to

    return holds


# --- what is refused, lost or done by somebody else -------------------------------------------

Row = Callable[[TrioSnapshot, Decision], bool]


def _refused(trio: TrioSnapshot, *roles: Role) -> LegView | None:
    for role in roles:
        leg = trio.newest(role)
        if leg is not None and leg.state is LegState.REJECTED:
            return leg
    return None


def _plans(decision: Decision, role: Role) -> bool:
    return isinstance(decision.step, Submit) and any(p.role is role for p in decision.step.plans)


def _flat_by_ours(seen: TrioSnapshot, decision: Decision) -> bool:
    exits = seen.of(Role.EXIT)
    return (
        seen.state in (S.EXITING, S.ROLLING_BACK)
        and bool(exits)
        and exits[-1].state is LegState.FILLED
        and seen.position == 0
    )


def _other_form(seen: TrioSnapshot, decision: Decision) -> bool:
    leg = _refused(seen, Role.STOP_LOSS)
    return (
        leg is not None
        and isinstance(decision.step, Submit)
        and decision.step.plans[0].role is Role.STOP_LOSS
        and decision.step.plans[0].form is not leg.form
        and seen.entry_filled > 0
    )


def _retryable(seen: TrioSnapshot, decision: Decision) -> bool:
    return any(p.again for p in getattr(decision.step, "plans", ())) and seen.position > 0


def _second_stop_sent(seen: TrioSnapshot, decision: Decision) -> bool:
    in_doubt = any(leg.pending and leg.looks > 0 for leg in seen.of(Role.STOP_LOSS))
    return in_doubt and _plans(decision, Role.STOP_LOSS)


def _target_waits(seen: TrioSnapshot, decision: Decision) -> bool:
    newest = seen.newest(Role.TAKE_PROFIT)
    return newest is not None and newest.pending and newest.looks > 0 and seen.state is S.OPEN


def _target_anew(seen: TrioSnapshot, decision: Decision) -> bool:
    newest = seen.newest(Role.TAKE_PROFIT)
    gone = newest is not None and newest.acknowledged and newest.state.is_final
    return gone and seen.position > 0 and _plans(decision, Role.TAKE_PROFIT)


def _forgotten(seen: TrioSnapshot, decision: Decision) -> bool:
    stops = seen.of(Role.STOP_LOSS)
    lost = any(leg.acknowledged and (leg.looks > 0 or leg.state is LegState.WRITTEN_OFF) for leg in stops)
    return lost and seen.position > 0 and _plans(decision, Role.STOP_LOSS)


def _exit_rest(seen: TrioSnapshot, decision: Decision) -> bool:
    exits = seen.of(Role.EXIT)
    partly = bool(exits) and exits[-1].state is LegState.EXPIRED and exits[-1].executed
    return partly and isinstance(decision.step, Exit)


def _exit_again(seen: TrioSnapshot, decision: Decision) -> bool:
    return _refused(seen, Role.EXIT) is not None and isinstance(decision.step, Exit)


def _exit_in_doubt(seen: TrioSnapshot, decision: Decision) -> bool:
    newest = seen.newest(Role.EXIT)
    return (
        newest is not None
        and newest.pending
        and newest.submit is RequestStatus.IN_DOUBT
        and isinstance(decision.step, Observe | Exit)
    )


def _entry_partly(seen: TrioSnapshot, decision: Decision) -> bool:
    entry = seen.entry
    return entry is not None and entry.state.is_final and 0 < entry.filled < entry.quantity


def _gone_stop(*states: LegState) -> Row:
    def holds(seen: TrioSnapshot, decision: Decision) -> bool:
        newest = seen.newest(Role.STOP_LOSS)
        return newest is not None and newest.acknowledged and newest.state in states and seen.state is S.OPEN

    return holds


def _after_fill(*refusals: Refusal, roles: tuple[Role, ...] = (Role.STOP_LOSS, Role.TAKE_PROFIT)) -> Row:
    def holds(seen: TrioSnapshot, decision: Decision) -> bool:
        leg = _refused(seen, *roles)
        return (
            leg is not None
            and leg.refusal in refusals
            and seen.entry_filled > 0
            and not before_entry(seen, leg)
        )

    return holds


def _cancel_refused(seen: TrioSnapshot, decision: Decision) -> bool:
    return any(
        leg.cancel is RequestStatus.REFUSED and leg.live and leg.look_at is not None for leg in seen.legs
    ) and isinstance(decision.step, Confirm | Rest)


ROWS: Final[dict[str, Row]] = {name: _turned(*what) for name, *what in LIFE} | {  # type: ignore[arg-type]
    "position seen while the entry is in doubt": lambda t, d: (
        t.state is S.PLACING and d.trio.state is S.OPEN and t.entry is not None and t.entry.pending
    ),
    "target refused after both legs had stood": lambda t, d: (
        t.state is S.OPEN and isinstance(d.step, AskPerson)
    ),
    "cancel wanted with a position open": lambda t, d: (
        t.state is S.OPEN
        and t.cancel_wanted
        and isinstance(d.step, Cancel)
        and t.entry is not None
        and d.step.client_ids == (t.entry.client_id,)
    ),
    "more of the entry fills on the way out": lambda t, d: (
        t.state in (S.EXITING, S.ROLLING_BACK)
        and t.entry is not None
        and t.entry.state is LegState.PARTIALLY_FILLED
    ),
    "a leg executed partly: it may finish, then an exit closes what is left": lambda t, d: (
        isinstance(d.step, Exit) and any(leg.executed for leg in t.protective_legs)
    ),
    "late: what filled is closed once": lambda t, d: d.trio.state is S.LATE and isinstance(d.step, Exit),
    "late: what lives is cancelled": lambda t, d: d.trio.state is S.LATE and isinstance(d.step, Cancel),
    "stop in doubt: looked up once, then a second one is sent": _second_stop_sent,
    "target in doubt: waits for the proof": _target_waits,
    "stop refused, nothing filled": lambda t, d: (
        t.state is S.PLACING and _refused(t, Role.STOP_LOSS) is not None and t.entry_filled == 0
    ),
    "stop refused, filled: the other form": _other_form,
    "whole-position order refused because one is there (-4130)": _after_fill(Refusal.CLOSE_EXISTS),
    "level passed already (-2021), filled": _after_fill(Refusal.LEVEL_PASSED),
    "target refused, filled": lambda t, d: (
        t.entry_filled > 0 and (leg := _refused(t, Role.TAKE_PROFIT)) is not None and not leg.acknowledged
    ),
    "not while flat (-2022, -4118, -4129, -4509)": _after_fill(Refusal.NOT_WHILE_FLAT),
    "refused for now: again within the deadline": _retryable,
    "stop refused at its trigger": _gone_stop(LegState.REJECTED),
    "stop triggered, without a fill for `NAKED_LIMIT_MS`": lambda t, d: (
        isinstance(d.step, Exit)
        and any(leg.live and leg.triggered_ts is not None for leg in t.of(Role.STOP_LOSS))
    ),
    "stop expired: the position is read": lambda t, d: (
        _gone_stop(LegState.EXPIRED)(t, d) and isinstance(d.step, Observe)
    ),
    "target gone while a position is open": _target_anew,
    "cancel refused (-2011): the order is read": _cancel_refused,
    "exit fills wholly": _flat_by_ours,
    "exit ends partly filled": _exit_rest,
    "entry ends partly filled": _entry_partly,
    "stop entry refused at its trigger: its stop is taken back": lambda t, d: (
        t.state is S.WORKING and d.trio.state is S.WITHDRAWING and d.trio.cause is Cause.ENTRY_REFUSED
    ),
    "stop entry triggered, its limit order rests: withdrawn, that order is cancelled": lambda t, d: (
        t.spec.entry_type is OrderType.STOP
        and t.entry is not None
        and t.entry.triggered_ts is not None
        and isinstance(d.step, Cancel)
        and t.entry.client_id in d.step.client_ids
    ),
    "stop entry finished, what it filled not said: looked up": lambda t, d: (
        t.spec.entry_type.is_conditional
        and isinstance(d.step, Confirm)
        and t.entry is not None
        and t.entry.state is LegState.TRIGGERED
        and d.step.client_id == t.entry.client_id
    ),
    "a rung of a ladder is refused or lost before any fill: the others are taken back": lambda t, d: (
        bool(t.spec.rungs)
        and t.state is S.PLACING
        and d.trio.state is S.WITHDRAWING
        and d.trio.cause in (Cause.ENTRY_REFUSED, Cause.ENTRY_ABSENT)
    ),
    "a rung that never reached the book goes out beside a position": lambda t, d: (
        t.state is S.OPEN
        and isinstance(d.step, Submit)
        and any(p.role.opens and p.again for p in d.step.plans)
    ),
    "hedge: a target above the position is joined by one for all of it": lambda t, d: (
        t.spec.mode is PositionMode.HEDGE
        and t.spec.entry_type is OrderType.MARKET
        and _plans(d, Role.TAKE_PROFIT)
        and any(leg.live and leg.form is Form.QUANTITY for leg in t.of(Role.TAKE_PROFIT))
    ),
    "stop forgotten while a position is open": _forgotten,
    "a person cancels the stop": lambda t, d: (
        _gone_stop(LegState.CANCELLED)(t, d) and _plans(d, Role.STOP_LOSS)
    ),
    "a person reduces or enlarges the position": lambda t, d: (
        t.state is S.OPEN and t.slot_is_newer and 0 < t.slot.quantity != t.ours > 0
    ),
    "a person closes the position": lambda t, d: (
        t.state is S.OPEN and d.trio.state is S.EXITING and d.trio.cause is Cause.OUTSIDE
    ),
    "a person reverses the position": lambda t, d: t.slot.opposite > 0 and t.state is S.OPEN,
    "exit refused otherwise": _exit_again,
    "the exchange closes the position": lambda t, d: (
        bool(t.forced) and d.trio.state is S.EXITING and d.trio.cause is Cause.LIQUIDATED
    ),
    "exit finds nothing to reduce (-2022, -4118)": lambda t, d: (
        isinstance(d.step, Exit)
        and any(leg.role is Role.TAKE_PROFIT for leg in t.legs if leg.client_id in d.step.cancels)
    ),
    "exit meets a thin book (-4131)": lambda t, d: (
        isinstance(d.step, Exit) and d.step.plan.order.type is OrderType.LIMIT
    ),
    "exit too small (-4003, -4004, -4164)": lambda t, d: (
        isinstance(d.step, AskPerson) and d.step.question.kind is QuestionKind.DUST
    ),
    "acknowledged, written off: cancelled by id all the same": lambda t, d: (
        isinstance(d.step, Cancel)
        and any(leg.client_id in d.step.client_ids for leg in t.legs if leg.state is LegState.WRITTEN_OFF)
    ),
    "exit in doubt": _exit_in_doubt,
    "the key is refused while something of ours lives": lambda t, d: (
        t.state in (S.OPEN, S.EXITING, S.ROLLING_BACK) and any(leg.refusal is Refusal.KEY for leg in t.legs)
    ),
}
