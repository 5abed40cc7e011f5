"""The real thing: simulator, runworker and rqworker as processes, on the test's own database."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from django.conf import settings
from django.db import connection

from accounts.endpoints import use_transport
from accounts.models import ExchangeAccount
from accounts.services import paper_account_ensure
from exchange.types import Endpoints
from local_servers import manager
from orders.exchange_data.symbol_sync import symbols_sync
from orders.journal.replay import trio_replay
from orders.journal.verify import journal_verify
from orders.models import TrioOrder, Watch
from orders.placement import admission
from tests.builders import until

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass
class Stack:
    """Everything that runs, and the hands to kill it by."""

    folder: Path
    url: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def start(self, name: str, *command: str, **environment: str) -> subprocess.Popen[str]:
        log = (self.folder / f"{name}.log").open("a")
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            # The exchange gets no key of ours, as when local_servers.serve starts it.
            env=manager.bare_environment()
            if name == "simulator"
            else {**os.environ, **self.environment, **environment},
            stdout=subprocess.PIPE if name == "simulator" else log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        log.close()
        self.processes[name] = process
        return process

    def start_simulator(self, port: int = 0, *, prices: str = "hand") -> None:
        words = ("-m", "simulator", "--port", str(port), "--prices", prices, "--die-with-parent")
        process = self.start("simulator", *words, "--state", str(self.folder / "exchange"))
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "listening on " in line, (self.folder / "simulator.log").read_text()
        self.url = line.split("listening on ")[1].strip()

    def start_worker(self, name: str = "runworker", **environment: str) -> None:
        self.start(name, "manage.py", "runworker", **environment)

    def start_rqworker(self) -> None:
        self.start("rqworker", "manage.py", "rqworker", "orders", "default", "--verbosity", "0")

    def stop(self, name: str, *, kill: bool = False) -> int:
        process = self.processes.pop(name)
        (process.kill if kill else process.terminate)()
        code = process.wait(timeout=30)
        if process.stdout is not None:
            process.stdout.close()
        return code

    def stop_all(self) -> None:
        for name in reversed(list(self.processes)):
            self.stop(name)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(method, self.url + path, json=body, timeout=5)
        answer.raise_for_status()
        return answer.json()

    def log(self, since: int = 0) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.ask("GET", f"/sim/log?since={since}")
        return rows

    def price(self, symbol: str, price: str) -> None:
        self.ask("POST", "/sim/price", {"symbol": symbol, "price": price})

    def account(self, name: str = "stack") -> ExchangeAccount:
        account = paper_account_ensure(name=name)
        symbols_sync("PAPER")
        return account

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in self.folder.glob("*.log"))


def watched(account: ExchangeAccount) -> bool:
    watch = Watch.objects.filter(account=account).first()
    return bool(watch and watch.stream_since and watch.swept_at and watch.swept_at >= watch.stream_since)


@pytest.fixture
def stack(tmp_path: Path, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    found = Stack(tmp_path)
    found.start_simulator()
    endpoints = Endpoints(found.url, found.url.replace("http", "ws", 1), found.url)
    monkeypatch.setitem(settings.BINANCE_URLS, "PAPER", endpoints)
    found.environment = {
        "DJANGO_SETTINGS_MODULE": "backoffice.settings",
        "ENV_FILE": "",
        "DATABASE_URL": manager.database_url(str(connection.settings_dict["NAME"])),
        "REDIS_URL": settings.REDIS_URL,
        "BINANCE_PAPER_REST_URL": endpoints.rest,
        "BINANCE_PAPER_STREAM_URL": endpoints.stream,
        "BINANCE_PAPER_SAPI_URL": endpoints.sapi,
        "SWEEP_SECONDS": "600",
    }
    use_transport("PAPER", None)
    admission.forget()
    found.price("BTCUSDT", "100000")
    yield found
    found.stop_all()
    use_transport("PAPER", None)


@pytest.fixture
def manned(stack: Stack, redis_queue: Any) -> Iterator[tuple[Stack, ExchangeAccount]]:
    """A stack with both workers up and its account watched; whatever happens there, its journal stays whole."""
    account = stack.account()
    stack.start_worker()
    stack.start_rqworker()
    until(lambda: watched(account), seconds=30, why=stack.logs)
    yield stack, account
    stack.stop_all()
    verdict = journal_verify()
    assert (verdict.breaks, verdict.anchors > 0) == ([], True)
    for trio in TrioOrder.objects.all():
        assert trio_replay(trio).differences == []
