"""Cancel the unfilled part of a trio."""

from __future__ import annotations

from typing import Any

from accounts.cli import CommandResult
from accounts.operators import os_operator
from orders.cli.commands import VerbCommand, trio_get
from orders.cli.wait import Baseline
from orders.services import trio_cancel


class Command(VerbCommand):
    help = (
        "Cancel the unfilled part of a trio. The filled part keeps its stop-loss and take-profit; use close_trio"
        " to close it at market. With --wait: until the unfilled part is gone."
        " Example: manage.py cancel_trio 12 --wait 30"
    )

    def run(self, **options: Any) -> CommandResult:
        self.refuse_on_a_copy()
        since = Baseline.of(trio_get(options["trio"]))
        trio = trio_cancel(trio_id=options["trio"], by=os_operator())
        if not trio.is_over:
            self.warn_if_nobody_acts()
        return self.outcome(trio.pk, options, since=since)
