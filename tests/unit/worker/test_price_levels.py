"""Which resting orders wait for which price."""

from __future__ import annotations

from decimal import Decimal

from exchange.types import PriceKind
from orders.domain.enums import Protection
from tests.builders import Desk
from worker.price_levels import price_levels

D = Decimal


def test_uncovered_entries_and_legs_have_levels(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.ON_FIRST_FILL))
    (entry,) = price_levels([desk.account.pk])
    assert (entry.price, entry.kind, entry.at_or_above) == (D("99000"), PriceKind.LAST, False)

    desk.simulator.set_price("BTCUSDT", "98990")
    desk.carry_until(trio, "OPEN")
    desk.carry()
    stop, target, by_mark = sorted(price_levels([desk.account.pk]), key=lambda level: level.price)
    assert (stop.price, stop.kind, stop.at_or_above) == (D("95000"), PriceKind.MARK, False)
    assert (target.price, target.kind, target.at_or_above) == (D("110000"), PriceKind.LAST, True)
    assert (by_mark.price, by_mark.kind, by_mark.at_or_above) == (D("110000"), PriceKind.MARK, True)


def test_an_entry_that_an_armed_stop_covers_has_none(desk: Desk) -> None:
    desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.PRE_ARMED))
    assert [level for level in price_levels([desk.account.pk]) if level.is_entry] == []


def test_an_armed_entry_in_hedge_mode_has_one_all_the_same(hedge_desk: Desk) -> None:
    # A quantity leg larger than a partly filled position may be refused whole: it covers nothing.
    hedge_desk.placed(
        hedge_desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.PRE_ARMED)
    )
    levels = price_levels([hedge_desk.account.pk])
    assert [level.price for level in levels if level.is_entry] == [D("99000")]


def test_a_stop_entry_waits_for_the_mark_price_then_for_its_limit(desk: Desk) -> None:
    trio = desk.placed(
        desk.a_trio(
            entry_type="STOP",
            trigger_price=D("101000"),
            price=D("100900"),
            protection=Protection.ON_FIRST_FILL,
        )
    )
    (entry,) = price_levels([desk.account.pk])
    assert (entry.price, entry.kind, entry.at_or_above) == (D("101000"), PriceKind.MARK, True)

    desk.simulator.set_price("BTCUSDT", "101000")
    desk.carry()
    assert trio.legs.get(role="ENTRY").state == "TRIGGERED"
    (entry,) = price_levels([desk.account.pk])
    assert (entry.price, entry.kind, entry.at_or_above) == (D("100900"), PriceKind.LAST, False)
