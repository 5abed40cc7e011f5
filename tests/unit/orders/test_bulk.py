"""One verb on many trios: what is not begun can be taken back, what lives stays protected, and no process is needed twice."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from orders import bulk, services
from orders.bulk import bulk_begin, bulk_carry, bulk_stop, bulks_due
from orders.domain.enums import BulkEnd, BulkVerb
from orders.models import BulkItem, BulkRun, TrioOrder
from orders.specs import spec_shown
from tests.builders import Desk, the
from worker import signal_poll
from worker.signal_poll import BulkPoll


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

    def faulty(run_id: int) -> None:
        if run_id == first.pk:
            raise KeyError(run_id)
        carry(run_id)

    monkeypatch.setattr(signal_poll, "bulk_carry", faulty)
    poll = BulkPoll()
    poll._look()
    poll.stop()

    # Then the second is carried out
    assert (ends(first), ends(second)) == ([""], [BulkEnd.ASKED])
