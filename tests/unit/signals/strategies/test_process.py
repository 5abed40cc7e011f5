"""A strategy's process: it answers, or is ended with everything it started; and it finds nothing in there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from signals.domain.bars import Bar
from signals.domain.faults import Fault, StrategyFailed
from signals.strategies.process import CHECKOUT, Bounds, Held, StrategyProcess

D = Decimal
NAUGHTY = "tests.unit.signals.strategies.naughty"
MINUTE = 60_000


def bars(count: int, *, close: str = "0.45") -> list[Bar]:
    price = D(close)
    return [
        Bar(n * MINUTE, (n + 1) * MINUTE - 1, price, price, price, price, D(1), (n + 1) * MINUTE)
        for n in range(count)
    ]


@contextmanager
def running(
    name: str, *, deadline: int = 5, memory: int = 512, **parameters: Any
) -> Iterator[StrategyProcess]:
    path = name if ":" in name else f"{NAUGHTY}:{name}"
    process = StrategyProcess(path, Bounds(deadline, memory))
    try:
        process.load(parameters, timeframe="1m", history=3)
        yield process
    finally:
        process.close()


def is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(
    ("name", "fault", "detail"),
    [
        ("Raises", Fault.RAISED, "RuntimeError: no idea what to do"),
        ("Sleeps", Fault.STALLED, ""),
        ("Computes", Fault.STALLED, ""),
        ("Multiplies", Fault.STALLED, ""),
        ("Hoards", Fault.MEMORY, "it needed more memory than it may have"),
        ("Exits", Fault.EXITED, "exit code 7"),
        ("Floods", Fault.FLOODED, ""),
        ("Odd", Fault.ANSWER, "BadAnswer: it returned dict, no Signal and not None"),
        ("Floating", Fault.ANSWER, "BadAnswer: stop_loss is not a price: it must be a positive Decimal"),
    ],
)
def test_one_that_does_what_none_may_is_ended_with_all_it_started(
    name: str, fault: Fault, detail: str
) -> None:
    with running(name, deadline=1, memory=300) as process:
        began = time.monotonic()
        with pytest.raises(StrategyFailed) as failed:
            process.decide("ADAUSDT", bars(2), Held())
        assert time.monotonic() - began < 3
    assert (failed.value.fault, failed.value.detail) == (fault, detail)
    # the whole group, also what the strategy has started
    deadline = time.monotonic() + 5
    while not is_gone(process.pid):
        assert time.monotonic() < deadline


def test_what_it_prints_goes_nowhere() -> None:
    with running("Prints") as process:
        assert process.decide("ADAUSDT", bars(2), Held()) is None


def test_it_finds_no_environment_no_descriptor_and_cannot_write(tmp_path: Path) -> None:
    # Given a parent with a secret in its environment and files open
    canary = "canary-" + "s" * 32
    os.environ["CREDENTIALS_MASTER_KEY_OF_A_TEST"] = canary
    target = tmp_path / "written"
    try:
        with (tmp_path / "open").open("w"), running("Looks", path=str(target)) as process:
            found = process.decide("ADAUSDT", bars(1), Held())
            environ = Path(f"/proc/{process.pid}/environ").read_bytes()
            command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    finally:
        del os.environ["CREDENTIALS_MASTER_KEY_OF_A_TEST"]
    assert found is not None
    # Then nothing of it is there: LC_CTYPE is Python's own
    assert found["reason"] in ("[] / wrote 0", "['LC_CTYPE'] / wrote 0")
    assert not target.exists() or not target.read_text()
    assert environ == b""
    assert canary.encode() not in environ + command
    # the three standard ones, its two pipes, and the folder it just listed
    assert D(found["figures"]["descriptors"]) == 6


def test_only_new_bars_are_sent_and_history_is_as_long_as_asked() -> None:
    known = bars(6)
    with running("Buys") as process:
        first = process.decide("ADAUSDT", known[:3], Held())
        second = process.decide("ADAUSDT", known[1:4], Held("-5"))
        other = process.decide("XRPUSDT", known[:1], Held())
        # a gap that the process does not know about: everything is sent anew
        third = process.decide("ADAUSDT", known[5:6], Held())
    assert [found and found["figures"] for found in (first, second, other, third)] == [
        {"open_time": str(n * MINUTE), "close": "0.45", "bars": count, "held": held}
        for n, count, held in ((2, "3", "0"), (3, "3", "-5"), (0, "1", "0"), (5, "1", "0"))
    ]
    assert first is not None
    assert (first["action"], first["stop_loss"], first["take_profit"], first["reason"]) == (
        *("BUY", "0.4", "0.90"),
        "always",
    )


@pytest.mark.parametrize("limit", [False, True])
def test_an_entry_may_wait_for_its_trigger(limit: bool) -> None:
    with running("Waits", limit=limit) as process:
        found = process.decide("ADAUSDT", bars(3), Held())
    assert found is not None
    assert (found["trigger_price"], found["price"]) == ("0.47", "0.48" if limit else None)
    assert found["protection"] == "ON_FIRST_FILL"


def test_a_protection_that_is_none_is_no_answer() -> None:
    with running("Waits", protection="ALWAYS") as process, pytest.raises(StrategyFailed) as failed:
        process.decide("ADAUSDT", bars(3), Held())
    assert (failed.value.fault, "one of PRE_ARMED, ON_FIRST_FILL" in failed.value.detail) == (
        Fault.ANSWER,
        True,
    )


@pytest.mark.parametrize(
    ("path", "parameters", "fault", "words"),
    [
        (f"{NAUGHTY}:Missing", {}, Fault.IMPORT, "has no attribute"),
        ("no.such.module:Thing", {}, Fault.IMPORT, "ModuleNotFoundError"),
        (f"{NAUGHTY}:os", {}, Fault.PARAMETERS, "not a class with on_candle"),
        (f"{NAUGHTY}:Buys", {"stop": "0.01"}, Fault.PARAMETERS, "stop is at least 0.1"),
        (f"{NAUGHTY}:Buys", {"size": "1"}, Fault.PARAMETERS, "no parameter size"),
        (
            "signals.strategies.examples.crossover:Crossover",
            {"fast": "30", "slow": "10"},
            Fault.PARAMETERS,
            "fewer bars",
        ),
    ],
)
def test_one_that_cannot_be_loaded_says_why(
    path: str, parameters: dict[str, Any], fault: Fault, words: str
) -> None:
    with pytest.raises(StrategyFailed) as failed, running(path, **parameters):
        pass
    assert failed.value.fault is fault
    assert words in failed.value.detail


@pytest.mark.parametrize("name", ["Sleeps", "Buys"])
def test_it_ends_with_its_parent(name: str) -> None:
    # Given a parent that is killed while a strategy stalls, or waits
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(CHECKOUT), f"{NAUGHTY}:{name}"], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while not is_gone(child):
        assert time.monotonic() < deadline


PARENT = """
import sys, threading, time
sys.path.insert(0, sys.argv[1])
from signals.strategies.process import *
from decimal import Decimal
process = StrategyProcess(sys.argv[2], Bounds(60))
process.load({}, timeframe="1m", history=3)
bar = Bar(0, 59999, *[Decimal(1)] * 5, 60000)
threading.Thread(target=process.decide, args=("X", [bar], Held()), daemon=True).start()
time.sleep(0.3)
print(process.pid, flush=True)
time.sleep(60)
"""
