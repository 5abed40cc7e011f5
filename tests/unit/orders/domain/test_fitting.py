"""Every order is fitted to the symbol's rules as they are today."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exchange.refusals import Refusal
from exchange.types import OrderType, Side
from orders.domain.decision.decide import decide
from orders.domain.decision.steps import AskPerson, Done, Exit, Submit
from orders.domain.enums import Cause, Form, LegState, Protection, Role
from orders.domain.enums import TrioState as S
from orders.domain.fitting import Lot, entry_misfit, fitted, lot_of, misfit, split
from orders.domain.operator_questions import QuestionKind
from orders.domain.snapshot import Rules, Spec
from orders.domain.validation import Market, problems
from tests.unit.orders.domain.snapshots import LIMIT, LONG, D, entry, holding, stop, target, trio

LINK = Rules(
    symbol="LINKUSDT",
    step_size=D("0.01"),
    quantity_min=D("0.01"),
    quantity_max=D("100000"),
    market_step_size=D("0.01"),
    market_quantity_min=D("1"),
    market_quantity_max=D("100"),
)
steps = st.sampled_from([D("0.001"), D("0.01"), D("0.05"), D("0.1"), D("0.3"), D("1"), D("5")])
whole = st.integers(min_value=0, max_value=400)


@pytest.mark.parametrize(
    ("quantity", "orders"),
    [
        ("150", ["100", "50"]),
        ("100.5", ["99.5", "1"]),
        ("200.5", ["100", "99.5", "1"]),
        ("100", ["100"]),
        ("0.5", []),
        ("1.005", ["1.00"]),
    ],
)
def test_a_quantity_becomes_as_many_orders_as_it_takes_without_avoidable_dust(
    quantity: str, orders: list[str]
) -> None:
    assert split(D(quantity), lot_of(LINK, OrderType.MARKET)) == tuple(D(order) for order in orders)


@given(steps, whole, whole, whole, st.integers(min_value=0, max_value=9))
@example(D("0.01"), 99, 150, 200, 0)  # the rest of one full order is too small for another
def test_every_exit_passes_the_filters_and_together_they_are_the_position_less_dust(
    step: Decimal, least: int, most: int, units: int, crumbs: int
) -> None:
    # Given any rules, with their maximum and minimum on and off the step, and any position
    lot = Lot(step, least * step + step / 2 if least % 3 == 1 else least * step, most * step + step / 3)
    position = units * step + crumbs * step / 10

    orders = split(position, lot)

    # Then the exchange takes each, and they are never more than the position
    for order in orders:
        assert order > 0
        assert order % step == 0
        assert (lot.least or 0) <= order <= (lot.most or order)
    dust = position - sum(orders, D(0))
    assert dust >= 0
    # And no other plan leaves less: whole steps, judged by counting every number of orders
    smallest, largest = lot.smallest, lot.largest
    could = units * step
    best = max(
        (
            min(could, n * largest)
            for n in range(1, units + 2)
            if smallest <= largest and n * smallest <= could
        ),
        default=D(0),
    )
    assert dust == position - best


@given(
    st.sampled_from([Side.BUY, Side.SELL]),
    st.decimals("0.01", "900000", places=4),
    st.decimals("0.01", "900000", places=4),
    steps,
)
def test_levels_go_to_todays_tick_towards_safety(
    side: Side, stop: Decimal, target: Decimal, tick: Decimal
) -> None:
    spec = fitted(replace(LONG, side=side, stop_loss=stop, take_profit=target), Rules(tick_size=tick))

    assert spec.stop_loss is not None
    assert spec.take_profit is not None
    for level, asked in ((spec.stop_loss, stop), (spec.take_profit, target)):
        assert level % tick == 0
        assert abs(level - asked) < tick
    nearer = (spec.stop_loss - stop, target - spec.take_profit)
    assert all(moved >= 0 for moved in nearer) if side is Side.BUY else all(moved <= 0 for moved in nearer)


def test_a_close_of_more_than_one_order_may_have_goes_out_in_orders_that_fit() -> None:
    rules = replace(LINK, market_quantity_min=D("0.01"))
    step = decide(
        trio(S.OPEN, entry(filled=D("80"), quantity=D("80")), stop(), target(), slot=holding("150"), rules=rules,
             close_wanted=True)
    ).step  # fmt: skip

    assert isinstance(step, Exit)
    assert step.plan.order.quantity == D("100")


def test_what_is_below_the_smallest_order_is_dust_and_nothing_is_sent_for_it() -> None:
    legs = (entry(filled=D("0.5"), quantity=D("0.5")), stop(), target())
    step = decide(trio(S.OPEN, *legs, slot=holding("0.5"), rules=LINK, close_wanted=True)).step

    assert isinstance(step, AskPerson)
    assert step.question.kind is QuestionKind.DUST
    assert step.question.facts == {"quantity": "0.5"}


def test_legs_are_planned_on_todays_tick() -> None:
    rules = Rules(tick_size=D("100"))
    spec = fitted(replace(LONG, stop_loss=D("95010.1"), take_profit=D("109999.9")), rules)

    step = decide(trio(S.OPEN, entry(), slot=holding(), spec=spec, rules=rules)).step

    assert isinstance(step, Submit)
    assert [plan.order.trigger_price for plan in step.plans] == [D("95100"), D("109900")]


def test_a_stop_that_its_tick_takes_through_the_mark_counts_as_passed() -> None:
    spec = fitted(replace(LONG, stop_loss=D("95010.1")), Rules(tick_size=D("100")))
    slot = holding(mark_price=D("95050"), mark_as_of=4_999_900)

    decision = decide(trio(S.OPEN, entry(), slot=slot, spec=spec))

    assert (decision.trio.state, decision.trio.cause) == (S.EXITING, Cause.LEVEL_PASSED)


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        (Rules(tick_size=D("5000")), "stop-loss would be 100000, which is not on its side"),
        (Rules(market_step_size=D("0.004"), step_size=D("0.001")), "0.002 of a position of 0.01"),
        (Rules(market_quantity_min=D("0.02"), market_step_size=D("0.01")), "at least 0.02"),
        (Rules(price_max=D("105000"), tick_size=D("1")), "takes no take-profit at 110000"),
    ],
)
def test_what_could_not_be_protected_or_closed_by_todays_rules_is_said(rules: Rules, says: str) -> None:
    spec = fitted(replace(LIMIT, price=D("95100"), stop_loss=D("95010")), rules)
    assert says in misfit(spec, rules)


def test_a_queued_trio_that_does_not_fit_any_more_is_refused() -> None:
    decision = decide(trio(S.QUEUED, rules=Rules(step_size=D("0.1"), market_step_size=D("0.1"))))

    assert decision.step == Done(S.REFUSED)
    assert "rules have changed: quantity 0.01" in decision.trio.reason


def test_an_unsent_entry_that_does_not_fit_any_more_is_not_sent() -> None:
    armed = replace(LONG, protection=Protection.PRE_ARMED)
    decision = decide(
        trio(S.PLACING, stop(), target(), spec=armed, rules=Rules(market_quantity_max=D("0.005")))
    )
    assert (decision.trio.state, decision.trio.cause) == (S.WITHDRAWING, Cause.LIMIT)


def test_a_target_refused_at_a_price_that_is_none_any_more_goes_out_at_todays() -> None:
    refused = target(LegState.REJECTED, refused_code=-4014, trigger_price=D("110000.05"))
    legs = (entry(), stop(), refused)

    step = decide(trio(S.OPEN, *legs, slot=holding())).step

    assert refused.refusal is Refusal.BAD_STEP
    assert isinstance(step, Submit)
    assert [(plan.role, plan.generation) for plan in step.plans] == [(Role.TAKE_PROFIT, 2)]


def test_stops_together_cover_what_is_more_than_one_may_have() -> None:
    rules = replace(LINK, market_quantity_min=D("0.01"))
    first = stop(form=Form.QUANTITY, quantity=D("100"))
    second = stop(LegState.REJECTED, generation=2, refused_code=-4130)
    legs = (entry(filled=D("150"), quantity=D("150")), first, second, target())

    step = decide(trio(S.OPEN, *legs, slot=holding("150"), rules=rules)).step

    assert isinstance(step, Submit)
    assert [(plan.role, plan.order.quantity) for plan in step.plans] == [(Role.STOP_LOSS, D("50"))]


@pytest.mark.parametrize(
    ("spec", "most", "fits"),
    [(LONG, 0, False), (LONG, 1, True), (LIMIT, 1, False), (LIMIT, 2, True), (LIMIT, None, True)],
)
def test_a_symbol_that_takes_fewer_open_orders_than_a_trio_needs_takes_none(
    spec: Spec, most: int | None, fits: bool
) -> None:
    rules = Rules(symbol="BTCUSDT", orders_max=most)
    sentence = "" if fits else f"BTCUSDT takes {most} open orders of an account at most"
    assert sentence in entry_misfit(spec, rules)
    assert (entry_misfit(spec, rules) == "") is fits
    assert [problem.field for problem in problems(spec, rules, Market())] == ([] if fits else ["symbol"])
