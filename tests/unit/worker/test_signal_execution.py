"""Signals carried out: sized and checked for each account by itself, once, also when somebody dies in between."""

from __future__ import annotations

import pkgutil
import threading
from datetime import timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Any

import pytest

from accounts.models import ExchangeAccount
from accounts.services import account_add
from exchange.types import OrderType, Side
from orders import services
from orders.exchange_data.clock import db_now
from orders.models import TrioOrder
from orders.wishes import seen_now
from signals.domain.enums import Origin, Outcome
from signals.domain.refusals import RefusalKind
from signals.domain.terms import Level, LevelKind, Size, SizeKind, Terms
from signals.models import Signal, SignalResult
from signals.services import drafts_claim, result_end, signal_record, signals_waiting
from tests.builders import Desk
from worker.order_executor import OrderExecutor
from worker.polls import SignalPoll
from worker.signal_execution import intent_of, signals_execute

D = Decimal
PERCENT = LevelKind.PERCENT


def terms(size: Size | None = None, **said: Any) -> Terms:
    usual: dict[str, Any] = {
        "stop": Level(PERCENT, D(5)),
        "target": Level(LevelKind.R, D(2)),
        "size": size or Size(SizeKind.QUANTITY, D("0.010")),
    }
    return Terms(**(usual | said))


def a_signal(*accounts: ExchangeAccount, key: str = "1", seconds: float = 30, **said: Any) -> Signal:
    usual: dict[str, Any] = {
        "origin": Origin.WEBHOOK,
        "source": "view",
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "terms": terms(),
        "act_before": db_now() + timedelta(seconds=seconds),
    }
    signal, is_new = signal_record(key=key, accounts=accounts, **(usual | said))
    assert is_new
    return signal


def the_result(signal: Signal) -> SignalResult:
    return SignalResult.objects.get(signal=signal)


def entries(desk: Desk) -> list[Any]:
    return [e for e in desk.requests(path="/fapi/v1/order") if e.params.get("type") == "MARKET"]


def add_desk(desk: Desk, name: str, balance: str) -> Desk:
    key = f"paper-key-of-{name}"
    desk.simulator.add_account(name, key, "its-secret", balance=balance)
    account = account_add(name=name, environment="PAPER", api_key=key, api_secret="its-secret")
    return Desk(desk.simulator, account, key).watched()


def test_a_signal_becomes_one_trio_with_its_source_and_deadline(desk: Desk) -> None:
    signal = a_signal(desk.account)

    signals_execute([signal.pk])

    result = the_result(signal)
    assert result.outcome == Outcome.PLACED, result.facts
    trio = result.trio
    assert trio is not None
    assert (trio.source, trio.place_before) == ("hook:view", signal.act_before)
    assert (trio.quantity, trio.stop_loss, trio.take_profit) == (D("0.010"), D("95000"), D("110000"))
    assert desk.simulator.position("BTCUSDT").quantity == D("0.010")
    signal.refresh_from_db()
    assert signal.status == "DONE"
    assert signals_waiting() == []


def test_the_same_bar_again_is_the_same_signal(desk: Desk) -> None:
    first = a_signal(desk.account)
    again, is_new = signal_record(
        origin=Origin.WEBHOOK, source="view", key="1", symbol="BTCUSDT", accounts=[desk.account],
        act_before=db_now(),
    )  # fmt: skip

    assert (again.pk, is_new) == (first.pk, False)
    signals_execute([first.pk])
    signals_execute([first.pk])
    assert TrioOrder.objects.count() == 1


def test_executing_from_many_threads_places_one_trio(desk: Desk) -> None:
    from django.db import connection

    signal = a_signal(desk.account)
    ready = threading.Barrier(4)

    def run() -> None:
        try:
            ready.wait()
            signals_execute([signal.pk])
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert TrioOrder.objects.count() == 1
    assert the_result(signal).outcome == Outcome.PLACED, the_result(signal).facts
    desk.carry_until(TrioOrder.objects.get(), "OPEN")
    assert desk.simulator.position("BTCUSDT").quantity == D("0.010")
    assert len(entries(desk)) == 1


