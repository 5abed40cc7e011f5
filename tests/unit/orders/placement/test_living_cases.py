"""Changes of a living trio that meet each other, by the exchange's own records covered all the while.

Each story is small and exact: what rests, what is held and what was sold afterwards is counted to the last step.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from accounts.gateways import exchange_for
from exchange.types import NewOrder, OrderRef, OrderType, PositionSide, Side, Stamp, WorkingType
from orders import reversal, services
from orders.domain.adoption import Level
from orders.domain.enums import Role
from orders.domain.errors import IllegalTransition, RuleBroken
from orders.domain.snapshot import ChangeEnd, MoveEnd, SizeEnd
from orders.exchange_data.clock import db_now, exchange_now_ms
from orders.exchange_data.symbol_sync import symbols_sync
from orders.models import EntryChangeWish, Leg, LevelMove, SizeChange, Slot, TrioOrder
from tests.builders import Desk, story, the, until
from tests.unit.orders.placement.test_parts import (
    is_sound,
    part_targets,
    stops,
    targets,
    uncovered_ms,
    worked,
)

STOP, TARGET = "STOP_MARKET", "TAKE_PROFIT_MARKET"


@pytest.fixture
def eth(any_desk: Desk) -> Desk:
    any_desk.simulator.set_price("ETHUSDT", "2000")
    return any_desk


def opened(desk: Desk, side: str = "BUY", **words: Any) -> TrioOrder:
    """A position of 0.500 ETH at 2000, its stop 100 away and its last target 80, all of it protected."""
    long = side == "BUY"
    usual: dict[str, Any] = {
        "symbol": "ETHUSDT",
        "side": side,
        "quantity": D("0.500"),
        "stop_loss": D("1900" if long else "2100"),
        "take_profit": D("2080" if long else "1920"),
        "protection": "ON_FIRST_FILL",
    }
    wanted = usual | words
    trio = desk.placed(desk.a_trio(**wanted))
    legs = 1 + len(wanted.get("part_targets", ()))
    worked(desk, trio, lambda: len(stops(desk)) == 1 and len(targets(desk)) == legs and is_quiet(trio))
    assert the(trio).state == "OPEN", story(trio)
    return trio


def is_quiet(trio: TrioOrder) -> bool:
    return the(trio).wake_at is None and not trio.legs.filter(state__in=("SUBMITTED", "PLANNED")).exists()


def held(desk: Desk, trio: TrioOrder) -> D:
    return abs(desk.simulator.position(trio.symbol.symbol, side=trio.position_side).quantity)


def sold(trio: TrioOrder) -> dict[str, D]:
    """Return how much each kind of order has closed."""
    found: dict[str, D] = {}
    for leg in trio.legs.exclude(role__in=("ENTRY", "ADD")):
        if leg.filled:
            found[leg.role] = found.get(leg.role, D(0)) + leg.filled
    return found


def marked(desk: Desk, trio: TrioOrder, price: str) -> None:
    """Move the market there, and have the price watch see it."""
    desk.simulator.set_price(trio.symbol.symbol, price)
    assert trio.slot_id is not None
    Slot.objects.filter(pk=trio.slot_id).update(mark_price=D(price), mark_as_of=exchange_now_ms("PAPER"))


def mirrored(side: str, away: str) -> D:
    """Return a price so far from 2000, in the direction in which a trio of this side wins."""
    return D(2000) + D(away) if side == "BUY" else D(2000) - D(away)


# --- a level that moves while the size changes ----------------------------------------------------


@pytest.mark.parametrize("side", ["BUY", "SELL"])
@pytest.mark.parametrize(
    "meets",
    [
        None,
        {
            "match": {"method": "DELETE", "path": "/fapi/v1/algoOrder"},
            "then": {"do": "execute_late", "ms": 500},
        },
        {"match": {"method": "POST", "type": STOP}, "then": {"do": "execute_late", "ms": 500}},
        {"match": {"method": "POST", "type": STOP}, "then": {"do": "lose_answer"}},
    ],
    ids=["at once", "the old stop leaves late", "the bridge comes late", "the bridge's answer is lost"],
)
def test_a_part_is_taken_off_while_the_stop_is_on_its_way(
    eth: Desk, side: str, meets: dict[str, Any] | None
) -> None:
    trio = opened(eth, side)
    before = uncovered_ms(eth)
    if meets is not None:
        eth.simulator.fault(meets["match"], meets["then"], [1])
    level = mirrored(side, "-50")
    move = services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=level, by="test")
    part = services.trio_close_part(trio_id=trio.pk, by="test", quantity=D("0.200"))

    worked(
        eth, trio, lambda: LevelMove.objects.get(pk=move.pk).end and SizeChange.objects.get(pk=part.pk).end
    )
    worked(eth, trio, lambda: stops(eth) == [(level, None)] and is_quiet(trio))

    assert LevelMove.objects.get(pk=move.pk).end == MoveEnd.DONE, story(trio)
    assert SizeChange.objects.get(pk=part.pk).end == SizeEnd.DONE, story(trio)
    assert held(eth, trio) == D("0.300")
    assert len(targets(eth)) == 1
    assert uncovered_ms(eth) == before, story(trio)
    assert not [e for e in eth.simulator.log if e.code == -4130], story(trio)
    eth.simulator.set_price("ETHUSDT", str(level))
    eth.carry_until(trio, "CLOSED")
    assert (trio.result, sold(trio)) == ("STOP_LOSS", {"PART_CLOSE": D("0.200"), "STOP_LOSS": D("0.300")})
    assert is_sound(eth, trio)


def test_nothing_moves_while_something_is_to_be_added(eth: Desk) -> None:
    trio = opened(eth, quantity=D("0.300"))
    before = uncovered_ms(eth)
    eth.simulator.fault({"method": "POST", "type": "MARKET"}, {"do": "execute_late", "ms": 600}, [1])
    change = services.trio_add(trio_id=trio.pk, by="test", quantity=D("0.200"))

    # When a level is to move before what is added was sent, or while it is on its way, then it has to wait
    for _ in range(2):
        with pytest.raises(IllegalTransition, match="Something is being added"):
            services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("1950"), by="test")
        eth.advance(trio)

    worked(eth, trio, lambda: SizeChange.objects.get(pk=change.pk).end)
    services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("1950"), by="test")
    worked(eth, trio, lambda: stops(eth) == [(D("1950"), None)] and is_quiet(trio))
    assert held(eth, trio) == D("0.500")
    assert uncovered_ms(eth) == before, story(trio)
    assert is_sound(eth, trio)


def test_what_is_added_waits_for_the_stop_that_follows_a_target(eth: Desk) -> None:
    # Given a target that fills, whose stop is to follow, and an add that was wished for a moment before
    trio = opened(eth, quantity=D("1.000"), part_targets=part_targets(("2040", "50")), follow="BREAK_EVEN")
    before = uncovered_ms(eth)
    eth.simulator.fault({"method": "POST", "type": "MARKET"}, {"do": "execute_late", "ms": 600}, [1])
    eth.simulator.set_price("ETHUSDT", "2040")
    change = services.trio_add(trio_id=trio.pk, by="test", quantity=D("0.200"))

    worked(eth, trio, lambda: SizeChange.objects.get(pk=change.pk).end and is_quiet(trio))
    worked(eth, trio, lambda: len(stops(eth)) == 1 and stops(eth)[0][0] > D("2000"))

    # Then both happen, one after the other, and what was added is covered the moment it fills
    assert SizeChange.objects.get(pk=change.pk).end == SizeEnd.DONE, story(trio)
    assert held(eth, trio) == D("0.700")
    assert stops(eth)[0][1] is None
    assert uncovered_ms(eth) == before, story(trio)
    assert is_sound(eth, trio)


def test_a_target_that_fills_while_a_better_stop_is_refused_is_followed_all_the_same(eth: Desk) -> None:
    """A part target fills while a person's move is in the air; that is refused, so break-even is what is left to do."""
    trio = opened(eth, quantity=D("1.000"), part_targets=part_targets(("2040", "50")), follow="BREAK_EVEN")
    marked(eth, trio, "2030")
    eth.simulator.fault({"method": "POST", "type": STOP}, {"do": "refuse", "code": -2021}, [1])
    move = services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("2010"), by="ann")
    eth.simulator.set_price("ETHUSDT", "2041")

    worked(eth, trio, lambda: LevelMove.objects.get(pk=move.pk).end == MoveEnd.REFUSED)
    worked(eth, trio, lambda: stops(eth) == [(D("2002.02"), None)])

    assert [(m.wanted_by, m.end) for m in trio.level_moves.all()] == [("ann", "REFUSED"), ("targets", "DONE")]
    assert is_sound(eth, trio)


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_target_that_fills_while_the_bridge_rests_alone_leaves_the_rest_covered(
    eth: Desk, side: str
) -> None:
    # Given a move of whose halves the second is late, and a part target that fills in between
    level, first = mirrored(side, "-40"), mirrored(side, "40")
    trio = opened(eth, side, quantity=D("1.000"), part_targets=part_targets((str(first), "50")))
    before = uncovered_ms(eth)
    eth.simulator.fault({"method": "POST", "type": STOP}, {"do": "execute_late", "ms": 400}, [2])
    services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=level, by="test")
    eth.advance(trio)
    eth.simulator.set_price("ETHUSDT", str(first))

    worked(eth, trio, lambda: stops(eth) == [(level, None)] and len(targets(eth)) == 1 and is_quiet(trio))

    assert held(eth, trio) == D("0.500")
    new = uncovered_ms(eth)[len(before) :]
    hedge = eth.account.position_mode == "HEDGE"  # counted apart: a bridge above the position covers nothing
    assert all(ms <= 2000 for ms in new), story(trio)
    assert not new or hedge, story(trio)
    eth.simulator.set_price("ETHUSDT", str(level))
    eth.carry_until(trio, "CLOSED")
    assert sold(trio) == {"PART_TARGET": D("0.500"), "STOP_LOSS": D("0.500")}
    assert is_sound(eth, trio)


