"""What the facts say of somebody who acts beside us, and what a policy makes of it: pure."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D
from typing import Any

import pytest

from exchange.types import OrderType
from orders.domain.coverage import is_uncovered
from orders.domain.decision.decide import decide
from orders.domain.decision.steps import AnswerByPolicy, AskPerson, Observe, Rest, Submit
from orders.domain.drift import DriftPolicy, Response
from orders.domain.enums import Cause, LegState, Role
from orders.domain.enums import TrioState as S
from orders.domain.operator_questions import Question, QuestionKind
from orders.domain.snapshot import Amendment, LegView, RequestStatus, TrioSnapshot
from tests.unit.orders.domain.snapshots import NOW, NOW_TS, entry, holding, stop, target, trio

CLOSES = DriftPolicy(
    stop_cancelled=Response.CLOSE, reduced=Response.CLOSE, increased=Response.CLOSE,
    settings_changed=Response.CLOSE,
)  # fmt: skip
GONE: dict[str, Any] = {"acknowledged": True, "accepted_ts": NOW_TS - 900, "ended_ts": NOW_TS - 300}
LONG_AGO: dict[str, Any] = {"filled_ts": NOW_TS - 9000, "ended_ts": NOW_TS - 9000}


def cancelled(**said: Any) -> LegView:
    return stop(LegState.CANCELLED, **(GONE | said))


def open_with(*stops: LegView, policy: DriftPolicy = CLOSES, **slot: Any) -> TrioSnapshot:
    return trio(S.OPEN, entry(**LONG_AGO), *stops, target(), slot=holding(**slot), drift=policy)


def test_a_cancelled_stop_closes_by_policy_and_is_placed_again_without_one() -> None:
    closed = decide(open_with(cancelled()))
    assert (closed.trio.state, closed.trio.cause) == (S.EXITING, Cause.DRIFT)
    kept = decide(open_with(cancelled(), policy=DriftPolicy()))
    assert kept.trio.state is S.OPEN
    assert isinstance(kept.step, Submit)
    assert [plan.role for plan in kept.step.plans] == [Role.STOP_LOSS]


def test_a_stop_that_we_took_back_is_nobodys_cancel() -> None:
    # Given a stop whose cancel was ours, its answer lost and its end seen by a look-up
    ours = cancelled(cancel=RequestStatus.NONE, cancel_at=NOW - 400)

    decision = decide(open_with(ours))

    assert decision.trio.state is S.OPEN
    assert isinstance(decision.step, Submit)


def test_an_order_that_never_went_out_for_a_move_that_is_over_speaks_not_against_a_cancel() -> None:
    unsent = stop(LegState.PLANNED, generation=2, acknowledged=False, for_move=True, trigger_price=D("96000"))
    decision = decide(open_with(cancelled(), unsent))
    assert (decision.trio.state, decision.trio.cause) == (S.EXITING, Cause.DRIFT)


@pytest.mark.parametrize(
    "other",
    [
        stop(generation=2),
        stop(LegState.SUBMITTED, generation=2),
        stop(LegState.PLANNED, generation=2, acknowledged=False),
        stop(LegState.ACCEPTED, generation=2, look_at=NOW, looks=1),
        stop(LegState.EXPIRED, generation=2, **(GONE | {"ended_ts": NOW_TS - 200})),
    ],
    ids=["rests", "is on its way", "is to be sent again", "is doubted", "expired after it"],
)
def test_a_stop_that_rests_or_is_on_its_way_speaks_against_a_cancel(other: LegView) -> None:
    assert decide(open_with(cancelled(), other)).trio.state is S.OPEN


def test_less_than_ours_is_believed_late() -> None:
    # Given a position that an event has just shown smaller
    fresh = open_with(stop(), quantity="0.006", as_of=NOW_TS - 500, from_event=True)
    decision = decide(fresh)
    assert (decision.trio.state, decision.step) == (S.OPEN, Rest(NOW + 1500))

    # When two seconds later nothing has said why, it is somebody else's doing
    later = replace(fresh, slot=replace(fresh.slot, as_of=NOW_TS - 2000))
    assert decide(later).trio.cause is Cause.DRIFT


def test_less_than_ours_by_a_look_up_is_believed_from_one_asked_after_the_last_fill() -> None:
    lagging = open_with(stop(), quantity="0.006", as_of=NOW_TS - 8000)
    assert isinstance(decide(lagging).step, Observe)
    assert decide(lagging).trio.state is S.OPEN
    asked_late = replace(lagging, slot=replace(lagging.slot, as_of=NOW_TS - 2500))
    assert decide(asked_late).trio.cause is Cause.DRIFT


@pytest.mark.parametrize(
    "ours",
    [
        target(LegState.TRIGGERED, triggered_ts=NOW_TS - 300),
        target(LegState.ACCEPTED, look_at=NOW + 500),
        target(LegState.SUBMITTED),
    ],
    ids=["triggered", "to be looked up", "in flight"],
)
def test_less_than_ours_is_believed_when_nothing_of_ours_can_have_done_it(ours: LegView) -> None:
    seen = trio(
        S.OPEN, entry(**LONG_AGO), stop(), ours, drift=CLOSES,
        slot=holding("0.006", as_of=NOW_TS - 2500, from_event=True),
    )  # fmt: skip
    assert decide(seen).trio.state is S.OPEN


def test_what_the_exchange_closed_itself_is_no_drift() -> None:
    seen = replace(open_with(stop(), quantity="0.006", as_of=NOW_TS - 2500, from_event=True), forced="ADL")
    assert decide(seen).trio.state is S.OPEN


def test_more_than_ours_is_asked_about_adopted_or_closed() -> None:
    larger: dict[str, Any] = {"quantity": "0.015", "as_of": NOW_TS - 100}
    asked = decide(open_with(stop(), policy=DriftPolicy(), **larger)).step
    assert isinstance(asked, AskPerson)
    adopts = DriftPolicy(increased=Response.ADOPT)
    adopted = decide(open_with(stop(), policy=adopts, **larger)).step
    assert isinstance(adopted, AnswerByPolicy)
    assert adopted.question == asked.question
    known = replace(open_with(stop(), policy=adopts, **larger), answered=(adopted.question,))
    assert isinstance(decide(known).step, Rest)
    assert decide(open_with(stop(), **larger)).trio.cause is Cause.DRIFT


def test_no_policy_keeps_an_uncovered_position_from_its_stop() -> None:
    for increased in (Response.ASK, Response.ADOPT):
        for reduced in (Response.FOLLOW, Response.ASK):
            policy = DriftPolicy(increased=increased, reduced=reduced, own_orders=Response.CANCEL)
            for quantity in ("0.006", "0.010", "0.015"):
                seen = open_with(cancelled(), policy=policy, quantity=quantity)
                assert is_uncovered(seen)
                assert isinstance(decide(seen).step, Submit), (policy, quantity)


@pytest.mark.parametrize(
    "kind", [QuestionKind.MARGIN_TYPE_CHANGED, QuestionKind.LEVERAGE_CHANGED, QuestionKind.MULTI_ASSETS_ON]
)
def test_a_changed_setting_that_is_asked_about_closes_by_policy(kind: QuestionKind) -> None:
    asking = replace(open_with(stop()), question=Question(kind, {"seen": "now"}))
    assert decide(asking).trio.cause is Cause.DRIFT
    other = replace(asking, question=Question(QuestionKind.SYMBOL_STOPPED, {}))
    assert decide(other).trio.state is S.OPEN


# --- left unprotected by a person -----------------------------------------------------------------


@pytest.mark.parametrize("policy", [DriftPolicy(), CLOSES], ids=["protects again", "closes"])
def test_what_a_person_left_unprotected_rests_until_the_stated_time_whatever_the_policy(
    policy: DriftPolicy,
) -> None:
    naked = replace(open_with(cancelled(), policy=policy), unprotected_until=NOW + 60_000)
    decision = decide(naked)
    assert (decision.trio.state, decision.step) == (S.OPEN, Rest(NOW + 60_000))
    assert decision.uncovered, "and it counts as what it is"
    # not even where the price has passed its level
    passed = replace(naked, slot=replace(naked.slot, mark_price=naked.spec.stop_loss, mark_as_of=NOW_TS))
    assert decide(passed).trio.state is S.OPEN


@pytest.mark.parametrize("policy", [DriftPolicy(), CLOSES], ids=["protects again", "closes"])
def test_what_a_person_left_unprotected_is_protected_the_moment_the_time_is_over(policy: DriftPolicy) -> None:
    # Given a gap that has been known, and wanted, for an hour
    naked = replace(
        open_with(cancelled(ended_ts=NOW_TS - 3_600_000), policy=policy),
        unprotected_until=NOW,
        uncovered_known_at=NOW - 3_600_000,
    )

    # When its time is over, a stop goes out, with the usual time to be acknowledged
    decision = decide(naked)
    assert isinstance(decision.step, Submit)
    assert (decision.trio.state, decision.trio.uncovered_known_at) == (S.OPEN, NOW)

    # Then it is waited for
    sent = stop(LegState.SUBMITTED, generation=2)
    waited = replace(naked, legs=(*naked.legs, sent), unprotected_until=None, uncovered_known_at=NOW - 100)
    assert decide(waited).trio.state is S.OPEN


@pytest.mark.parametrize("state", [LegState.EXPIRED, LegState.WRITTEN_OFF])
def test_a_stop_that_goes_in_another_way_is_placed_again_at_once(state: LegState) -> None:
    gone = stop(state, **GONE)
    seen = replace(open_with(gone, as_of=NOW_TS - 10), unprotected_until=NOW + 60_000)
    assert isinstance(decide(seen).step, Submit)


@pytest.mark.parametrize("policy", [CLOSES, DriftPolicy(), DriftPolicy(increased=Response.ADOPT)])
@pytest.mark.parametrize("status", [RequestStatus.IN_FLIGHT, RequestStatus.IN_DOUBT])
def test_what_a_change_of_the_entry_in_doubt_may_have_filled_is_nobody_elses(
    policy: DriftPolicy, status: RequestStatus
) -> None:
    # Given an entry that fills while a larger quantity was asked for, whose answer and fills are not known yet
    asked = Amendment(
        D("0.015"), D("100000"), status, asked_at=NOW - 300, asked_ts=NOW_TS - 300, certain_ts=NOW_TS + 14_700
    )
    fills = entry(
        LegState.PARTIALLY_FILLED, quantity=D("0.010"), filled=D("0.004"), price=D("100000"),
        filled_ts=NOW_TS - 9000, amend=asked,
    )  # fmt: skip
    seen = trio(S.OPEN, fills, stop(), target(), slot=holding("0.015"), drift=policy)
    change = replace(seen, spec=replace(seen.spec, entry_type=OrderType.LIMIT, price=D("100000")))

    decision = decide(change)

    # Then a position of that size is its own: nobody is asked, and nothing is closed
    assert decision.trio.state is S.OPEN
    assert not isinstance(decision.step, AskPerson | AnswerByPolicy)
    more = decide(replace(change, slot=holding("0.016")))
    assert more.trio.state is (S.EXITING if policy is CLOSES else S.OPEN)
