"""The simulator as a Python object: for tests and benchmarks, and behind the server."""

from __future__ import annotations

import functools
import ipaddress
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from simulator.clock import Clock, wall_clock
from simulator.engine import order_views
from simulator.engine.account_book import AccountBook
from simulator.engine.amendments import Amendment, amend_order
from simulator.engine.catalogue import load_catalogue
from simulator.engine.decimals import MONEY, ZERO, plain
from simulator.engine.ledger import deposit
from simulator.engine.liquidation import OWN_ORDERS, close_by_own_order
from simulator.engine.market import Depth, Market
from simulator.engine.matching import fill_by_hand
from simulator.engine.order_lifecycle import end_algo
from simulator.engine.price_path import move_price
from simulator.engine.profile import Profile, profile_named
from simulator.engine.records import Account
from simulator.engine.request_log import LogEntry
from simulator.faults.fault import Fault
from simulator.protocol.limits import BAN_MS_MAX, TELLS
from simulator.venue.reply import Reply
from simulator.venue.venue import Venue, open_venue

# What may come through the control door. Without bounds one number could keep the process busy for ever.
DIGITS_MAX: Final = 15
DECIMALS_MAX: Final = 15
LEVELS_MAX: Final = 1000
DAY_MS: Final = 86_400_000
LATENCY_MS_MAX: Final = 60_000


def _number(value: Decimal | str | int, what: str) -> Decimal:
    if isinstance(value, float):
        raise TypeError(f"{what} is Decimal, text or a whole number, never a float.")
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(f"{what} must be a finite number, not {str(value)[:40]}.")
    if (number and not -DECIMALS_MAX <= number.adjusted() < DIGITS_MAX) or len(number.as_tuple().digits) > 40:
        raise ValueError(
            f"{what} has at most {DIGITS_MAX} digits before and {DECIMALS_MAX} after the point; {str(value)[:40]} has not."
        )
    return number


def _duration(ms: int, what: str) -> int:
    if not 0 <= ms <= DAY_MS:
        raise ValueError(
            f"{what} is a whole number of milliseconds between 0 and one day ({DAY_MS}), not {str(ms)[:40]}."
        )
    return ms


@dataclass(frozen=True, slots=True)
class PositionView:
    """A position as a test looks at it. ``quantity`` is signed."""

    symbol: str
    side: str
    quantity: Decimal
    entry_price: Decimal

    @property
    def is_flat(self) -> bool:
        return not self.quantity


class AccountExists(Exception):
    """The API key is in use with another secret, or the name with another key."""


# What can be changed while it runs.
LIMITS: Final = (
    "weight_per_minute",
    "orders_per_minute",
    "orders_per_ten_seconds",
    "conditional_max",
    "enforce_rates",
)
P = ParamSpec("P")
R = TypeVar("R")


def synchronized(method: Callable[P, R]) -> Callable[P, R]:
    """Let one thread in at a time: the engine is not thread-safe."""

    @functools.wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        simulator = args[0]
        assert isinstance(simulator, Simulator)
        with simulator.lock:
            return method(*args, **kwargs)

    return guarded