@pytest.mark.parametrize("how", ["close", "panic"])
def test_a_trio_that_is_closed_as_its_target_fills_is_closed(eth: Desk, how: str) -> None:
    # Given a target that fills, whose stop is to follow, in the moment in which a person closes
    trio = opened(eth, quantity=D("1.000"), part_targets=part_targets(("2040", "50")), follow="BREAK_EVEN")
    marked(eth, trio, "2041")
    verb = services.trio_close if how == "close" else services.trio_panic
    verb(trio_id=trio.pk, by="test")

    eth.carry_until(trio, "CLOSED")

    assert (held(eth, trio), eth.resting, the(trio).question_kind) == (D(0), [], "")
    assert not trio.level_moves.exists()
    assert is_sound(eth, trio)


def too_busy(desk: Desk, trio: TrioOrder, change: SizeChange) -> None:
    """Have the exchange too busy for what is wished, which is tried until its time is over."""
    desk.simulator.refuses("MARKET", code=-1008)
    worked(desk, trio, lambda: trio.legs.filter(role=change.role, state="PLANNED").exists())
    wished = [replace(wish, since=wish.since - 31_000) for wish in the(trio).sizes_wanted]
    trio.sizes_put(wished)
    trio.wake_at = db_now()
    trio.save(update_fields=["moves", "wake_at"])
    worked(desk, trio, lambda: SizeChange.objects.get(pk=change.pk).end)
    desk.simulator.clear_faults()


