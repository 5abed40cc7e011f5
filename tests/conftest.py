"""What every test stands on: the local servers, a Redis database of its own, a browser that is there."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pure import are_all_pure

# Playwright's sync API runs an event loop in the test's thread; Django would refuse the database beside it.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")

BERTHS = range(1, 16)  # numbered databases of the local Redis; 0 belongs to a demo that may be running
# Plugins that cost every start half a second each, and that pyproject.toml therefore keeps from loading themselves.
FOR_SOME = ("_hypothesis_pytestplugin", "pytest_playwright.pytest_playwright")
KEPT = {"django_content_type", "auth_permission"}  # Django makes them anew after each emptying, row by row
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


_berths: list[int] = []  # descriptors whose locks the kernel drops when this process ends


def take_berth(run: Path) -> int:
    """Take a number nobody else tests with now, so that suites may run side by side in one checkout."""
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
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


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Set Django up, unless only pure tests are asked for: those start at once.

    Here and not in the ini file, which knows no exception; and now, before the rooms' conftests import models.
    The settings bring their own keys: ``pytest`` needs no .env.
    """
    config = pluginmanager.getplugin("pytestconfig")
    assert isinstance(config, pytest.Config)
    if are_all_pure(config.known_args_namespace.file_or_dir):
        return
    for plugin in FOR_SOME:
        pluginmanager.import_plugin(plugin)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")  # xdist's workers inherit it
    import django

    django.setup()


def pytest_configure(config: pytest.Config) -> None:
    if "DJANGO_SETTINGS_MODULE" not in os.environ:
        return
    from django.conf import settings

    if settings.EMBEDDED_REDIS:
        from local_servers import manager

        if _hands_out(config):
            try:
                manager.ensure()  # once, before the workers: a complaint is said once
            except manager.EmbeddedServersError as error:
                raise pytest.UsageError(str(error)) from error
            return  # its workers test, each in a berth of its own
        # A process that tests alone starts the servers with its first connection, if it makes any.
        berth = take_berth(manager.run_dir())
        url = manager.redis_url(berth)
        if settings.EMBEDDED_DATABASE:
            from django.db import connections

            connections.settings["default"]["TEST"]["NAME"] = f"test_{manager.DATABASE}_{berth}"
            _empty_tables_quickly()
        settings.REDIS_URL = os.environ["REDIS_URL"] = url  # processes started by a test use it too
        for queue in settings.RQ_QUEUES.values():
            queue["URL"] = url


def _empty_tables_quickly() -> None:
    """Delete the few rows a test leaves: TRUNCATE makes fifty files anew on disk, which takes thirty times as long.

    Keys and triggers do not look on, as with TRUNCATE; that takes a privilege that only tests give our role.
    """
    from django.db.backends.postgresql.operations import DatabaseOperations
    from django.db.backends.signals import connection_created

    connection_created.connect(_may_silence_triggers)

    truncate = DatabaseOperations.sql_flush

    def sql_flush(self: Any, style: Any, tables: Any, **options: Any) -> list[str]:
        if options.get("reset_sequences"):
            return truncate(self, style, tables, **options)
        deletes = [f"DELETE FROM {self.quote_name(table)}" for table in tables if table not in KEPT]
        return ["SET LOCAL session_replication_role = replica", *deletes]

    DatabaseOperations.sql_flush = sql_flush  # type: ignore[method-assign]


def _may_silence_triggers(connection: Any, **_: Any) -> None:
    """Give our role that privilege, once in the life of a server."""
    from django.db.backends.signals import connection_created

    from local_servers import manager
    from local_servers.django_backend import base

    with connection.connection.cursor() as cursor:  # past Django, which counts statements for some tests
        cursor.execute("SELECT has_parameter_privilege('session_replication_role', 'SET')")
        (granted,) = cursor.fetchone()
    if not granted:
        with base.as_superuser() as cursor:
            cursor.execute(f"GRANT SET ON PARAMETER session_replication_role TO {manager.ROLE}")
    connection_created.disconnect(_may_silence_triggers)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Use the system's Chromium; Playwright's own is not downloaded."""
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("Chromium is not installed: apt-get install --no-install-recommends chromium")
    return {**browser_type_launch_args, "executable_path": path, "args": ["--disable-dev-shm-usage"]}


@pytest.fixture(scope="session")
def base_url() -> None:
    """Give none: a page's address is the live server's. Playwright's own fixture comes only with an early start."""


@pytest.fixture
def redis_queue() -> Iterator[Any]:
    """Give an empty ``orders`` queue; what the test left there is taken away again."""
    from infrastructure import job_queue

    queue = job_queue.queue("orders")
    queue.empty()  # type: ignore[no-untyped-call]
    yield queue
    queue.empty()  # type: ignore[no-untyped-call]
