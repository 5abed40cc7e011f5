"""Valkey (or Redis) for decisions that are taken many times a second: a pool of connections of little patience."""

from __future__ import annotations

import threading
from typing import Final

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

PATIENCE_SECONDS: Final = 0.1
_lock = threading.Lock()
_clients: dict[str, redis.Redis] = {}


def client() -> redis.Redis:
    """Return this process's client. It starts no server: who cannot wait for an answer cannot wait for that."""
    url = settings.REDIS_URL
    with _lock:
        if url not in _clients:
            _clients[url] = redis.Redis.from_url(
                url,
                socket_connect_timeout=PATIENCE_SECONDS,
                socket_timeout=PATIENCE_SECONDS,
                # Once more at once, for a connection that the server has closed meanwhile.
                retry=Retry(NoBackoff(), 1),
            )
        return _clients[url]
