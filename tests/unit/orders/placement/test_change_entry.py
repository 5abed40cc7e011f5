"""A resting entry gets another price or quantity: once, covered all the while, and by the exchange's own records."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from orders import services
from orders.domain.enums import RequestKind, Role
from orders.domain.errors import IllegalTransition, LimitBroken, RuleBroken, TrioRefused
from orders.domain.snapshot import ChangeEnd, MoveEnd
from orders.exchange_data.clock import db_now
from orders.journal.replay import trio_replay
from orders.journal.verify import journal_verify
from orders.models import EntryChangeWish, Request, RiskLimit, Slot, TrioOrder
from orders.placement.perform import perform_all
from tests.builders import Desk, due_ids, story, the, until

KINDS = {Role.STOP_LOSS: "STOP_MARKET", Role.TAKE_PROFIT: "TAKE_PROFIT_MARKET"}


def working(desk: Desk, **words: Any) -> TrioOrder:
    """Return a trio whose LIMIT entry rests away from the market at 100000."""
    long = words.get("side", "BUY") == "BUY"
    usual: dict[str, Any] = {"entry_type": "LIMIT", "price": D("99000") if long else D("101000")}
    trio = desk.placed(desk.a_trio(**(usual | words)))
    assert the(trio).state == "WORKING", story(trio)
    return trio


def carried(desk: Desk) -> bool:
    """Do one pass of a runworker's work; it has no answer of its own."""
    desk.carry()
    return False


def ended(change: EntryChangeWish) -> bool:
    change.refresh_from_db()
    return bool(change.end)


def resting(desk: Desk, role: Role) -> list[dict[str, Any]]:
    return [o for o in desk.simulator.open_orders() if o.get("orderType", o.get("type")) == KINDS[role]]


def quiet(trio: TrioOrder) -> bool:
    """Is nothing due, in the air or in doubt?"""
    return not due_ids() and not trio.legs.filter(state="SUBMITTED").exists()


def changed(desk: Desk, trio: TrioOrder, seconds: float = 10.0, **words: Any) -> EntryChangeWish:
    """Ask for other terms and work on until the wish has ended and nothing is left over."""
    change = services.trio_change_entry(trio_id=trio.pk, by="test", **words)
    until(
        lambda: carried(desk) or (ended(change) and quiet(trio)),
        why=lambda: story(trio),
        seconds=seconds,
    )
    return change


def entry_of(desk: Desk, trio: TrioOrder) -> dict[str, Any]:
    client_id = trio.legs.get(role=Role.ENTRY).client_id
    (order,) = [o for o in desk.simulator.open_orders() if o.get("clientOrderId") == client_id]
    return order


def puts(desk: Desk) -> list[Any]:
    return desk.requests("PUT", "/fapi/v1/order")


def uncovered_ms(desk: Desk) -> list[int]:
    return [gap["ms"] for gap in desk.simulator.verdict()["uncovered"]]


def sound(desk: Desk, trio: TrioOrder) -> None:
    """The journal is whole and says the same as the books; nothing is orphaned or reversed."""
    assert not journal_verify(trio_id=trio.pk).breaks
    assert not trio_replay(trio).differences
    verdict = desk.simulator.verdict()
    assert (verdict["orphans"], verdict["reversed"]) == ([], [])