def test_five_accounts_are_sized_and_refused_each_by_itself_with_one_balance_read(desk: Desk) -> None:
    # Given accounts with different money, one switched off, and one of whom the exchange says nothing
    rich, poor = add_desk(desk, "rich", "500000"), add_desk(desk, "poor", "50")
    off, mute = add_desk(desk, "off", "1000"), add_desk(desk, "mute", "1000")
    ExchangeAccount.objects.filter(pk=off.account.pk).update(is_active=False)
    desk.simulator.fault(
        {"method": "GET", "path": "*/balance", "account": "mute"},
        {"do": "answer", "status": 503, "body": "", "execute": False},
    )
    desks = (desk, rich, poor, off, mute)
    before = [sum(e.path.endswith("/balance") for e in desk.simulator.log)]
    signal = a_signal(
        *(each.account for each in desks), terms=terms(Size(SizeKind.RISK, D(1)), stop=Level(PERCENT, D(5)))
    )

    signals_execute([signal.pk])

    found = {r.account.name: r for r in SignalResult.objects.select_related("account", "trio")}
    assert {name: (r.outcome, r.refusal) for name, r in found.items()} == {
        "desk": ("PLACED", ""),
        "rich": ("PLACED", ""),
        "poor": ("REFUSED", "SIZE_TOO_SMALL"),
        "off": ("REFUSED", "ORDER_REFUSED"),
        "mute": ("REFUSED", "BALANCE_UNREAD"),
    }
    # 1 % of 100000, and of 500000, over a loss of 5097.5 for each
    assert found["desk"].trio
    assert found["desk"].trio.quantity == D("0.196")
    assert found["rich"].trio
    assert found["rich"].trio.quantity == D("0.980")
    assert TrioOrder.objects.count() == 2
    assert sum(e.path.endswith("/balance") for e in desk.simulator.log) - before[0] == len(desks)


def test_what_is_late_places_nothing(desk: Desk) -> None:
    signal = a_signal(desk.account, seconds=-1)

    signals_execute([signal.pk])

    result = the_result(signal)
    assert (result.outcome, result.refusal) == (Outcome.TOO_LATE, RefusalKind.TOO_LATE)
    assert int(result.facts["late_ms"]) >= 1000
    assert not TrioOrder.objects.exists()
    assert desk.requests(path="/fapi/v1/") == []


def test_killed_after_the_draft_was_named_it_is_queued_once_by_the_next(desk: Desk) -> None:
    # Given a process that died between its draft and the queue
    signal = a_signal(desk.account)
    intent = intent_of(the_result(signal))
    drafts, _ = OrderExecutor(desk.account)._drafts([(0, intent)], _batch(desk))
    assert intent.result_id is not None
    assert drafts_claim({intent.result_id: drafts[0]}) == {intent.result_id}
    assert entries(desk) == []

    signals_execute([signal.pk])
    signals_execute([signal.pk])

    assert the_result(signal).outcome == Outcome.PLACED
    assert TrioOrder.objects.count() == 1
    assert len(entries(desk)) == 1


def test_a_claimed_result_is_claimed_by_nobody_else(desk: Desk) -> None:
    signal = a_signal(desk.account)
    result = the_result(signal)
    assert drafts_claim({result.pk: _draft(desk)}) == {result.pk}
    assert drafts_claim({result.pk: _draft(desk)}) == set()
    assert TrioOrder.objects.count() == 1


def test_killed_after_placing_it_is_noted_as_placed_and_not_placed_again(desk: Desk) -> None:
    signal = a_signal(desk.account)
    result = the_result(signal)
    draft = _draft(desk)
    drafts_claim({result.pk: draft})
    desk.placed(draft)

    signals_execute([signal.pk])

    assert the_result(signal).outcome == Outcome.PLACED
    assert len(entries(desk)) == 1


def test_a_draft_left_behind_past_its_time_goes(desk: Desk) -> None:
    signal = a_signal(desk.account, seconds=-1)
    result = the_result(signal)
    drafts_claim({result.pk: _draft(desk)})

    signals_execute([signal.pk])

    assert the_result(signal).outcome == Outcome.TOO_LATE
    assert not TrioOrder.objects.exists()


def test_a_result_ends_once_and_a_placed_trio_wins(desk: Desk) -> None:
    signal = a_signal(desk.account)
    result = the_result(signal)
    draft = _draft(desk)
    drafts_claim({result.pk: draft})
    desk.placed(draft)

    # one that lost the race for the queue thinks that it was refused
    assert (
        result_end(result.pk, Outcome.REFUSED, kind=RefusalKind.ORDER_REFUSED, facts={"text": "x"})
        == "PLACED"
    )
    assert result_end(result.pk, Outcome.TOO_LATE) == "PLACED"
    assert the_result(signal).trio == draft


