"""What a refusal of the exchange means. Everything outside ``exchange`` decides by these; codes stay inside."""

from __future__ import annotations

import enum


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
    TRIGGER_INVALID = "TRIGGER_INVALID"
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
    ACCOUNT_RESTRICTED = "ACCOUNT_RESTRICTED"  # may only reduce, may not order, in liquidation, cooling off
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
