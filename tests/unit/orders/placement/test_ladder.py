"""Entry ladders, through the real service, PostgreSQL and the simulated exchange: covered by what has filled, never a rung lost or doubled."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal as D
from typing import Any

import pytest

from exchange.types import Side
from orders import services
from orders.domain.enums import LegState, Protection, Role
from orders.domain.errors import IllegalTransition, LimitBroken, RuleBroken
from orders.domain.statistics import planned_risk
from orders.follow_rows import trails_followed
from orders.journal.replay import trio_replay
from orders.journal.verify import journal_verify
from orders.models import Fill, Leg, Request, RiskLimit, TrioOrder
from orders.placement.perform import SendCall, perform_all
from orders.results import Wanted, planned_of, trades_wanted
from orders.specs import rungs_read
from tests.builders import Desk, due_ids, story, the, until
from tests.unit.orders.placement.app import (
    arrives_late,
    bought_in_the_app,
    cancelled_in_the_app,
    sold_in_the_app,
)
from worker.price_watch import schedule_read

BOTH = [Protection.PRE_ARMED, Protection.ON_FIRST_FILL]
LADDERS = {"BUY": "99000:50, 98000:30, 97000:20", "SELL": "101000:50, 102000:30, 103000:20"}
ORDER = "/fapi/v1/order"


def a_ladder(desk: Desk, side: str = "BUY", **words: Any) -> TrioOrder:
    """Return the draft of a ladder of 0.005, 0.003 and 0.002 away from the market at 100000."""
    terms: dict[str, Any] = {
        "quantity": D("0.010"),
        "entry_type": "LIMIT",
        "rungs": rungs_read(LADDERS[side]),
        "stop_loss": D("95000") if side == "BUY" else D("105000"),
    }
    return desk.a_trio(side=side, **(terms | words))


def working(desk: Desk, side: str = "BUY", **words: Any) -> TrioOrder:
    trio = desk.placed(a_ladder(desk, side, **words))
    assert trio.state == "WORKING", story(trio)
    return trio


def rungs(trio: TrioOrder) -> list[Leg]:
    return list(trio.legs.filter(role__in=("ENTRY", "RUNG")).order_by("role", "number"))


def states(trio: TrioOrder) -> list[str]:
    return [leg.state for leg in rungs(trio)]


def sent(desk: Desk) -> list[str]:
    """Return the ids of the entry's orders that reached the exchange, by its log, in the order of their names."""
    return sorted(e.client_id[-2:] for e in desk.requests("POST", ORDER) if e.client_id[-2:-1] in "er")


def position(desk: Desk, trio: TrioOrder) -> D:
    side = trio.position_side if desk.account.position_mode == "HEDGE" else "BOTH"
    return abs(desk.simulator.position("BTCUSDT", side=side).quantity)


def flat(desk: Desk, trio: TrioOrder) -> bool:
    return not desk.resting and not position(desk, trio)


def carried(desk: Desk, trio: TrioOrder, what: Callable[[], Any], seconds: float = 10.0) -> Any:
    def there() -> Any:
        desk.carry()
        return what()

    return until(there, why=lambda: story(trio), seconds=seconds)


def covers(trio: TrioOrder) -> bool:
    whole = trio.legs.filter(form="CLOSE_POSITION", state=LegState.ACCEPTED)
    return whole.filter(role=Role.TAKE_PROFIT).exists() and not trio.legs.filter(state="SUBMITTED").exists()


def sound(desk: Desk, trio: TrioOrder) -> None:
    """Nothing was uncovered for longer than the bound, orphaned, reversed or sent twice; the journal says the same."""
    verdict = desk.simulator.verdict()
    assert [gap for gap in verdict["uncovered"] if gap["ms"] > 2000] == []
    assert (verdict["orphans"], verdict["reversed"]) == ([], [])
    assert len(sent(desk)) == len(set(sent(desk)))
    assert not journal_verify(trio_id=trio.pk).breaks
    assert not trio_replay(trio).differences


# --- it fills, as far as the price goes ---------------------------------------------------------


