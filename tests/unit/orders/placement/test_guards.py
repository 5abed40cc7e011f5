"""Guards of the machinery that no other story needs: each fails when its guard is taken away (tests/guards)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.gateways import exchange_for
from exchange.port import Exchange
from exchange.types import NewOrder, OrderType, PositionSide, PositionView, Side
from infrastructure import transactions
from orders import services
from orders.domain.decision.decide import Decision
from orders.domain.decision.steps import Plan, Rest, Step, Submit
from orders.domain.enums import Form, LegState, Protection, RequestKind, Role
from orders.domain.errors import TrioRefused
from orders.domain.snapshot import TrioSnapshot
from orders.exchange_data.clock import db_now, exchange_now_ms
from orders.models import Leg, Outcome, Request, Slot, TrioOrder, Watch
from orders.placement import finish, ingest, service
from orders.placement import perform as sending
from orders.placement.admission import Admission
from orders.placement.ingest import record_position
from orders.placement.perform import Answer, Call, SendCall, perform
from tests.builders import Desk, due_ids, story, the, until
from tests.unit.orders.placement.test_hostile import elsewhere
from worker import sweep
from worker.watch_manager import accounts_to_watch

D = Decimal
NOTHING = {"do": "answer", "status": 503, "body": "", "execute": False}  # lost on its way, and nobody says so


@pytest.fixture
def begun(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Callable[[TrioOrder], list[Call]]:
    """Begin like a process that stops right after the commit: what it would have sent is returned."""

    def begin(trio: TrioOrder) -> list[Call]:
        kept: list[Call] = []

        def keep(calls: tuple[Call, ...], *_: object) -> set[object]:
            kept.extend(calls)
            return set()

        with monkeypatch.context() as stopped:
            stopped.setattr(service, "perform_all", keep)
            desk.advance(trio)
        return kept

    return begin


# --- what is sent -------------------------------------------------------------------------------


def test_nothing_leaves_before_its_row_is_committed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    committed: list[bool] = []

    def watched(call: Call, exchange: Exchange) -> Answer:
        if isinstance(call, SendCall):
            try:  # a thread of its own, and so a connection that sees only what is committed
                committed.append(Request.objects.filter(pk=call.request_id).exists())
            finally:
                connection.close()
        return perform(call, exchange)

    monkeypatch.setattr(sending, "perform", watched)
    trio = desk.queued(desk.a_trio())
    desk.advance(trio)

    assert committed == [True] * len(committed)
    assert committed


def test_a_process_that_wakes_up_too_late_sends_what_the_exchange_refuses(
    desk: Desk, settings: object, begun: Callable[[TrioOrder], list[Call]]
) -> None:
    # Given a process that is paused between begin and perform
    settings.RECV_WINDOW_MS = 200  # type: ignore[attr-defined]
    (call,) = begun(desk.queued(desk.a_trio(protection=Protection.ON_FIRST_FILL)))
    assert isinstance(call, SendCall)

    # When it wakes up after the request's time
    until(lambda: exchange_now_ms("PAPER") > call.stamp.timestamp + 300)
    answer = perform(call, exchange_for(desk.account.pk))

    # Then the exchange takes nothing of it
    assert answer.error is not None
    assert answer.error.code == -1021
    assert desk.simulator.position("BTCUSDT").is_flat


def test_who_dies_after_begin_is_noticed_and_what_it_asked_is_looked_up(
    desk: Desk, begun: Callable[[TrioOrder], list[Call]]
) -> None:
    trio = desk.queued(desk.a_trio(protection=Protection.ON_FIRST_FILL))
    assert len(begun(trio)) == 1

    desk.carry_until(trio, "ROLLED_BACK", seconds=5)

    assert desk.requests(path="/fapi/v1/order") == [], "it was never sent, and never is"


def test_an_id_that_was_used_is_never_begun_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an open trio, and a decision gone wrong: it sends the entry under its old id
    trio = desk.placed(desk.a_trio())
    entry = trio.legs.get(role=Role.ENTRY)
    order = NewOrder(entry.client_id, "", Side.BUY, OrderType.MARKET, quantity=D("0.010"))
    steps: list[Step] = [Submit((Plan(Role.ENTRY, 1, Form.QUANTITY, order),))]

    def wrong(snapshot: TrioSnapshot) -> Decision:
        return Decision(snapshot, steps.pop() if steps else Rest(None))

    monkeypatch.setattr(service, "decide", wrong)
    desk.advance(trio)

    assert len(desk.requests(path="/fapi/v1/order")) == 1
    assert the(trio).question


def test_a_refused_clock_is_measured_before_the_next_request(desk: Desk) -> None:
    desk.simulator.fault({"method": "POST", "path": "/fapi/v1/order"}, {"do": "refuse", "code": -1021}, 1)
    asked = len(desk.requests("GET", "/fapi/v1/time"))

    trio = desk.placed(desk.a_trio(protection=Protection.ON_FIRST_FILL))

    assert len(desk.requests("GET", "/fapi/v1/time")) > asked
    first, second = Request.objects.filter(trio=trio, leg__role=Role.ENTRY)
    assert first.timestamp < second.timestamp


# --- absence ------------------------------------------------------------------------------------


def test_a_lost_target_is_believed_absent_only_past_its_window_and_the_margin(
    desk: Desk, settings: object
) -> None:
    settings.ABSENCE_MARGIN_MS = 900  # type: ignore[attr-defined]
    desk.simulator.fault({"method": "POST", "type": "TAKE_PROFIT_MARKET"}, NOTHING, 1)
    trio = desk.placed(desk.a_trio(protection=Protection.ON_FIRST_FILL))

    def written_off() -> Leg | None:
        desk.carry()
        return trio.legs.filter(role=Role.TAKE_PROFIT, state=LegState.WRITTEN_OFF).first()

    leg = until(written_off, why=lambda: story(trio))
    request = leg.requests.get()
    assert leg.ended_ts > request.timestamp + request.recv_window + 900


def test_an_acknowledged_stop_is_not_written_off_on_one_look(desk: Desk, settings: object) -> None:
    settings.ABSENCE_MARGIN_MS = 5000  # type: ignore[attr-defined]
    trio = desk.placed(desk.a_trio(protection=Protection.ON_FIRST_FILL))
    desk.simulator.fault({"path": "/fapi/v1/algoOrder", "method": "GET"}, {"do": "refuse", "code": -2013})
    services.trio_refresh(trio_id=trio.pk, by="test")

    def looked_up() -> Leg | None:
        desk.carry()
        return trio.legs.filter(role=Role.STOP_LOSS, generation=1, looks__gt=0).first()

    assert until(looked_up, why=lambda: story(trio)).state == LegState.ACCEPTED


def test_an_entry_that_look_ups_by_id_do_not_show_is_found_in_the_history(desk: Desk) -> None:
    # Given an entry that filled without an answer, an event, or a look-up that shows it
    desk.simulator.fault({"method": "POST", "path": "/fapi/v1/order"}, {"do": "lose_answer"}, 1)
    desk.simulator.fault({"method": "GET", "path": "/fapi/v1/order"}, {"do": "refuse", "code": -2013})
    desk.deaf = True

    # When its absence is about to be believed
    trio = desk.placed(desk.a_trio(protection=Protection.ON_FIRST_FILL))

    # Then the history speaks against it
    assert trio.state == "OPEN", story(trio)
    desk.carry()
    assert trio.legs.filter(role=Role.STOP_LOSS, state=LegState.ACCEPTED).exists(), story(trio)


# --- rows and transactions ----------------------------------------------------------------------


def held_elsewhere(trio: TrioOrder, held: threading.Event, go_on: threading.Event) -> None:
    with transaction.atomic():
        TrioOrder.objects.select_for_update().get(pk=trio.pk)
        held.set()
        go_on.wait(timeout=4)


def test_a_row_that_another_process_keeps_is_not_waited_for_without_end(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "TRIES", 1)
    trio = desk.queued(desk.a_trio())
    held, go_on = threading.Event(), threading.Event()
    with elsewhere(lambda: held_elsewhere(trio, held, go_on)):
        assert held.wait(timeout=5)
        try:
            with pytest.raises(OperationalError):
                desk.advance(trio)
        finally:
            go_on.set()


def test_an_answer_whose_transaction_is_lost_is_written_down_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    trio = desk.queued(desk.a_trio(protection=Protection.ON_FIRST_FILL))
    cut: list[bool] = []
    record = finish.record

    def cut_off_once(*args: Any, **said: Any) -> None:
        if not cut:
            cut.append(True)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        record(*args, **said)

    monkeypatch.setattr(finish, "record", cut_off_once)
    desk.advance(trio)

    assert cut
    assert Outcome.objects.filter(request__leg__trio=trio, request__leg__role=Role.ENTRY).count() == 1
    assert the(trio).state == "OPEN", story(trio)


def test_a_trio_whose_row_is_held_keeps_no_other_from_being_due(hedge_desk: Desk) -> None:
    desk = hedge_desk
    held_one, other = desk.placed(desk.a_trio()), desk.placed(desk.a_trio(side="SELL"))
    TrioOrder.objects.update(wake_at=db_now() - timedelta(seconds=1))
    held, go_on = threading.Event(), threading.Event()
    with elsewhere(lambda: held_elsewhere(held_one, held, go_on)):
        assert held.wait(timeout=5)
        try:
            with transaction.atomic():
                assert due_ids() == [other.pk]
        finally:
            go_on.set()


def test_two_trios_queued_for_one_slot_at_once_are_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given two drafts that were both found placeable at the same moment
    first, second = desk.a_trio(), desk.a_trio()
    monkeypatch.setattr("orders.queueing.queue.slot_check", lambda trio, around, holder: None)

    desk.queued(first)
    with pytest.raises(TrioRefused, match="taken by another trio"):
        desk.queued(second)


# --- what placing hinges on ---------------------------------------------------------------------


def _old_position(desk: Desk) -> None:
    Slot.objects.update(as_of=0)
    Watch.objects.update(swept_ts=exchange_now_ms("PAPER") - 60_000)


def _no_watch(desk: Desk) -> None:
    Watch.objects.update(beat=db_now() - timedelta(seconds=3))


def _no_stream(desk: Desk) -> None:
    Watch.objects.update(stream_since=None)


def _not_read_since(desk: Desk) -> None:
    Watch.objects.update(stream_since=db_now())


@pytest.mark.parametrize(
    "trouble", [_old_position, _no_watch, _no_stream, _not_read_since], ids=lambda f: f.__name__.strip("_")
)
def test_nothing_begins_on_a_position_that_may_be_wrong(desk: Desk, trouble: Any) -> None:
    trio = desk.queued(desk.a_trio())
    trouble(desk)

    desk.advance(trio)

    assert the(trio).state == "QUEUED", story(trio)
    assert desk.requests(path="/fapi/") == []


def test_without_a_queue_nothing_new_begins_and_what_lives_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    resting = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    queued = desk.a_trio("ETHUSDT", stop_loss=D("1000"), take_profit=D("9000"), quantity=D("1"))
    desk.queued(queued)
    monkeypatch.setattr("orders.placement.service.admit", lambda *_, **__: Admission.UNANSWERED)

    desk.advance(queued)
    desk.simulator.set_price("BTCUSDT", "98990")

    desk.carry_until(resting, "OPEN")
    assert the(queued).state == "QUEUED", story(queued)


def test_without_room_in_the_air_a_queued_trio_costs_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    trio = desk.queued(desk.a_trio())
    before = the(trio).updated_at
    with monkeypatch.context() as full:
        full.setattr("orders.placement.service.admit", lambda *_, **__: Admission.FULL)
        desk.advance(trio)  # its statement is planned by now
        with CaptureQueriesContext(connection) as asked:
            desk.advance(trio)
    assert len(asked) == 1  # how it stands
    assert (the(trio).state, trio.updated_at) == ("QUEUED", before)

    until(lambda: desk.advance(trio) and the(trio).state != "QUEUED", why=lambda: story(trio))


def test_without_room_in_the_air_an_entry_behind_its_legs_waits(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a trio that had begun when its process died
    trio = desk.queued(desk.a_trio(protection="PRE_ARMED"))
    monkeypatch.setattr("orders.placement.service.admit", lambda *_, **__: Admission.FULL)
    TrioOrder.objects.filter(pk=trio.pk).update(state="PLACING")

    desk.advance(trio)

    assert the(trio).state == "PLACING", story(trio)
    assert desk.requests(path="/fapi/v1/order") == []
    assert len(desk.requests(path="/fapi/v1/algoOrder")) == 2


def test_room_is_kept_for_the_legs_of_trios_that_live_or_were_queued_before(desk: Desk) -> None:
    # Given two trios that hold a slot, one of them queued, and room for one pair of legs more
    desk.placed(desk.a_trio(protection="ON_FIRST_FILL", entry_type="LIMIT", price=D("99000")))
    desk.simulator.set_price("ADAUSDT", "1")
    first = desk.queued(desk.a_trio("ETHUSDT", stop_loss=D("1000"), take_profit=D("9000"), quantity=D("1")))
    second = desk.queued(desk.a_trio("ADAUSDT", stop_loss=D("0.95"), take_profit=D("1.1"), quantity=D("100")))
    Watch.objects.filter(account=desk.account).update(stranger_conditionals=200 - 5 - 2 - 2)

    # When the later one is begun first
    desk.advance(second)
    desk.advance(first)

    # Then it is refused, for the earlier one's sake, and nothing of it was sent
    assert the(second).state == "REFUSED", story(second)
    assert "4 belong to other trios or are reserved for their legs, 191 are not ours" in second.reason
    assert the(first).state == "OPEN", story(first)


def test_an_older_position_never_replaces_a_newer_one(desk: Desk) -> None:
    at = exchange_now_ms("PAPER")
    there = PositionView("BTCUSDT", PositionSide.BOTH, D("0.010"), D("100000"))
    record_position(desk.account.pk, there, as_of=at, from_event=True)
    record_position(desk.account.pk, ingest.flat_view("BTCUSDT", "BOTH"), as_of=at - 1, from_event=False)

    assert Slot.objects.get(account=desk.account, symbol="BTCUSDT").quantity == D("0.010")


def test_a_slot_whose_row_is_held_keeps_no_other_slot_of_its_account_waiting(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given the slots of two symbols, one held by a process that hangs while it takes a position in
    monkeypatch.setattr(transactions, "TRIES", 1)
    at = exchange_now_ms("PAPER")
    for symbol in ("BTCUSDT", "ETHUSDT"):
        ingest.record_position(desk.account.pk, ingest.flat_view(symbol, "BOTH"), as_of=at, from_event=True)
    hung = Slot.objects.get(account=desk.account, symbol="BTCUSDT")
    held, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        with transaction.atomic():
            ingest.SLOT_HELD.get(hung.pk)
            held.set()
            go_on.wait(timeout=4)

    # Then the other symbol's is taken in all the same
    with elsewhere(hang):
        assert held.wait(timeout=5)
        try:
            there = PositionView("ETHUSDT", PositionSide.BOTH, D("0.010"), D("3000"))
            ingest.record_position(desk.account.pk, there, as_of=at + 1, from_event=True)
        finally:
            go_on.set()
    assert Slot.objects.get(account=desk.account, symbol="ETHUSDT").quantity == D("0.010")


# --- what protects goes on ----------------------------------------------------------------------


def test_a_stop_the_exchange_forgot_is_placed_anew(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a position whose stop vanishes without an event
    monkeypatch.setattr(sweep, "LIST_LAG_MS", 0)
    desk.simulator.fault({"type": "STOP_MARKET"}, {"do": "vanish_algo"}, 1)
    trio = desk.placed(desk.a_trio(protection=Protection.ON_FIRST_FILL))
    desk.carry()
    until(lambda: exchange_now_ms("PAPER") > (trio.legs.get(role=Role.STOP_LOSS).seen_ts or 0))

    # When the account is swept
    desk.sweep()

    # Then its stop is missed, and another one rests
    def another() -> bool:
        desk.carry()
        return trio.legs.filter(role=Role.STOP_LOSS, generation=2, state=LegState.ACCEPTED).exists()

    until(another, seconds=5, why=lambda: story(trio))


def test_an_account_that_was_switched_off_is_watched_while_a_trio_lives(desk: Desk) -> None:
    desk.placed(desk.a_trio())
    type(desk.account).objects.update(is_active=False)
    assert [account.pk for account in accounts_to_watch()] == [desk.account.pk]


def test_what_protects_never_queues_up_behind_entries(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a process whose every place for entries is taken by an exchange that does not answer
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.ON_FIRST_FILL))
    go_on = threading.Event()
    entries = ThreadPoolExecutor(1)
    entries.submit(go_on.wait, 8)
    monkeypatch.setattr(sending, "_entries", entries)
    began = time.monotonic()

    # When an entry fills
    desk.simulator.set_price("BTCUSDT", "98990")
    desk.carry_until(trio, "OPEN")
    desk.carry()
    took = time.monotonic() - began
    go_on.set()
    entries.shutdown()

    # Then its stop does not wait for them
    assert trio.legs.filter(role=Role.STOP_LOSS, state=LegState.ACCEPTED).exists(), story(trio)
    assert took < 7


def test_a_protective_request_ends_before_its_deadline(desk: Desk, settings: object) -> None:
    # Given an exchange that takes no stop, and requests that may take nearly as long as the deadline
    settings.PROTECT_TIMEOUT_MS = 1400  # type: ignore[attr-defined]
    busy = {
        "do": "answer",
        "status": 503,
        "body": {"code": 0, "msg": "Service Unavailable."},
        "execute": False,
    }
    desk.simulator.fault({"method": "POST", "type": "STOP_MARKET"}, busy)

    trio = desk.placed(desk.a_trio(protection=Protection.ON_FIRST_FILL))
    desk.carry_until(trio, "CLOSED")

    # Then each was given only the time that was left
    stops = Request.objects.filter(trio=trio, leg__role=Role.STOP_LOSS, kind=RequestKind.SUBMIT)
    first, last = stops.first(), stops.last()
    assert first is not None
    assert last is not None
    assert last.timeout_ms < 1400
    assert last.timestamp + last.timeout_ms <= first.timestamp + 1600


def test_a_refused_key_ends_no_protection(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a key that the exchange refuses just when the stop is sent
    monkeypatch.setattr(finish, "KEY_BACK_OFF_MS", 100)
    desk.simulator.fault({"method": "POST", "type": "STOP_MARKET"}, {"do": "refuse", "code": -2015}, 1)

    trio = desk.placed(desk.a_trio(protection=Protection.ON_FIRST_FILL))

    # Then a person is asked, and the very same stop goes out again until the key is mended
    def covered() -> bool:
        desk.carry()
        return trio.legs.filter(role=Role.STOP_LOSS, state=LegState.ACCEPTED).exists()

    until(covered, why=lambda: story(trio))
    assert trio.legs.filter(role=Role.STOP_LOSS).count() == 1, story(trio)
    assert the(trio).state == "OPEN"


def test_exits_that_come_to_nothing_follow_each_other_ever_more_slowly(desk: Desk) -> None:
    # Given an exchange that says of four exits only that something is wrong
    trio = desk.placed(desk.a_trio())
    desk.simulator.fault(
        {"path": "/fapi/v1/order", "type": "MARKET"},
        {"do": "answer", "status": 500, "execute": False},
        {"times": 4},
    )

    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")

    # Then the fifth waited for most of a second
    exits = Request.objects.filter(trio=trio, leg__role=Role.EXIT).order_by("pk")
    fourth, fifth = list(exits)[3:5]
    assert fifth.begun_at - fourth.begun_at >= timedelta(milliseconds=700)
