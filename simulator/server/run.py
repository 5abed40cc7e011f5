"""Running one simulator as a process: listening, signals, the request log in a file."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from aiohttp import web

from simulator.server.app import MalformedRequestFilter, Server
from simulator.simulator import Simulator

LOG_EVERY_SECONDS: Final = 0.2


async def serve(
    simulator: Simulator,
    host: str,
    port: int,
    *,
    log: Path | None = None,
    reload: Callable[[], None] | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP calls ``reload``. Return the exit code: 2 when the port is in use."""
    logging.getLogger("aiohttp.server").addFilter(MalformedRequestFilter())
    server = Server(simulator)
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, reuse_address=True).start()
    except OSError as error:
        sys.stderr.write(f"simulator: cannot listen on {host}:{port}: {error.strerror}.\n")
        await runner.cleanup()
        return 2
    _print_address(host, runner.addresses[0][1])
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if reload is not None:
        loop.add_signal_handler(signal.SIGHUP, reload)
    logger = asyncio.create_task(_follow_log(simulator, log)) if log else None
    await stop.wait()
    if logger is not None:
        logger.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await logger
    server.hub.cut_all()
    await runner.cleanup()
    return 0


def _print_address(host: str, port: int) -> None:
    """Print where the simulator listens; who started it on a free port reads this line."""
    name = "127.0.0.1" if host == "localhost" else f"[{host}]" if ":" in host else host
    sys.stdout.write(f"simulator listening on http://{name}:{port}\n")
    sys.stdout.flush()


async def _follow_log(simulator: Simulator, path: Path) -> None:
    """Append each request to a file, until cancelled."""
    written = simulator.venue.request_log.count
    with path.open("a", encoding="utf-8") as out:
        while True:
            try:
                await asyncio.sleep(LOG_EVERY_SECONDS)
            finally:
                written = _append_log(simulator, out, written)


def _append_log(simulator: Simulator, out: IO[str], written: int) -> int:
    """Append the entries after this number; return the number of the last one."""
    log = simulator.venue.request_log
    for entry in log.since(written) if log.count > written else ():
        out.write(json.dumps(entry.as_dict(), ensure_ascii=False) + "\n")
        written = entry.n
    out.flush()
    return written
