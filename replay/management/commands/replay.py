"""``manage.py replay``: carry a strategy through recorded bars, as it would have traded."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from django.conf import settings

from accounts.cli import CommandResult, ScriptCommand, whole
from replay.process import ReplayFailed, replayed
from replay.recordings import NoRecording, recording
from signals.catalogue import parameters_of, strategies_known
from signals.domain.faults import StrategyFailed
from signals.domain.terms import SizeKind, TermsError, positive
from signals.models import ReplayRun
from signals.strategies.schema import BadParameter, Kind, ParameterSpec, read_parameters

FAILED = 1
EXAMPLE = "manage.py replay --strategy breakout --symbol ADAUSDT --symbol XRPUSDT"


BARS_MAX = 10_000_000


class NotAReplay(ValueError):
    """What was asked for makes no sense."""


class Command(ScriptCommand):
    refusals = (NotAReplay, StrategyFailed, BadParameter, NoRecording, TermsError)
    help = (
        "Carry a strategy through recorded bars: strategy, executor and placement are those that trade, against a "
        "simulated exchange on separate servers. The market advances only when nothing is in the air or due, so that "
        "the same bars give the same report. A bar that holds stop and target counts the stop first. "
        f"Example: {EXAMPLE}"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--strategy", required=True, help="a name of STRATEGIES")
        parser.add_argument(
            "--symbol",
            action="append",
            required=True,
            help="several may be named; ADAUSDT and XRPUSDT are shipped",
        )
        parser.add_argument(
            "--klines", action="append", metavar="SYMBOL=FILE",
            help="bars of a symbol: CSV with open_time,open,high,low,close,volume, gzipped or not",
        )  # fmt: skip
        parser.add_argument("--from", dest="first", help="the first bar's time (UTC), as in 2022-12-13T08:00")
        parser.add_argument("--to", dest="last", help="the last bar's time (UTC)")
        parser.add_argument("--bars", type=_bars(2), help="how many bars of each symbol at most")
        parser.add_argument(
            "--set", action="append", metavar="NAME=VALUE", help="a parameter of the strategy"
        )
        parser.add_argument(
            "--size", default="RISK:1", metavar="KIND:VALUE",
            help="QUANTITY (base asset), NOTIONAL (quote asset), EQUITY or RISK (percent); RISK:1 unless said",
        )  # fmt: skip
        parser.add_argument(
            "--cap", action="store_true", help="make it smaller where the margin does not suffice"
        )
        parser.add_argument(
            "--cooldown", type=_bars(), default=0, help="bars without another signal after one"
        )
        parser.add_argument(
            "--history", type=_bars(1, 1000), default=500, help="how many bars the strategy is given"
        )
        parser.add_argument(
            "--warmup", type=_bars(), default=0, help="how many bars are history before the strategy begins"
        )
        parser.add_argument("--balance", default="10000", help="what the account begins with, in USDT")
        parser.add_argument(
            "--no-keep", action="store_true", help="do not store the report for the page of replays"
        )

    def run(self, **said: Any) -> CommandResult:
        asked = self._asked(said)
        self.stderr.write(f"Replaying {said['strategy']} on {', '.join(said['symbol'])} …")
        try:
            report = replayed(asked, strategies=settings.STRATEGIES)
        except ReplayFailed as error:
            self.refuse(str(error), as_json=said["json"], code=FAILED)
        if not said["no_keep"]:
            kept = ReplayRun.objects.create(
                by=getpass.getuser(),
                code=report["strategy"],
                symbols=", ".join(said["symbol"])[:200],
                hash=report["hash"],
                report=report,
            )
            self.stderr.write(f"Kept as replay {kept.pk}.")
        return CommandResult(report, table(report))

    # --- what is asked for ---------------------------------------------------------------------------

    def _asked(self, said: dict[str, Any]) -> dict[str, Any]:
        """Return what the replay's process is asked for. Raises one of ``refusals`` for what makes no sense."""
        parameters = _parameters(said["strategy"], said["set"] or [])
        recordings = _recordings(said)
        kind, _, value = said["size"].partition(":")
        if kind.upper() not in SizeKind.__members__:
            raise NotAReplay(f"--size is one of {', '.join(SizeKind)} with a value, as in RISK:1.")
        balance = positive("balance", said["balance"])
        size = positive("size", value)
        return {
            "strategy": said["strategy"],
            "parameters": parameters,
            "recordings": recordings,
            "balance": format(balance, "f"),
            "warmup": said["warmup"],
            "terms": {
                "size_kind": kind.upper(),
                "size_value": format(size, "f"),
                "size_cap": said["cap"],
                "cooldown_bars": said["cooldown"],
                "history_bars": said["history"],
            },
        }


