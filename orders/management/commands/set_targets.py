"""Set the part targets of an open trio anew."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from accounts.cli import CommandResult
from accounts.operators import os_operator
from orders.cli.commands import VerbCommand, add_follow, follow_of, trio_get
from orders.cli.wait import Baseline
from orders.services import trio_targets


class Command(VerbCommand):
    help = (
        "Set the part targets of an open trio anew: each takes a share of what remains, and the take-profit what they"
        " leave. Example: manage.py set_targets 12 62000:50,63000:25 --follow BREAK_EVEN --wait 10"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("targets", metavar="PRICE:PERCENT,…", help="nearest first; “none” for none")
        add_follow(parser)

    def run(self, **options: Any) -> CommandResult:
        self.refuse_on_a_copy()
        since = Baseline.of(trio_get(options["trio"]))
        text = "" if options["targets"].strip().lower() == "none" else options["targets"]
        trio_targets(
            trio_id=options["trio"], by=os_operator(), text=text, follow=follow_of(options["follow"])
        )
        self.warn_if_nobody_acts()
        return self.outcome(options["trio"], options, since=since)
