"""What a person may answer: for each kind of question the choices that are safe, and what each means."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class Choice(enum.StrEnum):
    LEAVE = "LEAVE"
    CLOSE = "CLOSE"

    @property
    def words(self) -> str:
        return {"LEAVE": "Leave it as it is", "CLOSE": "Close at market"}[self.value]


@dataclass(frozen=True, slots=True)
class Question:
    """One kind of question: how its sentence begins, and what each safe answer to it comes to.

    Whatever is answered or not, what covers the position stays and is renewed; nothing here could take it away.
    """

    kind: str
    opening: str
    answers: tuple[tuple[Choice, str], ...]

    @property
    def choices(self) -> tuple[Choice, ...]:
        return tuple(choice for choice, _ in self.answers)


# fmt: off
QUESTIONS: Final = (
    Question("target refused", "The exchange refused the take-profit", (
        (Choice.CLOSE, "the position leaves at the market's price now, and the stop-loss goes with it"),
        (Choice.LEAVE, "the trio goes on with its stop-loss alone"),
    )),
    Question("exit refused", "The exchange keeps refusing to close the position", (
        (Choice.LEAVE, "closing is tried again all the time anyway; asked again if it is still refused"),
    )),
    Question("dust", "A rest of", (
        (Choice.LEAVE, "it cannot be sold here; close it in the exchange's app, and this trio ends"),
    )),
    Question("key refused", "The exchange refuses the account's API key", (
        (Choice.LEAVE, "mend the key; what protects is tried again every five seconds all the while"),
        (Choice.CLOSE, "the position leaves at the market's price as soon as the key is taken again"),
    )),
    Question("settings changed", "The account's settings were changed on the exchange", (
        (Choice.LEAVE, "the trio goes on as it is; switch the setting back in the exchange's app"),
        (Choice.CLOSE, "the position leaves at the market's price, and what is unfilled is withdrawn"),
    )),
    Question("margin type changed", "The margin type was changed on the exchange", (
        (Choice.LEAVE, "the trio goes on as it is, with its stop where it was"),
        (Choice.CLOSE, "the position leaves at the market's price, and what is unfilled is withdrawn"),
    )),
    Question("symbol stopped", "The symbol does not trade now", (
        (Choice.LEAVE, "what rests stays on the exchange, and works again when the symbol trades again"),
        (Choice.CLOSE, "closing is tried all the time; the exchange takes it when the symbol trades again"),
    )),
    Question("failure", "Something in this system went wrong", (
        (Choice.LEAVE, "it is tried again with growing pauses; what rests on the exchange stays there"),
        (Choice.CLOSE, "the position leaves at the market's price as soon as deciding succeeds"),
    )),
)
# fmt: on
ANY_OTHER: Final = Question(
    "other",
    "",
    (
        (Choice.LEAVE, "the trio goes on; if the reason is still there, it asks again"),
        (Choice.CLOSE, "the position leaves at the market's price, and what is unfilled is withdrawn"),
    ),
)


def question_of(text: str) -> Question | None:
    """Return the kind of question a trio asks with this sentence; nothing when it asks nothing."""
    if not text:
        return None
    return next((question for question in QUESTIONS if text.startswith(question.opening)), ANY_OTHER)