@pytest.mark.parametrize("filled", [0, 1, 2, 3])
@pytest.mark.parametrize("protection", BOTH)
@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_what_has_filled_of_a_ladder_is_covered_and_closed_with_the_rest_taken_back(
    any_desk: Desk, side: str, protection: Protection, filled: int
) -> None:
    # Given a ladder of which all rungs rest, each under an id of its own
    desk = any_desk
    trio = working(desk, side, protection=protection)
    assert sent(desk) == ["e1", "r2", "r3"]
    assert [(leg.quantity, leg.price) for leg in rungs(trio)] == [
        (quantity, rung.price)
        for quantity, rung in zip((D("0.005"), D("0.003"), D("0.002")), trio.ladder, strict=True)
    ]

    # When the price meets some of them
    if filled:
        desk.simulator.set_price("BTCUSDT", str(trio.ladder[filled - 1].price))
        desk.carry_until(trio, "OPEN")
        carried(desk, trio, lambda: covers(trio))

    # Then so much is there and covered, and the rest still rests
    bought = sum((D("0.005"), D("0.003"), D("0.002"))[:filled], D(0))
    carried(desk, trio, lambda: states(trio).count("FILLED") == filled)
    assert position(desk, trio) == bought
    assert states(trio) == ["FILLED"] * filled + ["ACCEPTED"] * (3 - filled), story(trio)
    assert the(trio).quantity == D("0.010")

    # When it is closed, then nothing is left of it
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED" if filled else "CANCELLED")
    assert position(desk, trio) == 0
    assert desk.resting == []
    assert states(trio) == ["FILLED"] * filled + ["CANCELLED"] * (3 - filled)
    sound(desk, trio)


@pytest.mark.parametrize("protection", BOTH)
def test_a_partly_filled_rung_is_covered_and_its_rest_withdrawn(
    any_desk: Desk, protection: Protection
) -> None:
    desk = any_desk
    trio = working(desk, protection=protection)
    second = rungs(trio)[1]
    # When a rung fills in part before the first one (the exchange's book decides)
    desk.simulator.fill(second.client_id, "0.001")
    desk.carry_until(trio, "OPEN")
    carried(desk, trio, lambda: covers(trio))
    assert position(desk, trio) == D("0.001")

    # When the unfilled part is cancelled, then all rungs are; the position stays covered
    services.trio_cancel(trio_id=trio.pk, by="test")
    carried(desk, trio, lambda: states(trio) == ["CANCELLED"] * 3)
    carried(desk, trio, lambda: not due_ids())
    assert (the(trio).state, position(desk, trio)) == ("OPEN", D("0.001")), story(trio)
    assert trio.uncovered_longest_ms <= 2000
    sound(desk, trio)


@pytest.mark.parametrize("side", ["BUY", "SELL"])
@pytest.mark.parametrize("level", ["stop", "target"])
def test_after_an_exit_no_rung_opens_anything_again(any_desk: Desk, side: str, level: str) -> None:
    # Given a ladder of which the first rung has filled
    desk = any_desk
    trio = working(desk, side)
    desk.simulator.fill(rungs(trio)[0].client_id, "0.005")
    desk.carry_until(trio, "OPEN")
    carried(desk, trio, lambda: covers(trio))

    # When its stop (by the mark price alone) or its target takes the position
    if level == "stop":
        desk.simulator.set_price("BTCUSDT", "100000", mark="94000" if side == "BUY" else "106000")
    else:
        desk.simulator.set_price("BTCUSDT", "110000" if side == "BUY" else "90000")

    # Then what rested of the ladder is taken back, and the trio ends
    desk.carry_until(trio, "CLOSED")
    assert trio.result == ("STOP_LOSS" if level == "stop" else "TAKE_PROFIT"), story(trio)
    assert states(trio) == ["FILLED", "CANCELLED", "CANCELLED"]
    assert flat(desk, trio)
    sound(desk, trio)


