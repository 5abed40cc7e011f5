"""Waiting, and trying again: the demo's servers may be killed under it, and come back within seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, close_old_connections

from local_servers.manager import EmbeddedServersError

T = TypeVar("T")
RETRY_SECONDS = 90.0  # a busy machine starts slowly


class DemoFailed(Exception):
    """The demo cannot go on; the text says what is wrong and where to look."""


def retrying(what: Callable[[], T], *, seconds: float = RETRY_SECONDS) -> T:
    """Do something, again while a server is down. Raises DemoFailed when it stays down."""
    deadline = time.monotonic() + seconds
    while True:
        close_old_connections()
        try:
            return what()
        except (OperationalError, InterfaceError, EmbeddedServersError, OSError) as error:
            if time.monotonic() > deadline:
                raise DemoFailed(
                    f"A server did not come back within {seconds:.0f} s ({type(error).__name__}). "
                    "The logs are in .run/logs."
                ) from error
            time.sleep(0.2)


def wait_for(what: Callable[[], Any], failure: str, *, seconds: float = RETRY_SECONDS) -> Any:
    """Return what ``what`` finds. Raises DemoFailed with ``failure`` when it finds nothing in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := retrying(what):
            return found
        time.sleep(0.05)
    raise DemoFailed(failure)
