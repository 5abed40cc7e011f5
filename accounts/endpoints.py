"""The addresses of each environment, and the adapter mounted under its clients, if any."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from django.conf import settings

from exchange.types import Endpoints

if TYPE_CHECKING:
    from requests.adapters import BaseAdapter

_lock = threading.Lock()
_transports: dict[str, BaseAdapter] = {}


def stream_endpoints(environment: str) -> Endpoints:
    """Return the environment's addresses: REST, stream root, SAPI."""
    endpoints: Endpoints = settings.BINANCE_URLS[str(environment)]
    return endpoints


def use_transport(environment: str, adapter: BaseAdapter | None) -> None:
    """Mount an adapter under every client of an environment (the in-process simulator); None unmounts."""
    with _lock:
        if adapter is None:
            _transports.pop(str(environment), None)
        else:
            _transports[str(environment)] = adapter


def transport(environment: str) -> BaseAdapter | None:
    """Return the adapter mounted for an environment, if any."""
    return _transports.get(str(environment))