@pytest.mark.parametrize("protection", ["ON_FIRST_FILL", "PRE_ARMED"])
@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_partly_filled_entry_goes_to_another_price_with_its_whole_quantity(
    any_desk: Desk, side: str, protection: str
) -> None:
    """Feature case 11."""
    desk, long = any_desk, side == "BUY"
    prices = (
        ("59800.0", "59850.0", D("59000"), D("61000"))
        if long
        else ("60200.0", "60150.0", D("61000"), D("59000"))
    )
    first, second, stop, target = prices
    desk.simulator.set_price("BTCUSDT", "60000")
    trio = working(
        desk,
        side=side,
        protection=protection,
        quantity=D("0.100"),
        price=D(first),
        stop_loss=stop,
        take_profit=target,
    )
    client_id = trio.legs.get(role=Role.ENTRY).client_id
    desk.simulator.fill(client_id, "0.040")
    desk.carry_until(trio, "OPEN")
    until(lambda: carried(desk) or resting(desk, Role.TAKE_PROFIT), why=lambda: story(trio))
    desk.carry()
    before = uncovered_ms(desk)

    change = changed(desk, trio, price=D(second))

    # Then one request carried all of it, and the entry kept its id and what it had filled
    assert change.end == ChangeEnd.DONE, story(trio)
    (put,) = puts(desk)
    assert D(put.params["quantity"]) == D("0.100")
    assert D(put.params["price"]) == D(second)
    order = entry_of(desk, trio)
    assert (D(order["origQty"]), D(order["executedQty"]), D(order["price"])) == (
        D("0.1"),
        D("0.04"),
        D(second),
    )
    assert (the(trio).quantity, trio.price) == (D("0.1"), D(second))

    # When the rest fills, 0.100 is bought in all, at the average of both parts, covered all the while
    desk.simulator.fill(client_id, "0.060")
    until(lambda: carried(desk) or trio.legs.get(role=Role.ENTRY).state == "FILLED", why=lambda: story(trio))
    entry = trio.legs.get(role=Role.ENTRY)
    average = (D(first) * D("0.04") + D(second) * D("0.06")) / D("0.1")
    assert (entry.filled, entry.average_price) == (D("0.1"), average)
    assert average == (D("59830.0") if long else D("60170.0"))
    position = desk.simulator.position("BTCUSDT", side=trio.position_side)
    assert abs(position.quantity) == D("0.100")
    assert (position.entry_price, len(puts(desk))) == (average, 1)
    assert uncovered_ms(desk) == before, story(trio)

    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")
    assert desk.resting == []
    sound(desk, trio)


# --- a larger or a smaller quantity ------------------------------------------------------------


@pytest.mark.parametrize("side", ["BUY", "SELL"])
@pytest.mark.parametrize(("quantity", "stops"), [("0.015", 1), ("0.005", 1)])
def test_before_any_fill_an_armed_stop_for_the_new_quantity_is_there_before_the_request_leaves(
    any_desk: Desk, side: str, quantity: str, stops: int
) -> None:
    desk = any_desk
    trio = working(desk, side=side, protection="PRE_ARMED")
    (old,) = resting(desk, Role.STOP_LOSS)
    asked = len(desk.simulator.log)

    change = changed(desk, trio, quantity=D(quantity))

    # Then what was sent came in this order: stop, acknowledged; entry; and the old stop left last
    assert change.end == ChangeEnd.DONE, story(trio)
    sent = [(e.method, e.path) for e in desk.simulator.log[asked:] if e.method in ("POST", "PUT", "DELETE")]
    extended = [("POST", "/fapi/v1/algoOrder"), ("PUT", "/fapi/v1/order"), ("DELETE", "/fapi/v1/algoOrder")]
    is_hedge = desk.account.position_mode == "HEDGE"
    assert sent == (extended if D(quantity) > D("0.010") or is_hedge else [("PUT", "/fapi/v1/order")])
    (stop,) = resting(desk, Role.STOP_LOSS)
    if sent == extended:
        assert (D(stop["quantity"]), stop["clientAlgoId"] != old["clientAlgoId"]) == (D(quantity), True)
    assert D(entry_of(desk, trio)["origQty"]) == D(quantity)
    assert the(trio).quantity == D(quantity)

    # When it fills at once and whole, it is covered from the first moment
    desk.simulator.fill(trio.legs.get(role=Role.ENTRY).client_id, quantity)
    desk.carry_until(trio, "OPEN")
    until(lambda: carried(desk) or resting(desk, Role.TAKE_PROFIT), why=lambda: story(trio))
    assert uncovered_ms(desk) == [], story(trio)
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")
    assert desk.resting == []
    sound(desk, trio)


