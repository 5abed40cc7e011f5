"""PostgreSQL, Valkey and the exchange, each stopped for a while under open trios: who answers how soon, and what is uncovered."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import requests

from tests.crash.stage import ROOT
from tests.load.house import House, Row, housed, now_ms, say, until
from tests.load.table import Table, spread
from tests.load.web import free_port, operator_session

if TYPE_CHECKING:
    from orders.models import TrioOrder
    from tests.load.desk import Desk

SERVERS: Final = ("peace", "postgresql", "connections", "valkey", "simulator")
CULPRITS: Final = {
    "postgresql": "PostgreSQL",
    "connections": "PostgreSQL",
    "valkey": "Valkey",
    "simulator": "exchange",
}
PAGES: Final = {"healthz": "/healthz", "dashboard": "/admin/", "list": "/admin/orders/trioorder/"}
FACES: Final = (*PAGES, "show_trio", "place_trio")
LIMIT_MS: Final = 3000  # and what it takes in peace, which is much on a busy machine
HUNG_SECONDS: Final = 60
LOST_AFTER_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 0.5  # between two askings of one face


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=int, default=20, help="how long each is stopped")
    parser.add_argument("--trios", type=int, default=20, help="open meanwhile")
    parser.add_argument("--lost", type=int, default=2, help="so many of them lose their stop meanwhile")
    parser.add_argument("--accounts", type=int, default=4)
    parser.add_argument("--only", choices=SERVERS[1:], action="append", help="only this one; may be repeated")


def run(options: argparse.Namespace, folder: Path) -> Table:
    port = free_port()
    with housed(folder, {"WEB_PORT": str(port)}) as house:
        return _run(options, house, port)


@dataclass
class Answer:
    """What one face said, and how long it took."""

    ms: int
    text: str
    good: bool


@dataclass
class Asked:
    """All that was asked while one server stood still."""

    server: str
    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, face: str, answer: Answer) -> None:
        with self.lock:
            self.answers[face].append(answer)

    def longest(self, face: str) -> int:
        return max((answer.ms for answer in self.answers[face]), default=0)

    def unnamed(self, face: str) -> list[str]:
        """What did not answer well and does not name the culprit either."""
        culprit = CULPRITS.get(self.server, "")
        return [
            answer.text[-300:]
            for answer in self.answers[face]
            if not answer.good and not (culprit and culprit in answer.text)
        ]


@dataclass
class Faces:
    """The pages and commands a person asks."""

    port: int
    commands: subprocess.Popen[str]
    cookie: str
    trio: int
    account: str
    drafts: Iterator[dict[str, str]]

    def page(self, path: str) -> Answer:
        began = time.monotonic()
        try:
            answer = requests.get(
                f"http://127.0.0.1:{self.port}{path}",
                cookies={"sessionid": self.cookie},
                timeout=HUNG_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            return Answer(_ms(began), type(error).__name__, good=False)
        return Answer(_ms(began), answer.text, good=answer.status_code == 200)

    def show(self) -> Answer:
        return self._command("show_trio", str(self.trio), "--json")

    def place(self) -> Answer:
        words = next(self.drafts)
        flat = [word for name, value in words.items() for word in (f"--{name}", value)]
        return self._command("place_trio", "--json", *flat)

    def _command(self, *words: str) -> Answer:
        assert self.commands.stdin is not None
        assert self.commands.stdout is not None
        self.commands.stdin.write(json.dumps(words) + "\n")
        self.commands.stdin.flush()
        found = json.loads(self.commands.stdout.readline())
        return Answer(found["ms"], found["out"] or found["err"], good=found["code"] == 0)

    def ask_all(self, asked: Asked, over: threading.Event) -> list[threading.Thread]:
        """Ask every face again and again until it is over: pages in one thread, commands in another."""

        def round_of(faces: dict[str, Callable[[], Answer]]) -> None:
            while not over.is_set():
                for face, ask in faces.items():
                    if not over.is_set():
                        asked.note(face, ask())
                over.wait(PAUSE_SECONDS)

        pages = {face: (lambda path=path: self.page(path)) for face, path in PAGES.items()}
        threads = [
            threading.Thread(target=round_of, args=(faces,))
            for faces in (pages, {"place_trio": self.place, "show_trio": self.show})
        ]
        for thread in threads:
            thread.start()
        return threads


def _ms(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


# --- what is stopped ----------------------------------------------------------------------------------------------


def family(pid: int) -> list[int]:
    """Return a process and its children."""
    found = [pid]
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rsplit(") ", 1)[1].split()
        except (OSError, IndexError):
            continue
        if int(fields[1]) == pid:
            found.append(int(entry.parent.name))
    return found


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """Stop a server with its children, and let them go on afterwards."""
    os.kill(pid, signal.SIGSTOP)  # first: from now on it makes no further child
    stopped = family(pid)
    try:
        for one in stopped[1:]:
            os.kill(one, signal.SIGSTOP)
        yield
    finally:
        for one in reversed(stopped):
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGCONT)


@contextmanager
def used_up() -> Iterator[None]:
    """Hold every connection that PostgreSQL gives, and take each that comes free."""
    import psycopg2

    url = os.environ["DATABASE_URL"]
    _, _, folder, name = re.fullmatch(r"(\w+)://\w+@(/)(.+)/(\w+)", url).groups()  # type: ignore[union-attr]
    held: list[Any] = []
    over = threading.Event()

    def hold() -> None:
        while not over.wait(0.02):
            try:
                while True:
                    held.append(psycopg2.connect(host=f"/{folder}", user="postgres", dbname=name))
            except psycopg2.OperationalError:
                continue

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        yield
    finally:
        over.set()
        holder.join()
        for link in held:
            link.close()


@contextmanager
def nothing() -> Iterator[None]:
    yield


def hurt(server: str, house: House) -> Any:
    if server == "postgresql":
        return standing_still(int((Path(os.environ["TRIO_RUN_DIR"]) / "postgres.pid").read_text()))
    if server == "valkey":
        return standing_still(house.valkey_pid())
    if server == "simulator":
        return standing_still(house.stage.processes[0].pid)
    return used_up() if server == "connections" else nothing()


# --- the run ------------------------------------------------------------------------------------------------------


def _run(options: argparse.Namespace, house: House, port: int) -> Table:
    from tests.load.desk import Desk

    desk = Desk(house, options.accounts, weight=6000)
    web = house.stage.start("web", "-m", "local_servers.serve", "web", DEBUG="true")
    house.start_workers(2, 2)
    desk.watched(seconds=180)
    each = options.trios // options.accounts
    trios = desk.open_trios(desk.accounts, each)
    commands = subprocess.Popen(
        [sys.executable, "-m", "tests.load.warm"],
        cwd=ROOT,
        env={**os.environ, **house.stage.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    house.stage.processes.append(commands)
    faces = Faces(port, commands, operator_session(), trios[0].pk, desk.accounts[0].name, _drafts(desk, each))
    until(lambda: faces.page("/healthz").good, seconds=180, what="the web up")
    until(lambda: faces.page("/admin/").good, seconds=180, what="a page for who is signed in")
    until(lambda: faces.show().good, seconds=180, what="a command")

    table = Table(
        f"stopped-servers: {len(trios)} open trios on {options.accounts} accounts, each server for {options.seconds} s"
    )
    peace: Asked | None = None
    for server in ("peace", *(options.only or SERVERS[1:])):
        asked = _one(table, options, house, desk, faces, trios, server, peace)
        peace = peace or asked
    table.holds("processes that ended", house.dead() or 0, not house.dead() and web.poll() is None)
    return table


def _one(
    table: Table,
    options: argparse.Namespace,
    house: House,
    desk: Desk,
    faces: Faces,
    trios: list[TrioOrder],
    server: str,
    peace: Asked | None,
) -> Asked:
    from django.db import connection

    lost = [desk.stop_of(trio) for trio in trios[: options.lost]] if server != "peace" else []
    placed_before = _placed()
    connection.close()  # nothing here may wait for what stands still
    asked, over = Asked(server), threading.Event()
    began = now_ms()
    losing: list[threading.Timer] = []
    with hurt(server, house):
        say(f"{server}: stopped")
        threads = faces.ask_all(asked, over)
        for trio, client_id in zip(trios, lost, strict=False):
            body = {"client_id": client_id, "account": trio.account.name}
            losing.append(threading.Timer(LOST_AFTER_SECONDS, house.venue.ask, ("POST", "/sim/expire", body)))
        for one in losing:
            one.start()
        time.sleep(options.seconds)
    over.set()
    ended = now_ms()
    for thread in (*threads, *losing):
        thread.join()
    say(f"{server}: goes on")

    for face in FACES:
        longest, named = asked.longest(face), asked.unnamed(face)
        said = f"{longest} ms of {len(asked.answers[face])}"
        if peace is None:
            table.figure(f"{server}: {face}", said)
            continue
        table.holds(
            f"{server}: {face}",
            said + (f"; does not name it: {named[0]!r}" if named else ""),
            0 < longest <= LIMIT_MS + peace.longest(face) and not named,
        )
    problem = _after(house, desk, trios)
    table.holds(f"{server}: goes on by itself", problem or f"after {now_ms() - ended} ms", not problem)
    slots = [(trio.account.name, trio.symbol.symbol) for trio in trios]
    by_slot: dict[tuple[str, str], list[int]] = defaultdict(list)
    for gap in _gaps(house):
        if gap["start"] >= began:
            by_slot[gap["account"], gap["symbol"]].append(gap["ms"])
    lost_gaps = [ms for slot in slots[: len(lost)] for ms in by_slot.pop(slot, ())]
    others = [ms for slot in slots[len(lost) :] for ms in by_slot.pop(slot, ())]
    table.figure(f"{server}: longest without protection, of those that lost it", spread(lost_gaps))
    new_trios = [ms for found in by_slot.values() for ms in found]
    table.figure(f"{server}: longest without protection, of new trios", spread(new_trios))
    table.holds(
        f"{server}: never without protection, the other {len(trios) - len(lost)}", spread(others), not others
    )
    _placings(table, server, asked.answers["place_trio"], placed_before)
    return asked


def _placed() -> dict[int, str]:
    from orders.models import TrioOrder

    return dict(TrioOrder.objects.values_list("pk", "state"))


def _placings(table: Table, server: str, answers: list[Answer], before: dict[int, str]) -> None:
    """Is what each placing said about itself true?"""
    now = {pk: state for pk, state in _placed().items() if pk not in before and state != "DRAFT"}
    said: Counter[str] = Counter()
    untrue: list[str] = []
    for answer in answers:
        if answer.good:
            said["placed"] += 1
            number = json.loads(answer.text)["trio"]
            if now.pop(number, None) is None:
                untrue.append(f"trio {number} is not there")
        elif "Nothing was placed" in answer.text:
            said["nothing placed"] += 1
        elif found := re.search(r"[Ww]hether trio (\d+) was placed is not known", answer.text):
            said["not known"] += 1
            now.pop(int(found[1]), None)
        elif found := re.search(r"[Tt]rio (\d+) is queued", answer.text):
            said["placed"] += 1
            if now.pop(int(found[1]), None) is None:
                untrue.append(f"trio {found[1]} is not there")
        else:
            untrue.append(answer.text[-300:])
    untrue += [f"trio {pk} was placed without a word" for pk in now]
    table.holds(f"{server}: placing says what it did", f"{dict(said)} {untrue[:2] or ''}", not untrue)


def _after(house: House, desk: Desk, trios: list[TrioOrder]) -> str:
    """Wait until everything goes on; say what does not."""
    try:
        until(lambda: not _out_of_order(house, trios), seconds=120, what="everything in order", pause=0.3)
        desk.watched(seconds=180)
    except TimeoutError as error:
        return f"{error} {_out_of_order(house, trios)}"
    return ""


def _out_of_order(house: House, trios: list[TrioOrder]) -> str:
    """What the exchange shows differs from what is known here, or is not covered once by a stop and a target."""
    from orders.domain.enums import ENDS
    from orders.models import TrioOrder

    if open_gaps := [gap for gap in _gaps(house) if not gap["end"]]:
        return f"uncovered: {open_gaps[0]}"
    states = Counter(
        TrioOrder.objects.filter(pk__in=[trio.pk for trio in trios]).values_list("state", flat=True)
    )
    if states != {"OPEN": len(trios)}:
        return f"states {dict(states)}"
    verdict = house.verdict()
    at_exchange = {
        (row["account"], row["symbol"]): abs(Decimal(row["quantity"])) for row in verdict["open_positions"]
    }
    living = TrioOrder.objects.exclude(state__in=[*ENDS, "DRAFT"]).select_related("account", "symbol")
    wanted = {(trio.account.name, trio.symbol.symbol): trio.quantity for trio in living}
    if at_exchange != wanted:
        return f"positions differ at {sorted(set(at_exchange.items()) ^ set(wanted.items()))[:2]}"
    resting: Counter[tuple[str, str]] = Counter()
    for account in house.venue.ask("GET", "/sim/state")["accounts"]:
        for order in [*account["orders"], *account["algo_orders"]]:
            resting[account["name"], order["symbol"]] += 1
    if wrong := {slot: count for slot, count in resting.items() if count != 2 or slot not in wanted}:
        return f"orders by slot: {dict(list(wrong.items())[:2])}"
    if len(resting) != len(wanted):
        return f"{len(wanted) - len(resting)} without orders"
    return f"reversed: {verdict['reversed'][0]}" if verdict["reversed"] else ""


def _gaps(house: House) -> list[Row]:
    verdict = house.verdict()
    found: list[Row] = verdict["uncovered"] + verdict["uncovered_refused_by_us"]
    return found


def _drafts(desk: Desk, used: int) -> Iterator[dict[str, str]]:
    """Yield what place_trio is given: a symbol without a trio each time."""
    for symbol in desk.symbols[used:]:
        for account in desk.accounts:
            levels = desk.levels(symbol)
            yield {
                "account": account.name, "symbol": symbol.symbol, "side": "BUY", "protection": "ON_FIRST_FILL",
                "quantity": format(levels["quantity"], "f"), "stop-loss": format(levels["stop_loss"], "f"),
                "take-profit": format(levels["take_profit"], "f"),
            }  # fmt: skip
