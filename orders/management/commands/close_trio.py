"""Close a trio at market."""

from __future__ import annotations

from typing import Any

from accounts.cli import CommandResult
from accounts.operators import os_operator
from orders.cli.commands import VerbCommand, trio_get
from orders.cli.wait import Baseline
from orders.services import trio_close


class Command(VerbCommand):
    help = (
        "Close a trio at market: the position is closed, the unfilled part is cancelled, and nothing of it is"
        " left on the exchange. With --wait: until it has ended. Example: manage.py close_trio 12 --wait 30"
    )

    def run(self, **options: Any) -> CommandResult:
        self.refuse_on_a_copy()
        since = Baseline.of(trio_get(options["trio"]))
        trio = trio_close(trio_id=options["trio"], by=os_operator())
        if not trio.is_over:
            self.warn_if_nobody_acts()
        return self.outcome(trio.pk, options, since=since)
