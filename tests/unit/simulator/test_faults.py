"""Faults: which request, which occurrence, what happens, and what the log says of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from simulator import FaultError, Simulator
from simulator.faults.language import REQUEST_ACTIONS
from simulator.transport import InProcessAdapter
from simulator.venue.fault_actions import ACTIONS
from tests.unit.simulator.support import KEY, Clock, Desk, Refused

STOP = {"quantity": "0.010", "reduceOnly": "true"}


def test_refuse_the_nth_order_of_a_kind(desk: Desk, simulator: Simulator) -> None:
    simulator.fault({"method": "POST", "type": "STOP_MARKET"}, {"do": "refuse", "code": -2021}, 2)
    desk.algo("SELL", "STOP_MARKET", "62000", **STOP)
    desk.algo("SELL", "TAKE_PROFIT_MARKET", "64000", **STOP)
    with pytest.raises(Refused, match="-2021"):
        desk.algo("SELL", "STOP_MARKET", "62000", **STOP)
    desk.algo("SELL", "STOP_MARKET", "62000", **STOP)
    (entry,) = [e for e in simulator.log if e.fault]
    assert (entry.code, entry.effect, entry.fault) == (-2021, "refused", "#1 refuse")
    assert "signature" not in entry.params


@pytest.mark.parametrize(
    ("code", "status"), [(-2019, 400), (-1008, 503), (-1003, 429), (-1007, 408), (-2015, 401)]
)
def test_a_refusal_comes_with_the_status_of_its_code(
    desk: Desk, simulator: Simulator, code: int, status: int
) -> None:
    simulator.fault({"method": "POST"}, {"do": "refuse", "code": code})
    with pytest.raises(Refused) as refused:
        desk.order("BUY", "MARKET", "0.010")
    assert (refused.value.code, refused.value.status) == (code, status)


def test_refuses_is_short_for_a_fault_that_refuses(desk: Desk, simulator: Simulator) -> None:
    simulator.refuses("STOP_MARKET", code=-2021)
    with pytest.raises(Refused, match="-2021"):
        desk.algo("SELL", "STOP_MARKET", "62000", **STOP)
    simulator.clear_faults()
    desk.algo("SELL", "STOP_MARKET", "62000", **STOP)


@pytest.fixture
def session(simulator: Simulator) -> requests.Session:
    session = requests.Session()
    session.mount("http://simulator.invalid", InProcessAdapter(simulator))
    session.headers["X-MBX-APIKEY"] = KEY
    return session


def url(desk: Desk, path: str, **params: Any) -> str:
    return f"http://simulator.invalid{path}?{desk.signed_query(**params)}"


def order_url(desk: Desk, name: str) -> str:
    return url(desk, "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC",
               quantity="0.010", price="60000", newClientOrderId=name)  # fmt: skip


def test_a_lost_answer_has_executed_and_a_lost_request_has_not(
    desk: Desk, simulator: Simulator, session: requests.Session
) -> None:
    simulator.fault({"client_id": "^lost"}, {"do": "lose_answer"})
    simulator.fault({"client_id": "^never"}, {"do": "lose_before"})
    with pytest.raises(requests.exceptions.ReadTimeout):
        session.post(order_url(desk, "lost-1"))
    with pytest.raises(requests.exceptions.ConnectionError):
        session.post(order_url(desk, "never-1"))
    assert [o["clientOrderId"] for o in simulator.open_orders()] == ["lost-1"]
    assert [e.effect for e in simulator.log] == ["lost_answer", "lost_before"]


def test_a_late_request_executes_only_within_its_window(
    desk: Desk, simulator: Simulator, session: requests.Session, clock: Clock
) -> None:
    simulator.fault({"client_id": "^soon"}, {"do": "execute_late", "ms": 4000})
    simulator.fault({"client_id": "^late"}, {"do": "execute_late", "ms": 6000})
    for name in ("soon", "late"):
        with pytest.raises(requests.exceptions.ReadTimeout):
            session.post(order_url(desk, name))
    assert simulator.open_orders() == []
    clock.forward(7000)
    simulator.tick()
    assert [o["clientOrderId"] for o in simulator.open_orders()] == ["soon"]
    assert [e.code for e in simulator.log if e.fault == "late"] == [0, -5028]


def test_a_delayed_answer_is_a_timeout_for_a_client_that_waits_less(
    desk: Desk, simulator: Simulator, session: requests.Session
) -> None:
    simulator.fault({"method": "POST"}, {"do": "delay", "ms": 700})
    with pytest.raises(requests.exceptions.ReadTimeout):
        session.post(order_url(desk, "a"), timeout=0.6)
    assert session.post(order_url(desk, "b"), timeout=5).status_code == 200
    assert len(simulator.open_orders()) == 2


@pytest.mark.parametrize("execute", [True, False])
def test_a_made_up_answer_says_nothing_about_execution(
    desk: Desk, simulator: Simulator, execute: bool
) -> None:
    simulator.fault({"method": "POST"}, {"do": "answer", "status": 503, "execute": execute}, 1)
    reply = desk.raw("POST", "/fapi/v1/order", order_url(desk, "x").partition("?")[2])
    assert (reply.status, json.loads(reply.body)["code"]) == (503, -1000)
    assert len(simulator.open_orders()) == execute


def test_throttling_spares_what_closes(desk: Desk, simulator: Simulator, clock: Clock) -> None:
    desk.order("BUY", "MARKET", "0.010")
    simulator.fault({"method": "POST"}, {"do": "throttle", "ms": 5000}, 1)
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            desk.order("BUY", "MARKET", "0.010")
        assert (refused.value.status, refused.value.code) == (503, -1008)
    desk.algo("SELL", "STOP_MARKET", "62000", closePosition="true")
    desk.order("SELL", "MARKET", "0.010", reduceOnly="true")
    clock.forward(5001)
    desk.order("BUY", "MARKET", "0.010")


def test_events_can_come_twice_in_reverse_or_not_at_all(
    desk: Desk, simulator: Simulator, clock: Clock
) -> None:
    ordered = ["ORDER_TRADE_UPDATE NEW", "TRADE_LITE", "ACCOUNT_UPDATE ORDER", "ORDER_TRADE_UPDATE FILLED"]
    simulator.fault({"client_id": "^twice"}, {"do": "duplicate"})
    simulator.fault({"client_id": "^back"}, {"do": "reorder"})
    simulator.fault({"client_id": "^quiet"}, {"do": "silence_stream", "ms": 3000})
    desk.order("BUY", "MARKET", "0.010", newClientOrderId="twice")
    assert desk.story() == ordered * 2
    desk.order("BUY", "MARKET", "0.010", newClientOrderId="back")
    assert desk.story() == ordered[::-1]
    desk.order("BUY", "MARKET", "0.010", newClientOrderId="quiet")
    desk.events()
    desk.order("BUY", "MARKET", "0.010", newClientOrderId="unheard")
    assert desk.story() == []
    clock.forward(3000)
    desk.order("BUY", "MARKET", "0.010", newClientOrderId="heard")
    assert desk.story() == ordered


def test_single_events_can_be_dropped_or_doubled(desk: Desk, simulator: Simulator) -> None:
    simulator.fault({"event": "ORDER_TRADE_UPDATE", "status": "FILLED"}, {"do": "drop"}, 1)
    simulator.fault({"event": "ACCOUNT_UPDATE"}, {"do": "duplicate"}, 2)
    desk.order("BUY", "MARKET", "0.010")
    assert desk.story() == ["ORDER_TRADE_UPDATE NEW", "TRADE_LITE", "ACCOUNT_UPDATE ORDER"]
    desk.order("BUY", "MARKET", "0.010")
    assert desk.story().count("ACCOUNT_UPDATE ORDER") == 2


def test_a_forgotten_algo_order_stays_open_but_is_not_found(
    desk: Desk, simulator: Simulator, clock: Clock
) -> None:
    desk.order("BUY", "MARKET", "0.010")
    simulator.fault({"path": "*/algoOrder", "method": "POST"}, {"do": "forget_algo", "ms": 2000}, 1)
    desk.algo("SELL", "STOP_MARKET", "62000", closePosition="true", clientAlgoId="ghost")
    with pytest.raises(Refused, match="-2013"):
        desk.ask("GET", "/fapi/v1/algoOrder", clientAlgoId="ghost")
    assert desk.ask("GET", "/fapi/v1/openAlgoOrders") == []
    assert simulator.verdict()["uncovered"] == []
    clock.forward(2000)
    assert desk.ask("GET", "/fapi/v1/algoOrder", clientAlgoId="ghost")["algoStatus"] == "NEW"


def test_a_vanished_algo_order_is_gone_without_an_event(
    desk: Desk, simulator: Simulator, clock: Clock
) -> None:
    desk.order("BUY", "MARKET", "0.010")
    simulator.fault({"path": "*/algoOrder", "method": "POST"}, {"do": "vanish_algo"}, 1)
    desk.algo("SELL", "STOP_MARKET", "62000", closePosition="true", clientAlgoId="gone")
    clock.forward(500)
    assert simulator.verdict()["uncovered"][0]["ms"] == 500
    simulator.set_price("BTCUSDT", "61000")
    assert not simulator.position("BTCUSDT").is_flat


def test_a_stop_can_stick_in_triggering(desk: Desk, simulator: Simulator, clock: Clock) -> None:
    desk.order("BUY", "MARKET", "0.010")
    simulator.fault({"path": "*/algoOrder", "method": "POST"}, {"do": "stick_triggering"}, 1)
    desk.algo("SELL", "STOP_MARKET", "62000", closePosition="true", clientAlgoId="stuck")
    simulator.set_price("BTCUSDT", "61000")
    assert desk.ask("GET", "/fapi/v1/algoOrder", clientAlgoId="stuck")["algoStatus"] == "TRIGGERING"
    # it counts as cover for two seconds, no longer
    clock.forward(3000)
    simulator.tick()
    (interval,) = simulator.verdict()["uncovered"]
    assert interval["ms"] == 1000


def test_every_action_of_the_language_is_carried_out() -> None:
    assert set(ACTIONS) == set(REQUEST_ACTIONS)


def test_shares_are_drawn_from_the_seed(clock: Clock) -> None:
    def struck(seed: int) -> list[str]:
        simulator = Simulator(clock=clock, seed=seed)
        simulator.fault({}, {"do": "answer", "status": 502}, {"share": "0.3"})
        return [str(simulator.handle("GET", "/fapi/v1/time", {}).status) for _ in range(100)]

    first = struck(1)
    assert struck(1) == first != struck(2)
    assert 15 <= first.count("502") <= 45


def test_one_of_several_actions_is_drawn_by_weight(clock: Clock) -> None:
    simulator = Simulator(clock=clock, seed=3)
    actions = [{"weight": 3, "do": "answer", "status": 502}, {"do": "answer", "status": 504}]
    simulator.venue.faults.add({"then": actions})
    statuses = [simulator.handle("GET", "/fapi/v1/time", {}).status for _ in range(200)]
    assert 30 <= statuses.count(504) <= 70
    assert statuses.count(502) + statuses.count(504) == 200
    assert simulator.venue.faults.in_force[0].as_dict()["then"][0]["weight"] == 3


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ({"then": [{"weight": 0, "do": "lose_answer"}]}, "weight is a whole number above 0"),
        ("nonsense", "A fault is an object"),
        ({"match": {}}, "then is an object"),
        ({"match": {"colour": 1}, "then": {"do": "delay", "ms": 1}}, "match is an object with any of"),
        ({"then": {"do": "explode"}}, "There is no fault 'explode'"),
        ({"then": {"do": "delay"}}, "delay needs ms"),
        ({"then": {"do": "delay", "ms": "1"}}, "ms is a whole number"),
        ({"then": {"do": "lose_answer", "ms": 1}}, "takes nothing more"),
        ({"then": {"do": "lose_answer"}, "occurrence": 0}, "occurrence is"),
        ({"then": {"do": "lose_answer"}, "occurrence": {"share": 7}}, "occurrence is"),
        ({"match": {"client_id": "("}, "then": {"do": "lose_answer"}}, "not a regular expression"),
        ({"match": {"event": "X"}, "then": {"do": "delay", "ms": 1}}, "To an event can happen"),
        ({"then": {"do": "lose_answer"}, "when": 1}, "when is unknown"),
    ],
)
def test_a_fault_that_makes_no_sense_is_explained(simulator: Simulator, fault: Any, sentence: str) -> None:
    with pytest.raises(FaultError, match=sentence.replace("(", r"\(")):
        simulator.venue.faults.add(fault)
    assert simulator.venue.faults.in_force == []
