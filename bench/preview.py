"""The order form's answer while one types: ``python -m bench.preview [--answers 200]``.

One form after the other, each with another stop, is sent to the preview as the page does: session, permissions, rules, figures,
what would be sent, the fragment of HTML. The market's data is at hand: the price stream has just brought the mark price, and
the balance is kept as the product keeps it (read once in five seconds). Limits are set, so that their use is summed, too.
"""

from __future__ import annotations

import argparse
import sys
import time
from decimal import Decimal
from typing import Any, Final

from bench.reporting.figures import percentile
from bench.reporting.present import present
from bench.reporting.report import Cell, Report, Sheet, Target
from bench.stand.servers import own_servers

WITHIN_MS: Final = 100
WARM_UP: Final = 10


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--answers", type=int, default=200, help="how many are measured")


def measure(options: argparse.Namespace) -> Report:
    with own_servers():
        times, cpu, statements = _measured(options.answers)
    report = Report("preview", "The order form while one types", (__doc__ or "").partition("\n\n")[2].strip())
    columns = ["", "p50", "p95", "p99"]
    rows: list[list[Cell]] = [[name, *(percentile(values, percent) for percent in (50, 95, 99))] for name, values in
            (("ms until the answer", times), ("CPU ms of the thread", cpu), ("statements", statements))]  # fmt: skip
    report.sheets.append(Sheet(f"{len(times)} answers", columns, rows))
    report.targets.append(Target("preview p95, market data at hand", percentile(times, 95), WITHIN_MS, "ms"))
    return report


def _measured(answers: int) -> tuple[list[float], list[float], list[float]]:
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client
    from django.urls import reverse

    from bench.queueing import Counted, accounts_made
    from orders.exchange_data.clock import db_now, to_exchange_ms
    from orders.exchange_data.symbol_sync import symbols_sync
    from orders.models import Clock, RiskLimit, Slot, Symbol
    from tests.unit.orders.operators import draft_form

    settings.DEBUG = False
    call_command("migrate", verbosity=0)
    counted = Counted()
    from accounts import endpoints
    from accounts.gateways import prepare

    prepare()
    endpoints.use_transport("PAPER", counted.adapter)
    symbols_sync("PAPER")
    (account, *_) = accounts_made(counted)
    symbol = Symbol.objects.get(environment="PAPER", symbol="BTCUSDT")
    counted.simulator.set_price("BTCUSDT", "100000")
    slot = Slot.objects.create(account=account, symbol="BTCUSDT", mark_price=Decimal(100000))
    RiskLimit.objects.create(account=account, is_active=True)
    client = Client(SERVER_NAME="localhost")
    client.force_login(
        User.objects.create_superuser("bench"), backend="django.contrib.auth.backends.ModelBackend"
    )
    times: list[float] = []
    cpu: list[float] = []
    statements: list[float] = []

    def counting(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        statements[-1] += 1
        return execute(sql, params, many, context)

    for number in range(answers + WARM_UP):
        offset = Clock.objects.get(environment="PAPER").offset_ms
        Slot.objects.filter(pk=slot.pk).update(mark_as_of=to_exchange_ms(db_now(), offset))
        stop = str(95000 + number)
        form = draft_form(account.pk, symbol.pk, _preview_number=str(number), stop_loss=stop)
        statements.append(0)
        with connection.execute_wrapper(counting):
            began, used = time.perf_counter(), time.thread_time()
            answer = client.post(reverse("admin:orders_trioorder_preview"), form)
            times.append((time.perf_counter() - began) * 1000)
            cpu.append((time.thread_time() - used) * 1000)
        assert answer.status_code == 200
        assert "Notional" in answer.content.decode(), "no figures were worked out"
    return times[WARM_UP:], cpu[WARM_UP:], statements[WARM_UP:]


if __name__ == "__main__":
    sys.exit(present("preview", __doc__ or "", measure, arguments))
