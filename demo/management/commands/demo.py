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

from demo.director import OPERATOR, Director
from demo.stage import DemoFailed, Stage, wait_for
from local_servers import pidfiles


class Command(BaseCommand):
    help = (
        "Start everything on this machine (simulated exchange, workers, web), place eight trios and narrate each "
        "to its end, then leave the admin open until Ctrl-C. No keys, no network, no money. "
        "A demo that is still running in this checkout is ended first, and what it left alive is carried to its end."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once",
            action="store_true",
            help="headless: end after the stories, print one line of JSON last, exit 0 only if all ended as told",
        )

    def handle(self, *args: Any, once: bool = False, **options: Any) -> None:
        if settings.BINANCE_URLS["PAPER"].rest.split(":")[0] != "http":
            raise CommandError(
                "The demo needs the local simulator: BINANCE_PAPER_REST_URL must be http://127.0.0.1:…"
            )
        signal.signal(signal.SIGTERM, _interrupt)
        began = time.monotonic()
        stage = Stage()
        stage_started = False
        report: dict[str, Any] = {"ok": False, "trios": []}
        try:
            stage.start()
            with pidfiles.pid_file("demo"):
                stage_started = True
                self._perform(stage, report, once=once)
        except DemoFailed as failed:
            report["error"] = str(failed)
            self._say(str(failed))
        except KeyboardInterrupt:
            report["error"] = "stopped"
            self._say("Stopping.")
        finally:
            if stage_started:
                stage.stop()
        report["seconds"] = round(time.monotonic() - began, 1)
        if once:
            self.stdout.write(json.dumps(report))
        stopped_by_hand = not once and report.get("error") == "stopped"
        if not report["ok"] and not stopped_by_hand:
            raise SystemExit(1)

    def _perform(self, stage: Stage, report: dict[str, Any], *, once: bool) -> None:
        self._say("Starting the simulated exchange, two workers of each kind and the web.")
        director = Director(say=self._say)
        director.market.pause()
        director.prepare()
        password = director.operator()
        report["carried_on"] = director.carry_on()
        director.play()
        report["trios"] = director.review()
        report["ok"] = bool(report["trios"]) and all(row["as_told"] for row in report["trios"])
        for row in report["trios"]:
            result = f" by {row['result']}" if row["result"] else ""
            self._say(
                f"{'as told' if row['as_told'] else 'NOT AS TOLD'}: {row['story']}: {row['state']}{result}, "
                f"uncovered for {row['uncovered_ms']} ms{', left over: ' + str(row['left_over']) if row['left_over'] else ''}"
            )
        report["journal_breaks"] = director.journal_breaks()
        report["ok"] &= not report["journal_breaks"]
        for sentence in report["journal_breaks"] or [
            "The journal is whole, and tells the same as the books."
        ]:
            self._say(sentence)
        if once:
            director.market.run()
            return
        address = director.encore()
        wait_for(_web_answers, "The web did not come up within 30 s: see .run/logs/web.log.")
        self._say("")
        self._say(f"The admin is open at {address}")
        self._say(f"Log in as {OPERATOR} with the password {password}")
        self._say("One more trio is open on a moving market. Ctrl-C stops everything.")
        while stage.alive:
            time.sleep(0.5)
        raise DemoFailed("The supervisor ended by itself: see .run/logs/supervisord.log.")

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
