"""A resting entry follows the price from one end to the other, on a simulated exchange, by its own records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from decimal import Decimal as D
from typing import Any

import pytest

from exchange.rate_limits import Limits, Priority
from exchange.types import PriceKind, PriceTick
from orders import services
from orders.domain import chasing
from orders.domain.enums import LegState, Role
from orders.domain.errors import IllegalTransition, LimitBroken, RuleBroken
from orders.exchange_data.clock import db_now, exchange_now_ms
from orders.journal.replay import trio_replay
from orders.models import Chase, Leg, RiskLimit, TrioOrder, Watch
from orders.placement.perform import SendCall, perform_all
from tests.builders import story, the, until
from tests.unit.worker.test_trail_watch import Market, loop  # noqa: F401
from worker.chase_watch import every_seconds

LAST = PriceKind.LAST


@pytest.fixture
def market(any_desk: Any, loop: asyncio.AbstractEventLoop) -> Iterator[Market]:  # noqa: F811
    made = Market(any_desk, loop)
    made.is_at("2000.00")
    yield made
    made.close()


def resting(market: Market, side: str = "BUY", **fields: Any) -> TrioOrder:
    """An entry for 0.500 ETH that rests 10 away from the market at 2000."""
    long = side == "BUY"
    levels = {"stop_loss": D("1900" if long else "2100"), "take_profit": D("2200" if long else "1800")}
    words: dict[str, Any] = {"symbol": "ETHUSDT", "side": side, "quantity": D("0.500"), **levels}
    words |= {"entry_type": "LIMIT", "price": D("1990") if long else D("2010")}
    trio = market.desk.placed(market.desk.a_trio(**(words | {"protection": "ON_FIRST_FILL"} | fields)))
    assert trio.state == "WORKING", story(trio)
    market.work()
    return trio


def chased(market: Market, trio: TrioOrder, **terms: Any) -> Chase:
    buys = trio.side == "BUY"
    usual: dict[str, Any] = {"bound": D("1998") if buys else D("2002"), "distance": D(5), "step": D(1)}
    chase = services.trio_chase(trio_id=trio.pk, by="ann", **(usual | terms))
    market.now += 1.0
    market.work()
    return chase


def entry_of(trio: TrioOrder) -> Leg:
    return trio.legs.get(role=Role.ENTRY)


def changes(market: Market) -> list[Any]:
    return market.desk.requests("PUT", "/fapi/v1/order")


def worked(market: Market, trio: TrioOrder, what: Callable[[], bool]) -> None:
    """Work on until ``what`` is so."""

    def so() -> bool:
        market.work()
        return what()

    until(so, why=lambda: story(trio))


def comes_to(market: Market, trio: TrioOrder, price: str) -> None:
    worked(market, trio, lambda: entry_of(trio).price == D(price) and the(trio).price == D(price))


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_it_follows_the_price_up_to_its_bound_and_no_further(market: Market, side: str) -> None:
    # Given an entry that rests, and a chase 5 behind the last price up to 8 from where it rests
    trio = resting(market, side)
    chased(market, trio)
    toward = 1 if side == "BUY" else -1

    def price(away: str) -> str:
        return str(D(2000) + toward * D(away))

    # When the market goes away from it, then it follows by one change of the whole quantity
    market.hear(price("1"), LAST)
    comes_to(market, trio, price("-4"))
    (put,) = changes(market)
    assert D(put.params["quantity"]) == D("0.500")
    assert [(wish.wanted_by, wish.end) for wish in the(trio).entry_changes.all()] == [("chase", "DONE")]

    # When the market comes back, it stays; far away, it goes to its bound and rests there
    market.hear(price("-2"), LAST)
    assert entry_of(trio).price == D(price("-4"))
    market.hear(price("30"), LAST)
    comes_to(market, trio, price("-2"))
    for away in ("40", "50"):
        market.hear(price(away), LAST)
    assert len(changes(market)) == 2
    assert entry_of(trio).price == D(price("-2"))


def test_its_changes_take_what_stops_that_move_may_use(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    trio = resting(market)
    chased(market, trio)
    sent: list[tuple[str, Priority]] = []

    def noting(calls: Any, exchange: Any, later: Any) -> Any:
        sent.extend((call.wire.method, call.priority) for call in calls if isinstance(call, SendCall))
        return perform_all(calls, exchange, later)

    monkeypatch.setattr("orders.placement.service.perform_all", noting)
    market.hear("2001.00", LAST)
    comes_to(market, trio, "1996")
    assert sent == [("PUT", Priority.MOVE)]


def test_an_answer_that_is_lost_is_read_back_and_the_change_not_repeated(market: Market) -> None:
    trio = resting(market)
    chased(market, trio)
    market.desk.simulator.fault({"method": "PUT"}, {"do": "lose_answer"}, [1])
    market.desk.deaf = True

    market.hear("2001.00", LAST)

    comes_to(market, trio, "1996")
    assert len(changes(market)) == 1


def test_it_ends_when_the_entry_has_filled(market: Market) -> None:
    trio = resting(market)
    chase = chased(market, trio)
    market.is_at("1989.00")
    market.desk.carry_until(trio, "OPEN")
    market.now += 1.0

    worked(market, trio, lambda: Chase.objects.get(pk=chase.pk).end == "DONE")
    assert not the(trio).is_chasing
    with pytest.raises(IllegalTransition, match="has filled"):
        services.trio_chase(trio_id=trio.pk, by="ann", bound=D("1998"))
    assert trio_replay(trio).differences == []


def test_a_part_that_has_filled_is_never_bought_again(market: Market) -> None:
    trio = resting(market)
    chased(market, trio)
    market.desk.simulator.fill(entry_of(trio).client_id, "0.200")
    market.desk.carry_until(trio, "OPEN")

    market.hear("2001.00", LAST)
    comes_to(market, trio, "1996")

    assert D(changes(market)[0].params["quantity"]) == D("0.500")  # the whole of it, what is filled included
    market.is_at("1995.00")
    worked(market, trio, lambda: entry_of(trio).state == LegState.FILLED)
    side = "LONG" if market.desk.account.position_mode == "HEDGE" else "BOTH"
    assert market.desk.simulator.position("ETHUSDT", side=side).quantity == D("0.500")


def test_it_ends_with_its_trio_and_on_request(market: Market) -> None:
    trio = resting(market)
    first = chased(market, trio)
    second = chased(market, trio, bound=D("1999"))
    first.refresh_from_db()
    assert first.end == "REPLACED"
    off = services.trio_chase_off(trio_id=trio.pk, by="bob")
    assert (off.pk, off.end, off.ended_by) == (second.pk, "OFF", "bob")
    market.hear("2001.00", LAST)
    assert changes(market) == []
    with pytest.raises(IllegalTransition, match="there is nothing to end"):
        services.trio_chase_off(trio_id=trio.pk, by="bob")

    third = chased(market, trio)
    services.trio_cancel(trio_id=trio.pk, by="bob")
    market.desk.carry_until(trio, "CANCELLED")
    third.refresh_from_db()
    assert third.end in ("TRIO_ENDED", "DONE")
    market.hear("2001.00", LAST)
    assert changes(market) == []


def test_it_ends_after_as_many_changes_as_one_may_make(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a chase that has made all its changes, but for two
    monkeypatch.setattr(chasing, "CHANGES_MAX", 2)
    trio = resting(market)
    chase = chased(market, trio)
    for last, price in (("1996.00", "1991"), ("1998.00", "1993")):
        market.hear(last, LAST)
        comes_to(market, trio, price)
    chase.refresh_from_db()
    assert chase.end == ""

    # When the price goes on, then it ends and says why, and the entry stays
    market.hear("2001.00", LAST)
    worked(market, trio, lambda: Chase.objects.get(pk=chase.pk).end == "DONE")
    assert not the(trio).is_chasing
    (said,) = the(trio).events.filter(kind="follow")
    assert said.data["changes"] == 2
    assert len(changes(market)) == 2
    assert entry_of(trio).price == D(1993)

    # And another one begins anew
    chased(market, trio)
    market.hear("2001.00", LAST)
    comes_to(market, trio, "1996")


def test_new_risk_that_is_switched_off_stops_it_where_it_is(market: Market) -> None:
    trio = resting(market)
    chased(market, trio)
    market.desk.account.is_active = False
    market.desk.account.save()

    market.hear("2001.00", LAST)
    worked(market, trio, lambda: the(trio).entry_changes.filter(end="REFUSED").exists())

    assert changes(market) == []
    assert (the(trio).state, entry_of(trio).price) == ("WORKING", D(1990))
    # It is not asked again at once.
    market.hear("2002.00", LAST)
    assert the(trio).entry_changes.count() == 1


def test_what_it_may_come_to_is_checked_when_it_is_asked_for(market: Market) -> None:
    trio = resting(market)
    with pytest.raises(RuleBroken, match="the nearest"):
        services.trio_chase(trio_id=trio.pk, by="ann", bound=D("1980"))
    RiskLimit.objects.create(account=market.desk.account, notional_order=D("996"))
    with pytest.raises(LimitBroken, match="order's notional is 999"):
        services.trio_chase(trio_id=trio.pk, by="ann", bound=D("1998"))
    at_market = market.desk.a_trio("BTCUSDT")
    with pytest.raises(IllegalTransition):
        services.trio_chase(trio_id=at_market.pk, by="ann", bound=D("1998"))


def test_it_changes_every_other_second_at_most_and_many_share_a_quarter(market: Market) -> None:
    trio = resting(market)
    chased(market, trio, distance=D("0.01"), step=D("0.01"), bound=D("1999.90"))
    market.hear("1991.00", LAST)
    comes_to(market, trio, "1990.99")
    before = market.now
    sent = len(changes(market))
    for cents in range(20):  # all within one second
        market.now = before + cents * 0.05
        market.watch._chases.act()
    assert len(changes(market)) == sent

    moves = Limits(weight_1m=2400, orders_10s=100, orders_1m=400)
    assert (every_seconds(1, moves), every_seconds(3, moves)) == (2.0, 2.0)
    assert every_seconds(60, moves) == 36.0


def cut_off(market: Market, *, is_cut: bool) -> None:
    """Nothing new is sent while the account's stream is away."""
    Watch.objects.filter(account=market.desk.account).update(stream_since=None if is_cut else db_now())
    if not is_cut:
        market.desk.sweep()


