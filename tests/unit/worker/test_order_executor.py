"""A batch of intents: one balance read, reserved trio by trio, and one failure never stops the next."""

from __future__ import annotations

import ast
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import SymbolSetting
from exchange.types import Side
from local_servers.manager import CHECKOUT
from orders.models import RiskLimit, TrioOrder
from signals.domain.refusals import RefusalKind
from signals.domain.terms import Level, LevelKind, Size, SizeKind, Terms
from tests.builders import Desk
from worker.order_executor import Execution, Intent, OrderExecutor

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


# --- terms: quantity and levels are worked out --------------------------------------------------


def worked_out(symbol: str = "BTCUSDT", size: Size | None = None, **said: Any) -> Intent:
    usual: dict[str, Any] = {
        "stop": Level(LevelKind.PERCENT, D(5)),
        "target": Level(LevelKind.R, D(2)),
        "size": size or Size(SizeKind.RISK, D(1)),
    }
    return Intent(symbol=symbol, side=Side.BUY, terms=Terms(**(usual | said)))


def trio_of(execution: Execution) -> TrioOrder:
    assert execution.trio_id is not None, execution.reason
    return TrioOrder.objects.get(pk=execution.trio_id)


def test_a_risk_is_worked_out_with_both_fees_and_the_mark_price_is_read_once(
    desk: Desk, executor: OrderExecutor
) -> None:
    before = len(desk.simulator.log)
    first, second = executor.execute([worked_out(), worked_out("ETHUSDT")])

    trios = [trio_of(one) for one in (first, second)]
    # 1 % of 100000 over 5000 + 97.5, and over 200 + 3.9
    assert [(trio.quantity, trio.stop_loss, trio.take_profit) for trio in trios] == [
        (D("0.196"), D(95000), D(110000)), (D("4.904"), D(3800), D(4400)),
    ]  # fmt: skip
    asked = [e.path for e in desk.simulator.log[before:] if e.method == "GET"]
    assert asked.count("/fapi/v1/premiumIndex") == 2  # one for each symbol
    assert sum(path.endswith("/balance") for path in asked) == 1


@pytest.mark.parametrize(
    ("intent", "kind"),
    [
        (worked_out(size=Size(SizeKind.NOTIONAL, D(20))), RefusalKind.SIZE_TOO_SMALL),
        (worked_out(size=Size(SizeKind.EQUITY, D(5000))), RefusalKind.SIZE_ABOVE_MARGIN),
        (worked_out(stop=Level(LevelKind.ATR, D(2))), RefusalKind.LEVEL_UNKNOWN),
        (worked_out(stop=None), RefusalKind.LEVEL_UNKNOWN),
        (worked_out("NOSUCH"), RefusalKind.ORDER_REFUSED),
        (worked_out(stop=Level(LevelKind.PRICE, D(101000)), size=Size(SizeKind.QUANTITY, D("0.01"))), RefusalKind.ORDER_REFUSED),
    ],
)  # fmt: skip
def test_what_cannot_be_worked_out_or_placed_says_why_as_data_and_the_next_is_served(
    desk: Desk, executor: OrderExecutor, intent: Intent, kind: RefusalKind
) -> None:
    first, second = executor.execute([intent, eth()])

    assert first.refused is not None
    assert (first.refused.kind, first.trio_id, first.placed) == (kind, None, False)
    assert first.reason
    assert second.placed, second.reason
    assert TrioOrder.objects.count() == 1


def test_a_size_that_is_to_be_capped_takes_what_is_free_and_no_more(
    desk: Desk, executor: OrderExecutor
) -> None:
    leverage(desk, "BTCUSDT", 1)
    leverage(desk, "ETHUSDT", 1)
    half = Size(SizeKind.EQUITY, D(60), cap=True)
    first, second = executor.execute([worked_out(size=half), worked_out("ETHUSDT", half)])

    assert (first.placed, second.placed) == (True, True), (first.reason, second.reason)
    assert trio_of(first).quantity == D("0.600")
    assert D(9) < trio_of(second).quantity < D(10)  # 39970 are left


def test_a_limit_refuses_with_rule_value_and_limit(desk: Desk, executor: OrderExecutor) -> None:
    RiskLimit.objects.create(account=desk.account, notional_order=D(5000))
    first, second = executor.execute([worked_out(), eth()])

    assert first.refused is not None
    assert first.refused.kind is RefusalKind.LIMIT
    assert (first.refused.facts["rule"], first.refused.facts["value"]) == ("ORDER_NOTIONAL", "19600.00")
    assert second.placed, second.reason


def test_an_exchange_without_a_mark_price_refuses_what_needs_one(desk: Desk, executor: OrderExecutor) -> None:
    desk.simulator.fault(
        {"method": "GET", "path": "/fapi/v1/premiumIndex"},
        {"do": "answer", "status": 503, "body": "", "execute": False},
    )
    (only,) = executor.execute([worked_out()])

    assert only.refused is not None
    assert (only.refused.kind, only.refused.facts["missing"]) == (RefusalKind.LEVEL_UNKNOWN, "the mark price")
    assert not TrioOrder.objects.exists()


def test_only_the_executor_makes_trios_of_signals() -> None:
    """Whoever else would draft or queue in these rooms would go past sizing, reservations and claims."""
    makes = {"trios_queue", "trio_queue", "drafts_claim", "trio_draft"}
    allowed = {
        ("worker/order_executor.py", name) for name in makes
    } | {
        ("signals/files.py", "trio_draft"),  # a preview: never saved
        ("signals/services.py", "drafts_claim"),
    }  # fmt: skip
    found = set()
    for room in ("worker", "signals"):
        for path in (CHECKOUT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
                if name in makes:
                    found.add((str(path.relative_to(CHECKOUT)), name))

    assert found - allowed == set()
    assert ("worker/order_executor.py", "trios_queue") in found, "the test has gone blind"
