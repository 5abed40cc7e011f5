"""One desk on one simulated exchange, and the hands by which the machine's rules act on it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Final

from hypothesis.stateful import RuleBasedStateMachine

from accounts import endpoints, gateways
from exchange.errors import ExchangeError
from exchange.types import NewOrder, OrderType, PositionSide, Side, Stamp, WireRequest
from orders import services
from orders.domain import client_ids
from orders.domain.enums import ENDS
from orders.domain.errors import OrdersError
from orders.exchange_data.clock import exchange_now_ms
from orders.installation import install_row
from orders.models import TrioOrder
from simulator import Simulator
from simulator.transport import InProcessAdapter
from tests.builders import Desk, story
from tests.machine.process import Died, Paused, Process

D0 = Decimal(0)
MARKETS: Final = {
    "BTCUSDT": (Decimal(100000), Decimal("0.010")),
    "ETHUSDT": (Decimal(4000), Decimal("0.100")),
}
_numbers = itertools.count(1)


def on_tick(price: Decimal) -> Decimal:
    return price.quantize(Decimal("0.1"))


def process(fate: str) -> Process:
    """Return a new process, and where it is to die."""
    made = Process(fate or "worker")
    made.dies_at = fate
    return made


class Bench(RuleBasedStateMachine):
    """What a life stands on: an exchange and an account of its own, in the database of all lives."""

    desk: Desk
    mode: str

    def __init__(self) -> None:
        super().__init__()
        number = next(_numbers)
        TrioOrder.objects.exclude(state__in=ENDS).update(state="CANCELLED", holds_slot=False, wake_at=None)
        self.simulator = Simulator(symbols=set(MARKETS), seed=number)
        for symbol, (price, _) in MARKETS.items():
            self.simulator.set_price(symbol, price)
        endpoints.use_transport("PAPER", InProcessAdapter(self.simulator))
        self.number = number
        self.trios: list[TrioOrder] = []
        self.paused: list[Paused] = []
        self.told: list[str] = []
        self.theirs: set[tuple[str, str]] = set()  # slots to which a person has added something

    def _trio(self, which: int) -> TrioOrder:
        """Return one that lives, the newest first: most happens there. Else one that has ended."""
        trios = self._living() or self.trios
        return trios[-1 - which % len(trios)]

    def _living(self) -> list[TrioOrder]:
        for trio in self.trios:
            trio.refresh_from_db()
        return [trio for trio in self.trios if not trio.is_over]

    def _stem(self, trio: TrioOrder) -> str:
        return client_ids.stem(install_row().token, trio.pk)

    def _held(self, trio: TrioOrder) -> Decimal:
        return self.simulator.position(trio.symbol.symbol, side=trio.position_side).quantity

    def _wish(self, trio: TrioOrder, verb: str) -> None:
        if verb:
            act: Callable[..., TrioOrder] = getattr(services, f"trio_{verb}")
            try:
                act(trio_id=trio.pk, by="the machine")
            except OrdersError as refused:
                self.told.append(f"{verb}: {refused}")

    def _carry(self) -> None:
        with self._mortal():
            self.desk.carry()

    def _advance(self, trio: TrioOrder, process: Process) -> None:
        with self._mortal():
            process.advance(trio.pk)

    @contextmanager
    def _mortal(self) -> Iterator[None]:
        try:
            yield
        except Died as death:
            self.told.append(f"died {death}")
        except ExchangeError as error:  # a sweep that could not be read whole: the next one will be
            self.told.append(f"unread: {error}")

    def _market_by_hand(self, trio: TrioOrder, side: str, quantity: Decimal, *, reduces: bool) -> None:
        order = self._market(trio.symbol.symbol, trio.position_side, side, quantity, reduces=reduces)
        self._by_hand(lambda exchange: exchange.submit_request(order))

    def _market(self, symbol: str, held: str, side: str, quantity: Decimal, *, reduces: bool) -> NewOrder:
        one_way = self.mode == "ONE_WAY"
        return NewOrder(
            f"by-hand-{next(_numbers)}", symbol, Side(side), OrderType.MARKET, PositionSide(held),
            quantity=quantity, reduce_only=reduces and one_way,
        )  # fmt: skip

    def _by_hand(self, make: Callable[..., WireRequest]) -> None:
        exchange = gateways.exchange_for(self.desk.account.pk)
        try:
            exchange.send(make(exchange), stamp=Stamp(exchange_now_ms("PAPER"), 5000))
        except ExchangeError as refused:
            self.told.append(f"by hand: {refused}")

    def _stories(self) -> str:
        parts = [f"--- trio {trio.pk} ({trio.state})\n{story(trio)}" for trio in self.trios]
        wire = [
            f"{e.ms} {e.method} {e.path} {e.client_id} {e.params.get('type', '')} → {e.status} {e.code} {e.effect}"
            for e in self.simulator.log[-60:]
            if e.method != "GET" or e.client_id
        ]
        return "\n".join([*self.told[-20:], *parts, *wire])
