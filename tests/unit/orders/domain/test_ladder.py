"""Entry ladders: how a quantity is divided, what they are worth, and what is decided while rungs rest, fail and fill."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D
from typing import Any

import pytest

from exchange.types import Side, WorkingType
from orders.domain.decision.amendments import most_entry
from orders.domain.decision.conditions import entry_over, from_outside
from orders.domain.decision.decide import decide
from orders.domain.decision.steps import Cancel, Confirm, Done, Exit, Rest, Submit
from orders.domain.enums import Cause, LegState, Role, TrioState
from orders.domain.fitting import entry_misfit, fitted, orders_needed
from orders.domain.ladder import ladder_misfit, rung_quantities, smallest_ladder
from orders.domain.limits import Entry, LimitRule, Limits, Usage, breach
from orders.domain.preview import orders_in_words, preview
from orders.domain.snapshot import ExchangeTrail, LegView, RequestStatus, Rules, Rung, Spec, TrioSnapshot
from orders.domain.validation import Market, margin_needed
from tests.unit.orders.domain.snapshots import (
    LIMIT,
    NOW,
    NOW_TS,
    entry,
    exit_order,
    holding,
    leg,
    stop,
    target,
    trio,
)

RULES = Rules(
    symbol="BTCUSDT", tick_size=D("0.10"), step_size=D("0.001"), quantity_min=D("0.001"), notional_min=D(50),
    market_step_size=D("0.001"), market_quantity_max=D(120),
)  # fmt: skip
RUNGS = (Rung(1, D("99000"), D(50)), Rung(2, D("98000"), D(30)), Rung(3, D("97000"), D(20)))
LADDER = replace(LIMIT, rungs=RUNGS)
QUANTITIES = (D("0.005"), D("0.003"), D("0.002"))
SHORT = replace(
    LADDER,
    side=Side.SELL,
    price=D("101000"),
    rungs=(Rung(1, D("101000"), D(50)), Rung(2, D("103000"), D(50))),
    stop_loss=D("105000"),
    take_profit=D("90000"),
)


def rung(number: int, state: LegState = LegState.ACCEPTED, **said: Any) -> LegView:
    role = Role.ENTRY if number == 1 else Role.RUNG
    usual: dict[str, Any] = {
        "quantity": QUANTITIES[number - 1],
        "price": RUNGS[number - 1].price,
        "generation": number,
        "number": 0 if number == 1 else number,
    }
    if state is LegState.FILLED:
        usual["filled"] = QUANTITIES[number - 1]
    made = leg(role, state, **(usual | said))
    return replace(made, form=entry().form)


def ladder(
    state: TrioState, *states: LegState, others: tuple[LegView, ...] = (), **said: Any
) -> TrioSnapshot:
    made = tuple(rung(number, one) for number, one in enumerate(states, start=1))
    return trio(state, *made, *others, spec=LADDER, **({"rules": RULES} | said))


ACCEPTED, FILLED, PLANNED, REJECTED = (
    LegState.ACCEPTED,
    LegState.FILLED,
    LegState.PLANNED,
    LegState.REJECTED,
)
LEGS = (stop(), target())


# --- how it is divided, and what it is worth ----------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "shares", "parts"),
    [
        ("0.010", (50, 30, 20), ("0.005", "0.003", "0.002")),
        ("0.011", (50, 30, 20), ("0.005", "0.003", "0.003")),  # the last takes what the others leave
        ("0.010", (34, 33, 33), ("0.003", "0.003", "0.004")),
    ],
)
def test_each_share_is_rounded_down_and_the_last_takes_the_rest(
    quantity: str, shares: tuple[int, ...], parts: tuple[str, ...]
) -> None:
    rungs = tuple(replace(one, share=D(share)) for one, share in zip(RUNGS, shares, strict=True))
    spec = replace(LADDER, quantity=D(quantity), rungs=rungs)
    assert rung_quantities(spec, RULES) == tuple(map(D, parts))
    assert rung_quantities(LIMIT, RULES) == (LIMIT.quantity,)


@pytest.mark.parametrize(
    ("shares", "least"), [((50, 30, 20), "0.004"), ((90, 5, 5), "0.020"), ((98, 1, 1), "0.100")]
)
def test_the_least_quantity_that_would_do_is_the_least(shares: tuple[int, ...], least: str) -> None:
    rungs = tuple(replace(one, share=D(share)) for one, share in zip(RUNGS, shares, strict=True))
    spec = replace(LADDER, rungs=rungs)
    found = smallest_ladder(spec, RULES)
    assert found == D(least)
    assert entry_misfit(replace(spec, quantity=found), RULES) == ""
    assert "at least" in entry_misfit(replace(spec, quantity=found - D("0.001")), RULES)


def test_margin_and_limits_take_each_rung_at_its_own_price() -> None:
    market = Market(mark_price=D("100000"), leverage=10)
    notional = D("0.005") * 99000 + D("0.003") * 98000 + D("0.002") * 97000
    assert margin_needed(LADDER, market) == notional / 10 + notional * D("0.0005")
    assert LADDER.entry_price == notional / D("0.010")
    # A sale is worth no less than the market
    assert SHORT.worst_price(D("102000")) == D("102500")
    assert SHORT.worst_price(None) == D("102000")


def test_a_ladders_worth_is_that_of_its_rungs() -> None:
    mark, worst = D("100000"), SHORT.worst_price(D("100000"))
    one = Entry("BTCUSDT", Side.SELL, D("0.010"), SHORT.entry_type, D("101000"), mark, worst=worst)
    assert one.notional == D("1020")


def test_a_rung_too_small_is_named_with_the_least_quantity_that_would_do() -> None:
    said = ladder_misfit(replace(LADDER, quantity=D("0.003")), RULES)
    assert (
        "Rung 2, 30 % of 0.003 at 98000, would be 0, less than the exchange takes in one order (0.001)"
        in said
    )
    assert "at least 0.004" in said


def test_the_collar_looks_at_the_nearest_and_the_farthest_rung() -> None:
    one = Entry("BTCUSDT", Side.BUY, D("0.010"), LADDER.entry_type, D("99000"), D("100000"))
    limits = [(Limits("desk", collar_percent=D(2)), Usage())]
    assert breach(one, limits) is None
    found = breach(replace(one, farthest=D("97000")), limits)
    assert found is not None
    assert (found.rule, found.value) == (LimitRule.COLLAR, "3")


def test_a_ladder_goes_onto_todays_tick_and_needs_room_for_all_its_orders() -> None:
    coarse = replace(RULES, tick_size=D(30))
    assert [one.price for one in fitted(LADDER, coarse).rungs] == [D("99000"), D("97980"), D("96990")]
    assert orders_needed(LADDER) == 4


def test_each_rung_is_named_before_it_is_sent() -> None:
    words = list(orders_in_words(LADDER, RULES))
    assert words[0] == "Entry, rung 1: BUY 0.005 BTCUSDT limit 99000.0 GTC"
    assert words[2] == "Entry, rung 3: BUY 0.002 BTCUSDT limit 97000.0 GTC"
    assert preview(LADDER, RULES, Market(mark_price=D("100000"))).entry == D("98300")


# --- placing ------------------------------------------------------------------------------------


def test_all_rungs_go_out_together_each_under_its_own_id() -> None:
    step = decide(ladder(TrioState.PLACING)).step
    assert isinstance(step, Submit)
    assert [(p.order.client_id, p.order.quantity, p.order.price) for p in step.plans] == [
        ("test-1-e1", D("0.005"), D("99000")),
        ("test-1-r2", D("0.003"), D("98000")),
        ("test-1-r3", D("0.002"), D("97000")),
    ]


def test_what_of_it_never_reached_the_book_goes_out_again_alone() -> None:
    step = decide(ladder(TrioState.PLACING, ACCEPTED, PLANNED, ACCEPTED)).step
    assert isinstance(step, Submit)
    assert [(p.order.client_id, p.again) for p in step.plans] == [("test-1-r2", True)]


def test_it_rests_once_every_rung_does() -> None:
    assert decide(ladder(TrioState.PLACING, ACCEPTED, ACCEPTED, ACCEPTED)).trio.state is TrioState.WORKING
    waits = decide(ladder(TrioState.PLACING, ACCEPTED, LegState.SUBMITTED, ACCEPTED))
    assert waits.trio.state is TrioState.PLACING
    assert isinstance(waits.step, Rest)


@pytest.mark.parametrize(
    ("state", "cause"),
    [(REJECTED, Cause.ENTRY_REFUSED), (LegState.WRITTEN_OFF, Cause.ENTRY_ABSENT)],
)
def test_a_rung_that_is_not_there_takes_the_others_back(state: LegState, cause: Cause) -> None:
    decision = decide(ladder(TrioState.PLACING, ACCEPTED, state, ACCEPTED))
    assert (decision.trio.state, decision.trio.cause) == (TrioState.WITHDRAWING, cause)
    assert decision.step == Cancel(("test-1-e1", "test-1-r3"))
    gone = (LegState.CANCELLED, state, LegState.CANCELLED)
    assert decide(ladder(TrioState.WITHDRAWING, *gone, cause=cause)).step == Done(TrioState.ROLLED_BACK)


def test_a_ladder_that_cannot_be_sent_whole_in_time_is_taken_back() -> None:
    decision = decide(ladder(TrioState.PLACING, ACCEPTED, PLANNED, ACCEPTED, place_before=NOW - 1))
    assert (decision.trio.state, decision.trio.cause) == (TrioState.WITHDRAWING, Cause.PLACE_BEFORE)


def test_one_that_rested_and_is_gone_leaves_the_others() -> None:
    left = decide(ladder(TrioState.WORKING, LegState.CANCELLED, ACCEPTED, ACCEPTED))
    assert left.trio.state is TrioState.WORKING
    gone = decide(ladder(TrioState.WORKING, *[LegState.CANCELLED] * 3))
    assert (gone.trio.state, gone.trio.cause) == (TrioState.WITHDRAWING, Cause.ENTRY_CANCELLED)


# --- with a position ----------------------------------------------------------------------------


def opened(*states: LegState, others: tuple[LegView, ...] = LEGS, **said: Any) -> TrioSnapshot:
    bought = sum((QUANTITIES[place] for place, state in enumerate(states) if state is FILLED), D(0))
    usual: dict[str, Any] = {"slot": holding(str(bought))}
    return ladder(TrioState.OPEN, *states, others=others, **(usual | said))


def test_every_rung_in_doubt_is_looked_up_beside_a_position() -> None:
    seen = opened(FILLED, ACCEPTED, LegState.SUBMITTED)
    lost = replace(seen.legs[2], submit=stop(LegState.SUBMITTED).submit, submitted_at=NOW - 5000)
    assert decide(replace(seen, legs=(*seen.legs[:2], lost, *LEGS))).step == Confirm("test-1-r3")


def test_a_rung_that_never_reached_the_book_goes_beside_a_position_until_its_time() -> None:
    step = decide(opened(FILLED, PLANNED, ACCEPTED, place_before=NOW + 1000)).step
    assert isinstance(step, Submit)
    assert [p.order.client_id for p in step.plans] == ["test-1-r2"]
    late = opened(FILLED, PLANNED, ACCEPTED, place_before=NOW)
    for forbidden in (late, replace(late, place_before=None, refusal="A limit refuses.")):
        assert not isinstance(decide(forbidden).step, Submit)


def test_a_rung_that_will_not_go_any_more_has_ended() -> None:
    assert not entry_over(opened(FILLED, PLANNED, FILLED, place_before=NOW + 1))
    assert entry_over(opened(PLANNED, FILLED, FILLED, place_before=NOW))


def test_a_rung_never_sent_has_ended_at_its_time() -> None:
    assert entry_over(opened(FILLED, PLANNED, FILLED, place_before=NOW))


def test_a_part_target_that_has_executed_ends_the_ladder() -> None:
    done = leg(Role.PART_TARGET, FILLED, filled=D("0.002"), number=1)
    decision = decide(opened(FILLED, ACCEPTED, ACCEPTED, others=(*LEGS, done), slot=holding("0.003")))
    assert decision.step == Cancel(("test-1-r2", "test-1-r3"))


@pytest.mark.parametrize("why", ["cancel", "good_till", "withdrawn"])
def test_all_that_rests_of_it_is_taken_back_when_it_is_over(why: str) -> None:
    over: dict[str, dict[str, Any]] = {
        "cancel": {"cancel_wanted": True},
        "good_till": {"good_till": NOW},
        "withdrawn": {"cause": Cause.ENTRY_REFUSED},
    }
    assert decide(opened(FILLED, ACCEPTED, ACCEPTED, **over[why])).step == Cancel(("test-1-r2", "test-1-r3"))


def test_while_it_stands_its_rungs_are_left_alone() -> None:
    assert isinstance(decide(opened(FILLED, ACCEPTED, ACCEPTED)).step, Rest)


def test_what_may_still_come_is_all_that_rests() -> None:
    assert most_entry(opened(FILLED, ACCEPTED, ACCEPTED)) == D("0.010")
    assert most_entry(opened(FILLED, LegState.CANCELLED, ACCEPTED)) == D("0.007")
    assert most_entry(opened(FILLED, PLANNED, ACCEPTED, place_before=NOW)) == D("0.007")


def test_a_position_that_rungs_can_have_made_is_nobody_elses() -> None:
    assert from_outside(opened(FILLED, ACCEPTED, ACCEPTED, slot=holding("0.010"))) == 0
    assert from_outside(opened(FILLED, ACCEPTED, ACCEPTED, slot=holding("0.012"))) == D("0.002")
    assert from_outside(opened(FILLED, LegState.SUBMITTED, ACCEPTED, slot=holding("0.012"))) is None


def test_after_the_stop_nothing_rests_that_could_open_again() -> None:
    executed = stop(FILLED, filled=D("0.005"), filled_ts=NOW_TS - 600)
    seen = opened(
        FILLED, ACCEPTED, ACCEPTED, others=(executed, target()), slot=holding("0", as_of=NOW_TS - 500)
    )
    seen = replace(seen, slot=replace(seen.slot, flat_event_ts=NOW_TS - 500, from_event=True))
    decision = decide(seen)
    assert (decision.trio.state, decision.trio.cause) == (TrioState.EXITING, Cause.STOP_LOSS)
    assert decision.step == Cancel(("test-1-r2", "test-1-r3"))


def test_sound_ladders_break_no_rule() -> None:
    spec: Spec
    for spec in (LADDER, SHORT):
        assert entry_misfit(spec, RULES) == ""


# --- placing that lasts ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "second",
    [
        rung(2, LegState.SUBMITTED),
        rung(2, PLANNED, retry_at=NOW + 900),
        rung(2, PLANNED),
    ],
    ids=["in doubt", "throttled", "to go again"],
)
@pytest.mark.parametrize("alive", [True, False])
def test_a_rung_whose_price_was_reached_is_read_while_another_is_still_to_be_placed(
    second: LegView, alive: bool
) -> None:
    # Given a ladder of which one rung rests and another is not placed yet
    reached = rung(1, look_at=NOW - 1)
    seen = trio(
        TrioState.PLACING, reached, second, rung(3), spec=LADDER, rules=RULES, place_before=NOW + 50_000
    )
    # When the price reaches the one that rests, then it is looked up before anything else
    assert decide(replace(seen, worker_alive=alive)).step == Confirm("test-1-e1")

    # And while that reading is under way, what is to go is not held up, and what waits does not sleep longer
    reading = replace(reached, looking_since=NOW - 100)
    waits = decide(replace(seen, legs=(reading, *seen.legs[1:]), worker_alive=alive)).step
    if isinstance(waits, Rest):
        assert waits.until is not None
        assert waits.until <= NOW + 500
    else:
        assert alive
        assert second.state is PLANNED
        assert isinstance(waits, Submit)


# --- orders that turn up late ---------------------------------------------------------------------


def late_rung(number: int, **said: Any) -> LegView:
    return rung(number, FILLED, **({"late": True, "filled_ts": NOW_TS - 300} | said))


def test_only_what_a_late_rung_filled_is_closed_whatever_became_of_the_others() -> None:
    # Given a ladder whose position somebody closed outside, and a rung written off that turned up filled after its end
    ended = NOW - 5000
    first = rung(1, FILLED, filled_ts=NOW_TS - 60_000)
    seen = trio(
        TrioState.CLOSED, first, late_rung(2), spec=LADDER, rules=RULES, slot=holding(), ended_at=ended
    )

    # When it decides, then exactly what came late is closed: the rest of the slot is somebody else's
    decision = decide(replace(seen, cause=Cause.OUTSIDE))
    assert decision.trio.state is TrioState.LATE
    assert isinstance(decision.step, Exit)
    assert decision.step.plan.order.quantity == D("0.003")

    # And once that is closed, nothing more is
    out = exit_order(quantity=D("0.003"), filled=D("0.003"), submitted_at=NOW - 50, submitted_ts=NOW_TS - 50)
    closed = replace(seen, state=TrioState.LATE, legs=(*seen.legs, out))
    assert decide(closed).step == Done(TrioState.CLOSED)


def test_only_what_a_late_rung_filled_after_the_end_is_closed() -> None:
    # Given a rung written off when 0.001 of it was known, which turned up filled whole
    late = late_rung(2, settled=D("0.001"))
    seen = trio(TrioState.CLOSED, rung(1, FILLED), late, spec=LADDER, rules=RULES, slot=holding())
    step = decide(replace(seen, ended_at=NOW - 5000)).step
    assert isinstance(step, Exit)
    assert step.plan.order.quantity == D("0.002")


def test_what_our_orders_closed_before_the_end_is_not_closed_again() -> None:
    # Given a ladder closed by its exit, and a rung that turned up filled later
    out = exit_order(filled=D("0.005"), submitted_at=NOW - 9000, submitted_ts=NOW_TS - 9000)
    seen = trio(
        TrioState.CLOSED, rung(1, FILLED), out, late_rung(2), spec=LADDER, rules=RULES, slot=holding("0.003")
    )
    step = decide(replace(seen, ended_at=NOW - 5000)).step
    assert isinstance(step, Exit)
    assert step.plan.order.quantity == D("0.003")

    # But where the stop closed it too, as part of the position, nothing is left of it
    stopped = stop(FILLED, filled=D("0.008"), submitted_at=NOW - 9000)
    whole = replace(seen, legs=(*seen.legs[:1], stopped, seen.legs[2]), ended_at=NOW - 5000)
    assert decide(whole).step == Done(TrioState.CLOSED)


def test_a_rung_that_came_back_while_its_trio_was_open_is_not_late_after_the_end() -> None:
    # Given a rung that was written off, turned up while the trio was open, and closed with the rest outside
    back = late_rung(2, settled=QUANTITIES[1])
    seen = trio(
        TrioState.CLOSED, rung(1, FILLED), back, spec=LADDER, rules=RULES, slot=holding(), ended_at=NOW
    )
    decision = decide(replace(seen, cause=Cause.OUTSIDE))
    assert decision.trio.state is TrioState.CLOSED
    assert decision.step == Done(TrioState.CLOSED)


# --- a dry run ------------------------------------------------------------------------------------


def tried(*legs: LegView, **said: Any) -> TrioSnapshot:
    made = tuple(replace(one, submit=RequestStatus.NONE, submitted_at=0, submitted_ts=0) for one in legs)
    return trio(TrioState.QUEUED, *made, spec=LADDER, rules=RULES, dry_run=True, **said)


def test_a_dry_run_checks_each_rung_once() -> None:
    checked = tried(rung(1, PLANNED, tested=True))
    step = decide(checked).step
    assert isinstance(step, Submit)
    assert (step.test, [plan.order.client_id for plan in step.plans]) == (True, ["test-1-r2"])


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_dry_run_of_which_any_rung_is_refused_ends_refused(number: int) -> None:
    states = [rung(one, PLANNED, tested=True) for one in range(1, number)]
    refused = rung(number, REJECTED, refused_code=-2019, refused_text="Margin is insufficient.")
    decision = decide(tried(*states, refused))
    assert (decision.trio.state, decision.trio.cause) == (TrioState.REFUSED, Cause.ENTRY_REFUSED)
    assert "-2019" in decision.trio.reason


def test_a_rung_that_waits_is_not_overtaken_again_and_again_in_a_dry_run() -> None:
    # Given a dry run whose second rung met a limit of requests, and whose third is checked
    waits = rung(2, PLANNED, retry_at=NOW + 1000)
    seen = tried(rung(1, PLANNED, tested=True), waits, rung(3, PLANNED, tested=True), place_before=NOW + 9000)
    assert decide(seen).step == Rest(NOW + 1000)
    # Then it is that rung which is checked after its pause
    due = replace(seen, legs=(seen.legs[0], replace(seen.legs[1], retry_at=NOW), seen.legs[2]))
    step = decide(due).step
    assert isinstance(step, Submit)
    assert [plan.order.client_id for plan in step.plans] == ["test-1-r2"]


# --- beside a position ----------------------------------------------------------------------------


def test_the_exchanges_trailing_order_goes_out_though_a_rung_never_reached_the_book() -> None:
    wish = ExchangeTrail(7, D("1.5"), None, WorkingType.MARK_PRICE)
    seen = opened(FILLED, PLANNED, FILLED, place_before=NOW, exchange_trail=wish)
    step = decide(seen).step
    assert isinstance(step, Submit)
    assert [(plan.role, plan.order.quantity) for plan in step.plans] == [(Role.TRAIL, D("0.007"))]


def test_no_rung_goes_out_while_a_person_has_the_position_left_unprotected() -> None:
    # Given a ladder of which a rung never reached the book, and a stop that a person cancelled as announced
    gone = stop(LegState.CANCELLED, acknowledged=True, ended_ts=NOW_TS - 700)
    until = NOW + 30_000
    seen = opened(
        FILLED,
        PLANNED,
        ACCEPTED,
        others=(gone, target()),
        place_before=NOW + 50_000,
        unprotected_until=until,
        question=None,
    )
    # Then nothing goes that would be without a stop, until protection is back
    step = decide(seen).step
    assert step == Rest(until), step


def test_each_order_that_turns_up_late_gets_an_exit_of_its_own() -> None:
    # Given a rung that turned up late and was closed, and another, executed at the same time, that shows itself later
    out = exit_order(
        quantity=D("0.003"), filled=D("0.003"), submitted_at=NOW - 9000, submitted_ts=NOW_TS - 9000
    )
    executed = NOW_TS - 20_000
    known = late_rung(2, filled_ts=executed, settled=D("0.003"))
    seen = trio(TrioState.CLOSED, rung(1, LegState.CANCELLED), known, out, late_rung(3, filled_ts=executed))
    decision = decide(replace(seen, spec=LADDER, rules=RULES, slot=holding("0.002"), ended_at=NOW - 8000))
    # Then the exit of the first does not stand for the second
    assert decision.trio.state is TrioState.LATE
    assert isinstance(decision.step, Exit)
    assert decision.step.plan.order.quantity == D("0.002")
