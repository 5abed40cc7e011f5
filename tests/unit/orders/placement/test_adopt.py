"""A position opened in the exchange's app becomes a trio, and is protected at once, by the exchange's own records."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal as D
from typing import Any

import pytest
from django.db import connection

from accounts.gateways import exchange_for
from accounts.models import ExchangeAccount
from exchange.types import (
    NewOrder,
    OrderType,
    PositionMode,
    PositionSide,
    Side,
    Stamp,
    TimeInForce,
    WorkingType,
)
from orders import adoption, services
from orders.adoption import ForeignOrders
from orders.domain.adoption import Level
from orders.domain.enums import Role
from orders.domain.errors import MarketUnread, RuleBroken, SlotTaken, TrioRefused
from orders.exchange_data.clock import exchange_now_ms
from orders.installation import install_row
from orders.journal.replay import trio_replay
from orders.journal.verify import journal_verify
from orders.models import Heartbeat, Install, LevelMove, Request, RiskLimit, Slot, TrioOrder, Watch
from orders.placement.perform import perform_all
from orders.selectors import net_pnl
from simulator import Simulator
from tests.builders import Desk, story, the, until

TWO, FIVE = Level(D(2), is_percent=True), Level(D(5), is_percent=True)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    from accounts import endpoints
    from simulator.transport import InProcessAdapter

    simulated = Simulator(symbols={"BTCUSDT", "XRPUSDT"})
    simulated.set_price("BTCUSDT", "100000")
    simulated.set_price("XRPUSDT", "0.5120")
    endpoints.use_transport("PAPER", InProcessAdapter(simulated))
    yield simulated
    endpoints.use_transport("PAPER", None)


_numbers = itertools.count(1)


def by_hand(desk: Desk, order: NewOrder) -> str:
    """Place an order as a person does in the exchange's app; return its id."""
    exchange = exchange_for(desk.account.pk)
    stamp = Stamp(exchange_now_ms("PAPER"), 5000)
    exchange.send(exchange.submit_request(order), stamp=stamp)
    desk.hear()
    return order.client_id


def position_side(desk: Desk, side: Side) -> PositionSide:
    if desk.account.position_mode == PositionMode.ONE_WAY:
        return PositionSide.BOTH
    return PositionSide.LONG if side is Side.BUY else PositionSide.SHORT


def opened_by_hand(desk: Desk, quantity: str = "500", side: Side = Side.BUY) -> None:
    """Open a position at 0.5120 in the exchange's app."""
    order = NewOrder(
        client_id=f"web_entry{next(_numbers)}",
        symbol="XRPUSDT",
        side=side,
        type=OrderType.LIMIT,
        position_side=position_side(desk, side),
        quantity=D(quantity),
        price=D("0.5120"),
        time_in_force=TimeInForce.GTC,
    )
    desk.simulator.set_price("XRPUSDT", "0.5130" if side is Side.BUY else "0.5110", mark="0.5120")
    desk.simulator.fill(by_hand(desk, order), quantity)
    desk.simulator.set_price("XRPUSDT", "0.5121" if side is Side.BUY else "0.5119", mark="0.5120")
    desk.hear()


def beside(desk: Desk, kind: OrderType, price: str, side: Side = Side.BUY) -> str:
    """Put an order for the whole position beside it, in the exchange's app; return its id."""
    return by_hand(
        desk,
        NewOrder(
            client_id=f"web_{kind.value.lower()}{next(_numbers)}",
            symbol="XRPUSDT",
            side=side.opposite,
            type=kind,
            position_side=position_side(desk, side),
            trigger_price=D(price),
            working_type=WorkingType.MARK_PRICE,
            close_position=True,
        ),
    )


def adopt(desk: Desk, **words: Any) -> TrioOrder:
    usual: dict[str, Any] = {"stop": TWO, "target": FIVE, "by": "test"}
    return adoption.position_adopt(
        account=desk.account, symbol=services.symbol_get("PAPER", "XRPUSDT"), **(usual | words)
    )


