"""What a matrix runs on: a database of its own, the exchange and the survivor as processes, a nursery of victims."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import requests

ROOT: Final = Path(__file__).resolve().parent.parent.parent
# Shortened, so that absence is proved within seconds; everything the promises name stays as it ships.
TIMES: Final = {"RECV_WINDOW_MS": "2000", "ABSENCE_MARGIN_MS": "1500", "SWEEP_SECONDS": "5"}
ENVIRONMENT: Final = {
    "DJANGO_SETTINGS_MODULE": "backoffice.settings",
    "ENV_FILE": "",
    "DEBUG": "true",
    "SECRET_KEY": "tests-only-3c1f9a7e5d2b8064-never-use-elsewhere",
    "CREDENTIALS_MASTER_KEY": "tests-only-7b0d4e9f1a6c5283-never-use-elsewhere",
    "DRY_RUN_MODE": "true",
    "ALLOW_LIVE": "false",
    **TIMES,
}


class Venue:
    """The exchange's control endpoints."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._own = threading.local()  # a connection for each thread that asks

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        session: requests.Session | None = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = requests.Session()
            session.trust_env = False
        answer = session.request(method, self.url + path, json=body, timeout=20)
        if answer.status_code >= 400:
            raise RuntimeError(f"{path}: {answer.text}")
        return answer.json()

    def price(self, symbol: str, price: Any) -> None:
        self.ask("POST", "/sim/price", {"symbol": symbol, "price": str(price)})


def die_with_parent() -> None:
    """Ask the kernel to end this process when the one that started it ends, however that may be.

    By *parent* the kernel means the thread: not for processes that a passing thread starts.
    """
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Stage:
    """Everything a run stands on, and what it has logged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        self.venue = Venue("")
        self.nursery: Any = None
        self.environment: dict[str, str] = {}  # for the processes alone

    def start(self, name: str, *command: str, **environment: str) -> subprocess.Popen[str]:
        with (self.folder / f"{name}.log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env={**os.environ, **self.environment, **environment},
                stdout=subprocess.PIPE if name == "simulator" else log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                text=True,
                preexec_fn=die_with_parent if threading.current_thread() is threading.main_thread() else None,
            )
        self.processes.append(process)
        return process

    def start_exchange(self, *words: str) -> None:
        process = self.start(
            "simulator",
            "-m",
            "simulator",
            "--port",
            "0",
            "--prices",
            "hand",
            "--switch",
            "enforce_rates=false",
            "--die-with-parent",
            *words,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        if "listening on " not in line:
            raise RuntimeError((self.folder / "simulator.log").read_text())
        self.venue = Venue(line.split("listening on ")[1].strip())

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def complaints(self) -> list[str]:
        """Lines of the processes' logs that speak of an error of our own, and what each traceback ends with."""
        words = re.compile(r"its decision raised|could not be carried forward|in our own code")
        found = []
        for path in sorted(self.folder.glob("*.log")):
            inside = False
            for line in path.read_text(errors="replace").splitlines():
                if inside and line[:1].strip():  # the first line after a traceback's indented ones
                    found.append(f"{path.stem}: {line}")
                inside = line.startswith("Traceback") or (inside and not line[:1].strip())
                if words.search(line):
                    found.append(f"{path.stem}: {line}")
        return found


@contextmanager
def staged(
    folder: Path,
    *,
    nursery: bool = True,
    exchange: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
    production: bool = False,
    worker: bool = True,
) -> Iterator[Stage]:
    """Set the stage, and clear it again: processes ended by id, database dropped, queue emptied.

    ``nursery``: with a preloaded process that forks victims. ``exchange``: more words for its command line.
    ``production``: the processes run as in production, where nobody keeps each query for a page to show.
    ``worker``: with a first runworker.
    """
    os.environ |= ENVIRONMENT | dict(settings or {})
    sys.path.insert(0, str(ROOT))
    from local_servers import manager

    if not os.environ.get("REDIS_URL"):
        from tests.conftest import take_berth

        manager.ensure()
        os.environ["REDIS_URL"] = manager.redis_url(take_berth(manager.run_dir()))
    stage = Stage(folder)
    if production:
        stage.environment = {"DEBUG": "false"}
    stage.start_exchange(*exchange)
    url = stage.venue.url
    os.environ["BINANCE_PAPER_REST_URL"] = os.environ["BINANCE_PAPER_SAPI_URL"] = url
    os.environ["BINANCE_PAPER_STREAM_URL"] = url.replace("http", "ws", 1)
    try:
        import django

        django.setup()
        yield from _on_database(stage, nursery=nursery, worker=worker)
    finally:
        stage.stop()


def _on_database(stage: Stage, *, nursery: bool, worker: bool) -> Iterator[Stage]:
    from django.conf import settings
    from django.db import connection, connections

    from accounts.gateways import prepare
    from infrastructure import job_queue
    from local_servers import manager

    old = str(connection.settings_dict["NAME"])
    connection.settings_dict["TEST"]["NAME"] = name = f"test_crash_{os.getpid()}"
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    if settings.EMBEDDED_DATABASE:
        os.environ["DATABASE_URL"] = manager.database_url(name)
    else:
        os.environ["DATABASE_URL"] = re.sub(r"/[^/?]*(\?|$)", rf"/{name}\1", os.environ["DATABASE_URL"])
    prepare()
    connections.close_all()
    if nursery:
        from tests.crash.victim import Nursery

        stage.nursery = Nursery(stage.folder / "victims.log")  # forked while this process has one thread only
    try:
        if worker:
            stage.start("runworker", "manage.py", "runworker")
        yield stage
    finally:
        if stage.nursery is not None:
            stage.nursery.close()
        stage.stop()
        job_queue.queue("orders").empty()  # type: ignore[no-untyped-call]
        connection.creation.destroy_test_db(old, verbosity=0)
