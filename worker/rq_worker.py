"""The RQ worker: warm connections, JSON jobs only, and it outlives a lost database connection."""

from __future__ import annotations

import gc
from typing import Any

from django.conf import settings
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer
from rq.worker import SimpleWorker

from accounts.gateways import prepare
from infrastructure.connections import connection_look_after
from local_servers import manager


class DjangoWorker(SimpleWorker):
    """Run jobs in this process. A fork for each would cost its TLS handshake with the exchange."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if settings.EMBEDDED_REDIS or settings.EMBEDDED_DATABASE:
            manager.ensure()  # Redis is touched before the database, whose backend would do it
        import orders.placement.service  # noqa: F401  # loaded now, not by the first job

        prepare()
        # rqworker defaults to pickle whatever the queue says. A pickled job can run anything: it is refused.
        super().__init__(*args, **(kwargs | {"serializer": JSONSerializer}))

    def work(self, *args: Any, **kwargs: Any) -> bool:
        gc.freeze()  # what is loaded now stays: no full collection walks through it between two orders
        return super().work(*args, **kwargs)

    def execute_job(self, job: Job, queue: Queue) -> None:
        connection_look_after()
        super().execute_job(job, queue)