def test_a_price_that_the_market_came_back_from_before_it_was_sent_is_not_sent(market: Market) -> None:
    # Given a change that could not be sent yet
    trio = resting(market)
    chased(market, trio)
    cut_off(market, is_cut=True)
    market.goes_to("2001.00", LAST)
    assert the(trio).entry_changes.filter(end="").count() == 1, story(trio)

    # When the market comes back, and things can be sent again
    market.goes_to("1992.00", LAST)
    market.goes_to("1992.00", LAST)
    cut_off(market, is_cut=False)
    for _ in range(30):
        market.work()

    # Then the entry stays where it is
    assert changes(market) == [], story(trio)
    assert entry_of(trio).price == D(1990)
    assert [wish.end for wish in the(trio).entry_changes.all()] == ["REPLACED"]


def test_the_entry_stays_where_it_is_once_its_chase_was_ended(market: Market) -> None:
    trio = resting(market)
    chased(market, trio)
    cut_off(market, is_cut=True)
    market.goes_to("2001.00", LAST)

    services.trio_chase_off(trio_id=trio.pk, by="bob")
    cut_off(market, is_cut=False)
    for _ in range(30):
        market.work()

    assert changes(market) == [], story(trio)
    assert [wish.end for wish in the(trio).entry_changes.all()] == ["DROPPED"]


def test_while_its_turn_has_not_come_a_trade_costs_nothing(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    trio = resting(market)
    chased(market, trio)
    cut_off(market, is_cut=True)
    market.hear("2001.00", LAST)
    market.work()
    submitted: list[Any] = []
    monkeypatch.setattr(market.watch._pool, "submit", lambda *call: submitted.append(call))

    for _ in range(100):  # at one moment
        market.watch.handle(PriceTick(market.symbol, LAST, D("2001.50"), exchange_now_ms("PAPER")))

    assert submitted == []
