"""The stage: the real processes under supervisor, and a hand on the simulated market."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections

from local_servers import leftovers, manager, pidfiles

T = TypeVar("T")
PATIENCE_SECONDS = 30.0


class DemoFailed(Exception):
    """The demo cannot go on; the text says what is wrong and where to look."""


def steadily(what: Callable[[], T], *, seconds: float = PATIENCE_SECONDS) -> T:
    """Do something that a dying server may interrupt; it comes back within seconds, so try again."""
    deadline = time.monotonic() + seconds
    while True:
        close_old_connections()
        try:
            return what()
        except (OperationalError, InterfaceError, manager.EmbeddedServersError, OSError) as error:
            if time.monotonic() > deadline:
                raise DemoFailed(
                    f"A server did not come back within {seconds:.0f} s ({type(error).__name__}). "
                    "The logs are in .run/logs."
                ) from error
            time.sleep(0.2)


def wait_for(what: Callable[[], Any], sentence: str, *, seconds: float = PATIENCE_SECONDS) -> Any:
    """Return what ``what`` finds; fail with the sentence when it finds nothing in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := steadily(what):
            return found
        time.sleep(0.05)
    raise DemoFailed(sentence)


class Market:
    """A hand on the simulator's prices and faults. Its own market stands still meanwhile."""

    def __init__(self) -> None:
        self._root = settings.BINANCE_URLS["PAPER"].rest.rstrip("/")
        self._opener = build_opener(ProxyHandler({}))

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the simulator; a killed one is started again, so wait for it."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(  # noqa: S310 - our own loopback address
            self._root + path, data=data, method=method, headers={"Content-Type": "application/json"}
        )

        def once() -> Any:
            try:
                with self._opener.open(request, timeout=5) as answer:
                    return json.loads(answer.read())
            except HTTPError as refused:
                raise DemoFailed(
                    f"{self._root} refused {path} ({refused.code}): is it our simulator, and up to date?"
                ) from refused

        return steadily(once)

    def price(self, symbol: str) -> Decimal:
        return Decimal(self.ask("GET", f"/fapi/v2/ticker/price?symbol={symbol}")["price"])

    def move(self, symbol: str, price: Decimal) -> None:
        self.ask("POST", "/sim/price", {"symbol": symbol, "price": format(price, "f")})

    def pause(self) -> None:
        self.ask("POST", "/sim/market", {"mode": "pause"})

    def run(self) -> None:
        self.ask("POST", "/sim/market", {"mode": "run"})

    def refuse_stops(self, symbol: str) -> None:
        """Have every stop-loss on a symbol refused, until ``mend``."""
        self.ask(
            "POST",
            "/sim/faults",
            {
                "match": {"method": "POST", "type": "STOP_MARKET", "symbol": symbol},
                "occurrence": "every",
                "then": {"do": "refuse", "code": -2010, "msg": "New order rejected."},
            },
        )

    def mend(self) -> None:
        self.ask("DELETE", "/sim/faults")


class Stage:
    """All processes of a small installation, started under supervisor and stopped with the demo."""

    def __init__(self) -> None:
        self._supervisor: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """End what an earlier run left, start everything, wait until it works."""
        leftovers.end_all()
        logs = manager.run_dir() / "logs"
        logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (logs / "supervisord.log").open("ab") as log:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-m", "local_servers.serve", "supervisord"],
                cwd=Path(manager.CHECKOUT),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                preexec_fn=pidfiles.die_with_parent,
                start_new_session=True,  # Ctrl-C reaches us; we stop it in order
            )

    @property
    def alive(self) -> bool:
        return self._supervisor is not None and self._supervisor.poll() is None

    def stop(self) -> None:
        """Stop every process in order."""
        if self._supervisor is not None:
            self._supervisor.terminate()
            try:
                self._supervisor.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._supervisor.kill()
                self._supervisor.wait()
        leftovers.end_all()
