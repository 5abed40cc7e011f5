"""The simulator as a process: command line, sockets, saved state, kill -9."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
import requests
from requests.adapters import HTTPAdapter

from simulator.cli import main
from simulator.faults.language import EVENT_ACTIONS, REQUEST_ACTIONS
from tests.unit.simulator.process import ROOT, Venue
from tests.unit.simulator.random_client import FAULTS, run_in_process, trade
from tests.unit.simulator.support import KEY, SECRET, START_MS, Refused

ACCOUNT = f"desk:{KEY}:{SECRET}:10000"
HAND = ("--prices", "hand", "--account", ACCOUNT)
PROD = (*HAND, "--profile", "prod")
T = TypeVar("T")


def run_cli(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "simulator", *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30, check=False)


def run(story: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop in a thread of its own: a browser test may have left one running in ours."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, story).result()


@pytest.fixture
def venue() -> Iterator[Venue]:
    venue = Venue(*HAND)
    venue.sim("POST", "price", {"symbol": "BTCUSDT", "price": "63000"})
    yield venue
    venue.end()


@pytest.fixture
def prod() -> Iterator[Venue]:
    venue = Venue(*PROD)
    venue.sim("POST", "price", {"symbol": "BTCUSDT", "price": "63000"})
    yield venue
    venue.end()


async def listen(url: str, *paths: str, act: Any, wanted: int) -> list[list[dict[str, Any]]]:
    """Open sockets, act, and return the messages of each: ``wanted`` of the first, and what the others got meanwhile."""
    async with aiohttp.ClientSession() as session:
        sockets = [await session.ws_connect(url + path) for path in paths]
        await asyncio.get_running_loop().run_in_executor(None, act)
        heard: list[list[dict[str, Any]]] = [[] for _ in sockets]
        while len(heard[0]) < wanted:
            heard[0].append(json.loads((await asyncio.wait_for(sockets[0].receive(), 10)).data))
        # A ping answered on each socket proves that nothing else was on its way before it.
        for socket, messages in zip(sockets[1:], heard[1:], strict=True):
            await socket.send_str('{"method": "LIST_SUBSCRIPTIONS", "id": 77}')
            while True:
                message = json.loads((await asyncio.wait_for(socket.receive(), 10)).data)
                if message.get("id") == 77:
                    break
                messages.append(message)
        for socket in sockets:
            await socket.close()
        return heard


def test_user_events_come_on_private_with_the_right_key_and_nowhere_else(prod: Venue) -> None:
    venue = prod
    key = venue.session.post(f"{venue.url}/fapi/v1/listenKey").json()["listenKey"]

    def act() -> None:
        venue.ask("POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.010")

    heard = run(
        listen(
            venue.url,
            f"/private/ws/{key}",
            f"/private/ws?listenKey={key}&events=ORDER_TRADE_UPDATE/ALGO_UPDATE",
            f"/private/stream?listenKey={key}&events=ACCOUNT_UPDATE",
            "/private/ws/" + "0" * 64,
            f"/ws/{key}",
            f"/market/ws/{key}",
            act=act,
            wanted=4,
        )
    )
    names = [[event.get("e") or event["data"]["e"] for event in events] for events in heard]
    assert names == [
        ["ORDER_TRADE_UPDATE", "TRADE_LITE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"],
        ["ORDER_TRADE_UPDATE", "ORDER_TRADE_UPDATE"],
        ["ACCOUNT_UPDATE"],
        [],
        [],
        [],
    ]
    assert set(heard[2][0]) == {"stream", "data"}


def test_demo_also_serves_sockets_without_a_route(venue: Venue) -> None:
    key = venue.session.post(f"{venue.url}/fapi/v1/listenKey").json()["listenKey"]

    def act() -> None:
        venue.ask("POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.010")

    paths = (f"/ws/{key}", "/stream?streams=btcusdt@aggTrade", "/ws/" + "0" * 64, f"/market/ws/{key}")
    heard = run(listen(venue.url, *paths, act=act, wanted=4))
    assert [event["e"] for event in heard[0]][-1] == "ORDER_TRADE_UPDATE"
    assert [event["data"]["e"] for event in heard[1]] == ["aggTrade"]
    assert heard[2:] == [[], []]


def test_no_connection_lasts_longer_than_a_day() -> None:
    venue = Venue(*HAND, "--clock", "1790000000000")

    async def a_day_and_a_bit() -> list[bool]:
        async with aiohttp.ClientSession() as session:
            socket = await session.ws_connect(venue.url + "/public/ws/btcusdt@bookTicker")
            closed = []
            for ms in (86_399_999, 1):
                await asyncio.to_thread(venue.sim, "POST", "clock", {"forward": ms})
                try:
                    message = await asyncio.wait_for(socket.receive(), 10 if ms == 1 else 0.3)
                    closed.append(message.type is aiohttp.WSMsgType.CLOSE or socket.closed)
                except TimeoutError:
                    closed.append(False)
            return closed

    try:
        assert run(a_day_and_a_bit()) == [False, True]
    finally:
        venue.end()


def test_market_streams_follow_the_routes(prod: Venue) -> None:
    def act() -> None:
        prod.sim("POST", "price", {"symbol": "BTCUSDT", "price": "63100"})

    heard = run(
        listen(
            prod.url,
            "/market/stream?streams=btcusdt@aggTrade/btcusdt@bookTicker",
            "/public/ws/btcusdt@bookTicker",
            "/ws/btcusdt@bookTicker",
            "/ws/btcusdt@aggTrade",
            "/market/ws/BTCUSDT@aggTrade",
            act=act,
            wanted=1,
        )
    )
    assert heard[0][0]["data"]["e"] == "aggTrade"
    assert heard[0][0]["data"]["p"] == "63100.0"
    assert [events[0]["e"] for events in heard[1:3]] == ["bookTicker", "bookTicker"]
    assert heard[3:] == [[], []]  # no route; not in lower case


def test_what_was_answered_survives_kill_minus_nine(tmp_path: Path) -> None:
    # Given a venue with a position, a stop, a resting order, settings and a log
    state = ("--state", str(tmp_path / "state"))
    venue = Venue(*HAND, *state)
    try:
        venue.sim("POST", "price", {"symbol": "BTCUSDT", "price": "63000"})
        venue.sim("POST", "accounts", {"name": "late", "api_key": "latekey", "api_secret": "latesecret"})
        venue.ask("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage="7")
        venue.ask("POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.010",
                  newClientOrderId="ab12-1-e0")  # fmt: skip
        venue.ask("POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC",
                  quantity="0.010", price="60000", newClientOrderId="rests")  # fmt: skip
        venue.ask("POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", symbol="BTCUSDT", side="SELL",
                  type="STOP_MARKET", triggerPrice="62000", closePosition="true", clientAlgoId="ab12-1-s0")  # fmt: skip
        key = venue.session.post(f"{venue.url}/fapi/v1/listenKey").json()["listenKey"]
        before = {path: venue.ask("GET", path) for path in (
            "/fapi/v3/positionRisk", "/fapi/v1/openOrders", "/fapi/v1/openAlgoOrders", "/fapi/v1/income")}  # fmt: skip

        # When it is killed twice, the second time with a torn last line
        venue.kill()
        with (tmp_path / "state" / "journal.jsonl").open("ab") as journal:
            journal.write(b'{"n": {"order": 9')
        venue = Venue("--prices", "hand", *state)
        venue.kill()
        venue = Venue("--prices", "hand", *state)

        # Then it knows everything it ever answered
        for path, answer in before.items():
            assert venue.ask("GET", path) == answer
        assert venue.ask("GET", "/fapi/v1/symbolConfig", symbol="BTCUSDT")[0]["leverage"] == 7
        assert venue.session.post(f"{venue.url}/fapi/v1/listenKey").json()["listenKey"] == key
        assert len(venue.ask("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")) == 1
        assert [e["client_id"] for e in venue.sim("GET", "log") if e["effect"] == "executed" and e["client_id"]] == [
            "ab12-1-e0", "rests", "ab12-1-s0",
        ]  # fmt: skip
        (interval,) = venue.sim("GET", "verdict")["uncovered"]
        assert interval["end"] is not None

        # and what rested goes on: the stop triggers, ids go on counting
        venue.sim("POST", "price", {"symbol": "BTCUSDT", "price": "61000"})
        assert venue.ask("GET", "/fapi/v3/positionRisk") != before["/fapi/v3/positionRisk"]
        assert venue.ask("GET", "/fapi/v1/algoOrder", clientAlgoId="ab12-1-s0")["algoStatus"] == "FINISHED"
        trades = venue.ask("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")
        assert trades[1]["id"] > trades[0]["id"]
    finally:
        venue.end()


def test_killed_in_the_middle_of_anything_it_has_lost_no_answer(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"))
    answered: list[str] = []
    for round_ in range(3):
        venue = Venue(*HAND, "--switch", "enforce_rates=false", *state)
        for number in range(40):
            name = f"r{round_}-{number}"
            venue.ask("POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC",
                      quantity="0.002", price="60000", newClientOrderId=name)  # fmt: skip
            answered.append(name)
        venue.kill()
    venue = Venue(*HAND, *state)
    try:
        assert [o["clientOrderId"] for o in venue.ask("GET", "/fapi/v1/openOrders")] == answered
    finally:
        venue.end()


def test_two_simulators_do_not_share_a_state(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path))
    venue = Venue("--prices", "hand", *state)
    try:
        with pytest.raises(RuntimeError, match="Another simulator is using"):
            Venue("--prices", "hand", *state)
    finally:
        assert venue.end() == 0


def test_connections_are_cut_and_late_orders_executed_late(venue: Venue) -> None:
    order: dict[str, Any] = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
                             "quantity": "0.010", "price": "60000"}  # fmt: skip
    venue.sim("POST", "faults", [
        {"match": {"method": "POST", "client_id": "^cut"}, "then": {"do": "lose_answer"}},
        {"match": {"method": "POST", "client_id": "^never"}, "then": {"do": "lose_before"}},
        {"match": {"method": "POST", "client_id": "^late"}, "then": {"do": "execute_late", "ms": 300}},
    ])  # fmt: skip
    for name in ("cut", "never"):
        with pytest.raises(requests.exceptions.ConnectionError):
            venue.ask("POST", "/fapi/v1/order", **order, newClientOrderId=name)
    late = venue.signed("/fapi/v1/order", **order, newClientOrderId="late")
    with suppress(requests.exceptions.ReadTimeout):
        venue.session.post(late, timeout=0.05)
    assert venue.ask("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="cut")["status"] == "NEW"
    deadline = time.monotonic() + 10
    names: set[str] = set()
    while "late" not in names and time.monotonic() < deadline:  # it comes in its own time
        names = {o["clientOrderId"] for o in venue.ask("GET", "/fapi/v1/openOrders", symbol="BTCUSDT")}
    assert names == {"cut", "late"}
    assert [f["fired"] for f in venue.sim("GET", "faults")] == [1, 1, 1]
    venue.sim("DELETE", "faults")
    assert venue.sim("GET", "faults") == []


def test_control_mistakes_get_a_sentence(venue: Venue) -> None:
    for method, path, body, sentence in (
        ("POST", "price", {"symbol": "BTCUSDT"}, "price is missing."),
        ("POST", "price", {"symbol": "NOPE", "price": "1"}, "There is no symbol 'NOPE'."),
        ("POST", "price", {"symbol": "BTCUSDT", "price": "abc"}, "That is not a number."),
        ("POST", "price", [1], "The body is a JSON object."),
        ("POST", "market", {"mode": "fly"}, "mode is run, pause or step."),
        ("POST", "faults", {"then": {"do": "explode"}}, "There is no fault 'explode'."),
        ("POST", "clock", {"forward": 1}, "The clock runs by itself"),
        ("GET", "events", None, "Say which account"),
        ("GET", "log?since=yesterday", None, "since is a whole number, not 'yesterday'."),
        ("POST", "market", {"mode": "step", "ms": 1.5}, "ms is a whole number, not '1.5'."),
        ("POST", "price", {"symbol": "BTCUSDT", "price": "1E+999999"}, "price has at most 15 digits"),
        (
            "POST",
            "price",
            {"symbol": "BTCUSDT", "price": "1", "mark": "1E-999999"},
            "mark has at most 15 digits",
        ),
        ("POST", "price", {"symbol": "BTCUSDT", "price": "1" * 5000}, "price has at most 15 digits"),
        ("POST", "market", {"mode": "step", "ms": 10**18}, "ms is a whole number"),
        (
            "POST",
            "market",
            {"mode": "step", "ms": 10**17},
            "ms is a whole number of milliseconds between 0 and one day",
        ),
        (
            "POST",
            "market",
            {"mode": "step", "ms": -1},
            "ms is a whole number of milliseconds between 0 and one day",
        ),
        ("POST", "market", {"speed": "1E+999999"}, "speed is a number"),
        (
            "POST",
            "liquidity",
            {"symbol": "BTCUSDT", "quantity_per_level": "1E+99"},
            "quantity_per_level has at most",
        ),
        (
            "POST",
            "liquidity",
            {"symbol": "BTCUSDT", "quantity_per_level": "1", "levels": 10**9},
            "levels is a whole",
        ),
        (
            "POST",
            "accounts",
            {"name": "y", "api_key": "k", "api_secret": "s", "balance": "1E+999999"},
            "balance has",
        ),
        ("POST", "faults", {"then": {"do": "delay", "ms": 10**18}}, "ms is a whole number between 0 and"),
        ("POST", "faults", {"then": {"do": "answer", "status": 7}}, "status is a whole number between 100"),
        ("POST", "ban", {"seconds": 10**17}, "seconds is a whole number between 0 and three days"),
    ):
        status, answer = venue.control(method, path, body)
        assert (status, sentence in answer["error"]) == (400, True), (path, body, status, answer)
        assert venue.session.get(f"{venue.url}/fapi/v1/premiumIndex", timeout=20).status_code == 200
    assert venue.sim("POST", "accounts", {"name": "x", "api_key": KEY, "api_secret": "other"})["error"]
    assert venue.session.post(f"{venue.url}/sim/price", data="{nonsense").status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Host": "evil.example:8787", "Origin": "http://evil.example:8787"},
        {"Host": "127.0.0.1.evil.example"},
    ],
)
def test_the_control_door_is_for_this_machine_alone(venue: Venue, headers: dict[str, str]) -> None:
    body = {"symbol": "BTCUSDT", "price": "12345"}
    answer = venue.session.post(f"{venue.url}/sim/price", json=body, headers=headers)
    assert answer.status_code == 403
    assert "The control door" in answer.json()["error"]
    assert venue.session.get(f"{venue.url}/sim/state", headers=headers).status_code == 403
    own = venue.session.post(f"{venue.url}/sim/price", json=body, headers={"Origin": venue.url})
    assert own.status_code == 200


def test_what_is_not_http_gets_400_and_one_line_in_the_log(venue: Venue) -> None:
    host, port = venue.url.removeprefix("http://").split(":")
    nonsense = (
        b"GARBAGE\r\n\r\n",
        b"POST /fapi/v1/order HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        b"GET /fapi/v1/time?a=" + b"b" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    for garbage in nonsense:
        with socket.create_connection((host, int(port)), timeout=10) as line:
            line.sendall(garbage)
            assert b" 400 " in line.recv(200)
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(b"POST /fapi/v1/order HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nabc")
    assert venue.now()
    venue.process.terminate()
    _, said = venue.process.communicate(timeout=20)
    assert "Traceback" not in said
    assert said.count("A request was not understood") >= 2


def test_the_page_is_served_and_an_unknown_path_is_404(venue: Venue) -> None:
    page = venue.session.get(venue.url)
    assert page.headers["Content-Type"].startswith("text/html")
    assert "A local Binance" in page.text
    for action in {*REQUEST_ACTIONS, *EVENT_ACTIONS}:
        assert f'do:"{action}"' in page.text, f"no button for {action}"
    assert venue.session.get(f"{venue.url}/fapi/v9/nothing").status_code == 404
    with pytest.raises(Refused, match="-1121"):
        venue.ask("GET", "/fapi/v1/openOrders", symbol="NOPE")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--port", "0", "--host", "0.0.0.0"], "is not a loopback address"),
        (["--port", "99999"], "between 0 and 65535"),
        (["--port", "0", "--account", "onlyname"], "--account takes NAME:KEY:SECRET"),
        (["--port", "0", "--account", "a:b:c:money"], "The balance of account a is not a number."),
        (["--port", "0", "--account", "a:b:c:1:BOTH"], "ONE_WAY or HEDGE"),
        (["--port", "0", "--klines", "nofile"], "--klines takes SYMBOL=FILE"),
        (["--port", "0", "--speed", "fast"], "--speed is a number"),
        (["--port", "0", "--profile", "moon"], "Known: demo, prod."),
        (["--port", "0", "--switch", "nonsense=1"], "no profile switch nonsense"),
        (["--port", "0", "--switch", "child_ids=banana"], "child_ids is same or own, not 'banana'"),
        (["--port", "0", "--switch", "enforce_rates=perhaps"], "enforce_rates is true or false"),
        (["--port", "0", "--switch", "conditional_max=few"], "conditional_max is a whole number"),
        (["--port", "0", "--switch", "trigger_band=wide"], "trigger_band is a share such as 0.05"),
        (["--port", "0", "--exchange-info", "absent.json"], "Cannot read absent.json"),
        (["--port", "0", "--faults", "absent.json"], "Cannot read faults"),
    ],
)
def test_a_mistake_on_the_command_line_gets_one_sentence(
    options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_a_mistake_ends_the_process_with_an_exit_code() -> None:
    done = run_cli("--port", "0", "--host", "0.0.0.0")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_help_shows_examples() -> None:
    help_text = run_cli("--help").stdout
    for word in ("--state", "--account", "examples:", "/private", "kill -9", "/sim/price"):
        assert word in help_text


def test_a_port_in_use_is_reported(venue: Venue) -> None:
    with pytest.raises(RuntimeError, match="cannot listen on"):
        Venue("--prices", "hand", port=int(venue.url.rpartition(":")[2]))


def run_over_http(orders: int, seed: int) -> str:
    venue = Venue("--clock", str(START_MS), "--seed", str(seed), "--prices", "walk",
                  "--account", f"desk:{KEY}:{SECRET}:100000")  # fmt: skip
    try:
        venue.sim("POST", "faults", FAULTS)

        def send(method: str, target: str) -> None:
            try:
                venue.session.request(method, venue.url + target, timeout=0.25 if "POST" in method else 10)
            except requests.exceptions.RequestException:
                return

        def forward(ms: int) -> None:
            venue.sim("POST", "clock", {"forward": ms})

        trade(send, forward, orders=orders, seed=seed)
        return str(venue.sim("GET", "verdict")["log_hash"])
    finally:
        venue.end()


def test_over_http_the_log_is_the_same_as_in_process() -> None:
    assert run_over_http(120, 7) == run_in_process(120, 7)


def test_limits_and_bans_are_set_from_the_control_door_and_addresses_told_apart(venue: Venue) -> None:
    # Given a limit of 30 a minute, and a second address on this machine
    assert venue.sim("POST", "limits", {"weight_per_minute": 30})["weight_per_minute"] == 30
    other = requests.Session()
    other.trust_env = False
    other.mount("http://", FromAddress("127.0.0.2"))

    # When the second is banned
    banned = venue.sim("POST", "ban", {"seconds": 60, "address": "127.0.0.2", "tells": "header"})

    # Then it alone is refused, and the log says which was which
    refused = other.get(f"{venue.url}/fapi/v1/time", timeout=10)
    assert (refused.status_code, refused.headers["Retry-After"]) == (418, "60")
    assert venue.session.get(f"{venue.url}/fapi/v1/time", timeout=10).status_code == 200
    assert [(r["address"], r["status"], r["weight"], r["used"]) for r in venue.sim("GET", "log")] == [
        ("127.0.0.2", 418, 0, 0),
        ("127.0.0.1", 200, 1, 1),
    ]
    assert venue.sim("GET", "limits")["addresses"]["127.0.0.2"]["banned_until"] == banned["until"]
    assert venue.sim("GET", "summary")["count"] == 2
    for wrong in ({"seconds": -1}, {"seconds": 1, "address": "moon"}, {"seconds": 1, "tells": "loud"}, {}):
        assert "error" in venue.sim("POST", "ban", wrong)


def test_answers_and_events_leave_late_but_what_is_asked_is_carried_out_at_once(venue: Venue) -> None:
    # Given a network on which everything takes a quarter of a second to come back
    assert venue.sim("POST", "latency", {"ms": 250}) == {"ms": 250}
    asked = time.monotonic()
    key = venue.session.post(f"{venue.url}/fapi/v1/listenKey").json()["listenKey"]
    assert time.monotonic() - asked >= 0.25

    async def fill() -> list[int]:
        """When the order was carried out, its event was heard and its answer was there."""
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{venue.url}/ws/{key}") as socket:
            await socket.send_str('{"method": "LIST_SUBSCRIPTIONS", "id": 1}')
            await socket.receive()
            values = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
            order = asyncio.create_task(asyncio.to_thread(venue.ask, "POST", "/fapi/v1/order", **values))
            await socket.receive()
            heard = time.time_ns() // 10**6
            await order
            return [venue.sim("GET", "log")[-1]["ms"], heard, time.time_ns() // 10**6]

    # When an order is filled
    executed, heard, answered = run(fill())

    # Then its event and its answer come a quarter of a second after it
    assert heard - executed >= 250
    assert answered - executed >= 250
    assert venue.sim("POST", "latency", {"ms": 0}) == {"ms": 0}
    assert "error" in venue.sim("POST", "latency", {"ms": 60_001})


class FromAddress(HTTPAdapter):
    """Connects from one of this machine's loopback addresses."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, source_address=(self.address, 0), **kwargs)
