"""A trail whose distance is a multiple of the average true range, read when it is asked for."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from accounts.gateways import public_exchange
from orders import services
from orders.domain.errors import RuleBroken, TrioRefused
from orders.domain.rounding import plain
from orders.domain.true_range import average_true_range
from orders.exchange_data.clock import exchange_now_ms
from orders.models import Trail, TrioEvent, TrioOrder
from tests.builders import Desk

D = Decimal
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def trio(desk: Desk) -> TrioOrder:
    return desk.placed(desk.a_trio())


def test_the_distance_is_so_many_ranges_of_closed_bars_up_to_the_tick(desk: Desk, trio: TrioOrder) -> None:
    trail = services.trio_trail(trio_id=trio.pk, by="ann", atr=D("2.5"), timeframe="5m")

    bars = public_exchange("PAPER").klines("BTCUSDT", "5m", limit=301)
    closed = [bar for bar in bars if bar.close_time < exchange_now_ms("PAPER")]
    exact = D("2.5") * average_true_range(closed)
    assert exact <= trail.distance < exact + D("0.10")
    assert trail.distance % D("0.10") == 0
    assert trail.unit == "PRICE"
    told = TrioEvent.objects.filter(trio=trio, kind="wish").last()
    assert told is not None
    assert f"{plain(trail.distance)} behind the mark price" in told.text
    assert "(2.5 × ATR of 5m)" in told.text


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"atr": D(0), "timeframe": "1h"}, "a number above zero"),
        ({"atr": D(-1), "timeframe": "1h"}, "a number above zero"),
        ({"atr": D(2), "timeframe": "7m"}, "7m is not a timeframe"),
        ({"atr": D(2), "timeframe": ""}, "is not a timeframe"),
        ({"atr": D(2), "timeframe": "1h", "percent": D(1)}, "one of them"),
        ({}, "one of them"),
    ],
)
def test_terms_that_cannot_be_are_refused_and_nothing_follows(
    trio: TrioOrder, terms: dict[str, Any], says: str
) -> None:
    with pytest.raises(RuleBroken, match=says):
        services.trio_trail(trio_id=trio.pk, by="ann", **terms)
    assert not Trail.objects.exists()


def test_a_symbol_with_too_few_bars_says_so(
    desk: Desk, trio: TrioOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = public_exchange("PAPER")
    few = public.klines("BTCUSDT", "1d", limit=9)
    monkeypatch.setattr(type(public), "klines", lambda *_, **__: few)

    with pytest.raises(RuleBroken, match="take a shorter timeframe"):
        services.trio_trail(trio_id=trio.pk, by="ann", atr=D(2), timeframe="1d")


def test_an_exchange_that_does_not_answer_is_named_and_nothing_follows(desk: Desk, trio: TrioOrder) -> None:
    desk.simulator.fault({"path": "/fapi/v1/klines"}, {"do": "refuse", "code": -1001})

    with pytest.raises(
        TrioRefused, match=r"BTCUSDT could not be asked about \(PAPER\).* Nothing was changed"
    ):
        services.trio_trail(trio_id=trio.pk, by="ann", atr=D(2), timeframe="1h")
    assert not Trail.objects.exists()
