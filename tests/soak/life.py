"""One trio of a soak: what the market, or a person, does to it next."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from accounts.errors import AccountsError
from accounts.models import ExchangeAccount
from exchange.errors import ExchangeError
from orders import services
from orders.domain.client_ids import stem
from orders.domain.enums import ENDS, LegState, Role
from orders.domain.errors import IllegalTransition, OrdersError, TrioRefused
from orders.exchange_data.clock import db_now
from orders.exchange_data.symbol_sync import symbols_renew
from orders.models import Symbol, TrioOrder
from tests.crash.cells import CANCELLED, MARKET, PARTIAL
from tests.crash.life import Levels, on_tick
from tests.crash.stage import Venue
from tests.crash.verdict import Claim
from tests.soak.crew import now_ms
from tests.soak.plan import (
    ADD,
    AMEND,
    CHANGE,
    DROP_STOP,
    KINDS,
    MOVE_STOP,
    MOVE_TARGET,
    NARROW,
    PART,
    SPLIT,
    TRAIL,
    Trio,
)

BY: Final = "soak"
OPEN_SECONDS: Final = 3.0  # for the legs to stand; then the market moves all the same
STUCK_SECONDS: Final = 40.0  # a person closes what the market's move did not end
LOST_SECONDS: Final = 120.0
TRIES: Final = 40
Leg = Mapping[str, Any]


@dataclass(slots=True)
class Life:
    """A trio under way. One thread at a time acts for it; ``looked`` says what to do, from plain rows."""

    plan: Trio
    venue: Venue
    account: ExchangeAccount
    symbol: Symbol
    price: Decimal
    install: str
    trio_id: int = 0
    state: str = "DRAFT"
    faults: list[int] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    began: float = 0.0
    began_ms: int = 0
    ended_ms: int = 1 << 60
    busy: bool = True
    hurried: bool = False
    acted: str = ""
    _moved: set[str] = field(default_factory=set)
    _open_since: float = 0.0

    @property
    def stem(self) -> str:
        return stem(self.install, self.trio_id)

    @property
    def levels(self) -> Levels:
        price = on_tick(self.price, self.symbol.tick_size)
        return Levels.of(self.symbol, price, side=self.plan.side)

    # --- begin ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Set the price, lay the fault in wait, queue the trio as a person's script would."""
        self.began, self.began_ms = time.monotonic(), now_ms()
        self._move(self.levels.price)
        trio = self._draft()
        self.trio_id = trio.pk
        if self.plan.fault:
            match, occurrence, then = KINDS[self.plan.fault]
            own = match.get("client_id", "-")
            rule = {
                "match": {
                    **match,
                    "account": self.account.name,
                    "client_id": f"^{self.stem}{own.lstrip('^')}",
                },
                "occurrence": occurrence,
                "then": then,
            }
            self.faults.append(int(self.venue.ask("POST", "/sim/faults", rule)["id"]))
        for _ in range(TRIES):
            try:
                services.trio_queue(trio_id=trio.pk, by=BY)
            except (
                TrioRefused
            ) as refusal:  # the slot's last life is not seen to be over yet, or nobody watches
                self.refusals.append(str(refusal))
                time.sleep(0.5)
            else:
                self.state = "QUEUED"
                return

    def _draft(self) -> TrioOrder:
        words: dict[str, Any] = {
            "quantity": self.levels.quantity,
            "stop_loss": self.levels.stop,
            "take_profit": self.levels.target,
            "protection": self.plan.protection,
            "source": BY,
        }
        if self.plan.entry != MARKET:
            words |= {"entry_type": "LIMIT", "price": self.levels.entry}
        trio = services.trio_draft(account=self.account, symbol=self.symbol, side=self.plan.side, **words)
        trio.save()
        return trio

    # --- meanwhile --------------------------------------------------------------------------------

    def looked(self, state: str, legs: Sequence[Leg]) -> Callable[[], None] | None:
        """Take in how it stands; return what is to be done now, if anything."""
        self.state = state
        if state in ENDS:
            self.ended_ms = min(self.ended_ms, now_ms())
            return self._once("widen", self._widen) if "narrow" in self._moved else None
        now = time.monotonic()
        if now - self.began > STUCK_SECONDS:
            return self._once("stuck", self._close, hurried=True)
        if state == "WORKING" and self._stands(legs, Role.ENTRY):
            return self._working(legs)
        if state == "OPEN":
            self._open_since = self._open_since or now
            stands = self._stands(legs, Role.STOP_LOSS) and self._stands(legs, Role.TAKE_PROFIT)
            if stands or now - self._open_since > OPEN_SECONDS:
                return self._open(legs)
        return None

    @property
    def is_lost(self) -> bool:
        return time.monotonic() - self.began > LOST_SECONDS

    def _stands(self, legs: Sequence[Leg], role: Role) -> bool:
        return any(leg["role"] == role and leg["state"] == LegState.ACCEPTED for leg in legs)

    def _working(self, legs: Sequence[Leg]) -> Callable[[], None] | None:
        if self.plan.entry == CANCELLED:
            return self._once("end", self._cancel)
        if self.plan.entry == PARTIAL:
            entry = next(leg for leg in legs if leg["role"] == Role.ENTRY)
            return self._once("half", lambda: self._fill(entry["client_id"]))
        if self.plan.act == AMEND and "amend" not in self._moved:
            entry = next(leg for leg in legs if leg["role"] == Role.ENTRY)
            return self._once("amend", lambda: self._amend(entry["client_id"]))
        if self.plan.act == CHANGE and "change" not in self._moved:
            return self._once("change", self._change_entry)
        return self._once("fill", lambda: self._move(self.levels.below))

    def _open(self, legs: Sequence[Leg]) -> Callable[[], None] | None:
        if any(leg["role"] == Role.ENTRY and leg["state"] == LegState.PARTIALLY_FILLED for leg in legs):
            return self._once("fill", lambda: self._move(self.levels.below))
        if self.plan.act == DROP_STOP and "drop" not in self._moved:
            stops = (
                leg for leg in legs if leg["role"] == Role.STOP_LOSS and leg["state"] == LegState.ACCEPTED
            )
            if (stop := next(stops, None)) is not None:
                return self._once("drop", lambda: self._drop(stop["client_id"]))
        if self.plan.act == NARROW and "narrow" not in self._moved:
            return self._once("narrow", self._narrow)
        if self.plan.act in (MOVE_STOP, MOVE_TARGET) and "level" not in self._moved:
            return self._once("level", self._move_level)
        if self.plan.act == TRAIL and "trail" not in self._moved:
            return self._once("trail", self._trail)
        sizes = {PART: self._take_off, ADD: self._add, SPLIT: self._set_targets}
        if self.plan.act in sizes and "size" not in self._moved:
            return self._once("size", sizes[self.plan.act])
        levels = self.levels
        match self.plan.ending:
            case "target":
                return self._once(
                    "end", lambda: self._move(levels.target + (levels.target - levels.price) / 4)
                )
            case "stop":
                return self._once("end", lambda: self._move(levels.stop + (levels.stop - levels.price) / 4))
            case _:
                return self._once("end", self._close)

    def _once(
        self, name: str, act: Callable[[], None], *, hurried: bool = False
    ) -> Callable[[], None] | None:
        if name in self._moved:
            return None
        self._moved.add(name)
        self.hurried |= hurried
        return act

    def _fill(self, client_id: str) -> None:
        body = {"client_id": client_id, "quantity": _plain(self.levels.half), "account": self.account.name}
        self.venue.ask("POST", "/sim/fill", body)

    def _amend(self, client_id: str) -> None:
        """Move the resting entry, as a person does in the exchange's app."""
        price = on_tick((self.levels.entry + self.levels.below) / 2, self.symbol.tick_size)
        body = {"client_id": client_id, "quantity": _plain(self.levels.quantity), "price": _plain(price)}
        self._ask_exchange(AMEND, "/sim/amend", {"account": self.account.name} | body)

    def _drop(self, client_id: str) -> None:
        body = {"client_id": client_id, "account": self.account.name}
        self._ask_exchange(DROP_STOP, "/sim/expire", body)

    def _narrow(self) -> None:
        """Let a market order take half of the position at most: the exit must be split."""
        self._lot(NARROW, self.levels.half)

    def _move_level(self) -> None:
        """Bring the stop or the target half of the way nearer; the trio's end is not waited with."""
        stop = self.plan.act == MOVE_STOP
        far = self.levels.stop if stop else self.levels.target
        level = on_tick((far + self.levels.price) / 2, self.symbol.tick_size)
        with contextlib.suppress(OrdersError):  # it ended meanwhile, or its entry still fills
            services.trio_move(
                trio_id=self.trio_id, role=Role.STOP_LOSS if stop else Role.TAKE_PROFIT, level=level, by=BY
            )
            self.acted = self.plan.act

    def _trail(self) -> None:
        """Have the stop follow the price at half the way; the trio's end is not waited with."""
        distance = on_tick(abs(self.levels.price - self.levels.stop) / 2, self.symbol.tick_size)
        with contextlib.suppress(OrdersError):  # it ended meanwhile, or its entry still fills
            services.trio_trail(trio_id=self.trio_id, distance=distance, by=BY)
            self.acted = TRAIL

    def _take_off(self) -> None:
        """Take half of the position off; the trio's end is not waited with."""
        with contextlib.suppress(OrdersError):  # it ended meanwhile, or half of it is too little
            services.trio_close_part(trio_id=self.trio_id, percent=Decimal(50), by=BY)
            self.acted = PART

    def _add(self) -> None:
        """Add as much again; the trio's end is not waited with."""
        with contextlib.suppress(
            OrdersError, ExchangeError
        ):  # it ended meanwhile, or nothing may be opened now
            services.trio_add(trio_id=self.trio_id, quantity=self.levels.quantity, by=BY)
            self.acted = ADD

    def _set_targets(self) -> None:
        """Have half of it taken off half of the way to the target, and the stop follow."""
        half_way = on_tick((self.levels.target + self.levels.price) / 2, self.symbol.tick_size)
        with contextlib.suppress(OrdersError):  # it ended meanwhile, or half of it is too little
            services.trio_targets(
                trio_id=self.trio_id, text=f"{_plain(half_way)}:50", follow="BREAK_EVEN", by=BY
            )
            self.acted = SPLIT

    def _change_entry(self) -> None:
        """Move the resting entry nearer, by a verb of ours."""
        price = on_tick((self.levels.entry + self.levels.below) / 2, self.symbol.tick_size)
        with contextlib.suppress(OrdersError, ExchangeError):  # it fills meanwhile
            services.trio_change_entry(trio_id=self.trio_id, price=price, by=BY)
            self.acted = CHANGE

    def _widen(self) -> None:
        self._lot("", self.symbol.market_quantity_max or self.levels.quantity * 1000)
        for _ in range(TRIES):  # or the next trio would be refused
            try:
                symbols_renew(self.account.environment, asked_since=db_now())
            except AccountsError:  # our address is barred just now
                time.sleep(0.5)
            else:
                return

    def _lot(self, act: str, most: Decimal) -> None:
        body = {"symbol": self.symbol.symbol, "MARKET_LOT_SIZE": {"maxQty": _plain(most)}}
        self._ask_exchange(act, "/sim/filters", body)

    def _ask_exchange(self, act: str, path: str, body: dict[str, Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the order is gone meanwhile
            self.venue.ask("POST", path, body)
            self.acted = act or self.acted

    def _cancel(self) -> None:
        with contextlib.suppress(IllegalTransition):  # it ended meanwhile
            services.trio_cancel(trio_id=self.trio_id, by=BY)

    def _close(self) -> None:
        with contextlib.suppress(IllegalTransition):  # it ended meanwhile
            services.trio_close(trio_id=self.trio_id, by=BY)

    def _move(self, price: Decimal) -> None:
        self.venue.price(self.symbol.symbol, on_tick(price, self.symbol.tick_size))

    # --- after ------------------------------------------------------------------------------------

    def claim(self, trio: Mapping[str, Any], legs: Sequence[Leg]) -> Claim:
        """Return what the books say came of it."""
        opening = [leg for leg in legs if Role(leg["role"]).opens]
        entered = sum((leg["filled"] for leg in opening), Decimal(0))
        exited = sum((leg["filled"] for leg in legs if not Role(leg["role"]).opens), Decimal(0))
        return Claim(
            account=self.account.name,
            symbol=self.symbol.symbol,
            stem=self.stem,
            quantity=trio["quantity"],
            state=trio["state"],
            entered=entered,
            exited=exited,
            over=trio["state"] in ENDS,
            entries=1 + sum(leg["role"] == Role.ADD for leg in legs),
            began_ms=self.began_ms,
            ended_ms=self.ended_ms,
        )


def _plain(number: Decimal) -> str:
    return format(number.normalize(), "f")
