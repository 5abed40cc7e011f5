"""Jobs are JSON, hold ids only and are ours; anything else is refused unread; a dead Redis fails nobody."""

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
from rq.callbacks import Callback
from rq.job import UNEVALUATED, JobStatus
from rq.serializers import PickleSerializer
from rq.webhook import Webhook

from infrastructure import job_queue
from orders import jobs

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


def around(*args: Any) -> None:
    """A callback that RQ would call when a job is done."""


OURS = {f"{__name__}.{job.__name__}": job for job in (write, lose_connection, ask)}


@pytest.fixture(autouse=True)
def _jobs_of_these_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, job in OURS.items():
        monkeypatch.setitem(jobs.LISTED, name, job)


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


@pytest.mark.parametrize(
    "name", ["os.mkdir", "pathlib.Path.mkdir", "orders.jobs.TrioOrder", "django.core.management.call_command"]
)
def test_nothing_but_our_own_jobs_is_run(
    redis_queue: Any, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a line in the queue that names something else that can be called
    target = tmp_path / "made"
    job = redis_queue.enqueue(name, str(target))

    # When a worker meets it
    work()

    # Then it is not run, fails, and the log says so
    assert not target.exists()
    assert job.get_status() is JobStatus.FAILED
    assert f"{name!r} is not one of our jobs" in caplog.text


def test_nothing_around_a_job_of_ours_is_run(
    redis_queue: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a job of ours with a callback, a webhook and, another one, an instance whose method it names
    called: list[Any] = []
    monkeypatch.setattr(Webhook, "send", lambda *args, **options: called.append(args))
    monkeypatch.setattr(f"{__name__}.around", lambda *args: called.append(args))
    hooks = [
        Webhook("http://127.0.0.1:9/finished", "finished"),
        Webhook("http://127.0.0.1:9/failed", "failed"),
    ]
    back = Callback(f"{__name__}.around")
    fine = redis_queue.enqueue(
        write, str(tmp_path / "answer"), 3, on_success=back, on_failure=back, webhooks=hooks, result_ttl=60
    )
    fails = redis_queue.enqueue(write, str(tmp_path), 3, on_failure=back, webhooks=hooks)
    with_instance = redis_queue.enqueue(ask)
    with_instance._instance, with_instance._func_name = "text", f"{__name__}.ask"
    with_instance._data = UNEVALUATED
    with_instance.save()

    # When a worker meets them
    work()

    # Then ours ran, and nothing else did
    assert fine.get_status() is JobStatus.FINISHED
    assert (fails.get_status(), with_instance.get_status()) == (JobStatus.FAILED, JobStatus.FAILED)
    assert called == []
    assert "names callbacks or webhooks" in caplog.text


def test_the_list_holds_what_is_rung_for() -> None:
    assert set(jobs.LISTED) - set(OURS) == {
        "orders.jobs.place",
        "orders.jobs.advance",
        "orders.jobs.sync_symbols",
    }


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