@pytest.mark.parametrize("protection", ["ON_FIRST_FILL", "PRE_ARMED"])
def test_a_partly_filled_entry_is_made_larger_under_a_stop_that_grows_with_it(
    any_desk: Desk, protection: str
) -> None:
    desk = any_desk
    trio = working(desk, protection=protection)
    client_id = trio.legs.get(role=Role.ENTRY).client_id
    desk.simulator.fill(client_id, "0.004")
    desk.carry_until(trio, "OPEN")
    until(lambda: carried(desk) or resting(desk, Role.TAKE_PROFIT), why=lambda: story(trio))
    before = uncovered_ms(desk)

    assert changed(desk, trio, quantity=D("0.020")).end == ChangeEnd.DONE, story(trio)
    (stop,) = [o for o in resting(desk, Role.STOP_LOSS) if o["closePosition"] in (True, "true")]
    for part in ("0.010", "0.006"):
        desk.simulator.fill(client_id, part)
        desk.carry()
    assert desk.simulator.position("BTCUSDT", side=trio.position_side).quantity == D("0.020")
    assert uncovered_ms(desk) == before, story(trio)

    # And the stop closes all of it
    desk.simulator.set_price("BTCUSDT", stop["triggerPrice"])
    desk.carry_until(trio, "CLOSED")
    assert desk.simulator.position("BTCUSDT", side=trio.position_side).is_flat
    assert desk.resting == []
    sound(desk, trio)


def test_a_refused_stop_for_the_larger_quantity_changes_nothing(any_desk: Desk) -> None:
    desk = any_desk
    trio = working(desk, protection="PRE_ARMED")
    desk.simulator.fault({"method": "POST", "type": "STOP_MARKET"}, {"do": "refuse", "code": -2021}, [1])

    change = changed(desk, trio, quantity=D("0.020"))

    assert (change.end, change.refused_code) == (ChangeEnd.REFUSED, -2021), story(trio)
    assert puts(desk) == []
    (stop,) = resting(desk, Role.STOP_LOSS)
    assert D(stop["quantity"]) == D("0.010")
    assert (the(trio).state, trio.quantity) == ("WORKING", D("0.01"))

    # And its refusal says nothing about the position that comes later
    desk.simulator.fill(trio.legs.get(role=Role.ENTRY).client_id, "0.004")
    desk.carry_until(trio, "OPEN")
    until(lambda: carried(desk) or resting(desk, Role.TAKE_PROFIT), why=lambda: story(trio))
    assert the(trio).state == "OPEN", story(trio)


def test_a_quantity_that_has_filled_cancels_the_rest(desk: Desk) -> None:
    trio = working(desk)
    desk.simulator.fill(trio.legs.get(role=Role.ENTRY).client_id, "0.004")
    desk.carry_until(trio, "OPEN")
    change = changed(desk, trio, quantity=D("0.004"))
    assert change.end == ChangeEnd.CANCELLED
    until(
        lambda: carried(desk) or trio.legs.get(role=Role.ENTRY).state == "CANCELLED", why=lambda: story(trio)
    )
    assert puts(desk) == []
    assert (the(trio).state, desk.simulator.position("BTCUSDT").quantity) == ("OPEN", D("0.004"))


def test_what_fills_before_a_smaller_quantity_arrives_is_kept_and_the_rest_cancelled(desk: Desk) -> None:
    # Given a wish for 0.006, and 0.008 that fill before anything of it is sent
    trio = working(desk, protection="PRE_ARMED")
    change = services.trio_change_entry(trio_id=trio.pk, by="test", quantity=D("0.006"))
    desk.simulator.fill(trio.legs.get(role=Role.ENTRY).client_id, "0.008")
    until(lambda: carried(desk) or ended(change), why=lambda: story(trio))
    assert change.end == ChangeEnd.CANCELLED, story(trio)
    assert the(trio).quantity == D("0.01")
    assert desk.simulator.position("BTCUSDT").quantity == D("0.008")


