"""Who is asking to sign in, and when it has been tried too often."""

from __future__ import annotations

from typing import Any, Final

from axes.attempts import get_cool_off_threshold
from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import Sum
from django.http import HttpRequest

NAME_MAX: Final = 150  # of Django's user names: a longer one is nobody's
TOO_LONG: Final = f"A user name has at most {NAME_MAX} characters: nobody has the one that was sent. Go back and type yours."
ADDRESS_FAILURES_MAX: Final = 20  # from one address, whatever the names


def name_tried(request: HttpRequest, credentials: dict[str, Any] | None) -> str:
    """Return the name that is tried, no longer than a name may be."""
    given = (credentials or request.POST).get("username") or ""
    return str(given).replace("\0", "")[: NAME_MAX + 1]


def is_nobodys(request: HttpRequest) -> bool:
    """Is the name that is tried too long to be anybody's?"""
    return request.method == "POST" and len(request.POST.get("username") or "") > NAME_MAX


class LoginLimits(AxesDatabaseHandler):  # type: ignore[misc]  # axes ships no types
    """Axes' limit by name and address together, and one by address alone: one password tried on many names."""

    def get_failures(self, request: Any, credentials: dict[str, Any] | None = None) -> int:
        failures: int = super().get_failures(request, credentials)
        tried = AccessAttempt.objects.filter(
            ip_address=request.axes_ip_address, attempt_time__gte=get_cool_off_threshold(request)
        ).aggregate(Sum("failures_since_start"))["failures_since_start__sum"]
        return (
            max(failures, settings.AXES_FAILURE_LIMIT) if (tried or 0) >= ADDRESS_FAILURES_MAX else failures
        )
