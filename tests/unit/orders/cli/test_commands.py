"""The commands as a script sees them, against a simulator in a process of its own and a kept watch."""

from __future__ import annotations

import gc
import io
import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests
from django.core.management import call_command
from django.db import OperationalError, connection

from accounts.gateways import exchange_for
from accounts.models import ExchangeAccount
from accounts.services import account_add
from demo.smoke import watching
from exchange.types import Endpoints, NewOrder, OrderType, Side, Stamp
from local_servers.manager import CHECKOUT
from orders.admin.trio_page import wishes
from orders.exchange_data.clock import db_now, exchange_now_ms
from orders.exchange_data.symbol_sync import symbols_sync
from orders.models import Heartbeat, Install, Reversal, TrioEvent, TrioOrder
from tests.builders import story, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_queue")]

PLACE = ("place_trio", "--account", "desk", "--symbol", "BTCUSDT", "--side", "BUY", "--quantity", "0.01")
LEVELS = ("--stop-loss", "95000", "--take-profit", "110000")
LIMIT = ("--entry", "LIMIT", "--price", "98000")


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


def run(*words: str) -> Ran:
    """Run a command in process, as ``manage.py`` would."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command(*words, stdout=out, stderr=err)
    except SystemExit as ended:
        return Ran(int(str(ended.code)), out.getvalue(), err.getvalue())
    return Ran(0, out.getvalue(), err.getvalue())


@dataclass
class World:
    url: str
    account: ExchangeAccount

    def control(self, path: str, body: Any) -> None:
        answer = requests.post(f"{self.url}/sim/{path}", json=body, timeout=5)
        assert answer.ok, answer.text

    def refuses(self, order_type: str, code: int) -> None:
        self.control(
            "faults",
            {
                "match": {"method": "POST", "path": "/fapi/v1/algoOrder", "type": order_type},
                "occurrence": "every",
                "then": {"do": "refuse", "status": 400, "code": code, "msg": "Refused for the story."},
            },
        )


@pytest.fixture
def exchange(settings: Any) -> Iterator[str]:
    """A simulator on a free port, known to us as PAPER; BTCUSDT stands at 100000."""
    words = ["-m", "simulator", "--port", "0", "--prices", "hand", "--die-with-parent"]
    with subprocess.Popen(
        [sys.executable, *words], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = line.rpartition(" ")[2].strip()
        assert url.startswith("http://127.0.0.1:"), line
        settings.BINANCE_URLS = settings.BINANCE_URLS | {
            "PAPER": Endpoints(rest=url, stream=url.replace("http", "ws"), sapi=url)
        }
        requests.post(f"{url}/sim/price", json={"symbol": "BTCUSDT", "price": "100000"}, timeout=5)
        try:
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)


@pytest.fixture
def unwatched(exchange: str) -> World:
    """The desk, and nobody at work."""
    symbols_sync("PAPER")
    account = account_add(name="desk", environment="PAPER", api_key="desk-key", api_secret="desk-secret")
    return World(exchange, account)


@pytest.fixture
def world(unwatched: World) -> Iterator[World]:
    """The desk, watched as by a runworker."""
    with ExitStack() as stack:
        loop = stack.enter_context(watching(unwatched.account))
        until(lambda: Heartbeat.objects.exists() and loop.watch_manager.is_ready, why="the watch is kept")
        yield unwatched
    gc.collect()  # the connections of threads that have ended: the test database is dropped after us


@pytest.mark.usefixtures("world")
def test_a_script_places_looks_cancels_and_closes() -> None:
    # When a market trio is placed and waited for
    placed = run(*PLACE, *LEVELS, "--wait", "20", "--json")

    # Then it stands, and the document says so to the letter
    assert placed.code == 0, placed
    document = placed.document
    trio = TrioOrder.objects.get()
    legs = {leg.pop("role"): leg for leg in document.pop("legs")}
    ids = {role: leg.pop("client_id") for role, leg in legs.items()}
    assert document == {
        "trio": trio.pk,
        "state": "OPEN",
        "result": None,
        "reason": None,
        "filled": "0.010",
        "uncovered_ms": 0,
        "question": None,
        "net_pnl": [
            {"asset": "USDT", "net": "-0.5000005", "realized": "0", "fees": "0.5000005", "funding": "0"}
        ],
        "net_converted": None,
        "adopted": None,
        "reversal": None,
        "reverses": None,
        "moves": [],
        "rungs": [],
        "targets": [{"level": "110000.0", "share": "100", "filled": "0.000"}],
        "size_changes": [],
        "changes": [],
        "trail": None,
        "break_even": None,
        "chase": None,
        "drift_policy": {
            "stop_cancelled": "PROTECT_AGAIN",
            "reduced": "FOLLOW",
            "increased": "ASK",
            "reversed": "ASK",
            "settings_changed": "ASK",
            "own_orders": "LEAVE",
        },
        "unprotected": None,
    }
    assert legs == {
        "STOP_LOSS": {
            "state": "ACCEPTED",
            "quantity": "0.010",
            "filled": "0.000",
            "trigger_price": "95000.0",
            "price": None,
        },
        "TAKE_PROFIT": {
            "state": "ACCEPTED",
            "quantity": "0.010",
            "filled": "0.000",
            "trigger_price": "110000.0",
            "price": None,
        },
        "ENTRY": {
            "state": "FILLED",
            "quantity": "0.010",
            "filled": "0.010",
            "trigger_price": None,
            "price": None,
        },
    }
    assert sorted(ids.values()) == sorted(trio.legs.values_list("client_id", flat=True))
    assert placed.err == ""

    # And cancelling has nothing left to withdraw: the position stays as it is
    cancelled = run("cancel_trio", str(trio.pk), "--wait", "20", "--json")
    assert (cancelled.code, cancelled.document["state"]) == (0, "OPEN")

    # And closing ends it, without a gap in its cover
    closed = run("close_trio", str(trio.pk), "--wait", "20", "--json")
    assert closed.code == 0, closed
    told = closed.document
    assert (told["state"], told["result"], told["uncovered_ms"]) == ("CLOSED", "MANUAL", 0), story(trio)
    assert [leg["role"] for leg in told["legs"]][-1] == "EXIT"
    assert run("show_trio", str(trio.pk), "--json").document == told

    # And every quantity went out in the symbol's own decimals
    quantities = [r.payload.get("quantity", "0.010") for r in trio.requests.all()]
    assert set(quantities) == {"0.010"}

    # And what has ended takes no more verbs
    again = run("close_trio", str(trio.pk), "--wait", "20", "--json")
    assert again.code == 2
    assert again.document == {"error": f"Trio {trio.pk} has ended (CLOSED); there is nothing to close."}


@pytest.mark.usefixtures("world")
def test_a_person_at_the_terminal_is_told_the_story() -> None:
    placed = run(*PLACE, *LEVELS, *LIMIT, "--wait", "20")
    assert placed.code == 0, placed
    assert "is WORKING, nothing filled" in placed.out
    assert re.search(r"DRAFT → QUEUED by \S+@\S+\.", placed.err), placed.err
    assert "PLACING → WORKING" in placed.err

    trio = TrioOrder.objects.get()
    cancelled = run("cancel_trio", str(trio.pk), "--wait", "20")
    assert cancelled.code == 0, cancelled
    assert "is CANCELLED" in cancelled.out
    assert "WITHDRAWING → CANCELLED" in cancelled.err
    assert "DRAFT → QUEUED" not in cancelled.err  # what was told before is not told again


@pytest.mark.usefixtures("world")
def test_without_waiting_the_verb_is_accepted_at_once() -> None:
    placed = run(*PLACE, *LEVELS, "--json")
    assert (placed.code, placed.document["state"], placed.document["legs"]) == (0, "QUEUED", [])

    # And nobody need hear the bell: the runworker finds it
    shown = run("show_trio", str(placed.document["trio"]), "--wait", "20", "--json")
    assert (shown.code, shown.document["state"]) == (0, "OPEN")

    # And panic closes it
    panicked = run("panic", "--yes", "--json")
    assert panicked.document == {"trios": [placed.document["trio"]]}
    ended = run("show_trio", str(placed.document["trio"]), "--wait", "20", "--json")
    assert (ended.code, ended.document["result"]) == (0, "PANIC")
    assert "nothing to close" in run("panic", "--yes").out


def test_a_refused_stop_rolls_back_and_says_why(world: World) -> None:
    world.refuses("STOP_MARKET", -4003)
    placed = run(*PLACE, *LEVELS, "--wait", "20", "--json")
    assert placed.code == 3, placed
    assert placed.document["state"] == "ROLLED_BACK"
    assert "refused the stop-loss" in placed.document["reason"]
    assert placed.document["filled"] == "0.000"


def test_a_question_to_a_person_ends_the_wait_and_closing_answers_it(world: World) -> None:
    # Given an exchange that takes no take-profit, and a policy to keep the stop
    world.refuses("TAKE_PROFIT_MARKET", -4003)
    keep = ("--protection", "ON_FIRST_FILL", "--target-policy", "KEEP_STOP")

    placed = run(*PLACE, *LEVELS, *keep, "--wait", "20", "--json")
    assert placed.code == 5, placed
    assert placed.document["state"] == "OPEN"
    assert "refused the take-profit" in placed.document["question"]
    trio = str(placed.document["trio"])
    assert run("show_trio", trio, "--wait", "20", "--json").code == 5

    # When the person closes it, then the wait is for the end and not for the question
    closed = run("close_trio", trio, "--wait", "20", "--json")
    assert (closed.code, closed.document["result"], closed.document["question"]) == (0, "MANUAL", None)


def test_a_wait_that_is_over_says_still_under_way(unwatched: World) -> None:
    # Given a runworker that beats but watches nothing yet
    Heartbeat.objects.create(process="slow", beat=db_now(), started_at=db_now())
    placed = run(*PLACE, *LEVELS, "--wait", "0.3", "--json")
    assert (placed.code, placed.document["state"]) == (4, "QUEUED")

    # And the slot is taken meanwhile
    second = run(*PLACE, *LEVELS, "--json")
    assert second.code == 2
    assert f"taken by trio {placed.document['trio']}" in second.document["error"]
    assert TrioOrder.objects.count() == 1


@pytest.mark.usefixtures("unwatched")
def test_without_a_runworker_nothing_is_placed_and_no_row_is_kept() -> None:
    refused = run(*PLACE, *LEVELS, "--json")
    assert refused.code == 2
    assert "No runworker is alive" in refused.document["error"]
    assert not TrioOrder.objects.exists()


@pytest.mark.usefixtures("unwatched")
def test_bad_input_is_one_sentence_and_leaves_nothing() -> None:
    Heartbeat.objects.create(process="alive", beat=db_now(), started_at=db_now())
    wrong = {
        ("--account", "nobody"): "There is no account named “nobody”. There are “desk”.",
        ("--symbol", "NOPEUSDT"): "NOPEUSDT is not a symbol of PAPER",
        ("--side", "UP"): "choose one of BUY, SELL",
        ("--quantity", "abc"): "“abc” is not a valid quantity",
        ("--quantity", "NaN"): "“NaN” is not a valid quantity",
        ("--quantity", "-0.01"): "greater than zero",
        ("--quantity", "0.0105"): "not a whole number of steps of 0.001",
        ("--quantity", "0.0004"): "not a whole number of steps of 0.001",
        ("--quantity", "0.001", "--entry", "LIMIT", "--price", "96000"): "at least 0.002",
        ("--quantity", "1e5"): "above",
        ("--stop-loss", "95000.05"): "not a whole number of ticks of 0.1",
        ("--stop-loss", "101000"): "wrong side",
        ("--stop-loss", "100000"): "exactly on the mark price",
        ("--take-profit", "99000"): "wrong side",
        ("--entry", "TAKE_PROFIT"): "choose one of MARKET, LIMIT, STOP_MARKET, STOP",
        ("--entry", "STOP_MARKET"): "A STOP_MARKET entry needs a trigger price",
        ("--entry", "STOP", "--trigger", "101000"): "A STOP entry needs a price",
        ("--trigger", "101000"): "A MARKET entry takes no trigger price",
        ("--entry", "STOP_MARKET", "--trigger", "99000"): "100000.1 is the nearest valid trigger price",
        ("--entry", "STOP_MARKET", "--trigger", "101000", "--time-in-force", "GTC"): "choose --entry STOP.",
        ("--entry", "LIMIT"): "A LIMIT entry needs a price",
        ("--price", "99000"): "A MARKET entry takes no price",
        ("--time-in-force", "GTC"): "takes no time in force",
        ("--position-side", "LONG"): "one-way mode",
        ("--protection", "NONE"): "choose one of PRE_ARMED, ON_FIRST_FILL",
        ("--good-till", "tomorrow"): "is not a valid time",
        ("--good-till", "2020-01-01T00:00:00Z"): "has passed already",
    }
    for words, sentence in wrong.items():
        refused = run(*PLACE, *LEVELS, *words, "--json")
        assert refused.code == 2, words
        assert list(refused.document) == ["error"], words
        assert sentence in refused.document["error"], words
    assert not TrioOrder.objects.exists()


def test_an_unreachable_exchange_is_one_sentence_and_leaves_nothing(unwatched: World, settings: Any) -> None:
    Heartbeat.objects.create(process="alive", beat=db_now(), started_at=db_now())
    settings.BINANCE_URLS = settings.BINANCE_URLS | {
        "PAPER": Endpoints(rest="http://127.0.0.1:1", stream="ws://127.0.0.1:1", sapi="")
    }
    refused = run(*PLACE, *LEVELS, "--json")
    assert refused.code == 2
    assert "could not be asked" in refused.document["error"]
    assert not TrioOrder.objects.exists()


@pytest.fixture
def mute() -> Iterator[int]:
    """Give the port of a server that accepts and says nothing, as a stopped one does."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield silent.getsockname()[1]


