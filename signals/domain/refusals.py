"""Why a signal was not acted on: a kind with facts. The sentence is made here, where it is shown, and nowhere else."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Final

Facts = Mapping[str, str]


class RefusalKind(enum.StrEnum):
    # Size and levels
    SIZE_TOO_SMALL = "SIZE_TOO_SMALL"
    SIZE_ABOVE_MARGIN = "SIZE_ABOVE_MARGIN"
    SIZE_UNKNOWN = "SIZE_UNKNOWN"  # it needs something that is not there: a price, a stop, the equity
    LEVEL_UNKNOWN = "LEVEL_UNKNOWN"
    LEVEL_IMPOSSIBLE = "LEVEL_IMPOSSIBLE"
    # What the verbs of a trio say
    ORDER_REFUSED = "ORDER_REFUSED"
    SLOT_TAKEN = "SLOT_TAKEN"
    LIMIT = "LIMIT"  # of the account, or of the source on it
    BALANCE_UNREAD = "BALANCE_UNREAD"
    # A post
    MALFORMED = "MALFORMED"
    FIELD_WRONG = "FIELD_WRONG"
    STALE = "STALE"
    TIME_MISSING = "TIME_MISSING"
    SYMBOL_UNKNOWN = "SYMBOL_UNKNOWN"
    SYMBOL_NOT_ALLOWED = "SYMBOL_NOT_ALLOWED"
    SOURCE_OFF = "SOURCE_OFF"
    NO_ACCOUNTS = "NO_ACCOUNTS"
    # A file
    FILE_WRONG = "FILE_WRONG"
    FILE_CHANGED = "FILE_CHANGED"
    FILE_ROWS_WRONG = "FILE_ROWS_WRONG"
    # What is there
    NOTHING_THERE = "NOTHING_THERE"
    POLICY = "POLICY"
    CHANGE_REFUSED = "CHANGE_REFUSED"
    LOOSER = "LOOSER"
    # The signal itself
    TOO_LATE = "TOO_LATE"
    CLAIMED = "CLAIMED"
    SUPERSEDED = "SUPERSEDED"
    OVERTAKEN = "OVERTAKEN"
    NOT_SUPPORTED = "NOT_SUPPORTED"


class SignalRefused(Exception):
    """This signal places nothing on this account. ``kind`` and ``facts`` say why."""

    def __init__(self, kind: RefusalKind, **facts: str) -> None:
        super().__init__(kind.value)
        self.kind = kind
        self.facts: Facts = facts


def _closed(facts: Facts) -> str:
    """Say which trios on the other side a signal has closed although it enters nothing."""
    return (
        f" Trio {facts['closed']}, which it was to reverse, is closed all the same."
        if "closed" in facts
        else ""
    )


_SENTENCES: Final[Mapping[RefusalKind, Callable[[Facts], str]]] = {
    RefusalKind.SIZE_TOO_SMALL: lambda f: (
        f"The size comes to {f['quantity']}, below the smallest order of {f['symbol']}, {f['least']}. "
        "It is never raised: risk more, or leave this signal out."
    ),
    RefusalKind.SIZE_ABOVE_MARGIN: lambda f: (
        f"{f['quantity']} {f['symbol']} would need {f['needed']} {f['asset']} of margin and fees, but only {f['free']} are "
        "free. It is not reduced: the sizing does not say “cap”."
    ),
    RefusalKind.SIZE_UNKNOWN: lambda f: f"The size cannot be worked out: {f['missing']} is not known.",
    RefusalKind.LEVEL_UNKNOWN: lambda f: (
        f"The {f['level']} cannot be worked out: {f['missing']} is not known."
    ),
    RefusalKind.LEVEL_IMPOSSIBLE: lambda f: f"The {f['level']} comes to {f['price']}, which is not a price.",
    RefusalKind.ORDER_REFUSED: lambda f: f["text"],
    RefusalKind.SLOT_TAKEN: lambda f: f["text"],
    RefusalKind.LIMIT: lambda f: f["text"],
    RefusalKind.BALANCE_UNREAD: lambda f: f"The balance could not be read: {f['text']}",
    RefusalKind.MALFORMED: lambda f: f"The body is not valid JSON: {f['what']}.",
    RefusalKind.FIELD_WRONG: lambda f: f["text"],
    RefusalKind.STALE: lambda f: (
        f"Its time {f['time']} is {f['seconds']} s off; the maximum is {f['window']} s. Nothing was placed."
    ),
    RefusalKind.TIME_MISSING: lambda f: "It has no time, and this source asks for one ({{timenow}}).",
    RefusalKind.SYMBOL_UNKNOWN: lambda f: f"{f['symbol']} is not a symbol of {f['environment']}.",
    RefusalKind.SYMBOL_NOT_ALLOWED: lambda f: (
        f"{f['symbol']} is not among the symbols allowed for this source."
    ),
    RefusalKind.SOURCE_OFF: lambda f: "This source is switched off.",
    RefusalKind.NO_ACCOUNTS: lambda f: "This source has no accounts: choose them on its page.",
    RefusalKind.FILE_WRONG: lambda f: f"This is not a valid list of trios: {f['what']}.",
    RefusalKind.FILE_CHANGED: lambda f: (
        "The trios that would be placed are no longer those you saw: look at them again, then confirm. Nothing was placed."
    ),
    RefusalKind.FILE_ROWS_WRONG: lambda f: (
        f"{f['rows']} rows are wrong: nothing was placed. Correct the file and upload it again."
    ),
    RefusalKind.NOTHING_THERE: lambda f: (
        f"{f['verb']}: this source has no trio on {f['symbol']} to act on. Nothing was done."
    ),
    RefusalKind.POLICY: lambda f: (
        f"Trio {f['trio']} of this source holds the slot on the other side; the policy of this source is “{f['policy']}”."
    ),
    RefusalKind.CHANGE_REFUSED: lambda f: f["text"],
    RefusalKind.LOOSER: lambda f: (
        f"A source may only tighten a stop-loss: that of trio {f['trio']} is at {f['agreed']}. It stays there."
    ),
    RefusalKind.TOO_LATE: lambda f: (
        f"It expired at {f['until']} and was processed {f['late_ms']} ms later: nothing was placed.{_closed(f)}"
    ),
    RefusalKind.CLAIMED: lambda f: "Another process carries it out, or has done so.",
    RefusalKind.SUPERSEDED: lambda f: (
        f"Signal {f['signal']} of this source ({f['verb']}) came before anything was done for this one: it neither places nor "
        f"changes anything.{_closed(f)}"
    ),
    RefusalKind.OVERTAKEN: lambda f: (
        f"Signal {f['signal']} of this source came before it and says what came of it: this one is out of date. Nothing was "
        f"placed.{_closed(f)}"
    ),
    RefusalKind.NOT_SUPPORTED: lambda f: f"{f['verb']} is not supported (yet): nothing was done.",
}


def sentence(kind: str, facts: Facts) -> str:
    """Return what a refusal says to people."""
    return _SENTENCES[RefusalKind(kind)](facts)
