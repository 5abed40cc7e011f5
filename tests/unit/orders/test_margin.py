"""Free margin is part of the check before placing: what is missing is said before anything is sent."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D

import pytest
from django.test import Client

from exchange.types import OrderType, Side
from orders import services
from orders.domain.errors import RuleBroken
from orders.domain.validation import Market, margin_needed
from tests.builders import Desk, the
from tests.unit.orders.domain.snapshots import LONG
from tests.unit.orders.operators import a_superuser, do


def funds(desk: Desk, usdt: str) -> None:
    desk.simulator.ex.by_key[desk.api_key].account.wallets["USDT"] = D(usdt)


def posted(desk: Desk) -> list[str]:
    return [e.path for e in desk.simulator.log if e.method == "POST" and "rder" in e.path]


def test_too_little_free_margin_is_refused_before_anything_is_sent(desk: Desk) -> None:
    # Given a trio of 0.010 at 100000 with leverage 20: 50 of margin and 0.5 of fees, and a little less than that
    funds(desk, "50.4")
    draft = desk.a_trio(stop_loss=D("98000"))

    # Then the check says so, with both numbers, and nothing leaves
    with pytest.raises(RuleBroken) as refused:
        desk.queued(draft)
    assert refused.value.field == "quantity"
    assert "It would need 50.5 USDT of margin and fees, but only 50.4 USDT are free" in str(refused.value)
    operator: Client = a_superuser()
    assert "would need 50.5 USDT" in do(operator, "validate", draft)[-1]
    assert posted(desk) == []

    # And what is enough for the check is enough for the exchange
    funds(desk, "51")
    assert "50.5 of 51 USDT free" in do(operator, "validate", draft)[-1]
    assert desk.placed(draft).state == "OPEN"


def test_what_is_promised_to_one_is_not_free_for_the_next(desk: Desk) -> None:
    funds(desk, "80")
    first = desk.queued(desk.a_trio(stop_loss=D("98000")))
    with pytest.raises(RuleBroken) as refused:
        desk.queued(desk.a_trio("ETHUSDT", quantity=D("0.3"), stop_loss=D("2300"), take_profit=D("2600")))
    assert "only 29.5 USDT are free (50.5 more are promised to trios on their way)" in str(refused.value)

    # Until that one has ended
    services.trio_cancel(trio_id=first.pk, by="test")
    desk.advance(first)
    assert the(first).is_over
    desk.queued(desk.a_trio("ETHUSDT", quantity=D("0.3"), stop_loss=D("2300"), take_profit=D("2600")))


@pytest.mark.parametrize(
    ("side", "price", "needed"),
    [
        (Side.BUY, "99000", "49.995"),
        (Side.SELL, "99000", "50.500"),
        (Side.SELL, "101000", "51.005"),
        (Side.BUY, None, "50.500"),
    ],
)
def test_the_price_the_exchange_takes(side: Side, price: str | None, needed: str) -> None:
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    spec = replace(LONG, side=side, entry_type=kind, price=None if price is None else D(price))
    assert margin_needed(spec, Market(mark_price=D("100000"), leverage=20)) == D(needed)
