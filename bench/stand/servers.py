"""PostgreSQL and Valkey for one benchmark alone, and keys that nobody else uses."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def own_servers() -> Iterator[None]:
    """Have this process use servers and keys of its own; to be entered before Django reads its settings."""
    folder = tempfile.mkdtemp(prefix="bench-")
    os.environ |= {
        "TRIO_RUN_DIR": folder,
        "ENV_FILE": "",
        "DEBUG": "true",  # servers from packages
        "DATABASE_URL": "",
        "POSTGRES_DSN": "",
        "REDIS_URL": "",
        "SECRET_KEY": "bench-only-5f0d2c8a9e3b7146-never-use-elsewhere",
        "CREDENTIALS_MASTER_KEY": "bench-only-1a7e4d9c2f6b8035-never-use-elsewhere",
        "DJANGO_SETTINGS_MODULE": "backoffice.settings",
    }
    from local_servers import manager

    try:
        yield
    finally:
        manager.stop()
        shutil.rmtree(folder, ignore_errors=True)