# --- whatever the exchange answers --------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        ({"do": "refuse", "code": -2010}, ChangeEnd.REFUSED),
        ({"do": "refuse", "code": -5026}, ChangeEnd.REFUSED),
        ({"do": "refuse", "code": -2019}, ChangeEnd.REFUSED),
        ({"do": "refuse", "code": -5027}, ChangeEnd.REFUSED),
        ({"do": "lose_answer"}, ChangeEnd.DONE),
        ({"do": "execute_late", "ms": 1500}, ChangeEnd.DONE),
        ({"do": "answer", "status": 503, "body": {"code": -1008, "msg": "Throttled."}}, ChangeEnd.DONE),
    ],
    ids=lambda value: f"{value['do']} {value.get('code', '')}".strip() if isinstance(value, dict) else "",
)
def test_whatever_the_exchange_answers_the_entry_is_changed_once_or_not_at_all(
    desk: Desk, fault: dict[str, Any], end: ChangeEnd
) -> None:
    trio = working(desk, protection="PRE_ARMED")
    desk.simulator.fault({"method": "PUT"}, fault, [1])

    change = changed(desk, trio, price=D("99100"), quantity=D("0.012"), seconds=20)

    assert change.end == end, story(trio)
    order = entry_of(desk, trio)
    wanted = (D("0.012"), D("99100")) if end is ChangeEnd.DONE else (D("0.01"), D("99000"))
    assert (D(order["origQty"]), D(order["price"])) == wanted
    assert (the(trio).quantity, trio.price) == wanted
    assert trio.amending_notional is None
    (stop,) = resting(desk, Role.STOP_LOSS)
    assert D(stop["quantity"]) == wanted[0]
    executed = Request.objects.filter(trio=trio, kind=RequestKind.AMEND, outcome__verdict="ACCEPTED").count()
    assert executed <= 1
    sound(desk, trio)


def certain_soon(settings: Any) -> None:
    """Let a request be known not to have executed after a second."""
    settings.RECV_WINDOW_MS, settings.ABSENCE_MARGIN_MS = 600, 400


@pytest.mark.parametrize(
    "fault",
    [
        {"do": "lose_before"},
        {"do": "answer", "status": 503, "body": {"code": -1000, "msg": "Unknown error."}},
    ],
    ids=["lost before", "503 unknown"],
)
def test_a_change_in_doubt_is_sent_again_only_when_it_is_certain_that_it_was_not_executed(
    desk: Desk, settings: Any, fault: dict[str, Any]
) -> None:
    trio = working(desk)
    certain_soon(settings)
    desk.simulator.fault({"method": "PUT"}, fault, [1])

    change = changed(desk, trio, price=D("99100"), seconds=20)

    assert change.end == ChangeEnd.DONE, story(trio)
    first, second = Request.objects.filter(trio=trio, kind=RequestKind.AMEND).order_by("id")
    looked = [e for e in desk.simulator.log if e.method == "GET" and e.path == "/fapi/v1/order"]
    assert second.timestamp > first.timestamp + first.recv_window + settings.ABSENCE_MARGIN_MS
    assert looked
    assert D(entry_of(desk, trio)["price"]) == D("99100")
    sound(desk, trio)


def test_a_change_through_the_market_fills_and_is_covered(any_desk: Desk) -> None:
    desk = any_desk
    trio = working(desk, protection="PRE_ARMED")
    desk.simulator.fault({"method": "PUT"}, {"do": "lose_answer"}, [1])
    change = services.trio_change_entry(trio_id=trio.pk, by="test", price=D("100500"))
    until(lambda: carried(desk) or ended(change), why=lambda: story(trio))
    assert change.end == ChangeEnd.DONE, story(trio)
    desk.carry_until(trio, "OPEN")
    until(lambda: carried(desk) or resting(desk, Role.TAKE_PROFIT), why=lambda: story(trio))
    assert uncovered_ms(desk) == [], story(trio)


