"""The field's words as frozen values: what we ask an exchange and what it tells us.

Prices and quantities are ``Decimal``. Times are the exchange's, in milliseconds since the epoch.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, NewType

from exchange.errors import ExchangeError

ZERO: Final = Decimal(0)
# How far behind the price the exchange's own trailing order may follow, in percent.
CALLBACK_MIN: Final = Decimal("0.1")
CALLBACK_STEP: Final = Decimal("0.1")
CALLBACK_MAX: Final = Decimal(20)

# A moment by the exchange's clock, and one by ours (the database's, or this machine's): milliseconds since the
# epoch. The two differ, so only ``exchange.clock_offset`` and ``orders.exchange_data.clock`` turn ours
# into the exchange's.
ExchangeMs = NewType("ExchangeMs", int)
OurMs = NewType("OurMs", int)


class Side(enum.StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class PositionSide(enum.StrEnum):
    BOTH = "BOTH"
    LONG = "LONG"
    SHORT = "SHORT"


class PositionMode(enum.StrEnum):
    ONE_WAY = "ONE_WAY"
    HEDGE = "HEDGE"

    @property
    def other(self) -> PositionMode:
        return PositionMode.HEDGE if self is PositionMode.ONE_WAY else PositionMode.ONE_WAY

    @property
    def words(self) -> str:
        return {"ONE_WAY": "one-way mode", "HEDGE": "hedge mode"}[self.value]


class MarginType(enum.StrEnum):
    CROSSED = "CROSSED"
    ISOLATED = "ISOLATED"


class OrderType(enum.StrEnum):
    LIMIT = "LIMIT"
    MARKET = "MARKET"
    STOP = "STOP"
    STOP_MARKET = "STOP_MARKET"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"
    TRAILING_STOP_MARKET = "TRAILING_STOP_MARKET"

    @property
    def is_conditional(self) -> bool:
        """Conditional orders live on ``/fapi/v1/algoOrder``, with ids and lists of their own."""
        return self not in (OrderType.LIMIT, OrderType.MARKET)

    @property
    def has_price(self) -> bool:
        """Does it, or the order born at its trigger, trade at a price of its own or better?"""
        return self in (OrderType.LIMIT, OrderType.STOP, OrderType.TAKE_PROFIT)


class TimeInForce(enum.StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTX = "GTX"


class WorkingType(enum.StrEnum):
    CONTRACT_PRICE = "CONTRACT_PRICE"
    MARK_PRICE = "MARK_PRICE"


class OrderState(enum.StrEnum):
    """Where an order stands on the exchange; ordinary and conditional orders in one vocabulary."""

    NEW = "NEW"  # rests, nothing executed, not triggered
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    TRIGGERING = "TRIGGERING"  # conditional: its level was met, it is on its way to the engine
    TRIGGERED = "TRIGGERED"  # conditional: its child order exists
    FILLED = "FILLED"
    FINISHED = "FINISHED"  # conditional: its child ended; only `executed` tells whether it filled
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"  # also EXPIRED_IN_MATCH; may carry fills
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"  # a word we do not know yet; `raw` has it

    @property
    def is_final(self) -> bool:
        return self in FINAL_STATES


FINAL_STATES: Final = frozenset(
    {
        OrderState.FILLED,
        OrderState.FINISHED,
        OrderState.CANCELED,
        OrderState.EXPIRED,
        OrderState.REJECTED,
    }
)


class ClosedBy(enum.StrEnum):
    """Why the exchange closed a position by an order of its own; the value is what people read, and what is stored."""

    LIQUIDATION = "liquidation"
    ADL = "auto-deleveraging"
    SETTLEMENT = "settlement"
    DELIVERY = "delivery"


@dataclass(frozen=True, slots=True)
class NewOrder:
    """One order as we mean it. ``client_id`` is ours, chosen and saved before anything is sent.

    ``position_side`` is BOTH in one-way mode; in hedge mode it is LONG or SHORT, always sent, and
    ``reduce_only`` is never sent. ``close_position`` excludes ``quantity`` and ``reduce_only``.
    """

    client_id: str
    symbol: str
    side: Side
    type: OrderType
    position_side: PositionSide = PositionSide.BOTH
    quantity: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    time_in_force: TimeInForce | None = None
    working_type: WorkingType | None = None
    price_protect: bool | None = None
    reduce_only: bool = False
    close_position: bool = False
    callback_rate: Decimal | None = None  # of a trailing order: percent behind the best price
    activation_price: Decimal | None = None  # … which is followed from here on; ``None``: at once


@dataclass(frozen=True, slots=True)
class OrderRef:
    """How to find one order again. Conditional orders answer to their own endpoints.

    ``child``: the exchange's number of the ordinary order born at its trigger; a cancel is that order's then.
    """

    symbol: str
    client_id: str
    conditional: bool
    child: int | None = None


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One request exactly as it will travel, without timestamp, recvWindow and signature.

    ``params`` are plain texts in the order they are sent. This is what a journal row keeps.
    """

    method: str
    path: str
    params: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Stamp:
    """The time frame of one signed request: exchange clock and window, both in milliseconds."""

    timestamp: ExchangeMs
    recv_window: int


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as the exchange shows it, in an answer, a look-up, a list or an event.

    ``executed`` and ``average_price`` of a conditional order are its child's. ``quantity`` is what
    the exchange echoed, which may be less than we asked for. ``average_price`` is ``None`` where
    the exchange did not say (placement answers since July 2026).
    """

    client_id: str
    symbol: str
    side: Side
    type: OrderType | None
    state: OrderState
    position_side: PositionSide
    quantity: Decimal
    executed: Decimal
    updated_at: int
    conditional: bool
    order_id: int | None = None  # ordinary order, or the child of a triggered conditional one
    algo_id: int | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    average_price: Decimal | None = None
    close_position: bool = False
    reduce_only: bool = False
    reason: str = ""  # conditional: `rm`; ordinary: `er`, in words
    closed_by: ClosedBy | None = None  # set on the exchange's own orders that close a position
    child_state: OrderState | None = (
        None  # conditional, looked up: the state of the order born at its trigger
    )
    active: bool = False  # a trailing order that follows the price; only events say so
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class TradeView:
    """One execution. ``client_id`` is empty where the exchange does not tell it (userTrades)."""

    trade_id: int
    order_id: int
    symbol: str
    side: Side
    position_side: PositionSide
    price: Decimal
    quantity: Decimal
    commission: Decimal
    commission_asset: str
    realized_pnl: Decimal
    maker: bool
    time: int
    client_id: str = ""


@dataclass(frozen=True, slots=True)
class IncomeView:
    """One line of the account's income: what a wallet gained (or lost: negative), in ``asset``.

    ``kind`` is Binance's word (REALIZED_PNL, COMMISSION, FUNDING_FEE, TRANSFER, …). It names neither order nor side;
    ``symbol`` and ``trade_id`` are empty where it is about none. ``tran_id`` is unique for one kind alone.
    """

    kind: str
    amount: Decimal
    asset: str
    time: int
    tran_id: int
    symbol: str = ""
    trade_id: str = ""
    info: str = ""

    @property
    def key(self) -> tuple[int, str, str, str]:
        """What makes the line one of a kind on its account."""
        return self.tran_id, self.kind, self.symbol, self.trade_id


@dataclass(frozen=True, slots=True)
class FundingRate:
    """What longs paid shorts at one funding, for each unit of notional; negative: the shorts paid."""

    symbol: str
    rate: Decimal
    time: int


@dataclass(frozen=True, slots=True)
class PositionView:
    """A position; ``quantity`` is signed (short is negative), flat ones may be missing from lists."""

    symbol: str
    position_side: PositionSide
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal | None = None
    liquidation_price: Decimal | None = None
    updated_at: int = 0


@dataclass(frozen=True, slots=True)
class BalanceView:
    """What an account has of one asset. ``unrealized``: what is open in crossed positions, at the mark price."""

    account_alias: str
    asset: str
    balance: Decimal
    available: Decimal
    unrealized: Decimal = ZERO

    @property
    def equity(self) -> Decimal:
        """The wallet with what is open: what percents of the equity are of."""
        return self.balance + self.unrealized


@dataclass(frozen=True, slots=True)
class AccountTotals:
    """What the exchange says of the whole account, in US dollars: free for margin, and all margin there is."""

    available: Decimal
    margin_balance: Decimal


@dataclass(frozen=True, slots=True)
class AccountConfig:
    can_trade: bool
    position_mode: PositionMode
    multi_assets: bool


@dataclass(frozen=True, slots=True)
class SymbolConfig:
    symbol: str
    leverage: int
    margin_type: MarginType


@dataclass(frozen=True, slots=True)
class Permissions:
    """What an API key may do (``/sapi/v1/account/apiRestrictions``)."""

    reading: bool
    futures: bool
    withdrawals: bool
    ip_restricted: bool
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class LeverageBracket:
    """One step of the notional table: up to ``cap`` (in margin asset)."""

    cap: Decimal
    maintenance_rate: Decimal
    maintenance_amount: Decimal


@dataclass(frozen=True, slots=True)
class MarkPrice:
    symbol: str
    mark: Decimal
    time: int


# Of bars, as the exchange names them.
TIMEFRAMES: Final = (
    *("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"),
)


@dataclass(frozen=True, slots=True)
class Kline:
    """One bar as the exchange shows it, keyed by its own open time, which is never computed.

    ``closed`` is what the stream says of it (``x``); of a bar that was read nothing is said, and it is False.
    ``time``: when it was said; 0 for one that was read.
    """

    symbol: str
    timeframe: str
    open_time: int
    close_time: int  # the last millisecond that belongs to it
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int
    closed: bool = False
    time: int = 0


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where one environment lives. ``stream`` is the root: routes are added by us. ``sapi`` may be empty."""

    rest: str
    stream: str
    sapi: str = ""


