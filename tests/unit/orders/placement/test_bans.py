"""A ban of our address: silence until its end, a question at once, and cover the moment it is over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from accounts import gateways, rate_budget
from exchange.errors import ExchangeUnavailable
from exchange.refusals import Refusal
from exchange.types import ExchangeMs, OrderRef, Stamp
from orders import services
from orders.domain.enums import Role
from orders.domain.errors import MarketUnread
from orders.domain.operator_questions import QuestionKind
from orders.exchange_data.clock import exchange_now_ms
from orders.models import TrioOrder
from tests.builders import Desk, story, the, until

BAN_SECONDS = 2


@pytest.fixture
def kept(settings: Any, desk: Desk) -> Iterator[Desk]:
    """The desk, keeping to the limits as the product does."""
    settings.KEEP_TO_LIMITS = True
    store = redis.Redis.from_url(settings.REDIS_URL)
    for key in store.scan_iter("rate:*"):
        store.delete(key)
    rate_budget.forget_budgets()
    yield desk
    for key in store.scan_iter("rate:*"):
        store.delete(key)
    rate_budget.forget_budgets()


def carried(desk: Desk) -> bool:
    """Do one pass of a runworker's work; it has no answer of its own."""
    desk.carry()
    return False


def stop_of(trio: TrioOrder) -> str:
    return next(leg.client_id for leg in trio.legs.filter(role=Role.STOP_LOSS).order_by("-id"))


def test_uncovered_during_a_ban_asks_at_once_and_is_covered_at_its_end(kept: Desk) -> None:
    desk = kept
    trio = desk.placed(desk.a_trio(protection="ON_FIRST_FILL"))
    until(lambda: carried(desk) or stop_of(trio) in desk.resting, why=lambda: story(trio))
    desk.carry()

    # Given a stop that is cancelled in the exchange's app, and a ban before anybody here has heard of it
    exchange = gateways.exchange_for(desk.account.pk)
    ref = OrderRef("BTCUSDT", stop_of(trio), conditional=True)
    exchange.send(exchange.cancel_request(ref), stamp=Stamp(exchange_now_ms("PAPER"), 5000))
    ends = desk.simulator.ban(BAN_SECONDS)
    until(lambda: carried(desk) or the(trio).question_kind, why=lambda: story(trio))

    # Then a person is asked before the ban is over
    assert desk.simulator.clock() < ends
    assert the(trio).question_kind == QuestionKind.ADDRESS_CLOSED
    assert "BTCUSDT" in the(trio).question

    # And nothing but what met the ban is sent until its end; then the position is protected or closed at once
    until(lambda: carried(desk) or not the(trio).question_kind, seconds=10, why=lambda: story(trio))
    refused = [entry for entry in desk.simulator.log if entry.status == 418]
    after = [entry for entry in desk.simulator.log if entry.method == "POST" and entry.ms >= ends]
    assert len(refused) == 1, [(entry.method, entry.path) for entry in refused]
    assert after[0].ms - ends < 250, story(trio)


def test_every_page_and_loop_meets_the_same_gate(kept: Desk) -> None:
    desk = kept
    desk.simulator.ban(30)
    with pytest.raises(ExchangeUnavailable) as first:
        gateways.public_exchange("PAPER").server_time()
    asked = len(desk.simulator.log)

    exchange = gateways.exchange_for(desk.account.pk)
    for ask in (
        gateways.public_exchange("PAPER").exchange_info,
        exchange.listen_key,
        exchange.keep_listen_key,
        lambda: exchange.account_config(at=ExchangeMs(1)),
        lambda: exchange.balances(at=ExchangeMs(1)),
        lambda: exchange.open_orders(at=ExchangeMs(1)),
    ):
        with pytest.raises(ExchangeUnavailable) as held:
            ask()
        assert held.value.refusal is Refusal.BANNED
    assert first.value.refusal is Refusal.BANNED
    assert len(desk.simulator.log) == asked
    with pytest.raises(MarketUnread):
        services.trio_queue(trio_id=desk.a_trio().pk, by="test")
    assert len(desk.simulator.log) == asked
