"""One verb on many trios: what is not begun can be taken back, what lives stays protected, and no process is needed twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from orders import bulk, services
from orders.bulk import bulk_begin, bulk_carry, bulk_stop, bulks_due
from orders.domain.enums import BulkEnd, BulkVerb
from orders.models import BulkItem, BulkRun, TrioOrder
from orders.specs import spec_shown
from tests.builders import Desk, the, until
from worker import polls
from worker.loop import WorkerLoop
from worker.polls import BulkExitPoll, BulkPoll


def three_drafts(desk: Desk) -> list[TrioOrder]:
    """Return a draft on each of three symbols."""
    desk.simulator.set_price("ETHUSDT", "2000")
    desk.simulator.set_price("ADAUSDT", "1")
    usual: dict[str, Any] = {"stop_loss": Decimal("1900"), "take_profit": Decimal("2200")}
    return [
        desk.a_trio(),
        desk.a_trio("ETHUSDT", quantity=Decimal("0.5"), **usual),
        desk.a_trio("ADAUSDT", quantity=Decimal("100"), stop_loss=Decimal("0.9"), take_profit=Decimal("1.2")),
    ]


def begun(verb: BulkVerb, trios: list[TrioOrder]) -> BulkRun:
    seen = {trio.pk: spec_shown(trio) for trio in trios} if verb is BulkVerb.PLACE else None
    return bulk_begin(verb, [trio.pk for trio in trios], by="anna", seen=seen)


def ends(run: BulkRun) -> list[str]:
    return [item.end for item in run.items.order_by("id")]


def test_what_is_not_begun_when_it_is_stopped_is_taken_back_and_what_lives_stays_protected(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given three that are to be placed one at a time: the first is open, the second waits to be placed
    monkeypatch.setattr(bulk, "AT_ONCE", 1)
    first, second, third = three_drafts(desk)
    run = begun(BulkVerb.PLACE, [first, second, third])
    bulk_carry(run.pk, for_seconds=0)
    desk.carry_until(first, "OPEN")
    bulk_carry(run.pk, for_seconds=0)
    assert [the(trio).state for trio in (first, second, third)] == ["OPEN", "QUEUED", "DRAFT"]
    resting, sent = desk.resting, len(desk.requests())

    # When somebody stops it
    stopped = bulk_stop(run.pk, by="ben")
    bulk_carry(run.pk)
    desk.carry_until(second, "CANCELLED")

    # Then the second and the third never went out, and the first is open under its stop and target as before
    assert ends(run) == [BulkEnd.ASKED, BulkEnd.TAKEN_BACK, BulkEnd.TAKEN_BACK]
    assert (the(first).state, the(third).state) == ("OPEN", "DRAFT")
    assert first.cancel_wanted_at is None
    assert desk.resting == resting
    assert len(resting) == 2
    assert len(desk.requests()) == sent
    assert (stopped.stopped_by, bulks_due()) == ("ben", [])


def test_a_run_that_is_stopped_between_two_statements_begins_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a process that has claimed its trios, and somebody who stops the run in that moment
    trios = three_drafts(desk)
    run = begun(BulkVerb.CANCEL, trios)
    claimed = bulk._claimed

    def stopped_meanwhile(run_id: int) -> list[BulkItem]:
        items = claimed(run_id)
        bulk_stop(run_id, by="ben")
        return items

    monkeypatch.setattr(bulk, "_claimed", stopped_meanwhile)

    # Then none of them is touched, and each is taken back
    bulk_carry(run.pk)
    assert set(ends(run)) == {BulkEnd.TAKEN_BACK}
    assert {the(trio).state for trio in trios} == {"DRAFT"}


def test_what_is_begun_when_it_is_to_be_taken_back_is_left_alone(desk: Desk) -> None:
    # Given a trio that waited when somebody looked, and is open by the time its row is locked
    trio = desk.placed(desk.a_trio())
    assert services.trio_take_back(trio_id=trio.pk, by="ben") is False
    assert the(trio).cancel_wanted_at is None
    assert len(desk.resting) == 2


def test_trios_that_were_queued_while_it_was_stopped_are_taken_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    trios = three_drafts(desk)
    run = begun(BulkVerb.PLACE, trios)
    queue = services.trios_queue

    def stopped_meanwhile(*values: Any, **named: Any) -> Any:
        bulk_stop(run.pk, by="ben")
        return queue(*values, **named)

    monkeypatch.setattr(services, "trios_queue", stopped_meanwhile)
    bulk_carry(run.pk)
    assert set(ends(run)) == {BulkEnd.TAKEN_BACK}
    sent = len(desk.requests())
    for trio in trios:
        desk.carry_until(trio, "CANCELLED")
    assert len(desk.requests()) == sent


def test_what_a_process_had_begun_that_died_is_done_by_another_and_asked_once(desk: Desk) -> None:
    # Given an open trio and a draft, and a process that had asked for the close of the first when it died
    alive, draft = desk.placed(desk.a_trio()), desk.a_trio()
    run = begun(BulkVerb.CLOSE, [alive, draft])
    bulk._claimed(run.pk)
    services.trio_close(trio_id=alive.pk, by="anna")
    assert bulks_due() == []

    # When its time is over, whoever runs a worker goes on
    BulkItem.objects.update(begun_at=run.wanted_at - timedelta(seconds=31))
    assert bulks_due() == [run.pk]
    poll = BulkPoll()
    poll._look()
    poll.stop()

    # Then both are asked, the first not twice
    assert ends(run) == [BulkEnd.ASKED, BulkEnd.ASKED]
    assert the(draft).state == "CANCELLED"
    assert alive.events.filter(text__startswith="Close requested").count() == 1
    desk.carry_until(alive, "CLOSED")


def test_each_refusal_is_kept_with_its_field_and_stops_no_other(desk: Desk) -> None:
    good, bad, *_ = three_drafts(desk)
    TrioOrder.objects.filter(pk=bad.pk).update(stop_loss=Decimal("2100"))
    bad = the(bad)
    gone = desk.a_trio("ADAUSDT")
    services.trio_cancel(trio_id=gone.pk, by="anna")
    run = begun(BulkVerb.PLACE, [bad, good, the(gone)])
    bulk_carry(run.pk)
    wrong, fine, ended = run.items.order_by("id")
    assert [item.end for item in (wrong, fine, ended)] == [BulkEnd.REFUSED, BulkEnd.ASKED, BulkEnd.REFUSED]
    assert wrong.refused_field == "stop_loss"
    assert wrong.refused_text
    assert ended.refused_text
    assert the(good).state == "QUEUED"


def test_a_run_that_cannot_be_carried_on_keeps_no_other_from_its_turn(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given two runs, of which the first meets a fault of ours each time
    first, second = begun(BulkVerb.CANCEL, [desk.a_trio()]), begun(BulkVerb.CANCEL, [desk.a_trio()])
    carry = bulk.bulk_carry

    def faulty(run_id: int, **said: Any) -> None:
        if run_id == first.pk:
            raise KeyError(run_id)
        carry(run_id, **said)

    monkeypatch.setattr(polls, "bulk_carry", faulty)
    poll = BulkPoll()
    poll._look()
    poll.stop()

    # Then the second is carried out
    assert (ends(first), ends(second)) == ([""], [BulkEnd.ASKED])


# --- exits do not wait for new risk, and nobody for one run or one trio ------------------------------


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """An exchange that is slow while a set is queued: the first event says that one has begun, the second lets it go on."""
    begun, go_on = threading.Event(), threading.Event()
    queue = services.trios_queue

    def slowly(*values: Any, **named: Any) -> Any:
        begun.set()
        assert go_on.wait(10), "nobody let it go on"
        return queue(*values, **named)

    monkeypatch.setattr(services, "trios_queue", slowly)
    yield begun, go_on
    go_on.set()


def test_a_run_that_closes_comes_before_an_older_one_that_places(desk: Desk) -> None:
    placing, cancelling = begun(BulkVerb.PLACE, [desk.a_trio()]), begun(BulkVerb.CANCEL, [desk.a_trio()])
    closing = begun(BulkVerb.CLOSE, [desk.a_trio()])
    assert bulks_due() == [cancelling.pk, closing.pk, placing.pk]


def test_a_run_that_closes_does_not_wait_for_one_that_is_placing(
    desk: Desk, held: tuple[threading.Event, threading.Event]
) -> None:
    # Given an open trio, and a worker in the middle of a run that places
    alive = desk.a_trio("ETHUSDT")
    placing = begun(BulkVerb.PLACE, [desk.a_trio()])
    has_begun, go_on = held
    poll, exit_poll = BulkPoll(), BulkExitPoll()
    poll.poll()
    assert has_begun.wait(20)

    # When somebody closes it together with others
    closing = begun(BulkVerb.CLOSE, [alive])
    exit_poll.poll()

    # Then that is asked while the other goes on
    until(lambda: ends(closing) == [BulkEnd.ASKED])
    assert ends(placing) == [""]
    go_on.set()
    poll.stop()
    exit_poll.stop()
    assert ends(placing) == [BulkEnd.ASKED]


def test_each_run_has_a_slice_and_then_the_next_its_turn(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", 1)
    monkeypatch.setattr(polls, "SLICE_SECONDS", 0)
    runs = [begun(BulkVerb.CANCEL, [desk.a_trio(), desk.a_trio()]) for _ in range(2)]
    poll = BulkPoll()
    poll._look()
    assert [ends(run) for run in runs] == [[BulkEnd.ASKED, ""], [BulkEnd.ASKED, ""]]
    poll._look()
    poll.stop()
    assert bulks_due() == []


def test_a_process_that_is_to_end_gives_back_what_it_has_not_begun(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a run, and a worker that is told to end while it asks for the first of three
    run = begun(BulkVerb.CLOSE, [desk.a_trio(), desk.a_trio(), desk.a_trio()])
    stopping = threading.Event()
    close = services.trio_close

    def told_to_end(**named: Any) -> TrioOrder:
        stopping.set()
        return close(**named)

    monkeypatch.setattr(services, "trio_close", told_to_end)
    poll = BulkPoll(stopping=stopping)
    poll._look()
    poll.stop()

    # Then another one need not wait until it is taken for dead
    assert ends(run) == [BulkEnd.ASKED, "", ""]
    assert bulks_due() == [run.pk]
    bulk_carry(run.pk)
    assert ends(run) == [BulkEnd.ASKED] * 3
    assert [item.tries for item in run.items.all()] == [1, 1, 1]


def test_a_worker_that_ends_gives_its_watches_back_before_it_waits_for_a_run(
    desk: Desk, held: tuple[threading.Event, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a worker in the middle of a run that places
    run = begun(BulkVerb.PLACE, [desk.a_trio()])
    has_begun, go_on = held
    loop = WorkerLoop()
    next(poll for poll in loop.polls if poll.name == BulkPoll.name).poll()
    assert has_begun.wait(20)
    monkeypatch.setattr(loop.watch_manager, "stop", go_on.set)

    # When it ends, then the run goes on once the watches are given back, and is finished
    loop.close()
    assert ends(run) == [BulkEnd.ASKED]


@pytest.mark.parametrize("verb", [BulkVerb.CLOSE, BulkVerb.PLACE])
def test_a_trio_that_meets_a_fault_stops_no_other_and_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, verb: BulkVerb
) -> None:
    # Given three, of which the second meets a fault of ours
    trios = three_drafts(desk)
    queue, close = services.trios_queue, services.trio_close

    def queue_faulty(trio_ids: list[int], **named: Any) -> Any:
        if trios[1].pk in trio_ids:
            raise KeyError(trios[1].pk)
        return queue(trio_ids, **named)

    def close_faulty(*, trio_id: int, by: str) -> TrioOrder:
        if trio_id == trios[1].pk:
            raise KeyError(trio_id)
        return close(trio_id=trio_id, by=by)

    monkeypatch.setattr(services, "trios_queue", queue_faulty)
    monkeypatch.setattr(services, "trio_close", close_faulty)
    run = begun(verb, trios)
    bulk_carry(run.pk)

    # Then the others are asked, and of the second is said that it was not
    assert ends(run) == [BulkEnd.ASKED, BulkEnd.REFUSED, BulkEnd.ASKED]
    assert run.items.get(trio=trios[1]).refused_text == bulk.FAULT
    assert bulks_due() == []


def test_a_fault_after_the_set_was_queued_refuses_none_of_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    trios = three_drafts(desk)
    queue = services.trios_queue

    def queued_then_faulty(trio_ids: list[int], **named: Any) -> Any:
        queue(trio_ids, **named)
        raise KeyError("told to nobody")

    monkeypatch.setattr(services, "trios_queue", queued_then_faulty)
    run = begun(BulkVerb.PLACE, trios)
    bulk_carry(run.pk)
    assert ends(run) == [BulkEnd.ASKED] * 3
    assert {the(trio).state for trio in trios} == {"QUEUED"}