def test_what_could_not_be_added_in_time_holds_up_nothing_afterwards(eth: Desk) -> None:
    trio = opened(eth, quantity=D("0.300"))
    too_busy(eth, trio, change := services.trio_add(trio_id=trio.pk, by="test", quantity=D("0.200")))
    change.refresh_from_db()
    assert (change.end, change.refused_text) == (SizeEnd.REFUSED, "It could not be sent within 30 s.")
    assert the(trio).quantity == D("0.300")

    # Then the stop is moved, and something is added, as if it had never been wished for
    services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("1950"), by="test")
    worked(eth, trio, lambda: stops(eth) == [(D("1950"), None)] and not the(trio).moves_wanted)
    again = services.trio_add(trio_id=trio.pk, by="test", quantity=D("0.100"))
    worked(eth, trio, lambda: SizeChange.objects.get(pk=again.pk).end)
    assert SizeChange.objects.get(pk=again.pk).end == SizeEnd.DONE, story(trio)
    assert (held(eth, trio), the(trio).quantity) == (D("0.400"), D("0.400"))
    assert is_sound(eth, trio)


def test_what_is_not_sent_yet_is_not_added_after_a_cancel(eth: Desk) -> None:
    trio = opened(eth, quantity=D("0.300"))
    eth.simulator.refuses("MARKET", code=-1008)
    change = services.trio_add(trio_id=trio.pk, by="test", quantity=D("0.200"))
    worked(eth, trio, lambda: trio.legs.filter(role="ADD", state="PLANNED").exists())
    services.trio_cancel(trio_id=trio.pk, by="test")
    eth.simulator.clear_faults()

    worked(eth, trio, lambda: SizeChange.objects.get(pk=change.pk).end)

    change.refresh_from_db()
    assert (change.end, change.refused_text) == (
        SizeEnd.REFUSED,
        "The trio's unfilled part was cancelled on request.",
    )
    assert (held(eth, trio), the(trio).quantity, the(trio).state) == (D("0.300"), D("0.300"), "OPEN")
    assert is_sound(eth, trio)


def test_what_could_not_be_added_beside_a_strangers_stop_is_added_once_that_is_gone(eth: Desk) -> None:
    # Given a stop for the quantity, and one for the whole position that a person has beside it
    trio = opened(eth, quantity=D("0.300"), protection="PRE_ARMED")
    theirs = by_hand(
        eth,
        Side.SELL,
        holds=Side.BUY,
        type=OrderType.STOP_MARKET,
        trigger_price=D("1800"),
        working_type=WorkingType.MARK_PRICE,
        close_position=True,
    )
    first = services.trio_add(trio_id=trio.pk, by="test", quantity=D("0.100"))
    worked(eth, trio, lambda: SizeChange.objects.get(pk=first.pk).end)
    first.refresh_from_db()
    assert "Cancel that order, then add again" in first.refused_text

    # When they have cancelled it, as they were told
    exchange = exchange_for(eth.account.pk)
    gone = exchange.cancel_request(OrderRef("ETHUSDT", theirs, conditional=True))
    exchange.send(gone, stamp=Stamp(exchange_now_ms("PAPER"), 5000), timeout_ms=2000)
    again = services.trio_add(trio_id=trio.pk, by="test", quantity=D("0.100"))
    worked(eth, trio, lambda: SizeChange.objects.get(pk=again.pk).end)

    assert SizeChange.objects.get(pk=again.pk).end == SizeEnd.DONE, story(trio)
    assert held(eth, trio) == D("0.400")
    assert is_sound(eth, trio)


@pytest.mark.parametrize("verb", ["part", "add"])
def test_what_becomes_of_an_order_on_its_way_is_said_also_when_the_trio_closes(eth: Desk, verb: str) -> None:
    # Given another size whose order is in the air when a person closes
    trio = opened(eth, quantity=D("0.300"))
    eth.simulator.fault({"method": "POST", "type": "MARKET"}, {"do": "execute_late", "ms": 400}, [1])
    wish = services.trio_close_part if verb == "part" else services.trio_add
    change = wish(trio_id=trio.pk, by="test", quantity=D("0.100"))
    eth.advance(trio)
    services.trio_close(trio_id=trio.pk, by="test")

    eth.carry_until(trio, "CLOSED")

    change.refresh_from_db()
    came = (SizeEnd.DONE, D("0.100")) if verb == "add" else (SizeEnd.REFUSED, D(0))  # the exit was first
    assert (change.end, change.filled) == came, story(trio)
    assert (held(eth, trio), eth.resting) == (D(0), [])
    assert is_sound(eth, trio)