def carried_until(desk: Desk, trio: TrioOrder, is_so: Any) -> None:
    def there() -> bool:
        desk.carry()
        trio.refresh_from_db()
        return bool(is_so())

    until(there, why=lambda: story(trio))


def protected(desk: Desk, trio: TrioOrder) -> bool:
    live = {leg.role for leg in trio.legs.filter(state="ACCEPTED", acknowledged=True)}
    return live == {Role.STOP_LOSS, Role.TAKE_PROFIT} and not desk_foreign(trio)


def desk_foreign(trio: TrioOrder) -> list[dict[str, Any]]:
    """Return what is still to be cancelled of somebody else's."""
    return [order for order in (trio.adoption or {})["orders"] if not order["end"]]


def resting(desk: Desk) -> dict[str, dict[str, Any]]:
    return {o.get("clientAlgoId") or o["clientOrderId"]: o for o in desk.simulator.open_orders()}


def test_a_position_with_a_persons_own_stop_is_adopted_as_it_is(desk: Desk) -> None:
    # Given a person's long of 500 at 0.5120 with a stop of their own
    opened_by_hand(desk)
    theirs = beside(desk, OrderType.STOP_MARKET, "0.4900")
    before = resting(desk)[theirs]

    # When it is adopted with a stop of 2 % and a target of 5 %, foreign orders left
    trio = adopt(desk)
    carried_until(desk, trio, lambda: protected(desk, trio))

    # Then the entry is what is there, at the entry price
    entry = trio.legs.get(role=Role.ENTRY)
    assert (entry.filled, entry.average_price, trio.quantity) == (D("500"), D("0.5120"), D("500"))
    assert entry.average_price is not None
    assert trio.stop_loss is not None
    assert trio.take_profit is not None
    assert entry.filled * entry.average_price == D("256")
    assert (trio.state, trio.stop_loss, trio.take_profit) == ("OPEN", D("0.5018"), D("0.5376"))
    # … the stop is for the quantity, the target for the whole position, and the foreign stop as it was
    stop = resting(desk)[trio.legs.get(role=Role.STOP_LOSS).client_id]
    target = resting(desk)[trio.legs.get(role=Role.TAKE_PROFIT).client_id]
    assert (D(stop["triggerPrice"]), D(stop["quantity"]), stop["reduceOnly"]) == (D("0.5018"), D(500), True)
    assert (D(target["triggerPrice"]), target["closePosition"]) == (D("0.5376"), True)
    assert resting(desk)[theirs] == before
    assert len(resting(desk)) == 3
    # … nothing was refused on the way, and the story says what it comes to
    assert [r for r in Request.objects.filter(trio=trio) if r.outcome.verdict != "ACCEPTED"] == []
    assert "Stop-loss for 500 at 0.5018" in story(trio)
    assert "-5.1 USDT" in story(trio)
    assert "+12.8 USDT" in story(trio)
    assert (entry.average_price - trio.stop_loss) * 500 == D("5.10")
    assert (trio.take_profit - entry.average_price) * 500 == D("12.80")
    # … and the journal tells of it, without a request for the entry
    assert not journal_verify(trio_id=trio.pk).breaks
    assert not trio_replay(trio).differences
    assert not Request.objects.filter(trio=trio, leg=entry).exists()

    # When the target is reached, the trio is closed by it
    desk.simulator.set_price("XRPUSDT", "0.5376")
    desk.carry_until(trio, "CLOSED")
    assert trio.result == "TAKE_PROFIT"
    (result,) = net_pnl([trio.pk])[trio.pk]
    assert result.realized == D("12.80")
    assert resting(desk) == {}  # theirs expired with the position
    assert not journal_verify(trio_id=trio.pk).breaks
    assert not trio_replay(trio).differences


