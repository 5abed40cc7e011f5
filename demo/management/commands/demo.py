"""``manage.py demo``: what ``make demo`` runs."""

from __future__ import annotations

import json
import signal
import time
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from demo.processes import DemoProcesses
from demo.retry import RETRY_SECONDS, DemoFailed, wait_for
from demo.runner import OPERATOR, DemoRunner
from local_servers import pidfiles


class Command(BaseCommand):
    help = (
        "Start everything on this machine (simulated exchange, workers, web), place eight trios and narrate each "
        "to its end, then leave the admin open until Ctrl-C. No keys, no network, no money. "
        "A demo still running in this checkout is ended first, and the trios it left open are closed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once",
            action="store_true",
            help="headless: end after the eight trios and the strategy's, print one line of JSON last, exit 0 only if all ended as expected",
        )

    def handle(self, *args: Any, once: bool = False, **options: Any) -> None:
        if settings.BINANCE_URLS["PAPER"].rest.split(":")[0] != "http":
            raise CommandError(
                "The demo needs the local simulator: BINANCE_PAPER_REST_URL must be http://127.0.0.1:…"
            )
        signal.signal(signal.SIGTERM, _interrupt)
        began = time.monotonic()
        processes = DemoProcesses()
        started = False
        report: dict[str, Any] = {"ok": False, "trios": []}
        try:
            processes.start()
            with pidfiles.pid_file("demo"):
                started = True
                self._run(processes, report, once=once)
        except DemoFailed as failed:
            report["error"] = str(failed)
            self._say(str(failed))
        except KeyboardInterrupt:
            report["error"] = "stopped"
            self._say("Stopping.")
        finally:
            if started:
                processes.stop()
        report["seconds"] = round(time.monotonic() - began, 1)
        if once:
            self.stdout.write(json.dumps(report))
        stopped_by_hand = not once and report.get("error") == "stopped"
        if not report["ok"] and not stopped_by_hand:
            raise SystemExit(1)

    def _run(self, processes: DemoProcesses, report: dict[str, Any], *, once: bool) -> None:
        self._say("Starting the simulated exchange, two workers of each kind and the web.")
        runner = DemoRunner(say=self._say)
        runner.market.pause()
        runner.prepare()
        password = runner.operator_password()
        report["carried_on"] = runner.close_leftovers()
        runner.run_scenarios()
        report["trios"] = [*runner.report(), runner.run_strategy()]
        report["ok"] = bool(report["trios"]) and all(row["as_told"] for row in report["trios"])
        for row in report["trios"]:
            verdict = "as expected" if row["as_told"] else "NOT AS EXPECTED"
            result = f" by {row['result']}" if row["result"] else ""
            left = f", left over: {row['left_over']}" if row["left_over"] else ""
            self._say(
                f"{verdict}: {row['story']}: {row['state']}{result}, unprotected for {row['uncovered_ms']} ms{left}"
            )
        report["journal_breaks"] = runner.journal_breaks()
        report["ok"] &= not report["journal_breaks"]
        for sentence in report["journal_breaks"] or ["The journal is intact and agrees with the database."]:
            self._say(sentence)
        if once:
            runner.market.run()
            return
        address = runner.leave_one_open()
        wait_for(
            _web_answers, f"The web did not come up within {RETRY_SECONDS:.0f} s: see .run/logs/web.log."
        )
        self._say("")
        self._say(f"The admin is open at {address}")
        self._say(f"Log in as {OPERATOR} with the password {password}")
        self._say("One more trio is open on a moving market. Ctrl-C stops everything.")
        while processes.alive:
            time.sleep(0.5)
        raise DemoFailed("The supervisor ended unexpectedly: see .run/logs/supervisord.log.")

    def _say(self, text: str) -> None:
        self.stderr.write(text)
        self.stderr.flush()


def _web_answers() -> bool:
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{settings.WEB_PORT}/admin/login/", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
