"""What the exchange's log and PostgreSQL's log say is read as it was meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.stand import processes
from bench.stand.bulks import Bulk
from bench.stand.exchange_log import Arrived, Followed
from bench.stand.samples import Samples
from bench.stand.statement_log import count
from bench.trio import less_idle, other_path, part_of


def row(ms: int, kind: str = "MARKET", **changed: Any) -> dict[str, Any]:
    path = "/fapi/v1/order" if kind == "MARKET" else "/fapi/v1/algoOrder"
    plain = {"ms": ms, "account": "desk", "method": "POST", "path": path, "effect": "executed"}
    return {**plain, "params": {"symbol": "BTCUSDT", "type": kind}} | changed


TRIO = [row(100), row(107, "STOP_MARKET"), row(109, "TAKE_PROFIT_MARKET")]


def test_a_trio_is_measured_from_its_entry_to_its_first_stop() -> None:
    found = Arrived.of([*TRIO, row(150, "STOP_MARKET")])
    assert (found.gaps, found.covered, found.complete) == ([7], 107, 109)
    assert (found.orders, found.requests, found.uncovered) == (4, 4, 0)


def test_a_refused_stop_is_no_stop_and_a_read_is_no_order() -> None:
    refused = row(103, "STOP_MARKET", effect="refused")
    read = row(104, method="GET", path="/fapi/v3/positionRisk", effect="read", params={})
    found = Arrived.of([TRIO[0], refused, read, *TRIO[1:]])
    assert found.gaps == [7]
    assert (found.orders, found.requests) == (4, 5)


def test_a_trio_without_its_stop_is_counted_and_makes_the_bulk_no_figure() -> None:
    found = Arrived.of([*TRIO, row(100, account="other")])
    assert (found.gaps, found.uncovered, found.covered, found.complete) == ([7], 1, None, None)
    assert found.whole == 1
    bulk = Bulk("ours", 2, 90, found, {})
    assert (bulk.good, bulk.per_second, bulk.covered_ms) == (False, None, None)


def test_a_bulk_that_lost_a_trio_is_no_figure() -> None:
    assert Bulk("ours", 2, 90, Arrived.of(TRIO), {}).per_second is None
    whole = Bulk("ours", 1, 89, Arrived.of(TRIO), {})
    assert (whole.per_second, whole.covered_ms) == (50, 18)


def test_a_log_is_followed_from_now_on_and_half_a_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text(json.dumps(row(50, account="before")) + "\n")
    followed = Followed(path)
    lines = [json.dumps(each) + "\n" for each in TRIO]
    with path.open("a") as log:
        log.write(lines[0] + lines[1] + lines[2][:10])
    assert not followed.wait([("desk", "BTCUSDT")], seconds=0)
    with path.open("a") as log:
        log.write(lines[2][10:])
    assert followed.wait([("desk", "BTCUSDT")], seconds=0)
    assert followed.arrived.orders == 3


def said(text: str, who: str = "runworker-0", session: str = "a.1", xid: int = 0) -> str:
    return f"bench~{who}~{session}~{xid}~LOG:  statement: {text}\n"


def test_statements_are_counted_by_process_and_begin_and_commit_apart() -> None:
    found = count(
        [
            said("BEGIN"),
            said("SELECT 1;\n").rstrip("\n") + "\n",
            "\tSELECT 2\n",  # the line above goes on: one message
            said("UPDATE t SET a = 1", xid=0),
            said("COMMIT", xid=7),
            said("SELECT 3", who="rqworker-1", session="b.1"),
            "bench~runworker-0~a.1~0~ERROR:  something else\n",
            "a line of a server that only now starts\n",
        ]
    )
    assert {who: (each.statements, each.transactions, each.commits) for who, each in found.items()} == {
        "runworker-0": (2, 1, 1),
        "rqworker-1": (1, 1, 0),
    }


@pytest.mark.parametrize(
    ("texts", "commits"),
    [
        (["INSERT INTO t VALUES (1)"], 1),
        (["WITH w0 AS (UPDATE t SET a = 1 RETURNING a) SELECT a FROM w0"], 1),
        (["SELECT a FROM t WHERE id = 1 FOR UPDATE"], 0),
        (["SELECT a FROM t FOR UPDATE SKIP LOCKED"], 0),
        (["SELECT a FROM t FOR NO KEY UPDATE OF t "], 0),
        (["BEGIN", "SELECT 1", "COMMIT"], 0),
        (["BEGIN", "SAVEPOINT a", "ROLLBACK TO SAVEPOINT a", "RELEASE a", "ROLLBACK"], 0),
    ],
)
def test_a_commit_is_one_that_wrote(texts: list[str], commits: int) -> None:
    (found,) = count([said(text) for text in texts]).values()
    assert found.commits == commits
    assert found.transactions == 1


def test_what_was_prepared_is_counted_once_and_by_what_it_says() -> None:
    detail = "bench~runworker-0~a.1~0~DETAIL:  prepare: PREPARE p1 (bigint) AS UPDATE t SET a = 1\n"
    (found,) = count([said("EXECUTE p1(7)"), detail]).values()
    assert (found.statements, found.transactions, found.commits) == (1, 1, 1)
    assert dict(found.texts) == {"UPDATE t SET a = ?": 1}


def test_the_same_statement_with_other_values_is_the_same() -> None:
    (found,) = count([said("SELECT a FROM t WHERE id = 1"), said("SELECT a FROM t WHERE id = 22")]).values()
    assert dict(found.texts) == {"SELECT a FROM t WHERE id = ?": 2}


def test_what_happens_anyway_is_taken_off_and_nothing_becomes_negative() -> None:
    found = less_idle(
        {"queueing": 20, "runworker": 100}, {"runworker": 60, "rqworker": 4}, share=0.5, trios=10
    )
    assert found == {"queueing": 2.0, "rqworker": 0.0, "runworker": 7.0}


def test_processes_are_named_by_what_they_are_for() -> None:
    assert part_of("rqworker-1") == "rqworker"
    assert part_of("queueing") == "queueing"
    cost = processes.each(
        {"this": 1.0, "simulator": 0.0}, {"this": 1.5, "simulator": 2.0, "postgres": 0.25}, 10
    )
    assert cost == {"queueing": 50.0, "simulator": 200.0, "postgres": 25.0}
    assert processes.ours(cost) == 75.0


def test_an_order_that_is_placed_is_no_other_request() -> None:
    assert other_path(row(1)) == ""
    assert other_path(row(1, method="GET", path="/fapi/v1/order")) == "GET /fapi/v1/order"


def test_samples_say_through_whom_and_where_time_went() -> None:
    found = Samples.of(
        [
            "thread (7): a;run (threading.py:982);Watch._sweep (worker/account_watch.py:4);sweep (worker/sweep.py:9);"
            "Cursor.execute (django/db/backends/utils.py:105) 3",
            "process 9:x;run (threading.py:982);sweep (worker/sweep.py:11);sweep (worker/sweep.py:12) 1",
            "run (threading.py:982) 2",
            "not a stack",
        ]
    )
    assert found.total == 6
    assert dict(found.through) == {"worker/account_watch.py: Watch._sweep": 3, "worker/sweep.py: sweep": 4}
    assert found.itself["django/db/backends/utils.py: Cursor.execute"] == 3
    assert dict(found.room) == {"worker/sweep.py": 4, "elsewhere": 2}
