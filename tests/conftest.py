"""What every test stands on: the local servers, a Redis database of its own, a browser that is there."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Playwright's sync API runs an event loop in the test's thread; Django would refuse the database beside it.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")

BERTHS = range(1, 16)  # numbered databases of the local Redis; 0 belongs to a demo that may be running
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


_berths: list[int] = []  # descriptors whose locks the kernel drops when this process ends


def take_berth(run: Path) -> int:
    """Take a number nobody else tests with now, so that suites may run side by side in one checkout."""
    for number in BERTHS:
        fd = os.open(run / f"tests-{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            continue
        _berths.append(fd)
        return number
    raise pytest.UsageError("Fifteen test processes run in this checkout already: wait for one to end.")


def _hands_out(config: pytest.Config) -> bool:
    """Is this the process that hands the tests out to others?"""
    return not hasattr(config, "workerinput") and getattr(config.option, "dist", "no") != "no"


def pytest_configure(config: pytest.Config) -> None:
    from django.conf import settings

    if settings.EMBEDDED_REDIS:
        from local_servers import manager

        if not hasattr(config, "workerinput"):
            try:
                manager.ensure()  # once, in the controller: the workers find the servers running
            except manager.EmbeddedServersError as error:
                raise pytest.UsageError(str(error)) from error
        if _hands_out(config):
            return  # its workers test, each in a berth of its own; they inherit what is in the environment
        berth = take_berth(manager.run_dir())
        url = manager.redis_url(berth)
        if settings.EMBEDDED_DATABASE:
            from django.db import connections

            connections.settings["default"]["TEST"]["NAME"] = f"test_{manager.DATABASE}_{berth}"
        settings.REDIS_URL = os.environ["REDIS_URL"] = url  # processes started by a test use it too
        for queue in settings.RQ_QUEUES.values():
            queue["URL"] = url


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Use the system's Chromium; Playwright's own is not downloaded."""
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("Chromium is not installed: apt-get install --no-install-recommends chromium")
    return {**browser_type_launch_args, "executable_path": path, "args": ["--disable-dev-shm-usage"]}


@pytest.fixture
def redis_queue() -> Iterator[Any]:
    """Give an empty ``orders`` queue; what the test left there is taken away again."""
    from infrastructure import job_queue

    queue = job_queue.queue("orders")
    queue.empty()  # type: ignore[no-untyped-call]
    yield queue
    queue.empty()  # type: ignore[no-untyped-call]