@pytest.mark.parametrize("foreign", ["none", "stop", "stop and target"])
@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
@pytest.mark.parametrize("choice", list(ForeignOrders))
def test_every_adoption_is_protected_and_touches_only_what_was_chosen(
    any_desk: Desk, side: Side, foreign: str, choice: ForeignOrders
) -> None:
    desk = any_desk
    long = side is Side.BUY
    opened_by_hand(desk, side=side)
    theirs = []
    if foreign != "none":
        theirs.append(beside(desk, OrderType.STOP_MARKET, "0.4900" if long else "0.5300", side))
    if foreign == "stop and target":
        theirs.append(beside(desk, OrderType.TAKE_PROFIT_MARKET, "0.5500" if long else "0.4700", side))
    before = resting(desk)

    trio = adopt(desk, foreign=choice)
    carried_until(desk, trio, lambda: protected(desk, trio))

    assert (trio.state, trio.side) == ("OPEN", side)
    assert (trio.stop_loss, trio.take_profit) == (
        (D("0.5018"), D("0.5376")) if long else (D("0.5222"), D("0.4864"))
    )
    after = resting(desk)
    ours = set(trio.legs.filter(state="ACCEPTED").values_list("client_id", flat=True))
    left = set(theirs) if choice is ForeignOrders.LEAVE else set()
    assert set(after) == ours | left, story(trio)
    assert {name: after[name] for name in left} == {name: before[name] for name in left}
    # … nothing was sent that was refused, no cancel went to what was left, and ours stood before theirs left
    requests = list(Request.objects.filter(trio=trio).order_by("id"))
    assert [r.outcome.verdict for r in requests] == ["ACCEPTED"] * (2 + len(theirs) - len(left))
    cancelled = [
        r.payload.get("clientAlgoId") or r.payload["origClientOrderId"]
        for r in requests
        if r.method == "DELETE"
    ]
    assert sorted(cancelled) == sorted(set(theirs) - left)
    assert [r.method for r in requests[:2]] == ["POST", "POST"]
    assert not journal_verify(trio_id=trio.pk).breaks
    assert not trio_replay(trio).differences

    # When the stop is reached, it is ours that closes the position
    desk.simulator.set_price("XRPUSDT", "0.5018" if long else "0.5222")
    desk.carry_until(trio, "CLOSED")
    assert trio.result == "STOP_LOSS"
    assert desk.simulator.position("XRPUSDT", side=trio.position_side).is_flat
    carried_until(desk, trio, lambda: not resting(desk))
    assert not trio_replay(trio).differences


# --- what is refused ------------------------------------------------------------------------------


def refused(desk: Desk, error: type[Exception], sentence: str, **words: Any) -> None:
    """Try to adopt; nothing is written or sent."""
    changing = [entry for entry in desk.simulator.log if entry.method != "GET"]
    with pytest.raises(error, match=sentence):
        adopt(desk, **words)
    assert TrioOrder.objects.exclude(state__in=("CLOSED", "OPEN")).count() == 0
    assert [entry for entry in desk.simulator.log if entry.method != "GET"] == changing


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"stop": Level(D("0.5200"))}, "0.5119 is the nearest valid level"),
        ({"stop": Level(D("0.5120"))}, "0.5119 is the nearest valid level"),
        ({"stop": Level(D("0.50185"))}, "0.5019 would be"),
        ({"target": Level(D("0.5000"))}, "0.5121 is the nearest valid level"),
        ({"stop": Level(D(100), is_percent=True)}, "takes no stop-loss at 0"),
        ({"quantity": D("400")}, "The position is 500 now, not 400"),
    ],
)
def test_a_level_that_cannot_be_is_refused_with_the_nearest_that_can(
    desk: Desk, words: dict[str, Any], sentence: str
) -> None:
    opened_by_hand(desk)
    refused(desk, RuleBroken, sentence.replace(".", r"\."), **words)


def test_a_stop_beyond_the_liquidation_price_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    opened_by_hand(desk)
    found = adoption.position_find(account=desk.account, symbol=services.symbol_get("PAPER", "XRPUSDT"))
    near = replace(found, view=replace(found.view, liquidation_price=D("0.50555")))
    monkeypatch.setattr(adoption, "position_find", lambda **_: near)
    refused(desk, RuleBroken, r"0\.5056 is the nearest valid level")


