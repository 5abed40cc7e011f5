"""The verdict: uncovered time, whose fault it was, executed entries, orphans, reversals."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import Simulator
from simulator.engine.cover import stem_of
from tests.unit.simulator.support import Clock, Desk, Refused


def test_an_uncovered_time_lasts_from_fill_to_stop(desk: Desk, simulator: Simulator, clock: Clock) -> None:
    desk.order("BUY", "MARKET", "0.010", newClientOrderId="ab12-1-e0")
    clock.forward(700)
    desk.algo("SELL", "TAKE_PROFIT_MARKET", "64000", closePosition="true")
    clock.forward(100)
    desk.algo("SELL", "STOP_MARKET", "62000", closePosition="true", clientAlgoId="ab12-1-s0")
    clock.forward(5000)
    (interval,) = simulator.verdict()["uncovered"]
    assert (interval["ms"], interval["end"] - interval["start"], interval["worst"]) == (800, 800, "0.010")
    assert simulator.verdict()["uncovered_ms_max"] == 800


def test_stops_placed_before_the_entry_leave_no_gap(desk: Desk, simulator: Simulator, clock: Clock) -> None:
    desk.algo("SELL", "STOP_MARKET", "62000", quantity="0.010", reduceOnly="true")
    desk.order("BUY", "MARKET", "0.010")
    clock.forward(1000)
    assert simulator.verdict()["uncovered"] == []


def test_a_hedge_leg_larger_than_the_position_covers_nothing(
    hedge: Desk, simulator: Simulator, clock: Clock
) -> None:
    hedge.algo("SELL", "STOP_MARKET", "62000", quantity="0.020", positionSide="LONG")
    hedge.order("BUY", "MARKET", "0.010", positionSide="LONG")
    clock.forward(300)
    (interval,) = simulator.verdict()["uncovered"]
    assert (interval["worst"], interval["end"]) == ("0.010", None)
    hedge.order("BUY", "MARKET", "0.010", positionSide="LONG")
    assert simulator.verdict()["uncovered"][0]["ms"] == 300


def test_growing_positions_and_cut_stops_are_seen(desk: Desk, simulator: Simulator, clock: Clock) -> None:
    desk.order("BUY", "MARKET", "0.010")
    desk.algo("SELL", "STOP_MARKET", "62000", quantity="0.010", reduceOnly="true", clientAlgoId="s")
    clock.forward(1000)
    assert simulator.verdict()["uncovered"] == []
    desk.order("BUY", "MARKET", "0.005")
    clock.forward(200)
    desk.order("SELL", "MARKET", "0.005", reduceOnly="true")
    clock.forward(1000)
    desk.ask("DELETE", "/fapi/v1/algoOrder", clientAlgoId="s")
    clock.forward(50)
    first, second = simulator.verdict()["uncovered"]
    assert (first["ms"], first["worst"]) == (200, "0.005")
    assert (second["ms"], second["worst"], second["end"]) == (50, "0.010", None)


def test_time_in_which_the_simulator_refused_the_stop_is_listed_apart(
    desk: Desk, simulator: Simulator, clock: Clock
) -> None:
    simulator.fault({"type": "STOP_MARKET"}, {"do": "answer", "status": 503}, [1, 2])
    desk.order("BUY", "MARKET", "0.010")
    for _ in range(2):
        clock.forward(400)
        with pytest.raises(Refused):
            desk.algo("SELL", "STOP_MARKET", "62000", closePosition="true")
    clock.forward(150)
    desk.algo("SELL", "STOP_MARKET", "62000", closePosition="true")
    verdict = simulator.verdict()
    assert verdict["uncovered"] == []
    (interval,) = verdict["uncovered_refused_by_us"]
    assert (interval["ms"], len(interval["refusals"])) == (950, 2)


def test_a_stop_refused_by_a_rate_limit_fault_is_listed_apart_too(
    desk: Desk, simulator: Simulator, clock: Clock
) -> None:
    simulator.fault({"type": "STOP_MARKET"}, {"do": "answer", "status": 429}, 1)
    desk.order("BUY", "MARKET", "0.010")
    with pytest.raises(Refused):
        desk.algo("SELL", "STOP_MARKET", "62000", closePosition="true")
    clock.forward(400)
    desk.algo("SELL", "STOP_MARKET", "62000", closePosition="true")

    (interval,) = simulator.verdict()["uncovered_refused_by_us"]
    assert (interval["ms"], simulator.verdict()["uncovered"]) == (400, [])


def test_a_refusal_by_a_rule_excuses_nobody(desk: Desk, simulator: Simulator, clock: Clock) -> None:
    desk.order("BUY", "MARKET", "0.010")
    clock.forward(400)
    with pytest.raises(Refused, match="-4137"):
        desk.algo("SELL", "STOP_MARKET", "62000", closePosition="true", quantity="0.010")
    (interval,) = simulator.verdict()["uncovered"]
    assert interval["ms"] == 400


def test_entries_are_counted_by_stem_over_all_generations(desk: Desk, simulator: Simulator) -> None:
    desk.order("BUY", "MARKET", "0.010", newClientOrderId="ab12-7z-e0")
    desk.order("BUY", "MARKET", "0.005", newClientOrderId="ab12-7z-e1")
    desk.order("SELL", "MARKET", "0.015", reduceOnly="true", newClientOrderId="ab12-7z-x0")
    (row,) = simulator.verdict()["entries"]
    assert (row["stem"], row["entered"], row["exited"], row["orders"]) == ("ab12-7z", "0.015", "0.015", 2)


def test_a_leg_left_on_a_flat_side_becomes_an_orphan_after_five_seconds(
    desk: Desk, simulator: Simulator, clock: Clock
) -> None:
    desk.order("BUY", "MARKET", "0.010", newClientOrderId="ab12-1-e0")
    desk.algo("SELL", "STOP_MARKET", "62000", quantity="0.010", reduceOnly="true", clientAlgoId="ab12-1-s0")
    clock.forward(60_000)
    desk.order("SELL", "MARKET", "0.010", reduceOnly="true", newClientOrderId="ab12-1-x0")
    clock.forward(4_999)
    assert simulator.verdict()["orphans"] == []
    clock.forward(1)
    (orphan,) = simulator.verdict()["orphans"]
    assert (orphan["client_id"], orphan["stem"], orphan["ms"]) == ("ab12-1-s0", "ab12-1", 5_000)


def test_armed_legs_wait_for_the_proof_that_their_entry_is_absent(
    desk: Desk, simulator: Simulator, clock: Clock
) -> None:
    desk.algo("SELL", "STOP_MARKET", "62000", quantity="0.010", reduceOnly="true", clientAlgoId="ab12-1-s0")
    clock.forward(19_999)
    assert simulator.verdict()["orphans"] == []
    clock.forward(1)
    assert len(simulator.verdict()["orphans"]) == 1


def test_the_client_may_say_how_long_that_proof_takes(desk: Desk, simulator: Simulator, clock: Clock) -> None:
    times = {"recv_window": 2_000, "absence_margin": 1_500}
    desk.algo("SELL", "STOP_MARKET", "62000", quantity="0.010", reduceOnly="true", clientAlgoId="ab12-1-s0")
    clock.forward(8_499)
    assert simulator.orphans(**times) == simulator.verdict(**times)["orphans"] == []
    clock.forward(1)
    (orphan,) = simulator.orphans(**times)
    assert simulator.verdict(**times)["orphans"] == [orphan]
    assert orphan["client_id"] == "ab12-1-s0"
    assert simulator.orphans() == []


def test_a_leg_beside_its_resting_entry_is_no_orphan(desk: Desk, simulator: Simulator, clock: Clock) -> None:
    desk.order("BUY", "LIMIT", "0.010", price="62500", newClientOrderId="ab12-1-e0")
    desk.algo("SELL", "STOP_MARKET", "62000", quantity="0.010", reduceOnly="true", clientAlgoId="ab12-1-s0")
    clock.forward(3_600_000)
    assert simulator.verdict()["orphans"] == []


def test_a_reversed_position_is_reported(desk: Desk, simulator: Simulator) -> None:
    desk.order("BUY", "MARKET", "0.010", newClientOrderId="ab12-1-e0")
    desk.order("SELL", "MARKET", "0.020", newClientOrderId="ab12-1-x0")
    assert simulator.verdict()["reversed"]


def test_a_leg_that_opens_a_position_is_reported(desk: Desk, simulator: Simulator) -> None:
    desk.algo("SELL", "STOP_MARKET", "62000", quantity="0.010", clientAlgoId="ab12-1-s0")
    simulator.set_price("BTCUSDT", "61000")
    (row,) = simulator.verdict()["reversed"]
    assert row["client_id"] == "ab12-1-s0"


def test_requests_and_weight_are_counted_by_account(desk: Desk, simulator: Simulator) -> None:
    desk.ask("GET", "/fapi/v3/account")
    desk.ask("GET", "/fapi/v1/openOrders")
    verdict = simulator.verdict()
    assert (verdict["requests"], verdict["weight"]) == ({"desk": 2}, {"desk": 45})


@pytest.mark.parametrize(
    ("client_id", "expected"),
    [("ab12-7z-e0", ("ab12-7z", "e")), ("ab12-7z-s12", ("ab12-7z", "s")), ("web_x", None), ("ab12-7z-q0", None),
     ("ab12-7z-e", None)],
)  # fmt: skip
def test_stems(client_id: str, expected: Any) -> None:
    assert stem_of(client_id) == expected
