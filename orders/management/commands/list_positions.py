"""List the positions the exchange holds, and the trios that hold them."""

from __future__ import annotations

from argparse import ArgumentParser
from decimal import Decimal
from typing import Any

from accounts.cli import CommandResult
from exchange.types import Side
from orders.cli.commands import TrioCommand
from orders.cli.document import decimals, pnl_document
from orders.cli.filters import add_limit, add_position_filters, limit_of, wanted_of
from orders.domain.live_result import Standing
from orders.domain.rounding import plain, signed
from orders.exchange_data.clock import from_ms
from orders.models import Slot, TrioOrder
from orders.results import holders_of, positions_wanted
from orders.selectors import NetPnl, entry_cost, net_pnl


class Command(TrioCommand):
    help = (
        "List the positions the exchange holds, as last read, whoever opened them; with the trio that holds each, and where"
        " it stands. Example: manage.py list_positions --account main --json"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        add_position_filters(parser)
        add_limit(parser)

    def run(self, **options: Any) -> CommandResult:
        limit, wanted = limit_of(options), wanted_of(options)
        slots = positions_wanted(wanted)
        holders = holders_of(slots)
        if wanted.state or wanted.source:
            slots = [slot for slot in slots if _is_wanted(holders.get(slot.pk), wanted.state, wanted.source)]
        shown = slots[:limit]
        results = net_pnl([trio.pk for slot in shown if (trio := holders.get(slot.pk)) is not None])
        rows = [_row(slot, holders.get(slot.pk), results) for slot in shown]
        lines = [_line(row) for row in rows]
        if more := len(slots) > limit:
            lines.append(f"There are more: these are {limit} (--limit).")
        return CommandResult(
            {"positions": rows, "more": more}, "\n".join(lines) or "There are no such positions."
        )


def _is_wanted(trio: TrioOrder | None, state: str, source: str) -> bool:
    if trio is None:
        return False
    return state in ("", trio.state) and source in ("", trio.source)


def _row(slot: Slot, trio: TrioOrder | None, results: dict[int, tuple[NetPnl, ...]]) -> dict[str, Any]:
    symbol = None if trio is None else trio.symbol
    step, tick = (None, None) if symbol is None else (symbol.step_size, symbol.tick_size)
    row: dict[str, Any] = {
        "account": slot.account.name,
        "symbol": slot.symbol,
        "position_side": slot.position_side,
        "side": "BUY" if slot.quantity > 0 else "SELL",
        "quantity": decimals(abs(slot.quantity), step),
        "entry_price": None if slot.entry_price is None else plain(slot.entry_price),
        "mark_price": None if slot.mark_price is None else plain(slot.mark_price),
        "liquidation_price": None if not slot.liquidation_price else plain(slot.liquidation_price),
        "as_of": from_ms(slot.as_of).isoformat(timespec="milliseconds"),
        "trio": None if trio is None else trio.pk,
        "state": None if trio is None else trio.state,
        "source": None if trio is None else trio.source,
        "foreign_orders": slot.strangers,
        "unrealized": None,
        "net_pnl": [],
        "net_now": None,
        "net_if_closed": None,
        "break_even_of_trio": None,
        "break_even_of_rest": None,
    }
    if slot.entry_price and slot.mark_price:
        row["unrealized"] = plain(slot.quantity * (slot.mark_price - slot.entry_price))
    if trio is None:
        return row
    parts = results.get(trio.pk, ())
    row["net_pnl"] = [pnl_document(part) for part in parts]
    if (
        slot.entry_price and slot.mark_price and len(parts) == 1
    ):  # in one asset, or it would have to be converted
        cost = entry_cost(trio)
        fee_each = None if cost is None else cost.fee_each
        row |= _standing(slot, slot.entry_price, slot.mark_price, parts[0], tick, fee_each=fee_each)
    return row


def _standing(
    slot: Slot,
    average: Decimal,
    mark: Decimal,
    part: NetPnl,
    tick: Decimal | None,
    *,
    fee_each: Decimal | None,
) -> dict[str, str | None]:
    side = Side.BUY if slot.quantity > 0 else Side.SELL
    standing = Standing(side, abs(slot.quantity), average, part.realized, part.fees, part.funding)
    even, rest = (
        standing.even_of_trio(tick=tick or Decimal(0)),
        standing.even_of_rest(tick=tick or Decimal(0), fee_each=fee_each),
    )
    return {
        "net_now": plain(standing.net(mark)),
        "net_if_closed": plain(standing.net_if_closed(mark)),
        "break_even_of_trio": None if even is None else decimals(even, tick),
        "break_even_of_rest": None if rest is None else decimals(rest, tick),
    }


def _line(row: dict[str, Any]) -> str:
    whose = "nobody's trio" if row["trio"] is None else f"trio {row['trio']} {row['state']}"
    words = [
        f"{row['account']}  {row['symbol']}  {row['position_side']}  {row['side']} {row['quantity']}"
        f" at {row['entry_price'] or '–'}, mark {row['mark_price'] or '–'}  {whose}"
    ]
    if row["unrealized"] is not None:
        words.append(f"unrealised {signed(Decimal(row['unrealized']))}")
    if row["net_now"] is not None:
        words.append(
            f"net now {signed(Decimal(row['net_now']))}, break-even of the trio {row['break_even_of_trio'] or 'at any price'},"
            f" of what is left {row['break_even_of_rest']}"
        )
    return "  ".join(words)
