"""Which address a request came from, as far as that can be known."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest


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
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:  # with a port, as some proxies write it
        host = host.partition(":")[0]
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