# --- targets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [-2022, -4509])
@pytest.mark.parametrize("role", [Role.TAKE_PROFIT, Role.PART_TARGET])
def test_a_target_refused_as_if_there_were_no_position_is_not_sent_without_end(
    eth: Desk, role: Role, code: int
) -> None:
    trio = opened(eth, quantity=D("1.000"), part_targets=part_targets(("2040", "50")))
    eth.simulator.refuses(TARGET, code=code)
    asked = len(eth.simulator.log)
    eth.simulator.expire(trio.legs.get(role=role).client_id)
    over = db_now() + timedelta(seconds=3)
    worked(eth, trio, lambda: db_now() > over)
    assert len(eth.simulator.log) - asked < 30, len(eth.simulator.log) - asked
    assert the(trio).state == "OPEN"

    # And it is there as soon as the exchange takes it
    eth.simulator.clear_faults()
    worked(eth, trio, lambda: len(targets(eth)) == 2)


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_the_take_profit_is_not_moved_before_a_target_that_it_would_take_away(eth: Desk, side: str) -> None:
    first, second = mirrored(side, "30"), mirrored(side, "60")
    trio = opened(
        eth,
        side,
        quantity=D("1.000"),
        take_profit=mirrored(side, "90"),
        part_targets=part_targets((str(first), "50"), (str(second), "30")),
    )
    near = mirrored(side, "60.01")
    for level in (second, mirrored(side, "45")):
        with pytest.raises(RuleBroken, match=rf"part target at {second}.*{near} is the nearest valid level"):
            services.trio_move(trio_id=trio.pk, role=Role.TAKE_PROFIT, level=level, by="test")
    services.trio_move(trio_id=trio.pk, role=Role.TAKE_PROFIT, level=near, by="test")
    worked(eth, trio, lambda: (near, None) in targets(eth) and len(targets(eth)) == 3 and is_quiet(trio))

    # A target that is spent stands in nobody's way
    eth.simulator.set_price("ETHUSDT", str(first))
    worked(eth, trio, lambda: len(targets(eth)) == 2 and is_quiet(trio))
    services.trio_targets(trio_id=trio.pk, by="test", text="")
    worked(eth, trio, lambda: targets(eth) == [(near, None)])
    level = mirrored(side, "50")
    services.trio_move(trio_id=trio.pk, role=Role.TAKE_PROFIT, level=level, by="test")
    worked(eth, trio, lambda: targets(eth) == [(level, None)] and is_quiet(trio))
    assert is_sound(eth, trio)


@pytest.mark.parametrize("gap", [False, True], ids=["walks", "gaps"])
@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_shares_that_no_step_divides_leave_nothing_over(eth: Desk, side: str, gap: bool) -> None:
    # Given 0.423 with 33.33, 33.33 and 33.34 %, and a stop that is to follow
    first, second, last = (mirrored(side, away) for away in ("20", "40", "60"))
    trio = opened(
        eth,
        side,
        quantity=D("0.423"),
        take_profit=last,
        part_targets=part_targets((str(first), "33.33"), (str(second), "33.33")),
        follow="TARGETS",
    )
    wanted = [(first, D("0.140")), (second, D("0.140")), (last, None)]
    assert targets(eth) == sorted(wanted, key=lambda target: str(target[0]))
    before = uncovered_ms(eth)

    # When two are reached at once and then the last
    eth.simulator.set_price("ETHUSDT", str(second), gap=gap)
    worked(eth, trio, lambda: targets(eth) == [(last, None)] and is_quiet(trio))
    assert stops(eth) == [(first, None)], story(trio)  # the target before the last that executed
    assert held(eth, trio) == D("0.143")
    eth.simulator.set_price("ETHUSDT", str(last), gap=gap)
    eth.carry_until(trio, "CLOSED")

    assert sold(trio) == {"PART_TARGET": D("0.280"), "TAKE_PROFIT": D("0.143")}
    assert held(eth, trio) == 0
    assert uncovered_ms(eth) == before, story(trio)
    assert eth.resting == []
    assert is_sound(eth, trio)


@pytest.mark.parametrize("order", ["target first", "part first"])
def test_more_is_never_taken_off_than_there_is(eth: Desk, order: str) -> None:
    # Given 0.500 with half of it at a target, and a wish to take 0.400 off
    trio = opened(eth, part_targets=part_targets(("2040", "50")))
    if order == "part first":
        eth.simulator.fault({"method": "POST", "type": "MARKET"}, {"do": "execute_late", "ms": 400}, [1])
    part = services.trio_close_part(trio_id=trio.pk, by="test", quantity=D("0.400"))
    if order == "part first":
        eth.advance(trio)
    eth.simulator.set_price("ETHUSDT", "2040")

    worked(eth, trio, lambda: SizeChange.objects.get(pk=part.pk).end)
    worked(eth, trio, lambda: the(trio).trio_state.is_end or is_quiet(trio))

    # Then what is left is closed or stands, and nothing is turned around
    verdict = eth.simulator.verdict()
    assert verdict["reversed"] == [], story(trio)
    assert sum(sold(trio).values()) + held(eth, trio) == D("0.500"), story(trio)
    if the(trio).state == "OPEN":
        assert len(stops(eth)) == len(targets(eth)) == 1
    else:
        assert (held(eth, trio), eth.resting) == (D(0), [])
    assert is_sound(eth, trio)


