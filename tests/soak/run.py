"""A soak under way: as many trios side by side as the machine can carry, until the plan is lived; then the judgement."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import close_old_connections, connection, connections

from accounts.services import paper_account_ensure
from orders.domain.enums import ENDS, LegState, Role
from orders.exchange_data.symbol_sync import symbols_sync
from orders.installation import install_row
from orders.models import Leg, Symbol, TrioOrder, Watch
from tests.crash.stage import TIMES, Stage
from tests.soak.crew import Crew
from tests.soak.life import Life
from tests.soak.plan import ACCOUNTS, KINDS, SYMBOLS, Death, Trio
from tests.soak.verdict import Verdict, judge_all

# An order that outlives its trio by so long is an orphan. A leg that was armed before its entry may have to wait for
# the others for as long as a window of the exchange's order limits lasts, which is 10 s.
SETTLE_SECONDS: Final = 12.0
LOOK_SECONDS: Final = 2.0
STEP_SECONDS: Final = 0.08
TELL_SECONDS: Final = 5.0
HANDS: Final = 6
LEAST, MOST = 2, 64  # trios side by side
LATE_MS: Final = 300  # what is due for longer says that the machine has too much to do
ANSWERS: Final = {"recv_window": TIMES["RECV_WINDOW_MS"], "absence_margin": TIMES["ABSENCE_MARGIN_MS"]}
AMPLE_WEIGHT: Final = 24_000


@dataclass(slots=True)
class Soaked:
    """Everything a run came to."""

    lives: list[Life] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    ends: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)  # trios by the fault that struck them
    struck: Counter[str] = field(default_factory=Counter)  # how often each kind struck
    troubles: Counter[str] = field(default_factory=Counter)
    absences: int = 0
    asked: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    most: int = 0
    seconds: float = 0.0


class Pace:
    """How many trios may live side by side: one more while what is due is served at once, fewer when it is not."""

    def __init__(self) -> None:
        self.most = 8.0
        self.late_ms = 0
        self._next = 0.0

    def look(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + 0.5
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - wake_at) * 1000), 0)::int "
                "FROM orders_trioorder WHERE wake_at < clock_timestamp() AND state NOT IN ('DRAFT', 'QUEUED')"
            )  # a queued trio is not late: it waits for room in the air
            (self.late_ms,) = cursor.fetchone()
        if self.late_ms > LATE_MS:
            self.most = max(LEAST, self.most * 0.8)
        else:
            self.most = min(MOST, self.most + 0.5)


def _wash(hands: ThreadPoolExecutor) -> None:
    """Have each hand close its own connection to the database; all at once, so that none does it twice."""
    everyone = threading.Barrier(HANDS)

    def close() -> None:
        everyone.wait(timeout=30)
        connections.close_all()

    for washed in [hands.submit(close) for _ in range(HANDS)]:
        washed.result()


class Run:
    """One run over the trios of a seed."""

    def __init__(
        self,
        stage: Stage,
        trios: list[Trio],
        deaths: list[Death],
        *,
        log: Path,
        slack_ms: int,
        tell: Callable[[str], None],
    ) -> None:
        self.stage, self.trios, self.tell = stage, trios, tell
        self._log, self._slack_ms = log, slack_ms
        self.crew = Crew(stage, tell, list(deaths))
        self.soaked = Soaked()
        self.pace = Pace()
        self._living: list[Life] = []
        self._fault_kinds: dict[int, Life] = {}
        self._told_fired: Counter[int] = Counter()  # faults on events: the log of requests does not name them
        self._spent: list[Life] = []
        self._orphans: dict[tuple[str, int], dict[str, Any]] = {}  # as last seen, by client id and beginning

    def go(self) -> Soaked:
        began = time.monotonic()
        settings.DEBUG = False  # here as in the processes: queries are not kept
        # Five trios a second on one address are more than its minute allows; bans and 429s are among the faults.
        self.stage.venue.ask("POST", "/sim/limits", {"weight_per_minute": AMPLE_WEIGHT})
        symbols_sync("PAPER")
        modes = ("ONE_WAY", "HEDGE")
        self.accounts = [
            paper_account_ensure(name=f"soak-{n}", balance=Decimal(1_000_000), position_mode=modes[n % 2])
            for n in range(ACCOUNTS)
        ]
        self.crew.muster()
        self._until_watched()
        self._know_the_market()
        over = threading.Event()
        looker = threading.Thread(target=self._look_for_orphans, args=(over,))
        looker.start()
        try:
            with ThreadPoolExecutor(HANDS) as hands:
                self._live(hands)
                self._settle()
                _wash(hands)
        finally:
            over.set()
            looker.join()
        self._judge()
        self.soaked.seconds = time.monotonic() - began
        return self.soaked

    # --- before -----------------------------------------------------------------------------------

    def _until_watched(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            watches = Watch.objects.filter(account__in=self.accounts, stream_since__isnull=False)
            ready = [w for w in watches if w.swept_at and w.stream_since and w.swept_at >= w.stream_since]
            if len(ready) == len(self.accounts):
                return
            if time.monotonic() > deadline:
                raise RuntimeError("The runworkers do not watch the accounts; their logs say why.")
            time.sleep(0.1)

    def _know_the_market(self) -> None:
        marks = self.stage.venue.ask("GET", "/fapi/v1/premiumIndex")
        self._prices = {row["symbol"]: Decimal(row["markPrice"]) for row in marks}
        rows = Symbol.objects.filter(environment="PAPER", symbol__endswith="USDT").order_by("symbol")
        self._symbols = [
            row for row in rows if row.is_trading and row.symbol in self._prices and (row.orders_max or 0) > 1
        ]
        self._install = install_row().token
        self._free = {(n, m) for n in range(ACCOUNTS) for m in range(SYMBOLS)}

    # --- living -----------------------------------------------------------------------------------

    def _live(self, hands: ThreadPoolExecutor) -> None:
        waiting = list(self.trios)
        tell_at = spent_at = 0.0
        while waiting or self._living or not self.crew.is_quiet:
            started = time.monotonic()
            self.pace.look()
            begun = self.trios[-1].number + 1 if not waiting else waiting[0].number
            self.crew.beat(begun=begun, hurry=not waiting)
            self._begin(waiting, hands)
            self._look(hands)
            if started > spent_at:
                spent_at = started + 1.0
                self._clear_faults()
            if started > tell_at:
                tell_at = started + TELL_SECONDS
                self.tell(self._progress(len(waiting)))
            time.sleep(max(0.005, STEP_SECONDS - (time.monotonic() - started)))

    def _begin(self, waiting: list[Trio], hands: ThreadPoolExecutor) -> None:
        if len(self._living) >= int(self.pace.most):
            return
        starting = sum(life.busy and not life.trio_id for life in self._living)
        if starting >= HANDS // 2:
            return
        at = next((i for i, plan in enumerate(waiting[:32]) if self._place(plan) in self._free), None)
        if at is None:
            return
        plan = waiting.pop(at)
        self._free.discard(self._place(plan))
        symbol = self._symbols[(plan.account * SYMBOLS + plan.symbol) % len(self._symbols)]
        life = Life(
            plan,
            self.stage.venue,
            self.accounts[plan.account],
            symbol,
            self._prices[symbol.symbol],
            self._install,
        )
        self._living.append(life)
        self.soaked.lives.append(life)
        self.soaked.most = max(self.soaked.most, len(self._living))
        self._hand(life, life.begin, hands)

    def _place(self, plan: Trio) -> tuple[int, int]:
        return plan.account, plan.symbol

    def _hand(self, life: Life, act: Callable[[], None], hands: ThreadPoolExecutor) -> None:
        life.busy = True

        def do() -> None:
            close_old_connections()
            act()

        def done(future: Future[None]) -> None:
            if (error := future.exception()) is not None:
                self.soaked.broken.append(f"{life.plan}: {type(error).__name__}: {error}")
                self.tell(self.soaked.broken[-1])
            life.busy = False

        hands.submit(do).add_done_callback(done)

    def _look(self, hands: ThreadPoolExecutor) -> None:
        looked = {life.trio_id: life for life in self._living if life.trio_id and not life.busy}
        rows = TrioOrder.objects.filter(pk__in=looked).values_list("pk", "state")
        states = dict(rows)
        moving = [pk for pk, state in states.items() if state in ("WORKING", "OPEN")]
        legs: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for leg in Leg.objects.filter(trio__in=moving).values("trio_id", "role", "state", "client_id"):
            legs[leg["trio_id"]].append(dict(leg))
        for pk, state in states.items():
            life = looked[pk]
            if state == "DRAFT" or life.is_lost:  # never accepted, or never ended: the judgement will say so
                self._end(life)
            elif (act := life.looked(state, legs[pk])) is not None:
                self._hand(life, act, hands)
            elif state in ENDS:
                self._end(life)
        for life in [one for one in self._living if not one.trio_id and not one.busy]:
            self._end(life)  # broken before it had a number

    def _end(self, life: Life) -> None:
        self._living.remove(life)
        self._free.add(self._place(life.plan))
        self._spent.append(life)

    def _clear_faults(self) -> None:
        """Take the faults of what has ended away, and remember how often they struck."""
        spent, self._spent = self._spent, []
        if not any(life.faults for life in spent):
            return
        fired = {row["id"]: row["fired"] for row in self.stage.venue.ask("GET", "/sim/faults")}
        for life in spent:
            for ident in life.faults:
                self._fault_kinds[ident] = life
                if "event" in KINDS[life.plan.fault][0]:
                    self._told_fired[ident] = fired.get(ident, 0)
                self.stage.venue.ask("DELETE", f"/sim/faults?id={ident}")

    def _progress(self, waiting: int) -> str:
        done = len(self.trios) - waiting - len(self._living)
        return (
            f"{done} of {len(self.trios)} trios lived, {len(self._living)} of {self.pace.most:.0f} under way, "
            f"due for {self.pace.late_ms} ms at most, {self.crew.count('kill')} kills, {self.crew.count('pause')} pauses"
        )

    def _look_for_orphans(self, over: threading.Event) -> None:
        """Ask for orphans all along: one that is cleared away late was an orphan all the same."""
        words = "&".join(f"{name}={value}" for name, value in ANSWERS.items())
        while not over.wait(LOOK_SECONDS):
            for row in self.stage.venue.ask("GET", f"/sim/orphans?{words}"):
                self._orphans[row["client_id"], row["since"]] = row

    # --- after ------------------------------------------------------------------------------------

    def _settle(self) -> None:
        until = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < until:
            self.crew.beat(begun=0)
            time.sleep(0.2)
        self._clear_faults()

    def _judge(self) -> None:
        soaked = self.soaked
        words = "&".join(f"{name}={value}" for name, value in ANSWERS.items())
        verdict = self.stage.venue.ask("GET", f"/sim/verdict?{words}")
        state = self.stage.venue.ask("GET", "/sim/state")
        trios = {
            row["pk"]: row
            for row in TrioOrder.objects.values("pk", "state", "quantity", "result", "question_kind")
        }
        legs: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for leg in Leg.objects.values("trio_id", "role", "state", "filled"):
            legs[leg["trio_id"]].append(dict(leg))
        lives = [life for life in soaked.lives if life.trio_id and life.state != "DRAFT"]
        soaked.verdict = judge_all(
            [life.claim(trios[life.trio_id], legs[life.trio_id]) for life in lives],
            verdict,
            state,
            log=self._requests(),
            orphans=self._orphans.values(),
            troubles=self.crew.troubles,
            bound_ms=2000 + self._slack_ms,
        )
        for life in soaked.lives:
            row = trios.get(life.trio_id)
            soaked.ends[(row["result"] or row["state"]) if row else "never drafted"] += 1
            soaked.asked += bool(row and row["question_kind"])
            soaked.refusals.update(life.refusals)
            for ident in life.faults:
                fired = soaked.verdict.fired[ident] + self._told_fired[ident]
                soaked.struck[life.plan.fault] += fired
                soaked.met[life.plan.fault] += fired > 0
        soaked.absences = Leg.objects.filter(role=Role.ENTRY, state=LegState.WRITTEN_OFF).count()
        soaked.troubles.update({f"{what} {whom}": count for (what, whom), count in self.crew.done.items()})
        connections.close_all()

    def _requests(self) -> Iterator[dict[str, Any]]:
        with self._log.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
