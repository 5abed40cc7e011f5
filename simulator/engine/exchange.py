"""The state of the exchange: accounts, orders, positions, markets, and what is due to be told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from simulator.engine.account_book import Book
from simulator.engine.catalogue import Catalogue
from simulator.engine.errors import refusal
from simulator.engine.market import Market, depth_for
from simulator.engine.profile import Profile
from simulator.engine.records import Account, Algo, Order, Record
from simulator.engine.symbol_rules import Rules

DAY = 86_400_000


class Exchange:
    """Everything the exchange knows. Changed only through the functions of this package."""

    def __init__(
        self, profile: Profile, catalogue: Catalogue, *, seed: int, start_price: Callable[[Rules], Decimal]
    ) -> None:
        self.profile = profile
        self.catalogue = catalogue
        self.seed = seed
        self._start_price = start_price
        self.books: dict[str, Book] = {}
        self.by_key: dict[str, Book] = {}
        self.by_listen_key: dict[str, Book] = {}
        self.orders: dict[int, Order] = {}
        self.algos: dict[int, Algo] = {}
        self.markets: dict[str, Market] = {}
        self.market_ms = 0
        self.counters: dict[str, int] = {}
        self.dirty: dict[tuple[str, str], Record] = {}
        self.gone: list[tuple[str, str]] = []
        self.keeping = False
        self.told: list[tuple[str, dict[str, Any]]] = []  # (account, user event) since last taken
        self.moved: set[str] = set()  # symbols whose price or book changed since last taken
        self.traded: list[tuple[str, dict[str, Any]]] = []
        self.flattened: list[tuple[str, str, str]] = []
        self.exposed: set[tuple[str, str, str]] = set()  # slots whose cover must be looked at anew
        self.delayed: dict[int, Algo] = {}  # TRIGGERING, with their child still to come
        self.strays: list[dict[str, Any]] = []  # legs and exits that opened a position
        self.countdowns: dict[tuple[str, str], int] = {}  # (account, symbol) -> when its orders are cancelled
        self.amendments: dict[int, list[dict[str, Any]]] = {}
        self.expiring = 0  # open orders with a goodTillDate
        self.filter: Callable[[str, dict[str, Any]], list[dict[str, Any]]] | None = None

    # -- accounts -------------------------------------------------------------------------------------------------

    def book(self, account: str) -> Book:
        return self.books[account]

    def adopt(self, account: Account) -> Book:
        """Enter an account into the books."""
        book = self.books.setdefault(account.name, Book(account))
        book.account = account
        self.by_key[account.api_key] = book
        if account.listen_key:
            self.by_listen_key[account.listen_key] = book
        self.touch(account)
        return book

    # -- numbers --------------------------------------------------------------------------------------------------

    def next_id(self, what: str, first: int = 1) -> int:
        value = self.counters.get(what, first - 1) + 1
        self.counters[what] = value
        return value

    def token(self, what: str, length: int) -> str:
        """A seeded text of letters and digits, new at each call."""
        number = self.next_id("token")
        digest = hashlib.sha256(f"{self.seed}:{what}:{number}".encode()).hexdigest()
        return (digest * (length // 64 + 1))[:length]

    # -- markets --------------------------------------------------------------------------------------------------

    def market(self, symbol: str) -> Market:
        """The market of a known symbol, opened at its start price when first asked for."""
        found = self.markets.get(symbol)
        if found is None:
            rules = self.catalogue.find(symbol)
            if rules is None:
                raise refusal(-1121)
            price = self._start_price(rules)
            found = self.markets[symbol] = Market(rules, price, price, depth_for(rules, price))
        return found

    def set_status(self, symbol: str, status: str) -> None:
        """Let a symbol start or stop trading."""
        self.catalogue.set_status(symbol, status)
        rules = self.catalogue.find(symbol)
        if symbol in self.markets and rules is not None:
            self.markets[symbol].rules = rules

    def rules(self, symbol: str) -> Rules:
        rules = self.catalogue.find(symbol)
        if rules is None:
            raise refusal(-1121)
        return rules

    def expire_at(self, moment: int) -> None:
        """Note that an order wants to be looked at then."""
        self.expiring = min(self.expiring or moment, moment)

    # -- telling and keeping --------------------------------------------------------------------------------------

    def tell(self, account: str, event: dict[str, Any]) -> None:
        """Put an event on the account's user stream."""
        events = self.filter(account, event) if self.filter else [event]
        for each in events:
            self.books[account].events.append(each)
            self.told.append((account, each))

    def touch(self, record: Record) -> None:
        """Note that a record changed and must be kept before the answer goes out."""
        if self.keeping:
            self.dirty[record.KIND, record.key] = record

    def forget(self, kind: str, key: str) -> None:
        if self.keeping:
            self.dirty.pop((kind, key), None)
            self.gone.append((kind, key))

    def take_told(self) -> list[tuple[str, dict[str, Any]]]:
        told, self.told = self.told, []
        return told

    # -- settings -------------------------------------------------------------------------------------------------

    def leverage(self, account: Account, symbol: str) -> int:
        chosen = account.leverage.get(symbol)
        if chosen is None:
            chosen = min(20, max(b.leverage for b in self.rules(symbol).brackets))
        return chosen
