"""Income in the books: by trio and by account it is the exchange's own, to the last digit, however often it is read."""

from __future__ import annotations

import json
import random
from decimal import Decimal as D
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import reverse

from accounts.gateways import exchange_for
from exchange.types import ExchangeMs, NewOrder, OrderType, Side, Stamp
from orders import selectors, services
from orders.adoption import position_adopt
from orders.cli.document import trio_document, trio_sentence
from orders.domain.adoption import Level
from orders.exchange_data.clock import exchange_now_ms
from orders.income import LATE_MS, SETTLED_MS, differences, fee_prices_read, income_read, income_sums
from orders.models import Fill, Income, IncomeReading, IncomeShare, TrioOrder
from orders.results import Wanted, trades_wanted
from tests.builders import Desk, a_moment_later_ms, story, the, until
from tests.unit.orders.operators import a_superuser

EIGHT_HOURS_MS = 8 * 3_600_000


@pytest.fixture(autouse=True)
def _judged_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are judged at once, so that no test waits for half a minute; a position counts as of its own moment.

    It is read a moment later, for what is dated by the exchange's clock: our measure of it may be late.
    """
    monkeypatch.setattr("orders.income.SETTLED_MS", 0)
    monkeypatch.setattr("orders.income.exchange_now_ms", a_moment_later_ms)
    monkeypatch.setattr("orders.income.LATE_MS", 0)
    assert SETTLED_MS >= LATE_MS > 0


def opened(desk: Desk, **fields: Any) -> TrioOrder:
    trio = desk.placed(desk.a_trio(**fields))
    until(lambda: desk.carry() or Fill.objects.filter(trio=trio).exists(), why=lambda: story(trio))  # type: ignore[func-returns-value]
    return trio


def closed(desk: Desk, trio: TrioOrder) -> TrioOrder:
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")
    until(lambda: desk.hear() or booked_whole(trio), why=lambda: story(trio))
    return the(trio)


def booked_whole(trio: TrioOrder) -> bool:
    return all(
        leg.filled == sum((fill.quantity for fill in leg.fills.all()), D(0)) for leg in trio.legs.all()
    )


def funded(desk: Desk) -> None:
    """Have the exchange take funding, once."""
    desk.simulator.advance_market(EIGHT_HOURS_MS)
    desk.simulator.tick()


def funding_of(trio: TrioOrder) -> D:
    found = selectors.net_pnl([trio.pk]).get(trio.pk, ())
    return sum((result.funding for result in found), D(0))


def bought_by_hand(desk: Desk) -> None:
    """Open a position in the exchange's app: 0.010 BTC long at 100000."""
    exchange = exchange_for(desk.account.pk)
    order = NewOrder("web_entry", "BTCUSDT", Side.BUY, OrderType.MARKET, quantity=D("0.010"))
    exchange.send(exchange.submit_request(order), stamp=Stamp(exchange_now_ms("PAPER"), 5000))
    desk.hear()


def wallet_gain(desk: Desk, before: D) -> D:
    return D(desk.simulator.wallet()) - before


def test_a_trios_result_is_the_wallets_to_the_last_digit_funding_included(desk: Desk) -> None:
    # Given a long that is held through two fundings and closed
    before = desk.simulator.wallet()
    trio = opened(desk)
    funded(desk)
    desk.simulator.set_price("BTCUSDT", "100030")
    funded(desk)
    closed(desk, trio)

    # When the income is read
    reading = income_read(desk.account)

    # Then its result is what the wallet gained, and funding is a part of its own
    (result,) = selectors.net_pnl([trio.pk])[trio.pk]
    assert result.funding == D("-0.10000000") - D("0.10003000")
    assert result.net == result.realized - result.fees + result.funding == wallet_gain(desk, before)
    assert trio_document(trio)["net_pnl"][0]["funding"] == "-0.20003"
    assert "funding -0.20003)" in trio_sentence(trio).replace("−", "-")
    assert reading.differences == {}


def test_reading_twice_books_nothing_twice(desk: Desk) -> None:
    trio = opened(desk)
    funded(desk)
    income_read(desk.account)
    before = (Income.objects.count(), IncomeShare.objects.count(), funding_of(trio))
    assert before[1:] == (1, D("-0.1"))
    second = income_read(desk.account)
    assert (Income.objects.count(), IncomeShare.objects.count(), funding_of(trio)) == before
    assert IncomeReading.objects.get() == second


def test_the_next_reading_begins_where_the_last_one_ended_less_an_hour(desk: Desk) -> None:
    opened(desk)
    first = income_read(desk.account)
    income_read(desk.account)
    asked = [entry for entry in desk.simulator.log if entry.path == "/fapi/v1/income"][-1]
    assert int(asked.params["startTime"]) == first.read_ts - 3_600_000


def test_funding_before_and_after_a_trio_is_not_its_own(desk: Desk) -> None:
    funded(desk)
    first = closed(desk, opened(desk))
    second = opened(desk, side="SELL")
    funded(desk)
    income_read(desk.account)
    assert funding_of(first) == 0
    assert funding_of(second) == D("0.1")


