"""The life of a trio: one table of its transitions. What causes each is in ``transitions``."""

from __future__ import annotations

import enum
from typing import Final

from orders.domain.enums import Cause
from orders.domain.enums import TrioState as S
from orders.domain.errors import IllegalTransition


class Transition(enum.StrEnum):
    QUEUED = "QUEUED"
    WITHDRAWN = "WITHDRAWN"
    REFUSED = "REFUSED"
    OVERDUE = "OVERDUE"
    TESTED = "TESTED"
    BEGUN = "BEGUN"
    ALL_ACCEPTED = "ALL_ACCEPTED"
    LEG_REFUSED = "LEG_REFUSED"
    WITHDRAW = "WITHDRAW"
    FILLED = "FILLED"
    UNDO = "UNDO"
    EXIT = "EXIT"
    TURNED_UP = "TURNED_UP"
    ADOPTED = "ADOPTED"
    FLAT_AND_EMPTY = "FLAT_AND_EMPTY"


E = Transition
# fmt: off
TRANSITIONS: Final = {
    (S.DRAFT,        E.QUEUED):         S.QUEUED,
    (S.DRAFT,        E.WITHDRAWN):      S.CANCELLED,
    (S.DRAFT,        E.ADOPTED):        S.OPEN,          # or, in a dry run, TESTED
    (S.DRAFT,        E.TESTED):         S.DRY_RUN,
    (S.QUEUED,       E.WITHDRAWN):      S.CANCELLED,
    (S.QUEUED,       E.REFUSED):        S.REFUSED,
    (S.QUEUED,       E.OVERDUE):        S.EXPIRED,
    (S.QUEUED,       E.TESTED):         S.DRY_RUN,
    (S.QUEUED,       E.BEGUN):          S.PLACING,
    (S.PLACING,      E.ALL_ACCEPTED):   S.WORKING,
    (S.PLACING,      E.LEG_REFUSED):    S.ROLLING_BACK,
    (S.PLACING,      E.FILLED):         S.OPEN,
    (S.WORKING,      E.FILLED):         S.OPEN,
    (S.WITHDRAWING,  E.FILLED):         S.OPEN,
    (S.PLACING,      E.WITHDRAW):       S.WITHDRAWING,
    (S.WORKING,      E.WITHDRAW):       S.WITHDRAWING,
    (S.OPEN,         E.UNDO):           S.ROLLING_BACK,
    (S.OPEN,         E.EXIT):           S.EXITING,
    (S.EXITING,      E.EXIT):           S.EXITING,       # it is named after who executed first
    (S.WITHDRAWING,  E.FLAT_AND_EMPTY): S.CANCELLED,     # or as WITHDRAWN_AS says, by cause
    (S.ROLLING_BACK, E.FLAT_AND_EMPTY): S.ROLLED_BACK,
    (S.EXITING,      E.FLAT_AND_EMPTY): S.CLOSED,
    (S.LATE,         E.FLAT_AND_EMPTY): S.CLOSED,
    (S.CLOSED,       E.TURNED_UP):      S.LATE,
    (S.ROLLED_BACK,  E.TURNED_UP):      S.LATE,
    (S.CANCELLED,    E.TURNED_UP):      S.LATE,
    (S.EXPIRED,      E.TURNED_UP):      S.LATE,
    (S.REFUSED,      E.TURNED_UP):      S.LATE,
}
WITHDRAWN_AS: Final = {
    Cause.CANCEL_WANTED:   S.CANCELLED,
    Cause.MANUAL:          S.CANCELLED,
    Cause.PANIC:           S.CANCELLED,
    Cause.ENTRY_CANCELLED: S.CANCELLED,
    Cause.DRIFT:           S.CANCELLED,
    Cause.GOOD_TILL:       S.EXPIRED,
    Cause.PLACE_BEFORE:    S.EXPIRED,
    Cause.ENTRY_ENDED:     S.EXPIRED,
    Cause.LIMIT:           S.REFUSED,
    Cause.ENTRY_REFUSED:   S.ROLLED_BACK,    # a stop entry, at its trigger; a rung of a ladder
    Cause.ENTRY_ABSENT:    S.ROLLED_BACK,    # a rung of a ladder
    Cause.STOP_GONE:       S.ROLLED_BACK,
    Cause.LEVEL_PASSED:    S.ROLLED_BACK,
}
# fmt: on


def next_state(state: S, transition: Transition) -> S:
    """Return where ``transition`` leads from ``state``. Raises IllegalTransition when it leads nowhere."""
    try:
        return TRANSITIONS[state, transition]
    except KeyError:
        raise IllegalTransition(
            f"A trio in state {state} cannot be {transition.lower().replace('_', ' ')}."
        ) from None


def ending(state: S, cause: Cause | None) -> S:
    """Return the end a trio reaches once it is flat and nothing of ours rests."""
    if state is S.WITHDRAWING and cause is not None:
        return WITHDRAWN_AS[cause]
    return next_state(state, Transition.FLAT_AND_EMPTY)
