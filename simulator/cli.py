"""``python -m simulator``: the local exchange alone, for any Binance client."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import functools
import ipaddress
import json
import os
import signal
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from simulator.clock import SteppedClock
from simulator.faults.language import FaultError
from simulator.persistence.store import StateInUse, Store
from simulator.server.run import serve
from simulator.simulator import AccountExists, Simulator

EXAMPLES = """
examples:
  python -m simulator --port 8787 --account desk:demo0key:demo0secret:10000
      An exchange with one account of 10000 USDT. Point any Binance USD-M client at http://127.0.0.1:8787
      (REST) and ws://127.0.0.1:8787 (streams: /private, /market, /public).
  python -m simulator --port 8787 --state var/exchange --prices replay --speed 20
      Saves in var/exchange whatever it answers, so that it survives kill -9; recorded markets run 20 times faster.
  python -m simulator --port 8787 --prices hand
      Prices move only when they are set: POST /sim/price {"symbol": "BTCUSDT", "price": "63000"}

prices: replay follows real recorded bars (ADAUSDT 1m, XRPUSDT 5m, and any --klines) and moves every other symbol by
a seeded random walk; walk moves all symbols by one; hand moves nothing by itself.
Open the printed address in a browser to see it. Everything is on loopback and no money is involved.
"""


class UsageError(Exception):
    """Something wrong on the command line; the message says what it is and what would be right."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m simulator",
        description="A local Binance USD-M Futures exchange: same protocol, same strictness, no money, no network.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--port", type=int, required=True, help="port to listen on; 0 picks a free one")
    p.add_argument("--host", default="127.0.0.1", help="loopback address to listen on (default 127.0.0.1)")
    p.add_argument("--state", type=Path, metavar="DIR", help="keep accounts, orders and positions here")
    p.add_argument(
        "--profile", default="demo", help="demo (default) or prod: limits and filters of that host"
    )
    p.add_argument("--switch", action="append", default=[], metavar="NAME=VALUE",
                   help="set one switch of the profile, for example child_ids=own; see the docs")  # fmt: skip
    p.add_argument("--exchange-info", type=Path, metavar="FILE", help="another exchangeInfo, gzipped or not")
    p.add_argument(
        "--prices", default="replay", choices=("replay", "walk", "hand"), help="what moves the market"
    )
    p.add_argument("--klines", nargs="+", action="extend", default=[], metavar="SYMBOL=FILE",
                   help="recorded bars (CSV: open_time,open,high,low,close,volume) to replay for a symbol")  # fmt: skip
    p.add_argument(
        "--speed", default="1", metavar="N", help="how many times faster than the clock the market runs"
    )
    p.add_argument("--seed", type=int, default=1, help="the source of all randomness (default 1)")
    p.add_argument("--clock", type=int, metavar="MS",
                   help="start at this exchange time and stand still until POST /sim/clock; hashes the log")  # fmt: skip
    p.add_argument("--account", nargs="+", action="extend", default=[], metavar="NAME:KEY:SECRET[:BALANCE[:MODE]]",
                   help="an account to open; MODE is ONE_WAY (default) or HEDGE")  # fmt: skip
    p.add_argument(
        "--faults",
        type=Path,
        metavar="FILE",
        help="faults to start with (a JSON list); SIGHUP reads it again",
    )
    p.add_argument(
        "--log", type=Path, metavar="FILE", help="append every request to this file, one JSON object a line"
    )
    p.add_argument(
        "--die-with-parent", action="store_true", help="end when the process that started this one ends"
    )
    return p


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT. Return the exit code: 0 after a clean stop, 2 on a mistake."""
    options = parser().parse_args(argv)
    try:
        if options.die_with_parent:
            _die_with_parent()
        simulator, store = _build(options)
    except (UsageError, ValueError, AccountExists, FaultError, StateInUse) as error:
        sys.stderr.write(f"simulator: {error}\n")
        return 2
    try:
        reload = functools.partial(_reload_faults, simulator, options.faults) if options.faults else None
        return asyncio.run(serve(simulator, options.host, options.port, log=options.log, reload=reload))
    finally:
        if store is not None:
            store.close()


def _build(options: argparse.Namespace) -> tuple[Simulator, Store | None]:
    _check_host(options.host)
    if not 0 <= options.port <= 65535:
        raise UsageError("--port is a number between 0 and 65535.")
    simulator = Simulator(
        profile=options.profile,
        seed=options.seed,
        prices=options.prices,
        klines=_klines(options.klines),
        exchange_info=options.exchange_info,
        speed=_speed(options.speed),
        clock=SteppedClock(options.clock) if options.clock is not None else None,
        hash_log=options.clock is not None,
        **_switches(options.switch),
    )
    store = Store(options.state, simulator) if options.state else None
    for text in options.account:
        _add_account(simulator, text)
    if options.faults:
        load_faults(simulator, options.faults)
    return simulator, store


def _add_account(simulator: Simulator, text: str) -> None:
    parts = text.split(":")
    if not 3 <= len(parts) <= 5 or not all(parts[:3]):
        raise UsageError(
            f"--account takes NAME:KEY:SECRET[:BALANCE[:ONE_WAY|HEDGE]], not {len(parts)} part(s)."
        )
    name, api_key, api_secret, balance, mode = *parts, *("10000", "ONE_WAY")[len(parts) - 3 :]
    try:
        simulator.add_account(name, api_key, api_secret, balance, mode)
    except InvalidOperation as error:
        raise UsageError(f"The balance of account {name} is not a number.") from error


def _check_host(host: str) -> None:
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise UsageError(
            f"--host {host} is not a loopback address; this exchange is only for the machine it runs on."
        )


def _klines(pairs: list[str]) -> dict[str, Path]:
    files = {}
    for pair in pairs:
        symbol, found, name = pair.partition("=")
        if not found or not symbol or not name:
            raise UsageError(f"--klines takes SYMBOL=FILE, not {pair!r}.")
        files[symbol] = Path(name)
    return files


def _speed(text: str) -> Decimal:
    try:
        speed = Decimal(text)
    except InvalidOperation:
        speed = Decimal(0)
    if not speed.is_finite() or not 0 < speed <= 100_000:
        raise UsageError("--speed is a number above 0 and at most 100000.")
    return speed


def _switches(pairs: list[str]) -> dict[str, Any]:
    switches: dict[str, Any] = {}
    for pair in pairs:
        name, found, value = pair.partition("=")
        if not found:
            raise UsageError(f"--switch takes NAME=VALUE, not {pair!r}.")
        booleans = {"true": True, "false": False}
        switches[name] = booleans[value] if value in booleans else int(value) if value.isdigit() else value
    return switches


def load_faults(simulator: Simulator, path: Path) -> None:
    """Replace all faults by those of a file. Raises FaultError or UsageError, and then leaves them as they were."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"), parse_float=str)
    except (OSError, ValueError) as error:
        raise UsageError(f"Cannot read faults from {path}: {error}.") from error
    if not isinstance(rows, list):
        raise UsageError(f"{path} must hold a JSON list of faults.")
    faults = simulator.venue.faults
    before = list(faults.in_force)
    faults.in_force.clear()
    try:
        for row in rows:
            faults.add(row)
    except FaultError:
        faults.in_force[:] = before
        raise


def _reload_faults(simulator: Simulator, path: Path) -> None:
    try:
        load_faults(simulator, path)
    except (UsageError, FaultError) as error:
        sys.stderr.write(f"simulator: {error} The faults stay as they were.\n")


def _die_with_parent() -> None:
    """Have the kernel end this process when its parent ends. Raises UsageError when that has already happened."""
    pr_set_pdeathsig = 1
    parent = os.getppid()
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
    if os.getppid() != parent:
        raise UsageError("The process that started this one has already ended.")
