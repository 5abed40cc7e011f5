"""The closed set of steps a decision can choose."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from exchange.types import NewOrder
from orders.domain.enums import Form, Role, TrioState
from orders.domain.operator_questions import Choice, Question


@dataclass(frozen=True, slots=True)
class Plan:
    """One order to send. ``again``: this very id never reached the book and may go out once more."""

    role: Role
    generation: int
    form: Form
    order: NewOrder
    again: bool = False
    for_move: bool = False  # at a level that is wished for, not agreed yet
    number: int = 0  # of the part target, or of the wish for another size, it is for


@dataclass(frozen=True, slots=True)
class Submit:
    """Send these orders, in parallel; with ``test`` only have them checked (a dry run)."""

    plans: tuple[Plan, ...]
    test: bool = False


@dataclass(frozen=True, slots=True)
class Confirm:
    """Its fate is unknown or doubted: look it up by our id before acting on it."""

    client_id: str


@dataclass(frozen=True, slots=True)
class Cancel:
    client_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CancelForeign:
    """Cancel somebody else's order, which a person named when adopting its position."""

    client_id: str


@dataclass(frozen=True, slots=True)
class ConfirmForeign:
    """Look up whether such an order is gone."""

    client_id: str


@dataclass(frozen=True, slots=True)
class Amend:
    """Give a resting order another price and quantity: the whole quantity, never the unfilled part."""

    client_id: str
    quantity: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True)
class Exit:
    """Close the slot's position at market; ``cancels`` go out with it and are not waited for."""

    plan: Plan
    cancels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Observe:
    """Read the slot's position."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do before ``until`` (database ms), or before a fact arrives (``None``)."""

    until: int | None


@dataclass(frozen=True, slots=True)
class Done:
    state: TrioState


@dataclass(frozen=True, slots=True)
class AskPerson:
    """Put a question to a person; the trio goes on being covered while it waits."""

    question: Question


@dataclass(frozen=True, slots=True)
class WithdrawQuestion:
    """Take back what a person is being asked: its facts are gone. What had to make way for it is asked again."""

    question: Question


@dataclass(frozen=True, slots=True)
class AnswerByPolicy:
    """Put a question into the story with the answer that the drift policy gives to it: nobody is asked."""

    question: Question
    choice: Choice


Step = (
    Submit
    | Confirm
    | Cancel
    | Amend
    | CancelForeign
    | ConfirmForeign
    | Exit
    | Observe
    | Rest
    | Done
    | AskPerson
    | WithdrawQuestion
    | AnswerByPolicy
)