def test_a_part_target_that_executes_ends_the_ladder_and_the_stop_follows(any_desk: Desk) -> None:
    # Given a ladder with a part target, of which the first rung has filled
    desk = any_desk
    parts = [{"number": 1, "level": "104000", "share": "40"}]
    trio = working(desk, part_targets=parts, follow="BREAK_EVEN")
    desk.simulator.fill(rungs(trio)[0].client_id, "0.005")
    desk.carry_until(trio, "OPEN")
    carried(desk, trio, lambda: trio.legs.filter(role=Role.PART_TARGET, state="ACCEPTED").exists())

    # When the part target executes
    desk.simulator.set_price("BTCUSDT", "104000")

    # Then the rungs that rest leave, and the stop goes to break-even
    carried(desk, trio, lambda: states(trio) == ["FILLED", "CANCELLED", "CANCELLED"])
    carried(desk, trio, lambda: (the(trio).stop_loss or 0) > D("99000"))
    assert (the(trio).state, position(desk, trio)) == ("OPEN", D("0.003")), story(trio)
    sound(desk, trio)


# --- what goes wrong on the way -----------------------------------------------------------------


def test_a_refused_rung_takes_the_others_back_while_nothing_has_filled(any_desk: Desk) -> None:
    # Given an exchange that refuses the second rung for want of margin
    desk = any_desk
    desk.simulator.fault({"method": "POST", "client_id": "-r2$"}, {"do": "refuse", "code": -2019})

    trio = desk.placed(a_ladder(desk))
    desk.carry_until(trio, "ROLLED_BACK")

    assert "rung 2" in trio.reason
    assert flat(desk, trio)
    assert sorted(states(trio)) == ["CANCELLED", "CANCELLED", "REJECTED"]
    sound(desk, trio)


def test_what_filled_before_a_rung_was_refused_stays_and_is_covered(any_desk: Desk) -> None:
    # Given a ladder whose first rung fills at once, on an exchange that refuses the second
    desk = any_desk
    desk.simulator.fault({"method": "POST", "client_id": "-r2$"}, {"do": "refuse", "code": -2019})
    trio = desk.placed(a_ladder(desk, rungs=rungs_read("100010:50, 98000:30, 97000:20")))

    desk.carry_until(trio, "OPEN")
    carried(desk, trio, lambda: covers(trio))
    carried(desk, trio, lambda: not due_ids())

    assert position(desk, trio) == D("0.005")
    assert states(trio)[:2] == ["FILLED", "REJECTED"], story(trio)
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")
    assert flat(desk, trio)
    sound(desk, trio)


def test_a_rung_whose_answer_was_lost_is_found_and_not_sent_again(any_desk: Desk) -> None:
    desk = any_desk
    desk.simulator.fault({"method": "POST", "client_id": "-r2$"}, {"do": "lose_answer"}, 1)
    desk.deaf = True

    trio = working(desk)

    assert sent(desk) == ["e1", "r2", "r3"]
    assert states(trio) == ["ACCEPTED"] * 3
    sound(desk, trio)


@pytest.mark.parametrize("first_fills", [False, True])
def test_a_rung_that_never_arrived_is_proved_absent_and_never_sent_again(
    any_desk: Desk, first_fills: bool
) -> None:
    # Given a second rung that is lost on its way, and nobody says so
    desk = any_desk
    lost = {"do": "answer", "status": 503, "body": "", "execute": False}
    desk.simulator.fault({"method": "POST", "client_id": "-r2$"}, lost)
    prices = "100010:50, 98000:30, 97000:20" if first_fills else LADDERS["BUY"]
    trio = desk.queued(a_ladder(desk, rungs=rungs_read(prices)))
    desk.advance(trio)

    # Then what filled stays; where nothing has, the ladder is taken back
    if first_fills:
        desk.carry_until(trio, "OPEN")
        carried(desk, trio, lambda: states(trio)[1] == "WRITTEN_OFF")
        carried(desk, trio, lambda: covers(trio))
        assert position(desk, trio) == D("0.005"), story(trio)
    else:
        desk.carry_until(trio, "ROLLED_BACK")
        assert "not sent a second time" in trio.reason
        assert flat(desk, trio)
    assert sent(desk).count("r2") == 1
    sound(desk, trio)


