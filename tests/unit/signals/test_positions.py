"""What posts do to what is there: policies, positions, wrong order; a source touches its own trios alone."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from orders.exchange_data.clock import db_now
from orders.models import SizeChange, TrioOrder
from orders.placement.service import OrderPlacementService
from signals.domain.refusals import sentence
from signals.models import HookSource, Signal, SignalResult
from tests.builders import Desk, the, until
from tests.unit.signals.hooks import BUY, Sender, a_sender
from worker.polls import SignalPoll
from worker.signal_execution import signals_execute

D = Decimal
SELL = {"symbol": "BTCUSDT.P", "action": "sell"}


@pytest.fixture
def sender(desk: Desk) -> Sender:
    return a_sender(desk)


def opened(desk: Desk, sender: Sender, body: dict[str, Any] = BUY) -> TrioOrder:
    result = sender.sends(body)
    assert result.trio is not None, result.facts
    return desk.carry_until(result.trio, "OPEN", "WORKING")


def test_close_closes_the_sources_own_trio(desk: Desk, sender: Sender) -> None:
    trio = opened(desk, sender)
    result = sender.sends({"symbol": "BTCUSDT", "action": "close"})

    assert (result.outcome, result.facts["trios"]) == ("CLOSING", str(trio.pk))
    assert desk.carry_until(trio, "CLOSED").result == "MANUAL"
    assert sender.sends({"symbol": "BTCUSDT", "action": "close", "id": "2"}).outcome == "NOTHING_TO_DO"


def test_close_touches_nothing_of_others(desk: Desk, sender: Sender) -> None:
    persons = desk.placed(desk.a_trio())
    others = a_sender(desk, "other")

    assert sender.sends({"symbol": "BTCUSDT", "action": "close"}).outcome == "NOTHING_TO_DO"
    assert others.sends({"symbol": "BTCUSDT", "action": "close"}).outcome == "NOTHING_TO_DO"
    assert sender.sends(SELL).outcome == "SLOT_TAKEN"
    assert the(persons).close_wanted_at is None


@pytest.mark.parametrize("policy", ["REVERSE", "CLOSE"])
def test_a_policy_reverses_no_trio_of_others(desk: Desk, policy: str) -> None:
    persons = desk.placed(desk.a_trio())
    sender = a_sender(desk, policy=policy)

    assert sender.sends(SELL).outcome == "SLOT_TAKEN"
    assert the(persons).close_wanted_at is None


def test_cancel_withdraws_what_is_unfilled(desk: Desk, sender: Sender) -> None:
    trio = opened(desk, sender, {**BUY, "price": "99000"})
    assert trio.state == "WORKING"

    assert sender.sends({"symbol": "BTCUSDT", "action": "cancel"}).outcome == "CANCELLING"
    desk.carry_until(trio, "CANCELLED")


def test_two_posts_in_the_wrong_order_leave_neither_a_short_nor_a_long(desk: Desk) -> None:
    # Case 19: long 3540 of ADAUSDT, policy reverse
    desk.simulator.set_price("ADAUSDT", "0.4500")
    desk.sweep()
    sender = a_sender(desk, policy="REVERSE", size_kind="", size_value=None)
    trio = opened(desk, sender, {"symbol": "ADAUSDT.P", "action": "buy", "quantity": "3540"})
    time = db_now().isoformat()
    a = {
        "symbol": "ADAUSDT.P",
        "action": "sell",
        "quantity": "1539",
        "market_position": "long",
        "position_size": "2001",
    }
    b = {
        "symbol": "ADAUSDT.P",
        "action": "sell",
        "quantity": "2001",
        "market_position": "flat",
        "prev_market_position": "long",
    }

    # When B arrives before A
    closing = sender.sends({**b, "time": time})
    desk.carry_until(trio, "CLOSED")
    late = sender.sends({**a, "time": time})

    # Then B closes, and A finds nothing it could reduce
    assert closing.outcome == "CLOSING"
    assert (late.outcome, late.refusal) == ("NOTHING_TO_DO", "NOTHING_THERE")
    assert desk.simulator.position("ADAUSDT").is_flat
    assert TrioOrder.objects.count() == 1


def test_two_posts_in_the_right_order_take_a_part_off_and_then_the_rest(desk: Desk) -> None:
    # Case 19 the other way round: long 3540, first 1539 are sold, then 2001
    desk.simulator.set_price("ADAUSDT", "0.4500")
    desk.sweep()
    sender = a_sender(desk, policy="REVERSE", size_kind="", size_value=None)
    trio = opened(desk, sender, {"symbol": "ADAUSDT.P", "action": "buy", "quantity": "3540"})
    sells = {"symbol": "ADAUSDT.P", "action": "sell"}
    part = sender.sends({**sells, "quantity": "1539", "market_position": "long", "position_size": "2001"})
    assert part.outcome == "CHANGING", part.facts
    until(lambda: carried(desk) or desk.simulator.position("ADAUSDT").quantity == D("2001"))
    assert the(trio).state == "OPEN"
    rest = sender.sends(
        {**sells, "quantity": "2001", "market_position": "flat", "prev_market_position": "long"}
    )
    assert rest.outcome == "CLOSING"
    desk.carry_until(trio, "CLOSED")
    assert desk.simulator.position("ADAUSDT").is_flat


def test_a_post_adds_reduces_and_moves_what_its_source_holds(desk: Desk, sender: Sender) -> None:
    trio = opened(desk, sender)
    long = {"market_position": "long"}

    # More of it, once, whoever carries the signal out how often
    added = sender.sends({**BUY, **long, "prev_market_position": "long", "quantity": "0.010"})
    assert added.outcome == "CHANGING", added.facts
    SignalResult.objects.filter(pk=added.pk).update(outcome="PENDING")
    signals_execute([added.signal_id])
    until(lambda: carried(desk) or desk.simulator.position("BTCUSDT").quantity == D("0.020"))

    # Less of it
    reduced = sender.sends({**SELL, **long, "quantity": "0.005"})
    assert reduced.outcome == "CHANGING", reduced.facts
    until(lambda: carried(desk) or desk.simulator.position("BTCUSDT").quantity == D("0.015"))

    # A nearer stop, never one that is further away
    moved = sender.sends({"symbol": "BTCUSDT", "action": "move", "stop": "98000"})
    assert moved.outcome == "CHANGING", moved.facts
    until(lambda: carried(desk) or the(trio).stop_loss == D("98000"))
    looser = sender.sends({"symbol": "BTCUSDT", "action": "move", "stop": "90000"})
    assert (looser.outcome, looser.refusal) == ("REFUSED", "LOOSER")
    assert "may only tighten a stop-loss" in sentence(looser.refusal, looser.facts)

    # All that is left, or more, is a close
    closing = sender.sends({**SELL, **long, "quantity": "5"})
    assert closing.outcome == "CLOSING"
    desk.carry_until(trio, "CLOSED")


@pytest.mark.parametrize(
    ("body", "stop", "target"),
    [(BUY, "98000.1", "101999.9"), (SELL, "101999.9", "98000.1")],
    ids=["long", "short"],
)
def test_levels_and_what_is_added_come_to_the_tick_and_the_step_as_an_entrys_do(
    desk: Desk, sender: Sender, body: dict[str, Any], stop: str, target: str
) -> None:
    # Given a source whose numbers have more decimals than the exchange takes
    trio = opened(desk, sender, body)
    long = body is BUY
    below, above = "98000.0123", "101999.9876"

    said = {"stop": below if long else above, "target": above if long else below}
    moved = sender.sends({"symbol": "BTCUSDT", "action": "move", **said})
    assert moved.outcome == "CHANGING", moved.facts
    until(lambda: carried(desk) or (the(trio).stop_loss, trio.take_profit) == (D(stop), D(target)))
    # the same again, and a stop that comes to where it is: there is nothing to move
    assert (
        sender.sends({"symbol": "BTCUSDT", "action": "move", **said, "comment": "again"}).outcome
        == "CHANGING"
    )
    assert trio.level_moves.count() == 2

    until(lambda: carried(desk) or not the(trio).moves_wanted)
    added = sender.sends({"symbol": "BTCUSDT", "action": "add", "quantity": "0.0049"})
    assert added.outcome == "CHANGING", added.facts
    size = D("0.010")  # the source's own counts instead
    assert SizeChange.objects.get().quantity == size


def test_what_is_added_by_the_posts_own_quantity_is_rounded_down(desk: Desk) -> None:
    sender = a_sender(desk, size_kind="", size_value=None)
    trio = opened(desk, sender, {**BUY, "quantity": "0.010"})
    small = sender.sends({"symbol": "BTCUSDT", "action": "add", "quantity": "0.0004"})
    assert small.outcome == "REFUSED"
    assert "0.0004" in sentence(small.refusal, small.facts)

    added = sender.sends({"symbol": "BTCUSDT", "action": "add", "quantity": "0.0049"})

    assert added.outcome == "CHANGING", added.facts
    assert SizeChange.objects.get().quantity == D("0.004")
    until(lambda: carried(desk) or desk.simulator.position("BTCUSDT").quantity == D("0.014"))
    assert the(trio).state == "OPEN"


def test_a_move_whose_target_cannot_be_says_that_its_stop_goes_all_the_same(
    desk: Desk, sender: Sender
) -> None:
    trio = opened(desk, sender)
    moved = sender.sends({"symbol": "BTCUSDT", "action": "move", "stop": "98000", "target": "90000"})
    assert moved.outcome == "REFUSED"
    assert sentence(moved.refusal, moved.facts).endswith("Its stop-loss goes to 98000 all the same.")
    until(lambda: carried(desk) or the(trio).stop_loss == D("98000"))


def test_a_change_that_does_not_say_what_is_refused_at_the_door(desk: Desk, sender: Sender) -> None:
    trio = opened(desk, sender)
    for body, field in (
        ({"symbol": "BTCUSDT", "action": "move"}, "stop"),
        ({"symbol": "BTCUSDT", "action": "reduce"}, "quantity"),
    ):
        answer = sender.post(body)
        assert (answer.status_code, answer.json()["kind"]) == (422, "FIELD_WRONG"), field
    assert the(trio).state == "OPEN"


def carried(desk: Desk) -> bool:
    desk.carry()
    return False


def test_ignore_leaves_what_is_there(desk: Desk, sender: Sender) -> None:
    trio = opened(desk, sender)
    result = sender.sends(SELL)
    assert (result.outcome, result.facts["trio"]) == ("SLOT_TAKEN", str(trio.pk))
    assert the(trio).close_wanted_at is None


@pytest.mark.parametrize("whose", ["its own", "its own other side", "somebody's"])
def test_a_slot_that_was_taken_when_the_bar_closed_is_not_entered_when_its_stop_fills(
    desk: Desk, sender: Sender, whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a trio in the slot, and a bar that closes with a signal to buy
    bodies = {"its own": BUY, "its own other side": SELL}
    holder = opened(desk, sender, bodies[whose]) if whose in bodies else desk.placed(desk.a_trio())
    bar = {**BUY, "id": "4h 04:00", "comment": "bar 04:00"}
    result = sender.sends(bar)
    assert result.outcome == "SLOT_TAKEN", result.facts
    decided = SignalResult.objects.filter(pk=result.pk).values().get()
    entries = len(desk.requests("POST", "/fapi/v1/order"))

    # When its stop fills within the next bar, while whoever comes looks again, and the alert comes once more
    Signal.objects.update(act_before=db_now() + timedelta(hours=4), status="WAITING")
    desk.simulator.set_price("BTCUSDT", str(the(holder).stop_loss))
    desk.carry_until(holder, "CLOSED")
    assert holder.result == "STOP_LOSS"
    monkeypatch.setattr("worker.polls.HEAD_START_SECONDS", 0)
    poll = SignalPoll()
    poll.poll()
    poll.stop()
    signals_execute([result.signal_id])
    again = sender.post(bar)

    # Then there is one decision about that bar, as it was made then, and nothing was placed
    assert (again.status_code, again.headers["Idempotent-Replay"]) == (202, "true")
    assert SignalResult.objects.filter(pk=result.pk).values().get() == decided
    assert Signal.objects.filter(reason="bar 04:00").count() == 1
    assert list(TrioOrder.objects.all()) == [holder]
    assert len(desk.requests("POST", "/fapi/v1/order")) == entries
    assert desk.simulator.position("BTCUSDT").is_flat


def test_close_closes_and_enters_nothing(desk: Desk) -> None:
    sender = a_sender(desk, policy="CLOSE")
    trio = opened(desk, sender)
    assert sender.sends(SELL).outcome == "CLOSING"
    desk.carry_until(trio, "CLOSED")
    signals_execute(list(Signal.objects.values_list("pk", flat=True)))
    assert TrioOrder.objects.count() == 1
    assert desk.simulator.position("BTCUSDT").is_flat


def lost(*_: Any) -> Any:
    raise OSError("the wish is left to runworker")


def test_reverse_closes_then_enters_once_it_is_flat(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = a_sender(desk, policy="REVERSE")
    trio = opened(desk, sender)
    with monkeypatch.context() as patched:
        patched.setattr("worker.signal_execution.service", lost)
        result = sender.sends(SELL)
        signals_execute([result.signal_id])

    # Until it is closed nothing enters
    assert (result.outcome, result.trio) == ("PENDING", None)
    assert TrioOrder.objects.count() == 1
    assert Signal.objects.get(pk=result.signal_id).status == "WAITING"
    desk.carry_until(trio, "CLOSED")
    signals_execute([result.signal_id])

    result.refresh_from_db()
    assert result.outcome == "PLACED", result.facts
    assert result.trio is not None
    assert desk.carry_until(result.trio, "OPEN").side == "SELL"
    assert desk.simulator.position("BTCUSDT").quantity == D("-0.010")
    assert the(trio).result == "MANUAL"


def test_a_reversal_that_is_late_closes_and_does_not_enter(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = a_sender(desk, policy="REVERSE")
    trio = opened(desk, sender)
    with monkeypatch.context() as patched:
        patched.setattr("worker.signal_execution.service", lost)
        result = sender.sends(SELL)
    desk.carry_until(trio, "CLOSED")
    Signal.objects.filter(pk=result.signal_id).update(act_before=db_now())

    signals_execute([result.signal_id])

    result.refresh_from_db()
    assert result.outcome == "TOO_LATE"
    assert desk.simulator.position("BTCUSDT").is_flat


def test_a_reversal_said_by_positions_follows_the_policy(desk: Desk) -> None:
    sender = a_sender(desk, policy="REVERSE", size_kind="", size_value=None)
    trio = opened(desk, sender, {**BUY, "quantity": "0.010"})
    body = {
        **SELL, "quantity": "0.030", "market_position": "short", "prev_market_position": "long", "position_size": "-0.020",
    }  # fmt: skip
    result = sender.sends(body)
    desk.carry_until(trio, "CLOSED")
    signals_execute([result.signal_id])

    until(lambda: SignalResult.objects.get(pk=result.pk).outcome == "PLACED", seconds=1)
    assert desk.simulator.position("BTCUSDT").quantity == D("-0.020")


def test_a_close_that_comes_late_closes_nothing_that_was_placed_after_it(desk: Desk, sender: Sender) -> None:
    answer = sender.post({"symbol": "BTCUSDT", "action": "close"})
    signal = Signal.objects.get(pk=answer.json()["signal"])
    trio = opened(
        desk, sender
    )  # the close was carried out before; now a process that was paused comes back with it
    SignalResult.objects.filter(signal=signal).update(outcome="PENDING")
    Signal.objects.filter(pk=signal.pk).update(act_before=db_now() - timedelta(seconds=1), status="WAITING")

    signals_execute([signal.pk])

    assert SignalResult.objects.get(signal=signal).outcome == "NOTHING_TO_DO"
    assert the(trio).close_wanted_at is None


def test_a_late_close_still_closes_what_it_was_about(desk: Desk, sender: Sender) -> None:
    trio = opened(desk, sender)
    answer = sender.post({"symbol": "BTCUSDT", "action": "close"})
    signal_id = answer.json()["signal"]
    Signal.objects.filter(pk=signal_id).update(act_before=db_now() - timedelta(seconds=1))

    signals_execute([signal_id])

    assert desk.carry_until(trio, "CLOSED").result == "MANUAL"


def test_in_hedge_mode_the_other_side_has_a_slot_of_its_own(hedge_desk: Desk) -> None:
    sender = a_sender(hedge_desk)
    opened(hedge_desk, sender)
    assert sender.sends(SELL).outcome == "PLACED"


def test_a_policy_is_the_sources_own(desk: Desk) -> None:
    a_sender(desk, policy="REVERSE")
    other = a_sender(desk, "other", policy="IGNORE")
    trio = opened(desk, other)
    assert other.sends(SELL).outcome == "SLOT_TAKEN"
    assert the(trio).close_wanted_at is None
    assert HookSource.objects.count() == 2


# --- in which order posts are carried out -----------------------------------------------------------

CLOSE = {"symbol": "BTCUSDT", "action": "sell", "market_position": "flat", "prev_market_position": "long"}
SHORT = {**SELL, "market_position": "short", "prev_market_position": "flat"}


def recorded(sender: Sender, body: dict[str, Any]) -> int:
    """Post, and leave the work to whoever comes; return the signal."""
    answer = sender.post(body)
    assert answer.status_code == 202, answer.content
    return int(answer.json()["signal"])


def outcome(signal_id: int) -> tuple[str, str]:
    result = SignalResult.objects.get(signal=signal_id)
    return result.outcome, result.refusal


def test_an_exit_that_comes_after_the_entry_that_followed_it_does_not_close_that(desk: Desk) -> None:
    # Given a long; at one bar's end the strategy leaves it and goes short, and the two posts come in the wrong order
    sender = a_sender(desk, policy="REVERSE")
    long = opened(desk, sender)
    entered = sender.sends(SHORT)
    desk.carry_until(long, "CLOSED")
    signals_execute([entered.signal_id])
    entered.refresh_from_db()
    assert entered.trio is not None, entered.facts
    short = desk.carry_until(entered.trio, "OPEN")

    # When the exit of the long is there at last
    late = sender.sends(CLOSE)

    # Then it closes nothing: it sells, and what is there is short
    assert (late.outcome, late.refusal) == ("NOTHING_TO_DO", "NOTHING_THERE")
    assert the(short).close_wanted_at is None
    assert desk.simulator.position("BTCUSDT").quantity == D("-0.010")
    assert sender.sends({**CLOSE, "action": "buy", "prev_market_position": "short"}).outcome == "CLOSING"
    desk.carry_until(short, "CLOSED")


def test_a_late_exit_in_a_word_closes_the_side_it_was_on_before_and_no_other(
    desk: Desk, sender: Sender
) -> None:
    # Given a short, entered after the long whose exit is late; neither post says when it was sent
    short = opened(desk, sender, SHORT)
    leaves = {"symbol": "BTCUSDT", "action": "close", "market_position": "flat"}

    late = sender.sends({**leaves, "prev_market_position": "long"})

    assert (late.outcome, late.refusal) == ("NOTHING_TO_DO", "NOTHING_THERE")
    assert the(short).close_wanted_at is None
    assert sender.sends({**leaves, "prev_market_position": "short"}).outcome == "CLOSING"
    desk.carry_until(short, "CLOSED")


@pytest.mark.parametrize("first", ["close", "entry"])
def test_a_close_undoes_an_entry_that_was_posted_before_it_and_not_placed_yet(
    desk: Desk, sender: Sender, first: str
) -> None:
    # Given an entry and its exit within a moment, and two workers that take them in any order
    entry, close = recorded(sender, BUY), recorded(sender, CLOSE)

    for signal_id in (close, entry) if first == "close" else (entry, close):
        signals_execute([signal_id])

    # Then nothing is left open, whoever was faster
    if first == "close":
        assert outcome(entry) == ("NOTHING_TO_DO", "SUPERSEDED")
        result = SignalResult.objects.get(signal=entry)
        assert f"Signal {close} of this source (CLOSE)" in sentence(result.refusal, result.facts)
        assert outcome(close) == ("NOTHING_TO_DO", "NOTHING_THERE")
        assert not TrioOrder.objects.exists()
    else:
        assert outcome(close)[0] == "CLOSING"
        desk.carry_until(TrioOrder.objects.get(), "CLOSED", "CANCELLED")
    assert desk.simulator.position("BTCUSDT").is_flat
    assert set(Signal.objects.values_list("status", flat=True)) == {"DONE"}


def test_a_close_waits_for_an_entry_before_it_that_another_worker_is_placing(
    desk: Desk, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an entry that somebody else has claimed an instant ago, and is about to queue
    entry, close = recorded(sender, BUY), recorded(sender, CLOSE)
    with monkeypatch.context() as patched:
        patched.setattr("worker.order_executor.drafts_claim", lambda drafts: set())
        patched.setattr("worker.signal_execution.result_superseded", lambda *_, **__: False)
        signals_execute([close])

    # Then the close does not say that there is nothing to do
    assert outcome(close)[0] == "PENDING"

    # And closes it once it is there, though it was queued after the close had come
    signals_execute([entry])
    trio = TrioOrder.objects.get()
    signal = Signal.objects.get(pk=close)
    assert trio.queued_at is not None
    assert trio.queued_at > signal.received_at
    signals_execute([close])
    assert outcome(close)[0] == "CLOSING"
    desk.carry_until(trio, "CLOSED")
    assert desk.simulator.position("BTCUSDT").is_flat


def test_a_part_that_is_taken_off_waits_for_the_entry_that_was_posted_before_it(
    desk: Desk, sender: Sender
) -> None:
    entry = recorded(sender, BUY)
    part = recorded(sender, {**SELL, "market_position": "long", "quantity": "0.004"})

    signals_execute([part])

    assert (outcome(entry)[0], outcome(part)[0]) == ("PLACED", "CHANGING")
    until(lambda: carried(desk) or desk.simulator.position("BTCUSDT").quantity == D("0.006"))


def test_two_opposite_posts_in_one_batch_follow_the_policy(desk: Desk) -> None:
    # When the queue was silent and the poll finds a long and then a short of a source that reverses
    sender = a_sender(desk, policy="REVERSE")
    both = [recorded(sender, BUY), recorded(sender, SELL)]
    signals_execute(both)

    # Then the long is closed for the short, and the short is not refused for its slot
    long = TrioOrder.objects.get(side="BUY")
    desk.carry_until(long, "CLOSED")
    signals_execute(both)
    assert [outcome(signal_id)[0] for signal_id in both] == ["PLACED", "PLACED"]
    desk.carry_until(TrioOrder.objects.get(side="SELL"), "OPEN")
    assert desk.simulator.position("BTCUSDT").quantity == D("-0.010")


def test_what_another_source_or_symbol_waits_for_holds_nobody_up(desk: Desk, sender: Sender) -> None:
    other = a_sender(desk, "other")
    desk.simulator.set_price("ETHUSDT", "4000")
    desk.sweep()
    recorded(other, BUY)
    recorded(sender, {**BUY, "symbol": "ETHUSDT"})

    assert sender.sends(CLOSE).outcome == "NOTHING_TO_DO"
    assert not TrioOrder.objects.exists(), "of what was not asked about nothing is carried out"


# --- posts that come in another order than they were dated -------------------------------------------

LONG = {**BUY, "market_position": "long", "prev_market_position": "flat"}
TURN = {**SELL, "market_position": "short", "prev_market_position": "long", "position_size": "0.010"}


def dated(body: dict[str, Any], seconds: float = 0) -> dict[str, Any]:
    """Say when a post was sent, so many seconds from the start of the test's own minute."""
    return {**body, "time": (START + timedelta(seconds=seconds)).isoformat()}


