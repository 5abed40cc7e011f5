"""From a trio that asks to a message at a person's webhook: once, by threads and processes of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import connection, connections

from exchange.secret import Secret
from notices.delivering import deliveries_claim, delivery_make
from notices.deriving import SOURCES, somebody_is_told
from notices.domain.failures import FailureKind
from notices.models import Delivery, Notice, Progress, Recipient
from notices.sender.process import Sender
from orders import services
from orders.exchange_data.clock import db_now
from orders.models import TrioOrder
from orders.story import question_over
from tests.builders import Desk, until
from tests.unit.notices.people import Person, asks, hurry, look, told
from tests.unit.notices.receiver import Receiver
from worker.notice_poll import NoticePoll


def test_a_trio_that_asks_is_told_at_a_webhook(desk: Desk, anna: Person, receiver: Receiver) -> None:
    # Given a worker that has looked before, and a trio that asks
    look()
    trio = desk.placed(desk.a_trio())
    asks(trio, "The entry was changed. Is this as you want it?")

    # When the worker looks again
    assert told() == 1

    # Then the message says which trio asks what, and that it matters
    (message,) = receiver.messages
    assert message["title"] == "URGENT: A trio needs an answer"
    assert f"Trio {trio.pk} (BUY BTCUSDT on “desk”) asks: The entry was changed." in message["message"]
    assert "Acknowledge it" in message["message"]
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.problem) == ("SENT", 1, "")
    assert anna.destination.sent_at is not None


def test_nobody_is_told_twice(desk: Desk, anna: Person, receiver: Receiver) -> None:
    look()
    trio = desk.placed(desk.a_trio())
    asks(trio)

    assert [told() for _ in range(3)] == [1, 0, 0]

    assert len(receiver.messages) == Notice.objects.count() == 1


def test_what_was_there_before_anybody_looked_is_not_told(
    desk: Desk, anna: Person, receiver: Receiver
) -> None:
    asks(desk.placed(desk.a_trio()))

    assert told() == 0
    assert not Notice.objects.exists()


def test_what_happened_while_nobody_was_told_is_not_told_later(
    desk: Desk, anna: Person, receiver: Receiver
) -> None:
    look()
    Recipient.objects.update(is_active=False)
    assert not somebody_is_told()
    trio = desk.placed(desk.a_trio())
    asks(trio)
    look()

    Recipient.objects.update(is_active=True)

    assert told() == 0
    assert anna.notices == []


def test_the_workers_poll_does_it_all_without_being_waited_for(
    desk: Desk, anna: Person, receiver: Receiver
) -> None:
    # Given a service that does not answer
    answered = threading.Event()
    receiver.before = lambda: answered.wait(20)
    poll = NoticePoll()
    try:
        until(polled(poll, looked))
        trio = desk.placed(desk.a_trio())
        asks(trio)
        until(polled(poll, lambda: receiver.messages))

        # When its trio is closed meanwhile
        services.trio_close(trio_id=trio.pk, by="test")
        desk.service.advance(trio.pk)
        poll.poll()
        desk.carry_until(trio, "CLOSED")

        # Then the message is under way still, nobody has waited for it, and it ends when the service answers
        assert not answered.is_set()
        assert Delivery.objects.filter(state="WAITING").exists()
        answered.set()
        until(lambda: Delivery.objects.filter(state="SENT").exists())
    finally:
        answered.set()
        poll.stop()


def polled(poll: NoticePoll, what: Callable[[], object]) -> Callable[[], object]:
    """Return whether this is so, after one more poll each time it is asked."""

    def ask() -> object:
        poll.poll()
        return what()

    return ask


def looked() -> bool:
    return Progress.objects.count() == len(SOURCES)


def test_a_worker_that_dies_while_it_sends_loses_nothing(
    desk: Desk, anna: Person, receiver: Receiver
) -> None:
    # Given a worker that has claimed the message, and is gone
    look()
    asks(desk.placed(desk.a_trio()))
    look()
    assert len(deliveries_claim(5)) == 1
    assert deliveries_claim(5) == [], "nobody else sends it meanwhile"

    # When the longest that sending takes is over
    hurry()

    # Then another one sends it
    assert told() == 1
    assert (len(receiver.messages), Delivery.objects.get().attempts) == (1, 2)


def test_two_workers_record_a_cause_once(desk: Desk, anna: Person, receiver: Receiver) -> None:
    look()
    asks(desk.placed(desk.a_trio()))
    errors: list[BaseException] = []

    def one() -> None:
        try:
            for _ in range(5):
                look()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert not errors
    assert (Notice.objects.count(), Delivery.objects.count()) == (1, 1)


def test_a_person_who_may_not_see_trios_any_more_is_told_nothing(
    desk: Desk, anna: Person, receiver: Receiver
) -> None:
    look()
    anna.user.user_permissions.clear()
    asks(desk.placed(desk.a_trio()))

    assert told() == 0


def test_a_service_that_fails_is_tried_again_with_growing_pauses_and_given_up_at_last(
    desk: Desk, anna: Person, receiver: Receiver
) -> None:
    receiver.status = 503
    look()
    asks(desk.placed(desk.a_trio()))
    look()

    pauses = []
    for _ in range(8):
        hurry()
        assert told() == 1
        failed_at = anna.destination.failed_at
        assert failed_at is not None
        pauses.append((Delivery.objects.get().next_at - failed_at).total_seconds())

    delivery = Delivery.objects.get()
    assert pauses[:5] == [10, 30, 90, 270, 810]
    assert (delivery.state, delivery.attempts) == ("GIVEN_UP", 8)
    assert delivery.problem == "The service answered 503: the token may be wrong, or the channel gone."
    assert (anna.destination.failures, anna.destination.problem) == (8, delivery.problem)
    hurry()
    assert told() == 0

    # And what is delivered next ends the problem
    receiver.status = 200
    row = TrioOrder.objects.get()
    question_over(row, at=db_now(), answered=True)
    row.save()
    asks(row, "Something else?")
    assert told() == 1
    assert (anna.destination.failures, anna.destination.problem) == (0, "")


def test_a_service_that_hangs_is_one_failed_attempt_and_its_process_is_ended() -> None:
    with Receiver("127.0.0.1") as receiver:
        held = threading.Event()
        receiver.before = lambda: held.wait(20)
        sender = Sender(deadline_seconds=3.0)
        failure = sender.send(Secret(receiver.url()), title="t", body="b", also=["127.0.0.1"])
        held.set()
    assert failure is not None
    assert failure.kind is FailureKind.TIMED_OUT


def test_nothing_of_it_runs_in_the_loops_thread(
    desk: Desk, anna: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given looks and messages that say where they run, and the first look hangs
    threads: set[str] = set()
    ours = threading.current_thread()
    hangs = threading.Event()

    def derive() -> int:
        threads.add(threading.current_thread().name)
        if threading.current_thread() is not ours:
            hangs.wait(20)
        return 0

    def send(*_: object) -> None:
        threads.add(threading.current_thread().name)

    monkeypatch.setattr("worker.notice_poll.notices_derive", derive)
    monkeypatch.setattr("worker.notice_poll.delivery_send", send)
    delivery_make(anna.destination.pk, [], now=db_now())
    poll = NoticePoll()
    try:
        # When it is polled again and again
        for _ in range(100):
            poll.poll()
        hangs.set()
        until(polled(poll, lambda: len(threads) == 2))
    finally:
        hangs.set()
        poll.stop()

    # Then the thread that polls has waited for neither
    assert ours.name not in threads
    assert {name.rpartition("_")[0] for name in threads} == {"notices", "notices-send"}


def test_no_connection_to_the_database_is_held_while_a_message_is_sent(
    desk: Desk, anna: Person, receiver: Receiver
) -> None:
    look()
    asks(desk.placed(desk.a_trio()))
    ours, held = connections["default"], []
    receiver.before = lambda: held.append(ours.connection is not None)

    assert told() == 1

    assert held == [False]
