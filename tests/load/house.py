"""A desk under load: run folder, PostgreSQL, Valkey, exchange and workers of its own, all ended by id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from django.db import connection

from tests.crash.stage import Stage, Venue, staged

# As it ships: nothing is shortened here.
SETTINGS: Final = {
    "RECV_WINDOW_MS": "5000",
    "ABSENCE_MARGIN_MS": "10000",
    "SWEEP_SECONDS": "15",
}
RUNWORKER: Final = ("manage.py", "runworker")
RQWORKER: Final = ("manage.py", "rqworker", "orders", "default", "--worker-class", "worker.rq_worker.DjangoWorker",
                   "--verbosity", "0")  # fmt: skip
TICKS: Final = os.sysconf("SC_CLK_TCK")
Row = dict[str, Any]


def now_ms() -> int:
    return time.time_ns() // 10**6


def say(text: str) -> None:
    print(f"        {text}", file=sys.stderr, flush=True)


def until(done: Callable[[], Any], *, seconds: float, what: str, pause: float = 0.1) -> None:
    """Wait for something. Raises TimeoutError that names it."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Not within {seconds:.0f} s: {what}.")
        time.sleep(pause)


@dataclass
class House:
    """Everything that runs."""

    stage: Stage
    log_path: Path
    workers: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    @property
    def venue(self) -> Venue:
        return self.stage.venue

    def start_workers(self, runworkers: int, rqworkers: int) -> None:
        for command, name, count in ((RUNWORKER, "runworker", runworkers), (RQWORKER, "rqworker", rqworkers)):
            for number in range(count):
                self.start(f"{name}-{number}", *command)

    def start_web(self) -> None:
        """Start what serves the pages, on the port that the settings name. Raises CalledProcessError."""
        from django.conf import settings

        if not (settings.STATIC_ROOT / "staticfiles.json").exists():
            self.command("collectstatic", "--noinput").check_returncode()  # without them it does not start
        self.start("web-0", "-m", "local_servers.serve", "web")

    def start(self, name: str, *command: str) -> None:
        """Start one of our processes; PostgreSQL knows it by its name."""
        self.workers[name] = self.stage.start(name, *command, PGAPPNAME=name)

    def stop_workers(self) -> None:
        """End every worker as its supervisor would."""
        for process in self.workers.values():
            process.terminate()
        for name, process in self.workers.items():
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                say(f"{name} had to be killed")
                process.kill()
                process.wait()
            self.stage.processes.remove(process)
        self.workers.clear()

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a management command to its end, as a person would."""
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=Path(__file__).resolve().parents[2],
            env={**os.environ, **self.stage.environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time of each worker so far, with the children it has."""
        return {
            name: sum(map(_cpu_of, [process.pid, *_children(process.pid)]))
            for name, process in self.workers.items()
        }

    def processor_seconds(self) -> dict[str, float]:
        """Processor time so far, of everything that runs for this house, by what it is."""
        found: dict[str, float] = {"this": time.process_time()}
        for name, seconds in self.cpu_seconds().items():
            kind = name.rsplit("-", 1)[0]
            found[kind] = found.get(kind, 0) + seconds
        others = [process for process in self.stage.processes if process not in self.workers.values()]
        found["simulator"] = sum(_cpu_of(process.pid) for process in others)
        found["valkey"] = _cpu_of(self.valkey_pid())
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (mine,) = cursor.fetchone()
        server = int(Path(f"/proc/{mine}/stat").read_text().rsplit(") ", 1)[1].split()[1])
        found["postgres"] = _cpu_of(server, ended=True) + sum(map(_cpu_of, _children(server)))
        return found

    def transactions(self) -> int:
        """How many transactions PostgreSQL has ended so far, for whomever."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_stat_clear_snapshot(), xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
            )
            return int(cursor.fetchone()[1])

    def dead(self) -> list[str]:
        return [name for name, process in self.workers.items() if process.poll() is not None]

    # -- the exchange ---------------------------------------------------------------------------------------------

    def limits(self, **changes: Any) -> Row:
        answer: Row = self.venue.ask("POST", "/sim/limits", changes)
        return answer

    def verdict(self) -> Row:
        answer: Row = self.venue.ask("GET", "/sim/verdict?recv_window=5000&absence_margin=10000")
        return answer

    def rows(self, since: int = 0, before: int | None = None) -> list[Row]:
        """The exchange's log from one of its moments to another."""
        time.sleep(0.5)  # its file is written five times a second
        found = []
        with self.log_path.open(encoding="utf-8") as lines:
            for line in lines:
                row: Row = json.loads(line)
                if row["ms"] >= since and (before is None or row["ms"] < before):
                    found.append(row)
        return found

    # -- Valkey ---------------------------------------------------------------------------------------------------

    def valkey(self) -> Any:
        import redis

        return redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=3)

    def valkey_pid(self) -> int:
        return int(self.valkey().info("server")["process_id"])

    def hurt_valkey(self, how: str, seconds: float) -> None:
        """Kill it (its keeper starts another), flush it, or pause it for so long."""
        if how == "flush":
            self.valkey().flushall()
        elif how == "kill":
            os.kill(self.valkey_pid(), signal.SIGKILL)
        elif how == "pause":
            pid = self.valkey_pid()
            os.kill(pid, signal.SIGSTOP)
            try:
                time.sleep(seconds)
            finally:
                os.kill(pid, signal.SIGCONT)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _cpu_of(pid: int, *, ended: bool = False) -> float:
    """Processor time of a process, in seconds; ``ended``: with that of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    except OSError:
        return 0.0
    return sum(int(ticks) for ticks in fields[11 : 15 if ended else 13]) / TICKS


@contextmanager
def housed(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[House]:
    """Set everything up without workers, and take it down again."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["TRIO_RUN_DIR"] = str(folder / "run")
    os.environ.pop("REDIS_URL", None)
    log = folder / "requests.jsonl"
    log.unlink(missing_ok=True)
    with staged(
        folder,
        nursery=False,
        exchange=("--log", str(log)),
        settings={**SETTINGS, **(settings or {})},
        production=True,
        worker=False,
    ) as stage:
        from django.conf import settings as django_settings

        django_settings.DEBUG = False  # here as in the processes: queries are not kept
        yield House(stage, log)