def test_an_exchange_that_says_nothing_is_not_waited_for(unwatched: World, settings: Any, mute: int) -> None:
    Heartbeat.objects.create(process="alive", beat=db_now(), started_at=db_now())
    url = f"http://127.0.0.1:{mute}"
    settings.BINANCE_URLS = settings.BINANCE_URLS | {"PAPER": Endpoints(url, f"ws://127.0.0.1:{mute}", url)}

    began = time.monotonic()
    refused = run(*PLACE, *LEVELS, "--json")

    assert time.monotonic() - began < 3
    assert refused.code == 2
    assert "The exchange" in refused.document["error"]
    assert refused.document["error"].endswith("Nothing was placed.")
    assert not TrioOrder.objects.exists()


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("orders.risk_gates.worker_alive", "Nothing was placed."),
        ("orders.cli.commands.trio_queue", "was placed is not known: “manage.py show_trio "),
        ("orders.cli.commands.trio_document", " is queued: it is placed once that is back"),
    ],
    ids=["before", "meanwhile", "after"],
)
def test_a_database_that_falls_silent_leaves_no_doubt_about_what_was_placed(
    monkeypatch: pytest.MonkeyPatch, broken: str, said: str
) -> None:
    def silent(*_: object, **__: object) -> None:
        raise OperationalError("PostgreSQL accepts connections but says nothing")

    monkeypatch.setattr(broken, silent)

    refused = run(*PLACE, *LEVELS, *LIMIT, "--json")

    assert refused.code == 2
    assert refused.document["error"].startswith(
        "The database (PostgreSQL) does not answer: PostgreSQL accepts"
    )
    assert said in refused.document["error"]
    monkeypatch.undo()
    placed = TrioOrder.objects.exclude(state="DRAFT").exists()
    assert placed == ("queued" in said)