def test_a_post_only_entry_that_would_take_is_off_the_book_and_says_so(desk: Desk) -> None:
    trio = working(desk, time_in_force="GTX", protection="PRE_ARMED")
    with pytest.raises(RuleBroken, match=r"99999\.9 is the nearest by the mark price"):
        services.trio_change_entry(trio_id=trio.pk, by="test", price=D("100000"))

    # When the market comes nearer before the request arrives
    change = services.trio_change_entry(trio_id=trio.pk, by="test", price=D("99900"))
    desk.simulator.set_price("BTCUSDT", "99800")
    until(lambda: carried(desk) or ended(change), why=lambda: story(trio))
    assert change.end == ChangeEnd.REFUSED, story(trio)
    assert "post-only" in change.refused_text
    desk.carry_until(trio, "EXPIRED")
    assert "post-only" in trio.reason
    assert desk.resting == []


def test_a_process_that_dies_at_any_point_of_a_change_is_followed_by_another(
    any_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = any_desk
    trio = working(desk, protection="PRE_ARMED")
    change = services.trio_change_entry(trio_id=trio.pk, by="test", quantity=D("0.015"), price=D("99100"))
    sent = perform_all
    deaths: list[str] = []

    def dying(calls: Any, exchange: Any, later: Any) -> set[Any]:
        futures = sent(calls, exchange, later)
        if futures and len(deaths) < 5:
            deaths.extend(type(call).__name__ for call in calls)
            for future in futures:
                future.result()
            return set()
        return futures

    monkeypatch.setattr("orders.placement.service.perform_all", dying)
    until(lambda: carried(desk) or (ended(change) and quiet(trio)), seconds=20, why=lambda: story(trio))
    until(
        lambda: carried(desk) or len(resting(desk, Role.STOP_LOSS)) == 1, seconds=20, why=lambda: story(trio)
    )
    assert len(deaths) >= 3
    assert change.end == ChangeEnd.DONE, story(trio)
    assert len(puts(desk)) == 1
    order = entry_of(desk, trio)
    assert (D(order["origQty"]), D(order["price"])) == (D("0.015"), D("99100"))
    sound(desk, trio)


def test_a_process_that_dies_before_it_sends_is_followed_by_another(
    desk: Desk, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trio = working(desk)
    certain_soon(settings)
    change = services.trio_change_entry(trio_id=trio.pk, by="test", price=D("99100"))
    sent = perform_all
    deaths: list[Any] = []

    def dying(calls: Any, exchange: Any, later: Any) -> set[Any]:
        if not deaths:
            deaths.extend(calls)
            return set()
        return sent(calls, exchange, later)

    monkeypatch.setattr("orders.placement.service.perform_all", dying)
    until(lambda: carried(desk) or (ended(change) and quiet(trio)), seconds=20, why=lambda: story(trio))
    assert (change.end, len(puts(desk))) == (ChangeEnd.DONE, 1), story(trio)
    assert Request.objects.filter(trio=trio, kind=RequestKind.AMEND).count() == 2


# --- wishes that meet ---------------------------------------------------------------------------


def test_a_later_wish_waits_for_the_request_of_the_one_it_replaces(desk: Desk) -> None:
    trio = working(desk)
    desk.simulator.fault({"method": "PUT"}, {"do": "execute_late", "ms": 1500}, [1])
    first = services.trio_change_entry(trio_id=trio.pk, by="test", price=D("99100"))
    desk.advance(trio)
    second = changed(desk, trio, price=D("99200"))
    first.refresh_from_db()
    assert (first.end, second.end) == (ChangeEnd.REPLACED, ChangeEnd.DONE), story(trio)
    assert D(entry_of(desk, trio)["price"]) == D("99200")
    assert Request.objects.filter(trio=trio, kind=RequestKind.AMEND).count() == 2
    assert the(trio).question == ""  # nobody is asked about what we changed ourselves
    sound(desk, trio)


def test_a_cancel_drops_the_wish_and_what_was_executed_is_agreed_all_the_same(desk: Desk) -> None:
    trio = working(desk, protection="PRE_ARMED")
    desk.simulator.fault({"method": "PUT"}, {"do": "lose_answer"}, [1])
    change = services.trio_change_entry(trio_id=trio.pk, by="test", price=D("99100"))
    desk.advance(trio)
    services.trio_cancel(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CANCELLED")
    assert ended(change)
    assert change.end in (ChangeEnd.DROPPED, ChangeEnd.DONE)
    assert desk.resting == []


def test_a_change_by_a_person_in_the_app_is_still_asked_about(desk: Desk) -> None:
    trio = working(desk)
    assert changed(desk, trio, price=D("99100")).end == ChangeEnd.DONE
    desk.simulator.amend(trio.legs.get(role=Role.ENTRY).client_id, "0.010", "99300")
    desk.carry()
    assert "price 99100 → 99300" in the(trio).question
    assert trio.price == D("99100")


def test_good_till_alone_changes_at_once_and_asks_the_exchange_nothing(desk: Desk) -> None:
    trio = working(desk)
    asked = len(desk.simulator.log)
    moment = db_now() + timedelta(milliseconds=900)
    change = services.trio_change_entry(trio_id=trio.pk, by="test", good_till=moment)
    assert (change.end, the(trio).good_till, len(desk.simulator.log)) == (ChangeEnd.DONE, moment, asked)
    desk.carry_until(trio, "EXPIRED")


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"price": D("99000")}, "for 0.01 at 99000 already"),
        ({"price": D("95000")}, "stop-loss lies exactly on the entry price"),
        ({"price": D("94000")}, "stop-loss 95000 is on the wrong side"),
        ({"price": D("99000.05")}, "use 99000 or 99000.1"),
        ({"price": D("106000"), "quantity": D("0.010")}, "the exchange accepts at most 105000"),
        ({"quantity": D("0.0105")}, "use 0.01 or 0.011"),
        ({"quantity": D("0.0005")}, "whole number of steps"),
        ({"quantity": D("100")}, "margin and fees"),
        ({}, "Say what is to change"),
    ],
    ids=str,
)
def test_terms_that_cannot_be_are_refused_with_the_nearest_that_can(
    desk: Desk, words: dict[str, Any], sentence: str
) -> None:
    trio = working(desk)
    with pytest.raises(RuleBroken, match=sentence.replace(".", r"\.")):
        services.trio_change_entry(trio_id=trio.pk, by="test", **words)
    assert trio.entry_changes.count() == 0
    assert puts(desk) == []


