"""The exchange's records: accounts, positions, orders, conditional orders, fills, income, uncovered intervals.

Amounts are ``Decimal``. Times are exchange time in milliseconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar, Final

from simulator.engine.decimals import ZERO

NAKED_LIMIT_MS: Final = 2000
ORDER_OPEN: Final = frozenset({"NEW", "PARTIALLY_FILLED"})
ALGO_OPEN: Final = frozenset({"NEW", "TRIGGERING", "TRIGGERED"})
STOPS: Final = frozenset({"STOP", "STOP_MARKET", "TRAILING_STOP_MARKET"})
CONDITIONAL: Final = STOPS | {"TAKE_PROFIT", "TAKE_PROFIT_MARKET"}


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
    queue: Decimal = ZERO  # what still stands before us at our price

    @property
    def key(self) -> str:
        return str(self.id)

    @property
    def is_open(self) -> bool:
        return self.status in ORDER_OPEN

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.executed

    @property
    def average_price(self) -> Decimal:
        return self.quote / self.executed if self.executed else ZERO


@dataclass(slots=True)
class Algo:
    """A conditional order: waits for its trigger, then gives birth to an ordinary order."""

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
    extreme: Decimal = ZERO  # the best price a trailing stop has seen since it became active
    active: bool = False
    stuck: bool = False  # stays TRIGGERING, as demo has been seen to do
    hidden_until: int = 0  # look-ups do not show it before this time; it lives all the same

    @property
    def key(self) -> str:
        return str(self.id)

    @property
    def is_open(self) -> bool:
        return self.status in ALGO_OPEN

    @property
    def is_up(self) -> bool:
        """Whether it fires when the price is at or above its trigger."""
        return (self.side == "BUY") == (self.type in STOPS)


@dataclass(slots=True)
class Position:
    """What is held on one side of one symbol. ``amount`` is signed; ``cost`` is its signed purchase value.

    The cost rather than an average price is kept, so that books add up to the last digit.
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
    def entry(self) -> Decimal:
        return self.cost / self.amount if self.amount else ZERO

    def profit(self, mark: Decimal) -> Decimal:
        return self.amount * mark - self.cost


@dataclass(slots=True)
class Account:
    """One customer: keys, wallets and settings. What it holds and rests is indexed in the books."""

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

    @property
    def key(self) -> str:
        return self.name


@dataclass(slots=True)
class Fill:
    """One execution, as ``userTrades`` tells it."""

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

    @property
    def key(self) -> str:
        return f"{self.symbol}/{self.id}"


@dataclass(slots=True)
class Income:
    """One line of the account's ledger."""

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
class Interval:
    """A time during which a position was not, or not wholly, covered by live stops."""

    KIND: ClassVar[str] = "interval"
    id: int
    account: str
    symbol: str
    side: str
    start: int
    end: int  # 0 while it lasts
    worst: Decimal  # the largest uncovered quantity
    refusals: list[str] = field(
        default_factory=list
    )  # "ms code what" of protective requests we refused or lost
    first_after: int = 0  # when the first protective request after the last refusal succeeded

    @property
    def key(self) -> str:
        return str(self.id)


Record = Order | Algo | Position | Account | Fill | Income | Interval
