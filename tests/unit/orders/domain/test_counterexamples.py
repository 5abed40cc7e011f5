"""What the exhaustive walk (tests/walk) found, each as a story that failed once."""

from __future__ import annotations

from dataclasses import replace

from exchange.binance.errors import refusal_of
from orders.domain.decision.decide import decide
from orders.domain.decision.steps import AskPerson, Cancel, Confirm, Done, Exit, Observe, Rest
from orders.domain.enums import Cause, Form, LegState
from orders.domain.enums import TrioState as S
from orders.domain.operator_questions import Question, QuestionKind
from orders.domain.snapshot import RequestStatus, SlotView
from tests.unit.orders.domain.snapshots import (
    ARMED,
    LIMIT,
    NOW,
    NOW_TS,
    D,
    entry,
    exit_order,
    flat,
    holding,
    stop,
    target,
    trio,
)


def test_a_position_reversed_by_a_person_is_not_exited_for_ever() -> None:
    # Given a trio whose position a person reversed in the app, as a read of the position tells it
    reversed_ = SlotView(opposite=D("0.010"), as_of=NOW_TS - 100, placeable=True)
    refused = exit_order(LegState.REJECTED, refused_code=-2022, ended_ts=NOW_TS - 500, retry_at=NOW - 1)

    # When it decides while exiting: then what is there is a stranger's, and ours is taken back
    decision = decide(
        trio(S.EXITING, entry(), stop(), target(), refused, slot=reversed_, cause=Cause.OUTSIDE)
    )
    assert decision.step == Cancel(("test-1-s1", "test-1-p1"))

    # And a trio that was still open leaves, instead of covering what is not there
    assert decide(trio(S.OPEN, entry(), stop(), target(), slot=reversed_)).trio.cause is Cause.OUTSIDE


def test_a_fill_dated_by_a_cancel_does_not_make_flat_unbelievable() -> None:
    # Given a fill told only by the answer to the entry's cancel, and so dated later than the position's end
    cancelled = entry(
        LegState.CANCELLED,
        filled=D("0.004"),
        filled_ts=NOW_TS - 2500,
        ended_ts=NOW_TS - 2500,
        acknowledged=True,
    )

    # When reads have shown the slot flat ever since: then it is believed, and nothing is exited
    quiet = flat(from_event=False, flat_since=NOW_TS - 2530, as_of=NOW_TS - 400)
    assert decide(trio(S.EXITING, cancelled, slot=quiet, cause=Cause.OUTSIDE)).step == Done(S.CLOSED)

    # But a read just after that fill may lag, so it is not
    early = replace(quiet, as_of=NOW_TS - 2400)
    assert isinstance(decide(trio(S.EXITING, cancelled, slot=early, cause=Cause.OUTSIDE)).step, Exit)


def test_flat_before_a_late_dated_fill_is_read_each_second_not_in_a_circle() -> None:
    # Given an open trio whose slot says flat since before its fill is dated, read 200 ms ago
    slot = flat(from_event=False, flat_since=NOW_TS - 1000, as_of=NOW_TS - 200)
    asked = stop(looked_ts=NOW_TS - 900, look_at=NOW + 5000)  # whose own look-up finds no answer
    legs = [entry(filled_ts=NOW_TS - 800), replace(asked, looked_ts=None), target()]

    # Then it looks again a second after that read, and then at once
    assert decide(trio(S.OPEN, *legs, slot=slot)).step == Rest(NOW + 800)
    due = replace(slot, as_of=NOW_TS - 1100, flat_since=NOW_TS - 1500)
    legs = [entry(filled_ts=NOW_TS - 1200), asked, target()]
    assert decide(trio(S.OPEN, *legs, slot=due)).step == Observe()


def test_a_target_stuck_at_its_trigger_is_looked_up_each_second_not_in_a_circle() -> None:
    # Given a covered position whose target was triggered long ago and has not filled
    stuck = target(LegState.TRIGGERED, form=Form.QUANTITY, quantity=D("0.010"), triggered_ts=NOW_TS - 5000)
    legs = [stop(form=Form.QUANTITY, quantity=D("0.010")), stuck, entry()]

    # Then it is looked up; and once it was, not again before a second has passed
    assert decide(trio(S.OPEN, *legs, spec=ARMED, slot=holding())).step == Confirm("test-1-p1")
    legs[1] = replace(stuck, looked_ts=NOW_TS - 300)
    assert decide(trio(S.OPEN, *legs, spec=ARMED, slot=holding())).step == Rest(NOW + 700)


