"""Why a notice was not delivered, as data: a kind with facts that hold nothing of the URL. Pure."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Facts = Mapping[str, Any]


class FailureKind(enum.StrEnum):
    ADDRESS_REFUSED = "ADDRESS_REFUSED"
    FILE_REFUSED = "FILE_REFUSED"
    URL_REFUSED = "URL_REFUSED"
    UNREADABLE = "UNREADABLE"
    ANSWERED = "ANSWERED"
    UNREACHED = "UNREACHED"
    TIMED_OUT = "TIMED_OUT"
    ENDED = "ENDED"
    NOT_TAKEN = "NOT_TAKEN"

    @property
    def is_final(self) -> bool:
        """Is trying again pointless until a person has changed something?"""
        return self in {
            FailureKind.ADDRESS_REFUSED,
            FailureKind.FILE_REFUSED,
            FailureKind.URL_REFUSED,
            FailureKind.UNREADABLE,
        }


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one attempt failed. ``facts``: numbers and names of errors, never what a service or URL said."""

    kind: FailureKind
    facts: Facts = field(default_factory=dict, hash=False)

    @property
    def sentence(self) -> str:
        return _SENTENCES[self.kind](self.facts)


_SENTENCES: Final[Mapping[FailureKind, Callable[[Facts], str]]] = {
    FailureKind.ADDRESS_REFUSED: lambda f: (
        "Not sent: it leads to an address that is not public (by its name, or by a redirect). Replace the URL."
    ),
    FailureKind.FILE_REFUSED: lambda f: "Not sent: the URL would read a file of this machine. Replace it.",
    FailureKind.URL_REFUSED: lambda f: "Not sent: the service does not understand the URL. Replace it.",
    FailureKind.UNREADABLE: lambda f: (
        "Not sent: the stored URL cannot be decrypted, CREDENTIALS_MASTER_KEY is not the one it was stored under. Put the "
        "old key back (after a comma), or replace the URL."
    ),
    FailureKind.ANSWERED: lambda f: (
        f"The service answered {f.get('status')}: the token may be wrong, or the channel gone."
    ),
    FailureKind.UNREACHED: lambda f: f"The service could not be reached ({f.get('error', 'no answer')}).",
    FailureKind.TIMED_OUT: lambda f: f"The service did not answer within {f.get('seconds')} s.",
    FailureKind.ENDED: lambda f: "The process that sends ended early.",
    FailureKind.NOT_TAKEN: lambda f: "The service did not take it.",
}