# --- what the user stream tells -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """ORDER_TRADE_UPDATE or ALGO_UPDATE. ``trade`` is set when this event is an execution."""

    order: OrderView
    time: int
    trade: TradeView | None = None


@dataclass(frozen=True, slots=True)
class PositionEvent:
    """ACCOUNT_UPDATE: only what changed. ``reason`` is Binance's word (ORDER, FUNDING_FEE, …)."""

    positions: tuple[PositionView, ...]
    reason: str
    time: int
    is_funding: bool = False  # told because funding was taken or paid


@dataclass(frozen=True, slots=True)
class ConfigEvent:
    """ACCOUNT_CONFIG_UPDATE: the leverage of one symbol changed."""

    symbol: str
    leverage: int
    time: int


@dataclass(frozen=True, slots=True)
class SettingsEvent:
    """ACCOUNT_CONFIG_UPDATE: a setting of the account changed; which one it has now must be read."""

    time: int


@dataclass(frozen=True, slots=True)
class AtLiquidation:
    """A position that the exchange warns of. ``mark_price`` and ``maintenance`` (in the margin asset): where it said so."""

    symbol: str
    position_side: PositionSide
    mark_price: Decimal | None
    maintenance: Decimal | None


@dataclass(frozen=True, slots=True)
class MarginCallEvent:
    """MARGIN_CALL: these positions are near their liquidation."""

    positions: tuple[AtLiquidation, ...]
    time: int


@dataclass(frozen=True, slots=True)
class StreamExpired:
    """The listen key is dead; the socket stays open and silent. Reconnect."""

    time: int


@dataclass(frozen=True, slots=True)
class OtherEvent:
    """An event we keep but do not act on."""

    name: str
    time: int
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


StreamEvent = (
    OrderEvent | PositionEvent | ConfigEvent | SettingsEvent | MarginCallEvent | StreamExpired | OtherEvent
)


class PriceKind(StrEnum):
    LAST = "LAST"
    MARK = "MARK"


@dataclass(frozen=True, slots=True)
class PriceTick:
    """One price: the last trade's or the mark. ``time`` is the exchange's, in milliseconds."""

    symbol: str
    kind: PriceKind
    price: Decimal
    time: int


@dataclass(frozen=True, slots=True)
class Connected:
    """The socket is open. It proves nothing more: Binance accepts wrong listen keys too."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The socket is gone, or could not be opened; the stream tries again after ``retry_in`` seconds."""

    reason: str
    retry_in: float
    error: ExchangeError | None = None
