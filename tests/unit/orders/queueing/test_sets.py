"""Trios queued as one set: read once, decided for each, and one that is refused stops no other."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts import gateways
from accounts.models import ExchangeAccount, LeverageBrackets
from accounts.services import account_add
from accounts.symbol_settings import symbol_setting_want
from infrastructure import job_queue
from orders.domain.errors import IllegalTransition, MarketUnread, RuleBroken, SlotTaken, TrioRefused
from orders.exchange_data.clock import db_now, exchange_now_ms
from orders.installation import install_row
from orders.models import Slot, TrioOrder
from orders.queueing import market, queue, surroundings
from orders.services import QueueResult, trio_queue, trios_queue
from orders.specs import spec_shown
from tests.builders import Desk, story, the

ETH: dict[str, Any] = {"quantity": D("0.3"), "stop_loss": D("2300"), "take_profit": D("2600")}
ADA: dict[str, Any] = {"quantity": D("100"), "stop_loss": D("0.9"), "take_profit": D("1.2")}


@pytest.fixture
def drafts(desk: Desk) -> list[TrioOrder]:
    """Three drafts of one account that can all be placed."""
    desk.simulator.set_price("ETHUSDT", "2500")
    desk.simulator.set_price("ADAUSDT", "1")
    return [desk.a_trio(), desk.a_trio("ETHUSDT", **ETH), desk.a_trio("ADAUSDT", **ADA)]


def queued(trios: Iterable[TrioOrder], **said: Any) -> list[QueueResult]:
    return trios_queue([trio.pk for trio in trios], by="test", **said)


def states(trios: Iterable[TrioOrder]) -> list[str]:
    return [the(trio).state for trio in trios]


def asked(desk: Desk, path: str) -> int:
    return len(desk.requests("GET", path))


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Have something happen once while the exchange is asked: after the first look, before the rows are locked."""
    real, once = market.readings, [happens]

    def readings(*args: Any, **said: Any) -> Any:
        found = real(*args, **said)
        if once:
            once.pop()()
        return found

    monkeypatch.setattr(queue, "readings", readings)


def another_account(desk: Desk) -> ExchangeAccount:
    desk.simulator.add_account("other", "other-key-for-tests", "other-secret-for-tests", balance="100000")
    return account_add(
        name="other", environment="PAPER", api_key="other-key-for-tests", api_secret="other-secret-for-tests"
    )


# --- what becomes of each -------------------------------------------------------------------------


def test_one_that_is_refused_stops_no_other(desk: Desk, drafts: list[TrioOrder], redis_queue: Any) -> None:
    # Given three drafts, the second with its stop on the wrong side
    TrioOrder.objects.filter(pk=drafts[1].pk).update(stop_loss=D("2550"))

    # When they are queued
    before = db_now()
    first, second, third = queued(drafts)

    # Then each is said what became of it, and the two have all that a queued trio has
    assert states(drafts) == ["QUEUED", "DRAFT", "QUEUED"]
    assert (first.error, third.error) == (None, None)
    assert isinstance(second.error, RuleBroken)
    assert "wrong side" in str(second.error)
    for trio, result in ((drafts[0], first), (drafts[2], third)):
        assert story(trio) == "DRAFT → QUEUED by test."
        assert trio.events.get().data == {"by": "test"}
        assert trio.queued_at is not None
        assert trio.queued_at >= before
        assert trio.place_before == trio.queued_at + timedelta(seconds=60)
        assert trio.wake_at == trio.queued_at + timedelta(milliseconds=500)
        assert trio.holds_slot
        assert trio.slot is not None
        assert trio.slot.symbol == trio.symbol.symbol
        assert trio.margin_promised > 0
        assert result.trio == trio
        assert result.trio is not None
        assert result.trio.place_before == trio.place_before
    assert [job.args for job in redis_queue.jobs] == [[drafts[0].pk, drafts[2].pk]]
    # … and they can be placed
    for trio in (drafts[0], drafts[2]):
        desk.advance(trio)
        desk.carry_until(trio, "OPEN")


def test_margin_is_promised_from_trio_to_trio(desk: Desk, drafts: list[TrioOrder]) -> None:
    # Given 80 of margin, for trios that need 50.5, about 38 and about 5
    desk.simulator.ex.by_key[desk.api_key].account.wallets["USDT"] = D(80)
    TrioOrder.objects.filter(pk=drafts[0].pk).update(stop_loss=D("98000"))
    TrioOrder.objects.filter(pk=drafts[2].pk).update(stop_loss=D("0.99"))

    first, second, third = queued(drafts)

    # Then the one that no longer fits is refused, and what still fits is not
    assert states(drafts) == ["QUEUED", "DRAFT", "QUEUED"], (first, second, third)
    assert isinstance(second.error, RuleBroken)
    assert second.error.field == "quantity"
    assert "only 29.5 USDT are free (50.5 more are promised to trios on their way)" in str(second.error)


