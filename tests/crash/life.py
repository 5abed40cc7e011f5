"""One cell lived: the trio is placed by a victim, the market moves, the survivor carries on, the end is read."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from pathlib import Path
from typing import Any

from django.db import connection

from accounts.models import ExchangeAccount
from exchange.errors import ExchangeError
from orders import services
from orders.domain.enums import ENDS, LegState, Role
from orders.domain.errors import OrdersError
from orders.models import Symbol, TrioOrder
from orders.placement import admission
from orders.specs import rungs_read
from tests.crash.cells import BREAKOUT, CANCELLED, FAULTS, LADDER, MARKET, PARTIAL, STOP, Cell
from tests.crash.stage import Stage
from tests.crash.verdict import Claim
from tests.crash.victim import Errand, gone

D0 = Decimal(0)
LIFE_SECONDS = 45.0
ASLEEP_SECONDS = 6.0  # a stopped victim is woken when others have acted, and after so long in any case
OPEN_SECONDS = 3.0
VERB_SECONDS = 8.0  # a wish is not waited for longer: the market goes on
BY = "crash matrix"
STEP_SECONDS = 0.03
TRAIL_PERCENT = Decimal(8)  # further away than the stop


@dataclass(frozen=True, slots=True)
class Lived:
    """What there is to tell of a lived cell; ``claim`` is what the books say."""

    cell: Cell
    claim: Claim
    hit: bool
    fired: bool
    result: str
    question: str
    seconds: float
    story: str
    log: tuple[dict[str, Any], ...] = ()
    woken_ms: int = 0

    @property
    def happened(self) -> bool:
        return self.hit and self.fired


@dataclass(frozen=True, slots=True)
class Levels:
    """The prices of a life, on the symbol's own ticks."""

    price: Decimal
    entry: Decimal
    below: Decimal
    stop: Decimal
    target: Decimal
    quantity: Decimal
    half: Decimal
    above: Decimal
    deep: Decimal  # where the second rung of a ladder rests, before the stop

    @classmethod
    def of(cls, symbol: Symbol, price: Decimal, *, side: str = "BUY") -> Levels:
        def at(share: str) -> Decimal:
            away = Decimal(share) if side == "BUY" else 2 - Decimal(share)  # a short's levels are mirrored
            return on_tick(price * away, symbol.tick_size)

        step = max(symbol.step_size or D0, symbol.market_step_size or D0)
        lot = max(symbol.quantity_min or D0, symbol.market_quantity_min or D0)
        least = max(lot, (symbol.notional_min or D0) * 4 / price)
        half = (least / step).to_integral_value(ROUND_UP) * step
        return cls(
            price, at("0.995"), at("0.99"), at("0.96"), at("1.04"), half * 2, half, at("1.005"), at("0.98")
        )


def on_tick(price: Decimal, tick: Decimal | None) -> Decimal:
    return price if not tick else (price / tick).to_integral_value() * tick


