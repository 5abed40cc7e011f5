"""The state of the exchange: accounts, orders, markets, and what waits to be published or saved."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from simulator.engine.account_book import AccountBook
from simulator.engine.catalogue import Catalogue
from simulator.engine.errors import refusal
from simulator.engine.market import Market, depth_for
from simulator.engine.profile import Profile
from simulator.engine.records import Account, Algo, Order, Record, Slot
from simulator.engine.symbol_rules import Rules


class Exchange:
    """Everything the exchange knows. Changed only through the functions of this package."""

    def __init__(
        self, profile: Profile, catalogue: Catalogue, *, seed: int, start_price: Callable[[Rules], Decimal]
    ) -> None:
        self.profile = profile
        self.catalogue = catalogue
        self.seed = seed
        self._start_price = start_price
        self.books: dict[str, AccountBook] = {}
        self.by_key: dict[str, AccountBook] = {}
        self.by_listen_key: dict[str, AccountBook] = {}
        self.orders: dict[int, Order] = {}
        self.algos: dict[int, Algo] = {}
        self.triggering: dict[int, Algo] = {}  # triggered, their child still to be placed
        self.amendments: dict[int, list[dict[str, Any]]] = {}  # by order id
        self.countdowns: dict[tuple[str, str], int] = {}  # (account, symbol): when its orders are cancelled
        self.next_expiry = 0  # the earliest goodTillDate of any open order; 0: none
        self.markets: dict[str, Market] = {}
        self.market_ms = 0
        self.counters: dict[str, int] = {}

        # What follows from fills and triggers, until somebody deals with it.
        self.flattened: list[Slot] = []  # went flat or changed side
        self.cover_changed: set[Slot] = set()  # its position or its stops changed
        self.stray_fills: list[dict[str, Any]] = []  # legs and exits that opened or enlarged a position

        # What waits to be published: user events, public trades, symbols whose price or depth changed.
        self.event_filter: Callable[[str, dict[str, Any]], list[dict[str, Any]]] | None = None
        self.pending_events: list[tuple[str, dict[str, Any]]] = []  # (account, event)
        self.public_trades: list[tuple[str, dict[str, Any]]] = []  # (symbol, trade)
        self.moved_symbols: set[str] = set()

        # What waits to be saved.
        self.persisting = False
        self.dirty: dict[tuple[str, str], Record] = {}  # by kind and key
        self.removed: list[tuple[str, str]] = []

    # -- accounts -------------------------------------------------------------------------------------------------

    def book(self, account: str) -> AccountBook:
        return self.books[account]

    def register(self, account: Account) -> AccountBook:
        """Open a book for an account, new or restored."""
        book = self.books.setdefault(account.name, AccountBook(account))
        book.account = account
        self.by_key[account.api_key] = book
        if account.listen_key:
            self.by_listen_key[account.listen_key] = book
        self.mark_changed(account)
        return book

    def leverage(self, account: Account, symbol: str) -> int:
        chosen = account.leverage.get(symbol)
        if chosen is None:
            chosen = min(20, max(b.leverage for b in self.rules(symbol).brackets))
        return chosen

    # -- ids ------------------------------------------------------------------------------------------------------

    def next_id(self, what: str, first: int = 1) -> int:
        value = self.counters.get(what, first - 1) + 1
        self.counters[what] = value
        return value

    def next_order_id(self) -> int:
        return self.next_id("order", 8_389_765_000_001)

    def token(self, what: str, length: int) -> str:
        """A seeded text of letters and digits, new at each call."""
        number = self.next_id("token")
        digest = hashlib.sha256(f"{self.seed}:{what}:{number}".encode()).hexdigest()
        return (digest * (length // 64 + 1))[:length]

    # -- markets --------------------------------------------------------------------------------------------------

    def rules(self, symbol: str) -> Rules:
        """The rules of a symbol. Raises ApiError -1121."""
        rules = self.catalogue.find(symbol)
        if rules is None:
            raise refusal(-1121)
        return rules

    def market(self, symbol: str) -> Market:
        """The market of a symbol, opened at its start price when first asked for. Raises ApiError -1121."""
        found = self.markets.get(symbol)
        if found is None:
            rules = self.rules(symbol)
            price = self._start_price(rules)
            found = self.markets[symbol] = Market(rules, price, price, depth_for(rules, price))
        return found

    def set_filters(self, symbol: str, changes: dict[str, dict[str, str]]) -> None:
        """Change a symbol's trading rules; what rests stays as it is."""
        self.catalogue.set_filters(symbol, changes)
        if symbol in self.markets:
            self.markets[symbol].rules = self.rules(symbol)

    def set_status(self, symbol: str, status: str) -> None:
        """Let a symbol start or stop trading."""
        self.catalogue.set_status(symbol, status)
        if symbol in self.markets:
            self.markets[symbol].rules = self.rules(symbol)

    def schedule_expiry(self, moment: int) -> None:
        """See to it that expired orders are looked for at this time."""
        self.next_expiry = min(self.next_expiry or moment, moment)

    # -- publishing and saving ------------------------------------------------------------------------------------

    def emit(self, account: str, event: dict[str, Any]) -> None:
        """Put an event on the account's user stream."""
        events = self.event_filter(account, event) if self.event_filter else [event]
        for each in events:
            self.books[account].events.append(each)
            self.pending_events.append((account, each))

    def take_events(self) -> list[tuple[str, dict[str, Any]]]:
        events, self.pending_events = self.pending_events, []
        return events

    def mark_changed(self, record: Record) -> None:
        """Have a record saved before the answer is sent."""
        if self.persisting:
            self.dirty[record.KIND, record.key] = record

    def mark_removed(self, record: Record) -> None:
        """Have a record deleted from the saved state."""
        if self.persisting:
            self.dirty.pop((record.KIND, record.key), None)
            self.removed.append((record.KIND, record.key))