def test_margin_is_promised_from_one_transaction_of_a_long_set_to_the_next(
    desk: Desk, drafts: list[TrioOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a set that takes a transaction for each trio, and a worker that is quick: the first one's margin is the
    # exchange's matter before the second is decided, by a balance that was read before
    monkeypatch.setattr(queue, "AT_ONCE_MAX", 1)
    desk.simulator.ex.by_key[desk.api_key].account.wallets["USDT"] = D(80)
    TrioOrder.objects.filter(pk=drafts[0].pk).update(stop_loss=D("98000"))
    TrioOrder.objects.filter(pk=drafts[1].pk).update(stop_loss=D("2490"))

    def place_at_once(*_: Any) -> None:
        transaction.on_commit(lambda: TrioOrder.objects.filter(state="QUEUED").update(state="OPEN"))

    monkeypatch.setattr(job_queue, "ring_all", place_at_once)

    first, second = queued(drafts[:2])

    assert first.error is None
    assert "only 29.5 USDT are free (50.5 more are promised to trios on their way)" in str(second.error)


def test_one_slot_is_taken_once(desk: Desk, drafts: list[TrioOrder]) -> None:
    same = desk.a_trio()
    first, second, _ = queued([drafts[0], same, drafts[1]])
    assert first.error is None
    assert isinstance(second.error, SlotTaken)
    assert f"is taken by trio {drafts[0].pk} (QUEUED)" in str(second.error)
    assert states([same, drafts[1]]) == ["DRAFT", "QUEUED"]


def test_what_is_no_draft_or_does_not_exist_is_said(desk: Desk, drafts: list[TrioOrder]) -> None:
    trio_queue(trio_id=drafts[0].pk, by="test")
    placed, missing, fine = trios_queue([drafts[0].pk, 999_999, drafts[1].pk], by="test")
    assert isinstance(placed.error, IllegalTransition)
    assert "never placed twice" in str(placed.error)
    assert isinstance(missing.error, TrioOrder.DoesNotExist)
    assert fine.error is None
    assert trios_queue([], by="test") == []


def test_what_changed_since_it_was_seen_is_not_placed(desk: Desk, drafts: list[TrioOrder]) -> None:
    seen = {trio.pk: spec_shown(trio) for trio in drafts}
    TrioOrder.objects.filter(pk=drafts[0].pk).update(quantity=D("0.05"))
    first, second, _ = queued(drafts, seen=seen)
    assert "quantity 0.01 → 0.05" in str(first.error)
    assert second.error is None


def test_an_account_that_cannot_be_asked_refuses_its_own_only(desk: Desk, drafts: list[TrioOrder]) -> None:
    # Given a draft on another account, whose key cannot be read
    other = another_account(desk)
    TrioOrder.objects.filter(pk=drafts[1].pk).update(account=other)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_credential SET api_key = 'AAAA' WHERE account_id = %s", [other.pk])
    gateways.forget(other.pk)

    first, second, third = queued(drafts)

    assert (first.error, third.error) == (None, None)
    assert isinstance(second.error, MarketUnread)
    assert "ETHUSDT could not be asked about (PAPER)" in str(second.error)


def test_leverage_that_cannot_be_set_refuses_its_symbol_only(desk: Desk, drafts: list[TrioOrder]) -> None:
    symbol_setting_want(desk.account, "ETHUSDT", leverage=200, margin_type=None)
    symbol_setting_want(desk.account, "ADAUSDT", leverage=7, margin_type=None)
    first, second, third = queued(drafts)
    assert (first.error, third.error) == (None, None)
    assert isinstance(second.error, TrioRefused)
    assert "Nothing was placed" in str(second.error)
    assert desk.account.symbol_settings.get(symbol="ADAUSDT").leverage == 7


# --- between the look and the lock, and two at once --------------------------------------------------


def test_two_sets_at_once_place_each_trio_once(
    desk: Desk, drafts: list[TrioOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given two who have both found the drafts placeable, in opposite orders
    both, real = threading.Barrier(2), market.readings

    def readings(*args: Any, **said: Any) -> Any:
        found = real(*args, **said)
        both.wait(timeout=20)
        return found

    monkeypatch.setattr(queue, "readings", readings)

    def place(trios: list[TrioOrder]) -> list[QueueResult]:
        try:
            return queued(trios)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        results = [*pool.map(place, (drafts, drafts[::-1]))]

    # Then each is queued once, by one of them, and the other is told
    assert states(drafts) == ["QUEUED"] * 3
    for trio in drafts:
        assert trio.events.count() == 1
        ends = [result.error for found in results for result in found if result.trio_id == trio.pk]
        assert sorted(type(error).__name__ for error in ends) == ["IllegalTransition", "NoneType"]


def test_a_draft_that_changes_while_it_is_checked_is_not_placed(
    desk: Desk, drafts: list[TrioOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    changing = TrioOrder.objects.filter(pk=drafts[0].pk)
    meanwhile(monkeypatch, lambda: changing.update(quantity=D("0.02")))
    first, second, _ = queued(drafts)
    assert "changed while it was being checked" in str(first.error)
    assert states(drafts) == ["DRAFT", "QUEUED", "QUEUED"]
    assert second.error is None


def test_margin_that_was_promised_while_the_exchange_was_asked_is_not_promised_again(
    desk: Desk, drafts: list[TrioOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.simulator.ex.by_key[desk.api_key].account.wallets["USDT"] = D(80)
    TrioOrder.objects.update(stop_loss=D("98000"))
    TrioOrder.objects.filter(pk=drafts[1].pk).update(stop_loss=D("2490"))
    meanwhile(monkeypatch, lambda: trio_queue(trio_id=drafts[0].pk, by="somebody else"))
    (result,) = queued([drafts[1]])
    assert "only 29.5 USDT are free (50.5 more are promised" in str(result.error)
    assert states(drafts[:2]) == ["QUEUED", "DRAFT"]


def test_a_switch_thrown_while_the_exchange_was_asked_counts(
    desk: Desk, drafts: list[TrioOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, lambda: ExchangeAccount.objects.update(is_active=False))
    assert all("switched off" in str(result.error) for result in queued(drafts))
    assert states(drafts) == ["DRAFT"] * 3


def test_the_constraint_on_slots_refuses_one_and_not_the_set(
    desk: Desk, drafts: list[TrioOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given two drafts for one slot that were both found placeable
    monkeypatch.setattr(queue, "slot_check", lambda trio, around, holder: None)
    same = desk.a_trio()

    results = queued([drafts[0], same, drafts[1]])

    assert states([drafts[0], same, drafts[1]]) == ["QUEUED", "DRAFT", "QUEUED"]
    assert "taken by another trio" in str(results[1].error)
    assert [trio.events.count() for trio in (drafts[0], same, drafts[1])] == [1, 0, 1]


def test_a_draft_that_somebody_holds_keeps_no_other_waiting(
    desk: Desk, drafts: list[TrioOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "PERSON_WAITS_SECONDS", 1)
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            TrioOrder.objects.select_for_update().get(pk=drafts[0].pk)
            held.set()
            go_on.wait(timeout=20)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(timeout=10)
    try:
        results = queued(drafts)
    finally:
        go_on.set()
        holder.join()
    assert "holds it now" in str(results[0].error)
    assert states(drafts) == ["DRAFT", "QUEUED", "QUEUED"]


def test_a_set_that_is_cut_off_leaves_drafts(
    desk: Desk, drafts: list[TrioOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(job_queue, "ring_all", cut_off)  # after the last write, before the commit
        with pytest.raises(KeyboardInterrupt):
            queued(drafts)
    assert states(drafts) == ["DRAFT"] * 3
    assert [trio.events.count() for trio in drafts] == [0] * 3
    assert [result.error for result in queued(drafts)] == [None] * 3


# --- what it costs ----------------------------------------------------------------------------------


def test_a_set_in_one_account_costs_one_read_of_the_balance_and_one_of_the_prices(
    desk: Desk, drafts: list[TrioOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orders.queueing.market.ONE_BY_ONE_MAX", 2)
    install_row()
    trio_queue(trio_id=desk.a_trio().pk, by="test")  # its account's brackets are kept from now on
    TrioOrder.objects.filter(state="QUEUED").update(state="CANCELLED", holds_slot=False)
    before = len(desk.simulator.log)

    with CaptureQueriesContext(connection) as statements:
        queued(drafts)

    assert sorted(entry.path for entry in desk.simulator.log[before:]) == [
        "/fapi/v1/premiumIndex",
        "/fapi/v3/balance",
    ]
    assert len(statements) <= 4 * len(drafts), [query["sql"] for query in statements.captured_queries]
    assert states(drafts) == ["QUEUED"] * 3


def test_a_few_prices_are_asked_for_by_name(desk: Desk, drafts: list[TrioOrder]) -> None:
    before = asked(desk, "/fapi/v1/premiumIndex")
    queued(drafts[:2])
    assert asked(desk, "/fapi/v1/premiumIndex") == before + 2


def test_a_price_of_the_stream_is_not_asked_for_unless_it_is_old(desk: Desk, drafts: list[TrioOrder]) -> None:
    # Given slots that the price stream has just written to, one of them a while ago
    now = exchange_now_ms("PAPER")
    for trio, age_ms in zip(drafts, (0, 0, 60_000), strict=True):
        Slot.objects.update_or_create(
            account=desk.account, symbol=trio.symbol.symbol, position_side="BOTH",
            defaults={"mark_price": {"BTCUSDT": D("94000")}.get(trio.symbol.symbol, D("2500")), "mark_as_of": now - age_ms},
        )  # fmt: skip
    before = len(desk.simulator.log)

    first, second, third = queued(drafts)

    # Then those prices are believed, and only the old one is read
    assert "mark price 94000" in str(first.error)
    assert (second.error, third.error) == (None, None)
    prices = [entry for entry in desk.simulator.log[before:] if entry.path == "/fapi/v1/premiumIndex"]
    assert len(prices) == 1


def test_one_alone_has_its_price_read_fresh(desk: Desk) -> None:
    # Given a stream that has just brought a price at which it would be refused
    trio = desk.a_trio()
    Slot.objects.update_or_create(
        account=desk.account, symbol="BTCUSDT", position_side="BOTH",
        defaults={"mark_price": D("94000"), "mark_as_of": exchange_now_ms("PAPER")},
    )  # fmt: skip
    desk.queued(trio)


# --- leverage brackets ------------------------------------------------------------------------------


def test_brackets_are_read_once_and_kept(desk: Desk, drafts: list[TrioOrder]) -> None:
    # Given a stop beyond where the position would be liquidated
    desk.simulator.ex.by_key[desk.api_key].account.wallets["USDT"] = D(60)
    TrioOrder.objects.filter(pk=drafts[0].pk).update(stop_loss=D("94000"))
    before = asked(desk, "/fapi/v1/leverageBracket")

    # When it is tried twice
    for _ in range(2):
        with pytest.raises(RuleBroken, match="beyond the estimated liquidation price"):
            desk.queued(drafts[0])

    # Then the brackets of all symbols were read in one request, and are kept for the account
    assert asked(desk, "/fapi/v1/leverageBracket") == before + 1
    kept = LeverageBrackets.objects.filter(account=desk.account)
    assert {row.symbol for row in kept} == {"BTCUSDT", "ETHUSDT", "ADAUSDT"}


def test_without_brackets_nothing_is_estimated(desk: Desk, drafts: list[TrioOrder]) -> None:
    desk.simulator.ex.by_key[desk.api_key].account.wallets["USDT"] = D(60)
    TrioOrder.objects.filter(pk=drafts[0].pk).update(stop_loss=D("94000"))
    desk.simulator.fault({"method": "GET", "path": "*/leverageBracket"}, {"do": "refuse", "code": -1121})
    desk.queued(drafts[0])


def test_a_symbol_that_has_no_brackets_is_not_asked_about_each_time(
    desk: Desk, drafts: list[TrioOrder]
) -> None:
    desk.queued(drafts[0])
    LeverageBrackets.objects.filter(symbol__in=["ETHUSDT", "ADAUSDT"]).delete()
    before = asked(desk, "/fapi/v1/leverageBracket")
    queued(drafts[1:])
    assert asked(desk, "/fapi/v1/leverageBracket") == before
    assert states(drafts) == ["QUEUED"] * 3


def test_a_stamp_is_never_ahead_however_slow_the_database(
    desk: Desk, drafts: list[TrioOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a database that takes 0.3 s for what it is asked
    monkeypatch.setattr(surroundings, "AROUND", f"SELECT pg_sleep(0.3);{surroundings.AROUND}")
    (around,) = surroundings.surroundings(drafts[:1])
    assert around.exchange_ms("PAPER") <= exchange_now_ms("PAPER") + 50


def test_each_question_has_a_stamp_of_its_own(
    desk: Desk, drafts: list[TrioOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a clock that goes on by a second with each look
    (around,) = surroundings.surroundings(drafts[:1])
    seconds = itertools.count(around.read_at)
    monkeypatch.setattr("time.monotonic", lambda: next(seconds))
    ask = market._asking(desk.account, around, funds=None, with_brackets=True)
    stamps: list[int] = []
    exchange = gateways.exchange_for(desk.account.pk)

    def stamped(name: str) -> Callable[..., object]:
        asks = getattr(exchange, name)

        def stamping(*, at: int) -> object:
            stamps.append(at)
            return asks(at=exchange_now_ms("PAPER"))

        return stamping

    for name in ("leverage_brackets", "balances"):
        monkeypatch.setattr(exchange, name, stamped(name))

    # When brackets are asked for, and then the balance
    ask()

    # Then neither has the other's time
    assert len(stamps) == 2
    assert stamps[1] - stamps[0] >= 1000
