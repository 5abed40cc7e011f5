"""The exchange's records: accounts, positions, orders, conditional orders, fills, income, uncovered intervals.

Amounts are ``Decimal``. Times are exchange time in milliseconds since the epoch. The field names are also those of
the saved state: a renamed field would be missing from every state saved before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar, Final

from simulator.engine.decimals import ZERO

NAKED_LIMIT_MS: Final = 2000
FOREVER: Final = 1 << 60  # as a time: never in any run
ORDER_OPEN: Final = frozenset({"NEW", "PARTIALLY_FILLED"})
ALGO_OPEN: Final = frozenset({"NEW", "TRIGGERING", "TRIGGERED"})
STOPS: Final = frozenset({"STOP", "STOP_MARKET", "TRAILING_STOP_MARKET"})
CONDITIONAL: Final = STOPS | {"TAKE_PROFIT", "TAKE_PROFIT_MARKET"}

Slot = tuple[str, str, str]  # where a position can be: account, symbol, position side


def is_hedge_exit(position_side: str, side: str) -> bool:
    """Whether an order on this side reduces a position of hedge mode: there the position side alone decides."""
    return position_side != "BOTH" and (side == "SELL") == (position_side == "LONG")


@dataclass(slots=True)
class Order:
    """An ordinary order: LIMIT, MARKET, or the child of a triggered algo order."""

    KIND: ClassVar[str] = "order"
    id: int
    account: str
    symbol: str
    client_id: str
    side: str
    position_side: str
    type: str
    tif: str
    quantity: Decimal
    price: Decimal
    created: int
    updated: int
    status: str = "NEW"
    reduce_only: bool = False
    close_position: bool = False
    executed: Decimal = ZERO
    quote: Decimal = ZERO
    working: str = "CONTRACT_PRICE"
    price_protect: bool = False
    price_match: str = "NONE"
    stp: str = "EXPIRE_MAKER"
    good_till: int = 0
    algo_id: int = 0
    orig_type: str = ""
    modify_id: int = 0
    modified: int = 0
    queue: Decimal = ZERO  # how much still rests ahead of it at its price

    @property
    def key(self) -> str:
        return str(self.id)

    @property
    def is_open(self) -> bool:
        return self.status in ORDER_OPEN

    @property
    def slot(self) -> Slot:
        return self.account, self.symbol, self.position_side

    @property
    def only_reduces(self) -> bool:
        return self.reduce_only or self.close_position

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.executed

    @property
    def average_price(self) -> Decimal:
        return self.quote / self.executed if self.executed else ZERO


@dataclass(slots=True)
class Algo:
    """A conditional order: waits for its trigger, then places an ordinary order, its child."""

    KIND: ClassVar[str] = "algo"
    id: int
    account: str
    symbol: str
    client_id: str
    side: str
    position_side: str
    type: str
    tif: str
    quantity: Decimal
    trigger: Decimal
    price: Decimal
    created: int
    updated: int
    status: str = "NEW"
    working: str = "CONTRACT_PRICE"
    reduce_only: bool = False
    close_position: bool = False
    price_protect: bool = False
    price_match: str = "NONE"
    stp: str = "EXPIRE_MAKER"
    good_till: int = 0
    trigger_time: int = 0
    child: int = 0
    reason: str = ""
    activate: Decimal = ZERO
    callback: Decimal = ZERO
    extreme: Decimal = ZERO  # the best price since a trailing stop became active
    active: bool = False
    stuck: bool = False  # stays TRIGGERING, as happened on the demo host
    hidden_until: int = 0  # queries do not find it before this time, though it is open

    @property
    def key(self) -> str:
        return str(self.id)

    @property
    def is_open(self) -> bool:
        return self.status in ALGO_OPEN

    @property
    def slot(self) -> Slot:
        return self.account, self.symbol, self.position_side

    @property
    def only_reduces(self) -> bool:
        return self.reduce_only or self.close_position

    @property
    def triggers_on_rise(self) -> bool:
        """Whether it triggers at or above its trigger price, rather than at or below."""
        return (self.side == "BUY") == (self.type in STOPS)


@dataclass(slots=True)
class Position:
    """A position on one side of one symbol. ``amount`` is signed; ``cost`` is its signed cost basis.

    The cost is kept rather than an average price, so that the books balance to the last digit.
    """

    KIND: ClassVar[str] = "position"
    account: str
    symbol: str
    side: str
    amount: Decimal = ZERO
    cost: Decimal = ZERO
    realized: Decimal = ZERO
    isolated: Decimal = ZERO
    updated: int = 0

    @property
    def key(self) -> str:
        return f"{self.account}/{self.symbol}/{self.side}"

    @property
    def slot(self) -> Slot:
        return self.account, self.symbol, self.side

    @property
    def entry(self) -> Decimal:
        return self.cost / self.amount if self.amount else ZERO

    def profit(self, mark: Decimal) -> Decimal:
        return self.amount * mark - self.cost


@dataclass(slots=True)
class Account:
    """One account: keys, wallets and settings. Its positions and orders are in its book."""

    KIND: ClassVar[str] = "account"
    name: str
    api_key: str
    secret: str
    alias: str
    dual: bool = False
    wallets: dict[str, Decimal] = field(default_factory=dict)
    leverage: dict[str, int] = field(default_factory=dict)
    isolated: list[str] = field(default_factory=list)
    withdrawals: bool = False
    ip_restricted: bool = True
    can_trade: bool = True
    multi_assets: bool = False
    maker: Decimal = Decimal("0.0002")
    taker: Decimal = Decimal("0.0005")
    listen_key: str = ""
    listen_until: int = 0
    created: int = 0
    deposited: dict[str, Decimal] = field(default_factory=dict)
    fee_burn: bool = False

    @property
    def key(self) -> str:
        return self.name


@dataclass(slots=True)
class Fill:
    """One execution, as ``userTrades`` reports it."""

    KIND: ClassVar[str] = "fill"
    id: int
    account: str
    symbol: str
    order: int
    client_id: str
    side: str
    position_side: str
    price: Decimal
    quantity: Decimal
    realized: Decimal
    commission: Decimal
    asset: str
    maker: bool
    time: int
    burnt: str = ""  # the asset its fee was paid in, where that is another one

    @property
    def key(self) -> str:
        return f"{self.symbol}/{self.id}"

    @property
    def fee_asset(self) -> str:
        return self.burnt or self.asset


@dataclass(slots=True)
class Income:
    """One line of the account's income history."""

    KIND: ClassVar[str] = "income"
    id: int
    account: str
    symbol: str
    type: str
    amount: Decimal
    asset: str
    time: int
    trade: str = ""
    info: str = ""

    @property
    def key(self) -> str:
        return str(self.id)


@dataclass(slots=True)
class UncoveredInterval:
    """A time in which open stops did not cover the whole of a position."""

    KIND: ClassVar[str] = "interval"
    id: int
    account: str
    symbol: str
    side: str
    start: int
    end: int  # 0 while it lasts
    worst: Decimal  # the largest uncovered quantity
    # "ms reason" of each protective request that the simulator itself refused or lost
    refusals: list[str] = field(default_factory=list)
    first_after: int = 0  # when the first protective request after the last refusal was accepted

    @property
    def slot(self) -> Slot:
        return self.account, self.symbol, self.side

    @property
    def key(self) -> str:
        return str(self.id)


Record = Order | Algo | Position | Account | Fill | Income | UncoveredInterval
