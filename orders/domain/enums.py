"""The closed vocabularies of a trio order's life. Values are what tables, scripts and logs show."""

from __future__ import annotations

import enum
from typing import Final


class Role(enum.StrEnum):
    ENTRY = "ENTRY"
    STOP_LOSS = "STOP_LOSS"
    TAKE_PROFIT = "TAKE_PROFIT"
    EXIT = "EXIT"
    PART_TARGET = "PART_TARGET"  # a take-profit for a share of the position
    PART_CLOSE = "PART_CLOSE"  # part of the position, closed at market
    ADD = "ADD"  # a further entry under the same stop and targets
    RUNG = "RUNG"  # a further order of an entry ladder, which goes out with the entry
    TRAIL = "TRAIL"  # the exchange's own trailing order, beside the stop-loss

    @property
    def letter(self) -> str:
        """The role's place in a client id: ``<install>-<trio>-<letter><generation>``."""
        return LETTERS[self]

    @property
    def opens(self) -> bool:
        """Does such an order enlarge the position? All others reduce it."""
        return self in OPENING

    @property
    def is_part(self) -> bool:
        """Does such an order leave its trio open when it executes, as long as something is left?"""
        return self in (Role.PART_TARGET, Role.PART_CLOSE)

    @property
    def words(self) -> str:
        return "trailing stop" if self is Role.TRAIL else self.value.lower().replace("_", "-")


OPENING: Final = (Role.ENTRY, Role.ADD, Role.RUNG)
LETTERS: Final = {
    Role.ENTRY: "e",
    Role.STOP_LOSS: "s",
    Role.TAKE_PROFIT: "p",
    Role.EXIT: "x",
    Role.PART_TARGET: "t",
    Role.PART_CLOSE: "c",
    Role.ADD: "a",
    Role.RUNG: "r",
    Role.TRAIL: "l",
}


class Form(enum.StrEnum):
    """How much of a position an order is meant for."""

    QUANTITY = "QUANTITY"
    CLOSE_POSITION = "CLOSE_POSITION"


class Protection(enum.StrEnum):
    """When the legs go out: before the entry, or on its first fill."""

    PRE_ARMED = "PRE_ARMED"
    ON_FIRST_FILL = "ON_FIRST_FILL"


class TargetPolicy(enum.StrEnum):
    """What to do when the exchange refuses the take-profit of a filled trio."""

    ROLL_BACK = "ROLL_BACK"
    KEEP_STOP = "KEEP_STOP"


class Follow(enum.StrEnum):
    """Where the stop goes when a part target has executed."""

    NOTHING = ""
    BREAK_EVEN = "BREAK_EVEN"  # to break-even after the first
    TARGETS = "TARGETS"  # to break-even after the first, then to the target before the last that executed


class LegState(enum.StrEnum):
    PLANNED = "PLANNED"  # its request never reached the book; the same id may go out again
    SUBMITTED = "SUBMITTED"  # sent, fate unknown
    ACCEPTED = "ACCEPTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    TRIGGERED = "TRIGGERED"  # its level was met; an ordinary child order is on its way
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    WRITTEN_OFF = "WRITTEN_OFF"  # proved absent, watched for 24 h all the same

    @property
    def is_live(self) -> bool:
        return self in (LegState.ACCEPTED, LegState.PARTIALLY_FILLED, LegState.TRIGGERED)

    @property
    def is_final(self) -> bool:
        return self in (
            LegState.FILLED,
            LegState.CANCELLED,
            LegState.EXPIRED,
            LegState.REJECTED,
            LegState.WRITTEN_OFF,
        )


class TrioState(enum.StrEnum):
    DRAFT = "DRAFT"
    QUEUED = "QUEUED"
    PLACING = "PLACING"
    WORKING = "WORKING"
    WITHDRAWING = "WITHDRAWING"
    OPEN = "OPEN"
    ROLLING_BACK = "ROLLING_BACK"
    EXITING = "EXITING"
    LATE = "LATE"
    CLOSED = "CLOSED"
    ROLLED_BACK = "ROLLED_BACK"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    REFUSED = "REFUSED"
    DRY_RUN = "DRY_RUN"

    @property
    def is_end(self) -> bool:
        return self in ENDS


