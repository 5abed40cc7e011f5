"""One order, end to end: placed, queried, withdrawn, and narrated in plain sentences.

It takes the path of every trio; only the watch on the account is held here, for as long as it takes.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, connections

from accounts.gateways import exchange_for
from accounts.models import ExchangeAccount
from accounts.operators import os_operator
from exchange.errors import ExchangeError
from exchange.types import OrderRef, OrderType, OrderView, Side, TimeInForce
from infrastructure.connections import UNANSWERED
from orders import risk_gates
from orders.cli.commands import place
from orders.cli.document import decimals, trio_document, trio_sentence
from orders.cli.wait import OK, Baseline, Waited, look, wait_for
from orders.domain import validation
from orders.domain.enums import ENDS, Cause, Role, TrioState
from orders.domain.errors import IllegalTransition, TrioRefused
from orders.domain.operator_questions import Question
from orders.domain.rounding import on_grid, plain, quantity_up, trigger_to_tick
from orders.exchange_data.clock import clock_measure, exchange_now_ms
from orders.models import Leg, Symbol, TrioEvent, TrioOrder
from orders.services import (
    Reading,
    market_read,
    symbol_get,
    trio_cancel,
    trio_check,
    trio_close,
    trio_draft,
)
from orders.specs import rules_of, spec_of
from worker.loop import WorkerLoop

SOURCE = "smoke_order"
PLACE_WITHIN = timedelta(seconds=30)
END_WITHIN = timedelta(seconds=30)
DATABASE_SECONDS = 15.0  # how long a lost database is waited for
LEG_DISTANCE = Decimal("0.02")  # of stop-loss and take-profit, as a share of the price


class TooSmall(TrioRefused):
    """The quantity is below the smallest valid one, and must not be raised."""

    def __init__(self, sentence: str, *, smallest: str) -> None:
        super().__init__(sentence)
        self.smallest = smallest


@dataclass(frozen=True, slots=True)
class SmokeOrder:
    """The order of the command line. ``exact``: refuse an invalid quantity instead of raising it."""

    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None
    time_in_force: TimeInForce
    whole_trio: bool = False
    exact: bool = False


@dataclass
class Smoke:
    """One run. ``say`` narrates; ``report`` is the document for scripts."""

    order: SmokeOrder
    account: ExchangeAccount
    say: Callable[[str], None]
    trio: TrioOrder | None = None
    report: dict[str, Any] = field(default_factory=dict)

    def run(self) -> int:
        """Place, query, withdraw. Returns the exit code; raises what refuses the order."""
        symbol = symbol_get(self.account.environment, self.order.symbol)
        clock_measure(self.account.environment)
        reading = market_read(self.account, symbol)
        quantity = self._quantity(symbol, reading)
        draft = self._draft(symbol, quantity, reading)
        trio_check(draft, reading)
        until_true(risk_gates.worker_alive, seconds=5)
        self.trio = draft  # known before it is queued: an interruption must find it
        place(draft, by=os_operator(), reading=reading)
        self.say(f"Placing {self._describe(symbol, quantity)} on {self.account} as trio {self.trio.pk}.")
        waited = self._wait_until_placed()
        if waited.trio.trio_state is TrioState.QUEUED:
            return self._never_placed()
        self._query(symbol)
        if not waited.trio.is_over:
            waited = self._cancel_or_close()
        self._query(symbol, again=True)
        self.say(trio_sentence(waited.trio))
        return self._exit_code(waited)

    # --- the order ---------------------------------------------------------------------------------

    def _quantity(self, symbol: Symbol, reading: Reading) -> Decimal:
        """Return the quantity of the command line, or the smallest valid one above it."""
        asked, rules = self.order.quantity, rules_of(symbol)
        spec = spec_of(self._draft(symbol, asked, reading))
        smallest = validation.smallest_quantity(spec, rules, reading.mark_price)
        if smallest is None:
            raise TrioRefused(
                f"The exchange has no price for {symbol.symbol} right now: try again in a moment."
            )
        valid = max(asked, smallest)
        for step in (rules.step_size, rules.market_step_size):
            if step and not on_grid(valid, step):
                valid = quantity_up(valid, step=step)
        shown = decimals(valid, symbol.step_size)
        self.report |= {"quantity_asked": plain(asked), "quantity": shown, "raised": valid != asked}
        if valid == asked:
            return valid
        notional = plain(rules.notional_min) if rules.notional_min else "no"
        why = (
            f"{plain(asked)} {symbol.base_asset} is not a valid quantity of {symbol.symbol} (steps of"
            f" {plain(rules.step_size)}, at least {plain(rules.quantity_min)}, notional at least {notional}"
            f" {symbol.quote_asset})"
        )
        if self.order.exact:
            raise TooSmall(f"{why}; the next valid one is {shown}.", smallest=shown)
        self.say(f"{why}: raised to {shown}, the next valid one.")
        return valid

    def _draft(self, symbol: Symbol, quantity: Decimal, reading: Reading) -> TrioOrder:
        order = self.order
        stop, target = self._levels(symbol, reading) if order.whole_trio else (None, None)
        return trio_draft(
            account=self.account,
            symbol=symbol,
            side=order.side.value,
            quantity=quantity,
            entry_type=order.type.value,
            price=order.price,
            time_in_force=order.time_in_force.value,
            stop_loss=stop,
            take_profit=target,
            position_side="",
            source=SOURCE,
        )

    def _levels(self, symbol: Symbol, reading: Reading) -> tuple[Decimal, Decimal]:
        """Return stop-loss and take-profit, each two percent away, on whole ticks."""
        around = self.order.price if self.order.price is not None else reading.mark_price
        if around is None:
            raise TrioRefused(
                f"The exchange has no price for {symbol.symbol} right now: try again in a moment."
            )
        tick = symbol.tick_size or Decimal(0)
        below, above = (
            trigger_to_tick(around * factor, tick=tick, entry_price=around)
            for factor in (1 - LEG_DISTANCE, 1 + LEG_DISTANCE)
        )
        return (below, above) if self.order.side is Side.BUY else (above, below)

    def _describe(self, symbol: Symbol, quantity: Decimal) -> str:
        order = self.order
        price = ""
        if order.price is not None:
            price = f" at {decimals(order.price, symbol.tick_size)} {order.time_in_force}"
        legs = " with stop-loss and take-profit 2 % away" if order.whole_trio else ""
        shown = decimals(quantity, symbol.step_size)
        return f"{order.side} {shown} {symbol.symbol} {order.type}{price}{legs}"

    # --- its life -------------------------------------------------------------------------------

    @property
    def _id(self) -> int:
        assert self.trio is not None
        return self.trio.pk

    def _wait_until_placed(self) -> Waited:
        return wait_for(self._id, within=PLACE_WITHIN, since=self._baseline(), narrate=self._narrate)

    def _cancel_or_close(self) -> Waited:
        """Cancel what rests, close what is filled. An entry without legs that filled closes itself."""
        trio, _ = look(self._id)
        position = trio.trio_state not in (TrioState.PLACING, TrioState.WORKING, TrioState.WITHDRAWING)
        request(trio_close if position else trio_cancel, self._id)
        waited = self._wait_for_the_end()
        if not waited.trio.is_over:  # it filled while it was being cancelled, or needs a person
            request(trio_close, self._id)
            waited = self._wait_for_the_end()
        if not waited.trio.is_over:
            self.say("It has not ended yet: a runworker finishes it, or the next smoke order does.")
        return waited

    def _wait_for_the_end(self) -> Waited:
        question = TrioOrder.objects.get(pk=self._id).asked  # our close or cancel is its answer
        return wait_for(self._id, within=END_WITHIN, since=self._baseline(question), narrate=self._narrate)

    def _never_placed(self) -> int:
        trio, _ = look(self._id)
        request(trio_cancel, self._id)
        waited = self._wait_for_the_end()
        watch = getattr(self.account, "watch", None)
        why = f" ({watch.note})" if watch is not None and watch.note else ""
        self.report["error"] = (
            f"Trio {trio.pk} could not be placed within {PLACE_WITHIN.seconds} s: its account could not be read"
            f" and watched{why}. The trio was withdrawn; nothing was sent."
        )
        self.report |= trio_document(waited.trio)
        self.say(self.report["error"])
        return 3

    def withdraw(self) -> None:
        """Close what was placed, after an interruption, and wait for its end."""
        if (
            self.trio is None
            or not TrioOrder.objects.filter(pk=self.trio.pk).exclude(state__in=ENDS).exists()
        ):
            return
        self.say("Interrupted: withdrawing what was placed first.")
        request(trio_close, self._id)
        self.say(trio_sentence(self._wait_for_the_end().trio))

    # --- the report --------------------------------------------------------------------------

    _last_event: int = 0

    def _baseline(self, question: Question | None = None) -> Baseline:
        return Baseline(question, self._last_event)

    def _narrate(self, event: TrioEvent) -> None:
        self._last_event = event.pk
        self.say(f"  {event.text}")

    def _query(self, symbol: Symbol, *, again: bool = False) -> None:
        """Show the entry as the exchange itself reports it, by our client order id."""
        leg = Leg.objects.filter(trio_id=self._id, role=Role.ENTRY).order_by("-id").first()
        if leg is None:
            self.say("Nothing of it was ever sent to the exchange.")
            return
        ref = OrderRef(symbol.symbol, leg.client_id, conditional=False)
        try:
            view = _found(self.account, ref)
        except ExchangeError as error:
            self.say(f"The exchange could not be queried about {leg.client_id}: {error}")
            return
        if view is None:
            self.say(f"The exchange {'no longer shows' if again else 'shows no'} order {leg.client_id}.")
            return
        shown = _view_document(view, symbol)
        self.report["exchange_after" if again else "exchange"] = shown
        price = f" at {shown['price']}" if shown["price"] else ""
        self.say(
            f"The exchange {'now shows' if again else 'shows'} order {shown['order_id']} ({leg.client_id}),"
            f" {view.side} {shown['quantity']} {symbol.symbol}{price}: {shown['state']},"
            f" {shown['filled']} filled."
        )

    def _exit_code(self, waited: Waited) -> int:
        trio = waited.trio
        self.report |= trio_document(trio)
        expected = (
            trio.trio_state is TrioState.EXPIRED
            and trio.cause == Cause.ENTRY_ENDED
            and self.order.time_in_force is not TimeInForce.GTC
        )
        if expected:
            return OK
        return waited.exit_code if trio.is_over else replace(waited, rested=False).exit_code


def _found(account: ExchangeAccount, ref: OrderRef) -> OrderView | None:
    """Look an order up; what was just accepted may not be visible for a moment."""
    exchange = exchange_for(account.pk)
    deadline = time.monotonic() + 3
    while True:
        view = exchange.find_order(ref, at=exchange_now_ms(account.environment))
        if view is not None or time.monotonic() > deadline:
            return view
        time.sleep(0.25)


def _view_document(view: OrderView, symbol: Symbol) -> dict[str, Any]:
    return {
        "order_id": view.order_id,
        "state": view.state.value,
        "quantity": decimals(view.quantity, symbol.step_size),
        "price": decimals(view.price, symbol.tick_size) if view.price else None,
        "filled": decimals(view.executed, symbol.step_size),
    }


# --- around it --------------------------------------------------------------------------------


@contextlib.contextmanager
def watching(account: ExchangeAccount) -> Iterator[WorkerLoop]:
    """Do a runworker's work on one account for as long as the block takes, beside any that run."""
    loop = WorkerLoop(only=account.pk)

    def run() -> None:
        try:
            loop.run()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, name="watch", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.stopping.set()
        thread.join(timeout=20)


def leftovers_end(account: ExchangeAccount, say: Callable[[str], None]) -> None:
    """Bring smoke orders whose command was killed to their end, so that the slot is free again."""
    left = TrioOrder.objects.filter(account=account, source=SOURCE).exclude(
        state__in=[*ENDS, TrioState.DRAFT]
    )
    for trio in left:
        say(f"Trio {trio.pk} is left over from an interrupted smoke order: closing it first.")
        request(trio_close, trio.pk)
        say(trio_sentence(wait_for(trio.pk, within=END_WITHIN).trio))


def request(service: Callable[..., TrioOrder], trio_id: int) -> None:
    """Call a service on a trio, unless it has ended meanwhile; a lost database is waited for a while."""
    deadline = time.monotonic() + DATABASE_SECONDS
    while True:
        try:
            service(trio_id=trio_id, by=os_operator())
        except IllegalTransition:
            return
        except UNANSWERED:
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def until_true(what: Callable[[], bool], *, seconds: float) -> bool:
    """Wait until it is true, or the time is over. Returns which."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
