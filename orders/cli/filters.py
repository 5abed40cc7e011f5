"""The filters that lists and statistics share: which account, symbol, state …, since when and until when."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

from exchange.types import Side
from orders.cli.commands import account_get, word
from orders.domain.enums import Cause, TrioState
from orders.domain.errors import TrioRefused
from orders.results import Wanted

LIMIT: Final = 100
LIMIT_MAX: Final = 10_000
YEARS: Final = (1970, 2999)
SIDES: Final = {"BUY": Side.BUY, "LONG": Side.BUY, "SELL": Side.SELL, "SHORT": Side.SELL}


def add_position_filters(parser: ArgumentParser) -> None:
    """Add ``--account``, ``--symbol``, ``--side``, ``--source``, ``--state``."""
    _add_common(parser)
    parser.add_argument("--state", metavar="STATE", help="of the trio that holds it, such as OPEN")


def add_filters(parser: ArgumentParser, *, times: str) -> None:
    """Add ``--account``, ``--symbol``, ``--side``, ``--source``, ``--tag``, ``--since``, ``--until``, ``--zone``."""
    _add_common(parser)
    parser.add_argument("--tag", metavar="TAG", help="only trios with this tag")
    parser.add_argument(
        "--since", metavar="TIME", help=f"{times} then or later: a day, or a time with its zone"
    )
    parser.add_argument(
        "--until", metavar="TIME", help=f"{times} before that time; of a day: on it or before"
    )
    parser.add_argument(
        "--zone",
        metavar="ZONE",
        default="UTC",
        help="whose days are meant, such as Europe/Paris; UTC otherwise",
    )


def _add_common(parser: ArgumentParser) -> None:
    parser.add_argument("--account", metavar="NAME", help="only this account")
    parser.add_argument("--symbol", metavar="SYMBOL", help="only this symbol, such as BTCUSDT")
    parser.add_argument("--side", metavar="SIDE", help="BUY (or LONG), SELL (or SHORT)")
    parser.add_argument(
        "--source", metavar="SOURCE", help="as trios name it: admin, hook:NAME, strategy:NAME, file:csv"
    )


def add_state_filters(parser: ArgumentParser) -> None:
    """Add ``--state``, ``--result``, ``--limit``."""
    parser.add_argument("--state", metavar="STATE", help="such as OPEN or CLOSED")
    parser.add_argument("--result", metavar="RESULT", help="such as STOP_LOSS or TAKE_PROFIT")
    add_limit(parser)


def add_limit(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--limit", metavar="N", default=str(LIMIT), help=f"how many at most; {LIMIT} otherwise"
    )


def wanted_of(options: dict[str, Any]) -> Wanted:
    """Read the filters. Raises TrioRefused with a sentence for what is none."""
    zone = zone_of(options.get("zone"))
    name = options.get("account")
    side = word(options.get("side"), list(SIDES), "side")
    since, until = options.get("since"), options.get("until")
    wanted = Wanted(
        account=account_get(name).name if name else "",
        symbol=(options.get("symbol") or "").strip().upper(),
        state=word(options.get("state"), [state.value for state in TrioState], "state"),
        side=SIDES[side].value if side else "",
        result=word(options.get("result"), [cause.value for cause in Cause], "result"),
        source=(options.get("source") or "").strip(),
        tag=(options.get("tag") or "").strip().lstrip("#").lower(),
        since=None if since is None else moment_of(since, zone),
        until=None if until is None else moment_of(until, zone, ends=True),
    )
    if wanted.since is not None and wanted.until is not None and wanted.since >= wanted.until:
        raise TrioRefused(f"--since {since} is not before --until {until}: nothing can lie between them.")
    return wanted


def zone_of(text: str | None) -> tzinfo:
    """Read the name of a time zone; UTC for none. Raises TrioRefused."""
    if text is None or text.strip().upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(text.strip())
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        raise TrioRefused(f"“{text}” is not a time zone: write one such as UTC or Europe/Paris.") from None


def moment_of(text: str, zone: tzinfo, *, ends: bool = False) -> datetime:
    """Read a day in this zone (its beginning; with ``ends`` its end), or a time that names its zone. Raises TrioRefused."""
    text = text.strip()
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is not None and not YEARS[0] <= found.year <= YEARS[1]:
        raise TrioRefused(f"“{text}” is out of range: write a time in the years {YEARS[0]} to {YEARS[1]}.")
    if found is not None and len(text) <= 10:  # a day
        day = found + timedelta(days=1) if ends else found
        return day.replace(tzinfo=zone)
    if found is None or found.tzinfo is None:
        raise TrioRefused(
            f"“{text}” is not a valid time: write a day such as 2026-11-28, or a time with its zone such as "
            "2026-11-28T12:00:00Z."
        )
    return found


def limit_of(options: dict[str, Any]) -> int:
    """Read ``--limit``. Raises TrioRefused."""
    text = str(options["limit"]).strip()
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LIMIT_MAX:
        raise TrioRefused(f"“{text}” is not a valid limit: write a whole number from 1 to {LIMIT_MAX}.")
    return int(text)
