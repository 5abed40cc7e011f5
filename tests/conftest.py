"""What every test stands on: the local servers, a Redis database of its own, a browser that is there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

# Playwright's sync API runs an event loop in the test's thread; Django would refuse the database beside it.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")

REDIS_DATABASE_FIRST = 1  # 0 belongs to a demo that may be running from this checkout
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def pytest_configure(config: pytest.Config) -> None:
    from django.conf import settings

    if settings.EMBEDDED_REDIS:
        from backoffice import embedded

        if not hasattr(config, "workerinput"):
            embedded.ensure()  # once, in the controller: the workers find the servers running
        worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
        url = embedded.redis_url(REDIS_DATABASE_FIRST + int(worker) % 15)
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
    from backoffice import queues

    queue = queues.queue("orders")
    queue.empty()  # type: ignore[no-untyped-call]
    yield queue
    queue.empty()  # type: ignore[no-untyped-call]