@pytest.mark.parametrize("first_fills", [False, True])
def test_a_rung_that_was_throttled_goes_out_again_under_its_id(any_desk: Desk, first_fills: bool) -> None:
    # Given an exchange that is too busy for the second rung, and says that nothing was executed
    desk = any_desk
    busy = {
        "do": "answer",
        "status": 503,
        "body": {"code": 0, "msg": "Service Unavailable."},
        "execute": False,
    }
    desk.simulator.fault({"method": "POST", "client_id": "-r2$"}, busy, {"times": 2})
    prices = "100010:50, 98000:30, 97000:20" if first_fills else LADDERS["BUY"]

    trio = desk.placed(a_ladder(desk, rungs=rungs_read(prices)))

    carried(desk, trio, lambda: states(trio)[1] == "ACCEPTED")
    assert the(trio).state == ("OPEN" if first_fills else "WORKING"), story(trio)
    assert Request.objects.filter(leg__trio=trio, leg__number=2, kind="SUBMIT").count() == 3
    assert trio.uncovered_longest_ms <= 2000


def test_a_rung_that_is_not_sent_in_time_is_given_up_and_everything_else_goes_on(desk: Desk) -> None:
    # Given a ladder whose first rung has filled, while the exchange stays too busy for the second
    busy = {
        "do": "answer",
        "status": 503,
        "body": {"code": 0, "msg": "Service Unavailable."},
        "execute": False,
    }
    desk.simulator.fault({"method": "POST", "client_id": "-r2$"}, busy)
    trio = desk.placed(a_ladder(desk, rungs=rungs_read("100010:50, 98000:50")))
    desk.carry_until(trio, "OPEN")
    carried(desk, trio, lambda: covers(trio))

    # When the time within which it was to be placed has passed, and the exchange would take it again
    TrioOrder.objects.filter(pk=trio.pk).update(place_before=the(trio).queued_at)
    desk.simulator.clear_faults()
    carried(desk, trio, lambda: not due_ids())

    # Then it does not go, and what waits for the end of the entry is free again
    desk.advance(trio)
    assert states(trio) == ["FILLED", "PLANNED"], story(trio)
    services.trio_add(trio_id=trio.pk, by="test", quantity=D("0.002"))
    carried(desk, trio, lambda: position(desk, trio) == D("0.007"))
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")
    assert flat(desk, trio)


@pytest.mark.parametrize("lost", [("e1",), ("r2",), ("r3",), ("r2", "r3"), ("e1", "r2", "r3")])
def test_who_dies_between_the_rungs_loses_and_doubles_none(
    any_desk: Desk, monkeypatch: pytest.MonkeyPatch, lost: tuple[str, ...]
) -> None:
    # Given a process that dies after it has sent some of the rungs, and records no answer
    desk = any_desk
    deaths: list[Any] = []

    def dying(calls: Any, exchange: Any, later: Any) -> set[Any]:
        rungs = [call for call in calls if isinstance(call, SendCall) and call.wire.path == ORDER]
        ids = [dict(call.wire.params).get("newClientOrderId", "")[-2:] for call in rungs]
        if deaths or not any(name in ("e1", "r2", "r3") for name in ids):
            return perform_all(calls, exchange, later)
        deaths.extend(ids)
        left = [call for call, name in zip(rungs, ids, strict=True) if name not in lost]
        for future in perform_all(left, exchange, None):
            future.result()
        return set()

    monkeypatch.setattr("orders.placement.service.perform_all", dying)
    trio = desk.queued(a_ladder(desk))
    until(lambda: desk.advance(trio) and deaths, why=lambda: story(trio))
    assert deaths == ["e1", "r2", "r3"]

    # When another follows, then what was not sent never is, and with it the ladder is taken back
    desk.carry_until(trio, "ROLLED_BACK")
    assert flat(desk, trio)
    assert sorted(sent(desk)) == sorted({"e1", "r2", "r3"} - set(lost)), story(trio)
    assert all(
        leg.state == ("WRITTEN_OFF" if leg.client_id[-2:] in lost else "CANCELLED") for leg in rungs(trio)
    )
    sound(desk, trio)


