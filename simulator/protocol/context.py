"""What an endpoint is, and what it gets to work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from simulator.engine.account_book import AccountBook
from simulator.engine.exchange import Exchange
from simulator.engine.market import Market
from simulator.prices.history import History
from simulator.protocol.params import Params


@dataclass(slots=True)
class RequestContext:
    """One request as its endpoint sees it."""

    ex: Exchange
    params: Params
    now: int
    history: History
    owner: AccountBook | None = None
    placed_algos: list[str] = field(default_factory=list)  # client ids of the conditional orders it placed

    @property
    def book(self) -> AccountBook:
        assert self.owner is not None
        return self.owner

    def market(self, name: str = "symbol") -> Market:
        """The market of a mandatory symbol. Raises ApiError -1102, -1121."""
        return self.ex.market(self.params.need(name))

    def symbol(self) -> str | None:
        """An optional symbol. Raises ApiError -1121 when there is none of that name."""
        symbol = self.params.text("symbol")
        if symbol is not None:
            self.ex.rules(symbol)
        return symbol

    def need_symbol(self) -> str:
        """A mandatory symbol. Raises ApiError -1102, -1121."""
        symbol = self.params.need("symbol")
        self.ex.rules(symbol)
        return symbol


Handler = Callable[[RequestContext], Any]


@dataclass(frozen=True, slots=True)
class EncodedBody:
    """An answer that is JSON already."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint: who answers, who may ask, and what a request counts."""

    handler: Handler
    security: str = "NONE"  # NONE | KEY | SIGNED
    weight: int | Callable[[dict[str, str]], int] = 1
    orders: int = 0  # how many orders it counts in ten seconds; in a minute it counts as one
    changes: bool = False  # anything on the exchange
    own_pool: bool = False  # counted by address in five minutes, instead of weighed

    def weight_of(self, values: dict[str, str]) -> int:
        return self.weight if isinstance(self.weight, int) else self.weight(values)


def with_symbol(one: int, every: int) -> Callable[[dict[str, str]], int]:
    """The weight of an endpoint that a symbol makes cheaper."""
    return lambda values: one if values.get("symbol") else every