class Life:
    """A cell under way, on one account and one symbol of its own."""

    def __init__(
        self,
        stage: Stage,
        cell: Cell,
        account: ExchangeAccount,
        symbol: Symbol,
        *,
        price: Decimal,
        number: int,
        since: int,
    ) -> None:
        self.stage, self.cell, self.account, self.symbol = stage, cell, account, symbol
        self.levels = Levels.of(symbol, on_tick(price, symbol.tick_size))
        self.since = since  # the exchange's log is read from here
        self.mark = Path(stage.folder / f"cell-{number}.hit")
        self.moved: set[str] = set()
        self.since_open: float | None = None
        self.since_verb: float | None = None
        self.hit_at: float | None = None
        self.awake = cell.death != STOP
        self.woken_ms = 0

    def live(self) -> Lived:
        began, self.began_ms = time.monotonic(), time.time_ns() // 10**6
        admission.forget()  # a death in one lane holds a place in the air for a while: no matter of the others here
        self.stage.venue.price(self.symbol.symbol, self.levels.price)
        fault = self._fault()
        trio = self._draft()
        errand = Errand(
            trio.pk, self.cell.boundary, self.cell.request, self.cell.death, str(self.mark), LIFE_SECONDS
        )
        self.pid = self.stage.nursery.send(errand)
        try:
            while time.monotonic() - began < LIFE_SECONDS:
                trio = TrioOrder.objects.get(pk=trio.pk)
                self._notice(trio)
                if trio.state in ENDS:
                    break
                if trio.state == "DRAFT" and gone(self.pid) and self._was_never_queued(trio):
                    break
                self._goon_tick(trio)
                time.sleep(STEP_SECONDS)
        finally:
            self._wake()
            self._bury()
        trio = TrioOrder.objects.get(pk=trio.pk)
        fired = fault is None or self._fired(fault)
        return self._tell(trio, fired=fired, seconds=time.monotonic() - began)

    def _was_never_queued(self, trio: TrioOrder) -> bool:
        """Is it still a draft, read after its victim was gone? It may have been queued and struck since it was read."""
        trio.refresh_from_db(fields=["state"])
        return trio.state == "DRAFT"

    # --- before -----------------------------------------------------------------------------------

    def _fault(self) -> int | None:
        fault = FAULTS[self.cell.fault]
        if fault is None:
            return None
        match, occurrence, then = fault
        mine = {"account": self.account.name, "symbol": self.symbol.symbol}
        if match["method"] == "DELETE":
            del mine["symbol"]  # cancels of conditional orders name none; the lane lives one cell at a time
        row = self.stage.venue.ask(
            "POST", "/sim/faults", {"match": {**match, **mine}, "occurrence": occurrence, "then": then}
        )
        return int(row["id"])

    def _fired(self, ident: int) -> bool:
        rows = self.stage.venue.ask("GET", "/sim/faults")
        fired: int = next(row["fired"] for row in rows if row["id"] == ident)
        self.stage.venue.ask("DELETE", f"/sim/faults?id={ident}")
        return fired > 0

    def _draft(self) -> TrioOrder:
        words: dict[str, Any] = {
            "quantity": self.levels.quantity,
            "stop_loss": self.levels.stop,
            "take_profit": self.levels.target,
            "protection": self.cell.protection,
        }
        if self.cell.entry == BREAKOUT:
            words |= {"entry_type": "STOP_MARKET", "trigger_price": self.levels.above}
        elif self.cell.entry == LADDER:
            rungs = rungs_read(f"{self.levels.entry:f}:50, {self.levels.deep:f}:50")
            words |= {"entry_type": "LIMIT", "rungs": rungs}
        elif self.cell.entry != MARKET:
            words |= {"entry_type": "LIMIT", "price": self.levels.entry}
        trio = services.trio_draft(account=self.account, symbol=self.symbol, side="BUY", **words)
        trio.save()
        return trio

    # --- meanwhile --------------------------------------------------------------------------------

    def _notice(self, trio: TrioOrder) -> None:
        """See whether the victim was struck, and wake it when others have acted."""
        now = time.monotonic()
        if self.hit_at is None and self.mark.exists():
            self.hit_at = now
        if self.hit_at is None or self.awake:
            return
        by_others = trio.requests.exclude(asked_by="victim").filter(begun_at__isnull=False).exists()
        settled = trio.state in ("WORKING", "OPEN") and self._armed(trio) and by_others
        if settled or trio.state in ENDS or now - self.hit_at > ASLEEP_SECONDS:
            self._wake()

    def _wake(self) -> None:
        if not self.awake and self.mark.exists():
            self.woken_ms = time.time_ns() // 10**6
            os.kill(self.pid, signal.SIGCONT)
        self.awake = True

    def _armed(self, trio: TrioOrder) -> bool:
        live = set(trio.legs.filter(state=LegState.ACCEPTED).values_list("role", flat=True))
        if trio.state == "WORKING":
            return str(Role.ENTRY) in live
        return bool({str(Role.STOP_LOSS), str(Role.TAKE_PROFIT)} <= live)

    def _goon_tick(self, trio: TrioOrder) -> None:
        """Let the market, or a person, do what this life has next."""
        if trio.state == "WORKING":
            self._working(trio)
        elif trio.state == "OPEN":
            self.since_open = self.since_open or time.monotonic()
            if self._armed(trio) or time.monotonic() - self.since_open > OPEN_SECONDS:
                self._open(trio)

    def _working(self, trio: TrioOrder) -> None:
        if self.cell.entry == CANCELLED:
            self._once("end", lambda: services.trio_cancel(trio_id=trio.pk, by="crash matrix"))
        elif self.cell.entry == BREAKOUT:
            self._once("fill", lambda: self._move(self.levels.above))
        elif self.cell.entry == PARTIAL:
            self._once("half", lambda: self._fill(trio))
        elif self.cell.verb == "entry changed":
            self._verb(trio, lambda: services.trio_change_entry(trio_id=trio.pk, price=self._nearer, by=BY))
            if self._is_over(trio.entry_changes):
                self._once("fill", lambda: self._move(self.levels.below))
        else:
            self._once("fill", lambda: self._move(self.levels.below))

    @property
    def _nearer(self) -> Decimal:
        return on_tick((self.levels.entry + self.levels.below) / 2, self.symbol.tick_size)

    def _verb(self, trio: TrioOrder, wish: Callable[[], Any]) -> None:
        """Do, once, what a person does to this life; refused is refused."""

        def wished() -> None:
            self.since_verb = time.monotonic()
            with contextlib.suppress(OrdersError, ExchangeError):
                wish()

        self._once("verb", wished)

    def _is_over(self, wishes: Any) -> bool:
        """Has what was wished come to its end, or had its time?"""
        return self._verb_is_late or not wishes.filter(end="").exists()

    def _living(self, trio: TrioOrder) -> bool:
        """Do to an open trio what its life has next; return whether that is over."""
        levels = self.levels
        match self.cell.verb:
            case "stop moved":
                level = on_tick((levels.stop + levels.price) / 2, self.symbol.tick_size)
                self._verb(
                    trio,
                    lambda: services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=level, by=BY),
                )
                return self._is_over(trio.level_moves)
            case "part off":
                self._verb(
                    trio, lambda: services.trio_close_part(trio_id=trio.pk, quantity=levels.half, by=BY)
                )
                return self._is_over(trio.size_changes)
            case "added":
                self._verb(trio, lambda: services.trio_add(trio_id=trio.pk, quantity=levels.half, by=BY))
                return self._is_over(trio.size_changes)
            case "part target set":
                level = on_tick((levels.target + levels.price) / 2, self.symbol.tick_size)
                self._verb(
                    trio,
                    lambda: services.trio_targets(trio_id=trio.pk, text=f"{level:f}:50", by=BY),
                )
                rests = trio.legs.filter(role=Role.PART_TARGET, state=LegState.ACCEPTED).exists()
                return rests or self._verb_is_late
            case "trailed by the exchange":
                self._verb(
                    trio,
                    lambda: services.trio_trail(
                        trio_id=trio.pk, percent=TRAIL_PERCENT, by_exchange=True, by=BY
                    ),
                )
                rests = trio.legs.filter(role=Role.TRAIL, state=LegState.ACCEPTED).exists()
                return rests or self._verb_is_late
        return True

    @property
    def _verb_is_late(self) -> bool:
        return self.since_verb is not None and time.monotonic() - self.since_verb > VERB_SECONDS

    def _open(self, trio: TrioOrder) -> None:
        entry = trio.legs.filter(role=Role.ENTRY).first()
        if entry is not None and entry.filled < trio.quantity and entry.state == LegState.PARTIALLY_FILLED:
            self._once("fill", lambda: self._move(self.levels.below))
            return
        if not self._living(trio):
            return
        match self.cell.ending:
            case "target":
                self._once("end", lambda: self._move(self.levels.target * Decimal("1.01")))
            case "stop":
                self._once("end", lambda: self._move(self.levels.stop * Decimal("0.99")))
            case _:
                self._once("end", lambda: services.trio_close(trio_id=trio.pk, by="crash matrix"))

    def _once(self, name: str, act: Any) -> None:
        if name not in self.moved:
            self.moved.add(name)
            act()

    def _fill(self, trio: TrioOrder) -> None:
        entry = trio.legs.get(role=Role.ENTRY)
        self.stage.venue.ask(
            "POST",
            "/sim/fill",
            {
                "client_id": entry.client_id,
                "quantity": str(self.levels.half.normalize()),
                "account": self.account.name,
            },
        )

    def _move(self, price: Decimal) -> None:
        self.stage.venue.price(self.symbol.symbol, on_tick(price, self.symbol.tick_size))

    # --- after ------------------------------------------------------------------------------------

    def _bury(self) -> None:
        deadline = time.monotonic() + 12
        while not gone(self.pid):
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                deadline += 5
            time.sleep(STEP_SECONDS)

    def _tell(self, trio: TrioOrder, *, fired: bool, seconds: float) -> Lived:
        legs = list(trio.legs.all())
        entered = sum((leg.filled for leg in legs if Role(leg.role).opens), Decimal(0))
        exited = sum((leg.filled for leg in legs if not Role(leg.role).opens), Decimal(0))
        claim = Claim(
            account=self.account.name,
            symbol=self.symbol.symbol,
            stem=legs[0].client_id.rpartition("-")[0] if legs else "",
            quantity=trio.quantity,
            state=trio.state,
            entered=entered,
            exited=exited,
            over=trio.state in ENDS,
            entries=1 + sum(leg.role in (Role.ADD, Role.RUNG) for leg in legs),
            began_ms=self.began_ms,
            ended_ms=time.time_ns() // 10**6,
        )
        hit = self.mark.exists()
        if hit:
            marked = json.loads(self.mark.read_text())
            hit = bool(marked["pid"] == self.pid)
        story = "\n".join(f"{event.at:%M:%S.%f} {event.text}" for event in trio.events.order_by("pk"))
        if claim.over is False:
            story += f"\n{_stuck(trio)}"
        return Lived(
            cell=self.cell,
            claim=claim,
            hit=hit,
            fired=fired,
            result=trio.result or trio.state,
            question=trio.question,
            seconds=seconds,
            story=story,
            log=tuple(self._log()),
            woken_ms=self.woken_ms,
        )

    def _log(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.stage.venue.ask(
            "GET", f"/sim/log?since={self.since}&account={self.account.name}"
        )
        return rows


LONG_OPEN: str = """
    SELECT pid, state, wait_event, clock_timestamp() - xact_start, left(query, 300) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < clock_timestamp() - interval '2 s'
"""


def _stuck(trio: TrioOrder) -> str:
    """Say of a trio that never came to an end when it was to be looked at, and who holds a transaction open."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT clock_timestamp(), wake_at, observing_since FROM orders_trioorder WHERE id = %s",
            [trio.pk],
        )
        now, wake_at, observing = cursor.fetchone()
        cursor.execute(LONG_OPEN)
        held = cursor.fetchall()
    legs = [(leg.client_id, leg.state, leg.look_at, leg.looks) for leg in trio.legs.all()]
    return f"now {now}, to be looked at {wake_at}, observing since {observing}; legs {legs}; open for long: {held}"
