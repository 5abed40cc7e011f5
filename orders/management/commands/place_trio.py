"""Place a trio from a script."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from accounts.cli import CommandResult
from accounts.operators import os_operator
from exchange.types import OrderType, PositionSide, Side, TimeInForce
from infrastructure import job_queue
from infrastructure.connections import UNANSWERED, database_silent
from orders.cli.commands import (
    QUEUE_SILENT,
    TrioCommand,
    account_get,
    add_follow,
    add_wait,
    follow_of,
    moment,
    number,
    place,
    word,
)
from orders.cli.wait import FROM_THE_START
from orders.domain.enums import Protection, TargetPolicy
from orders.domain.errors import TrioRefused
from orders.models import TrioOrder
from orders.models.trio import ENTRY_TYPES
from orders.services import symbol_get, trio_check, trio_draft
from orders.specs import part_targets_read, rungs_read

ENTRIES = tuple(kind.value for kind in ENTRY_TYPES)


class Command(TrioCommand):
    help = (
        "Check a trio order (an entry with its stop-loss and take-profit) and place it. A refused trio leaves"
        " nothing behind. Example: manage.py place_trio --account desk --symbol BTCUSDT --side BUY"
        " --quantity 0.01 --stop-loss 60000 --take-profit 66000 --entry LIMIT --price 63000 --wait 30 --json"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        add = parser.add_argument
        add("--account", required=True, metavar="NAME", help="the account's name, as given to add_account")
        add("--symbol", required=True, help="for example BTCUSDT")
        add("--side", required=True, help="BUY opens a long position, SELL a short one")
        add("--quantity", required=True, metavar="Q", help="in the base asset, for example 0.01")
        add(
            "--stop-loss",
            required=True,
            metavar="PRICE",
            help="the mark price at which the position is closed",
        )
        add("--take-profit", required=True, metavar="PRICE", help="the last price at which it is closed")
        add(
            "--part-targets",
            metavar="PRICE:PERCENT,…",
            help="take-profits for a share each, nearest first, such as 62000:50,63000:25; the take-profit closes whatever they leave",
        )
        add_follow(parser)
        add(
            "--entry",
            metavar="TYPE",
            help="MARKET (the default), LIMIT, STOP_MARKET (at market once the trigger is reached) or STOP (a limit"
            " order then)",
        )
        add("--price", metavar="PRICE", help="of a LIMIT or STOP entry")
        add(
            "--rung",
            action="append",
            metavar="PRICE:PERCENT",
            help="a limit order of an entry ladder with its share of the quantity, such as 62000:50; give 2 to 5, nearest to the"
            " market first, that come to 100 %%",
        )
        add(
            "--trigger",
            metavar="PRICE",
            help="of a STOP_MARKET or STOP entry: the mark price it waits for, above the market to buy, below it to sell",
        )
        add(
            "--time-in-force",
            metavar="TIF",
            help="of a LIMIT or STOP entry: GTC (when left out), IOC, FOK or GTX",
        )
        add(
            "--position-side",
            metavar="SIDE",
            help="LONG or SHORT in hedge mode; follows the side when left out",
        )
        add(
            "--protection",
            metavar="WHEN",
            help="PRE_ARMED: stop-loss and take-profit before the entry (as it is on PAPER when left out);"
            " ON_FIRST_FILL: with the entry's first fill (elsewhere)",
        )
        add(
            "--target-policy",
            metavar="POLICY",
            help="when the exchange refuses the take-profit: ROLL_BACK (when left out) or KEEP_STOP, and ask",
        )
        add("--good-till", metavar="TIME", help="cancel the unfilled part then, such as 2030-01-31T12:00:00Z")
        add(
            "--hold-for",
            metavar="SECONDS",
            help="close the position at market this many seconds after its first fill",
        )
        add(
            "--flat-at",
            metavar="TIME",
            help="close the position at market then, and cancel the unfilled part, such as 2030-01-31T07:59:00Z",
        )
        add_wait(parser)

    def run(self, **options: Any) -> CommandResult:
        try:
            trio = _draft(options)
            reading = trio_check(trio)
        except UNANSWERED as error:
            raise TrioRefused(f"{database_silent(error)} Nothing was placed.") from None
        placed = place(trio, by=os_operator(), reading=reading)
        if not job_queue.answering():
            self.stderr.write(QUEUE_SILENT)
        try:
            return self.outcome(placed.pk, options, since=FROM_THE_START)
        except UNANSWERED as error:
            raise TrioRefused(
                f"{database_silent(error)} Trio {placed.pk} is queued: it is placed once that is back, and expires if "
                f"that takes more than a minute. “manage.py show_trio {placed.pk}” then says how it stands."
            ) from None


def _draft(options: dict[str, Any]) -> TrioOrder:
    """Return an unsaved draft of what was typed. Raises TrioRefused."""
    account = account_get(options["account"])
    symbol = symbol_get(account.environment, options["symbol"])
    rungs = rungs_read(",".join(options["rung"] or ()))
    entry = word(options["entry"], ENTRIES, "entry") or ("LIMIT" if rungs else "MARKET")
    time_in_force = word(options["time_in_force"], list(TimeInForce), "time in force")
    if time_in_force and not OrderType(entry).has_price:
        other = "STOP" if OrderType(entry).is_conditional else "LIMIT"
        raise TrioRefused(f"A {entry} entry takes no time in force: leave it out, or choose --entry {other}.")
    return trio_draft(
        account=account,
        symbol=symbol,
        side=word(options["side"], list(Side), "side"),
        quantity=number(options["quantity"], "quantity"),
        stop_loss=number(options["stop_loss"], "stop-loss"),
        take_profit=number(options["take_profit"], "take-profit"),
        part_targets=part_targets_read(options["part_targets"] or ""),
        follow=follow_of(options["follow"]) or "",
        entry_type=entry,
        price=number(options["price"], "price"),
        rungs=rungs,
        trigger_price=number(options["trigger"], "trigger price"),
        time_in_force=time_in_force or TimeInForce.GTC.value,
        position_side=word(options["position_side"], list(PositionSide), "position side"),
        protection=word(options["protection"], list(Protection), "protection"),
        target_policy=word(options["target_policy"], list(TargetPolicy), "target policy")
        or TargetPolicy.ROLL_BACK.value,
        good_till=moment(options["good_till"]),
        flat_at=moment(options["flat_at"], "time to be flat"),
        hold_seconds=_seconds(options["hold_for"]),
        source="place_trio",
    )


def _seconds(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 2**31 - 1:
        raise TrioRefused(
            f"“{text}” is not a valid holding time: give whole seconds, 1 or more, such as 3600."
        )
    return int(text)