def test_what_a_part_leaves_must_be_enough_for_an_order_of_its_own(hedge_desk: Desk) -> None:
    # In hedge mode no order can say that it only reduces, so each must be worth the minimum: 20 USDT are 0.010 ETH.
    desk = hedge_desk
    desk.simulator.ex.profile = desk.simulator.ex.profile.but(hedge_exit_notional=True)
    desk.simulator.set_price("ETHUSDT", "2000")
    trio = opened(desk, quantity=D("0.050"))
    marked(desk, trio, "2000")
    with pytest.raises(RuleBroken, match=r"at most 0\.04,"):
        services.trio_close_part(trio_id=trio.pk, by="test", quantity=D("0.045"))
    part = services.trio_close_part(trio_id=trio.pk, by="test", quantity=D("0.040"))
    worked(desk, trio, lambda: SizeChange.objects.get(pk=part.pk).end == SizeEnd.DONE and is_quiet(trio))
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")
    assert (trio.result, held(desk, trio)) == ("MANUAL", D(0))


# --- break-even, by what was really paid -----------------------------------------------------------


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_break_even_counts_what_was_added_after_a_part_was_taken_off(eth: Desk, side: str) -> None:
    # Given 1.000 at 2000, of which half was taken off before as much was added again 40 better
    long = side == "BUY"
    eth.simulator.set_price("ETHUSDT", "1999.99" if long else "2000")
    trio = opened(eth, side, quantity=D("1.000"))
    part = services.trio_close_part(trio_id=trio.pk, by="test", percent=D("50"))
    worked(eth, trio, lambda: SizeChange.objects.get(pk=part.pk).end and is_quiet(trio))
    eth.simulator.set_price("ETHUSDT", "2039.99" if long else "1960")
    add = services.trio_add(trio_id=trio.pk, by="test", quantity=D("0.500"))
    worked(eth, trio, lambda: SizeChange.objects.get(pk=add.pk).end and is_quiet(trio))
    average = eth.simulator.position("ETHUSDT", side=trio.position_side).entry_price
    assert average == (D("2020") if long else D("1980"))
    marked(eth, trio, "2060" if long else "1940")
    worked(eth, trio, lambda: trio.fills.count() == 3)

    services.trio_break_even(trio_id=trio.pk, by="test")

    # 2020 × 1.0005 / 0.9995 = 2022.021…, up; 1980 × 0.9995 / 1.0005 = 1978.020…, down
    level = D("2022.03") if long else D("1978.02")
    worked(eth, trio, lambda: stops(eth) == [(level, None)] and is_quiet(trio))
    assert is_sound(eth, trio)


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_stop_that_follows_to_break_even_counts_it_as_well(eth: Desk, side: str) -> None:
    long = side == "BUY"
    eth.simulator.set_price("ETHUSDT", "1999.99" if long else "2000")
    target = mirrored(side, "60")
    parts = part_targets((str(target), "50"))
    trio = opened(eth, side, quantity=D("1.000"), part_targets=parts, follow="BREAK_EVEN")
    part = services.trio_close_part(trio_id=trio.pk, by="test", percent=D("50"))
    worked(eth, trio, lambda: SizeChange.objects.get(pk=part.pk).end and is_quiet(trio))
    eth.simulator.set_price("ETHUSDT", "2039.99" if long else "1960")
    add = services.trio_add(trio_id=trio.pk, by="test", quantity=D("0.500"))
    worked(eth, trio, lambda: SizeChange.objects.get(pk=add.pk).end and is_quiet(trio))

    eth.simulator.set_price("ETHUSDT", str(target))

    level = D("2022.03") if long else D("1978.02")
    worked(eth, trio, lambda: stops(eth) == [(level, None)] and is_quiet(trio))
    assert is_sound(eth, trio)


def test_break_even_with_fees_in_another_asset_counts_what_a_taker_pays(eth: Desk) -> None:
    # Given a short at 2000 whose entry was paid for in BNB
    trio = opened(eth, "SELL")
    worked(eth, trio, trio.fills.exists)
    trio.fills.update(commission=D("0.00075"), commission_asset="BNB")
    marked(eth, trio, "1990")
    services.trio_break_even(trio_id=trio.pk, by="test", offset_ticks=3)
    # 2000 × 0.9995 / 1.0005 = 1998.00099…, down to 1998.00, and three ticks better
    worked(eth, trio, lambda: stops(eth) == [(D("1997.97"), None)] and is_quiet(trio))


# --- a resting entry ------------------------------------------------------------------------------


def resting_entry(desk: Desk, **words: Any) -> TrioOrder:
    usual: dict[str, Any] = {"entry_type": "LIMIT", "price": D("99000"), "protection": "PRE_ARMED"}
    trio = desk.placed(desk.a_trio(**(usual | words)))
    assert trio.state == "WORKING", story(trio)
    return trio


def entry_of(trio: TrioOrder) -> Leg:
    return trio.legs.get(role=Role.ENTRY)


