"""Entries that wait for a trigger: what is sound, what they turn into, and what is decided."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from exchange.refusals import Refusal
from exchange.types import (
    ZERO,
    OrderState,
    OrderType,
    OrderView,
    PositionSide,
    Side,
    TimeInForce,
    WorkingType,
)
from orders.domain.decision.decide import decide
from orders.domain.decision.steps import AskPerson, Cancel, Confirm, Rest, Submit, WithdrawQuestion
from orders.domain.enums import Cause, Form, LegState, Protection, TrioState
from orders.domain.fitting import fitted, lot_of
from orders.domain.leg_updates import LegFacts, merge
from orders.domain.limits import Entry
from orders.domain.nearest import nearest_value
from orders.domain.operator_questions import QuestionKind
from orders.domain.preview import orders_in_words, preview
from orders.domain.snapshot import RequestStatus, Rules, Spec
from orders.domain.validation import Market, margin_needed, problems
from tests.unit.orders.domain.snapshots import ARMED, BREAKOUT, NOW, NOW_TS, STOP_LIMIT, entry, stop, trio

D = Decimal
RULES = Rules(
    symbol="BTCUSDT", tick_size=D("0.10"), step_size=D("0.001"), quantity_min=D("0.001"), notional_min=D(50),
    market_step_size=D("0.001"), market_quantity_max=D(120), multiplier_up=D("1.05"), multiplier_down=D("0.95"),
)  # fmt: skip
MARK = Market(mark_price=D("100000.05"))
SHORT = replace(
    BREAKOUT, side=Side.SELL, trigger_price=D("99000"), stop_loss=D("104000"), take_profit=D("90000")
)


def broken(spec: Spec, market: Market = MARK) -> list[tuple[str, str, Refusal | None]]:
    return [(problem.field, str(problem), problem.refusal) for problem in problems(spec, RULES, market)]


def test_sound_ones_break_no_rule() -> None:
    assert broken(BREAKOUT) == broken(STOP_LIMIT) == broken(SHORT) == []


@pytest.mark.parametrize(
    ("spec", "trigger", "nearest"),
    [(BREAKOUT, "100000", "100000.1"), (BREAKOUT, "99000", "100000.1"), (SHORT, "100000.1", "100000")],
)
def test_a_trigger_that_was_reached_is_refused_with_the_nearest(
    spec: Spec, trigger: str, nearest: str
) -> None:
    wrong = replace(spec, trigger_price=D(trigger))
    ((field, sentence, refusal),) = broken(wrong)
    assert (field, refusal) == ("trigger_price", Refusal.LEVEL_PASSED)
    assert f"{nearest} is the nearest valid trigger price" in sentence
    assert nearest_value(wrong, RULES, MARK, "trigger_price") == D(nearest)
    assert broken(replace(spec, trigger_price=D(nearest))) == []


@pytest.mark.parametrize(
    ("spec", "field", "said"),
    [
        (replace(BREAKOUT, trigger_price=None), "trigger_price", "A STOP_MARKET entry needs a trigger price."),
        (replace(STOP_LIMIT, price=None), "price", "A STOP entry needs a price."),
        (replace(BREAKOUT, price=D(1)), "price", "A STOP_MARKET entry takes no price: leave it empty, or choose STOP."),
        (
            replace(BREAKOUT, entry_type=OrderType.MARKET), "trigger_price",
            "A MARKET entry takes no trigger price: leave it empty, or choose STOP_MARKET.",
        ),
        (
            replace(STOP_LIMIT, entry_type=OrderType.LIMIT), "trigger_price",
            "A LIMIT entry takes no trigger price: leave it empty, or choose STOP.",
        ),
        (replace(BREAKOUT, trigger_price=D("101000.05")), "trigger_price", "is not a whole number of ticks"),
        (replace(BREAKOUT, stop_loss=D("101000")), "stop_loss", "exactly on the trigger price"),
        (replace(STOP_LIMIT, stop_loss=D("100950")), "stop_loss", "below the entry price 100900"),
        (replace(BREAKOUT, take_profit=D("100500")), "take_profit", "above the trigger price 101000"),
        (replace(STOP_LIMIT, price=D("106050.1")), "price", "too far above the trigger price 101000: the exchange accepts at most 106050."),
        (
            replace(SHORT, entry_type=OrderType.STOP, price=D("94049.9")), "price",
            "too far below the trigger price 99000: the exchange accepts at least 94050.",
        ),
        (replace(BREAKOUT, quantity=D("0.0004")), "quantity", "steps"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_field(spec: Spec, field: str, said: str) -> None:
    assert any(name == field and said in sentence for name, sentence, _ in broken(spec)), broken(spec)


def test_a_stop_between_market_and_trigger_is_sound_where_it_goes_out_with_the_fill() -> None:
    between = replace(BREAKOUT, stop_loss=D("100500"))
    assert broken(between) == []
    assert preview(between, RULES, MARK).triggers_at_once is False
    ((field, sentence, _),) = broken(replace(between, protection=Protection.PRE_ARMED))
    assert field == "stop_loss"
    assert "With ON_FIRST_FILL it goes out when the entry fills" in sentence


def test_what_it_costs_is_reckoned_at_its_trigger_or_limit() -> None:
    assert margin_needed(BREAKOUT, MARK) == D("1010") * D("1.0005")
    assert margin_needed(STOP_LIMIT, MARK) == D("1009") * D("1.0005")
    # A sale may fill at its trigger, above its limit.
    sale = replace(SHORT, entry_type=OrderType.STOP, price=D("98000"))
    assert margin_needed(sale, MARK) == D("990") * D("1.0005")
    said = Entry(
        "BTCUSDT", Side.SELL, D("0.010"), OrderType.STOP, D("98000"), D("100000"), trigger=D("99000")
    )
    assert said.notional == D("990")
    assert (
        Entry(
            "BTCUSDT", Side.BUY, D("0.010"), OrderType.STOP_MARKET, None, D(1), trigger=D("101000")
        ).notional
        == 1010
    )
    assert (preview(BREAKOUT, RULES, MARK).entry, preview(STOP_LIMIT, RULES, MARK).entry) == (
        D(101000),
        D(100900),
    )


def test_it_takes_room_for_one_conditional_order_more() -> None:
    assert (ARMED.legs_wanted, BREAKOUT.legs_wanted, STOP_LIMIT.legs_wanted) == (2, 3, 3)


def test_its_prices_go_to_todays_tick_and_never_nearer_to_the_market() -> None:
    coarse = replace(RULES, tick_size=D(7))
    assert fitted(replace(BREAKOUT, trigger_price=D("101001")), coarse).trigger_price == D("101003")
    assert fitted(replace(SHORT, trigger_price=D("98999")), coarse).trigger_price == D("98994")
    assert lot_of(RULES, OrderType.STOP) == lot_of(RULES, OrderType.LIMIT)


def test_what_is_sent_is_said_before() -> None:
    words = list(orders_in_words(replace(STOP_LIMIT, protection=Protection.PRE_ARMED), RULES))
    assert words[0].endswith("before the entry")
    assert words[1] == "Entry: BUY 0.010 BTCUSDT stop limit 100900.0 GTC, trigger 101000.0 (mark price)"
    assert words[2].startswith("Take-profit")
    (first, *_) = orders_in_words(BREAKOUT, RULES)
    assert first == "Entry: BUY 0.010 BTCUSDT stop at market, trigger 101000.0 (mark price)"


# --- what is sent and decided -----------------------------------------------------------------


def test_it_watches_what_its_stop_watches() -> None:
    step = decide(trio(TrioState.PLACING, spec=replace(STOP_LIMIT, time_in_force=TimeInForce.GTX))).step
    assert isinstance(step, Submit)
    order = step.plans[0].order
    assert (order.type, order.trigger_price, order.price) == (OrderType.STOP, D("101000"), D("100900"))
    assert (order.working_type, order.time_in_force) == (WorkingType.MARK_PRICE, TimeInForce.GTX)
    assert not order.reduce_only


def test_only_its_stop_is_armed_before_it() -> None:
    step = decide(trio(TrioState.PLACING, spec=replace(BREAKOUT, protection=Protection.PRE_ARMED))).step
    assert isinstance(step, Submit)
    assert [plan.order.type for plan in step.plans] == [OrderType.STOP_MARKET]
    assert step.plans[0].order.side is Side.SELL


@pytest.mark.parametrize("state", [TrioState.PLACING, TrioState.WORKING])
def test_refused_at_its_trigger_it_is_taken_back_with_the_reason(state: TrioState) -> None:
    refused = entry(
        LegState.REJECTED,
        acknowledged=True,
        trigger_price=D("101000"),
        refused_text="Margin is insufficient.",
    )
    decision = decide(trio(state, refused, spec=BREAKOUT))
    assert decision.trio.cause is Cause.ENTRY_REFUSED
    assert decision.trio.reason == "The exchange refused the entry at its trigger: Margin is insufficient."
    assert decision.step.state is TrioState.ROLLED_BACK  # type: ignore[union-attr]


@pytest.mark.parametrize("code", [-2021, -4142])
def test_a_price_past_the_trigger_is_no_refusal_for_good_but_an_entry_that_was_missed(code: int) -> None:
    passed = entry(LegState.REJECTED, refused_code=code, trigger_price=D("101000"))
    decision = decide(trio(TrioState.PLACING, passed, spec=BREAKOUT))
    assert decision.trio.cause is Cause.ENTRY_ENDED
    assert decision.step.state is TrioState.EXPIRED  # type: ignore[union-attr]


def test_one_that_triggered_rests_and_is_cancelled_without_asking_a_person() -> None:
    # Given a limit order born at the trigger a minute ago, and a cancel whose effect does not show
    born = entry(
        LegState.TRIGGERED, price=D("100900"), trigger_price=D("101000"), triggered_ts=NOW_TS - 60_000,
        cancel_at=NOW - 5000, child_known=True,
    )  # fmt: skip
    working = trio(TrioState.WORKING, born, spec=STOP_LIMIT)
    assert isinstance(decide(working).step, Rest)
    assert isinstance(decide(replace(working, cancel_wanted=True)).step, Cancel)

    # But one at market that neither executes nor is cancelled could still hit: a person is asked.
    stuck = replace(born, price=None)
    step = decide(trio(TrioState.WORKING, stuck, spec=BREAKOUT, cancel_wanted=True)).step
    assert isinstance(step, AskPerson)


@pytest.mark.parametrize("spec", [BREAKOUT, STOP_LIMIT], ids=["STOP_MARKET", "STOP"])
def test_one_without_a_child_is_looked_up_then_put_to_a_person_then_read_now_and_then(spec: Spec) -> None:
    # Given an entry that was triggered, and no order of which has shown itself
    stuck = entry(
        LegState.TRIGGERED, price=spec.price, trigger_price=D("101000"), triggered_ts=NOW_TS - 500, looked_ts=NOW_TS - 400,
    )  # fmt: skip
    working = trio(TrioState.WORKING, stuck, spec=spec)

    # It gets the bound, is looked up once that is over, and only then a person is asked
    bound = working.policies.naked_limit
    assert decide(working).step == Rest(NOW + bound - 500 + 1)
    over = replace(stuck, triggered_ts=NOW_TS - bound - 100)
    assert decide(replace(working, legs=(over,))).step == Confirm(stuck.client_id)
    seen = replace(over, looked_ts=NOW_TS - 50)
    asks = decide(replace(working, legs=(seen,))).step
    assert isinstance(asks, AskPerson)
    assert asks.question.kind is QuestionKind.LEG_STUCK

    # It is asked once, and the order read now and then, until its fate is known
    asked = replace(working, legs=(seen,), question=asks.question)
    assert decide(asked).step == Rest(NOW + 10_000 - 50)
    assert decide(replace(asked, question=None, answered=(asks.question,))).step == Rest(NOW + 10_000 - 50)
    born = replace(seen, child_known=True)
    assert isinstance(decide(replace(asked, legs=(born,))).step, WithdrawQuestion)


@pytest.mark.parametrize("spec", [BREAKOUT, STOP_LIMIT], ids=["STOP_MARKET", "STOP"])
def test_one_without_a_child_whose_cancels_take_no_effect_is_put_to_a_person(spec: Spec) -> None:
    stuck = entry(
        LegState.TRIGGERED, price=spec.price, trigger_price=D("101000"), triggered_ts=NOW_TS - 60_000,
        cancel_at=NOW - 5000,
    )  # fmt: skip
    assert isinstance(decide(trio(TrioState.WORKING, stuck, spec=spec, cancel_wanted=True)).step, AskPerson)


def test_an_armed_stop_stays_until_the_entry_is_gone() -> None:
    waits = entry(LegState.ACCEPTED, trigger_price=D("101000"), cancel=RequestStatus.IN_FLIGHT, cancel_at=NOW)
    armed = stop(form=Form.QUANTITY, quantity=D("0.010"))
    spec = replace(BREAKOUT, protection=Protection.PRE_ARMED)
    step = decide(trio(TrioState.WITHDRAWING, armed, waits, spec=spec, cause=Cause.CANCEL_WANTED)).step
    assert isinstance(step, Rest)


def test_a_dry_run_sends_nothing_and_says_why() -> None:
    decision = decide(trio(TrioState.QUEUED, spec=BREAKOUT, dry_run=True))
    assert decision.step.state is TrioState.DRY_RUN if hasattr(decision.step, "state") else True
    assert decision.trio.state is TrioState.DRY_RUN
    refused = decide(trio(TrioState.QUEUED, spec=BREAKOUT, dry_run=True, refusal="Paused."))
    assert refused.trio.state is TrioState.REFUSED


# --- what becomes of it -----------------------------------------------------------------------

WAITS = LegFacts(
    conditional=True, form=Form.QUANTITY, state=LegState.ACCEPTED, quantity=D("0.010"), trigger_price=D("101000"),
    price=D("100900"), acknowledged=True, opens=True, seen_ts=1,
)  # fmt: skip


def view(state: OrderState, executed: str = "0", **said: object) -> OrderView:
    usual: dict[str, object] = {
        "client_id": "test-1-e1", "symbol": "BTCUSDT", "side": Side.BUY, "type": OrderType.STOP, "state": state,
        "position_side": PositionSide.BOTH, "quantity": D("0.010"), "executed": D(executed), "updated_at": 10,
        "conditional": True, "algo_id": 7,
    }  # fmt: skip
    return OrderView(**{**usual, **said})  # type: ignore[arg-type]


def child(state: OrderState, executed: str = "0") -> OrderView:
    return view(state, executed, conditional=False, algo_id=None, order_id=8, type=OrderType.LIMIT)


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (child(OrderState.NEW), LegState.TRIGGERED),
        (child(OrderState.PARTIALLY_FILLED, "0.004"), LegState.PARTIALLY_FILLED),
        (child(OrderState.CANCELED), LegState.CANCELLED),
        (child(OrderState.CANCELED, "0.004"), LegState.CANCELLED),
        (child(OrderState.EXPIRED), LegState.EXPIRED),
        (child(OrderState.FILLED, "0.010"), LegState.FILLED),
        (view(OrderState.REJECTED), LegState.REJECTED),
        (view(OrderState.FINISHED, "0.010"), LegState.FILLED),
        (view(OrderState.TRIGGERED, child_state=OrderState.NEW), LegState.TRIGGERED),
        (
            view(OrderState.TRIGGERED, "0.004", child_state=OrderState.PARTIALLY_FILLED),
            LegState.PARTIALLY_FILLED,
        ),
        (view(OrderState.FINISHED, "0.004", child_state=OrderState.CANCELED), LegState.CANCELLED),
        (view(OrderState.FINISHED, "0", child_state=OrderState.EXPIRED), LegState.EXPIRED),
    ],
)
def test_it_ends_as_its_child_ends(seen: OrderView, state: LegState) -> None:
    after, look = merge(WAITS, seen, certain=False)
    assert (after.state, after.filled, look) == (state, seen.executed, False)


def test_that_it_has_finished_says_neither_that_it_filled_nor_that_it_did_not() -> None:
    # An event says how much executed, but not how the rest ended.
    after, look = merge(WAITS, view(OrderState.FINISHED, "0.004"), certain=False)
    assert (after.state, after.filled, look) == (LegState.TRIGGERED, D("0.004"), True)

    # A look-up without the child may show the wanted quantity as if it were what executed.
    after, look = merge(WAITS, view(OrderState.FINISHED, "0.010"), certain=True)
    assert (after.state, after.filled, look) == (LegState.TRIGGERED, ZERO, True)


def test_a_stop_whose_child_ended_without_a_fill_has_failed_all_the_same() -> None:
    after, _ = merge(replace(WAITS, opens=False), child(OrderState.CANCELED), certain=False)
    assert after.state is LegState.REJECTED