def test_where_nothing_is_there_nothing_is_adopted(any_desk: Desk) -> None:
    refused(any_desk, TrioRefused, "there is nothing to adopt")


def test_a_side_must_be_named_where_both_are_held(hedge_desk: Desk) -> None:
    opened_by_hand(hedge_desk)
    opened_by_hand(hedge_desk, side=Side.SELL)
    refused(hedge_desk, RuleBroken, "LONG or SHORT")
    refused(hedge_desk, RuleBroken, "must be LONG or SHORT, not BOTH", position_side="BOTH")
    trio = adopt(hedge_desk, position_side="SHORT")
    assert (trio.side, trio.position_side) == ("SELL", "SHORT")
    carried_until(hedge_desk, trio, lambda: protected(hedge_desk, trio))


def test_what_a_trio_holds_is_not_adopted(desk: Desk) -> None:
    opened_by_hand(desk)
    first = adopt(desk)
    refused(desk, SlotTaken, f"held by trio {first.pk}")


def test_an_account_that_may_send_nothing_adopts_nothing(desk: Desk) -> None:
    opened_by_hand(desk)
    accounts = ExchangeAccount.objects.filter(pk=desk.account.pk)
    accounts.update(is_active=False)
    refused(desk, TrioRefused, "switched off")
    accounts.update(is_active=True, restriction="REDUCE_ONLY")
    refused(desk, TrioRefused, "The exchange refused")
    accounts.update(restriction="")
    Heartbeat.objects.all().delete()
    refused(desk, TrioRefused, "No runworker is alive")
    desk.beat()
    Watch.objects.update(stream_since=None)
    refused(desk, TrioRefused, "event stream is not connected")
    install_row()
    Install.objects.update(system_identifier="another server")
    refused(desk, TrioRefused, "adopt_install")


def test_an_exchange_that_cannot_be_asked_adopts_nothing(desk: Desk) -> None:
    opened_by_hand(desk)
    desk.simulator.fault(
        {"method": "GET", "path": "/fapi/v3/positionRisk"}, {"do": "answer", "status": 503, "body": {}}
    )
    refused(desk, MarketUnread, "could not be asked about")


def test_a_position_that_changes_in_the_meantime_is_not_adopted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a position that was read, and an event since that says it is smaller
    opened_by_hand(desk)
    found = adoption.position_find(account=desk.account, symbol=services.symbol_get("PAPER", "XRPUSDT"))
    monkeypatch.setattr(adoption, "position_find", lambda **_: found)
    desk.sweep()
    Slot.objects.filter(symbol="XRPUSDT").update(quantity=D("300"), as_of=found.at + 10)
    refused(desk, RuleBroken, "just changed to 300")


def test_limits_on_new_risk_do_not_hold_up_an_adoption(desk: Desk) -> None:
    RiskLimit.objects.create(account=desk.account, notional_order=D(1), trios_open=0, symbols="BTCUSDT")
    opened_by_hand(desk)
    trio = adopt(desk)
    carried_until(desk, trio, lambda: protected(desk, trio))


def test_a_dry_run_says_what_would_go_out_and_sends_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened_by_hand(desk)
    theirs = beside(desk, OrderType.STOP_MARKET, "0.4900")
    monkeypatch.setattr("orders.adoption.risk_gates.is_dry_run", lambda trio: True)
    trio = adopt(desk, foreign=ForeignOrders.CANCEL)
    desk.carry()
    assert (the(trio).state, trio.holds_slot, trio.legs.count()) == ("DRY_RUN", False, 0)
    assert "Stop-loss for 500 at 0.5018" in trio.reason
    assert (
        f"Cancelled once ours stand: SELL the whole position stop market at 0.49, id {theirs}" in trio.reason
    )
    assert list(resting(desk)) == [theirs]


# --- whatever happens meanwhile ---------------------------------------------------------------------