def test_a_change_that_meets_the_fill_buys_nothing_more(any_desk: Desk) -> None:
    # Given an entry that has filled whole, which nobody has heard of, when a larger one is asked for
    desk = any_desk
    trio = resting_entry(desk)
    desk.deaf = True
    desk.simulator.fill(entry_of(trio).client_id, "0.010")
    change = services.trio_change_entry(trio_id=trio.pk, by="test", quantity=D("0.015"), price=D("99100"))

    worked(desk, trio, lambda: EntryChangeWish.objects.get(pk=change.pk).end)
    desk.carry_until(trio, "OPEN")
    worked(desk, trio, lambda: len(stops(desk)) == len(targets(desk)) == 1 and is_quiet(trio))

    assert EntryChangeWish.objects.get(pk=change.pk).end == ChangeEnd.DROPPED, story(trio)
    assert (the(trio).quantity, held(desk, trio)) == (D("0.010"), D("0.010"))
    desk.deaf = False
    desk.simulator.set_price("BTCUSDT", "95000")
    desk.carry_until(trio, "CLOSED")
    assert (held(desk, trio), desk.resting) == (D(0), [])
    assert is_sound(desk, trio)


def test_a_change_to_what_a_person_has_just_made_of_it_is_done(desk: Desk) -> None:
    trio = resting_entry(desk)
    desk.deaf = True
    desk.simulator.amend(entry_of(trio).client_id, "0.012", "99100")
    change = services.trio_change_entry(trio_id=trio.pk, by="test", quantity=D("0.012"), price=D("99100"))
    worked(desk, trio, lambda: EntryChangeWish.objects.get(pk=change.pk).end)
    assert EntryChangeWish.objects.get(pk=change.pk).end == ChangeEnd.DONE, story(trio)
    assert (the(trio).quantity, trio.price) == (D("0.012"), D("99100"))


@pytest.mark.parametrize("code", [-4028, -5024, -5029, -5043, -5047])
def test_a_refused_change_leaves_the_entry_and_its_stop(any_desk: Desk, code: int) -> None:
    desk = any_desk
    trio = resting_entry(desk)
    desk.simulator.fault({"method": "PUT"}, {"do": "refuse", "code": code}, [1])
    change = services.trio_change_entry(trio_id=trio.pk, by="test", quantity=D("0.015"))
    worked(desk, trio, lambda: EntryChangeWish.objects.get(pk=change.pk).end and is_quiet(trio))
    worked(desk, trio, lambda: stops(desk) == [(D("95000"), D("0.010"))])
    change.refresh_from_db()
    assert (change.end, change.refused_code) == (ChangeEnd.REFUSED, code), story(trio)
    assert (the(trio).state, trio.quantity) == ("WORKING", D("0.010"))


@pytest.mark.parametrize("protection", ["PRE_ARMED", "ON_FIRST_FILL"])
def test_a_smaller_quantity_than_has_filled_by_then_cancels_the_rest(any_desk: Desk, protection: str) -> None:
    # Given a wish for 0.006 of which 0.004 have filled, and 0.003 more that fill before it arrives
    desk = any_desk
    trio = resting_entry(desk, protection=protection)
    desk.simulator.fill(entry_of(trio).client_id, "0.004")
    desk.carry_until(trio, "OPEN")
    worked(desk, trio, lambda: len(targets(desk)) == 1 and is_quiet(trio))
    before = uncovered_ms(desk)
    desk.simulator.fault({"method": "PUT"}, {"do": "execute_late", "ms": 400}, [1])
    change = services.trio_change_entry(trio_id=trio.pk, by="test", quantity=D("0.006"))
    desk.advance(trio)
    desk.simulator.fill(entry_of(trio).client_id, "0.003")

    worked(desk, trio, lambda: EntryChangeWish.objects.get(pk=change.pk).end and is_quiet(trio))

    assert EntryChangeWish.objects.get(pk=change.pk).end == ChangeEnd.CANCELLED, story(trio)
    assert (held(desk, trio), entry_of(trio).state) == (D("0.007"), "CANCELLED")
    assert uncovered_ms(desk) == before, story(trio)
    desk.simulator.set_price("BTCUSDT", "95000")
    desk.carry_until(trio, "CLOSED")
    assert (held(desk, trio), desk.resting) == (D(0), [])
    assert sum(sold(trio).values()) == D("0.007")
    assert is_sound(desk, trio)


@pytest.mark.parametrize("protection", ["PRE_ARMED", "ON_FIRST_FILL"])
def test_good_till_withdraws_what_has_not_filled_and_keeps_what_has(any_desk: Desk, protection: str) -> None:
    desk = any_desk
    trio = resting_entry(
        desk, protection=protection, side="SELL", price=D("101000"), good_till=db_now() + timedelta(seconds=3)
    )
    desk.simulator.fill(entry_of(trio).client_id, "0.004")
    desk.carry_until(trio, "OPEN")
    worked(desk, trio, lambda: len(targets(desk)) == 1)
    before = uncovered_ms(desk)
    worked(desk, trio, lambda: entry_of(trio).state == "CANCELLED" and is_quiet(trio))
    assert (the(trio).state, held(desk, trio)) == ("OPEN", D("0.004"))
    assert uncovered_ms(desk) == before, story(trio)
    desk.simulator.set_price("BTCUSDT", "105000")
    desk.carry_until(trio, "CLOSED")
    assert (sold(trio), held(desk, trio), desk.resting) == ({"STOP_LOSS": D("0.004")}, D(0), [])
    assert is_sound(desk, trio)