@pytest.mark.parametrize("verb", ["cancel_trio", "close_trio", "show_trio"])
def test_a_trio_that_does_not_exist_is_refused(verb: str) -> None:
    refused = run(verb, "9223372036854775807", "--json")
    assert refused.code == 2
    assert "There is no trio 9223372036854775807" in refused.document["error"]
    assert run(verb, "7").err.startswith("There is no trio 7.")


def test_a_script_moves_a_stop_and_is_told_why_a_target_stays(world: World) -> None:
    trio = str(run(*PLACE, *LEVELS, "--wait", "20", "--json").document["trio"])

    moved = run("move_stop", trio, "96000", "--wait", "20", "--json")
    assert moved.code == 0, moved
    (move,) = moved.document["moves"]
    assert (move["role"], move["before"], move["level"], move["end"]) == (
        "STOP_LOSS",
        "95000.0",
        "96000.0",
        "DONE",
    )
    stops = [
        leg for leg in moved.document["legs"] if leg["role"] == "STOP_LOSS" and leg["state"] == "ACCEPTED"
    ]
    assert [leg["trigger_price"] for leg in stops] == ["96000.0"]

    world.refuses("TAKE_PROFIT_MARKET", -2010)
    refused = run("move_target", trio, "111000", "--wait", "20")
    assert refused.code == 3, refused
    assert "Take-profit stays at 110000, not moved to 111000; the exchange refused it" in refused.out

    # A level beyond the price is refused at once where the price is known, and under the lock where it is not.
    beyond = run("move_stop", trio, "100500", "--wait", "20", "--json")
    assert beyond.code in (2, 3), beyond
    assert "nearest valid level" in json.dumps(beyond.document), beyond
    assert "not a valid stop-loss price" in run("move_stop", trio, "many", "--json").document["error"]
    assert run("move_stop", "999999", "96000", "--json").code == 2


