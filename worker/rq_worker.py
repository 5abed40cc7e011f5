"""The RQ worker: warm connections, no jobs but ours, and it outlives a lost database connection."""

from __future__ import annotations

import gc
import logging
from collections import ChainMap
from collections.abc import Callable
from typing import Any

from django.conf import settings
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer
from rq.worker import SimpleWorker

from accounts.gateways import prepare
from infrastructure.connections import connection_look_after, connections_kept, statements_unlogged
from local_servers import manager
from orders import jobs
from worker import jobs as worker_jobs

logger = logging.getLogger(__name__)


# Nothing else in the queue is run, whoever wrote it there: the worker holds the keys.
OURS: dict[str, Callable[..., Any]] = {"worker.jobs.execute_signal": worker_jobs.execute_signal}
LISTED = ChainMap(OURS, jobs.LISTED)


class JobRefused(Exception):
    """The queue asks for something that is no job of ours."""


class ListedJob(Job):
    """A job that runs what is listed, and nothing else that a line in the queue may name."""

    @property
    def func(self) -> Callable[..., Any]:
        found = None if self.instance else LISTED.get(str(self.func_name))
        if found is None:
            logger.error(
                "The job %s is refused and not run: %r is not one of our jobs.", self.id, self.func_name
            )
            raise JobRefused(f"{self.func_name!r} is not one of our jobs: it was not run.")
        return found

    def restore(self, raw_data: Any) -> None:
        super().restore(raw_data)
        # What else RQ would call or post to around a job. Ours ask for none of it.
        named = (self._success_callback_name, self._failure_callback_name, self._stopped_callback_name)
        if any(named) or self.webhooks:
            logger.error("The job %s names callbacks or webhooks, which ours never do: dropped.", self.id)
        self._success_callback_name = self._failure_callback_name = self._stopped_callback_name = None
        self.webhooks = []


class DjangoWorker(SimpleWorker):
    """Run jobs in this process. A fork for each would cost its TLS handshake with the exchange."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if settings.EMBEDDED_REDIS or settings.EMBEDDED_DATABASE:
            manager.ensure()  # Redis is touched before the database, whose backend would do it
        statements_unlogged()
        connections_kept()
        import orders.placement.service  # noqa: F401  # loaded now, not by the first job

        prepare()
        # rqworker defaults to pickle whatever the queue says. A pickled job can run anything: it is refused.
        super().__init__(*args, **(kwargs | {"serializer": JSONSerializer, "job_class": ListedJob}))
        for queue in self.queues:  # theirs are read too: what a dead worker left, what waits for another
            queue.job_class = ListedJob

    def work(self, *args: Any, **kwargs: Any) -> bool:
        gc.freeze()  # what is loaded now stays: no full collection walks through it between two orders
        return super().work(*args, **kwargs)

    def execute_job(self, job: Job, queue: Queue) -> None:
        connection_look_after()
        super().execute_job(job, queue)
