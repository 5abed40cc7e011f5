"""What is done when somebody acts on the exchange beside us: each drift with the responses that are safe for it. Pure.

A policy chooses one response for each drift. The first that a drift has is what holds where nobody chose. No response
leaves a position without a stop.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from orders.domain.operator_questions import QuestionKind


class Drift(enum.StrEnum):
    """What a person did in the exchange's app, or elsewhere, to what a trio holds."""

    STOP_CANCELLED = "STOP_CANCELLED"
    REDUCED = "REDUCED"
    INCREASED = "INCREASED"
    CLOSED = "CLOSED"
    REVERSED = "REVERSED"
    SETTINGS_CHANGED = "SETTINGS_CHANGED"
    OWN_ORDERS = "OWN_ORDERS"

    @property
    def words(self) -> str:
        return WORDS[self]

    @property
    def field(self) -> str:
        """The name under which a policy keeps its response."""
        return self.value.lower()

    @property
    def responses(self) -> tuple[Response, ...]:
        """Return the responses that may be chosen, what is safe first."""
        return tuple(allowed.response for allowed in ALLOWED[self])

    @property
    def default(self) -> Response:
        return self.responses[0]

    @property
    def has_choice(self) -> bool:
        return len(ALLOWED[self]) > 1


class Response(enum.StrEnum):
    """What may be done about a drift."""

    PROTECT_AGAIN = "PROTECT_AGAIN"
    FOLLOW = "FOLLOW"
    ADOPT = "ADOPT"
    ASK = "ASK"
    LEAVE = "LEAVE"
    CANCEL = "CANCEL"
    CLOSE = "CLOSE"
    END = "END"

    @property
    def words(self) -> str:
        return self.value.replace("_", " ").capitalize()


@dataclass(frozen=True, slots=True)
class Allowed:
    """One response that a drift may have: what happens, and which notice is given."""

    response: Response
    happens: str
    notice: str


R: Final = Response
_QUESTION: Final = "a question on the trio, once for each change"
_CLOSED: Final = "the trio's reason names the drift; it ends CLOSED (DRIFT)"
WORDS: Final[Mapping[Drift, str]] = {
    Drift.STOP_CANCELLED: "our stop is cancelled",
    Drift.REDUCED: "the position is reduced",
    Drift.INCREASED: "the position is increased",
    Drift.CLOSED: "the position is closed",
    Drift.REVERSED: "the position is reversed",
    Drift.SETTINGS_CHANGED: "leverage, margin or position mode is changed",
    Drift.OWN_ORDERS: "other orders are placed in our slot",
}
# fmt: off
ALLOWED: Final[Mapping[Drift, tuple[Allowed, ...]]] = {
    Drift.STOP_CANCELLED: (
        Allowed(R.PROTECT_AGAIN, "a new stop-loss goes out at once", "a line in the story for each order"),
        Allowed(R.CLOSE, "the position is closed at market", _CLOSED),
    ),
    Drift.REDUCED: (
        Allowed(R.FOLLOW, "stop, targets and exits are for what is left", "none but the orders' own lines in the story"),
        Allowed(R.ASK, "the same, and a person is asked whether it goes on", _QUESTION),
        Allowed(R.CLOSE, "what is left is closed at market", _CLOSED),
    ),
    Drift.INCREASED: (
        Allowed(R.ASK, "all of it is covered, and a person is asked whether it goes on", _QUESTION),
        Allowed(R.ADOPT, "all of it is covered, and closed with the trio; the books hold the trio's own executions alone",
                "question and answer in the story, once for each size"),
        Allowed(R.CLOSE, "all of it is closed at market", _CLOSED),
    ),
    Drift.CLOSED: (
        Allowed(R.END, "our orders are taken back, nothing is opened again", "the trio ends CLOSED (OUTSIDE)"),
    ),
    Drift.REVERSED: (
        Allowed(R.ASK, "the trio ends CLOSED (OUTSIDE), and asks whether the opposite position is adopted",
                "a question on the trio that ended, until it is answered or that position is gone"),
        Allowed(R.ADOPT, "the trio ends CLOSED (OUTSIDE), and the opposite position becomes a trio, its stop and target as "
                         "far from the entry, in percent, as they were",
                "the second trio; where it may not be adopted, the question with the reason"),
    ),
    Drift.SETTINGS_CHANGED: (
        Allowed(R.ASK, "nothing new is opened where it no longer fits, what rests stays, and a person is asked", _QUESTION),
        Allowed(R.CLOSE, "the position is closed at market, the unfilled part is cancelled", _CLOSED),
    ),
    Drift.OWN_ORDERS: (
        Allowed(R.LEAVE, "they are left alone", "shown on the slot's page"),
        Allowed(R.ASK, "they are left alone, and a person is asked", _QUESTION),
        Allowed(R.CANCEL, "they are cancelled by their ids once our stop and target stand",
                "a line in the story for each order"),
    ),
}
# fmt: on
DRIFTS_WITH_CHOICE: Final = tuple(drift for drift in Drift if drift.has_choice)
# The questions that a change of the account's settings puts to a person.
SETTINGS_QUESTIONS: Final = frozenset(
    {
        QuestionKind.POSITION_MODE_CHANGED,
        QuestionKind.MULTI_ASSETS_ON,
        QuestionKind.MARGIN_TYPE_CHANGED,
        QuestionKind.LEVERAGE_CHANGED,
    }
)


@dataclass(frozen=True, slots=True)
class DriftPolicy:
    """The response to each drift that has a choice. As it is made, what is safe."""

    stop_cancelled: Response = Response.PROTECT_AGAIN
    reduced: Response = Response.FOLLOW
    increased: Response = Response.ASK
    reversed: Response = Response.ASK
    settings_changed: Response = Response.ASK
    own_orders: Response = Response.LEAVE

    def of(self, drift: Drift) -> Response:
        """Return the response to a drift."""
        found: Response = getattr(self, drift.field) if drift.has_choice else drift.default
        return found


def policy_of(*chosen: Mapping[str, str]) -> DriftPolicy:
    """Return the policy that rows of choices come to: later ones win, what is empty or not allowed chooses nothing.

    Each maps a drift's field to a response.
    """
    responses: dict[str, Response] = {}
    for row in chosen:
        for drift in DRIFTS_WITH_CHOICE:
            if (said := row.get(drift.field)) and said in drift.responses:
                responses[drift.field] = Response(said)
    return DriftPolicy(**responses) if responses else SAFE


SAFE: Final = DriftPolicy()