def test_a_taken_slot_is_noted_and_a_later_free_slot_revives_nothing(desk: Desk) -> None:
    # Case 20
    held = desk.placed(desk.a_trio())
    signal = a_signal(desk.account)
    signals_execute([signal.pk])
    assert (the_result(signal).outcome, the_result(signal).trio) == (Outcome.SLOT_TAKEN, None)

    services.trio_close(trio_id=held.pk, by="test")
    desk.carry_until(held, "CLOSED")
    signals_execute([signal.pk])
    poll = SignalPoll()
    poll._look()
    poll.stop()

    assert TrioOrder.objects.count() == 1


def test_a_strategys_dry_run_says_what_it_would_place_and_sends_nothing(desk: Desk) -> None:
    signal = a_signal(desk.account, dry_run=True)
    signals_execute([signal.pk])

    result = the_result(signal)
    assert result.outcome == Outcome.DRY_RUN
    assert (result.facts["quantity"], result.facts["stop_loss"]) == ("0.01", "95000")
    assert result.facts["loss_at_stop"] == "50.98"  # with both fees
    assert not TrioOrder.objects.exists()
    assert desk.requests(path="/fapi/v1/") == []


def test_a_dry_run_is_checked_like_the_real_thing(desk: Desk) -> None:
    signal = a_signal(desk.account, dry_run=True, terms=terms(Size(SizeKind.QUANTITY, D(5000))))
    signals_execute([signal.pk])
    assert the_result(signal).outcome == Outcome.REFUSED


def test_a_stop_entry_is_worked_out_from_its_trigger_and_waits_for_it(desk: Desk) -> None:
    # Given a signal that buys above the market, risking 1 % between its trigger and the stop
    waits = terms(
        Size(SizeKind.RISK, D(1)), entry_type=OrderType.STOP_MARKET, trigger=D("101000.01"), stop=Level(PERCENT, D(1)),
        protection="ON_FIRST_FILL",
    )  # fmt: skip
    rehearsed = a_signal(desk.account, key="rehearsed", dry_run=True, terms=waits)
    signal = a_signal(desk.account, terms=waits)
    signals_execute([rehearsed.pk, signal.pk])

    planned, trio = the_result(rehearsed).facts, TrioOrder.objects.get()
    assert (planned["entry_type"], planned["trigger_price"]) == ("STOP_MARKET", "101000.1")
    assert (trio.state, trio.trigger_price, trio.stop_loss) == ("WORKING", D("101000.1"), D("99990.1"))
    assert planned["quantity"] == format(trio.quantity.normalize(), "f")
    assert 990 < D(planned["loss_at_stop"]) <= 1000

    # When the price reaches it, then it is open and covered
    desk.simulator.set_price("BTCUSDT", "101001")
    desk.carry_until(trio, "OPEN")
    assert seen_now(trio.pk, db_now())[1].position == trio.quantity


