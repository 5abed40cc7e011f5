"""Place, query and withdraw one order."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, InterfaceError, connection

from accounts.cli import INTERRUPTED, CommandResult
from accounts.errors import AccountsError
from demo import prerequisites
from demo.smoke import Smoke, SmokeOrder, TooSmall, leftovers_end, watching
from exchange.errors import ExchangeError
from exchange.types import OrderType, Side, TimeInForce
from orders.cli.commands import TrioCommand, number, word
from orders.domain.errors import OrdersError, TrioRefused

TYPES = (OrderType.LIMIT.value, OrderType.MARKET.value)


class Command(TrioCommand):
    help = (
        "Place one order, query it on the exchange, and withdraw it: a LIMIT order is cancelled, a MARKET order"
        " closed at once. On PAPER, where everything that is missing is made; with BINANCE_TESTNET=true on"
        " TESTNET, with BINANCE_TESTNET_API and BINANCE_TESTNET_SECRET. Example: manage.py smoke_order --symbol"
        " BTCUSDT --price 10000 --qty 0.001 --side BUY --type LIMIT --timeInForce GTC"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--symbol", required=True, help="for example BTCUSDT")
        parser.add_argument("--price", metavar="PRICE", help="of a LIMIT order")
        parser.add_argument(
            "--qty", required=True, metavar="Q", help="raised to the smallest valid quantity when too small"
        )
        parser.add_argument("--side", default="BUY", help="BUY (default) or SELL")
        parser.add_argument("--type", help="LIMIT (default when a price is given) or MARKET")
        parser.add_argument(
            "--timeInForce", metavar="TIF", help="of a LIMIT order: GTC (default), IOC, FOK or GTX"
        )
        parser.add_argument(
            "--trio", action="store_true", help="a whole trio: with stop-loss and take-profit 2 %% away"
        )
        parser.add_argument(
            "--exact", action="store_true", help="refuse a quantity that is not valid instead of raising it"
        )

    def run(self, **options: Any) -> CommandResult:
        order = _order(options)
        say = self.stderr.write if options["json"] else self.stdout.write
        with _quiet(), _termination_interrupts():
            return self._smoke(order, say)

    def _smoke(self, order: SmokeOrder, say: Any) -> CommandResult:
        environment = prerequisites.smoke_environment()
        say(f"Smoke order on {environment.value}.")
        prerequisites.schema_ensure(say)
        with prerequisites.only_one("smoke") as alone, prerequisites.simulator_running(environment, say):
            account = prerequisites.smoke_account_ensure(environment)
            prerequisites.symbols_ensure(environment, order.symbol, say)
            with watching(account):
                if alone:
                    leftovers_end(account, say)
                smoke = Smoke(order, account, say)
                smoke.report |= {
                    "ok": False,
                    "environment": account.environment,
                    "account": account.name,
                    "symbol": order.symbol.upper(),
                }
                return self._run_to_the_end(smoke)

    def _run_to_the_end(self, smoke: Smoke) -> CommandResult:
        try:
            code = smoke.run()
        except TooSmall as error:
            error_report = {"error": str(error), "smallest": error.smallest}
            self.stderr.write(str(error))
            return CommandResult(
                error_report, f"Refused: the smallest valid quantity is {error.smallest}.", 2
            )
        except KeyboardInterrupt:
            connection.close()  # a statement may have been cut off in the middle
            smoke.withdraw()
            sys.exit(INTERRUPTED)
        except (DatabaseError, InterfaceError, OrdersError, ExchangeError, AccountsError) as error:
            connection.close()  # it may be what failed
            smoke.withdraw()  # nothing, when nothing was placed
            if _was_interrupted(error):
                sys.exit(INTERRUPTED)
            raise
        smoke.report["ok"] = code == 0
        return CommandResult(
            smoke.report,
            "The smoke order went well." if code == 0 else "The smoke order did not go as expected.",
            code,
        )


def _was_interrupted(error: BaseException) -> bool:
    """Did an interruption cut off what then failed: a statement, say, whose connection was lost with it?"""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__context__
    return cause is not None


def _order(options: dict[str, Any]) -> SmokeOrder:
    """Read what was typed. Raises TrioRefused."""
    price = number(options["price"], "price")
    kind = word(options["type"], TYPES, "type") or ("MARKET" if price is None else "LIMIT")
    if kind == "LIMIT" and price is None:
        raise TrioRefused("A LIMIT order needs a price: add --price, or choose --type MARKET.")
    quantity = number(options["qty"], "quantity")
    assert quantity is not None
    return SmokeOrder(
        symbol=options["symbol"].strip(),
        side=Side(word(options["side"], list(Side), "side")),
        type=OrderType(kind),
        quantity=quantity,
        price=price if kind == "LIMIT" else None,  # a MARKET order has none, though one may be given
        time_in_force=TimeInForce(word(options["timeInForce"], list(TimeInForce), "time in force") or "GTC"),
        whole_trio=options["trio"],
        exact=options["exact"],
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Only warnings beside the narration."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(max(before, logging.WARNING))
    try:
        yield
    finally:
        root.setLevel(before)


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C: what was placed is withdrawn before leaving."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