START = timezone.now()


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.signals.test_positions.START", timezone.now())


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [
        (CLOSE, LONG, 0.0),  # flat → long → flat: the exit came first and found nothing
        (CLOSE, LONG, 1.0),
        (TURN, LONG, 0.0),  # flat → long → short
        (TURN, LONG, 1.0),
        (SHORT, LONG, 1.0),
    ],
)
def test_an_entry_that_comes_after_what_followed_it_opens_nothing(
    desk: Desk, first: dict[str, Any], second: dict[str, Any], apart: float
) -> None:
    sender = a_sender(desk, policy="REVERSE")
    ahead = sender.sends(dated(first, apart))
    if ahead.trio is not None:
        desk.carry_until(ahead.trio, "OPEN")
    held = desk.simulator.position("BTCUSDT").quantity

    late = sender.sends(dated(second))

    assert (late.outcome, late.refusal) == ("NOTHING_TO_DO", "OVERTAKEN")
    assert f"Signal {ahead.signal_id} of this source came before it" in sentence(late.refusal, late.facts)
    assert desk.simulator.position("BTCUSDT").quantity == held
    assert TrioOrder.objects.filter(side="BUY").count() == 0


def test_an_exit_and_an_entry_of_one_second_in_their_order_are_both_carried_out(
    desk: Desk, sender: Sender
) -> None:
    long = opened(desk, sender, dated(LONG, -5))
    assert sender.sends(dated(CLOSE)).outcome == "CLOSING"
    desk.carry_until(long, "CLOSED")

    again = sender.sends(dated({**LONG, "comment": "again"}))

    assert again.outcome == "PLACED", again.facts


