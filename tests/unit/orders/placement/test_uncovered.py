"""For how long a position was not covered: from the exchange's time of the loss, only while there was one, always live."""

from __future__ import annotations

import json
import re
import time
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import reverse

from accounts.gateways import exchange_for
from exchange.types import NewOrder, OrderRef, OrderType, PositionSide, Side, Stamp
from orders.domain.coverage import Cover
from orders.domain.enums import Role
from orders.exchange_data.clock import exchange_now_ms
from orders.models import TrioOrder
from orders.placement.uncovered import cover_spans, uncovered_now
from tests.builders import Desk, story, the
from tests.unit.orders.operators import a_superuser, live_url
from tests.unit.orders.placement.app import bought_in_the_app


def passed(seconds: float) -> None:
    """Let time pass: what is measured here is time."""
    time.sleep(seconds)


def cancelled_in_the_app(desk: Desk, client_id: str) -> None:
    exchange = exchange_for(desk.account.pk)
    request = exchange.cancel_request(OrderRef("BTCUSDT", client_id, conditional=True))
    exchange.send(request, stamp=Stamp(exchange_now_ms("PAPER"), 5000), timeout_ms=2000)


def sold_in_the_app(desk: Desk, quantity: str) -> None:
    order = NewOrder(
        "app-sold", "BTCUSDT", Side.SELL, OrderType.MARKET, PositionSide.BOTH,
        quantity=Decimal(quantity), reduce_only=True,
    )  # fmt: skip
    exchange = exchange_for(desk.account.pk)
    stamp = Stamp(exchange_now_ms("PAPER"), 5000)
    exchange.send(exchange.submit_request(order), stamp=stamp, timeout_ms=2000)


def shown_by_show_trio(trio: TrioOrder, capsys: pytest.CaptureFixture[str]) -> int:
    call_command("show_trio", str(trio.pk), "--json")
    return int(json.loads(capsys.readouterr().out)["uncovered_ms"])


def covered(desk: Desk) -> TrioOrder:
    trio = desk.placed(desk.a_trio(protection="ON_FIRST_FILL"))
    for _ in range(3):
        desk.carry()
    return the(trio)


def test_it_grows_while_nobody_decides_and_counts_from_the_exchanges_time_of_the_loss(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a stop that is gone, as an event says, and nobody who decides about it
    trio = covered(desk)
    before = the(trio).uncovered_ms
    cancelled_in_the_app(desk, trio.legs.get(role=Role.STOP_LOSS).client_id)
    passed(0.4)
    desk.hear()  # heard late

    first = uncovered_now(the(trio)).total
    passed(0.3)
    second = shown_by_show_trio(trio, capsys)

    # Then it is counted from when the exchange lost it, and goes on
    assert first - before >= 400
    assert second - first >= 300
    # On the trio's page too, which is read while it is looked at
    page = a_superuser().get(live_url(trio)).content.decode()
    figure = int(page.partition("<h3>Uncovered</h3>")[2].partition("<b>")[2].partition(" ms")[0])
    assert figure >= second
    assert the(trio).uncovered_ms == before, "no turn has run"


def test_the_list_and_the_dashboard_count_an_open_gap_up_to_now(desk: Desk, settings: Any) -> None:
    settings.NAKED_LIMIT_MS = 60_000
    desk.simulator.refuses("STOP_MARKET", code=-1008)
    trio = desk.queued(desk.a_trio(protection="ON_FIRST_FILL"))
    desk.advance(trio)
    assert the(trio).uncovered_known_at is not None, story(trio)
    stored = the(trio).uncovered_ms
    passed(0.3)

    client = a_superuser()
    for name in ("admin:index", "admin:orders_trioorder_changelist"):
        page = client.get(reverse(name)).content.decode()
        shown = [int(ms) for ms in re.findall(r"\b(\d+)(?:</b>)? ms\b", page)]
        assert any(stored + 300 <= ms < 60_000 for ms in shown), (name, stored, shown)


@pytest.mark.parametrize("quiet_seconds", [0.8])
def test_a_position_that_went_unseen_is_not_counted_after_it_went(desk: Desk, quiet_seconds: float) -> None:
    # Given a position that a person closes, and its legs expiring with it, while the stream is silent
    trio = covered(desk)
    before = the(trio).uncovered_ms
    desk.deaf = True
    sold_in_the_app(desk, "0.010")
    desk.hear()
    assert desk.resting == []
    passed(quiet_seconds)

    # When it is found by a sweep
    desk.sweep()
    desk.carry_until(trio, "CLOSED")

    # Then what did not exist was not uncovered
    assert trio.result == "OUTSIDE", story(trio)
    assert trio.uncovered_ms == before, story(trio)
    assert drawn(trio) == before
    # And what happens in its slot after its end is not its own
    bought_in_the_app(desk, "0.010")
    desk.deaf = False
    desk.carry()
    desk.service.advance(trio.pk)
    assert the(trio).uncovered_ms == before


def drawn(trio: TrioOrder) -> int:
    """Return how many milliseconds of the line over time are uncovered."""
    found = cover_spans(the(trio))
    assert found, "there is nothing to draw"
    assert [span.until for span in found[:-1]] == [span.since for span in found[1:]]
    return sum(span.lasted for span in found if span.cover is Cover.UNCOVERED)


def test_the_line_over_time_is_what_the_figures_are_the_sum_of(desk: Desk) -> None:
    # Given an open trio whose stop came after its fill: what is drawn as uncovered is what is counted
    trio = covered(desk)
    assert drawn(trio) == uncovered_now(the(trio)).total
    assert cover_spans(the(trio))[-1].cover is Cover.COVERED

    # When its stop is lost, a gap is open at the end of the line, and the trio's page shows it
    cancelled_in_the_app(desk, trio.legs.get(role=Role.STOP_LOSS).client_id)
    passed(0.3)
    desk.hear()
    assert cover_spans(the(trio))[-1].cover is Cover.UNCOVERED
    first, second = uncovered_now(the(trio)).total, drawn(trio)
    assert second >= first >= 300
    page = a_superuser().get(live_url(trio)).content.decode()
    assert "Cover over time" in page
    assert 'class="cover--UNCOVERED"' in page
    assert "Counted from the first execution: " in page

    # And once it is covered again and closed, the line and the record agree to the millisecond
    for _ in range(3):
        desk.carry()
    desk.simulator.set_price("BTCUSDT", "94000")
    desk.carry_until(trio, "CLOSED")
    assert drawn(trio) == the(trio).uncovered_ms >= 300


def test_nothing_is_drawn_of_what_never_had_a_position(desk: Desk) -> None:
    assert cover_spans(desk.a_trio()) == []
    waiting = desk.placed(desk.a_trio(entry_type="LIMIT", price=Decimal("96000")))
    assert cover_spans(waiting) == []
