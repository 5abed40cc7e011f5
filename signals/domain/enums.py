"""The closed vocabularies of signals. Values are what tables, scripts and logs show."""

from __future__ import annotations

import enum
from typing import Final

TIME: Final = "time"  # among a signal's figures: how its post is dated, in UTC, to be compared as text


class Origin(enum.StrEnum):
    """What kind of thing decided. Everything but a person's ticket is automatic."""

    STRATEGY = "STRATEGY"
    WEBHOOK = "WEBHOOK"
    FILE = "FILE"
    TICKET = "TICKET"

    @property
    def prefix(self) -> str:
        """How a trio of this origin names its source: ``<prefix>:<name>``."""
        return {"STRATEGY": "strategy", "WEBHOOK": "hook", "FILE": "file", "TICKET": "ticket"}[self.value]


class Verb(enum.StrEnum):
    """What a signal wants done."""

    ENTER = "ENTER"
    ADD = "ADD"
    REDUCE = "REDUCE"
    CLOSE = "CLOSE"
    REVERSE = "REVERSE"
    CANCEL = "CANCEL"
    MOVE = "MOVE"  # a level of a living trio


class Policy(enum.StrEnum):
    """What a source's entry does when a trio of its own holds the slot on the other side."""

    IGNORE = "IGNORE"
    REVERSE = "REVERSE"
    CLOSE = "CLOSE"

    @property
    def words(self) -> str:
        return {"IGNORE": "ignore", "REVERSE": "reverse: close it, then enter", "CLOSE": "close it"}[
            self.value
        ]


class Status(enum.StrEnum):
    """Where a signal stands."""

    WAITING = "WAITING"  # to be executed
    DONE = "DONE"  # each of its accounts has an outcome


class Outcome(enum.StrEnum):
    """What became of a signal on one account."""

    PENDING = "PENDING"
    PLACED = "PLACED"
    REFUSED = "REFUSED"
    TOO_LATE = "TOO_LATE"
    SLOT_TAKEN = "SLOT_TAKEN"
    DRY_RUN = "DRY_RUN"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    NOTHING_TO_DO = "NOTHING_TO_DO"
    CLOSING = "CLOSING"
    CANCELLING = "CANCELLING"
    CHANGING = "CHANGING"  # a trio that is there: added to, reduced, or moved

    @property
    def is_final(self) -> bool:
        return self is not Outcome.PENDING