def test_an_exit_that_is_older_than_what_is_there_closes_nothing_of_the_same_side_either(
    desk: Desk, sender: Sender
) -> None:
    # Given a long that was closed by hand, and one that was opened after it; then the exit of the first comes
    long = opened(desk, sender, dated(LONG, 2))
    late = sender.sends(dated(CLOSE, 1))
    assert (late.outcome, late.refusal) == ("NOTHING_TO_DO", "NOTHING_THERE")
    assert the(long).close_wanted_at is None
    assert sender.sends(dated(CLOSE, 3)).outcome == "CLOSING"


def test_an_entry_whose_increase_came_before_it_is_still_an_entry(desk: Desk, sender: Sender) -> None:
    more = {**BUY, "market_position": "long", "prev_market_position": "long"}
    assert sender.sends(dated(more, 1)).outcome == "NOTHING_TO_DO"
    assert sender.sends(dated(LONG)).outcome == "PLACED"


def test_without_a_time_posts_are_taken_as_they_come(desk: Desk, sender: Sender) -> None:
    assert sender.sends(CLOSE).outcome == "NOTHING_TO_DO"
    assert sender.sends(LONG).outcome == "PLACED"


def test_a_part_is_taken_off_once_whoever_carries_it_out_how_often(desk: Desk, sender: Sender) -> None:
    # Given a post that takes off more than half, and a process that dies before it has noted what became of it
    trio = opened(desk, sender)
    part = sender.sends({**SELL, "market_position": "long", "quantity": "0.006"})
    until(lambda: carried(desk) or desk.simulator.position("BTCUSDT").quantity == D("0.004"))
    SignalResult.objects.filter(pk=part.pk).update(outcome="PENDING")
    Signal.objects.filter(pk=part.signal_id).update(status="WAITING")

    # When another one carries it out again, with less there than the post says
    signals_execute([part.signal_id])

    # Then nothing more is taken off
    part.refresh_from_db()
    assert (part.outcome, the(trio).close_wanted_at) == ("CHANGING", None)
    assert desk.simulator.position("BTCUSDT").quantity == D("0.004")


