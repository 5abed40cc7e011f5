"""A script asked over kept connections: when its connection breaks, when it is forgotten, when nobody answers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from redis.exceptions import RedisError, ResponseError

from infrastructure import valkey

pytestmark = pytest.mark.django_db  # Valkey is started with the database
COUNT = "return {redis.call('INCRBY', KEYS[1], ARGV[1]), ARGV[2]}"
KEY = "test:script"


@pytest.fixture
def store(settings: Any) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.delete(KEY)
    yield client
    client.delete(KEY)


def test_a_script_is_asked_over_one_connection_whatever_is_in_its_arguments(store: redis.Redis) -> None:
    script = valkey.Script(COUNT)
    for number, word in enumerate(("", "two\r\nlines", "Grüße", "a b"), start=1):
        assert script([KEY], [1, word]) == [number, word.encode()]
    assert len(script._kept) == 1


def test_a_script_that_the_server_has_forgotten_is_sent_whole(store: redis.Redis) -> None:
    script = valkey.Script(COUNT + " -- for this test alone")
    store.script_flush()
    assert [script([KEY], [1, ""])[0] for _ in range(2)] == [1, 2]


def test_a_kept_connection_that_broke_is_replaced(store: redis.Redis) -> None:
    script = valkey.Script(COUNT)
    script([KEY], [1, ""])
    (kept,) = script._kept
    kept._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
    assert script([KEY], [1, ""])[0] == 2
    assert list(script._kept) != [kept]


def test_an_error_of_the_script_leaves_no_connection_in_doubt(store: redis.Redis) -> None:
    script = valkey.Script(COUNT)
    with pytest.raises(ResponseError):
        script([KEY], ["no number", ""])
    assert script([KEY], [1, ""])[0] == 1


def test_threads_do_not_mix(store: redis.Redis) -> None:
    script = valkey.Script(COUNT)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: script([KEY], [1, str(number)]), range(200)))
    assert sorted(count for count, _ in found) == list(range(1, 201))
    assert [word for _, word in found] == [str(number).encode() for number in range(200)]


def test_nobody_there_is_an_error_again_and_again(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.REDIS_URL = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
    script = valkey.Script(COUNT)
    for _ in range(300):  # more than a pool has room for
        with pytest.raises(RedisError):
            script([KEY], [1, ""])