def test_only_an_entry_that_rests_is_changed(desk: Desk) -> None:
    def refused(trio: TrioOrder, sentence: str) -> None:
        with pytest.raises(IllegalTransition, match=sentence):
            services.trio_change_entry(trio_id=trio.pk, by="test", price=D("99100"))

    refused(desk.a_trio(entry_type="LIMIT", price=D("99000")), "edit it")
    trio = working(desk)
    desk.simulator.fill(trio.legs.get(role=Role.ENTRY).client_id, "0.010")
    desk.carry_until(trio, "OPEN")
    refused(trio, "has filled")
    services.trio_close(trio_id=trio.pk, by="test")
    refused(trio, "being taken back")
    desk.carry_until(trio, "CLOSED")
    refused(trio, "has ended")


def test_more_is_new_risk_and_less_at_the_same_price_always_passes(desk: Desk) -> None:
    trio = working(desk)
    desk.account.is_active = False
    desk.account.save()
    more: list[dict[str, Any]] = [{"quantity": D("0.011")}, {"price": D("99100")}]
    for words in more:
        with pytest.raises(TrioRefused, match="new risk"):
            services.trio_change_entry(trio_id=trio.pk, by="test", **words)
    assert changed(desk, trio, quantity=D("0.006")).end == ChangeEnd.DONE, story(trio)


def test_a_limit_refuses_with_rule_value_and_limit_when_asked_and_again_when_it_is_sent(desk: Desk) -> None:
    trio = working(desk)
    limit = RiskLimit.objects.create(account=desk.account, notional_order=D("1500"))
    with pytest.raises(LimitBroken, match=r"order's notional is 1980\.00; the maximum is 1500\.00"):
        services.trio_change_entry(trio_id=trio.pk, by="test", quantity=D("0.020"))

    # When the limit comes after the wish, it is found in the transaction that would commit the request
    change = services.trio_change_entry(trio_id=trio.pk, by="test", quantity=D("0.015"))
    limit.notional_order = D("1400")
    limit.save()
    until(lambda: carried(desk) or ended(change), why=lambda: story(trio))
    assert (change.end, puts(desk)) == (ChangeEnd.REFUSED, [])
    line = trio.events.filter(kind="change").last()
    assert line is not None
    facts = {name: line.data[name] for name in ("rule", "value", "limit")}
    assert facts == {"rule": "ORDER_NOTIONAL", "value": "1485.00", "limit": "1400.00"}