class Simulator:
    """A local Binance USDⓈ-M exchange. Safe to share between threads."""

    def __init__(
        self,
        *,
        profile: str | Profile = "demo",
        seed: int = 1,
        clock: Clock | None = None,
        symbols: Iterable[str] | None = None,
        prices: str = "hand",
        klines: dict[str, Path] | None = None,
        exchange_info: Path | None = None,
        speed: Decimal | int = 1,
        hash_log: bool = False,
        **switches: Any,
    ) -> None:
        self.lock = threading.RLock()
        self.clock: Clock = clock or wall_clock
        chosen = profile_named(profile) if isinstance(profile, str) else profile
        chosen = chosen.but(**switches)
        self.profile = chosen
        self.latency_ms = 0  # how late the server lets answers and events leave
        catalogue = load_catalogue(chosen, exchange_info=exchange_info, only=symbols)
        self.venue: Venue = open_venue(
            chosen, catalogue, seed=seed, prices=prices, market_ms=self.clock(), klines=klines, speed=speed
        )
        self.ex = self.venue.ex
        self.venue.request_log.hashing = hash_log

    # -- accounts -------------------------------------------------------------------------------------------------

    @synchronized
    def add_account(
        self,
        name: str,
        api_key: str,
        api_secret: str,
        balance: Decimal | str = "10000",
        position_mode: str = "ONE_WAY",
        withdrawals: bool = False,
        ip_restricted: bool = True,
    ) -> bool:
        """Open an account with a balance in USDT; return whether it is new. Raises ValueError, AccountExists."""
        if position_mode not in ("ONE_WAY", "HEDGE"):
            raise ValueError(f"position_mode is ONE_WAY or HEDGE, not {position_mode!r}.")
        if not name or not api_key or not api_secret:
            raise ValueError("An account needs a name, an API key and a secret.")
        money = _number(balance, "balance")
        if money < 0:
            raise ValueError("balance must not be negative.")
        known = self.ex.by_key.get(api_key)
        if known is not None:
            if known.account.secret == api_secret:
                return False
            raise AccountExists("This API key is already in use with another secret.")
        if name in self.ex.books:
            raise AccountExists(f"There is already an account named {name}, with another API key.")
        now = self.clock()
        with self.venue.change_by_hand(now):
            account = Account(
                name, api_key, api_secret, self.ex.token(f"alias:{name}", 8), dual=position_mode == "HEDGE",
                withdrawals=withdrawals, ip_restricted=ip_restricted, maker=self.profile.maker_fee,
                taker=self.profile.taker_fee, created=now,
            )  # fmt: skip
            book = self.ex.register(account)
            deposit(self.ex, book, "USDT", money, now)
        return True

    def _book(self, account: str | None) -> AccountBook:
        if account is None:
            if len(self.ex.books) != 1:
                raise ValueError("Say which account: there is not exactly one.")
            return next(iter(self.ex.books.values()))
        try:
            return self.ex.books[account]
        except KeyError:
            raise ValueError(f"There is no account {account!r}.") from None

    # -- the wire -------------------------------------------------------------------------------------------------

    @synchronized
    def handle(
        self,
        method: str,
        path_with_query: str,
        headers: dict[str, str],
        body: bytes = b"",
        ip: str = "127.0.0.1",
    ) -> Reply:
        """Serve one request, now. ``ip``: the address it comes from."""
        return self.venue.handle(method, path_with_query, headers, body, self.clock(), ip)

    @synchronized
    def tick(self) -> None:
        """Do everything that happens by itself up to now."""
        self.venue.tick(self.clock())

    # -- the market -----------------------------------------------------------------------------------------------

    @synchronized
    def set_price(
        self, symbol: str, price: Decimal | str, mark: Decimal | str | None = None, *, gap: bool = False
    ) -> None:
        """Walk the last price there, and the mark price too unless it is given; with ``gap``, both jump."""
        now = self.clock()
        with self.venue.change_by_hand(now):
            self.venue.advance(now)
            market = self._market(symbol)
            last = market.round_to_tick(_number(price, "price"))
            mark_goal = last if mark is None else _number(mark, "mark")
            if last <= 0 or mark_goal <= 0:
                raise ValueError("A price must be above zero.")
            move_price(self.ex, market, last, mark_goal, now, jump=gap)

    @synchronized
    def advance_market(self, ms: int) -> None:
        """Move the market clock on by so many milliseconds, and recorded or walking prices with it, at once."""
        now = self.clock()
        _duration(ms, "ms")
        with self.venue.change_by_hand(now):
            self.venue.advance(now)
            self.venue.prices.run(self.ex, now, ms)

    @synchronized
    def liquidity(
        self, symbol: str, quantity_per_level: Decimal | str, levels: int = 1, *, queue: Decimal | str = "0"
    ) -> None:
        """Set how much rests on each level of the book, on how many levels, and ahead of a new resting order."""
        market = self._market(symbol)
        quantity = _number(quantity_per_level, "quantity_per_level")
        if not 1 <= levels <= LEVELS_MAX:
            raise ValueError(f"levels is a whole number between 1 and {LEVELS_MAX}, not {str(levels)[:40]}.")
        with self.venue.change_by_hand(self.clock()):
            market.depth = Depth(quantity, levels, market.rules.tick, ZERO, _number(queue, "queue"))
            market.taken.clear()

    @synchronized
    def fill(self, client_id: str, quantity: Decimal | str, account: str | None = None) -> None:
        """Fill part of a resting limit order at its own price, wherever the market is."""
        book = self._book(account)
        order_id = book.open_order_ids.get(client_id)
        if order_id is None:
            raise ValueError(f"No open order has the client id {client_id!r}.")
        now = self.clock()
        with self.venue.change_by_hand(now):
            fill_by_hand(self.ex, self.ex.orders[order_id], _number(quantity, "quantity"), now)

    @synchronized
    def amend(
        self, client_id: str, quantity: Decimal | str, price: Decimal | str, account: str | None = None
    ) -> None:
        """Change a resting limit order, as a person does in the app. Raises ValueError, ApiError."""
        book = self._book(account)
        order_id = book.open_order_ids.get(client_id)
        if order_id is None:
            raise ValueError(f"No open order has the client id {client_id!r}.")
        now, order = self.clock(), self.ex.orders[order_id]
        change = Amendment(order.side, _number(quantity, "quantity"), _number(price, "price"), None, 0)
        with self.venue.change_by_hand(now):
            amend_order(self.ex, book, order, change, now)

    @synchronized
    def close_by_exchange(
        self, symbol: str, how: str, account: str | None = None, side: str = "BOTH"
    ) -> None:
        """Close a position by an order of the exchange's own: ``settlement``, ``delivery``, ``adl`` or ``liquidation``.

        Raises ValueError.
        """
        if how not in OWN_ORDERS:
            raise ValueError(f"how is {', '.join(OWN_ORDERS)}, not {how!r}.")
        book, now = self._book(account), self.clock()
        position = book.held.get((symbol, side))
        if position is None or not position.amount:
            raise ValueError(f"There is no position of {symbol} to close.")
        with self.venue.change_by_hand(now):
            close_by_own_order(self.ex, book, position, now, how=how)

    @synchronized
    def expire(self, client_id: str, account: str | None = None) -> None:
        """Let the venue drop a waiting conditional order, with its event, as it has done with stops."""
        book = self._book(account)
        algo_id = book.open_algo_ids.get(client_id)
        if algo_id is None:
            raise ValueError(f"No open conditional order has the client id {client_id!r}.")
        now = self.clock()
        with self.venue.change_by_hand(now):
            end_algo(self.ex, book, self.ex.algos[algo_id], "EXPIRED", now)

    @synchronized
    def set_filters(self, symbol: str, **changes: dict[str, str]) -> None:
        """Change a symbol's trading rules from now on, by filter type: ``MARKET_LOT_SIZE={"maxQty": "100"}``.

        Not saved with the state: a simulator that starts again has the rules it comes with. Raises ValueError.
        """
        self._market(symbol)
        with self.venue.change_by_hand(self.clock()):
            self.ex.set_filters(symbol, changes)

    def _market(self, symbol: str) -> Market:
        if self.ex.catalogue.find(symbol) is None:
            raise ValueError(f"There is no symbol {symbol!r}.")
        return self.ex.market(symbol)

    # -- limits ---------------------------------------------------------------------------------------------------

    @synchronized
    def set_limits(self, *, reset: bool = False, **changes: Any) -> dict[str, Any]:
        """Change limits from now on, and what exchangeInfo says of them. Raises ValueError.

        ``reset``: forget what addresses have used and their bans.
        """
        unknown = set(changes) - set(LIMITS)
        if unknown:
            raise ValueError(f"{', '.join(sorted(unknown))} is not a limit. Known: {', '.join(LIMITS)}.")
        changed = self.profile.but(**changes)
        self.profile = self.ex.profile = self.venue.limits.profile = changed
        self.ex.catalogue.publish_limits(changed)
        if reset:
            self.venue.limits.addresses.clear()
        return self.limits()

    @synchronized
    def limits(self) -> dict[str, Any]:
        """The limits in force, and how each address stands."""
        now = self.clock()
        return {
            **{name: getattr(self.profile, name) for name in LIMITS},
            "addresses": {
                address: {"used": usage.used, "banned_until": usage.banned_until}
                for address, usage in sorted(self.venue.limits.addresses.items())
            },
            "ms": now,
        }

    @synchronized
    def ban(self, seconds: int, *, address: str = "127.0.0.1", tells: str = "both") -> int:
        """Ban an address from now on; 0 seconds lift its ban. Return the exchange time of its end. Raises ValueError.

        ``tells``: where its refusals say how long it lasts: ``header``, ``text`` or ``both``.
        """
        if tells not in TELLS:
            raise ValueError(f"tells is {', '.join(TELLS)}, not {tells!r}.")
        if not 0 <= seconds * 1000 <= BAN_MS_MAX:
            raise ValueError("seconds is a whole number between 0 and three days.")
        usage = self.venue.limits.usage(str(ipaddress.ip_address(address)))
        usage.ban(seconds * 1000, self.clock(), tells)
        return usage.banned_until

    @synchronized
    def set_latency(self, ms: int) -> int:
        """Let what is said over the network leave so late from now on. Raises ValueError."""
        if not 0 <= ms <= LATENCY_MS_MAX:
            raise ValueError(f"ms is a whole number between 0 and {LATENCY_MS_MAX}.")
        self.latency_ms = ms
        return ms

    # -- reading --------------------------------------------------------------------------------------------------

    @synchronized
    def open_orders(self, account: str | None = None, symbol: str | None = None) -> list[dict[str, Any]]:
        """Every open order, ordinary and conditional, as the API shows it."""
        books = [self._book(account)] if account is not None else list(self.ex.books.values())
        with localcontext(MONEY):
            rows = [order_views.order_full(self.ex, o) for b in books for o in b.open_orders.values()]
            rows += [
                order_views.algo_full(self.ex, a) for b in books for a in b.open_algos.values() if not a.child
            ]
        return [row for row in rows if symbol is None or row["symbol"] == symbol]

    @synchronized
    def position(self, symbol: str, account: str | None = None, side: str = "BOTH") -> PositionView:
        """The position of an account on one side of a symbol."""
        held = self._book(account).held.get((symbol, side))
        with localcontext(MONEY):
            return PositionView(symbol, side, held.amount if held else ZERO, held.entry if held else ZERO)

    def wallet(self, account: str | None = None, asset: str = "USDT") -> Decimal:
        return self._book(account).account.wallets.get(asset, ZERO)

    @property
    def log(self) -> list[LogEntry]:
        """Every request so far, oldest first."""
        return list(self.venue.request_log.entries)

    @synchronized
    def drain_events(self, api_key: str) -> list[dict[str, Any]]:
        """The user-stream events of an account since last drained, in order."""
        events = self.ex.by_key[api_key].events
        drained = list(events)
        events.clear()
        return drained

    @synchronized
    def verdict(self, **client_times: int) -> dict[str, Any]:
        """Judge what has happened so far. ``client_times``: the client's recv_window and absence_margin, in ms."""
        return self.venue.verdict(self.clock(), **client_times)

    @synchronized
    def orphans(self, **client_times: int) -> list[dict[str, Any]]:
        """The protective orders that are orphans now; the same as in the verdict, at little cost."""
        return self.venue.orphans(self.clock(), **client_times)

    @synchronized
    def snapshot(self) -> dict[str, Any]:
        """Accounts, positions, resting orders and prices, ready for JSON."""
        with localcontext(MONEY):
            return {
                "ms": self.clock(),
                "market_ms": self.ex.market_ms,
                "profile": self.profile.name,
                "prices": self.venue.prices.mode,
                "running": self.venue.prices.running,
                "speed": plain(self.venue.prices.speed),
                "accounts": [self._account_row(book) for _, book in sorted(self.ex.books.items())],
                "symbols": {
                    symbol: {"last": plain(m.last), "mark": plain(m.mark)}
                    for symbol, m in sorted(self.ex.markets.items())
                },
                "faults": [fault.as_dict() for fault in self.venue.faults.in_force],
                "requests": self.venue.request_log.count,
            }

    def _account_row(self, book: AccountBook) -> dict[str, Any]:
        account = book.account
        return {
            "name": account.name,
            "position_mode": "HEDGE" if account.dual else "ONE_WAY",
            "wallets": {asset: plain(amount) for asset, amount in account.wallets.items()},
            "positions": [
                {
                    "symbol": p.symbol,
                    "side": p.side,
                    "quantity": plain(p.amount),
                    "entry": plain(p.entry.normalize()),
                }
                for p in book.held.values()
            ],
            "orders": [order_views.order_full(self.ex, order) for order in book.open_orders.values()],
            "algo_orders": [order_views.algo_full(self.ex, algo) for algo in book.open_algos.values()],
        }

    # -- faults ---------------------------------------------------------------------------------------------------

    @synchronized
    def fault(
        self,
        match: dict[str, Any] | None = None,
        then: dict[str, Any] | None = None,
        occurrence: Any = "every",
    ) -> Fault:
        """Put a fault in force, in the words of the fault language. Raises FaultError."""
        return self.venue.faults.add({"match": match or {}, "occurrence": occurrence, "then": then})

    def refuses(self, order_type: str, code: int = -2010, occurrence: Any = "every", **match: Any) -> Fault:
        """Refuse orders of this type with this code."""
        return self.fault(
            {"method": "POST", "type": str(order_type), **match}, {"do": "refuse", "code": code}, occurrence
        )

    @synchronized
    def clear_faults(self) -> None:
        self.venue.faults.clear()
