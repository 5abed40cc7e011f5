"""The smoke order as an operator runs it: real processes, in a world of its own that starts with nothing."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from local_servers.manager import CHECKOUT
from tests.builders import until

pytestmark = pytest.mark.slow

LINE = shlex.split(
    "smoke_order --symbol BTCUSDT --price 10000 --qty 0.001 --side BUY --type LIMIT --timeInForce GTC"
)
ATTEMPTS = 5


def hear_ctrl_c() -> None:
    """A shell that starts the suite in the background has it ignore SIGINT, and what it starts would, too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Checkout:
    """This installation with a run folder, keys and a simulator port of its own, and nothing running."""

    def __init__(self, run: Path) -> None:
        self.port = free_port()
        self.run = run
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        url = f"127.0.0.1:{self.port}"
        self.environment = kept | {
            "ENV_FILE": "",
            "DEBUG": "true",
            "SECRET_KEY": "tests-only-5e1c9a7f3d2b8064-never-use-elsewhere",
            "CREDENTIALS_MASTER_KEY": "tests-only-9d0b4e7f1a6c5283-never-use-elsewhere",
            "TRIO_RUN_DIR": str(run),
            "BINANCE_PAPER_REST_URL": f"http://{url}",
            "BINANCE_PAPER_STREAM_URL": f"ws://{url}",
            "BINANCE_PAPER_SAPI_URL": f"http://{url}",
        }

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *words],
            cwd=CHECKOUT,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=hear_ctrl_c,
        )

    def manage(self, *words: str, **environment: str) -> tuple[int, str, str]:
        process = self.start("manage.py", *words, **environment)
        out, err = process.communicate(timeout=90)
        assert "Traceback" not in err, err
        return process.returncode, out, err

    def document(self, *words: str, **environment: str) -> tuple[int, dict[str, Any]]:
        code, out, err = self.manage(*words, "--json", **environment)
        assert out, err
        found = json.loads(out)
        assert isinstance(found, dict)
        return code, found

    @property
    def simulator_answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    found = Checkout(tmp_path_factory.mktemp("smoke") / "run")
    yield found
    found.start("-m", "local_servers.manager", "stop").communicate(timeout=60)


def test_the_literal_line_succeeds_with_nothing_there_and_again(checkout: Checkout) -> None:
    for _ in range(2):
        code, out, err = checkout.manage(*LINE)
        assert code == 0, out + err

        # It says that it raised the quantity, what the exchange says, and that nothing is left
        assert "raised to 0.010, the next valid one" in out
        assert "BUY 0.010 BTCUSDT at 10000.0: NEW, 0.000 filled" in out
        assert "BUY 0.010 BTCUSDT at 10000.0: CANCELED, 0.000 filled" in out
        assert "is CANCELLED, nothing filled" in out
        assert not checkout.simulator_answers  # it was there for its own duration


def test_exact_refuses_with_the_smallest_quantity(checkout: Checkout) -> None:
    code, found = checkout.document(*LINE, "--exact")
    assert code == 2
    assert found["smallest"] == "0.010"
    assert "0.010" in found["error"]

    code, found = checkout.document(*LINE, "--exact", "--qty", "0.01")
    assert (code, found["raised"], found["quantity"]) == (0, False, "0.010")


def test_a_market_order_is_closed_at_once(checkout: Checkout) -> None:
    words = shlex.split("smoke_order --symbol BTCUSDT --qty 0.0001 --side SELL --type MARKET")
    code, found = checkout.document(*words)
    assert (code, found["ok"], found["state"], found["result"]) == (0, True, "CLOSED", "MANUAL"), found
    assert found["quantity_asked"] == "0.0001"
    assert found["exchange"]["state"] == "FILLED"
    assert {leg["role"]: leg["filled"] for leg in found["legs"]} == {
        "ENTRY": found["quantity"],
        "EXIT": found["quantity"],
    }


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_whole_trio_lives_and_is_closed(checkout: Checkout, side: str) -> None:
    words = shlex.split(f"smoke_order --symbol BTCUSDT --qty 0.01 --side {side} --type MARKET --trio")
    code, found = checkout.document(*words)
    assert (code, found["state"], found["result"], found["uncovered_ms"]) == (0, "CLOSED", "MANUAL", 0), found
    assert [leg["role"] for leg in found["legs"]] == ["STOP_LOSS", "TAKE_PROFIT", "ENTRY", "EXIT"]
    assert all(leg["state"] in ("FILLED", "CANCELLED") for leg in found["legs"])


