"""Django's database on the local server comes into being with the first connection."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.unit.backoffice.test_settings import GOOD
from tests.unit.processes import bare_environment, run, until

HEAL = """
import os, signal
import django
django.setup()
from django.db import connection, close_old_connections
from django.db.utils import OperationalError, InterfaceError
from local_servers import manager
def one():
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        return cursor.fetchone()[0]
print(one())
os.kill(int((manager.run_dir() / "postgres.pid").read_text()), signal.SIGKILL)
while True:  # a session may outlive its server by a moment
    try:
        one()
    except (OperationalError, InterfaceError):
        break
close_old_connections()
print(one())
"""

RING = """
import os, signal
import django
django.setup()
from infrastructure import job_queue; from local_servers import manager
job_queue.ring(print, 1)
os.kill(int((manager.run_dir() / "valkey.pid").read_text()), signal.SIGKILL)
job_queue.ring(print, 2)
print(job_queue.queue().count)
"""


def test_the_doorbell_rings_again_right_after_valkey_was_killed() -> None:
    # Given a run folder without anything in it
    folder = Path(tempfile.mkdtemp(prefix="trio-test-"))
    environment = bare_environment(
        **GOOD, TRIO_RUN_DIR=str(folder / "run"), DJANGO_SETTINGS_MODULE="backoffice.settings"
    )

    # When one process rings, kills Valkey and rings again
    done = run("-c", RING, environment=environment)

    # Then both jobs are there: the first was on disk, the second found a mended server
    assert (done.stdout.strip(), done.returncode) == ("2", 0), done.stderr
    until("the servers are gone", lambda: not (folder / "run" / "keeper.pid").exists())
    shutil.rmtree(folder)


def test_the_database_is_made_once_and_comes_back_after_a_kill() -> None:
    # Given a run folder without anything in it
    folder = Path(tempfile.mkdtemp(prefix="trio-test-"))
    environment = bare_environment(
        **GOOD, TRIO_RUN_DIR=str(folder / "run"), DJANGO_SETTINGS_MODULE="backoffice.settings"
    )

    # When one process uses the ORM, kills PostgreSQL and goes on
    done = run("-c", HEAL, environment=environment)

    # Then both times it was served
    assert (done.stdout.split(), done.returncode) == (["trio", "trio"], 0), done.stderr
    until("the servers are gone", lambda: not (folder / "run" / "keeper.pid").exists())
    shutil.rmtree(folder)