def test_a_script_places_a_ladder_and_reads_its_rungs(world: World) -> None:
    rungs = ["--rung", "99000:60", "--rung", "98000:40"]
    placed = run(*PLACE, *LEVELS, *rungs, "--wait", "20", "--json")
    assert (placed.code, placed.document["state"]) == (0, "WORKING"), placed
    assert [(r["price"], r["share"], r["quantity"], r["state"]) for r in placed.document["rungs"]] == [
        ("99000.0", "60", "0.006", "ACCEPTED"),
        ("98000.0", "40", "0.004", "ACCEPTED"),
    ]
    trio = str(placed.document["trio"])
    assert "in 2 rungs from 99000.0 to 98000.0" in run("show_trio", trio).out
    cancelled = run("cancel_trio", trio, "--wait", "20", "--json")
    assert [rung["state"] for rung in cancelled.document["rungs"]] == ["CANCELLED", "CANCELLED"], cancelled

    # What is no ladder is refused with what would be one, and leaves nothing behind.
    refused = run(*PLACE, *LEVELS, "--rung", "99000:60", "--rung", "98000:30", "--json")
    assert refused.code == 2
    assert "the last at 40 %" in refused.document["error"]


def test_a_script_takes_a_part_off_adds_and_sets_targets(world: World) -> None:
    parts = ["--part-targets", "104000:50", "--follow", "BREAK_EVEN"]
    placed = run(*PLACE, *LEVELS, *parts, "--wait", "20", "--json")
    trio = str(placed.document["trio"])
    assert [target["share"] for target in placed.document["targets"]] == ["50", "50"]

    closed = run("close_part", trio, "--percent", "50", "--wait", "20", "--json")
    assert closed.code == 0, closed
    (change,) = closed.document["size_changes"]
    assert (change["kind"], change["end"], change["filled"]) == ("PART_CLOSE", "DONE", change["quantity"])

    added = run("add", trio, "--quantity", "0.002", "--wait", "20", "--json")
    assert added.code == 0, added
    assert [change["kind"] for change in added.document["size_changes"]] == ["PART_CLOSE", "ADD"]

    changed = run("set_targets", trio, "105000:25", "--follow", "NONE", "--wait", "20", "--json")
    assert changed.code == 0, changed
    assert [(t["level"], t["share"]) for t in changed.document["targets"]] == [
        ("105000.0", "25"),
        ("110000.0", "75"),
    ]

    assert "less than 100" in run("close_part", trio, "--percent", "100", "--json").document["error"]
    assert "is not a part target" in run("set_targets", trio, "many", "--json").document["error"]
    assert (
        "not a valid way to follow"
        in run("set_targets", trio, "none", "--follow", "X", "--json").document["error"]
    )
    assert run("add", "999999", "--quantity", "1", "--json").code == 2


