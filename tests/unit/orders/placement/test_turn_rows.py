"""However often an order was changed or replaced, a turn reads what its decision needs, and no more."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

from django.db import connection, transaction

from orders.domain.enums import LegState, RequestKind, Role, Verdict
from orders.exchange_data.clock import db_now, to_ms
from orders.models import Leg, Outcome, Request, TrioOrder
from orders.placement.snapshot_loader import leg_view, policies
from orders.placement.turn_rows import rows_read
from tests.builders import Desk, story, the

MANY = 4000


def resting(desk: Desk) -> TrioOrder:
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection="ON_FIRST_FILL"))
    assert trio.state == "WORKING", story(trio)
    return trio


@contextmanager
def beside_the_journal() -> Iterator[None]:
    """Write rows that no chain ties together."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield


def copied(row: Any, **changes: Any) -> Any:
    made = copy.copy(row)
    made._state = copy.copy(row._state)
    made._state.adding, made.pk = True, None
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def asked(trio: TrioOrder, leg: Leg, kind: RequestKind, times: int = 1, **changes: Any) -> list[Request]:
    """Write requests of this kind into the books, each of which was accepted."""
    one = Request.objects.filter(trio=trio).order_by("id")[0]
    answer, start = one.outcome, 10_000 + 2 * Request.objects.count()
    with beside_the_journal():
        made: list[Request] = Request.objects.bulk_create(
            [
                copied(one, leg=leg, kind=kind, position=start + 2 * number, **changes)
                for number in range(times)
            ]
        )
        Outcome.objects.bulk_create(
            [copied(answer, request=request, position=request.position + 1) for request in made]
        )
    return made


def without_answer(request: Request) -> Request:
    """Write the same request once more, with no answer so far."""
    kept: Request = copied(request, position=request.position + 100_000)
    with beside_the_journal():
        kept.save(force_insert=True)
    return kept


def all_needed_is_read(trio: TrioOrder) -> set[int]:
    """Return the requests that are read. What they say of each order is what all that are in the books say."""
    rows, now = rows_read(trio), to_ms(db_now())
    every = list(Request.objects.filter(trio=trio).select_related("outcome").order_by("id"))
    for leg in rows.legs:
        of_all = leg_view(leg, [r for r in every if r.leg_id == leg.pk], now=now, rules=policies())
        assert of_all == leg_view(
            leg, [r for r in rows.requests if r.leg_id == leg.pk], now=now, rules=policies()
        )
    return {request.pk for request in rows.requests}


def test_of_thousands_of_changes_the_newest_is_read(desk: Desk) -> None:
    # Given an entry that was changed once, and the rows that are read then
    trio = resting(desk)
    entry = trio.legs.get(role=Role.ENTRY)
    Leg.objects.filter(pk=entry.pk).update(amend_quantity=entry.quantity, amend_price=entry.price)
    asked(trio, entry, RequestKind.AMEND)
    once = len(all_needed_is_read(the(trio)))

    # When it was changed 4,000 times, one of them not answered and one refused
    early = without_answer(asked(trio, entry, RequestKind.AMEND)[0])
    many = asked(trio, entry, RequestKind.AMEND, MANY)

    # Then the newest is read, and the one that is not answered
    read = all_needed_is_read(the(trio))
    assert len(read) == once + 1
    assert {early.pk, many[-1].pk} <= read

    # And it is decided about
    desk.carry()
    assert the(trio).state == "WORKING", story(trio)


def test_of_stops_that_were_replaced_long_ago_only_what_is_open_is_read(desk: Desk) -> None:
    # Given stops that left an hour ago, one a minute ago, and one that was refused
    trio = resting(desk)
    entry, now = trio.legs.get(role=Role.ENTRY), db_now()
    before = all_needed_is_read(trio)

    def stop(number: int, state: LegState) -> Leg:
        leg: Leg = copied(
            entry, role=Role.STOP_LOSS, client_id=f"old-s{number}", generation=number, state=state, order_id=None,
            algo_id=None,
        )  # fmt: skip
        leg.save(force_insert=True)
        return leg

    hour = now - timedelta(hours=1)
    old = [stop(number, LegState.CANCELLED) for number in range(1, 21)]
    for leg in old:
        (placed,) = asked(trio, leg, RequestKind.SUBMIT, begun_at=hour)
        asked(trio, leg, RequestKind.CANCEL, begun_at=hour)
    still_open = without_answer(placed)
    late = stop(21, LegState.CANCELLED)
    recent = [asked(trio, late, kind)[0] for kind in (RequestKind.SUBMIT, RequestKind.CANCEL)]
    (refused,) = asked(trio, stop(22, LegState.REJECTED), RequestKind.SUBMIT, begun_at=hour)

    # Then of those of an hour ago only what was not answered is read
    read = {request.pk for request in rows_read(the(trio)).requests}
    assert read == before | {still_open.pk, refused.pk, *(request.pk for request in recent)}


def test_what_did_not_place_a_stop_is_read_however_old_it_is(desk: Desk) -> None:
    # It tells for how long the position was uncovered although cover was asked for.
    trio = resting(desk)
    entry = trio.legs.get(role=Role.ENTRY)
    (lost,) = asked(trio, entry, RequestKind.SUBMIT)
    late = without_answer(lost)
    answer: Outcome = copied(
        lost.outcome, request=late, position=late.position + 1, verdict=Verdict.NOT_EXECUTED
    )
    with beside_the_journal():
        answer.save(force_insert=True)
    asked(trio, entry, RequestKind.SUBMIT)
    assert late.pk in all_needed_is_read(the(trio))