def test_hedge_funding_goes_to_the_side_it_is_about(hedge_desk: Desk) -> None:
    desk = hedge_desk
    long = opened(desk, quantity=D("0.020"))
    short = opened(desk, side="SELL", quantity=D("0.010"))
    funded(desk)
    income_read(desk.account)
    assert (funding_of(long), funding_of(short)) == (D("-0.2"), D("0.1"))


def test_hedge_positions_of_one_size_are_told_apart_by_the_rate(hedge_desk: Desk) -> None:
    desk = hedge_desk
    long, short = opened(desk), opened(desk, side="SELL")
    funded(desk)
    income_read(desk.account)
    assert (funding_of(long), funding_of(short)) == (D("-0.1"), D("0.1"))
    assert [e.path for e in desk.simulator.log if "fundingRate" in e.path] == ["/fapi/v1/fundingRate"]


def test_what_belongs_to_no_trio_stays_with_the_account(desk: Desk) -> None:
    # Given a position that a person opened elsewhere, which pays funding
    bought_by_hand(desk)
    funded(desk)
    income_read(desk.account)
    sums = {
        (found.asset, found.kind): found
        for found in income_sums(desk.account.pk, since=0, until=a_moment_later_ms("PAPER"))
    }
    assert sums["USDT", "FUNDING_FEE"].of_account == D("-0.1")
    assert sums["USDT", "TRANSFER"].of_account == D(100000)
    assert all(not found.of_trios for found in sums.values())
    assert not IncomeShare.objects.exists()


def test_a_difference_is_a_fact_on_the_account_by_asset_with_its_trios(desk: Desk) -> None:
    trio = closed(desk, opened(desk))
    assert income_read(desk.account).differences == {}
    fill = Fill.objects.filter(trio=trio, side="SELL").get()
    Fill.objects.filter(pk=fill.pk).update(commission=fill.commission - D("0.01"))
    assert income_read(desk.account).differences == {
        "USDT": {"realized": "0", "fees": "0.01", "trios": [trio.pk]}
    }
    # a fee in another asset is compared in that asset: nothing is added across
    Fill.objects.filter(pk=fill.pk).update(commission=D("0.0007"), commission_asset="BNB")
    found = income_read(desk.account).differences
    assert found["BNB"]["fees"] == "-0.0007"
    assert D(found["USDT"]["fees"]) == fill.commission


def test_only_what_was_read_is_compared(desk: Desk) -> None:
    trio = closed(desk, opened(desk))
    reading = income_read(desk.account)
    Fill.objects.filter(trio=trio).update(time_ts=reading.since_ts - 1)
    assert differences(desk.account, reading, at=a_moment_later_ms("PAPER")) == {}


def test_an_adopted_position_has_its_funding_too(desk: Desk) -> None:
    bought_by_hand(desk)
    trio = position_adopt(
        account=desk.account,
        symbol=services.symbol_get("PAPER", "BTCUSDT"),
        stop=Level(D(2), is_percent=True),
        target=Level(D(5), is_percent=True),
        by="test",
    )
    funded(desk)
    income_read(desk.account)
    assert funding_of(trio) == D("-0.1")


