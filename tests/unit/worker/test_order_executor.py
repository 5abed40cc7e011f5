"""A batch of intents: one balance read, reserved trio by trio, and one failure never stops the next."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from accounts.models import SymbolSetting
from exchange.types import Side
from orders.models import TrioOrder
from tests.builders import Desk
from worker.order_executor import Intent, OrderExecutor

D = Decimal


def btc(**said: Any) -> Intent:
    usual: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "quantity": D("0.010"),
        "stop_loss": D("95000"),
        "take_profit": D("110000"),
    }
    return Intent(**(usual | said))


def eth(**said: Any) -> Intent:
    usual: dict[str, Any] = {
        "symbol": "ETHUSDT",
        "quantity": D("1"),
        "stop_loss": D("3800"),
        "take_profit": D("4400"),
    }
    return btc(**(usual | said))


@pytest.fixture
def executor(desk: Desk) -> OrderExecutor:
    desk.simulator.set_price("ETHUSDT", "4000")
    desk.sweep()
    return OrderExecutor(desk.account)


def leverage(desk: Desk, symbol: str, times: int) -> None:
    SymbolSetting.objects.filter(account=desk.account, symbol=symbol).update(leverage=times)


def balance_reads(desk: Desk) -> int:
    return len([e for e in desk.simulator.log if e.path.endswith("/balance")])


def test_success_places_every_intent_through_the_service(desk: Desk, executor: OrderExecutor) -> None:
    first, second = executor.execute([btc(), eth()])

    assert (first.placed, second.placed) == (True, True), (first.reason, second.reason)
    assert desk.simulator.position("BTCUSDT").quantity == D("0.010")
    assert desk.simulator.position("ETHUSDT").quantity == D("1")
    assert len(desk.resting) == 4


def test_the_balance_is_read_once_for_the_whole_batch(desk: Desk, executor: OrderExecutor) -> None:
    before = balance_reads(desk)
    executor.execute([btc(), eth()])
    assert balance_reads(desk) == before + 1


def test_a_refused_take_profit_rolls_back_and_gives_its_reservation_back(
    desk: Desk, executor: OrderExecutor
) -> None:
    # Given money for one of the two, and an exchange that refuses the first one's target
    leverage(desk, "BTCUSDT", 1)
    leverage(desk, "ETHUSDT", 1)
    desk.simulator.refuses("TAKE_PROFIT_MARKET", code=-2010, symbol="BTCUSDT")

    # When both are wanted
    first, second = executor.execute([btc(quantity=D("0.600")), eth(quantity=D("15"))])

    # Then the first leaves nothing behind, and the second has the money
    assert (first.state, first.reserved) == ("ROLLED_BACK", D(0))
    assert "refused the take-profit" in first.reason
    assert desk.simulator.position("BTCUSDT").is_flat
    assert second.placed, second.reason
    assert desk.simulator.position("ETHUSDT").quantity == D("15")


def test_what_is_reserved_for_one_is_not_there_for_the_next(desk: Desk, executor: OrderExecutor) -> None:
    leverage(desk, "BTCUSDT", 1)
    leverage(desk, "ETHUSDT", 1)

    first, second = executor.execute([btc(quantity=D("0.600")), eth(quantity=D("15"))])

    assert first.placed
    assert second.trio_id is None
    assert "only 39970 USDT are free" in second.reason
    assert desk.simulator.position("ETHUSDT").is_flat


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (btc(symbol="NOSUCH"), "not a symbol"),
        (btc(stop_loss=D("101000")), "wrong side"),
        (btc(quantity=D("0.001")), "too small"),
        (btc(take_profit=D("110000.05")), "ticks"),
    ],
)
def test_a_bad_intent_keeps_no_row_and_the_next_is_served(
    desk: Desk, executor: OrderExecutor, bad: Intent, sentence: str
) -> None:
    first, second = executor.execute([bad, eth()])

    assert first.trio_id is None
    assert sentence in first.reason
    assert second.placed, second.reason
    assert TrioOrder.objects.count() == 1


def test_a_taken_slot_is_told_and_the_first_trio_is_untouched(desk: Desk, executor: OrderExecutor) -> None:
    first, second = executor.execute([btc(), btc()])

    assert first.placed
    assert second.trio_id is None
    assert "is taken by trio" in second.reason
    assert desk.simulator.position("BTCUSDT").quantity == D("0.010")


def test_an_unreadable_balance_places_nothing(desk: Desk, executor: OrderExecutor) -> None:
    desk.simulator.fault(
        {"method": "GET", "path": "*/balance"}, {"do": "answer", "status": 503, "body": "", "execute": False}
    )

    (only,) = executor.execute([btc()])

    assert only.trio_id is None
    assert "balance could not be read" in only.reason
    assert desk.resting == []


def test_a_refused_entry_takes_its_armed_legs_off_and_the_next_is_served(
    desk: Desk, executor: OrderExecutor
) -> None:
    desk.simulator.fault(
        {"method": "POST", "path": "/fapi/v1/order", "symbol": "BTCUSDT"}, {"do": "refuse", "code": -2019}
    )
    first, second = executor.execute([btc(), eth()])

    assert first.state == "ROLLED_BACK"
    assert second.placed, second.reason
    assert len(desk.resting) == 2


def test_no_intents_cost_no_request(desk: Desk, executor: OrderExecutor) -> None:
    before = len(desk.simulator.log)
    assert executor.execute([]) == []
    assert len(desk.simulator.log) == before


def test_a_slot_given_back_is_taken_by_the_next_of_the_batch(desk: Desk, executor: OrderExecutor) -> None:
    # Given an exchange that refuses the first entry, and two intents for one slot
    desk.simulator.refuses("MARKET", code=-2019, occurrence=1)
    first, second = executor.execute([btc(), btc(quantity=D("0.020"))])

    assert first.state == "ROLLED_BACK"
    assert second.placed, second.reason
    assert desk.simulator.position("BTCUSDT").quantity == D("0.020")


def test_a_long_batch_is_queued_in_sets_and_reserves_from_one_to_the_next(
    desk: Desk, executor: OrderExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given sets of one, and money for one of the two
    monkeypatch.setattr("worker.order_executor.SET_MAX", 1)
    leverage(desk, "BTCUSDT", 1)
    leverage(desk, "ETHUSDT", 1)
    before = balance_reads(desk)

    first, second = executor.execute([btc(quantity=D("0.600")), eth(quantity=D("15"))])

    assert first.placed
    assert "only 39970 USDT are free" in second.reason
    assert balance_reads(desk) == before + 1
    assert TrioOrder.objects.count() == 1
