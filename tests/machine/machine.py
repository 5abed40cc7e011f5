"""What may happen to a few trios on one account, in any order; judged by the exchange after every step."""

from __future__ import annotations

import threading
import time
from collections import Counter
from decimal import Decimal
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from accounts import endpoints
from accounts.services import account_add
from exchange.errors import ExchangeError
from exchange.types import OrderRef
from orders import services
from orders.domain.enums import LegState, Protection, Role, TargetPolicy
from orders.domain.errors import OrdersError
from orders.exchange_data.symbol_sync import symbols_sync
from orders.models import Slot
from tests.builders import Desk, due_ids
from tests.machine.bench import D0, MARKETS, Bench, on_tick, process
from tests.machine.process import BOUNDARIES, Paused, Process
from tests.machine.trouble import KINDS, SUBJECTS, TROUBLES

# Where a price may go: how far past a level of a trio, or from where it is, in a long trio's direction.
LEVELS: Final = {
    "entry": Decimal("-0.001"),
    "stop": Decimal("-0.002"),
    "target": Decimal("0.002"),
    "up": Decimal("0.003"),
    "down": Decimal("-0.003"),
}
ENTRY_AT, STOP_AT, TARGET_AT = Decimal("0.01"), Decimal("0.04"), Decimal("0.04")
END_SECONDS: Final = 25.0
SWEEP_SECONDS: Final = 0.3
# How the trios of all lives ended, and who died: a search that reaches nothing shows nothing.
ENDED: Final[Counter[str]] = Counter()
_troubles = st.sampled_from(TROUBLES)
_any = st.integers(0, 7)
_verbs = st.sampled_from(("", "", "close", "cancel"))
_fates = st.sampled_from(("",) * 12 + BOUNDARIES)
_wanted = st.tuples(
    st.sampled_from(tuple(MARKETS)),
    st.sampled_from(("BUY", "SELL")),
    st.sampled_from(("MARKET", "LIMIT", "LIMIT", "IOC")),
    st.sampled_from(tuple(Protection)),
    st.sampled_from(tuple(TargetPolicy)),
)