@pytest.mark.parametrize(
    ("side", "trigger", "words"),
    [
        (Side.BUY, "99999", "A stop entry to BUY waits above the mark price 100000: 100000.1 is the nearest"),
        (
            Side.SELL,
            "100000",
            "A stop entry to SELL waits below the mark price 100000: 99999.9 is the nearest",
        ),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_trigger_that_was_reached_already_is_refused_with_the_nearest(
    desk: Desk, side: Side, trigger: str, words: str, dry_run: bool
) -> None:
    waits = terms(entry_type=OrderType.STOP_MARKET, trigger=D(trigger))
    signal = a_signal(desk.account, side=side, terms=waits, dry_run=dry_run)
    signals_execute([signal.pk])

    result = the_result(signal)
    assert (result.outcome, result.refusal) == (Outcome.REFUSED, RefusalKind.ORDER_REFUSED)
    assert words in result.facts["text"]
    assert not TrioOrder.objects.exists()


def test_the_poll_finds_a_signal_whose_job_was_lost(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.polls.HEAD_START_SECONDS", 0)
    signal = a_signal(desk.account)
    poll = SignalPoll()
    poll.poll()
    poll.stop()

    assert the_result(signal).outcome == Outcome.PLACED


def test_a_young_signal_is_left_to_its_job(desk: Desk) -> None:
    a_signal(desk.account)
    assert signals_waiting(for_seconds=5) == []
    assert len(signals_waiting()) == 1


@pytest.mark.parametrize("price", ["101000", "99000"])
def test_a_percent_of_the_equity_is_of_the_wallet_and_of_what_is_open(desk: Desk, price: str) -> None:
    # Given 0.100 BTC long, and a price that has moved by a percent
    held = desk.placed(desk.a_trio(quantity=D("0.100")))
    desk.simulator.set_price("BTCUSDT", price)
    desk.simulator.set_price("ETHUSDT", "4000")
    desk.sweep()
    assert held.state == "OPEN"
    fee = D("0.1") * 100000 * D("0.0005")
    equity = D(100_000) - fee + D("0.1") * (D(price) - 100_000)

    signal = a_signal(desk.account, symbol="ETHUSDT", dry_run=True, terms=terms(Size(SizeKind.EQUITY, D(10))))
    signals_execute([signal.pk])

    result = the_result(signal)
    wanted = (equity / 10 / 4000).quantize(D("0.001"), ROUND_FLOOR)
    assert (result.outcome, D(result.facts["quantity"])) == (Outcome.DRY_RUN, wanted), result.facts


def test_signals_of_one_batch_share_the_balance_read_and_what_it_leaves(desk: Desk) -> None:
    desk.simulator.set_price("ETHUSDT", "4000")
    desk.sweep()
    half = Size(SizeKind.EQUITY, D(60))
    first = a_signal(desk.account, key="1", terms=terms(half))
    second = a_signal(desk.account, key="2", symbol="ETHUSDT", terms=terms(half))
    from accounts.models import SymbolSetting

    SymbolSetting.objects.filter(account=desk.account).update(leverage=1)
    before = sum(e.path.endswith("/balance") for e in desk.simulator.log)

    signals_execute([first.pk, second.pk])

    assert the_result(first).outcome == Outcome.PLACED
    assert (the_result(second).outcome, the_result(second).refusal) == ("REFUSED", "SIZE_ABOVE_MARGIN")
    assert sum(e.path.endswith("/balance") for e in desk.simulator.log) == before + 1


def _draft(desk: Desk) -> TrioOrder:
    return services.trio_draft(
        account=desk.account, symbol=services.symbol_get("PAPER", "BTCUSDT"), side="BUY",
        quantity=D("0.010"), stop_loss=D(95000), take_profit=D(110000),
    )  # fmt: skip


def _batch(desk: Desk) -> Any:
    from worker.order_executor import Batch

    return Batch(OrderExecutor(desk.account)._funds())


class Killed(BaseException):
    """The process is gone: nothing of its own code runs any more."""


@pytest.mark.parametrize(
    ("where", "when"),
    [
        ("worker.order_executor.drafts_claim", "before"),
        ("worker.order_executor.drafts_claim", "after"),
        ("orders.services.trios_queue", "before"),
        ("orders.services.trios_queue", "after"),
        ("orders.placement.service.OrderPlacementService.advance", "before"),
        ("orders.placement.service.OrderPlacementService.advance", "after"),
        ("worker.signal_execution.result_end", "before"),
        ("worker.signal_execution.result_end", "after"),
        ("worker.signal_execution.signals_end", "before"),
    ],
)
def test_killed_anywhere_it_is_one_trio_with_one_entry_and_nothing_is_lost(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, where: str, when: str
) -> None:
    signal = a_signal(desk.account)
    module, _, name = where.rpartition(".")
    owner = pkgutil.resolve_name(module)
    does = getattr(owner, name)

    def killed(*given: Any, **said: Any) -> Any:
        if when == "after":
            does(*given, **said)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, killed)
        with pytest.raises(Killed):
            signals_execute([signal.pk])

    # When the next process looks for what waits
    for _ in range(2):
        signals_execute(signals_waiting())

    assert the_result(signal).outcome == Outcome.PLACED, the_result(signal).facts
    assert signals_waiting() == []
    desk.carry_until(TrioOrder.objects.get(), "OPEN")
    assert len(entries(desk)) == 1
    assert desk.simulator.position("BTCUSDT").quantity == D("0.010")


def test_killed_while_it_refuses_the_draft_is_not_left_behind(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.placed(desk.a_trio())
    signal = a_signal(desk.account)
    with monkeypatch.context() as patched:
        patched.setattr("worker.signal_execution.result_end", _killed)
        with pytest.raises(Killed):
            signals_execute([signal.pk])
    assert TrioOrder.objects.filter(state="DRAFT").count() == 1

    signals_execute(signals_waiting())

    assert the_result(signal).outcome == Outcome.SLOT_TAKEN
    assert not TrioOrder.objects.filter(state="DRAFT").exists()


def _killed(*_: Any, **__: Any) -> None:
    raise Killed
