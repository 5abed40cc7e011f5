"""A position changes in size while its trio stays open, by the exchange's own records covered all the while."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest
from django.db.models import F

from accounts.gateways import exchange_for
from exchange.types import NewOrder, OrderType, PositionSide, Side, Stamp
from orders import services
from orders.desk import open_trios
from orders.domain import client_ids
from orders.domain.enums import Role
from orders.domain.errors import IllegalTransition, RuleBroken, TrioRefused
from orders.domain.snapshot import SizeEnd
from orders.exchange_data.clock import exchange_now_ms
from orders.installation import install_row
from orders.journal.replay import trio_replay
from orders.journal.verify import journal_verify
from orders.models import FeePrice, Income, IncomeShare, RiskLimit, SizeChange, TrioOrder
from orders.selectors import net_pnl
from tests.builders import Desk, story, the, until


def worked(desk: Desk, trio: TrioOrder, holds: Any) -> None:
    """Do the work of a runworker until this holds."""

    def done() -> bool:
        desk.carry()
        return bool(holds())

    until(done, why=lambda: story(trio))


def conditionals(desk: Desk, kind: str) -> list[tuple[str, D | None]]:
    """Return level and quantity (none: the whole position) of what rests of a kind, nearest to 0 first."""
    found = [order for order in desk.simulator.open_orders() if order.get("orderType") == kind]
    shown = [
        (
            order["triggerPrice"],
            None if order["closePosition"] in (True, "true") else D(order["quantity"]),
        )
        for order in found
    ]
    return sorted(shown, key=lambda order: (order[0], order[1] or D(0)))


def targets(desk: Desk) -> list[tuple[D, D | None]]:
    return [(D(level), quantity) for level, quantity in conditionals(desk, "TAKE_PROFIT_MARKET")]


def stops(desk: Desk) -> list[tuple[D, D | None]]:
    return [(D(level), quantity) for level, quantity in conditionals(desk, "STOP_MARKET")]


def opened(desk: Desk, wanted: list[tuple[str, str | None]], **words: Any) -> TrioOrder:
    """Place a trio and work until exactly these targets rest."""
    trio = desk.placed(desk.a_trio(**words))
    expected = [(D(level), None if quantity is None else D(quantity)) for level, quantity in wanted]
    worked(desk, trio, lambda: targets(desk) == sorted(expected, key=lambda target: str(target[0])))
    assert the(trio).state == "OPEN", story(trio)
    return trio


def part_targets(*parts: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"number": n, "level": level, "share": share} for n, (level, share) in enumerate(parts, start=1)]


def uncovered_ms(desk: Desk) -> list[int]:
    return [gap["ms"] for gap in desk.simulator.verdict()["uncovered"]]


def gross(trio: TrioOrder, role: str) -> D:
    """Return what the exchange says that the orders of a role brought, fees apart."""
    return sum((fill.realized_pnl for fill in trio.fills.filter(leg__role=role)), D(0))


def is_sound(desk: Desk, trio: TrioOrder) -> bool:
    """Is nothing doubled, orphaned or turned around, and do journal and books agree?"""
    verdict = desk.simulator.verdict()
    assert not verdict["orphans"], verdict
    assert not journal_verify(trio_id=trio.pk).breaks
    assert not trio_replay(trio).differences
    return True


ETH: dict[str, Any] = {"symbol": "ETHUSDT", "stop_loss": D("1900"), "take_profit": D("2080")}


@pytest.fixture
def eth(any_desk: Desk) -> Desk:
    any_desk.simulator.set_price("ETHUSDT", "2000")
    return any_desk


@pytest.mark.parametrize("protection", ["ON_FIRST_FILL", "PRE_ARMED"])
def test_the_last_target_takes_what_the_parts_leave(eth: Desk, protection: str) -> None:
    # Given two targets of a half each, of a quantity that no step divides by two
    eth.simulator.set_price("ETHUSDT", "1999.99")  # a market order pays the other side of the spread: 2000.00
    words = ETH | {"quantity": D("0.421"), "part_targets": part_targets(("2040", "50"))}
    trio = opened(eth, [("2040", "0.210"), ("2080", None)], protection=protection, **words)
    before = uncovered_ms(eth)

    # When both are reached
    eth.simulator.set_price("ETHUSDT", "2040")
    worked(eth, trio, lambda: len(targets(eth)) == 1)
    assert the(trio).state == "OPEN"
    eth.simulator.set_price("ETHUSDT", "2080")
    eth.carry_until(trio, "CLOSED")

    # Then nothing is left, and each made what it should
    assert eth.simulator.position("ETHUSDT", side=trio.position_side).is_flat
    assert trio.result == "TAKE_PROFIT"
    sold = {leg.role: leg.filled for leg in trio.legs.exclude(role="ENTRY") if leg.filled}
    assert sold == {"PART_TARGET": D("0.210"), "TAKE_PROFIT": D("0.211")}
    worked(eth, trio, lambda: trio.fills.count() == 3)
    assert gross(trio, "PART_TARGET") == D("8.40")
    assert gross(trio, "TAKE_PROFIT") == D("16.88")
    assert net_pnl([trio.pk])[trio.pk][0].realized == D("25.28")
    assert uncovered_ms(eth) == before, story(trio)
    assert is_sound(eth, trio)


def test_a_hedge_stop_above_the_position_is_replaced_before_it_matters(hedge_desk: Desk) -> None:
    desk = hedge_desk
    desk.simulator.set_price("BTCUSDT", "66223.7")  # a market order pays 66223.8
    trio = opened(
        desk,
        [("67548.2", "0.090"), ("72846.1", None)],
        quantity=D("0.170"),
        stop_loss=D("59601.5"),
        take_profit=D("72846.1"),
        protection="PRE_ARMED",
        part_targets=part_targets(("67548.2", "53")),
    )
    (armed,) = trio.legs.filter(role="STOP_LOSS", form="QUANTITY")
    assert armed.quantity == D("0.170")
    before = uncovered_ms(desk)
    desk.simulator.set_price("BTCUSDT", "67548.2")
    worked(desk, trio, lambda: len(targets(desk)) == 1 and trio.fills.count() == 2)
    assert gross(trio, "PART_TARGET") == D("119.196")
    assert stops(desk) == [(D("59601.5"), None)]
    cancelled = [entry.params.get("clientAlgoId") for entry in desk.requests("DELETE")]
    assert armed.client_id in cancelled, "the one that was too large leaves by its id"
    desk.simulator.set_price("BTCUSDT", "59601.5")
    desk.carry_until(trio, "CLOSED")
    sold = [leg for leg in trio.legs.filter(role="STOP_LOSS") if leg.filled]
    assert [leg.filled for leg in sold] == [D("0.080")]
    assert desk.simulator.position("BTCUSDT", side="LONG").is_flat
    assert desk.simulator.position("BTCUSDT", side="SHORT").is_flat
    assert uncovered_ms(desk) == before, story(trio)
    assert trio.result == "STOP_LOSS"
    assert is_sound(desk, trio)


def test_a_target_that_executed_is_never_placed_again(eth: Desk) -> None:
    # Given 1.000 with targets of 50, 30 and 20 %
    words = ETH | {
        "quantity": D("1.000"),
        "take_profit": D("2090"),
        "part_targets": part_targets(("2030", "50"), ("2060", "30")),
        "protection": "ON_FIRST_FILL",
    }
    trio = opened(eth, [("2030", "0.500"), ("2060", "0.300"), ("2090", None)], **words)
    before = uncovered_ms(eth)

    # When the first fills while nobody looks, and another process takes over
    eth.deaf = True
    eth.simulator.set_price("ETHUSDT", "2030")
    eth.deaf = False
    for _ in range(3):
        eth.sweep()
        eth.carry()
    worked(eth, trio, lambda: the(trio).wake_at is None)

    # Then the two others stand as they were, and nothing at the first
    assert targets(eth) == [(D("2060"), D("0.300")), (D("2090"), None)]
    assert eth.simulator.position("ETHUSDT", side=trio.position_side).quantity.copy_abs() == D("0.500")
    placed = [leg.trigger_price for leg in trio.legs.filter(role="PART_TARGET")]
    assert placed.count(D("2030")) == 1
    assert uncovered_ms(eth) == before, story(trio)


def test_a_part_is_taken_off_and_what_is_left_is_divided_anew(eth: Desk) -> None:
    words = ETH | {
        "quantity": D("1.000"),
        "part_targets": part_targets(("2040", "50")),
        "protection": "ON_FIRST_FILL",
    }
    trio = opened(eth, [("2040", "0.500"), ("2080", None)], **words)
    before = uncovered_ms(eth)

    change = services.trio_close_part(trio_id=trio.pk, by="test", percent=D("40"))
    worked(eth, trio, lambda: targets(eth) == [(D("2040"), D("0.300")), (D("2080"), None)])

    change.refresh_from_db()
    assert (change.end, change.filled) == (SizeEnd.DONE, D("0.400"))
    assert the(trio).state == "OPEN"
    assert stops(eth) == [(D("1900"), None)]
    assert uncovered_ms(eth) == before, story(trio)
    entries = [e for e in eth.requests("POST", "/fapi/v1/order") if e.params.get("type") == "MARKET"]
    assert len(entries) == 2  # the entry, and the part

    # And the stop closes what is left
    eth.simulator.set_price("ETHUSDT", "1900")
    eth.carry_until(trio, "CLOSED")
    assert trio.result == "STOP_LOSS"
    assert is_sound(eth, trio)


@pytest.mark.parametrize("protection", ["ON_FIRST_FILL", "PRE_ARMED"])
def test_what_is_added_is_covered_the_moment_it_fills(eth: Desk, protection: str) -> None:
    words = ETH | {"quantity": D("0.300"), "protection": protection}
    trio = eth.placed(eth.a_trio(**words))
    worked(eth, trio, lambda: len(targets(eth)) == 1 and len(stops(eth)) == 1)
    before = uncovered_ms(eth)

    eth.simulator.set_price("ETHUSDT", "1950")
    change = services.trio_add(trio_id=trio.pk, by="test", quantity=D("0.200"))
    worked(eth, trio, lambda: SizeChange.objects.get(pk=change.pk).end)

    change.refresh_from_db()
    assert (change.end, change.filled) == (SizeEnd.DONE, D("0.200"))
    worked(eth, trio, lambda: stops(eth) == [(D("1900"), None)])
    assert uncovered_ms(eth) == before, story(trio)
    assert the(trio).quantity == D("0.500")
    eth.simulator.set_price("ETHUSDT", "2080")
    eth.carry_until(trio, "CLOSED")
    assert eth.simulator.position("ETHUSDT", side=trio.position_side).is_flat
    assert is_sound(eth, trio)


@pytest.mark.parametrize(("fault", "fills"), [("refused", False), ("lost", False), ("unanswered", True)])
@pytest.mark.parametrize("verb", ["part", "add"])
def test_an_order_for_another_size_is_sent_once_whatever_becomes_of_it(
    eth: Desk, verb: str, fault: str, fills: bool
) -> None:
    trio = eth.placed(eth.a_trio(**ETH, quantity=D("0.400"), protection="ON_FIRST_FILL"))
    worked(eth, trio, lambda: len(targets(eth)) == 1 and len(stops(eth)) == 1)
    before = uncovered_ms(eth)
    if fault == "refused":
        eth.simulator.refuses("MARKET", code=-2010)
    elif fault == "lost":
        eth.simulator.fault({"method": "POST", "type": "MARKET"}, {"do": "lose_before"}, [1])
    else:
        eth.simulator.fault({"method": "POST", "type": "MARKET"}, {"do": "lose_answer"}, [1])
    if verb == "part":
        change = services.trio_close_part(trio_id=trio.pk, by="test", quantity=D("0.100"))
    else:
        change = services.trio_add(trio_id=trio.pk, by="test", quantity=D("0.100"))
    worked(eth, trio, lambda: SizeChange.objects.get(pk=change.pk).end)
    change.refresh_from_db()
    assert change.end == (SizeEnd.DONE if fills else SizeEnd.REFUSED), story(trio)
    held = {"part": "0.300", "add": "0.500"}[verb] if fills else "0.400"
    assert abs(eth.simulator.position("ETHUSDT", side=trio.position_side).quantity) == D(held)
    assert the(trio).state == "OPEN"
    assert the(trio).quantity == (D("0.500") if verb == "add" and fills else D("0.400"))
    assert uncovered_ms(eth) == before, story(trio)
    assert is_sound(eth, trio)


def test_the_stop_follows_the_targets(eth: Desk) -> None:
    words = ETH | {
        "quantity": D("1.000"),
        "take_profit": D("2090"),
        "part_targets": part_targets(("2030", "50"), ("2060", "30")),
        "follow": "TARGETS",
        "protection": "ON_FIRST_FILL",
    }
    trio = opened(eth, [("2030", "0.500"), ("2060", "0.300"), ("2090", None)], **words)
    before = uncovered_ms(eth)
    eth.simulator.set_price("ETHUSDT", "2035")
    worked(eth, trio, lambda: stops(eth) == [(D("2002.02"), None)])
    eth.simulator.set_price("ETHUSDT", "2065")
    worked(eth, trio, lambda: stops(eth) == [(D("2030"), None)])
    assert the(trio).stop_loss == D("2030")
    assert [move.wanted_by for move in trio.level_moves.all()] == ["targets", "targets"]
    eth.simulator.set_price("ETHUSDT", "2030")
    eth.carry_until(trio, "CLOSED")
    assert trio.result == "STOP_LOSS"
    assert uncovered_ms(eth) == before, story(trio)
    assert is_sound(eth, trio)


def test_break_even_of_the_rest_and_of_the_trio_are_two_prices(desk: Desk) -> None:
    # Case 28: long 0.500 at 2000.00, 0.200 taken off at 2030.00
    desk.simulator.set_price("ETHUSDT", "1999.99")  # a market order takes the other side of the spread
    words = ETH | {"quantity": D("0.500"), "protection": "ON_FIRST_FILL"}
    trio = desk.placed(desk.a_trio(**words))
    worked(desk, trio, lambda: len(targets(desk)) == 1 and len(stops(desk)) == 1)
    desk.simulator.set_price("ETHUSDT", "2030")
    services.trio_close_part(trio_id=trio.pk, by="test", quantity=D("0.200"))
    worked(desk, trio, lambda: not SizeChange.objects.filter(end="").exists())
    worked(desk, trio, lambda: trio.fills.count() == 2)
    assert [fill.price for fill in trio.fills.order_by("pk")] == [D("2000.00"), D("2030.00")]

    services.trio_break_even(trio_id=trio.pk, by="test", of_trio=True)
    worked(desk, trio, lambda: stops(desk) == [(D("1983.34"), None)])
    services.trio_break_even(trio_id=trio.pk, by="test")
    worked(desk, trio, lambda: stops(desk) == [(D("2002.01"), None)])


@pytest.mark.parametrize("side", ["BUY", "SELL"])
@pytest.mark.parametrize("asset", ["USDT", "BNB"])
def test_break_even_of_the_trio_is_where_its_page_says_whatever_it_has_paid(
    desk: Desk, side: str, asset: str
) -> None:
    # Given half of it closed 30 better, funding that was paid for it, and fees in this asset
    long = side == "BUY"
    desk.simulator.set_price("ETHUSDT", "1999.99" if long else "2000")  # the other side of the spread
    words: dict[str, Any] = {
        "stop_loss": D("1900" if long else "2100"),
        "take_profit": D("2080" if long else "1920"),
        "protection": "ON_FIRST_FILL",
    }
    trio = desk.placed(desk.a_trio("ETHUSDT", side, quantity=D("0.500"), **words))
    worked(desk, trio, lambda: len(targets(desk)) == 1 and len(stops(desk)) == 1)
    desk.simulator.set_price("ETHUSDT", "2030" if long else "1969.99")
    services.trio_close_part(trio_id=trio.pk, by="test", quantity=D("0.200"))
    worked(desk, trio, lambda: not SizeChange.objects.filter(end="").exists() and trio.fills.count() == 2)
    line = Income.objects.create(
        account=desk.account, kind="FUNDING_FEE", amount=D("-1.50"), asset="USDT", symbol="ETHUSDT", tran_id=1,
        time_ts=exchange_now_ms("PAPER"),
    )  # fmt: skip
    IncomeShare.objects.create(income=line, trio=trio, amount=line.amount)
    if asset == "BNB":
        trio.fills.update(commission=F("commission") / 600, commission_asset="BNB")
        with pytest.raises(IllegalTransition, match="not known yet"):
            services.trio_break_even(trio_id=trio.pk, by="test", of_trio=True)
        for fill in trio.fills.all():
            FeePrice.objects.create(fill=fill, price=D(600))
    desk.sweep()
    (row,) = open_trios([TrioOrder.objects.select_related("account", "symbol", "slot").get(pk=trio.pk)])

    move = services.trio_break_even(trio_id=trio.pk, by="test", of_trio=True)

    # (0.300 × 2000 − (6 − 0.703 − 1.50)) / (0.300 × 0.9995) = 1988.3375…, up; the short's mirror
    assert move.level == row.even == (D("1988.34") if long else D("2011.67"))


def test_two_targets_gapped_over_at_once_close_the_position_once(eth: Desk) -> None:
    words = ETH | {"quantity": D("0.400"), "part_targets": part_targets(("2040", "50"))}
    trio = opened(eth, [("2040", "0.200"), ("2080", None)], protection="ON_FIRST_FILL", **words)
    eth.simulator.set_price("ETHUSDT", "2100")
    eth.carry_until(trio, "CLOSED")
    assert eth.simulator.position("ETHUSDT", side=trio.position_side).is_flat
    assert trio.result == "TAKE_PROFIT"
    assert eth.resting == []
    assert is_sound(eth, trio)


def test_all_of_it_is_no_part(eth: Desk) -> None:
    trio = eth.placed(eth.a_trio(**ETH, quantity=D("0.400"), protection="ON_FIRST_FILL"))
    worked(eth, trio, lambda: len(targets(eth)) == 1)
    services.trio_close_part(trio_id=trio.pk, by="test", percent=D("50"))
    worked(eth, trio, lambda: not SizeChange.objects.filter(end="").exists())
    with pytest.raises(RuleBroken, match="to close all of it, use “close”"):
        services.trio_close_part(trio_id=trio.pk, by="test", quantity=D("0.200"))
    services.trio_close(trio_id=trio.pk, by="test")
    eth.carry_until(trio, "CLOSED")
    assert trio.result == "MANUAL"
    assert is_sound(eth, trio)


def test_what_cannot_be_taken_off_or_added_is_refused_with_what_can(eth: Desk) -> None:
    draft = eth.a_trio(**ETH, quantity=D("0.400"))
    with pytest.raises(IllegalTransition, match="Nothing has filled yet"):
        services.trio_close_part(trio_id=draft.pk, by="test", percent=D("50"))
    trio = eth.placed(draft)
    worked(eth, trio, lambda: len(targets(eth)) == 1)
    sent = len(eth.requests("POST"))
    with pytest.raises(RuleBroken, match=r"at least 0\.\d+"):
        services.trio_close_part(trio_id=trio.pk, by="test", quantity=D("0.0001"))
    with pytest.raises(RuleBroken, match="less than 100"):
        services.trio_close_part(trio_id=trio.pk, by="test", percent=D("100"))
    with pytest.raises(TrioRefused, match="notional of at least 20"):
        services.trio_add(trio_id=trio.pk, by="test", quantity=D("0.001"))
    with pytest.raises(RuleBroken, match="which leaves nothing for the take-profit"):
        services.trio_targets(trio_id=trio.pk, by="test", text="2040:60, 2050:40")
    assert len(eth.requests("POST")) == sent
    assert not SizeChange.objects.exists()


def test_targets_are_set_anew_on_a_living_trio(eth: Desk) -> None:
    words = ETH | {"quantity": D("1.000"), "part_targets": part_targets(("2040", "50"))}
    trio = opened(eth, [("2040", "0.500"), ("2080", None)], protection="ON_FIRST_FILL", **words)
    services.trio_targets(trio_id=trio.pk, by="test", text="2050:25, 2060:25", follow="BREAK_EVEN")
    wanted = [(D("2050"), D("0.250")), (D("2060"), D("0.250")), (D("2080"), None)]
    worked(eth, trio, lambda: targets(eth) == wanted)
    assert "Part targets changed from 2040:50 to 2050:25, 2060:25 by test." in story(trio)
    services.trio_targets(trio_id=trio.pk, by="test", text="")
    worked(eth, trio, lambda: targets(eth) == [(D("2080"), None)])
    assert is_sound(eth, trio)


def test_a_part_target_that_the_exchange_ends_is_placed_again(eth: Desk) -> None:
    words = ETH | {"quantity": D("1.000"), "part_targets": part_targets(("2040", "50"))}
    trio = opened(eth, [("2040", "0.500"), ("2080", None)], protection="ON_FIRST_FILL", **words)
    leg = trio.legs.get(role="PART_TARGET")
    eth.simulator.expire(leg.client_id)
    worked(eth, trio, lambda: trio.legs.filter(role="PART_TARGET", state="ACCEPTED").count() == 1)
    assert len(targets(eth)) == 2


def test_what_is_added_meets_the_limits_again_when_it_is_sent(eth: Desk) -> None:
    # Given a wish that passed every check
    trio = eth.placed(eth.a_trio(**ETH, quantity=D("0.400"), protection="ON_FIRST_FILL"))
    worked(eth, trio, lambda: len(targets(eth)) == 1 and len(stops(eth)) == 1)
    change = services.trio_add(trio_id=trio.pk, by="test", quantity=D("0.100"))

    # When a limit is set before it is sent
    RiskLimit.objects.create(account=eth.account, notional_open=D("900"))
    worked(eth, trio, lambda: SizeChange.objects.get(pk=change.pk).end)

    # Then it never goes out, and says which limit
    change.refresh_from_db()
    assert change.end == SizeEnd.REFUSED
    assert "; the maximum is 900.00" in change.refused_text
    assert not trio.legs.filter(role="ADD").exists()
    with pytest.raises(TrioRefused, match=r"the maximum is 900\.00"):
        services.trio_add(trio_id=trio.pk, by="test", quantity=D("0.100"))
    # And what reduces is not asked
    part = services.trio_close_part(trio_id=trio.pk, by="test", quantity=D("0.100"))
    worked(eth, trio, lambda: SizeChange.objects.get(pk=part.pk).end == SizeEnd.DONE)


def test_a_part_target_whose_level_is_passed_takes_its_share_at_market(eth: Desk) -> None:
    words = ETH | {"quantity": D("0.400"), "part_targets": part_targets(("2040", "50"))}
    draft = eth.a_trio(protection="ON_FIRST_FILL", **words)
    first = client_ids.client_id(client_ids.stem(install_row().token, draft.pk), Role.PART_TARGET, 1)
    eth.simulator.refuses("TAKE_PROFIT_MARKET", code=-2021, client_id=first)
    trio = eth.placed(draft)
    worked(eth, trio, lambda: trio.legs.filter(role="PART_TARGET", type="MARKET", state="FILLED").exists())
    worked(eth, trio, lambda: the(trio).wake_at is None)
    assert the(trio).state == "OPEN", story(trio)
    assert abs(eth.simulator.position("ETHUSDT", side=trio.position_side).quantity) == D("0.200")
    assert targets(eth) == [(D("2080"), None)]
    assert is_sound(eth, trio)


def test_a_hedge_stop_that_a_person_has_made_too_large_leaves(hedge_desk: Desk) -> None:
    # Given an armed trio whose legs are for all of it
    desk = hedge_desk
    trio = desk.placed(desk.a_trio(quantity=D("0.170"), protection="PRE_ARMED"))
    worked(desk, trio, lambda: the(trio).wake_at is None)
    assert stops(desk) == [(D("95000"), D("0.170"))]

    # When a person sells half of it in the app
    exchange = exchange_for(desk.account.pk)
    sold = NewOrder(
        "web_1", "BTCUSDT", Side.SELL, OrderType.MARKET, position_side=PositionSide.LONG, quantity=D("0.090")
    )
    exchange.send(exchange.submit_request(sold), stamp=Stamp(exchange_now_ms("PAPER"), 5000))

    # Then a stop for whatever is left stands, and what is larger than that is gone
    worked(desk, trio, lambda: stops(desk) == [(D("95000"), None)])
    worked(desk, trio, lambda: targets(desk) == [(D("110000"), None)])
    assert the(trio).state == "OPEN", story(trio)
    assert is_sound(desk, trio)
