"""Make a restored database this server's own."""

from __future__ import annotations

from typing import Any

from accounts.cli import CommandResult
from orders.cli.commands import TrioCommand
from orders.domain.errors import TrioRefused
from orders.installation import install_adopt, install_refusal
from orders.models import Install


class Command(TrioCommand):
    help = (
        "After a backup was restored into another PostgreSQL: let this installation trade, under a new mark in"
        " its client order ids. Only when the server it came from is gone for good, or both would trade the"
        " same accounts. Example: manage.py adopt_install"
    )

    def run(self, **options: Any) -> CommandResult:
        if not install_refusal() and Install.objects.exists():
            raise TrioRefused("This database belongs to this server already: there is nothing to adopt.")
        row = install_adopt()
        return CommandResult(
            {"install": row.token},
            f"This database is this server's own now; its client order ids begin with {row.token}.",
        )
