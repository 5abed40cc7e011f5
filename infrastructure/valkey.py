"""Valkey (or Redis) for decisions that are taken many times a second: connections of little patience, kept."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection
from redis.exceptions import NoScriptError
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


class Script:
    """A Lua script, asked over connections of its own: half the CPU of the same through the client's layers.

    Safe to use from several threads; a forked child begins with no connection.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self._pool = client().connection_pool
        self._kept: deque[AbstractConnection] = deque()
        self._process = os.getpid()

    def __call__(self, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        """Run it. Raises RedisError. It may run twice when a kept connection breaks: then once more, over a new one."""
        if self._process != os.getpid():
            self._kept, self._process = deque(), os.getpid()
        try:
            kept = self._kept.pop()
        except IndexError:
            kept = None
        if kept is not None:
            try:
                return self._ask(kept, keys, args)
            except redis.ConnectionError:
                pass
        # Not the pool's: it would count those that broke, too, and one day refuse.
        return self._ask(self._pool.connection_class(**self._pool.connection_kwargs), keys, args)

    def _ask(self, connection: AbstractConnection, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        try:
            try:
                answer = _asked(connection, "EVALSHA", self._digest, len(keys), *keys, *args)
            except NoScriptError:
                answer = _asked(connection, "EVAL", self._text, len(keys), *keys, *args)
        except BaseException:  # whatever it was, half an answer may be under way
            connection.disconnect()  # type: ignore[no-untyped-call]
            raise
        self._kept.append(connection)
        return answer


def _asked(connection: AbstractConnection, *words: str | int) -> Any:
    connection.send_packed_command(_packed(words), check_health=False)  # type: ignore[no-untyped-call]
    return connection.read_response()


def _packed(words: Sequence[str | int]) -> list[bytes]:
    encoded = [str(word).encode() for word in words]
    return [b"*%d\r\n%b" % (len(encoded), b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded))]