ENDS = frozenset(
    {
        TrioState.CLOSED,
        TrioState.ROLLED_BACK,
        TrioState.CANCELLED,
        TrioState.EXPIRED,
        TrioState.REFUSED,
        TrioState.DRY_RUN,
    }
)


class Cause(enum.StrEnum):
    """Why a trio was withdrawn, rolled back or closed. For a CLOSED trio this is its result."""

    # results of a position
    TAKE_PROFIT = "TAKE_PROFIT"
    STOP_LOSS = "STOP_LOSS"
    MANUAL = "MANUAL"
    PANIC = "PANIC"
    TIME = "TIME"
    UNCOVERED = "UNCOVERED"
    LEVEL_PASSED = "LEVEL_PASSED"
    LIQUIDATED = "LIQUIDATED"
    ADL = "ADL"  # auto-deleveraging
    SETTLEMENT = "SETTLEMENT"
    DELIVERY = "DELIVERY"
    OUTSIDE = "OUTSIDE"
    DRIFT = "DRIFT"  # somebody acted outside, and the drift policy closes it then
    LATE = "LATE"
    # before there was one
    CANCEL_WANTED = "CANCEL_WANTED"
    GOOD_TILL = "GOOD_TILL"
    PLACE_BEFORE = "PLACE_BEFORE"
    LIMIT = "LIMIT"
    STOP_GONE = "STOP_GONE"
    ENTRY_ENDED = "ENTRY_ENDED"  # IOC, FOK, GTX, self-trade, delisted
    ENTRY_CANCELLED = "ENTRY_CANCELLED"  # in the app
    ENTRY_REFUSED = "ENTRY_REFUSED"
    ENTRY_ABSENT = "ENTRY_ABSENT"
    STOP_REFUSED = "STOP_REFUSED"
    TARGET_REFUSED = "TARGET_REFUSED"


class ReversalEnd(enum.StrEnum):
    """What became of a wish to reverse, once the trio was closed or could not be."""

    QUEUED = "QUEUED"  # the trio the other way was accepted for placement
    REFUSED = "REFUSED"  # it did not pass the checks of new risk; the close stays
    DROPPED = "DROPPED"  # its time was over, or the first trio did not end as wished; the close stays


class BulkVerb(enum.StrEnum):
    """What is asked of many trios at once."""

    PLACE = "PLACE"
    CANCEL = "CANCEL"
    CLOSE = "CLOSE"


class BulkEnd(enum.StrEnum):
    """What became of one trio's part in it."""

    ASKED = "ASKED"  # it was queued, or its wish is recorded: what follows is the trio's own story
    REFUSED = "REFUSED"
    TAKEN_BACK = "TAKEN_BACK"  # stopped before it was begun: nothing was sent


class RequestKind(enum.StrEnum):
    SUBMIT = "SUBMIT"
    CANCEL = "CANCEL"
    AMEND = "AMEND"  # of a resting order: another price, another quantity
    TEST = "TEST"
    FOREIGN = "FOREIGN"  # cancels somebody else's order, which a person named when adopting its position


class Verdict(enum.StrEnum):
    """The outcome of one request."""

    ACCEPTED = "ACCEPTED"
    REFUSED = "REFUSED"
    NOT_EXECUTED = "NOT_EXECUTED"  # certainly never reached the book
    UNKNOWN = "UNKNOWN"
    KEY_REFUSED = "KEY_REFUSED"


class Source(enum.StrEnum):
    """Where we saw an order as the exchange has it."""

    ANSWER = "ANSWER"  # to a request of ours
    EVENT = "EVENT"  # of the user stream
    LIST = "LIST"  # of resting orders, read by a sweep
    LOOK_UP = "LOOK_UP"  # by client order id
    ABSENCE = "ABSENCE"  # proved by a look-up
    ADOPTED = "ADOPTED"  # a position opened elsewhere: it stands for an entry that was no request of ours
    BOOKS = "BOOKS"  # our own, once: when the journal began to keep sightings