def test_bad_input_is_one_sentence(checkout: Checkout) -> None:
    wrong = {
        ("--symbol", "NOPEUSDT"): "NOPEUSDT is not a symbol of PAPER",
        ("--price", "10000.05"): "not a whole number of ticks",
        ("--qty", "lots"): "is not a valid quantity",
        ("--type", "STOP"): "choose one of LIMIT, MARKET",
    }
    for words, sentence in wrong.items():
        code, found = checkout.document(*LINE, *words)
        assert code == 2, found
        assert list(found) == ["error"]
        assert sentence in found["error"]


def interrupted(checkout: Checkout, number: signal.Signals) -> tuple[int, str, str]:
    """Signal a smoke order while its order rests. One that was quicker, and ended well, is drawn again."""
    for _ in range(ATTEMPTS):
        process = checkout.start("manage.py", *LINE, PYTHONUNBUFFERED="1")
        assert process.stdout is not None
        told = ""
        while "→ WORKING" not in told:
            line = process.stdout.readline()
            assert line, told
            told += line
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        if process.returncode != 0:
            return process.returncode, out, err
    raise AssertionError(f"it was quicker {ATTEMPTS} times")


def test_ctrl_c_takes_back_what_was_placed(checkout: Checkout) -> None:
    code, out, err = interrupted(checkout, signal.SIGINT)
    assert code == 130, out + err
    assert "is CANCELLED, nothing filled" in out
    assert "Traceback" not in err


def test_what_a_killed_one_left_behind_is_taken_back_first(checkout: Checkout) -> None:
    # Given one that was killed with its order resting
    interrupted(checkout, signal.SIGKILL)
    until(lambda: not checkout.simulator_answers, why="its simulator died with it")

    # Then the next one succeeds, and says what it found
    code, out, err = checkout.manage(*LINE)
    assert code == 0, out + err
    assert "left over from an interrupted smoke order" in out


def test_it_works_beside_a_running_worker_and_simulator(checkout: Checkout) -> None:
    words = ["-m", "simulator", "--port", str(checkout.port), "--state", str(checkout.run / "simulator")]
    simulator = checkout.start(*words, "--die-with-parent")
    worker = checkout.start("manage.py", "runworker")
    try:
        until(lambda: checkout.simulator_answers, seconds=20, why="the simulator answers")
        code, out, err = checkout.manage(*LINE)
        assert code == 0, out + err
        assert "No simulator answers" not in out
        assert checkout.simulator_answers  # and what was there before stays
        assert worker.poll() is None
    finally:
        for process in (worker, simulator):
            process.terminate()
            process.communicate(timeout=30)


def test_testnet_goes_the_same_way_with_keys_from_the_environment(checkout: Checkout) -> None:
    # Given an exchange that speaks the protocol, and DRY_RUN_MODE as it is shipped
    key, secret = "testnet-key-0123456789", "testnet-secret-0123456789"
    port = free_port()
    words = ["-m", "simulator", "--port", str(port), "--account", f"double:{key}:{secret}:10000"]
    exchange = checkout.start(*words, "--die-with-parent")
    url = f"127.0.0.1:{port}"
    testnet = {
        "BINANCE_TESTNET": "true",
        "BINANCE_TESTNET_API": key,
        "BINANCE_TESTNET_SECRET": secret,
        "BINANCE_TESTNET_REST_URL": f"http://{url}",
        "BINANCE_TESTNET_STREAM_URL": f"ws://{url}",
    }
    try:
        assert exchange.stdout is not None
        assert exchange.stdout.readline()

        code, found = checkout.document(*LINE, **testnet)
        assert (code, found["environment"], found["state"]) == (0, "TESTNET", "CANCELLED"), found
        assert found["account"] == "smoke-testnet"
        code, found = checkout.document(*LINE, "--type", "MARKET", "--trio", **testnet)
        assert (code, found["state"], found["result"]) == (0, "CLOSED", "MANUAL"), found
        asked = requests.get(f"http://{url}/sim/log", timeout=5).text
        assert "/fapi/v1/order" in asked

        # A wrong secret, no secret, no exchange: one sentence each
        code, found = checkout.document(*LINE, **(testnet | {"BINANCE_TESTNET_SECRET": "wrong"}))
        assert code == 2
        assert "secret does not belong" in found["error"]
        code, found = checkout.document(*LINE, **(testnet | {"BINANCE_TESTNET_SECRET": ""}))
        assert code == 2
        assert "BINANCE_TESTNET_SECRET is missing" in found["error"]
        code, found = checkout.document(
            *LINE, **(testnet | {"BINANCE_TESTNET_REST_URL": "http://127.0.0.1:1"})
        )
        assert code == 2
        assert "does not answer at http://127.0.0.1:1" in found["error"]
        assert not checkout.simulator_answers  # PAPER had no part in it
    finally:
        exchange.terminate()
        exchange.communicate(timeout=30)