def test_flat_while_a_leg_of_ours_is_at_work_waits_without_reading_in_a_circle() -> None:
    # Given a flat slot while our stop has just been triggered: its own fill may yet be told
    at_work = stop(LegState.TRIGGERED, triggered_ts=NOW_TS - 100)
    legs = [entry(), at_work, target()]

    # When the flat position is believed: then it waits for the stop's word until its time is over
    assert decide(trio(S.OPEN, *legs, slot=flat(as_of=NOW_TS - 50, flat_since=NOW_TS - 50))).step == Rest(
        NOW + 1901
    )


def test_a_late_fill_that_is_gone_already_is_exited_once_not_for_ever() -> None:
    # Given an entry that turned up filled after its trio's end, whose position somebody closed meanwhile
    late = entry(late=True, filled_ts=NOW_TS - 2000)
    refused = exit_order(
        LegState.REJECTED,
        refused_code=-2022,
        ended_ts=NOW_TS - 10,
        submitted_ts=NOW_TS - 20,
        retry_at=NOW + 190,
    )

    # Then the one exit it gets was answered, and the trio is done
    assert decide(trio(S.LATE, late, refused, slot=flat())).step == Done(S.CLOSED)

    # But an exit refused for another reason is tried again, after its pause
    busy = replace(refused, refused_code=-4131, refusal=refusal_of(-4131))
    assert decide(trio(S.LATE, late, busy, slot=holding())).step == Rest(NOW + 190)
    assert isinstance(decide(trio(S.LATE, late, replace(busy, retry_at=NOW - 1), slot=holding())).step, Exit)


def test_a_resting_entry_proved_gone_does_not_leave_its_trio_working_for_ever() -> None:
    # Given a trio whose entry rested once, and whose look-ups no longer show it
    gone = entry(LegState.WRITTEN_OFF, acknowledged=True, ended_ts=NOW_TS - 10)

    # When it decides, then it withdraws; what was acknowledged once is cancelled by its id all the same
    decision = decide(trio(S.WORKING, gone, spec=LIMIT))
    assert (decision.trio.cause, decision.step) == (Cause.ENTRY_ENDED, Cancel((gone.client_id,)))

    # And it ends as soon as the exchange has given its word on that id
    answered = replace(gone, cancel=RequestStatus.REFUSED, cancel_at=NOW - 50)
    assert decide(trio(S.WORKING, answered, spec=LIMIT)).step == Done(S.EXPIRED)

    # But silence is no word: the cancel is asked again, each second
    silent = replace(gone, cancel=RequestStatus.IN_DOUBT, cancel_at=NOW - 700)
    assert decide(trio(S.WORKING, silent, spec=LIMIT)).step == Rest(NOW + 300)
    silent = replace(gone, cancel=RequestStatus.IN_DOUBT, cancel_at=NOW - 1001)
    assert decide(trio(S.WORKING, silent, spec=LIMIT)).step == Cancel((gone.client_id,))


def test_a_rest_that_cannot_be_closed_is_told_even_when_something_else_was_asked() -> None:
    # Given a position too small to be closed, while a person was already asked about the API key
    small = exit_order(LegState.REJECTED, refused_code=-4164, ended_ts=NOW_TS - 100, quantity=D("0.010"))
    leaving = trio(S.EXITING, entry(), stop(), small, cause=Cause.MANUAL, slot=holding(as_of=NOW_TS - 10))

    # Then the rest is asked about all the same, and only once
    step = decide(replace(leaving, question=Question(QuestionKind.KEY_REFUSED))).step
    assert isinstance(step, AskPerson)
    assert step.question == Question(QuestionKind.DUST, {"quantity": "0.01"})
    assert isinstance(decide(replace(leaving, question=step.question)).step, Rest)
