"""Whoever changes, removes or puts in a line of the journal is found, whatever they may do in the database."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.utils import DatabaseError

from orders.domain.enums import Role
from orders.domain.hash_chain import BEGINNING, digest
from orders.exchange_data.clock import db_now
from orders.journal import anchors
from orders.journal.anchors import anchor_write
from orders.journal.append import journal_append, row_content
from orders.journal.verify import journal_verify
from orders.management.commands import verify_journal
from orders.models import AnchoredHead, JournalAnchor, Leg, Outcome, Request, Sighting, TrioOrder
from tests.builders import Desk, the, until
from tests.unit.orders.journal.stories import a_sighting
from worker.anchor_timer import AnchorTimer

D = Decimal
Story = Callable[[Desk], TrioOrder]


# --- nobody changes it unnoticed ----------------------------------------------------------------


@contextlib.contextmanager
def with_all_power() -> Iterator[Any]:
    """Do as somebody may who owns the database server: no trigger and no foreign key in the way."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor


@pytest.fixture
def anchored(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> TrioOrder:
    """A trio that was placed and closed, anchored three times on the way, and one more besides."""
    minute = db_now()  # stands still until it is moved on
    monkeypatch.setattr(anchors, "db_now", lambda: minute)
    trio = desk.placed(desk.a_trio())
    assert anchor_write() is not None
    assert anchor_write() is None, "one for each minute"
    desk.simulator.set_price("BTCUSDT", "111000")
    desk.carry_until(trio, "CLOSED")
    for _ in range(2):
        minute += timedelta(minutes=1)
        assert anchor_write() is not None
    desk.simulator.set_price("BTCUSDT", "100000")
    other = desk.placed(desk.a_trio())
    assert other.pk > trio.pk
    assert journal_verify().breaks == []
    return the(trio)


def rows_of(table: type[Request | Outcome | Sighting], trio: TrioOrder) -> list[tuple[int, int]]:
    return list(table.objects.filter(trio=trio).order_by("position").values_list("pk", "position"))


TABLES = [Request, Outcome, Sighting]
CHANGES = [
    (Request, "asked_by", "'somebody else'"),
    (Request, "payload", "jsonb_set(payload, '{quantity}', '\"9\"')"),
    (Request, "timestamp", "timestamp + 1"),
    (Request, "leg_id", "(SELECT min(id) FROM orders_leg leg WHERE leg.id <> orders_request.leg_id)"),
    (Outcome, "message", "'all went well'"),
    (Outcome, "received_at", "received_at + interval '1 microsecond'"),
    (Outcome, "hash", "repeat('0', 64)"),
    (Sighting, "facts", "jsonb_set(facts, '{executed}', '\"9\"')"),
    (Sighting, "certain", "NOT certain"),
    (Sighting, "previous_hash", "repeat('0', 64)"),
]


@pytest.mark.parametrize(("table", "column", "value"), CHANGES)
def test_a_changed_row_is_found(
    anchored: TrioOrder, table: type[Request | Outcome | Sighting], column: str, value: str
) -> None:
    pk, position = rows_of(table, anchored)[1]
    with with_all_power() as cursor:
        cursor.execute(f"UPDATE {table._meta.db_table} SET {column} = {value} WHERE id = %s", [pk])

    (found,) = journal_verify().breaks

    assert (found.trio, found.row) == (anchored.pk, position)
    assert f"Trio {anchored.pk}, row {position}" in found.sentence
    assert f"({table._meta.db_table} {pk}) was changed" in found.sentence


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_missing_row_is_found(
    anchored: TrioOrder, table: type[Request | Outcome | Sighting], which: int
) -> None:
    pk, position = rows_of(table, anchored)[which]
    with with_all_power() as cursor:
        cursor.execute(f"DELETE FROM {table._meta.db_table} WHERE id = %s", [pk])

    (found,) = journal_verify().breaks

    assert (found.trio, found.row) == (anchored.pk, position)
    assert "it is missing" in found.sentence


@pytest.mark.parametrize("table", TABLES)
def test_the_very_last_row_of_a_journal_is_missed(
    anchored: TrioOrder, table: type[Request | Outcome | Sighting]
) -> None:
    cut(anchored, down_to=max(position for _, position in rows_of(table, anchored)) - 1)

    (found,) = journal_verify().breaks

    assert (found.trio, found.row) == (anchored.pk, max_position(anchored) + 1)
    assert f"it is missing; the trio had {anchored.journal_length} rows" in found.sentence


def test_a_tail_cut_off_together_with_its_head_is_found_by_the_anchor(anchored: TrioOrder) -> None:
    length = anchored.journal_length - 3
    cut(anchored, down_to=length)
    with with_all_power() as cursor:
        cursor.execute(
            "UPDATE orders_trioorder SET journal_length = %s, journal_head = %s WHERE id = %s",
            [length, last_hash(anchored), anchored.pk],
        )

    (found,) = journal_verify().breaks

    assert (found.trio, found.row) == (anchored.pk, length + 1)
    assert f"there were {anchored.journal_length} rows when the journal was anchored" in found.sentence


def test_a_trio_that_is_gone_with_all_it_had_is_found_by_the_anchor(anchored: TrioOrder) -> None:
    cut(anchored, down_to=0)
    with with_all_power() as cursor:
        for table in ("orders_fill", "orders_trioevent", "orders_leg"):
            cursor.execute(f"DELETE FROM {table} WHERE trio_id = %s", [anchored.pk])
        cursor.execute("DELETE FROM orders_trioorder WHERE id = %s", [anchored.pk])

    (found,) = journal_verify().breaks

    assert found.trio == anchored.pk
    assert "all is missing" in found.sentence


def test_a_chain_forged_anew_from_its_first_row_is_found_by_the_anchor(anchored: TrioOrder) -> None:
    # Given somebody who changes a row and makes every hash after it, and the head, anew
    with with_all_power() as cursor:
        cursor.execute(
            "UPDATE orders_request SET asked_by = 'nobody' WHERE trio_id = %s AND position = 1", [anchored.pk]
        )
        previous = BEGINNING
        for row in lines(anchored):
            if isinstance(row, Outcome):
                row.request.refresh_from_db()
            row.previous_hash = previous
            row.hash = previous = digest(row_content(row), previous=previous)
            row.save()
        cursor.execute("UPDATE orders_trioorder SET journal_head = %s WHERE id = %s", [previous, anchored.pk])

    (found,) = journal_verify().breaks

    assert found.trio == anchored.pk
    assert "is not the row that was there when the journal was anchored" in found.sentence


def test_a_row_put_in_at_the_end_is_found(anchored: TrioOrder) -> None:
    length = anchored.journal_length
    with with_all_power():
        journal_append(anchored, a_sighting(anchored))

    (found,) = journal_verify().breaks

    assert (found.trio, found.row) == (anchored.pk, length + 1)
    assert "put in" in found.sentence


def test_a_row_put_in_between_is_found(anchored: TrioOrder) -> None:
    # Given a forged sighting, soundly chained, on the place of a request that is there already
    pk, position = rows_of(Request, anchored)[1]
    anchored.journal_length = position - 1
    anchored.journal_head = Request.objects.get(pk=pk).previous_hash
    with with_all_power():
        journal_append(anchored, a_sighting(anchored))

    (found,) = journal_verify().breaks

    assert (found.trio, found.row) == (anchored.pk, position)
    assert "put in: the place was taken already" in found.sentence


def test_rows_that_changed_places_are_found(anchored: TrioOrder) -> None:
    (first, a), (second, b) = rows_of(Sighting, anchored)[:2]
    with with_all_power() as cursor:
        for pk, position in ((first, 10_000), (second, a), (first, b)):
            cursor.execute("UPDATE orders_sighting SET position = %s WHERE id = %s", [position, pk])

    (found,) = journal_verify().breaks

    assert (found.trio, found.row) == (anchored.pk, a)


def test_an_answer_given_to_another_request_is_found(anchored: TrioOrder) -> None:
    (first, _), (second, _) = rows_of(Request, anchored)[:2]
    with with_all_power() as cursor:  # the requests change their numbers, so that each has the other's answer
        for old, new in ((first, -1), (second, first), (-1, second)):
            cursor.execute("UPDATE orders_request SET id = %s WHERE id = %s", [new, old])

    (found,) = journal_verify().breaks

    assert found.trio == anchored.pk
    assert "outcome" in found.sentence


@pytest.mark.parametrize("table", [Sighting, JournalAnchor, AnchoredHead])
def test_without_all_power_nothing_is_changed_or_deleted(
    anchored: TrioOrder, table: type[Sighting | JournalAnchor | AnchoredHead]
) -> None:
    name = table._meta.db_table
    for attempt in (f"UPDATE {name} SET id = id", f"DELETE FROM {name}"):
        with (
            pytest.raises(DatabaseError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(attempt)


# --- the anchors themselves ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deed", "told"),
    [
        ("UPDATE orders_journalanchor SET rows = rows + 1 WHERE number = 2", "Anchor 2 (… was changed"),
        (
            "UPDATE orders_journalanchor SET minute = minute + interval '1 h' WHERE number = 3",
            "Anchor 3 (… was changed",
        ),
        ("UPDATE orders_anchoredhead SET length = length + 1 WHERE start > 0", "Anchor 2 (… was changed"),
        ("DELETE FROM orders_anchoredhead WHERE start > 0", "Anchor 2 (… was changed"),
        ("DELETE FROM orders_journalanchor WHERE number = 1", "Anchor 1 is missing"),
        ("DELETE FROM orders_journalanchor WHERE number = 2", "Anchor 2 is missing"),
        ("DELETE FROM orders_journalanchor WHERE number = 3", "Anchor 3 is missing: 3 were written"),
    ],
)
def test_a_changed_or_missing_anchor_is_found(anchored: TrioOrder, deed: str, told: str) -> None:
    with with_all_power() as cursor:
        cursor.execute(deed)

    breaks = [found for found in journal_verify().breaks if not found.trio]

    assert all(word in breaks[0].sentence for word in told.split("…")), breaks


def test_anchors_count_all_that_they_name(anchored: TrioOrder) -> None:
    first, second, third = JournalAnchor.objects.order_by("number")
    assert (first.trios, second.trios, third.trios) == (1, 1, 1)
    assert (second.rows, third.rows) == (anchored.journal_length,) * 2
    assert [head.length for head in AnchoredHead.objects.order_by("anchor__number")] == [
        first.rows,
        anchored.journal_length,
    ]
    assert list(third.heads.all()) == []


def test_several_workers_write_one_anchor_a_minute(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.placed(desk.a_trio())
    noon = db_now().replace(second=0, microsecond=0)
    monkeypatch.setattr(anchors, "db_now", lambda: noon)
    start = threading.Barrier(4)

    def write() -> bool:
        try:
            start.wait(timeout=10)
            return anchor_write() is not None
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        written = [work.result(timeout=30) for work in [pool.submit(write) for _ in range(4)]]

    assert sorted(written) == [False, False, False, True]
    assert journal_verify().anchors == 1
    assert journal_verify().breaks == []


def test_an_anchor_waits_for_no_trio_that_somebody_holds(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    timer = AnchorTimer()
    with transaction.atomic():
        TrioOrder.objects.select_for_update().get(pk=trio.pk)
        timer.poll()
        until(lambda: JournalAnchor.objects.exists(), seconds=2, why="the anchor, while the trio is locked")
    timer.stop()


# --- the commands -------------------------------------------------------------------------------


def run(*words: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command(*words, stdout=out, stderr=StringIO())
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


def test_verify_journal_says_whole_and_which_anchor_is_the_newest(anchored: TrioOrder) -> None:
    code, said = run("verify_journal", "--json")
    document = json.loads(said)
    assert (code, document["whole"], document["trios"], document["anchors"]) == (0, True, 2, 3)
    noted = document["newest_anchor"]["hash"]

    code, said = run("verify_journal", "--anchor", noted)
    assert (code, noted in said, said.startswith("The journal is whole")) == (0, True, True)
    assert run("verify_journal", "--anchor", "f" * 64)[0] == 1


def test_verify_journal_tells_how_far_it_is_when_it_takes_long(
    anchored: TrioOrder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify_journal, "EVERY_SECONDS", 0.0)
    call_command("verify_journal")
    assert "2 trios," in capsys.readouterr().err


def test_verify_journal_names_trio_and_row_and_ends_with_1(anchored: TrioOrder) -> None:
    pk, position = rows_of(Outcome, anchored)[0]
    with with_all_power() as cursor:
        cursor.execute("UPDATE orders_outcome SET code = 1 WHERE id = %s", [pk])

    code, said = run("verify_journal")
    assert code == 1
    assert f"Trio {anchored.pk}, row {position} of its journal: the ACCEPTED outcome" in said
    code, said = run("verify_journal", "--json")
    assert (code, json.loads(said)["breaks"][0]["row"]) == (1, position)

    # And nothing is rebuilt from it
    code, said = run("replay_trio", str(anchored.pk))
    assert (code, "broken journal" in said) == (1, True)


def test_replay_trio_says_equal_different_or_unknown(anchored: TrioOrder) -> None:
    code, said = run("replay_trio", str(anchored.pk), "--json")
    document = json.loads(said)
    assert (code, document["equal"], document["bought"], document["sold"]) == (0, True, "0.010", "0.010")
    assert {leg["role"]: leg["state"] for leg in document["legs"]}["TAKE_PROFIT"] == "FILLED"
    assert "The database says the same." in run("replay_trio", str(anchored.pk))[1]

    Leg.objects.filter(trio=anchored, role=Role.ENTRY).update(filled=D("0.5"))
    code, said = run("replay_trio", str(anchored.pk))
    assert (code, "filled is 0.5 in the books, 0.01 by the journal" in said) == (1, True)
    assert run("replay_trio", "999999")[0] == 2


# --- helpers ------------------------------------------------------------------------------------


def lines(trio: TrioOrder) -> list[Request | Outcome | Sighting]:
    found: list[Request | Outcome | Sighting] = [
        *Request.objects.filter(trio=trio),
        *Outcome.objects.filter(trio=trio),
        *Sighting.objects.filter(trio=trio),
    ]
    return sorted(found, key=lambda row: row.position)


def cut(trio: TrioOrder, *, down_to: int) -> None:
    """Delete every row of a trio's journal past a place."""
    with with_all_power() as cursor:
        for table in ("orders_sighting", "orders_outcome", "orders_request"):
            cursor.execute(f"DELETE FROM {table} WHERE trio_id = %s AND position > %s", [trio.pk, down_to])


def max_position(trio: TrioOrder) -> int:
    return max(row.position for row in lines(trio))


def last_hash(trio: TrioOrder) -> str:
    return lines(trio)[-1].hash
