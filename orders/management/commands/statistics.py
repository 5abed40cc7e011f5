"""What trades came to: win rate, profit factor, expectancy, drawdown, R; by asset, and by day."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from accounts.cli import CommandResult
from orders.badges import lasted
from orders.cli.commands import TrioCommand
from orders.cli.filters import add_filters, wanted_of, zone_of
from orders.domain.rounding import plain, signed
from orders.domain.statistics import Statistics, by_day, statistics_of
from orders.results import trades_wanted


class Command(TrioCommand):
    help = (
        "Show what trades came to: trios that had a position and have ended, each asset by itself. Days are UTC unless"
        " --zone says whose. Example: manage.py statistics --account main --since 2026-11-01 --json"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        add_filters(parser, times="closed")

    def run(self, **options: Any) -> CommandResult:
        wanted, zone = wanted_of(options), zone_of(options["zone"])
        found = trades_wanted(wanted)
        assets = [
            {
                "asset": asset,
                **figures(statistics_of(trades)),
                "days": [
                    {"day": day.isoformat(), **figures(part)} for day, part in by_day(trades, zone).items()
                ],
            }
            for asset, trades in sorted(found.trades.items())
        ]
        unknown = [{"trio": trio, "reason": why} for trio, why in sorted(found.not_known.items())]
        lines = [sentence(asset, statistics_of(trades)) for asset, trades in sorted(found.trades.items())]
        lines += [f"Trio {trio} is not counted: {why}." for trio, why in sorted(found.not_known.items())]
        document = {"zone": str(zone), "assets": assets, "not_known": unknown}
        return CommandResult(document, "\n".join(lines) or "No trade has ended among these.")


def figures(found: Statistics) -> dict[str, Any]:
    """Return the figures as scripts read them: numbers as plain text, null where there is none."""
    named = {
        name: plain(value) if isinstance(value, Decimal) else value for name, value in asdict(found).items()
    }
    return named | {"no_losses": found.no_losses}


def sentence(asset: str, found: Statistics) -> str:
    """Say it in words."""
    factor = "no losses" if found.profit_factor is None else f"profit factor {plain(found.profit_factor)}"
    without = "–" if found.win_rate_without_even is None else f"{found.win_rate_without_even} %"
    words = [
        f"{asset}: {found.trades} {'trade' if found.trades == 1 else 'trades'},"
        f" {found.won} won, {found.lost} lost, {found.even} even;",
        f"win rate {found.win_rate} % ({without} without even); {factor};",
        f"expectancy {signed(found.expectancy or Decimal(0))}; largest drawdown {plain(found.largest_drawdown)};",
        f"net {signed(found.net)} (realised {signed(found.realized)}, fees {plain(found.fees)},"
        f" funding {signed(found.funding)}).",
    ]
    if found.average_held_seconds is not None:
        words.append(f"Held {lasted(found.average_held_seconds)} on average.")
    if found.average_r is not None:
        words.append(
            f"R {found.average_r} on average of {found.trades_with_r}, best {found.best_r}, worst {found.worst_r}."
        )
    return " ".join(words)
