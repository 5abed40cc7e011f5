"""Jobs are JSON and hold ids only; what is pickled is refused unread; a dead Redis fails nobody."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django_rq import get_queue
from django_rq.workers import get_worker
from rq.job import JobStatus
from rq.serializers import PickleSerializer

from infrastructure import job_queue

pytestmark = pytest.mark.django_db(transaction=True)


def write(path: str, number: int) -> None:
    """A job for these tests."""
    Path(path).write_text(str(number))


def lose_connection() -> None:
    """A job after which the database connection is dead."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def ask() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 7")
        return int(cursor.fetchone()[0])


class Bomb:
    """Unpickled, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def work() -> None:
    get_worker("orders", worker_class="worker.rq_worker.DjangoWorker").work(burst=True, logging_level="ERROR")


def test_a_doorbell_rings_after_the_commit_and_is_answered(redis_queue: Any, tmp_path: Path) -> None:
    # Given a transaction that rings
    target = tmp_path / "answer"
    with transaction.atomic():
        job_queue.ring(write, str(target), 3)
        assert redis_queue.count == 0, "nothing may be rung for before it is committed"
    assert redis_queue.count == 1

    # When a worker comes, then the job is done
    work()
    assert target.read_text() == "3"


def test_a_pickled_job_is_refused_unread(redis_queue: Any, tmp_path: Path) -> None:
    # Given a job that runs something as soon as it is unpickled
    target = tmp_path / "exploded"
    assert pickle.dumps(Bomb(target))
    pickling = get_queue("orders", commit_mode="auto", serializer=PickleSerializer)
    job = pickling.enqueue(write, Bomb(target), 1)

    # When a worker meets it
    work()

    # Then nothing was run, and the job failed
    assert not target.exists()
    assert job.get_status() is JobStatus.FAILED


def test_the_next_job_gets_a_new_database_connection(redis_queue: Any) -> None:
    redis_queue.enqueue(lose_connection)
    job = redis_queue.enqueue(ask, result_ttl=60)

    work()

    assert job.get_status() is JobStatus.FINISHED
    assert job.return_value() == 7


def test_a_dead_redis_fails_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Given a Redis that is not there
    monkeypatch.setattr(settings, "REDIS_URL", f"unix://{tmp_path / 'nothing.sock'}")
    monkeypatch.setattr(job_queue._connections, "redis", None, raising=False)

    # When somebody rings, then the commit stands and nothing is raised
    with transaction.atomic():
        job_queue.ring(write, str(tmp_path / "x"), 3)
    assert not job_queue.answering()
    monkeypatch.setattr(job_queue._connections, "redis", None, raising=False)