def test_a_symbol_that_takes_too_few_orders_is_refused_before_anything_is_sent(desk: Desk) -> None:
    desk.simulator.set_filters("BTCUSDT", MAX_NUM_ORDERS={"limit": "1"})
    symbols_sync("PAPER")
    asked = len(desk.requests("POST"))
    with pytest.raises(RuleBroken, match=r"takes 1 open orders .*needs room for 2 \(an entry that rests"):
        desk.queued(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    trio = desk.placed(desk.a_trio())  # at market, one order at a time
    assert trio.state == "OPEN", story(trio)
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")

    asked = len(desk.requests("POST"))
    desk.simulator.set_filters("BTCUSDT", MAX_NUM_ORDERS={"limit": "0"})
    symbols_sync("PAPER")
    with pytest.raises(RuleBroken, match="BTCUSDT takes 0 open orders of an account at most") as refused:
        desk.queued(desk.a_trio())
    assert refused.value.field == "symbol"
    assert len(desk.requests("POST")) == asked


# --- a position that was opened elsewhere ---------------------------------------------------------


def by_hand(desk: Desk, side: Side, **terms: Any) -> str:
    """Send an order as a person does in the exchange's app; return its id."""
    hedge = desk.account.position_mode == "HEDGE"
    holds = terms.pop("holds", side)
    usual: dict[str, Any] = {
        "client_id": f"web_{len(desk.simulator.log)}",
        "symbol": "ETHUSDT",
        "side": side,
        "type": OrderType.MARKET,
        "position_side": (PositionSide.LONG if holds is Side.BUY else PositionSide.SHORT)
        if hedge
        else PositionSide.BOTH,
    }
    order = NewOrder(**(usual | terms))
    exchange = exchange_for(desk.account.pk)
    exchange.send(
        exchange.submit_request(order), stamp=Stamp(exchange_now_ms("PAPER"), 5000), timeout_ms=2000
    )
    desk.hear()
    return order.client_id


def adopted(desk: Desk, **words: Any) -> TrioOrder:
    usual: dict[str, Any] = {
        "stop": Level(D(2), is_percent=True),
        "target": Level(D(5), is_percent=True),
        "by": "test",
    }
    symbol = services.symbol_get("PAPER", "ETHUSDT")
    return services.position_adopt(account=desk.account, symbol=symbol, **(usual | words))


def test_of_two_sides_the_one_that_is_meant_is_adopted_and_the_other_left(hedge_desk: Desk) -> None:
    # Given a long of 0.300 and a short of 0.700, each with a stop of its own, and a target of the short
    desk = hedge_desk
    desk.simulator.set_price("ETHUSDT", "2000")
    by_hand(desk, Side.BUY, quantity=D("0.300"))
    by_hand(desk, Side.SELL, quantity=D("0.700"))
    close: dict[str, Any] = {"close_position": True, "working_type": WorkingType.MARK_PRICE}
    stop = OrderType.STOP_MARKET
    long_stop = by_hand(desk, Side.SELL, holds=Side.BUY, type=stop, trigger_price=D("1800"), **close)
    short_stop = by_hand(desk, Side.BUY, holds=Side.SELL, type=stop, trigger_price=D("2200"), **close)
    part = by_hand(
        desk, Side.BUY, holds=Side.SELL, type=OrderType.TAKE_PROFIT_MARKET, trigger_price=D("1950"),
        quantity=D("0.200"), working_type=WorkingType.CONTRACT_PRICE,
    )  # fmt: skip

    trio = adopted(desk, position_side="SHORT")
    worked(desk, trio, lambda: trio.legs.filter(state="ACCEPTED").count() == 2 and is_quiet(trio))

    # Then ours are at 2040.00 and 1900.00, the stop for the quantity, and nothing of theirs is touched
    assert (the(trio).side, trio.position_side, trio.quantity) == ("SELL", "SHORT", D("0.700"))
    assert set(desk.resting) >= {long_stop, short_stop, part}
    ours = {
        (leg.role, leg.trigger_price, leg.form, leg.quantity) for leg in trio.legs.filter(state="ACCEPTED")
    }
    assert ours == {
        ("STOP_LOSS", D("2040"), "QUANTITY", D("0.700")),
        ("TAKE_PROFIT", D("1900"), "CLOSE_POSITION", D(0)),
    }

    # When the person's target takes 0.200 off, our stop follows what is left, and closes it
    desk.simulator.set_price("ETHUSDT", "1949.99")
    worked(desk, trio, lambda: held(desk, trio) == D("0.500") and is_quiet(trio))
    worked(
        desk,
        trio,
        lambda: (
            [leg.quantity for leg in trio.legs.filter(role="STOP_LOSS", state="ACCEPTED")] == [D("0.500")]
        ),
    )
    desk.simulator.set_price("ETHUSDT", "2040")
    desk.carry_until(trio, "CLOSED")
    assert (trio.result, held(desk, trio)) == ("STOP_LOSS", D(0))
    assert desk.simulator.position("ETHUSDT", side="LONG").quantity == D("0.300")
    assert long_stop in desk.resting
    assert desk.simulator.verdict()["reversed"] == []


def test_an_adopted_position_that_shrinks_while_its_legs_are_on_their_way(any_desk: Desk) -> None:
    desk = any_desk
    desk.simulator.set_price("ETHUSDT", "2000")
    by_hand(desk, Side.SELL, quantity=D("0.700"))
    desk.simulator.fault({"method": "POST", "type": STOP}, {"do": "execute_late", "ms": 300}, [1])
    trio = adopted(desk)
    desk.advance(trio)
    extra: dict[str, Any] = {} if desk.account.position_mode == "HEDGE" else {"reduce_only": True}
    by_hand(desk, Side.BUY, holds=Side.SELL, quantity=D("0.400"), **extra)

    # A second stop may stand beside the one whose answer was late: both only reduce
    worked(desk, trio, lambda: stops(desk) and len(targets(desk)) == 1 and is_quiet(trio))

    assert (the(trio).state, held(desk, trio)) == ("OPEN", D("0.300")), story(trio)
    desk.simulator.set_price("ETHUSDT", str(stops(desk)[0][0]))
    desk.carry_until(trio, "CLOSED")
    assert (sold(trio), held(desk, trio)) == ({"STOP_LOSS": D("0.300")}, D(0))
    assert desk.simulator.verdict()["reversed"] == []
    assert desk.resting == []


def test_break_even_of_an_adopted_position_counts_what_came_after(any_desk: Desk) -> None:
    # Given 1.000 that somebody bought at 2000, of which half was taken off before 0.500 were added at 2040
    desk = any_desk
    desk.simulator.set_price("ETHUSDT", "1999.99")
    by_hand(desk, Side.BUY, quantity=D("1.000"))
    trio = adopted(desk)
    worked(desk, trio, lambda: len(stops(desk)) == len(targets(desk)) == 1 and is_quiet(trio))
    part = services.trio_close_part(trio_id=trio.pk, by="test", percent=D("50"))
    worked(desk, trio, lambda: SizeChange.objects.get(pk=part.pk).end and is_quiet(trio))
    desk.simulator.set_price("ETHUSDT", "2039.99")
    add = services.trio_add(trio_id=trio.pk, by="test", quantity=D("0.500"))
    worked(desk, trio, lambda: SizeChange.objects.get(pk=add.pk).end and is_quiet(trio))
    assert desk.simulator.position("ETHUSDT", side=trio.position_side).entry_price == D("2020")
    marked(desk, trio, "2060")
    worked(desk, trio, lambda: trio.fills.count() == 2)
    services.trio_break_even(trio_id=trio.pk, by="test")
    worked(desk, trio, lambda: stops(desk) == [(D("2022.03"), None)] and is_quiet(trio))


# --- reverse --------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_reversal_whose_closing_fills_in_parts_follows_once_all_of_it_is_gone(eth: Desk, side: str) -> None:
    # Given a position of 0.500 that rests half on a target, and a book in which 0.200 are to be had at once
    trio = opened(eth, side, part_targets=part_targets((str(mirrored(side, "40")), "50")))
    eth.simulator.liquidity("ETHUSDT", "0.200")
    levels = {"stop_loss": mirrored(side, "50"), "take_profit": mirrored(side, "-80")}
    wish = services.trio_reverse(trio_id=trio.pk, by="test", **levels)
    eth.carry()
    assert 0 < held(eth, trio) < D("0.500")
    eth.simulator.liquidity("ETHUSDT", "100")

    def queued() -> bool:
        eth.carry()
        for trio_id in reversal.reversals_due():
            reversal.reversal_carry(trio_id)
        wish.refresh_from_db()
        return bool(wish.end)

    until(queued, why=lambda: f"{wish.end} {wish.reason}\n{story(trio)}")
    assert wish.end == "QUEUED", wish.reason
    assert (the(trio).state, sum(sold(trio).values())) == ("CLOSED", D("0.500"))
    assert wish.successor is not None
    second = eth.carry_until(wish.successor, "OPEN")
    worked(eth, second, lambda: len(stops(eth)) == len(targets(eth)) == 1)
    assert (second.quantity, held(eth, second)) == (D("0.500"), D("0.500"))
    assert eth.simulator.verdict()["orphans"] == []


# --- the stop follows a target that the price has come back from -----------------------------------


@pytest.mark.parametrize("side", ["BUY", "SELL"])
@pytest.mark.parametrize("known", [True, False], ids=["mark known", "mark not known"])
def test_a_stop_follows_a_target_as_soon_as_it_would_not_trigger_there(
    eth: Desk, side: str, known: bool
) -> None:
    # Given a target that fills at 2040, from which the price comes back below break-even at once
    trio = opened(
        eth,
        side,
        quantity=D("1.000"),
        part_targets=part_targets((str(mirrored(side, "40")), "50")),
        follow="BREAK_EVEN",
    )
    before = uncovered_ms(eth)
    eth.simulator.set_price("ETHUSDT", str(mirrored(side, "40")))
    eth.simulator.set_price("ETHUSDT", str(mirrored(side, "1")))
    if known:
        marked(eth, trio, str(mirrored(side, "1")))
    worked(eth, trio, lambda: len(targets(eth)) == 1)
    sent = len([e for e in eth.requests("POST") if e.params.get("type") == STOP])
    for _ in range(5):
        eth.carry()
    assert len([e for e in eth.requests("POST") if e.params.get("type") == STOP]) - sent <= (
        0 if known else 1
    )
    assert the(trio).stop_loss == mirrored(side, "-100")

    # When it has gone on far enough, then the stop is at break-even
    level = D("2002.02") if side == "BUY" else D("1998")

    def follows() -> bool:
        marked(eth, trio, str(mirrored(side, "10")))
        eth.carry()
        return stops(eth) == [(level, None)]

    until(follows, why=lambda: story(trio))
    assert uncovered_ms(eth) == before, story(trio)
    assert is_sound(eth, trio)
