"""Limits are checked in begin, under a lock: two that begin at once cannot exceed one together. Nothing else waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import ExchangeAccount
from orders import limits, services
from orders.domain.errors import LimitBroken
from orders.domain.limits import LimitRule
from orders.exchange_data.clock import db_now
from orders.models import FeePrice, Fill, Income, IncomeShare, Leg, RiskLimit, TrioOrder
from orders.placement.service import OrderPlacementService
from tests.builders import Desk, story, the

D = Decimal
DAY_MS = limits.DAY_MS


def limit_set(desk: Desk, source: str = "", **said: Any) -> RiskLimit:
    return RiskLimit.objects.create(account=desk.account, source=source, **said)


def entries(desk: Desk) -> list[Any]:
    return [e for e in desk.requests(path="/fapi/v1/order") if e.params.get("type") in ("MARKET", "LIMIT")]


def queued_unlimited(desk: Desk, *trios: TrioOrder) -> None:
    """Queue them before there are limits, as if a limit had been free then."""
    for trio in trios:
        desk.queued(trio)


def at_once(*calls: Callable[[], object]) -> None:
    ready = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> None:
        try:
            ready.wait()
            call()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def advance_at_once(*trios: TrioOrder) -> None:
    at_once(*(lambda trio=trio: OrderPlacementService().advance(trio.pk) for trio in trios))


@pytest.fixture
def two_symbols(desk: Desk) -> tuple[TrioOrder, TrioOrder]:
    desk.simulator.set_price("ETHUSDT", "4000")
    desk.sweep()
    eth: dict[str, Any] = {"quantity": D("0.250"), "stop_loss": D(3800), "take_profit": D(4400)}
    return desk.a_trio(), desk.a_trio("ETHUSDT", **eth)  # each worth 1000


@pytest.mark.parametrize(
    ("allowed", "rule"),
    [
        ({"notional_open": D(1500)}, LimitRule.OPEN_NOTIONAL),
        ({"trios_open": 1}, LimitRule.OPEN_TRIOS),
        ({"orders_minute": 1}, LimitRule.ORDERS_A_MINUTE),
    ],
)
@pytest.mark.parametrize("source", ["", "admin"])
def test_two_that_begin_at_once_cannot_exceed_a_limit_together(
    desk: Desk,
    two_symbols: tuple[TrioOrder, TrioOrder],
    allowed: dict[str, Any],
    rule: LimitRule,
    source: str,
) -> None:
    queued_unlimited(desk, *two_symbols)
    limit_set(desk, source, **allowed)

    advance_at_once(*two_symbols)

    states = sorted(the(trio).state for trio in two_symbols)
    assert states[1] == "REFUSED", [story(trio) for trio in two_symbols]
    assert states[0] in ("PLACING", "OPEN")
    refused = next(trio for trio in two_symbols if trio.state == "REFUSED")
    assert refused.events.get(data__rule=rule.value).data["limit"]
    assert refused.cause == "LIMIT"
    assert len(entries(desk)) == 1


def test_one_that_begins_waits_for_the_one_that_is_checked(
    desk: Desk, two_symbols: tuple[TrioOrder, TrioOrder]
) -> None:
    """Shown without luck: the first holds the limit, uncommitted, when the second comes to it."""
    first, second = two_symbols
    queued_unlimited(desk, first, second)
    limit = limit_set(desk, trios_open=1)
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            RiskLimit.objects.select_for_update().get(pk=limit.pk)
            held.set()
            go_on.wait(5)
            TrioOrder.objects.filter(pk=first.pk).update(state="PLACING")

    def begin() -> None:
        held.wait(5)
        threading.Timer(0.2, go_on.set).start()
        OrderPlacementService().advance(second.pk)

    at_once(hold, begin)

    assert the(second).state == "REFUSED", story(second)


def test_a_limit_is_refused_when_queueing_and_the_draft_stays(desk: Desk) -> None:
    limit_set(desk, notional_order=D(999))
    trio = desk.a_trio()

    with pytest.raises(LimitBroken, match=r"notional is 1000\.00; the maximum is 999\.00") as refused:
        desk.queued(trio)

    assert refused.value.breach.facts == {
        "rule": "ORDER_NOTIONAL", "value": "1000.00", "limit": "999.00", "account": "desk", "source": "",
    }  # fmt: skip
    assert the(trio).state == "DRAFT"


def test_a_limit_that_came_after_the_queue_is_kept_to_in_begin(desk: Desk) -> None:
    trio = desk.queued(desk.a_trio())
    limit_set(desk, symbols="ETHUSDT, ADAUSDT")

    desk.advance(trio)

    assert the(trio).state == "REFUSED"
    assert trio.events.get(kind="state", data__rule="SYMBOL").data["value"] == "BTCUSDT"
    assert entries(desk) == []


def test_a_limit_of_another_source_or_switched_off_holds_nobody_up(desk: Desk) -> None:
    limit_set(desk, "hook:view", trios_open=0)
    limit_set(desk, "", trios_open=0, is_active=False)

    assert desk.placed(desk.a_trio()).state == "OPEN"


def test_a_limit_of_a_source_counts_its_own_trios_alone(
    desk: Desk, two_symbols: tuple[TrioOrder, TrioOrder]
) -> None:
    first, second = two_symbols
    desk.placed(first)
    limit_set(desk, "hook:view", trios_open=1)
    TrioOrder.objects.filter(pk=second.pk).update(source="hook:view")

    assert desk.placed(the(second)).state == "OPEN"


def test_an_equal_trio_within_the_guards_time_is_refused(desk: Desk) -> None:
    # Case 31: a newly opened, equal ticket is another order
    limit_set(desk, duplicate_seconds=60)
    first = desk.placed(desk.a_trio())
    services.trio_close(trio_id=first.pk, by="test")
    desk.carry_until(first, "CLOSED")

    with pytest.raises(LimitBroken, match=f"trio {first.pk} is the same"):
        desk.queued(desk.a_trio())
    assert desk.placed(desk.a_trio(quantity=D("0.011"))).state == "OPEN"
    TrioOrder.objects.filter(pk=first.pk).update(begun_at=db_now() - timedelta(seconds=61))


def booked(trio: TrioOrder, *, pnl: str, fee: str, ts: int, trade_id: int, asset: str = "USDT") -> None:
    leg = Leg.objects.filter(trio=trio).first()
    assert leg is not None
    Fill.objects.create(
        trio=trio, leg=leg, account=trio.account, symbol="BTCUSDT", trade_id=trade_id, order_id=1, side="SELL",
        price=D("57800"), quantity=D("0.1"), commission=D(fee), commission_asset=asset, realized_pnl=D(pnl), time_ts=ts,
    )  # fmt: skip


@pytest.fixture
def ended(desk: Desk) -> TrioOrder:
    trio = desk.placed(desk.a_trio())
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")
    Fill.objects.all().delete()
    return trio


def day_breach(trio: TrioOrder, *, now_ts: int) -> Any:
    return limits.breach_of(trio, limited=True, mark=D(60_000), now_ts=now_ts, lock=False)  # type: ignore[arg-type]


def test_a_stop_that_was_gapped_over_counts_as_it_was_filled(desk: Desk, ended: TrioOrder) -> None:
    # Case 34: bought 0.1 at 60000 for a fee of 3, filled at 57800 for 2.89
    now_ts = 1_800_000_000_000
    booked(ended, pnl="0", fee="3", ts=now_ts - 2000, trade_id=1)
    booked(ended, pnl="-220", fee="2.89", ts=now_ts - 1000, trade_id=2)
    limit_set(desk, daily_loss=D(200))

    found = day_breach(desk.a_trio(), now_ts=now_ts)

    assert (found.rule, found.value, found.limit) == (LimitRule.DAILY_LOSS, "225.89", "200.00")


def test_the_day_of_a_limit_is_utc_for_everybody(desk: Desk, ended: TrioOrder) -> None:
    # Case 35: 20:00 and 22:30 UTC on 21 June 2026
    midnight = 1_782_086_400_000  # 2026-06-22 00:00 UTC
    booked(ended, pnl="-20", fee="0", ts=midnight - 4 * 3_600_000, trade_id=1)
    booked(ended, pnl="-40", fee="0", ts=midnight - 5_400_000, trade_id=2)
    limit_set(desk, daily_loss=D(50))
    trio = desk.a_trio()

    assert (day_breach(trio, now_ts=midnight - 1).value) == "60.00"
    assert "midnight UTC" in day_breach(trio, now_ts=midnight - 1).sentence
    assert day_breach(trio, now_ts=midnight) is None


def test_a_fee_in_another_asset_is_not_overlooked(desk: Desk, ended: TrioOrder) -> None:
    now_ts = 1_800_000_000_000
    booked(ended, pnl="-199", fee="0.004", ts=now_ts - 1, trade_id=1, asset="BNB")  # 2.89 as a taker's
    limit_set(desk, daily_loss=D(200))

    assert day_breach(desk.a_trio(), now_ts=now_ts).value == "201.89"

    # and once its price is known it is what it was worth
    FeePrice.objects.create(fill=Fill.objects.get(), price=D(700))  # 0.004 BNB: 2.80
    assert day_breach(desk.a_trio(), now_ts=now_ts).value == "201.80"


def test_funding_and_a_liquidations_fee_are_part_of_the_days_loss(desk: Desk, ended: TrioOrder) -> None:
    # Given 190.00 lost, 12.00 of funding paid and 3.00 received, 1.50 of a liquidation's fee; and funding of the day before
    midnight = 1_782_086_400_000  # 2026-06-22 00:00 UTC
    booked(ended, pnl="-190", fee="0", ts=midnight + 1000, trade_id=1)
    lines = [
        ("FUNDING_FEE", "-12", 0),
        ("FUNDING_FEE", "3", 1),
        ("INSURANCE_CLEAR", "-1.50", 2),
        ("FUNDING_FEE", "-99", -1),
    ]
    for place, (kind, amount, after) in enumerate(lines):
        line = Income.objects.create(
            account=ended.account, kind=kind, amount=D(amount), asset="USDT", symbol="BTCUSDT", tran_id=place, time_ts=midnight + after,
        )  # fmt: skip
        IncomeShare.objects.create(income=line, trio=ended, amount=D(amount))
    limit_set(desk, daily_loss=D(200))
    limit_set(desk, "hook:view", daily_loss=D(1))

    found = day_breach(desk.a_trio(), now_ts=midnight + 60_000)
    assert found is not None
    assert found.value == "200.50"
    # what is of no trio, such as a transfer, is no loss of anybody
    Income.objects.create(
        account=ended.account, kind="TRANSFER", amount=D(-900), asset="USDT", tran_id=9, time_ts=midnight + 5
    )
    assert day_breach(desk.a_trio(), now_ts=midnight + 60_000).value == "200.50"
    # and another source's limit counts its own trios alone
    trio = desk.a_trio(source="hook:view")
    RiskLimit.objects.filter(source="").delete()
    assert day_breach(trio, now_ts=midnight + 60_000) is None


def test_other_accounts_losses_and_other_sources_do_not_count(desk: Desk, ended: TrioOrder) -> None:
    now_ts = 1_800_000_000_000
    booked(ended, pnl="-500", fee="0", ts=now_ts - 1, trade_id=1)
    limit_set(desk, "hook:view", daily_loss=D(200))
    trio = desk.a_trio(source="hook:view")

    assert day_breach(trio, now_ts=now_ts) is None
    TrioOrder.objects.filter(pk=ended.pk).update(source="hook:view")
    assert day_breach(trio, now_ts=now_ts).source == "hook:view"


def test_a_breached_limit_holds_up_no_stop_exit_or_cancel(desk: Desk) -> None:
    # Given an open trio, one that rests, and then limits that allow nothing
    opened = desk.placed(desk.a_trio())
    desk.simulator.set_price("ETHUSDT", "4000")
    desk.sweep()
    resting = desk.placed(
        desk.a_trio("ETHUSDT", quantity=D(1), entry_type="LIMIT", price=D(3900), stop_loss=D(3800), take_profit=D(4400))
    )  # fmt: skip
    assert (opened.state, resting.state) == ("OPEN", "WORKING")
    limit = limit_set(
        desk, notional_open=D(1), trios_open=0, orders_minute=0, daily_loss=D("0.01"), symbols="ADAUSDT"
    )

    # When somebody even holds the row locked
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                RiskLimit.objects.select_for_update().get(pk=limit.pk)
                held.set()
                go_on.wait(20)
        finally:
            connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(5)
    try:
        # Then a fill is covered, a cancel goes, an exit goes
        desk.simulator.set_price("ETHUSDT", "3890")
        desk.carry_until(resting, "OPEN")
        services.trio_close(trio_id=opened.pk, by="test")
        desk.carry_until(opened, "CLOSED")
        services.trio_close(trio_id=resting.pk, by="test")
        desk.carry_until(resting, "CLOSED")
    finally:
        go_on.set()
        holder.join()
    assert desk.simulator.position("BTCUSDT").is_flat


def test_a_queued_trio_is_cancelled_although_its_limit_is_locked(desk: Desk) -> None:
    trio = desk.queued(desk.a_trio())
    limit = limit_set(desk, trios_open=5)
    services.trio_cancel(trio_id=trio.pk, by="test")
    with CaptureQueriesContext(connection) as captured:
        desk.advance(trio)
    assert the(trio).state == "CANCELLED"
    assert not [
        q
        for q in captured
        if "orders_risklimit" in q["sql"]
        and "FOR UPDATE" in q["sql"]
        and "trioorder WHERE id" not in q["sql"]
    ]
    assert limit.is_active


@pytest.mark.parametrize("environment", ["TESTNET", "LIVE"])
@pytest.mark.parametrize("source", ["hook:view", "strategy:breakout", "file:a.csv"])
def test_nothing_automatic_reaches_an_exchange_on_an_account_without_limits(
    desk: Desk, environment: str, source: str
) -> None:
    ExchangeAccount.objects.filter(pk=desk.account.pk).update(environment=environment)
    desk.account.refresh_from_db()
    trio = TrioOrder(account=desk.account, symbol=services.symbol_get("PAPER", "BTCUSDT"), source=source)

    found = limits.breach_of(trio, limited=False, mark=None, now_ts=0, lock=False)  # type: ignore[arg-type]
    assert found is not None
    assert found.rule is LimitRule.NO_LIMITS

    trio.source = "admin"
    assert limits.breach_of(trio, limited=False, mark=None, now_ts=0, lock=False) is None  # type: ignore[arg-type]


def test_limits_of_another_source_are_no_limits_of_this_one(desk: Desk) -> None:
    ExchangeAccount.objects.filter(pk=desk.account.pk).update(environment="TESTNET")
    desk.account.refresh_from_db()
    limit_set(desk, "hook:other", trios_open=1)
    trio = TrioOrder(
        account=desk.account, symbol=services.symbol_get("PAPER", "BTCUSDT"), side="BUY", quantity=D("0.01"),
        stop_loss=D(95000), take_profit=D(110000), source="hook:view",
    )  # fmt: skip

    found = limits.breach_of(trio, limited=True, mark=D(100000), now_ts=0, lock=False)  # type: ignore[arg-type]
    assert found is not None
    assert found.rule is LimitRule.NO_LIMITS


def test_without_limits_placing_costs_not_one_statement_more(desk: Desk) -> None:
    desk.placed(desk.a_trio())
    services.trio_close(trio_id=TrioOrder.objects.get().pk, by="test")
    desk.carry_until(TrioOrder.objects.get(), "CLOSED")
    trio = desk.queued(desk.a_trio())
    with CaptureQueriesContext(connection) as captured:
        desk.advance(trio)
    assert not [q for q in captured if "FROM orders_risklimit rule" in q["sql"]]
