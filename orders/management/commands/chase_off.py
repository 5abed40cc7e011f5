"""Have the resting entry of a trio follow the price no more."""

from __future__ import annotations

from typing import Any

from accounts.cli import CommandResult
from accounts.operators import os_operator
from orders.cli.commands import VerbCommand, trio_get
from orders.cli.wait import Baseline
from orders.services import trio_chase_off


class Command(VerbCommand):
    help = "Stop chasing the price with a trio's entry; it stays where it is. Example: manage.py chase_off 12"

    def run(self, **options: Any) -> CommandResult:
        self.refuse_on_a_copy()
        since = Baseline.of(trio_get(options["trio"]))
        trio_chase_off(trio_id=options["trio"], by=os_operator())
        return self.outcome(options["trio"], options, since=since)
