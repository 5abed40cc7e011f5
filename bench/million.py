"""Pages with a million trios: ``python -m bench.million [--trios N] [--rounds N]``.

The books of a desk of years are written by SQL (trios, three orders each, executions, stories, income), on servers of
their own; then each page is asked for as a browser does, in this process: time, CPU of this process, statements. The
month that the statistics show is 1/33 of it all. Another load on the machine shows in the time, and not in the CPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from bench.reporting.figures import percentile
from bench.reporting.present import present
from bench.reporting.report import Cell, Panel, Report, Sheet, Target
from bench.stand.servers import own_servers

if TYPE_CHECKING:
    from django.test import Client

ACCOUNTS, SYMBOLS = 10, 300
WITHIN_MS: Final = 300
STATEMENTS_MAX: Final = 30
SEED_SECONDS: Final = 300


@dataclass(slots=True)
class Page:
    name: str
    path: str
    ms: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    statements: int = 0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trios", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=20, help="how often each page is asked for")


def measure(options: argparse.Namespace) -> Report:
    with own_servers():
        seconds, pages = _measured(options.trios, options.rounds)
    return report_of(options.trios, seconds, pages)


def _measured(trios: int, rounds: int) -> tuple[float, list[Page]]:
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    settings.DEBUG = False
    call_command("migrate", verbosity=0)
    seconds = seeded(trios)
    client = _client()
    pages = [Page(name, path) for name, path in _paths()]
    for page in pages:
        _ask(client, page)  # what is loaded, compiled and kept once
        page.ms.clear()
        page.cpu.clear()
    for _ in range(rounds):
        for page in pages:
            _ask(client, page)
    return seconds, pages


def seeded(trios: int) -> float:
    """Write the books. Return how many seconds that took."""
    import psycopg2

    from accounts import endpoints
    from accounts.gateways import prepare
    from accounts.services import account_add
    from bench.stand.many_rows import fill_books
    from local_servers import manager
    from orders.exchange_data.clock import clock_measure
    from orders.exchange_data.symbol_sync import symbols_sync
    from orders.installation import install_row
    from orders.models import Symbol, Watch
    from simulator import Simulator
    from simulator.transport import InProcessAdapter

    prepare()
    exchange = Simulator(enforce_rates=False)
    endpoints.use_transport("PAPER", InProcessAdapter(exchange))
    symbols_sync("PAPER")
    accounts = []
    for number in range(ACCOUNTS):
        name, key, secret = f"desk-{number}", f"bench-key-{number}", f"bench-secret-{number}"
        exchange.add_account(name, key, secret, "1000000")
        accounts.append(account_add(name=name, environment="PAPER", api_key=key, api_secret=secret).pk)
    clock_measure("PAPER")
    install_row()
    Watch.objects.bulk_create(Watch(account_id=account) for account in accounts)
    named = Symbol.objects.filter(status="TRADING", margin_asset="USDT").order_by("pk")
    symbols = list(named.values_list("pk", flat=True)[:SYMBOLS])
    began = time.monotonic()
    link = psycopg2.connect(host=str(manager.sockets_dir()), user="postgres", dbname=manager.DATABASE)
    try:
        link.autocommit = True
        with link.cursor() as cursor:
            fill_books(cursor, trios=trios, accounts=accounts, symbols=symbols)
    finally:
        link.close()
    return time.monotonic() - began


def _client() -> Client:
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client(SERVER_NAME="localhost")
    user = User.objects.create_superuser("bench")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def _paths() -> list[tuple[str, str]]:
    from django.urls import reverse

    from orders.models import Fill, TrioOrder

    rows, ended = reverse("admin:orders_trioorder_changelist"), TrioOrder.objects.filter(state="CLOSED")
    one = ended.filter(pk__gt=ended.count() // 2).order_by("pk").select_related("symbol", "account")[0]
    living = TrioOrder.objects.filter(state="OPEN").order_by("-pk")[0]
    entry, stop = one.legs.get(role="ENTRY"), one.legs.get(role="STOP_LOSS")
    fill = Fill.objects.filter(trio=one).first()
    assert fill is not None
    day = living.created_at.date() - timedelta(days=40)
    filters = {
        **{f"life {life}": f"life={life}" for life in ("alive", "asks", "draft", "ended")},
        **{f"outcome {which}": f"outcome={which}" for which in ("won", "lost")},
        **{f"closed {span}": f"closed={span}" for span in ("today", "month", "last-month")},
        **{f"made {span}": f"made={span}" for span in ("today", "month", "last-month")},
        "account": f"account__id__exact={one.account_id}",
        "environment": "account__environment__exact=PAPER",
        "symbol": f"symbol={one.symbol.symbol}",
        "side": "side=SELL",
        "source": "source=file",
        "tag": "tag=tag-3",
        "result": "result=STOP_LOSS",
        "state": "state__exact=ROLLED_BACK",
        "many at once": f"account__id__exact={one.account_id}&symbol={one.symbol.symbol}&side=BUY&outcome=lost&closed=last-month",
        "sorted by symbol": "o=2",
        "page 100": "p=100",
    }
    words = {
        "trio": one.pk,
        "order id": entry.order_id,
        "execution": fill.trade_id,
        "algo id": stop.algo_id,
        "client id": stop.client_id,
        "symbol": one.symbol.symbol,
        "source": "strategy:breakout",
        "tag": "tag:tag-3",
        "account": "desk-3",
        "nothing": 999_999_999_999,
    }
    return [
        ("dashboard", reverse("admin:index")),
        ("list", rows),
        *((f"list, {name}", f"{rows}?{query}") for name, query in filters.items()),
        *((f"search, {name}", f"{rows}?q={word}") for name, word in words.items()),
        ("trio that has ended", reverse("admin:orders_trioorder_change", args=[one.pk])),
        ("trio that is open", reverse("admin:orders_trioorder_change", args=[living.pk])),
        ("proof of a trio", reverse("admin:orders_trioorder_proof", args=[one.pk])),
        ("proof of a day", f"{reverse('admin:orders_proof_day')}?account={one.account.name}&day={day}"),
        ("statistics, a month of all", reverse("admin:orders_statistics")),
        (
            "statistics, a month of one account",
            f"{reverse('admin:orders_statistics')}?account=desk-3&by=symbol",
        ),
        ("positions", f"{reverse('admin:orders_slot_changelist')}?holds=open"),
        ("panic", reverse("admin:orders_panic")),
    ]


def _ask(client: Client, page: Page) -> None:
    from django.db import connection

    count = 0

    def counting(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal count
        count += 1
        return execute(sql, params, many, context)

    with connection.execute_wrapper(counting):
        began, cpu = time.perf_counter(), time.thread_time()
        answer = client.get(page.path)
        page.ms.append((time.perf_counter() - began) * 1000)
        page.cpu.append((time.thread_time() - cpu) * 1000)
    page.statements = max(page.statements, count)
    assert answer.status_code == 200, f"{page.name}: {answer.status_code}"


def report_of(trios: int, seconds: float, pages: list[Page]) -> Report:
    report = Report("million", "Pages with a million trios", (__doc__ or "").partition("\n\n")[2].strip())
    rows: list[list[Cell]] = [
        [
            page.name,
            percentile(page.ms, 50),
            percentile(page.ms, 95),
            percentile(page.cpu, 50),
            page.statements,
        ]
        for page in pages
    ]
    columns = ["page", "p50, ms", "p95, ms", "CPU of this process p50, ms", "statements"]
    report.sheets.append(Sheet(f"Each page, {trios} trios".replace("000000 ", " million "), columns, rows))
    slowest = max(pages, key=lambda page: percentile(page.ms, 95))
    most = max(pages, key=lambda page: page.statements)
    report.targets += [
        Target(f"seeding {trios} trios and {3 * trios} orders", seconds, SEED_SECONDS, "s"),
        Target(f"slowest page, p95 ({slowest.name})", percentile(slowest.ms, 95), WITHIN_MS, "ms"),
        Target(f"most statements of a page ({most.name})", most.statements, STATEMENTS_MAX, ""),
        Target(
            "pages within both, of all",
            sum(percentile(page.ms, 95) <= WITHIN_MS and page.statements <= STATEMENTS_MAX for page in pages),
            len(pages),
            "pages",
            at_least=True,
        ),
    ]
    named = [page for page in pages if "," not in page.name]
    report.panels.append(
        Panel("each page", "ms", [page.name for page in named],
              {"p95": [percentile(page.ms, 95) for page in named]}, limit=WITHIN_MS)
    )  # fmt: skip
    return report


if __name__ == "__main__":
    sys.exit(present("million", __doc__ or "", measure, arguments))
