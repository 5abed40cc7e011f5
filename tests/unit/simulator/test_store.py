"""The saved state: what it holds, how it is compacted, what becomes of damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator import Simulator
from simulator.persistence.store import StateInUse, Store
from tests.unit.simulator.support import KEY, SECRET, Clock, Desk


def opened(directory: Path, clock: Clock) -> tuple[Simulator, Store]:
    simulator = Simulator(clock=clock)
    return simulator, Store(directory, simulator)


def busy(simulator: Simulator, clock: Clock) -> None:
    """A little of everything, in both modes."""
    simulator.add_account("desk", KEY, SECRET)
    simulator.add_account("hedge", "hedge0key", "hedge0secret", position_mode="HEDGE")
    simulator.set_price("BTCUSDT", "63000")
    desk, hedge = Desk(simulator, clock), Desk(simulator, clock, "hedge0key", "hedge0secret")
    desk.order("BUY", "MARKET", "0.010", newClientOrderId="ab12-1-e0")
    desk.order("BUY", "LIMIT", "0.010", price="60000")
    desk.order("SELL", "LIMIT", "0.010", price="66000", reduceOnly="true")
    desk.algo("SELL", "STOP_MARKET", "62000", closePosition="true")
    desk.ask("POST", "/fapi/v1/marginType", symbol="ETHUSDT", marginType="ISOLATED")
    hedge.order("SELL", "MARKET", "0.010", positionSide="SHORT")
    hedge.algo("BUY", "STOP", "64000", price="64100", quantity="0.010", positionSide="SHORT")
    simulator.set_price("BTCUSDT", "64050")
    desk.order("SELL", "MARKET", "0.020", newClientOrderId="ab12-1-x9")
    clock.forward(700)


@pytest.mark.parametrize("compacted", [False, True])
def test_a_reopened_state_is_the_same_state(tmp_path: Path, clock: Clock, compacted: bool) -> None:
    # Given a busy exchange with a thin book, its journal compacted on the way or not
    simulator, store = opened(tmp_path, clock)
    busy(simulator, clock)
    if compacted:
        store.compact()
        simulator.set_price("BTCUSDT", "63900")
    simulator.liquidity("BTCUSDT", "5", levels=3, queue="1")
    before, judged = simulator.snapshot(), simulator.verdict()
    store.close()

    # When it is opened again, then nothing differs
    again, store = opened(tmp_path, clock)
    after = again.snapshot()
    assert after["accounts"] == before["accounts"]
    # every symbol that was ever looked at has its price
    assert after["symbols"]["BTCUSDT"] == before["symbols"]["BTCUSDT"]
    assert again.ex.market("BTCUSDT").depth == simulator.ex.market("BTCUSDT").depth
    for key in ("uncovered", "entries", "reversed", "orphans", "open_positions", "requests"):
        assert again.verdict()[key] == judged[key]
    assert judged["reversed"]

    # and what waits still waits for the same prices
    again.set_price("BTCUSDT", "64150")
    assert again.position("BTCUSDT", "hedge", "SHORT").is_flat
    store.close()


def test_damage_at_the_end_is_cut_off(tmp_path: Path, clock: Clock) -> None:
    simulator, store = opened(tmp_path, clock)
    busy(simulator, clock)
    before = simulator.snapshot()["accounts"]
    store.close()
    for name in ("journal.jsonl", "requests.jsonl"):
        with (tmp_path / name).open("ab") as file:
            file.write(b'{"put": [["order", {"id": 1, "acc')
    again, store = opened(tmp_path, clock)
    assert again.snapshot()["accounts"] == before
    store.close()


def test_a_directory_belongs_to_one_simulator(tmp_path: Path, clock: Clock) -> None:
    _, store = opened(tmp_path, clock)
    with pytest.raises(StateInUse, match="choose another --state"):
        opened(tmp_path, clock)
    store.close()
    _, store = opened(tmp_path, clock)
    store.close()


def test_the_journal_holds_no_secret_and_no_listen_key(tmp_path: Path, clock: Clock) -> None:
    # Given an account with an open stream, whose key was also kept alive by name
    simulator, store = opened(tmp_path, clock)
    simulator.add_account("desk", KEY, SECRET)
    desk = Desk(simulator, clock)
    listen_key = desk.ask("POST", "/fapi/v1/listenKey")["listenKey"]
    desk.ask("PUT", "/fapi/v1/listenKey", listenKey=listen_key)
    store.close()

    # Then what is written for others to read holds neither, and what holds them is for its owner alone
    for name in ("journal.jsonl", "requests.jsonl"):
        text = (tmp_path / name).read_text()
        assert SECRET not in text
        assert listen_key not in text
    assert "sha256:" in (tmp_path / "journal.jsonl").read_text()
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600

    # And after a start both are still what they were
    again, store = opened(tmp_path, clock)
    assert Desk(again, clock).ask("POST", "/fapi/v1/listenKey")["listenKey"] == listen_key
    store.close()