def test_the_command_and_the_page_show_sums_by_asset_and_differences(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given an account whose income differs on one execution
    trio = opened(desk)
    funded(desk)
    closed(desk, trio)
    Fill.objects.filter(trio=trio, side="SELL").update(realized_pnl=D(7))

    # When it is read by the command
    call_command("income", "--read", "--json")
    (found,) = json.loads(capsys.readouterr().out)["accounts"]

    # Then sums are by asset and kind, and the difference names the trio
    parts = {(part["asset"], part["kind"]): part for part in found["income"]}
    assert parts["USDT", "FUNDING_FEE"] == {
        "asset": "USDT", "kind": "FUNDING_FEE", "lines": 1, "total": "-0.1", "of_trios": "-0.1", "of_account": "0",
    }  # fmt: skip
    assert parts["USDT", "COMMISSION"]["of_account"] == "0"
    assert parts["USDT", "TRANSFER"]["of_trios"] == "0"
    assert found["differences"]["USDT"]["trios"] == [trio.pk]

    # And without --json, and on the account's page, it is a sentence
    call_command("income", "--account", "desk")
    assert f"fees more than our executions say (trios {trio.pk})" in capsys.readouterr().out
    reading = IncomeReading.objects.get()
    page = a_superuser().get(reverse("admin:orders_incomereading_change", args=[reading.pk])).content.decode()
    assert "more than our executions say" in page
    assert "FUNDING_FEE: <b>-0.1</b> USDT" in page.replace("−", "-")


class Bars:
    """An exchange that shows one-minute bars of BNBUSDT at 600, or none."""

    def __init__(self, price: str | None) -> None:
        self.price = price
        self.asked: list[tuple[str, int]] = []

    def klines(self, symbol: str, timeframe: str, *, since: int, limit: int) -> list[Any]:
        self.asked.append((symbol, since))
        if self.price is None:
            return []
        return [SimpleNamespace(open_time=since, close=D(self.price))]


def test_fees_in_bnb_stay_apart_and_are_converted_at_their_own_price(desk: Desk) -> None:
    # Given ETHUSDT long 0.500 @ 2000.00, closed @ 2006.00, fees of 0.045 % in BNB
    trio = closed(desk, opened(desk))
    for side, price, fee, gain in (("BUY", "2000", "0.00075", "0"), ("SELL", "2006", "0.00075225", "3")):
        Fill.objects.filter(trio=trio, side=side).update(
            quantity=D("0.500"),
            price=D(price),
            commission=D(fee),
            commission_asset="BNB",
            realized_pnl=D(gain),
        )
    trio.legs.filter(filled__gt=0).update(filled=D("0.500"))

    def parts() -> dict[str, D]:
        return {part.asset: part.net for part in selectors.net_pnl([trio.pk])[trio.pk]}

    # While there is no price of BNB both parts are shown, the net is not yet known, and nothing waits for it
    later = ExchangeMs(exchange_now_ms("PAPER") + 120_000)
    fee_prices_read(desk.account, Bars(None), at=later)  # type: ignore[arg-type]
    assert parts() == {"USDT": D("3"), "BNB": D("-0.00150225")}
    assert trio_document(trio)["net_converted"] == {"asset": "USDT", "net": None}
    assert "not yet known" in trio_sentence(the(trio))
    assert list(trades_wanted(Wanted()).not_known) == [trio.pk]

    # Once there is, it is filled in, and says that it was converted
    fee_prices_read(desk.account, Bars("600.00"), at=later)  # type: ignore[arg-type]
    assert parts() == {"USDT": D("3"), "BNB": D("-0.00150225")}
    assert trio_document(trio)["net_converted"] == {"asset": "USDT", "net": "2.09865"}
    assert "Together +2.09865 USDT" in trio_sentence(the(trio))
    (trade,) = trades_wanted(Wanted()).trades["USDT"]
    assert (trade.net, trade.fees) == (D("2.09865"), D("0.90135"))

    # And it is asked for once
    asked = Bars("601.00")
    fee_prices_read(desk.account, asked, at=later)  # type: ignore[arg-type]
    assert asked.asked == []


def test_a_rebate_in_another_asset_is_worth_something_too(desk: Desk) -> None:
    # Given a maker who is paid for one execution and pays for the other, both in BNB
    trio = closed(desk, opened(desk))
    for side, fee in (("BUY", "-0.00020"), ("SELL", "0.00050")):
        Fill.objects.filter(trio=trio, side=side).update(
            commission=D(fee), commission_asset="BNB", realized_pnl=D("3") if side == "SELL" else D(0)
        )

    fee_prices_read(desk.account, Bars("600.00"), at=ExchangeMs(exchange_now_ms("PAPER") + 120_000))  # type: ignore[arg-type]

    (trade,) = trades_wanted(Wanted()).trades["USDT"]
    assert (trade.net, trade.fees) == (D("2.82"), D("0.18"))
    assert not trades_wanted(Wanted()).not_known


def test_an_execution_without_a_fee_names_no_asset_and_costs_nothing(desk: Desk) -> None:
    trio = opened(desk)
    Fill.objects.filter(trio=trio).update(commission=D(0), commission_asset="")

    for cost in (selectors.entry_cost(the(trio)), selectors.trio_cost(the(trio))):
        assert cost is not None
        assert cost.fee_each == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_all_trios_and_the_account_add_up_to_the_exchanges_wallet(hedge_desk: Desk, seed: int) -> None:
    """Longs and shorts that come and go through fundings."""
    desk, chance = hedge_desk, random.Random(seed)
    before = desk.simulator.wallet()
    living: dict[str, TrioOrder] = {}
    trios: list[TrioOrder] = []
    for _ in range(8):
        side = chance.choice(["BUY", "SELL"])
        if side in living:
            closed(desk, living.pop(side))
        else:
            living[side] = opened(desk, side=side, quantity=D(chance.choice(["0.010", "0.010", "0.020"])))
            trios.append(living[side])
        if chance.random() < 0.7:
            funded(desk)
        if chance.random() < 0.3:
            income_read(desk.account)  # in between, as a worker does
        desk.simulator.set_price("BTCUSDT", str(100_000 + chance.randrange(-900, 900)))
    for trio in living.values():
        closed(desk, trio)

    reading = income_read(desk.account)

    assert reading.differences == {}
    results = [part for parts in selectors.net_pnl([trio.pk for trio in trios]).values() for part in parts]
    assert sum((part.net for part in results), D(0)) == desk.simulator.wallet() - before
    sums = income_sums(desk.account.pk, since=0, until=a_moment_later_ms("PAPER"))
    assert {found.kind for found in sums if found.of_account} == {"TRANSFER"}
    assert any(part.funding for part in results)
