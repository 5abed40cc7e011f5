"""Django's PostgreSQL backend on the local server: whoever connects first starts it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import psycopg2
from django.db.backends.postgresql import base
from psycopg2 import errors

from local_servers import manager

ATTEMPTS: Final = 3


class DatabaseWrapper(base.DatabaseWrapper):
    """Start or restart the local servers before each new connection; make our database once."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        wanted = conn_params.get("dbname") or conn_params.get("database")
        for _ in range(ATTEMPTS - 1):
            manager.ensure("postgres")
            try:
                return super().get_new_connection(conn_params)
            except psycopg2.OperationalError as error:
                if "does not exist" not in str(error):
                    continue  # it died between its answer to ensure() and now: start it again
                if wanted != manager.DATABASE:
                    raise
            create_database(manager.DATABASE)
        manager.ensure("postgres")
        return super().get_new_connection(conn_params)


def create_database(name: str) -> None:
    """Create a database on the local server. Two at once is no error."""
    connection = psycopg2.connect(host=str(manager.sockets_dir()), user="postgres", dbname="postgres")
    try:
        connection.autocommit = True  # CREATE DATABASE refuses to run in a transaction
        with connection.cursor() as cursor, suppress(errors.DuplicateDatabase, errors.UniqueViolation):
            cursor.execute(f'CREATE DATABASE "{name}"')
    finally:
        connection.close()
