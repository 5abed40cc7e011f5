"""Move the stop-loss of an open trio to break-even."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from accounts.cli import CommandResult, whole
from accounts.operators import os_operator
from orders.cli.commands import MoveCommand, number, trio_get, word
from orders.cli.wait import Baseline
from orders.domain.enums import Role
from orders.domain.errors import TrioRefused
from orders.models import LevelMove
from orders.services import trio_break_even, trio_break_even_arm, trio_break_even_off


class Command(MoveCommand):
    role = Role.STOP_LOSS
    asks_level = False
    help = (
        "Move the stop-loss of an open trio to where it loses nothing, the fees of the entry and of the stop included."
        " --offset: how many ticks better than that. With --at-r or --at-price it waits until the price has come that far,"
        " with --after-target until its first part target has executed."
        " The old order stays until the exchange has acknowledged the new one."
        " Example: manage.py break_even 12 --offset 2 --wait 10"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--offset",
            metavar="TICKS",
            type=whole("number of ticks", least=-1_000_000, most=1_000_000),
            default=0,
            help="how many ticks better (default 0)",
        )

        parser.add_argument(
            "--at-r", metavar="R", help="wait until it has won this multiple of the risk of its first stop"
        )
        parser.add_argument("--at-price", metavar="PRICE", help="wait until the mark price has reached this")
        parser.add_argument(
            "--after-target", action="store_true", help="wait until its first part target has executed"
        )
        parser.add_argument(
            "--of",
            metavar="WHAT",
            help="REST: of the position that is left (the default); TRIO: of the whole trio, with what its closed parts have earned",
        )
        parser.add_argument("--off", action="store_true", help="stop waiting; the stop stays where it is")

    def run(self, **options: Any) -> CommandResult:
        at_r, at_price, off = options["at_r"], options["at_price"], options["off"]
        after_target = options["after_target"]
        if (at_r is not None) + (at_price is not None) + after_target + off > 1:
            raise TrioRefused(
                "--at-r, --at-price, --after-target and --off exclude each other: give one of them."
            )
        if not off and at_r is None and at_price is None and not after_target:
            return super().run(**options)
        if _of_trio(options):
            raise TrioRefused(
                "--of TRIO is for a stop that moves now: what waits is the break-even of the position that is left. Leave one"
                " of them out."
            )
        self.refuse_on_a_copy()
        since = Baseline.of(trio_get(options["trio"]))
        if off:
            trio_break_even_off(trio_id=options["trio"], by=os_operator())
        else:
            trio_break_even_arm(
                trio_id=options["trio"],
                by=os_operator(),
                at_r=number(at_r, "multiple of R"),
                at_price=number(at_price, "price"),
                after_first_target=after_target,
                offset_ticks=options["offset"],
            )
            self.warn_if_nobody_acts()
        return self.outcome(options["trio"], options, since=since)

    def wish(self, by: str, **options: Any) -> LevelMove:
        return trio_break_even(
            trio_id=options["trio"], by=by, offset_ticks=options["offset"], of_trio=_of_trio(options)
        )


def _of_trio(options: Mapping[str, Any]) -> bool:
    return word(options["of"], ("REST", "TRIO"), "way to count") == "TRIO"
