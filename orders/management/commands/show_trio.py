"""Show a trio and its orders."""

from __future__ import annotations

from typing import Any

from accounts.cli import CommandResult
from orders.cli.commands import VerbCommand, trio_get
from orders.cli.wait import Baseline


class Command(VerbCommand):
    help = (
        "Show where a trio stands: its state, result, reason, and with --json every order of it. With --wait:"
        " once it has ended, asks a person, or rests. Example: manage.py show_trio 12 --json"
    )

    def run(self, **options: Any) -> CommandResult:
        trio = trio_get(options["trio"])
        return self.outcome(trio.pk, options, since=Baseline(event=Baseline.of(trio).event))
