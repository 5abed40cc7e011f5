"""Changing a resting entry, decided from facts alone: what goes out, in which order, and what is never sent twice."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D
from typing import Any

import pytest

from exchange.binance.errors import refusal_of
from exchange.types import PositionMode, PositionSide, TimeInForce
from orders.domain.decision.decide import Decision, decide
from orders.domain.decision.steps import Amend, Cancel, Confirm, Rest, Submit
from orders.domain.enums import Cause, Form, LegState
from orders.domain.enums import TrioState as S
from orders.domain.snapshot import (
    Amendment,
    ChangeEnd,
    EntryChange,
    LegView,
    RequestStatus,
    Spec,
    TrioSnapshot,
)
from tests.unit.orders.domain.snapshots import (
    ARMED_LIMIT,
    LIMIT,
    NOW,
    NOW_TS,
    entry,
    flat,
    holding,
    stop,
    target,
    trio,
)

HEDGE_ARMED = replace(ARMED_LIMIT, mode=PositionMode.HEDGE, position_side=PositionSide.LONG)
WISH = EntryChange(number=1, quantity=D("0.010"), price=D("99100"), since=NOW - 3000, opens=True)
LARGER = replace(WISH, quantity=D("0.015"), price=D("99000"))
SMALLER = replace(WISH, quantity=D("0.006"), price=D("99000"), opens=False)


def rests(**said: Any) -> LegView:
    return entry(LegState.ACCEPTED, **({"price": D("99000")} | said))


def part(filled: str = "0.004", **said: Any) -> LegView:
    known: dict[str, Any] = {"filled": D(filled), "filled_ts": NOW_TS - 900, "price": D("99000")}
    return entry(LegState.PARTIALLY_FILLED, **(known | said))


def asked(status: RequestStatus = RequestStatus.IN_DOUBT, **said: Any) -> Amendment:
    known: dict[str, Any] = {
        "quantity": WISH.quantity,
        "price": WISH.price,
        "asked_at": NOW - 2500,
        "asked_ts": NOW_TS - 2500,
        "certain_ts": NOW_TS + 12_500,
    }
    if code := said.get("code"):
        known["refusal"] = refusal_of(code)
    return Amendment(status=status, **(known | said))


def armed(quantity: str = "0.010", **said: Any) -> LegView:
    known: dict[str, Any] = {"form": Form.QUANTITY, "quantity": D(quantity), "trigger_price": D("95000")}
    return stop(**(known | said))


def working(
    *legs: LegView, spec: Spec = LIMIT, change: EntryChange | None = WISH, **said: Any
) -> TrioSnapshot:
    slot = replace(flat(), as_of=NOW_TS - 500)
    return trio(S.WORKING, *legs, spec=spec, slot=slot, change=change, **said)


def ended(decision: Decision) -> ChangeEnd | None:
    return None if decision.trio.ended_change is None else decision.trio.ended_change.end


def test_the_whole_quantity_is_sent_never_the_rest() -> None:
    whole = stop(trigger_price=D("95000"))
    found = decide(trio(S.OPEN, part(), whole, target(), spec=LIMIT, slot=holding("0.004"), change=WISH))
    assert found.step == Amend("test-1-e1", D("0.010"), D("99100"))


@pytest.mark.parametrize("spec", [ARMED_LIMIT, HEDGE_ARMED], ids=["one-way", "hedge"])
def test_a_larger_entry_goes_out_after_its_stop_is_acknowledged(spec: Spec) -> None:
    found = decide(working(armed(), rests(), spec=spec, change=LARGER)).step
    assert isinstance(found, Submit)
    (plan,) = found.plans
    assert (plan.form, plan.order.quantity, plan.order.trigger_price, plan.for_move) == (
        Form.QUANTITY, D("0.015"), D("95000"), True,
    )  # fmt: skip

    said: dict[str, Any] = {"generation": 2, "for_move": True, "submitted_at": NOW - 2000}
    pending = armed(
        "0.015", state=LegState.SUBMITTED, acknowledged=False, **(said | {"submitted_at": NOW - 100})
    )
    assert isinstance(decide(working(armed(), rests(), pending, spec=spec, change=LARGER)).step, Rest)
    there = armed("0.015", **said)
    found = decide(working(armed(), rests(), there, spec=spec, change=LARGER)).step
    assert found == Amend("test-1-e1", D("0.015"), D("99000"))


def test_what_fills_already_is_covered_by_a_stop_that_grows_before_more_may_fill() -> None:
    at = holding("0.004")
    found = decide(trio(S.OPEN, armed(), part(), target(), spec=ARMED_LIMIT, slot=at, change=LARGER)).step
    assert isinstance(found, Submit)
    assert [(plan.form, plan.for_move) for plan in found.plans] == [(Form.CLOSE_POSITION, True)]


def test_the_older_stop_leaves_once_the_change_is_done_and_the_newer_when_it_is_refused() -> None:
    newer = armed("0.015", generation=2, for_move=True, submitted_at=NOW - 2000)
    done = rests(
        quantity=D("0.015"), amend=asked(RequestStatus.ACCEPTED, quantity=D("0.015"), price=D("99000"))
    )
    found = decide(working(armed(), done, newer, spec=ARMED_LIMIT, change=LARGER))
    assert (ended(found), found.step) == (ChangeEnd.DONE, Cancel(("test-1-s1",)))
    assert (found.trio.spec.quantity, found.trio.agreed) == (D("0.015"), True)

    no = asked(
        RequestStatus.REFUSED,
        quantity=D("0.015"),
        price=D("99000"),
        code=-2019,
        text="Margin is insufficient.",
    )
    found = decide(working(armed(), rests(amend=no), newer, spec=ARMED_LIMIT, change=LARGER))
    assert (ended(found), found.step) == (ChangeEnd.REFUSED, Cancel(("test-1-s2",)))


def test_a_change_that_waits_places_no_stop_where_a_person_wants_none() -> None:
    # Given a stop that was cancelled in the exchange's app, of a trio that is left unprotected for now
    gone = armed(state=LegState.CANCELLED, acknowledged=True, ended_ts=NOW_TS - 500)
    wanted: dict[str, Any] = {"spec": ARMED_LIMIT, "slot": holding("0.004"), "change": LARGER}
    found = decide(trio(S.OPEN, gone, part(), target(), unprotected_until=NOW + 60_000, **wanted))

    # Then the change ends, and nothing goes out for it
    assert ended(found) == ChangeEnd.REFUSED
    assert not isinstance(found.step, Submit | Amend)


def test_a_stop_never_leaves_while_the_fate_of_the_request_is_open() -> None:
    newer = armed("0.015", generation=2, for_move=True, submitted_at=NOW - 2000)
    open_ = asked(quantity=D("0.015"), price=D("99000"))
    for change in (LARGER, None):
        step = decide(working(armed(), rests(amend=open_), newer, spec=ARMED_LIMIT, change=change)).step
        assert step == Confirm("test-1-e1")
        flying = replace(open_, status=RequestStatus.IN_FLIGHT, asked_at=NOW - 100)
        step = decide(working(armed(), rests(amend=flying), newer, spec=ARMED_LIMIT, change=change)).step
        assert isinstance(step, Rest)


def test_a_request_in_doubt_is_read_back_and_not_repeated() -> None:
    flying = rests(amend=asked(RequestStatus.IN_FLIGHT, asked_at=NOW - 100))
    assert decide(working(flying)).step == Rest(NOW - 100 + 600)
    assert decide(working(rests(amend=asked()))).step == Confirm("test-1-e1")
    read = rests(amend=asked(), looked_ts=NOW_TS - 400)
    assert decide(working(read)).step == Rest(NOW + 600)


def test_a_wish_for_what_is_there_waits_for_an_earlier_request_that_may_take_it_away() -> None:
    back = replace(WISH, price=D("99000"), since=NOW - 1000)
    found = decide(working(rests(amend=asked()), change=back))
    assert (ended(found), found.step) == (None, Confirm("test-1-e1"))
    taken = decide(working(rests(amend=asked(), price=WISH.price), change=back))
    assert taken.step == Amend("test-1-e1", D("0.010"), D("99000"))


def test_only_what_certainly_was_not_executed_goes_out_again() -> None:
    late = asked(certain_ts=NOW_TS - 500)
    before, after = rests(amend=late, looked_ts=NOW_TS - 1500), rests(amend=late, looked_ts=NOW_TS - 400)
    assert decide(working(before)).step == Confirm("test-1-e1")
    assert decide(working(after)).step == Amend("test-1-e1", D("0.010"), D("99100"))
    # Not while the entry itself is missing from a look-up
    assert not isinstance(decide(working(replace(after, looks=1))).step, Amend)
    # Once as often as it takes, but not long after it was meant
    old = replace(WISH, since=NOW - 61_000)
    assert ended(decide(working(after, change=old))) is ChangeEnd.OVERDUE


def test_what_never_reached_the_book_goes_out_again_after_a_pause() -> None:
    refused = rests(amend=asked(RequestStatus.NONE, asked_at=NOW - 300))
    assert decide(working(refused)).step == Rest(NOW + 700)
    assert isinstance(decide(working(rests(amend=asked(RequestStatus.NONE)))).step, Amend)


def test_said_to_be_so_already_is_looked_up_before_it_is_believed() -> None:
    said = asked(RequestStatus.REFUSED, code=-5027, text="No need to modify the order.")
    assert decide(working(rests(amend=said))).step == Confirm("test-1-e1")
    looked = {"looked_ts": NOW_TS - 100}
    assert ended(decide(working(rests(amend=said, **looked)))) is ChangeEnd.REFUSED
    assert ended(decide(working(rests(amend=said, price=WISH.price, **looked)))) is ChangeEnd.DONE


@pytest.mark.parametrize(
    ("leg", "end"),
    [
        (entry(LegState.FILLED, price=D("99000")), ChangeEnd.DROPPED),
        (entry(LegState.FILLED, price=D("99100"), amend=asked()), ChangeEnd.DONE),
        (part("0.008", price=D("99000")), None),
        (
            entry(
                LegState.CANCELLED, price=D("99000"), filled=D("0.008"), amend=asked(RequestStatus.ACCEPTED)
            ),
            ChangeEnd.DROPPED,
        ),
    ],
    ids=["filled before", "filled after", "fills", "cancelled"],
)
def test_the_entrys_own_end_decides(leg: LegView, end: ChangeEnd | None) -> None:
    whole = stop(trigger_price=D("95000"))
    at = holding(str(leg.filled))
    assert ended(decide(trio(S.OPEN, leg, whole, target(), spec=LIMIT, slot=at, change=WISH))) is end


def test_what_has_filled_by_then_cancels_the_rest() -> None:
    whole, at = stop(trigger_price=D("95000")), holding("0.008")
    found = decide(trio(S.OPEN, part("0.008"), whole, target(), spec=LIMIT, slot=at, change=SMALLER))
    assert found.step == Cancel(("test-1-e1",))
    gone = entry(
        LegState.CANCELLED, price=D("99000"), filled=D("0.008"), filled_ts=NOW_TS - 900, ended_ts=NOW_TS - 100
    )
    found = decide(trio(S.OPEN, gone, whole, target(), spec=LIMIT, slot=at, change=SMALLER))
    assert (ended(found), found.trio.spec.quantity) == (ChangeEnd.CANCELLED, D("0.010"))


def test_a_post_only_entry_that_the_exchange_took_off_the_book_ends_the_trio() -> None:
    spec = replace(LIMIT, time_in_force=TimeInForce.GTX)
    gone = entry(
        LegState.CANCELLED, price=D("99000"), amend=asked(RequestStatus.ACCEPTED), ended_ts=NOW_TS - 100
    )
    found = decide(working(gone, spec=spec))
    assert (ended(found), found.trio.state, found.trio.cause) == (
        ChangeEnd.REFUSED,
        S.WITHDRAWING,
        Cause.ENTRY_ENDED,
    )
    # Cancelled with the terms that it was changed to: by a person
    by_hand = replace(gone, price=WISH.price)
    assert decide(working(by_hand, spec=spec)).trio.cause is Cause.ENTRY_CANCELLED


def test_new_risk_waits_for_a_watcher_and_ends_with_a_refusal() -> None:
    unwatched = decide(working(rests(), worker_alive=False))
    assert isinstance(unwatched.step, Rest)
    refused = decide(working(rests(), refusal="The account is switched off."))
    assert ended(refused) is ChangeEnd.REFUSED
    # Less at the same price asks nobody
    for said in ({"worker_alive": False}, {"refusal": "The account is switched off."}):
        assert isinstance(decide(working(rests(), change=SMALLER, **said)).step, Amend)


@pytest.mark.parametrize(
    "said", [{"cancel_wanted": True}, {"close_wanted": True}, {"panic_wanted": True}], ids=str
)
def test_a_wish_is_dropped_on_the_way_out(said: dict[str, Any]) -> None:
    found = decide(working(rests(), **said))
    assert ended(found) is ChangeEnd.DROPPED
    assert found.step == Cancel(("test-1-e1",))


def test_terms_that_were_asked_for_and_are_shown_are_agreed_also_without_a_wish() -> None:
    shown = rests(price=WISH.price, amend=asked())
    found = decide(working(shown, change=None))
    assert (found.trio.agreed, found.trio.spec.price) == (True, WISH.price)
    # What a person changed is not
    assert not decide(working(rests(price=D("99300"), amend=asked()), change=None)).trio.agreed


def test_a_refused_stop_for_the_larger_entry_ends_the_wish_and_says_nothing_of_the_other_stop() -> None:
    no = armed(
        "0.015", state=LegState.REJECTED, generation=2, for_move=True, acknowledged=False, refused_code=-2021,
        submitted_at=NOW - 2000, ended_ts=NOW_TS - 100,
    )  # fmt: skip
    found = decide(working(armed(), rests(), no, spec=ARMED_LIMIT, change=LARGER))
    assert (ended(found), found.trio.state) == (ChangeEnd.REFUSED, S.WORKING)
    # Later, in hedge mode, part of it fills: the stop is placed, nothing is exited
    found = decide(trio(S.OPEN, armed(), part(), no, spec=HEDGE_ARMED, slot=holding("0.004")))
    assert found.trio.state is S.OPEN
    assert isinstance(found.step, Submit)