def test_who_dies_after_sending_all_is_followed_by_another_who_finds_them(
    any_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a process that dies with every answer, five times over
    desk = any_desk
    deaths: list[int] = []

    def dying(calls: Any, exchange: Any, later: Any) -> set[Any]:
        futures = perform_all(calls, exchange, later)
        if not futures or len(deaths) >= 5:
            return futures
        deaths.append(len(futures))
        for future in futures:
            future.result()
        return set()

    monkeypatch.setattr("orders.placement.service.perform_all", dying)
    trio = desk.queued(a_ladder(desk))
    desk.advance(trio)

    desk.carry_until(trio, "WORKING")
    assert (sent(desk), states(trio)) == (["e1", "r2", "r3"], ["ACCEPTED"] * 3), story(trio)
    desk.simulator.set_price("BTCUSDT", "97500")
    desk.carry_until(trio, "OPEN")
    carried(desk, trio, lambda: covers(trio))
    assert position(desk, trio) == D("0.008")
    sound(desk, trio)


def test_a_rung_cancelled_in_the_app_leaves_the_others(any_desk: Desk) -> None:
    desk = any_desk
    trio = working(desk)
    first, *others = rungs(trio)
    cancelled_in_the_app(desk, first.client_id, conditional=False)
    carried(desk, trio, lambda: rungs(trio)[0].state == "CANCELLED")
    carried(desk, trio, lambda: not due_ids())
    assert (the(trio).state, states(trio)) == ("WORKING", ["CANCELLED", "ACCEPTED", "ACCEPTED"]), story(trio)

    # When the last of them is gone, so is the trio
    for rung in others:
        cancelled_in_the_app(desk, rung.client_id, conditional=False)
    desk.carry_until(trio, "CANCELLED")
    assert desk.resting == []
    sound(desk, trio)


def test_what_a_silent_stream_hides_of_a_rung_is_found_by_its_price(any_desk: Desk) -> None:
    from worker.price_levels import price_levels

    desk = any_desk
    trio = working(desk, protection=Protection.ON_FIRST_FILL)
    levels = {level.price for level in price_levels([desk.account.pk]) if level.is_entry}
    assert levels == {rung.price for rung in trio.ladder}


# --- what is refused before anything is sent ----------------------------------------------------


@pytest.mark.parametrize(
    ("written", "words", "said"),
    [
        ("99000:50, 98000:30", {}, "the last at 50 %"),
        ("99000:50, 99500:50", {}, "98999.9 is the nearest valid price"),
        ("99000:100", {}, "2 to 5 rungs"),
        ("99000:50, 98000:50", {"quantity": D("0.001")}, "at least 0.004"),
        ("99000:90, 98000:10", {"quantity": D("0.009")}, "at least 0.011"),
        ("99000:50, 94000:50", {}, "price of rung 2"),
        ("99000:50, 98000.05:50", {}, "use 98000"),
        ("99000:50, 98000:50", {"time_in_force": "IOC"}, "GTC or GTX"),
        ("99000:50, 98000:50", {"entry_type": "MARKET", "price": None}, "choose LIMIT"),
        ("99000:50, 98000:50", {"price": D("98500")}, "leave it empty"),
    ],
)
def test_a_ladder_that_is_none_is_refused_with_the_nearest_that_is(
    desk: Desk, written: str, words: dict[str, Any], said: str
) -> None:
    draft = a_ladder(desk, rungs=rungs_read(written), **words)
    if draft.entry_type == "MARKET":
        draft.price = None
        draft.save()
    with pytest.raises(RuleBroken) as refused:
        desk.queued(draft)
    assert said in str(refused.value)
    assert (the(draft).state, desk.requests("POST", ORDER)) == ("DRAFT", [])


def test_what_is_no_rung_is_said() -> None:
    with pytest.raises(RuleBroken, match="such as 62000:50"):
        rungs_read("62000")


def test_limits_count_all_rungs_at_their_own_prices(desk: Desk) -> None:
    # Given an account that may open 1000 at once, and a ladder worth 983
    rule = RiskLimit.objects.create(account=desk.account, notional_order=D("1000"), notional_open=D("1000"))
    draft = a_ladder(desk)
    trio = desk.placed(draft)
    assert trio.state == "WORKING", story(trio)

    # When a limit leaves less than all of them together, then nothing is sent
    services.trio_cancel(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CANCELLED")
    rule.notional_order = D("980")
    rule.save()
    count = len(sent(desk))
    with pytest.raises(LimitBroken, match="983"):
        desk.queued(a_ladder(desk))
    assert len(sent(desk)) == count


def test_what_a_resting_ladder_holds_counts_for_the_next_trio(hedge_desk: Desk) -> None:
    # Given a short ladder that rests, worth 1017 at its own prices, and room for 1500 in all
    desk = hedge_desk
    RiskLimit.objects.create(account=desk.account, notional_open=D("1500"))
    working(desk, "SELL")

    with pytest.raises(LimitBroken, match="1517"):
        desk.queued(desk.a_trio(quantity=D("0.005")))


def test_the_rungs_of_a_ladder_are_not_changed_one_by_one(desk: Desk) -> None:
    trio = working(desk)
    with pytest.raises(IllegalTransition, match="ladder"):
        services.trio_change_entry(trio_id=trio.pk, by="test", price=D("99100"))


def test_place_again_makes_the_same_ladder(desk: Desk) -> None:
    trio = working(desk)
    services.trio_cancel(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CANCELLED")
    draft = services.trio_place_again(trio_id=trio.pk, by="test")
    assert (draft.ladder, draft.price, draft.quantity) == (trio.ladder, D("99000"), D("0.010"))


# --- what turns up late, and what pages and trails make of it ------------------------------------


def test_a_rung_that_fills_after_the_end_is_closed_and_nobody_elses_position_with_it(desk: Desk) -> None:
    # Given a ladder whose first rung filled and whose second was proved absent, closed by a person in the app
    lost = {"do": "answer", "status": 503, "body": "", "execute": False}
    desk.simulator.fault({"method": "POST", "client_id": "-r2$"}, lost, 1)
    trio = desk.queued(a_ladder(desk, rungs=rungs_read("100010:50, 98000:50")))
    desk.advance(trio)
    carried(desk, trio, lambda: states(trio) == ["FILLED", "WRITTEN_OFF"])
    carried(desk, trio, lambda: covers(trio))
    sold_in_the_app(desk, "0.005")
    desk.carry_until(trio, "CLOSED")
    assert (trio.result, position(desk, trio)) == ("OUTSIDE", D(0)), story(trio)

    # When that person has a position of their own there, and the second rung arrives after all and fills
    bought_in_the_app(desk, "0.004")
    second = rungs(trio)[1].client_id
    arrives_late(desk, second, "0.005")
    assert position(desk, trio) == D("0.009")

    # Then what came late is closed, and theirs is left to them
    carried(desk, trio, lambda: (the(trio).state, trio.result) == ("CLOSED", "LATE"))
    assert position(desk, trio) == D("0.004"), story(trio)


def test_a_rung_that_came_back_while_its_trio_lived_opens_nothing_after_the_end(desk: Desk) -> None:
    # Given a ladder whose second rung was proved absent, and arrives while the position is there
    lost = {"do": "answer", "status": 503, "body": "", "execute": False}
    desk.simulator.fault({"method": "POST", "client_id": "-r2$"}, lost, 1)
    trio = desk.queued(a_ladder(desk, rungs=rungs_read("100010:50, 98000:50")))
    desk.advance(trio)
    carried(desk, trio, lambda: states(trio) == ["FILLED", "WRITTEN_OFF"])
    carried(desk, trio, lambda: covers(trio))
    arrives_late(desk, rungs(trio)[1].client_id, "0.005")
    carried(desk, trio, lambda: states(trio) == ["FILLED", "FILLED"])
    carried(desk, trio, lambda: not due_ids())

    # When a person closes all of it in the app and opens something of their own, and there is news of the trio
    sold_in_the_app(desk, "0.010")
    desk.carry_until(trio, "CLOSED")
    bought_in_the_app(desk, "0.004")
    carried(desk, trio, lambda: not due_ids())
    desk.advance(trio)

    # Then nothing is late, and theirs is left alone
    assert (the(trio).state, trio.result) == ("CLOSED", "OUTSIDE"), story(trio)
    assert position(desk, trio) == D("0.004")


def test_a_rung_that_fills_unheard_while_another_is_kept_waiting_is_covered_within_the_bound(
    desk: Desk,
) -> None:
    # Given a ladder of which one rung rests, while the exchange stays too busy for another and the stream is silent
    busy = {
        "do": "answer",
        "status": 503,
        "body": {"code": 0, "msg": "Service Unavailable."},
        "execute": False,
    }
    desk.simulator.fault({"method": "POST", "client_id": "-r2$"}, busy)
    trio = desk.queued(a_ladder(desk, rungs=rungs_read("99000:50, 98000:50"), protection="ON_FIRST_FILL"))
    carried(desk, trio, lambda: states(trio) == ["ACCEPTED", "PLANNED"])
    desk.deaf = True

    # When the price goes through the first, and the price watch says so
    desk.simulator.set_price("BTCUSDT", "98900")
    first = rungs(trio)[0]
    schedule_read(first.pk, trio.pk, in_ms=0)

    # Then it is read, and what it filled is covered
    carried(desk, trio, lambda: trio.legs.filter(role=Role.STOP_LOSS, state="ACCEPTED").exists())
    assert [gap for gap in desk.simulator.verdict()["uncovered"] if gap["ms"] > 2000] == []


def test_planned_risk_of_a_ladder_is_that_of_all_its_rungs(desk: Desk) -> None:
    # Given a ladder in halves, of which both have filled and the stop has executed
    trio = working(desk, rungs=rungs_read("99000:50, 98000:50"))
    desk.simulator.set_price("BTCUSDT", "98000")
    carried(desk, trio, lambda: states(trio) == ["FILLED", "FILLED"])
    desk.simulator.set_price("BTCUSDT", "94000")
    desk.carry_until(trio, "CLOSED")
    carried(desk, trio, lambda: Fill.objects.filter(trio=trio).count() == 3)

    # Then statistics and the trio's page reckon with the same, the whole quantity at its average price
    (trade,) = trades_wanted(Wanted()).trades["USDT"]
    legs = rungs(trio)
    average = sum((leg.filled * (leg.average_price or 0) for leg in legs), D(0)) / D("0.010")
    assert trade.planned == planned_of(the(trio), list(trio.legs.all()))
    assert trade.planned == planned_risk(Side.BUY, entry=average, first_stop=D("95000"), quantity=D("0.010"))


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_r_of_a_ladder_counts_from_the_average_of_all_its_rungs(desk: Desk, side: str) -> None:
    # Given a ladder in halves, 1000 apart, of which both have filled: 98500 on the average, 3500 from its stop
    long = side == "BUY"
    prices = ("99000", "98000") if long else ("101000", "102000")
    trio = working(desk, side, rungs=rungs_read(f"{prices[0]}:50, {prices[1]}:50"))
    desk.simulator.set_price("BTCUSDT", prices[1])
    carried(desk, trio, lambda: states(trio) == ["FILLED", "FILLED"] and covers(trio))

    waiting = services.trio_break_even_arm(trio_id=trio.pk, by="test", at_r=D(2))

    assert waiting.at_price == (D("105500") if long else D("94500"))


def test_r_of_a_ladder_is_known_where_its_first_rung_never_filled(desk: Desk) -> None:
    trio = working(desk, rungs=rungs_read("99000:50, 98000:50"))
    cancelled_in_the_app(desk, rungs(trio)[0].client_id, conditional=False)
    carried(desk, trio, lambda: states(trio) == ["CANCELLED", "ACCEPTED"])
    desk.simulator.set_price("BTCUSDT", "98000")
    carried(desk, trio, lambda: states(trio)[1] == "FILLED" and covers(trio))

    waiting = services.trio_break_even_arm(trio_id=trio.pk, by="test", at_r=D(2))

    assert waiting.at_price == D("104000")


def test_a_trail_on_a_ladder_counts_prices_from_the_first_fill_of_any_rung(desk: Desk) -> None:
    # Given a ladder with a trail, whose first rung was cancelled in the app before anything filled
    trio = working(desk, rungs=rungs_read("99000:50, 98000:50"))
    services.trio_trail(trio_id=trio.pk, by="test", percent=D(1))
    cancelled_in_the_app(desk, rungs(trio)[0].client_id, conditional=False)
    carried(desk, trio, lambda: states(trio) == ["CANCELLED", "ACCEPTED"])

    # When its second fills
    desk.simulator.set_price("BTCUSDT", "98000")
    desk.carry_until(trio, "OPEN")
    carried(desk, trio, lambda: states(trio)[1] == "FILLED")

    # Then nothing of what the price did before that counts
    (trail,) = trails_followed([desk.account.pk])
    filled_ts = rungs(trio)[1].filled_ts
    assert filled_ts is not None
    assert trail.since_ts == trail.heard_ts == filled_ts