def test_a_close_that_is_older_than_an_entry_undoes_nothing_of_it(desk: Desk, sender: Sender) -> None:
    # Given an entry, and a close that is dated before it and came after it, while nobody carried anything out
    early, late = (db_now() + timedelta(seconds=s) for s in (0, 1))
    entry = recorded(sender, {**BUY, "time": late.isoformat()})
    close = recorded(sender, {**CLOSE, "time": early.isoformat()})

    signals_execute([entry, close])

    assert (outcome(entry)[0], outcome(close)[0]) == ("PLACED", "NOTHING_TO_DO")


def test_parts_taken_off_one_after_the_other_wait_for_each_other(
    desk: Desk, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a part that is being taken off while another is posted
    trio = opened(desk, sender)
    monkeypatch.setattr(OrderPlacementService, "advance", lambda *_, **__: None)
    first = recorded(sender, {**SELL, "market_position": "long", "quantity": "0.004"})
    second = recorded(sender, {**SELL, "market_position": "long", "quantity": "0.003", "id": "2"})
    signals_execute([first, second])
    monkeypatch.undo()
    assert outcome(second)[0] == "PENDING"

    # Then it is taken off, too, once the first is
    until(lambda: carried(desk) or desk.simulator.position("BTCUSDT").quantity == D("0.006"))
    signals_execute([second])
    until(lambda: carried(desk) or desk.simulator.position("BTCUSDT").quantity == D("0.003"))
    assert the(trio).state == "OPEN"


def test_a_part_that_is_taken_off_waits_until_its_entry_has_filled(
    desk: Desk, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an entry that is queued and not sent yet, for the exchange is slow
    monkeypatch.setattr(OrderPlacementService, "advance", lambda *_, **__: None)
    monkeypatch.setattr(OrderPlacementService, "place", lambda *_, **__: None)
    entry = recorded(sender, BUY)
    signals_execute([entry])
    part = recorded(sender, {**SELL, "market_position": "long", "quantity": "0.004"})
    signals_execute([part])
    monkeypatch.undo()

    assert (outcome(entry)[0], outcome(part)[0]) == ("PLACED", "PENDING")
    desk.carry_until(TrioOrder.objects.get(), "OPEN")
    signals_execute([part])
    assert outcome(part)[0] == "CHANGING"


# --- what takes risk away is always carried out, and waits for nothing that opens ----------------------

OPEN_SHORT = {**SELL, "market_position": "short", "prev_market_position": "flat", "id": "short"}
TURN_LONG = {**BUY, "market_position": "long", "prev_market_position": "short", "id": "turn"}
CLOSE_LONG = {**CLOSE, "id": "close"}
CANCEL = {"symbol": "BTCUSDT", "action": "cancel", "id": "cancel"}


def queued_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the exchange is slow: what is queued is not sent yet."""
    monkeypatch.setattr(OrderPlacementService, "advance", lambda *_, **__: None)
    monkeypatch.setattr(OrderPlacementService, "place", lambda *_, **__: None)


@pytest.mark.parametrize("policy", ["REVERSE", "CLOSE"])
@pytest.mark.parametrize("turn", [TURN_LONG, {**BUY, "id": "enter"}], ids=["reverse", "enter"])
@pytest.mark.parametrize("after", [CLOSE_LONG, CANCEL], ids=["close", "cancel"])
def test_a_reversal_that_is_let_go_has_closed_what_it_reverses(
    desk: Desk, policy: str, turn: dict[str, Any], after: dict[str, Any]
) -> None:
    # Given a short, a post that turns it to long, and one that leaves the long, before anybody carried out either
    sender = a_sender(desk, policy=policy)
    short = opened(desk, sender, OPEN_SHORT)
    turned, left = recorded(sender, turn), recorded(sender, after)

    signals_execute([turned, left])

    # Then nothing is bought for a long, and the short is closed as both posts want it
    assert outcome(turned) == ("NOTHING_TO_DO", "SUPERSEDED")
    result = SignalResult.objects.get(signal=turned)
    assert f"rio {short.pk}, which it was to reverse, is closed all the same" in sentence(
        result.refusal, result.facts
    )
    desk.carry_until(short, "CLOSED")
    assert desk.simulator.position("BTCUSDT").is_flat
    assert TrioOrder.objects.count() == 1


def test_a_reversal_that_is_let_go_closes_what_was_placed_just_before_it(desk: Desk) -> None:
    # Given flat → short → long → flat, posted before anybody carried out any of it
    sender = a_sender(desk, policy="REVERSE")
    posts = [recorded(sender, body) for body in (OPEN_SHORT, TURN_LONG, CLOSE_LONG)]

    signals_execute(posts)

    short = TrioOrder.objects.get()
    desk.carry_until(short, "CLOSED", "CANCELLED")
    assert [outcome(post)[0] for post in posts] == ["PLACED", "NOTHING_TO_DO", "NOTHING_TO_DO"]
    assert desk.simulator.position("BTCUSDT").is_flat


def test_a_reversal_that_comes_after_its_close_closes_what_it_reverses(desk: Desk) -> None:
    # Given a short; it is turned to long and that is closed, and the close comes first
    sender = a_sender(desk, policy="REVERSE")
    short = opened(desk, sender, dated(OPEN_SHORT, -5))
    assert sender.sends(dated(CLOSE_LONG, 1)).refusal == "NOTHING_THERE"

    late = sender.sends(dated(TURN_LONG))

    assert (late.outcome, late.refusal) == ("NOTHING_TO_DO", "OVERTAKEN")
    assert f"rio {short.pk}, which it was to reverse, is closed all the same" in sentence(
        late.refusal, late.facts
    )
    desk.carry_until(short, "CLOSED")
    assert desk.simulator.position("BTCUSDT").is_flat


def test_a_reversal_that_is_looked_at_too_late_closes_what_it_reverses(desk: Desk) -> None:
    sender = a_sender(desk, policy="REVERSE")
    short = opened(desk, sender, OPEN_SHORT)
    turned = recorded(sender, TURN_LONG)
    Signal.objects.filter(pk=turned).update(act_before=db_now() - timedelta(seconds=1))

    signals_execute([turned])

    assert outcome(turned)[0] == "TOO_LATE"
    result = SignalResult.objects.get(signal=turned)
    assert f"rio {short.pk}, which it was to reverse, is closed all the same" in sentence(
        result.refusal, result.facts
    )
    desk.carry_until(short, "CLOSED")
    assert desk.simulator.position("BTCUSDT").is_flat


@pytest.mark.parametrize("seconds", [0, 61], ids=["in time", "too late"])
def test_a_reversal_that_is_out_of_date_closes_nothing_that_a_later_post_wants_held(
    desk: Desk, seconds: int
) -> None:
    # Given a short; it is turned to long and back, and the second turn, which finds the short there, comes first
    sender = a_sender(desk, policy="REVERSE")
    short = opened(desk, sender, dated(OPEN_SHORT, -5))
    assert sender.sends(dated(TURN, 1)).outcome == "SLOT_TAKEN"
    turned = recorded(sender, dated(TURN_LONG))
    Signal.objects.filter(pk=turned).update(act_before=db_now() + timedelta(seconds=60 - seconds))

    signals_execute([turned])

    assert outcome(turned)[0] in ("NOTHING_TO_DO", "TOO_LATE")
    assert the(short).close_wanted_at is None


def test_a_source_that_ignores_closes_nothing_for_an_entry_that_is_let_go(desk: Desk, sender: Sender) -> None:
    short = opened(desk, sender, OPEN_SHORT)
    turned, left = recorded(sender, TURN_LONG), recorded(sender, CLOSE_LONG)

    signals_execute([turned, left])

    assert outcome(turned) == ("NOTHING_TO_DO", "SUPERSEDED")
    assert the(short).close_wanted_at is None


PART = {**SELL, "market_position": "long", "quantity": "0.004", "id": "part"}
MORE = {**BUY, "market_position": "long", "prev_market_position": "long", "quantity": "0.010", "id": "more"}
NEARER = {"symbol": "BTCUSDT", "action": "move", "market_position": "long", "stop": "98000", "id": "nearer"}


@pytest.mark.parametrize("change", [PART, MORE, NEARER], ids=["reduce", "add", "move"])
def test_a_close_lets_go_a_change_that_waits_and_is_carried_out_at_once(
    desk: Desk, sender: Sender, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    # Given an entry that is queued and not sent yet, and a change that waits for it
    queued_only(monkeypatch)
    signals_execute([recorded(sender, BUY)])
    changed = recorded(sender, change)
    signals_execute([changed])
    assert outcome(changed)[0] == "PENDING"

    # When its source closes
    closed = recorded(sender, CLOSE_LONG)
    signals_execute([closed])
    monkeypatch.undo()

    # Then the entry is never sent
    assert outcome(changed) == ("NOTHING_TO_DO", "SUPERSEDED")
    assert outcome(closed)[0] == "CLOSING"
    desk.carry_until(TrioOrder.objects.get(), "CANCELLED")
    assert desk.requests(path="/fapi/v1/order") == []


def test_a_close_does_not_wait_for_a_part_that_is_being_taken_off(
    desk: Desk, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    trio = opened(desk, sender)
    queued_only(monkeypatch)
    first, second = recorded(sender, PART), recorded(sender, {**PART, "id": "2"})
    signals_execute([first, second])
    assert (outcome(first)[0], outcome(second)[0]) == ("CHANGING", "PENDING")

    closed = recorded(sender, CLOSE_LONG)
    signals_execute([closed])
    monkeypatch.undo()

    assert outcome(second) == ("NOTHING_TO_DO", "SUPERSEDED")
    assert outcome(closed)[0] == "CLOSING"
    desk.carry_until(trio, "CLOSED")
    assert desk.simulator.position("BTCUSDT").is_flat


def test_a_part_whose_wish_is_recorded_is_not_said_to_be_let_go(
    desk: Desk, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a process that died after the wish for a part, before it noted what became of the post
    opened(desk, sender)
    queued_only(monkeypatch)
    part = sender.sends(PART)
    assert part.outcome == "CHANGING", part.facts
    SignalResult.objects.filter(pk=part.pk).update(outcome="PENDING")
    Signal.objects.filter(pk=part.signal_id).update(status="WAITING")

    closed = recorded(sender, CLOSE_LONG)
    signals_execute([closed])

    assert (outcome(part.signal_id)[0], outcome(closed)[0]) == ("CHANGING", "CLOSING")


def test_a_cancel_does_not_wait_for_a_change_that_waits(
    desk: Desk, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an entry that is queued and not sent yet, and a part that waits for it
    queued_only(monkeypatch)
    signals_execute([recorded(sender, BUY)])
    part = recorded(sender, PART)
    signals_execute([part])

    # When its source cancels
    cancelled = recorded(sender, CANCEL)
    signals_execute([cancelled])
    monkeypatch.undo()

    # Then the entry is never sent, and the part finds nothing there
    assert outcome(cancelled)[0] == "CANCELLING"
    desk.carry_until(TrioOrder.objects.get(), "CANCELLED")
    signals_execute([part])
    assert outcome(part) == ("NOTHING_TO_DO", "NOTHING_THERE")
    assert desk.requests(path="/fapi/v1/order") == []


def test_a_reversal_closes_what_a_waiting_change_is_about(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an entry that is queued and not sent yet, and a part that waits for it
    sender = a_sender(desk, policy="REVERSE")
    queued_only(monkeypatch)
    signals_execute([recorded(sender, BUY)])
    part = recorded(sender, PART)
    turned = recorded(sender, {**TURN, "id": "turn"})

    # When its source turns to short
    signals_execute([part, turned])
    monkeypatch.undo()

    # Then the long is withdrawn at once, and the short enters
    long = TrioOrder.objects.get()
    assert long.close_wanted_at is not None
    desk.carry_until(long, "CANCELLED")
    signals_execute([part, turned])
    signals_execute([turned])
    assert outcome(part) == ("NOTHING_TO_DO", "NOTHING_THERE")
    desk.carry_until(TrioOrder.objects.get(side="SELL"), "OPEN")
    assert desk.simulator.position("BTCUSDT").quantity == D("-0.010")


def test_an_entry_behind_a_waiting_change_is_let_go_by_the_close_that_passes_both(
    desk: Desk, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a part that waits, another entry behind it, and a close dated before the part and after neither trio
    queued_only(monkeypatch)
    signals_execute([recorded(sender, dated({**BUY, "id": "first"}, -5))])
    part = recorded(sender, dated(PART, 2))
    entry, closed = (
        recorded(sender, dated({**BUY, "id": "second"}, 0)),
        recorded(sender, dated(CLOSE_LONG, 1)),
    )

    signals_execute([part, entry, closed])
    monkeypatch.undo()

    assert outcome(entry) == ("NOTHING_TO_DO", "SUPERSEDED")
    assert outcome(closed)[0] == "CLOSING"
    desk.carry_until(TrioOrder.objects.get(), "CANCELLED")
    signals_execute([part])
    assert TrioOrder.objects.count() == 1


@pytest.mark.parametrize("carried_on", ["at once", "by another process"])
def test_a_part_that_comes_while_the_close_is_on_its_way_takes_nothing_off(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, carried_on: str
) -> None:
    # Case 19 as it stands: long 3540 of ADAUSDT, and an exchange that takes 600 ms to execute the exit
    desk.simulator.set_price("ADAUSDT", "0.4500")
    desk.sweep()
    sender = a_sender(desk, policy="REVERSE", size_kind="", size_value=None, mapping={"time": "timenow"})
    trio = opened(desk, sender, {"symbol": "ADAUSDT.P", "action": "buy", "quantity": "3540"})
    sells = {"symbol": "ADAUSDT.P", "action": "sell", "timenow": db_now().isoformat()}
    a = {**sells, "quantity": "1539", "market_position": "long", "position_size": "2001"}
    b = {**sells, "quantity": "2001", "market_position": "flat", "prev_market_position": "long"}
    desk.simulator.fault({"method": "POST", "path": "/fapi/v1/order"}, {"do": "execute_late", "ms": 600})
    if carried_on == "by another process":  # the wish is recorded, and nobody has looked at the trio yet
        monkeypatch.setattr("worker.signal_execution.service", lost)

    # When B comes before A, and A while the close is on its way
    closing = sender.sends(b)
    assert not desk.simulator.position("ADAUSDT").is_flat
    part = sender.sends(a)

    # Then A is recorded and takes nothing off
    assert closing.outcome == "CLOSING"
    assert (part.outcome, part.refusal, part.trio) == ("NOTHING_TO_DO", "NOTHING_THERE", None)
    assert not SizeChange.objects.exists()
    monkeypatch.undo()
    assert desk.carry_until(trio, "CLOSED").result == "MANUAL"
    assert desk.simulator.position("ADAUSDT").is_flat
    assert TrioOrder.objects.count() == 1

    # And the whole is sold once: an exit in doubt is asked for again, and never for a part
    assert {order["quantity"] for order in exits(desk)} == {"3540"}
    assert [fill.quantity for fill in trio.fills.filter(side="SELL")] == [D(3540)]


def exits(desk: Desk) -> list[Any]:
    """Return the orders to sell ADAUSDT at market that were asked for, as they were sent."""
    sent = [entry.params for entry in desk.requests(path="/fapi/v1/order")]
    return [order for order in sent if (order.get("side"), order.get("symbol")) == ("SELL", "ADAUSDT")]


def test_in_hedge_mode_a_reversal_that_is_let_go_closes_the_other_side_and_an_entry_does_not(
    hedge_desk: Desk,
) -> None:
    sender = a_sender(hedge_desk, policy="REVERSE")
    short = opened(hedge_desk, sender, OPEN_SHORT)

    # An entry has a slot of its own there: nothing is in its way
    entered, left = recorded(sender, {**BUY, "id": "enter"}), recorded(sender, CLOSE_LONG)
    signals_execute([entered, left])
    assert (outcome(entered)[1], the(short).close_wanted_at) == ("SUPERSEDED", None)

    turned, left = recorded(sender, TURN_LONG), recorded(sender, {**CLOSE_LONG, "id": "again"})
    signals_execute([turned, left])
    assert outcome(turned)[1] == "SUPERSEDED"
    hedge_desk.carry_until(short, "CLOSED")
    assert TrioOrder.objects.count() == 1


def test_a_reversal_that_waits_for_its_close_is_let_go_and_its_close_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a short whose close for a reversal is wished and not begun
    sender = a_sender(desk, policy="REVERSE")
    short = opened(desk, sender, OPEN_SHORT)
    with monkeypatch.context() as patched:
        patched.setattr("worker.signal_execution.service", lost)
        turned = sender.sends(TURN_LONG)
    assert turned.outcome == "PENDING"

    # When its source closes what it would have entered
    left = sender.sends(CLOSE_LONG)

    # Then the close that was wished once goes on, and nothing enters
    assert (outcome(turned.signal_id)[1], left.refusal) == ("SUPERSEDED", "NOTHING_THERE")
    desk.carry_until(short, "CLOSED")
    signals_execute([turned.signal_id, left.signal_id])
    assert short.events.filter(text__startswith="Close requested").count() == 1
    assert TrioOrder.objects.count() == 1