def test_a_script_has_a_stop_follow_the_price_and_break_even_wait(world: World) -> None:
    trio = str(run(*PLACE, *LEVELS, "--wait", "20", "--json").document["trio"])

    followed = run("trail", trio, "--distance", "2000", "--activation", "109000", "--step", "50", "--json")
    assert followed.code == 0, followed
    trail = followed.document["trail"]
    terms = ("distance", "percent", "by", "activation", "step", "best", "end")
    assert [trail[name] for name in terms] == ["2000", None, "mark", "109000.0", "50.0", None, None]
    assert "follows the price, by us" in run("show_trio", trio).out
    assert trail["let_run"] is False
    runs = run("trail", trio, "--distance", "2000", "--activation", "109000", "--let-run", "--json")
    assert runs.document["trail"]["let_run"] is True
    again = run("trail", trio, "--percent", "1.5", "--by", "last", "--json").document["trail"]
    assert [again[name] for name in terms[:3]] == [None, "1.5", "last"]

    waiting = run("break_even", trio, "--at-r", "1", "--offset", "2", "--json").document["break_even"]
    assert (waiting["at_r"], waiting["offset_ticks"], waiting["end"]) == ("1", 2, None)
    assert run("break_even", trio, "--off", "--json").document["break_even"]["end"] == "OFF"
    assert run("trail_off", trio, "--json").document["trail"]["end"] == "OFF"

    own = run("trail", trio, "--percent", "1", "--exchange", "--json").document["trail"]
    assert (own["by_exchange"], own["percent"], own["end"]) == (True, "1", None)
    assert "The exchange's own trailing order follows the price" in run("show_trio", trio).out
    assert run("trail_off", trio, "--json").document["trail"]["end"] == "OFF"

    for refused, said in (
        (("trail", trio, "--distance", "0.01"), "0.1 is the nearest valid distance"),
        (("trail", trio, "--distance", "2000", "--percent", "1"), "one of them"),
        (("trail", trio, "--distance", "2000", "--let-run"), "an activation before it"),
        (("trail", trio, "--percent", "25", "--exchange"), "20 % is the nearest valid distance"),
        (("trail", trio, "--distance", "50", "--exchange"), "follows by a percentage"),
        (("trail", trio, "--distance", "13,75"), "not a valid distance"),
        (("trail", trio, "--distance", "5", "--by", "index"), "choose one of"),
        (("trail", trio, "--distance", "5", "--activation", "120000"), "109999.9 is the nearest valid level"),
        (("trail_off", trio), "there is nothing to end"),
        (("break_even", trio, "--off"), "there is nothing to end"),
        (("break_even", trio, "--at-r", "1", "--at-price", "109000"), "exclude each other"),
        (("break_even", trio, "--after-target", "--off"), "exclude each other"),
        (("break_even", trio, "--after-target"), "no part target"),
        (("break_even", trio, "--of", "TRIO", "--at-r", "1"), "--of TRIO is for a stop that moves now"),
    ):
        answer = run(*refused, "--json")
        assert answer.code == 2, answer
        assert said in answer.document["error"], answer


