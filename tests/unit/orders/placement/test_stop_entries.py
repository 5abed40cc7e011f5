"""Entries that wait for a trigger (STOP_MARKET, STOP), through the real service, PostgreSQL and the simulated exchange."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from exchange.binance.mapping.user_events import read_user_event
from exchange.types import OrderEvent
from orders import services
from orders.domain.enums import LegState, Protection, Role
from orders.domain.errors import IllegalTransition, RuleBroken
from orders.domain.operator_questions import QuestionKind
from orders.exchange_data.clock import db_now
from orders.journal.replay import trio_replay
from orders.models import Leg, Request, TrioOrder
from orders.placement.ingest import record_order_event
from orders.placement.snapshot_loader import conditionals_beside
from orders.queueing.surroundings import surroundings
from tests.builders import Desk, story, the, until

D = Decimal
BOTH = [Protection.PRE_ARMED, Protection.ON_FIRST_FILL]
ALGO = "/fapi/v1/algoOrder"
EVERY_SECONDS = 0.25  # so often is swept: more often would be banned
BREAKOUT: dict[str, Any] = {"entry_type": "STOP_MARKET", "trigger_price": D("101000")}
LIMITED: dict[str, Any] = {
    "entry_type": "STOP",
    "trigger_price": D("101000"),
    "price": D("100900"),
}  # it rests below the market then


def entry_of(trio: TrioOrder) -> Leg:
    return trio.legs.get(role=Role.ENTRY)


def entries_sent(desk: Desk) -> list[Any]:
    """Return the entries that reached the exchange, by its log."""
    sent = desk.requests("POST", ALGO)
    return [
        e
        for e in sent
        if e.params.get("type") in ("STOP", "STOP_MARKET")
        and e.params["clientAlgoId"].rpartition("-")[2].startswith("e")
    ]


def strangers(trio: TrioOrder) -> list[str]:
    slot = the(trio).slot
    assert slot is not None
    return list(slot.strangers)


def carried(desk: Desk, trio: TrioOrder, what: Callable[[], Any]) -> Any:
    def there() -> Any:
        desk.carry()
        return what()

    return until(there, why=lambda: story(trio))


@pytest.mark.parametrize("protection", BOTH)
@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_stop_market_entry_fills_at_its_trigger_and_is_covered(
    any_desk: Desk, protection: Protection, side: str
) -> None:
    desk = any_desk
    trigger, beyond = ("101000", "101010") if side == "BUY" else ("99000", "98990")
    trio = desk.placed(
        desk.a_trio(side=side, entry_type="STOP_MARKET", trigger_price=D(trigger), protection=protection)
    )
    # It rests among the conditional orders, watching what its stop watches.
    assert trio.state == "WORKING", story(trio)
    (sent,) = entries_sent(desk)
    assert (sent.params["triggerPrice"], sent.params["workingType"]) == (f"{trigger}.0", "MARK_PRICE")
    assert "reduceOnly" not in sent.params

    desk.simulator.set_price("BTCUSDT", beyond)

    desk.carry_until(trio, "OPEN")
    carried(desk, trio, lambda: len(desk.resting) == 2)
    entry = entry_of(trio)
    assert (entry.state, entry.filled) == (LegState.FILLED, D("0.010")), story(trio)
    assert entry.order_id is not None  # the child's, once it triggered
    assert entry.algo_id is not None
    assert trio.legs.filter(role=Role.STOP_LOSS, state=LegState.ACCEPTED).exists(), story(trio)
    assert len(entries_sent(desk)) == 1


@pytest.mark.parametrize("child_ids", ["same", "own"])
@pytest.mark.parametrize("protection", BOTH)
def test_the_limit_order_of_a_stop_entry_rests_and_fills_in_parts(
    any_desk: Desk, protection: Protection, child_ids: str
) -> None:
    # Given a stop entry whose limit order rests once it has triggered, on an exchange that may give that an id of its own
    desk = any_desk
    desk.simulator.ex.profile = desk.simulator.ex.profile.but(child_ids=child_ids)
    trio = desk.placed(desk.a_trio(**LIMITED, protection=protection))
    desk.simulator.set_price("BTCUSDT", "101000")
    carried(desk, trio, lambda: entry_of(trio).order_id)
    assert (the(trio).state, entry_of(trio).state) == ("WORKING", LegState.TRIGGERED), story(trio)

    # When a part of it fills, then that part is covered
    child = next(o for o in desk.simulator.open_orders() if o.get("orderId") == entry_of(trio).order_id)
    desk.simulator.fill(child["clientOrderId"], "0.004")
    desk.carry_until(trio, "OPEN")
    carried(desk, trio, lambda: trio.legs.filter(role=Role.TAKE_PROFIT, state=LegState.ACCEPTED))
    assert the(trio).uncovered_known_at is None, story(trio)
    assert (entry_of(trio).state, entry_of(trio).filled) == (LegState.PARTIALLY_FILLED, D("0.004"))

    # When the rest is withdrawn, then it is the child that is cancelled, by its number
    services.trio_cancel(trio_id=trio.pk, by="test")
    carried(desk, trio, lambda: entry_of(trio).state == LegState.CANCELLED)
    cancel = Request.objects.get(leg__trio=trio, leg__role=Role.ENTRY, kind="CANCEL")
    assert (cancel.path, cancel.payload["orderId"]) == ("/fapi/v1/order", str(entry_of(trio).order_id))
    assert the(trio).state == "OPEN", story(trio)
    side = "LONG" if desk.account.position_mode == "HEDGE" else "BOTH"
    assert desk.simulator.position("BTCUSDT", side=side).quantity == D("0.004")
    assert trio.uncovered_refused_ms == 0


@pytest.mark.parametrize("terms", [BREAKOUT, LIMITED], ids=["STOP_MARKET", "STOP"])
@pytest.mark.parametrize("protection", BOTH)
def test_cancel_before_the_trigger_leaves_nothing(
    any_desk: Desk, protection: Protection, terms: dict[str, Any]
) -> None:
    desk = any_desk
    trio = desk.placed(desk.a_trio(**terms, protection=protection))

    services.trio_cancel(trio_id=trio.pk, by="test")

    desk.carry_until(trio, "CANCELLED")
    assert desk.resting == []
    assert entry_of(trio).state == LegState.CANCELLED


def test_cancel_after_the_trigger_takes_the_limit_order_off_the_book(any_desk: Desk) -> None:
    desk = any_desk
    trio = desk.placed(desk.a_trio(**LIMITED))
    desk.simulator.set_price("BTCUSDT", "101000")
    carried(desk, trio, lambda: entry_of(trio).order_id)

    services.trio_cancel(trio_id=trio.pk, by="test")

    desk.carry_until(trio, "CANCELLED")
    assert desk.resting == []
    assert (entry_of(trio).state, entry_of(trio).filled) == (LegState.CANCELLED, D(0))
    assert not the(trio).question


def test_panic_and_good_till_take_it_back(any_desk: Desk) -> None:
    desk = any_desk
    trio = desk.placed(desk.a_trio(**BREAKOUT))
    services.trio_panic(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CANCELLED")
    assert desk.resting == []

    trio = desk.placed(desk.a_trio(**BREAKOUT, good_till=db_now() + timedelta(seconds=1)))
    desk.carry_until(trio, "EXPIRED")
    assert desk.resting == []


def test_close_after_it_filled_exits_at_market(any_desk: Desk) -> None:
    desk = any_desk
    trio = desk.placed(desk.a_trio(**BREAKOUT))
    desk.simulator.set_price("BTCUSDT", "101010")
    desk.carry_until(trio, "OPEN")

    services.trio_close(trio_id=trio.pk, by="test")

    desk.carry_until(trio, "CLOSED")
    assert trio.result == "MANUAL", story(trio)
    assert desk.resting == []


@pytest.mark.parametrize("protection", BOTH)
def test_margin_is_judged_at_the_trigger(any_desk: Desk, protection: Protection) -> None:
    # Given a stop entry that rests, and an account that has lost its margin since
    desk = any_desk
    trio = desk.placed(desk.a_trio(**BREAKOUT, protection=protection))
    desk.simulator.ex.book("desk").account.wallets["USDT"] = D("1")

    # When it triggers, then the exchange refuses it, and nothing of the trio is left
    desk.simulator.set_price("BTCUSDT", "101010")
    desk.carry_until(trio, "ROLLED_BACK")
    assert "at its trigger: Margin is insufficient" in trio.reason, trio.reason
    assert desk.resting == []
    assert len(entries_sent(desk)) == 1


def test_margin_that_waits_for_its_trigger_is_promised(desk: Desk) -> None:
    # The exchange sets nothing apart for it, so a second trio may not count on the same margin.
    desk.simulator.ex.book("desk").account.wallets["USDT"] = D("100")
    desk.placed(desk.a_trio(**BREAKOUT))
    with pytest.raises(RuleBroken, match="promised"):
        desk.queued(desk.a_trio("ETHUSDT", quantity=D("0.4"), stop_loss=D(2300), take_profit=D(2600)))


def test_margin_is_not_promised_any_more_once_the_entry_rests_as_a_limit_order(desk: Desk) -> None:
    # From the trigger on the exchange has set it apart itself: it is not free there, and would count twice.
    trio = desk.placed(desk.a_trio(**LIMITED))
    other = desk.a_trio("ETHUSDT", quantity=D("0.1"), stop_loss=D(2300), take_profit=D(2600))
    (before,) = surroundings([other])
    assert before.promised == the(trio).margin_promised > 0

    desk.simulator.set_price("BTCUSDT", "101000")
    carried(desk, trio, lambda: entry_of(trio).order_id)

    assert the(trio).state == "WORKING", story(trio)
    (after,) = surroundings([other])
    assert after.promised == 0


def test_an_answer_that_is_lost_is_asked_for_and_never_sent_again(any_desk: Desk) -> None:
    desk = any_desk
    desk.simulator.fault(
        {"method": "POST", "path": ALGO, "type": "STOP_MARKET", "side": "BUY"}, {"do": "lose_answer"}
    )
    desk.deaf = True

    trio = desk.placed(desk.a_trio(**BREAKOUT, protection="ON_FIRST_FILL"))

    assert trio.state == "WORKING", story(trio)
    assert len(entries_sent(desk)) == 1
    assert desk.requests("GET", ALGO)


def test_an_entry_that_never_arrived_is_proved_absent_by_its_own_lists(any_desk: Desk) -> None:
    desk = any_desk
    desk.simulator.fault({"method": "POST", "path": ALGO, "side": "BUY"}, {"do": "lose_before"})

    trio = desk.placed(desk.a_trio(**BREAKOUT, protection="ON_FIRST_FILL"))

    assert trio.state == "ROLLED_BACK", story(trio)
    assert trio.cause == "ENTRY_ABSENT"
    assert len(entries_sent(desk)) == 1
    assert desk.requests("GET", "/fapi/v1/allAlgoOrders")
    assert desk.simulator.position("BTCUSDT").is_flat


def test_look_ups_that_lag_are_answered_by_the_list(any_desk: Desk) -> None:
    # Given a look-up that does not show the order for long (the list does), and an answer that is lost
    desk = any_desk
    desk.simulator.ex.profile = desk.simulator.ex.profile.but(algo_lookup_lag_ms=60_000)
    desk.simulator.fault({"method": "POST", "path": ALGO, "side": "BUY"}, {"do": "lose_answer"}, [1])

    trio = desk.placed(desk.a_trio(**BREAKOUT, protection="ON_FIRST_FILL"))

    assert trio.state == "WORKING", story(trio)
    assert len(entries_sent(desk)) == 1


def test_a_fill_is_found_without_events(desk: Desk) -> None:
    # Given a resting stop entry and a stream that says nothing any more
    trio = desk.placed(desk.a_trio(**BREAKOUT, protection="ON_FIRST_FILL"))
    desk.deaf = True
    desk.simulator.set_price("BTCUSDT", "101010")

    # When the account is swept, then the fill is found and covered
    def found() -> bool:
        desk.sweep()
        desk.carry()
        return the(trio).state == "OPEN"

    until(found, why=lambda: story(trio), every=EVERY_SECONDS)
    desk.deaf = False  # what was said meanwhile is lost

    def filled() -> bool:
        desk.sweep()
        desk.carry()
        return entry_of(trio).state == LegState.FILLED

    until(filled, why=lambda: story(trio), every=EVERY_SECONDS)
    assert entry_of(trio).filled == D("0.010")
    assert strangers(trio) == []


def test_a_child_at_market_is_looked_up_when_its_fill_is_not_told(desk: Desk) -> None:
    # Given a stop entry that triggered: that is told, but not what became of it
    trio = desk.placed(desk.a_trio(**BREAKOUT, protection="ON_FIRST_FILL"))
    desk.simulator.set_price("BTCUSDT", "101010")
    told = desk.simulator.drain_events(desk.api_key)
    triggering = next(e for e in told if e["e"] == "ALGO_UPDATE" and e["o"]["X"] == "TRIGGERING")
    event = read_user_event(triggering)
    assert isinstance(event, OrderEvent)
    record_order_event(desk.account.pk, event)
    assert entry_of(trio).look_at is not None  # later it would be looked up as one that hangs at its trigger

    # Then it is looked up after its patience, without a sweep
    desk.deaf = True
    desk.carry_until(trio, "OPEN")
    assert entry_of(trio).filled == D("0.010")


@pytest.mark.parametrize("child_ids", ["same", "own"])
def test_a_sweep_knows_the_order_born_at_the_trigger(desk: Desk, child_ids: str) -> None:
    desk.simulator.ex.profile = desk.simulator.ex.profile.but(child_ids=child_ids)
    trio = desk.placed(desk.a_trio(**LIMITED))
    desk.simulator.set_price("BTCUSDT", "101000")
    carried(desk, trio, lambda: entry_of(trio).order_id)
    looked = len(desk.requests("GET", ALGO))

    desk.sweep()

    assert strangers(trio) == []
    assert entry_of(trio).look_at is None  # it is in the list, under whatever id
    assert len(desk.requests("GET", ALGO)) == looked


def test_a_price_that_has_passed_the_trigger_meanwhile_leaves_nothing(desk: Desk) -> None:
    trio = desk.queued(desk.a_trio(**BREAKOUT))
    desk.simulator.set_price("BTCUSDT", "101500")
    desk.advance(trio)
    desk.carry_until(trio, "EXPIRED")
    assert trio.reason == "The price had already passed the entry's trigger, so it was not placed."
    assert desk.resting == []


def test_post_only_and_at_once_or_never_end_at_the_trigger(desk: Desk) -> None:
    # A limit above its trigger would trade at once: post-only, it is not placed.
    terms = {**LIMITED, "price": D("101100")}
    trio = desk.placed(desk.a_trio(**terms, time_in_force="GTX"))
    desk.simulator.set_price("BTCUSDT", "101000")
    desk.carry_until(trio, "EXPIRED")
    assert desk.resting == []

    # At a limit below the market it cannot fill whole at once.
    trio = desk.placed(desk.a_trio(**{**LIMITED, "trigger_price": D("102000")}, time_in_force="FOK"))
    desk.simulator.set_price("BTCUSDT", "102000")
    desk.carry_until(trio, "EXPIRED")
    assert (desk.resting, desk.simulator.position("BTCUSDT").is_flat) == ([], True)


def test_a_stop_loss_between_market_and_trigger_goes_out_with_the_fill(any_desk: Desk) -> None:
    # A breakout is bought at 101000 with its stop just below, above where the market is now.
    desk = any_desk
    with pytest.raises(RuleBroken, match="With ON_FIRST_FILL it goes out when the entry fills"):
        desk.queued(desk.a_trio(**BREAKOUT, stop_loss=D("100500"), protection="PRE_ARMED"))
    trio = desk.placed(desk.a_trio(**BREAKOUT, stop_loss=D("100500"), protection="ON_FIRST_FILL"))
    desk.simulator.set_price("BTCUSDT", "101010")
    desk.carry_until(trio, "OPEN")
    carried(desk, trio, lambda: len(desk.resting) == 2)
    assert trio.legs.get(role=Role.STOP_LOSS).trigger_price == D("100500")


def test_it_cannot_be_changed_while_it_waits(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio(**BREAKOUT))
    with pytest.raises(IllegalTransition, match="changes no order that waits for a trigger: cancel it"):
        services.trio_change_entry(trio_id=trio.pk, by="test", quantity=D("0.020"))


def test_levels_move_while_it_waits(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio(**BREAKOUT, protection="ON_FIRST_FILL"))
    with pytest.raises(
        RuleBroken, match=r"below the trigger price of the entry that still rests, 101000: 100999\.9"
    ):
        services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("101000"), by="test")
    services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("100500"), by="test")
    carried(desk, trio, lambda: the(trio).stop_loss == D("100500"))


def test_it_keeps_room_for_three_conditional_orders(desk: Desk) -> None:
    desk.placed(desk.a_trio(**BREAKOUT, protection="ON_FIRST_FILL"))
    other = desk.a_trio("ETHUSDT", quantity=D("0.1"), stop_loss=D(2300), take_profit=D(2600))
    assert conditionals_beside(other)[0] == 3


def test_the_journal_alone_gives_the_same_orders(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio(**LIMITED))
    desk.simulator.set_price("BTCUSDT", "101000")
    carried(desk, trio, lambda: entry_of(trio).order_id)
    desk.simulator.fill(entry_of(trio).client_id, "0.004")
    desk.carry_until(trio, "OPEN")
    services.trio_cancel(trio_id=trio.pk, by="test")
    carried(desk, trio, lambda: entry_of(trio).state == LegState.CANCELLED)
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")
    assert trio_replay(trio).differences == []


@pytest.mark.parametrize(
    "terms",
    [
        {"entry_type": "STOP_MARKET", "trigger_price": Decimal(101000)},
        {"entry_type": "STOP", "trigger_price": Decimal(101000), "price": Decimal(101500)},
    ],
    ids=["STOP_MARKET", "STOP"],
)
def test_a_position_that_a_stop_order_opened_is_added_to(desk: Desk, terms: dict[str, Any]) -> None:
    trio = desk.placed(desk.a_trio(**terms, protection="ON_FIRST_FILL"))
    desk.simulator.set_price("BTCUSDT", "101010")
    desk.carry_until(trio, "OPEN")
    carried(desk, trio, lambda: trio.legs.filter(role="TAKE_PROFIT", state="ACCEPTED").exists())

    services.trio_add(trio_id=trio.pk, quantity=Decimal("0.010"), by="test")

    carried(desk, trio, lambda: desk.simulator.position("BTCUSDT").quantity == Decimal("0.020"))


@pytest.mark.parametrize("wish", [True, False], ids=["cancelled", "left"])
@pytest.mark.parametrize("terms", [BREAKOUT, LIMITED], ids=["STOP_MARKET", "STOP"])
def test_an_entry_stuck_at_its_trigger_is_put_to_a_person(
    desk: Desk, settings: Any, terms: dict[str, Any], wish: bool
) -> None:
    # Given an entry that triggers, of which no order is born, and which lets itself not be cancelled
    settings.NAKED_LIMIT_MS = 600
    desk.simulator.fault({"type": terms["entry_type"]}, {"do": "stick_triggering"})
    trio = desk.placed(desk.a_trio(**terms, protection="ON_FIRST_FILL"))
    desk.simulator.set_price("BTCUSDT", "101010")
    carried(desk, trio, lambda: entry_of(trio).state == "TRIGGERED")
    if wish:
        services.trio_cancel(trio_id=trio.pk, by="test")

    # Then it is put to a person, and read and cancelled at a calm pace
    carried(desk, trio, lambda: the(trio).question_kind)
    assert the(trio).question_kind == QuestionKind.LEG_STUCK
    assert entry_of(trio).order_id is None
    before = len(desk.requests("GET", ALGO)) + len(desk.requests("DELETE"))
    began = time.monotonic()
    while time.monotonic() - began < 3:
        desk.carry()
    assert len(desk.requests("GET", ALGO)) + len(desk.requests("DELETE")) - before <= 6, story(trio)
    assert trio.events.filter(kind="question").count() == 1

    # And when the exchange says that it is gone, the trio ends by itself
    desk.simulator.expire(entry_of(trio).client_id)
    carried(desk, trio, lambda: the(trio).trio_state.is_end)
    assert desk.resting == []


@pytest.mark.parametrize("deaf", [False, True], ids=["told", "found by a sweep"])
@pytest.mark.parametrize("child_ids", ["same", "own"])
def test_a_limit_order_born_at_the_trigger_that_a_person_changed_is_asked_about(
    any_desk: Desk, child_ids: str, deaf: bool
) -> None:
    # Given the limit order of a stop entry, which rests
    desk = any_desk
    desk.simulator.ex.profile = desk.simulator.ex.profile.but(child_ids=child_ids)
    trio = desk.placed(desk.a_trio(**LIMITED, protection="ON_FIRST_FILL"))
    desk.simulator.set_price("BTCUSDT", "101000")
    carried(desk, trio, lambda: entry_of(trio).order_id)
    child = next(o for o in desk.simulator.open_orders() if o.get("orderId") == entry_of(trio).order_id)

    # When a person changes it in the exchange's app
    desk.deaf = deaf
    desk.simulator.amend(child["clientOrderId"], "0.008", "100800")
    if deaf:
        desk.hear()
        desk.deaf = False
        desk.sweep()

    # Then it is asked about once, and followed with what it has become
    carried(desk, trio, lambda: the(trio).question_kind)
    assert trio.question_kind == QuestionKind.ORDER_AMENDED
    assert "quantity 0.01 → 0.008, price 100900 → 100800" in trio.question
    services.trio_refresh(trio_id=trio.pk, by="test")
    carried(desk, trio, lambda: the(trio).wake_at is None)
    assert (entry_of(trio).quantity, entry_of(trio).price) == (D("0.008"), D("100800"))
    desk.simulator.fill(child["clientOrderId"], "0.008")
    desk.carry_until(trio, "OPEN")
    carried(desk, trio, lambda: entry_of(trio).state == LegState.FILLED and len(desk.resting) == 2)
    assert trio.events.filter(kind="outside").count() == 1, story(trio)
    assert trio_replay(trio).differences == []
