"""List trios, newest first."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from accounts.cli import CommandResult
from exchange.types import ZERO
from orders.cli.commands import TrioCommand
from orders.cli.document import decimals, pnl_document
from orders.cli.filters import add_filters, add_state_filters, limit_of, wanted_of
from orders.domain.average import average_of
from orders.domain.enums import Role
from orders.domain.rounding import plain, signed
from orders.models import Leg, TrioOrder
from orders.results import trios_wanted
from orders.selectors import NetPnl, net_pnl


class Command(TrioCommand):
    help = (
        "List trios, newest first, with their results. --since and --until are when they were made."
        " Example: manage.py list_trios --state OPEN --json"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        add_filters(parser, times="made")
        add_state_filters(parser)

    def run(self, **options: Any) -> CommandResult:
        limit = limit_of(options)
        found = list(trios_wanted(wanted_of(options)).prefetch_related("legs")[: limit + 1])
        trios, more = found[:limit], len(found) > limit
        results = net_pnl([trio.pk for trio in trios])
        lines = [_line(trio, results.get(trio.pk, ())) for trio in trios]
        if more:
            lines.append(f"There are more: these are the newest {limit} (--limit).")
        document = {"trios": [_row(trio, results.get(trio.pk, ())) for trio in trios], "more": more}
        return CommandResult(document, "\n".join(lines) or "There are no such trios.")


def _row(trio: TrioOrder, results: Sequence[NetPnl]) -> dict[str, Any]:
    step, tick = trio.symbol.step_size, trio.symbol.tick_size
    average = _average(list(trio.legs.all()))
    return {
        "trio": trio.pk,
        "account": trio.account.name,
        "symbol": trio.symbol.symbol,
        "side": trio.side,
        "position_side": trio.position_side,
        "state": trio.state,
        "result": trio.result or None,
        "reason": trio.reason or None,
        "quantity": decimals(trio.quantity, step),
        "filled": decimals(_filled(trio), step),
        "entry_type": trio.entry_type,
        "trigger_price": None if trio.trigger_price is None else decimals(trio.trigger_price, tick),
        "price": None if trio.price is None else decimals(trio.price, tick),
        "entry_price": average,
        "stop_loss": None if trio.stop_loss is None else decimals(trio.stop_loss, tick),
        "take_profit": None if trio.take_profit is None else decimals(trio.take_profit, tick),
        "source": trio.source,
        "question": trio.question or None,
        "uncovered_ms": trio.uncovered_ms,
        "created_at": trio.created_at.isoformat(timespec="milliseconds"),
        "ended_at": None if trio.ended_at is None else trio.ended_at.isoformat(timespec="milliseconds"),
        "net_pnl": [pnl_document(result) for result in results],
    }


def _line(trio: TrioOrder, results: Sequence[NetPnl]) -> str:
    state = f"{trio.state} by {trio.result}" if trio.result else trio.state
    net = ", ".join(f"{signed(result.net)} {result.asset}" for result in results)
    asks = ", asks a person" if trio.question_kind else ""
    quantity = decimals(trio.quantity, trio.symbol.step_size)
    return (
        f"{trio.pk}  {trio.created_at:%Y-%m-%d %H:%M:%S}  {trio.account.name}  {trio.symbol.symbol}  {trio.side} {quantity}"
        f"  {state}{asks}  {net or 'nothing filled'}"
    )


def _filled(trio: TrioOrder) -> Any:
    return sum((leg.filled for leg in trio.legs.all() if Role(leg.role).opens), ZERO)


def _average(legs: Sequence[Leg]) -> str | None:
    average = average_of(legs)
    return None if average is None else plain(average)