def test_while_its_fate_is_open_the_larger_entry_counts_against_the_limit(desk: Desk) -> None:
    RiskLimit.objects.create(account=desk.account, notional_open=D("3200"))
    trio = working(desk)
    desk.simulator.fault({"method": "PUT"}, {"do": "lose_before"}, [1])
    services.trio_change_entry(trio_id=trio.pk, by="test", quantity=D("0.020"))
    desk.advance(trio)
    assert the(trio).amending_notional == D("1980")
    other = desk.a_trio(symbol="ETHUSDT", quantity=D("0.6"), stop_loss=D("2000"), take_profit=D("3000"))
    with pytest.raises(LimitBroken, match="open notional would be"):
        desk.queued(other)


def test_a_stranger_in_the_slot_forbids_more(desk: Desk) -> None:
    trio = working(desk)
    Slot.objects.filter(account=desk.account).update(strangers=["app-1"])
    with pytest.raises(TrioRefused, match="order that is not ours"):
        services.trio_change_entry(trio_id=trio.pk, by="test", quantity=D("0.011"))


# --- levels before the entry has ended ----------------------------------------------------------


def level_moved(desk: Desk, trio: TrioOrder, role: Role, level: D) -> str:
    move = services.trio_move(trio_id=trio.pk, role=role, level=level, by="test")

    def done() -> bool:
        desk.carry()
        move.refresh_from_db()
        return bool(move.end) and quiet(trio)

    until(done, why=lambda: story(trio))
    return move.end


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_an_armed_stop_moves_before_any_fill_and_the_new_one_is_there_first(
    any_desk: Desk, side: str
) -> None:
    desk, long = any_desk, side == "BUY"
    trio = working(desk, side=side, protection="PRE_ARMED")
    asked = len(desk.simulator.log)
    for level in (D("96000"), D("94000")) if long else (D("104000"), D("106000")):
        assert level_moved(desk, trio, Role.STOP_LOSS, level) == MoveEnd.DONE, story(trio)
        (stop,) = resting(desk, Role.STOP_LOSS)
        assert (D(stop["triggerPrice"]), D(stop["quantity"])) == (level, D("0.010"))
        assert the(trio).stop_loss == level
    sent = [e.method for e in desk.simulator.log[asked:] if e.method in ("POST", "DELETE")]
    assert sent == ["POST", "DELETE"] * 2

    # And it covers the fill
    desk.simulator.fill(trio.legs.get(role=Role.ENTRY).client_id, "0.010")
    desk.carry_until(trio, "OPEN")
    until(lambda: carried(desk) or resting(desk, Role.TAKE_PROFIT), why=lambda: story(trio))
    assert uncovered_ms(desk) == []
    desk.simulator.set_price("BTCUSDT", str(level))
    desk.carry_until(trio, "CLOSED")
    assert desk.resting == []
    sound(desk, trio)


@pytest.mark.parametrize(("role", "level"), [(Role.STOP_LOSS, D("96000")), (Role.TAKE_PROFIT, D("99500"))])
def test_what_does_not_rest_yet_is_only_agreed(any_desk: Desk, role: Role, level: D) -> None:
    desk = any_desk
    trio = working(desk, protection="ON_FIRST_FILL")
    asked = len(desk.requests())
    assert level_moved(desk, trio, role, level) == MoveEnd.DONE
    assert len(desk.requests()) == asked
    desk.simulator.set_price("BTCUSDT", "98990")
    desk.carry_until(trio, "OPEN")
    until(lambda: carried(desk) or resting(desk, role), why=lambda: story(trio))
    assert D(resting(desk, role)[0]["triggerPrice"]) == level