def test_a_script_adopts_what_was_opened_elsewhere(world: World) -> None:
    account = ExchangeAccount.objects.get(name="desk")
    nothing = run("adopt", "desk", "BTCUSDT", "--stop", "2%", "--target", "5%", "--json")
    assert (nothing.code, "nothing to adopt" in nothing.document["error"]) == (2, True)
    exchange, side = exchange_for(account.pk), Side.BUY
    order = NewOrder("web_1", "BTCUSDT", side, OrderType.MARKET, quantity=Decimal("0.010"))
    theirs = NewOrder(
        "web_2",
        "BTCUSDT",
        side.opposite,
        OrderType.STOP_MARKET,
        trigger_price=Decimal("90000"),
        close_position=True,
    )
    for sent in (order, theirs):
        exchange.send(exchange.submit_request(sent), stamp=Stamp(exchange_now_ms("PAPER"), 5000))

    shown = run("adopt", "desk", "BTCUSDT", "--show", "--json").document
    assert (shown["side"], shown["quantity"], shown["foreign"]) == (
        "BUY",
        "0.010",
        [{"client_id": "web_2", "order": "SELL the whole position stop market at 90000, id web_2"}],
    )
    for words, sentence in (
        (("--stop", "2%"), "Say where the take-profit is to be"),
        (("--stop", "two", "--target", "5%"), "write a percentage"),
        (("--stop", "2%", "--target", "5%", "--quantity", "0.02"), "is 0.01 now"),
        (("--stop", "2%", "--target", "5%", "--order", "web_2"), "add --foreign cancel"),
        (("--stop", "2%", "--target", "5%", "--foreign", "keep"), "choose one of LEAVE, CANCEL"),
        (("--stop", "2%", "--target", "5%", "--position-side", "LONG"), "must be BOTH"),
    ):
        refused = run("adopt", "desk", "BTCUSDT", *words, "--json")
        assert (refused.code, sentence in refused.document["error"]) == (2, True), refused
    assert not TrioOrder.objects.exists()

    wanted = ("--stop", "2%", "--target", "5%", "--foreign", "cancel", "--wait", "20", "--json")

    def taken() -> Ran | None:  # refused while the account is being read since its stream connected
        answer = run("adopt", "desk", "BTCUSDT", *wanted)
        return None if answer.code == 2 and "being read for the first time" in answer.out else answer

    adopted: Ran = until(taken, seconds=20)
    assert adopted.code == 0, adopted
    document = adopted.document
    assert (document["state"], document["filled"], document["adopted"]["quantity"]) == (
        "OPEN",
        "0.010",
        "0.01",
    )
    assert [order["end"] for order in document["adopted"]["foreign"]] == ["GONE"]
    assert "what that cost in fees" in run("show_trio", str(document["trio"])).out
    assert run("replay_trio", str(document["trio"]), "--json").document["equal"] is True


