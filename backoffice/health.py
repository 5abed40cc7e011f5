"""Whether this installation is well, for people (the dashboard) and machines (/healthz, /metrics)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError, connection
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

from accounts.models import EgressLimits
from accounts.rate_budget import addresses_closed
from infrastructure import job_queue as redis_queues
from infrastructure.connections import database_silent
from local_servers.manager import EmbeddedServersError
from notices.selectors import delivery_problems
from orders.models import Heartbeat, TrioOrder
from orders.selectors import unprotected_sentence

HEALTH_PATH: Final = "/healthz"
QUEUE_SILENT: Final = (
    "The queue (Redis, Valkey) does not answer: nothing new is placed until it is back, what is open goes on."
)
NO_WORKER: Final = "No runworker is alive: nobody watches what is open."
BEAT_FRESH: Final = timedelta(seconds=10)  # older than that, a runworker counts as dead
BEAT_LATE: Final = timedelta(seconds=3)  # it beats four times a second: older than that, people are told


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when database and Redis answer, a runworker lives and the exchange serves us, 503 otherwise.

    ``problems`` names each that does not, in a sentence; ``degraded`` says who bars an address of ours, and until when;
    ``unprotected`` names the trios that a person has left without a stop for a time, which is no trouble of ours;
    ``uncovered`` names those whose position has no acknowledged stop now, whatever the cause: workers are at it;
    ``notices`` says which people cannot be told.
    """
    database = _database_problem()
    report: dict[str, Any] = {
        "database": not database,
        "redis": redis_queues.answering(),
        "worker": False,
    }
    problems = [database] if database else []
    if not report["redis"]:
        problems.append(QUEUE_SILENT)
    report["last_heartbeat"] = None
    if report["database"]:
        beats = heartbeats()
        if beats:
            report["worker"] = beats[0]["alive"]
            report["last_heartbeat"] = beats[0]["beat"].isoformat()
        if not report["worker"]:
            problems.append(NO_WORKER)
        problems += sorted({beat["note"] for beat in beats if beat["alive"] and beat["note"]})
    report["degraded"] = [
        {
            "environment": row.environment,
            "address": row.egress,
            "cause": row.closed_cause,
            "until": row.closed_until,
            "message": row.closure,
        }
        for row in (closures() if report["database"] else ())
    ]
    report["unprotected"] = [
        {"trio": trio.pk, "message": unprotected_sentence(trio)}
        for trio in (left_unprotected() if report["database"] else ())
    ]
    report["uncovered"] = uncovered() if report["database"] else []
    # Trading does not depend on it: it is said, and changes neither “ok” nor the status.
    report["notices"] = notice_problems() if report["database"] else []
    report["problems"] = problems
    report["ok"] = not (problems or report["degraded"])
    return JsonResponse(report, status=200 if report["ok"] else 503)


class HealthDoor:
    """Answer ``/healthz`` before anything looks at the name or the scheme it was asked by, or at a session."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return healthz(request) if request.path == HEALTH_PATH else self.get_response(request)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Export Prometheus metrics to staff only: they tell how much is traded."""
    if not (request.user.is_active and request.user.is_staff):
        raise PermissionDenied("Metrics are for staff: sign in first.")
    from django_prometheus.exports import ExportToDjangoView

    answer: HttpResponse = ExportToDjangoView(request)
    return answer


def heartbeats() -> list[dict[str, Any]]:
    """Return ``[{"name", "beat", "alive", "late", "note"}]``, newest first; empty when no worker ever ran."""
    try:
        # Beats are the database's time, so their age is asked there as well.
        rows = list(Heartbeat.objects.annotate(asked_at=Now()).order_by("-beat")[:50])
    except DatabaseError:
        return []
    return [
        {
            "name": str(row),
            "beat": row.beat,
            "alive": row.asked_at - row.beat < BEAT_FRESH,
            "late": row.asked_at - row.beat >= BEAT_LATE,
            "note": row.note,
        }
        for row in rows
    ]


def closures() -> list[EgressLimits]:
    """Return the addresses that the exchange does not serve at present."""
    try:
        return addresses_closed()
    except DatabaseError:
        return []


def left_unprotected() -> list[TrioOrder]:
    """Return the trios that a person has left unprotected for a time."""
    try:
        return list(TrioOrder.objects.filter(holds_slot=True, outside__has_key="unprotected").order_by("id"))
    except DatabaseError:
        return []


def uncovered() -> list[int]:
    """Return the trios whose position has no acknowledged stop at present, as far as is known."""
    rows = TrioOrder.objects.filter(holds_slot=True, uncovered_known_at__isnull=False)
    try:
        return list(rows.order_by("id").values_list("id", flat=True))
    except DatabaseError:
        return []


def notice_problems() -> list[str]:
    """Return which people cannot be told at present, and why, in sentences."""
    try:
        return delivery_problems()
    except DatabaseError:
        return []


def queues() -> list[dict[str, Any]]:
    """Return ``[{"name", "waiting"}]``; ``waiting`` is None when Redis does not answer."""
    found: list[dict[str, Any]] = []
    for name in redis_queues.names():
        try:
            waiting: int | None = redis_queues.queue(name).count
        except (RedisError, EmbeddedServersError):
            waiting = None
        found.append({"name": name, "waiting": waiting})
    return found


def _database_problem() -> str:
    """Return why the database does not answer; empty when it does."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError, EmbeddedServersError) as error:
        return database_silent(error)
    return ""