class Machine(Bench):
    """One desk. Its trios, its processes and its exchange are driven into every corner that rules can reach."""

    @initialize(mode=st.sampled_from(("ONE_WAY", "HEDGE")), wanted=_wanted, fate=_fates, trouble=_troubles)
    def a_desk_with_a_trio(
        self, mode: str, wanted: tuple[Any, ...], fate: str, trouble: tuple[str, str]
    ) -> None:
        name = f"desk {self.number}"
        key, secret = f"key-of-desk-{self.number:06}", f"secret-of-desk-{self.number:06}"
        self.simulator.add_account(name, key, secret, balance="100000", position_mode=mode)
        symbols_sync("PAPER")
        account = account_add(name=name, environment="PAPER", api_key=key, api_secret=secret)
        self.desk = Desk(self.simulator, account, key, service=Process("first")).watched()
        self.mode = mode
        self.place(wanted, fate, trouble)
        # An empty desk accepts a sound trio, so no rule needs to ask whether there is one: what a rule
        # draws must not hinge on how far time has carried things.
        assert self.trios, self.told

    # --- what the desk asks for -------------------------------------------------------------------

    @rule(wanted=_wanted, fate=_fates, trouble=_troubles)
    def place(self, wanted: tuple[Any, ...], fate: str, trouble: tuple[str, str]) -> None:
        """Queue a trio and begin with it, in a process that may not live to see the answer."""
        symbol, side, entry, protection, policy = wanted
        price = Decimal(self.simulator.snapshot()["symbols"][symbol]["last"])
        sign = 1 if side == "BUY" else -1
        words: dict[str, Any] = {"protection": protection, "target_policy": policy}
        if entry != "MARKET":
            limit = price * (1 - sign * ENTRY_AT) if entry == "LIMIT" else price * (1 + sign * ENTRY_AT / 10)
            words |= {"entry_type": "LIMIT", "price": on_tick(limit)}
            words |= {"time_in_force": "IOC" if entry == "IOC" else "GTC"}
        trio = self.desk.a_trio(
            symbol,
            side,
            quantity=MARKETS[symbol][1],
            stop_loss=on_tick(price * (1 - sign * STOP_AT)),
            take_profit=on_tick(price * (1 + sign * TARGET_AT)),
            **words,
        )
        try:
            self.desk.queued(trio)
        except (OrdersError, ExchangeError) as refused:
            self.told.append(f"not queued: {refused}")
            trio.delete()
            return
        self.trios.append(trio)
        self.trouble_ahead(trouble, times=1)
        self._advance(trio, process(fate))

    @rule(which=_any, verb=st.sampled_from(("cancel", "close", "panic", "refresh", "answer")))
    def a_verb(self, which: int, verb: str) -> None:
        self._wish(self._trio(which), verb)

    # --- the market -------------------------------------------------------------------------------

    @rule(which=_any, level=st.sampled_from(tuple(LEVELS)), gap=st.booleans())
    def the_price_moves(self, which: int, level: str, gap: bool) -> None:
        """Past a level of a trio, or a little."""
        trio = self._trio(which)
        sign = 1 if trio.side == "BUY" else -1
        symbol = trio.symbol.symbol
        last = Decimal(self.simulator.snapshot()["symbols"][symbol]["last"])
        base = {"entry": trio.price or last, "stop": trio.stop_loss, "target": trio.take_profit}.get(
            level, last
        )
        assert base is not None
        self.simulator.set_price(symbol, on_tick(base * (1 + sign * LEVELS[level])), gap=gap)

    @rule(which=_any, share=st.sampled_from((1, 4, 10)))
    def part_of_an_entry_fills(self, which: int, share: int) -> None:
        trio = self._trio(which)
        name = f"{self._stem(trio)}-e1"
        if resting := [o for o in self.simulator.open_orders() if o.get("clientOrderId") == name]:
            left = Decimal(resting[0]["origQty"]) - Decimal(resting[0]["executedQty"])
            self.simulator.fill(name, min(left, trio.quantity * share / 10))

    # --- trouble ----------------------------------------------------------------------------------

    @rule(trouble=_troubles, times=st.integers(1, 3))
    def trouble_ahead(self, trouble: tuple[str, str], times: int) -> None:
        subject, name = trouble
        self.simulator.fault(SUBJECTS[subject], KINDS[subject][name], {"times": times})

    @rule(deaf=st.booleans())
    def events_are_lost_or_heard(self, deaf: bool) -> None:
        self.desk.deaf = deaf

    @rule(which=_any, boundary=st.sampled_from(BOUNDARIES), verb=_verbs)
    def a_process_dies(self, which: int, boundary: str, verb: str) -> None:
        trio = self._trio(which)
        self._wish(trio, verb)
        self.desk.hear()
        self._advance(trio, process(boundary))

    @rule(which=_any, verb=_verbs)
    def a_process_is_paused(self, which: int, verb: str) -> None:
        """It has begun and is stopped before it sends; others find the trio as it left it."""
        trio = self._trio(which)
        self._wish(trio, verb)
        self.desk.hear()
        paused = Paused(Process("paused"), trio.pk)
        if paused.asleep():
            self.paused.append(paused)

    @rule()
    def a_paused_process_wakes(self) -> None:
        if self.paused:
            self.paused.pop(0).wake()

    # --- who carries on ---------------------------------------------------------------------------

    @rule(passes=st.integers(1, 5))
    def the_worker_passes(self, passes: int) -> None:
        for _ in range(passes):
            self._carry()

    @rule(which=_any)
    def two_processes_at_once(self, which: int) -> None:
        trio = self._trio(which)
        paused = Paused(Process("beside"), trio.pk)
        assert paused.process.wakes is not None
        paused.process.wakes.set()  # not stopped at all: it only runs beside us
        self._advance(trio, process(""))
        paused.wake()

    @rule(ms=st.sampled_from((60, 160, 400)), carried=st.booleans())
    def time_passes(self, ms: int, carried: bool) -> None:
        if not carried:
            threading.Event().wait(ms / 1000)
            return
        ends = time.monotonic() + ms / 1000
        while time.monotonic() < ends:
            self._carry()

    @rule()
    def a_sweep(self) -> None:
        with self._mortal():
            self.desk.sweep()

    # --- a person in the exchange's app -----------------------------------------------------------

    @rule(which=_any, role=st.sampled_from(tuple(Role)))
    def a_person_cancels_a_leg(self, which: int, role: Role) -> None:
        legs = self._trio(which).legs.filter(role=role, state__in=[s for s in LegState if s.is_live])
        if leg := legs.last():
            ref = OrderRef(leg.trio.symbol.symbol, leg.client_id, leg.is_conditional)
            self._by_hand(lambda exchange: exchange.cancel_request(ref))

    @rule(which=_any, share=st.sampled_from((5, 10)))
    def a_person_reduces(self, which: int, share: int) -> None:
        trio = self._trio(which)
        held = self._held(trio)
        if held:
            part = abs(held) if share == 10 else max(MARKETS[trio.symbol.symbol][1] / 10, abs(held) / 2)
            self._market_by_hand(trio, "SELL" if held > 0 else "BUY", min(part, abs(held)), reduces=True)

    @rule(which=_any)
    def a_person_increases(self, which: int) -> None:
        trio = self._trio(which)
        if trio.state == "OPEN" and self._held(trio):
            self.theirs.add((trio.symbol.symbol, trio.position_side))
            self._market_by_hand(trio, trio.side, MARKETS[trio.symbol.symbol][1] / 2, reduces=False)

    # --- what must be so after every step ---------------------------------------------------------

    @invariant()
    def the_exchange_saw_nothing_it_should_not(self) -> None:
        if not self.trios:
            return
        planned = {self._stem(trio): trio.quantity for trio in self.trios}
        verdict = self.simulator.verdict()
        for row in verdict["entries"]:
            assert row["orders"] <= 1, f"{row['orders']} entries of {row['stem']}\n{self._stories()}"
            assert Decimal(row["entered"]) <= planned[row["stem"]], f"{row}\n{self._stories()}"
        assert not verdict["reversed"], f"{verdict['reversed']}\n{self._stories()}"

    # --- the end ----------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Let everything come to rest; then the exchange is flat and empty, and the books say so too."""
        try:
            if self.trios:
                self._come_to_rest()
        finally:
            for paused in self.paused:
                paused.wake()
            endpoints.use_transport("PAPER", None)

    def _come_to_rest(self) -> None:
        self.simulator.clear_faults()
        self.desk.deaf = False
        while self.paused:
            self.paused.pop().wake()
        self.time_passes(ms=160, carried=True)  # what can still come to stand does
        for trio in self._living():
            services.trio_panic(trio_id=trio.pk, by="the machine")
        began, swept = time.monotonic(), 0.0
        while self._unrest():
            assert time.monotonic() - began < END_SECONDS, f"{self._unrest()}\n{self._stories()}"
            self._carry()
            if time.monotonic() - swept > SWEEP_SECONDS:
                self.desk.sweep()
                swept = time.monotonic()
                if not self._living():
                    self._people_leave()
        self.the_exchange_saw_nothing_it_should_not()
        self._books_agree()
        ENDED.update(trio.result or trio.state for trio in self.trios)
        ENDED.update(text for text in self.told if text.startswith("died"))
        ENDED.update(f"met: {e.fault.partition(' ')[2]}" for e in self.simulator.log if e.fault)

    def _unrest(self) -> list[str]:
        """Tell what is not at rest: trios that live, orders on the book, positions, events nobody heard."""
        living = [f"trio {trio.pk} is {trio.state}: {trio.reason}" for trio in self._living()]
        resting = [f"{name} rests" for name in self.desk.resting]
        rows = self.simulator.snapshot()["accounts"][0]["positions"]
        held = [
            f"{row['symbol']} {row['side']} holds {row['quantity']}"
            for row in rows
            if Decimal(row["quantity"])
        ]
        return living + resting + held + [f"trio {i} is due" for i in due_ids()]

    def _people_leave(self) -> None:
        """Who has added to a position takes it away again; it was never ours once our trio has ended."""
        for row in self.simulator.snapshot()["accounts"][0]["positions"]:
            held = Decimal(row["quantity"])
            if held and (row["symbol"], row["side"]) in self.theirs:
                side = "SELL" if held > 0 else "BUY"
                order = self._market(row["symbol"], row["side"], side, abs(held), reduces=True)
                self._by_hand(lambda exchange, order=order: exchange.submit_request(order))

    def _books_agree(self) -> None:
        entered = {row["stem"]: row for row in self.simulator.verdict()["entries"]}
        for trio in self.trios:
            row = entered.get(self._stem(trio), {"entered": "0", "exited": "0"})
            legs = list(trio.legs.all())
            ours = (
                sum((leg.filled for leg in legs if leg.role == Role.ENTRY), D0),
                sum((leg.filled for leg in legs if leg.role != Role.ENTRY), D0),
            )
            theirs = (Decimal(row["entered"]), Decimal(row["exited"]))
            assert ours == theirs, (
                f"trio {trio.pk}: the books say {ours}, the exchange {theirs}\n{self._stories()}"
            )
        for slot in Slot.objects.filter(account=self.desk.account):
            assert not slot.quantity, f"{slot} holds {slot.quantity} in the books alone\n{self._stories()}"
