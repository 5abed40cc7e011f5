"""Measure the simulator: ``python -m bench.simulator [--finished 1000000]``.

Figures: order requests a second in process (parsing and signature check included) and over HTTP, the cost of a price
tick with 10,000 conditional orders waiting, and peak memory as ended orders pile up.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from bench.reporting.present import present
from bench.reporting.report import Panel, Report, Sheet
from simulator import Simulator, SteppedClock

START_MS: Final = 1_790_000_000_000
KEY, SECRET = "benchkey0", "benchsecret0"
HEADERS = {"x-mbx-apikey": KEY}


def signed(secret: str, **params: object) -> str:
    query = urlencode(params)
    return f"{query}&signature={hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()}"


def limit_order(stamp: int, name: str) -> str:
    """A limit order far from the market: it rests."""
    query = signed(
        SECRET, symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.002", price="60000",
        newClientOrderId=name, timestamp=stamp,
    )  # fmt: skip
    return f"/fapi/v1/order?{query}"


def cancel_all(stamp: int) -> str:
    return f"/fapi/v1/allOpenOrders?{signed(SECRET, symbol='BTCUSDT', timestamp=stamp)}"


def open_simulator() -> tuple[Simulator, SteppedClock]:
    clock = SteppedClock(START_MS)
    simulator = Simulator(clock=clock, symbols=["BTCUSDT"], enforce_rates=False)
    simulator.add_account("bench", KEY, SECRET, "1000000")
    simulator.set_price("BTCUSDT", "63000")
    return simulator, clock


def in_process(count: int) -> float:
    """Order requests a second of CPU time, each parsed, its signature verified and its order checked."""
    simulator, clock = open_simulator()
    batch = [limit_order(clock(), f"o{number}") for number in range(100)]
    clear = cancel_all(clock())
    spent = 0.0
    for _ in range(count // len(batch)):
        started = time.process_time()
        for target in batch:
            reply = simulator.handle("POST", target, HEADERS)
        spent += time.process_time() - started
        assert reply.status == 200, reply.body
        simulator.handle("DELETE", clear, HEADERS)
    return count / spent


def tick_ms(accounts: int = 100, orders_each: int = 100) -> tuple[float, float]:
    """Median and worst milliseconds of a price move that triggers none of the conditional orders waiting."""
    simulator, clock = open_simulator()
    for number in range(accounts):
        simulator.add_account(f"a{number}", f"tickkey{number}", f"ticksecret{number}")
        for order in range(orders_each):
            query = signed(
                f"ticksecret{number}", symbol="BTCUSDT", side="SELL", type="STOP_MARKET", algoType="CONDITIONAL",
                triggerPrice=f"{50000 + order * 37 + number}", quantity="0.002", reduceOnly="true", timestamp=clock(),
            )  # fmt: skip
            reply = simulator.handle(
                "POST", f"/fapi/v1/algoOrder?{query}", {"x-mbx-apikey": f"tickkey{number}"}
            )
            assert reply.status == 200, reply.body
    spent = []
    for step in range(2000):
        clock.forward(250)
        started = time.process_time_ns()
        simulator.set_price("BTCUSDT", str(63000 + step % 50))
        spent.append((time.process_time_ns() - started) / 1_000_000)
    spent.sort()
    return spent[len(spent) // 2], spent[-1]


def memory(count: int) -> list[tuple[int, int]]:
    """Peak resident megabytes after each fifth of so many orders placed and cancelled."""
    simulator, clock = open_simulator()
    peaks = []
    done = 0
    while done < count:
        clock.forward(1000)
        for number in range(100):
            simulator.handle("POST", limit_order(clock(), f"m{done + number}"), HEADERS)
        simulator.handle("DELETE", cancel_all(clock()), HEADERS)
        done += 100
        if done % max(1, count // 5) == 0:
            peaks.append((done, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))
    return peaks


async def _place_orders(host: str, port: int, targets: list[str]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    for target in targets:
        head = f"POST {target} HTTP/1.1\r\nHost: {host}\r\nX-MBX-APIKEY: {KEY}\r\nContent-Length: 0\r\n\r\n"
        writer.write(head.encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(body.decode())
    writer.close()


def over_http(count: int) -> float:
    """Order requests a second over loopback HTTP, from four connections."""
    server = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--port", "0", "--prices", "hand", "--clock", str(START_MS), "--switch",
         "enforce_rates=false", "--account", f"bench:{KEY}:{SECRET}:1000000000", "--die-with-parent"],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).resolve().parents[1],
    )  # fmt: skip
    try:
        assert server.stdout is not None
        host, port = server.stdout.readline().rsplit("/", 1)[1].strip().split(":")
        targets = [limit_order(START_MS, f"h{number}") for number in range(count)]

        async def run() -> float:
            started = time.perf_counter()
            await asyncio.gather(*(_place_orders(host, int(port), targets[n::4]) for n in range(4)))
            return count / (time.perf_counter() - started)

        return asyncio.run(run())
    finally:
        server.terminate()
        server.wait(timeout=10)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--orders", type=int, default=10_000, help="order requests to time in process")
    parser.add_argument("--http", type=int, default=5_000, help="order requests to time over HTTP")
    parser.add_argument("--finished", type=int, help="orders to place and cancel while watching memory")


def measure(options: argparse.Namespace) -> Report:
    """Say what the simulator comes to."""
    finished = options.finished or (1_000_000 if options.full else 50_000)
    median, worst = tick_ms()
    peaks = memory(finished)
    report = Report("simulator", "The simulator", (__doc__ or "").partition("\n\n")[2].strip())
    report.sheets += [
        Sheet(
            "Order requests a second", ["in process, CPU time", "over HTTP, four connections"],
            [[round(in_process(options.orders)), round(over_http(options.http))]],
        ),
        Sheet("A price tick among 10,000 conditional orders", ["median, ms", "worst, ms"], [[median, worst]]),
        Sheet("Peak memory", ["orders ended", "MB"], [[f"{done:,}".replace(",", " "), peak] for done, peak in peaks]),
    ]  # fmt: skip
    report.panels.append(
        Panel("peak memory by ended orders", "MB", [str(done) for done, _ in peaks],
              {"simulator": [float(peak) for _, peak in peaks]}, lines=True)
    )  # fmt: skip
    return report


if __name__ == "__main__":
    sys.exit(present("simulator", __doc__ or "", measure, arguments))
