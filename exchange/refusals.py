"""What a refusal of the exchange means. Everything outside ``exchange`` decides by these; codes stay inside."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final


class Refusal(enum.StrEnum):
    """Why the exchange did not do what was asked, or what its answer leaves open."""

    # The order
    LEVEL_PASSED = "LEVEL_PASSED"  # the trigger would fire at once: the price is through it
    NOT_WHILE_FLAT = "NOT_WHILE_FLAT"  # it may only reduce, and there is nothing (left) to reduce
    CLOSE_EXISTS = "CLOSE_EXISTS"  # another closePosition order of this class rests already
    DUPLICATE_ID = "DUPLICATE_ID"  # an open order has this client id: an earlier try landed
    TOO_SMALL = "TOO_SMALL"  # quantity or notional below the symbol's minimum
    TOO_LARGE = "TOO_LARGE"  # quantity above the symbol's maximum
    BAD_STEP = "BAD_STEP"  # off the tick, the step or the precision
    PRICE_OUT_OF_RANGE = "PRICE_OUT_OF_RANGE"  # outside the symbol's limits or the band around the mark price
    THIN_BOOK = "THIN_BOOK"  # the best price lies outside the band that a MARKET order may reach
    NO_DEPTH = "NO_DEPTH"  # nothing to trade against
    NOT_FILLED_AT_ONCE = "NOT_FILLED_AT_ONCE"  # FOK could not fill whole
    WOULD_TAKE = "WOULD_TAKE"  # GTX (post-only) would have traded at once
    TOO_MANY_OPEN = "TOO_MANY_OPEN"  # open orders, or conditional orders, of the account are at their limit
    AMEND_REFUSED = "AMEND_REFUSED"
    ORDER_REFUSED = "ORDER_REFUSED"  # refused without a reason
    SYMBOL_CLOSED = "SYMBOL_CLOSED"  # the symbol does not trade, or takes no new positions
    # An order that is looked up or cancelled
    NOT_CANCELLABLE = "NOT_CANCELLABLE"  # triggered, filled, or never there: read it
    TRIGGERING = "TRIGGERING"  # being triggered at this moment
    NO_SUCH_ORDER = "NO_SUCH_ORDER"  # or not visible yet
    # Money
    MARGIN = "MARGIN"
    POSITION_LIMIT = "POSITION_LIMIT"  # the position would be too large for this leverage
    POSITION_TOO_SMALL = "POSITION_TOO_SMALL"  # less position than the order needs
    # Account and key
    KEY = "KEY"  # unknown, malformed, locked, or without permission
    SIGNATURE = "SIGNATURE"  # the secret does not belong to the key
    ADDRESS = "ADDRESS"  # this machine's address is not on the key's list
    REDUCE_ONLY = "REDUCE_ONLY"  # the account may only reduce what it holds, for a while
    ACCOUNT_RESTRICTED = (
        "ACCOUNT_RESTRICTED"  # in liquidation, cooling off, inactive, or may not order at all
    )
    POSITION_MODE = "POSITION_MODE"  # the position side does not fit the account's position mode
    # Limits and time
    RATE_ORDERS = "RATE_ORDERS"  # the account's order window is used up
    RATE_WEIGHT = "RATE_WEIGHT"  # the address's request weight is used up
    BANNED = "BANNED"  # the address is barred for a while
    OVERLOADED = "OVERLOADED"  # the exchange protects itself, or restarts
    CLOCK = "CLOCK"  # our timestamp is outside recvWindow
    # Settings and streams
    ALREADY_SO = "ALREADY_SO"  # nothing to change
    SETTING_REFUSED = "SETTING_REFUSED"  # leverage, margin type or mode cannot be changed now, or not to this
    LISTEN_KEY_GONE = "LISTEN_KEY_GONE"
    # No verdict
    OUTCOME_OPEN = "OUTCOME_OPEN"  # it may have been executed
    MALFORMED = "MALFORMED"  # a bug of ours, or trading rules that have changed
    NOT_UNDERSTOOD = "NOT_UNDERSTOOD"  # a code that nobody here knows


# What each means for a person, and what to do. The exchange's own words stand beside it, never instead of it.
# fmt: off
SENTENCES: Final[Mapping[Refusal, str]] = {
    Refusal.LEVEL_PASSED: "The price has already passed the level.",
    Refusal.NOT_WHILE_FLAT: "There is no position to reduce.",
    Refusal.CLOSE_EXISTS: "An order that closes the whole position is already open.",
    Refusal.DUPLICATE_ID: "An order with this id is already open: an earlier attempt went through.",
    Refusal.TOO_SMALL: "The order is smaller than the exchange takes.",
    Refusal.TOO_LARGE: "The order is larger than the exchange takes at once.",
    Refusal.BAD_STEP: "Price or quantity does not fit the symbol's tick or step. Sync the symbols.",
    Refusal.PRICE_OUT_OF_RANGE: "The price lies outside what the exchange accepts for this symbol now.",
    Refusal.THIN_BOOK: "The order book is too thin for a market order.",
    Refusal.NO_DEPTH: "There is nothing to trade against.",
    Refusal.NOT_FILLED_AT_ONCE: "It could not be filled whole at once.",
    Refusal.WOULD_TAKE: "Post-only: it would have filled at once.",
    Refusal.TOO_MANY_OPEN: "The account has as many open orders as the exchange allows. Cancel some.",
    Refusal.AMEND_REFUSED: "The exchange does not change this order.",
    Refusal.ORDER_REFUSED: "The exchange gives no reason.",
    Refusal.SYMBOL_CLOSED: "The symbol does not trade now, or takes no new positions.",
    Refusal.NOT_CANCELLABLE: "The order is gone, or was never there.",
    Refusal.TRIGGERING: "The order is being triggered at this moment.",
    Refusal.NO_SUCH_ORDER: "The exchange shows no such order (yet).",
    Refusal.MARGIN: "The account has too little free margin. Add funds, or lower the quantity.",
    Refusal.POSITION_LIMIT: "The position would be too large for this leverage. Lower one of them.",
    Refusal.POSITION_TOO_SMALL: "The position is smaller than the order.",
    Refusal.KEY: "Check the API key, its permissions and IP list.",
    Refusal.SIGNATURE: "The API secret does not belong to the key. Enter it again.",
    Refusal.ADDRESS: "This machine's address is not on the key's IP list. Add it on the exchange.",
    Refusal.REDUCE_ONLY: "The account is reduce-only. Check in the exchange's app why, and until when.",
    Refusal.ACCOUNT_RESTRICTED: "The account may not trade now. Check why in the exchange's app.",
    Refusal.POSITION_MODE: "The account's position mode is not the one we know: somebody switched it.",
    Refusal.RATE_ORDERS: "The account has sent as many orders as it may in this window.",
    Refusal.RATE_WEIGHT: "This server's address has asked as much as it may in this minute.",
    Refusal.BANNED: "This server's address is barred for a while.",
    Refusal.OVERLOADED: "The exchange is overloaded or restarting.",
    Refusal.CLOCK: "This machine's clock and the exchange's differ.",
    Refusal.ALREADY_SO: "It is already set.",
    Refusal.SETTING_REFUSED: "Leverage, margin type or mode cannot be changed now, or not to this.",
    Refusal.LISTEN_KEY_GONE: "The account's event stream has to be reopened.",
    Refusal.OUTCOME_OPEN: "Whether it was executed is not known.",
    Refusal.MALFORMED: "The exchange found the request malformed: report it.",
    Refusal.NOT_UNDERSTOOD: "This code is not known here: see the exchange's message.",
}
# fmt: on
# About the account, not about its key or the order: nothing new is opened on it until that is over.
RESTRICTIONS: Final = frozenset({Refusal.REDUCE_ONLY, Refusal.ACCOUNT_RESTRICTED})
KEY_TROUBLE: Final = frozenset({Refusal.KEY, Refusal.SIGNATURE, Refusal.ADDRESS})
