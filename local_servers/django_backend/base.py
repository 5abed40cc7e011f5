"""Django's PostgreSQL backend on the local server: whoever connects first starts it.

Our own code connects as a role that is no superuser: what reads or writes rows can neither run programs on this
machine (``COPY … FROM PROGRAM``) nor read its files. ``postgres``, which can, makes that role and hands over to it
what an earlier version made; nothing else connects as it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg2
from django.db.backends.postgresql import base
from psycopg2 import errors, sql

from local_servers import manager

ATTEMPTS: Final = 4
SUPERUSER: Final = "postgres"
ONE_AT_A_TIME: Final = 7_210_601  # an advisory lock of our own
CANNOT_LOG_IN: Final = (f'role "{manager.ROLE}" does not exist', f'role "{manager.ROLE}" is not permitted')
# What an earlier version made belongs to the superuser, and only an owner may change or drop it.
# (Not REASSIGN OWNED: that refuses what belongs to the first role of a server.)
HAND_OVER: Final = """
    DO $$
    DECLARE command text;
    BEGIN
        FOR command IN
            SELECT format('ALTER %%s %%s OWNER TO %(role)s',
                          CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                                       ELSE 'TABLE' END,
                          pg_class.oid::regclass)
            FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
              AND relowner <> '%(role)s'::regrole
              AND NOT EXISTS (  -- a column's sequence follows its table
                  SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid
                  AND refobjsubid > 0 AND deptype IN ('a', 'i'))
            UNION ALL
            SELECT format('ALTER ROUTINE %%s OWNER TO %(role)s', oid::regprocedure)
            FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proowner <> '%(role)s'::regrole
        LOOP
            EXECUTE command;
        END LOOP;
    END $$
"""


class DatabaseWrapper(base.DatabaseWrapper):
    """Start or restart the local servers before each new connection; make our role and database once."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        wanted = conn_params.get("dbname") or conn_params.get("database")
        for _ in range(ATTEMPTS - 1):
            manager.ensure("postgres")
            try:
                return super().get_new_connection(conn_params)
            except psycopg2.OperationalError as error:
                said = str(error)
            if any(words in said for words in CANNOT_LOG_IN):
                make_role()
            elif "does not exist" not in said:
                continue  # it died between its answer to ensure() and now: start it again
            elif wanted == manager.DATABASE:
                create_database(manager.DATABASE)
            else:
                break
        manager.ensure("postgres")
        return super().get_new_connection(conn_params)


def create_database(name: str) -> None:
    """Create a database of ours on the local server. Two at once is no error."""
    make_role()
    with (
        _connected(manager.ROLE, SUPERUSER) as cursor,
        suppress(errors.DuplicateDatabase, errors.UniqueViolation),
    ):
        cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def make_role() -> None:
    """Make the role we work with, and hand over to it what an earlier version made as superuser.

    It may log in only when all is handed over, so that a hand-over that was cut short is done again.
    """
    with as_superuser() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s AND rolcanlogin", [manager.ROLE])
        if cursor.fetchone() is not None:
            return  # somebody else was quicker
        with suppress(errors.DuplicateObject):
            cursor.execute(f"CREATE ROLE {manager.ROLE} NOLOGIN")
        cursor.execute(
            "SELECT datname FROM pg_database WHERE datallowconn AND datname <> ALL (%s)",
            [["postgres", "template1"]],
        )
        for (name,) in cursor.fetchall():
            with _connected(SUPERUSER, name) as inside:
                inside.execute(HAND_OVER % {"role": manager.ROLE})
            cursor.execute(
                sql.SQL("ALTER DATABASE {} OWNER TO {}").format(
                    sql.Identifier(name), sql.Identifier(manager.ROLE)
                )
            )
        cursor.execute(
            f"ALTER ROLE {manager.ROLE} NOSUPERUSER NOCREATEROLE NOREPLICATION NOBYPASSRLS CREATEDB LOGIN"
        )


@contextmanager
def as_superuser() -> Iterator[Any]:
    """Give a cursor of the role that may do everything, to one caller at a time. For upkeep, not for rows."""
    with _connected(SUPERUSER, SUPERUSER) as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [ONE_AT_A_TIME])  # until the connection is closed
        yield cursor


@contextmanager
def _connected(user: str, database: str) -> Iterator[Any]:
    connection = psycopg2.connect(host=str(manager.sockets_dir()), user=user, dbname=database)
    try:
        connection.autocommit = True  # CREATE DATABASE refuses to run in a transaction
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()
