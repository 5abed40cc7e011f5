"""A ban of our address: silence until its end, a question at once, and cover the moment it is over."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import pytest
import redis
from django.conf import settings

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
from orders.placement import admission
from tests.builders import Desk, story, the, until

BAN_SECONDS = 2
ROUND_TRIP_MS = 250  # on a busy machine, a look of the test's own desk included


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


# --- the account's order window -------------------------------------------------------------------


def full_window(desk: Desk, *occurrences: int) -> None:
    """Answer these attempts to place a stop with -1015, as the exchange does when the account's window is used up."""
    desk.simulator.fault(
        {"method": "POST", "type": "STOP_MARKET"},
        {
            "do": "answer",
            "status": 429,
            "body": {"code": -1015, "msg": "Too many new orders; current limit is 300 orders per 10 SECOND."},
            "headers": {"Retry-After": "1"},
        },
        list(occurrences),
    )


def posted(desk: Desk, kind: str) -> list[Any]:
    return [e for e in desk.simulator.log if e.method == "POST" and e.params.get("type") == kind]


@pytest.mark.parametrize("refusals", [1, 2])
def test_a_stop_refused_for_the_accounts_window_holds_back_its_entries_at_once(
    kept: Desk, refusals: int
) -> None:
    # Given a bulk of entries of one account, and an exchange that says of the first stop that the window is used up
    desk = kept
    others = [
        desk.a_trio("ETHUSDT", quantity=D("0.1"), stop_loss=D("2300"), take_profit=D("2600")),
        desk.a_trio("ADAUSDT", quantity=D("100"), **levels(desk, "ADAUSDT")),
    ]
    full_window(desk, *range(1, refusals + 1))
    trio = desk.a_trio(protection="ON_FIRST_FILL")
    desk.queued(trio)
    desk.service.advance(trio.pk)
    until(lambda: carried(desk) or posted(desk, "STOP_MARKET"), why=lambda: story(trio))
    first = posted(desk, "STOP_MARKET")[0]
    for other in others:
        desk.queued(other)
        desk.service.advance(other.pk)

    # Then the stop is tried again as the header says; refused again, the position is closed at its bound, not later
    until(lambda: carried(desk) or len(posted(desk, "STOP_MARKET")) > 1, seconds=5, why=lambda: story(trio))
    again, wait = posted(desk, "STOP_MARKET")[1], min(1000, window_end(first.ms) - first.ms)
    assert -30 <= again.ms - first.ms - wait < 250, story(trio)
    if refusals == 1:
        desk.carry_until(trio, "OPEN")
        until(lambda: carried(desk) or len(desk.resting) == 2, why=lambda: story(trio))
    else:
        desk.carry_until(trio, "CLOSED", "ROLLED_BACK")
        filled = trio.fills.filter(leg__role="ENTRY").earliest("time_ts")
        bound = settings.NAKED_LIMIT_MS - 500 + ROUND_TRIP_MS
        assert closed(desk)[0].ms - filled.time_ts <= bound, story(trio)
    assert 0 < the(trio).uncovered_refused_ms <= trio.uncovered_ms

    # And no entry of the account has left before the window's end: each waits, and says what for
    ends = window_end(first.ms)
    entries = [e for e in desk.simulator.log if e.params.get("symbol") in ("ETHUSDT", "ADAUSDT")]
    assert [
        e.params for e in entries if e.method == "POST" and e.ms < ends and "leverage" not in e.path
    ] == []
    assert all("the account's order window is used up" in story(other) for other in others)
    for other in others:
        desk.carry_until(other, "OPEN", seconds=15)


@pytest.mark.parametrize("refusals", [1, 2])
def test_a_stop_refused_for_no_stated_time_is_tried_again_within_the_bound(kept: Desk, refusals: int) -> None:
    # Given an exchange that refuses a stop for too many requests, and does not say for how long
    desk = kept
    desk.simulator.fault(
        {"method": "POST", "type": "STOP_MARKET"},
        {"do": "answer", "status": 429, "body": {"code": -1003, "msg": "Too many requests."}},
        list(range(1, refusals + 1)),
    )
    trio = desk.placed(desk.a_trio(protection="ON_FIRST_FILL"))
    until(
        lambda: carried(desk) or len(posted(desk, "STOP_MARKET")) > refusals,
        seconds=5,
        why=lambda: story(trio),
    )

    # Then it is tried again soon, then less soon, and the position is covered within the bound
    first, *again = [entry.ms for entry in posted(desk, "STOP_MARKET")]
    assert again[0] - first >= rate_budget.VAGUE_MS
    assert len(again) == 1 or again[1] - again[0] >= 2 * rate_budget.VAGUE_MS
    until(lambda: carried(desk) or len(desk.resting) == 2, why=lambda: story(trio))
    assert (the(trio).state, trio.uncovered_longest_ms < settings.NAKED_LIMIT_MS) == ("OPEN", True), story(
        trio
    )


def test_an_armed_trio_whose_entry_was_held_back_is_passed_by_nobody(kept: Desk) -> None:
    # Given armed legs, and an entry that met an address at its limit
    desk = kept
    desk.simulator.fault(
        {"method": "POST", "type": "MARKET"},
        {"do": "answer", "status": 429, "body": {"code": -1003, "msg": "Too many requests."}, "headers": {"Retry-After": "1"}},
        [1],
    )  # fmt: skip
    trio = desk.queued(desk.a_trio(protection="PRE_ARMED"))
    desk.service.advance(trio.pk)
    assert the(trio).state == "PLACING"

    # When others take all the room there is in the air, and more as soon as some is free
    admission.admit_each([(10_000 + n, 10_000 + n) for n in range(admission.MOST)])

    # Then its entry goes as soon as the address is served again
    desk.carry_until(trio, "OPEN", seconds=4)


def levels(desk: Desk, symbol: str) -> dict[str, Any]:
    """Return a stop and a target some way off the price."""
    mark = next(m.mark for m in gateways.public_exchange("PAPER").mark_prices(symbol) if m.symbol == symbol)
    return {
        "stop_loss": (mark * D("0.95")).quantize(D("0.0001")),
        "take_profit": (mark * D("1.05")).quantize(D("0.0001")),
    }


def closed(desk: Desk) -> list[Any]:
    return [e for e in posted(desk, "MARKET") if e.params.get("reduceOnly") == "true"]


def window_end(ms: int) -> int:
    return (ms // 10_000 + 1) * 10_000
