"""Close a trio and open another the other way."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.db import connection

from accounts.cli import CommandResult
from accounts.operators import os_operator
from infrastructure.connections import UNANSWERED
from orders.cli.commands import VerbCommand, number, trio_get
from orders.cli.wait import FROM_THE_START, POLL_SECONDS, Baseline
from orders.models import Reversal
from orders.services import reversal_sentence, trio_reverse


class Command(VerbCommand):
    help = (
        "Close an open trio at market and, once its side is verified flat, open another the other way, checked as new risk"
        " then: if it is refused, or a minute has passed, the close stays and nothing follows. With --wait: until the second"
        " trio rests or has ended. Example: manage.py reverse 12 --stop 105000 --target 90000 --wait 30"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        add = parser.add_argument
        add("--stop", required=True, metavar="PRICE", help="the second trio's stop-loss")
        add("--target", required=True, metavar="PRICE", help="the second trio's take-profit")
        add("--quantity", metavar="Q", help="in the base asset; as large as the first trio when left out")

    def run(self, **options: Any) -> CommandResult:
        stop, target = number(options["stop"], "stop price"), number(options["target"], "target price")
        quantity = number(options["quantity"], "quantity")
        assert stop is not None
        assert target is not None
        self.refuse_on_a_copy()
        since = Baseline.of(trio_get(options["trio"]))
        wish = trio_reverse(
            trio_id=options["trio"], stop_loss=stop, take_profit=target, quantity=quantity, by=os_operator()
        )
        self.warn_if_nobody_acts()
        if options["wait"] is None:
            return self.outcome(options["trio"], options, since=since)
        began = time.monotonic()
        wish = _ended(wish, within=options["wait"])
        left = options["wait"] - timedelta(seconds=time.monotonic() - began)
        options["wait"] = max(timedelta(0), left)
        if wish.end != "QUEUED" or wish.successor_id is None:
            result = self.outcome(options["trio"], options, since=since)
            sentence = f"{reversal_sentence(wish)} {result.sentence}"
            return CommandResult(result.document, sentence, max(result.exit_code, 3 if wish.end else 4))
        return self.outcome(wish.successor_id, options, since=FROM_THE_START)


def _ended(wish: Reversal, *, within: timedelta) -> Reversal:
    """Wait until the wish has ended, and no longer than ``within``."""
    deadline = time.monotonic() + within.total_seconds()
    while True:
        try:
            wish.refresh_from_db()
        except UNANSWERED:
            connection.close()
        if wish.end or time.monotonic() >= deadline:
            return wish
        time.sleep(POLL_SECONDS)