def _bars(least: int = 0, most: int = BARS_MAX) -> Callable[[str], int]:
    return whole("number of bars", least=least, most=most)


def _parameters(code: str, assignments: list[str]) -> dict[str, Any]:
    if code not in strategies_known():
        raise NotAReplay(f"There is no strategy {code}: known are {', '.join(sorted(strategies_known()))}.")
    specs = {spec.name: spec for spec in parameters_of(code)}
    given: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise NotAReplay(f"--set {assignment}: write NAME=VALUE.")
        given[name] = _typed(specs.get(name), value)
    read_parameters(list(specs.values()), given)
    return given


def _typed(spec: ParameterSpec | None, value: str) -> Any:
    flags = {"true": True, "false": False}
    return flags.get(value.lower(), value) if spec is not None and spec.kind is Kind.FLAG else value


def _recordings(said: dict[str, Any]) -> list[dict[str, Any]]:
    files = {}
    for each in said["klines"] or []:
        symbol, equals, path = each.partition("=")
        if not equals:
            raise NotAReplay(f"--klines {each}: write SYMBOL=FILE.")
        files[symbol.upper()] = Path(path).resolve()
    first, last = _moment("--from", said["first"]), _moment("--to", said["last"])
    found = []
    for symbol in dict.fromkeys(name.upper() for name in said["symbol"]):
        path = files.pop(symbol, None)
        recording(symbol, path).between(first, last)  # what cannot be read is said at once
        found.append(
            {"symbol": symbol, "path": path and str(path), "first": first, "last": last, "bars": said["bars"]}
        )
    if files:
        raise NotAReplay(f"--klines names {', '.join(files)}, --symbol does not.")
    return found


def _moment(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise NotAReplay(f"{name} is {text!r}: write a time as in 2022-12-13T08:00.") from None
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


# --- the table ------------------------------------------------------------------------------------


def table(report: dict[str, Any]) -> str:
    """Return a report as a person reads it in a terminal."""
    statistics, ledger, took = report["statistics"], report["ledger"], report["took"]
    bars = ", ".join(f"{r['bars']} of {r['symbol']} {r['timeframe']}" for r in report["recordings"])
    agrees = all(
        ledger[name] == ledger["exchange"][name] for name in ("realised", "fees", "funding", "wallet")
    )
    rows = [
        ("bars", f"{bars}, {took['bars_per_second']} a second"),
        ("signals", f"{report['signals']}: " + ", ".join(f"{n} {o}" for o, n in report["outcomes"].items())),
        (
            "trios",
            f"{statistics['trios']}: {statistics['won']} won, {statistics['lost']} lost, {statistics['even']} even",
        ),
        ("win rate", _percent(statistics["win_rate_percent"])),
        ("profit factor", statistics["profit_factor"] or "no losses"),
        ("net", statistics["net"]),
        ("expectancy", statistics["expectancy"] or "-"),
        (
            "R",
            f"average {statistics['average_r'] or '-'}, best {statistics['best_r'] or '-'}, "
            f"worst {statistics['worst_r'] or '-'}",
        ),
        ("largest drawdown", statistics["largest_drawdown"]),
        ("fees, funding", f"{ledger['fees']}, {ledger['funding']}"),
        ("wallet", f"{report['balance']} → {ledger['wallet']}"),
        ("exchange's ledger", "equal to the last digit" if agrees else f"DIFFERS: {ledger['exchange']}"),
        ("exposure", _percent(report["exposure_percent"])),
        ("longest unprotected", f"{report['uncovered_longest_ms']} ms"),
        ("bars with stop and target", f"{report['ambiguous_bars']} (the stop was counted first)"),
        ("hash", report["hash"][:16]),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {_plain(value)}" for name, value in rows)


def _percent(value: str | None) -> str:
    return f"{value} %" if value is not None else "-"


def _plain(value: Any) -> str:
    """Money with two decimals would hide digits; eight are enough for a table."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return str(value)
    return format(number.quantize(Decimal("0.00000001")).normalize(), "f")