def test_only_the_orders_that_were_named_are_cancelled(desk: Desk) -> None:
    opened_by_hand(desk)
    stop = beside(desk, OrderType.STOP_MARKET, "0.4900")
    target = beside(desk, OrderType.TAKE_PROFIT_MARKET, "0.5500")
    trio = adopt(desk, foreign=ForeignOrders.CANCEL, named={stop})
    later = by_hand(
        desk,
        NewOrder(
            client_id="web_later", symbol="XRPUSDT", side=Side.SELL, type=OrderType.LIMIT, quantity=D(100),
            price=D("0.5300"), time_in_force=TimeInForce.GTC, reduce_only=True,
        ),
    )  # fmt: skip
    carried_until(desk, trio, lambda: protected(desk, trio))
    assert {target, later} <= set(resting(desk))
    assert stop not in resting(desk)
    assert f"Gone from the exchange: SELL the whole position stop market at 0.49, id {stop}" in story(trio)


@pytest.mark.parametrize(
    "fault",
    [
        {"do": "lose_answer"},
        {"do": "lose_before"},
        {"do": "refuse", "code": -2011},
        {"do": "answer", "status": 503, "body": {"code": -1008, "msg": "Throttled."}},
        {"do": "answer", "status": 503, "body": {"code": -1000, "msg": "Unknown error."}},
    ],
    ids=lambda fault: f"{fault['do']} {fault.get('code', fault.get('body', {}).get('code', ''))}".strip(),
)
def test_whatever_a_cancel_is_answered_the_order_goes_and_cover_stays(
    desk: Desk, fault: dict[str, Any]
) -> None:
    opened_by_hand(desk)
    theirs = beside(desk, OrderType.STOP_MARKET, "0.4900")
    desk.simulator.fault({"method": "DELETE"}, fault, [1])
    trio = adopt(desk, foreign=ForeignOrders.CANCEL)
    carried_until(desk, trio, lambda: protected(desk, trio))
    assert theirs not in resting(desk)
    assert trio.state == "OPEN"
    assert len(trio.legs.all()) == 3, story(trio)
    assert not journal_verify(trio_id=trio.pk).breaks
    assert not trio_replay(trio).differences


@pytest.mark.parametrize("role", ["STOP_MARKET", "TAKE_PROFIT_MARKET"])
@pytest.mark.parametrize(
    "fault", [{"do": "lose_answer"}, {"do": "lose_before"}, {"do": "refuse", "code": -4130}], ids=str
)
def test_whatever_our_orders_are_answered_the_position_stays_and_is_protected(
    any_desk: Desk, role: str, fault: dict[str, Any]
) -> None:
    desk = any_desk
    opened_by_hand(desk)
    desk.simulator.fault({"method": "POST", "type": role}, fault, [1])
    trio = adopt(desk)
    carried_until(desk, trio, lambda: protected(desk, trio))
    assert trio.state == "OPEN", story(trio)
    assert not desk.simulator.position("XRPUSDT", side=trio.position_side).is_flat


def test_a_target_that_is_refused_for_good_leaves_the_position_and_its_stop(desk: Desk) -> None:
    opened_by_hand(desk)
    desk.simulator.fault({"method": "POST", "type": "TAKE_PROFIT_MARKET"}, {"do": "refuse", "code": -4045})
    trio = adopt(desk)
    carried_until(desk, trio, lambda: trio.question_kind == "TARGET_REFUSED")
    assert trio.state == "OPEN"
    assert [o["orderType"] for o in resting(desk).values()] == ["STOP_MARKET"]


