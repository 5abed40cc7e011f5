"""Who is asking to sign in, and when it has been tried too often."""

from __future__ import annotations

import ipaddress
from typing import Any, Final

from axes.attempts import get_cool_off_threshold
from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import Sum
from django.http import HttpRequest

NAME_MAX: Final = 150  # of Django's user names: a longer one is nobody's
ADDRESS_FAILURES_MAX: Final = 20  # from one address, whatever the names


def client_address(request: HttpRequest) -> str:
    """Return the address the request came from: the peer's, or what ``TRUSTED_PROXIES`` say of those before them.

    Each proxy appends the address it was asked by. From the right, the first one that is not a trusted proxy
    is the client; whatever stands left of it was said by the client itself.
    """
    peer = str(request.META.get("REMOTE_ADDR", ""))
    for address in reversed([*str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(","), peer]):
        found = _address(address)
        if found is None:
            break
        peer = str(found)
        if not any(found in network for network in settings.TRUSTED_PROXIES):
            break
    return peer


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def name_tried(request: HttpRequest, credentials: dict[str, Any] | None) -> str:
    """Return the name that is tried, no longer than a name may be."""
    given = (credentials or request.POST).get("username") or ""
    return str(given).replace("\0", "")[: NAME_MAX + 1]


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