def test_a_script_reverses_a_trio_and_makes_a_draft_of_one(world: World) -> None:
    first = str(run(*PLACE, *LEVELS, "--wait", "20", "--json").document["trio"])
    wrong = run("reverse", first, "--stop", "95000", "--target", "90000", "--json")
    assert (wrong.code, "wrong side" in wrong.document["error"]) == (2, True), wrong

    done = run("reverse", first, "--stop", "105000", "--target", "90000", "--wait", "30", "--json")
    assert done.code == 0, done
    assert (done.document["state"], done.document["reverses"]) == ("OPEN", int(first))
    closed = run("show_trio", first, "--json").document
    assert (closed["state"], closed["result"]) == ("CLOSED", "MANUAL")
    assert (closed["reversal"]["end"], closed["reversal"]["trio"]) == ("QUEUED", done.document["trio"])
    assert run("reverse", first, "--stop", "105000", "--target", "90000").code == 2

    again = run("place_again", first, "--json").document
    draft = TrioOrder.objects.get(pk=again["trio"])
    assert (again["state"], draft.side, draft.stop_loss, draft.take_profit) == (
        "DRAFT",
        "BUY",
        Decimal(95000),
        Decimal(110000),
    )
    assert run("place_again", str(draft.pk)).code == 2


def test_panic_leaves_nothing_that_would_follow(world: World) -> None:
    first = run(*PLACE, *LEVELS, "--wait", "20", "--json").document["trio"]
    trio = TrioOrder.objects.get(pk=first)
    wish = Reversal.objects.create(
        trio=trio, quantity=trio.quantity, stop_loss=Decimal(105000), take_profit=Decimal(90000), wanted_at=db_now(), wanted_by="test",
        place_before=db_now() + timedelta(seconds=60),
    )  # fmt: skip
    assert run("panic", "--yes", "--json").code == 0
    wish.refresh_from_db()
    assert (wish.end, wish.successor) == ("DROPPED", None)


def test_change_entry_changes_an_entry_that_rests(world: World) -> None:
    placed = run(*PLACE, *LEVELS, "--entry", "LIMIT", "--price", "99000", "--wait", "20", "--json")
    assert placed.code == 0, placed
    trio = str(placed.document["trio"])

    changed = run("change_entry", trio, "--price", "99100", "--quantity", "0.011", "--wait", "20", "--json")
    assert changed.code == 0, changed
    (change,) = changed.document["changes"]
    shown = {name: change[name] for name in ("quantity_before", "quantity", "price_before", "price", "end")}
    assert shown == {
        "quantity_before": "0.010",
        "quantity": "0.011",
        "price_before": "99000.0",
        "price": "99100.0",
        "end": "DONE",
    }
    (entry,) = [leg for leg in changed.document["legs"] if leg["role"] == "ENTRY"]
    assert (entry["price"], entry["quantity"]) == ("99100.0", "0.011")

    assert run("change_entry", trio, "--price", "99100", "--json").code == 2
    assert "not a valid time" in run("change_entry", trio, "--good-till", "soon", "--json").document["error"]
    assert run("change_entry", trio, "--good-till", "2099-01-31T12:00:00Z", "--json").code == 0
    refused = run("change_entry", trio, "--price", "94000", "--json")
    assert "on the wrong side" in refused.document["error"]


def test_panic_without_anybody_to_ask_closes_nothing(
    unwatched: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    Heartbeat.objects.create(process="alive", beat=db_now(), started_at=db_now())
    assert run(*PLACE, *LEVELS).code == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    refused = run("panic", "--json")
    assert refused.code == 2
    assert "add --yes" in refused.document["error"]
    assert TrioOrder.objects.get().panic_wanted_at is None


def manage(*words: str, **environment: str) -> Ran:
    """Run ``manage.py`` as a process of its own, on the database under test unless told otherwise."""
    at = connection.settings_dict
    known = {"DATABASE_URL": f"postgresql://{at['USER']}@/{at['HOST']}/{at['NAME']}", "DEBUG": "true"}
    ran = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=CHECKOUT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "backoffice.settings"} | known | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def test_a_real_process_keeps_the_contract_whatever_is_wrong() -> None:
    unknown = manage("show_trio", "7", "--json")
    assert (unknown.code, unknown.document) == (
        2,
        {"error": "There is no trio 7. The admin lists them all under “Trio orders”."},
    )

    # Options that are wrong are bad input like any other
    missing = manage(*PLACE, "--json")
    assert missing.code == 2
    assert "--stop-loss" in missing.document["error"]
    impatient = manage("show_trio", "7", "--wait", "soon", "--json")
    assert impatient.code == 2
    assert "is not a valid time to wait" in impatient.document["error"]

    # And so is a database that is not there
    nowhere = manage("close_trio", "7", "--json", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert nowhere.code == 2
    assert nowhere.document["error"].startswith("The database (PostgreSQL) does not answer")
    for ran in (unknown, missing, impatient, nowhere):
        assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    "command",
    ["place_trio", "cancel_trio", "close_trio", "show_trio", "panic", "adopt_install", "smoke_order"],
)
def test_every_command_teaches_with_an_example(command: str) -> None:
    helped = manage(command, "--help")
    assert helped.code == 0
    assert f"Example: manage.py {command}" in " ".join(helped.out.split())