def test_a_process_that_dies_at_any_point_of_an_adoption_is_followed_by_another(
    any_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a service of which each turn's requests are sent by a process that dies before it records an answer
    desk = any_desk
    opened_by_hand(desk)
    theirs = [
        beside(desk, OrderType.STOP_MARKET, "0.4900"),
        beside(desk, OrderType.TAKE_PROFIT_MARKET, "0.5500"),
    ]
    sent = perform_all
    deaths: list[int] = []

    def dying(calls: Any, exchange: Any, later: Any) -> set[Any]:
        futures = sent(calls, exchange, later)
        if futures and len(deaths) < 8:
            deaths.append(len(futures))
            for future in futures:
                future.result()
            return set()
        return futures

    monkeypatch.setattr("orders.placement.service.perform_all", dying)
    trio = adopt(desk, foreign=ForeignOrders.CANCEL)
    carried_until(desk, trio, lambda: protected(desk, trio) and len(deaths) > 5)
    assert trio.state == "OPEN", story(trio)
    assert not set(theirs) & set(resting(desk))
    assert len(resting(desk)) == 2, story(trio)
    assert not trio_replay(trio).differences


def test_time_without_cover_counts_from_the_adoption(desk: Desk) -> None:
    opened_by_hand(desk)
    time.sleep(0.3)
    trio = adopt(desk)
    at = (trio.adoption or {})["at"]
    carried_until(desk, trio, lambda: protected(desk, trio))
    covered_ts = trio.legs.get(role=Role.STOP_LOSS).accepted_ts
    assert trio.uncovered_ms == (covered_ts or 0) - at < 300


@pytest.mark.parametrize("act", ["closes", "reduces", "increases"])
def test_what_a_person_does_afterwards_is_handled_as_with_any_trio(any_desk: Desk, act: str) -> None:
    desk = any_desk
    opened_by_hand(desk)
    trio = adopt(desk)
    carried_until(desk, trio, lambda: protected(desk, trio))
    side = Side.BUY if act == "increases" else Side.SELL
    hedge = desk.account.position_mode == PositionMode.HEDGE
    quantity = {"closes": "500", "reduces": "200", "increases": "300"}[act]
    order = NewOrder(
        client_id="web_later", symbol="XRPUSDT", side=side, type=OrderType.MARKET, quantity=D(quantity),
        position_side=PositionSide.LONG if hedge else PositionSide.BOTH,
    )  # fmt: skip
    by_hand(desk, order)
    if act == "closes":
        desk.carry_until(trio, "CLOSED")
        assert trio.result == "OUTSIDE"
        assert resting(desk) == {}
        return
    desk.sweep()
    is_asked = "POSITION_ENLARGED" if act == "increases" else ""
    carried_until(desk, trio, lambda: protected(desk, trio) and trio.question_kind == is_asked)
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")
    assert desk.simulator.position("XRPUSDT", side=trio.position_side).is_flat


def test_the_levels_of_an_adopted_trio_move_like_any_other(any_desk: Desk) -> None:
    desk = any_desk
    opened_by_hand(desk)
    theirs = beside(desk, OrderType.STOP_MARKET, "0.4900")
    trio = adopt(desk)
    carried_until(desk, trio, lambda: protected(desk, trio))
    for role, level in ((Role.STOP_LOSS, "0.5050"), (Role.TAKE_PROFIT, "0.5300")):
        move = services.trio_move(trio_id=trio.pk, role=role, level=D(level), by="test")
        carried_until(
            desk, trio, lambda move=move: LevelMove.objects.get(pk=move.pk).end and protected(desk, trio)
        )
        assert LevelMove.objects.get(pk=move.pk).end == "DONE", story(trio)
    wanted = {D("0.5050"), D("0.5300")}
    carried_until(
        desk,
        trio,
        lambda: {D(o["triggerPrice"]) for name, o in resting(desk).items() if name != theirs} == wanted,
    )
    assert theirs in resting(desk)
    assert not trio_replay(trio).differences


def test_two_people_at_once_make_one_trio(desk: Desk) -> None:
    opened_by_hand(desk)
    barrier = threading.Barrier(3)
    outcomes: list[TrioOrder | SlotTaken] = []

    def one() -> None:
        barrier.wait()
        try:
            outcomes.append(adopt(desk))
        except SlotTaken as error:
            outcomes.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["SlotTaken", "SlotTaken", "TrioOrder"]
    trio = TrioOrder.objects.get()
    carried_until(desk, trio, lambda: protected(desk, trio))
