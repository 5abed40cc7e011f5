"""The doorbell: enqueue an RQ job after the commit, so that work starts at once. A dead Redis raises nothing here."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import redis
from django.conf import settings
from django.db import transaction
from django_rq import get_queue
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisError, TimeoutError
from redis.retry import Retry
from rq.queue import Queue

from local_servers import manager

logger = logging.getLogger(__name__)
_connections = threading.local()
Job = Callable[..., Any] | str  # or its dotted path, where the caller must not know the room


def names() -> list[str]:
    """Return the names of our queues."""
    return list(settings.RQ_QUEUES)


def connection() -> redis.Redis:
    """Return this thread's connection. Its timeouts are short, because a page is waiting."""
    found: redis.Redis | None = getattr(_connections, "redis", None)
    if found is None:
        if settings.EMBEDDED_REDIS:
            manager.ensure("valkey")
        found = redis.Redis.from_url(
            settings.REDIS_URL,
            socket_connect_timeout=0.5,
            socket_timeout=0.5,
            # One retry, at once, for a connection that Redis has closed meanwhile. The default waits for seconds.
            retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
        )
        _connections.redis = found
    return found


def queue(name: str = "orders") -> Queue:
    """Return a queue that enqueues at once, on this thread's connection."""
    return get_queue(name, commit_mode="auto", connection=connection())


def answering() -> bool:
    """Return whether Redis answers."""
    try:
        return bool(connection().ping())
    except (RedisError, manager.EmbeddedServersError):
        return False


def ring(job: Job, *arguments: int | str, queue_name: str = "orders") -> None:
    """Enqueue a job once the transaction under way commits. A dead Redis is logged, never raised.

    A job carries ids and short strings only. The work itself is in the database, where runworker finds it without a job.
    """
    ring_all(job, [arguments], queue_name=queue_name)


def ring_all(job: Job, calls: Sequence[tuple[int | str, ...]], *, queue_name: str = "orders") -> None:
    """Enqueue a job for each of these arguments, in one round trip, once the transaction under way commits.

    A dead Redis is logged, never raised.
    """

    def enqueue() -> None:
        try:
            try:
                _enqueue(job, calls, queue_name)
            except RedisError as error:
                # One that listens and says nothing is not started again: nobody waits for it.
                if not settings.EMBEDDED_REDIS or isinstance(error, TimeoutError):
                    raise
                manager.ensure("valkey")  # our own server: start it again
                _enqueue(job, calls, queue_name)
        except (RedisError, OSError, manager.EmbeddedServersError) as error:
            logger.warning("No answer from the queue (%s); runworker finds the work.", type(error).__name__)

    transaction.on_commit(enqueue, robust=True)


def _enqueue(job: Job, calls: Iterable[tuple[int | str, ...]], queue_name: str) -> None:
    function: Any = job
    jobs = [Queue.prepare_data(function, args, result_ttl=0, failure_ttl=86_400) for args in calls]
    queue(queue_name).enqueue_many(jobs)
