"""What follows the price meets what people do meanwhile: small, exact stories on a simulated exchange."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import pytest

from exchange.types import PriceKind
from orders import services
from orders.domain.enums import RequestKind, Role
from orders.domain.errors import RuleBroken
from orders.domain.snapshot import MoveEnd
from orders.domain.trailing import FollowEnd
from orders.exchange_data.clock import exchange_now_ms
from orders.journal.replay import trio_replay
from orders.models import Request, SizeChange, Slot, Trail, TrioOrder
from tests.builders import story, the, until
from tests.unit.worker.test_chase_watch import changes, chased, comes_to, entry_of, resting, worked
from tests.unit.worker.test_trail_watch import (
    MINUTE_MS,
    STOP,
    TARGET,
    Market,
    asked_ago,
    loop,  # noqa: F401
    moves_of,
    opened,
    uncovered_ms,
)

LAST = PriceKind.LAST


@pytest.fixture
def market(any_desk: Any, loop: asyncio.AbstractEventLoop) -> Iterator[Market]:  # noqa: F811
    made = Market(any_desk, loop)
    made.is_at("2000.00")
    yield made
    made.close()


def with_parts(market: Market, *parts: tuple[str, str], **fields: Any) -> TrioOrder:
    """A position with part targets, each with its level and share, and its legs all there."""
    rows = [{"number": n, "level": level, "share": share} for n, (level, share) in enumerate(parts, start=1)]
    levels: dict[str, Any] = {"stop_loss": D("1960"), "take_profit": D("2200"), "quantity": D("1.000")}
    words = levels | {"symbol": "ETHUSDT", "protection": "ON_FIRST_FILL", "part_targets": rows} | fields
    desk = market.desk
    trio = desk.placed(desk.a_trio(**words))

    def rests() -> bool:
        desk.carry()
        return len(market.resting(STOP)) == 1 and len(market.resting(TARGET)) == len(parts) + 1

    until(rests, why=lambda: story(trio))
    market.work()
    market.hear("2000.00")
    return trio


# --- a trail --------------------------------------------------------------------------------------


def test_a_trail_counts_no_price_from_before_there_was_a_position(market: Market) -> None:
    # Given an entry that rests at 1990 and is to be trailed from its fill on
    desk, trio = market.desk, resting(market)
    trail = services.trio_trail(trio_id=trio.pk, by="ann", distance=D("30"))
    then = exchange_now_ms("PAPER") - 3 * MINUTE_MS
    Trail.objects.filter(pk=trail.pk).update(since_ts=then, heard_ts=then)

    # When the market goes up to 2040 without it, and only then comes down to it
    market.goes_to("2040.00")
    market.is_at("1989.99")
    desk.carry_until(trio, "OPEN")
    for _ in range(3):
        market.hear("1989.99")

    # Then its stop is 30 below the market that it was bought in, not right below it, and follows from here
    market.stop_at("1959.99", trio)
    market.goes_to("1995.00")
    market.stop_at("1965", trio)
    assert [level for level, _ in moves_of(trio)] == [D("1959.99"), D("1965")]
    assert trio.state == "OPEN"


def test_a_trail_whose_activation_is_reached_exactly_while_nobody_listened(market: Market) -> None:
    # Given a short at 2000 whose trail waits for 1980
    desk, trio = market.desk, opened(market, side="SELL")
    before = uncovered_ms(desk)
    trail = services.trio_trail(
        trio_id=trio.pk, by="ann", percent=D("1.5"), activation=D("1980"), step=D("0.50")
    )
    market.goes_to("1980.01")
    assert trio.trails.get().best is None
    asked_ago(trail, heard_ago=True)

    # When the worker is gone while the price touches it and turns, and another takes over far above
    market.watch.stop()
    market.is_at("1980.00")
    market.is_at("1995.00")
    market.restarts()

    def is_active() -> bool:
        market.hear("1995.00")
        return trio.trails.get().best == D("1980")

    until(is_active, why=lambda: story(trio))

    # Then the stop stands 1.5 % above the lowest price: 1980 × 1.015 = 2009.70
    market.stop_at("2009.7", trio)
    market.goes_to("1979.60")  # 2009.294, down: only 0.41 better, less than the smallest move
    assert moves_of(trio) == [(D("2009.7"), MoveEnd.DONE)]
    market.goes_to("1979.50")  # 2009.1925, down: 0.51 better
    market.stop_at("2009.19", trio)
    assert uncovered_ms(desk) == before, story(trio)
    market.is_at("2009.19")
    desk.carry_until(trio, "CLOSED")
    assert (trio.result, desk.resting) == ("STOP_LOSS", [])
    assert not trio_replay(trio).differences


def test_what_is_added_while_it_trails_is_covered_and_trailed_with_the_rest(market: Market) -> None:
    desk, trio = market.desk, opened(market)
    before = uncovered_ms(desk)
    services.trio_trail(trio_id=trio.pk, by="ann", distance=D("30"), step=D("1"))
    market.goes_to("2010.00")
    market.stop_at("1980", trio)

    # When something is to be added, and the price goes on before it is there
    desk.simulator.fault({"method": "POST", "type": "MARKET"}, {"do": "execute_late", "ms": 500}, [1])
    change = services.trio_add(trio_id=trio.pk, by="ann", quantity=D("0.200"))
    market.goes_to("2020.00")
    worked(market, trio, lambda: bool(SizeChange.objects.get(pk=change.pk).end))
    market.stop_at("1990", trio)

    assert SizeChange.objects.get(pk=change.pk).filled == D("0.200")
    assert abs(desk.simulator.position("ETHUSDT", side=trio.position_side).quantity) == D("0.700")
    assert uncovered_ms(desk) == before, story(trio)
    market.is_at("1990.00")
    desk.carry_until(trio, "CLOSED")
    sold = trio.legs.filter(role=Role.STOP_LOSS, filled__gt=0).values_list("filled", flat=True)
    assert list(sold) == [D("0.700")]
    assert desk.resting == []


def test_a_trail_and_a_target_that_fills_leave_one_stop_for_what_is_left(market: Market) -> None:
    desk = market.desk
    trio = with_parts(market, ("2040", "50"), follow="BREAK_EVEN")
    before = uncovered_ms(desk)
    services.trio_trail(trio_id=trio.pk, by="ann", distance=D("50"))
    market.goes_to("2030.00")
    market.stop_at("1980", trio)

    # When the price goes through the target: break-even asks for 2002.02, the trail for 1995
    market.goes_to("2045.00")
    market.stop_at("2002.02", trio)
    market.goes_to("2052.01")  # 2002.01 is no better
    assert the(trio).stop_loss == D("2002.02")
    market.goes_to("2052.03")
    market.stop_at("2002.03", trio)

    assert abs(desk.simulator.position("ETHUSDT", side=trio.position_side).quantity) == D("0.500")
    assert uncovered_ms(desk) == before, story(trio)


@pytest.mark.parametrize("protection", ["PRE_ARMED", "ON_FIRST_FILL"])
def test_a_stop_that_another_one_has_joined_is_trailed_all_the_same(market: Market, protection: str) -> None:
    # Given an entry that fills in two parts: in hedge mode an armed stop is joined by one for whatever is there
    desk = market.desk
    trio = resting(market, protection=protection)
    for quantity in ("0.200", "0.300"):
        desk.simulator.fill(entry_of(trio).client_id, quantity)
        desk.carry_until(trio, "OPEN")
        for _ in range(5):
            market.work()
    before = uncovered_ms(desk)
    services.trio_trail(trio_id=trio.pk, by="ann", distance=D("30"))
    market.goes_to("2020.00")
    market.stop_at("1990", trio)
    assert uncovered_ms(desk) == before, story(trio)


def test_a_stop_whose_lost_answer_brought_a_second_one_is_trailed_all_the_same(market: Market) -> None:
    # Given a stop whose answer is lost for so long that a second one stands beside it
    desk = market.desk
    desk.simulator.fault({"method": "POST", "type": STOP}, {"do": "execute_late", "ms": 600}, [1])
    words: dict[str, Any] = {"stop_loss": D("1960"), "take_profit": D("2200"), "quantity": D("0.500")}
    trio = desk.placed(desk.a_trio(symbol="ETHUSDT", protection="ON_FIRST_FILL", **words))
    worked(market, trio, lambda: trio.legs.filter(role=Role.STOP_LOSS, state="ACCEPTED").count() > 1)
    services.trio_trail(trio_id=trio.pk, by="ann", distance=D("30"))
    market.goes_to("2020.00")
    market.stop_at("1990", trio)


# --- break-even that waits ------------------------------------------------------------------------


def test_break_even_after_the_first_target_moves_when_a_part_target_has_filled(market: Market) -> None:
    trio = with_parts(market, ("2030", "50"), ("2060", "30"))
    waiting = services.trio_break_even_arm(trio_id=trio.pk, by="ann", after_first_target=True)
    market.goes_to("2029.99")
    assert trio.level_moves.count() == 0
    market.goes_to("2031.00")
    market.stop_at("2002.02", trio)
    waiting.refresh_from_db()
    assert (waiting.end, trio.level_moves.get().wanted_by) == (FollowEnd.DONE, "break_even")
    assert not the(trio).is_followed


def test_break_even_after_a_first_target_that_has_filled_unheard_moves_the_stop(market: Market) -> None:
    # Given a first target that has executed, of which nobody has heard when break-even is asked for
    trio = with_parts(market, ("2030", "50"), ("2060", "30"))
    market.is_at("2031.00")
    market.desk.simulator.tick()
    services.trio_break_even_arm(trio_id=trio.pk, by="ann", after_first_target=True)

    market.hear("2031.00")

    market.stop_at("2002.02", trio)


def test_break_even_after_the_first_target_needs_one_that_leaves_something(market: Market) -> None:
    trio = opened(market)
    with pytest.raises(RuleBroken, match="no part target that leaves something"):
        services.trio_break_even_arm(trio_id=trio.pk, by="ann", after_first_target=True)
    assert not trio.break_evens.exists()


def test_break_even_whose_price_comes_while_something_is_added_is_done_after_that(market: Market) -> None:
    # Given break-even that waits for 2040, and something that is being added when the price comes there
    desk, trio = market.desk, opened(market)
    before = uncovered_ms(desk)
    waiting = services.trio_break_even_arm(trio_id=trio.pk, by="ann", at_price=D("2040"))
    desk.simulator.fault({"method": "POST", "type": "MARKET"}, {"do": "execute_late", "ms": 700}, [1])
    market.is_at("2040.00")
    change = services.trio_add(trio_id=trio.pk, by="ann", quantity=D("0.500"))
    desk.advance(trio)
    market.hear("2040.00")
    waiting.refresh_from_db()
    assert waiting.end == "", story(trio)

    # Then it moves once that is known, by the new average: (2000.01 + 2040.01) / 2, with what both cost
    worked(market, trio, lambda: bool(SizeChange.objects.get(pk=change.pk).end))
    market.goes_to("2045.00")
    market.stop_at("2022.04", trio)  # 2020.01 × 1.0005 / 0.9995 = 2022.031…, up
    waiting.refresh_from_db()
    assert waiting.end == FollowEnd.DONE
    assert uncovered_ms(desk) == before, story(trio)


# --- a chase --------------------------------------------------------------------------------------


@pytest.mark.parametrize("term", ["price", "quantity"])
def test_a_persons_change_of_the_entry_ends_its_chase_and_says_so(market: Market, term: str) -> None:
    trio = resting(market)
    chase = chased(market, trio)
    market.hear("2001.00", LAST)
    comes_to(market, trio, "1996")

    # When a person names a price (or a quantity) by hand
    words: dict[str, Any] = {"price": D("1992")} if term == "price" else {"quantity": D("0.400")}
    services.trio_change_entry(trio_id=trio.pk, by="ben", **words)
    chase.refresh_from_db()
    assert (chase.end, chase.ended_by, the(trio).is_chasing) == (FollowEnd.OFF, "ben", False)
    assert "Chase ended: ben changes the entry by hand." in story(trio)
    price, quantity = ("1992", "0.500") if term == "price" else ("1996", "0.400")
    worked(market, trio, lambda: not trio.entry_changes.filter(end="").exists())
    comes_to(market, trio, price)

    # Then the price may go where it will: the entry stays as it was said
    sent = len(changes(market))
    for last in ("2003.00", "2010.00"):
        market.hear(last, LAST)
    assert len(changes(market)) == sent
    assert (entry_of(trio).price, entry_of(trio).quantity) == (D(price), D(quantity))


def test_a_persons_change_waits_for_the_chases_own_request_and_has_the_last_word(market: Market) -> None:
    # Given a change by the chase whose answer is not known yet
    trio = resting(market)
    chased(market, trio)
    market.desk.simulator.fault({"method": "PUT"}, {"do": "execute_late", "ms": 700}, [1])
    market.hear("2001.00", LAST)
    services.trio_change_entry(trio_id=trio.pk, by="ben", price=D("1992"))
    comes_to(market, trio, "1992")
    ends = [(wish.wanted_by, wish.end) for wish in the(trio).entry_changes.all()]
    assert ends == [("chase", "REPLACED"), ("ben", "DONE")], story(trio)
    assert Request.objects.filter(trio=trio, kind=RequestKind.AMEND).count() == 2


def test_another_good_till_leaves_the_chase_alone(market: Market) -> None:
    from datetime import timedelta

    from orders.exchange_data.clock import db_now

    trio = resting(market)
    chase = chased(market, trio)
    services.trio_change_entry(trio_id=trio.pk, by="ben", good_till=db_now() + timedelta(hours=1))
    chase.refresh_from_db()
    assert chase.end == ""
    market.hear("2001.00", LAST)
    comes_to(market, trio, "1996")


@pytest.mark.parametrize(
    "when", [{"at_price": D("2040")}, {"after_first_target": True}], ids=["price", "target"]
)
def test_break_even_whose_move_is_refused_waits_on_and_is_done_later(
    market: Market, when: dict[str, Any]
) -> None:
    # Given break-even whose order the exchange refuses, as the price has come back for a moment
    trio = with_parts(market, ("2040", "50"))
    waiting = services.trio_break_even_arm(trio_id=trio.pk, by="ann", **when)
    market.desk.simulator.fault({"method": "POST", "type": STOP}, {"do": "refuse", "code": -2021}, [1])
    market.goes_to("2040.00")

    def refused() -> bool:
        Slot.objects.filter(account=market.desk.account).update(mark_as_of=exchange_now_ms("PAPER"))
        market.work()
        return (D("2002.02"), MoveEnd.REFUSED) in moves_of(trio)

    until(refused, why=lambda: story(trio))

    # Then it waits on, and the stop is there as soon as the exchange takes it
    market.stop_at("2002.02", trio)
    waiting.refresh_from_db()
    assert (waiting.end, the(trio).is_followed) == (FollowEnd.DONE, False)
    assert moves_of(trio)[-1] == (D("2002.02"), MoveEnd.DONE)


def test_a_move_that_never_reached_the_book_and_was_replaced_holds_up_no_trail(market: Market) -> None:
    # Given a move that the exchange was too busy for, and another one that took its place
    desk, trio = market.desk, opened(market)
    desk.simulator.fault({"method": "POST", "type": STOP}, {"do": "refuse", "code": -1008}, [1])
    services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("1970"), by="ann")
    desk.advance(trio)
    assert trio.legs.filter(role=Role.STOP_LOSS, state="PLANNED").count() == 1, story(trio)
    services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("1980"), by="ann")
    market.stop_at("1980", trio)

    # Then a trail moves it on
    services.trio_trail(trio_id=trio.pk, by="ann", distance=D("30"))
    market.goes_to("2020.00")
    market.stop_at("1990", trio)


def test_a_stop_for_what_was_not_added_after_all_holds_up_no_trail(market: Market) -> None:
    # Given something to be added whose stop the exchange is too busy for, until that is cancelled
    desk, trio = market.desk, opened(market, protection="PRE_ARMED")
    desk.simulator.refuses(STOP, code=-1008)
    change = services.trio_add(trio_id=trio.pk, by="ann", quantity=D("0.200"))
    planned = trio.legs.filter(role=Role.STOP_LOSS, state="PLANNED")
    worked(market, trio, planned.exists)
    services.trio_cancel(trio_id=trio.pk, by="ann")
    worked(market, trio, lambda: bool(SizeChange.objects.get(pk=change.pk).end))
    desk.simulator.clear_faults()

    # Then a trail moves the stop that is there
    services.trio_trail(trio_id=trio.pk, by="ann", distance=D("30"))
    market.goes_to("2020.00")
    worked(market, trio, lambda: the(trio).stop_loss == D("1990"))


def test_break_even_that_was_reached_is_not_forgotten_when_the_targets_are_set_anew(market: Market) -> None:
    # Given a first target that has filled, and a price that came back below break-even before anything could move
    trio = with_parts(market, ("2030", "50"), ("2060", "30"))
    waiting = services.trio_break_even_arm(trio_id=trio.pk, by="ann", after_first_target=True)
    market.is_at("2031.00")
    market.desk.simulator.tick()
    market.goes_to("2001.00")

    def reached() -> bool:
        market.work()
        waiting.refresh_from_db()
        return waiting.reached_ts is not None

    until(reached, why=lambda: story(trio))
    assert the(trio).stop_loss == D("1960")

    # When the targets are set anew, and the price rises
    services.trio_targets(trio_id=trio.pk, by="ann", text="2070:50")
    market.goes_to("2040.00")

    # Then the stop is at break-even
    market.stop_at("2002.02", trio)
