"""Which installation this is: four characters in every client id, bound to one database server."""

from __future__ import annotations

import secrets
from functools import lru_cache

from django.db import connection, transaction

from infrastructure.rows import Read
from orders.domain.client_ids import DIGITS
from orders.domain.errors import TrioRefused
from orders.models import Install

INSTALL = Read(Install, "SELECT {install} FROM orders_install install ORDER BY id")


def system_identifier() -> str:
    """Return PostgreSQL's own mark, which a restored copy on another server does not share."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT system_identifier FROM pg_control_system()")
        (identifier,) = cursor.fetchone()
    return str(identifier)


def install_row() -> Install:
    """Return this installation's row, made on first use."""
    row = INSTALL.first()
    if row is None:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE orders_install IN EXCLUSIVE MODE")
            row = Install.objects.order_by("pk").first() or Install.objects.create(
                token="".join(secrets.choice(DIGITS) for _ in range(4)),
                system_identifier=system_identifier(),
            )
    return row


@lru_cache(maxsize=4)
def _server_identifier(database: str) -> str:
    return system_identifier()


def install_refusal(row: Install | None = None) -> str:
    """Return why this database must not send anything: it is a restored copy. Empty when it may."""
    row = row or Install.objects.order_by("pk").first()
    if row is None or row.system_identifier == _server_identifier(str(connection.settings_dict["NAME"])):
        return ""
    return (
        "This database was restored from another server, which may still be trading: it stays read-only. "
        "If the other one is gone for good, run “manage.py adopt_install”."
    )


def install_adopt() -> Install:
    """Make a restored database this server's own, under a new mark; the old one's orders become foreign."""
    with transaction.atomic():
        row = Install.objects.select_for_update().order_by("pk").first()
        if row is None:
            raise TrioRefused("There is nothing to adopt: no trio was ever placed from this database.")
        row.system_identifier = system_identifier()
        row.token = "".join(secrets.choice(DIGITS) for _ in range(4))
        row.save()
    return row