def test_while_the_entry_fills_a_stop_for_the_whole_position_takes_the_place_of_the_armed_one(
    desk: Desk,
) -> None:
    trio = working(desk, protection="PRE_ARMED")
    client_id = trio.legs.get(role=Role.ENTRY).client_id
    desk.simulator.fill(client_id, "0.004")
    desk.carry_until(trio, "OPEN")
    until(lambda: carried(desk) or resting(desk, Role.TAKE_PROFIT), why=lambda: story(trio))
    before = uncovered_ms(desk)
    move = services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("96000"), by="test")
    desk.advance(trio)
    desk.simulator.fill(client_id, "0.003")  # in the middle of it

    def done() -> bool:
        desk.carry()
        move.refresh_from_db()
        stops = [(D(o["triggerPrice"]), o["closePosition"]) for o in resting(desk, Role.STOP_LOSS)]
        return bool(move.end) and stops == [(D("96000"), True)]

    until(done, why=lambda: story(trio))
    assert move.end == MoveEnd.DONE
    desk.simulator.fill(client_id, "0.003")
    desk.carry()
    assert uncovered_ms(desk) == before, story(trio)
    desk.simulator.set_price("BTCUSDT", "96000")
    desk.carry_until(trio, "CLOSED")
    assert desk.resting == []
    sound(desk, trio)


@pytest.mark.parametrize("protection", ["ON_FIRST_FILL", "PRE_ARMED"])
def test_a_wish_from_before_the_first_fill_waits_for_the_entrys_end_where_it_must(
    any_desk: Desk, protection: str
) -> None:
    # Given a wish whose order is lost, and a part that fills meanwhile
    desk = any_desk
    trio = working(desk, protection=protection)
    desk.simulator.fault({"method": "POST", "type": "STOP_MARKET"}, {"do": "execute_late", "ms": 700}, [1])
    services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("96000"), by="test")
    desk.simulator.fill(trio.legs.get(role=Role.ENTRY).client_id, "0.004")
    desk.carry_until(trio, "OPEN")
    services.trio_cancel(trio_id=trio.pk, by="test")

    # Then one stop at the wished level covers what has filled
    def done() -> bool:
        desk.carry()
        stops = [D(o["triggerPrice"]) for o in resting(desk, Role.STOP_LOSS)]
        return not the(trio).moves_wanted and stops == [D("96000")]

    until(done, why=lambda: story(trio), seconds=20)
    assert trio.stop_loss == D("96000")
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")
    assert desk.resting == []
    sound(desk, trio)


def test_levels_keep_to_their_side_of_the_entry_that_rests(desk: Desk) -> None:
    trio = working(desk)
    with pytest.raises(RuleBroken, match=r"98999\.9 is the nearest valid level"):
        services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("99500"), by="test")
    with pytest.raises(RuleBroken, match=r"99000\.1 is the nearest valid level"):
        services.trio_move(trio_id=trio.pk, role=Role.TAKE_PROFIT, level=D("98000"), by="test")


def test_a_stop_for_the_whole_position_is_not_moved_while_the_entry_fills(any_desk: Desk) -> None:
    desk = any_desk
    trio = working(desk, protection="ON_FIRST_FILL")
    desk.simulator.fill(trio.legs.get(role=Role.ENTRY).client_id, "0.004")
    desk.carry_until(trio, "OPEN")
    until(lambda: carried(desk) or resting(desk, Role.TAKE_PROFIT), why=lambda: story(trio))
    with pytest.raises(IllegalTransition, match="Cancel the unfilled part"):
        services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("96000"), by="test")

    # Its target is, and its stop once the entry has ended
    assert level_moved(desk, trio, Role.TAKE_PROFIT, D("111000")) == MoveEnd.DONE
    services.trio_cancel(trio_id=trio.pk, by="test")
    until(lambda: carried(desk) or quiet(trio), why=lambda: story(trio))
    assert level_moved(desk, trio, Role.STOP_LOSS, D("96000")) == MoveEnd.DONE
