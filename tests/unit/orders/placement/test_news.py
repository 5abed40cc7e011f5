"""An event and the decision about it are one turn; what is known already costs a look."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal as D
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from exchange.binance.mapping.user_events import read_user_event
from exchange.port import Exchange
from exchange.types import OrderEvent, OrderState, PositionEvent
from orders.domain.decision.steps import Rest, Step
from orders.domain.enums import LegState, Role, TrioState
from orders.models import TrioOrder
from orders.placement import news as news_of
from orders.placement import perform as sending
from orders.placement.inbox import Inbox
from orders.placement.ingest import record_order_event
from orders.placement.news import News, NoNews, OrderNews, order_news, position_news
from orders.placement.perform import Answer, Call, SendCall
from orders.placement.service import OrderPlacementService
from tests.builders import PATIENCE_SECONDS, Desk, story, the, until
from worker.due_poll import AdvancePool


def heard(desk: Desk) -> list[OrderEvent | PositionEvent]:
    """Return the events that wait on the stream, unread."""
    desk.simulator.tick()
    events = [read_user_event(body) for body in desk.simulator.drain_events(desk.api_key)]
    return [event for event in events if isinstance(event, OrderEvent | PositionEvent)]


def pieces(desk: Desk, events: list[OrderEvent | PositionEvent]) -> list[News]:
    found: list[News | NoNews | None] = []
    for event in events:
        if isinstance(event, OrderEvent):
            found.append(order_news(desk.account.pk, event))
        else:
            found += [position_news(desk.account.pk, view, as_of=event.time) for view in event.positions]
    return [piece for piece in found if piece is not None and not isinstance(piece, NoNews)]


def resting(desk: Desk) -> TrioOrder:
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection="ON_FIRST_FILL"))
    desk.hear()
    desk.carry()
    assert the(trio).state == "WORKING", story(trio)
    return trio


def test_a_fill_is_recorded_and_covered_by_one_turn_each_way(desk: Desk) -> None:
    # Given an entry that rests, and fills
    trio = resting(desk)
    desk.simulator.set_price("BTCUSDT", "98990")
    found = pieces(desk, heard(desk))
    assert {type(piece).__name__ for piece in found} == {"OrderNews", "PositionNews"}

    # When all that was told is handed to one turn
    turns: list[str] = []
    locked = desk.service._locked_turn

    def counted(*means: object) -> object:
        turn = locked(*means)  # type: ignore[arg-type]
        turns.append(type(turn.step).__name__)
        return turn

    desk.service._locked_turn = counted  # type: ignore[method-assign, assignment]
    desk.service.advance(trio.pk, news=Inbox(found), if_due=True)

    # Then that turn recorded the fill and sent the legs
    assert turns[0] == "Submit", turns
    assert the(trio).trio_state is TrioState.OPEN, story(trio)
    assert trio.fills.count() == 1
    assert trio.slot is not None
    assert trio.slot.quantity == D("0.010")
    assert len(desk.resting) == 2


def test_what_the_answer_said_already_is_no_news_and_costs_no_read(desk: Desk) -> None:
    # Given a trio whose legs' answers are recorded, and the events about the same
    trio = desk.queued(desk.a_trio())
    desk.advance(trio)
    events = [event for event in heard(desk) if isinstance(event, OrderEvent)]
    legs = [event for event in events if event.order.conditional]
    assert len(legs) == 2

    with CaptureQueriesContext(connection) as asked:
        assert [order_news(desk.account.pk, event) for event in legs] == [NoNews.KNOWN] * 2
    assert len(asked) == 0
    # but for what the answer has not told
    changes: list[dict[str, Any]] = [
        {"state": OrderState.CANCELED},
        {"updated_at": (legs[0].order.updated_at or 0) + 5000},
        {"active": True},
    ]
    for change in changes:
        other = replace(legs[0], order=replace(legs[0].order, **change))
        assert isinstance(order_news(desk.account.pk, other), OrderNews)
    # One read where another process has recorded the answers
    news_of._told.clear()
    order_news(desk.account.pk, legs[0])  # its statement is planned by now
    with CaptureQueriesContext(connection) as asked:
        assert [order_news(desk.account.pk, event) for event in legs] == [NoNews.KNOWN] * 2
    assert len(asked) == 2

    # And an execution is news until it is booked, whatever the order's state
    executed = next(event for event in events if event.trade is not None)
    record_order_event(desk.account.pk, replace(executed, trade=None))
    assert order_news(desk.account.pk, replace(executed, trade=None)) is NoNews.KNOWN
    booking = order_news(desk.account.pk, executed)
    assert isinstance(booking, OrderNews)
    assert booking.may_wait, "the order is known: nothing hinges on the execution's row"
    desk.service.advance(trio.pk, news=Inbox(pieces(desk, [executed])), if_due=True)
    assert order_news(desk.account.pk, executed) is NoNews.KNOWN

    # And a report that is much younger than the last is recorded: proof of absence counts from it
    later = replace(executed.order, updated_at=(executed.order.updated_at or 0) + 5000)
    younger = order_news(desk.account.pk, replace(executed, order=later))
    assert isinstance(younger, OrderNews)
    assert not younger.may_wait

    # And a stranger's order is nobody's
    theirs = replace(executed, order=replace(executed.order, client_id="web_1"))
    assert order_news(desk.account.pk, theirs) is NoNews.NOT_FOUND


def test_news_told_twice_and_in_any_order_leaves_the_same(desk: Desk) -> None:
    trio = resting(desk)
    desk.simulator.set_price("BTCUSDT", "98990")
    found = pieces(desk, heard(desk))
    desk.service.advance(trio.pk, news=Inbox([*reversed(found), *found]), if_due=True)
    desk.service.advance(trio.pk, news=Inbox(found), if_due=True)
    assert the(trio).state == "OPEN", story(trio)
    assert trio.fills.count() == 1
    assert len(desk.requests(path="/fapi/v1/algoOrder")) == 2


def test_news_of_a_trio_that_cannot_be_decided_about_is_recorded_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    trio = resting(desk)
    desk.simulator.set_price("BTCUSDT", "98990")
    found = pieces(desk, heard(desk))

    # When its key cannot be read for the moment
    with monkeypatch.context() as patch:
        patch.setattr(desk.service, "_context", lambda *_: None)
        desk.service.advance(trio.pk, news=Inbox(found), if_due=True)
    assert trio.fills.count() == 1

    # Then it is due, and covered as soon as it can be
    desk.carry_until(trio, "OPEN")
    assert len(desk.resting) == 2


def test_news_is_kept_when_deciding_fails(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    trio = resting(desk)
    desk.simulator.set_price("BTCUSDT", "98990")
    found = pieces(desk, heard(desk))
    with monkeypatch.context() as patch:
        patch.setattr("orders.placement.service.decide", lambda snapshot: 1 / 0)
        desk.service.advance(trio.pk, news=Inbox(found), if_due=True)
    assert (trio.fills.count(), the(trio).failures) == (1, 1)


def test_a_piece_that_cannot_be_recorded_fails_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given two pieces for one turn, one of which raises wherever it is recorded
    trio = resting(desk)
    desk.simulator.set_price("BTCUSDT", "98990")
    found = pieces(desk, heard(desk))
    good = next(piece for piece in found if isinstance(piece, OrderNews) and piece.event.trade)
    bad = next(piece for piece in found if piece is not good)

    def spoiled(record: object) -> object:
        def recorded(*means: object) -> object:
            if bad in means:
                raise ValueError("this one is not understood")
            return record(*means)  # type: ignore[operator]

        return recorded

    monkeypatch.setattr("orders.placement.service.take_in", spoiled(news_of.take_in))
    monkeypatch.setattr("orders.placement.inbox.take_in_alone", spoiled(news_of.take_in_alone))
    lost: list[News] = []
    inbox = Inbox()
    for piece in (bad, good):
        inbox.put(piece, partial(lost.append, piece))
    AdvancePool(service=desk.service)._advance(trio.pk, [], inbox, None)

    # Then the other one is booked, and whoever told the bad one knows that it is lost
    assert trio.fills.count() == 1
    assert lost == [bad]
    desk.carry_until(trio, "OPEN")


def test_news_waits_with_the_turn_that_has_not_begun(desk: Desk) -> None:
    # Given a pool whose one thread is busy with another trio
    trio = resting(desk)
    desk.simulator.set_price("BTCUSDT", "98990")
    found = pieces(desk, heard(desk))
    begun, goes_on = threading.Event(), threading.Event()
    advanced: list[tuple[int, int]] = []

    class Held(OrderPlacementService):
        def advance(self, trio_id: int, **words: Any) -> Step:
            inbox = words["news"]
            advanced.append((trio_id, len(inbox.take())))
            inbox.recorded()
            begun.set()
            goes_on.wait(PATIENCE_SECONDS)
            return Rest(None)

    pool = AdvancePool(threads=1, service=Held())
    pool.submit(-1)
    begun.wait(PATIENCE_SECONDS)

    # When news of one trio comes before its turn has begun, it shares that turn
    for piece in found:
        pool.tell(piece, lambda: None)
    # And news of a trio in the middle of its turn has another right after
    pool.tell(replace(found[0], trio_id=-1), lambda: None)
    goes_on.set()
    pool.stop()
    assert sorted(advanced) == [(-1, 0), (-1, 1), (trio.pk, len(found))]


def test_news_interrupts_a_turn_that_waits_for_an_answer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an entry that fills in two parts, and a target that is long in being answered
    trio = resting(desk)
    entry = trio.legs.get().client_id
    desk.simulator.fill(entry, "0.004")
    inbox = Inbox(pieces(desk, heard(desk)))
    answered = threading.Event()

    def slow(call: Call, exchange: Exchange) -> Answer:
        if isinstance(call, SendCall) and call.wire.params.get("type") == "TAKE_PROFIT_MARKET":
            answered.wait(PATIENCE_SECONDS)
        return sent(call, exchange)

    sent = sending.perform
    monkeypatch.setattr(sending, "perform", slow)
    with ThreadPoolExecutor(1) as pool:
        turns = pool.submit(advance_elsewhere, desk, trio, inbox)
        stop = trio.legs.filter(role=Role.STOP_LOSS, state=LegState.ACCEPTED)
        until(stop.exists, why=lambda: story(trio))

        # When the second part fills meanwhile
        desk.simulator.fill(entry, "0.006")
        for piece in pieces(desk, heard(desk)):
            inbox.put(piece)

        # Then it is recorded before that answer is there
        until(lambda: trio.fills.count() == 2, why=lambda: story(trio))
        assert not turns.done()
        answered.set()
        turns.result(PATIENCE_SECONDS)
    assert inbox.is_empty

    # And both legs stand in the end, also where the machine was so slow that the target came too late for its window
    def stands() -> bool:
        desk.carry()
        return len(desk.resting) == 2

    until(stands, why=lambda: story(trio))


def advance_elsewhere(desk: Desk, trio: TrioOrder, inbox: Inbox) -> None:
    """Advance in a thread of its own, which leaves no connection behind."""
    try:
        desk.service.advance(trio.pk, news=inbox, if_due=True)
    finally:
        connection.close()
