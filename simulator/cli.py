"""``python -m simulator``: the local exchange alone, for any Binance client."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import ipaddress
import json
import logging
import os
import signal
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO, Any

from aiohttp import web

from simulator.app import Brief, Server
from simulator.facade import AccountExists, Simulator, SteppedClock
from simulator.faults import FaultError
from simulator.store import StateInUse, Store
from simulator.streams import Socket

TEACHING = """
examples:
  python -m simulator --port 8787 --account desk:demo0key:demo0secret:10000
      An exchange with one account of 10000 USDT. Point any Binance USD-M client at http://127.0.0.1:8787
      (REST) and ws://127.0.0.1:8787 (streams: /private, /market, /public).
  python -m simulator --port 8787 --state var/exchange --prices replay --speed 20
      Keeps everything it has answered in var/exchange, through kill -9 too; recorded markets run 20 times faster.
  python -m simulator --port 8787 --prices hand
      Prices stand still until told: POST /sim/price {"symbol": "BTCUSDT", "price": "63000"}

prices: replay walks through real recorded bars (ADAUSDT 1m, XRPUSDT 5m, and any --klines) and moves every other
symbol by a seeded walk; walk moves all symbols by a seeded walk; hand moves nothing by itself.
Look at it in a browser at the printed address. Everything is on loopback and no money is involved.
"""


class Mistake(Exception):
    """Something on the command line that cannot be; the text says what and what would be right."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m simulator",
        description="A local Binance USD-M Futures exchange: same protocol, same strictness, no money, no network.",
        epilog=TEACHING,
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
    """Run until SIGTERM or SIGINT. Returns the exit code: 0 after a clean stop, 2 on a mistake."""
    options = parser().parse_args(argv)
    try:
        if options.die_with_parent:
            _die_with_parent()
        simulator, store = _build(options)
    except (Mistake, ValueError, AccountExists, FaultError, StateInUse) as error:
        sys.stderr.write(f"simulator: {error}\n")
        return 2
    try:
        return asyncio.run(_serve(options, simulator))
    finally:
        if store is not None:
            store.close()


def _build(options: argparse.Namespace) -> tuple[Simulator, Store | None]:
    _check_host(options.host)
    if not 0 <= options.port <= 65535:
        raise Mistake("--port is a number between 0 and 65535.")
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
        parts = text.split(":")
        if not 3 <= len(parts) <= 5 or not all(parts[:3]):
            raise Mistake(
                f"--account wants NAME:KEY:SECRET[:BALANCE[:ONE_WAY|HEDGE]], not {len(parts)} part(s)."
            )
        try:
            simulator.add_account(*parts)
        except InvalidOperation as error:
            raise Mistake(f"The balance of account {parts[0]} is not a number.") from error
    if options.faults:
        load_faults(simulator, options.faults)
    return simulator, store


def _check_host(host: str) -> None:
    try:
        fine = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        fine = False
    if not fine:
        raise Mistake(
            f"--host {host} is not a loopback address; this exchange is only for the machine it runs on."
        )


def _klines(pairs: list[str]) -> dict[str, Path]:
    files = {}
    for pair in pairs:
        symbol, found, name = pair.partition("=")
        if not found or not symbol or not name:
            raise Mistake(f"--klines wants SYMBOL=FILE, not {pair!r}.")
        files[symbol] = Path(name)
    return files


def _speed(text: str) -> Decimal:
    try:
        speed = Decimal(text)
    except InvalidOperation:
        speed = Decimal(0)
    if not speed.is_finite() or not 0 < speed <= 100_000:
        raise Mistake("--speed is a number above 0 and at most 100000.")
    return speed


def _switches(pairs: list[str]) -> dict[str, Any]:
    switches: dict[str, Any] = {}
    for pair in pairs:
        name, found, value = pair.partition("=")
        if not found:
            raise Mistake(f"--switch wants NAME=VALUE, not {pair!r}.")
        words = {"true": True, "false": False}
        switches[name] = words[value] if value in words else int(value) if value.isdigit() else value
    return switches


def load_faults(simulator: Simulator, path: Path) -> None:
    """Replace all faults by those of a file. Raises FaultError or Mistake, with the old ones untouched."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"), parse_float=str)
    except (OSError, ValueError) as error:
        raise Mistake(f"Cannot read faults from {path}: {error}.") from error
    if not isinstance(rows, list):
        raise Mistake(f"{path} must hold a JSON list of faults.")
    faults = simulator.venue.faults
    before = list(faults.rules)
    faults.rules.clear()
    try:
        for row in rows:
            faults.add(row)
    except FaultError:
        faults.rules[:] = before
        raise


def _die_with_parent() -> None:
    pr_set_pdeathsig = 1
    parent = os.getppid()
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
    if os.getppid() != parent:
        raise Mistake("The process that started this one has already ended.")


async def _serve(options: argparse.Namespace, simulator: Simulator) -> int:
    logging.getLogger("aiohttp.server").addFilter(Brief())
    server = Server(simulator)
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, options.host, options.port, reuse_address=True)
        await site.start()
    except OSError as error:
        sys.stderr.write(f"simulator: cannot listen on {options.host}:{options.port}: {error.strerror}.\n")
        await runner.cleanup()
        return 2
    port = runner.addresses[0][1]
    host = "127.0.0.1" if options.host == "localhost" else options.host
    sys.stdout.write(f"simulator listening on http://{f'[{host}]' if ':' in host else host}:{port}\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.faults:
        loop.add_signal_handler(signal.SIGHUP, _reload, simulator, options.faults)
    logger = asyncio.create_task(_write_log(simulator, options.log)) if options.log else None
    await stop.wait()
    if logger is not None:
        logger.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await logger
    for socket in list(server.hub.sockets):
        _goodbye(socket)
    await runner.cleanup()
    return 0


def _goodbye(socket: Socket) -> None:
    socket.cut()


def _reload(simulator: Simulator, path: Path) -> None:
    try:
        load_faults(simulator, path)
    except (Mistake, FaultError) as error:
        sys.stderr.write(f"simulator: {error} The faults stay as they were.\n")


async def _write_log(simulator: Simulator, path: Path) -> None:
    """Follow the journal into a file."""
    done = simulator.venue.request_log.count
    with path.open("a", encoding="utf-8") as out:
        while True:
            try:
                await asyncio.sleep(0.2)
            finally:
                done = _copy(simulator, out, done)


def _copy(simulator: Simulator, out: IO[str], done: int) -> int:
    for entry in simulator.venue.request_log.since(done) if simulator.venue.request_log.count > done else ():
        out.write(json.dumps(entry.as_dict(), ensure_ascii=False) + "\n")
        done = entry.n
    out.flush()
    return done
