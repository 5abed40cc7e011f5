"""A PostgreSQL or Valkey that is stopped is named within three seconds; one that is only slow is waited for."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import extensions

from infrastructure.patience import limit_waits
from tests.unit.backoffice.test_settings import GOOD
from tests.unit.processes import bare_environment, run, until

# What it took to fail, and what with, of a process whose database (or queue) is stopped once it is connected.
STORY = """
import os, signal, sys
import subprocess, time
import django
django.setup()
from django.db import connection
from infrastructure import job_queue
from infrastructure.patience import limit_waits
from local_servers import manager
limit_waits()
with connection.cursor() as cursor:
    cursor.execute("SELECT pg_sleep(1.6)")
assert job_queue.answering()
victim = sys.argv[1]
pid = int((manager.run_dir() / f"{victim}.pid").read_text())
children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
family = [pid, *map(int, children)]
for number in family: os.kill(number, signal.SIGSTOP)
try:
    for what in sys.argv[2:]:
        if what == "reconnect": connection.close()
        began, said = time.monotonic(), "answered"
        try:
            if what == "queue":
                assert not job_queue.answering()
            else:
                with connection.cursor() as cursor: cursor.execute("SELECT 1")
        except Exception as error:
            said = str(error)
        print(f"{time.monotonic() - began:.1f} {said.splitlines()[0]}")
finally:
    for number in family: os.kill(number, signal.SIGCONT)
with connection.cursor() as cursor:
    connection.close()
    connection.ensure_connection()
print("back")
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    found = Path(tempfile.mkdtemp(prefix="trio-test-"))
    yield found / "run"
    until("the servers are gone", lambda: not (found / "run" / "keeper.pid").exists())
    shutil.rmtree(found)


def told(folder: Path, *words: str) -> list[tuple[float, str]]:
    environment = bare_environment(
        **GOOD, TRIO_RUN_DIR=str(folder), DJANGO_SETTINGS_MODULE="backoffice.settings"
    )
    done = run("-c", STORY, *words, environment=environment)
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.strip().splitlines()
    assert last == "back"
    return [(float(line.partition(" ")[0]), line.partition(" ")[2]) for line in lines]


def test_a_stopped_postgresql_is_named_within_three_seconds(folder: Path) -> None:
    (first, said), (again, said_again) = told(folder, "postgres", "statement", "reconnect")

    assert "PostgreSQL accepts connections but says nothing" in said
    assert "PostgreSQL accepts connections but says nothing" in said_again
    assert first < 3
    assert again < 3


def test_a_stopped_valkey_is_nobody_elses_fault(folder: Path) -> None:
    (waited, _), (asked, said) = told(folder, "valkey", "queue", "reconnect")

    assert waited < 3
    assert said == "answered"
    assert asked < 3


def test_a_server_that_accepts_and_says_nothing_is_not_waited_for() -> None:
    limit_waits()
    try:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            ends = threading.Timer(8, silent.close)  # who waits all the same waits no longer
            ends.daemon = True
            ends.start()
            began = time.monotonic()
            with pytest.raises(psycopg2.OperationalError, match="says nothing"):
                psycopg2.connect(host="127.0.0.1", port=silent.getsockname()[1], user="x", dbname="x")
            assert time.monotonic() - began < 3
            ends.cancel()
    finally:
        extensions.set_wait_callback(None)