@pytest.mark.usefixtures("world")
def test_a_command_names_the_person_and_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given somebody who says to be somebody else
    monkeypatch.setenv("LOGNAME", "nobody-i-know")
    monkeypatch.setenv("USER", "nobody-i-know")
    person = f"{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"

    # When a trio is placed, cancelled, closed and panicked by commands
    trio = str(run(*PLACE, *LEVELS, "--wait", "20", "--json").document["trio"])
    run("cancel_trio", trio)
    run("close_trio", trio)
    run("panic", "--yes")

    # Then each says who that was
    by = dict(TrioEvent.objects.filter(trio_id=int(trio), kind="wish").values_list("data__verb", "data__by"))
    assert by["Close"] == by["Cancel"] == person
    assert TrioEvent.objects.filter(trio_id=int(trio), kind="state", data__by=person).count() == 1
    assert "Close at market asked for" in wishes(TrioOrder.objects.get(pk=trio))[1]
    assert wishes(TrioOrder.objects.get(pk=trio))[1].endswith(f"by {person}")


@pytest.mark.parametrize("verb", [("close_trio",), ("cancel_trio",), ("panic", "--yes")])
@pytest.mark.usefixtures("world")
def test_a_verb_on_a_restored_copy_is_refused(verb: tuple[str, ...]) -> None:
    # Given a trio in a database that was restored from another server and not adopted
    placed = run(*PLACE, *LEVELS, "--wait", "20", "--json")
    trio = TrioOrder.objects.get(pk=placed.document["trio"])
    Install.objects.update(system_identifier="another server")

    # When it is to be closed, then nothing is requested, and the refusal says what to do
    name, *options = verb
    done = run(name, *([] if name == "panic" else [str(trio.pk)]), *options, "--json")
    assert done.code == 2
    assert "adopt_install" in done.document["error"]
    trio.refresh_from_db()
    assert (trio.close_wanted_at, trio.cancel_wanted_at, trio.panic_wanted_at) == (None, None, None)


def test_a_stop_entry_waits_fills_and_is_shown(world: World) -> None:
    placed = run(*PLACE, *LEVELS, "--entry", "STOP_MARKET", "--trigger", "101000", "--wait", "20", "--json")
    assert (placed.code, placed.document["state"]) == (0, "WORKING"), placed
    trio = str(placed.document["trio"])
    (entry,) = [leg for leg in placed.document["legs"] if leg["role"] == "ENTRY"]
    assert (entry["state"], entry["trigger_price"], entry["price"]) == ("ACCEPTED", "101000.0", None)
    (row,) = run("list_trios", "--json").document["trios"]
    assert (row["entry_type"], row["trigger_price"], row["price"]) == ("STOP_MARKET", "101000.0", None)
    assert "stop at market, trigger 101000.0" in run("show_trio", trio).out
    assert (
        "changes no order that waits" in run("change_entry", trio, "--price", "1", "--json").document["error"]
    )

    again = run("place_again", trio, "--json")
    assert TrioOrder.objects.get(pk=again.document["trio"]).trigger_price == Decimal("101000")

    assert run("cancel_trio", trio, "--wait", "20", "--json").document["state"] == "CANCELLED"


def test_chase_follows_with_an_entry_that_rests(world: World) -> None:
    placed = run(*PLACE, *LEVELS, "--entry", "LIMIT", "--price", "99000", "--wait", "20", "--json")
    trio = str(placed.document["trio"])

    chased = run("chase", trio, "--bound", "99500", "--distance", "100", "--json")
    assert chased.code == 0, chased
    shown = {name: chased.document["chase"][name] for name in ("bound", "distance", "step", "end")}
    assert shown == {"bound": "99500.0", "distance": "100.0", "step": "0.1", "end": None}
    assert "Its entry follows the price, by us" in run("show_trio", trio).out
    ended = run("chase_off", trio, "--json")
    assert ended.document["chase"]["end"] == "OFF"
    for words, sentence in {
        ("chase", trio, "--bound", "98000"): "99000.1 is the nearest",
        ("chase", trio, "--bound", "abc"): "is not a valid bound",
        ("chase_off", trio): "there is nothing to end",
    }.items():
        refused = run(*words, "--json")
        assert refused.code == 2, words
        assert sentence in refused.document["error"], refused
